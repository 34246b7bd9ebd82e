/* Approvals: scripts of acts and what each must answer; grants are born only where two different people agreed. */
#include "bench.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

struct act {
    const struct policy_actor *by;
    enum policy_act act;
    const char *note;
    enum err want;
    enum reason why;   /* with ERR_DENIED */
    const char *step;  /* with ERR_OK */
    size_t grants;     /* born */
    const char *state; /* of the request, afterwards */
};
struct script {
    const char *what;
    size_t wishes;
    const char *steps[3]; /* of each wish; NULL: as it is without a policy */
    struct act acts[8];
};
#define LEGAL "department:legal-affairs"

#define DENY(actor, reason)                                                                                            \
    {                                                                                                                  \
        &(actor), POLICY_APPROVE, "", ERR_DENIED, (reason), NULL, 0, "open"                                            \
    }

/* Laid out by hand: an act a line. */
/* clang-format off */
static const struct script scripts[] = {
    { "provider, then bureau", 1, { NULL }, {
        { &zhang, POLICY_APPROVE, "", ERR_OK, 0, "provider", 0, "open" },
        { &li, POLICY_APPROVE, "同意", ERR_OK, 0, "bureau", 1, "granted" },
        { &li, POLICY_APPROVE, "", ERR_CONFLICT, 0, NULL, 0, "granted" } } },
    { "nobody decides their own", 1, { NULL }, { DENY(wang, REASON_FOUR_EYES) } },
    { "the roles", 1, { NULL }, {
        DENY(zhao, REASON_ROLE_MISSING),
        DENY(sun, REASON_ROLE_MISSING),
        DENY(chen, REASON_ROLE_MISSING),
        DENY(li, REASON_ROLE_MISSING), /* the provider comes first */
        { &zhang, POLICY_APPROVE, "", ERR_OK, 0, "provider", 0, "open" },
        DENY(zhang, REASON_ROLE_MISSING) } },
    { "one person is not two", 1, { NULL }, {
        { &qian, POLICY_APPROVE, "", ERR_OK, 0, "provider", 0, "open" },
        DENY(qian, REASON_FOUR_EYES),
        { &li, POLICY_APPROVE, "", ERR_OK, 0, "bureau", 1, "granted" } } },
    { "the other way round both roles are fine", 1, { NULL }, {
        { &zhang, POLICY_APPROVE, "", ERR_OK, 0, "provider", 0, "open" },
        { &qian, POLICY_APPROVE, "", ERR_OK, 0, "bureau", 1, "granted" } } },
    { "rejecting needs a note", 1, { NULL }, {
        { &zhang, POLICY_REJECT, "", ERR_INVALID, 0, NULL, 0, "open" },
        { &zhang, POLICY_REJECT, "  ", ERR_INVALID, 0, NULL, 0, "open" },
        { &zhang, POLICY_REJECT, "990101199003070015", ERR_INVALID, 0, NULL, 0, "open" },
        { &zhang, POLICY_REJECT, "无依据", ERR_OK, 0, "provider", 0, "rejected" },
        { &zhang, POLICY_APPROVE, "", ERR_CONFLICT, 0, NULL, 0, "rejected" },
        { &li, POLICY_APPROVE, "", ERR_CONFLICT, 0, NULL, 0, "rejected" } } },
    { "returned for correction", 1, { NULL }, {
        { &zhang, POLICY_APPROVE, "", ERR_OK, 0, "provider", 0, "open" },
        { &li, POLICY_RETURN, "", ERR_INVALID, 0, NULL, 0, "open" },
        { &li, POLICY_RETURN, "窗口过长", ERR_OK, 0, "bureau", 0, "returned" },
        { &zhang, POLICY_APPROVE, "", ERR_CONFLICT, 0, NULL, 0, "returned" } } },
    { "two providers go their own ways", 3, { NULL }, {
        { &zhang, POLICY_APPROVE, "", ERR_OK, 0, "provider", 0, "open" },
        { &li, POLICY_APPROVE, "", ERR_OK, 0, "bureau", 2, "open" },
        DENY(li, REASON_ROLE_MISSING),
        { &sun, POLICY_APPROVE, "", ERR_OK, 0, "provider", 0, "open" },
        { &li, POLICY_APPROVE, "", ERR_OK, 0, "bureau", 1, "granted" } } },
    { "the bureau decides what waits, at once", 3, { NULL }, {
        { &zhang, POLICY_APPROVE, "", ERR_OK, 0, "provider", 0, "open" },
        { &sun, POLICY_APPROVE, "", ERR_OK, 0, "provider", 0, "open" },
        { &li, POLICY_APPROVE, "", ERR_OK, 0, "bureau", 3, "granted" } } },
    { "one part rejected, one granted", 3, { NULL }, {
        { &sun, POLICY_REJECT, "不予共享", ERR_OK, 0, "provider", 0, "open" },
        { &zhang, POLICY_APPROVE, "", ERR_OK, 0, "provider", 0, "open" },
        { &li, POLICY_APPROVE, "", ERR_OK, 0, "bureau", 2, "granted" } } },
    { "one part rejected, one returned", 3, { NULL }, {
        { &sun, POLICY_REJECT, "不予共享", ERR_OK, 0, "provider", 0, "open" },
        { &zhang, POLICY_RETURN, "请补充依据", ERR_OK, 0, "provider", 0, "returned" } } },
    { "both roles in one act: only the part that is not one's own", 3, { NULL }, {
        { &qian, POLICY_APPROVE, "", ERR_OK, 0, "provider", 0, "open" },
        { &sun, POLICY_APPROVE, "", ERR_OK, 0, "provider", 0, "open" },
        { &qian, POLICY_APPROVE, "", ERR_OK, 0, "bureau", 1, "open" },
        DENY(qian, REASON_FOUR_EYES),
        { &li, POLICY_APPROVE, "", ERR_OK, 0, "bureau", 2, "granted" } } },
    { "both roles, two steps of two parts", 3, { NULL }, {
        { &sun, POLICY_APPROVE, "", ERR_OK, 0, "provider", 0, "open" },
        { &qian, POLICY_APPROVE, "", ERR_OK, 0, "provider,bureau", 1, "open" },
        { &li, POLICY_APPROVE, "", ERR_OK, 0, "bureau", 2, "granted" } } },
    { "one step is enough where that is the list", 1, { "bureau" }, {
        DENY(zhang, REASON_ROLE_MISSING),
        { &li, POLICY_APPROVE, "", ERR_OK, 0, "bureau", 1, "granted" } } },
    { "own requests, in one step too", 1, { "consumer,bureau" }, { DENY(wang, REASON_FOUR_EYES) } },
    { "four steps, each by its own", 1, { "consumer,provider," LEGAL ",bureau" }, {
        DENY(zhang, REASON_ROLE_MISSING),
        DENY(chen, REASON_ROLE_MISSING), /* a consumer officer, of another department */
        { &zhao, POLICY_APPROVE, "", ERR_OK, 0, "consumer", 0, "open" },
        { &zhang, POLICY_APPROVE, "", ERR_OK, 0, "provider", 0, "open" },
        DENY(li, REASON_ROLE_MISSING),
        { &hu, POLICY_APPROVE, "", ERR_OK, 0, LEGAL, 0, "open" },
        DENY(fa, REASON_ROLE_MISSING),
        { &li, POLICY_APPROVE, "", ERR_OK, 0, "bureau", 1, "granted" } } },
    { "an officer of the department named, whichever", 1, { LEGAL ",bureau" }, {
        { &fa, POLICY_APPROVE, "", ERR_OK, 0, LEGAL, 0, "open" },
        { &li, POLICY_APPROVE, "", ERR_OK, 0, "bureau", 1, "granted" } } },
    { "one person is not two, with a step between", 1, { "provider," LEGAL ",bureau" }, {
        { &qian, POLICY_APPROVE, "", ERR_OK, 0, "provider", 0, "open" },
        { &fa, POLICY_APPROVE, "", ERR_OK, 0, LEGAL, 0, "open" },
        DENY(qian, REASON_FOUR_EYES),
        { &li, POLICY_APPROVE, "", ERR_OK, 0, "bureau", 1, "granted" } } },
    { "one officer of one department is not two", 1, { "consumer,department:education,bureau" }, {
        { &ke, POLICY_APPROVE, "", ERR_OK, 0, "consumer", 0, "open" },
        DENY(ke, REASON_FOUR_EYES),
        { &zhao, POLICY_APPROVE, "", ERR_OK, 0, "department:education", 0, "open" },
        { &li, POLICY_APPROVE, "", ERR_OK, 0, "bureau", 1, "granted" } } },
    { "the requester's department is named: still never the requester", 1, { "department:education,bureau" }, {
        DENY(wang, REASON_FOUR_EYES),
        { &zhao, POLICY_APPROVE, "", ERR_OK, 0, "department:education", 0, "open" } } },
    { "returned in the midst", 1, { "provider," LEGAL ",bureau" }, {
        { &zhang, POLICY_APPROVE, "", ERR_OK, 0, "provider", 0, "open" },
        { &fa, POLICY_RETURN, "依据不足", ERR_OK, 0, LEGAL, 0, "returned" },
        { &li, POLICY_APPROVE, "", ERR_CONFLICT, 0, NULL, 0, "returned" } } },
    { "rejected at the last", 1, { "bureau,provider" }, {
        { &li, POLICY_APPROVE, "", ERR_OK, 0, "bureau", 0, "open" },
        { &zhang, POLICY_REJECT, "不予共享", ERR_OK, 0, "provider", 0, "rejected" } } },
    { "the provider last brings the grant", 1, { "bureau,provider" }, {
        { &li, POLICY_APPROVE, "", ERR_OK, 0, "bureau", 0, "open" },
        { &zhang, POLICY_APPROVE, "", ERR_OK, 0, "provider", 1, "granted" } } },
    { "two lists at one provider are two parts", 3, { "bureau" }, {
        { &li, POLICY_APPROVE, "", ERR_OK, 0, "bureau", 1, "open" }, /* household, alone */
        { &zhang, POLICY_APPROVE, "", ERR_OK, 0, "provider", 0, "open" }, /* residence */
        { &li, POLICY_APPROVE, "", ERR_OK, 0, "bureau", 1, "open" },
        { &sun, POLICY_REJECT, "不予共享", ERR_OK, 0, "provider", 0, "granted" } } },
    { "the same steps, said or not, are one part", 3, { "provider,bureau" }, {
        { &zhang, POLICY_APPROVE, "", ERR_OK, 0, "provider", 0, "open" },
        { &li, POLICY_APPROVE, "", ERR_OK, 0, "bureau", 2, "open" } } },
    { "no such act", 1, { NULL }, { { &zhang, (enum policy_act)7, "", ERR_INVALID, 0, NULL, 0, "open" } } },
};
/* clang-format on */

static enum err count(void *arg, const struct policy_grant_row *g)
{
    (void)g;
    (*(size_t *)arg)++;
    return ERR_OK;
}

static void play(struct bench *b, const struct script *s)
{
    struct policy_request q = bench_request(s->wishes), back;
    struct policy_wish wishes[3];
    size_t before = 0;

    memcpy(wishes, q.wishes, s->wishes * sizeof *wishes);
    for (size_t i = 0; i < s->wishes; i++)
        wishes[i].steps = slice_of(s->steps[i]);
    q.wishes = wishes;
    struct slice id = bench_create(b, &q);

    assert_int_equal(policy_grant_each(b->tx, &(struct policy_grant_filter){ 0 }, &b->a, count, &before), ERR_OK);
    for (size_t i = 0; i < 8 && s->acts[i].by; i++) {
        const struct act *act = &s->acts[i];
        struct policy_decision what = { .act = act->act, .note = slice_of(act->note) };
        struct policy_decided done = { 0 };
        enum reason why = REASON_INTERNAL;
        enum err e =
            policy_decide_request(b->tx, id, &what, act->by, bench_time(23, (int)i), &b->a, &done, &why, &b->d);

        if (e != act->want)
            fail_msg("%s, act %zu: %s", s->what, i + 1, err_name(e));
        if (e == ERR_DENIED && why != act->why)
            fail_msg("%s, act %zu: %s", s->what, i + 1, reason_info(why)->code);
        if (e == ERR_OK && done.parts == 0)
            fail_msg("%s, act %zu: of no part", s->what, i + 1);
        if (e == ERR_OK && !slice_is(done.step, act->step))
            fail_msg("%s, act %zu: step %.*s", s->what, i + 1, SLICE_ARG(done.step));
        size_t born = 0;
        assert_int_equal(policy_grant_each(b->tx, &(struct policy_grant_filter){ 0 }, &b->a, count, &born), ERR_OK);
        if (done.n_grants != act->grants || born - before != act->grants)
            fail_msg("%s, act %zu: %zu grants told, %zu born", s->what, i + 1, done.n_grants, born - before);
        before = born;
        assert_int_equal(policy_request_find(b->tx, id, &b->a, &back), ERR_OK);
        if (!slice_is(back.state, act->state))
            fail_msg("%s, act %zu: request is %.*s", s->what, i + 1, SLICE_ARG(back.state));
    }
}

static void test_scripts(void **state)
{
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
        play(*state, &scripts[i]);
}

/* One part is decided, the other stays as it is. */
static void test_one_part(void **state)
{
    static const struct {
        const struct policy_actor *by;
        enum policy_act act;
        const char *note;
        uint64_t part;
        enum err want;
        uint64_t parts; /* decided, as bits */
    } rows[] = {
        { &li, POLICY_APPROVE, "", 1, ERR_DENIED, 0 }, /* the provider comes first */
        { &zhang, POLICY_APPROVE, "", 2, ERR_DENIED, 0 }, { &zhang, POLICY_APPROVE, "", 3, ERR_CONFLICT, 0 },
        { &zhang, POLICY_APPROVE, "", 1, ERR_OK, 1 },     { &li, POLICY_REJECT, "不需要", 2, ERR_OK, 2 },
        { &li, POLICY_APPROVE, "", 2, ERR_CONFLICT, 0 },  { &li, POLICY_APPROVE, "", 1, ERR_OK, 1 },
    };
    struct bench *b = *state;
    struct policy_request q = bench_request(2);
    struct policy_wish wishes[2] = { q.wishes[0], q.wishes[1] };

    wishes[1].steps = SLICE("bureau");
    q.wishes = wishes;
    struct slice id = bench_create(b, &q);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct policy_decision what = { .act = rows[i].act, .note = slice_of(rows[i].note), .part = rows[i].part };
        struct policy_decided done = { 0 };
        enum reason why = REASON_INTERNAL;
        enum err e = policy_decide_request(b->tx, id, &what, rows[i].by, 1, &b->a, &done, &why, &b->d);

        if (e != rows[i].want || done.parts != rows[i].parts)
            fail_msg("act %zu: %s", i + 1, err_name(e));
        if (i + 1 == sizeof rows / sizeof *rows)
            assert_int_equal(done.n_grants, 1);
    }
}

/* What waits for whom is what they may decide: asked of everybody after each act. */
static void test_what_waits(void **state)
{
    static const struct {
        const struct policy_actor *decides; /* before this row is looked at; NULL: nobody yet */
        const char *waits;
    } rows[] = {
        { NULL, "zhao ke " }, { &zhao, "zhang qian " }, { &qian, "fa hu " }, { &hu, "li " }, { &li, "" },
    };
    static const struct {
        const char *name;
        const struct policy_actor *who;
    } all[] = { { "wang", &wang }, { "zhao", &zhao }, { "zhang", &zhang }, { "sun", &sun }, { "li", &li },
                { "chen", &chen }, { "qian", &qian }, { "fa", &fa },       { "hu", &hu },   { "ke", &ke } };
    struct bench *b = *state;
    struct policy_request q = bench_request(1);
    struct policy_wish wish = q.wishes[0];

    wish.steps = SLICE("consumer,provider," LEGAL ",bureau");
    q.wishes = &wish;
    struct slice id = bench_create(b, &q);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct policy_decided done;
        enum reason why;
        char text[128] = "";

        if (rows[i].decides)
            assert_int_equal(policy_decide_request(b->tx, id, &approves, rows[i].decides, 1, &b->a, &done, &why, &b->d),
                             ERR_OK);
        assert_int_equal(policy_request_find(b->tx, id, &b->a, &q), ERR_OK);
        for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
            bool waits;
            assert_int_equal(policy_request_waits(b->tx, &q, all[k].who, &waits), ERR_OK);
            if (waits)
                snprintf(text + strlen(text), sizeof text - strlen(text), "%s ", all[k].name);
        }
        assert_string_equal(text, rows[i].waits);
    }
    struct policy_grant_row g;
    assert_int_equal(policy_grant_find(b->tx, SLICE("g1"), &b->a, &g), ERR_OK);
    assert_true(slice_is(g.approvers, "education/zhao,public-security/qian,legal-affairs/hu,data-bureau/li"));
}

/* Whoever is refused is told, in both languages, who may. */
static void test_what_is_said(void **state)
{
    static const struct {
        const char *steps;
        const struct policy_actor *first, *then; /* first: decides; then: is refused */
        const char *said[2];
    } rows[] = {
        { NULL,
          NULL,
          &li,
          { "the part of public-security waits for a provider officer of public-security",
            "public-security 部分待 public-security 的提供方经办人审批" } },
        { "bureau", NULL, &zhang, { "waits for a bureau approver", "待大数据主管部门审批人审批" } },
        { "consumer,bureau",
          NULL,
          &li,
          { "waits for a consumer officer of education", "待 education 的使用方经办人审批" } },
        { LEGAL ",bureau",
          NULL,
          &li,
          { "waits for a department officer of legal-affairs", "待 legal-affairs 的经办人审批" } },
        { NULL,
          &qian,
          &qian,
          { "you decided on the part of public-security already: this step waits for another bureau approver",
            "本人已审批过 public-security 部分：该步骤须由另一位大数据主管部门审批人办理" } },
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct policy_request q = bench_request(1);
        struct policy_wish wish = q.wishes[0];
        struct policy_decided done;
        enum reason why;

        wish.steps = slice_of(rows[i].steps);
        q.wishes = &wish;
        struct slice id = bench_create(b, &q);
        if (rows[i].first)
            assert_int_equal(policy_decide_request(b->tx, id, &approves, rows[i].first, 1, &b->a, &done, &why, &b->d),
                             ERR_OK);
        diags_init(&b->d, &b->a);
        assert_int_equal(policy_decide_request(b->tx, id, &approves, rows[i].then, 1, &b->a, &done, &why, &b->d),
                         ERR_DENIED);
        for (unsigned l = 0; l < 2; l++)
            if (b->d.first == NULL || strstr(b->d.first->what[l], rows[i].said[l]) == NULL)
                fail_msg("row %zu: %s", i, b->d.first ? b->d.first->what[l] : "nothing said");
    }
}

/* State that no act could leave brings no grant: a step that was jumped over, rows out of order. */
static void test_damaged(void **state)
{
    static const char *const damages[] = {
        "UPDATE policy_step SET state = CASE position WHEN 0 THEN 'next' ELSE 'waiting' END",
        "UPDATE policy_step SET position = position + 5",
        "UPDATE policy_step SET part = part + 1",
        "UPDATE policy_step SET part = part + position",
        "DELETE FROM policy_step WHERE position = 0",
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct policy_request q = bench_request(1);
        struct policy_decided done = { 0 };
        enum reason why;

        assert_int_equal(sql_exec(b->tx, "DELETE FROM policy_step", NULL, 0, NULL), ERR_OK);
        struct slice id = bench_create(b, &q);
        assert_int_equal(sql_exec(b->tx, damages[i], NULL, 0, NULL), ERR_OK);
        enum err e = policy_decide_request(b->tx, id, &approves, &li, 1, &b->a, &done, &why, &b->d);
        if (e != ERR_CORRUPT || done.n_grants != 0)
            fail_msg("%s: %s, %zu grants", damages[i], err_name(e), done.n_grants);
    }
}

static enum err last_of_bureau(void *arg, const struct policy_approval *ap)
{
    if (slice_is(ap->step, "bureau"))
        *(struct policy_approval *)arg = *ap;
    return ERR_OK;
}

static void test_what_is_kept(void **state)
{
    struct bench *b = *state;
    struct policy_request q = bench_request(1);
    struct slice id = bench_create(b, &q);
    struct policy_decided done;
    struct policy_approval ap = { 0 };
    struct policy_grant_row g;
    enum reason why;

    assert_int_equal(policy_decide_request(b->tx, id, &approves, &zhang, 1000, &b->a, &done, &why, &b->d), ERR_OK);
    assert_true(slice_is(done.provider, "public-security") && done.parts == 1);
    assert_int_equal(policy_decide_request(b->tx, id,
                                           &(struct policy_decision){ .act = POLICY_APPROVE, .note = SLICE("同意") },
                                           &li, 2000, &b->a, &done, &why, &b->d),
                     ERR_OK);
    assert_int_equal(policy_approval_each(b->tx, id, &b->a, last_of_bureau, &ap), ERR_OK);
    assert_true(slice_is(ap.state, "approved") && slice_is(ap.by, "data-bureau/li") && slice_is(ap.note, "同意") &&
                ap.at == 2000);
    assert_int_equal(done.n_grants, 1);
    assert_int_equal(policy_grant_find(b->tx, done.grants[0], &b->a, &g), ERR_OK);
    assert_true(slice_is(g.id, "g1") && slice_is(g.request, "r1") && slice_is(g.app, "education/admission"));
    assert_true(slice_is(g.department, "education") && slice_is(g.provider, "public-security"));
    assert_true(slice_is(g.resource, "public-security/household") && g.resource_version == 1 && g.version == 1);
    assert_true(slice_is(g.items, "id_no,name,relation") && slice_is(g.clear, "relation"));
    assert_true(slice_is(g.purposes, "admission,transfer") && slice_is(g.basis, "义务教育法第十二条"));
    assert_true(slice_is(g.author, "education/wang") && slice_is(g.approvers, "public-security/zhang,data-bureau/li"));
    assert_true(slice_is(g.state, "active") && slice_is(g.note, "") && slice_is(g.changed_by, "data-bureau/li"));
    assert_true(g.day_from == q.day_from && g.day_to == q.day_to && g.minute_from == 480 && g.minute_to == 1080 &&
                g.weekdays == 0x1f);
    assert_true(g.expires == q.expires && g.max_rows == 20 && g.created == 2000 && g.changed == 2000);
    assert_int_equal(policy_decide_request(b->tx, SLICE("r7"), &approves, &li, 1, &b->a, &done, &why, &b->d),
                     ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_scripts, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_one_part, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_what_waits, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_what_is_said, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_damaged, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(test_what_is_kept, bench_open, bench_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
