#pragma once
/* HTTP/2 (RFC 9113) on a connection whose handshake chose it, over nghttp2; inside base/net only.
 *
 * nghttp2 owns framing, header compression and flow control; what is ours is what the service sees (calls, as over
 * HTTP/1), how much is held, how long a peer may take, and how much noise it may make. Invariants:
 *   - a stream's call is told exactly one of sent and gone, and nothing after it;
 *   - sent is told when the frame that ends the answer is in the kernel's hands, not before;
 *   - an answer that is cut ends with RST_STREAM or with the connection, never with END_STREAM;
 *   - nghttp2 has at most H2_MEMORY for a connection, a stream holds at most H2_HELD bytes of output but for one piece;
 *   - input that its owner does not want yet is at most a stream's window; up to H2_PARKED bytes of it do not use up
 * the connection's window, so that a few streams that wait do not stop the others, and what is held for a connection is
 *     at most both together;
 *   - answering (http_reply_*) never calls back. */
#include "base/net/http_server.h"

#include <nghttp2/nghttp2.h>

enum {
    H2_RESTS = 16 * 1024, /* what an idle connection holds of nghttp2's memory */
    H2_CALL = 768,        /* and what a stream has of it, with a head of its answer that waits */
    H2_PIECE = 8 * 1024   /* of parked input, to its owner at once */
};

/* A budget of frames of one kind: full at the start, refilled within H2_INTERVAL_MS. */
enum { H2_INTERVAL_MS = 10000 };
struct h2_budget {
    int64_t at;
    int32_t left;
};
bool h2_spend(struct h2_budget *b, uint32_t limit, int32_t cost, int64_t now); /* false: it is used up */
void h2_earn(struct h2_budget *b, uint32_t limit, size_t content);             /* content pays for frames */

/* The header block under way: only one can be on a connection (RFC 9113 section 4.3). */
struct h2_field {
    uint16_t name, n_name, value, n_value; /* offsets into text */
};
struct h2_fields {
    struct buf text;         /* own */
    size_t size;             /* as RFC 9113 section 6.5.2 counts it */
    uint32_t n, bytes, most; /* bytes, most: what the limits allow */
    bool has_authority;      /* it counts as the Host that it becomes */
    struct h2_field method, scheme, authority, path, at[HTTP_HEADERS_MAX + 1];
};
void h2_fields_begin(struct h2_fields *f, const struct http_limits *l);
/* False: so much too large that no answer is owed. */
bool h2_fields_add(struct h2_fields *f, struct slice name, struct slice value);
bool h2_fields_too_large(const struct h2_fields *f);
/* The request as HTTP/1 would show it, Host first; slices are f's. NULL, or why it is refused. */
const char *h2_fields_head(const struct h2_fields *f, bool ends, struct http_head *ret);

enum h2_wait { H2_NOTHING, H2_HEAD, H2_BODY, H2_READER, H2_REST }; /* what a stream's alarm is for */
struct h2_stream {
    struct http_call call; /* first: the service's handle */
    struct h2_stream *next, **pprev, *next_ready;
    struct buf out, in; /* own: not yet in a frame; not yet wanted by the owner */
    struct buf tail;    /* own: trailers, "name LF value LF" */
    struct alarm alarm;
    struct grave grave;
    int32_t id;
    uint32_t moved;   /* bytes since the alarm was set */
    int64_t left;     /* of the length that the answer's head promised; -1: none was */
    size_t parked;    /* of `in`: does not use up the connection's window any more */
    uint64_t ends_at; /* the connection's output up to the end of this answer */
    uint8_t wait;     /* enum h2_wait */
    uint8_t doom;     /* enum reason, or REASON_INTERNAL (0): why its owner loses it at the end of the turn */
    bool mute;        /* an attempt that cannot be answered */
    bool headed;      /* its header block is whole */
    bool refused;     /* malformed: the owner is not shown its body */
    bool expects;     /* the peer waits to be told that its body is wanted */
    bool request_done, paused, replied, head_only;
    bool answer_ended; /* by the owner */
    bool packed;       /* its end is in a frame; before answer_ended where the head is all of it */
    bool closed;       /* nghttp2 has forgotten it */
    bool full;         /* the owner waits for room */
    bool ready;        /* is on the list of those to be looked at when the turn ends */
};
struct h2 {
    struct http_conn *conn; /* the connection that owns it */
    nghttp2_session *session;
    struct h2_stream *streams, *ready;
    struct h2_block *blocks;          /* own: the session's memory */
    size_t n_streams, memory, parked; /* parked: of all streams */
    size_t n_open;                    /* streams whose calls are */
    struct h2_fields fields;
    struct h2_budget resets, frames;
    struct h2_frame {
        uint32_t left; /* of the payload, or of the preface, that comes next */
        uint8_t head[9], have;
        uint32_t continuations; /* of the header block under way */
    } frame;
    uint64_t packed; /* bytes of output, ever */
    int64_t since;   /* mono ms: the last stream ended */
    uint8_t why;     /* enum reason, or REASON_INTERNAL (0): of the violation that ends it */
    bool starved;    /* an allocation of the session has failed */
    bool over;       /* the session is ending: what comes is not read any more */
    bool hurried;    /* the alarm is for its last words */
    bool leaving;    /* GOAWAY was sent or has come: the last stream ends it */
    uint32_t behind; /* requests that began since */
};
/* Make the connection speak HTTP/2. ERR_NOMEM. */
enum err h2_begin(struct http_conn *c) MUST_CHECK;
struct h2 *h2_free(struct h2 *h);
extern const struct http_answers h2_answers;
extern const struct http_protocol h2_protocol;
size_t h2_holds(const struct h2 *h); /* beside its calls, beyond what any idle connection does */
nghttp2_mem h2_memory(struct h2 *h);
void h2_memory_done(struct h2 *h);
/* No more streams; the connection ends with the last one. */
void h2_leave(struct h2 *h);
/* The peer broke the protocol or made too much noise: GOAWAY with this code, a record, and the end. */
void h2_violate(struct h2 *h, uint32_t code, enum reason why, const char *what);

/* The frames in what came, by their heads alone, before nghttp2 sees them. False: too much noise, and h2_violate was
 * called. */
bool h2_weigh(struct h2 *h, struct slice in);

/* h2_stream.c */
struct h2_stream *h2_stream_new(struct h2 *h, int32_t id); /* NULL: no memory */
struct h2_stream *h2_stream_of(struct h2 *h, int32_t id);
void h2_stream_request(struct h2_stream *s, bool ends); /* its header block is whole */
void h2_stream_body(struct h2_stream *s, struct slice bytes);
void h2_stream_end(struct h2_stream *s); /* the request is whole */
void h2_stream_closed(struct h2_stream *s, enum reason why);
void h2_stream_gone(struct h2_stream *s, enum reason why); /* tells the owner, if it still listens */
void h2_stream_ready(struct h2_stream *s);                 /* look at it when the turn ends */
void h2_stream_wanted(struct h2_stream *s);                /* its body is, by its owner */
void h2_stream_arm(struct h2_stream *s);
void h2_streams_settle(struct h2 *h); /* those that are ready */
void h2_streams_free(struct h2 *h);   /* with the session */
/* An attempt that the protocol itself ends: on record like any other, without an answer. */
void h2_attempt(struct h2 *h, enum reason why, const char *what);
