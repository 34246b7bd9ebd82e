/* State as an older program left it, requests under way: it comes forward, and every request goes on from where it was.
 */
#include "bench.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* r1: two providers, one part with the bureau, one with its provider; r2: returned by the bureau; r3: granted. */
static const char old_state[] =
    "INSERT INTO policy_counter(name, value) VALUES('r', 3), ('g', 1);"
    "INSERT INTO policy_request(number, id, app, department, purposes, basis, scenario, day_from, day_to, minute_from,"
    " minute_to, weekdays, expires, max_rows, author, created, state) VALUES"
    "(1, 'r1', 'education/admission', 'education', 'admission', 'b', 's', 1, 2, 0, 0, 0, 0, 0, 'education/wang', 5, "
    "'open'),"
    "(2, 'r2', 'education/admission', 'education', 'admission', 'b', 's', 1, 2, 0, 0, 0, 0, 0, 'education/wang', 5, "
    "'returned'),"
    "(3, 'r3', 'education/admission', 'education', 'admission', 'b', 's', 1, 2, 0, 0, 0, 0, 0, 'education/wang', 5, "
    "'granted');"
    "INSERT INTO policy_wish(request, position, resource, provider, resource_version, items, clear) VALUES"
    "('r1', 0, 'public-security/household', 'public-security', 1, 'name', ''),"
    "('r1', 1, 'natural-resources/property', 'natural-resources', 2, 'owner', ''),"
    "('r1', 2, 'public-security/residence', 'public-security', 3, 'since', ''),"
    "('r2', 0, 'public-security/household', 'public-security', 1, 'name', ''),"
    "('r3', 0, 'public-security/household', 'public-security', 1, 'name', '');"
    "INSERT INTO policy_approval(request, provider, step, department, state, decided_by, note, at) VALUES"
    "('r1', 'public-security', 0, 'public-security', 'approved', 'public-security/qian', '同意', 7),"
    "('r1', 'public-security', 1, '', 'waiting', '', '', 0),"
    "('r1', 'natural-resources', 0, 'natural-resources', 'waiting', '', '', 0),"
    "('r1', 'natural-resources', 1, '', 'next', '', '', 0),"
    "('r2', 'public-security', 0, 'public-security', 'approved', 'public-security/zhang', '', 7),"
    "('r2', 'public-security', 1, '', 'returned', 'data-bureau/li', '窗口过长', 8),"
    "('r3', 'public-security', 0, 'public-security', 'approved', 'public-security/zhang', '', 7),"
    "('r3', 'public-security', 1, '', 'approved', 'data-bureau/li', '', 8);";

static int open_old(void **state)
{
    if (bench_open_at(state, 1) != 0)
        return -1;
    struct bench *b = *state;
    for (const char *at = old_state, *end; *at != '\0'; at = end + 1) {
        end = strchr(at, ';');
        char *one = arena_str(&b->a, slice_make(at, (size_t)(end - at)));
        if (one == NULL || sql_exec(b->tx, one, NULL, 0, NULL) != ERR_OK) {
            print_error("%s: %s", one ? one : "no memory", sql_error(b->tx));
            return -1;
        }
    }
    return 0;
}

static enum err forward(struct bench *b)
{
    assert_int_equal(sql_commit(b->tx, &b->d), ERR_OK);
    enum err e = sql_migrate(b->sql, "policy", policy_migrations, policy_migrations_n, &b->d);
    assert_int_equal(sql_begin(b->sql, true, &b->tx, &b->d), ERR_OK);
    return e;
}

struct list {
    char text[1024];
};

static enum err list_approval(void *arg, const struct policy_approval *ap)
{
    struct list *l = arg;

    snprintf(l->text + strlen(l->text), sizeof l->text - strlen(l->text), "%llu:%.*s/%.*s(%.*s)=%.*s,%.*s,%.*s,%d\n",
             (unsigned long long)ap->part, SLICE_ARG(ap->provider), SLICE_ARG(ap->step), SLICE_ARG(ap->department),
             SLICE_ARG(ap->state), SLICE_ARG(ap->by), SLICE_ARG(ap->note), (int)ap->at);
    return ERR_OK;
}

static void decide(struct bench *b, const struct policy_actor *by, enum err want, size_t grants)
{
    struct policy_decided done = { 0 };
    enum reason why;

    assert_int_equal(policy_decide_request(b->tx, SLICE("r1"), &approves, by, 9, &b->a, &done, &why, &b->d), want);
    assert_int_equal(done.n_grants, grants);
}

static void test_requests_go_on(void **state)
{
    struct bench *b = *state;
    struct policy_request q;
    struct policy_grant_row g;
    struct list l = { "" };

    assert_int_equal(forward(b), ERR_OK);
    for (const char *const *id = (const char *const[]){ "r1", "r2", "r3", NULL }; *id; id++)
        assert_int_equal(policy_approval_each(b->tx, slice_of(*id), &b->a, list_approval, &l), ERR_OK);
    assert_string_equal(l.text, "1:natural-resources/provider(natural-resources)=waiting,,,0\n"
                                "1:natural-resources/bureau()=next,,,0\n"
                                "2:public-security/provider(public-security)=approved,public-security/qian,同意,7\n"
                                "2:public-security/bureau()=waiting,,,0\n"
                                "1:public-security/provider(public-security)=approved,public-security/zhang,,7\n"
                                "1:public-security/bureau()=returned,data-bureau/li,窗口过长,8\n"
                                "1:public-security/provider(public-security)=approved,public-security/zhang,,7\n"
                                "1:public-security/bureau()=approved,data-bureau/li,,8\n");
    assert_int_equal(policy_request_find(b->tx, SLICE("r1"), &b->a, &q), ERR_OK);
    assert_true(q.wishes[0].part == 2 && q.wishes[1].part == 1 && q.wishes[2].part == 2);
    decide(b, &qian, ERR_DENIED, 0); /* who decided the provider's step before */
    decide(b, &li, ERR_OK, 2);
    assert_int_equal(policy_grant_find(b->tx, SLICE("g2"), &b->a, &g), ERR_OK);
    assert_true(slice_is(g.approvers, "public-security/qian,data-bureau/li") &&
                slice_is(g.resource, "public-security/household"));
    decide(b, &sun, ERR_OK, 0);
    decide(b, &qian, ERR_OK, 1); /* the bureau's step of the other part: not decided by qian before */
    assert_int_equal(policy_request_find(b->tx, SLICE("r1"), &b->a, &q), ERR_OK);
    assert_true(slice_is(q.state, "granted"));
}

/* A step that the older program did not have: nothing moves. */
static void test_what_is_no_step(void **state)
{
    struct bench *b = *state;

    assert_int_equal(
        sql_exec(b->tx, "UPDATE policy_approval SET step = 7 WHERE request = 'r2' AND step = 1", NULL, 0, NULL),
        ERR_OK);
    assert_int_not_equal(forward(b), ERR_OK);
    assert_int_equal(sql_exec(b->tx, "UPDATE policy_approval SET step = 1 WHERE step = 7", NULL, 0, NULL), ERR_OK);
    assert_int_equal(forward(b), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_requests_go_on, open_old, bench_close),
        cmocka_unit_test_setup_teardown(test_what_is_no_step, open_old, bench_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
