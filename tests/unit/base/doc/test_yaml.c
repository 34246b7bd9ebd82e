/* Reading YAML: places, types of plain scalars, what is refused and where, caps, damaged input. */
#include "tests/unit/base/doc/doc_test.h"
#include <time.h>

static void test_places(void **state)
{
    struct bench *b = *state;
    const struct doc *d =
        read_yaml(b, "# 注释\nkind: Resource\ntitle: {zh: 户籍信息, en: x}\nitems:\n  - name: id\n    length: 18\n"
                     "  - [a,\n     true]\nempty:\n");

    assert_string_equal(tree_text(b, d, true),
                        "map@2:1{kind@2:1: string@2:7(Resource), "
                        "title@3:1: map@3:8{zh@3:9: string@3:13(户籍信息), en@3:19: string@3:23(x)}, "
                        "items@4:1: list@5:3{map@5:5{name@5:5: string@5:11(id), length@6:5: number@6:13(18)}, "
                        "list@7:5{string@7:6(a), bool@8:6(true)}}, empty@9:1: null@9:7()}");
}

static void test_plain_types(void **state)
{
    static const struct {
        const char *text;
        enum doc_type want;
    } cases[] = {
        { "true", DOC_BOOL },         { "false", DOC_BOOL },
        { "True", DOC_STRING },       { "yes", DOC_STRING },
        { "no", DOC_STRING },         { "on", DOC_STRING },
        { "null", DOC_NULL },         { "~", DOC_NULL },
        { "Null", DOC_STRING },       { "0", DOC_NUMBER },
        { "-0.5e-10", DOC_NUMBER },   { "12", DOC_NUMBER },
        { "1E5", DOC_NUMBER },        { "0012", DOC_STRING },
        { "+1", DOC_STRING },         { ".5", DOC_STRING },
        { "1.", DOC_STRING },         { "1e", DOC_STRING },
        { "0x1F", DOC_STRING },       { "1_000", DOC_STRING },
        { "1.2.3", DOC_STRING },      { "12:30", DOC_STRING },
        { "2026-01-01", DOC_STRING }, { "-", DOC_LIST },
        { ".inf", DOC_STRING },       { "'12'", DOC_STRING },
        { "\"true\"", DOC_STRING },   { "''", DOC_STRING },
        { "|\n  12", DOC_STRING },    { "99010119900101123X", DOC_STRING },
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (read_yaml(b, cases[i].text)->type != cases[i].want)
            fail_msg("%s is %s", cases[i].text, tree_text(b, read_yaml(b, cases[i].text), false));
}

static void test_documents(void **state)
{
    static const struct {
        const char *text;
        unsigned count;
    } cases[] = {
        { "", 0 },
        { "# nothing\n", 0 },
        { "a: 1\n", 1 },
        { "---\na: 1\n---\nb: 2\n...\n", 2 },
        { "---\n---\n", 2 },
        { "\xef\xbb\xbf"
          "a: 1\r\nb: 2\r\n",
          1 },
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct doc *list = NULL;

        assert_int_equal(doc_read_yaml(slice_of(cases[i].text), &b->arena, &b->d, &list), ERR_OK);
        assert_int_equal(list->count, cases[i].count);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *yaml;
        enum err code;
        const char *want;
    } cases[] = {
        { "a: &x 1\n", ERR_UNSUPPORTED, "1:4 anchors" },
        { "a: 1\nb: *x\n", ERR_UNSUPPORTED, "2:4 aliases" },
        { "a: !!str 1\n", ERR_UNSUPPORTED, "1:4 tags" },
        { "a: ! x\n", ERR_UNSUPPORTED, "1:4 tags" },
        { "a: !php/object {b: c}\n", ERR_UNSUPPORTED, "1:4 tags" },
        { "&m {a: 1}\n", ERR_UNSUPPORTED, "1:1 anchors" },
        { "%TAG !e! tag:example,2026:\n---\na: 1\n", ERR_UNSUPPORTED, "1:1 %TAG" },
        { "a: 1\nb: 2\na: 3\n", ERR_INVALID, "3:1 the key 'a' stands here again, first in line 1" },
        { "{a: 1, b: {c: 1, c: 2}}\n", ERR_INVALID, "1:18 the key 'c' stands here again" },
        { "a: 1\n\tb: 2\n", ERR_SYNTAX,
          "2:1 not YAML: found a tab character that violates indentation; indent with blanks" },
        { "a: @b\n", ERR_SYNTAX, "1:4 not YAML: found character that cannot start any token; put the text in quotes" },
        { "a: b: c\n", ERR_SYNTAX, "1:5 not YAML: mapping values are not allowed in this context; check" },
        { "a: [1, 2\nb: 3\n", ERR_SYNTAX, "2:" },
        { "a: 'x\n", ERR_SYNTAX, "2:1 not YAML: found unexpected end of stream; a quote is not closed" },
        { "[a]: 1\n", ERR_SYNTAX, "1:1 a key is a text" },
        { "a: \x01\n", ERR_SYNTAX, "1:4 not YAML: control characters are not allowed" },
        { "名: \xc8\xcb\n", ERR_SYNTAX, "1:4 this is not UTF-8; save the file as UTF-8" },
        { "a: 1\n- b\n", ERR_SYNTAX, "2:1 not YAML: did not find expected key" },
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct doc *list = NULL;
        enum err e;

        bench_reset(b);
        e = doc_read_yaml(slice_of(cases[i].yaml), &b->arena, &b->d, &list);
        if (e != cases[i].code || list || b->d.count != 1 ||
            !slice_starts(slice_of(diag_text(b, 0, LANG_EN)), slice_of(cases[i].want)))
            fail_msg("%s: %s, %u diags, %s", cases[i].yaml, err_name(e), b->d.count, diag_text(b, 0, LANG_EN));
        assert_true(strlen(diag_text(b, 0, LANG_ZH)) > 10);
        assert_int_equal(doc_read_yaml(slice_of(cases[i].yaml), &b->arena, NULL, &list), e);
    }
}

/* What is refused by name does not hide the rest. */
static void test_all_at_once(void **state)
{
    struct bench *b = *state;
    const struct doc *list = NULL;

    assert_int_equal(doc_read_yaml(SLICE("a: &x 1\nb: *x\nc: !t 2\nc: 3\n"), &b->arena, &b->d, &list), ERR_INVALID);
    assert_int_equal(b->d.count, 4);
}

static void test_caps(void **state)
{
    struct bench *b = *state;
    struct buf text = BUF_INIT(4 << 20);
    const struct doc *list = NULL;

    for (int i = 0; i < 100000; i++)
        buf_putc(&text, '[');
    assert_int_equal(doc_read_yaml(buf_slice(&text), &b->arena, &b->d, &list), ERR_TOO_LARGE);
    buf_clear(&text);
    for (int i = 0; i < 100000; i++)
        buf_puts(&text, "- ");
    assert_int_equal(doc_read_yaml(buf_slice(&text), &b->arena, &b->d, &list), ERR_TOO_LARGE);
    buf_clear(&text);
    for (int i = 0; i < DOC_NODES_MAX; i++)
        buf_puts(&text, "- a\n");
    assert_int_equal(doc_read_yaml(buf_slice(&text), &b->arena, &b->d, &list), ERR_TOO_LARGE);
    buf_done(&text);
}

/* Every prefix and every changed byte of a document: an answer, never a crash or a leak. */
static void test_damaged(void **state)
{
    static const char text[] =
        "%YAML 1.1\n---\na: [1, {b: 'c', \"d\\u4e00\": |\n    x\n  }]\n? 名\n: - x\n  - &a y\n  - *a\n...\n";
    struct bench *b = *state;
    const struct doc *list = NULL;

    for (size_t n = 0; n < sizeof text; n++) {
        char *copy = mem_dup(slice_make(text, n));
        enum err e = doc_read_yaml(slice_make(copy, n), &b->arena, NULL, &list);

        assert_true(e >= ERR_OK && e < ERR_COUNT_);
        mem_free(copy);
    }
    for (size_t at = 0; at < sizeof text - 1; at++)
        for (int c = 0; c < 256; c++) {
            char *copy = mem_dup(slice_make(text, sizeof text - 1));
            enum err e;

            copy[at] = (char)c;
            e = doc_read_yaml(slice_make(copy, sizeof text - 1), &b->arena, NULL, &list);
            assert_true(e >= ERR_OK && e < ERR_COUNT_);
            mem_free(copy);
            if (c == 255)
                bench_reset(b);
        }
}

/* Each directive costs what it weighs, whatever ends its line. */
static void test_directives(void **state)
{
    static const char *const ends[] = { "\n", "\r", "\r\n", "\xc2\x85", "\xe2\x80\xa8" };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct buf text = BUF_INIT(4 << 20);
        struct timespec began, ended;
        const struct doc *d;

        for (unsigned k = 0; k < 30000; k++)
            buf_printf(&text, "%%TAG !a%u! x%s", k, ends[i]);
        buf_puts(&text, "---\na: b\n");
        assert_int_equal(text.failed, ERR_OK);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &began);
        assert_int_equal(doc_read_yaml(buf_slice(&text), &b->arena, &b->d, &d), ERR_UNSUPPORTED);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ended);
        assert_true(ended.tv_sec - began.tv_sec <= 1);
        buf_done(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_places),      CASE(test_plain_types), CASE(test_documents), CASE(test_refused),
        CASE(test_all_at_once), CASE(test_caps),        CASE(test_damaged),   CASE(test_directives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
