/* Problem bodies in both forms, and the choice of form and language. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/doc/doc.h"
#include "gateway/problem.h"

static void forms_are_chosen(void **state)
{
    static const struct {
        const char *accept;
        enum problem_form want;
    } cases[] = {
        { "", PROBLEM_JSON },
        { "*/*", PROBLEM_JSON },
        { "application/xml", PROBLEM_XML },
        { "Application/XML; charset=utf-8", PROBLEM_XML },
        { "application/xml, application/json", PROBLEM_JSON },
        { "application/xml;q=0.9, application/json;q=0.8", PROBLEM_XML },
        { "application/xml;q=0", PROBLEM_JSON },
        { "text/xml;q=0.5, */*;q=0.1", PROBLEM_XML },
        { "application/xml;q=9", PROBLEM_JSON },
        { "text/html", PROBLEM_JSON },
        { ",,;;q=,", PROBLEM_JSON },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(problem_form_of(slice_of(cases[i].accept)), cases[i].want);
}

static void languages_are_chosen(void **state)
{
    static const struct {
        const char *accept;
        enum lang otherwise, want;
    } cases[] = {
        { "", LANG_ZH, LANG_ZH },
        { "en", LANG_ZH, LANG_EN },
        { "zh-CN,zh;q=0.9,en;q=0.8", LANG_EN, LANG_ZH },
        { "en;q=0.1, zh;q=0.2", LANG_EN, LANG_ZH },
        { "fr", LANG_ZH, LANG_ZH },
        { "fr, en;q=0.5", LANG_ZH, LANG_EN },
        { "zh;q=0, *", LANG_EN, LANG_EN },
        { "EN-us", LANG_ZH, LANG_EN },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(lang_of_accept(slice_of(cases[i].accept), cases[i].otherwise), cases[i].want);
}

static void json_has_all_members(void **state)
{
    const struct slice ids[] = { SLICE("g1"), SLICE("g2") };
    struct problem p = { .reason = REASON_GRANT_AMBIGUOUS,
                         .detail = { "name \"one\"", "请指明" },
                         .exchange = SLICE("019abcde-0000-7000-8000-000000000000"),
                         .ids = ids,
                         .n_ids = 2 };
    struct buf out = BUF_INIT(1 << 16);
    const struct doc *d;
    struct arena a;

    (void)state;
    arena_init(&a, 1 << 20);
    problem_put(&p, PROBLEM_JSON, LANG_EN, &out);
    assert_int_equal(doc_read_json(buf_slice(&out), &a, NULL, &d), ERR_OK);
    assert_true(slice_is(doc_text(d, "type"), "urn:sluice:problem:grant-ambiguous"));
    assert_int_equal(doc_u64(d, "status", 0), 409);
    assert_true(slice_is(doc_text(d, "detail"), "name \"one\""));
    assert_true(slice_is(doc_text(d, "instance"), "urn:uuid:019abcde-0000-7000-8000-000000000000"));
    assert_true(slice_is(doc_text(d, "provider_reached"), "no"));
    assert_int_equal(doc_get(d, "grants")->count, 2);
    assert_null(doc_get(d, "problems"));
    arena_done(&a);
    buf_done(&out);
}

/* Whatever it is that base/net, or the parser behind it, says in English. */
static void malformed_in_chinese(void **state)
{
    static const char *const known[] = { "a folded line", "no Host", "not HTTP/1.0 or HTTP/1.1",
                                         "a head over limits.head_bytes", "the head did not arrive in time" };
    const char *unknown = problem_malformed_zh("Invalid method encountered");

    (void)state;
    assert_true((unsigned char)unknown[0] >= 0x80);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const char *zh = problem_malformed_zh(known[i]);
        assert_string_not_equal(zh, known[i]);
        assert_string_not_equal(zh, unknown);
    }
}

static void xml_escapes(void **state)
{
    struct problem p = {
        .reason = REASON_NO_GRANT, .detail = { "a<b>&\x01", "甲<乙" }, .reached = REACHED_YES, .has_reached = true
    };
    struct buf out = BUF_INIT(1 << 16);

    (void)state;
    problem_put(&p, PROBLEM_XML, LANG_EN, &out);
    buf_putc(&out, '\0');
    assert_non_null(strstr(out.p, "<problem xmlns=\"urn:ietf:rfc:7807\">"));
    assert_non_null(strstr(out.p, "<detail>a&lt;b&gt;&amp; </detail>"));
    assert_non_null(strstr(out.p, "<provider_reached>yes</provider_reached>"));
    assert_null(strstr(out.p, "instance"));
    buf_clear(&out);
    problem_put(&p, PROBLEM_XML, LANG_ZH, &out);
    assert_non_null(memmem(out.p, out.n, "甲&lt;乙", strlen("甲&lt;乙")));
    buf_done(&out);
}

/* Every reason makes a whole body in both languages. */
static void every_reason_is_told(void **state)
{
    (void)state;
    for (unsigned r = 0; r < REASON_COUNT_; r++)
        for (int l = LANG_EN; l <= LANG_ZH; l++) {
            struct problem p = { .reason = (enum reason)r };
            struct buf out = BUF_INIT(1 << 16);
            const struct doc *d;
            struct arena a;
            arena_init(&a, 1 << 20);
            problem_put(&p, PROBLEM_JSON, (enum lang)l, &out);
            assert_int_equal(doc_read_json(buf_slice(&out), &a, NULL, &d), ERR_OK);
            assert_true(doc_text(d, "title").n > 0);
            assert_true(slice_is(doc_text(d, "code"), reason_info((enum reason)r)->code));
            arena_done(&a);
            buf_done(&out);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_chosen),     cmocka_unit_test(languages_are_chosen),
        cmocka_unit_test(json_has_all_members), cmocka_unit_test(xml_escapes),
        cmocka_unit_test(every_reason_is_told), cmocka_unit_test(malformed_in_chinese),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
