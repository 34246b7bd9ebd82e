/* An HTTP/2 connection: bytes in, frames out, its alarms, its end. Invariants: nghttp2 is never entered from its own
 * callbacks but by the submit functions; what it has is counted and capped; a session that ends with an error leaves a
 * record. */
#include "base/net/h2.h"

#include <pthread.h>

enum { READS_A_TURN = 8 };

/* ---- what nghttp2 tells ---- */
static struct h2 *of(void *user)
{
    return user;
}

/* Nothing more is heard: the connection died inside a callback, or the session is ending. */
static bool deaf(const struct h2 *h)
{
    return h->over || h->conn->state == CONN_DEAD;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2 *h = of(user);

    (void)session;
    h2_fields_begin(&h->fields, &h->conn->limits);
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0; /* trailers: read for their size, and dropped */
    if (h2_stream_new(h, frame->hd.stream_id) != NULL)
        return 0;
    conn_doom(h->conn, REASON_OVERLOADED);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t n_name,
                     const uint8_t *value, size_t n_value, uint8_t flags, void *user)
{
    struct h2 *h = of(user);

    (void)session;
    (void)frame;
    (void)flags;
    if (deaf(h))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (h2_fields_add(&h->fields, slice_make(name, n_name), slice_make(value, n_value)))
        return 0;
    h2_violate(h, NGHTTP2_ENHANCE_YOUR_CALM, REASON_REQUEST_TOO_LARGE,
               "a header list many times over limits.head_bytes");
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* nghttp2 would drop a field with a forbidden name or character; a request that is cut down is another request. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t n_name,
                             const uint8_t *value, size_t n_value, uint8_t flags, void *user)
{
    (void)session;
    (void)frame;
    (void)name;
    (void)n_name;
    (void)value;
    (void)n_value;
    (void)flags;
    (void)user;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2 *h = of(user);
    struct h2_stream *s = h2_stream_of(h, frame->hd.stream_id);
    bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

    (void)session;
    if (deaf(h))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        h->leaving = true;
    if (s == NULL)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        h2_stream_request(s, ends);
    if (ends && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA))
        h2_stream_end(s);
    if (frame->hd.type == NGHTTP2_RST_STREAM && !s->packed &&
        !h2_spend(&h->resets, h->conn->limits.resets, 1, loop_now(h->conn->loop)))
        h2_violate(h, NGHTTP2_ENHANCE_YOUR_CALM, REASON_RATE_LIMITED, "too many HTTP/2 streams reset");
    return deaf(h) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* A request that nghttp2 refused, with RST_STREAM, is an attempt all the same. Other faults end the connection. */
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user)
{
    struct h2 *h = of(user);

    (void)session;
    if (deaf(h) || frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    if (error == NGHTTP2_ERR_REFUSED_STREAM)
        h2_attempt(h, REASON_OVERLOADED, "more requests at once than limits.http2_streams");
    else if (error == NGHTTP2_ERR_HTTP_HEADER || error == NGHTTP2_ERR_HTTP_MESSAGING)
        h2_attempt(h, REASON_REQUEST_MALFORMED, "a header list that HTTP/2 forbids");
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t n, void *user)
{
    struct h2 *h = of(user);
    struct h2_stream *s = h2_stream_of(h, id);

    (void)flags;
    if (deaf(h))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    h2_earn(&h->frames, h->conn->limits.frames, n);
    if (s == NULL)
        return nghttp2_session_consume(session, id, n) == NGHTTP2_ERR_NOMEM ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
    h2_stream_body(s, slice_make(data, n));
    return deaf(h) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
    struct h2 *h = of(user);
    struct h2_stream *s = h2_stream_of(h, id);

    (void)session;
    if (s)
        h2_stream_closed(s, error == NGHTTP2_PROTOCOL_ERROR || error == NGHTTP2_FLOW_CONTROL_ERROR
                                ? REASON_REQUEST_MALFORMED
                                : REASON_CONSUMER_GONE);
    return 0;
}

/* Streams that we reset because of what the peer did count like those that it resets. */
static bool peer_fault(uint32_t error)
{
    return error != NGHTTP2_NO_ERROR && error != NGHTTP2_INTERNAL_ERROR && error != NGHTTP2_CANCEL;
}

static int on_sent_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2 *h = of(user);
    struct h2_stream *s = h2_stream_of(h, frame->hd.stream_id);

    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR && !h->over)
        h2_violate(h, frame->goaway.error_code, REASON_REQUEST_MALFORMED, "a violation of HTTP/2");
    if (frame->hd.type == NGHTTP2_RST_STREAM && peer_fault(frame->rst_stream.error_code) && !h->over &&
        !h2_spend(&h->resets, h->conn->limits.resets, 1, loop_now(h->conn->loop)))
        h2_violate(h, NGHTTP2_ENHANCE_YOUR_CALM, REASON_RATE_LIMITED, "too many HTTP/2 streams had to be reset");
    if (s && (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
        s->packed = true;
        s->ends_at = h->packed;
        h2_stream_ready(s);
        h2_stream_arm(s);
    }
    return 0;
}

/* A DATA frame, straight into the connection's output (RFC 9113 section 4.1). */
static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t n,
                        nghttp2_data_source *source, void *user)
{
    struct h2 *h = of(user);
    struct h2_stream *s = source->ptr;

    (void)session;
    (void)frame;
    if (h->conn->out.n >= CONN_FLUSH)
        return NGHTTP2_ERR_WOULDBLOCK;
    buf_put(&h->conn->out, slice_make(head, 9));
    buf_put(&h->conn->out, slice_make(s->out.p, n));
    if (h->conn->out.failed != ERR_OK)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    h->packed += 9 + n;
    buf_drop(&s->out, n);
    s->moved += (uint32_t)n;
    h2_earn(&h->frames, h->conn->limits.frames, n);
    h2_stream_arm(s);
    if (s->full && s->out.n < H2_HELD / 2)
        h2_stream_ready(s);
    return 0;
}

/* ---- the session ---- */
static nghttp2_session_callbacks *callbacks;
static nghttp2_option *options;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
    if (nghttp2_option_new(&options) != 0 || nghttp2_session_callbacks_new(&callbacks) != 0)
        return;
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_max_outbound_ack(options, H2_ACKS_MAX);
    nghttp2_option_set_no_closed_streams(options, 1);
    nghttp2_option_set_max_deflate_dynamic_table_size(options, 0); /* nothing in our heads repeats enough to pay */
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent_frame);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
}

static enum err open_session(struct h2 *h)
{
    nghttp2_mem mem = h2_memory(h);
    nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, h->conn->limits.streams },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, h->conn->limits.head_bytes },
        { NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
    };

    pthread_once(&once, make_tables);
    if (callbacks == NULL || nghttp2_session_server_new3(&h->session, callbacks, h, options, &mem) != 0)
        return ERR_NOMEM;
    if (nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof settings[0]) != 0 ||
        nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, H2_CONN_WINDOW) != 0)
        return ERR_NOMEM;
    return ERR_OK;
}

enum err h2_begin(struct http_conn *c)
{
    struct h2 *h = mem_zalloc(sizeof *h);

    if (h == NULL)
        return ERR_NOMEM;
    h->conn = c;
    h2_fields_begin(&h->fields, &c->limits);
    h->since = loop_now(c->loop);
    h->frame.left = NGHTTP2_CLIENT_MAGIC_LEN;
    c->h2 = h; /* freed with it, whatever comes */
    if (open_session(h) != ERR_OK)
        return ERR_NOMEM;
    c->protocol = &h2_protocol;
    c->answers = &h2_answers;
    conn_wake(c);
    return ERR_OK;
}

struct h2 *h2_free(struct h2 *h)
{
    if (h == NULL)
        return NULL;
    h2_streams_free(h);
    h2_memory_done(h); /* instead of nghttp2_session_del */
    buf_done(&h->fields.text);
    return mem_free(h);
}

/* A notice first, for requests may be on their way: told to be unheard, they would be asked again (RFC 9113
 * section 6.8). */
void h2_leave(struct h2 *h)
{
    if (h->leaving || h->over)
        return;
    h->leaving = true;
    if (h->n_streams > 0)
        nghttp2_submit_shutdown_notice(h->session);
    conn_wake(h->conn);
}

void h2_violate(struct h2 *h, uint32_t code, enum reason why, const char *what)
{
    if (h->over)
        return;
    h->over = true;
    h->why = (uint8_t)why;
    nghttp2_session_terminate_session(h->session, code);
    conn_wake(h->conn);
    h2_attempt(h, why, what);
}

/* ---- the connection's turns ---- */

/* Frames into the output, as far as it is low. False: the session has failed. */
static bool gather(struct h2 *h)
{
    struct http_conn *c = h->conn;
    ssize_t n = 1;

    while (c->out.n < CONN_FLUSH && n > 0 && c->state != CONN_DEAD) {
        const uint8_t *p;
        n = nghttp2_session_mem_send(h->session, &p);
        if (n > 0) {
            buf_put(&c->out, slice_make(p, (size_t)n));
            h->packed += (uint64_t)n;
        }
    }
    return n >= 0 && c->out.failed == ERR_OK;
}

/* Out with what there is, until the socket blocks. False: the connection died. */
static bool flush(struct h2 *h)
{
    struct http_conn *c = h->conn;
    size_t had;

    do {
        if (!gather(h)) {
            conn_die(c, REASON_OVERLOADED, true);
            return false;
        }
        had = c->out.n;
        if (c->state != CONN_DEAD && !conn_push(c))
            conn_die(c, REASON_CONSUMER_GONE, true);
        if (c->state == CONN_DEAD)
            return false;
    } while (c->out.n == 0 && had > 0);
    if (c->out.n == 0)
        buf_done(&c->out);
    return true;
}

/* The session has said its last. Calls that are open are cut, and so is the connection, but its GOAWAY is to arrive:
 * until then it holds nothing. */
static void finish(struct h2 *h)
{
    struct http_conn *c = h->conn;

    h2_protocol.gone(c, REASON_INTERRUPTED);
    if (c->state == CONN_DEAD)
        return;
    h2_streams_free(h);
    h2_memory_done(h);
    h->session = NULL;
    buf_done(&h->fields.text);
    conn_linger(c);
}

/* Its last words must go soon: it may hold much, and has been told to go. */
static void hurry(struct h2 *h)
{
    struct http_conn *c = h->conn;

    if (h->hurried)
        return;
    h->hurried = c->writing = true;
    c->moved = 0;
    alarm_set(c->loop, &c->alarm, conn_linger_ms(c));
}

/* What its calls hold has room of its own. */
size_t h2_holds(const struct h2 *h)
{
    size_t all = h->memory + h->n_streams * sizeof(struct h2_stream) + h->fields.text.room + h->conn->out.room,
           theirs = H2_RESTS + h->n_open * (sizeof(struct h2_stream) + H2_CALL);

    return all > theirs ? all - theirs : 0;
}

/* Streams that were turned away go with their last frames: only what is left then is too much. */
static void hold(struct h2 *h, size_t record)
{
    struct http_conn *c = h->conn;

    if (h->over || conn_hold(c, h2_holds(h) + record) || !flush(h))
        return;
    h2_streams_settle(h);
    if (c->state == CONN_DEAD || h->over || conn_hold(c, h2_holds(h) + record))
        return;
    c->calmed = true;
    h2_violate(h, NGHTTP2_ENHANCE_YOUR_CALM, REASON_OVERLOADED, conn_no_room);
}

static void turn(struct http_conn *c)
{
    struct h2 *h = c->h2;

    if (c->doom != REASON_INTERNAL) {
        conn_die(c, (enum reason)c->doom, true);
        return;
    }
    if (c->state == CONN_CLOSING || !flush(h))
        return;
    h2_streams_settle(h);
    if (c->state == CONN_DEAD)
        return;
    if (h->leaving && h->n_streams == 0 && !h->over) {
        h->over = true;
        nghttp2_session_terminate_session(h->session, NGHTTP2_NO_ERROR);
        if (!flush(h))
            return;
    }
    if (h->over && c->out.n == 0)
        finish(h);
    else if (h->over)
        hurry(h);
    else
        conn_arm(c);
}

/* False: the session cannot go on. What it has to say about that goes out first. */
static bool feed(struct h2 *h, size_t n)
{
    struct http_conn *c = h->conn;
    ssize_t used;

    if (!h2_weigh(h, slice_make(loop_scratch(c->loop), n)))
        return false;
    used = nghttp2_session_mem_recv(h->session, (const uint8_t *)loop_scratch(c->loop), n);
    if (c->state == CONN_DEAD)
        return false;
    conn_wake(c);
    if (used == NGHTTP2_ERR_NOMEM)
        conn_doom(c, REASON_OVERLOADED);
    else if (c->doom != REASON_INTERNAL)
        return false;
    else if (used == NGHTTP2_ERR_BAD_CLIENT_MAGIC)
        h2_violate(h, NGHTTP2_PROTOCOL_ERROR, REASON_REQUEST_MALFORMED, "not HTTP/2");
    else if (used < 0)
        h2_violate(h, NGHTTP2_ENHANCE_YOUR_CALM, REASON_RATE_LIMITED, "a flood of HTTP/2 frames");
    return used >= 0;
}

static void readable(struct http_conn *c)
{
    for (unsigned i = 0; i < READS_A_TURN; i++) {
        size_t got = 0;
        enum io io;
        if (c->h2->over && c->state != CONN_CLOSING) { /* its GOAWAY goes first; then the rest is discarded */
            stream_want_read(c->stream, false);
            return;
        }
        io = stream_read(c->stream, loop_scratch(c->loop), CONN_READ, &got);
        if (io == IO_AGAIN) {
            if (c->state != CONN_CLOSING)
                hold(c->h2, conn_record(c));
            return;
        }
        if (io != IO_DONE) {
            conn_die(c, REASON_CONSUMER_GONE, false);
            return;
        }
        if (c->state == CONN_CLOSING) {
            if (!conn_discard(c, got, H2_DISCARD_MAX))
                return;
        } else if (!feed(c->h2, got) && c->state == CONN_DEAD) {
            return;
        } else if (c->doom == REASON_INTERNAL) {
            hold(c->h2, 0);
            if (c->state == CONN_DEAD)
                return;
        }
        if (!stream_pending(c->stream) && got < CONN_READ)
            return;
    }
    stream_want_read(c->stream, true); /* more is there: take the next turn */
}

/* Of an idle connection, whatever else it says; streams have their own. */
static void arm(struct http_conn *c)
{
    int64_t ms = c->limits.idle - (loop_now(c->loop) - c->h2->since);

    if (c->state == CONN_CLOSING)
        alarm_set(c->loop, &c->alarm, conn_linger_ms(c));
    else if (c->h2->n_streams == 0)
        alarm_set(c->loop, &c->alarm, ms > 0 ? ms : 1);
    else
        alarm_clear(&c->alarm);
}

static void late(struct http_conn *c)
{
    if (c->state == CONN_CLOSING)
        conn_linger_late(c);
    else
        h2_leave(c->h2);
}

/* A connection that breaks the rules is to blame for what ends with it, however it then dies. */
static void gone(struct http_conn *c, enum reason why)
{
    if (c->h2->why != REASON_INTERNAL)
        why = (enum reason)c->h2->why;
    for (struct h2_stream *s = c->h2->streams; s != NULL; s = s->next) {
        alarm_clear(&s->alarm);
        h2_stream_gone(s, why);
    }
}

/* What comes meanwhile is refused with a reason, by the owner; the last answer ends the connection. */
static void drain(struct http_conn *c)
{
    h2_leave(c->h2);
}

/* Who is idle has done nothing wrong, and may come again; who is not is told to ask less. */
static void calm(struct http_conn *c)
{
    struct h2 *h = c->h2;

    if (h->over || c->state == CONN_CLOSING)
        return;
    if (h->n_streams > 0) {
        h2_violate(h, NGHTTP2_ENHANCE_YOUR_CALM, REASON_OVERLOADED, conn_no_room);
        return;
    }
    h->over = true;
    nghttp2_session_terminate_session(h->session, NGHTTP2_NO_ERROR);
    if (flush(h)) /* what it takes at once: nothing is to be waited for */
        conn_die(c, REASON_OVERLOADED, false);
}

const struct http_protocol h2_protocol = { readable, turn, late, gone, drain, calm, arm };
