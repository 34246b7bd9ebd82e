#pragma once
/* A borrowed run of bytes. Never owns, need not end in NUL; {NULL, 0} is the empty slice. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *p; /* bor: until the owner named by the function that made it */
    size_t n;
};

#define SLICE(lit) ((struct slice){ "" lit, sizeof(lit) - 1 })
/* For printf's "%.*s". */
#define SLICE_ARG(s) (int)(s).n, (s).p ? (s).p : ""

static inline struct slice slice_of(const char *cstr) /* NULL gives the empty slice */
{
    return (struct slice){ cstr, cstr ? strlen(cstr) : 0 };
}
static inline struct slice slice_make(const void *p, size_t n)
{
    return (struct slice){ (const char *)p, n };
}
static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool slice_is(struct slice a, const char *cstr)
{
    return slice_eq(a, slice_of(cstr));
}
bool slice_eq_nocase(struct slice a, struct slice b); /* ASCII case only */
bool slice_starts(struct slice s, struct slice prefix);
bool slice_ends(struct slice s, struct slice suffix);
int slice_cmp(struct slice a, struct slice b);                 /* byte order, as memcmp, shorter first */
struct slice slice_sub(struct slice s, size_t from, size_t n); /* clamped to s */
struct slice slice_trim(struct slice s);                       /* SP and HTAB at both ends */
/* Index of the first `c`, or s.n. */
size_t slice_find(struct slice s, char c);
/* Cut off and return what stands before the first `sep`; *s keeps what follows it, or becomes empty. */
struct slice slice_cut(struct slice *s, char sep);
/* Whole slice as decimal digits in [min, max]; false on anything else. */
bool slice_u64(struct slice s, uint64_t min, uint64_t max, uint64_t *ret);
/* Not cryptographic; seed it per process where peers choose the bytes. */
uint64_t slice_hash(struct slice s, uint64_t seed);
