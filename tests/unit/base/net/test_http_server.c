/* The server's side of a connection, end to end over TCP: framing whatever the pieces, order, closing, cutting. */
#include "net_test.h"

#include <errno.h>
#include <sys/socket.h>
#include <time.h>

#define HOST "Host: h\r\n"

static struct buf heard = BUF_INIT(64 << 20);

static bool heard_has(const char *text)
{
    buf_putc(&heard, '\0');
    heard.n--;
    return strstr(heard.p, text) != NULL;
}

#define HAS(text)                                                                                                      \
    do {                                                                                                               \
        if (!heard_has(text))                                                                                          \
            fail_msg("no '%s' in '%.*s'", text, (int)heard.n, heard.p);                                                \
    } while (0)
#define LOG(b, text)                                                                                                   \
    do {                                                                                                               \
        if (!slice_is(buf_slice(&(b)->log), text))                                                                     \
            fail_msg("log is '%.*s', want '%s'", (int)(b)->log.n, (b)->log.p, text);                                   \
    } while (0)

static void say_and_hear(struct bench *b, const char *text)
{
    buf_clear(&heard);
    bench_say(b, slice_of(text));
    bench_hear(b, &heard);
}

static void split_at_every_byte(void **state)
{
    static const char text[] = "\r\nPOST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello"
                               "POST /chunks HTTP/1.1\r\n" HOST
                               "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x\r\ndefg\r\n0\r\nT: 1\r\n\r\n";

    (void)state;
    for (size_t at = 0; at < sizeof text; at++) {
        struct bench b = { 0 };
        bench_begin(&b);
        buf_clear(&heard);
        bench_say(&b, (struct slice){ text, at });
        bench_say(&b, (struct slice){ text + at, sizeof text - 1 - at });
        bench_hear(&b, &heard);
        LOG(&b, "open /echo end sent /chunks end sent");
        HAS("Content-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n");
        HAS("\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n1\r\ng\r\n0\r\nSluice-Receipt: r1\r\n\r\n");
        bench_end(&b);
    }
}

/* What the owner makes the body wait is not the peer's time, also where some of it came with the head. */
static void a_pause_does_not_count(void **state)
{
    static const char *const rest[] = { "1234567890", "234567890" };

    (void)state;
    for (int with_head = 0; with_head < 2; with_head++) {
        struct bench b = { .limits = { .body = 2000 } };
        bench_begin(&b);
        bench_say(&b, with_head ? SLICE("POST /pause HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n1")
                                : SLICE("POST /pause HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n"));
        run_for(b.loop, 1700);
        http_call_read(b.call, true);
        turns(b.loop, 2);
        run_for(b.loop, 900); /* more than the first period had left */
        bench_say(&b, slice_of(rest[with_head]));
        LOG(&b, "open /pause end sent");
        bench_end(&b);
    }
}

static void byte_by_byte(void **state)
{
    static const char text[] = "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello";
    struct bench b = { 0 };

    (void)state;
    bench_begin(&b);
    buf_clear(&heard);
    for (size_t i = 0; i < sizeof text - 1; i++)
        bench_say(&b, (struct slice){ text + i, 1 });
    bench_hear(&b, &heard);
    HAS("\r\n\r\nhello");
    bench_end(&b);
}

/* The second is looked at only when the first has been answered. */
static void pipelined_in_order(void **state)
{
    struct bench b = { 0 };

    (void)state;
    bench_begin(&b);
    say_and_hear(&b, "GET /hold HTTP/1.1\r\n" HOST "\r\nPOST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\ntwo"
                     "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    LOG(&b, "open /hold end");
    assert_int_equal(heard.n, 0);
    bench_answer(&b, "one");
    LOG(&b, "open /hold end sent /echo end sent /hold end");
    bench_answer(&b, "three");
    bench_hear(&b, &heard);
    assert_true(strstr(heard.p, "one") < strstr(heard.p, "two"));
    HAS("three");
    assert_true(strstr(heard.p, "two") < strstr(heard.p, "three"));
    bench_end(&b);
}

static void continue_when_expected(void **state)
{
    struct bench b = { 0 };

    (void)state;
    bench_begin(&b);
    say_and_hear(&b, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_true(slice_is(buf_slice(&heard), "HTTP/1.1 100 Continue\r\n\r\n"));
    say_and_hear(&b, "hi");
    HAS("HTTP/1.1 200 OK\r\n");
    HAS("\r\n\r\nhi");
    /* an answer before the body: no 100, and the connection ends */
    say_and_hear(&b, "POST /early HTTP/1.1\r\n" HOST "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_false(heard_has("100 Continue"));
    HAS("Connection: close\r\n");
    bench_end(&b);
}

static void head_has_no_body(void **state)
{
    struct bench b = { 0 };

    (void)state;
    bench_begin(&b);
    say_and_hear(&b, "HEAD /chunks HTTP/1.1\r\n" HOST "\r\nHEAD /hold HTTP/1.1\r\n" HOST "\r\n");
    bench_answer(&b, "hidden");
    bench_hear(&b, &heard);
    HAS("Transfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\n");
    HAS("Content-Length: 6\r\n\r\n");
    assert_false(heard_has("hidden"));
    assert_false(heard_has("0\r\n\r\n0"));
    bench_end(&b);
}

static void closes(void **state)
{
    static const struct {
        const char *name, *text, *has, *log;
    } rows[] = {
        { "asked", "GET /echo HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "Connection: close\r\n",
          "open /echo end sent close" },
        { "1.0", "GET /chunks HTTP/1.0\r\n\r\n", "Connection: close\r\n\r\n", "open /chunks end sent close" },
        { "malformed", "GET /a b HTTP/1.1\r\n" HOST "\r\nGET /echo HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400 ",
          "open malformed sent close" },
        { "smuggled",
          "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET",
          "HTTP/1.1 400 ", "open malformed sent close" },
        { "early", "POST /early HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nabc", "Connection: close\r\n",
          "open /early sent close" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct bench b = { 0 };
        bool reset;
        bench_begin(&b);
        say_and_hear(&b, rows[i].text);
        HAS(rows[i].has);
        shutdown(b.fd, SHUT_WR);
        turns(b.loop, 3);
        assert_true(bench_closed(&b, &reset));
        assert_false(reset); /* the answer is never eaten by a reset */
        LOG(&b, rows[i].log);
        bench_end(&b);
    }
}

/* More than 16 KiB behind a malformed head are no body of anything, and the answer still arrives. */
static void malformed_with_a_tail(void **state)
{
    static char tail[100000];
    struct bench b = { 0 };

    (void)state;
    memset(tail, 'x', sizeof tail);
    bench_begin(&b);
    say_and_hear(&b, "GET /echo HTTP/1.1\r\n" HOST "\r\n");
    buf_clear(&heard);
    bench_say(&b, SLICE("GARBAGE\r\n\r\n"));
    bench_say(&b, (struct slice){ tail, sizeof tail });
    bench_hear(&b, &heard);
    HAS("HTTP/1.1 400 ");
    assert_true(slice_starts(buf_slice(&b.log), SLICE("open /echo end sent malformed sent")));
    bench_end(&b);
}

static int64_t cpu_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Empty lines before a request cost what they weigh: it is time of all who share the loop. */
static void empty_lines_are_cheap(void **state)
{
    static char lines[64 * 1024];
    struct bench b = { 0 };
    int64_t before;

    (void)state;
    for (size_t i = 0; i < sizeof lines; i += 2)
        memcpy(lines + i, "\r\n", 2);
    bench_begin(&b);
    before = cpu_ms();
    for (int i = 0; i < 64; i++)
        bench_say(&b, (struct slice){ lines, sizeof lines });
    assert_true(cpu_ms() - before < 2000); /* 4 MiB: 50 ms; moving the rest behind each line: seconds */
    say_and_hear(&b, "GET /echo HTTP/1.1\r\n" HOST "\r\n");
    HAS("HTTP/1.1 200 OK\r\n");
    bench_end(&b);
}

/* An empty line is no head that does not end, in however many pieces it comes. */
static void half_an_empty_line_is_no_head(void **state)
{
    struct bench b = { .limits = { .head = 100, .idle = 5000 } };

    (void)state;
    bench_begin(&b);
    say_and_hear(&b, "GET /echo HTTP/1.1\r\n" HOST "\r\n");
    bench_say(&b, SLICE("\r"));
    bench_say(&b, SLICE("\n"));
    run_for(b.loop, 400);
    LOG(&b, "open /echo end sent");
    say_and_hear(&b, "GET /echo HTTP/1.1\r\n" HOST "\r\n");
    LOG(&b, "open /echo end sent /echo end sent");
    bench_say(&b, SLICE("\r"));
    http_conn_drain(b.conn); /* nothing is under way */
    LOG(&b, "open /echo end sent /echo end sent close");
    bench_end(&b);
}

static void large_head_is_refused(void **state)
{
    static char filler[HTTP_HEAD_MAX];
    struct bench b = { 0 };

    (void)state;
    memset(filler, 'x', sizeof filler);
    bench_begin(&b);
    bench_say(&b, SLICE("GET / HTTP/1.1\r\n" HOST "X: "));
    bench_say(&b, (struct slice){ filler, sizeof filler });
    buf_clear(&heard);
    bench_hear(&b, &heard);
    HAS("HTTP/1.1 413 ");
    bench_end(&b);
}

static void abort_never_ends_cleanly(void **state)
{
    static const char *const texts[] = { "GET /abort HTTP/1.1\r\n" HOST "\r\n", "GET /short HTTP/1.1\r\n" HOST "\r\n",
                                         "POST /abort HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n" };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct bench b = { 0 };
        bool reset;
        bench_begin(&b);
        say_and_hear(&b, texts[i]);
        if (b.call)
            http_reply_abort(b.call);
        turns(b.loop, 2);
        assert_true(bench_closed(&b, &reset));
        assert_true(reset);
        assert_false(heard_has("0\r\n\r\n"));
        bench_end(&b);
    }
}

/* Nor does one whose request ends before its time, where only the end of the connection ends an answer. */
static void half_a_request_never_ends_cleanly(void **state)
{
    struct bench b = { 0 };
    bool reset;

    (void)state;
    bench_begin(&b);
    say_and_hear(&b, "POST /abort HTTP/1.0\r\nContent-Length: 9\r\n\r\nabc");
    HAS("\r\n\r\nhalf");
    shutdown(b.fd, SHUT_WR);
    turns(b.loop, 3);
    LOG(&b, "open /abort gone:consumer-gone close");
    assert_true(bench_closed(&b, &reset));
    assert_true(reset);
    bench_end(&b);
}

static void slow_reader_is_held(void **state)
{
    struct bench b = { .big = 8 << 20, .limits = { .window = 64 * 1024 } };

    (void)state;
    bench_begin(&b);
    bench_say(&b, SLICE("GET /big HTTP/1.1\r\n" HOST "\r\n"));
    for (unsigned i = 0; i < 200; i++)
        turns(b.loop, 1);
    assert_true(b.given < b.big); /* it waits for the reader */
    assert_true(b.most_held <= 64 * 1024);
    buf_clear(&heard);
    for (unsigned i = 0; i < 300 && !slice_ends(buf_slice(&heard), SLICE("\r\n0\r\n\r\n")); i++) {
        bench_hear(&b, &heard);
        run_for(b.loop, 1); /* the kernel may wait a moment before it opens the window again */
    }
    assert_int_equal(b.given, b.big);
    assert_true(heard.n > b.big);
    assert_true(slice_ends(buf_slice(&heard), SLICE("\r\n0\r\n\r\n")));
    LOG(&b, "open /big end sent");
    bench_end(&b);
}

static void stalled_reader_is_cut(void **state)
{
    struct bench b = { .big = 8 << 20, .limits = { .write = 200 } };

    (void)state;
    bench_begin(&b);
    bench_say(&b, SLICE("GET /big HTTP/1.1\r\n" HOST "\r\n"));
    run_for(b.loop, 500);
    LOG(&b, "open /big end gone:consumer-slow close");
    bench_end(&b);
}

/* While its answer is made: one that leaves is told of at once; one that said it would send nothing more is answered.
 */
static void leaves_while_waiting(void **state)
{
    static const struct {
        const char *text, *log;
        bool reset;
    } rows[] = {
        { "GET /hold HTTP/1.1\r\n" HOST "\r\n", "open /hold end gone:consumer-gone close", false },
        { "GET /hold HTTP/1.1\r\n" HOST "\r\n", "open /hold end gone:consumer-gone close", true },
        { "POST /hold HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi", "open /hold end gone:consumer-gone close",
          false },
        /* its body is not understood where it was read */
        { "\r\nPOST /hold HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi", "open /hold end gone:consumer-gone close",
          false },
        { "PUT /hold HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
          "open /hold end gone:consumer-gone close", true },
        { "GET /hold HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "open /hold end", false },
    };
    static const struct linger now = { 1, 0 };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct bench b = { 0 };
        bench_begin(&b);
        say_and_hear(&b, rows[i].text);
        if (rows[i].reset) {
            setsockopt(b.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
            close(b.fd);
            b.fd = socket(AF_INET, SOCK_STREAM, 0);
        } else {
            shutdown(b.fd, SHUT_WR);
        }
        run_for(b.loop, 20);
        LOG(&b, rows[i].log);
        if (b.call) {
            bench_answer(&b, "owed");
            bench_hear(&b, &heard);
            HAS("\r\n\r\nowed");
        }
        bench_end(&b);
    }
}

/* What comes while an answer is made is kept, however much, and read on later. */
static void pipelined_while_waiting(void **state)
{
    static char next[48 * 1024];
    struct bench b = { 0 };

    (void)state;
    memset(next, 'n', sizeof next);
    bench_begin(&b);
    say_and_hear(&b, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    bench_say(&b, SLICE("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 49152\r\n\r\n"));
    bench_say(&b, (struct slice){ next, sizeof next });
    LOG(&b, "open /hold end");
    bench_answer(&b, "one");
    run_for(b.loop, 20);
    LOG(&b, "open /hold end sent /echo end sent");
    bench_end(&b);
}

static void body_is_paused(void **state)
{
    static char block[4096];
    struct bench b = { .limits = { .body = 1000 } };
    size_t sent = 0, most = 8 << 20;
    ssize_t n;

    (void)state;
    memset(block, 'p', sizeof block);
    bench_begin(&b);
    bench_say(&b, SLICE("POST /pause HTTP/1.1\r\n" HOST "Content-Length: 8388608\r\n\r\n0123456789"));
    sent = 10;
    while (sent < most && (n = send(b.fd, block, most - sent < 4096 ? most - sent : 4096, MSG_NOSIGNAL)) > 0) {
        sent += (size_t)n;
        turns(b.loop, 1);
    }
    assert_true(sent < most);
    assert_int_equal(b.body.n, 0);
    run_for(b.loop, 1200); /* the pause is ours: no time-out */
    assert_non_null(b.call);
    http_call_read(b.call, true);
    while (sent < most) {
        n = send(b.fd, block, most - sent < 4096 ? most - sent : 4096, MSG_NOSIGNAL);
        assert_true(n > 0 || errno == EAGAIN); /* not closed */
        sent += n > 0 ? (size_t)n : 0;
        turns(b.loop, 1);
    }
    for (unsigned i = 0; i < 30 && b.body.n < most; i++)
        run_for(b.loop, 1); /* the kernel may wait a moment before it opens the window again */
    assert_int_equal(b.body.n, most);
    bench_end(&b);
}

static void continue_when_it_is_wanted(void **state)
{
    static const char head[] = "POST /pause HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    struct bench b = { 0 };
    struct buf got = BUF_INIT(4096);
    char text[256];

    (void)state;
    bench_begin(&b);
    bench_say(&b, slice_of(head));
    bench_hear(&b, &got);
    assert_non_null(b.call);
    assert_int_equal(got.n, 0); /* its owner has not said yet that it wants it */
    http_call_read(b.call, true);
    turns(b.loop, 2);
    bench_hear(&b, &got);
    assert_true(slice_is(buf_slice(&got), "HTTP/1.1 100 Continue\r\n\r\n"));
    buf_clear(&got);
    http_call_read(b.call, false);
    http_call_read(b.call, true); /* and is not told twice */
    bench_say(&b, SLICE("hello"));
    bench_hear(&b, &got);
    assert_true(slice_starts(buf_slice(&got), SLICE("HTTP/1.1 200 ")));
    buf_clear(&got);
    snprintf(text, sizeof text, "%shel", head);
    bench_say(&b, slice_of(text));
    assert_non_null(b.call);
    http_call_read(b.call, true);
    turns(b.loop, 2);
    bench_say(&b, SLICE("lo"));
    bench_hear(&b, &got); /* who did not wait is not told */
    assert_true(slice_starts(buf_slice(&got), SLICE("HTTP/1.1 200 ")));
    buf_done(&got);
    bench_end(&b);
}

/* Who is gone is noticed though nobody reads, as far as the kernel knows it. */
static void gone_while_paused(void **state)
{
    static const struct linger now = { 1, 0 };
    struct bench b = { .limits = { .body = 100 } };

    (void)state;
    bench_begin(&b);
    bench_say(&b, SLICE("POST /pause HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhe"));
    run_for(b.loop, 300);
    LOG(&b, "open /pause");
    setsockopt(b.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(b.fd);
    b.fd = -1;
    run_for(b.loop, 300);
    LOG(&b, "open /pause gone:consumer-gone close");
    bench_end(&b);
}

static void times_out(void **state)
{
    static const struct {
        const char *text, *log;
    } rows[] = {
        { "", "open close" },
        { "GET / HT", "open malformed sent" },
        { "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nab", "open /echo gone:request-timeout close" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct bench b = { .limits = { .idle = 100, .head = 100, .body = 100 } };
        bench_begin(&b);
        say_and_hear(&b, rows[i].text);
        run_for(b.loop, 300);
        LOG(&b, rows[i].log);
        bench_end(&b);
    }
}

/* A byte now and then is no progress, of a body or of an answer; so many a second are. */
static void trickling_is_too_slow(void **state)
{
    struct bench b = { .limits = { .body = 200, .rate = 1000 } };
    char byte[64];

    (void)state;
    bench_begin(&b);
    bench_say(&b, SLICE("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5000\r\n\r\n"));
    for (int i = 0; i < 10; i++) {
        bench_say(&b, SLICE("x"));
        run_for(b.loop, 50);
    }
    LOG(&b, "open /echo gone:request-timeout close");
    bench_end(&b);
    b = (struct bench){ .limits = { .body = 200, .rate = 100 } }; /* each of the ten pieces is worth seconds */
    bench_begin(&b);
    bench_say(&b, SLICE("POST /hold HTTP/1.1\r\n" HOST "Content-Length: 5000\r\n\r\n"));
    memset(byte, 'x', sizeof byte);
    for (int i = 0; i < 10; i++) {
        for (int k = 0; k < 5; k++)
            bench_say(&b, (struct slice){ byte, sizeof byte });
        run_for(b.loop, 50);
    }
    LOG(&b, "open /hold");
    bench_end(&b);
    b = (struct bench){ .big = 8 << 20, .limits = { .write = 200, .rate = 1000000 } };
    bench_begin(&b);
    bench_say(&b, SLICE("GET /big HTTP/1.1\r\n" HOST "\r\n"));
    for (int i = 0; i < 20; i++) {
        assert_true(recv(b.fd, byte, sizeof byte, 0) != 0);
        run_for(b.loop, 50);
    }
    LOG(&b, "open /big end gone:consumer-slow close");
    bench_end(&b);
}

static void drains(void **state)
{
    struct bench b = { 0 };

    (void)state;
    bench_begin(&b);
    bench_say(&b, SLICE("GET /hold HTTP/1.1\r\n" HOST "\r\n"));
    assert_non_null(b.conn);
    http_conn_drain(b.conn);
    bench_answer(&b, "x");
    buf_clear(&heard);
    bench_hear(&b, &heard);
    HAS("Connection: close\r\n");
    bench_end(&b);
    bench_begin(&b);
    assert_non_null(b.conn);
    http_conn_drain(b.conn);
    LOG(&b, "open close");
    bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(split_at_every_byte),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(a_pause_does_not_count),
        cmocka_unit_test(pipelined_in_order),
        cmocka_unit_test(continue_when_expected),
        cmocka_unit_test(continue_when_it_is_wanted),
        cmocka_unit_test(gone_while_paused),
        cmocka_unit_test(head_has_no_body),
        cmocka_unit_test(closes),
        cmocka_unit_test(malformed_with_a_tail),
        cmocka_unit_test(empty_lines_are_cheap),
        cmocka_unit_test(half_an_empty_line_is_no_head),
        cmocka_unit_test(large_head_is_refused),
        cmocka_unit_test(abort_never_ends_cleanly),
        cmocka_unit_test(half_a_request_never_ends_cleanly),
        cmocka_unit_test(slow_reader_is_held),
        cmocka_unit_test(stalled_reader_is_cut),
        cmocka_unit_test(leaves_while_waiting),
        cmocka_unit_test(pipelined_while_waiting),
        cmocka_unit_test(body_is_paused),
        cmocka_unit_test(times_out),
        cmocka_unit_test(trickling_is_too_slow),
        cmocka_unit_test(drains),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    buf_done(&heard);
    return failed;
}
