/* Room in the process's memory: who is refused takes none of it from the others. */
#include "gateway/pressure.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

enum { CAP = 64 << 20 };

static void what_is_refused_takes_nothing(void **state)
{
    struct pressure p = { .cap = CAP, .fd = -1 /* a look finds nothing */ };

    (void)state;
    assert_true(pressure_begin(&p, 1000)); /* looks */
    assert_false(pressure_begin(&p, CAP));
    atomic_store(&p.looked, 0); /* long ago: it looks again, and there is not so much */
    assert_false(pressure_begin(&p, CAP));
    assert_true(pressure_begin(&p, 1000));
    assert_true(pressure_stand(&p, 1000));
    assert_true(pressure_take(&p, 1000));
    assert_false(pressure_grow(&p, CAP)); /* and no look comes so soon */
    assert_true(pressure_grow(&p, 1000));
}

/* Whoever looks moves the flag: the control thread may hang in a disk, up or down. */
static void no_flag_outlives_its_cause(void **state)
{
    struct pressure p = { .fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC) };
    uint64_t resident = pressure_resident(&p);

    (void)state;
    assert_true(resident > 0);
    p.cap = resident; /* it is far over seven eighths */
    assert_false(pressure_grow(&p, 1000));
    assert_true(pressure_short(&p));
    p.cap = resident * 4; /* as though three quarters had been freed */
    atomic_store(&p.looked, clock_mono_ms() + 60000);
    assert_false(pressure_take(&p, 1000)); /* the last look is not old */
    atomic_store(&p.looked, clock_mono_ms() - 1000);
    assert_true(pressure_take(&p, 1000));
    assert_false(pressure_short(&p));
    close(p.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_is_refused_takes_nothing),
                                        cmocka_unit_test(no_flag_outlives_its_cause) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
