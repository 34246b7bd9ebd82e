/* Requests: who may, what is stored, what is read back, withdrawing. */
#include "bench.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void expect_slice(struct slice s, const char *want)
{
    if (!slice_is(s, want))
        fail_msg("\"%.*s\", not \"%s\"", SLICE_ARG(s), want);
}

static void test_who_may(void **state)
{
    static const struct {
        const struct policy_actor *by;
        enum err want;
    } rows[] = { { &wang, ERR_OK }, { &zhao, ERR_OK }, { &zhang, ERR_DENIED }, { &li, ERR_DENIED } };
    struct bench *b = *state;
    struct policy_request q = bench_request(1);
    struct policy_actor stranger = { .id = SLICE("housing/he"),
                                     .department = SLICE("housing"),
                                     .consumer_officer = true };
    struct slice id;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(policy_request_create(b->tx, &q, rows[i].by, bench_time(22, 600), &b->a, &id, &b->d),
                         rows[i].want);
    assert_int_equal(policy_request_create(b->tx, &q, &stranger, bench_time(22, 600), &b->a, &id, &b->d), ERR_DENIED);
    stranger.department = SLICE("education");
    stranger.consumer_officer = false;
    assert_int_equal(policy_request_create(b->tx, &q, &stranger, bench_time(22, 600), &b->a, &id, &b->d), ERR_DENIED);
}

static void test_stored_as_given(void **state)
{
    struct bench *b = *state;
    struct policy_request q = bench_request(3), back;

    q.author = SLICE("someone/else"); /* the author is who acts, whatever is claimed */
    q.state = SLICE("granted");
    struct slice first = bench_create(b, &q), second = bench_create(b, &q);
    expect_slice(first, "r1");
    expect_slice(second, "r2");
    assert_int_equal(policy_request_find(b->tx, SLICE("r1"), &b->a, &back), ERR_OK);
    expect_slice(back.id, "r1");
    expect_slice(back.app, "education/admission");
    expect_slice(back.department, "education");
    expect_slice(back.purposes, "admission,transfer");
    expect_slice(back.basis, "义务教育法第十二条");
    expect_slice(back.scenario, "新生入学资格核查");
    expect_slice(back.author, "education/wang");
    expect_slice(back.state, "open");
    assert_int_equal(back.created, bench_time(22, 600));
    assert_int_equal(back.day_from, q.day_from);
    assert_int_equal(back.day_to, q.day_to);
    assert_int_equal(back.minute_from, 480);
    assert_int_equal(back.minute_to, 1080);
    assert_int_equal(back.weekdays, 0x1f);
    assert_int_equal(back.expires, q.expires);
    assert_int_equal(back.max_rows, 20);
    assert_int_equal(back.n_wishes, 3);
    expect_slice(back.wishes[1].resource, "natural-resources/property");
    expect_slice(back.wishes[1].provider, "natural-resources");
    expect_slice(back.wishes[1].items, "owner,status");
    expect_slice(back.wishes[1].clear, "");
    assert_int_equal(back.wishes[1].resource_version, 2);
    assert_int_equal(policy_request_find(b->tx, SLICE("r3"), &b->a, &back), ERR_NOT_FOUND);
    assert_int_equal(policy_request_find(b->tx, SLICE("' OR 1=1 --"), &b->a, &back), ERR_NOT_FOUND);
}

struct list {
    char text[1024];
};

static enum err list_request(void *arg, const struct policy_request *q)
{
    struct list *l = arg;

    snprintf(l->text + strlen(l->text), sizeof l->text - strlen(l->text), "%.*s:%zu ", SLICE_ARG(q->id), q->n_wishes);
    return ERR_OK;
}

static enum err list_approval(void *arg, const struct policy_approval *ap)
{
    struct list *l = arg;

    snprintf(l->text + strlen(l->text), sizeof l->text - strlen(l->text), "%llu:%.*s/%.*s(%.*s)=%.*s ",
             (unsigned long long)ap->part, SLICE_ARG(ap->provider), SLICE_ARG(ap->step), SLICE_ARG(ap->department),
             SLICE_ARG(ap->state));
    return ERR_OK;
}

static enum err stop(void *arg, const struct policy_request *q)
{
    (void)q;
    (*(int *)arg)++;
    return ERR_AGAIN;
}

static void test_each(void **state)
{
    struct bench *b = *state;
    struct list all = { "" }, open = { "" }, none = { "" };
    struct policy_request q = bench_request(1), back;
    int calls = 0;

    for (int i = 0; i < 11; i++)
        bench_create(b, &q);
    assert_int_equal(policy_request_withdraw(b->tx, SLICE("r2"), &zhao, &b->a, &back), ERR_OK);
    assert_int_equal(policy_request_each(b->tx, SLICE(""), list_request, &all), ERR_OK);
    assert_string_equal(all.text, "r1:1 r2:1 r3:1 r4:1 r5:1 r6:1 r7:1 r8:1 r9:1 r10:1 r11:1 ");
    assert_int_equal(policy_request_each(b->tx, SLICE("open"), list_request, &open), ERR_OK);
    assert_string_equal(open.text, "r1:1 r3:1 r4:1 r5:1 r6:1 r7:1 r8:1 r9:1 r10:1 r11:1 ");
    assert_int_equal(policy_request_each(b->tx, SLICE("granted"), list_request, &none), ERR_OK);
    assert_string_equal(none.text, "");
    assert_int_equal(policy_request_each(b->tx, SLICE(""), stop, &calls), ERR_AGAIN);
    assert_int_equal(calls, 1);
}

static enum err in_order(void *arg, const struct policy_request *q)
{
    char want[32];
    int n = ++*(int *)arg;

    snprintf(want, sizeof want, "r%d", n);
    return slice_is(q->id, want) && q->n_wishes == 1 ? ERR_OK : ERR_CORRUPT;
}

/* However many there are, few are in memory at once; each comes once, in order. */
static void test_each_of_many(void **state)
{
    enum { MANY = 150 };
    struct bench *b = *state;
    struct policy_request q = bench_request(1);
    int all = 0, open = 0;

    for (int i = 0; i < MANY; i++)
        bench_create(b, &q);
    assert_int_equal(policy_request_each(b->tx, SLICE(""), in_order, &all), ERR_OK);
    assert_int_equal(policy_request_each(b->tx, SLICE("open"), in_order, &open), ERR_OK);
    assert_true(all == MANY && open == MANY);
}

static void test_approvals_made(void **state)
{
    struct bench *b = *state;
    struct policy_request q = bench_request(3);
    struct list l = { "" };

    assert_int_equal(policy_approval_each(b->tx, bench_create(b, &q), &b->a, list_approval, &l), ERR_OK);
    assert_string_equal(l.text, "1:public-security/provider(public-security)=waiting 1:public-security/bureau()=next "
                                "2:natural-resources/provider(natural-resources)=waiting "
                                "2:natural-resources/bureau()=next ");
}

/* Resources of one provider with the same steps are one part, and each wish says which. */
static void test_parts_made(void **state)
{
    struct bench *b = *state;
    struct policy_request q = bench_request(3), back;
    struct policy_wish wishes[3];
    struct list l = { "" };

    memcpy(wishes, q.wishes, sizeof wishes);
    wishes[0].steps = SLICE("consumer,department:legal-affairs,bureau");
    wishes[1].steps = SLICE("bureau");
    wishes[2].part = 77; /* whatever is claimed */
    q.wishes = wishes;
    struct slice id = bench_create(b, &q);
    assert_int_equal(policy_approval_each(b->tx, id, &b->a, list_approval, &l), ERR_OK);
    assert_string_equal(l.text, "1:public-security/consumer(education)=waiting "
                                "1:public-security/department:legal-affairs(legal-affairs)=next "
                                "1:public-security/bureau()=next 2:natural-resources/bureau()=waiting "
                                "3:public-security/provider(public-security)=waiting 3:public-security/bureau()=next ");
    assert_int_equal(policy_request_find(b->tx, id, &b->a, &back), ERR_OK);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(back.wishes[i].part, i + 1);
}

static void test_withdraw(void **state)
{
    struct bench *b = *state;
    struct policy_request q = bench_request(1), back = { 0 };
    struct policy_decided done;
    enum reason why;
    struct list l = { "" };
    struct slice id = bench_create(b, &q);

    assert_int_equal(policy_request_withdraw(b->tx, id, &zhang, &b->a, &back), ERR_DENIED);
    assert_int_equal(policy_request_withdraw(b->tx, id, &li, &b->a, &back), ERR_DENIED);
    assert_int_equal(policy_request_withdraw(b->tx, SLICE("r9"), &wang, &b->a, &back), ERR_NOT_FOUND);
    assert_int_equal(policy_request_withdraw(b->tx, id, &wang, &b->a, &back), ERR_OK);
    expect_slice(back.state, "withdrawn");
    assert_int_equal(policy_request_withdraw(b->tx, id, &wang, &b->a, &back), ERR_CONFLICT);
    assert_int_equal(policy_decide_request(b->tx, id, &approves, &zhang, 1, &b->a, &done, &why, &b->d), ERR_CONFLICT);
    assert_int_equal(policy_approval_each(b->tx, id, &b->a, list_approval, &l), ERR_OK);
    assert_string_equal(l.text,
                        "1:public-security/provider(public-security)=withdrawn 1:public-security/bureau()=withdrawn ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who_may, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_stored_as_given, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_each, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_each_of_many, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_approvals_made, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_parts_made, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_withdraw, bench_open, bench_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
