#pragma once
/* A non-blocking byte stream over a socket, plain or TLS: two constant tables of functions behind one struct.
 * Reading is wanted or not; writing is attempted at once and waited for only when it blocked. */
#include "base/net/loop.h"
#include "base/net/tls.h"

struct sockaddr_storage;

enum io { IO_DONE, IO_AGAIN, IO_EOF, IO_FAIL };
enum stream_fault {
    STREAM_OK,
    STREAM_REFUSED /* connect */,
    STREAM_RESET,
    STREAM_TLS,
    STREAM_UNTRUSTED, /* peer's certificate */
    STREAM_REJECTED   /* the peer does not accept ours. In TLS 1.3 a client hears that when it reads first */
};

struct stream;
struct stream_events {                               /* one table a kind of user */
    void (*open)(void *user);                        /* connected and handshaken */
    void (*readable)(void *user);                    /* stream_read will give something, or the end */
    void (*writable)(void *user);                    /* what blocked may go on */
    void (*broken)(void *user, enum stream_fault f); /* before open: connect or handshake failed */
};

/* An accepted socket (taken). tls NULL: plain. NULL: no memory; fd is closed. The handshake starts by itself. */
struct stream *stream_accept(struct loop *l, int fd, struct tls_context *tls, const struct stream_events *e,
                             void *user);
/* Connect. `name`: for SNI and for checking the certificate. Failure comes through broken, never at once; NULL: no
 * memory. */
struct stream *stream_connect(struct loop *l, const struct sockaddr_storage *to, struct tls_context *tls,
                              struct slice name, const struct stream_events *e, void *user);
/* Closes at once (TLS: with close_notify if it can go without waiting) and frees after the turn. Returns NULL. */
struct stream *stream_close(struct stream *s);
/* Say that nothing more will be written (close_notify, FIN); reading goes on. */
void stream_finish(struct stream *s);
/* Close so that the peer sees an error, never a clean end: no close_notify, RST. */
struct stream *stream_abort(struct stream *s);

enum io stream_read(struct stream *s, void *to, size_t n, size_t *got);
/* No byte and no end has come; else the stream is good for stream_close only. */
bool stream_silent(struct stream *s);
enum io stream_write(struct stream *s, const void *from, size_t n, size_t *put); /* IO_AGAIN arms writable */
/* The connection is no more, though nobody reads it; a peer that closed behind bytes it had sent is not known to have.
 */
bool stream_hung_up(const struct stream *s);
/* Bytes that were written and that the peer's kernel has not acknowledged yet. */
size_t stream_unsent(const struct stream *s);
/* What is written while held goes out in full packets, its rest when it is held no longer: by the turn's end. */
void stream_hold(struct stream *s, bool on);
void stream_want_read(struct stream *s, bool on);
bool stream_is_open(const struct stream *s);
/* TLS: bytes are left in the TLS layer that no readiness will announce; read on or come back. */
bool stream_pending(struct stream *s);
/* What tls_server.verify returned; NULL when plain. bor: until the stream is freed */
struct tls_peer *stream_peer(const struct stream *s);
bool stream_http2(const struct stream *s); /* ALPN chose h2 */
void stream_admit(struct stream *s);       /* the peer is known: it takes no place in the door any more */
enum stream_fault stream_fault(const struct stream *s);
/* Text of the peer's address without port. */
void stream_address(const struct stream *s, char *out, size_t n);
int stream_fd(const struct stream *s);
/* Of such a text, who that is at most: whoever has one address of IPv6 has all of its /64. */
enum { ADDRESS_TEXT = 46 };
void address_source(const char *address, char out[ADDRESS_TEXT]);

/* Listening: one socket a thread with SO_REUSEPORT, made before the threads. host may be "127.0.0.1", "::1", "0.0.0.0",
 * "::". */
enum err net_listen(const char *host, unsigned port, bool reuse_port, int *ret_fd, struct diags *d) MUST_CHECK;
unsigned net_port(int fd); /* the bound port */
struct acceptor;
/* Accepts until it would block, at most 64 a turn; pauses by itself for 100 ms at a time while hardly any descriptors
 * are left. Borrows fd. */
struct acceptor *acceptor_new(struct loop *l, int fd, void (*fn)(void *arg, int fd), void *arg);
struct acceptor *acceptor_free(struct acceptor *a);
void acceptor_hold(struct acceptor *a, bool on); /* accept nothing for now; go on. May be called by fn */
void acceptor_leaves(struct acceptor *a);        /* whoever may come: it leaves twice as many to all others */
/* Of a listener whose door yields: so few a turn that each is heard before it could have to give way, and only those
 * that have sent something, or were silent for a second. */
void acceptor_yields(struct acceptor *a, const struct door *g);
