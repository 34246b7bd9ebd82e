/* The quick reader of plain heads: one pass, sixteen bytes at a time. Plain is what programs send: GET, POST or HEAD of
 * an origin-form target; names of letters, digits and hyphens; values without controls; no Expect, no Upgrade. Of
 * anything else it says nothing and llhttp judges; a test holds both against each other. Two heads of an exchange cost
 * 1400 instructions here and 7000 by llhttp, its callbacks and the guards that llhttp needs in front. Invariant:
 * nothing outside `bytes` is read, and what is taken here llhttp and the guards would take, the same way. */
#include "base/net/internal.h"

#if defined(__SSE2__)
#include <emmintrin.h>

static __m128i within(__m128i x, char low, unsigned span) /* low <= byte <= low + span, unsigned */
{
    __m128i off = _mm_sub_epi8(x, _mm_set1_epi8(low));

    return _mm_cmpeq_epi8(_mm_min_epu8(off, _mm_set1_epi8((char)span)), off);
}
#define IS(x, c) _mm_cmpeq_epi8(x, _mm_set1_epi8(c))

static unsigned name_mask(__m128i x)
{
    __m128i letter = within(_mm_or_si128(x, _mm_set1_epi8(0x20)), 'a', 25), digit = within(x, '0', 9);

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(letter, _mm_or_si128(digit, IS(x, '-'))));
}

static unsigned value_mask(__m128i x)
{
    return ~(unsigned)_mm_movemask_epi8(_mm_or_si128(within(x, 0, 0x1F), IS(x, 0x7F)));
}

static unsigned target_mask(__m128i x)
{
    return (unsigned)_mm_movemask_epi8(_mm_andnot_si128(IS(x, '#'), within(x, 0x21, 0x7E - 0x21)));
}

/* Fewer than sixteen bytes, and zeros behind them. */
static inline __m128i load_few(const char *p, size_t n)
{
    uint64_t low = 0, high = 0;
    uint32_t first, last;

    if (n >= 8) {
        memcpy(&low, p, 8);
        memcpy(&high, p + n - 8, 8);
        high = n > 8 ? high >> (8 * (16 - n)) : 0;
    } else if (n >= 4) {
        memcpy(&first, p, 4);
        memcpy(&last, p + n - 4, 4);
        low = first | (uint64_t)last << (8 * (n - 4));
    } else if (n > 0) {
        low = (unsigned char)p[0] | (uint64_t)(unsigned char)p[n / 2] << (8 * (n / 2)) |
              (uint64_t)(unsigned char)p[n - 1] << (8 * (n - 1));
    }
    return _mm_set_epi64x((long long)high, (long long)low);
}

/* Length of the run at p whose bytes `good` names. Nothing behind `end` is read. */
static inline size_t run(const char *p, const char *end, unsigned (*good)(__m128i x))
{
    const char *at = p;
    unsigned bad;

    for (; end - at >= 16; at += 16) {
        bad = ~good(_mm_loadu_si128((const __m128i *)(const void *)at)) & 0xFFFF;
        if (bad != 0)
            return (size_t)(at - p) + (size_t)__builtin_ctz(bad);
    }
    bad = (~good(load_few(at, (size_t)(end - at))) & 0xFFFF) | 1u << (end - at);
    return (size_t)(at - p) + (size_t)__builtin_ctz(bad);
}
#else
static bool name_mask(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

static bool value_mask(unsigned char c)
{
    return c > 0x1F && c != 0x7F;
}

static bool target_mask(unsigned char c)
{
    return c > 0x20 && c < 0x7F && c != '#';
}

static inline size_t run(const char *p, const char *end, bool (*good)(unsigned char c))
{
    const char *at = p;

    while (at < end && good((unsigned char)*at))
        at++;
    return (size_t)(at - p);
}
#endif

size_t http_text_run(const char *p, const char *end)
{
    return run(p, end, value_mask);
}

/* "HTTP/1.0" or "HTTP/1.1". */
static bool scan_version(const char **at, const char *end, struct http_head *h)
{
    const char *p = *at;

    if (end - p < 8 || memcmp(p, "HTTP/1.", 7) != 0 || (p[7] & ~1) != '0')
        return false;
    h->minor = (uint8_t)(p[7] - '0');
    *at = p + 8;
    return true;
}

static bool scan_line_end(const char **at, const char *end)
{
    const char *p = *at;

    if (end - p < 2 || p[0] != '\r' || p[1] != '\n')
        return false;
    *at = p + 2;
    return true;
}

static bool scan_request_line(const char **at, const char *end, struct http_head *h)
{
    static const struct slice methods[] = { { "GET ", 4 }, { "POST ", 5 }, { "HEAD ", 5 } };
    size_t i = 0;

    while (i < 3 && ((size_t)(end - *at) < methods[i].n || memcmp(*at, methods[i].p, methods[i].n) != 0))
        i++;
    if (i == 3)
        return false;
    h->status = 0;
    h->method = (struct slice){ *at, methods[i].n - 1 };
    *at += methods[i].n;
    h->target = (struct slice){ *at, run(*at, end, target_mask) };
    *at += h->target.n;
    if (h->target.n == 0 || h->target.p[0] != '/' || *at == end || **at != ' ')
        return false;
    (*at)++;
    return scan_version(at, end, h) && scan_line_end(at, end);
}

static bool scan_status_line(const char **at, const char *end, struct http_head *h)
{
    const char *p;

    if (!scan_version(at, end, h) || end - *at < 5)
        return false;
    p = *at;
    h->status = (p[1] - '0') * 100 + (p[2] - '0') * 10 + (p[3] - '0');
    if (p[0] != ' ' || p[4] != ' ' || p[1] < '1' || p[1] > '9' || p[2] < '0' || p[2] > '9' || p[3] < '0' || p[3] > '9')
        return false;
    h->method = h->target = (struct slice){ 0 };
    *at = p + 5;
    *at += run(*at, end, value_mask);
    return scan_line_end(at, end);
}

static bool scan_field(const char **at, const char *end, struct http_header *ret)
{
    size_t n = run(*at, end, name_mask);
    const char *p = *at + n;

    if (n == 0 || p == end || *p != ':')
        return false;
    ret->name = (struct slice){ *at, n };
    for (p++; p < end && *p == ' ';)
        p++;
    n = run(p, end, value_mask);
    *at = p + n;
    while (n > 0 && p[n - 1] == ' ')
        n--;
    ret->value = (struct slice){ p, n };
    return scan_line_end(at, end);
}

size_t http_scan(struct slice bytes, bool request, struct http_head *ret)
{
    const char *at = bytes.p, *end = bytes.p + bytes.n;
    uint64_t seen = 0;

    ret->n = 0;
    if (!(request ? scan_request_line : scan_status_line)(&at, end, ret))
        return 0;
    while (at < end && *at != '\r') {
        if (ret->n == HTTP_HEADERS_MAX || !scan_field(&at, end, &ret->at[ret->n]))
            return 0;
        seen |= http_name_bit(ret->at[ret->n].name.p, ret->at[ret->n].name.n);
        ret->n++;
    }
    ret->absent = ~seen;
    return scan_line_end(&at, end) ? (size_t)(at - bytes.p) : 0;
}
