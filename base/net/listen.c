/* Listening sockets, and accepting. An acceptor pauses when hardly any descriptors are left, so that it neither spins
 * nor dies, and what must go on goes on (spare.c); who comes meanwhile waits in the kernel. */
#include "base/net/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACCEPT_A_TURN = 64, PAUSE_MS = 100 };
enum { UNSENT = 256 << 10 };

void socket_bound(int fd)
{
    int most = UNSENT;

    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &most, sizeof most);
}

enum err net_listen(const char *host, unsigned port, bool reuse_port, int *ret_fd, struct diags *d)
{
    struct sockaddr_storage a;
    int one = 1, fd;

    if (!address_read(host, port, &a))
        return diag_add(d, ERR_INVALID, 0, 0, "%s is not an IP address to listen on", "%s 不是可监听的 IP 地址", host);
    fd = socket(a.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return diag_sys(d, errno, "cannot make a socket", "无法创建套接字");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (reuse_port)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    socket_bound(fd); /* who is accepted has it too */
    if (bind(fd, (struct sockaddr *)&a, address_size(&a)) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
        int sys = errno;
        close(fd);
        return diag_sys(d, sys, "cannot listen on %s port %u", "无法监听 %s 端口 %u", host, port);
    }
    *ret_fd = fd;
    return ERR_OK;
}

unsigned net_port(int fd)
{
    struct sockaddr_storage a = { 0 };
    socklen_t n = sizeof a;

    if (getsockname(fd, (struct sockaddr *)&a, &n) != 0)
        return 0;
    return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
                                         : ((struct sockaddr_in *)&a)->sin_port);
}

struct acceptor {
    struct loop *loop;   /* bor */
    struct watch *watch; /* own; NULL while paused */
    struct alarm pause;
    void (*fn)(void *arg, int fd);
    void *arg;
    int fd;
    unsigned a_turn;
    enum spare spare;
    bool held;
    bool scarce; /* the last one that was accepted lay among those that are left to others */
    struct grave grave;
};

static void take_a_break(struct acceptor *a)
{
    a->watch = watch_free(a->watch);
    alarm_set(a->loop, &a->pause, PAUSE_MS);
}

static void accept_ready(void *arg)
{
    struct acceptor *a = arg;

    for (unsigned i = 0; i < a->a_turn && a->watch != NULL; i++) {
        int fd;
        if (a->scarce && !spare_left(a->fd, a->spare)) {
            take_a_break(a);
            return;
        }
        fd = accept4(a->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            a->scarce = spare_reached(fd, a->spare);
            a->fn(a->arg, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            take_a_break(a);
        } else if (errno != ECONNABORTED && errno != EINTR) {
            return;
        }
    }
}

static void resume(struct alarm *al)
{
    struct acceptor *a = (struct acceptor *)((char *)al - offsetof(struct acceptor, pause));

    if (a->held || a->watch)
        return;
    a->watch = watch_new(a->loop, a->fd, accept_ready, a);
    if (a->watch == NULL)
        alarm_set(a->loop, &a->pause, PAUSE_MS);
}

struct acceptor *acceptor_new(struct loop *l, int fd, void (*fn)(void *arg, int fd), void *arg)
{
    struct acceptor *a = mem_zalloc(sizeof *a);

    if (a == NULL)
        return NULL;
    a->loop = l;
    a->fd = fd;
    a->a_turn = ACCEPT_A_TURN;
    a->fn = fn;
    a->arg = arg;
    alarm_init(&a->pause, resume);
    a->watch = watch_new(l, fd, accept_ready, a);
    if (a->watch == NULL)
        return mem_free(a);
    return a;
}

void acceptor_leaves(struct acceptor *a)
{
    a->spare = SPARE_ALL;
}

void acceptor_yields(struct acceptor *a, const struct door *g)
{
    int seconds = 1;

    a->a_turn = g->most / 2 < ACCEPT_A_TURN ? g->most / 2 + 1 : ACCEPT_A_TURN;
    setsockopt(a->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
}

void acceptor_hold(struct acceptor *a, bool on)
{
    a->held = on;
    if (on) {
        alarm_clear(&a->pause);
        a->watch = watch_free(a->watch);
    } else {
        resume(&a->pause);
    }
}

static void acceptor_bury(struct grave *g)
{
    mem_free((char *)g - offsetof(struct acceptor, grave));
}

struct acceptor *acceptor_free(struct acceptor *a)
{
    if (a == NULL)
        return NULL;
    alarm_clear(&a->pause);
    a->watch = watch_free(a->watch);
    loop_bury(a->loop, &a->grave, acceptor_bury);
    return NULL;
}
