#pragma once
/* Shared inside base/net only. */
#include "base/net/net.h"

#include <sys/types.h>

struct alarm_wheel;
struct alarm_wheel *alarm_wheel_new(struct loop *l);
void alarm_wheel_free(struct alarm_wheel *w);
struct alarm_wheel *loop_wheel(struct loop *l);
void loop_empty_graves(struct loop *l);

/* Run in the next turn, which then does not wait: so that one busy stream cannot hold a turn open for ever. Setting
 * what is set already does nothing. */
struct soon {
    struct soon *next, **pprev;
    void (*fn)(struct soon *);
};
void loop_soon(struct loop *l, struct soon *node, void (*fn)(struct soon *));
void loop_not_soon(struct soon *node);

/* As recv without flags, and send without a signal: -1 and errno. */
ssize_t socket_take(int fd, void *to, size_t n);
ssize_t socket_give(int fd, const void *from, size_t n);
bool socket_silent(int fd); /* no byte, no end, no error has come that was not taken */
/* listen.c: the kernel takes no more than 256 KiB beyond what is on its way to the peer (TCP_NOTSENT_LOWAT), where it
 * would take 4 MiB for each peer that does not read. A connection that is accepted has it from its listener. */
void socket_bound(int fd);
/* spare.c: who has to leave how many of the last descriptors to others. */
enum spare { SPARE_HALF, SPARE_ALL };
bool spare_reached(int fd, enum spare who); /* fd is one of those */
bool spare_left(int fd, enum spare who);    /* the next one would be none of them; fd is any open one */
int spare_take(int fd, enum spare who);     /* fd; or it is closed, and -1 */

/* address.c: of an IP address as text; false: it is none. */
struct sockaddr_storage;
bool address_read(const char *host, unsigned port, struct sockaddr_storage *ret);
void address_text(const struct sockaddr_storage *a, char *out, size_t n); /* without port; "" where it has no room */
uint32_t address_size(const struct sockaddr_storage *a);                  /* of AF_INET's and AF_INET6's */
/* "host", "host:port", "[v6]:port"; false: it is none of these, or the host has no room. */
bool address_split(struct slice text, unsigned default_port, char *host, size_t room, unsigned *port);

struct ssl_ctx_st;
struct ssl_st;
struct ssl_ctx_st *tls_ssl_ctx(const struct tls_context *t);
bool tls_is_server(const struct tls_context *t);
/* The first error of this thread's queue is an alert about the certificate that was shown to the peer, or was not (RFC
 * 8446 section 6.2). */
bool tls_rejected(void);

/* What a handshake settles; its stream embeds it and gives it to the SSL as its app data. */
struct tls_shake {
    struct tls_peer *shown, *resumed; /* ref: named by a certificate; by a kept session */
    int64_t until;                    /* wall ms: a session with this peer ends; 0: none is kept */
    uint8_t id[TLS_SESSION_ID];
    int fd;         /* bor */
    bool kept;      /* `id` is that of a session in the store */
    bool asks_anew; /* the client began to renegotiate */
    bool shaken;    /* the handshake is over */
    uint16_t steps; /* of its protocol since then, or since steps_at */
    int64_t steps_at;
};
void tls_shake_drop(struct tls_shake *k);
/* The peer says more than an honest one does beside its bytes: new keys over and over, or a handshake anew. */
bool tls_is_noisy(const struct tls_shake *k);
bool tls_noisy(struct tls_shake *k, int64_t now); /* the same; else what it said long ago is forgotten */
/* The peer object that the server's hooks made for this handshake; the reference leaves with it. *ret NULL: there is no
 * hook. False: there is one, and it had no memory. */
bool tls_settle(struct ssl_st *ssl, struct tls_peer **ret) MUST_CHECK;
/* tls_resume.c; for tls.c */
struct tls_sessions *tls_sessions_of(const struct tls_context *t); /* NULL: nothing is resumed */
int64_t tls_good_until(const struct tls_context *t, const struct tls_peer *p);
void tls_resume_setup(struct ssl_ctx_st *ctx);
void tls_shown(struct ssl_st *ssl, struct tls_peer *peer); /* takes the reference */
struct tls_peer *tls_take_peer(struct ssl_st *ssl);
void tls_failed(struct ssl_st *ssl); /* by a fault of its protocol */
/* tls_socket.c: reads and writes there, until this peer is noisy; false: no memory. k: bor, until the SSL is freed */
bool tls_socket(struct ssl_st *ssl, struct tls_shake *k, int fd);
struct door_pass;
uint8_t door_source(int fd); /* a slot of its peer's address */
void door_enter(struct door *g, struct door_pass *p, uint8_t source);
void door_leave(struct door_pass *p);   /* what has no door leaves none */
void stream_hurry(struct door_pass *p); /* break the stream that has this pass */
struct door *tls_door(const struct tls_context *t);
/* The quick reader: fills method, target, status, minor, n, at and absent of a plain head at the start of `bytes`;
 * returns its length. 0: not plain, or not whole; *ret is spoilt then. */
size_t http_scan(struct slice bytes, bool request, struct http_head *ret);
/* Length of the run at p without controls (HTAB is one) and DEL. */
size_t http_text_run(const char *p, const char *end);
/* A plain head and all guards of http_head_parse; 0 as http_scan. */
size_t http_head_plain(struct slice bytes, bool request, struct http_head *ret);
/* Offset behind the empty line that ends a head, or 0. *looked, 0 at first: how far it has, which the next call with
 * more of the same bytes goes on from. */
size_t http_head_end(struct slice in, size_t *looked);
/* The same question put to llhttp alone; for heads that are not plain. */
enum err http_head_judge(struct slice bytes, bool request, struct http_head *ret, const char **why) MUST_CHECK;
/* http_kept.c: plain heads that are recognised by their bytes; one store a loop. */
struct http_seen { /* of one connection; zeros at first */
    uint32_t hash; /* of the last head that was not recognised */
    uint8_t slot;  /* where the last one that was stands */
    bool twice;    /* two such heads in a row had this hash */
};
struct http_kept *http_kept_new(void);
struct http_kept *http_kept_free(struct http_kept *k);
struct http_kept *loop_kept(struct loop *l);
/* Whether `in` begins with the head that this connection had last: as http_head_plain, and `again` says which. */
size_t http_kept_find(const struct http_kept *k, const struct http_seen *seen, struct slice in, struct http_head *ret);
/* It did not, and was read: h->again when it is another one that is kept. */
void http_kept_miss(const struct http_kept *k, struct http_seen *seen, struct http_head *h);
/* Keep it if it came twice in a row; its number, or 0. */
uint64_t http_kept_keep(struct http_kept *k, struct http_seen *seen, const struct http_head *h);
/* "Name: value" and CRLF. */
void http_header_put(struct buf *out, struct slice name, struct slice value);
/* The guards for a request's head that do not depend on how it was written: framing, Host, Expect, target. NULL, or why
 * it is refused. */
const char *http_head_check(struct http_head *h);
/* A Date header's value, rewritten once a second for each thread. */
struct slice http_date(int64_t wall_ms);
bool http_status_has_body(int status);
