#pragma once
/* connectors, inside: the compiled target, its kinds, and a worker's pool. Not for other folders. */
#include "connectors/connectors.h"

#include <stdatomic.h>
#include <sys/queue.h>
#include <sys/socket.h>

/* ---- kinds: one file each ---- */
struct target_compile {
    struct connector_target *t;       /* being made */
    const struct connector_world *w;  /* NULL only with check_only */
    const struct doc *manifest, *map; /* map: its `connector` */
    struct arena *scratch;            /* of the binder */
    struct diags *d;
    uint64_t secret, ca, cert, key; /* target_file of these, from before they were read */
    bool check_only, bad, nomem;
};
struct kind {
    const char *name;
    bool path, operation; /* which of these two keys belong to it; what they say is translate's to check */
    void (*compile)(struct target_compile *c);
    /* Headers of every request of this target, Accept first; at most KIND_HEADERS. */
    size_t (*decorate)(const struct connector_target *t, struct http_header *out);
};
extern const struct kind kind_http, kind_soap;
enum { KIND_HEADERS = 3, TARGET_HEADERS = KIND_HEADERS + 2 };

enum { TARGET_WORKERS = 256, TARGET_PARTIES = 64 };
/* ---- target: immutable but for the atomics at its end, which all workers share ---- */
struct circuit {
    _Atomic uint32_t failures;  /* in a row */
    _Atomic int64_t open_until; /* ms; while that is at its limit */
};

struct connector_target {
    _Atomic uint32_t held; /* references of snapshots; 0: pools let go of it */
    _Atomic uint32_t refs; /* of pools, and one for all of `held` */
    struct arena arena;    /* own: all text but the credential */
    const struct kind *kind;
    struct slice host; /* the Host header */
    struct slice name; /* that the provider's certificate must show */
    struct slice path; /* of the endpoint, "" or "/a/b" without a last slash when something follows */
    struct slice address_text;
    unsigned default_port, workers;
    struct name *where; /* ref: of the host; NULL: only checked */
    enum tls_mode mode;
    const char *ca_file, *cert_file, *key_file, *secret_file; /* NULL: not needed */
    uint64_t stamp;                                           /* of the files, as they were when it was made */
    const char *weakness, *lacks[2];                          /* lacks: by enum lang; NULL: nothing but an address */
    const char *missing[2], *silent[2]; /* what it lacks while its host has no address: there is none, or no answer */
    struct slice auth_name;             /* header; empty: none */
    char *auth;                         /* own, wiped: its value */
    struct slice soap_action;           /* quoted; SOAP 1.1 */
    struct slice lines;                 /* of every request's head: Host, what the kind has, and ours */
    bool soap12;
    int64_t timeout, queue; /* ms */
    uint64_t in_flight;
    int64_t rate_us, burst_us; /* between two requests; how far ahead of that one may be; 0: no rate */

    _Atomic uint64_t running;                      /* over all workers */
    _Atomic int64_t service_us;                    /* smoothed: how long an answer takes; 0: not known yet */
    _Atomic uint64_t waiting[TARGET_WORKERS / 64]; /* a bit for each worker in which calls wait */
    struct worker_side {
        _Atomic uint32_t handed; /* places handed to this worker and not yet taken */
        _Atomic int64_t since;   /* ms: the oldest call that waits in it */
    } * side;                    /* own: one for each worker */
    struct {
        _Atomic uint64_t running, waiting, demand;
        struct circuit answers;   /* circuit.c */
        _Atomic int64_t answered; /* ms: when it was last answered, to within ANSWERED_MS */
    } share[TARGET_PARTIES];      /* share.c */
    _Atomic int64_t next_us;      /* rate: when the next request is due */
    struct circuit reach;         /* circuit.c: connects */
    _Atomic bool opened;          /* some circuit of it was open once */
    _Atomic bool no_tls;          /* none could be made of its files, the last time one was */
};
void target_keep(struct connector_target *t); /* a pool's reference */
void target_drop(struct connector_target *t);
bool target_whole(const struct connector_target *t);  /* it lacks nothing but what the next call looks for anew */
bool target_orphan(const struct connector_target *t); /* no snapshot holds it */

/* target_*.c: parts of the compile. Each reports all that is wrong. */
uint64_t target_file(const char *path); /* another number when the file is another now; NULL: none */
#define TARGET_BAD(c, node, ...)                                                                                       \
    ((c)->bad = true,                                                                                                  \
     (void)diag_add((c)->d, ERR_INVALID, (node) ? (node)->line : 0, (node) ? (node)->col : 0, __VA_ARGS__))
void target_lacks(struct target_compile *c, const struct doc *node, const char *en, const char *zh); /* may be borne */
bool target_bind(struct target_compile *c, const struct doc *map, const struct doc_key *keys, void *out);
const struct doc *target_at(const struct doc *map, const char *key); /* the value, or the map when absent */
struct slice target_copy(struct target_compile *c, struct slice s);
void target_endpoint(struct target_compile *c, struct slice url, bool *https);
void target_tls(struct target_compile *c, const struct doc *tls, bool https);
void target_auth(struct target_compile *c, const struct doc *auth);
void target_limits(struct target_compile *c, const struct doc *limits);
/* The kind's headers, Accept first, and ours; their number. */
size_t target_headers(const struct connector_target *t, struct http_header *out);
bool header_reserved(struct slice name); /* made by the connector; nobody else may set it */

/* ---- pool: one worker's connections; lists are states ---- */
enum { BUCKETS = 1024 };

struct conn {
    struct http_client *http; /* own */
    struct sockaddr_storage to;
    uint32_t generation;         /* of the name's addresses, when `to` was last seen among them */
    struct entry *entry;         /* bor: outlives it */
    struct connector_call *call; /* bor: NULL when idle */
    LIST_ENTRY(conn) link;       /* entry->idle or entry->busy */
    struct alarm expiry;
    struct grave grave;
    bool opened, kept, last; /* kept: it has answered before; last: it goes with its call */
};
LIST_HEAD(conns, conn);
TAILQ_HEAD(calls, connector_call);
struct party { /* those of one consumer that wait */
    TAILQ_ENTRY(party) link;
    struct calls calls;
    unsigned n;
    char name[];
};
TAILQ_HEAD(parties, party);
struct queue {
    struct parties ring; /* whose turn it is stands first */
    unsigned n, parties;
};
struct entry { /* one target in one worker */
    struct connector_pool *pool;
    struct connector_target *target; /* ref, as a pool */
    struct entry *next;              /* of the bucket */
    struct tls_context *tls;         /* ref: of this loop; made when first needed */
    struct conns idle, busy;         /* idle: the last used first */
    unsigned n_idle;
    struct queue queue;
    struct moment *poll; /* own: while some wait, for places and rate are freed by other workers too */
    struct later wake;
    bool wake_set;
    struct grave grave;
};
struct connector_pool {
    struct loop *loop;     /* bor */
    unsigned worker, rate; /* its number; what answers must keep */
    struct buf text;       /* own: a request being rendered */
    struct entry *bucket[BUCKETS];
};
struct entry *pool_entry(struct connector_pool *p, struct connector_target *t);   /* NULL: no memory */
struct conn *pool_take(struct entry *e);                                          /* an idle one, now busy; or NULL */
enum err pool_connect(struct entry *e, int64_t ms, struct conn **ret) MUST_CHECK; /* a new one, busy; within ms */
void pool_keep(struct conn *k);                                                   /* idle from now on, or closed */
void pool_close(struct conn *k);

/* queue.c; the ring's order is that of turns. A waiting call's time-out stands in c->due. ERR_BUSY: it could not be
 * served in time. */
enum err queue_add(struct entry *e, struct connector_call *c, struct slice party) MUST_CHECK;
void queue_remove(struct entry *e, struct connector_call *c);
unsigned queue_waiting(const struct queue *q, struct slice party);
struct connector_call *queue_late(const struct queue *q, int64_t now); /* one whose time is over; NULL: none */
void queue_turn(struct queue *q, struct party *p); /* it was this one's turn: the others come first */

/* call.c */
struct connector_call {
    struct entry *entry; /* bor: outlives it */
    struct conn *conn;   /* while RUNNING */
    const struct connector_events *events;
    void *user;
    struct party *party;              /* while WAITING */
    TAILQ_ENTRY(connector_call) link; /* party->calls, while WAITING */
    struct grave grave;
    int64_t due;                  /* WAITING: when it gives up; RUNNING: when the head must be there */
    int64_t asked;                /* since when it runs; 0: it never has */
    int64_t tried;                /* when it was last let connect */
    int64_t launched;             /* ns; 0: its time says nothing of the provider's */
    uint8_t state, slot, refused; /* slot: its party's, of share.c; refused: addresses that gave no connection */
    bool safe, head_method, retried, answered, streams;
    bool sent;       /* by a try that failed: it may have reached the provider */
    uint64_t length; /* of a body that streams; 0: not known */
    size_t n;
    char text[]; /* the request; wiped, for it holds credentials */
};
extern const struct http_client_events call_events; /* user: struct conn */
void calls_wake(struct entry *e);                   /* at the end of this turn, look whether waiting ones may start */
void calls_poll(void *entry);
void calls_drop(struct entry *e); /* all of the entry, without a callback */
