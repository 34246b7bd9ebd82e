#pragma once
/* Inside the unit programs' harness (fail_nth.c), and for tests: which allocation fails. Thread-safe. */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The paths on which a test allocates: who called, innermost first, up to the test itself. Each place of the code
 * counts once for each way there through our code, however often it is taken; of a library only those count that are
 * nearest to the allocation. A table by hash; `path` 0: free. Processes that the test forks share it. */
enum { ALLOC_PATHS_MAX = 1 << 16, ALLOC_PATHS_EACH = 4096, ALLOC_PATHS_NEAR = 4 };

struct alloc_paths {
    atomic_flag held;
    size_t n, lost; /* those that had no place */
    struct alloc_path {
        uint64_t path;
        size_t nth; /* the first allocation made on it */
    } at[ALLOC_PATHS_MAX];
};

void alloc_paths_add(struct alloc_paths *to, struct alloc_path p);
bool alloc_paths_has(const struct alloc_paths *in, uint64_t path);

struct fail_order {
    size_t from;               /* the first allocation that may fail, counted from now; 0: none */
    uint64_t path;             /* the first made on this path fails; 0: on whichever */
    atomic_bool *met;          /* becomes true when the one that is to fail comes, be it spared; NULL: not told */
    struct alloc_paths *paths; /* gets the paths of what is allocated. NULL: not noted */
    size_t stride;             /* noted are the first ALLOC_PATHS_EACH, and then each so many-th; 1: each */
};

/* Begins to count, and to make one allocation fail, whoever makes it. */
void fail_order(const struct fail_order *o);

/* Ends the order. Returns how many allocations were made. */
size_t fail_order_end(void);

/* Makes the n-th allocation from now on fail (0: none). Returns how many were made since the last call. */
size_t fail_alloc(size_t nth);

/* Where tests and harness end in the program's text, and what they test begins. */
void tests_end(void);
