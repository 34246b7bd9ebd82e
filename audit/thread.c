/* Owns nothing. The C library of today has no call for a thread's slice. */
#include "audit/thread.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NICE_MOST = 19, SLICE_NS = 100000 /* the shortest slice there is */, STRETCH_NS = 200000 };

void thread_stand_back(int nice)
{
    struct sched_attr a = { .size = sizeof a };

    if (syscall(SYS_sched_getattr, 0, &a, sizeof a, 0) != 0 ||
        (a.sched_policy != SCHED_NORMAL && a.sched_policy != SCHED_BATCH))
        return;
    a.sched_policy = SCHED_BATCH;
    a.sched_nice = a.sched_nice + nice < NICE_MOST ? a.sched_nice + nice : NICE_MOST;
    a.sched_runtime = SLICE_NS;
    (void)!syscall(SYS_sched_setattr, 0, &a, 0);
}

void thread_give_way(void)
{
    static _Thread_local int64_t given; /* of this thread's own time */
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    int64_t now = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
    if (now - given < STRETCH_NS)
        return;
    given = now;
    (void)!syscall(SYS_sched_yield); /* <sched.h> does not go with the headers above */
}
