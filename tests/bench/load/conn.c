/* The states of a connection, one function each, and the only code that touches a socket. */
#include "conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SLOW_RECEIVE_BUFFER = 16 * 1024 };

enum io { IO_MOVED, IO_AGAIN, IO_END, IO_FAIL };

void conn_init(struct conn *c, struct conn_common *common)
{
    c->common = common;
    c->fd = -1;
}

static void conn_arm(struct conn *c, uint32_t events)
{
    if (c->armed == events)
        return;
    struct epoll_event e = { .events = events, .data.ptr = c };
    epoll_ctl(c->common->epoll_fd, c->armed == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->fd, &e);
    c->armed = events;
}

static void forget_socket(struct conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->armed = 0;
    c->state = CONN_CLOSED;
}

void conn_close(struct conn *c)
{
    if (c->ssl != NULL) {
        if (c->state >= CONN_IDLE)
            SSL_shutdown(c->ssl);
        SSL_free(c->ssl);
        ERR_clear_error();
        c->ssl = NULL;
    }
    forget_socket(c);
}

void conn_fail(struct conn *c, enum fail why)
{
    SSL_free(c->ssl);
    c->ssl = NULL;
    ERR_clear_error();
    SSL_SESSION_free(c->session);
    c->session = NULL;
    forget_socket(c);
    c->common->owner->failed(c, why);
}

void conn_done(struct conn *c)
{
    conn_close(c);
    SSL_SESSION_free(c->session);
    c->session = NULL;
}

int conn_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct conn *c = SSL_get_app_data(ssl);

    SSL_SESSION_free(c->session);
    c->session = session;
    return 1;
}

/* What an SSL call that did not succeed means; arms for writing when that is what it waits for. */
static enum io tls_outcome(struct conn *c, int rc)
{
    int e = SSL_get_error(c->ssl, rc);

    if (e == SSL_ERROR_WANT_READ)
        return IO_AGAIN;
    if (e == SSL_ERROR_WANT_WRITE) {
        conn_arm(c, EPOLLOUT);
        return IO_AGAIN;
    }
    ERR_clear_error();
    return e == SSL_ERROR_ZERO_RETURN ? IO_END : IO_FAIL;
}

static enum io conn_read(struct conn *c, char *to, size_t room, size_t *ret)
{
    if (c->ssl != NULL) {
        int rc = SSL_read_ex(c->ssl, to, room, ret);
        return rc == 1 ? IO_MOVED : tls_outcome(c, rc);
    }
    ssize_t n = recv(c->fd, to, room, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? IO_AGAIN : IO_FAIL;
    *ret = (size_t)n;
    return n == 0 ? IO_END : IO_MOVED;
}

static enum io conn_write(struct conn *c, const char *from, size_t len, size_t *ret)
{
    if (c->ssl != NULL) {
        int rc = SSL_write_ex(c->ssl, from, len, ret);
        return rc == 1 ? IO_MOVED : tls_outcome(c, rc);
    }
    ssize_t n = send(c->fd, from, len, MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? IO_AGAIN : IO_FAIL;
    *ret = (size_t)n;
    return IO_MOVED;
}

void conn_open(struct conn *c, int64_t now)
{
    const struct options *o = c->common->opt;
    int one = 1;
    int slow = SLOW_RECEIVE_BUFFER;

    c->began_ns = now;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        conn_fail(c, FAIL_CONNECT);
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (o->read_rate != 0)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &slow, sizeof slow);
    c->state = CONN_CONNECTING;
    if (connect(c->fd, (const struct sockaddr *)&o->address, sizeof o->address) != 0 && errno != EINPROGRESS) {
        conn_fail(c, FAIL_CONNECT);
        return;
    }
    conn_arm(c, EPOLLOUT);
}

static void opened(struct conn *c)
{
    c->state = CONN_IDLE;
    conn_arm(c, EPOLLIN);
    c->common->owner->ready(c);
}

static void step_handshake(struct conn *c)
{
    int rc = SSL_connect(c->ssl);

    if (rc != 1) {
        conn_arm(c, EPOLLIN);
        if (tls_outcome(c, rc) != IO_AGAIN)
            conn_fail(c, FAIL_TLS);
        return;
    }
    if (SSL_session_reused(c->ssl))
        c->common->handshakes_resumed++;
    else
        c->common->handshakes_full++;
    opened(c);
}

static bool tls_begin(struct conn *c)
{
    const char *name = c->common->opt->server_name;

    c->ssl = SSL_new(c->common->ctx);
    if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1)
        return false;
    SSL_set_app_data(c->ssl, c);
    if (name != NULL && (SSL_set_tlsext_host_name(c->ssl, name) != 1 || SSL_set1_host(c->ssl, name) != 1))
        return false;
    return c->session == NULL || SSL_set_session(c->ssl, c->session) == 1;
}

static void step_connecting(struct conn *c)
{
    int failed = 0;
    socklen_t len = sizeof failed;

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &failed, &len) != 0 || failed != 0) {
        conn_fail(c, FAIL_CONNECT);
    } else if (c->common->ctx == NULL) {
        opened(c);
    } else if (!tls_begin(c)) {
        conn_fail(c, FAIL_TLS);
    } else {
        c->state = CONN_HANDSHAKE;
        step_handshake(c);
    }
}

/* Nothing is expected: only tickets, alerts and the end come here. */
static void step_idle(struct conn *c)
{
    size_t n = 0;

    switch (conn_read(c, c->common->scratch, sizeof c->common->scratch, &n)) {
    case IO_AGAIN:
        return;
    case IO_MOVED:
        conn_fail(c, FAIL_MALFORMED);
        return;
    case IO_FAIL:
        conn_fail(c, c->ssl != NULL ? FAIL_TLS : FAIL_CLOSED);
        return;
    case IO_END:
        conn_close(c);
        c->common->owner->lost(c);
        return;
    }
}

static void answer_check(struct conn *c)
{
    const struct options *o = c->common->opt;

    c->state = CONN_IDLE;
    if (c->answer.status != o->expect_status)
        conn_fail(c, FAIL_STATUS);
    else if (o->has_expect_length && c->answer.body != o->expect_length)
        conn_fail(c, FAIL_LENGTH);
    else
        c->common->owner->answered(c);
}

/* True when this read ends the step. */
static bool received(struct conn *c, enum io io, size_t n)
{
    enum answer_state a = ANSWER_BAD;

    if (io == IO_AGAIN)
        return true;
    if (io == IO_MOVED)
        a = answer_feed(&c->answer, c->common->scratch, n);
    else if (io == IO_END)
        a = answer_end(&c->answer);
    if (a == ANSWER_MORE)
        return false;
    if (a == ANSWER_DONE)
        answer_check(c);
    else
        conn_fail(c, io == IO_MOVED ? FAIL_MALFORMED : FAIL_CLOSED);
    return true;
}

static void step_receiving(struct conn *c)
{
    struct conn_common *k = c->common;
    bool slow = k->opt->read_rate != 0;

    for (;;) {
        size_t room = sizeof k->scratch;
        size_t n = 0;
        if (slow && c->may_read < room)
            room = (size_t)c->may_read;
        if (room == 0) {
            conn_arm(c, EPOLLET); /* no interest until the next tick; a hang-up wakes it once, not again and again */
            return;
        }
        enum io io = conn_read(c, k->scratch, room, &n);
        c->may_read -= slow ? n : 0;
        c->taken += n;
        if (received(c, io, n))
            break;
    }
    if (slow && c->state == CONN_RECEIVING)
        conn_arm(c, EPOLLIN);
}

static void step_sending(struct conn *c)
{
    struct conn_common *k = c->common;

    while (c->sent < k->request_len) {
        size_t n = 0;
        switch (conn_write(c, k->request + c->sent, k->request_len - c->sent, &n)) {
        case IO_MOVED:
            c->sent += n;
            break;
        case IO_AGAIN:
            conn_arm(c, EPOLLOUT);
            return;
        default:
            conn_fail(c, FAIL_CLOSED);
            return;
        }
    }
    c->state = CONN_RECEIVING;
    conn_arm(c, EPOLLIN);
}

static void step_closed(struct conn *c)
{
    (void)c;
}

static void (*const steps[CONN_STATE_COUNT_])(struct conn *c) = {
    [CONN_CLOSED] = step_closed, [CONN_CONNECTING] = step_connecting, [CONN_HANDSHAKE] = step_handshake,
    [CONN_IDLE] = step_idle,     [CONN_SENDING] = step_sending,       [CONN_RECEIVING] = step_receiving,
};

void conn_run(struct conn *c)
{
    steps[c->state](c);
}

void conn_send(struct conn *c, int64_t now)
{
    c->began_ns = now;
    c->sent = 0;
    c->taken = 0;
    c->may_read = 0;
    answer_begin(&c->answer, strcmp(c->common->opt->method, "HEAD") == 0);
    c->state = CONN_SENDING;
    step_sending(c);
}
