/* The policy of approval: what its manifest may say, its versions, and which steps hold at each moment. */
#include "shelf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define HEAD              "kind: Policy\nid: approval\nname: {zh: 审批步骤, en: Approval steps}\n"
#define CONDITIONAL(list) HEAD "approval:\n  conditional: " list "\n"

static const struct {
    const char *yaml;
    const char *says[2]; /* English, Chinese; NULL: nothing is wrong */
    unsigned line, col;
} rows[] = {
    { CONDITIONAL("[provider, bureau]"), { NULL }, 0, 0 },
    { CONDITIONAL("[bureau]"), { NULL }, 0, 0 },
    { CONDITIONAL("[consumer, {department: legal}, provider]"), { NULL }, 0, 0 },
    { CONDITIONAL("[{department: a}, {department: b}, {department: c}, {department: d}, {department: e}, "
                  "{department: f}, consumer, bureau]"),
      { NULL },
      0,
      0 },
    { "kind: Policy\nid: approval\ntitle: t\napproval: {unconditional: [bureau], conditional: [provider, bureau]}\n",
      { NULL },
      0,
      0 },
    { CONDITIONAL("[]"), { "name 1 to 8 steps", "请填写 1 至 8 个步骤" }, 5, 16 },
    { CONDITIONAL("[{department: a}, {department: b}, {department: c}, {department: d}, {department: e}, "
                  "{department: f}, consumer, provider, bureau]"),
      { "name 1 to 8 steps", "请填写 1 至 8 个步骤" },
      5,
      16 },
    { CONDITIONAL("[consumer]"), { "neither provider nor bureau", "没有 provider 或 bureau" }, 5, 16 },
    { CONDITIONAL("[{department: bureau}]"), { "neither provider nor bureau", "没有 provider 或 bureau" }, 5, 16 },
    { CONDITIONAL("[bureau, mayor]"), { "a step is provider, bureau, consumer or", "审批步骤应为" }, 5, 25 },
    { CONDITIONAL("[bureau, legal-affairs]"), { "a step is provider, bureau, consumer or", "审批步骤应为" }, 5, 25 },
    { CONDITIONAL("[bureau, 1]"), { "a step is provider, bureau, consumer or", "审批步骤应为" }, 5, 25 },
    { CONDITIONAL("[bureau, [provider]]"), { "a step is provider, bureau, consumer or", "审批步骤应为" }, 5, 25 },
    { CONDITIONAL("[bureau, null]"), { "a step is provider, bureau, consumer or", "审批步骤应为" }, 5, 25 },
    { CONDITIONAL("[bureau, provider, bureau]"), { "in the list already", "该步骤重复" }, 5, 35 },
    { CONDITIONAL("[{department: a}, bureau, {department: a}]"), { "in the list already", "该步骤重复" }, 5, 42 },
    { CONDITIONAL("[bureau, {department: A}]"), { "'department' must be an identifier", "department" }, 5, 38 },
    { CONDITIONAL("[bureau, {office: a}]"), { "unknown key 'office'", "office" }, 5, 26 },
    { CONDITIONAL("[bureau, {}]"), { "'department' is missing", "department" }, 5, 25 },
    { CONDITIONAL("bureau"), { "must be a list", "conditional" }, 5, 16 },
    { HEAD "approval: {}\n", { "the policy says nothing", "策略没有内容" }, 4, 11 },
    { HEAD "approval: [bureau]\n", { "must be keys with values", "approval" }, 4, 11 },
    { HEAD "approval: {none: [bureau]}\n", { "unknown key 'none'", "none" }, 4, 12 },
    { HEAD, { "'approval' is missing", "approval" }, 1, 1 },
    { "kind: Policy\nid: approval-2\nname: n\napproval: {conditional: [bureau]}\n",
      { "write id: approval", "应为 id: approval" },
      2,
      5 },
    { "kind: Policy\nid: approval\napproval: {conditional: [bureau]}\n",
      { "a policy needs a name", "策略须有且只有一个名称" },
      1,
      1 },
    { "kind: Policy\nid: approval\nname: n\ntitle: n\napproval: {conditional: [bureau]}\n",
      { "a policy needs a name", "策略须有且只有一个名称" },
      1,
      1 },
};

static const struct diag *find(const struct shelf *s, const char *says)
{
    for (const struct diag *one = s->d.first; one; one = one->next)
        if (strstr(one->what[LANG_EN], says))
            return one;
    return NULL;
}

static void test_manifests(void **state)
{
    struct shelf *s = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct catalog_manifest m;
        enum err e = shelf_read(s, rows[i].yaml, &m);
        const struct diag *one = rows[i].says[0] ? find(s, rows[i].says[0]) : NULL;

        if (e != (rows[i].says[0] ? ERR_INVALID : ERR_OK) || (rows[i].says[0] != NULL && one == NULL))
            fail_msg("%s%s: %s", rows[i].yaml, err_name(e), shelf_problems(s));
        if (one != NULL && (one->line != rows[i].line || one->col != rows[i].col ||
                            strstr(one->what[LANG_ZH], rows[i].says[1]) == NULL))
            fail_msg("%sat %u:%u: %s", rows[i].yaml, one->line, one->col, one->what[LANG_ZH]);
    }
}

/* ---- the store ---- */

static const char plain[] = CONDITIONAL("[bureau]");
static const char strict[] = CONDITIONAL("[provider, {department: legal}, bureau]");

static enum err check(struct shelf *s, const char *yaml)
{
    const struct doc *list = NULL;

    assert_non_null(yaml);
    assert_int_equal(doc_read_yaml(slice_of(yaml), &s->a, NULL, &list), ERR_OK);
    diags_init(&s->d, &s->a);
    return catalog_policy_check(s->tx, list->first, &s->a, &s->d);
}

static enum err move(struct shelf *s, enum catalog_kind k, const char *id, enum catalog_move m, uint64_t version,
                     const char *by)
{
    struct catalog_act act = { .move = m, .version = version, .by = slice_of(by), .now = 2000 };
    struct catalog_entry e;

    diags_init(&s->d, &s->a);
    return catalog_move(s->tx, k, slice_of(id), &act, &s->a, &e, &s->d);
}

static enum err activate(struct shelf *s, uint64_t version)
{
    return move(s, CATALOG_POLICY, "approval", CATALOG_ACTIVATE, version, "bureau/security");
}

static void expect_steps(struct shelf *s, const char *share, const char *want)
{
    struct slice steps;

    assert_int_equal(catalog_policy_steps(s->tx, slice_of(share), &s->a, &steps), ERR_OK);
    if (!slice_is(steps, want))
        fail_msg("%s: \"%.*s\", not \"%s\"", share, SLICE_ARG(steps), want);
}

static enum err list_version(void *arg, const struct catalog_entry *e)
{
    char *text = arg;

    snprintf(text + strlen(text), 256 - strlen(text), "%llu=%.*s(%.*s) ", (unsigned long long)e->version,
             SLICE_ARG(e->state), SLICE_ARG(e->submitter));
    return ERR_OK;
}

static void expect_versions(struct shelf *s, const char *want)
{
    char text[256] = "";

    assert_int_equal(
        catalog_each(s->tx, CATALOG_POLICY, &(struct catalog_filter){ .all_versions = true }, list_version, text),
        ERR_OK);
    assert_string_equal(text, want);
}

#define BY "(bureau/system) "
static void test_versions(void **state)
{
    struct shelf *s = *state;

    expect_steps(s, "conditional", "");
    assert_int_equal(shelf_put(s, plain), CATALOG_CREATED);
    assert_int_equal(shelf_put(s, plain), CATALOG_UNCHANGED);
    expect_steps(s, "conditional", ""); /* registered is not active */
    assert_int_equal(activate(s, 1), ERR_OK);
    expect_steps(s, "conditional", "bureau");
    expect_steps(s, "unconditional", ""); /* not listed */
    expect_steps(s, "none", "");
    assert_int_equal(shelf_put(s, plain), CATALOG_UNCHANGED);
    assert_int_equal(shelf_put(s, CONDITIONAL("[provider]")), CATALOG_CHANGED);
    assert_int_equal(shelf_put(s, CONDITIONAL("[consumer, provider]")), CATALOG_CHANGED);
    expect_versions(s, "1=active" BY "2=replaced" BY "3=registered" BY);
    expect_steps(s, "conditional", "bureau"); /* until the change is activated */
    assert_int_equal(activate(s, 2), ERR_CONFLICT);
    assert_true(shelf_said(s, "version 2 is replaced, version 3 is registered: look at that one"));
    assert_int_equal(activate(s, 4), ERR_NOT_FOUND);
    assert_int_equal(activate(s, 3), ERR_OK);
    expect_versions(s, "1=replaced" BY "2=replaced" BY "3=active" BY);
    expect_steps(s, "conditional", "consumer,provider");
    for (uint64_t v = 1; v <= 3; v++)
        assert_int_equal(activate(s, v), ERR_CONFLICT);
    assert_int_equal(move(s, CATALOG_POLICY, "approval", CATALOG_DISABLE, 0, "bureau/security"), ERR_CONFLICT);
    assert_int_equal(shelf_put(s, plain), CATALOG_CHANGED); /* what held once comes back as a version of its own */
    expect_versions(s, "1=replaced" BY "2=replaced" BY "3=active" BY "4=registered" BY);
}

static void test_four_eyes(void **state)
{
    struct shelf *s = *state;

    shelf_put(s, plain);
    assert_int_equal(move(s, CATALOG_POLICY, "approval", CATALOG_ACTIVATE, 1, "bureau/system"), ERR_DENIED);
    assert_true(shelf_said(s, "you applied version 1: another security administrator activates it"));
    expect_versions(s, "1=registered" BY);
    assert_int_equal(activate(s, 1), ERR_OK);
}

static void test_departments(void **state)
{
    struct shelf *s = *state;
    enum catalog_put put;
    uint64_t version;

    /* What is wrong otherwise hides no department, and the other way round. */
    assert_int_equal(check(s, HEAD "approval:\n  unconditional: [mayor, bureau, {department: nobody}]\n"
                                   "  conditional: [{department: legal}]\n"),
                     ERR_INVALID);
    const struct diag *one = find(s, "department nobody is not registered, or not active");
    assert_true(one != NULL && one->line == 5 && one->col == 47);
    assert_true(strstr(one->what[LANG_ZH], "部门 nobody 未登记或未激活") != NULL);
    assert_true(find(s, "a step is") && find(s, "department legal") && find(s, "neither provider nor bureau"));
    assert_int_equal(shelf_try(s, strict, &put, &version), ERR_CONFLICT);
    shelf_put(s, shelf_department(s, "legal", 1));
    assert_int_equal(check(s, strict), ERR_CONFLICT); /* registered only */
    assert_int_equal(shelf_try(s, strict, &put, &version), ERR_CONFLICT);
    assert_int_equal(move(s, CATALOG_DEPARTMENT, "legal", CATALOG_ACTIVATE, 0, "x/y"), ERR_OK);
    assert_int_equal(check(s, strict), ERR_OK);
    assert_int_equal(shelf_put(s, strict), CATALOG_CREATED);
    assert_int_equal(move(s, CATALOG_DEPARTMENT, "legal", CATALOG_DISABLE, 0, "x/y"), ERR_OK);
    assert_int_equal(activate(s, 1), ERR_CONFLICT); /* looked at again */
    assert_true(s->d.first->line == 0 && shelf_said(s, "department legal"));
    expect_versions(s, "1=registered" BY);
    assert_int_equal(move(s, CATALOG_DEPARTMENT, "legal", CATALOG_ACTIVATE, 0, "x/y"), ERR_OK);
    assert_int_equal(activate(s, 1), ERR_OK);
    expect_steps(s, "conditional", "provider,department:legal,bureau");
}

/* However long a list is, no more of it is looked at than may stand in one, and no more departments are looked for. */
static void test_long_list(void **state)
{
    enum { STEPS = 2000 };
    struct shelf *s = *state;
    struct buf yaml = BUF_INIT(1 << 20);
    size_t told = 0;

    buf_puts(&yaml, HEAD "approval: {conditional: [bureau");
    for (int i = 0; i < STEPS; i++)
        buf_printf(&yaml, ", {department: d%d}", i);
    buf_puts(&yaml, "]}\n");
    buf_putc(&yaml, '\0');
    assert_int_equal(check(s, yaml.p), ERR_INVALID);
    buf_done(&yaml);
    assert_true(find(s, "name 1 to 8 steps") != NULL);
    for (const struct diag *one = s->d.first; one; one = one->next)
        told++;
    assert_int_equal(told, 1 + 7);
}

/* What cannot be read is never taken for "nothing is said". */
static void test_damaged(void **state)
{
    struct shelf *s = *state;
    struct slice steps;

    shelf_put(s, plain);
    assert_int_equal(activate(s, 1), ERR_OK);
    assert_int_equal(sql_exec(s->tx, "UPDATE catalog_entry SET json = '{' WHERE id = 'approval'", NULL, 0, NULL),
                     ERR_OK);
    assert_int_equal(catalog_policy_steps(s->tx, SLICE("conditional"), &s->a, &steps), ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_manifests, shelf_open, shelf_close),
        cmocka_unit_test_setup_teardown(test_versions, shelf_open_store, shelf_close),
        cmocka_unit_test_setup_teardown(test_four_eyes, shelf_open_store, shelf_close),
        cmocka_unit_test_setup_teardown(test_departments, shelf_open_store, shelf_close),
        cmocka_unit_test_setup_teardown(test_long_list, shelf_open_store, shelf_close),
        cmocka_unit_test_setup_teardown(test_damaged, shelf_open_store, shelf_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
