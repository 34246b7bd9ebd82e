/* The server's side of HTTP/2, frames by hand over TCP: many calls at once, flow control both ways, order of the ends,
 * cuts, leaving, failing allocations. */
#include "h2_test.h"

#include <sys/socket.h>

static void put_trailers(struct buf *to, uint32_t stream)
{
    struct buf block = BUF_INIT(1024);

    put_field(&block, "x-trailer", SLICE("1"));
    put_frame(to, F_HEADERS, END_HEADERS | END_STREAM, stream, buf_slice(&block));
    buf_done(&block);
}

static void split_at_every_byte(void **state)
{
    struct buf text = BUF_INIT(4096);

    (void)state;
    put_request(&text, 1, "POST", "/echo", 0, "content-length: 5");
    put_frame(&text, F_DATA, 0, 1, SLICE("he"));
    put_frame(&text, F_DATA, END_STREAM | PADDED, 1, SLICE("\x02llo\0\0"));
    put_request(&text, 3, "POST", "/chunks", 0, "");
    put_frame(&text, F_DATA, 0, 3, SLICE("abcdefg"));
    put_trailers(&text, 3);
    for (size_t at = 0; at < text.n; at++) {
        struct h2_bench h = { 0 };
        h2_begin_bench(&h);
        buf_put(&h.say, slice_sub(buf_slice(&text), 0, at));
        h2_say(&h);
        buf_put(&h.say, slice_sub(buf_slice(&text), at, text.n));
        exchange(&h);
        IS(&h.data, "helloabcdefg");
        HAS(&h.words, "DATA/1:5 END/1");
        ENDS(&h.words, "DATA/3:7 HEADERS/3 END/3");
        if (at < 70)
            IS(&h.b.log, "/echo#1 end#1 /chunks#2 end#2 sent#2 sent#1");
        h2_end_bench(&h);
    }
    buf_done(&text);
}

/* Answers come in the order in which they are given, not in which they were asked for. */
static void many_at_once(void **state)
{
    struct h2_bench h = { 0 };

    (void)state;
    h2_begin_bench(&h);
    for (uint32_t id = 1; id < 200; id += 2)
        put_request(&h.say, id, "GET", "/hold", END_STREAM, "");
    exchange(&h);
    IS(&h.words, "");
    assert_int_equal(h.heads, 100);
    h2_answer(h2_one(&h, 77), "seventy-seven");
    h2_hear(&h);
    IS(&h.words, "HEADERS/153 DATA/153:13 END/153");
    ENDS(&h.b.log, "end#100 sent#77");
    /* one leaves, one may come; one more breaks the limit that it has acknowledged */
    put_request(&h.say, 201, "GET", "/hold", END_STREAM, "");
    put_request(&h.say, 203, "GET", "/hold", END_STREAM, "");
    exchange(&h);
    IS(&h.words, "GOAWAY=1");
    HAS(&h.b.log, "/hold#101 end#101 malformed#102:request-malformed gone#102:request-malformed gone#");
    h2_end_bench(&h);
}

/* A limit that the peer cannot know yet is no fault: the request was not looked at, and may be sent again. */
static void more_before_the_limit_is_known(void **state)
{
    struct h2_bench h = { .b.limits = { .streams = 2 } };

    (void)state;
    h2_begin_unsettled(&h);
    for (uint32_t id = 1; id < 7; id += 2)
        put_request(&h.say, id, "GET", "/hold", END_STREAM, "");
    exchange(&h);
    ENDS(&h.words, "RST/5=7");
    ENDS(&h.b.log, "malformed#3:overloaded gone#3:overloaded");
    h2_end_bench(&h);
}

/* An answer that has nothing but its head needs no window. */
static void heads_need_no_window(void **state)
{
    struct h2_bench h = { 0 };

    (void)state;
    h2_begin_bench(&h);
    put_setting(&h.say, 4, 0);
    put_request(&h.say, 1, "HEAD", "/echo", END_STREAM, "");
    put_request(&h.say, 3, "GET", "/echo", END_STREAM, "");
    put_request(&h.say, 5, "HEAD", "/chunks", END_STREAM, "");
    put_request(&h.say, 7, "POST", "/early", 0, "");
    exchange(&h);
    IS(&h.words, "SETTINGS+ACK HEADERS/1 END/1 HEADERS/3 END/3 HEADERS/5 END/5 HEADERS/7");
    h2_end_bench(&h);
}

/* Its head is all of it, but the owner has not said so yet: nothing is told before. */
static void heads_wait_for_their_owner(void **state)
{
    static const struct http_reply r = { .status = 200, .length = 0 };
    struct h2_bench h = { 0 };
    struct one *o;

    (void)state;
    h2_begin_bench(&h);
    put_request(&h.say, 1, "GET", "/hold", END_STREAM, "");
    h2_say(&h);
    o = h2_one(&h, 1);
    assert_non_null(o->call);
    http_reply_head(o->call, &r);
    h2_hear(&h);
    IS(&h.words, "HEADERS/1 END/1");
    IS(&h.b.log, "/hold#1 end#1");
    assert_non_null(o->call);
    http_reply_end(o->call, NULL, 0);
    turns(h.b.loop, 2);
    IS(&h.b.log, "/hold#1 end#1 sent#1");
    h2_end_bench(&h);
}

static void flow_control_holds_output(void **state)
{
    struct h2_bench h = { .big = 1 << 20 };

    (void)state;
    h2_begin_bench(&h);
    put_setting(&h.say, 4, 10);
    put_request(&h.say, 1, "GET", "/big", END_STREAM, "");
    put_request(&h.say, 3, "GET", "/hold", END_STREAM, "");
    exchange(&h);
    IS(&h.words, "SETTINGS+ACK HEADERS/1 DATA/1:10");
    assert_true(h2_one(&h, 1)->given <= 32768 + 16384 + 10);
    h2_answer(h2_one(&h, 2), "not held up");
    h2_hear(&h);
    IS(&h.words, "HEADERS/3 DATA/3:10"); /* its own window is 10 too */
    put_u32_frame(&h.say, F_WINDOW, 3, 1000);
    put_u32_frame(&h.say, F_WINDOW, 1, 5);
    exchange(&h);
    IS(&h.words, "DATA/3:1 END/3 DATA/1:5"); /* in turn: 1 had more */
    put_u32_frame(&h.say, F_WINDOW, 1, 4 << 20);
    put_u32_frame(&h.say, F_WINDOW, 0, 4 << 20);
    h2_say(&h);
    for (size_t got = 0, i = 0; got < h.big - 15; got += h.data.n, i++) {
        assert_true(i < 300);
        run_for(h.b.loop, 1);
        h2_hear(&h);
    }
    ENDS(&h.words, "END/1");
    ENDS(&h.b.log, "sent#2 sent#1");
    h2_end_bench(&h);
}

/* The peer takes a long answer as it can, by a window of the connection: what was asked for behind it has its share. */
static void answers_share_the_window(void **state)
{
    struct h2_bench h = { .big = 64 << 20 };
    size_t turns_taken = 0;

    (void)state;
    h2_begin_bench(&h);
    put_setting(&h.say, 4, 1 << 30);
    put_request(&h.say, 1, "GET", "/big", END_STREAM, "");
    put_request(&h.say, 3, "GET", "/hold", END_STREAM, "");
    exchange(&h);
    h2_answer(h2_one(&h, 2), "not held up");
    for (buf_clear(&h.b.log); h.b.log.n == 0; turns_taken++) {
        assert_true(turns_taken < 20);
        put_u32_frame(&h.say, F_WINDOW, 0, 32767);
        exchange(&h);
    }
    IS(&h.b.log, "sent#2");
    h2_end_bench(&h);
}

static void body_waits_for_its_owner(void **state)
{
    static char block[16384];
    struct h2_bench h = { .b.limits = { .body = 100 } };
    struct one *o;

    (void)state;
    memset(block, 'p', sizeof block);
    h2_begin_bench(&h);
    put_request(&h.say, 1, "POST", "/pause", 0, "");
    for (int i = 0; i < 3; i++)
        put_frame(&h.say, F_DATA, 0, 1, slice_make(block, sizeof block));
    put_request(&h.say, 3, "POST", "/echo", 0, "");
    put_frame(&h.say, F_DATA, END_STREAM, 3, SLICE("other"));
    exchange(&h);
    ENDS(&h.words, "HEADERS/3 DATA/3:5 END/3"); /* and no window for /1 */
    o = h2_one(&h, 1);
    assert_int_equal(o->body.n, 0);
    run_for(h.b.loop, 300); /* the pause is ours: no time-out */
    assert_non_null(o->call);
    http_call_read(o->call, true);
    put_frame(&h.say, F_DATA, END_STREAM, 1, SLICE("rest"));
    exchange(&h);
    assert_int_equal(o->body.n, 3 * sizeof block + 4 + 1);
    ENDS(&h.b.log, "end#1 sent#1");
    h2_end_bench(&h);
}

static void put_body(struct h2_bench *h, uint32_t id, size_t n)
{
    static char block[16384];

    for (size_t at = 0; at < n; at += sizeof block)
        put_frame(&h->say, F_DATA, 0, id, slice_make(block, n - at < sizeof block ? n - at : sizeof block));
}

/* A peer that has used up its window hears of it when the owner reads on. */
static void window_comes_back(void **state)
{
    struct h2_bench h = { 0 };

    (void)state;
    h2_begin_bench(&h);
    put_request(&h.say, 1, "POST", "/pause", 0, "");
    put_body(&h, 1, 65535);
    exchange(&h);
    IS(&h.words, "");
    assert_non_null(h2_call(&h, 1));
    http_call_read(h2_call(&h, 1), true);
    h2_hear(&h);
    IS(&h.words, "WINDOW/1");
    h2_end_bench(&h);
}

/* What came of bodies that nobody took holds nothing of the connection's window. */
static void dropped_bodies_give_their_window_back(void **state)
{
    struct h2_bench h = { 0 };

    (void)state;
    h2_begin_bench(&h);
    for (uint32_t id = 1; id < 19; id += 2) {
        put_request(&h.say, id, "POST", "/pause", 0, "");
        put_body(&h, id, 65535);
        if (id % 4 == 1)
            put_u32_frame(&h.say, F_RST, id, 8);
        h2_say(&h);
        if (id % 4 != 1)
            h2_answer(h2_one(&h, (id + 1) / 2), "no, thank you");
        h2_hear(&h);
    }
    put_request(&h.say, 19, "POST", "/echo", 0, "");
    put_frame(&h.say, F_DATA, END_STREAM, 19, SLICE("heard"));
    exchange(&h);
    HAS(&h.words, "DATA/19:5 END/19");
    h2_end_bench(&h);
}

/* What waits for its owner holds up nobody else, until there is much of it. */
static void waiting_bodies_leave_room(void **state)
{
    static char block[16384];
    struct h2_bench h = { .b.limits = { .body = 100 } };
    struct one *o;

    (void)state;
    h2_begin_bench(&h);
    for (uint32_t id = 1; id < 17; id += 2) {
        put_request(&h.say, id, "POST", "/pause", 0, "");
        for (int i = 0; i < 4; i++)
            put_frame(&h.say, F_DATA, 0, id, slice_make(block, sizeof block));
        exchange(&h);
        assert_non_null(h2_one(&h, id / 2 + 1)->call); /* 64 KiB each: twice the connection's window in all */
    }
    put_request(&h.say, 17, "POST", "/echo", 0, "");
    put_frame(&h.say, F_DATA, END_STREAM, 17, SLICE("other"));
    exchange(&h);
    ENDS(&h.words, "DATA/17:5 END/17");
    o = h2_one(&h, 1);
    assert_non_null(o->call);
    http_call_read(o->call, true);
    http_call_read(o->call, false); /* thought better of it */
    exchange(&h);
    assert_int_equal(o->body.n, 0);
    http_call_read(o->call, true);
    put_frame(&h.say, F_DATA, END_STREAM, 3, SLICE("")); /* another one ends, unheard */
    exchange(&h);
    assert_int_equal(o->body.n, 4 * sizeof block);
    HAS(&h.words, "WINDOW/1");
    http_reply_abort(h2_call(&h, 2)); /* what it held is forgotten */
    exchange(&h);
    HAS(&h.words, "RST/3");
    h2_end_bench(&h);
}

static void continue_when_it_is_wanted(void **state)
{
    struct h2_bench h = { 0 };

    (void)state;
    h2_begin_bench(&h);
    put_request(&h.say, 1, "POST", "/pause", 0, "expect: 100-continue");
    exchange(&h);
    IS(&h.words, "");
    assert_non_null(h2_call(&h, 1));
    http_call_read(h2_call(&h, 1), true);
    exchange(&h);
    IS(&h.words, "HEADERS/1");
    put_frame(&h.say, F_DATA, END_STREAM, 1, SLICE("hello"));
    exchange(&h);
    ENDS(&h.b.log, "end#1 sent#1");
    h2_end_bench(&h);
}

/* More than the peer's window is the peer's fault. */
static void body_beyond_its_window(void **state)
{
    static char block[16384];
    struct h2_bench h = { 0 };

    (void)state;
    h2_begin_bench(&h);
    put_request(&h.say, 1, "POST", "/pause", 0, "");
    for (int i = 0; i < 5; i++)
        put_frame(&h.say, F_DATA, 0, 1, slice_make(block, sizeof block));
    exchange(&h);
    IS(&h.words, "RST/1=3");
    ENDS(&h.b.log, "gone#1:request-malformed");
    h2_end_bench(&h);
}

static void ends_and_cuts(void **state)
{
    static const struct {
        const char *method, *path, *more, *body, *words, *log;
    } rows[] = {
        { "GET", "/cut", "", NULL, "HEADERS/1 DATA/1:4", "/cut#1 end#1" },
        { "GET", "/short", "", NULL, "RST/1=2", "/short#1 gone#1:interrupted" },
        { "GET", "/long", "", NULL, "RST/1=2", "/long#1 gone#1:interrupted" },
        { "GET", "/refuse", "", NULL, "RST/1=11", "/refuse#1" },
        { "HEAD", "/echo", "", NULL, "HEADERS/1 END/1", "/echo#1 end#1 sent#1" },
        { "HEAD", "/chunks", "", NULL, "HEADERS/1 END/1", "/chunks#1 end#1 sent#1" },
        { "POST", "/early", "", "", "HEADERS/1 DATA/1:5 END/1", "/early#1 sent#1" },
        { "POST", "/echo", "expect: 100-continue", "", "HEADERS/1", "/echo#1" },
        { "POST", "/early", "expect: 100-continue", "", "HEADERS/1 DATA/1:5 END/1", "/early#1 sent#1" },
        { "GET", "/last", "", NULL, "HEADERS/1 END/1 GOAWAY=0 GOAWAY=0", "/last#1 end#1 sent#1" },
        { "POST", "/echo", "content-length: 3", "four", "RST/1=1", "/echo#1 gone#1:request-malformed" },
        { "POST", "/echo", "content-length: 5", "four", "RST/1=1", "/echo#1 gone#1:request-malformed" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct h2_bench h = { 0 };
        h2_begin_bench(&h);
        put_request(&h.say, 1, rows[i].method, rows[i].path, rows[i].body ? 0 : END_STREAM, rows[i].more);
        if (rows[i].body && *rows[i].body)
            put_frame(&h.say, F_DATA, END_STREAM, 1, slice_of(rows[i].body));
        exchange(&h);
        IS(&h.words, rows[i].words);
        IS(&h.b.log, rows[i].log);
        h2_end_bench(&h);
    }
}

static void abort_resets_one_stream(void **state)
{
    struct h2_bench h = { 0 };
    struct one *o;

    (void)state;
    h2_begin_bench(&h);
    put_request(&h.say, 1, "GET", "/cut", END_STREAM, "");
    put_request(&h.say, 3, "GET", "/hold", END_STREAM, "");
    exchange(&h);
    o = h2_one(&h, 1);
    assert_non_null(o->call);
    http_reply_abort(o->call);
    h2_hear(&h);
    IS(&h.words, "RST/1=2");
    h2_answer(h2_one(&h, 2), "whole");
    h2_hear(&h);
    IS(&h.words, "HEADERS/3 DATA/3:5 END/3");
    http_conn_abort(h.b.conn, REASON_CERTIFICATE_REVOKED);
    turns(h.b.loop, 2);
    ENDS(&h.b.log, "sent#2 close");
    h2_end_bench(&h);
}

/* Answers that are whole, and a peer that does not read: the turn ends all the same, and nothing is said to be sent. */
static void whole_answers_wait_for_the_socket(void **state)
{
    struct h2_bench h = { .big = 30000 };

    (void)state;
    h2_begin_bench(&h);
    put_u32_frame(&h.say, F_WINDOW, 0, 1 << 30);
    for (uint32_t id = 1; id < 200; id += 2)
        put_request(&h.say, id, "GET", "/big", END_STREAM, "");
    h2_say(&h);
    turns(h.b.loop, 5);
    assert_true(h.b.conn != NULL && h2_one(&h, 100)->call != NULL); /* not sent */
    for (size_t got = 0, i = 0; got < 100 * h.big; got += h.data.n, i++) {
        assert_true(i < 300);
        run_for(h.b.loop, 1);
        h2_hear(&h);
    }
    for (unsigned n = 1; n <= 100; n++)
        assert_null(h2_one(&h, n)->call);
    h2_end_bench(&h);
}

/* The rest of a request that is answered already is taken for a while, and dropped. */
static void rest_of_a_request(void **state)
{
    static char block[8192];
    struct h2_bench h = { 0 };

    (void)state;
    h2_begin_bench(&h);
    put_request(&h.say, 1, "POST", "/early", 0, "");
    put_request(&h.say, 3, "POST", "/early", 0, "");
    for (int i = 0; i < 7; i++)
        put_frame(&h.say, F_DATA, i == 6 ? END_STREAM : 0, 1, slice_make(block, sizeof block));
    exchange(&h);
    HAS(&h.words, "END/1");
    HAS(&h.words, "END/3");
    run_for(h.b.loop, 2200);
    h2_hear(&h);
    IS(&h.words, "RST/3=0");
    IS(&h.b.log, "/early#1 /early#2 sent#2 sent#1");
    h2_end_bench(&h);
}

/* ---- leaving ---- */
static void drains(void **state)
{
    struct h2_bench h = { 0 };
    bool reset;

    (void)state;
    h2_begin_bench(&h);
    put_request(&h.say, 1, "GET", "/hold", END_STREAM, "");
    h2_say(&h);
    assert_non_null(h.b.conn);
    http_conn_drain(h.b.conn);
    put_request(&h.say, 3, "GET", "/echo", END_STREAM,
                ""); /* on its way when it was told: answered, and be it refused */
    exchange(&h);
    IS(&h.words, "GOAWAY=0 HEADERS/3 END/3");
    h2_answer(h2_one(&h, 1), "last");
    h2_hear(&h);
    IS(&h.words, "HEADERS/1 DATA/1:4 END/1 GOAWAY=0");
    assert_true(bench_closed(&h.b, &reset));
    assert_false(reset);
    h2_end_bench(&h);
    h2_begin_bench(&h);
    assert_non_null(h.b.conn);
    http_conn_drain(h.b.conn);
    h2_hear(&h);
    IS(&h.words, "GOAWAY=0");
    assert_true(bench_closed(&h.b, &reset));
    h2_end_bench(&h);
}

static void peer_says_goodbye(void **state)
{
    struct h2_bench h = { 0 };
    bool reset;

    (void)state;
    h2_begin_bench(&h);
    put_request(&h.say, 1, "GET", "/hold", END_STREAM, "");
    put_frame(&h.say, F_GOAWAY, 0, 0, SLICE("\0\0\0\0\0\0\0\0"));
    exchange(&h);
    h2_answer(h2_one(&h, 1), "bye");
    h2_hear(&h);
    IS(&h.words, "HEADERS/1 DATA/1:3 END/1 GOAWAY=0");
    assert_true(bench_closed(&h.b, &reset));
    assert_false(reset);
    h2_end_bench(&h);
}

static void peer_vanishes(void **state)
{
    struct h2_bench h = { .big = 1 << 20 };

    (void)state;
    h2_begin_bench(&h);
    put_request(&h.say, 1, "GET", "/hold", END_STREAM, "");
    put_request(&h.say, 3, "GET", "/big", END_STREAM, "");
    put_request(&h.say, 5, "POST", "/echo", 0, "");
    h2_say(&h);
    shutdown(h.b.fd, SHUT_RDWR);
    turns(h.b.loop, 5);
    IS(&h.b.log, "/hold#1 end#1 /big#2 end#2 /echo#3 gone#3:consumer-gone gone#2:consumer-gone gone#1:consumer-gone "
                 "close");
    h2_end_bench(&h);
}

static void requests_are_counted(void **state)
{
    struct h2_bench h = { .b.limits = { .requests = 3 } };
    bool reset;

    (void)state;
    h2_begin_bench(&h);
    for (uint32_t id = 1; id < 11; id += 2)
        put_request(&h.say, id, "GET", "/echo", END_STREAM, "");
    exchange(&h);
    assert_int_equal(h.heads, 5); /* those on their way are answered */
    HAS(&h.words, "GOAWAY=0 ");
    ENDS(&h.words, " GOAWAY=0");
    assert_true(bench_closed(&h.b, &reset));
    h2_end_bench(&h);
}

/* ---- memory ---- */
static void count_ends(const struct h2_bench *h, size_t *heads, size_t *ends)
{
    struct slice log = buf_slice(&h->b.log);

    *heads = *ends = 0;
    while (log.n > 0) {
        struct slice word = slice_cut(&log, ' ');
        *heads += word.p[0] == '/' || slice_starts(word, SLICE("malformed"));
        *ends += slice_starts(word, SLICE("sent")) || slice_starts(word, SLICE("gone"));
    }
}

/* Whatever allocation fails: every call that began ends once, and nothing leaks. */
static void each_allocation_fails(void **state)
{
    size_t total = 1;

    (void)state;
    for (size_t nth = 0; nth <= total; nth++) {
        struct h2_bench h = { .big = 100000 };
        size_t heads, ends;
        h2_begin_bench(&h);
        put_u32_frame(&h.say, F_WINDOW, 0, 1 << 20);
        put_request(&h.say, 1, "GET", "/big", END_STREAM, "");
        put_request(&h.say, 3, "POST", "/chunks", 0, "expect: 100-continue");
        put_frame(&h.say, F_DATA, END_STREAM, 3, SLICE("hello"));
        put_request(&h.say, 5, "GET", "/a b", END_STREAM, "");
        put_request(&h.say, 7, "GET", "/short", END_STREAM, "");
        buf_reserve(&h.b.log, 4096);
        buf_reserve(&h.words, 65536);
        buf_reserve(&h.data, 1 << 20);
        mem_fail_nth(nth);
        bench_say(&h.b, buf_slice(&h.say));
        turns(h.b.loop, 4);
        if (nth == 0)
            total = mem_fail_nth(0);
        mem_fail_nth(0);
        if (h.b.conn)
            http_conn_abort(h.b.conn, REASON_CERTIFICATE_REVOKED);
        turns(h.b.loop, 2);
        count_ends(&h, &heads, &ends);
        if (heads != ends)
            fail_msg("allocation %zu: '%.*s'", nth, (int)h.b.log.n, h.b.log.p);
        h2_end_bench(&h);
    }
    assert_true(total > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(split_at_every_byte),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(more_before_the_limit_is_known),
        cmocka_unit_test(heads_need_no_window),
        cmocka_unit_test(heads_wait_for_their_owner),
        cmocka_unit_test(flow_control_holds_output),
        cmocka_unit_test(answers_share_the_window),
        cmocka_unit_test(body_waits_for_its_owner),
        cmocka_unit_test(window_comes_back),
        cmocka_unit_test(dropped_bodies_give_their_window_back),
        cmocka_unit_test(body_beyond_its_window),
        cmocka_unit_test(waiting_bodies_leave_room),
        cmocka_unit_test(continue_when_it_is_wanted),
        cmocka_unit_test(ends_and_cuts),
        cmocka_unit_test(whole_answers_wait_for_the_socket),
        cmocka_unit_test(rest_of_a_request),
        cmocka_unit_test(abort_resets_one_stream),
        cmocka_unit_test(drains),
        cmocka_unit_test(peer_says_goodbye),
        cmocka_unit_test(peer_vanishes),
        cmocka_unit_test(requests_are_counted),
        cmocka_unit_test(each_allocation_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
