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
    bool check_only, bad, nomem;
};
struct kind {
    const char *name;
    bool path, operation; /* which of these two keys belong to it; what they say is translate's to check */
    void (*compile)(struct target_compile *c);
    /* Headers of every request of this target; at most 3. */
    size_t (*decorate)(const struct connector_target *t, struct http_header *out);
};
extern const struct kind kind_http, kind_soap;

/* ---- target: immutable but for the atomics at its end, which all workers share ---- */
struct connector_target {
    _Atomic uint32_t held; /* references of snapshots; 0: pools let go of it */
    _Atomic uint32_t refs; /* of pools, and one for all of `held` */
    struct arena arena;    /* own: all text but the credential */
    const struct kind *kind;
    struct slice host; /* the Host header */
    struct slice name; /* that the provider's certificate must show */
    struct slice path; /* of the endpoint, "" or "/a/b" without a last slash when something follows */
    struct slice address_text;
    unsigned default_port;
    struct sockaddr_storage address;
    enum tls_mode mode;
    const char *ca_file, *cert_file, *key_file; /* NULL: not needed */
    const char *weakness;
    struct slice auth_name;   /* header; empty: none */
    char *auth;               /* own, wiped: its value */
    struct slice soap_action; /* quoted; SOAP 1.1 */
    bool soap12;
    int64_t timeout, queue; /* ms */
    uint64_t in_flight;
    int64_t rate_us, burst_us; /* between two requests; how far ahead of that one may be; 0: no rate */

    _Atomic uint64_t running;   /* over all workers */
    _Atomic int64_t next_us;    /* rate: when the next request is due */
    _Atomic uint32_t failures;  /* connects in a row */
    _Atomic int64_t open_until; /* ms; while failures is at its limit */
};
void target_keep(struct connector_target *t); /* a pool's reference */
void target_drop(struct connector_target *t);
bool target_orphan(const struct connector_target *t); /* no snapshot holds it */

/* target_*.c: parts of the compile. Each reports all that is wrong. */
#define TARGET_BAD(c, node, ...)                                                                                       \
    ((c)->bad = true,                                                                                                  \
     (void)diag_add((c)->d, ERR_INVALID, (node) ? (node)->line : 0, (node) ? (node)->col : 0, __VA_ARGS__))
bool target_bind(struct target_compile *c, const struct doc *map, const struct doc_key *keys, void *out);
const struct doc *target_at(const struct doc *map, const char *key); /* the value, or the map when absent */
struct slice target_copy(struct target_compile *c, struct slice s);
void target_endpoint(struct target_compile *c, struct slice url, bool *https);
void target_tls(struct target_compile *c, const struct doc *tls, bool https);
void target_auth(struct target_compile *c, const struct doc *auth);
void target_limits(struct target_compile *c, const struct doc *limits);
bool header_reserved(struct slice name); /* made by the connector; nobody else may set it */

/* health.c: what workers share about one provider. Any thread. */
enum { CIRCUIT_FAILURES = 5, CIRCUIT_OPEN_MS = 2000 };
bool health_admit(struct connector_target *t, int64_t now); /* takes a place and a unit of the rate */
void health_leave(struct connector_target *t);              /* gives the place back */
bool health_may_connect(struct connector_target *t, int64_t now);
void health_connected(struct connector_target *t);
void health_unreachable(struct connector_target *t, int64_t now);

/* ---- pool: one worker's connections; lists are states ---- */
enum { IDLE_MS = 15000, IDLE_MAX = 64, CONNECT_MS = 5000, WAITING_MAX = 256, BUCKETS = 1024 };

struct conn {
    struct http_client *http;    /* own */
    struct entry *entry;         /* bor: outlives it */
    struct connector_call *call; /* bor: NULL when idle */
    LIST_ENTRY(conn) link;       /* entry->idle or entry->busy */
    struct alarm expiry;
    struct grave grave;
    bool opened, kept; /* kept: it has answered before */
};
LIST_HEAD(conns, conn);
TAILQ_HEAD(calls, connector_call);
struct entry { /* one target in one worker */
    struct connector_pool *pool;
    struct connector_target *target; /* ref, as a pool */
    struct entry *next;              /* of the bucket */
    struct tls_context *tls;         /* ref: of this loop; made when first needed */
    struct conns idle, busy;         /* idle: the last used first */
    unsigned n_idle, n_waiting;
    struct calls waiting; /* the oldest first */
    struct alarm poll;    /* while some wait: places and rate may be freed by other workers */
    struct later wake;
    bool wake_set;
    struct grave grave;
};
struct connector_pool {
    struct loop *loop; /* bor */
    struct buf text;   /* own: a request being rendered */
    struct entry *bucket[BUCKETS];
};
struct entry *pool_entry(struct connector_pool *p, struct connector_target *t); /* NULL: no memory */
struct conn *pool_take(struct entry *e);                                        /* an idle one, now busy; or NULL */
enum err pool_connect(struct entry *e, struct conn **ret) MUST_CHECK;           /* a new one, busy */
void pool_keep(struct conn *k);                                                 /* idle from now on, or closed */
void pool_close(struct conn *k);

/* call.c */
extern const struct http_client_events call_events; /* user: struct conn */
void calls_wake(struct entry *e);                   /* at the end of this turn, look whether waiting ones may start */
void calls_poll(struct alarm *a);
void calls_drop(struct entry *e); /* all of the entry, without a callback */
