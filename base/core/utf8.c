/* UTF-8 by RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. Functions other than utf8_valid may be
 * given any bytes and stay inside the slice, but mean something only for valid text. Pure. */
#include "base/core/text.h"

/* Length of the valid sequence at `p` with `n` bytes left (n > 0); 0: none. RFC 3629 section 4. */
static size_t sequence(const unsigned char *p, size_t n)
{
    static const struct {
        unsigned char from, to, low, high, length;
    } rows[] = { { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
                 { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
                 { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 } };

    if (p[0] < 0x80)
        return 1;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        if (p[0] < rows[r].from || p[0] > rows[r].to)
            continue;
        if (n < rows[r].length || p[1] < rows[r].low || p[1] > rows[r].high)
            return 0;
        for (size_t i = 2; i < rows[r].length; i++)
            if ((p[i] & 0xc0) != 0x80)
                return 0;
        return rows[r].length;
    }
    return 0;
}

/* The common three-byte forms (nearly all Chinese text), apart from the table. */
static bool is_cjk3(const unsigned char *p, size_t n)
{
    return n >= 3 && p[0] >= 0xe1 && p[0] <= 0xec && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80;
}

bool utf8_valid(struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t i = 0;

    while (i < s.n) {
        uint64_t w;
        size_t step;

        if (s.n - i >= 8) {
            memcpy(&w, p + i, 8);
            if ((w & 0x8080808080808080u) == 0) {
                i += 8;
                continue;
            }
        }
        step = is_cjk3(p + i, s.n - i) ? 3 : sequence(p + i, s.n - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

size_t utf8_count(struct slice s)
{
    size_t count = 0;

    for (size_t i = 0; i < s.n; i++)
        count += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return count;
}

size_t utf8_next(struct slice s, size_t at)
{
    unsigned char c;
    size_t step;

    if (at >= s.n)
        return s.n;
    c = (unsigned char)s.p[at];
    step = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    return step < s.n - at ? at + step : s.n;
}

uint32_t utf8_at(struct slice s, size_t at)
{
    static const unsigned char masks[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    size_t end = utf8_next(s, at);
    uint32_t c;

    if (at >= s.n)
        return 0;
    c = (unsigned char)s.p[at] & masks[end - at];
    for (size_t i = at + 1; i < end; i++)
        c = c << 6 | ((unsigned char)s.p[i] & 0x3f);
    return c;
}

void utf8_put(struct buf *b, uint32_t c)
{
    char out[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

    if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        if (b->failed == ERR_OK)
            b->failed = ERR_INVALID;
        return;
    }
    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(leads[n] | c);
    buf_put(b, (struct slice){ out, n });
}

struct range {
    uint32_t from, to;
};

/* East Asian Width W and F (Unicode 15, UAX 11), with the unassigned code points of the CJK planes. */
static const struct range wide[] = {
    { 0x1100, 0x115f },   { 0x231a, 0x231b },   { 0x2329, 0x232a },   { 0x23e9, 0x23ec },   { 0x23f0, 0x23f0 },
    { 0x23f3, 0x23f3 },   { 0x25fd, 0x25fe },   { 0x2614, 0x2615 },   { 0x2648, 0x2653 },   { 0x267f, 0x267f },
    { 0x2693, 0x2693 },   { 0x26a1, 0x26a1 },   { 0x26aa, 0x26ab },   { 0x26bd, 0x26be },   { 0x26c4, 0x26c5 },
    { 0x26ce, 0x26ce },   { 0x26d4, 0x26d4 },   { 0x26ea, 0x26ea },   { 0x26f2, 0x26f3 },   { 0x26f5, 0x26f5 },
    { 0x26fa, 0x26fa },   { 0x26fd, 0x26fd },   { 0x2705, 0x2705 },   { 0x270a, 0x270b },   { 0x2728, 0x2728 },
    { 0x274c, 0x274c },   { 0x274e, 0x274e },   { 0x2753, 0x2755 },   { 0x2757, 0x2757 },   { 0x2795, 0x2797 },
    { 0x27b0, 0x27b0 },   { 0x27bf, 0x27bf },   { 0x2b1b, 0x2b1c },   { 0x2b50, 0x2b50 },   { 0x2b55, 0x2b55 },
    { 0x2e80, 0x303e },   { 0x3041, 0x3247 },   { 0x3250, 0x4dbf },   { 0x4e00, 0xa4c6 },   { 0xa960, 0xa97c },
    { 0xac00, 0xd7a3 },   { 0xf900, 0xfaff },   { 0xfe10, 0xfe19 },   { 0xfe30, 0xfe6b },   { 0xff01, 0xff60 },
    { 0xffe0, 0xffe6 },   { 0x16fe0, 0x18d08 }, { 0x1aff0, 0x1affe }, { 0x1b000, 0x1b2fb }, { 0x1f004, 0x1f004 },
    { 0x1f0cf, 0x1f0cf }, { 0x1f18e, 0x1f18e }, { 0x1f191, 0x1f19a }, { 0x1f200, 0x1f320 }, { 0x1f32d, 0x1f335 },
    { 0x1f337, 0x1f37c }, { 0x1f37e, 0x1f393 }, { 0x1f3a0, 0x1f3ca }, { 0x1f3cf, 0x1f3d3 }, { 0x1f3e0, 0x1f3f0 },
    { 0x1f3f4, 0x1f3f4 }, { 0x1f3f8, 0x1f43e }, { 0x1f440, 0x1f440 }, { 0x1f442, 0x1f4fc }, { 0x1f4ff, 0x1f53d },
    { 0x1f54b, 0x1f54e }, { 0x1f550, 0x1f567 }, { 0x1f57a, 0x1f57a }, { 0x1f595, 0x1f596 }, { 0x1f5a4, 0x1f5a4 },
    { 0x1f5fb, 0x1f64f }, { 0x1f680, 0x1f6c5 }, { 0x1f6cc, 0x1f6cc }, { 0x1f6d0, 0x1f6d2 }, { 0x1f6d5, 0x1f6df },
    { 0x1f6eb, 0x1f6ec }, { 0x1f6f4, 0x1f6fc }, { 0x1f7e0, 0x1f7f0 }, { 0x1f90c, 0x1f93a }, { 0x1f93c, 0x1f945 },
    { 0x1f947, 0x1f9ff }, { 0x1fa70, 0x1faff }, { 0x20000, 0x2fffd }, { 0x30000, 0x3fffd }
};

/* What takes no column: combining marks, zero-width characters, variation selectors. */
static const struct range none[] = { { 0x300, 0x36f },   { 0x200b, 0x200f }, { 0x20d0, 0x20f0 }, { 0x302a, 0x302d },
                                     { 0xfe00, 0xfe0f }, { 0xfe20, 0xfe2f }, { 0xfeff, 0xfeff }, { 0xe0100, 0xe01ef } };

static bool in_ranges(const struct range *r, size_t n, uint32_t c)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (c > r[mid].to)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n && c >= r[low].from;
}

bool utf8_is_blank(uint32_t c)
{
    static const struct range blank[] = { { 0, ' ' },         { 0x7f, 0xa0 },     { 0xad, 0xad },
                                          { 0x2000, 0x200f }, { 0x2028, 0x202f }, { 0x205f, 0x206f },
                                          { 0x3000, 0x3000 }, { 0xfeff, 0xfeff } };

    return in_ranges(blank, sizeof blank / sizeof blank[0], c);
}

size_t utf8_width(struct slice s)
{
    size_t columns = 0;

    for (size_t i = 0; i < s.n; i = utf8_next(s, i)) {
        uint32_t c = utf8_at(s, i);
        if (c < 0x300 || !in_ranges(none, sizeof none / sizeof none[0], c))
            columns += 1 + in_ranges(wide, sizeof wide / sizeof wide[0], c);
    }
    return columns;
}
