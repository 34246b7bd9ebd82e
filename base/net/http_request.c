/* Requests of a client as text, made from their parts: what cannot stand in a line is refused, never sent. */
#include "base/net/internal.h"

enum { HEAD_ROOM = 500 };

/* No control character but HTAB. */
static bool header_safe(struct slice s)
{
    const char *at = s.p, *end = s.p + s.n;

    while (at < end) {
        at += http_text_run(at, end);
        if (at < end && *at++ != '\t')
            return false;
    }
    return true;
}

enum err http_lines_put(struct buf *out, const struct http_header *headers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!header_safe(headers[i].name) || !header_safe(headers[i].value))
            return ERR_INVALID;
        http_header_put(out, headers[i].name, headers[i].value);
    }
    return out->failed;
}

static enum err put_request_line(struct buf *out, struct slice method, struct slice target)
{
    if (!header_safe(target) || slice_find(target, ' ') < target.n)
        return ERR_INVALID;
    buf_put(out, method);
    buf_putc(out, ' ');
    buf_put(out, target);
    buf_put(out, SLICE(" HTTP/1.1\r\n"));
    return ERR_OK;
}

static void put_length(struct buf *out, uint64_t n)
{
    buf_put(out, SLICE("Content-Length: "));
    buf_put_u64(out, n);
    buf_put(out, SLICE("\r\n"));
}

static void put_rest(struct buf *out, struct slice method, struct slice body)
{
    if (body.n > 0 || !(slice_is(method, "GET") || slice_is(method, "HEAD") || slice_is(method, "DELETE")))
        put_length(out, body.n);
    buf_put(out, SLICE("\r\n"));
    buf_put(out, body);
}

enum err http_request_put_lines(struct buf *out, struct slice method, struct slice target, struct slice lines,
                                const struct http_header *headers, size_t n, struct slice body)
{
    enum err e;

    buf_reserve(out, HEAD_ROOM + lines.n + target.n + body.n);
    e = put_request_line(out, method, target);
    if (e != ERR_OK)
        return e;
    buf_put(out, lines);
    e = http_lines_put(out, headers, n);
    if (e != ERR_OK)
        return e;
    put_rest(out, method, body);
    return out->failed;
}

static enum err put_head(struct buf *out, struct slice method, struct slice target, struct slice host,
                         const struct http_header *headers, size_t n)
{
    const struct http_header name = { SLICE("Host"), host };
    enum err e = put_request_line(out, method, target);

    if (e == ERR_OK)
        e = http_lines_put(out, &name, 1);
    return e == ERR_OK ? http_lines_put(out, headers, n) : e;
}

enum err http_request_put(struct buf *out, struct slice method, struct slice target, struct slice host,
                          const struct http_header *headers, size_t n, struct slice body)
{
    enum err e;

    buf_reserve(out, HEAD_ROOM + target.n + body.n);
    e = put_head(out, method, target, host, headers, n);
    if (e == ERR_OK)
        put_rest(out, method, body);
    return e == ERR_OK ? out->failed : e;
}

enum err http_request_head_put(struct buf *out, struct slice method, struct slice target, struct slice host,
                               const struct http_header *headers, size_t n, uint64_t length)
{
    enum err e = put_head(out, method, target, host, headers, n);

    if (e != ERR_OK)
        return e;
    if (length > 0)
        put_length(out, length);
    else
        buf_put(out, SLICE("Transfer-Encoding: chunked\r\n"));
    buf_put(out, SLICE("\r\n"));
    return out->failed;
}
