/* Answering over HTTP/1: heads are built from parts, bodies framed by length, by chunks, or by the close (HTTP/1.0). */
#include "base/net/internal.h"
#include "base/net/http_server.h"

#include <stdio.h>

enum { HEAD_ROOM = 700, FRAME_ROOM = 64 /* of chunks in one window */ };

struct slice http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } table[] = {
        { 200, "OK" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 406, "Not Acceptable" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 413, "Content Too Large" },
        { 415, "Unsupported Media Type" },
        { 429, "Too Many Requests" },
        { 500, "Internal Server Error" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].status == status)
            return slice_of(table[i].text);
    return SLICE(""); /* RFC 9112 section 4: the phrase may be absent */
}

static void read_body(struct http_call *call, bool on)
{
    struct http_conn *c = call->conn;

    if (!call->open || c->request_done || c->state != CONN_BODY)
        return;
    c->paused = !on;
    stream_want_read(c->stream, on);
    if (!on)
        return;
    if (c->expect)
        conn_invite(c, c->in.n);
    conn_wake(c);
}

struct slice http_date(int64_t wall_ms)
{
    /* RFC 9110 section 5.6.7 */
    static _Thread_local char text[40];
    static _Thread_local int64_t at;
    static _Thread_local size_t n;
    static const char *const days[] = { "", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };
    static const char *const months[] = { "",    "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    int64_t now = wall_ms / 1000;

    if (now != at) {
        struct civil c = clock_civil(now * 1000 - (int64_t)clock_zone() * 60000);
        n = (size_t)snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[c.weekday], c.day,
                             months[c.month], c.year, c.hour, c.minute, c.second);
        at = now;
    }
    return (struct slice){ text, n };
}

static void put_status_line(struct buf *out, int status)
{
    if (status == 200) {
        buf_put(out, SLICE("HTTP/1.1 200 OK\r\n"));
        return;
    }
    buf_put(out, SLICE("HTTP/1.1 "));
    buf_put_u64(out, (uint64_t)status);
    buf_putc(out, ' ');
    buf_put(out, http_status_text(status));
    buf_put(out, SLICE("\r\n"));
}

bool http_status_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

static void put_framing(struct http_conn *c, const struct http_reply *r)
{
    c->left = -1;
    if (!http_status_has_body(r->status)) {
        c->head_only = true;
        return;
    }
    if (r->length >= 0) {
        c->left = r->length;
        buf_put(&c->out, SLICE("Content-Length: "));
        buf_put_u64(&c->out, (uint64_t)r->length);
        buf_put(&c->out, SLICE("\r\n"));
    } else if (c->minor == 0) {
        c->closing = true;
    } else {
        c->chunking = true;
        buf_put(&c->out, SLICE("Transfer-Encoding: chunked\r\n"));
    }
}

static void reply_head(struct http_call *call, const struct http_reply *r)
{
    struct http_conn *c = call->conn;

    if (!call->open || c->doom != REASON_INTERNAL)
        return;
    /* One allocation, whether the answer is short or fills the window again and again. */
    buf_reserve(&c->out, HEAD_ROOM + (r->length >= 0 && (uint64_t)r->length < c->limits.window ? (size_t)r->length
                                                                                               : c->limits.window));
    c->replied = true;
    c->chunking = false;
    c->closing = c->closing || r->close || c->draining || !c->request_done;
    put_status_line(&c->out, r->status);
    http_header_put(&c->out, SLICE("Date"), http_date(loop_wall(c->loop)));
    for (size_t i = 0; i < r->n_headers; i++)
        http_header_put(&c->out, r->headers[i].name, r->headers[i].value);
    put_framing(c, r);
    if (c->closing)
        buf_put(&c->out, SLICE("Connection: close\r\n"));
    else if (c->minor == 0)
        buf_put(&c->out, SLICE("Connection: keep-alive\r\n"));
    buf_put(&c->out, SLICE("\r\n"));
    if (c->head_only)
        c->chunking = false;
    conn_output(c);
}

static size_t reply_room(const struct http_call *call)
{
    const struct http_conn *c = call->conn;

    if (!call->open || c->doom != REASON_INTERNAL)
        return 0;
    return c->out.n >= c->limits.window ? 0 : c->limits.window - c->out.n;
}

static size_t reply_body(struct http_call *call, struct slice bytes)
{
    struct http_conn *c = call->conn;

    if (!call->open || bytes.n == 0 || c->head_only)
        return reply_room(call);
    if (c->left >= 0 && (uint64_t)c->left < bytes.n) {
        conn_doom(c, REASON_INTERRUPTED);
        return 0;
    }
    c->left -= c->left >= 0 ? (int64_t)bytes.n : 0;
    /* A long answer: the whole window at once, for a buffer that grows becomes twice as large as it need be. */
    if (c->out.room == 0 && (c->left < 0 || (uint64_t)c->left > c->limits.window))
        buf_reserve(&c->out, c->limits.window + FRAME_ROOM);
    /* A piece larger than the window still has its place for what fits; callers give at most what room said, but for
     * the first piece. */
    while (bytes.n > 0 && c->doom == REASON_INTERNAL) {
        struct slice now = slice_sub(bytes, 0, CONN_FLUSH);
        if (c->chunking)
            buf_printf(&c->out, "%zx\r\n", now.n);
        buf_put(&c->out, now);
        if (c->chunking)
            buf_put(&c->out, SLICE("\r\n"));
        bytes = slice_sub(bytes, now.n, bytes.n);
        conn_output(c);
    }
    return reply_room(call);
}

static void reply_end(struct http_call *call, const struct http_header *trailers, size_t n)
{
    struct http_conn *c = call->conn;

    if (!call->open || c->doom != REASON_INTERNAL)
        return;
    if (c->left > 0 && !c->head_only) { /* less than the head promised is a cut answer, never a whole one */
        conn_doom(c, REASON_INTERRUPTED);
        return;
    }
    if (c->chunking) {
        buf_put(&c->out, SLICE("0\r\n"));
        for (size_t i = 0; i < n; i++)
            http_header_put(&c->out, trailers[i].name, trailers[i].value);
        buf_put(&c->out, SLICE("\r\n"));
    }
    c->replied = false;
    c->answer_ended = true;
    conn_output(c);
}

static void reply_abort(struct http_call *call)
{
    if (call->open)
        conn_cut(call->conn);
}

const struct http_answers http1_answers = { reply_head, reply_body, reply_end, reply_abort, reply_room, read_body };
