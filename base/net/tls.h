#pragma once
/* TLS contexts. TLS 1.3 and 1.2 with ECDHE and AEAD only, no renegotiation, no 0-RTT. A context is made on one thread
 * and then used by the one loop it was made for. */
#include "base/net/door.h"
#include "base/net/sessions.h"

/* Of the handshake's protocol behind the handshake, within so many ms. An honest peer changes its keys once in 2^24
 * records and more (RFC 8446 section 5.5), a server brings some sessions; a message takes OpenSSL some three steps. */
enum { TLS_STEPS_MOST = 128, TLS_STEPS_MS = 10000 };
enum { TLS_KEY_BITS = 8192, TLS_EXPONENT_BITS = 64, TLS_GROUP_BITS = 4096 }; /* at most; more takes too long */

struct x509_st;
struct stack_st_X509;
struct tls_context; /* counted, not atomic */
struct tls_context *tls_ref(struct tls_context *t);
void tls_unref(struct tls_context *t);

/* A server asks for the client's certificate and lets the handshake finish whatever it is: `verify` judges it and
 * returns a counted object that stays with the stream (stream_peer). So a stranger gets an answer that names the
 * reason. With `sessions`, clients resume, statefully and without 0-RTT: a session keeps the peer, `good_until` is
 * asked when it is made and again each time it is shown. */
struct tls_server {
    const char *cert_file, *key_file; /* PEM chain, PKCS#8 PEM (refused when others can read it) */
    const char *const *ca_files;      /* names sent in the certificate request, NULL at the end; NULL: none */
    /* Leaf (NULL: none was sent) and what came with it, leaf included. The hook may put the same certificate in another
     * copy in the place of *leaf, with a reference, so that connections share one. NULL return: out of memory, the
     * handshake fails. */
    struct tls_peer *(*verify)(void *arg, struct x509_st **leaf, struct stack_st_X509 *chain);
    /* Judge this peer by what holds now: until when (wall ms) may a session stand for it? 0: not at all. */
    int64_t (*good_until)(void *arg, const struct tls_peer *p);
    void *arg;
    struct tls_sessions *sessions; /* the context takes a reference; NULL: each handshake is a full one */
    struct door *door;             /* bor: until its last stream ends; NULL: handshakes are not counted */
    bool http2;                    /* offer h2 by ALPN besides http/1.1 */
};
enum err tls_server_new(const struct tls_server *s, struct tls_context **ret, struct diags *d) MUST_CHECK;

enum tls_mode { TLS_MUTUAL, TLS_SERVER, TLS_LEGACY, TLS_NONE };
const char *tls_mode_name(enum tls_mode m); /* "mutual", "server", "legacy", "none" */
struct tls_client {
    enum tls_mode mode;  /* legacy: TLS 1.0 up, SHA-1 and old renegotiation, for old systems that say why */
    const char *ca_file; /* anchors for the server; required but for legacy */
    const char *cert_file, *key_file; /* mutual */
};
/* The server's chain and its name (given to stream_connect) are verified; a failure ends the handshake. */
enum err tls_client_new(const struct tls_client *c, struct tls_context **ret, struct diags *d) MUST_CHECK;
