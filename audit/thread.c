/* Owns nothing. The C library of today has no call for a thread's slice. */
#include "audit/thread.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NICE_MOST = 19, SLICE_NS = 100000 }; /* the shortest slice there is */

void thread_stand_back(int nice)
{
    struct sched_attr a = { .size = sizeof a };

    if (syscall(SYS_sched_getattr, 0, &a, sizeof a, 0) != 0 ||
        (a.sched_policy != SCHED_NORMAL && a.sched_policy != SCHED_BATCH))
        return;
    a.sched_nice = a.sched_nice + nice < NICE_MOST ? a.sched_nice + nice : NICE_MOST;
    a.sched_runtime = SLICE_NS;
    (void)!syscall(SYS_sched_setattr, 0, &a, 0);
}
