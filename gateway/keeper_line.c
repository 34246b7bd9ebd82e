/* See keeper_line.h. The socket is used without waiting; poll() waits. A request may go in pieces and a reply come in
 * pieces over many calls: neither the keeper's pace nor the size of a list holds the caller longer than it says. */
#include "gateway/keeper_line.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KEPT_ROOM = 64 << 10 };

void keeper_line_init(struct keeper_line *l, int fd)
{
    *l = (struct keeper_line){ .fd = fd,
                               .owed = true,
                               .out = BUF_INIT(KEEPER_REQUEST_MAX + KEEPER_FRAME),
                               .in = BUF_INIT(KEEPER_REPLY_MAX + KEEPER_FRAME) };
}

void keeper_line_done(struct keeper_line *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    buf_done(&l->out);
    buf_done(&l->in);
}

static enum err end(struct keeper_line *l)
{
    if (!l->ended)
        shutdown(l->fd, SHUT_RDWR);
    l->ended = true;
    return ERR_CLOSED;
}

/* ERR_AGAIN: the other side has to move first. */
static enum err send_on(struct keeper_line *l)
{
    while (l->sent < l->out.n) {
        ssize_t k = send(l->fd, l->out.p + l->sent, l->out.n - l->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0 && (errno == EAGAIN || errno == ENOBUFS))
            return ERR_AGAIN;
        if (k <= 0)
            return end(l);
        l->sent += (size_t)k;
    }
    return ERR_OK;
}

/* Until `in` holds n bytes. */
static enum err receive_to(struct keeper_line *l, size_t n)
{
    while (l->in.n < n) {
        char *to = buf_reserve(&l->in, n - l->in.n);
        ssize_t k = to ? recv(l->fd, to, n - l->in.n, MSG_DONTWAIT) : 0;
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0 && errno == EAGAIN)
            return ERR_AGAIN;
        if (k <= 0)
            return end(l);
        l->in.n += (size_t)k;
    }
    return ERR_OK;
}

static enum err receive_on(struct keeper_line *l)
{
    enum err e = receive_to(l, KEEPER_FRAME);
    uint64_t code, n;

    if (e != ERR_OK)
        return e;
    code = keeper_get(l->in.p, 4);
    n = keeper_get(l->in.p + 4, 4);
    if (code >= ERR_COUNT_ || n > KEEPER_REPLY_MAX || keeper_get(l->in.p + 8, 4) != l->number)
        return end(l);
    return receive_to(l, KEEPER_FRAME + n);
}

/* Small ones stay: what is asked each second must not need memory that is short just then. */
static void buf_rest(struct buf *b)
{
    if (b->room > KEPT_ROOM)
        buf_done(b);
    buf_clear(b);
}

enum err keeper_line_ask(struct keeper_line *l, enum keeper_verb verb, struct slice body)
{
    enum err e;

    if (l->ended)
        return ERR_CLOSED;
    if (l->owed)
        return ERR_AGAIN;
    keeper_put(&l->out, verb, 4);
    keeper_put(&l->out, body.n, 4);
    keeper_put(&l->out, l->number + 1, 4);
    buf_put(&l->out, body);
    if (l->out.failed != ERR_OK) {
        e = l->out.failed;
        buf_rest(&l->out);
        return e;
    }
    l->number++;
    l->owed = true;
    l->sent = 0;
    atomic_store(&l->since, clock_mono_ms());
    e = send_on(l);
    return e == ERR_AGAIN ? ERR_OK : e;
}

static enum err move_on(struct keeper_line *l)
{
    enum err e = send_on(l), e2 = e == ERR_CLOSED ? e : receive_on(l);

    return e == ERR_AGAIN && e2 == ERR_OK ? end(l) : e2; /* a reply to half a request */
}

enum err keeper_line_wait(struct keeper_line *l, int64_t ms, enum err *code, struct buf *reply)
{
    int64_t until = clock_mono_ms() + ms, left;
    enum err e;

    while ((e = l->ended || !l->owed ? ERR_CLOSED : move_on(l)) == ERR_AGAIN && (left = until - clock_mono_ms()) > 0) {
        struct pollfd p = { .fd = l->fd, .events = (short)(l->sent < l->out.n ? POLLIN | POLLOUT : POLLIN) };
        poll(&p, 1, (int)left);
    }
    if (e != ERR_OK)
        return e;
    *code = (enum err)keeper_get(l->in.p, 4);
    buf_put(reply, slice_sub(buf_slice(&l->in), KEEPER_FRAME, l->in.n));
    l->owed = false;
    atomic_store(&l->since, 0);
    buf_rest(&l->out);
    buf_rest(&l->in);
    return reply->failed;
}
