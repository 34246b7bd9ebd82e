/* Calls as their owners see them: the same functions, whatever the protocol that carries the answer. */
#include "base/net/http_server.h"
#include "base/net/internal.h"

void http_call_set(struct http_call *call, void *state)
{
    call->state = state;
}

uint64_t http_head_keep(struct http_call *call, const struct http_head *h)
{
    return http_kept_keep(loop_kept(call->conn->loop), &call->conn->seen, h);
}

struct http_conn *http_call_conn(const struct http_call *call)
{
    return call->conn;
}

void http_call_read(struct http_call *call, bool on)
{
    call->conn->answers->read(call, on);
}

void http_reply_head(struct http_call *call, const struct http_reply *r)
{
    call->conn->answers->head(call, r);
}

size_t http_reply_body(struct http_call *call, struct slice bytes)
{
    return call->conn->answers->body(call, bytes);
}

void http_reply_end(struct http_call *call, const struct http_header *trailers, size_t n)
{
    call->conn->answers->end(call, trailers, n);
}

void http_reply_abort(struct http_call *call)
{
    call->conn->answers->abort(call);
}

size_t http_reply_room(const struct http_call *call)
{
    return call->conn->answers->room(call);
}
