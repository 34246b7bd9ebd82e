/* Grants: every change from every state by everybody, versions, listing, and the way from a row to the compiled block.
 */
#include "bench.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const char *const states[] = { "active", "suspended", "revoked", "returned" };
static const char *const after[4][4] = {
    [POLICY_REVOKE] = { "revoked", "revoked", NULL, NULL },
    [POLICY_SUSPEND] = { "suspended", NULL, NULL, NULL },
    [POLICY_RESUME] = { NULL, "active", NULL, NULL },
    [POLICY_GIVE_BACK] = { "returned", "returned", NULL, NULL },
};

/* A fresh grant of public-security brought into a state. */
static struct slice grant_in(struct bench *b, unsigned s)
{
    static const enum policy_change way[] = { 0, POLICY_SUSPEND, POLICY_REVOKE, POLICY_GIVE_BACK };
    struct policy_request q = bench_request(1);
    struct policy_grant_row g;
    struct policy_decided done;
    enum reason why;
    struct slice r = bench_create(b, &q);

    assert_int_equal(policy_decide_request(b->tx, r, &approves, &zhang, 1, &b->a, &done, &why, &b->d), ERR_OK);
    assert_int_equal(policy_decide_request(b->tx, r, &approves, &li, 2, &b->a, &done, &why, &b->d), ERR_OK);
    if (s != 0)
        assert_int_equal(policy_grant_change(b->tx, done.grants[0], way[s], SLICE("n"), s == 3 ? &wang : &zhang, 3,
                                             &b->a, &g, &why, &b->d),
                         ERR_OK);
    return done.grants[0];
}

static bool needed(struct bench *b, int64_t made, int64_t now, int64_t lived, int64_t keep)
{
    bool ret = false;

    assert_int_equal(policy_grant_needed(b->tx, made, now, lived, keep, &ret), ERR_OK);
    return ret;
}

/* With a moment's keeping: until an act ends it, or its time is over by both clocks. */
static bool alive(struct bench *b, int64_t made, int64_t now, int64_t lived)
{
    return needed(b, made, now + 1, lived + 1, 1);
}

/* The request stays as long as exchanges that were made under its grant. */
static void test_alive(void **state)
{
    struct bench *b = *state;
    const int64_t day = 86400000, ages = 40000 * day;
    struct policy_request q;
    struct policy_grant_row g;
    struct slice id;
    int64_t over;
    enum reason why;

    assert_false(alive(b, ages, 0, 0));
    id = grant_in(b, 0);
    assert_int_equal(policy_grant_find(b->tx, id, &b->a, &g), ERR_OK);
    assert_int_equal(policy_request_find(b->tx, g.request, &b->a, &q), ERR_OK);
    over = g.expires > 0 ? g.expires : (g.day_to + 2) * day;
    assert_true(alive(b, q.created, over - 1, 0));
    assert_true(alive(b, ages, over - 1, ages));
    assert_false(alive(b, q.created - 1, over - 1, 0)); /* what is older does not carry it */
    assert_true(alive(b, ages, over + ages, 0));        /* a clock set forward */
    assert_true(alive(b, ages, over + ages, over - q.created - 1));
    assert_false(alive(b, ages, over, over - q.created));
    assert_true(needed(b, ages, over + 1096 * day - 1, ages, 1096 * day));
    assert_true(needed(b, ages, ages, over + 1096 * day - q.created - 1, 1096 * day));
    assert_false(needed(b, ages, over + 1096 * day, ages, 1096 * day));
    assert_true(needed(b, ages, ages, ages, 0)); /* exchanges are kept for ever */
    assert_int_equal(policy_grant_change(b->tx, id, POLICY_SUSPEND, SLICE("n"), &zhang, 3, &b->a, &g, &why, &b->d),
                     ERR_OK);
    assert_true(alive(b, ages, 0, 0));
    assert_int_equal(policy_grant_change(b->tx, id, POLICY_REVOKE, SLICE("n"), &zhang, 4, &b->a, &g, &why, &b->d),
                     ERR_OK);
    const int64_t ended = 4 + 2 * day; /* what ran then may have ended a little later */
    assert_true(over > ended && g.changed == 4);
    assert_true(alive(b, ages, ended - 1, ages));
    assert_false(alive(b, ages, ended, ended - q.created));
    assert_true(needed(b, ages, ended + 1096 * day - 1, ages, 1096 * day));
    assert_true(needed(b, ages, ages, ended + 1096 * day - q.created - 1, 1096 * day));
    assert_false(needed(b, ages, ended + 1096 * day, ages, 1096 * day));
    assert_true(needed(b, ages, ages, ages, 0));
}

static void test_moves(void **state)
{
    struct bench *b = *state;

    for (unsigned change = 0; change < 4; change++)
        for (unsigned s = 0; s < 4; s++) {
            struct slice id = grant_in(b, s);
            struct policy_grant_row g = { 0 };
            enum reason why = REASON_INTERNAL;
            const struct policy_actor *by = change == POLICY_GIVE_BACK ? &zhao : s % 2 ? &li : &zhang;
            enum err e = policy_grant_change(b->tx, id, (enum policy_change)change, SLICE("原因"), by, 50, &b->a, &g,
                                             &why, &b->d);

            if (after[change][s] == NULL) {
                assert_int_equal(e, ERR_CONFLICT);
                assert_int_equal(policy_grant_find(b->tx, id, &b->a, &g), ERR_OK);
                assert_true(slice_is(g.state, states[s]) && slice_is(g.note, s == 0 ? "" : "n"));
                continue;
            }
            assert_int_equal(e, ERR_OK);
            assert_true(slice_is(g.state, after[change][s]) && slice_is(g.note, "原因") &&
                        slice_eq(g.changed_by, by->id));
            assert_int_equal(g.version, s == 0 ? 2 : 3);
            assert_int_equal(g.changed, 50);
            assert_int_equal(g.created, 2);
        }
}

/* Who asked for a grant does not resume it, whatever other roles they hold; suspending their own is their affair. */
static void test_nobody_resumes_their_own(void **state)
{
    struct bench *b = *state;
    struct slice id = grant_in(b, 1);
    struct policy_actor both = wang;
    struct policy_grant_row g;
    enum reason why = REASON_INTERNAL;

    both.bureau_approver = true;
    assert_int_equal(policy_grant_change(b->tx, id, POLICY_RESUME, SLICE("n"), &both, 9, &b->a, &g, &why, &b->d),
                     ERR_DENIED);
    assert_int_equal(why, REASON_FOUR_EYES);
    assert_non_null(strstr(b->d.first->what[LANG_EN], "another officer of public-security"));
    assert_int_equal(policy_grant_change(b->tx, id, POLICY_RESUME, SLICE("n"), &li, 9, &b->a, &g, &why, &b->d), ERR_OK);
    assert_int_equal(policy_grant_change(b->tx, id, POLICY_SUSPEND, SLICE("n"), &both, 9, &b->a, &g, &why, &b->d),
                     ERR_OK);
}

static void test_who_may(void **state)
{
    static const struct {
        enum policy_change change;
        const struct policy_actor *by;
        bool may;
    } rows[] = {
        { POLICY_REVOKE, &zhang, true },     { POLICY_REVOKE, &li, true },      { POLICY_REVOKE, &sun, false },
        { POLICY_REVOKE, &wang, false },     { POLICY_SUSPEND, &zhang, true },  { POLICY_SUSPEND, &li, true },
        { POLICY_SUSPEND, &sun, false },     { POLICY_SUSPEND, &wang, false },  { POLICY_GIVE_BACK, &wang, true },
        { POLICY_REVOKE, &chen, false },     { POLICY_GIVE_BACK, &zhao, true }, { POLICY_GIVE_BACK, &li, false },
        { POLICY_GIVE_BACK, &zhang, false },
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct slice id = grant_in(b, 0);
        struct policy_grant_row g;
        enum reason why = REASON_INTERNAL;
        enum err e = policy_grant_change(b->tx, id, rows[i].change, SLICE("n"), rows[i].by, 9, &b->a, &g, &why, &b->d);

        assert_int_equal(e, rows[i].may ? ERR_OK : ERR_DENIED);
        if (!rows[i].may)
            assert_int_equal(why, REASON_ROLE_MISSING);
    }
}

static void test_refusals(void **state)
{
    struct bench *b = *state;
    struct slice id = grant_in(b, 0);
    struct policy_grant_row g;
    enum reason why;

    assert_int_equal(
        policy_grant_change(b->tx, SLICE("g99"), POLICY_REVOKE, SLICE("n"), &zhang, 9, &b->a, &g, &why, &b->d),
        ERR_NOT_FOUND);
    assert_int_equal(policy_grant_change(b->tx, id, POLICY_REVOKE, SLICE(""), &zhang, 9, &b->a, &g, &why, &b->d),
                     ERR_INVALID);
    assert_int_equal(policy_grant_change(b->tx, id, POLICY_REVOKE, SLICE("为 990101199003070015 回收"), &zhang, 9,
                                         &b->a, &g, &why, &b->d),
                     ERR_INVALID);
    assert_int_equal(
        policy_grant_change(b->tx, id, (enum policy_change)4, SLICE("n"), &zhang, 9, &b->a, &g, &why, &b->d),
        ERR_INVALID);
    assert_int_equal(policy_grant_find(b->tx, id, &b->a, &g), ERR_OK);
    assert_true(slice_is(g.state, "active") && g.version == 1);
}

static enum err list_version(void *arg, const struct policy_grant_row *g)
{
    char *text = arg;

    snprintf(text + strlen(text), 256 - strlen(text), "%llu:%.*s:%.*s ", (unsigned long long)g->version,
             SLICE_ARG(g->state), SLICE_ARG(g->changed_by));
    return ERR_OK;
}

static void test_versions(void **state)
{
    struct bench *b = *state;
    struct slice id = grant_in(b, 1);
    struct policy_grant_row g;
    enum reason why;
    char text[256] = "";

    assert_int_equal(policy_grant_change(b->tx, id, POLICY_RESUME, SLICE("n"), &li, 9, &b->a, &g, &why, &b->d), ERR_OK);
    assert_int_equal(policy_grant_change(b->tx, id, POLICY_GIVE_BACK, SLICE("n"), &wang, 9, &b->a, &g, &why, &b->d),
                     ERR_OK);
    assert_int_equal(policy_grant_versions(b->tx, id, &b->a, list_version, text), ERR_OK);
    assert_string_equal(
        text,
        "1:active:data-bureau/li 2:suspended:public-security/zhang 3:active:data-bureau/li 4:returned:education/wang ");
}

static enum err list_id(void *arg, const struct policy_grant_row *g)
{
    char *text = arg;

    snprintf(text + strlen(text), 256 - strlen(text), "%.*s ", SLICE_ARG(g->id));
    return ERR_OK;
}

static void test_filter(void **state)
{
    static const struct {
        struct policy_grant_filter f;
        const char *want;
    } rows[] = {
        { { .app = SLICE("") }, "g1 g2 g3 " },
        { { .app = SLICE("education/admission") }, "g1 g2 g3 " },
        { { .app = SLICE("education/other") }, "" },
        { { .department = SLICE("education") }, "g1 g2 g3 " },
        { { .provider = SLICE("natural-resources") }, "g3 " },
        { { .resource = SLICE("public-security/residence") }, "g2 " },
        { { .provider = SLICE("public-security"), .state = SLICE("active") }, "g1 " },
        { { .state = SLICE("revoked") }, "g2 " },
        { { .app = SLICE("education/admission"),
            .resource = SLICE("public-security/household"),
            .department = SLICE("education"),
            .provider = SLICE("public-security"),
            .state = SLICE("active") },
          "g1 " },
    };
    struct bench *b = *state;
    struct policy_request q = bench_request(3);
    struct policy_grant_row g;
    enum reason why;

    bench_grant_all(b, bench_create(b, &q));
    assert_int_equal(
        policy_grant_change(b->tx, SLICE("g2"), POLICY_REVOKE, SLICE("n"), &zhang, 9, &b->a, &g, &why, &b->d), ERR_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char kept[256] = "", borrowed[256] = "";
        assert_int_equal(policy_grant_each(b->tx, &rows[i].f, &b->a, list_id, kept), ERR_OK);
        assert_int_equal(policy_grant_each(b->tx, &rows[i].f, NULL, list_id, borrowed), ERR_OK);
        assert_string_equal(kept, rows[i].want);
        assert_string_equal(borrowed, rows[i].want);
    }
}

static int bit_of(void *arg, struct slice item)
{
    (void)arg;
    return slice_is(item, "name") ? 4 : slice_is(item, "relation") ? 5 : -1;
}

/* From the stored row to a verdict: granted, then revoked. */
static void test_row_to_verdict(void **state)
{
    struct bench *b = *state;
    struct policy_grant_row row;
    struct policy_grant *g;
    enum reason why;
    struct slice id = grant_in(b, 0);
    struct policy_facts f = { .app = SLICE("education/admission"),
                              .app_active = true,
                              .resource_published = true,
                              .resource_callable = true,
                              .purpose = SLICE("transfer"),
                              .n_grants = 1,
                              .minute = 600,
                              .weekday = 1 };

    f.now = bench_time(23, 600);
    f.day = clock_day_of(f.now);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(policy_grant_find(b->tx, id, &b->a, &row), ERR_OK);
        assert_int_equal(policy_grant_compile(&row, bit_of, NULL, &g), ERR_OK);
        f.grants = (const struct policy_grant *const[]){ g };
        struct policy_verdict v = policy_decide(&f);
        if (round == 0) {
            assert_true(v.permit && v.items.bit[0] == 0x30 && v.clear.bit[0] == 0x20 && v.max_rows == 20);
            assert_true(slice_is(v.purpose, "transfer") && v.valid_until == bench_time(23, 1080));
            assert_int_equal(
                policy_grant_change(b->tx, id, POLICY_REVOKE, SLICE("n"), &zhang, 9, &b->a, &row, &why, &b->d), ERR_OK);
        } else {
            assert_false(v.permit);
            assert_int_equal(v.reason, REASON_REVOKED);
        }
        counted_unref(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_alive, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_moves, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_nobody_resumes_their_own, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_who_may, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_refusals, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_versions, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_filter, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_row_to_verdict, bench_open, bench_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
