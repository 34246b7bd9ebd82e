/* Each allocation of a whole governance round fails in turn: an error each time, the transaction can be rolled back,
 * and the round succeeds once memory is there again. */
#include "bench.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static enum err ignore(void *arg, const struct policy_grant_row *g)
{
    (void)arg;
    (void)g;
    return ERR_OK;
}

static enum err whole_round(struct bench *b, struct arena *a)
{
    struct policy_request q = bench_request(3), back;
    struct policy_decided done = { 0 };
    struct policy_grant_row row;
    enum reason why = REASON_INTERNAL;
    struct slice id = { 0 };
    const struct policy_actor *const who[] = { &zhang, &sun, &li };
    bool waits;

    enum err e = policy_request_create(b->tx, &q, &wang, bench_time(22, 600), a, &id, NULL);
    if (e == ERR_OK)
        e = policy_request_find(b->tx, id, a, &back);
    if (e == ERR_OK)
        e = policy_request_waits(b->tx, &back, &sun, &waits);
    for (size_t i = 0; i < 3 && e == ERR_OK; i++)
        e = policy_decide_request(b->tx, id, &(struct policy_decision){ .act = POLICY_APPROVE, .note = SLICE("同意") },
                                  who[i], 1, a, &done, &why, NULL);
    if (e == ERR_OK)
        e = policy_grant_change(b->tx, done.grants[0], POLICY_SUSPEND, SLICE("核查"), &li, 2, a, &row, &why, &b->d);
    if (e == ERR_OK)
        e = policy_grant_each(b->tx, &(struct policy_grant_filter){ .app = SLICE("education/admission") }, a, ignore,
                              NULL);
    return e == ERR_OK ? policy_request_find(b->tx, id, a, &back) : e;
}

static void test_each_allocation(void **state)
{
    struct bench *b = *state;
    enum err e = ERR_NOMEM;
    size_t n = 0;

    while (e != ERR_OK && ++n < 5000) {
        struct arena a;

        arena_init(&a, 1 << 20);
        mem_fail_nth(n);
        e = whole_round(b, &a);
        mem_fail_nth(0);
        arena_done(&a);
        if (e != ERR_OK && e != ERR_NOMEM)
            fail_msg("allocation %zu: %s", n, err_name(e));
        sql_rollback(b->tx);
        b->tx = NULL;
        assert_int_equal(sql_begin(b->sql, true, &b->tx, &b->d), ERR_OK);
    }
    assert_true(n > 5 && n < 5000);
}

/* An arena that is too small is an error too, wherever it ends. */
static void test_each_arena_size(void **state)
{
    struct bench *b = *state;
    enum err e = ERR_NOMEM;

    for (size_t size = 64; e != ERR_OK && size < (1 << 20); size += size / 8) {
        struct arena a;

        arena_init(&a, size);
        e = whole_round(b, &a);
        arena_done(&a);
        if (e != ERR_OK && e != ERR_NOMEM)
            fail_msg("%zu bytes: %s", size, err_name(e));
        sql_rollback(b->tx);
        b->tx = NULL;
        assert_int_equal(sql_begin(b->sql, true, &b->tx, &b->d), ERR_OK);
    }
    assert_int_equal(e, ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_allocation, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_each_arena_size, bench_open, bench_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
