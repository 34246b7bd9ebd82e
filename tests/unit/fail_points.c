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

/* Those of the first `n` that were tried or were not, behind what `to` has. */
static void spread_paths(struct alloc_path *to, size_t *n_to, const struct alloc_path *from, size_t n,
                         const struct alloc_paths *tried, bool were)
{
    struct alloc_path *some = mem_array(n + 1, sizeof *some);
    size_t k = 0;

    for (size_t i = 0; some && i < n; i++)
        if (alloc_paths_has(tried, from[i].path) == were)
            some[k++] = from[i];
    spread(to + *n_to, some, k);
    *n_to += k;
    mem_free(some);
}

struct fail_points fail_points_of(const struct alloc_paths *paths, size_t made, const struct alloc_paths *tried)
{
    struct alloc_path *plain = mem_array(made + paths->n + 1, sizeof *plain);
    struct fail_points p = { .at = mem_array(made + paths->n + 1, sizeof *p.at) };
    size_t n_paths, all;

    if (plain == NULL || p.at == NULL) {
        mem_free(plain);
        fail_points_free(&p);
        return p;
    }
    n_paths = all = firsts_of(paths, plain);
    for (size_t nth = 1, first = 0; nth <= made; nth++) {
        if (first == n_paths || plain[first].nth != nth)
            plain[all++] = (struct alloc_path){ .nth = nth };
        while (first < n_paths && plain[first].nth == nth) /* of two processes both may be the nth */
            first++;
    }
    spread_paths(p.at, &p.n, plain, n_paths, tried, false);
    p.n_new = p.n;
    spread_paths(p.at, &p.n, plain, n_paths, tried, true);
    spread(p.at + p.n, plain + n_paths, all - n_paths);
    p.n += all - n_paths;
    mem_free(plain);
    return p;
}

void fail_points_free(struct fail_points *p)
{
    mem_free(p->at);
    *p = (struct fail_points){ 0 };
}
