/* The pen: JSON values into a fixed piece of memory. Invariant: p <= end; a piece that does not fit is left out whole,
 * so that a mistake in a cap costs a field and never memory. */
#include "audit/render.h"
#include <endian.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

static const char hex_digits[] = "0123456789abcdef";
static const char ellipsis[] = "\xE2\x80\xA6";

void pen_raw(struct pen *w, struct slice s)
{
    if (s.n > (size_t)(w->end - w->p) || s.n == 0)
        return;
    memcpy(w->p, s.p, s.n);
    w->p += s.n;
}

void pen_u64(struct pen *w, uint64_t v)
{
    const uint64_t max = (1ull << 53) - 1;
    size_t n;
    if (v > max)
        v = max;
    n = u64_digits(v);
    if (n > (size_t)(w->end - w->p))
        return;
    u64_write(w->p, n, v);
    w->p += n;
}

#ifdef __SSE2__
/* Sixteen bytes as 32 hex digits, all at once: nibbles side by side, 0x27 more for those above nine. */
static void hex_sixteen(char out[32], const uint8_t b[16])
{
    const __m128i low = _mm_set1_epi8(0x0F), nine = _mm_set1_epi8(9), zero = _mm_set1_epi8('0');
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)b);
    __m128i high = _mm_and_si128(_mm_srli_epi16(x, 4), low);
    x = _mm_and_si128(x, low);
    for (int half = 0; half < 2; half++) {
        __m128i n = half == 0 ? _mm_unpacklo_epi8(high, x) : _mm_unpackhi_epi8(high, x);
        __m128i letter = _mm_and_si128(_mm_cmpgt_epi8(n, nine), _mm_set1_epi8(0x27));
        _mm_storeu_si128((__m128i *)(void *)(out + half * 16), _mm_add_epi8(_mm_add_epi8(n, zero), letter));
    }
}
#else
/* Four bytes as eight hex digits, all at once: nibbles spread into bytes, 0x27 more for those above nine. */
static void hex_quad(char out[8], const uint8_t b[4])
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t x = (uint64_t)b[0] | (uint64_t)b[1] << 16 | (uint64_t)b[2] << 32 | (uint64_t)b[3] << 48;
    x = (x >> 4 & ones * 0x0F) | (x << 8 & 0x0F000F000F000F00u);
    x = (x & ones * 0x0F) + ones * '0' + ((x + ones * 6) >> 4 & ones) * 0x27;
    x = htole64(x);
    memcpy(out, &x, sizeof x);
}

static void hex_sixteen(char out[32], const uint8_t b[16])
{
    for (size_t i = 0; i < 16; i += 4)
        hex_quad(out + 2 * i, b + i);
}
#endif

void pen_hex(struct pen *w, const struct sha256 *h)
{
    enum { LEN = 2 + 2 * SHA256_LEN };
    if (w->end - w->p < LEN)
        return;
    w->p[0] = w->p[LEN - 1] = '"';
    for (size_t i = 0; i < SHA256_LEN; i += 16)
        hex_sixteen(w->p + 1 + 2 * i, h->b + i);
    w->p += LEN;
}

void pen_uuid(struct pen *w, const struct uuid *u)
{
    char hex[2 * sizeof u->b];
    if (w->end - w->p < UUID_TEXT + 1)
        return;
    hex_sixteen(hex, u->b);
    char *p = w->p;
    p[0] = p[37] = '"';
    p[9] = p[14] = p[19] = p[24] = '-';
    memcpy(p + 1, hex, 8);
    memcpy(p + 10, hex + 8, 4);
    memcpy(p + 15, hex + 12, 4);
    memcpy(p + 20, hex + 16, 4);
    memcpy(p + 25, hex + 20, 12);
    w->p += UUID_TEXT + 1;
}

void pen_time(struct pen *w, int64_t wall_ms)
{
    /* Records of one second share all but three digits. */
    static _Thread_local int64_t cached_second = INT64_MIN;
    static _Thread_local int cached_zone;
    static _Thread_local char cached[CLOCK_TEXT];
    enum { MS_AT = 20, LEN = CLOCK_TEXT - 1 };
    int64_t second = wall_ms / 1000, ms = wall_ms % 1000;
    if (wall_ms < 0)
        second = ms = 0;
    if (second != cached_second || clock_zone() != cached_zone) {
        clock_text(second * 1000, cached);
        cached_second = second;
        cached_zone = clock_zone();
    }
    cached[MS_AT] = (char)('0' + ms / 100);
    cached[MS_AT + 1] = (char)('0' + ms / 10 % 10);
    cached[MS_AT + 2] = (char)('0' + ms % 10);
    if (w->end - w->p < LEN + 2)
        return;
    *w->p++ = '"';
    memcpy(w->p, cached, LEN);
    w->p += LEN;
    *w->p++ = '"';
}

/* Length of the UTF-8 sequence at `at`, 0 when it is not one (RFC 3629). */
static size_t utf8_step(struct slice s, size_t at)
{
    const uint8_t *b = (const uint8_t *)s.p + at;
    size_t left = s.n - at, n = b[0] < 0xE0 ? 2 : b[0] < 0xF0 ? 3 : 4;
    if (b[0] < 0xC2 || b[0] > 0xF4 || n > left)
        return 0;
    uint8_t low = b[0] == 0xE0 ? 0xA0 : b[0] == 0xF0 ? 0x90 : 0x80;
    uint8_t high = b[0] == 0xED ? 0x9F : b[0] == 0xF4 ? 0x8F : 0xBF;
    if (b[1] < low || b[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++) {
        if ((b[i] & 0xC0) != 0x80)
            return 0;
    }
    return n;
}

static size_t escape_one(char *out, uint8_t c)
{
    static const char pairs[] = "\"\"\\\\\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof pairs; i += 2) {
        if ((uint8_t)pairs[i] == c) {
            out[0] = '\\';
            out[1] = pairs[i + 1];
            return 2;
        }
    }
    memcpy(out, "\\u00", 4);
    out[4] = hex_digits[c >> 4];
    out[5] = hex_digits[c & 15];
    return 6;
}

static void pen_base64(struct pen *w, struct slice s, size_t cap)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct slice head = slice_sub(s, 0, cap / 4 * 3);
    if ((size_t)(w->end - w->p) < cap + 48)
        return;
    pen_raw(w, SLICE("{\"b64\":\""));
    for (size_t i = 0; i < head.n; i += 3) {
        uint32_t v = (uint32_t)(uint8_t)head.p[i] << 16;
        if (i + 1 < head.n)
            v |= (uint32_t)(uint8_t)head.p[i + 1] << 8;
        if (i + 2 < head.n)
            v |= (uint8_t)head.p[i + 2];
        *w->p++ = digits[v >> 18];
        *w->p++ = digits[v >> 12 & 63];
        *w->p++ = i + 1 < head.n ? digits[v >> 6 & 63] : '=';
        *w->p++ = i + 2 < head.n ? digits[v & 63] : '=';
    }
    pen_raw(w, SLICE("\""));
    if (head.n < s.n) {
        pen_raw(w, SLICE(",\"length\":"));
        pen_u64(w, s.n);
    }
    pen_raw(w, SLICE("}"));
}

/* A byte of x that is not plain: a control, a quote, a backslash, DEL, or not ASCII (Hacker's Delight 6-1, eight at a
 * time). May also say so of a plain byte behind one that is not. */
static inline bool word_special(uint64_t x)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    uint64_t quote = x ^ ones * '"', slash = x ^ ones * '\\', del = x ^ ones * 0x7F;
    uint64_t hit = (x - ones * 0x20) & ~x;
    hit |= ((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((del - ones) & ~del) | x;
    return (hit & high) != 0;
}

/* The text between the quotes, at most cap bytes and an ellipsis; false when it is not UTF-8. */
static bool text_inside(struct pen *w, struct slice s, size_t cap)
{
    char *stop = w->p + cap;
    char unit[6];
    for (size_t i = 0; i < s.n;) {
        uint64_t word;
        for (; i + sizeof word <= s.n && (size_t)(stop - w->p) >= sizeof word; i += sizeof word) {
            memcpy(&word, s.p + i, sizeof word);
            if (word_special(word))
                break;
            memcpy(w->p, &word, sizeof word);
            w->p += sizeof word;
        }
        if (i == s.n)
            break;
        uint8_t c = (uint8_t)s.p[i];
        size_t in = 1, out = 1;
        const char *from = s.p + i;
        if (c >= 0x80) {
            in = out = utf8_step(s, i);
            if (in == 0)
                return false;
        } else if (c < 0x20 || c == '"' || c == '\\' || c == 0x7F) {
            out = escape_one(unit, c);
            from = unit;
        }
        if (out > (size_t)(stop - w->p)) {
            pen_raw(w, slice_make(ellipsis, sizeof ellipsis - 1));
            return true;
        }
        if (out == 1)
            *w->p = *from;
        else
            memcpy(w->p, from, out);
        w->p += out;
        i += in;
    }
    return true;
}

#ifdef __SSE2__
/* Sixteen bytes from `from` to `out`; false: one of them is special. Bytes from 0x80 on are below zero here. */
static inline bool sixteen_copy(char *out, const char *from)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)from);
    __m128i hit = _mm_or_si128(_mm_cmplt_epi8(x, _mm_set1_epi8(0x20)), _mm_cmpeq_epi8(x, _mm_set1_epi8('"')));
    hit =
        _mm_or_si128(hit, _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('\\')), _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7F))));
    _mm_storeu_si128((__m128i *)(void *)out, x);
    return _mm_movemask_epi8(hit) == 0;
}
#else
static inline bool sixteen_copy(char *out, const char *from)
{
    uint64_t two[2];
    memcpy(two, from, sizeof two);
    memcpy(out, two, sizeof two);
    return !word_special(two[0]) && !word_special(two[1]);
}
#endif

/* Nearly all texts are plain: copied in pieces, the last piece overlapping the one before. False: look closer. */
static bool plain_copy(char *out, struct slice s)
{
    enum { PIECE = 16 };
    uint64_t word, last;
    if (s.n >= PIECE) {
        size_t i = 0;
        for (; i + PIECE < s.n; i += PIECE) {
            if (!sixteen_copy(out + i, s.p + i))
                return false;
        }
        return sixteen_copy(out + s.n - PIECE, s.p + s.n - PIECE);
    }
    if (s.n >= sizeof word) {
        memcpy(&word, s.p, sizeof word);
        memcpy(&last, s.p + s.n - sizeof last, sizeof last);
        memcpy(out, &word, sizeof word);
        memcpy(out + s.n - sizeof last, &last, sizeof last);
        return !word_special(word) && !word_special(last);
    }
    word = 0;
    memcpy(&word, s.p, s.n);
    if (word_special(word | (~(uint64_t)0 << 8 * s.n & 0x2020202020202020u)))
        return false;
    memcpy(out, &word, s.n);
    return true;
}

void pen_text(struct pen *w, struct slice s, size_t cap)
{
    char *start = w->p;
    if ((size_t)(w->end - w->p) < cap + 8)
        return;
    *w->p++ = '"';
    if (s.n > 0 && s.n <= cap && plain_copy(w->p, s)) {
        w->p += s.n;
        *w->p++ = '"';
        return;
    }
    if (text_inside(w, s, cap)) {
        *w->p++ = '"';
        return;
    }
    w->p = start;
    pen_base64(w, s, cap);
}

void pen_begin(struct pen *w, enum audit_kind k, int64_t at)
{
    pen_raw(w, slice_make(logline_blank, LOGLINE_KIND));
    pen_raw(w, slice_of(audit_kind_name(k)));
    pen_raw(w, SLICE("\",\"at\":"));
    pen_time(w, at);
}
