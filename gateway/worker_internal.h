#pragma once
/* A worker's inside, shared by worker.c, consumer_http.c, the exchange and the flood guard; nobody else. One thread
 * touches all of it. */
#include "gateway/flood.h"
#include "gateway/pressure.h"
#include "gateway/tally.h"
#include "gateway/trust.h"
#include "gateway/worker.h"

#include <pthread.h>
#include <stdatomic.h>

/* What a snapshot says of this application and the resource it asked for last: most consumers ask for one resource
 * again and again, and five look-ups by name are 1200 instructions. */
struct found {
    const struct snapshot *in; /* the worker's when it was looked up; not held, only compared, together with: */
    uint64_t generation;
    char resource[160];
    size_t n;
    const struct principal *app;
    const struct resource_head *head;
    struct grant_set set;
};
struct connection { /* one consumer's connection */
    struct worker *w;
    struct connection *next, **pprev;
    struct http_conn *http;
    const struct certs_peer *peer; /* bor: until the connection ends */
    int64_t since;                 /* mono ms: it is open */
    bool busy, admitted;           /* it has exchanges, has admitted ones: as of the last look of calm.c */
    bool calmed;                   /* told to end, by that */
    uint64_t trust_generation;     /* the peer was rechecked under; 0: not yet */
    int64_t checked;               /* mono ms of the last look at revocation */
    uint32_t slot, group;          /* of its identity, and of its department or of all strangers, in tallies */
    uint64_t party_hash;           /* of its department, as connectors have it; 0: not asked for yet */
    struct found found;
    char address[46];
};

struct evidence {       /* a record on its way */
    struct exchange *x; /* NULL: the worker's count record */
    bool pending, durable, failed;
    uint64_t index;
};

/* Who asks for what and on whose authority, as an intent's record says it: rendered once for exchanges that say the
 * same. It holds for these very objects of this very snapshot, and for these texts; whatever differs is rendered anew.
 */
struct intent_memo {
    const struct snapshot *in; /* not held, only compared, like service and grant; NULL: empty */
    uint64_t generation;
    const struct service *service;
    const struct policy_grant *grant;
    struct policy_items items;
    char uri[256], digest[65], address[46];
    uint8_t purpose_n;
    char purpose[64];
    struct audit_known text;
};

enum room_line { ROOM_OWED, ROOM_NEW, ROOM_LINES };
struct room { /* exchanges that wait for the evidence queue, see room.h */
    struct exchange *first, *last;
};
enum { DIGEST_POOL = 64, EXCHANGE_POOL = 128, INTENT_MEMOS = 64 };
/* So many times limits.begun_each may have begun of one department, or of all strangers; and of all together. */
enum { BEGUN_GROUP = 2, BEGUN_ALL = 8, BEGUN_FEW = 32 /* so many of a worker take from no room */ };
enum {
    CONNECTIONS_FEW = 64
}; /* so many of a worker are let in whatever memory there is: to be told that there is none */
static inline size_t worker_body_kib(size_t bytes)
{
    return (bytes + 1023) / 1024;
}
struct worker {
    struct worker_config cfg;
    struct loop *loop;
    pthread_t thread;
    struct snapshot *snapshot; /* ref */
    struct trust_holder trust;
    struct tls_context *tls;
    struct door door;
    struct audit_queue *queue;
    struct watch *queue_watch;
    struct room room[ROOM_LINES];
    struct alarm nudge, second;
    struct moment *expiry; /* of the grant that ends next, when that is within an alarm's slot */
    int64_t expiry_at;     /* mono ms it is set for; 0: not set */
    struct connector_pool *pool;
    struct acceptor *acceptor;
    struct connection *connections, **connections_end; /* the oldest first */
    struct exchange *exchanges;
    size_t n_connections, n_exchanges, n_admitted;
    size_t body_bytes;                   /* of requests, held by exchanges */
    struct digest *digests[DIGEST_POOL]; /* free ones, last in first out */
    unsigned n_digests;
    struct exchange *spare; /* blocks to use again, linked by next: warm memory, no allocator */
    unsigned n_spare;
    struct intent_memo *intents; /* own: INTENT_MEMOS */
    struct ask_memo *asks;       /* own: HTTP_KEPT */
    struct calm *calm;           /* own */
    struct flood flood;
    struct tally begun_each, begun_group; /* not admitted, or not yet: by identity; by department, or all strangers */
    struct tally bodies_each;             /* KiB of body_bytes, by department */
    struct evidence count;                /* waits for the flood's record */
    struct worker_note *drain;            /* waits for the last answer to arrive */
    struct alarm leave;                   /* looks whether it has */
    uint64_t shaken, trimmed;             /* handshakes as of the last second; as of the last trim */
    bool draining, stopping;
    struct loop_msg stop;
    struct worker_counters counters;
};

#define COUNT(w, what, n) atomic_fetch_add_explicit(&(w)->counters.what, (n), memory_order_relaxed)

struct digest *worker_digest(struct worker *w);              /* NULL: no memory */
void worker_digest_back(struct worker *w, struct digest *g); /* NULL is ok */
/* Memory for an exchange, not cleared; NULL: none. */
struct exchange *worker_exchange_block(struct worker *w);
void worker_exchange_block_back(struct worker *w, struct exchange *x);
void worker_exchange_gone(struct worker *w); /* one less runs */
/* An exchange's grant ends in so many ms: cut it then, exactly. */
void worker_expire_in(struct worker *w, int64_t ms);
/* Something was counted, or is to be let go: once in a second. */
void worker_second_later(struct worker *w);
/* A lazy record was queued: the writer is told of it soon, even if nothing else comes. */
void worker_nudge_later(struct worker *w);
extern const struct http_service consumer_service; /* consumer_http.c; its arg is the worker */
