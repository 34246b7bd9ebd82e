/* Streams: a socket, maybe TLS over it. Two constant tables of functions; everything else is common.
 *
 * States: CONNECTING (socket not yet connected) -> SHAKING (TLS only) -> OPEN -> CLOSED. Invariants:
 *   - events are assigned once and afterwards only added and deleted;
 *   - the read event is persistent and stays added while reading is wanted; the write event is one-shot, added when a
 * write blocked;
 *   - after stream_close nothing calls back, and the memory lives until the end of the turn;
 *   - while reading is wanted, either the socket is watched and the TLS layer is empty, or `again` is set. */
#include "base/net/internal.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <linux/sockios.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum state { CONNECTING, SHAKING, OPEN, CLOSED };
enum { FLIGHT_LEAST = 512 /* bytes of a server's flight that a signature is in; a retry request is smaller */ };

struct stream_ops {
    enum io (*read)(struct stream *s, void *to, size_t n, size_t *got);
    enum io (*write)(struct stream *s, const void *from, size_t n, size_t *put);
};

struct stream {
    const struct stream_ops *ops;
    const struct stream_events *events; /* bor: constant table */
    void *user;
    struct loop *loop;       /* bor */
    struct tls_context *tls; /* ref */
    SSL *ssl;                /* own */
    struct tls_peer *peer;   /* ref */
    struct tls_shake shake;
    struct door_pass pass; /* of a server: while it shakes hands, or until the peer is known (door.h) */
    struct event on_read, on_write;
    struct grave grave;
    struct soon again; /* the next turn's: bytes inside the TLS layer are to be read, or a wait did not begin */
    int fd;
    uint8_t state, fault;
    bool want_read, reading;      /* wanted by the user; added to the loop */
    bool lacks_read, lacks_write; /* not added, for want of memory: tried again in the next turn */
    bool read_needs_write;        /* TLS: a read waits for the socket to take bytes */
    bool write_needs_read;        /* TLS: a write waits for bytes */
    bool write_blocked;           /* the user waits for writable */
    bool held;                    /* TCP_CORK */
    bool full;                    /* something may be inside the TLS layer: it was called and not looked into since */
};

static void come_back(struct soon *node);

/* To wait for a socket takes memory of libevent's. True: there was none, and the next turn will try. */
static bool lacks(struct stream *s, struct event *wait)
{
    if (event_add(wait, NULL) == 0)
        return false;
    loop_soon(s->loop, &s->again, come_back);
    return true;
}

static void set_reading(struct stream *s, bool on)
{
    if (on == s->reading)
        return;
    s->reading = on;
    s->lacks_read = on && lacks(s, &s->on_read);
    if (!on)
        event_del(&s->on_read);
}

static void want_write(struct stream *s)
{
    s->lacks_write = lacks(s, &s->on_write);
}

/* ---- plain ---- */
static enum io socket_error(struct stream *s)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return IO_AGAIN;
    s->fault = STREAM_RESET;
    return IO_FAIL;
}

static enum io plain_read(struct stream *s, void *to, size_t n, size_t *got)
{
    ssize_t r = socket_take(s->fd, to, n);

    if (r > 0) {
        *got = (size_t)r;
        return IO_DONE;
    }
    return r == 0 ? IO_EOF : socket_error(s);
}

static enum io plain_write(struct stream *s, const void *from, size_t n, size_t *put)
{
    ssize_t r = socket_give(s->fd, from, n);

    if (r >= 0) {
        *put = (size_t)r;
        return IO_DONE;
    }
    return socket_error(s);
}

static const struct stream_ops plain_ops = { plain_read, plain_write };

/* ---- TLS ---- */

/* SSL_get_error looks at the thread's whole queue: what others left there would look like a failure of this stream. */
static void forget_errors(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
}

static enum stream_fault tls_fault(const struct stream *s)
{
    if (SSL_get_verify_mode(s->ssl) != SSL_VERIFY_NONE && SSL_get_verify_result(s->ssl) != X509_V_OK)
        return STREAM_UNTRUSTED;
    return !tls_is_server(s->tls) && tls_rejected() ? STREAM_REJECTED : STREAM_TLS;
}

static enum io tls_error(struct stream *s, int r, bool *needs_read, bool *needs_write)
{
    switch (SSL_get_error(s->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        *needs_read = true;
        return IO_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        *needs_write = true;
        return IO_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return IO_EOF;
    case SSL_ERROR_SYSCALL:
        s->fault = STREAM_RESET;
        break;
    default:
        /* Many peers just end their connection: that says nothing about its keys. */
        if (tls_is_server(s->tls) && ERR_GET_REASON(ERR_peek_error()) != SSL_R_UNEXPECTED_EOF_WHILE_READING)
            tls_failed(s->ssl);
        s->fault = tls_fault(s);
    }
    ERR_clear_error();
    return IO_FAIL;
}

static enum io tls_read(struct stream *s, void *to, size_t n, size_t *got)
{
    bool needs_read = false;
    int r;

    forget_errors();
    s->full = true;
    r = SSL_read_ex(s->ssl, to, n, got);
    s->read_needs_write = false;
    if (tls_noisy(&s->shake, loop_now(s->loop))) {
        s->fault = STREAM_TLS;
        return IO_FAIL;
    }
    if (r > 0)
        return IO_DONE;
    return tls_error(s, r, &needs_read, &s->read_needs_write);
}

/* Whether a write waits only is asked before SSL_get_error is, which would believe what others left in the queue of
 * errors; so that need not be looked at before each write. What else went wrong is a failure, whatever it is called. */
static enum io tls_write(struct stream *s, const void *from, size_t n, size_t *put)
{
    bool needs_write = false;
    int r = SSL_write_ex(s->ssl, from, n, put);

    s->write_needs_read = false;
    if (r > 0)
        return IO_DONE;
    s->full = true;
    if (SSL_want_write(s->ssl) && BIO_should_write(SSL_get_wbio(s->ssl)))
        return IO_AGAIN;
    return tls_error(s, r, &s->write_needs_read, &needs_write);
}

static const struct stream_ops tls_ops = { tls_read, tls_write };

/* ---- opening ---- */
static void broke(struct stream *s)
{
    set_reading(s, false);
    s->events->broken(s->user, s->fault);
}

void stream_hurry(struct door_pass *p)
{
    struct stream *s = (struct stream *)((char *)p - offsetof(struct stream, pass));

    door_leave(p);
    s->fault = STREAM_TLS;
    broke(s);
}

static void come_back(struct soon *node)
{
    struct stream *s = (struct stream *)((char *)node - offsetof(struct stream, again));

    if (s->lacks_write)
        want_write(s);
    if (s->lacks_read)
        s->lacks_read = lacks(s, &s->on_read);
    if (s->state == OPEN && s->want_read)
        s->events->readable(s->user);
}

/* The peer's first bytes often come with the end of its handshake: then they are inside the TLS layer already, and no
 * readiness will announce them. */
static void opened(struct stream *s)
{
    s->pass.stage = DOOR_OPEN;
    if (s->pass.door && !s->pass.door->yields)
        door_leave(&s->pass);
    if (s->ssl && tls_is_server(s->tls) && !tls_settle(s->ssl, &s->peer)) {
        s->fault = STREAM_TLS;
        broke(s);
        return;
    }
    s->state = OPEN;
    set_reading(s, s->want_read);
    if (s->want_read && stream_pending(s))
        loop_soon(s->loop, &s->again, come_back);
    s->events->open(s->user);
}

static void shake(struct stream *s)
{
    bool needs_read = false, needs_write = false;
    int r;

    forget_errors();
    s->full = true;
    r = SSL_do_handshake(s->ssl);
    if (r == 1) {
        opened(s);
        return;
    }
    if (tls_error(s, r, &needs_read, &needs_write) != IO_AGAIN) {
        if (s->fault == STREAM_OK)
            s->fault = STREAM_TLS;
        broke(s);
        return;
    }
    if (s->pass.door && BIO_number_written(SSL_get_wbio(s->ssl)) >= FLIGHT_LEAST)
        s->pass.stage = DOOR_SHAKES;
    set_reading(s, needs_read);
    if (needs_write)
        want_write(s);
}

static void connected(struct stream *s)
{
    int error = 0;
    socklen_t n = sizeof error;

    if (s->fault != STREAM_OK || getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 || error != 0) {
        s->fault = STREAM_REFUSED;
        broke(s);
    } else if (s->ssl) {
        s->state = SHAKING;
        shake(s);
    } else {
        opened(s);
    }
}

/* ---- readiness ---- */
static void read_ready(evutil_socket_t fd, short what, void *arg)
{
    struct stream *s = arg;

    (void)fd;
    (void)what;
    if (s->state == SHAKING) {
        shake(s);
        return;
    }
    if (s->write_needs_read && s->write_blocked) {
        s->write_blocked = false;
        s->events->writable(s->user);
        if (s->state == CLOSED)
            return;
    }
    if (s->want_read)
        s->events->readable(s->user);
    else
        set_reading(s, s->write_needs_read && s->write_blocked);
}

static void write_ready(evutil_socket_t fd, short what, void *arg)
{
    struct stream *s = arg;

    (void)fd;
    (void)what;
    if (s->state == CONNECTING) {
        connected(s);
    } else if (s->state == SHAKING) {
        shake(s);
    } else {
        if (s->write_blocked) {
            s->write_blocked = false;
            s->events->writable(s->user);
        }
        if (s->state != CLOSED && s->read_needs_write && s->want_read)
            s->events->readable(s->user);
    }
}

/* ---- life ---- */
static struct stream *stream_make(struct loop *l, int fd, struct tls_context *tls, const struct stream_events *e,
                                  void *user)
{
    struct stream *s = mem_zalloc(sizeof *s);
    int one = 1;

    if (s == NULL) {
        close(fd);
        return NULL;
    }
    s->fd = fd;
    s->loop = l;
    s->events = e;
    s->user = user;
    s->want_read = true;
    s->ops = tls ? &tls_ops : &plain_ops;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    event_assign(&s->on_read, loop_base(l), fd, EV_READ | EV_PERSIST, read_ready, s);
    event_assign(&s->on_write, loop_base(l), fd, EV_WRITE, write_ready, s);
    if (tls) {
        s->tls = tls_ref(tls);
        s->ssl = SSL_new(tls_ssl_ctx(tls));
        /* Without memory for it the pointer is not kept, and what watches the handshake needs it. */
        if (s->ssl == NULL || SSL_set_app_data(s->ssl, &s->shake) != 1 || !tls_socket(s->ssl, &s->shake, fd))
            return stream_close(s);
    }
    return s;
}

void stream_admit(struct stream *s)
{
    door_leave(&s->pass);
}

struct stream *stream_accept(struct loop *l, int fd, struct tls_context *tls, const struct stream_events *e, void *user)
{
    struct stream *s = stream_make(l, fd, tls, e, user);

    if (s == NULL)
        return NULL;
    s->state = SHAKING;
    if (s->ssl) {
        SSL_set_accept_state(s->ssl);
        set_reading(s, true);
        if (tls_door(tls) && tls_door(tls)->yields) {
            door_enter(tls_door(tls), &s->pass, door_source(s->fd));
            event_active(&s->on_read, EV_READ, 1); /* what it has sent is heard in this very turn */
        } else if (tls_door(tls)) {
            door_enter(tls_door(tls), &s->pass, 0);
        }
    } else {
        event_active(&s->on_write, EV_WRITE, 1);
        s->state = CONNECTING; /* opens in the next turn, like the others: never from inside this call */
    }
    return s;
}

static bool aim_tls(struct stream *s, struct slice name)
{
    char host[256];
    struct sockaddr_storage ip;
    X509_VERIFY_PARAM *param = SSL_get0_param(s->ssl);

    SSL_set_connect_state(s->ssl);
    if (name.n == 0 || name.n >= sizeof host)
        return name.n == 0;
    memcpy(host, name.p, name.n);
    host[name.n] = '\0';
    if (address_read(host, 0, &ip))
        return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
    return SSL_set_tlsext_host_name(s->ssl, host) == 1 && X509_VERIFY_PARAM_set1_host(param, host, 0) == 1;
}

struct stream *stream_connect(struct loop *l, const struct sockaddr_storage *to, struct tls_context *tls,
                              struct slice name, const struct stream_events *e, void *user)
{
    int fd = spare_take(socket(to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), SPARE_HALF);
    socklen_t n = to->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    struct stream *s;

    if (fd < 0)
        return NULL;
    s = stream_make(l, fd, tls, e, user);
    if (s == NULL)
        return NULL;
    if (s->ssl && !aim_tls(s, name))
        return stream_close(s);
    socket_bound(fd);
    s->state = CONNECTING;
    if (connect(fd, (const struct sockaddr *)to, n) != 0 && errno != EINPROGRESS)
        s->fault = STREAM_REFUSED; /* told by the write event, like a later one: SO_ERROR has forgotten it by then */
    if (s->fault != STREAM_OK)
        event_active(&s->on_write, EV_WRITE, 1);
    else
        want_write(s);
    return s;
}

static void stream_bury(struct grave *g)
{
    struct stream *s = (struct stream *)((char *)g - offsetof(struct stream, grave));

    tls_peer_unref(s->peer);
    mem_free(s);
}

static void release(struct stream *s)
{
    s->state = CLOSED;
    door_leave(&s->pass);
    loop_not_soon(&s->again);
    event_del(&s->on_read);
    event_del(&s->on_write);
    if (s->ssl) {
        tls_shake_drop(&s->shake);
        SSL_free(s->ssl);
        s->ssl = NULL;
    }
    tls_unref(s->tls);
    s->tls = NULL;
    close(s->fd);
    s->fd = -1;
    loop_bury(s->loop, &s->grave, stream_bury);
}

struct stream *stream_close(struct stream *s)
{
    if (s == NULL || s->state == CLOSED)
        return NULL;
    if (s->ssl && s->state == OPEN && s->fault == STREAM_OK) {
        SSL_shutdown(s->ssl);
        ERR_clear_error();
    }
    release(s);
    return NULL;
}

void stream_finish(struct stream *s)
{
    if (s->ssl) {
        SSL_shutdown(s->ssl);
        ERR_clear_error();
    }
    shutdown(s->fd, SHUT_WR);
}

struct stream *stream_abort(struct stream *s)
{
    static const struct linger now = { 1, 0 };

    if (s == NULL || s->state == CLOSED)
        return NULL;
    setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    if (s->ssl)
        SSL_set_quiet_shutdown(s->ssl, 1);
    release(s);
    return NULL;
}

/* ---- use ---- */
enum io stream_read(struct stream *s, void *to, size_t n, size_t *got)
{
    enum io io;

    *got = 0;
    io = s->ops->read(s, to, n, got);
    if (io == IO_AGAIN && s->read_needs_write)
        want_write(s);
    return io;
}

enum io stream_write(struct stream *s, const void *from, size_t n, size_t *put)
{
    enum io io;

    *put = 0;
    io = s->ops->write(s, from, n, put);
    if (io == IO_AGAIN) {
        s->write_blocked = true;
        if (s->write_needs_read)
            set_reading(s, true);
        else
            want_write(s);
    }
    return io;
}

/* Only what has come costs more than a look at the socket: a record that holds no byte of the peer's is none of it. */
bool stream_silent(struct stream *s)
{
    char byte;
    size_t got;

    return (!stream_pending(s) && socket_silent(s->fd)) || stream_read(s, &byte, 1, &got) == IO_AGAIN;
}

bool stream_hung_up(const struct stream *s)
{
    struct pollfd look = { .fd = s->fd };

    return poll(&look, 1, 0) == 1 && (look.revents & (POLLERR | POLLHUP)) != 0;
}

size_t stream_unsent(const struct stream *s)
{
    int n = 0;

    return s->fd >= 0 && ioctl(s->fd, SIOCOUTQ, &n) == 0 && n > 0 ? (size_t)n : 0;
}

void stream_hold(struct stream *s, bool on)
{
    int value = on;

    if (on == s->held)
        return;
    s->held = on;
    setsockopt(s->fd, IPPROTO_TCP, TCP_CORK, &value, sizeof value);
}

void stream_want_read(struct stream *s, bool on)
{
    s->want_read = on;
    if (s->state != OPEN)
        return;
    set_reading(s, on || (s->write_needs_read && s->write_blocked));
    /* Bytes inside the TLS layer make no socket ready. */
    if (on && stream_pending(s))
        loop_soon(s->loop, &s->again, come_back);
}

bool stream_is_open(const struct stream *s)
{
    return s != NULL && s->state == OPEN;
}

/* Only calls of the TLS layer change the answer, and it is asked more often. */
bool stream_pending(struct stream *s)
{
    if (s->full)
        s->full = s->ssl != NULL && SSL_has_pending(s->ssl) == 1;
    return s->full;
}

struct tls_peer *stream_peer(const struct stream *s)
{
    return s->peer;
}

bool stream_http2(const struct stream *s)
{
    const unsigned char *name = NULL;
    unsigned n = 0;

    if (s->ssl)
        SSL_get0_alpn_selected(s->ssl, &name, &n);
    return n == 2 && memcmp(name, "h2", 2) == 0;
}

enum stream_fault stream_fault(const struct stream *s)
{
    return (enum stream_fault)s->fault;
}

int stream_fd(const struct stream *s)
{
    return s->fd;
}

void stream_address(const struct stream *s, char *out, size_t n)
{
    struct sockaddr_storage a = { 0 };
    socklen_t len = sizeof a;

    out[0] = '\0';
    if (s->fd >= 0 && getpeername(s->fd, (struct sockaddr *)&a, &len) == 0)
        address_text(&a, out, n);
}
