/* The streaming JSON reader: what it says to its sink, however the bytes are split, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include "translate/event.h"

/* A sink that writes what it hears: <name s"text" > with s string, n number, b boolean, 0 null; [name ... ] for arrays.
 */
struct trace {
    struct buf out;
    bool in_text;
    enum err fail; /* returned by close when set */
};

static void end_text(struct trace *t)
{
    if (t->in_text)
        buf_putc(&t->out, '"');
    t->in_text = false;
}
static enum err on_open(void *self, struct slice ns, struct slice name)
{
    struct trace *t = self;

    assert_int_equal(ns.n, 0);
    buf_putc(&t->out, '<');
    buf_put(&t->out, name);
    return ERR_OK;
}
static enum err on_text(void *self, enum scalar kind, struct slice piece)
{
    struct trace *t = self;

    if (!t->in_text) {
        buf_putc(&t->out, "snb0"[kind]);
        buf_putc(&t->out, '"');
    }
    t->in_text = true;
    buf_put(&t->out, piece);
    return ERR_OK;
}
static enum err on_close(void *self)
{
    struct trace *t = self;

    end_text(t);
    buf_putc(&t->out, '>');
    return t->fail;
}
static enum err on_list(void *self, struct slice name, bool begins, bool inner)
{
    struct trace *t = self;

    buf_put(&t->out, begins ? SLICE("[") : SLICE("]"));
    if (inner)
        buf_putc(&t->out, '^');
    if (begins)
        buf_put(&t->out, name);
    return ERR_OK;
}
static const struct event_sink sink = { .open = on_open, .text = on_text, .close = on_close, .list = on_list };

/* Read `text` in pieces of `step` bytes. */
static enum err read_by(struct json_reader *r, struct trace *t, struct slice text, size_t step)
{
    enum err e = ERR_OK;

    json_reader_reset(r, false);
    buf_clear(&t->out);
    t->in_text = false;
    for (size_t i = 0; i < text.n && e == ERR_OK; i += step)
        e = json_reader_feed(r, slice_sub(text, i, step));
    if (e == ERR_OK)
        e = json_reader_finish(r);
    if (e != ERR_OK) { /* an error is final */
        assert_int_equal(json_reader_feed(r, SLICE(" ")), e);
        assert_int_equal(json_reader_finish(r), e);
    }
    return e;
}

static const struct {
    const char *text, *trace; /* NULL: refused */
} cases[] = {
    { "{}", "<>" },
    { "[]", "[]" },
    { " \t\r\n\"a\" ", "<s\"a\">" },
    { "\"\"", "<s\"\">" },
    { "-0.10e+5", "<n\"-0.10e+5\">" },
    { "123456789012345678901234567890", "<n\"123456789012345678901234567890\">" },
    { "{\"a\":1,\"b\":[],\"c\":null}", "<<an\"1\">[b]<c0\"null\">>" },
    { "{\"a\":[1,\"x\",true,{\"b\":false}]}", "<[a<an\"1\"><as\"x\"><ab\"true\"><a<bb\"false\">>]>" },
    { "{\"a\":[[1,2],[3],[]]}", "<[a<a[^<n\"1\"><n\"2\">]^><a[^<n\"3\">]^><a[^]^>]>" },
    { "[{\"a\":1},{\"a\":2}]", "[<<an\"1\">><<an\"2\">>]" },
    { "{\"a\":{\"a\":{\"a\":1}},\"b\":2}", "<<a<a<an\"1\">>><bn\"2\">>" },
    { "{\"\":1}", "<<n\"1\">>" },
    { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "<s\"\"\\/\b\f\n\r\t\">" },
    { "\"\\u4dAe\\uD842\\uDFB7x\\u00e9\"", "<s\"\xe4\xb6\xae\xf0\xa0\xae\xb7x\xc3\xa9\">" },
    { "{\"\\u59d3\\u540d\":\"䶮𠮷\"}", "<<姓名s\"䶮𠮷\">>" },
    { "\"一段足够长的中文文本，与 ASCII 混排: abcdefghijklmnop 完\"",
      "<s\"一段足够长的中文文本，与 ASCII 混排: abcdefghijklmnop 完\">" },
    { "{\"a\":1,\"a\":2}", NULL },
    { "{\"a\":1,\"\\u0061\":2}", NULL },
    { "{\"a\":{\"b\":1,\"c\":{},\"b\":2}}", NULL },
    { "{\"a\":[{\"b\":1},{\"b\":2}],\"c\":{\"a\":1}}", "<[a<a<bn\"1\">><a<bn\"2\">>]<c<an\"1\">>>" },
    { "\xef\xbb\xbf{}", NULL },
    { "", NULL },
    { "{} {}", NULL },
    { "{}]", NULL },
    { "{\"a\":1]", NULL },
    { "[1}", NULL },
    { "[1,]", NULL },
    { "{\"a\":1,}", NULL },
    { "{,}", NULL },
    { "01", NULL },
    { "1.", NULL },
    { "-", NULL },
    { "1e", NULL },
    { "+1", NULL },
    { "nul", NULL },
    { "nulll", NULL },
    { "True", NULL },
    { "\"\\ud800\"", NULL },
    { "\"\\udc00\"", NULL },
    { "\"\\ud800\\u0041\"", NULL },
    { "\"\\ud800\\ud800\"", NULL },
    { "\"\\ud800x\"", NULL },
    { "\"\\u12g4\"", NULL },
    { "\"\\x\"", NULL },
    { "\"a\nb\"", NULL },
    { "\"\x80\"", NULL },
    { "\"\xc0\xaf\"", NULL },         /* overlong */
    { "\"\xe0\x80\x80\"", NULL },     /* overlong */
    { "\"\xed\xa0\x80\"", NULL },     /* surrogate */
    { "\"\xf4\x90\x80\x80\"", NULL }, /* beyond U+10FFFF */
    { "\"\xf0\x8f\xbf\xbf\"", NULL }, /* overlong */
    { "\"\xe4\xb6\"", NULL },         /* cut */
    { "\"\xf4\x8f\xbf\xbf\xef\xbf\xbf\"", "<s\"\xf4\x8f\xbf\xbf\xef\xbf\xbf\">" },
    { "\"abcdefg\x1f\"", NULL },
    { "\"abcdefghijkl\x7f\"", "<s\"abcdefghijkl\x7f\">" },
};

static void test_cases(void **state)
{
    struct trace t = { .out = BUF_INIT(1 << 20) };
    struct json_reader *r = json_reader_new(&sink, &t);

    (void)state;
    assert_non_null(r);
    assert_non_null(r);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice text = slice_of(cases[i].text);

        for (size_t step = 1; step <= text.n + 1; step++) {
            enum err e = read_by(r, &t, text, step);

            if ((e == ERR_OK) != (cases[i].trace != NULL))
                fail_msg("%s by %zu: %s", cases[i].text, step, err_name(e));
            if (e == ERR_OK && !slice_is(buf_slice(&t.out), cases[i].trace))
                fail_msg("%s by %zu: %.*s", cases[i].text, step, SLICE_ARG(buf_slice(&t.out)));
        }
    }
    json_reader_free(r);
    buf_done(&t.out);
}

/* n objects one in another, or n arrays. */
static void put_nested(struct buf *b, size_t n, const char *open, const char *close)
{
    for (size_t i = 0; i < n; i++)
        buf_puts(b, open);
    buf_putc(b, '1');
    for (size_t i = 0; i < n; i++)
        buf_puts(b, close);
}

static void test_depth(void **state)
{
    struct trace t = { .out = BUF_INIT(1 << 20) };
    struct json_reader *r = json_reader_new(&sink, &t);
    struct buf b = BUF_INIT(1 << 20);

    (void)state;
    assert_non_null(r);
    for (size_t n = READER_DEPTH_MAX - 1; n <= READER_DEPTH_MAX + 1; n++) {
        enum err want = n <= READER_DEPTH_MAX ? ERR_OK : ERR_TOO_LARGE;

        buf_clear(&b);
        put_nested(&b, n, "[", "]");
        assert_int_equal(read_by(r, &t, buf_slice(&b), 7), want);
        buf_clear(&b);
        put_nested(&b, n, "{\"a\":", "}");
        assert_int_equal(read_by(r, &t, buf_slice(&b), 7), want);
    }
    json_reader_free(r);
    buf_done(&b);
    buf_done(&t.out);
}

/* One object of n members inside two others, of which the k-th repeats the first when k > 0. */
static void put_members(struct buf *b, unsigned n, unsigned k)
{
    buf_clear(b);
    buf_puts(b, "{\"k0\":1,\"k1\":{\"k0\":0,\"k5\":[{");
    for (unsigned i = 0; i < n; i++)
        buf_printf(b, "%s\"k%u\":{\"k%u\":\"\"}", i ? "," : "", k != 0 && i == k ? 0 : i, i);
    buf_puts(b, "}],\"k2\":2},\"k3\":{\"k0\":1}}");
}

static void test_members(void **state)
{
    static const struct {
        unsigned n, k;
        enum err want;
    } rows[] = {
        { 12, 0, ERR_OK },       { 13, 0, ERR_OK },   { 13, 12, ERR_INVALID },    { 12, 11, ERR_INVALID },
        { 40, 20, ERR_INVALID }, { 4096, 0, ERR_OK }, { 4097, 0, ERR_TOO_LARGE }, { 4096, 4095, ERR_INVALID },
    };
    struct trace t = { .out = BUF_INIT(1 << 20) };
    struct json_reader *r = json_reader_new(&sink, &t);
    struct buf b = BUF_INIT(1 << 20);

    (void)state;
    assert_non_null(r);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        put_members(&b, rows[i].n, rows[i].k);
        assert_false(b.failed);
        assert_int_equal(read_by(r, &t, buf_slice(&b), 4096), rows[i].want);
        assert_int_equal(read_by(r, &t, buf_slice(&b), 1), rows[i].want);
    }
    json_reader_free(r);
    buf_done(&b);
    buf_done(&t.out);
}

/* Large objects one in another: the keys that are open at one time are bounded in all. */
static void test_open_keys(void **state)
{
    struct trace t = { .out = BUF_INIT(8 << 20) };
    struct json_reader *r = json_reader_new(&sink, &t);
    struct buf b = BUF_INIT(8 << 20);

    (void)state;
    assert_non_null(r);
    for (unsigned depth = 0; depth < 6; depth++) {
        for (unsigned i = 0; i < 4000; i++)
            buf_printf(&b, "%s\"%u\":0", i ? "," : "{", i);
        buf_puts(&b, ",\"x\":");
    }
    assert_int_equal(read_by(r, &t, buf_slice(&b), 4096), ERR_TOO_LARGE);
    assert_int_equal(read_by(r, &t, SLICE("{\"1\":{\"1\":0},\"2\":0}"), 4096), ERR_OK);
    json_reader_free(r);
    buf_done(&b);
    buf_done(&t.out);
}

/* Tokens of a kind that never end: refused within the cap, in bounded memory. */
static void test_tokens(void **state)
{
    static const struct {
        const char *head;
        char fill;
        const char *tail;
    } rows[] = { { "\"", 'a', "\"" }, { "", '7', " " }, { "{\"", 'a', "\":1}" } };
    struct trace t = { .out = BUF_INIT(4 << 20) };
    struct json_reader *r = json_reader_new(&sink, &t);

    (void)state;
    assert_non_null(r);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t n = TOKEN_MAX - 1; n <= TOKEN_MAX + 1; n++) {
            struct buf b = BUF_INIT(2 * TOKEN_MAX);
            char *p;

            buf_puts(&b, rows[i].head);
            p = buf_reserve(&b, n);
            assert_non_null(p);
            memset(p, rows[i].fill, n);
            b.n += n;
            buf_puts(&b, rows[i].tail);
            assert_int_equal(read_by(r, &t, buf_slice(&b), 16384), n <= TOKEN_MAX ? ERR_OK : ERR_TOO_LARGE);
            buf_done(&b);
        }
    }
    json_reader_free(r);
    buf_done(&t.out);
}

static void test_offset(void **state)
{
    static const struct {
        const char *text;
        uint64_t offset;
    } rows[] = { { "{\"a\":x}", 5 }, { "[1,2,]", 5 }, { "\"ab\x01\"", 3 }, { "{}  1", 4 }, { "{\"a\":tru3}", 8 } };
    struct trace t = { .out = BUF_INIT(1 << 20) };
    struct json_reader *r = json_reader_new(&sink, &t);

    (void)state;
    assert_non_null(r);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t step = 1; step < 12; step++) {
            assert_int_equal(read_by(r, &t, slice_of(rows[i].text), step), ERR_SYNTAX);
            assert_int_equal(json_reader_offset(r), rows[i].offset);
        }
    }
    json_reader_free(r);
    buf_done(&t.out);
}

static void test_sink_error(void **state)
{
    struct trace t = { .out = BUF_INIT(1 << 20), .fail = ERR_DENIED };
    struct json_reader *r = json_reader_new(&sink, &t);

    (void)state;
    assert_non_null(r);
    assert_int_equal(read_by(r, &t, SLICE("[1,2,3]"), 9), ERR_DENIED);
    assert_true(slice_is(buf_slice(&t.out), "[<n\"1\">"));
    json_reader_free(r);
    buf_done(&t.out);
}

/* {"k0":0,...} of n members, the last with the name of member `twice`; backwards when asked. */
static void put_object(struct buf *to, unsigned n, unsigned twice, bool backwards)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned k = i + 1 == n ? twice : backwards ? n - 1 - i : i;
        buf_printf(to, "%s\"k%u\":%u", i ? "," : "{", k, i);
    }
    buf_puts(to, "}");
}

/* Objects of more and fewer names than a depth remembers, in any order: a name that comes twice is found wherever it
 * came first, and nothing else is refused. */
static void test_names(void **state)
{
    static const unsigned sizes[] = { 2, 13, 63, 64, 65, 66, 90 };
    struct trace t = { .out = BUF_INIT(1 << 20) };
    struct buf text = BUF_INIT(1 << 20);
    struct json_reader *r = json_reader_new(&sink, &t);

    (void)state;
    assert_non_null(r);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (unsigned twice = 0; twice < sizes[i]; twice++)
            for (unsigned way = 0; way < 8; way++) {
                bool fine = twice + 1 == sizes[i];
                buf_clear(&text);
                buf_puts(&text, "[");
                for (unsigned k = 0; k < (way & 3) && k + 1 < sizes[i]; k++) { /* what is known by then */
                    put_object(&text, sizes[i] - k, sizes[i] - k - 1, false);
                    buf_puts(&text, ",");
                }
                put_object(&text, sizes[i], twice, way >= 4 && !fine);
                buf_puts(&text, "]");
                if (way >= 4 && !fine && twice == 0) /* k0 is the one that the last place takes away */
                    continue;
                assert_int_equal(read_by(r, &t, buf_slice(&text), way & 1 ? 5 : text.n), fine ? ERR_OK : ERR_INVALID);
            }
    json_reader_free(r);
    buf_done(&text);
    buf_done(&t.out);
}

static void test_no_memory(void **state)
{
    struct buf all = BUF_INIT(1 << 16);
    struct trace t = { .out = BUF_INIT(1 << 20) };

    (void)state;
    buf_puts(&all, "{\"a\":1,\"b\":{\"c\":[1,{\"d\":2}]},\"e\":");
    put_object(&all, 80, 79, false); /* more than are known without memory */
    buf_puts(&all, "}");
    struct slice text = buf_slice(&all);
    assert_non_null(buf_reserve(&t.out, 4096)); /* the trace's own memory is not what is tried */
    for (size_t n = 1;; n++) {
        struct json_reader *r;
        enum err e;

        (void)mem_fail_nth(n);
        r = json_reader_new(&sink, &t);
        e = r != NULL ? read_by(r, &t, text, 5) : ERR_NOMEM;
        json_reader_free(r);
        if (e == ERR_OK) {
            assert_true(n > 3);
            break;
        }
        assert_int_equal(e, ERR_NOMEM);
    }
    (void)mem_fail_nth(0);
    buf_done(&all);
    buf_done(&t.out);
}

/* ---- the corpus ---- */

static bool keeps_duplicate_keys(const char *name) /* well-formed, but we refuse duplicates */
{
    return strncmp(name, "y_object_duplicated_key", 23) == 0;
}

static void try_file(struct json_reader *r, struct trace *t, const char *dir, const char *name)
{
    struct buf text = BUF_INIT(1 << 20);
    char path[2048];
    enum err whole, bytes;

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(file_read(path, &text, NULL), ERR_OK);
    whole = read_by(r, t, buf_slice(&text), text.n + 1);
    bytes = read_by(r, t, buf_slice(&text), 1);
    assert_int_equal(whole, bytes);
    if (name[0] == 'y' && (whole == ERR_OK) == keeps_duplicate_keys(name))
        fail_msg("%s: %s", name, err_name(whole));
    if (name[0] == 'n' && whole == ERR_OK)
        fail_msg("%s was accepted", name);
    buf_done(&text);
}

static void test_corpus(void **state)
{
    const char *corpus = getenv("SLUICE_CORPUS"), *source = getenv("SLUICE_SOURCE");
    struct trace t = { .out = BUF_INIT(4 << 20) };
    char dir[1000];
    struct dirent *d;
    unsigned n = 0;
    DIR *all;

    (void)state;
    if (corpus != NULL && corpus[0] != '\0')
        (void)snprintf(dir, sizeof dir, "%s/json-parsing", corpus);
    else
        (void)snprintf(dir, sizeof dir, "%s/../shared/data/json-parsing", source != NULL ? source : ".");
    all = opendir(dir);
    if (all == NULL) {
        print_message("skipped: no corpus at %s\n", dir);
        skip();
    }
    struct json_reader *r = json_reader_new(&sink, &t);
    assert_non_null(r);
    while ((d = readdir(all)) != NULL) {
        if (d->d_name[0] == '.')
            continue;
        try_file(r, &t, dir, d->d_name);
        n++;
    }
    closedir(all);
    assert_true(n >= 300);
    json_reader_free(r);
    buf_done(&t.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),      cmocka_unit_test(test_depth),  cmocka_unit_test(test_members),
        cmocka_unit_test(test_open_keys),  cmocka_unit_test(test_tokens), cmocka_unit_test(test_offset),
        cmocka_unit_test(test_sink_error), cmocka_unit_test(test_names),  cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_corpus),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
