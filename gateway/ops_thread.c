/* The operations listener's thread. Loopback and plain. It answers while the control thread waits for a disk, and says
 * then that it does: it waits for nothing itself but its own descriptors and locks that are held for a copy. A page is
 * answered at once and whole; the window of these connections holds the largest. */
#include "gateway/control_internal.h"

#include <pthread.h>
#include <signal.h>

enum { PAGE_CAP = 1 << 20, WINDOW = 2 << 20 };

struct ops_conn {
    struct ops *ops;
    struct ops_conn *next, **pprev;
    struct http_conn *http;
};
struct ops {
    struct control *control; /* bor: only what control_internal.h says that this thread may read of it */
    struct loop *loop;       /* own */
    struct acceptor *acceptor;
    struct ops_conn *connections, **last; /* the oldest first */
    unsigned n;
    pthread_t thread;
    struct loop_msg end;
    pthread_mutex_t lock; /* guards the picture */
    struct control_picture picture;
};

static struct control_picture picture_of(struct ops *o)
{
    struct control_picture p;

    pthread_mutex_lock(&o->lock);
    p = o->picture;
    pthread_mutex_unlock(&o->lock);
    return p;
}

void ops_tell(struct control *c)
{
    struct control_picture p;

    if (c->ops == NULL)
        return;
    control_picture(c, &p);
    pthread_mutex_lock(&c->ops->lock);
    c->ops->picture = p;
    pthread_mutex_unlock(&c->ops->lock);
}

/* ---- HTTP ---- */
/* Whoever comes is let in, for whoever looks after this node comes last: pages are short, and the oldest has long had
 * its own. */
static void *on_open(void *arg, struct http_conn *http)
{
    struct ops *o = arg;
    struct ops_conn *conn = mem_zalloc(sizeof *conn);

    if (conn == NULL)
        return NULL;
    if (o->n >= OPERATIONS_CONNECTIONS)
        http_conn_abort(o->connections->http, REASON_OVERLOADED);
    conn->ops = o;
    conn->http = http;
    conn->pprev = o->last;
    *conn->pprev = conn;
    o->last = &conn->next;
    o->n++;
    return conn;
}

static void on_close(void *conn_state)
{
    struct ops_conn *conn = conn_state;

    *conn->pprev = conn->next;
    if (conn->next)
        conn->next->pprev = conn->pprev;
    else
        conn->ops->last = conn->pprev;
    conn->ops->n--;
    mem_free(conn);
}

static void answer(struct http_call *call, struct http_reply *r, const char *type, const struct buf *out)
{
    struct http_header h[2] = { { SLICE("Content-Type"), slice_of(type) },
                                { SLICE("Cache-Control"), SLICE("no-store") } };

    r->headers = h;
    r->n_headers = 2;
    r->length = (int64_t)out->n;
    http_reply_head(call, r);
    http_reply_body(call, buf_slice(out));
    http_reply_end(call, NULL, 0);
}

static void answer_plain(struct http_call *call, int status, const char *text)
{
    struct buf out = BUF_INIT(256);
    struct http_reply r = { .status = status, .close = true };

    buf_puts(&out, text);
    answer(call, &r, "text/plain; charset=utf-8", &out);
    buf_done(&out);
}

static void on_head(void *conn_state, struct http_call *call, const struct http_head *h)
{
    struct ops *o = ((struct ops_conn *)conn_state)->ops;
    struct control_picture p = picture_of(o);
    struct buf out = BUF_INIT(PAGE_CAP);
    struct ops_page page;

    if (!slice_is(h->method, "GET") && !slice_is(h->method, "HEAD")) {
        answer_plain(call, 405, "use GET\n");
    } else if (ops_page(o->control, &p, h, &page, &out)) {
        struct http_reply r = { .status = page.status };
        answer(call, &r, page.type, &out);
    } else {
        answer_plain(call, 404, "/livez, /readyz, /readyz?verbose, /metrics\n");
    }
    buf_done(&out);
}

static void on_malformed(void *conn_state, struct http_call *call, enum reason why, const char *what, struct slice raw)
{
    (void)conn_state;
    (void)why;
    (void)raw;
    answer_plain(call, 400, what);
}

static const struct http_service service = {
    .open = on_open, .close = on_close, .head = on_head, .malformed = on_malformed
};

static void on_accept(void *arg, int fd)
{
    struct ops *o = arg;
    struct http_limits limits = picture_of(o).limits;

    limits.window = WINDOW;
    if (http_serve(o->loop, fd, NULL, &limits, &service, o) != ERR_OK)
        log_event(LOG_WARN, "accept-failed", NULL);
}

/* ---- life ---- */
static void *run(void *arg)
{
    struct ops *o = arg;
    sigset_t all;

    sigfillset(&all); /* signals are the control thread's */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    loop_run(o->loop);
    return NULL;
}

static struct ops *ops_free(struct ops *o)
{
    o->acceptor = acceptor_free(o->acceptor);
    o->loop = o->loop ? loop_free(o->loop) : NULL;
    pthread_mutex_destroy(&o->lock);
    return mem_free(o);
}

enum err ops_start(struct control *c)
{
    struct ops *o = mem_zalloc(sizeof *o);
    enum err e = ERR_OK;

    if (o == NULL)
        return ERR_NOMEM;
    pthread_mutex_init(&o->lock, NULL);
    o->control = c;
    o->last = &o->connections;
    control_picture(c, &o->picture);
    o->loop = loop_new();
    if (o->loop)
        o->acceptor = acceptor_new(o->loop, c->operations_fd, on_accept, o);
    if (o->acceptor == NULL)
        e = ERR_NOMEM;
    if (e == ERR_OK && pthread_create(&o->thread, NULL, run, o) != 0)
        e = ERR_SYS;
    c->ops = e == ERR_OK ? o : ops_free(o);
    return e;
}

static void on_stop(void *arg)
{
    struct ops *o = arg;

    o->acceptor = acceptor_free(o->acceptor);
    while (o->connections)
        http_conn_abort(o->connections->http, REASON_DRAINING);
    loop_stop(o->loop);
}

void ops_stop(struct control *c)
{
    struct ops *o = c->ops;

    if (o == NULL)
        return;
    o->end = (struct loop_msg){ .fn = on_stop, .arg = o };
    loop_post(o->loop, &o->end);
    pthread_join(o->thread, NULL);
    c->ops = ops_free(o);
}
