/* Alarms: never early, not much late, moved, cleared, and set from inside each other. */
#include "net_test.h"
#include "tests/unit/fail_alloc.h"

struct bell {
    struct alarm alarm;
    struct loop *loop;
    int64_t due, rang;
    unsigned times;
    struct bell *other;
};

static void ring(struct alarm *a)
{
    struct bell *b = (struct bell *)a;

    b->rang = clock_mono_ms();
    b->times++;
    if (b->other)
        alarm_clear(&b->other->alarm);
}

static void set(struct bell *b, struct loop *l, int64_t ms)
{
    b->loop = l;
    b->due = loop_now(l) + ms;
    alarm_set(l, &b->alarm, ms);
}

static bool too_early(const struct bell *b)
{
    return b->times > 0 && b->rang < b->due;
}

static void never_early(void **state)
{
    static const int64_t after[] = { 0, 1, 63, 64, 65, 127, 128, 200, 333, 500 };
    struct bell bells[COUNT(after)] = { 0 };
    struct loop *l = loop_new();

    (void)state;
    assert_non_null(l);
    for (size_t i = 0; i < COUNT(after); i++) {
        alarm_init(&bells[i].alarm, ring);
        set(&bells[i], l, after[i]);
    }
    run_for(l, 700);
    for (size_t i = 0; i < COUNT(after); i++) {
        assert_int_equal(bells[i].times, 1);
        assert_true(bells[i].rang >= bells[i].due);
    }
    loop_free(l);
}

static void moved_and_cleared(void **state)
{
    struct bell later = { 0 }, sooner = { 0 }, cleared = { 0 }, far_off = { 0 };
    struct loop *l = loop_new();

    (void)state;
    assert_non_null(l);
    alarm_init(&later.alarm, ring);
    alarm_init(&sooner.alarm, ring);
    alarm_init(&cleared.alarm, ring);
    alarm_init(&far_off.alarm, ring);
    alarm_clear(&cleared.alarm); /* not set: nothing happens */
    set(&later, l, 64);
    set(&later, l, 300);
    set(&sooner, l, 100000);
    set(&sooner, l, 64);
    set(&cleared, l, 64);
    alarm_clear(&cleared.alarm);
    set(&far_off, l, 10LL * 24 * 3600 * 1000); /* beyond one turn of the wheel */
    run_for(l, 200);
    assert_false(too_early(&later)); /* not at the time that was set first */
    assert_int_equal(sooner.times, 1);
    run_for(l, 250);
    assert_int_equal(later.times, 1);
    assert_true(later.rang >= later.due);
    assert_int_equal(cleared.times + far_off.times, 0);
    loop_free(l);
}

/* Two in one slot: the first that rings clears the other. */
static void cleared_by_its_neighbour(void **state)
{
    struct bell a = { 0 }, b = { 0 };
    struct loop *l = loop_new();

    (void)state;
    assert_non_null(l);
    alarm_init(&a.alarm, ring);
    alarm_init(&b.alarm, ring);
    a.other = &b;
    b.other = &a;
    set(&a, l, 70);
    set(&b, l, 70);
    run_for(l, 300);
    assert_int_equal(a.times + b.times, 1);
    loop_free(l);
}

static void again(struct alarm *a)
{
    struct bell *b = (struct bell *)a;

    if (++b->times < 5)
        alarm_set(b->loop, a, 0);
}

static void sets_itself(void **state)
{
    struct bell b = { 0 };
    struct loop *l = loop_new();

    (void)state;
    assert_non_null(l);
    alarm_init(&b.alarm, again);
    set(&b, l, 0);
    run_for(l, 700);
    assert_int_equal(b.times, 5);
    loop_free(l);
}

static void count_turn(void *arg)
{
    ++*(unsigned *)arg;
}

static void stop(struct alarm *a)
{
    struct bell *b = (struct bell *)a;

    b->rang = clock_mono_ms();
    loop_stop(b->loop);
}

/* An alarm far away costs no wake-ups until it is due; one that was moved, one at its old time. How late it rang. */
static int64_t slept_until_due(void)
{
    struct bell b = { 0 }, moved = { 0 }, far_off = { 0 };
    struct loop *l = loop_new();
    unsigned n = 0;

    assert_non_null(l);
    loop_on_turn(l, count_turn, &n);
    alarm_init(&b.alarm, stop);
    alarm_init(&moved.alarm, ring);
    alarm_init(&far_off.alarm, ring);
    set(&far_off, l, 60000);
    set(&moved, l, 128);
    set(&moved, l, 70000);
    set(&b, l, 700);
    loop_run(l);
    assert_true(b.rang >= b.due);
    assert_true(n <= 6); /* eleven slots went by */
    assert_int_equal(moved.times + far_off.times, 0);
    alarm_clear(&moved.alarm);
    alarm_clear(&far_off.alarm);
    loop_free(l);
    return b.rang - b.due;
}

/* One in three may be late: that was the machine, and not the wheel. */
static void sleeps_until_due(void **state)
{
    unsigned late = 0;

    (void)state;
    for (int i = 0; i < 3; i++)
        late += slept_until_due() >= 1000;
    assert_true(late <= 1);
}

/* The wheel's start follows the clock: after a long sleep an alarm still stands where it belongs. */
static void set_after_a_sleep(void **state)
{
    struct bell first = { 0 }, b = { 0 };
    struct loop *l = loop_new();

    (void)state;
    assert_non_null(l);
    alarm_init(&first.alarm, ring);
    alarm_init(&b.alarm, ring);
    set(&first, l, 1000);
    run_for(l, 300);
    set(&b, l, 65000);
    set(&b, l, 100);
    run_for(l, 250);
    assert_int_equal(b.times, 1);
    assert_true(b.rang >= b.due && !too_early(&first));
    run_for(l, 600);
    assert_int_equal(first.times, 1);
    loop_free(l);
}

static void ring_exactly(void *arg)
{
    ++*(unsigned *)arg;
}

/* An alarm that could not be set would never ring, and what it guards would wait for ever. */
static void setting_takes_no_memory(void **state)
{
    enum { MOMENTS = 20 };
    struct loop *l = loop_new();
    struct moment *m[MOMENTS];
    struct bell b = { 0 };
    unsigned rang = 0;

    (void)state;
    assert_non_null(l);
    for (unsigned i = 0; i < MOMENTS; i++)
        assert_non_null(m[i] = moment_new(l, ring_exactly, &rang));
    alarm_init(&b.alarm, ring);
    (void)fail_alloc(0);
    set(&b, l, 1);
    for (unsigned i = 0; i < MOMENTS; i++)
        moment_set(m[i], 1);
    run_for(l, 200);
    for (unsigned i = 0; i < MOMENTS; i++)
        moment_set(m[i], 1);
    assert_int_equal(fail_alloc(0), 0);
    run_for(l, 200);
    assert_int_equal(b.times, 1);
    assert_int_equal(rang, 2 * MOMENTS);
    for (unsigned i = 0; i < MOMENTS; i++)
        moment_free(m[i]);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_early),
        cmocka_unit_test(moved_and_cleared),
        cmocka_unit_test(cleared_by_its_neighbour),
        cmocka_unit_test(sets_itself),
        cmocka_unit_test(sleeps_until_due),
        cmocka_unit_test(set_after_a_sleep),
        cmocka_unit_test(setting_takes_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
