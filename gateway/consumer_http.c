/* The consumer endpoint over HTTP/1 and HTTP/2, whose calls base/net shows as one: joins them with exchanges. Its table
 * of functions is what an exchange answers through. */
#include "gateway/calm.h"
#include "gateway/problem.h"
#include "gateway/upload.h"

/* ---- answering ---- */
static void http_head(void *call, const struct http_reply *r)
{
    http_reply_head(call, r);
}

static size_t http_body(void *call, struct slice bytes)
{
    return http_reply_body(call, bytes);
}

static void http_end(void *call, const struct http_header *trailers, size_t n)
{
    http_reply_end(call, trailers, n);
}

static void http_abort(void *call)
{
    http_reply_abort(call);
}

static size_t http_room(void *call)
{
    return http_reply_room(call);
}

static void http_read(void *call, bool on)
{
    http_call_read(call, on);
}

static const struct consumer_ops http_ops = { http_head, http_body, http_end, http_abort, http_room, http_read };

/* ---- connections ---- */

/* A stranger's name is anybody's choice; where it comes from is not. */
static uint32_t slot_of(const struct connection *c)
{
    const struct tally *t = &c->w->begun_each;
    char source[ADDRESS_TEXT];

    if (c->peer && c->peer->verdict == REASON_GRANTED)
        return tally_slot(t, slice_of(c->peer->uri));
    address_source(c->address, source);
    return tally_slot(t, slice_of(source));
}

/* All strangers are one. */
static struct slice group_of(const struct connection *c)
{
    struct slice object = slice_of(c->peer && c->peer->verdict == REASON_GRANTED ? c->peer->object : "");

    return slice_sub(object, 0, slice_find(object, '/'));
}

static bool take_place(struct worker *w, uint32_t slot)
{
    if (!running_enter(w->cfg.connections))
        return false;
    if (running_enter_each(w->cfg.connections, slot))
        return true;
    running_leave(w->cfg.connections);
    return false;
}

static void *on_open(void *arg, struct http_conn *http)
{
    struct worker *w = arg;
    struct connection *c = mem_zalloc(sizeof *c);

    if (c == NULL)
        return NULL;
    c->w = w;
    c->http = http;
    c->peer = trust_peer(http_conn_peer(http));
    c->trust_generation = 0; /* trust may have changed within the handshake: the first exchange looks again */
    http_conn_address(http, c->address, sizeof c->address);
    c->slot = slot_of(c);
    if (!take_place(w, c->slot)) {
        COUNT(w, connections_over, 1);
        return mem_free(c);
    }
    c->group = tally_slot(&w->begun_group, group_of(c));
    c->since = loop_now(w->loop);
    c->pprev = w->connections_end;
    *c->pprev = c;
    w->connections_end = &c->next;
    w->n_connections++;
    COUNT(w, connections_opened, 1);
    worker_second_later(w);
    return c;
}

static void on_close(void *conn_state)
{
    struct connection *c = conn_state;

    *c->pprev = c->next;
    if (c->next)
        c->next->pprev = c->pprev;
    else
        c->w->connections_end = c->pprev;
    c->w->n_connections--;
    running_leave_each(c->w->cfg.connections, c->slot);
    running_leave(c->w->cfg.connections);
    COUNT(c->w, connections_closed, 1);
    mem_free(c);
}

static bool on_hold(void *arg, size_t n, bool comes)
{
    struct worker *w = arg;

    if (comes ? w->n_connections + w->door.now < CONNECTIONS_FEW || pressure_begin(w->cfg.pressure, n)
              : pressure_stand(w->cfg.pressure, n))
        return true;
    calm_later(w);
    return false;
}

/* ---- calls ---- */

/* Is there a place for one more that has only begun? Exchanges that wait for their bodies are not admitted yet, nor are
 * refusals that nobody takes ever, and over HTTP/2 a connection has many: nobody's take the places of the others. A few
 * are always let in, to be refused in words when memory is short. */
static enum reason place(const struct connection *c)
{
    struct worker *w = c->w;
    size_t begun = w->n_exchanges - w->n_admitted;

    if (!tally_room(&w->begun_each, c->slot, 1) || !tally_room(&w->begun_group, c->group, 1))
        return REASON_RATE_LIMITED;
    if (begun >= (size_t)w->begun_each.most * BEGUN_ALL)
        return REASON_OVERLOADED;
    if (begun < BEGUN_FEW || pressure_begin(w->cfg.pressure, PRESSURE_BEGUN))
        return REASON_GRANTED;
    calm_later(w);
    return REASON_OVERLOADED;
}

/* An attempt that becomes an exchange; or one that is turned away without memory, and counted. */
static struct exchange *begin(struct connection *c, struct http_call *call)
{
    struct worker *w = c->w;
    enum reason why = place(c);
    struct exchange *x = why == REASON_GRANTED ? exchange_new(w, c, &http_ops, call) : NULL;

    if (x == NULL) {
        flood_count(&w->flood, why == REASON_GRANTED ? REASON_OVERLOADED : why, clock_wall_ms());
        COUNT(w, counted, 1);
        http_reply_abort(call);
        return NULL;
    }
    http_call_set(call, x);
    return x;
}

static void on_head(void *conn_state, struct http_call *call, const struct http_head *h)
{
    struct connection *c = conn_state;
    struct exchange *x = begin(c, call);

    if (x == NULL)
        return;
    ask_remember(x, call, h);
    x->body_told = h->has_length ? h->length : 0;
    exchange_resume(x);
    if (h->expect_continue && x->state >= EX_OUTCOME && x->call != NULL)
        http_call_read(call, false); /* refused: the body is not asked for */
}

/* Of all bodies together in this worker; one has room in any case. */
static size_t bodies_most(const struct worker *w)
{
    const struct limit_settings *l = &w->cfg.settings->limits;
    uint64_t share = l->bodies / w->cfg.workers;

    return share > l->body ? share : l->body;
}

/* Room for n bytes more of a body that waits for its end: it is not admitted yet, and grows. */
static bool body_room(struct exchange *x, size_t n)
{
    struct worker *w = x->w;
    size_t kib = worker_body_kib(x->body_counted + n) - worker_body_kib(x->body_counted);
    bool fits = w->body_bytes + n <= bodies_most(w);

    if (!tally_room(&w->bodies_each, x->group, kib)) {
        exchange_fail(x, REASON_RATE_LIMITED, "too much of your department's request bodies is under way at once",
                      "本部门同时传送的请求正文过多");
        return false;
    }
    if (!fits || !pressure_take(w->cfg.pressure, n)) {
        exchange_fail(x, REASON_OVERLOADED, fits ? "the gateway's memory is short" : NULL,
                      fits ? "网关内存不足" : NULL);
        return false;
    }
    tally_add(&w->bodies_each, x->group, kib);
    w->body_bytes += n;
    x->body_counted += n;
    x->body_promised += n;
    pressure_promise(w->cfg.pressure, (int64_t)n);
    return true;
}

/* A body whose length is told has room for all of it or is refused at its first bytes, while others are held on; its
 * memory is had at once, for pages that nothing came for take none, and a buffer that grows is there twice for a while.
 */
static bool body_put(struct exchange *x, struct slice bytes)
{
    size_t told = x->body.p == NULL && x->body_told <= x->body.cap ? (size_t)x->body_told : 0;

    if (told > bytes.n && (!body_room(x, told) || buf_reserve(&x->body, told) == NULL))
        return false;
    if (bytes.n > x->body_promised && !body_room(x, bytes.n - x->body_promised))
        return false;
    x->body_promised -= bytes.n;
    pressure_promise(x->w->cfg.pressure, -(int64_t)bytes.n);
    buf_put(&x->body, bytes);
    return x->body.failed == ERR_OK;
}

static void on_body(void *call_state, struct slice bytes)
{
    struct exchange *x = call_state;

    if (x->state >= EX_OUTCOME || bytes.n == 0)
        return; /* decided already: nobody's body is kept for nothing */
    if (x->up != NULL) {
        upload_body(x, bytes);
        return;
    }
    if (body_put(x, bytes))
        return;
    if (x->body.failed == ERR_NOMEM)
        exchange_fail(x, REASON_OVERLOADED, NULL, NULL);
    else if (x->body.failed != ERR_OK)
        exchange_fail(x, REASON_REQUEST_TOO_LARGE, "the body exceeds limits.body", "正文超过 limits.body");
    exchange_resume(x);
}

static void on_end(void *call_state)
{
    struct exchange *x = call_state;

    x->body_done = true;
    if (x->up != NULL)
        upload_end(x);
    exchange_resume(x);
}

static void on_room(void *call_state)
{
    exchange_resume(call_state);
}

static void on_gone(void *call_state, enum reason why)
{
    exchange_consumer_gone(call_state, why);
}

static void on_sent(void *call_state)
{
    exchange_consumer_sent(call_state);
}

/* Bytes that were no request are an attempt too. */
static void on_malformed(void *conn_state, struct http_call *call, enum reason why, const char *what, struct slice raw)
{
    struct connection *c = conn_state;
    struct exchange *x = begin(c, call);

    if (x == NULL)
        return;
    x->ask.lang = (enum lang)c->w->cfg.settings->language;
    x->raw = arena_dup(&x->arena, raw);
    x->reason = why;
    x->detail[LANG_EN] = what;
    x->detail[LANG_ZH] = problem_malformed_zh(what);
    exchange_resume(x);
}

const struct http_service consumer_service = {
    .open = on_open,
    .close = on_close,
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .room = on_room,
    .gone = on_gone,
    .sent = on_sent,
    .malformed = on_malformed,
    .hold = on_hold,
};
