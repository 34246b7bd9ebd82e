/* One client connection: connect, handshake, then one exchange after the other.
 *
 *   CLOSED -> CONNECTING -> HANDSHAKE -> IDLE -> SENDING -> RECEIVING -> IDLE ...
 *
 * Any state may fall back to CLOSED. Each ends in exactly one call to the owner's table: `ready` (IDLE reached after
 * opening), `answered`, or `failed` (already CLOSED). The owner decides what comes next from inside these calls. */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer.h"
#include "options.h"

enum conn_state {
    CONN_CLOSED,
    CONN_CONNECTING,
    CONN_HANDSHAKE,
    CONN_IDLE,
    CONN_SENDING,
    CONN_RECEIVING,
    CONN_STATE_COUNT_
};

/* Why an exchange or a connection failed; each is counted by itself. */
#define FAIL_TABLE(X)                                                                                                  \
    X(CONNECT, "connect")                                                                                              \
    X(TLS, "tls")                                                                                                      \
    X(CLOSED, "closed")                                                                                                \
    X(MALFORMED, "malformed")                                                                                          \
    X(STATUS, "status")                                                                                                \
    X(LENGTH, "length")                                                                                                \
    X(TIMEOUT, "timeout")                                                                                              \
    X(UNANSWERED, "unanswered")

enum fail {
#define X(sym, text) FAIL_##sym,
    FAIL_TABLE(X)
#undef X
        FAIL_COUNT_
};

struct conn;

struct conn_owner {
    void (*ready)(struct conn *c);
    void (*answered)(struct conn *c);
    void (*failed)(struct conn *c, enum fail why);
    void (*lost)(struct conn *c); /* the server closed an idle connection: not an error of an exchange */
};

/* What all connections of a run share. */
struct conn_common {
    const struct options *opt;      /* bor: until the run ends */
    const struct conn_owner *owner; /* bor: static */
    SSL_CTX *ctx;                   /* bor: until the run ends; NULL for plain HTTP */
    int epoll_fd;
    const char *request; /* bor: the bytes of every request */
    size_t request_len;
    uint64_t handshakes_full, handshakes_resumed;
    char scratch[64 * 1024];
};

struct conn {
    struct conn_common *common; /* bor: until the run ends */
    enum conn_state state;
    int fd; /* -1 when CLOSED */
    uint32_t armed;
    SSL *ssl;             /* own; NULL when plain or CLOSED */
    SSL_SESSION *session; /* own; newest ticket, outlives the connection */
    int64_t began_ns;     /* of the opening or the exchange that runs, for the time-out */
    size_t sent;
    uint64_t taken;    /* bytes read of this exchange */
    uint64_t may_read; /* --read-rate: bytes it may still read now; the owner fills it each tick */
    /* the owner's, see work.h */
    int64_t due_ns;
    bool has_work, queued, opening;
    struct answer answer;
};

/* Put a zeroed struct into CLOSED. */
void conn_init(struct conn *c, struct conn_common *common);

/* CLOSED -> CONNECTING; may call `failed`. */
void conn_open(struct conn *c, int64_t now);

/* IDLE -> SENDING: send the common request. May call `answered` or `failed` before it returns. */
void conn_send(struct conn *c, int64_t now);

/* Something happened on the socket, or the read budget was filled again. */
void conn_run(struct conn *c);

/* Close it from our side, with close_notify. No call to the owner. */
void conn_close(struct conn *c);

/* Close it as failed and tell the owner. */
void conn_fail(struct conn *c, enum fail why);

/* Free what outlives a connection too. */
void conn_done(struct conn *c);

/* For tls_new(): keep the newest session with its connection. */
int conn_ticket(SSL *ssl, SSL_SESSION *session);
