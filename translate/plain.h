#pragma once
/* Inside translate: fast looks at short texts: how far one goes that JSON writes as it is, and whether two are equal.
 */
#include "base/core/core.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Behind the bytes from p that are ASCII (or, with `wide`, anything above it) and neither control character, quote nor
 * backslash. */
static inline const char *plain_bytes(const char *p, const char *end, bool wide)
{
    while (p < end && (unsigned char)*p >= 0x20 && ((unsigned char)*p < 0x80 || wide) && *p != '"' && *p != '\\')
        p++;
    return p;
}

/* The high bit of each of eight bytes that ends such a run; above the lowest one there may be false ones, which come
 * of a borrow. */
static inline __attribute__((always_inline)) uint64_t plain_ends(uint64_t w, bool wide)
{
    const uint64_t ones = 0x0101010101010101U, highs = 0x8080808080808080U;
    uint64_t quote = w ^ (ones * '"'), slash = w ^ (ones * '\\');
    uint64_t low = ((w - ones * 0x20) & ~w) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash);

    return (wide ? low : low | w) & highs;
}

#ifdef __SSE2__
/* A bit for each of sixteen bytes that ends such a run. */
static inline __attribute__((always_inline)) unsigned plain_marks(const char *p, bool wide)
{
    const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    const __m128i marks = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')), _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
    const __m128i low = wide ? _mm_cmpeq_epi8(_mm_max_epu8(x, _mm_set1_epi8(0x1f)), _mm_set1_epi8(0x1f))
                             : _mm_cmplt_epi8(x, _mm_set1_epi8(0x20)); /* signed: those above ASCII too */

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(low, marks));
}
#endif

/* plain_run of exactly sixteen bytes, not wide. */
static inline const char *plain_run_16(const char *p)
{
#ifdef __SSE2__
    return p + __builtin_ctz(plain_marks(p, false) | 0x10000);
#else
    return plain_bytes(p, p + 16, false);
#endif
}

static inline __attribute__((always_inline)) const char *plain_run(const char *p, const char *end, bool wide)
{
    const char *from = p;
    uint64_t w;

#ifdef __SSE2__
    for (; end - p >= 32; p += 32) {
        unsigned mask = plain_marks(p, wide) | plain_marks(p + 16, wide) << 16;
        if (mask != 0)
            return p + __builtin_ctz(mask);
    }
    if (end - p >= 16) {
        unsigned mask = plain_marks(p, wide);
        if (mask != 0)
            return p + __builtin_ctz(mask);
        p += 16;
    }
#endif
    for (; end - p >= 8; p += 8) {
        memcpy(&w, p, sizeof w);
        w = plain_ends(w, wide);
        if (w != 0)
            return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? p + __builtin_ctzll(w) / 8 : plain_bytes(p, end, wide);
    }
    if (p == end)
        return p;
    if (end - from >= 8) { /* the rest, and some of what has been seen */
        memcpy(&w, end - 8, sizeof w);
        if (plain_ends(w, wide) == 0)
            return end;
    } else if (end - p >= 4) {
        uint32_t half[2];
        memcpy(&half[0], p, 4);
        memcpy(&half[1], end - 4, 4);
        memcpy(&w, half, sizeof w);
        if (plain_ends(w, wide) == 0)
            return end;
    }
    return plain_bytes(p, end, wide);
}

/* Short texts, mostly equal when as long: overlapping loads instead of a call. */
static inline __attribute__((always_inline)) bool same_bytes(const char *a, const char *b, size_t n)
{
    uint64_t x[2], y[2];
    uint32_t v[2], w[2];

    if (n > 16)
        return memcmp(a, b, n) == 0;
    if (n >= 8) {
        memcpy(&x[0], a, 8);
        memcpy(&x[1], a + n - 8, 8);
        memcpy(&y[0], b, 8);
        memcpy(&y[1], b + n - 8, 8);
        return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
    }
    if (n >= 4) {
        memcpy(&v[0], a, 4);
        memcpy(&v[1], a + n - 4, 4);
        memcpy(&w[0], b, 4);
        memcpy(&w[1], b + n - 4, 4);
        return ((v[0] ^ w[0]) | (v[1] ^ w[1])) == 0;
    }
    return n == 0 || (a[0] == b[0] && a[n / 2] == b[n / 2] && a[n - 1] == b[n - 1]);
}

/* Whether the n bytes at `a`, at most 16, are those at `b`; sixteen may be read at either. */
static inline bool begins_16(const char *a, const char *b, unsigned n)
{
#ifdef __SSE2__
    const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)a);
    const __m128i y = _mm_loadu_si128((const __m128i *)(const void *)b);

    return ((unsigned)~_mm_movemask_epi8(_mm_cmpeq_epi8(x, y)) & ((1u << n) - 1)) == 0;
#else
    return same_bytes(a, b, n);
#endif
}

/* A copy in steps of sixteen: up to fifteen bytes behind the n may be read and written. */
static inline void copy_padded(char *to, const char *from, size_t n)
{
    size_t at = 0;

    do {
        memcpy(to + at, from + at, 16);
        at += 16;
    } while (at < n);
}

enum { COPY_SHORT = 128 }; /* from here on a call is cheaper */
/* A copy of n bytes, mostly few; no call below COPY_SHORT. */
static inline __attribute__((always_inline)) void copy_short(char *to, const char *from, size_t n)
{
    uint64_t x, y;
    uint32_t v, w;

    if (n > COPY_SHORT) {
        memcpy(to, from, n);
    } else if (n > 16) {
        for (size_t at = 0; at + 16 < n; at += 16)
            memcpy(to + at, from + at, 16);
        memcpy(to + n - 16, from + n - 16, 16);
    } else if (n >= 8) {
        memcpy(&x, from, 8);
        memcpy(&y, from + n - 8, 8);
        memcpy(to, &x, 8);
        memcpy(to + n - 8, &y, 8);
    } else if (n >= 4) {
        memcpy(&v, from, 4);
        memcpy(&w, from + n - 4, 4);
        memcpy(to, &v, 4);
        memcpy(to + n - 4, &w, 4);
    } else if (n > 0) {
        char first = from[0], middle = from[n / 2], last = from[n - 1];
        to[0] = first;
        to[n / 2] = middle;
        to[n - 1] = last;
    }
}
