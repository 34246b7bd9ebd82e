/* Searching, comparing and hashing borrowed bytes. Pure: no allocation, no state; any byte, NUL included, is content.
 */
#include "base/core/slice.h"

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static uint64_t load8(const char *p)
{
    uint64_t w;

    memcpy(&w, p, sizeof w);
    return w;
}

/* The first four and the last four of n bytes, 4 to 8. */
static uint64_t ends4(const char *p, size_t n)
{
    uint32_t w[2];

    memcpy(&w[0], p, 4);
    memcpy(&w[1], p + n - 4, 4);
    return (uint64_t)w[1] << 32 | w[0];
}

/* Eight characters at once: bit 7 of `upper` is set where a byte is one of A to Z; shifted it is the 32 in between. */
static uint64_t lower8(uint64_t w)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x80 * ones;
    uint64_t low = w & ~high, upper;

    upper = (low + (0x80 - 'A') * ones) & ~(low + (0x7f - 'Z') * ones) & ~w & high;
    return w | upper >> 2;
}

/* Of at least eight bytes; mostly they are the same as they stand. */
static bool long_eq_nocase(const char *a, const char *b, size_t n)
{
    size_t i = 0;
    uint64_t x, y;

    do {
        if (i + 8 > n)
            i = n - 8; /* the rest, and some of what has been seen */
        x = load8(a + i);
        y = load8(b + i);
        if (x != y && lower8(x) != lower8(y))
            return false;
    } while ((i += 8) < n);
    return true;
}

bool slice_eq_nocase(struct slice a, struct slice b)
{
    size_t n = a.n;

    if (n != b.n)
        return false;
    if (n >= 8)
        return long_eq_nocase(a.p, b.p, n);
    if (n >= 4)
        return ends4(a.p, n) == ends4(b.p, n) || lower8(ends4(a.p, n)) == lower8(ends4(b.p, n));
    for (size_t i = 0; i < n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

bool slice_starts(struct slice s, struct slice prefix)
{
    return s.n >= prefix.n && slice_eq((struct slice){ s.p, prefix.n }, prefix);
}

bool slice_ends(struct slice s, struct slice suffix)
{
    if (suffix.n == 0)
        return true;
    return s.n >= suffix.n && memcmp(s.p + (s.n - suffix.n), suffix.p, suffix.n) == 0;
}

int slice_cmp(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;

    if (c != 0)
        return c < 0 ? -1 : 1;
    return a.n == b.n ? 0 : a.n < b.n ? -1 : 1;
}

struct slice slice_sub(struct slice s, size_t from, size_t n)
{
    if (from >= s.n)
        return (struct slice){ NULL, 0 };
    return (struct slice){ s.p + from, n < s.n - from ? n : s.n - from };
}

struct slice slice_trim(struct slice s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s.p++, s.n--;
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

size_t slice_find(struct slice s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;

    return at ? (size_t)(at - s.p) : s.n;
}

struct slice slice_cut(struct slice *s, char sep)
{
    size_t at = slice_find(*s, sep);
    struct slice head = { s->p, at };

    *s = at < s->n ? (struct slice){ s->p + at + 1, s->n - at - 1 } : (struct slice){ NULL, 0 };
    return head;
}

bool slice_u64(struct slice s, uint64_t min, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;

    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned char)s.p[i] - (unsigned)'0';
        if (digit > 9 || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v))
            return false;
    }
    if (v < min || v > max)
        return false;
    *ret = v;
    return true;
}

/* SipHash-1-3 (Aumasson and Bernstein), its second key word derived from the seed. */
struct sip {
    uint64_t a, b, c, d;
};

static uint64_t rotl(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

static inline void sip_round(struct sip *v)
{
    v->a += v->b, v->b = rotl(v->b, 13) ^ v->a, v->a = rotl(v->a, 32);
    v->c += v->d, v->d = rotl(v->d, 16) ^ v->c;
    v->a += v->d, v->d = rotl(v->d, 21) ^ v->a;
    v->c += v->b, v->b = rotl(v->b, 17) ^ v->c, v->c = rotl(v->c, 32);
}

static inline void sip_word(struct sip *v, uint64_t w)
{
    v->d ^= w;
    sip_round(v);
    v->a ^= w;
}

/* The bytes from `at` on, fewer than eight, the first one lowest. */
static inline uint64_t sip_rest(struct slice s, size_t at)
{
    size_t n = s.n - at;
    uint64_t w = 0;

    if (at >= 8 && n > 0 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) { /* with what stands before them */
        memcpy(&w, s.p + s.n - 8, 8);
        return w >> (64 - 8 * n);
    }
    for (size_t k = 0; k < n; k++)
        w |= (uint64_t)(unsigned char)s.p[at + k] << (8 * k);
    return w;
}

uint64_t slice_hash(struct slice s, uint64_t seed)
{
    uint64_t other = rotl(seed, 29) ^ 0x9e3779b97f4a7c15u, w = 0;
    struct sip v = { seed ^ 0x736f6d6570736575u, other ^ 0x646f72616e646f6du, seed ^ 0x6c7967656e657261u,
                     other ^ 0x7465646279746573u };
    size_t i = 0;

    for (; i + 8 <= s.n; i += 8) {
        memcpy(&w, s.p + i, 8);
        sip_word(&v, w);
    }
    sip_word(&v, sip_rest(s, i) | (uint64_t)s.n << 56);
    v.c ^= 0xff;
    sip_round(&v);
    sip_round(&v);
    sip_round(&v);
    return v.a ^ v.b ^ v.c ^ v.d;
}
