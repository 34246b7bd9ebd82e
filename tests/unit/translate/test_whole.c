/* A body that passes unread: what a manifest may say of one, and which heads begin one. */
#include "tests/unit/translate/answer_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define MANIFEST(class_, items, connector, response)                                                                   \
    "id: court/dossier\nformat: {class: " class_ "}\nitems: [" items "]\nconnector: {kind: " connector                 \
    "}\nrequest: {safe: true}\nresponse: {" response "}\n"
#define ITEM "{name: dossier, type: G, level: 3}"
#define GOOD MANIFEST("file", ITEM, "http", "whole: dossier, types: [application/pdf, image/png]")

static void test_manifests(void **state)
{
    static const struct {
        const char *yaml, *says; /* NULL: it is right */
    } cases[] = {
        { GOOD, NULL },
        { MANIFEST("image", ITEM, "http", "whole: dossier, types: [image/png]"), NULL },
        { MANIFEST("interface", ITEM, "http", "whole: dossier, types: [image/png]"), "for files" },
        { MANIFEST("database", ITEM, "http", "whole: dossier, types: [image/png]"), "for files" },
        { MANIFEST("file", ITEM ", {name: b, type: C}", "http", "whole: dossier, types: [image/png]"), "only item" },
        { MANIFEST("file", ITEM, "http", "whole: other, types: [image/png]"), "only item" },
        { MANIFEST("file", "{name: dossier, type: C}", "http", "whole: dossier, types: [image/png]"), "type G" },
        { MANIFEST("file", "{name: dossier, type: G, mask: name}", "http", "whole: dossier, types: [image/png]"),
          "type G" },
        { MANIFEST("file", "{name: dossier, type: G, codes: [a]}", "http", "whole: dossier, types: [image/png]"),
          "type G" },
        { MANIFEST("file", ITEM, "http", "whole: dossier"), "needs types" },
        { MANIFEST("file", ITEM, "http", "whole: dossier, types: []"), "needs types" },
        { MANIFEST("file", ITEM, "http", "whole: dossier, types: [pdf]"), "media type" },
        { MANIFEST("file", ITEM, "http", "whole: dossier, types: ['a/b;c=d']"), "media type" },
        { MANIFEST("file", ITEM, "http", "whole: dossier, types: ['*/*']"), "media type" },
        { MANIFEST("file", ITEM, "http", "whole: dossier, types: [Text/HTML]"), "HTML" },
        { MANIFEST("file", ITEM, "http", "whole: dossier, types: [application/xhtml+xml]"), "HTML" },
        { MANIFEST("file", ITEM, "http", "whole: dossier, types: [a/a, a/b, a/c, a/d, a/e, a/f, a/g, a/h, a/i]"),
          "more than 8" },
        { MANIFEST("file", ITEM, "http", "whole: dossier, types: [a/b], records: /r"), "no records" },
        { MANIFEST("file", ITEM, "http", "whole: dossier, types: [a/b], success: {status: [404]}"), "no success" },
        { MANIFEST("file", ITEM, "http", "whole: dossier, types: [a/b], empty: ok"), "no empty" },
        { MANIFEST("file", ITEM, "http", "whole: dossier, types: [a/b], encoding: GBK"), "no encoding" },
        { MANIFEST("file", ITEM, "soap, operation: {namespace: u, name: n}", "whole: dossier, types: [a/b]"),
          "envelope" },
        { MANIFEST("file", ITEM, "http", "types: [a/b], format: json, records: /r, map: {dossier: d}"), "belongs to" },
        { MANIFEST("file", ITEM, "http", "format: json, map: {dossier: d}"), "records is missing" },
        { MANIFEST("file", ITEM, "http", "format: json, records: /r"), "map is missing" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct answer f;
        enum err e = answer_compile(&f, cases[i].yaml);
        const char *said = f.diags.count ? f.diags.first->what[LANG_EN] : "";
        if ((e == ERR_OK) != (cases[i].says == NULL) || (cases[i].says && strstr(said, cases[i].says) == NULL))
            fail_msg("%zu: %d \"%s\"", i, e, said);
        answer_done(&f);
    }
}

#define SEND(items, connector, request, response)                                                                      \
    "id: court/filing\nformat: {class: interface, type: json}\nitems: [" items "]\nconnector: {kind: " connector       \
    "}\nrequest: {" request "}\nresponse: {" response "}\n"
#define HEAD   "{\"resource\":\"court/filing\",\"records\":["
#define TAIL   "],\"count\":1}"
#define NUMBER "{name: number, type: C}"
#define MAPPED "records: /rows, map: {number: /n}"
#define SENT   SEND(NUMBER ", " ITEM, "http", "whole: dossier, types: [application/pdf]", MAPPED)

static void test_uploads(void **state)
{
    static const struct {
        const char *yaml, *says;
    } cases[] = {
        { SENT, NULL },
        { SEND(ITEM ", " NUMBER, "http", "whole: dossier, types: [a/b], method: PUT", MAPPED), NULL },
        { SEND(ITEM ", " NUMBER, "http",
               "whole: dossier, types: [a/b], params: [{from: case, to: 'header:X-Case'}, {const: x, to: 'query:a'}]",
               MAPPED),
          NULL },
        { SEND(ITEM, "http", "whole: dossier, types: [a/b]", "records: /rows, map: {}"), NULL },
        { SEND(NUMBER, "http", "whole: dossier, types: [a/b]", MAPPED), "declare it" },
        { SEND(NUMBER ", {name: dossier, type: C}", "http", "whole: dossier, types: [a/b]", MAPPED), "type G" },
        { SEND(NUMBER ", " ITEM, "http", "whole: dossier", MAPPED), "needs types" },
        { SEND(NUMBER ", " ITEM, "http", "whole: dossier, types: [text/html]", MAPPED), "HTML" },
        { SEND(NUMBER, "http", "types: [a/b]", MAPPED), "belongs to" },
        { SEND(NUMBER ", " ITEM, "http", "whole: dossier, types: [a/b], safe: true", MAPPED), "leave safe out" },
        { SEND(NUMBER ", " ITEM, "http", "whole: dossier, types: [a/b], method: GET", MAPPED), "POST, PUT or PATCH" },
        { SEND(NUMBER ", " ITEM, "http", "whole: dossier, types: [a/b], params: [{param: x, to: 'query:x'}]", MAPPED),
          "no parameters" },
        { SEND(NUMBER ", " ITEM, "http", "whole: dossier, types: [a/b], params: [{const: x, to: 'json:/x'}]", MAPPED),
          "body is the file" },
        { SEND(NUMBER ", " ITEM, "soap, operation: {namespace: u, name: n}", "whole: dossier, types: [a/b]",
               "records: /r, map: {number: n}"),
          "never a file" },
        { SEND(NUMBER ", " ITEM, "http", "whole: dossier, types: [a/b]",
               "records: /rows, map: {number: /n, dossier: /d}"),
          "consumer sends" },
        /* both ways */
        { "id: court/seal\nformat: {class: file}\nitems: [" ITEM
          ", {name: stamped, type: G}]\nconnector: {kind: http}\n"
          "request: {whole: dossier, types: [a/b]}\nresponse: {whole: stamped, types: [a/b]}\n",
          NULL },
        { "id: court/seal\nformat: {class: file}\nitems: [" ITEM "]\nconnector: {kind: http}\n"
          "request: {whole: dossier, types: [a/b]}\nresponse: {whole: dossier, types: [a/b]}\n",
          "only item" },
        { MANIFEST("file", ITEM ", {name: stamped, type: G}", "http", "whole: stamped, types: [a/b]"), "only item" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct answer f;
        enum err e = answer_compile(&f, cases[i].yaml);
        const char *said = f.diags.count ? f.diags.first->what[LANG_EN] : "";
        if ((e == ERR_OK) != (cases[i].says == NULL) || (cases[i].says && strstr(said, cases[i].says) == NULL))
            fail_msg("%zu: %d \"%s\"", i, e, said);
        answer_done(&f);
    }
}

static void test_upload_plan(void **state)
{
    static const struct {
        const char *type;
        bool want;
    } cases[] = {
        { "application/pdf", true },
        { "Application/PDF; x=y", true },
        { "application/pdfx", false },
        { "application/json", false },
        { "", false },
        { "*/*", false },
    };
    struct answer f;
    struct slice type = { 0 };

    (void)state;
    assert_int_equal(answer_compile(&f, SENT), ERR_OK);
    assert_true(translate_upload(f.plan) && !translate_whole(f.plan) && !translate_safe(f.plan));
    assert_int_equal(translate_upload_item(f.plan), 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (translate_upload_type(f.plan, slice_of(cases[i].type), &type) != cases[i].want)
            fail_msg("\"%s\"", cases[i].type);
    assert_true(slice_is(type, "application/pdf"));
    answer_done(&f);
}

/* What is sent is in no answer, wherever it stands among the items, and the others keep their places. */
static void test_upload_answers(void **state)
{
    static const char *const items[] = { ITEM ", " NUMBER ", {name: b, type: I}",
                                         NUMBER ", " ITEM ", {name: b, type: I}",
                                         NUMBER ", {name: b, type: I}, " ITEM };
    static const uint64_t only_b[] = { 4, 4, 2 };
    const struct slice body = SLICE("{\"rows\":[{\"n\":\"7\",\"b\":8,\"dossier\":\"x\"}]}");

    (void)state;
    for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
        struct answer f;
        char yaml[1000];
        snprintf(yaml, sizeof yaml,
                 SEND("%s", "http", "whole: dossier, types: [a/b]", "records: /rows, map: {number: /n, b: /b}"),
                 items[i]);
        assert_int_equal(answer_compile(&f, yaml), ERR_OK);
        assert_int_equal(answer_run(&f, body, 0, TRANSLATE_JSON, 200, "application/json", 7, 0), ERR_OK);
        assert_true(slice_is(buf_slice(&f.out), HEAD "{\"number\":\"7\",\"b\":8}" TAIL));
        assert_int_equal(answer_run(&f, body, 0, TRANSLATE_JSON, 200, "application/json", only_b[i], 0), ERR_OK);
        assert_true(slice_is(buf_slice(&f.out), HEAD "{\"b\":8}" TAIL));
        answer_done(&f);
    }
}

static void test_heads(void **state)
{
    static const struct {
        int status;
        const char *type;
        bool exact;
        enum reason want;
    } cases[] = {
        { 200, "application/pdf", true, REASON_GRANTED },
        { 200, "Application/PDF; version=1", true, REASON_GRANTED },
        { 200, "image/png", true, REASON_GRANTED },
        { 200, "application/pdf", false, REASON_PROVIDER_MALFORMED },
        { 200, "application/pdfx", true, REASON_PROVIDER_MALFORMED },
        { 200, "text/html", true, REASON_PROVIDER_MALFORMED },
        { 200, "application/json", true, REASON_PROVIDER_MALFORMED },
        { 200, "", true, REASON_PROVIDER_MALFORMED },
        { 206, "application/pdf", true, REASON_PROVIDER_REFUSED },
        { 204, "application/pdf", true, REASON_PROVIDER_REFUSED },
        { 404, "application/pdf", true, REASON_PROVIDER_REFUSED },
        { 500, "text/html", true, REASON_PROVIDER_REFUSED },
    };
    struct answer f;

    (void)state;
    assert_int_equal(answer_compile(&f, GOOD), ERR_OK);
    assert_true(translate_whole(f.plan));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice type = { 0 };
        enum reason r = translate_whole_head(f.plan, cases[i].status, slice_of(cases[i].type), cases[i].exact, &type);
        if (r != cases[i].want || (type.n > 0) != (r == REASON_GRANTED))
            fail_msg("%zu: %d", i, r);
    }
    answer_done(&f);
}

static void test_accept(void **state)
{
    static const struct {
        const char *accept;
        bool want;
    } cases[] = {
        { "", true },
        { "*/*", true },
        { "image/*", true },
        { "application/pdf;q=0.1", true },
        { "image/png", true },
        { "application/json, */*;q=0.1", true },
        { "text/plain", false },
        { "application/json", false },
        { "application/pdf;q=0, image/png;q=0", false },
        { "*/*;q=0", false },
        { "application/pdf;q=0, */*", true }, /* a picture will do */
    };
    struct answer f;

    (void)state;
    assert_int_equal(answer_compile(&f, GOOD), ERR_OK);
    assert_true(slice_is(translate_whole_types(f.plan), "application/pdf, image/png"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (translate_whole_wanted(f.plan, slice_of(cases[i].accept)) != cases[i].want)
            fail_msg("\"%s\"", cases[i].accept);
    answer_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_manifests),   cmocka_unit_test(test_heads),
                                        cmocka_unit_test(test_accept),      cmocka_unit_test(test_uploads),
                                        cmocka_unit_test(test_upload_plan), cmocka_unit_test(test_upload_answers) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
