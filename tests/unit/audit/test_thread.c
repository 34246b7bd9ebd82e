/* A thread that stands back weighs less and has a short slice; the others are as they were. */
#include "tests/unit/audit/world.h"
#include "audit/thread.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
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
    assert_int_equal(its.policy, before.policy);
    assert_int_equal(its.nice, before.nice + 5 < 19 ? before.nice + 5 : 19);
    if (knows_slices())
        assert_int_equal(its.runtime, 100000);
    assert_memory_equal(&before, &after, sizeof before);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(its_own_alone) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
