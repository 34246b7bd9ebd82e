#pragma once
/* HTTP/1.1 (RFC 9112) on both sides, and HTTP/2 (RFC 9113) for servers whose TLS context offers it. Heads of HTTP/1 are
 * parsed once, when they are whole, by llhttp in strict mode behind guards of our own; messages are rebuilt from their
 * parsed form and never forwarded raw. A call is one request and its answer: over HTTP/1 a connection has one at a
 * time, over HTTP/2 many; its owner need not know which. */
#include "base/net/bounds.h"
#include "base/net/stream.h"

struct http_header {
    struct slice name, value; /* name as sent; value without outer white space */
};
struct http_head {               /* bor: until the callback that shows it returns */
    struct slice method, target; /* requests; target as sent */
    struct slice path, query;    /* of the target; still percent-encoded */
    int status;                  /* answers */
    uint8_t minor;               /* HTTP/1.minor */
    struct slice bytes;          /* all of it, as it was read; empty: it came otherwise */
    uint64_t again;              /* the number that http_head_keep gave to these very bytes; 0: none */
    uint64_t absent;             /* bits (http_name_bit) of names that are certainly not there; 0: not known */
    size_t n;
    bool has_length, chunked, keep_alive, expect_continue; /* chunked: a body follows whose length is not told */
    uint64_t length;                                       /* when has_length */
    struct http_header at[HTTP_HEADERS_MAX];               /* n of them */
};
/* A bit for names of this length and first letter. */
static inline uint64_t http_name_bit(const char *name, size_t n)
{
    return UINT64_C(1) << ((n * 7 + (unsigned char)(name[0] | 0x20)) & 63);
}
struct slice http_find(const struct http_head *h, struct slice name, size_t *count);
/* The one value of a header, or the empty slice; names compare without case. *count (may be NULL): how often it is
 * there. Inline, for most that are asked for are not there, and their bit says so. */
static inline struct slice http_get(const struct http_head *h, const char *name, size_t *count)
{
    if ((h->absent & http_name_bit(name, strlen(name))) == 0)
        return http_find(h, slice_of(name), count);
    if (count)
        *count = 0;
    return (struct slice){ 0 };
}

/* Parse one whole head (up to and with its empty line). ERR_SYNTAX: *why is a short English reason without peer data;
 * ERR_TOO_LARGE: the same, for more than HTTP_HEADERS_MAX fields.
 * Refused beyond llhttp strict: obs-fold, bare LF, control characters, Transfer-Encoding on HTTP/1.0 or other than a
 * single `chunked`, Transfer-Encoding with Content-Length, repeated or listed Content-Length, missing, repeated or
 * ill-formed Host, targets that are neither origin-form nor absolute-form of that very Host. */
enum err http_head_parse(struct slice bytes, bool request, struct http_head *ret, const char **why) MUST_CHECK;

/* A body decoder by the head's framing: incremental, exact. Chunked framing is llhttp's, in strict mode. */
struct http_body {
    bool done, chunked, until_close; /* until_close: answers without length */
    uint64_t left;                   /* when neither chunked nor until_close */
    uint32_t overhead;               /* framing bytes that content has not paid for: they are capped */
    void (*piece)(void *arg, struct slice content);
    void *arg;
    uint64_t parser[16]; /* llhttp_t */
};
void http_body_init(struct http_body *b, const struct http_head *h, bool request, bool head_request);
/* Decode `in`: content goes to `piece`; *used is how much of `in` belonged to this message. ERR_SYNTAX: framing is
 * broken. */
enum err http_body_feed(struct http_body *b, struct slice in, void (*piece)(void *arg, struct slice content), void *arg,
                        size_t *used) MUST_CHECK;

/* ---- server ---- */
struct http_conn;
struct http_call;     /* one request and its answer */
struct http_service { /* constant table; arg is the listener's owner */
    /* A connection is open (handshake done); returns the owner's state for it, NULL refuses it. */
    void *(*open)(void *arg, struct http_conn *c);
    void (*close)(void *conn_state);
    /* A whole head. Sets the call's state with http_call_set. h is borrowed for the call. */
    void (*head)(void *conn_state, struct http_call *call, const struct http_head *h);
    void (*body)(void *call_state, struct slice bytes);
    void (*end)(void *call_state);  /* the request is complete */
    void (*room)(void *call_state); /* output has drained below half */
    void (*gone)(void *call_state,
                 enum reason why);  /* the peer left, stalled or broke framing: no answer can be given; last callback */
    void (*sent)(void *call_state); /* the ended answer is in the kernel's hands; last callback */
    /* Bytes that are no request: answer it like a call whose head never was (head is not called); `raw` for a digest.
     */
    void (*malformed)(void *conn_state, struct http_call *call, enum reason why, const char *what, struct slice raw);
    /* n bytes more are to be held for a connection beside its calls, or for one that comes (http_held.c); false: there
     * is no room for them, and it ends, told why as far as its protocol can. NULL: there always is. */
    bool (*hold)(void *arg, size_t n, bool comes);
};
struct http_limits {                            /* ms, counts or bytes; zero takes the default in parentheses */
    int64_t handshake, head, body, idle, write; /* (10 s, 10 s, 30 s, 75 s, 60 s) body, write: see rate */
    uint32_t rate;       /* bytes a second that a peer must send of a body, or take of an answer, over `body` or `write`
                          * (240) */
    uint32_t requests;   /* on one connection (100 000) */
    size_t window;       /* bytes of output held for one connection (16 KiB) */
    uint32_t head_bytes; /* of a request's head, at most HTTP_HEAD_MAX (16 KiB); HTTP/2 counts as RFC 9113 section
                          * 6.5.2 does */
    uint32_t head_fields; /* in it, Host among them, at most HTTP_HEADERS_MAX (64) */
    uint32_t streams;     /* HTTP/2: requests at once on one connection (100) */
    uint32_t resets;      /* HTTP/2: streams that the peer resets, or makes us reset, within 10 s (200) */
    uint32_t frames;      /* HTTP/2: frames that carry nothing of a message within 10 s (2000) */
    bool http2;           /* plain connections speak HTTP/2 from the first byte (RFC 9113 section 3.3) */
};
/* Take an accepted fd. tls NULL: plain. The connection frees itself. ERR_BUSY: service.hold had no room for it. */
enum err http_serve(struct loop *l, int fd, struct tls_context *tls, const struct http_limits *limits,
                    const struct http_service *s, void *arg) MUST_CHECK;
struct tls_peer *http_conn_peer(const struct http_conn *c); /* stream_peer */
void http_conn_address(const struct http_conn *c, char *out, size_t n);
void http_conn_admit(struct http_conn *c);         /* its peer is known: a door that yields lets it in (door.h) */
void http_conn_drain(struct http_conn *c);         /* it ends: after the answer under way, or at once when idle */
bool http_conn_settled(const struct http_conn *c); /* nothing of an answer is on its way: the peer's host has it all */
void http_conn_end(struct http_conn *c); /* now: in an answer like abort, else so that what was sent arrives */
void http_conn_abort(struct http_conn *c, enum reason why); /* at once; the calls get gone(why) */

void http_call_set(struct http_call *call, void *state);
/* Within head(): what this head says may be kept as long as the loop lives, by it and by the caller, and is the same
 * whenever it comes again. Its number, which those have in `again`: number % HTTP_KEPT is one of few at any time. 0: it
 * is not kept, for it did not come twice in a row. */
enum { HTTP_KEPT = 64 };
uint64_t http_head_keep(struct http_call *call, const struct http_head *h);
struct http_conn *http_call_conn(const struct http_call *call);
/* Stop and go on reading the request body. */
void http_call_read(struct http_call *call, bool on);

struct http_reply {
    int status;
    const struct http_header *headers; /* borrowed for the call; must hold no CR, LF, NUL */
    size_t n_headers;
    int64_t length; /* of the body; -1: not known (chunked, or until close on HTTP/1.0) */
    bool close;     /* end the connection after this answer */
};
/* Each of these may be called from any callback of the same loop until the answer is ended. Output is gathered and sent
 * at the end of the turn or when 16 KiB are there. */
void http_reply_head(struct http_call *call, const struct http_reply *r);
size_t http_reply_body(struct http_call *call,
                       struct slice bytes); /* returns the room left; 0: wait for room() before more */
void http_reply_end(struct http_call *call, const struct http_header *trailers, size_t n);
void http_reply_abort(struct http_call *call); /* cut: never a clean end. The call is over; no further callback */
size_t http_reply_room(const struct http_call *call);
struct slice http_status_text(int status);

/* ---- client ---- */
struct http_client; /* one connection to a provider, at most one exchange at a time */
struct http_client_events {
    void (*head)(void *user, const struct http_head *h);
    void (*body)(void *user, struct slice bytes);
    void (*end)(void *user, bool reusable);               /* the answer is complete */
    void (*fail)(void *user, enum reason why, bool sent); /* sent: some of the request may have reached the provider */
    void (*idle_closed)(void *user);                      /* the peer closed while nothing was under way */
    void (*opened)(void *user);                           /* connected, TLS done; may be NULL */
    void (*room)(void *user);                             /* of a body that streams more is wanted; NULL: none does */
};
struct http_client *http_client_new(struct loop *l, const struct sockaddr_storage *to, struct tls_context *tls,
                                    struct slice name, const struct http_client_events *e, void *user,
                                    int64_t connect_ms);
struct http_client *http_client_free(struct http_client *c); /* closes; no callback any more */
void http_client_user(struct http_client *c, void *user);
/* One request: the whole text of head and body (copied). Answer within `ms` until its head, connecting included, and
 * then without pauses longer than `ms`. Never calls back. ERR_BUSY: one is under way, or the connection has failed. */
enum err http_client_send(struct http_client *c, struct slice text, bool head_method, int64_t ms) MUST_CHECK;
void http_client_pauses(struct http_client *c, int64_t ms); /* of what was sent: behind its head this long instead */
/* A request whose body streams: its head now (http_request_head_put), its body by http_client_put, as told by `length`
 * (0: in chunks). While the provider takes all, only the owner is waited for; else pauses may be twice `ms`. */
enum err http_client_begin(struct http_client *c, struct slice head, uint64_t length, int64_t ms) MUST_CHECK;
bool http_client_room(const struct http_client *c); /* more is wanted now */
/* All of it is taken. ERR_AGAIN: put no more before room() is called; any other error: free the client. Never calls
 * back. Small pieces are gathered until the end of the turn. */
enum err http_client_put(struct http_client *c, struct slice bytes) MUST_CHECK;
enum err http_client_put_end(struct http_client *c) MUST_CHECK; /* that was the whole body */
/* The whole request is in the kernel's hands, and of one whose body streams, in the peer's kernel's. An answer that
 * begins before is no answer to all of it: what tells of it would have told of that too. */
bool http_client_sent(const struct http_client *c);
bool http_client_quiet(struct http_client *c);         /* no byte unasked for, no end; else free it (RFC 9112 9.2) */
void http_client_read(struct http_client *c, bool on); /* back-pressure */
/* How much of this answer to read at once; it will be 4 KiB at least and 16 KiB at most, at first 8 KiB. */
void http_client_most(struct http_client *c, size_t n);
/* Bytes a second that an answer must bring, and at which a body that streams must be taken, over `ms` or a little more;
 * 0 (at first): a byte in `ms` will do. What we make it wait does not count. */
void http_client_least(struct http_client *c, uint32_t rate);
/* Request text: "METHOD target HTTP/1.1", Host, the headers, Content-Length when there is a body or the method wants
 * one. */
enum err http_request_put(struct buf *out, struct slice method, struct slice target, struct slice host,
                          const struct http_header *headers, size_t n, struct slice body) MUST_CHECK;
/* The same with lines that http_lines_put made (Host among them) in front of the headers. */
enum err http_request_put_lines(struct buf *out, struct slice method, struct slice target, struct slice lines,
                                const struct http_header *headers, size_t n, struct slice body) MUST_CHECK;
enum err http_lines_put(struct buf *out, const struct http_header *headers, size_t n) MUST_CHECK;
/* The head of one whose body streams: with Content-Length, or, when `length` is 0, Transfer-Encoding: chunked. */
enum err http_request_head_put(struct buf *out, struct slice method, struct slice target, struct slice host,
                               const struct http_header *headers, size_t n, uint64_t length) MUST_CHECK;
