/* The keeper as a process: what it gives up before it answers anything, and its loop.
 * It keeps its three sockets, the file of what was signed last, those of what was co-signed of other logs, and the
 * standard streams. After the keys are open it can neither open nor run anything, nor reach another process: everything
 * but what signing and answering take is refused by a seccomp filter. It is not dumpable, so that nobody but root can
 * look into it, and dies with the daemon. */
#include "gateway/keeper_confine.h"
#include "gateway/keeper_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST_FD = 3 };

/* ---- giving up ---- */
/* The three sockets at fixed places, everything else of the daemon's closed. */
static bool sockets_take(const int from[KEEPER_SIDES], int to[KEEPER_SIDES])
{
    int apart[KEEPER_SIDES];

    for (int i = 0; i < KEEPER_SIDES; i++)
        apart[i] = fcntl(from[i], F_DUPFD_CLOEXEC, FIRST_FD + KEEPER_SIDES);
    for (int i = 0; i < KEEPER_SIDES; i++) {
        to[i] = FIRST_FD + i;
        if (apart[i] < 0 || dup2(apart[i], to[i]) < 0)
            return false;
    }
    return close_range(FIRST_FD + KEEPER_SIDES, ~0U, 0) == 0;
}

/* ---- the loop ---- */
/* A side never waits for the daemon in the middle of anything: half a request, or a reply that is not taken, stays here
 * while the other sides are served. */
struct side {
    enum keeper_side which;
    int fd;             /* -1: ended */
    struct buf in, out; /* of one request and its reply, with frames */
    size_t sent;
    uint32_t over; /* bytes of a refused request that are still to be read over */
    bool last;     /* after this reply the side ends */
};

/* Until `in` holds n bytes. False: not yet, or *end. */
static bool receive_to(struct side *s, size_t n, bool *end)
{
    while (s->in.n < n) {
        char *to = buf_reserve(&s->in, n - s->in.n);
        ssize_t k = to ? recv(s->fd, to, n - s->in.n, MSG_DONTWAIT) : 0;
        if (k < 0 && errno == EINTR)
            continue;
        *end = k == 0 || (k < 0 && errno != EAGAIN);
        if (k <= 0)
            return false;
        s->in.n += (size_t)k;
    }
    return true;
}

static bool read_over(struct side *s, bool *end)
{
    char piece[4096];

    while (s->over > 0) {
        ssize_t k = recv(s->fd, piece, s->over < sizeof piece ? s->over : sizeof piece, MSG_DONTWAIT);
        if (k < 0 && errno == EINTR)
            continue;
        *end = k == 0 || (k < 0 && errno != EAGAIN);
        if (k <= 0)
            return false;
        s->over -= (uint32_t)k;
    }
    return true;
}

/* The next request, as far as it is there; its reply when it is whole. False: the side has ended. */
static bool receive_on(struct keeper_room *r, struct side *s)
{
    struct keeper_ask q = { .side = s->which };
    bool end = false, skip = false;

    if (!read_over(s, &end) || !receive_to(s, KEEPER_FRAME, &end))
        return !end;
    q.verb = (uint32_t)keeper_get(s->in.p, 4);
    q.length = (uint32_t)keeper_get(s->in.p + 4, 4);
    q.number = (uint32_t)keeper_get(s->in.p + 8, 4);
    if (!keeper_may_read(&q, &s->out, &skip)) {
        s->over = skip ? q.length : 0;
        s->last = !skip;
    } else if (receive_to(s, KEEPER_FRAME + (size_t)q.length, &end)) {
        keeper_answer(r, &q, s->in.p + KEEPER_FRAME, &s->out);
    } else {
        return !end;
    }
    buf_done(&s->in);
    return s->out.failed == ERR_OK;
}

static bool send_on(struct side *s)
{
    while (s->sent < s->out.n) {
        ssize_t k = send(s->fd, s->out.p + s->sent, s->out.n - s->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0 && errno == EAGAIN)
            return true;
        if (k <= 0)
            return false;
        s->sent += (size_t)k;
    }
    buf_done(&s->out);
    s->sent = 0;
    return !s->last;
}

static void side_end(struct side *s)
{
    close(s->fd);
    s->fd = -1;
    buf_done(&s->in);
    buf_done(&s->out);
}

static void serve(struct keeper_room *r, struct side sides[KEEPER_SIDES])
{
    for (;;) {
        struct pollfd p[KEEPER_SIDES];
        int open = 0;
        for (int i = 0; i < KEEPER_SIDES; i++) {
            p[i] = (struct pollfd){ .fd = sides[i].fd, .events = sides[i].out.n > 0 ? POLLOUT : POLLIN };
            open += sides[i].fd >= 0;
        }
        if (open == 0)
            return;
        if (poll(p, KEEPER_SIDES, -1) < 0 && errno != EINTR)
            return;
        for (int i = 0; i < KEEPER_SIDES; i++) {
            struct side *s = &sides[i];
            bool good = s->fd < 0 || p[i].revents == 0 || s->out.n > 0 || receive_on(r, s);
            if (s->fd >= 0 && p[i].revents != 0 && !(good && send_on(s)))
                side_end(s);
        }
    }
}

/* OpenSSL fetches algorithms when they are first used: afterwards no file could be opened for that. */
static bool warm_up(struct keeper_room *r)
{
    uint8_t sig[ED25519_SIG], sm2[SM2_SIG];
    char random[32];

    return (r->sm2 == NULL || sm2_sign(r->sm2, SLICE("warm"), sm2) == ERR_OK) &&
           r->signer.sign(r->signer.self, SLICE("warm"), sig) == ERR_OK &&
           random_bytes(random, sizeof random) == ERR_OK;
}

/* The hello is short: the socket takes it whole. */
static bool write_whole(int fd, struct slice s)
{
    return send(fd, s.p, s.n, MSG_NOSIGNAL) == (ssize_t)s.n;
}

static bool open_all(const struct keeper_config *c, struct keeper_room *r, int hello_fd)
{
    struct buf out = BUF_INIT(1 << 17);
    struct diags d;
    struct arena a;
    bool good;
    enum err e;

    arena_init(&a, 1 << 20);
    diags_init(&d, &a);
    e = keeper_room_open(c, r, &d);
    if (e == ERR_OK && (!warm_up(r) || !confine_end()))
        e = diag_add(&d, ERR_SYS, 0, 0, "the keeper process cannot be confined (seccomp and limits)",
                     "无法限制保管进程的权限（seccomp 与资源限额）");
    if (e == ERR_OK)
        keeper_hello(r, &out);
    else
        keeper_refusal(e, &d, 0, &out);
    good = out.failed == ERR_OK && write_whole(hello_fd, buf_slice(&out)) && e == ERR_OK;
    buf_done(&out);
    arena_done(&a);
    return good;
}

_Noreturn void keeper_main(const struct keeper_config *c, const int fds[KEEPER_SIDES], int parent)
{
    struct keeper_room room = { 0 };
    struct side sides[KEEPER_SIDES];
    int at[KEEPER_SIDES];

    if (!confine_begin(parent) || !sockets_take(fds, at))
        _exit(1);
    for (int i = 0; i < KEEPER_SIDES; i++)
        sides[i] = (struct side){ .which = (enum keeper_side)i,
                                  .fd = at[i],
                                  .in = BUF_INIT(KEEPER_REQUEST_MAX + KEEPER_FRAME),
                                  .out = BUF_INIT(KEEPER_REPLY_MAX + KEEPER_FRAME) };
    if (!open_all(c, &room, at[KEEPER_CONTROL]))
        _exit(1);
    serve(&room, sides);
    keeper_room_done(&room);
    _exit(0);
}
