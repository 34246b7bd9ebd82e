/* Counts by name: each up to its limit, nobody at another's cost, nothing left when all have gone. */
#include "gateway/tally.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static void each_up_to_its_limit(void **state)
{
    struct tally *t = malloc(sizeof *t);
    uint32_t slot, loud[8], quiet;

    (void)state;
    assert_non_null(t);
    tally_init(t, 7, 10, 2); /* half of ten, and one: shares are rounded up */
    for (unsigned i = 0; i < 6; i++)
        assert_true(tally_enter(t, SLICE("loud"), &loud[i]));
    assert_false(tally_enter(t, SLICE("loud"), &slot));
    assert_true(tally_enter(t, SLICE("quiet"), &quiet));
    tally_leave(t, loud[0]);
    assert_true(tally_enter(t, SLICE("loud"), &loud[0]));
    assert_false(tally_enter(t, SLICE("loud"), &slot));
    for (unsigned i = 0; i < 6; i++)
        tally_leave(t, loud[i]);
    tally_leave(t, quiet);
    assert_int_equal(tally_slot(t, SLICE("loud")), loud[0]);
    tally_least(t, 3);
    tally_add(t, quiet, 4);
    assert_true(tally_room(t, quiet, 2) && !tally_room(t, quiet, 3)); /* six still: more than the least */
    tally_least(t, 9);
    assert_true(tally_room(t, quiet, 5) && !tally_room(t, quiet, 6));
    tally_sub(t, quiet, 4);
    for (unsigned i = 0; i < TALLY_SLOTS; i++)
        assert_int_equal(t->n[i], 0);
    free(t);
}

static void all_workers_count_what_runs(void **state)
{
    struct running *r = malloc(sizeof *r);

    (void)state;
    assert_non_null(r);
    running_init(r, 7, 3, 2);
    for (unsigned i = 0; i < 3; i++)
        assert_true(running_enter(r));
    assert_false(running_enter(r));
    assert_true(running_enter_each(r, 5) && running_enter_each(r, 5));
    assert_false(running_enter_each(r, 5));
    assert_true(running_enter_each(r, 6));
    running_leave(r);
    running_leave_each(r, 5);
    assert_true(running_enter(r) && running_enter_each(r, 5));
    assert_false(running_enter(r) || running_enter_each(r, 5));
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_up_to_its_limit),
        cmocka_unit_test(all_workers_count_what_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
