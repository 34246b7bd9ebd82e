/* The keeper as a process: what it gives up before it answers anything, and its loop.
 * It keeps its two sockets, the file of what was signed last, and the standard streams. After the keys are open it can
 * neither open nor run anything, nor reach another process: everything but what signing and answering take is refused
 * by a seccomp filter. It is not dumpable, so that nobody but root can look into it, and dies with the daemon. */
#include "gateway/keeper_confine.h"
#include "gateway/keeper_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { FIRST_FD = 3, STALL_S = 10 };

/* ---- giving up ---- */
/* The two sockets at fixed places, everything else of the daemon's closed. */
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
struct side {
    enum keeper_side which;
    int fd; /* -1: ended */
};

/* All n bytes; false: the end, or a peer that stalls in the middle of a request. */
static bool read_whole(int fd, char *to, size_t n)
{
    for (size_t got = 0; got < n;) {
        ssize_t k = recv(fd, to + got, n - got, 0);
        if (k <= 0 && !(k < 0 && errno == EINTR))
            return false;
        got += k > 0 ? (size_t)k : 0;
    }
    return true;
}

static bool write_whole(int fd, struct slice s)
{
    while (s.n > 0) {
        ssize_t k = send(fd, s.p, s.n, MSG_NOSIGNAL);
        if (k <= 0 && !(k < 0 && errno == EINTR))
            return false;
        s = slice_sub(s, k > 0 ? (size_t)k : 0, s.n);
    }
    return true;
}

static bool read_over(int fd, uint32_t n)
{
    char piece[4096];

    while (n > 0) {
        uint32_t k = n < sizeof piece ? n : (uint32_t)sizeof piece;
        if (!read_whole(fd, piece, k))
            return false;
        n -= k;
    }
    return true;
}

/* One request and its reply; false: this side has ended. */
static bool serve_one(struct keeper_room *r, const struct side *s)
{
    struct buf body = BUF_INIT(KEEPER_REQUEST_MAX), out = BUF_INIT(KEEPER_REPLY_MAX + KEEPER_FRAME);
    char frame[KEEPER_FRAME];
    bool skip = false, good = read_whole(s->fd, frame, sizeof frame);
    uint32_t verb = good ? (uint32_t)keeper_get(frame, 4) : 0, n = good ? (uint32_t)keeper_get(frame + 4, 4) : 0;

    if (!good)
        return false;
    if (!keeper_may_read(s->which, verb, n, &out, &skip)) {
        good = write_whole(s->fd, buf_slice(&out)) && skip && read_over(s->fd, n);
    } else if (buf_reserve(&body, n) == NULL) {
        good = false;
    } else {
        good = read_whole(s->fd, body.p, n);
        if (good)
            keeper_answer(r, s->which, verb, slice_make(body.p, n), &out);
        good = good && out.failed == ERR_OK && write_whole(s->fd, buf_slice(&out));
    }
    buf_done(&body);
    buf_done(&out);
    return good;
}

static void serve(struct keeper_room *r, struct side sides[KEEPER_SIDES])
{
    for (;;) {
        struct pollfd p[KEEPER_SIDES];
        int open = 0;
        for (int i = 0; i < KEEPER_SIDES; i++) {
            p[i] = (struct pollfd){ .fd = sides[i].fd, .events = POLLIN };
            open += sides[i].fd >= 0;
        }
        if (open == 0)
            return;
        if (poll(p, KEEPER_SIDES, -1) < 0 && errno != EINTR)
            return;
        for (int i = 0; i < KEEPER_SIDES; i++)
            if (sides[i].fd >= 0 && p[i].revents != 0 && !serve_one(r, &sides[i])) {
                close(sides[i].fd);
                sides[i].fd = -1;
            }
    }
}

/* OpenSSL fetches algorithms when they are first used: afterwards no file could be opened for that. */
static bool warm_up(struct keeper_room *r)
{
    uint8_t sig[ED25519_SIG];
    char random[32];

    return r->signer.sign(r->signer.self, SLICE("warm"), sig) == ERR_OK &&
           random_bytes(random, sizeof random) == ERR_OK;
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
        keeper_refusal(e, &d, &out);
    good = write_whole(hello_fd, buf_slice(&out)) && e == ERR_OK;
    buf_done(&out);
    arena_done(&a);
    return good;
}

_Noreturn void keeper_main(const struct keeper_config *c, const int fds[KEEPER_SIDES], int parent)
{
    struct timeval stall = { .tv_sec = STALL_S };
    struct keeper_room room = { 0 };
    struct side sides[KEEPER_SIDES];
    int at[KEEPER_SIDES];

    if (!confine_begin(parent) || !sockets_take(fds, at))
        _exit(1);
    for (int i = 0; i < KEEPER_SIDES; i++) {
        sides[i] = (struct side){ .which = (enum keeper_side)i, .fd = at[i] };
        setsockopt(at[i], SOL_SOCKET, SO_RCVTIMEO, &stall, sizeof stall);
        setsockopt(at[i], SOL_SOCKET, SO_SNDTIMEO, &stall, sizeof stall);
    }
    if (!open_all(c, &room, at[KEEPER_CONTROL]))
        _exit(1);
    serve(&room, sides);
    keeper_room_done(&room);
    _exit(0);
}
