/* Single-stepping of running processes: attach, step, let go. Nothing of the target is changed but what ptrace itself
 * changes, and, when asked for, the processor it runs on, which is given back. */
#pragma once

#include <signal.h>

#include "thread.h"

enum { IDS_MAX = 64, SKIPS_MAX = 8 };

struct id_list {
    pid_t ids[IDS_MAX];
    size_t count;
};

struct step_options {
    struct id_list pids;       /* all their threads */
    struct id_list tids;       /* single threads */
    uint64_t skips[SKIPS_MAX]; /* addresses of functions that run at full speed and are not counted */
    size_t skip_count;
    int64_t seconds_ns; /* the longest time to step */
    int cpu;            /* -1: leave it to the scheduler */
    bool announce;
};

/* Attach to the threads; each is stopped once and then steps. False after a line on stderr. */
bool step_begin(const struct step_options *o, struct threads *ts);

/* Count until *stop is set by a signal handler, or no thread is left. A signal must interrupt this now and then: *stop
 * is looked at between steps and when waiting is interrupted. */
void step_run(const struct step_options *o, struct threads *ts, const volatile sig_atomic_t *stop);

/* Let go of every thread. They go on as if nothing had been. */
void step_end(struct threads *ts);
