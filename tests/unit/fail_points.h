#pragma once
/* Inside the unit programs' harness (fail_nth.c): which of a test's allocations are tried to fail, and in what order.
 */
#include "tests/unit/fail_alloc.h"

struct fail_points {
    size_t n, n_new;       /* of them the first so many are on a path that was not tried before */
    struct alloc_path *at; /* `path` 0: the nth, on whichever path */
};

/* All of `made` allocations in an order in which any first few lie evenly: first one on each path that is not in
 * `tried`, then one on each of the other paths, then the others. Own: the result is released with fail_points_free. */
struct fail_points fail_points_of(const struct alloc_paths *paths, size_t made, const struct alloc_paths *tried);
void fail_points_free(struct fail_points *p);
