/* Resumption: what OpenSSL asks of a session cache, answered from the store that all contexts share.
 *
 * Invariants: nothing that a client holds carries state (a TLS 1.3 ticket is a session's id, as in TLS 1.2); a session
 * is kept only for a peer that the owner vouches for, and given only after the owner judged that peer again; resuming
 * never prolongs: the successor of a session ends when the first one would have; the peer of a handshake that asked for
 * a session and then did not resume it is the one its certificate names. */
#include "base/net/internal.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

enum {
    SPENT_MS = 30000,       /* connections that a client opens in parallel may show the same session */
    ENCODED_MAX = 16 * 1024 /* with the peer's certificate, before that is left out */
};

/* One element of DER at `at`: its size with head, 0 when it does not fit. */
static size_t element(const uint8_t *p, size_t n, size_t *head)
{
    size_t octets, size = 0;

    if (n < 2)
        return 0;
    if (p[1] < 0x80) {
        *head = 2;
        return (size_t)p[1] + 2 <= n ? (size_t)p[1] + 2 : 0;
    }
    octets = p[1] & 0x7f;
    if (octets == 0 || octets > 3 || n < 2 + octets)
        return 0;
    for (size_t i = 0; i < octets; i++)
        size = size << 8 | p[2 + i];
    *head = 2 + octets;
    return size <= n - *head ? size + *head : 0;
}

/* OpenSSL's session is a SEQUENCE whose optional element [3] is the peer's certificate: several times the size of the
 * rest, and of no use, for the peer is kept by its verdict. */
static size_t without_certificate(const uint8_t *from, size_t n, uint8_t to[TLS_SESSION_MAX])
{
    enum { HEAD = 4, PEER = 0xa3 };
    size_t head, size, out = HEAD;

    if (element(from, n, &head) != n || from[0] != 0x30)
        return 0;
    for (size_t at = head; at < n; at += size) {
        size = element(from + at, n - at, &head);
        if (size == 0)
            return 0;
        if (from[at] == PEER)
            continue;
        if (size > TLS_SESSION_MAX - out)
            return 0;
        memcpy(to + out, from + at, size);
        out += size;
    }
    to[0] = 0x30;
    to[1] = 0x82;
    to[2] = (uint8_t)((out - HEAD) >> 8);
    to[3] = (uint8_t)(out - HEAD);
    return out;
}

static size_t encode(SSL_SESSION *from, uint8_t to[TLS_SESSION_MAX])
{
    uint8_t *all, *at;
    int n = i2d_SSL_SESSION(from, NULL);
    size_t out = 0;

    if (n <= 0 || n > ENCODED_MAX || (all = at = mem_alloc((size_t)n)) == NULL)
        return 0;
    if (i2d_SSL_SESSION(from, &at) == n)
        out = without_certificate(all, (size_t)n, to);
    mem_wipe(all, (size_t)n);
    mem_free(all);
    return out;
}

/* A session can be resumed from now on: TLS 1.3 calls this for each ticket, TLS 1.2 after a full handshake. */
static int on_new(SSL *ssl, SSL_SESSION *session)
{
    struct tls_shake *k = SSL_get_app_data(ssl);
    const struct tls_context *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    bool resumed = SSL_session_reused(ssl) == 1;
    struct tls_session one = { .until = k->until, .peer = resumed ? k->resumed : k->shown };
    int64_t now = clock_wall_ms();
    unsigned n = 0;
    const uint8_t *id = SSL_SESSION_get_id(session, &n);

    if (one.peer == NULL || n != TLS_SESSION_ID || one.until <= now || (one.n = encode(session, one.state)) == 0)
        return 0;
    if (resumed)
        tls_sessions_end(tls_sessions_of(t), k->id, now + SPENT_MS);
    memcpy(one.id, id, TLS_SESSION_ID);
    memcpy(k->id, id, TLS_SESSION_ID);
    k->kept = true;
    tls_sessions_put(tls_sessions_of(t), &one, now);
    mem_wipe(one.state, one.n);
    return 0; /* the session itself is not kept */
}

/* A client shows a session. NULL: it is not known, or its peer not good any more; a full handshake follows. */
static SSL_SESSION *on_get(SSL *ssl, const unsigned char *id, int n, int *copy)
{
    struct tls_shake *k = SSL_get_app_data(ssl);
    const struct tls_context *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    int64_t now = clock_wall_ms();
    const uint8_t *at;
    struct tls_session one;
    SSL_SESSION *session = NULL;

    *copy = 0;
    tls_peer_unref(k->resumed);
    k->resumed = NULL;
    if (n != TLS_SESSION_ID || !tls_sessions_get(tls_sessions_of(t), id, now, &one))
        return NULL;
    k->until = tls_good_until(t, one.peer);
    if (k->until > one.until)
        k->until = one.until;
    at = one.state;
    if (k->until - now >= 1000)
        session = d2i_SSL_SESSION(NULL, &at, (long)one.n);
    mem_wipe(one.state, one.n);
    if (session == NULL) {
        tls_peer_unref(one.peer);
        return NULL;
    }
    SSL_SESSION_set_time(session, (long)(now / 1000));
    SSL_SESSION_set_timeout(session, (long)((k->until - now) / 1000));
    memcpy(k->id, one.id, TLS_SESSION_ID);
    k->kept = true;
    k->resumed = one.peer;
    return session;
}

void tls_resume_setup(SSL_CTX *ctx)
{
    static const unsigned char domain[] = "sluice";

    SSL_CTX_set_session_id_context(ctx, domain, sizeof domain - 1);
    SSL_CTX_set_session_cache_mode(ctx,
                                   SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR);
    SSL_CTX_sess_set_new_cb(ctx, on_new);
    SSL_CTX_sess_set_get_cb(ctx, on_get);
    SSL_CTX_set_num_tickets(ctx, 1);
}

/* ---- the handshake's peer ---- */
void tls_shown(SSL *ssl, struct tls_peer *peer)
{
    struct tls_shake *k = SSL_get_app_data(ssl);
    const struct tls_context *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    int64_t now = clock_wall_ms();

    tls_peer_unref(k->shown);
    k->shown = peer;
    k->until = tls_sessions_of(t) ? tls_good_until(t, peer) : 0;
    if (k->until > now) /* the client is told, too */
        SSL_SESSION_set_timeout(SSL_get_session(ssl), (long)((k->until - now) / 1000));
}

struct tls_peer *tls_take_peer(SSL *ssl)
{
    struct tls_shake *k = SSL_get_app_data(ssl);
    struct tls_peer **from = SSL_session_reused(ssl) == 1 ? &k->resumed : &k->shown, *p = *from;

    *from = NULL;
    tls_shake_drop(k);
    return p;
}

void tls_shake_drop(struct tls_shake *k)
{
    tls_peer_unref(k->shown);
    tls_peer_unref(k->resumed);
    k->shown = k->resumed = NULL;
}

/* RFC 5246 section 7.2.2, RFC 8446 section 6.2: a connection that failed takes its session with it. */
void tls_failed(SSL *ssl)
{
    struct tls_shake *k = SSL_get_app_data(ssl);
    const struct tls_context *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    if (k->kept && tls_sessions_of(t))
        tls_sessions_end(tls_sessions_of(t), k->id, 0);
    k->kept = false;
}
