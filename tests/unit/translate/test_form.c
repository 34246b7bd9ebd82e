/* Accept headers and the form that comes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "translate/translate.h"

enum { NONE = -1, JSON = TRANSLATE_JSON, LINES = TRANSLATE_NDJSON, XML = TRANSLATE_XML };

static const struct {
    const char *accept;
    int want;
} cases[] = {
    { "", JSON },
    { "  \t", JSON },
    { "*/*", JSON },
    { "application/*", JSON },
    { "application/json", JSON },
    { "Application/JSON", JSON },
    { "application/x-ndjson", LINES },
    { "application/xml", XML },
    { "application/json; charset=utf-8", JSON },
    { "application/json;charset=\"UTF-8\"", JSON },
    { "application/json;charset=gbk", NONE },
    { "application/json;profile=\"a,b;q=0\"", NONE },
    { "application/json;profile=\"a,b\", application/xml", XML },
    { "application/xml;q=0.5, application/json;q=0.4", XML },
    { "application/xml;q=0.4, application/json;q=0.5", JSON },
    { "application/xml, application/json", JSON },
    { "application/x-ndjson, application/json", JSON },
    { "application/xml, */*", XML },
    { "application/xml, */*;q=0.1", XML },
    { "application/json;q=0, */*", LINES },
    { "application/json;q=0, application/x-ndjson;q=0, */*;q=0.001", XML },
    { "application/*;q=0.9, application/xml;q=0.1", JSON },
    { "*/*;q=0", NONE },
    { "*/*;q=0.0, application/*;q=0.2", JSON },
    { "application/json;q=0", NONE },
    { "application/json;q=0.000", NONE },
    { "application/json;q=1.000", JSON },
    { "application/json;q=1.001", NONE },
    { "application/json;q=2", NONE },
    { "application/json;q=", NONE },
    { "application/json;q=0.1234", NONE },
    { "application/json;q=.5", NONE },
    { "application/json;q=-1", NONE },
    { "application/json ; q=0.5 , application/xml ; q=0.6", XML },
    { "application/json;q=0.5;ext=1, application/xml;q=0.4", JSON },
    { "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", XML },
    { "text/html, */*;q=0.1", JSON },
    { "text/html", NONE },
    { "text/*", NONE },
    { "text/xml", NONE },
    { "text/json", NONE },
    { "application/problem+json", NONE },
    { "application/problem+xml", NONE },
    { "application/problem+json, application/xml", XML },
    { "*/json", NONE },
    { "json", NONE },
    { "application/", NONE },
    { "/json", NONE },
    { ",,", NONE },
    { ", application/xml ,", XML },
    { "application/json;\"", NONE },
    { "\"", NONE },
    { "application/json;a=\"\\\"", NONE },
};

static void test_accept(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum translate_form f = TRANSLATE_JSON;
        bool ok = translate_form_of(slice_of(cases[i].accept), &f);
        int got = ok ? (int)f : NONE;

        if (got != cases[i].want)
            fail_msg("\"%s\": %d, not %d", cases[i].accept, got, cases[i].want);
    }
}

static void test_type(void **state)
{
    (void)state;
    assert_string_equal(translate_form_type(TRANSLATE_JSON), "application/json");
    assert_string_equal(translate_form_type(TRANSLATE_NDJSON), "application/x-ndjson");
    assert_string_equal(translate_form_type(TRANSLATE_XML), "application/xml");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_accept), cmocka_unit_test(test_type) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
