#include "provider.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

struct served {
    struct provider *p;
    int fd;
    unsigned number;
};

static void send_all(int fd, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t r = send(fd, text, n, MSG_NOSIGNAL);
        if (r <= 0)
            return;
        text += r;
        n -= (size_t)r;
    }
}

static void send_text(int fd, const char *text)
{
    send_all(fd, text, strlen(text));
}

static void reply(int fd, const char *head, const char *body, size_t n)
{
    char text[512];
    int k = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n%sContent-Length: %zu\r\n\r\n",
                     head, n);

    send_all(fd, text, (size_t)k);
    send_all(fd, body, n);
}

/* One whole request into text; 0 at the end or when the provider stops. */
static size_t hear(struct served *s, char *text, size_t room)
{
    size_t n = 0;

    while (n < room - 1 && !atomic_load(&s->p->stop)) {
        struct pollfd ready = { s->fd, POLLIN, 0 };
        ssize_t r;
        const char *end, *length;
        if (poll(&ready, 1, 20) <= 0)
            continue;
        r = recv(s->fd, text + n, room - 1 - n, 0);
        if (r <= 0)
            return 0;
        n += (size_t)r;
        text[n] = '\0';
        end = strstr(text, "\r\n\r\n");
        length = strstr(text, "Content-Length: ");
        if (end && n >= (size_t)(end - text) + 4 + (length && length < end ? strtoul(length + 16, NULL, 10) : 0))
            return n;
    }
    return 0;
}

static bool asks(const char *text, const char *path)
{
    const char *at = strchr(text, ' ');

    return at && strncmp(at + 1, path, strlen(path)) == 0;
}

static void nap(struct served *s, unsigned ms)
{
    for (unsigned i = 0; i < ms && !atomic_load(&s->p->stop); i += 10)
        usleep(10000);
}

/* An answer of just what is read at once, and behind it another that nobody asked for. */
static void spare(int fd)
{
    enum { READ = 8192 };
    static const char other[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nspare";
    char text[READ + sizeof other];
    int head = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %04d\r\n\r\n", 0);

    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %04d\r\n\r\n", READ - head);
    memset(text + head, 'a', (size_t)(READ - head));
    memcpy(text + READ, other, sizeof other);
    send_text(fd, text);
}

/* False: close. */
static bool behave(struct served *s, const char *text, size_t heard, unsigned number)
{
    static char big[4 << 20];
    char body[64];
    int n = snprintf(body, sizeof body, "c%ur%u", s->number, number);

    if (asks(text, "/dead"))
        return false;
    if (asks(text, "/hang"))
        nap(s, 60000);
    else if (asks(text, "/slow"))
        nap(s, 150);
    if (asks(text, "/noise")) {
        send_text(s->fd, "SSH-2.0-x\r\n\r\n");
        return false;
    }
    if (asks(text, "/cut")) {
        send_text(s->fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        return false;
    }
    if (asks(text, "/spare")) {
        spare(s->fd);
        return true;
    }
    if (asks(text, "/held")) {
        send_text(s->fd, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
        while (!atomic_load(&s->p->go_on) && !atomic_load(&s->p->stop))
            usleep(2000);
        send_text(s->fd, "rest");
        return true;
    }
    if (asks(text, "/chunks"))
        send_text(s->fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    else if (asks(text, "/big"))
        reply(s->fd, "", big, sizeof big);
    else if (asks(text, "/gzip"))
        reply(s->fd, "Content-Encoding: gzip\r\n", "x", 1);
    else if (asks(text, "/show"))
        reply(s->fd, "", text, heard);
    else
        reply(s->fd, "", body, (size_t)n);
    return true;
}

static void *serve(void *arg)
{
    struct served *s = arg;
    struct provider *p = s->p;
    char text[8192];
    bool stale = false;
    size_t n;

    for (unsigned i = 1; (n = hear(s, text, sizeof text)) > 0 && !stale; i++) {
        unsigned now = atomic_fetch_add(&p->now, 1) + 1, most = atomic_load(&p->most);
        bool on;
        while (now > most && !atomic_compare_exchange_weak(&p->most, &most, now))
            continue;
        atomic_fetch_add(&p->requests, 1);
        on = behave(s, text, n, i);
        atomic_fetch_sub(&p->now, 1);
        stale = asks(text, "/stale");
        if (!on)
            break;
    }
    close(s->fd);
    mem_free(s);
    atomic_fetch_sub(&p->threads, 1);
    return NULL;
}

static void *listen_on(void *arg)
{
    struct provider *p = arg;

    while (!atomic_load(&p->stop)) {
        struct pollfd ready = { p->fd, POLLIN, 0 };
        struct served *s;
        pthread_t thread;
        int fd;
        if (poll(&ready, 1, 20) <= 0 || (fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC)) < 0)
            continue;
        s = mem_zalloc(sizeof *s);
        if (s)
            *s = (struct served){ p, fd, atomic_fetch_add(&p->connections, 1) + 1 };
        atomic_fetch_add(&p->threads, 1);
        if (s && pthread_create(&thread, NULL, serve, s) == 0) {
            pthread_detach(thread);
            continue;
        }
        atomic_fetch_sub(&p->threads, 1); /* a caller that nobody serves is not left to wait */
        mem_free(s);
        close(fd);
    }
    atomic_fetch_sub(&p->threads, 1);
    return NULL;
}

void provider_start(struct provider *p)
{
    pthread_t thread;

    memset(p, 0, sizeof *p);
    assert_int_equal(net_listen("127.0.0.1", 0, false, &p->fd, NULL), ERR_OK);
    p->port = net_port(p->fd);
    atomic_store(&p->threads, 1);
    assert_int_equal(pthread_create(&thread, NULL, listen_on, p), 0);
    pthread_detach(thread);
}

void provider_stop(struct provider *p)
{
    atomic_store(&p->stop, true);
    while (atomic_load(&p->threads) > 0)
        usleep(2000);
    close(p->fd);
}

void compile_text(struct text_target *t, const struct connector_world *w, bool check_only, const char *connector,
                  const char *more)
{
    struct buf text = BUF_INIT(1 << 16);
    const struct doc *docs;

    memset(t, 0, sizeof *t);
    arena_init(&t->arena, 4 << 20);
    diags_init(&t->d, &t->arena);
    buf_printf(&text, "kind: Resource\nconnector: %s\n%s", connector, more ? more : "");
    if (doc_read_yaml(buf_slice(&text), &t->arena, &t->d, &docs) != ERR_OK)
        fail_msg("%s: %s", connector, t->d.first->what[LANG_EN]);
    t->err = connector_compile(docs->first, w, check_only, &t->target, &t->d);
    buf_done(&text);
}

void compile_done(struct text_target *t)
{
    connector_unref(t->target);
    arena_done(&t->arena);
    t->target = NULL;
}

void scene_begin(struct scene *s, const char *more)
{
    static const struct connector_world w = { .workers = 1 };
    char text[512];

    memset(s, 0, sizeof *s);
    provider_start(&s->provider);
    snprintf(text, sizeof text, "{kind: http, endpoint: 'http://127.0.0.1:%u', tls: {mode: none, reason: test}%s}",
             s->provider.port, more);
    compile_text(&s->t, &w, false, text, NULL);
    assert_int_equal(s->t.err, ERR_OK);
    s->loop = loop_new();
    s->pool = connector_pool_new(s->loop, 0, 24);
    assert_true(s->loop != NULL && s->pool != NULL);
}

void scene_end(struct scene *s)
{
    s->pool = connector_pool_free(s->pool);
    compile_done(&s->t);
    s->loop = loop_free(s->loop);
    provider_stop(&s->provider);
}
