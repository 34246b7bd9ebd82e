/* What a consumer sends over HTTP/1, understood: heads, bodies, pipelines, and the end. Part of http_server.c's
 * connection; its states and invariants are told there. A plain request is understood where it was read; only what is
 * not whole yet, or waits for the answer before it, is kept in `in`. */
#include "base/net/internal.h"
#include "base/net/http_server.h"

/* HTTP_DISCARD_MAX: a peer hears why its request was refused only if we read on until it has sent it (RFC 9112
 * section 9.6): a body somewhat over limits.body. Who sends more than that, or takes longer than HTTP_LINGER_MS, is
 * reset. */
enum { READS_A_TURN = 8 };

void conn_malformed(struct http_conn *c, enum reason why, const char *what)
{
    struct slice raw = slice_sub(buf_slice(&c->in), 0, c->limits.head_bytes);

    c->closing = true;
    c->request_done = c->peer_closes = false;
    c->state = CONN_BAD; /* whatever follows is discarded with the close */
    c->call.open = true;
    c->call.state = NULL;
    c->head_only = false;
    c->minor = 1;
    stream_want_read(c->stream, false);
    c->service->malformed(c->owner, &c->call, why, what, raw);
    if (c->state != CONN_DEAD) {
        buf_done(&c->in);
        conn_arm(c);
    }
}

/* `behind` bytes of what was read stand behind it. */
static void request_complete(struct http_conn *c, size_t behind)
{
    c->request_done = true;
    c->paused = false; /* there is nothing left to pause */
    if (c->state == CONN_BODY)
        c->state = CONN_ANSWER;
    conn_arm(c);
    /* Reading stays wanted, which costs nothing, so that a consumer that leaves is noticed while its answer is made;
     * but not of one that said it would send nothing more: the end of what it sends is no sign that it left. */
    stream_want_read(c->stream, behind == 0 && !c->peer_closes);
    if (c->call.open && c->call.state && !c->answer_ended)
        c->service->end(c->call.state);
}

static void on_piece(void *arg, struct slice content)
{
    struct http_conn *c = arg;

    if (c->call.open && c->call.state && !c->answer_ended && content.n > 0)
        c->service->body(c->call.state, content);
}

/* A head is known: show it. */
static void conn_head(struct http_conn *c, const struct http_head *head)
{
    c->looked = 0;
    c->state = CONN_BODY;
    c->peer_closes = !head->keep_alive;
    c->closing = !head->keep_alive || ++c->served >= c->limits.requests || c->draining;
    c->head_only = slice_is(head->method, "HEAD");
    c->minor = head->minor;
    c->expect = head->expect_continue && (head->chunked || head->length > 0);
    c->call.open = true;
    c->call.state = NULL;
    c->replied = c->paused = false;
    http_body_init(&c->body, head, true, false);
    c->request_done = c->body.done;
    c->service->head(c->owner, &c->call, head);
}

/* Whoever sends it already need not be told. */
void conn_invite(struct http_conn *c, size_t more)
{
    if (c->paused)
        return;
    c->expect = false;
    if (!c->call.open || c->replied || c->answer_ended || more > 0)
        return;
    buf_puts(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
    conn_wake(c);
}

/* After its head: `more` bytes stand behind it. */
static void conn_after_head(struct http_conn *c, size_t more)
{
    if (c->body.done) {
        request_complete(c, more);
        return;
    }
    if (c->expect)
        conn_invite(c, more);
    conn_arm(c);
    stream_want_read(c->stream, !c->paused);
}

/* n bytes of the input are a head. */
static void conn_take_head(struct http_conn *c, size_t n)
{
    struct http_head head;
    const char *why;
    enum err e = http_head_parse((struct slice){ c->in.p, n }, true, &head, &why);

    if (e == ERR_TOO_LARGE || (e == ERR_OK && head.n > c->limits.head_fields)) {
        conn_malformed(c, REASON_REQUEST_TOO_LARGE, "more header fields than limits.head_fields");
        return;
    }
    if (e != ERR_OK) {
        conn_malformed(c, REASON_REQUEST_MALFORMED, why);
        return;
    }
    conn_head(c, &head);
    if (c->state == CONN_DEAD)
        return;
    buf_drop(&c->in, n);
    conn_after_head(c, c->in.n);
}

/* Framing that breaks in the middle: no answer can be given to that; but one already given goes out. */
static void broken_body(struct http_conn *c)
{
    if (c->call.open && !c->answer_ended) {
        conn_die(c, REASON_REQUEST_MALFORMED, true);
        return;
    }
    c->closing = true;
    c->state = CONN_BAD;
    stream_want_read(c->stream, false);
    conn_arm(c);
}

/* Decode a piece of the body; returns how much of it belonged to the request. */
static size_t conn_body(struct http_conn *c, struct slice in)
{
    size_t used = 0;
    enum err e = http_body_feed(&c->body, in, on_piece, c, &used);

    if (c->state == CONN_DEAD)
        return in.n;
    c->got += used;
    if (e != ERR_OK) {
        broken_body(c);
        return in.n;
    }
    if (c->body.done)
        request_complete(c, in.n - used);
    return used;
}

static void conn_feed_body(struct http_conn *c)
{
    size_t used = conn_body(c, buf_slice(&c->in));

    if (c->state != CONN_DEAD)
        buf_drop(&c->in, used);
}

/* Half a head is kept, and half a TLS record behind it may be, which costs as much as a whole one: of those who have
 * not begun their request there can be thousands. */
static void hold_head(struct http_conn *c, size_t record)
{
    if (conn_hold(c, c->in.room + record))
        return;
    c->calmed = true;
    conn_malformed(c, REASON_OVERLOADED, conn_no_room);
}

/* RFC 9112 section 2.2: before a request. All at once: what stands behind them is moved once, not for each. */
static void skip_empty_lines(struct http_conn *c)
{
    size_t n = 0;

    while (c->in.n - n >= 2 && c->in.p[n] == '\r' && c->in.p[n + 1] == '\n')
        n += 2;
    if (n > 0)
        c->looked = 0;
    buf_drop(&c->in, n);
}

/* No head has begun, and none is owed. */
static bool half_empty_line(const struct http_conn *c)
{
    return c->in.n == 1 && c->in.p[0] == '\r';
}

/* Understand as much of the input as the state allows. */
static void conn_advance(struct http_conn *c)
{
    while (c->state == CONN_IDLE || c->state == CONN_HEAD) {
        size_t n;
        skip_empty_lines(c);
        if (c->in.n == 0)
            break;
        n = http_head_end(buf_slice(&c->in), &c->looked);
        if (n > c->limits.head_bytes || (n == 0 && c->in.n >= c->limits.head_bytes)) {
            conn_malformed(c, REASON_REQUEST_TOO_LARGE, "a head over limits.head_bytes");
        } else if (n == 0) {
            if (c->state == CONN_IDLE && !half_empty_line(c)) {
                c->state = CONN_HEAD;
                conn_arm(c);
            }
            hold_head(c, 0);
            return;
        } else {
            conn_take_head(c, n);
            if (c->state == CONN_BODY && c->in.n > 0 && !c->paused)
                conn_feed_body(c);
        }
    }
    if (c->state == CONN_IDLE && c->in.n == 0)
        buf_done(&c->in);
}

/* Memory is what lacks: what may wait in `in` has its place there. */
static enum reason why_not_kept(const struct http_conn *c)
{
    return c->in.failed == ERR_NOMEM ? REASON_OVERLOADED : REASON_REQUEST_TOO_LARGE;
}

/* A plain head, and what of its body came with it, are understood where they were read; returns what is left. */
static struct slice conn_take_plain(struct http_conn *c, struct slice in)
{
    struct http_head head;
    const struct http_kept *kept = loop_kept(c->loop);
    size_t n = http_kept_find(kept, &c->seen, in, &head);

    if (n == 0 && (n = http_head_plain(in, true, &head)) > 0)
        http_kept_miss(kept, &c->seen, &head);
    if (n == 0 || n > c->limits.head_bytes || head.n > c->limits.head_fields)
        return in; /* what is too large is said where heads are kept */
    conn_head(c, &head);
    in = slice_sub(in, n, in.n);
    if (c->state != CONN_DEAD)
        conn_after_head(c, in.n);
    if (c->state == CONN_BODY && in.n > 0 && !c->paused)
        in = slice_sub(in, conn_body(c, in), in.n);
    return in;
}

/* Input as it was read. What is not understood at once is kept. */
static void conn_take(struct http_conn *c, struct slice in)
{
    if (c->state == CONN_IDLE && c->in.n == 0)
        in = conn_take_plain(c, in);
    else if (c->state == CONN_BODY && !c->request_done && c->in.n == 0 && !c->paused)
        in = slice_sub(in, conn_body(c, in), in.n);
    if (c->state == CONN_DEAD || in.n == 0)
        return;
    buf_put(&c->in, in);
    if (c->in.failed != ERR_OK)
        conn_die(c, why_not_kept(c), true);
    else if (c->state == CONN_BODY && !c->request_done && !c->paused)
        conn_feed_body(c);
    else
        conn_advance(c);
}

/* Input while an answer is being made: the next request of a pipeline, kept for later, or the end: nobody waits for the
 * answer any more. Once it has begun, writing finds out; a failed read would spoil what TLS has still to send. */
static void read_ahead(struct http_conn *c)
{
    bool begun = c->replied || c->answer_ended || c->out.n > 0;
    size_t got = 0;
    enum io io = begun || c->in.n > 0 ? IO_DONE : stream_read(c->stream, loop_scratch(c->loop), CONN_READ, &got);

    if (io == IO_AGAIN)
        return;
    if (io == IO_DONE)
        buf_put(&c->in, (struct slice){ loop_scratch(c->loop), got });
    if (io != IO_DONE || c->in.failed != ERR_OK)
        conn_die(c, io != IO_DONE ? REASON_CONSUMER_GONE : why_not_kept(c), io != IO_EOF);
    else
        stream_want_read(c->stream, false);
}

void conn_readable(struct http_conn *c)
{
    if (c->state == CONN_ANSWER) {
        read_ahead(c);
        return;
    }
    for (unsigned i = 0; i < READS_A_TURN; i++) {
        size_t got = 0;
        enum io io = stream_read(c->stream, loop_scratch(c->loop), CONN_READ, &got);
        if (io == IO_AGAIN) {
            if (c->state == CONN_IDLE || c->state == CONN_HEAD)
                hold_head(c, conn_record(c));
            return;
        }
        if (io != IO_DONE) { /* an answer that has begun must not end as one without a length does */
            conn_die(c, REASON_CONSUMER_GONE, c->replied || c->out.n > 0);
            return;
        }
        if (c->state == CONN_CLOSING) {
            if (!conn_discard(c, got, HTTP_DISCARD_MAX))
                return;
            continue;
        }
        conn_take(c, (struct slice){ loop_scratch(c->loop), got });
        if (c->state == CONN_DEAD || c->state == CONN_ANSWER || c->state == CONN_BAD || c->paused)
            return;
        if (!stream_pending(c->stream) && got < CONN_READ)
            return;
    }
    stream_want_read(c->stream, true); /* more is there: take the next turn */
}

/* Input that waited for the last answer to end, or for the owner to read on. */
void conn_go_on(struct http_conn *c)
{
    if (c->state == CONN_IDLE && c->in.n > 0)
        conn_advance(c);
    else if (c->state == CONN_BODY && !c->paused) {
        conn_arm(c); /* the time that the owner took is not the peer's */
        conn_feed_body(c);
    }
}
