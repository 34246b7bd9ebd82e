/* Parameters from bodies and query strings: what is taken, and the words of each refusal, which never hold a value. */
#include "request_fixture.h"

static const char manifest[] = "connector: {kind: http}\n"
                               "request:\n"
                               "  params:\n"
                               "    - {param: kind, required: true, to: query:k}\n"
                               "    - {param: year, max: 4, to: query:y}\n"
                               "    - {param: uscc, level: 1, check: uscc, to: query:u}\n"
                               "    - {param: id_no, check: id-card, to: 'header:X-I'}\n"
                               "    - {param: secret, to: 'header:X-S'}\n"
                               "    - {param: id_no, to: 'header:X-J'}\n";

static const struct {
    const char *text;
    const char *want; /* "name=value level person;…|items", or NULL: refused */
    enum reason reason;
    const char *en, *zh; /* part of the details */
} bodies[] = {
    { "{\"kind\":\"a\"}", "kind=a 1;|", 0, NULL, NULL },
    { " {\"year\":2024 ,\"kind\":true}\n", "kind=true 1;year=2024 2;|", 0, NULL, NULL },
    { "{\"kind\":\"\\u59d3䶮\",\"year\":\"\"}", "kind=姓䶮 1;year= 2;|", 0, NULL, NULL },
    { "{\"secret\":\"s\",\"kind\":-1.50e3,\"uscc\":\"91350100M000100Y43\"}",
      "kind=-1.50e3 1;uscc=91350100M000100Y43 1;secret=s 3 person;|", 0, NULL, NULL },
    { "{\"id_no\":\"99010119900307993X\",\"kind\":\"a\"}", NULL, REASON_PARAMETER_INVALID, "id_no is not a valid",
      "id_no 不是合法的" },
    { "{\"id_no\":\"99010119900101006x\",\"kind\":\"x\"}", "kind=x 1;id_no=99010119900101006X 4 person;|", 0, NULL,
      NULL }, /* a check has one form; what has none is passed on as it came */
    { "{\"kind\":\"a\",\"_items\":\"name,year\"}", "kind=a 1;|name,year", 0, NULL, NULL },
    { "{\"_items\":[\"name\",\"year\"],\"kind\":\"a\"}", "kind=a 1;|name,year", 0, NULL, NULL },
    { "{\"_items\":[\"name\"],\"kind\":\"a\"}", "kind=a 1;|name", 0, NULL, NULL },
    { "{\"_items\":[],\"kind\":\"a\"}", NULL, REASON_PARAMETER_INVALID, "_items names no items",
      "_items 未写明数据项" },
    { "{\"_items\":\"\",\"kind\":\"a\"}", NULL, REASON_PARAMETER_INVALID, "_items names no items", "_items" },
    { "{\"_items\":[\"\"],\"kind\":\"a\"}", NULL, REASON_PARAMETER_INVALID, "_items names no items", "_items" },
    { "{\"_items\":[\"\",\"a\"],\"kind\":\"a\"}", NULL, REASON_PARAMETER_INVALID, "_items has an empty name",
      "_items" },
    { "{\"_items\":\"a,,b\",\"kind\":\"a\"}", NULL, REASON_PARAMETER_INVALID, "_items has an empty name", "_items" },
    { "{\"_items\":[[\"a\"]],\"kind\":\"a\"}", NULL, REASON_PARAMETER_INVALID, "one JSON object", "一个 JSON 对象" },
    { "{\"_items\":[{\"a\":1}],\"kind\":\"a\"}", NULL, REASON_PARAMETER_INVALID, "one JSON object", "一个 JSON 对象" },
    { "{\"_items\":[1],\"kind\":\"a\"}", NULL, REASON_PARAMETER_INVALID, "one JSON object", "一个 JSON 对象" },
    { "{\"_items\":7,\"kind\":\"a\"}", NULL, REASON_PARAMETER_INVALID, "one JSON object", "一个 JSON 对象" },
    { "{\"_items\":\"a\",\"kind\":\"a\",\"_items\":[\"b\"]}", NULL, REASON_PARAMETER_INVALID, "twice", "重复" },
    { "{}", NULL, REASON_PARAMETER_INVALID, "kind is missing", "kind 缺失" },
    { "{\"kind\":\"\"}", NULL, REASON_PARAMETER_INVALID, "kind is empty, but required", "kind 为必填项" },
    { "{\"kind\":\"a\",\"310000000000000000\":1}", NULL, REASON_PARAMETER_INVALID,
      "parameter number 2 is not declared; declared are: kind, year, uscc, id_no, secret", "第 2 个参数未声明" },
    { "{\"kind\":\"a\",\"Kind\":\"b\"}", NULL, REASON_PARAMETER_INVALID, "number 2 is not declared", "未声明" },
    { "{\"kind\":\"a\",\"kind\":\"b\"}", NULL, REASON_PARAMETER_INVALID, "twice", "重复" },
    { "{\"kind\":\"a\",\"k\\u0069nd\":\"b\"}", NULL, REASON_PARAMETER_INVALID, "twice", "重复" },
    { "{\"kind\":null}", NULL, REASON_PARAMETER_INVALID, "one JSON object", "一个 JSON 对象" },
    { "{\"kind\":{}}", NULL, REASON_PARAMETER_INVALID, "one JSON object", "一个 JSON 对象" },
    { "{\"kind\":[]}", NULL, REASON_PARAMETER_INVALID, "one JSON object", "一个 JSON 对象" },
    { "{\"kind\":[\"a\"]}", NULL, REASON_PARAMETER_INVALID, "one JSON object", "一个 JSON 对象" },
    { "{\"kind\":{\"a\":\"b\"}}", NULL, REASON_PARAMETER_INVALID, "one JSON object", "一个 JSON 对象" },
    { "[]", NULL, REASON_PARAMETER_INVALID, "one JSON object", "一个 JSON 对象" },
    { "[{\"kind\":\"a\"}]", NULL, REASON_PARAMETER_INVALID, "one JSON object", "一个 JSON 对象" },
    { "\"a\"", NULL, REASON_PARAMETER_INVALID, "one JSON object", "一个 JSON 对象" },
    { "null", NULL, REASON_PARAMETER_INVALID, "one JSON object", "一个 JSON 对象" },
    { "", NULL, REASON_PARAMETER_INVALID, "not well-formed JSON: see byte 0", "第 0 字节" },
    { "{\"kind\":\"a\"", NULL, REASON_PARAMETER_INVALID, "not well-formed JSON: see byte 11", "第 11 字节" },
    { "{\"kind\":\"\xff\"}", NULL, REASON_PARAMETER_INVALID, "not well-formed JSON: see byte 9", "不是合法的 JSON" },
    { "\xef\xbb\xbf{\"kind\":\"a\"}", NULL, REASON_PARAMETER_INVALID, "see byte 0", "不是合法的 JSON" },
    { "{\"kind\":\"a\",\"year\":\"20245\"}", NULL, REASON_PARAMETER_INVALID, "year is longer than 4 characters",
      "year 超过 4 个字符" },
    { "{\"kind\":\"a\",\"year\":\"二〇二四\"}", "kind=a 1;year=二〇二四 2;|", 0, NULL, NULL },
    /* an identity number stands in the log as a pseudonym or not at all */
    { "{\"kind\":\"990101199003079730\"}", NULL, REASON_PARAMETER_INVALID, "kind holds an identity number",
      "kind 含公民身份号码" },
    { "{\"kind\":990101199003079730}", NULL, REASON_PARAMETER_INVALID, "kind holds an identity number", "身份号码" },
    { "{\"kind\":\"of ９９０１０１１９９００３０７９７３０\"}", NULL, REASON_PARAMETER_INVALID,
      "kind holds an identity number", "身份号码" },
    { "{\"kind\":\"990101900307973\"}", NULL, REASON_PARAMETER_INVALID, "kind holds an identity number", "身份号码" },
    { "{\"kind\":\"990101 19900307 9730\"}", NULL, REASON_PARAMETER_INVALID, "kind holds an identity number",
      "身份号码" },
    { "{\"kind\":\"990101-19900307-9730\"}", NULL, REASON_PARAMETER_INVALID, "kind holds an identity number",
      "身份号码" },
    { "{\"kind\":\"99010119900307\\u200b9730\"}", NULL, REASON_PARAMETER_INVALID, "kind holds an identity number",
      "身份号码" },
    { "{\"kind\":\"990101\u3000900307 973\"}", "kind=990101　900307 973 1;|", 0, NULL, NULL },
    { "{\"kind\":\"1990-03-07 2024-01-01 12\"}", "kind=1990-03-07 2024-01-01 12 1;|", 0, NULL, NULL },
    { "{\"kind\":\"990101199003079731\"}", "kind=990101199003079731 1;|", 0, NULL, NULL },
    { "{\"kind\":\"202611260112001\"}", "kind=202611260112001 1;|", 0, NULL, NULL },
    { "{\"kind\":\"a\",\"secret\":\"990101199003079730\"}", "kind=a 1;secret=990101199003079730 3 person;|", 0, NULL,
      NULL },
};

static const struct {
    const char *text;
    const char *want;
    enum reason reason;
    const char *en;
} queries[] = {
    { "kind=a", "kind=a 1;|", 0, NULL },
    { "year=2024&kind=a+b%2Bc%20", "kind=a b+c  1;year=2024 2;|", 0, NULL },
    { "&kind=%E5%A7%93&", "kind=姓 1;|", 0, NULL },
    { "%6bind=a", "kind=a 1;|", 0, NULL },
    { "kind=a=b", "kind=a=b 1;|", 0, NULL },
    { "kind=a&year", "kind=a 1;year= 2;|", 0, NULL },
    { "kind=a&_items=name,year", "kind=a 1;|name,year", 0, NULL },
    { "kind=a&_items=name%2Cyear", "kind=a 1;|name,year", 0, NULL },
    { "kind=a&_items=", NULL, REASON_PARAMETER_INVALID, "_items names no items" },
    { "kind=a&_items=a&_items=b", NULL, REASON_PARAMETER_INVALID, "_items is given twice" },
    { "", NULL, REASON_PARAMETER_INVALID, "kind is missing" },
    { "kind=a&kind=b", NULL, REASON_PARAMETER_INVALID, "kind is given twice" },
    { "kind=%", NULL, REASON_PARAMETER_INVALID, "kind is not percent-encoded" },
    { "kind=%4", NULL, REASON_PARAMETER_INVALID, "kind is not percent-encoded" },
    { "kind=%zz", NULL, REASON_PARAMETER_INVALID, "kind is not percent-encoded" },
    { "kind=%ff", NULL, REASON_PARAMETER_INVALID, "kind is not percent-encoded" },
    { "%ff=a", NULL, REASON_PARAMETER_INVALID, "a name in the query string" },
    { "kind=a&x=1", NULL, REASON_PARAMETER_INVALID, "number 2 is not declared" },
    { "=a", NULL, REASON_PARAMETER_INVALID, "number 1 is not declared" },
    { "kind=a&uscc=1", NULL, REASON_PARAMETER_INVALID, "uscc is not a valid" },
    { "id_no=1", NULL, REASON_PARAMETER_IN_URL, "id_no is sensitive" },
    { "id_no", NULL, REASON_PARAMETER_IN_URL, "id_no is sensitive" },
    { "secret=1", NULL, REASON_PARAMETER_IN_URL, "secret is sensitive" },
    { "x=1&%ff=2&kind=%&kind=b&secret=%", NULL, REASON_PARAMETER_IN_URL, "secret is sensitive" },
    { "%69d%5Fno=1", NULL, REASON_PARAMETER_IN_URL, "id_no is sensitive" },
    { "secret=1&secret=2", NULL, REASON_PARAMETER_IN_URL, "secret is sensitive" },
    { "kind=990101199003079730", NULL, REASON_PARAMETER_IN_URL, "holds an identity number" },
    { "kind=a&kind=b&x=%&kind=of+%3990101199003079730", NULL, REASON_PARAMETER_IN_URL, "holds an identity number" },
    { "kind=%EF%BC%99%EF%BC%99%EF%BC%90%EF%BC%91%EF%BC%90%EF%BC%91%EF%BC%99%EF%BC%90%EF%BC%90%EF%BC%93%EF%BC%90"
      "%EF%BC%97%EF%BC%99%EF%BC%97%EF%BC%93",
      NULL, REASON_PARAMETER_IN_URL, "holds an identity number" },
    { "kind=%zz990101199003079730", NULL, REASON_PARAMETER_IN_URL, "holds an identity number" },
    { "kind=a&990101900307973", NULL, REASON_PARAMETER_IN_URL, "holds an identity number" },
    { "kind=990101+19900307%209730", NULL, REASON_PARAMETER_IN_URL, "holds an identity number" },
    { "kind=990101-19900307-9730", NULL, REASON_PARAMETER_IN_URL, "holds an identity number" },
    { "kind=a&_items=990101199003079730", NULL, REASON_PARAMETER_IN_URL, "holds an identity number" },
    { "kind=990101199003079731", "kind=990101199003079731 1;|", 0, NULL },
    { "kind=20261126011&year=2001", "kind=20261126011 1;year=2001 2;|", 0, NULL },
};

static void put_params(struct buf *b, const struct translate_params *p, struct slice items)
{
    for (size_t i = 0; i < p->n; i++)
        buf_printf(b, "%.*s=%.*s %u%s;", SLICE_ARG(p->at[i].name), SLICE_ARG(p->at[i].value), p->at[i].level,
                   p->at[i].person ? " person" : "");
    buf_printf(b, "|%.*s", SLICE_ARG(items));
}

static void expect_refusal(const char *text, enum err e, const struct translate_refusal *why, enum reason reason,
                           const char *en, const char *zh)
{
    if (e != ERR_INVALID || why->reason != reason || strstr(why->detail[LANG_EN], en) == NULL ||
        strstr(why->detail[LANG_ZH], zh) == NULL)
        fail_msg("%s: %s %s %s / %s", text, err_name(e), reason_info(why->reason)->code, why->detail[LANG_EN],
                 why->detail[LANG_ZH]);
}

static void expect_params(const char *text, enum err e, const struct translate_refusal *why,
                          const struct translate_params *p, struct slice items, const char *want)
{
    struct buf b = BUF_INIT(65536);

    if (e != ERR_OK)
        fail_msg("%s: %s", text, why->detail[LANG_EN]);
    put_params(&b, p, items);
    if (!slice_is(buf_slice(&b), want))
        fail_msg("%s: %.*s", text, SLICE_ARG(buf_slice(&b)));
    buf_done(&b);
}

static void test_bodies(void **state)
{
    struct fixture f;

    (void)state;
    assert_int_equal(fixture_compile(&f, manifest), ERR_OK);
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct translate_params p;
        struct translate_refusal why;
        struct slice items;
        enum err e = translate_params_json(&f.plan, slice_of(bodies[i].text), &f.arena, &p, &items, &why);

        if (bodies[i].want != NULL)
            expect_params(bodies[i].text, e, &why, &p, items, bodies[i].want);
        else
            expect_refusal(bodies[i].text, e, &why, bodies[i].reason, bodies[i].en, bodies[i].zh);
    }
    fixture_done(&f);
}

static void test_queries(void **state)
{
    struct fixture f;

    (void)state;
    assert_int_equal(fixture_compile(&f, manifest), ERR_OK);
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        struct translate_params p;
        struct translate_refusal why;
        struct slice items;
        enum err e = translate_params_query(&f.plan, slice_of(queries[i].text), &f.arena, &p, &items, &why);

        if (queries[i].want != NULL)
            expect_params(queries[i].text, e, &why, &p, items, queries[i].want);
        else
            expect_refusal(queries[i].text, e, &why, queries[i].reason, queries[i].en, "");
    }
    fixture_done(&f);
}

/* No refusal repeats what was sent, wherever a person may have put it. */
static void test_silent(void **state)
{
    static const char *const texts[] = {
        "{\"kind\":\"a\",\"uscc\":\"MARKED7\"}",
        "{\"MARKED7\":\"a\"}",
        "{\"kind\":MARKED7}",
        "{\"kind\":\"a\",\"id_no\":\"MARKED7\"}",
        "{\"year\":\"MARKED7\"}",
        "{\"_items\":\"MARKED7,\"}",
        "MARKED7",
        "{\"kind\":[\"MARKED7\"]}",
        "{\"kind\":\"MARKED7\",\"kind\":1}",
    };
    struct fixture f;

    (void)state;
    assert_int_equal(fixture_compile(&f, manifest), ERR_OK);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct translate_params p;
        struct translate_refusal why;
        struct slice items;

        assert_int_equal(translate_params_json(&f.plan, slice_of(texts[i]), &f.arena, &p, &items, &why), ERR_INVALID);
        assert_null(strstr(why.detail[LANG_EN], "MARKED7"));
        assert_null(strstr(why.detail[LANG_ZH], "MARKED7"));
    }
    fixture_done(&f);
}

static void test_listing(void **state)
{
    struct fixture f;
    struct slice name;
    bool required;
    uint8_t level;

    (void)state;
    assert_int_equal(fixture_compile(&f, manifest), ERR_OK);
    assert_true(translate_param_at(&f.plan, 0, &name, &required, &level));
    assert_true(slice_is(name, "kind") && required && level == 1);
    assert_true(translate_param_at(&f.plan, 3, &name, &required, &level));
    assert_true(slice_is(name, "id_no") && !required && level == 4);
    assert_true(translate_param_at(&f.plan, 4, &name, &required, &level));
    assert_true(slice_is(name, "secret") && !required && level == 3);
    assert_false(translate_param_at(&f.plan, 5, &name, &required, &level));
    assert_false(translate_param_at(&f.plan, 1000, &name, &required, &level));
    fixture_done(&f);
}

/* Each allocation failed in turn: an error or the right answer, nothing else. */
static void test_no_memory(void **state)
{
    struct fixture f;
    bool done = false;

    (void)state;
    assert_int_equal(fixture_compile(&f, manifest), ERR_OK);
    for (size_t n = 1; !done; n++) {
        struct arena a;
        struct translate_params p;
        struct translate_refusal why;
        struct translate_request q;
        static const struct translate_context context;
        struct slice items;
        enum err e;

        arena_init(&a, 1 << 20);
        (void)mem_fail_nth(n);
        e = translate_params_json(&f.plan, SLICE("{\"kind\":\"姓\",\"_items\":[\"a\",\"b\"]}"), &a, &p, &items, &why);
        if (e == ERR_OK)
            e = translate_render(&f.plan, &p, &context, &a, &q, &why);
        done = e == ERR_OK;
        (void)mem_fail_nth(0);
        assert_true(done ? slice_is(q.target, "?k=%E5%A7%93") && n > 3 : e == ERR_NOMEM);
        arena_done(&a);
    }
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),  cmocka_unit_test(test_queries),   cmocka_unit_test(test_silent),
        cmocka_unit_test(test_listing), cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
