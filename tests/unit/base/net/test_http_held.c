/* What connections hold beside their calls: asked for in steps, and where there is no room the connection ends and is
 * told why. */
#include "h2_test.h"
#include "base/net/http_held.h"

#include <sys/socket.h>

static struct buf heard = BUF_INIT(1 << 20);

static void half_a_head(struct bench *b, size_t n)
{
    static char filler[16 * 1024];

    memset(filler, 'x', sizeof filler);
    bench_say(b, SLICE("GET /echo HTTP/1.1\r\nHost: h\r\nX: "));
    bench_say(b, (struct slice){ filler, n });
    buf_clear(&heard);
    bench_hear(b, &heard);
}

static void the_first_step_is_taken_when_it_comes(void **state)
{
    struct bench b = { 0 };
    int fd[2];
    char byte;

    (void)state;
    bench_begin(&b);
    assert_true(b.took > 0);
    b.no_room = true;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    bench_serve(&b, fd[1], ERR_BUSY);
    assert_int_equal(recv(fd[0], &byte, 1, 0), 0);
    close(fd[0]);
    bench_say(&b, SLICE("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n")); /* who is in is served */
    IS(&b.log, "open /echo end sent");
    bench_end(&b);
}

static void half_a_head_is_held_in_steps(void **state)
{
    struct bench b = { 0 };
    size_t first;

    (void)state;
    bench_begin(&b);
    first = b.took;
    bench_say(&b, SLICE("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n")); /* what is whole is not held */
    assert_int_equal(b.took, first);
    half_a_head(&b, 1000);
    assert_true(b.took > first);
    first = b.took;
    bench_say(&b, SLICE("xxxx"));
    assert_int_equal(b.took, first);
    bench_end(&b);
}

/* What was given back long ago was found by a look at the process, and is anybody's: it must be asked for again. */
static void what_was_given_back_is_asked_for_again(void **state)
{
    struct bench b = { 0 };
    size_t idle, first;

    (void)state;
    bench_begin(&b);
    assert_non_null(b.conn);
    idle = http_conn_held(b.conn);
    half_a_head(&b, 12000);
    bench_say(&b, SLICE("\r\n\r\n"));
    HAS(&b.log, "sent");
    assert_non_null(b.conn);
    assert_int_equal(http_conn_held(b.conn), idle);
    first = b.took;
    run_for(b.loop, 200);
    half_a_head(&b, 12000);
    assert_true(b.took > first);
    bench_end(&b);
}

static void half_a_head_without_room_is_answered(void **state)
{
    struct bench b = { 0 };
    bool reset;

    (void)state;
    bench_begin(&b);
    b.no_room = true;
    half_a_head(&b, 1000);
    HAS(&heard, "HTTP/1.1 503 ");
    assert_true(bench_closed(&b, &reset) && !reset);
    IS(&b.log, "open malformed sent");
    bench_end(&b);
}

/* Its end never comes. */
static void half_a_list(struct h2_bench *h, uint32_t stream)
{
    static char value[4000];
    struct buf block = BUF_INIT(1 << 20);

    memset(value, 'v', sizeof value);
    for (int i = 0; i < 3; i++)
        put_field(&block, "a", (struct slice){ value, sizeof value });
    put_frame(&h->say, F_HEADERS, 0, stream, buf_slice(&block));
    buf_done(&block);
    exchange(h);
}

static void a_session_grows_in_steps(void **state)
{
    struct h2_bench h = { 0 };
    size_t rests;

    (void)state;
    h2_begin_bench(&h);
    rests = h.b.took;
    put_request(&h.say, 1, "GET", "/echo", END_STREAM, "");
    exchange(&h);
    assert_int_equal(h.b.took, rests); /* one that is served and gone */
    for (uint32_t i = 0; i < 20; i++)
        put_request(&h.say, 3 + 2 * i, "POST", "/echo", 0, "");
    exchange(&h);
    assert_int_equal(h.b.took, rests); /* calls have room of their own */
    h2_end_bench(&h);
    h2_begin_bench(&h);
    half_a_list(&h, 1);
    assert_true(h.b.took >= rests + 16 * 1024);
    h2_end_bench(&h);
}

/* The peer's header table, of 4096 bytes by its own account, with as many fields as it takes; or with none. */
static void fill_table(struct h2_bench *h, uint32_t stream, bool full)
{
    struct buf block = BUF_INIT(1 << 20);

    buf_put(&block, SLICE("\x20")); /* RFC 7541 section 6.3: empty */
    if (full)
        buf_put(&block, SLICE("\x3f\xe1\x1f"));
    put_block(&block, "GET", "/echo", "");
    for (int i = 0; i < 124 && full; i++)
        buf_put(&block, slice_make("\x40\x01"
                                   "a\0",
                                   4));
    put_frame(&h->say, F_HEADERS, END_STREAM | END_HEADERS, stream, buf_slice(&block));
    buf_done(&block);
    exchange(h);
}

static void a_session_asks_again_too(void **state)
{
    struct h2_bench h = { 0 };
    size_t before, grown;

    (void)state;
    h2_begin_bench(&h);
    before = h.b.took;
    fill_table(&h, 1, true);
    grown = h.b.took - before;
    assert_true(grown > 0);
    fill_table(&h, 3, false);
    run_for(h.b.loop, 200);
    before = h.b.took;
    fill_table(&h, 5, true);
    assert_true(h.b.took - before >= grown);
    h2_end_bench(&h);
}

static void a_session_without_room_is_told_to_ask_less(void **state)
{
    struct h2_bench h = { 0 };
    bool reset;

    (void)state;
    h2_begin_bench(&h);
    h.b.no_room = true;
    put_request(&h.say, 1, "GET", "/echo", END_STREAM, "");
    exchange(&h);
    IS(&h.words, "HEADERS/1 END/1"); /* it needs no more than it has */
    put_request(&h.say, 3, "POST", "/echo", 0, "");
    half_a_list(&h, 5);
    ENDS(&h.words, "GOAWAY=11");
    HAS(&h.b.log, "malformed#3:overloaded gone#3:overloaded gone#2:overloaded");
    run_for(h.b.loop, 400); /* not as long as others linger */
    assert_true(bench_closed(&h.b, &reset) && !reset);
    assert_null(h.b.conn);
    h2_end_bench(&h);
}

static void calm_ends_who_is_idle(void **state)
{
    struct bench b = { 0 };
    struct h2_bench h = { 0 };
    bool reset;

    (void)state;
    bench_begin(&b);
    assert_non_null(b.conn);
    http_conn_calm(b.conn);
    turns(b.loop, 2);
    assert_true(bench_closed(&b, &reset) && !reset);
    IS(&b.log, "open close");
    bench_end(&b);
    h2_begin_bench(&h);
    assert_non_null(h.b.conn);
    http_conn_calm(h.b.conn);
    h2_hear(&h);
    IS(&h.words, "GOAWAY=0");
    IS(&h.b.log, "close");
    h2_end_bench(&h);
}

static void calm_tells_who_is_not(void **state)
{
    struct bench b = { 0 };
    struct h2_bench h = { 0 };

    (void)state;
    bench_begin(&b);
    half_a_head(&b, 1000);
    assert_non_null(b.conn);
    assert_true(http_conn_held(b.conn) > 16 * 1024);
    http_conn_calm(b.conn);
    bench_hear(&b, &heard);
    HAS(&heard, "HTTP/1.1 503 ");
    bench_end(&b);
    h2_begin_bench(&h);
    put_request(&h.say, 1, "POST", "/echo", 0, "");
    exchange(&h);
    assert_non_null(h.b.conn);
    http_conn_calm(h.b.conn);
    h2_hear(&h);
    ENDS(&h.words, "GOAWAY=11");
    HAS(&h.b.log, "gone#1:overloaded");
    h2_end_bench(&h);
}

/* Its output waits for a peer that reads nothing: it ends all the same, and soon. */
static void calm_waits_for_nobody(void **state)
{
    struct h2_bench h = { .big = 4 << 20 };

    (void)state;
    h2_begin_bench(&h);
    put_setting(&h.say, 4, 1 << 30);
    put_u32_frame(&h.say, F_WINDOW, 0, 1 << 30);
    put_request(&h.say, 1, "GET", "/big", END_STREAM, "");
    h2_say(&h);
    turns(h.b.loop, 10);
    assert_non_null(h.b.conn);
    http_conn_calm(h.b.conn);
    turns(h.b.loop, 2); /* what is to be done at the turn's end begins none */
    run_for(h.b.loop, 700);
    assert_null(h.b.conn);
    HAS(&h.b.log, "gone#1:overloaded");
    h2_end_bench(&h);
}

/* What cannot be kept for want of memory is nobody else's fault, and the record must not say that it is. */
static void what_cannot_be_kept_is_our_fault(void **state)
{
    static const struct {
        const char *first, *then, *log;
    } rows[] = {
        { "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n", "GET /echo HTTP/1.1\r\n", "open /hold end gone:overloaded close" },
        { "", "POST /pause HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
          "open /pause gone:overloaded close" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct bench b = { 0 };
        bench_begin(&b);
        bench_say(&b, slice_of(rows[i].first));
        buf_reserve(&b.log, 4096);
        mem_fail_nth(1);
        bench_say(&b, slice_of(rows[i].then));
        assert_true(mem_fail_nth(0) > 0);
        IS(&b.log, rows[i].log);
        bench_end(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_step_is_taken_when_it_comes),
        cmocka_unit_test(half_a_head_is_held_in_steps),
        cmocka_unit_test(what_was_given_back_is_asked_for_again),
        cmocka_unit_test(half_a_head_without_room_is_answered),
        cmocka_unit_test(a_session_grows_in_steps),
        cmocka_unit_test(a_session_asks_again_too),
        cmocka_unit_test(a_session_without_room_is_told_to_ask_less),
        cmocka_unit_test(calm_ends_who_is_idle),
        cmocka_unit_test(calm_tells_who_is_not),
        cmocka_unit_test(calm_waits_for_nobody),
        cmocka_unit_test(what_cannot_be_kept_is_our_fault),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    buf_done(&heard);
    return failed;
}
