/* A thread that stands back weighs less, has a short slice and pushes nobody aside; the others are as they were. One
 * that gives way leaves its processor to who waits for it long before the kernel's next tick. */
#include "tests/unit/audit/world.h"
#include "audit/thread.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* As in <linux/sched/types.h>, which does not go with <sched.h>. */
struct attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static struct attr own(void)
{
    struct attr a = { .size = sizeof a };

    assert_int_equal(syscall(SYS_sched_getattr, 0, &a, sizeof a, 0), 0);
    return a;
}

static bool knows_slices(void)
{
    struct utsname u;
    unsigned long major, minor;
    char *end;

    assert_int_equal(uname(&u), 0);
    major = strtoul(u.release, &end, 10);
    minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    return major > 6 || (major == 6 && minor >= 12);
}

static void *stands_back(void *ret)
{
    thread_stand_back(5);
    *(struct attr *)ret = own();
    return NULL;
}

static void its_own_alone(void **state)
{
    struct attr before = own(), its, after;
    pthread_t t;

    (void)state;
    assert_int_equal(pthread_create(&t, NULL, stands_back, &its), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
    after = own();
    assert_int_equal(its.policy, SCHED_BATCH);
    assert_int_equal(its.nice, before.nice + 5 < 19 ? before.nice + 5 : 19);
    if (knows_slices())
        assert_int_equal(its.runtime, 100000);
    assert_memory_equal(&before, &after, sizeof before);
}

static _Atomic bool over;

static void *is_busy(void *arg)
{
    while (!over)
        ;
    return arg;
}

static int64_t own_time_ns(void)
{
    struct timespec t;

    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Two of them on one processor: the other one gets it some 250 times in 50 ms of this one's; at ticks of 4 ms, 12. */
static void it_gives_way(void **state)
{
    enum { WORK_NS = 50000000, OFTEN = 60 };
    cpu_set_t before, one;
    pthread_t t;
    struct rusage from, to;

    (void)state;
    over = false;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    for (int i = 0; CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &before))
            CPU_SET(i, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0); /* threads inherit it */
    assert_int_equal(pthread_create(&t, NULL, is_busy, NULL), 0);
    assert_int_equal(getrusage(RUSAGE_THREAD, &from), 0);
    for (int64_t until = own_time_ns() + WORK_NS; own_time_ns() < until;)
        thread_give_way();
    assert_int_equal(getrusage(RUSAGE_THREAD, &to), 0);
    over = true;
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_in_range(to.ru_nivcsw - from.ru_nivcsw, OFTEN, WORK_NS);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(its_own_alone), cmocka_unit_test(it_gives_way) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
