#pragma once
/* The connection struct, shared by reading (http_server.c) and answering (http_reply.c); inside base/net only. */
#include "base/net/internal.h"

/* What each protocol does in its own way: one constant table for the connection, one for answering its calls. A
 * connection begins with HTTP/1's. */
struct http_protocol {
    void (*readable)(struct http_conn *c);
    void (*turn)(struct http_conn *c);                  /* a turn with something to send ends, or the socket has room */
    void (*late)(struct http_conn *c);                  /* its alarm */
    void (*gone)(struct http_conn *c, enum reason why); /* it dies: tell the calls that are open */
    void (*drain)(struct http_conn *c);
    void (*calm)(struct http_conn *c);
    void (*arm)(struct http_conn *c); /* set its alarm for what it waits for, but for output */
};
struct http_answers {
    void (*head)(struct http_call *call, const struct http_reply *r);
    size_t (*body)(struct http_call *call, struct slice bytes);
    void (*end)(struct http_call *call, const struct http_header *trailers, size_t n);
    void (*abort)(struct http_call *call);
    size_t (*room)(const struct http_call *call);
    void (*read)(struct http_call *call, bool on);
};
extern const struct http_answers http1_answers;

enum conn_state { CONN_SHAKING, CONN_IDLE, CONN_HEAD, CONN_BODY, CONN_ANSWER, CONN_BAD, CONN_CLOSING, CONN_DEAD };
enum { CONN_READ = 16 * 1024, CONN_FLUSH = 16 * 1024 };

struct http_call {
    struct http_conn *conn; /* its connection: HTTP/1's embeds it */
    void *state;            /* bor: the owner's */
    bool open;              /* head shown, answer not yet ended or cut */
};
struct http_conn {
    struct loop *loop;     /* bor */
    struct stream *stream; /* own */
    const struct http_protocol *protocol;
    const struct http_answers *answers;
    const struct http_service *service;
    void *service_arg, *owner;
    struct http_limits limits;
    struct http_call call;
    struct h2 *h2;      /* own: NULL when it speaks HTTP/1 */
    struct buf in, out; /* own: not yet understood; not yet sent */
    size_t moved, got;  /* since the alarm was set: given to the kernel; taken of a body */
    size_t unsent;      /* closing: in the kernel, when this period began, at `since` */
    int64_t since;      /* mono ms */
    size_t looked;      /* in: no empty line before this offset */
    struct http_body body;
    struct alarm alarm;
    struct grave grave;
    struct later flush;
    struct http_seen seen;
    uint32_t served, discarded;
    uint32_t held;    /* bytes that the service has room for (http_held.c), beyond those of any connection */
    int64_t held_at;  /* mono ms: it was asked */
    uint8_t state;    /* enum conn_state */
    uint8_t minor;    /* of the request under way */
    uint8_t doom;     /* enum reason, or REASON_INTERNAL (0): why it dies at the end of this turn */
    int64_t left;     /* of the length that the answer's head promised; -1: none was */
    bool paused;      /* the owner does not want the body now */
    bool peer_closes; /* said by the request's head */
    bool request_done, replied, answer_ended, closing, draining, head_only, expect, chunking, flush_set;
    bool calmed;  /* it goes because memory is short: its last words have a moment, no more */
    bool writing; /* the alarm is for output that the peer does not take */
};
/* The owner wants the body: its client, that waits to be told so (RFC 9110 section 10.1.1), is told; `more` bytes of it
 * are there already. */
void conn_invite(struct http_conn *c, size_t more);
/* http_input.c: read and understand; input that waited for the last answer to end, or for the owner to read on. */
void conn_readable(struct http_conn *c);
void conn_go_on(struct http_conn *c);
void conn_malformed(struct http_conn *c, enum reason why, const char *what);
void conn_room(struct http_conn *c);
void conn_output(struct http_conn *c);                /* something was appended to out */
void conn_wake(struct http_conn *c);                  /* go on at the end of this turn */
void conn_doom(struct http_conn *c, enum reason why); /* dies at the end of this turn; the call gets gone(why) */
void conn_cut(struct http_conn *c);
void conn_die(struct http_conn *c, enum reason why, bool cut); /* the one place where a connection dies */
static inline int64_t conn_linger_ms(const struct http_conn *c)
{
    return c->calmed ? HTTP_LINGER_SHORT_MS : HTTP_LINGER_MS;
}
bool conn_push(struct http_conn *c); /* give the kernel what is gathered; false: the peer is gone */
void conn_arm(struct http_conn *c);
/* Say that nothing more comes, and discard what still arrives: unread bytes would turn the close into a reset that eats
 * the last answer. */
void conn_linger(struct http_conn *c);
void conn_linger_late(struct http_conn *c); /* its alarm meanwhile */
/* http_held.c: room for one that comes; for `now` bytes beyond those of any connection. False: there is none. */
bool conn_hold_first(const struct http_service *s, void *arg, bool tls);
bool conn_hold(struct http_conn *c, size_t now);
void conn_hold_anew(struct http_conn *c); /* more is about to come; what was given back has no room any more */
size_t
conn_record(const struct http_conn *c); /* that half a TLS record takes, if one is there when nothing can be read */
extern const char conn_no_room[];       /* what the service is told of one that asked for more than there is */
/* n bytes more of it, of at most `most`; false: that was enough, it died */
bool conn_discard(struct http_conn *c, size_t n, size_t most);
