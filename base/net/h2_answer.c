/* Answering over HTTP/2: a head is a HEADERS frame, a body is held until flow control lets it into DATA frames, the end
 * is END_STREAM, behind trailers if there are any, and a cut is RST_STREAM. */
#include "base/net/h2.h"
#include "base/net/internal.h"

#include <stdio.h>

enum { NV_MAX = 32, TRAILERS_MAX = 8 };

static struct h2_stream *stream_of(const struct http_call *call)
{
    return (struct h2_stream *)(void *)(uintptr_t)call;
}

static bool may_answer(const struct h2_stream *s)
{
    return s->call.open && !s->mute && !s->answer_ended && s->doom == REASON_INTERNAL &&
           s->call.conn->doom == REASON_INTERNAL;
}

static nghttp2_session *session_of(const struct h2_stream *s)
{
    return s->call.conn->h2->session;
}

/* Go on with a body that waited for its owner. */
static void resume(struct h2_stream *s)
{
    if (nghttp2_session_resume_data(session_of(s), s->id) == NGHTTP2_ERR_NOMEM)
        conn_doom(s->call.conn, REASON_OVERLOADED);
    conn_wake(s->call.conn);
}

/* The owner broke its own promise: a cut answer, never a whole one. It is told when the turn ends. */
static void fail(struct h2_stream *s)
{
    s->doom = REASON_INTERRUPTED;
    nghttp2_submit_rst_stream(session_of(s), NGHTTP2_FLAG_NONE, s->id, NGHTTP2_INTERNAL_ERROR);
    h2_stream_ready(s);
}

static nghttp2_nv pair(struct slice name, struct slice value)
{
    /* nghttp2 copies both, and makes names lower case. */
    return (nghttp2_nv){ (uint8_t *)(uintptr_t)name.p, (uint8_t *)(uintptr_t)value.p, name.n, value.n,
                         NGHTTP2_NV_FLAG_NONE };
}

/* Behind the last DATA frame, which says that it is not the end. */
static int put_trailers(struct h2_stream *s)
{
    struct slice rest = buf_slice(&s->tail);
    nghttp2_nv nv[TRAILERS_MAX];
    size_t n = 0;

    while (rest.n > 0 && n < TRAILERS_MAX) {
        struct slice name = slice_cut(&rest, '\n'), value = slice_cut(&rest, '\n');
        nv[n++] = pair(name, value);
    }
    return nghttp2_submit_trailer(session_of(s), s->id, nv, n);
}

/* The rest is as long as what is held, until the owner has ended it. */
static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t n, uint32_t *flags,
                         nghttp2_data_source *source, void *user)
{
    struct h2_stream *s = source->ptr;

    (void)session;
    (void)id;
    (void)to;
    (void)user;
    n = n < s->out.n ? n : s->out.n;
    if (!s->answer_ended && n == 0)
        return NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (!s->answer_ended || n < s->out.n)
        return (ssize_t)n;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (s->tail.n > 0) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (put_trailers(s) != 0)
            return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return (ssize_t)n;
}

static void reply_head(struct http_call *call, const struct http_reply *r)
{
    struct h2_stream *s = stream_of(call);
    char status[8], length[24];
    nghttp2_data_provider body = { .source.ptr = s, .read_callback = read_body };
    nghttp2_nv nv[NV_MAX];
    size_t n = 0;

    if (!may_answer(s) || s->replied)
        return;
    s->replied = true;
    s->left = r->length;
    s->head_only = s->head_only || !http_status_has_body(r->status);
    snprintf(status, sizeof status, "%03d", r->status % 1000);
    nv[n++] = pair(SLICE(":status"), slice_of(status));
    nv[n++] = pair(SLICE("date"), http_date(loop_wall(s->call.conn->loop)));
    for (size_t i = 0; i < r->n_headers && n < NV_MAX - 1; i++)
        nv[n++] = pair(r->headers[i].name, r->headers[i].value);
    if (r->length >= 0 && http_status_has_body(r->status)) {
        snprintf(length, sizeof length, "%lld", (long long)r->length);
        nv[n++] = pair(SLICE("content-length"), slice_of(length));
    }
    /* Nothing comes behind this head, so it is the end: nghttp2 holds back even an empty DATA frame while the peer's
     * window is 0. */
    if (nghttp2_submit_response(session_of(s), s->id, nv, n, s->head_only || r->length == 0 ? NULL : &body) != 0)
        conn_doom(call->conn, REASON_OVERLOADED);
    if (r->close)
        h2_leave(call->conn->h2);
    conn_wake(call->conn);
}

static size_t reply_room(const struct http_call *call)
{
    struct h2_stream *s = stream_of(call);

    if (!may_answer(s))
        return 0;
    s->full = s->out.n >= H2_HELD;
    return s->full ? 0 : H2_HELD - s->out.n;
}

static size_t reply_body(struct http_call *call, struct slice bytes)
{
    struct h2_stream *s = stream_of(call);

    if (!may_answer(s) || bytes.n == 0 || s->head_only)
        return reply_room(call);
    if (s->left >= 0 && (uint64_t)s->left < bytes.n) {
        fail(s);
        return 0;
    }
    s->left -= s->left >= 0 ? (int64_t)bytes.n : 0;
    buf_put(&s->out, bytes);
    if (s->out.failed != ERR_OK)
        conn_doom(call->conn, REASON_OVERLOADED);
    resume(s);
    h2_stream_arm(s);
    return reply_room(call);
}

static void reply_end(struct http_call *call, const struct http_header *trailers, size_t n)
{
    struct h2_stream *s = stream_of(call);

    if (!may_answer(s))
        return;
    if (s->left > 0 && !s->head_only) {
        fail(s);
        return;
    }
    s->answer_ended = true;
    for (size_t i = 0; i < n && s->left < 0 && !s->head_only; i++) {
        buf_put(&s->tail, trailers[i].name);
        buf_putc(&s->tail, '\n');
        buf_put(&s->tail, trailers[i].value);
        buf_putc(&s->tail, '\n');
    }
    if (s->tail.failed != ERR_OK)
        conn_doom(call->conn, REASON_OVERLOADED);
    if (s->packed) /* with its head */
        h2_stream_ready(s);
    else
        resume(s);
    h2_stream_arm(s);
}

/* It is whole, and in the connection's output, where nothing can be taken back. */
static bool is_leaving(const struct h2_stream *s)
{
    const struct http_conn *c = s->call.conn;

    return s->packed && s->answer_ended && c->h2->packed - c->out.n < s->ends_at;
}

/* Refused without a reply, or cut: the code tells which. A whole answer that is on its way out is cut with the
 * connection, or it would arrive. */
static void reply_abort(struct http_call *call)
{
    struct h2_stream *s = stream_of(call);
    bool was_open = call->open;

    call->open = false;
    call->state = NULL;
    if (!was_open || s->mute)
        return;
    call->conn->h2->n_open--;
    if (call->conn->state == CONN_DEAD)
        return;
    h2_stream_arm(s);
    if (is_leaving(s))
        conn_doom(call->conn, REASON_INTERRUPTED);
    else if (!s->closed)
        nghttp2_submit_rst_stream(session_of(s), NGHTTP2_FLAG_NONE, s->id,
                                  s->replied ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_ENHANCE_YOUR_CALM);
    h2_stream_ready(s);
}

static void read_request(struct http_call *call, bool on)
{
    struct h2_stream *s = stream_of(call);

    if (!call->open || s->mute)
        return;
    s->paused = !on;
    h2_stream_arm(s);
    if (on)
        h2_stream_wanted(s);
}

const struct http_answers h2_answers = { reply_head, reply_body, reply_end, reply_abort, reply_room, read_request };
