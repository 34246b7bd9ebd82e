/* Listening sockets, accepting, and resolving names. An acceptor that runs out of descriptors pauses, so that it
 * neither spins nor dies. */
#include "base/net/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACCEPT_A_TURN = 64, PAUSE_MS = 100, BACKLOG = 1024 };

static bool read_address(const char *host, unsigned port, struct sockaddr_storage *ret)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        return true;
    }
    return false;
}

static socklen_t address_size(const struct sockaddr_storage *a)
{
    return a->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

enum err net_listen(const char *host, unsigned port, bool reuse_port, int *ret_fd, struct diags *d)
{
    struct sockaddr_storage a;
    int one = 1, fd;

    if (!read_address(host, port, &a))
        return diag_add(d, ERR_INVALID, 0, 0, "%s is not an IP address to listen on", "%s 不是可监听的 IP 地址", host);
    fd = socket(a.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return diag_sys(d, errno, "cannot make a socket", "无法创建套接字");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (reuse_port)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, address_size(&a)) != 0 || listen(fd, BACKLOG) != 0) {
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
    bool held;
    struct grave grave;
};

static void accept_ready(void *arg)
{
    struct acceptor *a = arg;

    for (unsigned i = 0; i < a->a_turn && a->watch != NULL; i++) {
        int fd = accept4(a->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            a->fn(a->arg, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            a->watch = watch_free(a->watch);
            alarm_set(a->loop, &a->pause, PAUSE_MS);
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

/* Split "host:port" and "[v6]:port". */
static bool split(struct slice text, unsigned default_port, char *host, size_t room, unsigned *port)
{
    struct slice h = text, p = { 0 };
    uint64_t number = default_port;

    if (text.n > 0 && text.p[0] == '[') {
        size_t close_at = slice_find(text, ']');
        if (close_at == text.n)
            return false;
        h = slice_sub(text, 1, close_at - 1);
        p = slice_sub(text, close_at + 1, text.n);
        if (p.n > 0 && p.p[0] != ':')
            return false;
        p = slice_sub(p, 1, p.n);
    } else if (slice_find(text, ':') < text.n) {
        p = text;
        h = slice_cut(&p, ':');
    }
    if (p.n > 0 && !slice_u64(p, 1, 65535, &number))
        return false;
    if (h.n == 0 || h.n >= room || number == 0)
        return false;
    memcpy(host, h.p, h.n);
    host[h.n] = '\0';
    *port = (unsigned)number;
    return true;
}

enum err net_resolve(struct slice host_port, unsigned default_port, struct sockaddr_storage *ret, struct diags *d)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
    char host[256], service[8];
    unsigned port;
    int r;

    if (!split(host_port, default_port, host, sizeof host, &port))
        return diag_add(d, ERR_INVALID, 0, 0, "%.*s is not host:port", "%.*s 不是“主机:端口”形式",
                        SLICE_ARG(host_port));
    if (read_address(host, port, ret))
        return ERR_OK;
    snprintf(service, sizeof service, "%u", port);
    r = getaddrinfo(host, service, &hints, &list);
    if (r != 0)
        return diag_add(d, ERR_NOT_FOUND, 0, 0, "the host %s cannot be resolved: %s", "无法解析主机 %s：%s", host,
                        gai_strerror(r));
    memset(ret, 0, sizeof *ret);
    memcpy(ret, list->ai_addr, list->ai_addrlen);
    freeaddrinfo(list);
    return ERR_OK;
}
