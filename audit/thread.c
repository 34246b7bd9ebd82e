/* Owns nothing. The C library of today has no call for a thread's slice. */
#include "audit/thread.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SLICE_NS = 100000 }; /* the shortest there is */

void thread_stand_back(int nice)
{
    struct sched_attr a = {
        .size = sizeof a, .sched_policy = SCHED_NORMAL, .sched_nice = nice, .sched_runtime = SLICE_NS
    };

    (void)!syscall(SYS_sched_setattr, 0, &a, 0);
}
