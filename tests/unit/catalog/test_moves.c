/* Life cycles: every move from every state, told apart by kind; several versions of a resource at once. */
#include "shelf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const char *const verbs[] = {
    "activate", "disable", "submit", "return", "publish", "suspend", "resume", "retire"
};
static const struct {
    const char *state;
    const char *after[8]; /* by move; NULL: refused */
} people[] = { { "registered", { "active" } }, { "active", { NULL, "disabled" } }, { "disabled", { "active" } } },
  resources[] = {
      { "draft", { NULL, NULL, "submitted", NULL, NULL, NULL, NULL, "retired" } },
      { "submitted", { NULL, NULL, NULL, "draft", "published", NULL, NULL, "retired" } },
      { "published", { NULL, NULL, NULL, NULL, NULL, "suspended", NULL, "retired" } },
      { "suspended", { NULL, NULL, NULL, NULL, NULL, NULL, "published", "retired" } },
      { "retired", { NULL } },
  },
  policies[] = { { "registered", { "active" } }, { "active", { NULL } }, { "replaced", { NULL } } };

static enum err go(struct shelf *s, enum catalog_kind k, const char *id, unsigned m, struct catalog_entry *e)
{
    struct catalog_act act = { .move = (enum catalog_move)m, .by = SLICE("public-security/zhang"), .now = 2000 };

    if (m == CATALOG_PUBLISH)
        act.by = SLICE("bureau/li");
    diags_init(&s->d, &s->a);
    return catalog_move(s->tx, k, slice_of(id), &act, &s->a, e, &s->d);
}

/* The test sets states by SQL, so that the table is tried from each of them alone. */
static void set(struct shelf *s, const char *id, const char *state)
{
    assert_int_equal(sql_exec(s->tx, "UPDATE catalog_entry SET state = $2 WHERE id = $1",
                              SQL_ARGS(SQL_T(slice_of(id)), SQL_T(slice_of(state))), NULL),
                     ERR_OK);
}

static void try(struct shelf *s, enum catalog_kind k, const char *id, const char *state, const char *const after[8])
{
    for (unsigned m = 0; m < 8; m++) {
        struct catalog_entry e = { 0 };

        set(s, id, state);
        enum err got = go(s, k, id, m, &e);
        if (got != (after[m] ? ERR_OK : ERR_CONFLICT))
            fail_msg("%s of a %s %s: %s", verbs[m], state, catalog_kind_name(k), err_name(got));
        if (after[m])
            assert_true(slice_is(e.state, after[m]) && e.changed == 2000);
        else
            assert_int_equal(s->d.count, 1);
    }
}

static void test_table(void **state)
{
    struct shelf *s = *state;
    struct catalog_entry e;

    shelf_put(s, shelf_department(s, "public-security", 1));
    shelf_put(s, shelf_department(s, "education", 2));
    shelf_put(s, "kind: Person\nid: education/wang\nname: w\n");
    shelf_put(s, "kind: App\nid: education/admission\ntitle: a\ncontact: {person: education/wang}\n");
    shelf_put(s, "kind: CodeTable\nid: t\ntitle: t\ncodes: [{code: 1, title: x}]\n");
    shelf_put(s, shelf_sketch);
    for (size_t i = 0; i < sizeof people / sizeof *people; i++) {
        try(s, CATALOG_DEPARTMENT, "education", people[i].state, people[i].after);
        try(s, CATALOG_PERSON, "education/wang", people[i].state, people[i].after);
        try(s, CATALOG_APP, "education/admission", people[i].state, people[i].after);
    }
    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++)
        try(s, CATALOG_RESOURCE, "public-security/household", resources[i].state, resources[i].after);
    shelf_put(s, "kind: Policy\nid: approval\nname: n\napproval: {conditional: [bureau]}\n");
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++)
        try(s, CATALOG_POLICY, "approval", policies[i].state, policies[i].after);
    try(s, CATALOG_CODE_TABLE, "t", "active", (const char *const[8]){ NULL });
    assert_int_equal(go(s, CATALOG_PERSON, "education/nobody", CATALOG_ACTIVATE, &e), ERR_NOT_FOUND);
    assert_int_equal(go(s, CATALOG_PERSON, "education/wang", 8, &e), ERR_INVALID);
}

static void test_refusal_says_from_where(void **state)
{
    struct shelf *s = *state;
    struct catalog_entry e;

    shelf_put(s, shelf_department(s, "public-security", 1));
    shelf_put(s, shelf_sketch);
    assert_int_equal(go(s, CATALOG_RESOURCE, "public-security/household", CATALOG_PUBLISH, &e), ERR_CONFLICT);
    assert_true(shelf_said(s, "publish is not possible in state draft; it is from: submitted"));
}

static enum err household(struct shelf *s, enum catalog_move m, uint64_t version, const char *by)
{
    struct catalog_act act = { .move = m, .version = version, .by = slice_of(by), .now = 2000 };
    struct catalog_entry e;

    diags_init(&s->d, &s->a);
    return catalog_move(s->tx, CATALOG_RESOURCE, SLICE("public-security/household"), &act, &s->a, &e, &s->d);
}

/* The version that is named, or none; by another person than the one who submitted it. */
static void test_publishing_what_was_shown(void **state)
{
    struct shelf *s = *state;
    struct catalog_entry e;
    const char *officer = "public-security/zhang", *approver = "bureau/li";

    shelf_put(s, shelf_department(s, "public-security", 1));
    shelf_put(s, shelf_sketch);
    assert_int_equal(household(s, CATALOG_SUBMIT, 0, officer), ERR_OK);
    shelf_put(s, shelf_sketch_with(s, "update: daily", "update: weekly"));
    assert_int_equal(household(s, CATALOG_PUBLISH, 2, approver), ERR_CONFLICT);
    assert_true(shelf_said(s, "version 2 is draft, version 1 is submitted: look at that one"));
    assert_int_equal(household(s, CATALOG_PUBLISH, 3, approver), ERR_NOT_FOUND);
    assert_int_equal(household(s, CATALOG_PUBLISH, 1, officer), ERR_DENIED);
    assert_true(shelf_said(s, "you submitted version 1: another bureau approver publishes it"));
    /* What is with the bureau stays there, and stays what it is, until the bureau has decided. */
    assert_int_equal(household(s, CATALOG_SUBMIT, 0, officer), ERR_CONFLICT);
    assert_true(shelf_said(s, "version 1 is with the bureau already"));
    assert_int_equal(household(s, CATALOG_RETURN, 0, approver), ERR_OK);
    assert_int_equal(household(s, CATALOG_SUBMIT, 0, "public-security/qian"), ERR_OK);
    assert_int_equal(household(s, CATALOG_SUBMIT, 0, officer), ERR_CONFLICT); /* version 1 is not the newest */
    assert_int_equal(household(s, CATALOG_PUBLISH, 2, "public-security/qian"), ERR_DENIED);
    assert_int_equal(household(s, CATALOG_PUBLISH, 2, officer), ERR_OK);
    assert_int_equal(catalog_find(s->tx, CATALOG_RESOURCE, SLICE("public-security/household"), 2, &s->a, &e), ERR_OK);
    assert_true(slice_is(e.state, "published") && slice_is(e.submitter, "public-security/qian"));
}

/* No version outlives it, and none comes after it. */
static void test_retired_for_good(void **state)
{
    struct shelf *s = *state;
    struct catalog_entry e;
    enum catalog_put put;
    uint64_t version;

    shelf_put(s, shelf_department(s, "public-security", 1));
    shelf_put(s, shelf_sketch);
    assert_int_equal(household(s, CATALOG_SUBMIT, 0, "public-security/zhang"), ERR_OK);
    shelf_put(s, shelf_sketch_with(s, "update: daily", "update: weekly"));
    assert_int_equal(household(s, CATALOG_RETIRE, 0, "bureau/li"), ERR_OK);
    for (uint64_t v = 1; v <= 2; v++) {
        assert_int_equal(catalog_find(s->tx, CATALOG_RESOURCE, SLICE("public-security/household"), v, &s->a, &e),
                         ERR_OK);
        assert_true(slice_is(e.state, "retired"));
        assert_int_equal(household(s, CATALOG_PUBLISH, v, "bureau/li"), ERR_CONFLICT);
    }
    assert_int_equal(shelf_try(s, shelf_sketch, &put, &version), ERR_CONFLICT);
    assert_true(shelf_said(s, "public-security/household is retired for good"));
    assert_int_equal(shelf_try(s, shelf_sketch_with(s, "update: daily", "update: weekly"), &put, &version), ERR_OK);
    assert_int_equal(put, CATALOG_UNCHANGED);
    /* A version that an older program left behind is not published either; it may be retired as well. */
    assert_int_equal(sql_exec(s->tx, "UPDATE catalog_entry SET state = 'submitted' WHERE kind = $1 AND version = 1",
                              SQL_ARGS(SQL_I(CATALOG_RESOURCE)), NULL),
                     ERR_OK);
    assert_int_equal(household(s, CATALOG_PUBLISH, 1, "bureau/li"), ERR_CONFLICT);
    assert_int_equal(household(s, CATALOG_RETIRE, 0, "bureau/li"), ERR_OK);
}

/* Three versions: 1 and 2 published, 3 submitted or draft. */
static void test_every_version_moves(void **state)
{
    static const struct {
        unsigned move;
        uint64_t told;
        const char *after[3];
    } steps[] = {
        { CATALOG_SUSPEND, 2, { "suspended", "suspended", "submitted" } },
        { CATALOG_PUBLISH, 3, { "suspended", "suspended", "published" } },
        { CATALOG_RESUME, 2, { "published", "published", "published" } },
        { CATALOG_SUSPEND, 3, { "suspended", "suspended", "suspended" } },
        { CATALOG_RETIRE, 3, { "retired", "retired", "retired" } },
    };
    static const char *const updates[] = { "update: daily", "update: weekly", "update: monthly" };
    struct shelf *s = *state;
    struct catalog_entry e;

    shelf_put(s, shelf_department(s, "public-security", 1));
    for (unsigned v = 0; v < 3; v++) {
        shelf_put(s, shelf_sketch_with(s, "update: daily", updates[v]));
        assert_int_equal(go(s, CATALOG_RESOURCE, "public-security/household", CATALOG_SUBMIT, &e), ERR_OK);
        if (v < 2)
            assert_int_equal(go(s, CATALOG_RESOURCE, "public-security/household", CATALOG_PUBLISH, &e), ERR_OK);
        assert_int_equal(e.version, v + 1);
    }
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_int_equal(go(s, CATALOG_RESOURCE, "public-security/household", steps[i].move, &e), ERR_OK);
        assert_int_equal(e.version, steps[i].told);
        for (unsigned v = 0; v < 3; v++) {
            assert_int_equal(
                catalog_find(s->tx, CATALOG_RESOURCE, SLICE("public-security/household"), v + 1, &s->a, &e), ERR_OK);
            if (!slice_is(e.state, steps[i].after[v]))
                fail_msg("step %zu, version %u: %.*s", i, v + 1, SLICE_ARG(e.state));
        }
    }
}

static void test_verbs(void **state)
{
    static const bool narrow[8] = { [CATALOG_DISABLE] = true, [CATALOG_SUSPEND] = true, [CATALOG_RETIRE] = true };
    enum catalog_move m;

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        assert_true(catalog_move_of(slice_of(verbs[i]), &m));
        assert_int_equal(m, i);
        assert_int_equal(catalog_move_narrows(m), narrow[i]);
    }
    assert_false(catalog_move_of(SLICE("delete"), &m));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_table, shelf_open_store, shelf_close),
        cmocka_unit_test_setup_teardown(test_refusal_says_from_where, shelf_open_store, shelf_close),
        cmocka_unit_test_setup_teardown(test_every_version_moves, shelf_open_store, shelf_close),
        cmocka_unit_test_setup_teardown(test_publishing_what_was_shown, shelf_open_store, shelf_close),
        cmocka_unit_test_setup_teardown(test_retired_for_good, shelf_open_store, shelf_close),
        cmocka_unit_test(test_verbs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
