/* Reading JSON: places, strictness (JSONTestSuite where it is at hand), caps, and damaged input of every kind. */
#include "tests/unit/base/doc/doc_test.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static void test_places(void **state)
{
    struct bench *b = *state;
    const struct doc *d = read_json(b, "{\n  \"名\": [1, true,\r\n\tnull], \"𠮷\": {\"k\": \"v\"} }\n");

    assert_string_equal(tree_text(b, d, true),
                        "map@1:1{名@2:3: list@2:8{number@2:9(1), bool@2:12(true), null@3:2(null)}, "
                        "𠮷@3:9: map@3:14{k@3:15: string@3:20(v)}}");
}

static void test_accessors(void **state)
{
    struct bench *b = *state;
    const struct doc *d =
        read_json(b, "{\"n\": 12, \"s\": \"12\", \"t\": true, \"f\": \"true\", \"x\": null, \"l\": [], "
                     "\"neg\": -1, \"big\": 18446744073709551615, \"huge\": 18446744073709551616}");

    assert_int_equal(doc_u64(d, "n", 7), 12);
    assert_int_equal(doc_u64(d, "s", 7), 7);
    assert_int_equal(doc_u64(d, "neg", 7), 7);
    assert_int_equal(doc_u64(d, "huge", 7), 7);
    assert_true(doc_u64(d, "big", 7) == UINT64_MAX);
    assert_int_equal(doc_u64(d, "absent", 7), 7);
    assert_true(doc_flag(d, "t"));
    assert_false(doc_flag(d, "f"));
    assert_false(doc_flag(d, "absent"));
    assert_true(slice_is(doc_text(d, "n"), "12"));
    assert_int_equal(doc_text(d, "l").n + doc_text(d, "x").n + doc_text(d, "absent").n, 0);
    assert_null(doc_get(doc_get(d, "l"), "n"));
    assert_null(doc_get(NULL, "n"));
    assert_ptr_equal(doc_get_slice(d, SLICE("n")), d->first);
}

static void test_strings(void **state)
{
    static const struct {
        const char *json;
        struct slice want;
    } cases[] = {
        { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", SLICE("\"\\/\b\f\n\r\t") },
        { "\"\\u0000\"", SLICE("\0") },
        { "\"\\u4DAE\\u00e9\\u007F\"", SLICE("䶮é\x7f") },
        { "\"\\uD842\\uDFB7\"", SLICE("𠮷") },
        { "\"\"", SLICE("") },
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(slice_eq(read_json(b, cases[i].json)->text, cases[i].want));
}

static void test_refused(void **state)
{
    static const struct {
        const char *json, *want;
    } cases[] = {
        { "", "1:1 not JSON: the text ends too early" },
        { "{\"a\": 1,\n \"b\" 2}", "2:6 not JSON: ':' is expected behind the key" },
        { "[1, 2", "1:6 not JSON: the text ends too early" },
        { "\"abc", "1:5 not JSON: the text ends too early" },
        { "\"abc\\", "1:5 not JSON: unknown escape after \\" },
        { "[1,]", "1:4 not JSON: a value is expected here" },
        { "[012]", "1:3 not JSON: ',' or ']' is expected here" },
        { "{a: 1}", "1:2 not JSON: a key in double quotes is expected here" },
        { "[1] []", "1:5 not JSON: something follows the value" },
        { "[\"\\uD842\"]", "1:3 not JSON: \\u needs four hex digits" },
        { "[\"\\uDFB7\"]", "1:3 not JSON: \\u needs four hex digits" },
        { "[\"\\uD842\\u0041\"]", "1:3 not JSON: \\u needs four hex digits" },
        { "[\"\\u12G4\"]", "1:3 not JSON: \\u needs four hex digits" },
        { "[\"a\tb\"]", "1:4 not JSON: a control character" },
        { "{\"a\": 1,\n \"b\": 2, \"a\": 3}", "2:10 the key 'a' stands here again, first in line 1" },
        { "{\"x\": \"\xc8\xcb\"}", "1:8 this is not UTF-8" },
        { "[NaN]", "1:2 not JSON: a value is expected here" },
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct doc *node = NULL;
        enum err e;

        bench_reset(b);
        e = doc_read_json(slice_of(cases[i].json), &b->arena, &b->d, &node);
        assert_true(e == ERR_SYNTAX || e == ERR_INVALID);
        assert_null(node);
        assert_int_equal(b->d.count, 1);
        if (!slice_starts(slice_of(diag_text(b, 0, LANG_EN)), slice_of(cases[i].want)))
            fail_msg("%s: %s", cases[i].json, diag_text(b, 0, LANG_EN));
        assert_int_equal(doc_read_json(slice_of(cases[i].json), &b->arena, NULL, &node), e);
    }
    assert_non_null(strstr(diag_text(b, 0, LANG_ZH), "格式错误：此处应为一个值"));
}

/* Far more duplicates than members compared pair by pair could bear, in a map as large as allowed. */
static void test_duplicates_in_a_large_map(void **state)
{
    struct bench *b = *state;
    struct buf text = BUF_INIT(16 << 20);
    const struct doc *node = NULL;

    buf_putc(&text, '{');
    for (int i = 0; i < 150000; i++)
        buf_printf(&text, "\"k%d\":1,", i);
    buf_puts(&text, "\"k77777\":1}");
    assert_int_equal(doc_read_json(buf_slice(&text), &b->arena, &b->d, &node), ERR_INVALID);
    assert_int_equal(b->d.count, 1);
    assert_non_null(strstr(diag_text(b, 0, LANG_EN), "'k77777'"));
    buf_done(&text);
}

static enum err read_nested(struct bench *b, unsigned depth)
{
    struct buf text = BUF_INIT(1 << 20);
    const struct doc *node = NULL;
    enum err e;

    for (unsigned i = 0; i < depth; i++)
        buf_putc(&text, '[');
    for (unsigned i = 0; i < depth; i++)
        buf_putc(&text, ']');
    e = doc_read_json(buf_slice(&text), &b->arena, &b->d, &node);
    buf_done(&text);
    return e;
}

static void test_caps(void **state)
{
    struct bench *b = *state;
    struct arena tight;
    struct buf text = BUF_INIT(1 << 20);
    const struct doc *node = NULL;

    assert_int_equal(read_nested(b, DOC_DEPTH_MAX), ERR_OK);
    assert_int_equal(read_nested(b, DOC_DEPTH_MAX + 1), ERR_TOO_LARGE);
    assert_int_equal(read_nested(b, 100000), ERR_TOO_LARGE);
    buf_putc(&text, '[');
    for (int i = 0; i < DOC_NODES_MAX - 1; i++)
        buf_puts(&text, i ? ",1" : "1");
    assert_int_equal(doc_read_json(slice_make(text.p, text.n), &b->arena, NULL, &node), ERR_SYNTAX);
    buf_putc(&text, ']');
    assert_int_equal(doc_read_json(buf_slice(&text), &b->arena, NULL, &node), ERR_OK);
    text.n--;
    buf_puts(&text, ",1]");
    assert_int_equal(doc_read_json(buf_slice(&text), &b->arena, NULL, &node), ERR_TOO_LARGE);
    arena_init(&tight, 10000);
    assert_int_equal(doc_read_json(buf_slice(&text), &tight, NULL, &node), ERR_TOO_LARGE);
    arena_done(&tight);
    buf_done(&text);
}

/* Every prefix of a document is refused (none is whole), and no single changed byte does harm. */
static void test_damaged(void **state)
{
    static const char text[] = "{\"a\":[1,-2.5e+3,\"\\uD842\\uDFB7𠮷\\n\",{\"b\":null}],\"c\":true}";
    struct bench *b = *state;
    const struct doc *node = NULL;
    char *copy;

    for (size_t n = 0; n < sizeof text - 1; n++) {
        struct slice part = { mem_dup(slice_make(text, n)), n }; /* on the heap: the sanitizer guards its end */

        assert_non_null(part.p);
        assert_int_not_equal(doc_read_json(part, &b->arena, NULL, &node), ERR_OK);
        mem_free((void *)(uintptr_t)part.p);
    }
    for (size_t at = 0; at < sizeof text - 1; at++)
        for (int c = 0; c < 256; c++) {
            enum err e;

            copy = mem_dup(slice_make(text, sizeof text - 1));
            assert_non_null(copy);
            copy[at] = (char)c;
            e = doc_read_json(slice_make(copy, sizeof text - 1), &b->arena, NULL, &node);
            assert_true(e == ERR_OK || e == ERR_SYNTAX || e == ERR_INVALID);
            mem_free(copy);
            if (c == 255)
                bench_reset(b);
        }
}

static const char *corpus(struct bench *b)
{
    const char *given = getenv("SLUICE_CORPUS"), *source = getenv("SLUICE_SOURCE");
    const char *path = given && *given
                           ? arena_printf(&b->arena, "%s/json-parsing", given)
                           : arena_printf(&b->arena, "%s/../shared/data/json-parsing", source ? source : ".");

    assert_non_null(path);
    return path;
}

static void test_suite(void **state)
{
    struct bench *b = *state;
    DIR *dir = opendir(corpus(b));
    struct buf text = BUF_INIT(8 << 20);
    unsigned counts[2] = { 0 };
    struct dirent *entry;

    if (!dir) {
        print_message("skipped: no folder %s (set SLUICE_CORPUS)\n", corpus(b));
        skip();
    }
    while ((entry = readdir(dir)) != NULL) {
        const struct doc *node = NULL;
        const char *path;
        enum err e;

        if (!slice_ends(slice_of(entry->d_name), SLICE(".json")))
            continue;
        bench_reset(b);
        path = path_join(&b->arena, corpus(b), entry->d_name);
        assert_non_null(path);
        assert_int_equal(file_read(path, &text, &b->d), ERR_OK);
        e = doc_read_json(buf_slice(&text), &b->arena, &b->d, &node);
        assert_true((e == ERR_OK) == (node != NULL) && (e == ERR_OK) == (b->d.count == 0));
        if (entry->d_name[0] == 'y' && e != ERR_OK && !strstr(entry->d_name, "duplicated_key"))
            fail_msg("%s refused: %s", entry->d_name, diag_text(b, 0, LANG_EN));
        if (entry->d_name[0] == 'n' && e == ERR_OK)
            fail_msg("%s accepted", entry->d_name);
        counts[entry->d_name[0] == 'y'] += entry->d_name[0] != 'i';
    }
    closedir(dir);
    buf_done(&text);
    print_message("%u valid, %u invalid\n", counts[1], counts[0]);
    assert_true(counts[0] > 150 && counts[1] > 80);
}

static void test_no_memory(void **state)
{
    struct bench *b = *state;
    const struct doc *node = NULL;

    for (size_t n = 1; n < 4; n++) {
        bench_reset(b);
        mem_fail_nth(n);
        (void)!doc_read_json(SLICE("{\"a\":[1,2,{\"b\":\"c\"}]}"), &b->arena, &b->d, &node);
        mem_fail_nth(0);
    }
    bench_reset(b);
    mem_fail_nth(1);
    assert_int_equal(doc_read_json(SLICE("[]"), &b->arena, NULL, &node), ERR_NOMEM);
    mem_fail_nth(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_places),
        CASE(test_accessors),
        CASE(test_strings),
        CASE(test_refused),
        CASE(test_duplicates_in_a_large_map),
        CASE(test_caps),
        CASE(test_damaged),
        CASE(test_suite),
        CASE(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
