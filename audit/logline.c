/* Stamping, checking and taking apart the lines of the log. Reads hostile files: every offset is checked against the
 * line's end, and nothing is copied. Invariant: LOGLINE_* offsets agree with logline_blank (a test compares them). */
#include "audit/logline.h"
#include "audit/crc32c.h"
#include <endian.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

const char logline_blank[] = "{\"v\":1,\"index\":                ,\"crc\":\"00000000\",\"kind\":\"";

static const char *const kind_names[] = {
    [AUDIT_REFUSED] = "refused", [AUDIT_INTENT] = "intent", [AUDIT_PROGRESS] = "progress",
    [AUDIT_OUTCOME] = "outcome", [AUDIT_CUT] = "cut",       [AUDIT_ACT] = "act",
    [AUDIT_COUNT] = "count",     [AUDIT_GAP] = "gap",       [AUDIT_SEGMENT] = "segment",
};
enum { KINDS = sizeof kind_names / sizeof kind_names[0] };

const char *audit_kind_name(enum audit_kind k)
{
    return (unsigned)k < KINDS ? kind_names[k] : "";
}

static uint32_t line_sum(const char *line, size_t n)
{
    enum { END = (LOGLINE_CRC + LOGLINE_CRC_N + 7) / 8 * 8 }; /* whole words, and less than LOGLINE_MIN */
    char head[END];
    memcpy(head, line, END);
    memset(head + LOGLINE_CRC, '0', LOGLINE_CRC_N);
    return crc32c(crc32c(0, slice_make(head, END)), slice_make(line + END, n - END));
}

/* All eight digits at once: nibbles spread into bytes, 0x27 more for those above nine. */
static void put_hex32(char out[LOGLINE_CRC_N], uint32_t v)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t x = __builtin_bswap32(v);
    x = (x | x << 16) & 0x0000FFFF0000FFFFu;
    x = (x | x << 8) & 0x00FF00FF00FF00FFu;
    x = (x >> 4 & ones * 0x0F) | (x << 8 & 0x0F000F000F000F00u);
    x = (x & ones * 0x0F) + ones * '0' + ((x + ones * 6) >> 4 & ones) * 0x27;
    x = htole64(x);
    memcpy(out, &x, sizeof x);
}

void logline_stamp(char *line, size_t n, uint64_t index)
{
    char *at = line + LOGLINE_INDEX + LOGLINE_INDEX_N;
    do {
        *--at = (char)('0' + index % 10);
        index /= 10;
    } while (index != 0);
    put_hex32(line + LOGLINE_CRC, crc32c(0, slice_make(line, n)));
}

static bool prefix_holds(struct slice line)
{
    const char *blank = logline_blank;
    size_t after = LOGLINE_INDEX + LOGLINE_INDEX_N, crc_end = LOGLINE_CRC + LOGLINE_CRC_N;
    return line.n >= LOGLINE_MIN && line.n < AUDIT_RECORD_MAX && memcmp(line.p, blank, LOGLINE_INDEX) == 0 &&
           memcmp(line.p + after, blank + after, LOGLINE_CRC - after) == 0 &&
           memcmp(line.p + crc_end, blank + crc_end, LOGLINE_KIND - crc_end) == 0 && line.p[line.n - 1] == '}';
}

/* Blanks and behind them at least one digit, eight columns in all, at once: the first column is the lowest byte. */
static inline bool eight_read(uint64_t columns, uint64_t *ret)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t v = columns ^ ones * '0', digits = v ^ ones * (' ' ^ '0'); /* v: 0 to 9; digits: 0 where a blank is */
    if (digits == 0)
        return false;
    v = v >> __builtin_ctzll(digits) / 8 * 8 << __builtin_ctzll(digits) / 8 * 8;
    if (((v + ones * (0x7F - 9)) | v) & ones * 0x80)
        return false;
    v = v * 10 + (v >> 8); /* pairs of digits, then fours, then all */
    *ret = ((v & 0x000000FF000000FFu) * (100 + (1000000ull << 32)) +
            (v >> 16 & 0x000000FF000000FFu) * (1 + (10000ull << 32))) >>
           32;
    return true;
}

/* Blanks, then digits, LOGLINE_INDEX_N columns in all. */
static bool index_read(const char *p, uint64_t *ret)
{
    uint64_t half[2], v = 0;
    size_t at = 0;
    memcpy(half, p, sizeof half);
    if (half[0] == 0x2020202020202020u && eight_read(le64toh(half[1]), ret))
        return true;
    while (at < LOGLINE_INDEX_N && p[at] == ' ')
        at++;
    if (!slice_u64(slice_make(p + at, LOGLINE_INDEX_N - at), 0, (1ull << 53) - 1, &v))
        return false;
    *ret = v;
    return true;
}

bool logline_check(struct slice line, uint64_t *ret_index)
{
    char want[LOGLINE_CRC_N];
    if (!prefix_holds(line) || !index_read(line.p + LOGLINE_INDEX, ret_index))
        return false;
    put_hex32(want, line_sum(line.p, line.n));
    return memcmp(want, line.p + LOGLINE_CRC, LOGLINE_CRC_N) == 0;
}

bool logline_is_blank(struct slice line)
{
    enum audit_kind kind;
    if (line.n > 0 && line.p[line.n - 1] == '\n')
        line.n--;
    return prefix_holds(line) && memcmp(line.p, logline_blank, LOGLINE_KIND) == 0 &&
           memchr(line.p, '\n', line.n) == NULL && logline_kind(line, &kind);
}

bool logline_kind(struct slice line, enum audit_kind *ret)
{
    struct slice name = slice_sub(line, LOGLINE_KIND, 16);
    for (unsigned k = 0; k < KINDS; k++) {
        if (name.n > 0 && name.p[0] != kind_names[k][0])
            continue;
        size_t n = strlen(kind_names[k]);
        if (name.n > n && name.p[n] == '"' && memcmp(name.p, kind_names[k], n) == 0) {
            *ret = (enum audit_kind)k;
            return true;
        }
    }
    return false;
}

/* Offset of the quote that ends the string whose first inner byte is at `at`; s.n when it does not end. Most strings
 * have no escape, so the quote is looked for first. */
static size_t string_end(struct slice s, size_t at)
{
    while (at < s.n) {
        const char *quote = memchr(s.p + at, '"', s.n - at);
        if (quote == NULL)
            return s.n;
        const char *escape = memchr(s.p + at, '\\', (size_t)(quote - (s.p + at)));
        if (escape == NULL)
            return (size_t)(quote - s.p);
        at = (size_t)(escape - s.p) + 2;
    }
    return s.n;
}

/* Behind a string whose first inner byte is at `at`; 0 when it does not end. Short and without escapes, mostly: sixteen
 * bytes are looked at together. */
static inline size_t string_past(struct slice s, size_t at)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), escape = _mm_set1_epi8('\\');
    for (; at + sizeof quote <= s.n; at += sizeof quote) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(s.p + at));
        int found = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, escape)));
        if (found != 0) {
            at += (size_t)__builtin_ctz((unsigned)found);
            break;
        }
    }
#endif
    while (at < s.n && s.p[at] != '"' && s.p[at] != '\\')
        at++;
    if (at < s.n && s.p[at] == '\\')
        at = string_end(s, at);
    return at < s.n ? at + 1 : 0;
}

/* Offset behind the JSON value that starts at `at`; 0 when it does not end. */
static size_t value_end(struct slice s, size_t at)
{
    unsigned depth = 0;
    for (; at < s.n; at++) {
        char c = s.p[at];
        if (c == '"') {
            at = string_past(s, at + 1);
            if (depth == 0 || at == 0)
                return at;
            at--; /* at the quote */
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
            return at;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            return at + 1;
        }
    }
    return 0;
}

/* Step over the bracket or comma before the next member; false at the end. */
static bool iter_step(struct logline_iter *it, char bracket)
{
    struct slice s = it->object;
    if (it->at >= s.n || s.p[it->at] != (it->at == 0 ? bracket : ','))
        return false;
    it->at++;
    return it->at < s.n && s.p[it->at] != ']' && s.p[it->at] != '}';
}

static inline bool iter_value(struct logline_iter *it, struct slice *value)
{
    const struct slice s = it->object;
    size_t at = it->at, end;
    while (at < s.n && s.p[at] == ' ')
        at++;
    char c = at < s.n ? s.p[at] : '\0';
    if (c == '"') {
        end = string_past(s, at + 1);
    } else if (c == '{' || c == '[') {
        end = value_end(s, at);
    } else {
        for (end = at; end < s.n && s.p[end] != ',' && s.p[end] != '}' && s.p[end] != ']';)
            end++;
        end = end < s.n ? end : 0;
    }
    it->at = at;
    if (end <= at)
        return false;
    *value = slice_make(s.p + at, end - at);
    it->at = end;
    return true;
}

bool logline_next(struct logline_iter *it, struct slice *key, struct slice *value)
{
    const struct slice s = it->object;
    size_t at = it->at;
    if (s.n < 2 || at >= s.n - 1 || s.p[at] != (at == 0 ? '{' : ',') || s.p[at + 1] != '"')
        return false;
    size_t end = string_past(s, at + 2);
    if (end < at + 3 || end >= s.n || s.p[end] != ':')
        return false;
    *key = slice_make(s.p + at + 2, end - at - 3);
    it->at = end + 1;
    return iter_value(it, value);
}

bool logline_element(struct logline_iter *it, struct slice *value)
{
    return iter_step(it, '[') && iter_value(it, value);
}

bool logline_field(struct slice line, const char *key, struct slice *value)
{
    struct logline_iter it = { .object = line };
    struct slice k;
    while (logline_next(&it, &k, value)) {
        if (slice_is(k, key))
            return true;
    }
    return false;
}

bool logline_plain(struct slice value, struct slice *ret)
{
    if (value.n < 2 || value.p[0] != '"' || value.p[value.n - 1] != '"')
        return false;
    *ret = slice_make(value.p + 1, value.n - 2);
    return memchr(ret->p, '\\', ret->n) == NULL;
}

bool logline_u64(struct slice line, const char *key, uint64_t *ret)
{
    struct slice v;
    return logline_field(line, key, &v) && slice_u64(v, 0, (1ull << 53) - 1, ret);
}

bool logline_at(struct slice line, int64_t *ret_wall_ms)
{
    struct slice v;
    return logline_field(line, "at", &v) && logline_plain(v, &v) && clock_parse(v, ret_wall_ms);
}

bool logline_exchange(struct slice line, struct uuid *exchange, uint32_t *part)
{
    struct slice v;
    uint64_t n = 0;
    if (!logline_field(line, "exchange", &v) || !logline_plain(v, &v) || !uuid_read(v, exchange))
        return false;
    if (!logline_u64(line, "part", &n) || n > UINT32_MAX)
        return false;
    *part = (uint32_t)n;
    return true;
}
