/* One exchange with a provider. States: WAITING (for a place or the rate) -> RUNNING -> OVER. Invariants:
 *   - nothing calls back before connector_start has returned, nor after connector_abort;
 *   - a running call holds one place of its target (health.c) and one connection; both are given back before its last
 *     callback, so that this may start another;
 *   - a request is sent a second time at most once, on a fresh connection, when the kept one turned out stale before a
 *     byte of an answer, and either none of it had left or its manifest says that asking again changes nothing. */
#include "connectors/health.h"

enum call_state { CALL_WAITING, CALL_RUNNING, CALL_OVER };
enum { POLL_MS = 2, HEADERS_MAX = 32, TEXT_KEPT = 256 * 1024 };

/* ---- rendering ---- */
static bool may_set(const struct connector_target *t, struct slice name)
{
    return !header_reserved(name) && !slice_eq_nocase(name, t->auth_name);
}

/* The headers that differ between requests, behind n others. */
static size_t put_headers(const struct connector_target *t, const struct connector_request *q, struct http_header *h,
                          size_t n)
{
    if (t->auth)
        h[n++] = (struct http_header){ t->auth_name, slice_of(t->auth) };
    if (q->content_type.n > 0)
        h[n++] = (struct http_header){ SLICE("Content-Type"), q->content_type };
    for (size_t i = 0; i < q->n_headers && n < HEADERS_MAX; i++)
        if (may_set(t, q->headers[i].name))
            h[n++] = q->headers[i];
    return n;
}

static enum err put_request(const struct connector_target *t, const struct connector_request *q, struct slice target,
                            struct buf *text)
{
    struct http_header h[HEADERS_MAX];
    size_t n;

    if (q->accept.n == 0 && t->lines.n > 0 && !q->streams)
        return http_request_put_lines(text, q->method, target, t->lines, h, put_headers(t, q, h, 0), q->body);
    n = target_headers(t, h);
    if (q->accept.n > 0)
        h[0].value = q->accept;
    n = put_headers(t, q, h, n);
    if (q->streams)
        return http_request_head_put(text, q->method, target, t->host, h, n, q->length);
    return http_request_put(text, q->method, target, t->host, h, n, q->body);
}

/* The endpoint's path, then what the mapping appends: "", "/a/b" or "?x=1". */
static struct slice join(const struct connector_target *t, struct slice target, char *out, size_t room)
{
    struct slice path = t->path;

    if (target.n > 0 && target.p[0] == '/' && slice_ends(path, SLICE("/")))
        path.n--;
    if (path.n == 0 && (target.n == 0 || target.p[0] != '/'))
        path = SLICE("/");
    if (path.n + target.n > room)
        return (struct slice){ 0 };
    memcpy(out, path.p, path.n);
    if (target.n > 0)
        memcpy(out + path.n, target.p, target.n);
    return (struct slice){ out, path.n + target.n };
}

static enum err call_new(struct entry *e, const struct connector_request *q, struct connector_call **ret)
{
    char target[20 * 1024];
    struct buf *text = &e->pool->text;
    struct slice joined = join(e->target, q->target, target, sizeof target);
    struct connector_call *c;
    enum err err;

    if (joined.n == 0)
        return ERR_TOO_LARGE;
    buf_clear(text);
    err = put_request(e->target, q, joined, text);
    if (err == ERR_OK && (c = mem_alloc(sizeof *c + text->n)) != NULL) {
        memset(c, 0, sizeof *c);
        memcpy(c->text, text->p, text->n);
        c->n = text->n;
        c->entry = e;
        c->safe = q->safe;
        c->streams = q->streams;
        c->length = q->length;
        c->head_method = slice_is(q->method, "HEAD");
        *ret = c;
    } else if (err == ERR_OK) {
        err = ERR_NOMEM;
    }
    if (text->p)
        mem_wipe(text->p, text->n);
    if (text->room > TEXT_KEPT)
        buf_done(text);
    return err;
}

/* ---- life ---- */
static void bury_call(struct grave *g)
{
    struct connector_call *c = (struct connector_call *)((char *)g - offsetof(struct connector_call, grave));

    mem_wipe(c->text, c->n);
    mem_free(c);
}

/* Give back what it holds. The memory stays until the turn is over. */
static void call_over(struct connector_call *c)
{
    if (c->state == CALL_WAITING) {
        queue_remove(c->entry, c);
    } else {
        share_leave(c->entry->target, c->slot);
        health_leave(c->entry->target);
        calls_wake(c->entry);
    }
    c->state = CALL_OVER;
    c->conn = NULL;
    loop_bury(c->entry->pool->loop, &c->grave, bury_call);
}

/* Why a call that could not be sent was not. */
static enum reason unsent(enum err e, enum reason otherwise)
{
    return e == ERR_NOMEM ? REASON_OVERLOADED : e == ERR_NOT_FOUND ? REASON_PROVIDER_UNPREPARED : otherwise;
}

static void call_fail(struct connector_call *c, enum reason why, enum reached reached)
{
    call_over(c);
    c->events->fail(c->user, why, reached);
}

/* Until the head must be there; one more try, or one more address, has no time of its own. */
static int64_t time_left(const struct connector_call *c)
{
    int64_t ms = c->due - loop_now(c->entry->pool->loop);

    return ms > 1 ? ms : 1;
}

static enum err send_on(struct connector_call *c, struct conn *k)
{
    struct slice text = { c->text, c->n };
    enum err e = c->streams ? http_client_begin(k->http, text, c->length, c->entry->target->timeout)
                            : http_client_send(k->http, text, c->head_method, time_left(c));

    if (e != ERR_OK)
        return e;
    http_client_pauses(k->http, c->entry->target->timeout); /* however late in the call's time it is sent */
    k->call = c;
    c->conn = k;
    return ERR_OK;
}

static enum err connect_and_send(struct connector_call *c)
{
    struct conn *k = NULL;
    enum err e = pool_connect(c->entry, time_left(c), &k);

    if (e != ERR_OK)
        return e;
    k->call = c; /* pool_close counts those without a call as idle */
    e = send_on(c, k);
    if (e != ERR_OK)
        pool_close(k);
    return e;
}

static enum err send_fresh(struct connector_call *c)
{
    c->tried = loop_now(c->entry->pool->loop);
    if (!health_may_connect(c->entry->target, c->tried))
        return ERR_AGAIN;
    return connect_and_send(c);
}

/* A kept connection may turn out stale, and a body that streams cannot be sent again: it has a fresh one. */
static enum err send_any(struct connector_call *c)
{
    struct conn *k;

    if (!health_may_ask(c->entry->target, c->slot, loop_now(c->entry->pool->loop)))
        return ERR_AGAIN;
    while (!c->streams && (k = pool_take(c->entry)) != NULL) {
        k->call = c;
        if (send_on(c, k) == ERR_OK)
            return ERR_OK;
        pool_close(k);
    }
    return send_fresh(c);
}

/* ERR_BUSY: no place, or ahead of the rate; ERR_DENIED: the places left are kept for others; ERR_NOT_FOUND: its target
 * lacks something. Never calls back. */
static enum err launch(struct connector_call *c)
{
    struct connector_target *t = c->entry->target;
    int64_t now = loop_now(c->entry->pool->loop), before = c->due;
    enum health h = health_admit(t, c->entry->pool->worker, c->slot, now);
    enum err e;

    if (h != HEALTH_OK)
        return h == HEALTH_FULL ? ERR_BUSY : ERR_DENIED;
    c->due = now + t->timeout;
    e = send_any(c);
    if (e == ERR_OK) {
        share_enter(t, c->slot);
        c->state = CALL_RUNNING;
        c->asked = now;
        c->launched = c->streams ? 0 : loop_now_ns(c->entry->pool->loop); /* a body takes its consumer's time */
        return ERR_OK;
    }
    c->due = before;
    health_unsent(t);
    return e == ERR_BUSY ? ERR_AGAIN : e;
}

/* ---- waiting ---- */
static enum err enqueue(struct connector_call *c, struct slice party)
{
    struct entry *e = c->entry;
    enum err err;

    if (e->target->queue == 0)
        return ERR_BUSY;
    if (e->poll == NULL && (e->poll = moment_new(e->pool->loop, calls_poll, e)) == NULL)
        return ERR_NOMEM;
    c->due = loop_now(e->pool->loop) + e->target->queue;
    err = queue_add(e, c, party);
    if (err == ERR_OK && e->queue.n == 1)
        moment_set(e->poll, POLL_MS);
    return err;
}

static void give_up(struct entry *e)
{
    struct connector_call *c;

    while ((c = queue_late(&e->queue, loop_now(e->pool->loop))) != NULL)
        call_fail(c, REASON_PROVIDER_BUSY, REACHED_NO);
}

/* A waiting call's turn: it is started, or fails for good. False: it must wait on. */
static bool launch_waiting(struct entry *e, struct connector_call *c, enum err *why)
{
    struct party *p = c->party;

    *why = launch(c);
    if (*why == ERR_BUSY || *why == ERR_DENIED)
        return false;
    if (*why != ERR_OK) {
        call_fail(c, unsent(*why, REASON_PROVIDER_UNREACHABLE), REACHED_NO);
        return true;
    }
    queue_turn(&e->queue, p);
    queue_remove(e, c);
    return true;
}

/* The first party in turn that may have a place has its oldest call started. False: nobody may. */
static bool launch_next(struct entry *e)
{
    enum err why = ERR_OK;

    for (struct party *p = TAILQ_FIRST(&e->queue.ring); p != NULL && why != ERR_BUSY; p = TAILQ_NEXT(p, link))
        if (launch_waiting(e, TAILQ_FIRST(&p->calls), &why))
            return true;
    return false;
}

void calls_poll(void *entry)
{
    struct entry *e = entry;

    give_up(e);
    while (launch_next(e))
        continue;
    if (e->queue.n > 0)
        moment_set(e->poll, POLL_MS);
}

/* At once, unless others wait: then only who has less than is kept for it. */
static enum err launch_fresh(struct connector_call *c, struct slice party)
{
    struct entry *e = c->entry;
    int64_t now = loop_now(e->pool->loop);

    share_want(e->target, c->slot, now, share_present(e->target, c->slot) + 1);
    if (queue_waiting(&e->queue, party) > 0 || (health_waiting(e->target) > 0 && e->target->rate_us > 0))
        return ERR_BUSY;
    return launch(c);
}

enum err connector_start(struct connector_pool *p, struct connector_target *t, const struct connector_request *q,
                         const struct connector_events *events, void *user, struct connector_call **ret)
{
    struct entry *e;
    struct connector_call *c;
    enum err err;

    if (!target_whole(t))
        return ERR_NOT_FOUND;
    e = pool_entry(p, t);
    if (e == NULL)
        return ERR_NOMEM;
    err = call_new(e, q, &c);
    if (err != ERR_OK)
        return err;
    c->events = events;
    c->user = user;
    c->slot = (uint8_t)share_slot(q->party_hash != 0 ? q->party_hash : slice_hash(q->party, 0));
    err = launch_fresh(c, q->party);
    if (err == ERR_BUSY || err == ERR_DENIED)
        err = enqueue(c, q->party);
    if (err == ERR_OK)
        *ret = c;
    else
        bury_call(&c->grave);
    return err;
}

/* ---- what the connection tells ---- */
static void on_opened(void *user)
{
    struct conn *k = user;

    k->opened = true;
    health_connected(k->entry->target);
}

/* Several fields are one list (RFC 9110 section 5.3): the first does not tell of the others. */
static bool readable_coding(const struct http_head *h)
{
    size_t n;
    struct slice coding = http_get(h, "Content-Encoding", &n);

    return n <= 1 && (coding.n == 0 || slice_eq_nocase(coding, SLICE("identity")));
}

static void on_head(void *user, const struct http_head *h)
{
    struct conn *k = user;
    struct connector_call *c = k->call;
    size_t types = 0;
    struct connector_head told = { .status = h->status, .content_type = http_get(h, "Content-Type", &types) };

    c->answered = true;
    health_answered(k->entry->target, c->slot, loop_now(k->entry->pool->loop));
    told.early = c->streams && !http_client_sent(k->http);
    if (readable_coding(h)) {
        told.exact = (h->has_length || h->chunked) && types <= 1;
        c->events->head(c->user, &told);
        return;
    }
    pool_close(k); /* compressed, though it was told not to */
    call_fail(c, REASON_PROVIDER_MALFORMED, REACHED_YES);
}

static void on_body(void *user, struct slice bytes)
{
    struct connector_call *c = ((struct conn *)user)->call;

    c->events->body(c->user, bytes);
}

static void on_end(void *user, bool reusable)
{
    struct conn *k = user;
    struct connector_call *c = k->call;

    if (reusable)
        pool_keep(k);
    else
        pool_close(k);
    if (c->launched != 0)
        health_served(c->entry->target, (loop_now_ns(c->entry->pool->loop) - c->launched) / 1000);
    call_over(c);
    c->events->end(c->user);
}

static bool may_retry(const struct connector_call *c, const struct conn *k, enum reason why, bool sent)
{
    return k->kept && !c->retried && !c->answered && why == REASON_PROVIDER_UNREACHABLE && (c->safe || !sent);
}

static void fail_by(struct connector_call *c, enum reason why, bool sent)
{
    if (c->answered || why == REASON_PROVIDER_MALFORMED || why == REASON_PROVIDER_CUT)
        call_fail(c, why, REACHED_YES); /* some byte of an answer came */
    else if (why == REASON_PROVIDER_UNREACHABLE && sent)
        call_fail(c, REASON_PROVIDER_CUT, REACHED_UNKNOWN);
    else
        call_fail(c, why, sent ? REACHED_UNKNOWN : REACHED_NO);
}

/* No connection came about. True: the provider has another address, not tried yet, and there is time for it. */
static bool elsewhere(struct connector_call *c, struct conn *k)
{
    struct connector_target *t = k->entry->target;
    int64_t now = loop_now(k->entry->pool->loop);

    if (c->retried && now >= c->due) { /* what the first try had left of its time was too short to tell */
        health_untried(t, c->tried, now);
        return false;
    }
    if (++c->refused < name_unreachable(t->where, &k->to) && now < c->due)
        return true;
    health_unreachable(t, now);
    return false;
}

/* Whoever accepts and then says nothing is as good as away. A body that its consumer had not sent whole proves nothing,
 * nor does a kept connection that was closed: that may be the doing of something between. */
static bool is_silence(const struct connector_call *c, const struct conn *k, enum reason why)
{
    return !c->answered && k->opened && http_client_sent(k->http) &&
           (why == REASON_PROVIDER_TIMEOUT || (why == REASON_PROVIDER_UNREACHABLE && !k->kept));
}

/* What is no answer, or half of one, is not silence either. */
static void note_health(const struct connector_call *c, const struct conn *k, enum reason why)
{
    struct connector_target *t = k->entry->target;
    int64_t now = loop_now(k->entry->pool->loop);

    if (why == REASON_PROVIDER_MALFORMED || why == REASON_PROVIDER_CUT)
        health_answered(t, c->slot, now);
    else if (why == REASON_PROVIDER_UNTRUSTED || why == REASON_GATEWAY_UNTRUSTED)
        health_connected(t); /* it is not away */
    else if (is_silence(c, k, why))
        health_silent(t, c->slot, c->due - t->timeout, now);
}

static void on_fail(void *user, enum reason why, bool sent)
{
    struct conn *k = user;
    struct connector_call *c = k->call;
    bool again;
    enum err e;

    sent = c->sent = c->sent || sent; /* by an earlier try, perhaps */
    again = may_retry(c, k, why, sent);
    if (!k->opened && why == REASON_PROVIDER_UNREACHABLE && elsewhere(c, k)) {
        pool_close(k);
        c->conn = NULL;
        e = connect_and_send(c);
        if (e != ERR_OK)
            fail_by(c, unsent(e, why), sent);
        return;
    }
    if (!again)
        note_health(c, k, why);
    pool_close(k);
    if (!again) {
        fail_by(c, why, sent);
        return;
    }
    c->retried = true;
    c->conn = NULL;
    e = send_fresh(c);
    if (e != ERR_OK)
        fail_by(c, sent ? why : unsent(e, why), sent);
}

static void on_idle_closed(void *user)
{
    pool_close(user);
}

static void on_room(void *user)
{
    struct connector_call *c = ((struct conn *)user)->call;

    if (c->events->room)
        c->events->room(c->user);
}

const struct http_client_events call_events = { .head = on_head,
                                                .body = on_body,
                                                .end = on_end,
                                                .fail = on_fail,
                                                .idle_closed = on_idle_closed,
                                                .opened = on_opened,
                                                .room = on_room };

/* ---- what the owner says ---- */
int64_t connector_asked(const struct connector_call *c)
{
    return c->asked;
}

bool connector_room(const struct connector_call *c)
{
    return c->state == CALL_RUNNING && http_client_room(c->conn->http);
}

enum err connector_put(struct connector_call *c, struct slice bytes)
{
    enum err e = c->state == CALL_RUNNING ? http_client_put(c->conn->http, bytes) : ERR_BUSY;

    return e == ERR_AGAIN ? ERR_OK : e;
}

enum err connector_put_end(struct connector_call *c)
{
    return c->state == CALL_RUNNING ? http_client_put_end(c->conn->http) : ERR_OK;
}

void connector_read(struct connector_call *c, bool on)
{
    if (c->state != CALL_RUNNING)
        return;
    c->launched = 0; /* from here on the consumer's pace counts too */
    http_client_read(c->conn->http, on);
}

void connector_most(struct connector_call *c, size_t n)
{
    if (c->state == CALL_RUNNING)
        http_client_most(c->conn->http, n);
}

struct connector_call *connector_abort(struct connector_call *c)
{
    if (c == NULL || c->state == CALL_OVER)
        return NULL;
    if (c->conn && !c->conn->opened) /* else who asks and leaves would keep the provider from all others */
        health_untried(c->entry->target, c->tried, loop_now(c->entry->pool->loop));
    if (c->conn)
        pool_close(c->conn);
    call_over(c);
    return NULL;
}

void calls_drop(struct entry *e)
{
    while (!TAILQ_EMPTY(&e->queue.ring))
        connector_abort(TAILQ_FIRST(&TAILQ_FIRST(&e->queue.ring)->calls));
    while (!LIST_EMPTY(&e->busy))
        connector_abort(LIST_FIRST(&e->busy)->call);
}
