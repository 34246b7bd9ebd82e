/* A histogram of times from 1 ns to 2^63 ns in fixed memory.
 *
 * Each power of two is split into 64 equal buckets, so a quantile read back is at most 1/64 (1.6 %) above the true one.
 * A zeroed struct is an empty histogram; no function allocates. */
#pragma once

#include <stdint.h>

enum { HISTOGRAM_BITS = 6, HISTOGRAM_BUCKETS = (64 - HISTOGRAM_BITS) << HISTOGRAM_BITS };

struct histogram {
    uint64_t count;
    uint64_t sum;                        /* ns */
    int64_t min, max;                    /* ns, exact; valid when count > 0 */
    uint64_t buckets[HISTOGRAM_BUCKETS]; /* sums to count */
};

/* Add one time; a negative one counts as 0. */
void histogram_add(struct histogram *h, int64_t ns);

/* The upper end of the bucket that holds the quantile `q` (0 to 1), never above the maximum; 0 when empty. */
int64_t histogram_quantile(const struct histogram *h, double q);

/* Arithmetic mean in ns; 0 when empty. */
int64_t histogram_mean(const struct histogram *h);
