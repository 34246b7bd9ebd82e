/* Binding: each kind right and wrong, defaults, ranges, advice, everything at once, both languages. */
#include "tests/unit/base/doc/doc_test.h"

struct all {
    struct slice str, ident, path2;
    struct doc_title title;
    bool flag;
    uint64_t u64, bytes;
    int64_t duration, time;
    int32_t date;
    int word;
    struct doc_strs strs;
    const struct doc *node, *map, *list;
};
static const char *const words[] = { "mutual", "server", "1.1", "none", NULL };

#define AT(f) .offset = offsetof(struct all, f)
static const struct doc_key keys[] = {
    { .name = "str", .kind = DOC_K_STR, AT(str), .min = 1, .max = 4 },
    { .name = "ident", .kind = DOC_K_IDENT, AT(ident) },
    { .name = "path2", .kind = DOC_K_PATH2, AT(path2) },
    { .name = "title", .kind = DOC_K_TITLE, AT(title), .min = 1, .max = 10 },
    { .name = "bool", .kind = DOC_K_BOOL, AT(flag) },
    { .name = "u64", .kind = DOC_K_U64, AT(u64), .min = 2, .max = 9 },
    { .name = "duration", .kind = DOC_K_DURATION, AT(duration), .min = 100, .max = 3600000 },
    { .name = "bytes", .kind = DOC_K_BYTES, AT(bytes), .min = 512, .max = 1 << 30 },
    { .name = "date", .kind = DOC_K_DATE, AT(date) },
    { .name = "time", .kind = DOC_K_TIME, AT(time) },
    { .name = "enum", .kind = DOC_K_ENUM, AT(word), .words = words },
    { .name = "strs", .kind = DOC_K_STRS, AT(strs) },
    { .name = "node", .kind = DOC_K_NODE, AT(node) },
    { .name = "map", .kind = DOC_K_MAP, AT(map) },
    { .name = "list", .kind = DOC_K_LIST, AT(list) },
    { .name = "page", .kind = DOC_K_NODE, AT(node), .flags = DOC_LATER },
    { .name = NULL },
};

static enum err bind(struct bench *b, const char *yaml, struct all *out)
{
    bench_reset(b);
    *out = (struct all){ 0 };
    return doc_bind(read_yaml(b, yaml), keys, out, &b->arena, &b->d);
}

static void test_right(void **state)
{
    struct bench *b = *state;
    struct all a;

    assert_int_equal(bind(b,
                          "str: 身份证号\nident: a-9\npath2: a/b\ntitle: {zh: 户籍, en: Register}\nbool: true\nu64: 9\n"
                          "duration: 1h\nbytes: 16k\ndate: 2026-11-22\ntime: '1970-01-01T08:00:01+08:00'\nenum: 1.1\n"
                          "strs: [a, 12]\nnode: ~\nmap: {x: 1}\nlist: []\n",
                          &a),
                     ERR_OK);
    assert_int_equal(b->d.count, 0);
    assert_true(slice_is(a.str, "身份证号") && slice_is(a.ident, "a-9") && slice_is(a.path2, "a/b"));
    assert_true(slice_is(a.title.zh, "户籍") && slice_is(a.title.en, "Register"));
    assert_true(a.flag);
    assert_int_equal(a.u64, 9);
    assert_int_equal(a.duration, 3600000);
    assert_int_equal(a.bytes, 16384);
    assert_int_equal(a.date, 20779);
    assert_int_equal(a.time, 1000);
    assert_int_equal(a.word, 2);
    assert_int_equal(a.strs.n, 2);
    assert_true(slice_is(a.strs.at[0], "a") && slice_is(a.strs.at[1], "12"));
    assert_int_equal(a.node->type, DOC_NULL);
    assert_int_equal(doc_u64(a.map, "x", 0), 1);
    assert_int_equal(a.list->type, DOC_LIST);
}

static void test_forms(void **state)
{
    struct bench *b = *state;
    struct all a;

    assert_int_equal(bind(b, "str: 0012\ntitle: 户籍\nstrs: one\nbytes: 1G\n", &a), ERR_OK);
    assert_true(slice_is(a.str, "0012") && slice_is(a.title.zh, "户籍") && slice_is(a.title.en, "户籍"));
    assert_true(a.strs.n == 1 && slice_is(a.strs.at[0], "one"));
    assert_int_equal(a.bytes, 1 << 30);
    assert_int_equal(bind(b, "str: 12\ntitle: {en: x}\nstrs: []\nbytes: 512\n", &a), ERR_OK);
    assert_true(slice_is(a.str, "12") && slice_is(a.title.zh, "x") && slice_is(a.title.en, "x"));
    assert_true(a.strs.n == 0 && a.strs.at != NULL);
    assert_int_equal(bind(b, "{}", &a), ERR_OK);
    assert_int_equal(bind(b, "~", &a), ERR_OK);
    assert_true(a.str.n == 0 && a.node == NULL);
}

/* One wrong value each: its place, the words that say what is right, and the field untouched. */
static void test_wrong(void **state)
{
    static const struct {
        const char *yaml, *en, *zh;
    } cases[] = {
        { "str: 五个字的文", "1:6 'str' must have 1 to 4 characters; it has 5", "1 到 4 个字符，现为 5 个" },
        { "str: ''", "1:6 'str' must have 1 to 4", "现为 0 个" },
        { "str: true", "1:6 'str' must be a text (in quotes", "须加引号" },
        { "str: [a]", "1:6 'str' must be a text (in quotes when it is true, false or null), not a list", "而不是列表" },
        { "str:", "1:5 'str' must be a text (in quotes when it is true, false or null), not nothing", "空值" },
        { "ident: Abc", "1:8 'ident' must be an identifier", "标识符" },
        { "path2: a/b/c", "1:8 'path2' must be two identifiers and a slash", "斜杠" },
        { "title: {zn: x}", "1:9 unknown key 'zn'; did you mean 'zh'?", "是否想写“zh”" },
        { "title: {}", "1:8 'title' must be a text that is not empty", "非空" },
        { "title: [x]", "1:8 'title' must be a text or {zh", "文本，或" },
        { "bool: yes", "1:7 'bool' must be true or false, not 'yes'", "true 或 false" },
        { "u64: 1", "1:6 'u64' must lie between 2 and 9; it is 1", "2 到 9 之间" },
        { "u64: 10", "1:6 'u64' must lie between 2 and 9", "现为 10" },
        { "u64: 1e0", "1:6 'u64' must be a whole number, not '1e0'", "整数" },
        { "u64: -3", "1:6 'u64' must be a whole number", "整数" },
        { "u64: '5'", "1:6 'u64' must be a whole number", "整数" },
        { "u64: 99999999999999999999", "1:6 'u64' must be a whole number", "整数" },
        { "duration: 5", "1:11 'duration' must be a duration with its unit", "时长" },
        { "duration: 50ms", "1:11 'duration' must lie between 100ms and 1h; it is 50ms", "100ms 到 1h" },
        { "duration: 2h", "1:11 'duration' must lie between 100ms and 1h", "现为 2h" },
        { "bytes: 511", "1:8 'bytes' must lie between 512 and 1g", "512 到 1g" },
        { "bytes: 99999999999g", "1:8 'bytes' must be a number of bytes", "字节数" },
        { "bytes: k", "1:8 'bytes' must be a number of bytes", "字节数" },
        { "bytes: 1.5m", "1:8 'bytes' must be a number of bytes", "字节数" },
        { "date: 2026-02-30", "1:7 'date' must be a date such as 2026-11-22", "日期" },
        { "time: 2026-11-22T09:30:00", "1:7 'time' must be a time with its offset", "时区" },
        { "enum: sever", "1:7 'enum' must be mutual | server | 1.1 | none, not 'sever'; did you mean 'server'?",
          "是否想写" },
        { "enum: bicycle", "1:7 'enum' must be mutual | server | 1.1 | none, not 'bicycle'", "而不是“bicycle”" },
        { "enum: {a: b}", "1:7 'enum' must be mutual | server | 1.1 | none, not a map", "映射" },
        { "strs: {a: b}", "1:7 'strs' must be a list of texts, not a map", "列表" },
        { "strs: [a, [b]]", "1:11 'strs' must be a list of texts, not a list", "列表" },
        { "map: []", "1:6 'map' must be keys with values, not a list", "键值对" },
        { "list: {}", "1:7 'list' must be a list, not a map", "列表" },
        { "page: {}", "1:1 'page' is not supported yet", "尚不支持“page”" },
        { "durration: 5s", "1:1 unknown key 'durration'; did you mean 'duration'?", "未知的键“durration”" },
        { "path_2: a/b", "1:1 unknown key 'path_2'; did you mean 'path2'?", "path2" },
        { "zzzzzz: 1", "1:1 unknown key 'zzzzzz'; the keys here are: str, ident, path2, title", "此处可用的键" },
        { "\"\\e[2J\\u0085z\": 1", "1:1 unknown key '?[2J?\?z'", "?[2J?\?z" },
        { "- a", "1:1 keys with values are expected here, not a list", "而不是列表" },
    };
    static const struct all zero;
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct all a;
        enum err e = bind(b, cases[i].yaml, &a);

        if (e != ERR_INVALID || b->d.count != 1 ||
            !slice_starts(slice_of(diag_text(b, 0, LANG_EN)), slice_of(cases[i].en)) ||
            !strstr(diag_text(b, 0, LANG_ZH), cases[i].zh))
            fail_msg("%s: %s, %u: %s / %s", cases[i].yaml, err_name(e), b->d.count, diag_text(b, 0, LANG_EN),
                     diag_text(b, 0, LANG_ZH));
        assert_memory_equal(&a, &zero, sizeof a);
        assert_int_equal(doc_bind(read_yaml(b, cases[i].yaml), keys, &a, &b->arena, NULL), ERR_INVALID);
    }
}

static void test_all_at_once(void **state)
{
    struct bench *b = *state;
    struct all a;

    assert_int_equal(bind(b, "strr: x\nu64: 1\nbool: 1\nident: ok\npage: 1\ndate: x\n", &a), ERR_INVALID);
    assert_int_equal(b->d.count, 5);
    assert_true(slice_is(a.ident, "ok"));
}

struct set {
    int64_t timeout;
    uint64_t window, port;
    struct doc_strs listen;
    struct slice zone, word;
    int mode;
    bool on;
    const struct doc *sub;
};
#define SET(f) .offset = offsetof(struct set, f)
static const struct doc_key settings[] = {
    { .name = "timeout", .kind = DOC_K_DURATION, SET(timeout), .otherwise = "10s" },
    { .name = "window", .kind = DOC_K_BYTES, SET(window), .otherwise = "16k", .flags = DOC_STATIC },
    { .name = "port", .kind = DOC_K_U64, SET(port), .otherwise = "8443", .max = 65535 },
    { .name = "listen", .kind = DOC_K_STRS, SET(listen), .otherwise = "[127.0.0.1, '::1']" },
    { .name = "zone", .kind = DOC_K_STR, SET(zone), .otherwise = "+08:00" },
    { .name = "word", .kind = DOC_K_STR, SET(word), .otherwise = "true" },
    { .name = "mode", .kind = DOC_K_ENUM, SET(mode), .words = words, .otherwise = "none" },
    { .name = "on", .kind = DOC_K_BOOL, SET(on), .otherwise = "true" },
    { .name = "sub", .kind = DOC_K_MAP, SET(sub), .otherwise = "{a: 1}" },
    { .name = NULL },
};

static void test_defaults(void **state)
{
    struct bench *b = *state;
    struct set s = { 0 };

    assert_int_equal(doc_bind(NULL, settings, &s, &b->arena, &b->d), ERR_OK);
    assert_int_equal(s.timeout, 10000);
    assert_int_equal(s.window, 16384);
    assert_int_equal(s.port, 8443);
    assert_int_equal(s.listen.n, 2);
    assert_true(slice_is(s.listen.at[1], "::1") && slice_is(s.zone, "+08:00") && slice_is(s.word, "true"));
    assert_int_equal(s.mode, 3);
    assert_true(s.on);
    assert_int_equal(doc_u64(s.sub, "a", 0), 1);
    s = (struct set){ 0 };
    assert_int_equal(doc_bind(read_json(b, "{\"on\": false, \"listen\": \"x\"}"), settings, &s, &b->arena, &b->d),
                     ERR_OK);
    assert_false(s.on);
    assert_true(s.listen.n == 1 && slice_is(s.listen.at[0], "x"));
    assert_int_equal(b->d.count, 0);
}

static void test_missing(void **state)
{
    static const struct doc_key needed[] = {
        { .name = "id", .kind = DOC_K_IDENT, .flags = DOC_REQUIRED, .help = { "the code", "编码" } },
        { .name = "name", .kind = DOC_K_STR, .flags = DOC_REQUIRED, .offset = sizeof(struct slice) },
        { .name = NULL },
    };
    struct bench *b = *state;
    struct slice out[2] = { 0 };

    assert_int_equal(doc_bind(read_yaml(b, "\n  {}"), needed, out, &b->arena, &b->d), ERR_INVALID);
    assert_int_equal(b->d.count, 2);
    assert_string_equal(diag_text(b, 0, LANG_EN), "2:3 'id' is missing: the code");
    assert_string_equal(diag_text(b, 0, LANG_ZH), "2:3 缺少“id”: 编码");
    assert_string_equal(diag_text(b, 1, LANG_EN), "2:3 'name' is missing");
    assert_int_equal(doc_bind(NULL, needed, out, &b->arena, NULL), ERR_INVALID);
}

/* A map of very many unknown keys costs little and is counted. */
static void test_flood(void **state)
{
    struct bench *b = *state;
    struct buf text = BUF_INIT(16 << 20);
    const struct doc *node = NULL;
    struct all a = { 0 };

    buf_putc(&text, '{');
    for (int i = 0; i < 150000; i++)
        buf_printf(&text, "%s\"somewhat-long-key-without-a-neighbour-%d\":1", i ? "," : "", i);
    buf_putc(&text, '}');
    assert_int_equal(doc_read_json(buf_slice(&text), &b->arena, &b->d, &node), ERR_OK);
    assert_int_equal(doc_bind(node, keys, &a, &b->arena, &b->d), ERR_INVALID);
    assert_int_equal(b->d.count, 150000);
    buf_done(&text);
}

static void test_no_memory(void **state)
{
    struct bench *b = *state;
    const struct doc *d = read_yaml(b, "enum: x\nstrs: [a]\n");

    for (size_t n = 1; n < 6; n++) {
        struct all a = { 0 };
        struct arena tight;
        struct diags none;

        arena_init(&tight, n * 16);
        diags_init(&none, &tight);
        assert_int_equal(doc_bind(d, keys, &a, &tight, &none), ERR_INVALID);
        arena_done(&tight);
        mem_fail_nth(n);
        assert_int_equal(doc_bind(d, keys, &a, &b->arena, &b->d), ERR_INVALID);
        mem_fail_nth(0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_right),    CASE(test_forms),   CASE(test_wrong), CASE(test_all_at_once),
        CASE(test_defaults), CASE(test_missing), CASE(test_flood), CASE(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
