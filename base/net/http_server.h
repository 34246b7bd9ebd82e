#pragma once
/* The connection struct, shared by reading (http_server.c) and answering (http_reply.c); inside base/net only. */
#include "base/net/http.h"

enum conn_state { CONN_SHAKING, CONN_IDLE, CONN_HEAD, CONN_BODY, CONN_ANSWER, CONN_BAD, CONN_CLOSING, CONN_DEAD };
enum { CONN_READ = 16 * 1024, CONN_FLUSH = 16 * 1024 };

struct http_call {
    struct http_conn *conn; /* the connection that embeds it */
    void *state;            /* bor: the owner's */
    bool open;              /* head shown, answer not yet ended or cut */
};
struct http_conn {
    struct loop *loop;     /* bor */
    struct stream *stream; /* own */
    const struct http_service *service;
    void *service_arg, *owner;
    struct http_limits limits;
    struct http_call call;
    struct buf in, out; /* own: not yet understood; not yet sent */
    size_t looked;      /* in: no empty line before this offset */
    struct http_body body;
    struct alarm alarm;
    struct grave grave;
    struct later flush;
    uint32_t served, discarded;
    uint8_t state;    /* enum conn_state */
    uint8_t minor;    /* of the request under way */
    uint8_t doom;     /* enum reason, or REASON_INTERNAL (0): why it dies at the end of this turn */
    int64_t left;     /* of the length that the answer's head promised; -1: none was */
    bool paused;      /* the owner does not want the body now */
    bool peer_closes; /* said by the request's head */
    bool request_done, replied, answer_ended, closing, draining, head_only, expect, chunking, flush_set;
};
void conn_malformed(struct http_conn *c, enum reason why, const char *what);
void conn_room(struct http_conn *c);
void conn_output(struct http_conn *c);                /* something was appended to out */
void conn_wake(struct http_conn *c);                  /* go on at the end of this turn */
void conn_doom(struct http_conn *c, enum reason why); /* dies at the end of this turn; the call gets gone(why) */
void conn_cut(struct http_conn *c);
