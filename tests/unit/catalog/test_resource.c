/* The rules of a Resource, one change of the sketch each: DOMAIN 2.1 (codes), 2.3 (code values), 8.1 and 8.2 (cross
 * rules). */
#include "shelf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

struct row {
    const char *from, *to, *says; /* says NULL: accepted */
};
#define SHARE        "share: {type: conditional, condition: 法定事项核查, mode: interface}"
#define FORMAT       "format: {class: interface, type: soap}"
#define FORMAT_SHARE FORMAT "\n" SHARE

static const struct row rows[] = {
    { "code: 101001/1", "code: 101001ab_9/x_12", NULL },
    { "code: 101001/1", "code: '101001'", "not of the form" },
    { "code: 101001/1", "code: 101001/", "not of the form" },
    { "code: 101001/1", "code: /1", "not of the form" },
    { "code: 101001/1", "code: 10100/1", "not of the form" },
    { "code: 101001/1", "code: 1010a1/1", "not of the form" },
    { "code: 101001/1", "code: 401001/1", "not of the form" },
    { "code: 101001/1", "code: 101001/1/2", "not of the form" },
    { "code: 101001/1", "code: 101001-2/1", "not of the form" },
    { "code: 101001/1", "code: 201001/1", "does not agree with class" },
    { "code: 101001/1\n", "", "'code' is missing" },

    { "base/population", "base/licence", NULL },
    { "base/population", "base/people", "class \"people\" is not known" },
    { "base/population", "population", "class needs two parts" },
    { "base/population", "theme/health", "does not agree with class" },
    { "base/population", "themes/health", "class \"themes\" is not known; use one of: base, theme, department" },
    { "base/population", "department/Land", "must be an identifier" },
    { "base/population", "base/", "must be an identifier" },

    { FORMAT, "format: {class: interface, type: ftp}",
      "type \"ftp\" is not one of class interface; use one of: soap, xml, json, http" },
    { FORMAT, "format: {class: api, type: soap}", "format.class \"api\" is not known" },
    { FORMAT, "format: {class: interface}", "'type' is missing" },
    { FORMAT, "format: {class: interface, type: json, version: 2}", "unknown key 'version'" },
    { FORMAT, "format: soap", "'format' must be keys with values" },

    { SHARE, "share: {type: unconditional, mode: interface}", NULL },
    { SHARE, "share: {type: unconditional, condition: 无条件, mode: interface}", NULL },
    { SHARE, "share: {type: unconditional, condition: 需审批, mode: interface}",
      "unconditional sharing has no condition" },
    { SHARE, "share: {type: conditional, mode: interface}", "conditional sharing needs its condition" },
    { SHARE, "share: {type: conditional, condition: '', mode: interface}", "conditional sharing needs its condition" },
    { SHARE, "share: {type: none}", "needs its legal basis" },
    { SHARE, "share: {type: none, basis: ''}", "needs its legal basis" },
    { SHARE, "share: {type: none, basis: 统计法第九条}", NULL },
    { SHARE, "share: {type: partial, mode: interface}", "share.type \"partial\" is not known" },
    { SHARE, "share: {type: conditional, condition: x}", "share.mode is missing" },
    { SHARE, "share: {type: conditional, condition: x, mode: fax}", "share.mode \"fax\" is not known" },
    { SHARE, "share: {type: conditional, condition: x, mode: file}",
      "a resource of format interface is not shared as file" },
    { SHARE, "share: {type: conditional, condition: x, mode: disk}", NULL },
    { FORMAT_SHARE, "format: {class: database, type: mysql}\nshare: {type: conditional, condition: x, mode: file}",
      "a resource of format database is not shared as file" },
    { FORMAT_SHARE, "format: {class: database, type: mysql}\nshare: {type: conditional, condition: x, mode: database}",
      NULL },
    { FORMAT_SHARE, "format: {class: database, type: mysql}\nshare: {type: conditional, condition: x, mode: interface}",
      NULL },
    { FORMAT_SHARE, "format: {class: file, type: pdf}\nshare: {type: conditional, condition: x, mode: database}",
      "a resource of format file is not shared as database" },
    { FORMAT_SHARE, "format: {class: file, type: pdf}\nshare: {type: conditional, condition: x, mode: file}", NULL },

    { "open: none", "open: unconditional", NULL },
    { "open: none", "open: {type: conditional, condition: 实名}", NULL },
    { "open: none", "open: conditional", "conditional opening, and only that, has a condition" },
    { "open: none", "open: {type: none, condition: x}", "conditional opening, and only that, has a condition" },
    { "open: none", "open: yes", "open \"yes\" is not known" },
    { "open: none", "open: true", "open must be none" },
    { "update: daily", "update: half-yearly", NULL },
    { "update: daily", "update: 2", "update \"2\" is not known" },
    { "phone: 0543-0000000", "fax: 0543-0000000", "unknown key 'fax'" },
    { "person: public-security/zhang", "person: zhang", "'person' must be two identifiers" },
    { "open: none", "open: none\nclassified: true", "a classified resource cannot be registered" },
    { "open: none", "open: none\nclassified: false", NULL },
    { "open: none", "open: none\nparts: [a/b]", "'parts' is not supported yet" },
    { "open: none", "open: none\npage: {size: 10}", "'page' is not supported yet" },
    { "open: none", "open: none\ncompare: exact", "'compare' is not supported yet" },
    { "kind: Resource\n", "kind: Resource\nscore: 5\n", "unknown key 'score'" },
};

static void test_rows(void **state)
{
    struct shelf *s = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct catalog_manifest m;
        enum err e = shelf_read(s, shelf_sketch_with(s, rows[i].from, rows[i].to), &m);

        if (rows[i].says == NULL ? e != ERR_OK : e == ERR_OK || !shelf_said(s, rows[i].says))
            fail_msg("%s: %s, not \"%s\":\n%s", rows[i].to, err_name(e), rows[i].says ? rows[i].says : "accepted",
                     shelf_problems(s));
    }
}

static const char listed[] =
    "kind: Resource\nid: a/table\ncode: 304001/7\ntitle: t\nabstract: t\nclass: department/land\n"
    "format: {class: %s}\nshare: {type: conditional, condition: c, mode: %s}\nopen: none\nupdate: monthly\n"
    "contact: {person: a/b}\n%s";

static void test_without_connector(void **state)
{
    static const struct {
        const char *format, *mode, *rest, *says;
    } cases[] = {
        { "file, type: pdf", "file", "", NULL },
        { "stream, type: rtsp", "interface", "", NULL },
        { "self-described, type: geojson", "file", "", NULL },
        { "database, type: oracle", "database", "", "items are missing" },
        { "spreadsheet, type: xlsx", "file", "", "items are missing" },
        { "interface, type: json", "interface", "", "items are missing" },
        { "interface, type: json", "interface", "items: [{name: a, title: a, type: C}]\n", NULL },
        { "file, type: pdf", "file", "connector: {kind: http}\n", "items are missing" },
        { "file, type: pdf", "file", "request: {}\n", "request and response need a connector" },
        { "file, type: pdf", "file", "response: {}\n", "request and response need a connector" },
    };
    struct shelf *s = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1000];
        struct catalog_manifest m;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof text, listed, cases[i].format, cases[i].mode, cases[i].rest);
#pragma GCC diagnostic pop
        enum err e = shelf_read(s, text, &m);
        if (cases[i].says == NULL ? e != ERR_OK : e == ERR_OK || !shelf_said(s, cases[i].says))
            fail_msg("%s: %s:\n%s", cases[i].format, err_name(e), shelf_problems(s));
        if (e == ERR_OK)
            assert_false(m.resource->callable);
    }
}

static void test_not_shared_is_not_callable(void **state)
{
    struct shelf *s = *state;
    struct catalog_manifest m;

    assert_int_equal(shelf_read(s, shelf_sketch_with(s, SHARE, "share: {type: none, basis: b}"), &m), ERR_OK);
    assert_true(m.resource->connector != NULL);
    assert_false(m.resource->callable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows, shelf_open, shelf_close),
        cmocka_unit_test_setup_teardown(test_without_connector, shelf_open, shelf_close),
        cmocka_unit_test_setup_teardown(test_not_shared_is_not_callable, shelf_open, shelf_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
