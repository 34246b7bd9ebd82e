/* The client's side: one answer in whatever pieces, what is reusable, what is cut, late or more than was asked for. */
#include "net_test.h"
#include "tests/unit/until.h"

#include <sys/socket.h>
#include <time.h>

struct told {
    struct loop *loop;
    struct buf log, body;
    unsigned rooms;
    bool ended, reusable, failed, idle_closed, sent;
    enum reason why;
};

static void on_head(void *user, const struct http_head *h)
{
    buf_printf(&((struct told *)user)->log, "%d ", h->status);
}

static void on_body(void *user, struct slice bytes)
{
    buf_put(&((struct told *)user)->body, bytes);
}

static void on_end(void *user, bool reusable)
{
    struct told *t = user;

    t->ended = true;
    t->reusable = reusable;
}

static void on_fail(void *user, enum reason why, bool sent)
{
    struct told *t = user;

    t->failed = true;
    t->why = why;
    t->sent = sent;
}

static void on_idle_closed(void *user)
{
    ((struct told *)user)->idle_closed = true;
}

static void on_room(void *user)
{
    ((struct told *)user)->rooms++;
}

static const struct http_client_events events = { on_head, on_body, on_end, on_fail, on_idle_closed, NULL, on_room };

struct pair {
    struct told told;
    struct http_client *client;
    int listener, fd; /* the provider's end */
};

/* room: of the provider's kernel for what it has not read, bytes; 0: the usual. */
static void pair_open_with(struct pair *p, int room)
{
    struct sockaddr_storage to;

    *p = (struct pair){ .told = { .loop = loop_new(), .log = BUF_INIT(4096), .body = BUF_INIT(1 << 20) } };
    assert_non_null(p->told.loop);
    assert_int_equal(net_listen("127.0.0.1", 0, false, &p->listener, NULL), ERR_OK);
    if (room > 0) /* before there is a connection, which inherits it */
        assert_int_equal(setsockopt(p->listener, SOL_SOCKET, SO_RCVBUF, &room, sizeof room), 0);
    address_of(p->listener, &to);
    p->client = http_client_new(p->told.loop, &to, NULL, SLICE(""), &events, &p->told, 1000);
    assert_non_null(p->client);
}

static void pair_open(struct pair *p)
{
    pair_open_with(p, 0);
}

static void pair_accept(struct pair *p)
{
    for (unsigned i = 0; (p->fd = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK)) < 0 && i < 1000; i++)
        turns(p->told.loop, 1);
    assert_true(p->fd >= 0);
    turns(p->told.loop, 3);
}

static void pair_begin(struct pair *p, bool head_method, int64_t ms)
{
    char text[32];

    pair_open(p);
    assert_int_equal(http_client_send(p->client, SLICE("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), head_method, ms), ERR_OK);
    assert_int_equal(http_client_send(p->client, SLICE("x"), false, 1), ERR_BUSY);
    pair_accept(p);
    assert_true(recv(p->fd, text, sizeof text, 0) > 0); /* unread, it would turn closing into a reset */
}

static void pair_end(struct pair *p)
{
    p->client = http_client_free(p->client);
    turns(p->told.loop, 1);
    if (p->fd >= 0)
        close(p->fd);
    close(p->listener);
    loop_free(p->told.loop);
    buf_done(&p->told.log);
    buf_done(&p->told.body);
}

static void say(struct pair *p, const char *text, size_t n)
{
    assert_int_equal(send(p->fd, text, n, MSG_NOSIGNAL), n);
    turns(p->told.loop, 3);
}

static void hang_up(struct pair *p)
{
    close(p->fd);
    p->fd = -1;
    turns(p->told.loop, 5);
}

#define OK_ "HTTP/1.1 200 OK\r\n"
static const struct {
    const char *name, *text;
    bool head_method, close; /* the provider closes behind it */
    const char *body;        /* NULL: fails with `why` */
    bool reusable;
    enum reason why;
} rows[] = {
    { "length", OK_ "Content-Length: 5\r\n\r\nhello", false, false, "hello", true, 0 },
    { "empty", OK_ "Content-Length: 0\r\n\r\n", false, false, "", true, 0 },
    { "204", "HTTP/1.1 204 No\r\n\r\n", false, false, "", true, 0 },
    { "chunks and trailers", OK_ "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: 1\r\n\r\n", false,
      false, "abcde", true, 0 },
    { "interim first",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" OK_ "Content-Length: 2\r\n\r\nhi", false,
      false, "hi", true, 0 },
    { "asked to close", OK_ "Connection: close\r\nContent-Length: 2\r\n\r\nhi", false, false, "hi", false, 0 },
    { "until close", OK_ "\r\nall of it", false, true, "all of it", false, 0 },
    { "of HEAD", OK_ "Content-Length: 5\r\n\r\n", true, false, "", true, 0 },
    { "cut by length", OK_ "Content-Length: 6\r\n\r\nhello", false, true, NULL, false, REASON_PROVIDER_CUT },
    { "cut in chunks", OK_ "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false, true, NULL, false,
      REASON_PROVIDER_CUT },
    { "cut in the head", OK_ "Content-", false, true, NULL, false, REASON_PROVIDER_CUT },
    { "nothing", "", false, true, NULL, false, REASON_PROVIDER_UNREACHABLE },
    { "broken chunks", OK_ "Transfer-Encoding: chunked\r\n\r\nz\r\n", false, false, NULL, false,
      REASON_PROVIDER_MALFORMED },
    { "both framings", OK_ "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", false, false, NULL, false,
      REASON_PROVIDER_MALFORMED },
    { "switching", "HTTP/1.1 101 x\r\nUpgrade: y\r\n\r\n", false, false, NULL, false, REASON_PROVIDER_MALFORMED },
    { "no HTTP", "220 smtp\r\n\r\n", false, false, NULL, false, REASON_PROVIDER_MALFORMED },
};

static void check_row(size_t i, size_t split)
{
    size_t n = strlen(rows[i].text), first = split < n ? split : n;
    struct pair p;
    struct told *t = &p.told;

    pair_begin(&p, rows[i].head_method, 5000);
    if (first > 0)
        say(&p, rows[i].text, first);
    if (n > first && !t->failed)
        say(&p, rows[i].text + first, n - first);
    if (rows[i].close)
        hang_up(&p);
    if (rows[i].body
            ? !t->ended || t->failed || t->reusable != rows[i].reusable || !slice_is(buf_slice(&t->body), rows[i].body)
            : !t->failed || t->ended || t->why != rows[i].why || !t->sent)
        fail_msg("%s split at %zu: ended %d reusable %d failed %d (%s) body '%.*s'", rows[i].name, split, t->ended,
                 t->reusable, t->failed, reason_info(t->why)->code, (int)t->body.n, t->body.p ? t->body.p : "");
    pair_end(&p);
}

static void answers_by_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t split = 0; split <= strlen(rows[i].text); split++)
            check_row(i, split);
}

static void more_than_asked_is_not_reused(void **state)
{
    static const char text[] = OK_ "Content-Length: 2\r\n\r\nhi" OK_ "Content-Length: 4\r\n\r\nevil";
    struct pair p;

    (void)state;
    pair_begin(&p, false, 1000);
    say(&p, text, sizeof text - 1);
    assert_true(p.told.ended && !p.told.reusable);
    assert_true(slice_is(buf_slice(&p.told.body), "hi"));
    pair_end(&p);
    pair_begin(&p, false, 1000); /* and when they come later, the idle connection is closed */
    say(&p, text, 40);
    assert_true(p.told.ended && p.told.reusable);
    say(&p, text + 40, 10);
    assert_true(p.told.idle_closed);
    assert_int_equal(http_client_send(p.client, SLICE("x"), false, 1), ERR_BUSY);
    pair_end(&p);
}

/* The head's deadline does not move while pieces of the head arrive; the body's does. */
static void deadlines(void **state)
{
    struct pair p;

    (void)state;
    pair_begin(&p, false, 250);
    for (unsigned i = 0; i < 10 && !p.told.failed; i++) {
        say(&p, i ? "X" : "HTTP/1.1 200 OK\r\nX", i ? 1 : 18);
        run_for(p.told.loop, 64);
    }
    assert_true(p.told.failed && p.told.sent);
    assert_int_equal(p.told.why, REASON_PROVIDER_TIMEOUT);
    pair_end(&p);
    pair_begin(&p, false, 1500);
    say(&p, OK_ "Content-Length: 6\r\n\r\n", 38);
    for (unsigned i = 0; i < 6; i++) { /* in all longer than the deadline, each piece far within it */
        say(&p, "x", 1);
        run_for(p.told.loop, 300);
    }
    assert_true(p.told.ended);
    pair_end(&p);
}

/* Pieces of n bytes, each far within the deadline, until it has failed or all are said. */
static void trickle(struct pair *p, size_t n, unsigned times)
{
    static const char bytes[64] = "";

    pair_begin(p, false, 400);
    http_client_least(p->client, 100);
    say(p, OK_ "Content-Length: 960\r\n\r\n", 40);
    for (unsigned i = 0; i < times && !p->told.failed; i++) {
        run_for(p->told.loop, 100);
        say(p, bytes, n);
    }
}

/* Each piece moves the deadline, so an answer must keep a rate too, over that time and more; what we do not read for a
 * while is not late. */
static void answers_keep_a_rate(void **state)
{
    struct pair p;

    (void)state;
    trickle(&p, 1, 12);
    assert_true(p.told.failed && p.told.sent);
    assert_int_equal(p.told.why, REASON_PROVIDER_TIMEOUT);
    assert_true(p.told.body.n < 12);
    pair_end(&p);
    trickle(&p, 64, 15);
    assert_true(p.told.ended);
    pair_end(&p);
    trickle(&p, 1, 2);
    http_client_read(p.client, false);
    run_for(p.told.loop, 900);
    http_client_read(p.client, true);
    say(&p, "x", 1);
    assert_false(p.told.failed);
    pair_end(&p);
}

/* ---- bodies that stream ---- */
#define HEAD "POST / HTTP/1.1\r\nHost: h\r\n\r\n"

static void stream_begin(struct pair *p, uint64_t length, int64_t ms)
{
    pair_open(p);
    assert_int_equal(http_client_begin(p->client, SLICE(HEAD), length, ms), ERR_OK);
    assert_false(http_client_room(p->client)); /* not connected yet */
    pair_accept(p);
    assert_int_equal(p->told.rooms, 1);
    assert_true(http_client_room(p->client));
}

static void heard(struct pair *p, const char *want)
{
    char text[512];
    ssize_t n;

    turns(p->told.loop, 3);
    n = recv(p->fd, text, sizeof text, 0);
    if (n != (ssize_t)strlen(want) || memcmp(text, want, (size_t)n) != 0)
        fail_msg("'%.*s', want '%s'", (int)n, text, want);
}

static void bodies_stream(void **state)
{
    struct pair p;

    (void)state;
    stream_begin(&p, 0, 1000);
    heard(&p, HEAD);
    assert_int_equal(http_client_put(p.client, SLICE("hello")), ERR_OK);
    assert_int_equal(http_client_put(p.client, SLICE(" world")), ERR_OK);
    heard(&p, "00000b\r\nhello world\r\n"); /* small pieces go together */
    assert_false(http_client_sent(p.client));
    assert_int_equal(http_client_put(p.client, SLICE("x")), ERR_OK);
    assert_int_equal(http_client_put_end(p.client), ERR_OK);
    heard(&p, "000001\r\nx\r\n0\r\n\r\n");
    assert_true(http_client_sent(p.client));
    assert_int_equal(http_client_put(p.client, SLICE("y")), ERR_BUSY);
    say(&p, OK_ "Content-Length: 2\r\n\r\nhi", 40);
    assert_true(p.told.ended && p.told.reusable);
    /* and again on the same connection, by length */
    assert_int_equal(http_client_begin(p.client, SLICE(HEAD), 10, 1000), ERR_OK);
    heard(&p, HEAD);
    assert_int_equal(http_client_put(p.client, SLICE("12345")), ERR_OK);
    assert_int_equal(http_client_put(p.client, SLICE("123456")), ERR_BUSY); /* more than was told */
    assert_int_equal(http_client_put_end(p.client), ERR_BUSY);              /* and less */
    assert_int_equal(http_client_put(p.client, SLICE("67890")), ERR_OK);
    heard(&p, "1234567890");
    assert_true(http_client_sent(p.client)); /* its end goes without saying */
    assert_int_equal(http_client_put_end(p.client), ERR_OK);
    pair_end(&p);
}

/* The provider takes nothing: so much is held, and no more; then it does. */
static void a_full_socket_holds_the_owner_back(void **state)
{
    static char block[16384], sink[65536];
    size_t put = 0, got = 0;
    struct pair p;
    ssize_t n;

    (void)state;
    stream_begin(&p, 64 << 20, 5000);
    while (http_client_room(p.client) && put < 64 << 20) {
        enum err e = http_client_put(p.client, slice_make(block, sizeof block));
        assert_true(e == ERR_OK || e == ERR_AGAIN);
        put += sizeof block;
    }
    assert_true(put < 64 << 20);
    assert_int_equal(p.told.rooms, 1);
    for (unsigned i = 0; i < 3000 && got < put; i++) {
        turns(p.told.loop, 1);
        got += (n = recv(p.fd, sink, sizeof sink, 0)) > 0 ? (size_t)n : 0;
    }
    assert_int_equal(got, put + sizeof HEAD - 1);
    assert_int_equal(p.told.rooms, 2);
    pair_end(&p);
}

/* Who is waited for: the owner, for ever; a provider that takes nothing, or does not answer, so long. */
static void who_is_waited_for(void **state)
{
    static char block[16384];
    struct pair p;

    (void)state;
    stream_begin(&p, 64 << 20, 200);
    run_for(p.told.loop, 400);
    assert_false(p.told.failed);
    while (http_client_room(p.client) && http_client_put(p.client, slice_make(block, sizeof block)) == ERR_OK)
        continue;
    for (unsigned i = 0; i < 30 && !p.told.failed; i++)
        run_for(p.told.loop, 100); /* the kernels may still move something */
    assert_true(p.told.failed && p.told.sent);
    assert_int_equal(p.told.why, REASON_PROVIDER_TIMEOUT);
    pair_end(&p);
    stream_begin(&p, 1, 200);
    assert_int_equal(http_client_put(p.client, SLICE("x")), ERR_OK);
    assert_int_equal(http_client_put_end(p.client), ERR_OK);
    run_for(p.told.loop, 400);
    assert_true(p.told.failed);
    pair_end(&p);
}

/* A request in one piece, to a provider that reads it only when told to. */
static void slow_begin(struct pair *p, uint32_t rate, size_t n, int64_t patience)
{
    static const char block[16384];

    pair_open_with(p, 4096);
    http_client_least(p->client, rate);
    assert_int_equal(http_client_begin(p->client, SLICE(HEAD), n, patience), ERR_OK);
    pair_accept(p);
    for (; n > 0; n -= sizeof block)
        assert_int_not_equal(http_client_put(p->client, slice_make(block, sizeof block)), ERR_BUSY);
    assert_int_equal(http_client_put_end(p->client), ERR_OK);
}

/* It takes up to so much. */
static void take(struct pair *p, size_t most)
{
    static char sink[65536];

    (void)!recv(p->fd, sink, most < sizeof sink ? most : sizeof sink, 0);
}

/* Nor does a provider hold its place by taking a byte now and then: over each period it must keep a rate. */
static void requests_are_taken_at_a_rate(void **state)
{
    static const struct {
        uint32_t rate;
        bool fails;
    } cases[] = { { 1 << 20, true }, { 1024, false } };
    struct pair p;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t until = clock_mono_ms() + 3500;
        slow_begin(&p, cases[i].rate, 1 << 20, 1000);
        while (!p.told.failed && clock_mono_ms() < until) {
            run_for(p.told.loop, 20);
            take(&p, 4096);
        }
        assert_int_equal(p.told.failed, cases[i].fails);
        if (p.told.failed)
            assert_int_equal(p.told.why, REASON_PROVIDER_TIMEOUT);
        pair_end(&p);
    }
}

/* Who took the last of it, however little that was, has a whole period to answer. */
static void the_last_piece_has_no_rate(void **state)
{
    struct pair p;

    (void)state;
    slow_begin(&p, 1 << 20, 256 << 10, 2000);
    run_for(p.told.loop, 100);
    assert_false(http_client_sent(p.client));
    UNTIL((take(&p, SIZE_MAX), turns(p.told.loop, 1), http_client_sent(p.client)));
    run_for(p.told.loop, 2500); /* the first period is over */
    assert_false(p.told.failed);
    take(&p, SIZE_MAX);
    say(&p, OK_ "Content-Length: 2\r\n\r\nhi", 40);
    assert_true(p.told.ended);
    pair_end(&p);
}

static void answers_that_come_too_soon(void **state)
{
    struct pair p;

    (void)state;
    stream_begin(&p, 0, 1000);
    heard(&p, HEAD);
    assert_int_equal(http_client_put(p.client, SLICE("half")), ERR_OK);
    say(&p, OK_ "Content-Length: 2\r\n\r\nh", 39);
    assert_true(slice_is(buf_slice(&p.told.log), "200 "));
    assert_false(http_client_sent(p.client) || http_client_room(p.client));
    assert_int_equal(http_client_put(p.client, SLICE("x")), ERR_AGAIN); /* nobody listens */
    say(&p, "i", 1);
    assert_true(p.told.ended && !p.told.reusable);
    pair_end(&p);
    stream_begin(&p, 0, 1000);
    heard(&p, HEAD);
    hang_up(&p);
    assert_true(p.told.failed && p.told.sent);
    assert_int_equal(http_client_put(p.client, SLICE("x")), ERR_BUSY);
    pair_end(&p);
}

/* What a connection that is kept holds of its last request is little. */
static void long_requests_are_not_kept(void **state)
{
    static char text[1 << 20];
    char sink[4096];
    struct pair p;

    (void)state;
    memset(text, 'a', sizeof text);
    pair_begin(&p, false, 5000);
    say(&p, OK_ "Content-Length: 2\r\n\r\nhi", 40);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(p.told.ended && p.told.reusable);
        p.told.ended = false;
        (void)mem_fail_nth(0);
        assert_int_equal(http_client_send(p.client, slice_make(text, sizeof text), false, 5000), ERR_OK);
        assert_true(mem_fail_nth(0) > 0); /* for memory that it had no more */
        UNTIL((turns(p.told.loop, 1), (void)!recv(p.fd, sink, sizeof sink, 0), http_client_sent(p.client)));
        say(&p, OK_ "Content-Length: 2\r\n\r\nhi", 40);
    }
    pair_end(&p);
}

static int64_t cpu_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Some more of a head, byte by byte, in short lines. */
static int64_t dribble(struct pair *p)
{
    int64_t before = cpu_ms();

    for (size_t i = 0; i < 1500; i++) {
        assert_int_equal(send(p->fd, i % 2 ? "\n" : "a", 1, MSG_NOSIGNAL), 1);
        turns(p->told.loop, 1);
    }
    return cpu_ms() - before;
}

/* A byte more of a head costs the same, however long it is already. */
static void heads_in_pieces_are_cheap(void **state)
{
    struct pair p;
    int64_t first, last = 0;

    (void)state;
    pair_begin(&p, false, 60000);
    say(&p, "HTTP/1.1 200 OK\r\n", 17);
    first = dribble(&p);
    for (int i = 0; i < 9; i++)
        last = dribble(&p);
    assert_false(p.told.failed || p.told.ended);
    if (last > 3 * first + 20)
        fail_msg("%d ms at first, %d ms at last", (int)first, (int)last);
    pair_end(&p);
}

/* Half a head that cannot be kept for want of memory is no fault of the provider's. */
static void half_a_head_without_memory(void **state)
{
    struct pair p;

    (void)state;
    pair_begin(&p, false, 1000);
    mem_fail_nth(1);
    say(&p, OK_, sizeof OK_ - 1);
    assert_true(mem_fail_nth(0) > 0);
    assert_true(p.told.failed && p.told.sent);
    assert_int_equal(p.told.why, REASON_OVERLOADED);
    pair_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(answers_by_table),
                                        cmocka_unit_test(more_than_asked_is_not_reused),
                                        cmocka_unit_test(deadlines),
                                        cmocka_unit_test(answers_keep_a_rate),
                                        cmocka_unit_test(bodies_stream),
                                        cmocka_unit_test(a_full_socket_holds_the_owner_back),
                                        cmocka_unit_test(who_is_waited_for),
                                        cmocka_unit_test(requests_are_taken_at_a_rate),
                                        cmocka_unit_test(the_last_piece_has_no_rate),
                                        cmocka_unit_test(answers_that_come_too_soon),
                                        cmocka_unit_test(heads_in_pieces_are_cheap),
                                        cmocka_unit_test(half_a_head_without_memory),
                                        cmocka_unit_test(long_requests_are_not_kept) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
