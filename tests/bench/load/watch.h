/* CPU time of other processes, whole thread groups, in nanoseconds.
 *
 * A process that ends during the window makes the reading invalid rather than low. Children are not followed: name each
 * process. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "options.h"

struct watch {
    int64_t cpu_ns;                    /* scheduler's clock, exact */
    uint64_t user_ticks, system_ticks; /* /proc/PID/stat, 1/100 s: only for the share of each */
};

/* Read the sum over the processes of the options. False, after a line on stderr, when one cannot be read. */
bool watch_read(const struct options *o, struct watch *ret);
