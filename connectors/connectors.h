#pragma once
/* connectors: how a provider is reached. One file a kind (http, soap), one table of functions; pools of kept
 * connections, deadlines and limits that protect old systems. Knows transport (methods, SOAPAction, secrets in
 * headers), not bodies: those come rendered and go back as bytes. Thread rule: a struct connector_target is immutable,
 * counted and shared; pools belong to one loop; limits are shared through atomics. */
#include "base/crypto/crypto.h"
#include "base/doc/doc.h"
#include "base/net/net.h"

/* Where credentials and trust come from; given by the owner of the settings, borrowed while targets are compiled. */
struct connector_world {
    const char *secrets_dir;          /* one file a credential, 0600: <dir>/<name> */
    const char *trust_dir;            /* <dir>/<name>.pem: anchors named by `trust:` */
    const char *cert_file, *key_file; /* the gateway's own identity, for tls.mode mutual (`identity: gateway`) */
    struct names *names;              /* where the addresses of hosts come from; NULL: only numbers are known */
    bool bears; /* what the manifest names and is not there (a secret, anchors, a host) is no fault of the manifest:
                 * it is told, and the target made all the same; calls fail until it is made anew */
    unsigned workers; /* 1..256, numbered from 0: limits hold over all of them together, targets count with atomics */
};
/* What stands fast, whatever a manifest says of its provider. */
enum {
    PROVIDER_CONNECT_MS = 5000,
    PROVIDER_IDLE_MS = 15000,    /* a connection without a call */
    PROVIDER_WAITING_MAX = 4096, /* calls of one worker that wait for a place */
    CIRCUIT_FAILURES = 5,        /* in a row, and it is left alone */
    CIRCUIT_OPEN_MS = 2000       /* between two that try whether it is back */
};
struct connector_target;
/* Check and compile the `connector` part of a Resource manifest: kind, endpoint, path, method, operation, tls, auth,
 * timeout, limits. All problems with line, column and remedy. `check_only`: nothing is resolved and no secret is read
 * (a draft on another machine). A host is a fault when the name service says so at once (200 ms are waited,
 * none if `bears`): one that it has not told of yet is none. */
enum err connector_compile(const struct doc *manifest, const struct connector_world *w, bool check_only,
                           struct connector_target **ret, struct diags *d) MUST_CHECK;
struct connector_target *connector_ref(struct connector_target *t);
void connector_unref(struct connector_target *t);
struct slice connector_weakness(const struct connector_target *t); /* "" or "legacy: <reason>", "none: <reason>" */
const char *connector_kind(const struct connector_target *t);
/* What it lacks to be called, and the remedy; NULL: nothing. An address comes by itself (names_tell). bor: as long as
 * t. */
const char *connector_lacks(const struct connector_target *t, enum lang lang);
/* What its provider did the last times that it was asked, so often in a row that it is left alone for a while. Any
 * thread. */
enum connector_outage { OUTAGE_NONE, OUTAGE_UNREACHABLE, OUTAGE_SILENT /* took requests, and did not answer */ };
enum connector_outage connector_outage(const struct connector_target *t);
/* Should it be made anew? The files of its secret and anchors are others now than when it was made. */
bool connector_stale(const struct connector_target *t);

/* ---- one exchange with a provider: the provider endpoint ---- */
struct connector_pool; /* all targets' connections of one worker */
/* rate: bytes a second that an answer must bring, over its target's timeout. */
struct connector_pool *connector_pool_new(struct loop *l, unsigned worker, uint32_t rate);
struct connector_pool *connector_pool_free(struct connector_pool *p);
/* Close the idle connections of targets that no snapshot holds any more; call after a swap. True: some are still busy,
 * so call again in a while. */
bool connector_pool_trim(struct connector_pool *p);
/* The gateway's certificate or the anchors have changed: connections made from now on use the files as they are. */
void connector_pool_reload(struct connector_pool *p);

struct connector_request { /* borrowed for the call */
    struct slice method, target, content_type, body;
    struct slice accept; /* empty: as the kind has it */
    const struct http_header *headers;
    size_t n_headers;
    struct slice party;  /* for whom: at a busy provider the parties take turns */
    uint64_t party_hash; /* slice_hash(party, 0), when the caller has it at hand; 0: it does not */
    bool safe;       /* may be sent again once when a kept connection turns out stale before any byte of an answer */
    bool streams;    /* its body comes by connector_put, with its own content_type: sent once, on a fresh connection */
    uint64_t length; /* of that; 0: not known */
};
struct connector_head { /* of an answer; borrowed for the call */
    int status;
    struct slice content_type;
    bool exact; /* the end of its body can be told from a cut, and it has one Content-Type at most */
    bool early; /* it came before all of a body that streams was sent: it is no answer to all of it */
};
struct connector_events { /* each call ends with exactly one of end and fail, unless connector_abort comes first */
    void (*head)(void *user, const struct connector_head *h);
    void (*body)(void *user, struct slice bytes);
    void (*end)(void *user);
    void (*fail)(void *user, enum reason why, enum reached reached);
    void (*room)(void *user); /* of a body that streams more is wanted; may be NULL */
};
struct connector_call;
/* Never calls back before it has returned. ERR_NOT_FOUND: the target lacks something (connector_lacks). ERR_BUSY: over
 * the target's limit and its queue (REASON_PROVIDER_BUSY); ERR_AGAIN: its circuit is open; ERR_TOO_LARGE: 8 MiB at most
 * are sent of what does not stream. */
enum err connector_start(struct connector_pool *p, struct connector_target *t, const struct connector_request *q,
                         const struct connector_events *e, void *user, struct connector_call **ret) MUST_CHECK;
int64_t connector_asked(const struct connector_call *c); /* its loop's ms; 0: it waited for a place, nothing was sent */
/* A body that streams. Neither calls back. */
bool connector_room(const struct connector_call *c); /* more is wanted now; else wait for room() */
/* All is taken of what is put before room() has been waited for; any error: the call is to be aborted. */
enum err connector_put(struct connector_call *c, struct slice bytes) MUST_CHECK;
enum err connector_put_end(struct connector_call *c) MUST_CHECK;
void connector_read(struct connector_call *c, bool on);           /* back-pressure */
void connector_most(struct connector_call *c, size_t n);          /* read about so much at once */
struct connector_call *connector_abort(struct connector_call *c); /* no callback any more; the connection is closed */
