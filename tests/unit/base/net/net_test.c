#include "net_test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static void stop(void *arg)
{
    loop_stop(arg);
}

void turns(struct loop *l, unsigned n)
{
    while (n-- > 0) {
        struct loop_msg m = { .fn = stop, .arg = l };
        loop_post(l, &m);
        loop_run(l);
    }
}

struct pause {
    struct alarm alarm;
    struct loop *loop;
};

static void pause_over(struct alarm *a)
{
    loop_stop(((struct pause *)a)->loop);
}

void run_for(struct loop *l, int64_t ms)
{
    struct pause p = { .loop = l };

    alarm_init(&p.alarm, pause_over);
    alarm_set(l, &p.alarm, ms);
    loop_run(l);
    alarm_clear(&p.alarm);
}

void address_of(int listener, struct sockaddr_storage *ret)
{
    socklen_t n = sizeof *ret;

    memset(ret, 0, sizeof *ret);
    assert_int_equal(getsockname(listener, (struct sockaddr *)ret, &n), 0);
}

/* ---- the service ---- */
static void note(struct bench *b, const char *word)
{
    if (b->log.n)
        buf_putc(&b->log, ' ');
    buf_puts(&b->log, word);
}

static void answer(struct bench *b, struct slice body)
{
    struct http_reply r = { .status = 200, .length = (int64_t)body.n };

    http_reply_head(b->call, &r);
    http_reply_body(b->call, body);
    http_reply_end(b->call, NULL, 0);
}

static void stream_big(struct bench *b)
{
    static const char block[4096];

    while (b->given < b->big) {
        size_t room = http_reply_room(b->call), n = b->big - b->given;
        if (room == 0)
            return;
        n = n > sizeof block ? sizeof block : n;
        n = n > room ? room : n;
        b->given += n;
        if (b->limits.window - http_reply_room(b->call) > b->most_held)
            b->most_held = b->limits.window - http_reply_room(b->call);
        http_reply_body(b->call, (struct slice){ block, n });
    }
    http_reply_end(b->call, NULL, 0);
}

static void *on_open(void *arg, struct http_conn *c)
{
    struct bench *b = arg;

    b->conn = c;
    note(b, "open");
    return b;
}

static void on_close(void *state)
{
    struct bench *b = state;

    b->conn = NULL;
    b->call = NULL;
    note(b, "close");
}

static void on_head(void *state, struct http_call *call, const struct http_head *h)
{
    static const struct http_reply whole = { .status = 200, .length = -1 }, promise = { .status = 200, .length = 10 };
    struct bench *b = state;

    http_call_set(call, b);
    b->call = call;
    buf_clear(&b->body);
    snprintf(b->path, sizeof b->path, "%.*s", SLICE_ARG(h->path));
    note(b, b->path);
    if (strcmp(b->path, "/early") == 0)
        answer(b, SLICE("early"));
    if (strcmp(b->path, "/pause") == 0)
        http_call_read(call, false);
    if (strcmp(b->path, "/abort") == 0) {
        http_reply_head(call, &whole);
        http_reply_body(call, SLICE("half"));
    }
    if (strcmp(b->path, "/short") == 0) {
        http_reply_head(call, &promise);
        http_reply_body(call, SLICE("half"));
        http_reply_end(call, NULL, 0);
    }
}

static void on_body(void *state, struct slice bytes)
{
    buf_put(&((struct bench *)state)->body, bytes);
}

static void on_end(void *state)
{
    static const struct http_header trailer = { { "Sluice-Receipt", 14 }, { "r1", 2 } };
    struct bench *b = state;
    struct http_reply r = { .status = 200, .length = -1 };

    note(b, "end");
    if (strcmp(b->path, "/echo") == 0 || strcmp(b->path, "/pause") == 0)
        answer(b, buf_slice(&b->body));
    if (strcmp(b->path, "/chunks") == 0) {
        http_reply_head(b->call, &r);
        for (size_t i = 0; i < b->body.n; i += 3)
            http_reply_body(b->call, slice_sub(buf_slice(&b->body), i, 3));
        http_reply_end(b->call, &trailer, 1);
    }
    if (strcmp(b->path, "/big") == 0) {
        http_reply_head(b->call, &r);
        stream_big(b);
    }
}

static void on_room(void *state)
{
    struct bench *b = state;

    if (strcmp(b->path, "/big") == 0)
        stream_big(b);
}

static void on_gone(void *state, enum reason why)
{
    struct bench *b = state;

    b->call = NULL;
    note(b, "gone:");
    buf_puts(&b->log, reason_info(why)->code);
}

static void on_sent(void *state)
{
    struct bench *b = state;

    b->call = NULL;
    note(b, "sent");
}

static void on_malformed(void *state, struct http_call *call, enum reason why, const char *what, struct slice raw)
{
    struct bench *b = state;
    struct http_reply r = { .status = reason_info(why)->status, .length = 0 };

    (void)what;
    (void)raw;
    http_call_set(call, b);
    b->call = call;
    note(b, "malformed");
    http_reply_head(call, &r);
    http_reply_end(call, NULL, 0);
}

bool bench_hold(void *arg, size_t n, bool comes)
{
    struct bench *b = arg;

    (void)comes;
    if (b->no_room)
        return false;
    b->took += n;
    return true;
}

static const struct http_service service = { on_open, on_close, on_head, on_body,      on_end,
                                             on_room, on_gone,  on_sent, on_malformed, bench_hold };

/* ---- the peer ---- */

/* Two ends of a TCP connection: resets are to be seen, which a socket pair has not. */
static void tcp_pair(int fd[2])
{
    struct sockaddr_in a = { .sin_family = AF_INET };
    socklen_t n = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(listener >= 0 && bind(listener, (struct sockaddr *)&a, n) == 0 && listen(listener, 1) == 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &n), 0);
    fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd[0], (struct sockaddr *)&a, n), 0);
    fd[1] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd[1] >= 0);
    close(listener);
}

void bench_serve(struct bench *b, int fd, enum err want)
{
    assert_int_equal(
        http_serve(b->loop, fd, NULL, &b->limits, b->service ? b->service : &service, b->service ? b->arg : b), want);
}

void bench_begin(struct bench *b)
{
    int fd[2], small = 128 * 1024, one = 1;

    tcp_pair(fd);
    setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    setsockopt(fd[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(fd[0], F_SETFL, O_NONBLOCK);
    b->fd = fd[0];
    buf_init(&b->log, 1 << 20);
    buf_init(&b->body, 64 << 20);
    b->limits.window = b->limits.window ? b->limits.window : 64 * 1024;
    b->loop = loop_new();
    assert_non_null(b->loop);
    bench_serve(b, fd[1], ERR_OK);
    turns(b->loop, 2);
}

void bench_end(struct bench *b)
{
    if (b->conn)
        http_conn_abort(b->conn, REASON_CERTIFICATE_REVOKED);
    turns(b->loop, 1);
    close(b->fd);
    loop_free(b->loop);
    buf_done(&b->log);
    buf_done(&b->body);
    *b = (struct bench){ 0 };
}

void bench_say(struct bench *b, struct slice bytes)
{
    while (bytes.n > 0) {
        ssize_t n = send(b->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return;
        bytes = slice_sub(bytes, n > 0 ? (size_t)n : 0, bytes.n);
        turns(b->loop, 1);
    }
    turns(b->loop, 2);
}

void bench_hear(struct bench *b, struct buf *to)
{
    char block[16384];
    ssize_t n;

    turns(b->loop, 2);
    while ((n = recv(b->fd, block, sizeof block, 0)) > 0) {
        buf_put(to, (struct slice){ block, (size_t)n });
        turns(b->loop, 2);
    }
    b->reset = b->reset || (n < 0 && errno == ECONNRESET);
}

bool bench_closed(struct bench *b, bool *reset)
{
    char block[16384];
    ssize_t n;

    while ((n = recv(b->fd, block, sizeof block, 0)) > 0)
        turns(b->loop, 1);
    b->reset = b->reset || (n < 0 && errno == ECONNRESET);
    *reset = b->reset;
    return n == 0 || b->reset;
}

void bench_answer(struct bench *b, const char *text)
{
    assert_non_null(b->call);
    answer(b, slice_of(text));
    turns(b->loop, 2);
}
