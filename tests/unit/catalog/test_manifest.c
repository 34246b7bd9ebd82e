/* Manifests of all kinds: DESIGN's sketch is accepted whole, and every way to be wrong is told with its place. */
#include "shelf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void expect_slice(struct slice s, const char *want)
{
    if (!slice_is(s, want))
        fail_msg("\"%.*s\", not \"%s\"", SLICE_ARG(s), want);
}

static void test_sketch(void **state)
{
    struct shelf *s = *state;
    struct catalog_manifest m;

    if (shelf_read(s, shelf_sketch, &m) != ERR_OK)
        fail_msg("%s", shelf_problems(s));
    const struct catalog_resource *r = m.resource;
    assert_int_equal(s->d.count, 0);
    assert_int_equal(m.kind, CATALOG_RESOURCE);
    expect_slice(m.id, "public-security/household");
    expect_slice(m.department, "public-security");
    expect_slice(m.title.zh, "户籍信息");
    expect_slice(m.title.en, "Household register");
    expect_slice(r->department, "public-security");
    expect_slice(r->code, "101001/1");
    expect_slice(r->abstract.en, "全市常住户口登记项目");
    expect_slice(r->class_, "base/population");
    expect_slice(r->format_class, "interface");
    expect_slice(r->format_type, "soap");
    expect_slice(r->share, "conditional");
    expect_slice(r->share_condition, "法定事项核查");
    expect_slice(r->share_mode, "interface");
    expect_slice(r->open, "none");
    expect_slice(r->update, "daily");
    expect_slice(r->contact_person, "public-security/zhang");
    expect_slice(r->contact_phone, "0543-0000000");
    assert_true(r->callable && r->connector && r->request && r->response);
    assert_int_equal(r->n_items, 4);
    expect_slice(r->items[0].check, "id-card");
    expect_slice(r->items[0].mask, "id-card");
    assert_true(r->items[0].key && r->items[0].level == 4 && r->items[0].length == 18 && r->items[0].type == 'C');
    assert_true(r->items[2].level == 2 && r->items[2].type == 'D' && r->items[2].format_in.n == 1);
    expect_slice(r->items[2].empty_as.at[0], "00000000");
    assert_true(r->items[3].type == 'A' && r->items[3].n_items == 1 && r->items[3].items[0].length == 2);
    expect_slice(r->items[3].items[0].title.zh, "relation");
    assert_int_equal(catalog_item_index(r, SLICE("moved_in")), 2);
    assert_int_equal(catalog_item_index(r, SLICE("relation")), -1);
}

static void test_small_kinds(void **state)
{
    struct shelf *s = *state;
    struct catalog_manifest m;

    assert_int_equal(shelf_read(s,
                                "kind: Department\nid: data-bureau\ntitle: {zh: 大数据局, en: Data bureau}\n"
                                "code: 91350100M000100Y43\nbureau: true\n",
                                &m),
                     ERR_OK);
    assert_true(m.kind == CATALOG_DEPARTMENT && m.bureau && m.department.n == 0);
    expect_slice(m.code, "91350100M000100Y43");
    assert_int_equal(shelf_read(s,
                                "kind: App\nid: education/admission\ntitle: 入学\ncontact: {person: "
                                "education/wang}\nadministration: true\n",
                                &m),
                     ERR_OK);
    assert_true(m.kind == CATALOG_APP && m.administration);
    expect_slice(m.department, "education");
    assert_int_equal(shelf_read(s, "kind: Person\nid: education/wang\nname: 王芳\nphone: 0543-1234567\n", &m), ERR_OK);
    expect_slice(m.title.en, "王芳");
    assert_int_equal(shelf_read(s, "kind: Person\nid: education/wang\ntitle: {zh: 王芳, en: Wang Fang}\n", &m), ERR_OK);
    expect_slice(m.title.en, "Wang Fang");
    assert_int_equal(
        shelf_read(s,
                   "kind: CodeTable\nid: gb2261\ntitle: 性别\ncodes: [{code: 1, title: 男}, {code: '02', title: 女}]\n",
                   &m),
        ERR_OK);
    assert_int_equal(m.n_codes, 2);
    expect_slice(m.codes[0].code, "1");
    expect_slice(m.codes[1].code, "02");
    expect_slice(m.codes[1].title, "女");
}

static const struct {
    const char *yaml;
    enum err want;
    unsigned line, col; /* of the problem that says: */
    const char *says;
} wrongs[] = {
    { "- a\n", ERR_INVALID, 1, 1, "a manifest is a map" },
    { "id: x\n", ERR_INVALID, 1, 1, "kind is missing or unknown" },
    { "id: x\nkind: Dataset\n", ERR_INVALID, 2, 7, "kind is missing or unknown" },
    { "kind: Policies\nid: x\n", ERR_INVALID, 1, 7, "Resource, CodeTable or Policy" },
    { "kind: Department\nid: X\ntitle: x\ncode: 91350100M000100Y43\n", ERR_INVALID, 2, 5,
      "'id' must be an identifier" },
    { "kind: Department\nid: x\ntitle: x\n", ERR_INVALID, 1, 1, "'code' is missing" },
    { "kind: Department\nid: x\ntitle: x\ncode: 91350100M000100Y4\n", ERR_INVALID, 4, 7,
      "code is not a unified social credit code" },
    { "kind: Department\nid: x\ntitle: x\ncode: 9135010OM000100Y43\n", ERR_INVALID, 4, 7,
      "code is not a unified social credit code" },
    { "kind: Department\nid: x\ntitle: x\ncode: 91350100M000100Y43\nburea: true\n", ERR_INVALID, 5, 1,
      "did you mean 'bureau'" },
    { "kind: App\nid: admission\ntitle: x\ncontact: {person: a/b}\n", ERR_INVALID, 2, 5,
      "'id' must be two identifiers" },
    { "kind: App\nid: education/admission\ntitle: x\n", ERR_INVALID, 1, 1, "'contact' is missing" },
    { "kind: App\nid: education/admission\ntitle: x\ncontact: {persons: a/b}\n", ERR_INVALID, 4, 11,
      "did you mean 'person'" },
    { "kind: App\nid: education/admission\ntitle: x\ncontact: {person: a/b}\nadministration: 1\n", ERR_INVALID, 5, 17,
      "true or false" },
    { "kind: Person\nid: education/wang\n", ERR_INVALID, 1, 1, "a person needs a name" },
    { "kind: Person\nid: education/wang\nname: a\ntitle: b\n", ERR_INVALID, 1, 1, "a person needs a name, once" },
    { "kind: CodeTable\nid: t\ntitle: t\ncodes: []\n", ERR_INVALID, 4, 8, "at least one code" },
    { "kind: CodeTable\nid: t\ntitle: t\ncodes:\n- {code: a, title: x}\n- {code: b, title: x}\n- {code: a, title: y}\n",
      ERR_INVALID, 7, 3, "code \"a\" is listed already" },
    { "kind: CodeTable\nid: t\ntitle: t\ncodes:\n- {code: a}\n", ERR_INVALID, 5, 3, "'title' is missing" },
};

static void test_wrongs(void **state)
{
    struct shelf *s = *state;

    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        struct catalog_manifest m = { .n_codes = 77 };
        const struct diag *hit = NULL;

        assert_int_equal(shelf_read(s, wrongs[i].yaml, &m), wrongs[i].want);
        assert_int_equal(m.n_codes, 77); /* untouched on failure */
        for (const struct diag *d = s->d.first; d; d = d->next)
            if (strstr(d->what[LANG_EN], wrongs[i].says))
                hit = d;
        if (hit == NULL || hit->line != wrongs[i].line || hit->col != wrongs[i].col)
            fail_msg("%u:%u \"%s\" was not said; this was:\n%s", wrongs[i].line, wrongs[i].col, wrongs[i].says,
                     shelf_problems(s));
    }
}

/* So many and no more: what is stored, a resource that uses it can be made of. */
static void test_most_codes(void **state)
{
    struct shelf *s = *state;

    for (unsigned n = CATALOG_CODES_MAX; n <= CATALOG_CODES_MAX + 1; n++) {
        struct buf text = BUF_INIT(4 << 20);
        struct catalog_manifest m;
        enum err e;

        buf_puts(&text, "kind: CodeTable\nid: t\ntitle: t\ncodes:\n");
        for (unsigned i = 0; i < n; i++)
            buf_printf(&text, "- {code: %u, title: t}\n", i);
        buf_putc(&text, '\0');
        e = text.failed == ERR_OK ? shelf_read(s, text.p, &m) : text.failed;
        buf_done(&text);
        assert_int_equal(e, n == CATALOG_CODES_MAX ? ERR_OK : ERR_INVALID);
    }
    assert_true(shelf_said(s, "a code table has at most 20000 codes"));
}

static void test_all_at_once(void **state)
{
    struct shelf *s = *state;
    struct catalog_manifest m;

    assert_int_equal(
        shelf_read(
            s,
            "kind: Resource\nid: household\ncode: 9/1\nclass: base/people\nformat: {class: interfaces, type: soap}\n"
            "share: {type: maybe}\nopen: perhaps\nupdate: hourly\nclassified: true\nparts: []\npage: {}\n"
            "items: [{name: 1x, type: Q, mask: '*'}]\nrequest: {}\ncolour: red\n",
            &m),
        ERR_INVALID);
    static const char *const all[] = { "'id' must be",
                                       "resource code is not of the form",
                                       "class \"people\"",
                                       "format.class \"interfaces\"",
                                       "share.type \"maybe\"",
                                       "open \"perhaps\"",
                                       "update \"hourly\"",
                                       "classified",
                                       "'parts' is not supported yet",
                                       "'page' is not supported yet",
                                       "cannot be the name of an item",
                                       "'type' must be",
                                       "'mask' must be",
                                       "'title' is missing",
                                       "'abstract' is missing",
                                       "'contact' is missing",
                                       "need a connector",
                                       "unknown key 'colour'" };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!shelf_said(s, all[i]))
            fail_msg("\"%s\" was not said; this was:\n%s", all[i], shelf_problems(s));
    for (const struct diag *d = s->d.first; d; d = d->next)
        if (d->line == 0 || d->col == 0 || strcmp(d->what[LANG_EN], d->what[LANG_ZH]) == 0)
            fail_msg("no place or no Chinese: %s", d->what[LANG_EN]);
}

static void test_json_is_the_same(void **state)
{
    struct shelf *s = *state;
    struct catalog_manifest m, again;
    struct buf text = BUF_INIT(1 << 20);
    struct json j;
    const struct doc *doc;

    assert_int_equal(shelf_read(s, shelf_sketch, &m), ERR_OK);
    json_init(&j, &text);
    doc_put_json(m.doc, &j);
    assert_int_equal(doc_read_json(buf_slice(&text), &s->a, &s->d, &doc), ERR_OK);
    buf_done(&text);
    assert_int_equal(catalog_read(doc, &s->a, &s->d, &again), ERR_OK);
    assert_true(slice_eq(m.id, again.id) && again.resource->n_items == 4 && again.resource->items[2].type == 'D');
}

static void test_kinds(void **state)
{
    enum catalog_kind k;

    (void)state;
    for (unsigned i = 0; i < CATALOG_KINDS_; i++) {
        assert_true(catalog_kind_of(slice_of(catalog_kind_name((enum catalog_kind)i)), &k));
        assert_int_equal(k, i);
    }
    assert_false(catalog_kind_of(SLICE("Policies"), &k));
    assert_false(catalog_kind_of(SLICE("resource"), &k));
    assert_string_equal(catalog_kind_name(CATALOG_KINDS_), "");
}

/* Each allocation fails in turn: an error, never a crash, never a half result. */
static void test_no_memory(void **state)
{
    struct shelf *s = *state;
    size_t n = 1;

    for (; n < 10000; n++) {
        struct arena a;
        struct diags d;
        struct catalog_manifest m;
        const struct doc *list = NULL;

        mem_fail_nth(0);
        assert_int_equal(doc_read_yaml(slice_of(shelf_sketch), &s->a, NULL, &list), ERR_OK);
        arena_init(&a, 1 << 20);
        diags_init(&d, &a);
        mem_fail_nth(n);
        enum err e = catalog_read(list->first, &a, &d, &m);
        mem_fail_nth(0);
        arena_done(&a);
        if (e == ERR_OK)
            break;
    }
    assert_true(n > 1 && n < 10000);
}

/* What is wrong does not hide the rest from further checks. */
static void test_loose(void **state)
{
    static const struct {
        const char *yaml;
        enum err want;
        bool resource;
        size_t items;
    } rows[] = {
        { "kind: Resource\nid: a/b\nitems: [{name: x, type: Q}, {type: C}]\nconnector: {kind: http}\n", ERR_INVALID,
          true, 2 },
        { "kind: Resource\nitems: []\n", ERR_INVALID, true, 0 },
        { "kind: Department\n", ERR_INVALID, false, 0 },
        { "kind: Policy\n", ERR_INVALID, false, 0 },
        { "kind: Police\n", ERR_INVALID, false, 0 },
    };
    struct shelf *s = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct catalog_resource *r = NULL;
        const struct doc *list = NULL;

        assert_int_equal(doc_read_yaml(slice_of(rows[i].yaml), &s->a, NULL, &list), ERR_OK);
        assert_int_equal(catalog_read_loose(list->first, &s->a, NULL, &r), rows[i].want);
        assert_int_equal(r != NULL, rows[i].resource);
        if (r)
            assert_int_equal(r->n_items, rows[i].items);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_loose, shelf_open, shelf_close),
        cmocka_unit_test_setup_teardown(test_sketch, shelf_open, shelf_close),
        cmocka_unit_test_setup_teardown(test_small_kinds, shelf_open, shelf_close),
        cmocka_unit_test_setup_teardown(test_wrongs, shelf_open, shelf_close),
        cmocka_unit_test_setup_teardown(test_most_codes, shelf_open, shelf_close),
        cmocka_unit_test_setup_teardown(test_all_at_once, shelf_open, shelf_close),
        cmocka_unit_test_setup_teardown(test_json_is_the_same, shelf_open, shelf_close),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test_setup_teardown(test_no_memory, shelf_open, shelf_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
