/* Writers: what they write, and that it reads back as the same tree, for chosen texts and for random trees. */
#include "tests/unit/base/doc/doc_test.h"
#include <stdio.h>

static const char *yaml_of(struct bench *b, const struct doc *node)
{
    struct buf out = BUF_INIT(10 << 20);
    const char *text;

    doc_put_yaml(node, &out);
    assert_int_equal(out.failed, ERR_OK);
    text = arena_str(&b->arena, buf_slice(&out));
    buf_done(&out);
    return text;
}

static const char *json_of(struct bench *b, const struct doc *node, bool wide)
{
    struct buf out = BUF_INIT(10 << 20);
    struct json j;
    const char *text;

    json_init(&j, &out);
    if (wide)
        doc_put_json_pretty(node, &out);
    else
        doc_put_json(node, &j);
    assert_int_equal(out.failed, ERR_OK);
    text = arena_str(&b->arena, buf_slice(&out));
    buf_done(&out);
    return text;
}

static void round_trip(struct bench *b, const struct doc *node)
{
    const char *want = tree_text(b, node, false), *yaml = yaml_of(b, node);

    if (strcmp(tree_text(b, read_yaml(b, yaml), false), want) != 0)
        fail_msg("%s\nbecame %s\nby %s", want, tree_text(b, read_yaml(b, yaml), false), yaml);
    assert_string_equal(tree_text(b, read_json(b, json_of(b, node, false)), false), want);
    assert_string_equal(tree_text(b, read_json(b, json_of(b, node, true)), false), want);
}

static void test_layout(void **state)
{
    struct bench *b = *state;
    const struct doc *d =
        read_json(b, "{\"kind\":\"Resource\",\"code\":\"0012\",\"num\":0.10,\"e\":{},\"l\":[],\"t\":\"户籍信息\","
                     "\"items\":[{\"name\":\"id\",\"key\":true,\"x\":[1,[2,\"b\"]]},\"a\"],\"m\":\"one\\ntwo\\n\"}");

    assert_string_equal(yaml_of(b, d),
                        "kind: Resource\ncode: \"0012\"\nnum: 0.10\ne: {}\nl: []\nt: 户籍信息\nitems:\n"
                        "  - name: id\n    key: true\n    x:\n      - 1\n      - - 2\n        - b\n  - a\n"
                        "m: |\n  one\n  two\n");
    assert_string_equal(
        json_of(b, d, true),
        "{\n  \"kind\": \"Resource\",\n  \"code\": \"0012\",\n  \"num\": 0.10,\n  \"e\": {},\n  \"l\": [],\n"
        "  \"t\": \"户籍信息\",\n  \"items\": [\n    {\n      \"name\": \"id\",\n      \"key\": true,\n"
        "      \"x\": [\n        1,\n        [\n          2,\n          \"b\"\n        ]\n      ]\n    },\n"
        "    \"a\"\n  ],\n  \"m\": \"one\\ntwo\\n\"\n}\n");
    assert_string_equal(json_of(b, read_yaml(b, "{a: 1.50, b: [~, false, 'x\"y']}"), false),
                        "{\"a\":1.50,\"b\":[null,false,\"x\\\"y\"]}");
    round_trip(b, d);
}

/* Each text as a value at the root, in a map, in a list, and as a key. */
static void test_texts(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "a",
        "0012",
        "12",
        "-1",
        "1e5",
        "1.2.3",
        "0x1F",
        "yes",
        "No",
        "null",
        "~",
        "true",
        "TRUE",
        "2026-01-01",
        "12:30",
        ": ",
        "a: b",
        "a:",
        ":",
        "a:b",
        "http://x:80/y",
        "-",
        "- a",
        "--- a",
        "---",
        "...",
        "-a",
        "?",
        "? a",
        "#a",
        "a #b",
        "a#b",
        " a",
        "a ",
        "'a'",
        "\"a\"",
        "it's",
        "[a]",
        "{a}",
        "a, b",
        "&a",
        "*a",
        "!a",
        "|",
        ">",
        "%a",
        "@a",
        "`a`",
        "<<",
        "=",
        "a\tb",
        "\t",
        "a\nb",
        "a\nb\n",
        "a\n\nb",
        "a\n",
        "\na",
        "a\n\n",
        "\n",
        "a\n b",
        "a\n  ",
        "a\r\nb",
        "a\\b",
        "\x01",
        "\x7f",
        "\xc2\x85",
        "\xc2\xa0x",
        "\xe2\x80\xa8",
        "x\xef\xbb\xbf",
        "\xef\xbb\xbfx",
        "\xef\xbf\xbf",
        "䶮𠮷",
        "户籍：信息，“库”",
        "a\n#b",
        "a\n---\nb",
        "a\n\tb",
        "x: |\n  y",
        "%YAML 1.1",
        "y",
        "on",
        ".inf",
        "a\n'b",
        "# a\nb",
        "- a\n- b",
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct slice s = slice_of(texts[i]);
        struct doc value = { .type = DOC_STRING, .text = s, .key = s, .line = 1 };
        struct doc map = { .type = DOC_MAP, .first = &value, .count = 1 };
        struct doc inner = { .type = DOC_LIST, .first = &map, .count = 1, .key = SLICE("k") };
        struct doc list = { .type = DOC_LIST, .first = &inner, .count = 1 };

        round_trip(b, &value);
        round_trip(b, &map);
        round_trip(b, &list);
    }
}

static void test_nul_and_long_keys(void **state)
{
    struct bench *b = *state;
    char *key = arena_alloc(&b->arena, 3000);
    struct doc leaf = { .type = DOC_NUMBER, .text = SLICE("1"), .key = SLICE("x") };
    struct doc sub = { .type = DOC_MAP, .first = &leaf, .count = 1, .key = { key, 3000 } };
    struct doc map = { .type = DOC_MAP, .first = &sub, .count = 1 };
    struct doc list = { .type = DOC_LIST, .first = &map, .count = 1 };

    memset(key, 'k', 3000);
    round_trip(b, &list);
    sub = (struct doc){ .type = DOC_STRING, .text = SLICE("two\nlines"), .key = { key, 3000 } };
    round_trip(b, &list);
    assert_string_equal(yaml_of(b, read_json(b, "\"a\\u0000b\"")), "\"a\\u0000b\"\n");
    assert_int_equal(read_yaml(b, "\"a\\u0000b\"\n")->text.n, 3);
}

/* ---- random trees ---- */

static uint32_t roll(uint64_t *seed, uint32_t n)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % n;
}

static struct slice random_text(struct bench *b, uint64_t *seed)
{
    static const char *const bits[] = { "a",  "b1", " ",  "\n", ": ",  " #", "-",  "'", "\"",
                                        "名", "𠮷", "\t", "0",  "yes", "|",  "\\", "," };
    struct buf t = BUF_INIT(1000);
    struct slice s;

    for (uint32_t n = roll(seed, 7); n > 0; n--)
        buf_puts(&t, bits[roll(seed, sizeof bits / sizeof *bits)]);
    s = arena_dup(&b->arena, buf_slice(&t));
    buf_done(&t);
    return s;
}

static struct doc *random_tree(struct bench *b, uint64_t *seed, unsigned depth)
{
    static const struct doc plain[] = { { .type = DOC_NULL, .text = SLICE("null") },
                                        { .type = DOC_BOOL, .text = SLICE("true"), .flag = true },
                                        { .type = DOC_BOOL, .text = SLICE("false") },
                                        { .type = DOC_NUMBER, .text = SLICE("-0.50e3") } };
    struct doc *d = arena_zalloc(&b->arena, sizeof *d), *last = NULL;
    uint32_t kind = roll(seed, depth > 4 ? 6 : 10);

    if (kind < 4) {
        *d = plain[kind];
    } else if (kind < 6) {
        *d = (struct doc){ .type = DOC_STRING, .text = random_text(b, seed) };
    } else {
        d->type = kind < 8 ? DOC_MAP : DOC_LIST;
        for (uint32_t n = roll(seed, 4); n > 0; n--) {
            struct doc *child = random_tree(b, seed, depth + 1);
            struct slice text = random_text(b, seed);

            if (d->type == DOC_MAP) /* a number makes it unique */
                child->key = slice_of(arena_printf(&b->arena, "%u%.*s", n, SLICE_ARG(text)));
            if (last)
                last->next = child;
            else
                d->first = child;
            last = child;
            d->count++;
        }
    }
    return d;
}

static void test_random_trees(void **state)
{
    struct bench *b = *state;

    for (uint64_t i = 0; i < 3000; i++) {
        uint64_t seed = i * 77777;
        struct doc *d;

        bench_reset(b);
        d = random_tree(b, &seed, 0);
        if (d->type != DOC_NULL)
            round_trip(b, d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(test_layout), CASE(test_texts), CASE(test_nul_and_long_keys),
                                        CASE(test_random_trees) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
