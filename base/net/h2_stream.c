/* A stream: one request in, its alarms, and the end of its call. Answering is in h2_answer.c. Invariants: a stream is
 * freed when nghttp2 has forgotten it and its owner hears nothing more of it; the owner is called from nghttp2's input
 * callbacks and from the end of the turn only. */
#include "base/net/h2.h"

enum { TAIL_MAX = 4096, HEAD_PAYS = 4 * 256 }; /* what a request may bring of other frames: priority, windows, pings */

static struct h2 *h2_of(const struct h2_stream *s)
{
    return s->call.conn->h2;
}

static int64_t limit_of(const struct h2_stream *s)
{
    const struct http_limits *l = &s->call.conn->limits;

    switch (s->wait) {
    case H2_HEAD:
        return l->head;
    case H2_BODY:
        return l->body;
    case H2_REST:
        return HTTP_LINGER_MS;
    default:
        return l->write;
    }
}

/* The answer is whole, the request is not, and nobody wants its rest (RFC 9113 section 8.1). Not at once: clients that
 * are told while they send lose the answer (curl 7.88 among them). */
static void stop_sending(struct h2_stream *s)
{
    if (!s->closed)
        nghttp2_submit_rst_stream(h2_of(s)->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
    conn_wake(s->call.conn);
}

/* It cannot send: what others sent, and their owners do not want yet, has used up the connection's window. */
static bool held_up(const struct h2_stream *s)
{
    return s->wait == H2_BODY && nghttp2_session_get_local_window_size(h2_of(s)->session) < H2_PIECE;
}

/* A slow reader or writer loses its stream; a head that does not end holds up everybody on the connection. */
static void on_alarm(struct alarm *a)
{
    struct h2_stream *s = (struct h2_stream *)((char *)a - offsetof(struct h2_stream, alarm));
    struct http_conn *c = s->call.conn;

    if (s->wait == H2_HEAD) {
        h2_violate(h2_of(s), NGHTTP2_ENHANCE_YOUR_CALM, REASON_REQUEST_TIMEOUT, "the head did not arrive in time");
    } else if (s->wait == H2_REST) {
        stop_sending(s);
    } else if (s->moved >= (uint64_t)limit_of(s) * c->limits.rate / 1000 || held_up(s)) {
        s->moved = 0;
        alarm_set(c->loop, a, limit_of(s));
    } else {
        nghttp2_submit_rst_stream(c->h2->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
        conn_wake(c);
        h2_stream_gone(s, s->wait == H2_BODY ? REASON_REQUEST_TIMEOUT : REASON_CONSUMER_SLOW);
    }
}

static enum h2_wait waits_for(const struct h2_stream *s)
{
    if (!s->headed)
        return H2_HEAD;
    if (s->packed)
        return s->request_done || s->closed ? H2_NOTHING : H2_REST;
    if (!s->call.open)
        return H2_NOTHING;
    if (s->out.n > 0 || s->answer_ended) /* an end can wait for the peer even where no byte does */
        return H2_READER;
    return s->request_done || s->paused ? H2_NOTHING : H2_BODY;
}

/* Progress does not move an alarm: a byte now and then would keep the stream for ever. */
void h2_stream_arm(struct h2_stream *s)
{
    enum h2_wait now = waits_for(s);

    if (now == s->wait)
        return;
    s->wait = (uint8_t)now;
    s->moved = 0;
    if (now == H2_NOTHING)
        alarm_clear(&s->alarm);
    else
        alarm_set(s->call.conn->loop, &s->alarm, limit_of(s));
}

/* ---- life ---- */

/* Frame by frame in turn: else nghttp2 gives the connection's window to the oldest stream as long as that has anything
 * to say, and the others seem not to be read (RFC 9218 section 4.2, whose default this is). */
static const nghttp2_extpri in_turn = { .urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1 };

struct h2_stream *h2_stream_new(struct h2 *h, int32_t id)
{
    struct h2_stream *s = mem_zalloc(sizeof *s);

    if (s == NULL || nghttp2_session_change_extpri_stream_priority(h->session, id, &in_turn, 1) != 0 ||
        nghttp2_session_set_stream_user_data(h->session, id, s) != 0)
        return mem_free(s);
    s->call.conn = h->conn;
    s->id = id;
    buf_init(&s->in, H2_WINDOW);
    buf_init(&s->out, H2_HELD + h->conn->limits.window);
    buf_init(&s->tail, TAIL_MAX);
    alarm_init(&s->alarm, on_alarm);
    s->next = h->streams;
    s->pprev = &h->streams;
    if (s->next)
        s->next->pprev = &s->next;
    h->streams = s;
    if (h->n_streams++ == 0)
        conn_arm(h->conn);
    h2_stream_arm(s);
    return s;
}

struct h2_stream *h2_stream_of(struct h2 *h, int32_t id)
{
    return id > 0 ? nghttp2_session_get_stream_user_data(h->session, id) : NULL;
}

static void unlink_stream(struct h2_stream *s)
{
    *s->pprev = s->next;
    if (s->next)
        s->next->pprev = s->pprev;
    alarm_clear(&s->alarm);
}

static void *release(struct h2_stream *s)
{
    buf_done(&s->in);
    buf_done(&s->out);
    buf_done(&s->tail);
    return mem_free(s);
}

void h2_streams_free(struct h2 *h)
{
    struct h2_stream *s;

    while ((s = h->streams) != NULL) {
        unlink_stream(s);
        release(s);
    }
    h->ready = NULL;
    h->n_streams = h->n_open = 0;
}

static void bury(struct grave *g)
{
    release((struct h2_stream *)((char *)g - offsetof(struct h2_stream, grave)));
}

static void stream_bury(struct h2_stream *s)
{
    struct h2 *h = h2_of(s);

    unlink_stream(s);
    if (--h->n_streams == 0) {
        h->since = loop_now(h->conn->loop);
        conn_wake(h->conn);
    }
    loop_bury(h->conn->loop, &s->grave, bury);
}

/* ---- the end of a call ---- */
static void *let_go(struct h2_stream *s)
{
    void *state = s->call.state;

    h2_of(s)->n_open -= !s->mute;
    s->call.open = false;
    s->call.state = NULL;
    return state;
}

void h2_stream_gone(struct h2_stream *s, enum reason why)
{
    void *state;

    if (!s->call.open)
        return;
    state = let_go(s);
    if (!s->mute)
        h2_stream_arm(s);
    if (state)
        s->call.conn->service->gone(state, why);
}

void h2_attempt(struct h2 *h, enum reason why, const char *what)
{
    struct http_conn *c = h->conn;
    struct h2_stream ghost = { .call = { .conn = c, .open = true }, .mute = true };

    if (c->owner == NULL)
        return;
    c->service->malformed(c->owner, &ghost.call, why, what, (struct slice){ 0 });
    h2_stream_gone(&ghost, why);
}

void h2_stream_closed(struct h2_stream *s, enum reason why)
{
    s->closed = true;
    h2_stream_arm(s);
    h2_stream_ready(s);
    if (!s->packed) /* else the answer is whole, and sent with the connection's output */
        h2_stream_gone(s, s->doom != REASON_INTERNAL ? (enum reason)s->doom : why);
}

static void list_ready(struct h2_stream *s)
{
    struct h2 *h = h2_of(s);

    if (s->ready)
        return;
    s->ready = true;
    s->next_ready = h->ready;
    h->ready = s;
}

void h2_stream_ready(struct h2_stream *s)
{
    list_ready(s);
    conn_wake(s->call.conn);
}

/* ---- the request ---- */
static bool listens(const struct h2_stream *s)
{
    return s->call.open && s->call.state != NULL && !s->answer_ended && !s->refused && s->doom == REASON_INTERNAL;
}

static void refuse(struct h2_stream *s, enum reason why, const char *what)
{
    struct http_conn *c = s->call.conn;

    s->refused = true;
    c->service->malformed(c->owner, &s->call, why, what, buf_slice(&c->h2->fields.text));
}

static void invite(struct h2_stream *s)
{
    static uint8_t name[] = ":status", value[] = "100";
    const nghttp2_nv nv = { name, value, 7, 3, NGHTTP2_NV_FLAG_NONE };

    if (!s->expects || s->paused)
        return;
    s->expects = false;
    if (listens(s) && !s->replied)
        nghttp2_submit_headers(h2_of(s)->session, NGHTTP2_FLAG_NONE, s->id, NULL, &nv, 1, NULL);
}

void h2_stream_wanted(struct h2_stream *s)
{
    invite(s);
    h2_stream_ready(s);
}

void h2_stream_request(struct h2_stream *s, bool ends)
{
    struct http_conn *c = s->call.conn;
    struct h2 *h = c->h2;
    struct http_head head;
    const char *why;

    s->headed = s->call.open = true;
    h->n_open++;
    h2_stream_arm(s);
    if (h->leaving && ++h->behind > c->limits.streams) {
        h2_violate(h, NGHTTP2_ENHANCE_YOUR_CALM, REASON_RATE_LIMITED, "requests for ever behind a GOAWAY");
        return;
    }
    if (++c->served >= c->limits.requests)
        h2_leave(h);
    if (h->fields.text.failed == ERR_NOMEM) {
        conn_doom(c, REASON_OVERLOADED);
    } else if (h2_fields_too_large(&h->fields)) {
        refuse(s, REASON_REQUEST_TOO_LARGE, "a header list over limits.head_bytes or limits.head_fields");
    } else if ((why = h2_fields_head(&h->fields, ends, &head)) != NULL) {
        refuse(s, REASON_REQUEST_MALFORMED, why);
    } else {
        s->head_only = slice_is(head.method, "HEAD");
        h2_earn(&h->frames, c->limits.frames, HEAD_PAYS);
        c->service->head(c->owner, &s->call, &head);
        s->expects = head.expect_continue && !ends;
        if (c->state != CONN_DEAD)
            invite(s);
    }
    if (c->state != CONN_DEAD)
        h2_fields_begin(&h->fields, &c->limits);
}

/* The peer may send so much again, and is told when the turn ends: it may have nothing left to say until it is. */
static void consume(struct h2_stream *s, size_t n)
{
    conn_wake(s->call.conn);
    if (nghttp2_session_consume(h2_of(s)->session, s->id, n) == NGHTTP2_ERR_NOMEM)
        conn_doom(s->call.conn, REASON_OVERLOADED);
}

/* What its owner does not want yet. Beyond its window nghttp2 resets the stream: what it shows before is dropped. */
static void park(struct h2_stream *s, struct slice bytes)
{
    struct h2 *h = h2_of(s);

    s->expects = false;
    buf_reserve(&s->in, H2_WINDOW - s->in.n); /* pages that nothing came for take none; growing leaves copies behind */
    buf_put(&s->in, bytes);
    if (s->in.failed == ERR_NOMEM)
        conn_doom(s->call.conn, REASON_OVERLOADED);
    if (s->in.failed != ERR_OK || h->parked + bytes.n > H2_PARKED)
        return;
    s->parked += bytes.n;
    h->parked += bytes.n;
    if (nghttp2_session_consume_connection(h->session, bytes.n) == NGHTTP2_ERR_NOMEM)
        conn_doom(s->call.conn, REASON_OVERLOADED);
}

/* The first n bytes of it are gone: the peer may send as many. */
static void unpark(struct h2_stream *s, size_t n)
{
    struct h2 *h = h2_of(s);
    size_t known = n < s->parked ? n : s->parked; /* to the connection's window */

    buf_drop(&s->in, n);
    s->parked -= known;
    h->parked -= known;
    if (nghttp2_session_consume_connection(h->session, n - known) == NGHTTP2_ERR_NOMEM ||
        (!s->closed && nghttp2_session_consume_stream(h->session, s->id, n) == NGHTTP2_ERR_NOMEM))
        conn_doom(s->call.conn, REASON_OVERLOADED);
    conn_wake(s->call.conn); /* windows may have to be opened */
}

void h2_stream_body(struct h2_stream *s, struct slice bytes)
{
    s->moved += s->wait == H2_BODY || s->wait == H2_REST ? (uint32_t)bytes.n : 0;
    if (s->wait == H2_REST && s->moved > HTTP_DISCARD_MAX)
        stop_sending(s);
    if (listens(s) && (s->paused || s->in.n > 0)) {
        park(s, bytes);
        return;
    }
    if (listens(s) && bytes.n > 0)
        s->call.conn->service->body(s->call.state, bytes);
    if (s->call.conn->state != CONN_DEAD)
        consume(s, bytes.n);
}

void h2_stream_end(struct h2_stream *s)
{
    s->request_done = true;
    h2_stream_arm(s);
    if (listens(s) && s->in.n == 0)
        s->call.conn->service->end(s->call.state);
}

/* What came while the owner did not want it, as long as it does now. */
static void deliver(struct h2_stream *s)
{
    struct http_conn *c = s->call.conn;

    while (listens(s) && !s->paused && s->in.n > 0) {
        struct slice piece = slice_sub(buf_slice(&s->in), 0, H2_PIECE);
        c->service->body(s->call.state, piece);
        if (c->state == CONN_DEAD)
            return;
        unpark(s, piece.n);
    }
    if (s->in.n > 0)
        return;
    buf_done(&s->in);
    h2_stream_arm(s);
    if (s->request_done && listens(s))
        c->service->end(s->call.state);
}

/* What came, and nobody will want any more: it held some of the connection's window. */
static void drop(struct h2_stream *s)
{
    unpark(s, s->in.n);
    buf_done(&s->in);
}

/* ---- the end of the turn ---- */
static void settle(struct h2_stream *s)
{
    struct h2 *h = h2_of(s);
    struct http_conn *c = h->conn;
    void *state;

    if (s->doom != REASON_INTERNAL)
        h2_stream_gone(s, (enum reason)s->doom);
    if (s->call.open && s->packed && s->answer_ended) {
        if (h->packed - c->out.n < s->ends_at) {
            list_ready(s); /* not yet in the kernel's hands: the socket will wake us */
            return;
        }
        state = let_go(s);
        h2_stream_arm(s);
        if (state)
            c->service->sent(state);
    }
    if (listens(s) && !s->paused && s->in.n > 0)
        deliver(s);
    if (!listens(s) && s->in.n > 0 && c->state != CONN_DEAD)
        drop(s);
    if (listens(s) && s->full && s->out.n < H2_HELD / 2) {
        s->full = false;
        c->service->room(s->call.state);
    }
    if (s->closed && !s->call.open && c->state != CONN_DEAD)
        stream_bury(s);
}

void h2_streams_settle(struct h2 *h)
{
    struct h2_stream *s = h->ready, *next;

    h->ready = NULL;
    for (; s != NULL; s = next) {
        next = s->next_ready;
        s->ready = false;
        if (h->conn->state != CONN_DEAD)
            settle(s);
    }
}
