#pragma once
/* The store of resumable TLS sessions and the peers they belong to: what the loops of a process share in base/net, and
 * all of it. Thread rule: every function may be called by any thread at once. One lock, held for no more than a look at
 * one set of eight slots. Invariants: never more than the sessions it was made for; a session that ended is never
 * given; keys are wiped before their memory is freed. */
#include <stdatomic.h>
#include "base/core/core.h"

/* A judged peer: constant once made, counted over all threads. The first member of what tls_server.verify returns. */
struct tls_peer {
    _Atomic uint32_t refs; /* begins at 1 */
};
struct tls_peer *tls_peer_ref(struct tls_peer *p);
void tls_peer_unref(struct tls_peer *p); /* the last one frees it with mem_free; NULL is ok */

enum { TLS_SESSION_ID = 32, TLS_SESSION_MAX = 512 };
struct tls_session {
    uint8_t id[TLS_SESSION_ID]; /* random, of our making */
    int64_t until;              /* wall ms */
    struct tls_peer *peer;      /* ref */
    size_t n;
    uint8_t state[TLS_SESSION_MAX]; /* the keys, in the TLS library's form; wipe it after use */
};
struct tls_sessions; /* counted */
/* `most` sessions, rounded up to whole sets; memory is taken as they come, about 300 bytes each. NULL: no memory. */
struct tls_sessions *tls_sessions_new(size_t most);
struct tls_sessions *tls_sessions_ref(struct tls_sessions *s);
void tls_sessions_unref(struct tls_sessions *s); /* NULL is ok */
/* Keep a copy, with a reference of its own to the peer. In a full set it takes the place of one that ended, else of the
 * one that was of no use for longest. Without memory, or longer than TLS_SESSION_MAX: it is not kept. */
void tls_sessions_put(struct tls_sessions *s, const struct tls_session *one, int64_t now);
/* True: *ret is a copy, with a reference that the caller lets go. */
bool tls_sessions_get(struct tls_sessions *s, const uint8_t id[TLS_SESSION_ID], int64_t now, struct tls_session *ret);
/* It ends at `until` at the latest; zero: now. */
void tls_sessions_end(struct tls_sessions *s, const uint8_t id[TLS_SESSION_ID], int64_t until);

struct tls_sessions_count {
    uint64_t kept;                     /* now */
    uint64_t found, missed, displaced; /* since the start; displaced: before their end, for want of room */
};
struct tls_sessions_count tls_sessions_count(struct tls_sessions *s);
