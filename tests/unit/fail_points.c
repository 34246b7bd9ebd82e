/* Which allocations of a test are tried, in which order. */
#include "tests/unit/fail_points.h"
#include <stdlib.h>
#include "base/core/core.h"

static size_t divisor(size_t a, size_t b)
{
    return b == 0 ? a : divisor(b, a % b);
}

/* How far it is from one point to the next among n, round and round: about the golden section, so that any first few
 * lie evenly, and without a common divisor, so that the first n are all of them. */
static size_t stride(size_t n)
{
    size_t step = (size_t)(0.6180339887498949 * (double)n);

    while (step < 1 || divisor(step, n) != 1)
        step++;
    return step;
}

static int by_nth(const void *a, const void *b)
{
    const struct alloc_path *x = a, *y = b;

    return (x->nth > y->nth) - (x->nth < y->nth);
}

/* Writes `n` points to `to` in the order of the stride. */
static void spread(struct alloc_path *to, const struct alloc_path *from, size_t n)
{
    size_t step = n == 0 ? 0 : stride(n);

    for (size_t i = 0; i < n; i++)
        to[i] = from[i * step % n];
}

/* The first of each path, in the order in which they came. Returns how many. */
static size_t firsts_of(const struct alloc_paths *paths, struct alloc_path *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < ALLOC_PATHS_MAX; i++)
        if (paths->at[i].path != 0)
            ret[n++] = paths->at[i];
    qsort(ret, n, sizeof *ret, by_nth);
    return n;
}

struct fail_points fail_points_of(const struct alloc_paths *paths, size_t made)
{
    struct alloc_path *plain = mem_array(made + paths->n + 1, sizeof *plain);
    struct fail_points p = { .at = mem_array(made + paths->n + 1, sizeof *p.at) };

    if (plain == NULL || p.at == NULL) {
        mem_free(plain);
        fail_points_free(&p);
        return p;
    }
    p.n = p.n_paths = firsts_of(paths, plain);
    for (size_t nth = 1, first = 0; nth <= made; nth++) {
        if (first == p.n_paths || plain[first].nth != nth)
            plain[p.n++] = (struct alloc_path){ .nth = nth };
        while (first < p.n_paths && plain[first].nth == nth) /* of two processes both may be the nth */
            first++;
    }
    spread(p.at, plain, p.n_paths);
    spread(p.at + p.n_paths, plain + p.n_paths, p.n - p.n_paths);
    mem_free(plain);
    return p;
}

void fail_points_free(struct fail_points *p)
{
    mem_free(p->at);
    *p = (struct fail_points){ 0 };
}
