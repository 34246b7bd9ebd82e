#pragma once
/* Inside the unit programs' harness (fail_nth.c): which of a test's allocations are tried to fail, and in what order.
 */
#include "tests/unit/fail_alloc.h"

struct fail_points {
    size_t n, n_paths;     /* of them the first so many are the first of a path each */
    struct alloc_path *at; /* `path` 0: the nth, on whichever path */
};

/* All of `made` allocations in an order in which any first few lie evenly: first one on each path, then the others.
 * Own: the result is released with fail_points_free. */
struct fail_points fail_points_of(const struct alloc_paths *paths, size_t made);
void fail_points_free(struct fail_points *p);
