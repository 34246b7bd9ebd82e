/* Log-linear histogram: values below 64 have a bucket each, every later power of two has 64. */
#include "histogram.h"

#include <math.h>
#include <stddef.h>

enum { SPLIT = 1 << HISTOGRAM_BITS };

static size_t bucket_of(uint64_t v)
{
    if (v < SPLIT)
        return (size_t)v;
    unsigned shift = 63u - (unsigned)__builtin_clzll(v) - HISTOGRAM_BITS;
    return ((size_t)shift << HISTOGRAM_BITS) + (size_t)(v >> shift);
}

/* The largest value that falls into bucket `i`. */
static uint64_t bucket_end(size_t i)
{
    if (i < SPLIT)
        return i;
    unsigned shift = (unsigned)(i >> HISTOGRAM_BITS) - 1;
    uint64_t lead = SPLIT + (i & (SPLIT - 1));
    return ((lead + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, int64_t ns)
{
    if (ns < 0)
        ns = 0;
    if (h->count == 0 || ns < h->min)
        h->min = ns;
    if (h->count == 0 || ns > h->max)
        h->max = ns;
    h->count++;
    h->sum += (uint64_t)ns;
    h->buckets[bucket_of((uint64_t)ns)]++;
}

int64_t histogram_quantile(const struct histogram *h, double q)
{
    uint64_t want = (uint64_t)ceil(q * (double)h->count);
    uint64_t seen = 0;

    if (h->count == 0)
        return 0;
    if (want == 0)
        return h->min;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= want) {
            uint64_t end = bucket_end(i);
            return end < (uint64_t)h->max ? (int64_t)end : h->max;
        }
    }
    return h->max;
}

int64_t histogram_mean(const struct histogram *h)
{
    return h->count == 0 ? 0 : (int64_t)(h->sum / h->count);
}
