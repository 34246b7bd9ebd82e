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
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_manifests), cmocka_unit_test(test_heads),
                                        cmocka_unit_test(test_accept) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
