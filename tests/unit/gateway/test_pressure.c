/* Room in the process's memory: who is refused takes none of it from the others. */
#include "gateway/pressure.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_is_refused_takes_nothing) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
