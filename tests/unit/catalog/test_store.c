/* Putting, finding and listing: idempotence, versions, what must be there first, what is used once, and text search. */
#include "shelf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define APP                                                                                                            \
    "kind: App\nid: education/admission\ntitle: {zh: 入学报名, en: Admission Desk}\ncontact: {person: "            \
    "education/wang}\n"

static void stock(struct shelf *s)
{
    assert_int_equal(shelf_put(s, shelf_department(s, "public-security", 1)), CATALOG_CREATED);
    assert_int_equal(shelf_put(s, shelf_department(s, "education", 2)), CATALOG_CREATED);
}

static struct catalog_entry get(struct shelf *s, enum catalog_kind k, const char *id, uint64_t version)
{
    struct catalog_entry e = { 0 };

    assert_int_equal(catalog_find(s->tx, k, slice_of(id), version, &s->a, &e), ERR_OK);
    return e;
}

static void move(struct shelf *s, enum catalog_kind k, const char *id, enum catalog_move m)
{
    struct catalog_act act = { .move = m, .by = SLICE("public-security/zhang"), .now = 2000 };
    struct catalog_entry e;

    if (m == CATALOG_PUBLISH)
        act.by = SLICE("bureau/li");
    assert_int_equal(catalog_move(s->tx, k, slice_of(id), &act, &s->a, &e, &s->d), ERR_OK);
}

static void test_created_and_unchanged(void **state)
{
    struct shelf *s = *state;
    struct catalog_entry e;

    stock(s);
    assert_int_equal(shelf_put(s, shelf_department(s, "education", 2)), CATALOG_UNCHANGED);
    assert_int_equal(shelf_put(s, APP), CATALOG_CREATED);
    assert_int_equal(shelf_put(s, APP), CATALOG_UNCHANGED);
    e = get(s, CATALOG_APP, "education/admission", 0);
    assert_true(slice_is(e.state, "registered") && slice_is(e.department, "education") && e.version == 1 &&
                e.created == 1000);
    assert_true(slice_is(e.title_zh, "入学报名") && slice_is(e.title_en, "Admission Desk") && e.kind == CATALOG_APP);
    assert_true(slice_is(
        e.json,
        "{\"kind\":\"App\",\"id\":\"education/admission\",\"title\":{\"zh\":\"入学报名\",\"en\":\"Admission Desk\"},"
        "\"contact\":{\"person\":\"education/wang\"}}"));
    move(s, CATALOG_APP, "education/admission", CATALOG_ACTIVATE);
    assert_int_equal(shelf_put(s, APP), CATALOG_UNCHANGED);
    assert_int_equal(
        shelf_put(s, "kind: App\nid: education/admission\ntitle: 报名\ncontact: {person: education/wang}\n"),
        CATALOG_CHANGED);
    e = get(s, CATALOG_APP, "education/admission", 0);
    assert_true(slice_is(e.state, "active") && e.version == 2 && slice_is(e.title_en, "报名"));
    assert_int_equal(catalog_find(s->tx, CATALOG_APP, SLICE("education/admission"), 1, &s->a, &e), ERR_NOT_FOUND);
    assert_int_equal(catalog_find(s->tx, CATALOG_PERSON, SLICE("education/admission"), 0, &s->a, &e), ERR_NOT_FOUND);
    assert_int_equal(shelf_put(s, "kind: CodeTable\nid: t\ntitle: t\ncodes: [{code: 1, title: x}]\n"), CATALOG_CREATED);
    assert_true(slice_is(get(s, CATALOG_CODE_TABLE, "t", 0).state, "active"));
}

/* What gains power must be activated anew; what loses it, or stays, need not. */
static void test_gains_need_activation(void **state)
{
    struct shelf *s = *state;
    const char *plain = shelf_department(s, "education", 2), *bureau = arena_printf(&s->a, "%sbureau: true\n", plain);

    stock(s);
    shelf_put(s, APP);
    move(s, CATALOG_APP, "education/admission", CATALOG_ACTIVATE);
    shelf_put(s, APP "administration: true\n");
    assert_true(slice_is(get(s, CATALOG_APP, "education/admission", 0).state, "registered"));
    move(s, CATALOG_APP, "education/admission", CATALOG_ACTIVATE);
    shelf_put(s, APP);
    assert_true(slice_is(get(s, CATALOG_APP, "education/admission", 0).state, "active"));
    move(s, CATALOG_DEPARTMENT, "education", CATALOG_ACTIVATE);
    shelf_put(s, bureau);
    assert_true(slice_is(get(s, CATALOG_DEPARTMENT, "education", 0).state, "registered"));
}

static void test_versions(void **state)
{
    static const struct {
        const char *title;
        enum catalog_put put;
        uint64_t version;
        int moves[3]; /* enum catalog_move + 1, afterwards */
    } steps[] = {
        { "甲", CATALOG_CREATED, 1, { 0 } },
        { "乙", CATALOG_CHANGED, 1, { CATALOG_SUBMIT + 1 } }, /* a draft changes in place */
        { "乙", CATALOG_UNCHANGED, 1, { 0 } },
        { "丙", CATALOG_CHANGED, 2, { CATALOG_PUBLISH + 1 } }, /* publishes version 1, the submitted one */
        { "丁", CATALOG_CHANGED, 2, { CATALOG_SUBMIT + 1, CATALOG_RETURN + 1 } },
        { "丁", CATALOG_UNCHANGED, 2, { 0 } },
        { "戊", CATALOG_CHANGED, 3, { 0 } }, /* what the bureau saw as 2 stays the only 2 */
        { "己", CATALOG_CHANGED, 3, { CATALOG_SUBMIT + 1, CATALOG_PUBLISH + 1 } },
        { "庚", CATALOG_CHANGED, 4, { CATALOG_RETIRE + 1 } },
        { "庚", CATALOG_UNCHANGED, 4, { 0 } },
    };
    struct shelf *s = *state;

    stock(s);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        char title[64];
        enum catalog_put put;
        uint64_t version = 0;

        snprintf(title, sizeof title, "title: %s", steps[i].title);
        assert_int_equal(
            shelf_try(s, shelf_sketch_with(s, "title: {zh: 户籍信息, en: Household register}", title), &put, &version),
            ERR_OK);
        assert_int_equal(put, steps[i].put);
        assert_int_equal(version, steps[i].version);
        for (int k = 0; k < 3 && steps[i].moves[k]; k++)
            move(s, CATALOG_RESOURCE, "public-security/household", (enum catalog_move)(steps[i].moves[k] - 1));
    }
    struct catalog_entry first = get(s, CATALOG_RESOURCE, "public-security/household", 1);
    assert_true(slice_is(first.title_zh, "乙") && slice_is(first.state, "retired")); /* kept as it was published */
    assert_true(slice_is(get(s, CATALOG_RESOURCE, "public-security/household", 3).title_zh, "己"));
    assert_true(slice_is(get(s, CATALOG_RESOURCE, "public-security/household", 0).state, "retired"));
}

static void test_refused(void **state)
{
    const char *other = "id: public-security/other";
    struct shelf *s = *state;
    enum catalog_put put;
    uint64_t version;

    assert_int_equal(shelf_try(s, APP, &put, &version), ERR_NOT_FOUND);
    assert_true(shelf_said(s, "department education is not registered") && s->d.first->line == 2);
    stock(s);
    assert_int_equal(shelf_try(s, shelf_sketch_with(s, "level: 3, mask: name", "codes: gb2261"), &put, &version),
                     ERR_NOT_FOUND);
    assert_true(shelf_said(s, "there is no code table gb2261") && s->d.first->line == 14);
    assert_int_equal(
        shelf_try(s, shelf_sketch_with(s, "{name: relation", "{codes: gb4761, name: relation"), &put, &version),
        ERR_NOT_FOUND);
    assert_true(shelf_said(s, "there is no code table gb4761"));
    shelf_put(s, "kind: CodeTable\nid: gb2261\ntitle: t\ncodes: [{code: 1, title: x}]\n");
    assert_int_equal(shelf_try(s, shelf_sketch_with(s, "level: 3, mask: name", "codes: gb2261"), &put, &version),
                     ERR_OK);

    /* Another id with the same code and the same title: both are told. */
    assert_int_equal(shelf_try(s, shelf_sketch_with(s, "id: public-security/household", other), &put, &version),
                     ERR_EXISTS);
    assert_true(shelf_said(s, "code 101001/1 is in use already") &&
                shelf_said(s, "has a resource titled 户籍信息 already"));
    const char *own_code = shelf_sketch_with(s, "id: public-security/household\ncode: 101001/1",
                                             "id: public-security/other\ncode: 101001/2");
    assert_int_equal(shelf_try(s, own_code, &put, &version), ERR_EXISTS);
    assert_true(!shelf_said(s, "in use already") && shelf_said(s, "has a resource titled"));
    /* The title of another provider's resource is free. */
    assert_int_equal(shelf_try(s,
                               shelf_sketch_with(s, "id: public-security/household\ncode: 101001/1",
                                                 "id: education/household\ncode: 101001/2"),
                               &put, &version),
                     ERR_OK);
    /* And so is that of a retired one; its code is not. */
    move(s, CATALOG_RESOURCE, "public-security/household", CATALOG_RETIRE);
    assert_int_equal(shelf_try(s, shelf_sketch_with(s, "id: public-security/household", other), &put, &version),
                     ERR_EXISTS);
    assert_true(shelf_said(s, "in use already") && !shelf_said(s, "has a resource titled"));
}

static void test_departments(void **state)
{
    struct shelf *s = *state;
    enum catalog_put put;
    uint64_t version;

    stock(s);
    assert_int_equal(shelf_try(s, "kind: Department\nid: a\ntitle: a\ncode: 91350211M0000XUF46\n", &put, &version),
                     ERR_INVALID);
    assert_true(shelf_said(s, "check digit of code 91350211M0000XUF46 is wrong") && s->d.first->line == 4);
    assert_int_equal(shelf_try(s, shelf_department(s, "a", 2), &put, &version), ERR_EXISTS); /* education's */
    assert_int_equal(shelf_try(s, arena_printf(&s->a, "%sbureau: true\n", shelf_department(s, "b", 3)), &put, &version),
                     ERR_OK);
    assert_int_equal(shelf_try(s, arena_printf(&s->a, "%sbureau: true\n", shelf_department(s, "c", 4)), &put, &version),
                     ERR_EXISTS);
    assert_true(shelf_said(s, "another department is the data bureau already"));
    assert_int_equal(shelf_try(s, arena_printf(&s->a, "%sbureau: true\n", shelf_department(s, "b", 5)), &put, &version),
                     ERR_OK);
    assert_int_equal(put, CATALOG_CHANGED);
}

/* A code with a wrong check digit that is there already (taken over from an older registry) does not stop other
 * changes. */
static void test_legacy_code(void **state)
{
    struct shelf *s = *state;
    enum catalog_put put;
    uint64_t version;

    stock(s);
    assert_int_equal(
        sql_exec(s->tx, "UPDATE catalog_entry SET code = '91350211M0000XUF46' WHERE id = 'education'", NULL, 0, NULL),
        ERR_OK);
    assert_int_equal(
        shelf_try(s, "kind: Department\nid: education\ntitle: new\ncode: 91350211M0000XUF46\n", &put, &version),
        ERR_OK);
    assert_int_equal(put, CATALOG_CHANGED);
}

struct list {
    char text[512];
};

static enum err list_add(void *arg, const struct catalog_entry *e)
{
    struct list *l = arg;

    snprintf(l->text + strlen(l->text), sizeof l->text - strlen(l->text), "%.*s:%llu:%.*s ", SLICE_ARG(e->id),
             (unsigned long long)e->version, SLICE_ARG(e->state));
    return ERR_OK;
}

static void test_each(void **state)
{
    static const struct {
        struct catalog_filter f;
        const char *want;
    } rows[] = {
        { { .text = SLICE("") }, "education/seats:1:draft public-security/household:2:draft " },
        { { .all_versions = true },
          "education/seats:1:draft public-security/household:1:published public-security/household:2:draft " },
        { { .department = SLICE("public-security") }, "public-security/household:2:draft " },
        { { .state = SLICE("published") }, "public-security/household:1:published " },
        { { .state = SLICE("draft") }, "education/seats:1:draft public-security/household:2:draft " },
        { { .state = SLICE("retired") }, "" },
        { { .text = SLICE("SEAT") }, "education/seats:1:draft " },
        { { .text = SLICE("register") }, "education/seats:1:draft public-security/household:2:draft " },
        { { .text = SLICE("户籍") }, "public-security/household:2:draft " },
        { { .text = SLICE("security/house") }, "public-security/household:2:draft " },
        { { .text = SLICE("%") }, "" },
        { { .text = SLICE("_") }, "" },
        { { .text = SLICE("\\") }, "" },
        { { .text = SLICE("100%") }, "" },
        { { .text = SLICE("' OR 1=1 --") }, "" },
        { { .id = SLICE("education/seats") }, "education/seats:1:draft " },
        { { .id = SLICE("public-security/household"), .all_versions = true },
          "public-security/household:1:published public-security/household:2:draft " },
        { { .department = SLICE("education"), .text = SLICE("seat"), .state = SLICE("draft"), .all_versions = true },
          "education/seats:1:draft " },
    };
    struct shelf *s = *state;

    stock(s);
    shelf_put(s, shelf_sketch);
    move(s, CATALOG_RESOURCE, "public-security/household", CATALOG_SUBMIT);
    move(s, CATALOG_RESOURCE, "public-security/household", CATALOG_PUBLISH);
    shelf_put(s, shelf_sketch_with(s, "update: daily", "update: weekly"));
    shelf_put(s, shelf_sketch_with(
                     s, "id: public-security/household\ncode: 101001/1\ntitle: {zh: 户籍信息, en: Household register}",
                     "id: education/seats\ncode: 101001/9\ntitle: {zh: 学位, en: Seat Register}"));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct list l = { "" };
        assert_int_equal(catalog_each(s->tx, CATALOG_RESOURCE, &rows[i].f, list_add, &l), ERR_OK);
        if (strcmp(l.text, rows[i].want) != 0)
            fail_msg("row %zu: %s", i, l.text);
    }
}

struct many {
    unsigned n;
    bool disorder;
};

static enum err in_order(void *arg, const struct catalog_entry *e)
{
    struct many *m = arg;
    char want[32];

    snprintf(want, sizeof want, "t%03u", m->n++);
    m->disorder = m->disorder || !slice_is(e->id, want);
    return ERR_OK;
}

/* However many there are, few are in memory at once; each comes once, in order. */
static void test_each_of_many(void **state)
{
    static const struct catalog_filter filters[] = { { .text = SLICE("") },
                                                     { .text = SLICE("T") },
                                                     { .state = SLICE("active") } };
    enum { MANY = 150 };
    struct shelf *s = *state;
    char text[128];

    for (unsigned i = 0; i < MANY; i++) {
        snprintf(text, sizeof text, "kind: CodeTable\nid: t%03u\ntitle: t\ncodes: [{code: a, title: b}]\n", i);
        assert_int_equal(shelf_put(s, text), CATALOG_CREATED);
    }
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        struct many m = { 0 };
        assert_int_equal(catalog_each(s->tx, CATALOG_CODE_TABLE, &filters[i], in_order, &m), ERR_OK);
        assert_true(m.n == MANY && !m.disorder);
    }
}

/* fn may use SQL itself, and stops the listing by its error. */
static enum err nested(void *arg, const struct catalog_entry *e)
{
    struct shelf *s = arg;
    struct list l = { "" };

    assert_int_equal(catalog_each(s->tx, CATALOG_DEPARTMENT, &(struct catalog_filter){ .id = e->id }, list_add, &l),
                     ERR_OK);
    return l.text[0] ? ERR_AGAIN : ERR_OK;
}

static void test_each_nested(void **state)
{
    struct shelf *s = *state;
    struct catalog_filter all = { .text = SLICE("") };

    stock(s);
    assert_int_equal(catalog_each(s->tx, CATALOG_DEPARTMENT, &all, nested, s), ERR_AGAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_created_and_unchanged, shelf_open_store, shelf_close),
        cmocka_unit_test_setup_teardown(test_gains_need_activation, shelf_open_store, shelf_close),
        cmocka_unit_test_setup_teardown(test_versions, shelf_open_store, shelf_close),
        cmocka_unit_test_setup_teardown(test_refused, shelf_open_store, shelf_close),
        cmocka_unit_test_setup_teardown(test_legacy_code, shelf_open_store, shelf_close),
        cmocka_unit_test_setup_teardown(test_departments, shelf_open_store, shelf_close),
        cmocka_unit_test_setup_teardown(test_each, shelf_open_store, shelf_close),
        cmocka_unit_test_setup_teardown(test_each_of_many, shelf_open_store, shelf_close),
        cmocka_unit_test_setup_teardown(test_each_nested, shelf_open_store, shelf_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
