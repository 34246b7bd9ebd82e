/* HTTP/2 peers that break the rules, make too much noise or are too slow: what each gets, and that the service sees it.
 */
#include "h2_test.h"

/* ---- what is refused ---- */
static void malformed_requests(void **state)
{
    /* answer: our guards, with a status; reset: nghttp2's. Both are shown to the service. */
    static const struct {
        const char *method, *path, *more;
        bool reset;
    } rows[] = {
        { "GET", "/a b", "", true },
        { "GET", "/a#b", "", false },
        { "OPTIONS", "*", "", false },
        { "GET", "/echo", "host: other", false },
        { "GET", "/echo", "host: h\nhost: h", true },
        { "GET", "/echo", "expect: 200-ok", false },
        { "GET", "/echo", "content-length: 7", true },
        { "GET", "/echo", "X-Upper: 1", true },
        { "GET", "/echo", "connection: close", true },
        { "GET", "/echo", "transfer-encoding: chunked", true },
        { "GET", "/echo", "keep-alive: 1", true },
        { "GET", "/echo", "upgrade: h2c", true },
        { "GET", "/echo", "te: gzip", true },
        { "GET", "/echo", "content-length: 1\ncontent-length: 1", true },
        { "GET", "/echo", "content-length: x", true },
        { "GET", "/echo", ":path: /twice", true },
        { "GET", "/echo", "a: 1\n:authority: late", true },
        { "GET", "/echo", ":unknown: 1", true },
        { "GET", "/echo", "a b: 1", true },
        { "GET", "/echo", "a: one\rtwo", true },
        { "GET", "echo", "", true },
        { "GET", "", "", true },
        { "G T", "/echo", "", true },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct h2_bench h = { 0 };
        h2_begin_bench(&h);
        put_request(&h.say, 1, rows[i].method, rows[i].path, END_STREAM, rows[i].more);
        put_request(&h.say, 3, "GET", "/echo", END_STREAM,
                    "te: trailers\ncookie: a\ncookie: b"); /* the next is served */
        exchange(&h);
        IS(&h.words, rows[i].reset ? "RST/1=1 HEADERS/3 END/3" : "HEADERS/1 END/1 HEADERS/3 END/3");
        assert_true(slice_starts(buf_slice(&h.b.log), SLICE("malformed#1:request-malformed")));
        HAS(&h.b.log, "end#2 sent#2");
        h2_end_bench(&h);
    }
}

static void heads_too_large(void **state)
{
    static char value[4096];
    struct h2_bench h = { 0 };
    struct buf block = BUF_INIT(1 << 20);

    (void)state;
    memset(value, 'v', sizeof value);
    h2_begin_bench(&h);
    put_block(&block, "GET", "/echo", "");
    for (int i = 0; i < 5; i++)
        put_field(&block, "x", slice_make(value, sizeof value));
    put_frame(&h.say, F_HEADERS, END_STREAM, 1, slice_sub(buf_slice(&block), 0, 16384));
    put_frame(&h.say, F_CONTINUATION, END_HEADERS, 1, slice_sub(buf_slice(&block), 16384, block.n));
    buf_clear(&block);
    put_block(&block, "GET", "/echo", "");
    for (int i = 0; i < 64; i++)
        put_field(&block, "x", SLICE("y"));
    put_frame(&h.say, F_HEADERS, END_STREAM | END_HEADERS, 3, buf_slice(&block));
    exchange(&h);
    IS(&h.words, "HEADERS/1 END/1 HEADERS/3 END/3");
    IS(&h.b.log, "malformed#1:request-too-large malformed#2:request-too-large sent#2 sent#1");
    buf_done(&block);
    h2_end_bench(&h);
}

/* ---- what is too much: the connection ends with this code, and the attempt is shown ---- */
static void put_bomb(struct buf *to)
{
    /* One field of 3000 bytes goes into the table, and is named a thousand times with a byte each. */
    static char value[3000];
    struct buf block = BUF_INIT(1 << 20);

    memset(value, 'v', sizeof value);
    put_block(&block, "GET", "/echo", "");
    buf_puts(&block, "\x40\x01x\x7f\xb9\x16"); /* literal with indexing, value of 127 + 57 + 22 * 128 bytes */
    buf_put(&block, slice_make(value, sizeof value));
    for (int i = 0; i < 1000; i++)
        buf_putc(&block, (char)0xbe);
    put_frame(to, F_HEADERS, END_STREAM | END_HEADERS, 3, buf_slice(&block));
    buf_done(&block);
}

static void put_continuations(struct buf *to)
{
    put_frame(to, F_HEADERS, END_STREAM, 3, SLICE(""));
    for (int i = 0; i < 20; i++)
        put_frame(to, F_CONTINUATION, 0, 3, SLICE(""));
}

static void put_resets(struct buf *to)
{
    for (uint32_t id = 3; id < 1000; id += 2) {
        put_request(to, id, "GET", "/hold", END_STREAM, "");
        put_u32_frame(to, F_RST, id, 8);
    }
}

/* The server is made to reset: CVE-2025-8671. */
static void put_made_resets(struct buf *to)
{
    static uint32_t id = 3;

    for (uint32_t end = id + 100; id < end; id += 2) { /* some at a time: a hundred at once would be another fault */
        put_request(to, id, "GET", "/hold", END_STREAM, "");
        put_u32_frame(to, F_WINDOW, id, 0x7fffffff);
    }
}

static void put_malformed(struct buf *to)
{
    static uint32_t id = 3;

    for (uint32_t end = id + 100; id < end; id += 2)
        put_request(to, id, "GET", "/hold", END_STREAM, "connection: close");
}

static void put_pings(struct buf *to)
{
    for (int i = 0; i < 3000; i++)
        put_frame(to, F_PING, 0, 0, SLICE("12345678"));
}

static void put_settings(struct buf *to)
{
    for (int i = 0; i < 3000; i++)
        put_setting(to, 1, 4096);
}

static void put_empty_data(struct buf *to)
{
    put_request(to, 3, "POST", "/echo", 0, "");
    for (int i = 0; i < 3000; i++)
        put_frame(to, F_DATA, 0, 3, SLICE(""));
}

static void put_tiny_data(struct buf *to)
{
    put_request(to, 3, "POST", "/echo", 0, "");
    for (int i = 0; i < 3000; i++)
        put_frame(to, F_DATA, 0, 3, SLICE("x"));
}

static void put_padding(struct buf *to)
{
    static char padding[101] = { 100 };

    put_request(to, 3, "POST", "/echo", 0, "");
    for (int i = 0; i < 3000; i++)
        put_frame(to, F_DATA, PADDED, 3, slice_make(padding, sizeof padding));
}

static void put_priorities(struct buf *to)
{
    for (uint32_t i = 0; i < 3000; i++)
        put_frame(to, F_PRIORITY, 0, 2 * i + 5, SLICE("\0\0\0\1\x10"));
}

static void put_windows(struct buf *to)
{
    for (int i = 0; i < 3000; i++)
        put_u32_frame(to, F_WINDOW, 0, 1);
}

static void put_unknown(struct buf *to)
{
    for (int i = 0; i < 3000; i++)
        put_frame(to, 0x77, 0, 0, SLICE("?"));
}

static void put_window_overflow(struct buf *to)
{
    put_u32_frame(to, F_WINDOW, 0, 0x7fffffff);
}

static void put_large_frame(struct buf *to)
{
    static char bytes[16385];

    put_request(to, 3, "POST", "/echo", 0, "");
    put_frame(to, F_DATA, 0, 3, slice_make(bytes, sizeof bytes));
}

static void put_bad_block(struct buf *to)
{
    put_frame(to, F_HEADERS, END_HEADERS | END_STREAM, 3, SLICE("\xff\xff\xff\xff\xff\xff"));
}

static void put_even_stream(struct buf *to)
{
    put_request(to, 4, "GET", "/echo", END_STREAM, "");
}

static void put_push(struct buf *to)
{
    put_frame(to, F_PUSH, END_HEADERS, 1, SLICE("\0\0\0\2"));
}

static void put_data_on_idle(struct buf *to)
{
    put_frame(to, F_DATA, 0, 5, SLICE("x"));
}

static void put_bad_ping(struct buf *to)
{
    put_frame(to, F_PING, 0, 0, SLICE("1234"));
}

static void put_interrupted_block(struct buf *to)
{
    put_frame(to, F_HEADERS, END_STREAM, 3, SLICE(""));
    put_frame(to, F_PING, 0, 0, SLICE("12345678"));
}

static void violations(void **state)
{
    static const struct {
        void (*put)(struct buf *to);
        const char *goaway, *attempt;
        unsigned times;
    } rows[] = {
        { put_bomb, "GOAWAY=11", "request-too-large", 1 },
        { put_continuations, "GOAWAY=11", "request-too-large", 1 },
        { put_resets, "GOAWAY=11", "rate-limited", 1 },
        { put_made_resets, "GOAWAY=11", "rate-limited", 5 },
        { put_malformed, "GOAWAY=11", "rate-limited", 5 },
        { put_pings, "GOAWAY=11", "rate-limited", 1 },
        { put_settings, "GOAWAY=11", "rate-limited", 1 },
        { put_empty_data, "GOAWAY=11", "rate-limited", 1 },
        { put_tiny_data, "GOAWAY=11", "rate-limited", 1 },
        { put_padding, "GOAWAY=11", "rate-limited", 1 },
        { put_priorities, "GOAWAY=11", "rate-limited", 1 },
        { put_windows, "GOAWAY=11", "rate-limited", 1 },
        { put_unknown, "GOAWAY=11", "rate-limited", 1 },
        { put_window_overflow, "GOAWAY=3", "request-malformed", 1 },
        { put_large_frame, "GOAWAY=6", "request-malformed", 1 },
        { put_bad_block, "GOAWAY=9", "request-malformed", 1 },
        { put_even_stream, "GOAWAY=1", "request-malformed", 1 },
        { put_push, "GOAWAY=1", "request-malformed", 1 },
        { put_data_on_idle, "GOAWAY=1", "request-malformed", 1 },
        { put_bad_ping, "GOAWAY=6", "request-malformed", 1 },
        { put_interrupted_block, "GOAWAY=1", "request-malformed", 1 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct h2_bench h = { 0 };
        char want[64];
        bool reset;

        h2_begin_bench(&h);
        put_request(&h.say, 1, "GET", "/hold", END_STREAM, "");
        for (unsigned n = 0; n < rows[i].times; n++) {
            rows[i].put(&h.say);
            exchange(&h);
        }
        if (!slice_ends(buf_slice(&h.words), slice_of(rows[i].goaway)))
            fail_msg("row %zu: '%.*s'", i, (int)h.words.n, h.words.p);
        snprintf(want, sizeof want, ":%s gone#", rows[i].attempt);
        buf_putc(&h.b.log, '\0');
        if (strstr(h.b.log.p, want) == NULL || strstr(h.b.log.p, "malformed#") == NULL)
            fail_msg("row %zu: '%s'", i, h.b.log.p);
        assert_true(bench_closed(&h.b, &reset));
        h2_end_bench(&h);
    }
}

/* A flood by a peer that does not read: its GOAWAY cannot leave, and what runs ends as its fault, never as answered. */
static void violation_behind_a_full_socket(void **state)
{
    struct h2_bench h = { .big = 4 << 20 };

    (void)state;
    h2_begin_bench(&h);
    put_setting(&h.say, 4, 1 << 30);
    put_u32_frame(&h.say, F_WINDOW, 0, 1 << 30);
    put_request(&h.say, 1, "GET", "/big", END_STREAM, "");
    h2_say(&h);
    turns(h.b.loop, 10);
    for (int i = 0; i < 8; i++) {
        put_pings(&h.say);
        h2_say(&h);
    }
    for (unsigned i = 0; i < 100 && h.b.conn; i++)
        turns(h.b.loop, 1);
    IS(&h.b.log, "/big#1 end#1 malformed#2:rate-limited gone#2:rate-limited gone#1:rate-limited close");
    h2_end_bench(&h);
}

static void not_http2(void **state)
{
    struct bench b = { .limits = { .http2 = true } };
    bool reset;

    (void)state;
    bench_begin(&b);
    bench_say(&b, SLICE("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_true(bench_closed(&b, &reset));
    IS(&b.log, "open malformed gone:request-malformed");
    bench_end(&b);
}

/* What earns its frames: a long answer for a client that gives the window back in small pieces, and a long connection.
 */
static void honest_peers_are_not_noise(void **state)
{
    struct h2_bench h = { .big = 4 << 20 };
    size_t got = 0;

    (void)state;
    h2_begin_bench(&h);
    put_request(&h.say, 1, "GET", "/big", END_STREAM, "");
    h2_say(&h);
    for (size_t i = 0; got < h.big; i++) {
        assert_true(i < 20000);
        h2_hear(&h);
        got += h.data.n;
        for (size_t n = h.data.n; n > 0; n -= n > 1024 ? 1024 : n) {
            put_u32_frame(&h.say, F_WINDOW, 0, n > 1024 ? 1024 : (uint32_t)n);
            put_u32_frame(&h.say, F_WINDOW, 1, n > 1024 ? 1024 : (uint32_t)n);
        }
        h2_say(&h);
    }
    ENDS(&h.b.log, "sent#1");
    for (uint32_t id = 3; id < 6003; id += 2) {
        put_request(&h.say, id, "GET", "/echo", END_STREAM, "");
        put_frame(&h.say, F_PING, 0, 0, SLICE("12345678"));
        if (id % 40 == 3)
            exchange(&h);
    }
    exchange(&h);
    ENDS(&h.words, "END/6001");
    h2_end_bench(&h);
}

/* ---- what is too slow ---- */
static void too_slow(void **state)
{
    static const struct {
        const char *path;
        unsigned flags;
        bool whole, stalled;
        const char *words, *log;
    } rows[] = {
        { "", 0, true, false, "GOAWAY=0", "" }, /* idle */
        { "/echo", 0, false, false, "GOAWAY=11", "malformed#1:request-timeout gone#1:request-timeout" },
        { "/echo", 0, true, false, "RST/1=8", "/echo#1 gone#1:request-timeout" },
        { "/big", END_STREAM, true, true, "RST/1=8", "/big#1 end#1 gone#1:consumer-slow" },
        { "/chunks", END_STREAM, true, true, "RST/1=8", "/chunks#1 end#1 gone#1:consumer-slow" }, /* but for its end */
        { "/hold", END_STREAM, true, false, "", "/hold#1 end#1" }, /* it is the owner who takes his time */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct h2_bench h = { .big = 1 << 20,
                              .b.limits = { .idle = i ? 60000 : 100, .head = 100, .body = 100, .write = 100 } };
        struct buf block = BUF_INIT(1024);

        h2_begin_bench(&h);
        put_block(&block, "POST", rows[i].path, "");
        if (rows[i].stalled)
            put_setting(&h.say, 4, 0);
        if (rows[i].path[0])
            put_frame(&h.say, F_HEADERS, rows[i].flags | (rows[i].whole ? END_HEADERS : 0u), 1, buf_slice(&block));
        exchange(&h);
        run_for(h.b.loop, 300);
        h2_hear(&h);
        IS(&h.words, rows[i].words);
        IS(&h.b.log, rows[i].log);
        buf_done(&block);
        h2_end_bench(&h);
    }
}

/* A byte now and then is no progress: of a body, and of the window. */
static void trickles(void **state)
{
    struct h2_bench h = { .big = 1 << 20, .b.limits = { .body = 200, .write = 200, .rate = 1000 } };

    (void)state;
    h2_begin_bench(&h);
    put_setting(&h.say, 4, 0);
    put_request(&h.say, 1, "GET", "/big", END_STREAM, "");
    put_request(&h.say, 3, "POST", "/echo", 0, "");
    for (int i = 0; i < 10; i++) {
        exchange(&h);
        put_u32_frame(&h.say, F_WINDOW, 1, 1);
        put_frame(&h.say, F_DATA, 0, 3, SLICE("x"));
        run_for(h.b.loop, 50);
    }
    buf_putc(&h.b.log, '\0');
    assert_non_null(strstr(h.b.log.p, "gone#1:consumer-slow"));
    assert_non_null(strstr(h.b.log.p, "gone#2:request-timeout"));
    h2_end_bench(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_requests), cmocka_unit_test(heads_too_large),
        cmocka_unit_test(violations),         cmocka_unit_test(violation_behind_a_full_socket),
        cmocka_unit_test(not_http2),          cmocka_unit_test(honest_peers_are_not_noise),
        cmocka_unit_test(too_slow),           cmocka_unit_test(trickles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
