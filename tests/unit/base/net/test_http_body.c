/* Bodies: framing by length, chunks and close, whatever the pieces; and what broken framing is refused. */
#include "net_test.h"

struct gather {
    struct buf out;
    unsigned pieces;
};

static void piece(void *arg, struct slice content)
{
    struct gather *g = arg;

    buf_put(&g->out, content);
    g->pieces++;
}

static const struct {
    const char *name, *text;
    const char *content; /* NULL: refused */
    size_t rest;         /* bytes of the next message */
} chunks[] = {
    { "none", "0\r\n\r\n", "", 0 },
    { "one", "5\r\nhello\r\n0\r\n\r\n", "hello", 0 },
    { "two, hex", "a\r\n0123456789\r\nB\r\n01234567890\r\n0\r\n\r\n", "012345678901234567890", 0 },
    { "leading zeros", "005\r\nhello\r\n000\r\n\r\n", "hello", 0 },
    { "extension", "5;a=b\r\nhello\r\n0;c\r\n\r\n", "hello", 0 },
    { "trailers", "5\r\nhello\r\n0\r\nX: 1\r\nY: 2\r\n\r\n", "hello", 0 },
    { "pipelined", "5\r\nhello\r\n0\r\n\r\nGET /", "hello", 5 },
    { "no size", "\r\nhello\r\n0\r\n\r\n", NULL, 0 },
    { "no hex", "g\r\nhello\r\n0\r\n\r\n", NULL, 0 },
    { "negative", "-5\r\nhello\r\n0\r\n\r\n", NULL, 0 },
    { "prefixed", "0x5\r\nhello\r\n0\r\n\r\n", NULL, 0 },
    { "blank before", " 5\r\nhello\r\n0\r\n\r\n", NULL, 0 },
    { "blank behind", "5 \r\nhello\r\n0\r\n\r\n", NULL, 0 },
    { "too long by one", "5\r\nhello!\r\n0\r\n\r\n", NULL, 0 },
    { "too short by one", "6\r\nhello\r\n0\r\n\r\n", NULL, 0 },
    { "bare LF behind the size", "5\nhello\r\n0\r\n\r\n", NULL, 0 },
    { "bare LF behind the data", "5\r\nhello\n0\r\n\r\n", NULL, 0 },
    { "bare CR behind the size", "5\rhello\r\n0\r\n\r\n", NULL, 0 },
    { "overflow", "10000000000000005\r\nhello\r\n0\r\n\r\n", NULL, 0 },
    { "bare LF in an extension", "5;a\nhello\r\n0\r\n\r\n", NULL, 0 },
    { "framing in the trailers", "0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", NULL, 0 },
};

static enum err feed(struct http_body *b, struct slice all, size_t step, struct gather *g, size_t *rest)
{
    enum err e = ERR_OK;

    *rest = all.n;
    while (*rest > 0 && !b->done && e == ERR_OK) {
        struct slice now = slice_sub(all, all.n - *rest, step);
        size_t used = 0;
        e = http_body_feed(b, now, piece, g, &used);
        assert_true(used <= now.n);
        if (e == ERR_OK && used < now.n)
            assert_true(b->done);
        *rest -= used;
    }
    return e;
}

static void chunks_by_table(void **state)
{
    static const struct http_head head = { .chunked = true };

    (void)state;
    for (size_t i = 0; i < COUNT(chunks); i++)
        for (size_t step = 1; step < 30; step++) {
            struct gather g = { BUF_INIT(1024), 0 };
            struct http_body b;
            size_t rest;
            enum err e;

            http_body_init(&b, &head, true, false);
            e = feed(&b, slice_of(chunks[i].text), step, &g, &rest);
            if (chunks[i].content == NULL ? e == ERR_OK && b.done
                                          : e != ERR_OK || !b.done || !slice_is(buf_slice(&g.out), chunks[i].content) ||
                                                rest != chunks[i].rest)
                fail_msg("%s in steps of %zu: %s, '%.*s', %zu left", chunks[i].name, step, err_name(e), (int)g.out.n,
                         g.out.p ? g.out.p : "", rest);
            buf_done(&g.out);
        }
}

static void length_is_exact(void **state)
{
    static const struct http_head head = { .has_length = true, .length = 7 };

    (void)state;
    for (size_t step = 1; step < 12; step++) {
        struct gather g = { BUF_INIT(64), 0 };
        struct http_body b;
        size_t rest;

        http_body_init(&b, &head, true, false);
        assert_int_equal(feed(&b, SLICE("1234567GET"), step, &g, &rest), ERR_OK);
        assert_true(b.done && rest == 3 && slice_is(buf_slice(&g.out), "1234567"));
        buf_done(&g.out);
    }
}

static void who_has_a_body(void **state)
{
    static const struct {
        struct http_head h;
        bool request, head, done, until_close;
    } rows[] = {
        { { .status = 200, .has_length = true, .length = 5 }, false, false, false, false },
        { { .status = 200, .has_length = true, .length = 5 }, false, true, true, false },
        { { .status = 200 }, false, false, false, true },
        { { .status = 204 }, false, false, true, false },
        { { .status = 304, .has_length = true, .length = 5 }, false, false, true, false },
        { { .status = 200, .has_length = true }, false, false, true, false },
        { { .has_length = false }, true, false, true, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct http_body b;
        http_body_init(&b, &rows[i].h, rows[i].request, rows[i].head);
        if (b.done != rows[i].done || b.until_close != rows[i].until_close)
            fail_msg("row %zu", i);
    }
}

/* Chunks of one byte are legal and pass; extensions and trailers without end do not. */
static void framing_is_bounded(void **state)
{
    static const struct http_head head = { .chunked = true };
    static const struct {
        const char *repeat;
        unsigned times;
        bool ok;
    } rows[] = { { "1\r\nx\r\n", 100000, true },
                 { "1;eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\r\nx\r\n", 100000, false } };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct gather g = { BUF_INIT(1 << 20), 0 };
        struct http_body b;
        enum err e = ERR_OK;

        http_body_init(&b, &head, true, false);
        for (unsigned n = 0; n < rows[i].times && e == ERR_OK; n++) {
            size_t used;
            e = http_body_feed(&b, slice_of(rows[i].repeat), piece, &g, &used);
        }
        assert_int_equal(e == ERR_OK, rows[i].ok);
        buf_done(&g.out);
    }
    for (unsigned extension = 0; extension < 2; extension++) {
        static char block[4096];
        struct gather g = { BUF_INIT(64), 0 };
        struct http_body b;
        size_t used, fed = 0;
        enum err e;

        memset(block, 'a', sizeof block);
        http_body_init(&b, &head, true, false);
        assert_int_equal(http_body_feed(&b, extension ? SLICE("5;") : SLICE("0\r\nX: "), piece, &g, &used), ERR_OK);
        do {
            e = http_body_feed(&b, (struct slice){ block, sizeof block }, piece, &g, &used);
            fed += used;
        } while (e == ERR_OK && fed < (1 << 20));
        assert_int_equal(e, ERR_SYNTAX);
        assert_true(fed <= 32 * 1024);
        buf_done(&g.out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(chunks_by_table), cmocka_unit_test(length_is_exact),
                                        cmocka_unit_test(who_has_a_body), cmocka_unit_test(framing_is_bounded) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
