/* One HTTP/1.1 connection of a consumer. It owns the stream, the bytes not yet understood, and the output not yet sent.
 *
 * States: SHAKING -> IDLE -> HEAD (bytes of a head are there) -> BODY -> ANSWER (request complete, answer not ended) ->
 * IDLE …
 * -> CLOSING (last output goes out, input is discarded) -> DEAD; a head that cannot be read leads to BAD instead of
 * BODY: nothing more is read until its answer has gone. Invariants:
 *   - at most one call at a time; the next pipelined head is looked at only when the last answer has ended;
 *   - a head is parsed once, when its empty line has arrived;
 *   - output never exceeds the window plus one reply head; a cut answer never ends cleanly;
 *   - answering (http_reply_*) never calls back: a connection that fails meanwhile dies at the end of the turn;
 *   - after gone() or sent() the call's owner hears nothing more of it. */
#include "base/net/h2.h"
#include "base/net/internal.h"

#include <unistd.h>

enum { REPLY_HEAD = 16 * 1024 };

static const struct http_limits defaults = { .handshake = 10000,
                                             .head = 10000,
                                             .body = 30000,
                                             .idle = 75000,
                                             .write = 60000,
                                             .rate = 240,
                                             .requests = 100000,
                                             .window = 16 * 1024,
                                             .head_bytes = 16 * 1024,
                                             .head_fields = 64,
                                             .streams = 100,
                                             .resets = 200,
                                             .frames = 2000 };

/* ---- life ---- */
static void conn_bury(struct grave *g)
{
    struct http_conn *c = (struct http_conn *)((char *)g - offsetof(struct http_conn, grave));

    buf_done(&c->in);
    buf_done(&c->out);
    c->h2 = h2_free(c->h2);
    mem_free(c);
}

static void call_gone(struct http_conn *c, enum reason why)
{
    void *call = c->call.state;
    bool telling = c->call.open && call != NULL;

    c->call.open = false;
    c->call.state = NULL;
    if (telling)
        c->service->gone(call, why);
}

void conn_die(struct http_conn *c, enum reason why, bool cut)
{
    if (c->state == CONN_DEAD)
        return;
    c->state = CONN_DEAD;
    alarm_clear(&c->alarm);
    c->protocol->gone(c, why);
    if (c->owner && c->service->close)
        c->service->close(c->owner);
    c->owner = NULL;
    c->stream = cut ? stream_abort(c->stream) : stream_close(c->stream);
    loop_bury(c->loop, &c->grave, conn_bury);
}

static void arm(struct http_conn *c)
{
    const struct http_limits *l = &c->limits;

    c->got = 0;
    if (c->state == CONN_IDLE)
        alarm_set(c->loop, &c->alarm, l->idle);
    else if (c->state == CONN_HEAD)
        alarm_set(c->loop, &c->alarm, l->head);
    else if (c->state == CONN_BODY || c->state == CONN_BAD)
        alarm_set(c->loop, &c->alarm, l->body);
    else if (c->state == CONN_CLOSING)
        alarm_set(c->loop, &c->alarm, conn_linger_ms(c));
    else
        alarm_rest(&c->alarm); /* the exchange has its own deadlines */
}

/* Output comes first, and progress does not move its alarm: a byte now and then would keep the connection for ever. */
void conn_arm(struct http_conn *c)
{
    if (c->out.n == 0) {
        c->writing = false;
        c->protocol->arm(c);
    } else if (!c->writing) {
        c->writing = true;
        c->moved = 0;
        alarm_set(c->loop, &c->alarm, c->limits.write);
    }
}

static void on_alarm(struct alarm *a)
{
    struct http_conn *c = (struct http_conn *)((char *)a - offsetof(struct http_conn, alarm));

    if (!c->writing) {
        c->protocol->late(c);
    } else if (!c->calmed && c->moved >= (uint64_t)c->limits.write * c->limits.rate / 1000) {
        c->writing = false;
        conn_arm(c);
    } else {
        conn_die(c, REASON_CONSUMER_SLOW, true);
    }
}

/* ---- output ---- */
void conn_linger(struct http_conn *c)
{
    c->state = CONN_CLOSING;
    buf_done(&c->in);
    stream_finish(c->stream);
    stream_want_read(c->stream, true);
    c->since = loop_now(c->loop);
    c->unsent = stream_unsent(c->stream);
    conn_arm(c);
}

/* What the kernel still has of the last answer would be lost to the next word of a peer that has not read it yet: it
 * takes that at the rate of any output, and then is closed. */
void conn_linger_late(struct http_conn *c)
{
    size_t left = c->calmed ? 0 : stream_unsent(c->stream);
    bool over = loop_now(c->loop) - c->since >= c->limits.write;

    if (left == 0) {
        conn_die(c, REASON_REQUEST_TIMEOUT, false);
    } else if (over && left + (uint64_t)c->limits.write * c->limits.rate / 1000 > c->unsent) {
        conn_die(c, REASON_CONSUMER_SLOW, true);
    } else {
        c->since = over ? loop_now(c->loop) : c->since;
        c->unsent = over ? left : c->unsent;
        alarm_set(c->loop, &c->alarm, conn_linger_ms(c));
    }
}

/* Nothing is under way. */
static void part(struct http_conn *c, enum reason why)
{
    if (stream_unsent(c->stream) > 0)
        conn_linger(c);
    else
        conn_die(c, why, false);
}

static void late(struct http_conn *c)
{
    if (c->state == CONN_HEAD)
        conn_malformed(c, REASON_REQUEST_TIMEOUT, "the head did not arrive in time");
    else if (c->state == CONN_BODY && c->paused && stream_hung_up(c->stream))
        conn_die(c, REASON_CONSUMER_GONE, true);
    else if (c->state == CONN_BODY && (c->paused || c->got >= (uint64_t)c->limits.body * c->limits.rate / 1000))
        conn_arm(c); /* it is the owner who waits, or the peer keeps up */
    else if (c->state == CONN_BODY || c->state == CONN_BAD)
        conn_die(c, REASON_REQUEST_TIMEOUT, true);
    else if (c->state == CONN_CLOSING)
        conn_linger_late(c);
    else if (c->state == CONN_IDLE)
        part(c, REASON_REQUEST_TIMEOUT);
    else
        conn_die(c, REASON_REQUEST_TIMEOUT, false);
}

bool conn_discard(struct http_conn *c, size_t n, size_t most)
{
    c->discarded += (uint32_t)n;
    if (c->discarded <= most)
        return true;
    conn_die(c, REASON_GRANTED, false);
    return false;
}

static void after_answer(struct http_conn *c)
{
    void *state = c->call.state;

    c->call.open = false;
    c->call.state = NULL;
    c->answer_ended = false;
    if (state)
        c->service->sent(state);
    if (c->state == CONN_DEAD)
        return;
    if (c->closing || c->state != CONN_ANSWER) {
        /* Unread request bytes would turn our close into a reset that eats the answer: read on for a moment, unless the
         * peer itself said that nothing more comes. */
        if (c->peer_closes && c->request_done && c->in.n == 0) {
            conn_die(c, REASON_GRANTED, false);
            return;
        }
        conn_linger(c);
        return;
    }
    c->state = CONN_IDLE;
    if (c->in.n == 0 && c->in.room > 0)
        buf_done(&c->in); /* a head came in pieces: the next one may be long in coming */
    stream_want_read(c->stream, true);
    conn_arm(c);
}

/* Until less than `least` bytes are left. False: the peer is gone. */
static bool push_until(struct http_conn *c, size_t least)
{
    size_t before = c->out.n, at = 0;

    while (c->out.n - at >= least) {
        size_t put = 0;
        enum io io = stream_write(c->stream, c->out.p + at, c->out.n - at, &put);
        at += put;
        if (io == IO_AGAIN)
            break;
        if (io != IO_DONE)
            return false;
    }
    buf_drop(&c->out, at);
    c->moved += at;
    if (at > 0 || before > 0)
        conn_arm(c);
    return true;
}

bool conn_push(struct http_conn *c)
{
    bool ok = push_until(c, 1);

    stream_hold(c->stream, false);
    return ok;
}

/* Send what is gathered, and end what thereby ends. Returns false when the connection died. */
static bool conn_flush(struct http_conn *c)
{
    if (c->doom != REASON_INTERNAL || !conn_push(c)) {
        conn_die(c, c->doom != REASON_INTERNAL ? c->doom : REASON_CONSUMER_GONE, true);
        return false;
    }
    if (c->out.n == 0) {
        buf_done(&c->out); /* memory for a connection only while it has leftovers */
        if (c->answer_ended)
            after_answer(c);
    }
    return c->state != CONN_DEAD;
}

static void on_turn_end(struct later *node);

/* Gathered output goes out when the turn's callbacks are done: head, body and last chunk make one TLS record. */
static void flush_later(struct http_conn *c)
{
    if (c->flush_set)
        return;
    c->flush_set = true;
    loop_later(c->loop, &c->flush, on_turn_end);
}

static void turn(struct http_conn *c)
{
    bool was_full = c->out.n >= c->limits.window / 2;

    if (!conn_flush(c))
        return;
    if (was_full)
        conn_room(c);
    conn_go_on(c);
}

static void on_turn_end(struct later *node)
{
    struct http_conn *c = (struct http_conn *)((char *)node - offsetof(struct http_conn, flush));

    c->flush_set = false;
    if (c->state != CONN_DEAD)
        c->protocol->turn(c);
}

void conn_room(struct http_conn *c)
{
    if (c->call.open && !c->answer_ended && c->call.state && c->out.n < c->limits.window / 2)
        c->service->room(c->call.state);
}

void conn_doom(struct http_conn *c, enum reason why)
{
    if (c->doom == REASON_INTERNAL)
        c->doom = (uint8_t)why;
    flush_later(c);
}

void conn_wake(struct http_conn *c)
{
    flush_later(c);
}

/* Before the turn ends only what fills TLS records goes, for a rest of some bytes would be one of its own; and in as
 * few packets as can be: each costs the kernel more than the bytes in it. */
void conn_output(struct http_conn *c)
{
    flush_later(c);
    if (c->out.failed != ERR_OK)
        conn_doom(c, REASON_OVERLOADED);
    if (c->out.failed != ERR_OK || c->out.n < CONN_FLUSH || c->answer_ended)
        return;
    stream_hold(c->stream, true);
    if (!push_until(c, CONN_FLUSH))
        conn_doom(c, REASON_CONSUMER_GONE);
}

void conn_cut(struct http_conn *c)
{
    c->call.open = false;
    c->call.state = NULL;
    conn_die(c, REASON_INTERRUPTED, true);
}

static void drain(struct http_conn *c)
{
    if (c->state == CONN_IDLE && c->in.n <= 1 && c->out.n == 0) /* 1: half an empty line */
        part(c, REASON_DRAINING);
    else
        c->closing = c->closing || c->state > CONN_IDLE;
}

static void calm(struct http_conn *c)
{
    if (c->state == CONN_HEAD)
        conn_malformed(c, REASON_OVERLOADED, conn_no_room);
    else if (c->state != CONN_BAD && c->state != CONN_CLOSING)
        conn_die(c, REASON_OVERLOADED, c->state != CONN_IDLE);
}

static const struct http_protocol http1 = { conn_readable, turn, late, call_gone, drain, calm, arm };

static void on_readable(void *user)
{
    struct http_conn *c = user;

    if (c->held > 0)
        conn_hold_anew(c);
    c->protocol->readable(c);
}

static void on_writable(void *user)
{
    struct http_conn *c = user;

    c->protocol->turn(c);
}

static void on_open(void *user)
{
    struct http_conn *c = user;

    c->state = CONN_IDLE;
    if ((c->limits.http2 || stream_http2(c->stream)) && h2_begin(c) != ERR_OK) {
        conn_die(c, REASON_OVERLOADED, true);
        return;
    }
    c->owner = c->service->open(c->service_arg, c);
    if (c->owner == NULL)
        conn_die(c, REASON_OVERLOADED, true);
    else if (c->draining)
        conn_die(c, REASON_DRAINING, false);
    else
        conn_arm(c);
}

static void on_broken(void *user, enum stream_fault f)
{
    (void)f;
    conn_die(user, REASON_CONSUMER_GONE, true);
}

static const struct stream_events events = { on_open, on_readable, on_writable, on_broken };

static void fill_limits(struct http_limits *l, const struct http_limits *given)
{
    *l = given ? *given : defaults;
    l->handshake = l->handshake ? l->handshake : defaults.handshake;
    l->head = l->head ? l->head : defaults.head;
    l->body = l->body ? l->body : defaults.body;
    l->idle = l->idle ? l->idle : defaults.idle;
    l->write = l->write ? l->write : defaults.write;
    l->rate = l->rate ? l->rate : defaults.rate;
    l->requests = l->requests ? l->requests : defaults.requests;
    l->window = l->window ? l->window : defaults.window;
    l->head_bytes = l->head_bytes ? l->head_bytes : defaults.head_bytes;
    l->head_fields = l->head_fields ? l->head_fields : defaults.head_fields;
    l->streams = l->streams ? l->streams : defaults.streams;
    l->resets = l->resets ? l->resets : defaults.resets;
    l->frames = l->frames ? l->frames : defaults.frames;
}

enum err http_serve(struct loop *l, int fd, struct tls_context *tls, const struct http_limits *limits,
                    const struct http_service *s, void *arg)
{
    bool room = conn_hold_first(s, arg, tls != NULL);
    struct http_conn *c = room ? mem_zalloc(sizeof *c) : NULL;

    if (c == NULL) {
        close(fd);
        return room ? ERR_NOMEM : ERR_BUSY;
    }
    if ((c->stream = stream_accept(l, fd, tls, &events, c)) == NULL) {
        mem_free(c);
        return ERR_NOMEM;
    }
    c->loop = l;
    c->protocol = &http1;
    c->answers = &http1_answers;
    c->service = s;
    c->service_arg = arg;
    fill_limits(&c->limits, limits);
    c->call.conn = c;
    buf_init(&c->in, c->limits.head_bytes + 2 * CONN_READ);
    buf_init(&c->out, c->limits.window + 2 * REPLY_HEAD + CONN_FLUSH);
    c->state = CONN_SHAKING;
    alarm_init(&c->alarm, on_alarm);
    alarm_set(l, &c->alarm, c->limits.handshake);
    return ERR_OK;
}

struct tls_peer *http_conn_peer(const struct http_conn *c)
{
    return stream_peer(c->stream);
}

void http_conn_address(const struct http_conn *c, char *out, size_t n)
{
    stream_address(c->stream, out, n);
}

void http_conn_admit(struct http_conn *c)
{
    stream_admit(c->stream);
}

void http_conn_drain(struct http_conn *c)
{
    c->draining = true;
    c->protocol->drain(c);
}

static bool answering(const struct http_conn *c)
{
    return c->out.n > 0 || (c->h2 ? c->h2->n_streams > 0 : c->call.open || c->answer_ended);
}

bool http_conn_settled(const struct http_conn *c)
{
    return c->state == CONN_SHAKING || (!answering(c) && stream_unsent(c->stream) == 0);
}

void http_conn_end(struct http_conn *c)
{
    conn_die(c, REASON_DRAINING, answering(c));
}

void http_conn_abort(struct http_conn *c, enum reason why)
{
    conn_die(c, why, true);
}
