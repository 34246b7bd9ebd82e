/* See http_small.h. A request's state is freed once: by its answer when the peer has left before, else when the answer
 * is in the kernel's hands or the peer leaves behind it; one that was never shown, when its peer leaves. */
#include "base/net/http_small.h"

struct small_conn {
    struct http_small *of;
    struct http_conn *http;
    struct small_conn *next, **pprev;
    bool counted, busy; /* busy: a request was shown, or will be, and is not answered */
};
struct http_small {
    struct http_small_config c;
    struct loop *loop;         /* bor */
    struct tls_context *tls;   /* bor */
    struct acceptor *acceptor; /* own */
    struct small_conn *open;
    unsigned n; /* that count */
};

static const char no_room[] = "no room now\n";

static void reply(struct http_call *call, int status, const char *type, struct slice body, bool close)
{
    struct http_header h = { SLICE("Content-Type"), slice_of(type) };
    struct http_reply r = {
        .status = status, .headers = &h, .n_headers = 1, .length = (int64_t)body.n, .close = close
    };

    http_reply_head(call, &r);
    http_reply_body(call, body);
    http_reply_end(call, NULL, 0);
}

static void ask_free(struct http_small_ask *a)
{
    if (a == NULL)
        return;
    buf_done(&a->body);
    mem_free(a);
}

void http_small_answer(struct http_small_ask *a, int status, const char *type, struct slice body)
{
    struct http_call *call = a->call;

    if (call == NULL) {
        ask_free(a);
        return;
    }
    a->of = NULL; /* answered: what comes now only frees it */
    reply(call, status, type, body, false);
}

void http_small_drop(struct http_small_ask *a)
{
    struct http_call *call = a->call;

    ask_free(a);
    if (call != NULL)
        http_reply_abort(call);
}

/* ---- the service ---- */
static bool make_room(struct http_small *s)
{
    struct small_conn *idle = NULL;

    for (struct small_conn *k = s->open; k != NULL; k = k->next)
        if (k->counted && !k->busy)
            idle = k; /* the newest come first */
    if (idle != NULL)
        http_conn_abort(idle->http, REASON_OVERLOADED);
    return idle != NULL;
}

static bool admit(struct small_conn *k)
{
    struct http_small *s = k->of;

    if (k->counted)
        return true;
    if (s->n >= s->c.connections && !make_room(s))
        return false;
    k->counted = true;
    s->n++;
    http_conn_admit(k->http);
    return true;
}

static void *on_open(void *arg, struct http_conn *http)
{
    struct http_small *s = arg;
    struct small_conn *k = mem_zalloc(sizeof *k);

    if (k == NULL)
        return NULL;
    *k = (struct small_conn){ .of = s, .http = http };
    if (s->c.door == NULL && !admit(k))
        return mem_free(k);
    if (s->c.known != NULL && s->c.known(s->c.owner, http))
        (void)!admit(k); /* else its request is told that there is no room */
    k->next = s->open;
    k->pprev = &s->open;
    if (s->open != NULL)
        s->open->pprev = &k->next;
    s->open = k;
    return k;
}

static void on_close(void *conn_state)
{
    struct small_conn *k = conn_state;

    *k->pprev = k->next;
    if (k->next != NULL)
        k->next->pprev = k->pprev;
    k->of->n -= k->counted;
    mem_free(k);
}

static void on_head(void *conn_state, struct http_call *call, const struct http_head *h)
{
    struct small_conn *k = conn_state;
    const char *text = "";
    int status = k->of->c.head(k->of->c.owner, k->http, h, &text);
    struct http_small_ask *a = status < 0 || (status == 0 && admit(k)) ? mem_zalloc(sizeof *a) : NULL;

    if (a == NULL) {
        reply(call, status > 0 ? status : 503, "text/plain", slice_of(status > 0 ? text : no_room), true);
        return;
    }
    *a = (struct http_small_ask){
        .of = k->of, .http = k->http, .conn = k, .body = BUF_INIT(k->of->c.body_max), .call = call
    };
    k->busy = true;
    http_conn_address(k->http, a->address, sizeof a->address);
    http_call_set(call, a);
}

static void on_body(void *call_state, struct slice bytes)
{
    if (call_state != NULL)
        buf_put(&((struct http_small_ask *)call_state)->body, bytes);
}

static void on_end(void *call_state)
{
    struct http_small_ask *a = call_state;

    if (a == NULL)
        return;
    if (a->body.failed == ERR_NOMEM) {
        http_small_answer(a, 503, "text/plain", slice_of(no_room));
        return;
    }
    if (a->body.failed != ERR_OK) {
        http_small_answer(a, 413, "text/plain", SLICE("the request is too large\n"));
        return;
    }
    a->shown = true;
    a->of->c.ask(a->of->c.owner, a);
}

static void on_gone(void *call_state, enum reason why)
{
    struct http_small_ask *a = call_state;

    (void)why;
    if (a != NULL)
        a->conn->busy = false;
    if (a != NULL && a->of != NULL && a->shown) /* its owner has still to answer */
        a->call = NULL;
    else
        ask_free(a);
}

static void on_sent(void *call_state)
{
    struct http_small_ask *a = call_state;

    if (a != NULL)
        a->conn->busy = false;
    ask_free(a);
}

static void on_malformed(void *conn_state, struct http_call *call, enum reason why, const char *what, struct slice raw)
{
    (void)conn_state, (void)why, (void)raw;
    reply(call, 400, "text/plain", slice_of(what), true);
}

static void on_room(void *call_state)
{
    (void)call_state;
}

static const struct http_service service = { .open = on_open,
                                             .close = on_close,
                                             .head = on_head,
                                             .body = on_body,
                                             .end = on_end,
                                             .room = on_room,
                                             .gone = on_gone,
                                             .sent = on_sent,
                                             .malformed = on_malformed };

static void on_accept(void *arg, int fd)
{
    struct http_small *s = arg;
    struct http_limits limits = { .body = 10000, .idle = 75000 };

    (void)!http_serve(s->loop, fd, s->tls, &limits, &service, s); /* refused: it is closed */
}

struct http_small *http_small_new(struct loop *l, int fd, struct tls_context *tls, const struct http_small_config *c)
{
    struct http_small *s = mem_zalloc(sizeof *s);

    if (s == NULL)
        return NULL;
    *s = (struct http_small){ .c = *c, .loop = l, .tls = tls };
    s->acceptor = acceptor_new(l, fd, on_accept, s);
    if (s->acceptor == NULL)
        return http_small_free(s);
    if (c->door != NULL)
        acceptor_yields(s->acceptor, c->door);
    return s;
}

void http_small_tls(struct http_small *s, struct tls_context *tls)
{
    s->tls = tls;
}

struct http_small *http_small_free(struct http_small *s)
{
    if (s == NULL)
        return NULL;
    s->acceptor = s->acceptor != NULL ? acceptor_free(s->acceptor) : NULL;
    while (s->open != NULL)
        http_conn_abort(s->open->http, REASON_DRAINING);
    return mem_free(s);
}
