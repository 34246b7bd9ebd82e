/* The threads that are counted: a table that only grows, so that the figures of ended threads are kept. */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { THREADS_MAX = 4096, THREAD_NAME = 16 };

struct thread {
    pid_t tid;
    char name[THREAD_NAME]; /* as it was called when it was found */
    bool attached;          /* false: ended, or let go of */
    bool skipping;          /* runs at full speed inside a skipped function */
    bool pinned;
    uint64_t n;       /* instructions */
    uint64_t repeats; /* steps that left the instruction pointer where it was */
    uint64_t skips;   /* calls of skipped functions */
    uint64_t rip;     /* after the last step; 0: none yet */
    uint64_t skip_to, skip_sp;
    cpu_set_t cpus; /* valid when pinned: where it was allowed to run */
};

struct threads {
    struct thread all[THREADS_MAX];
    size_t count, attached;
    size_t last; /* where the last search ended: mostly the next one's answer */
};

/* NULL when it is not known, or let go of. */
struct thread *thread_find(struct threads *ts, pid_t tid);

/* A new row, attached; its name is read from /proc. NULL when the table is full. */
struct thread *thread_add(struct threads *ts, pid_t tid);

void thread_drop(struct threads *ts, struct thread *t);
