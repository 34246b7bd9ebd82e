#pragma once
/* The control thread: it alone owns SQL, runs the administration API and the acts, makes snapshots and gives them to
 * the workers.
 *
 * An act (DESIGN.md "Acts") commits its state and the exact line of its record in one transaction. One that widens
 * enters the snapshot when its record is durable; one that narrows enters it at once. Either is answered to its author
 * when every worker has confirmed. The control thread is the main thread: everything here belongs to it. */
#include "audit/audit.h"
#include "base/net/net.h"
#include "gateway/keeper.h"
#include "gateway/settings.h"
#include "gateway/snapshot.h"

struct control;
struct gate;
struct pressure;
struct names;
struct witnesses;
struct cosigner;
struct guard;
struct worker;

/* ---- life: what main does ---- */
struct control_config {
    const char *settings_path;       /* read again on SIGHUP */
    const struct settings *settings; /* bor: for the life of the process */
    struct audit_log *log;           /* bor: open and started */
    struct log_reader *reader;       /* bor */
    struct certs_ca *ca;             /* taken, also on failure; NULL: the authority is not on this node */
    struct keeper *keeper;           /* bor: holds the keys; NULL: nobody need be watched */
    struct gate *gate;               /* bor: for the life of the process */
    struct names *names;             /* bor: of hosts, stopped later; NULL: only addresses are known */
    struct witnesses *witnesses;     /* bor; NULL: none are named */
    struct cosigner *cosigner;       /* bor; NULL: no other log is witnessed */
    struct guard *guard;             /* bor: started; asks for the stop */
};
/* Opens the state (migrates all folders' tables), the authority and trust, appends the acts that the log does not hold
 * yet (durable on return) and loads the first snapshot. */
enum err control_new(const struct control_config *cfg, struct control **ret, struct diags *d) MUST_CHECK;
/* The workers that get the snapshots, and the sessions that they share (a reference is taken; NULL: none). At the end:
 * control_run returns, control_quiet, worker_stop each, control_free, audit_close. */
void control_workers(struct control *c, struct worker *const *workers, unsigned n, struct tls_sessions *sessions);
/* Control listener (mutual TLS), and the thread of the operations listener. */
enum err control_listen(struct control *c, struct diags *d) MUST_CHECK;
struct pressure *control_pressure(struct control *c); /* bor: for the life of c */
unsigned control_port(const struct control *c);
unsigned control_operations_port(const struct control *c);
/* Block SIGHUP, SIGTERM and SIGINT: before any thread is made, so that only control_run (the first) and the guard (the
 * others) get them. */
enum err control_signals_block(void) MUST_CHECK;
/* Nobody is told of the workers any more: before they end. */
void control_quiet(struct control *c);
/* Serve until the guard passes SIGTERM or SIGINT on: then drain the workers for at most limits.drain and return. SIGHUP
 * reloads. ERR_SYS: nothing would stop it, so it does not begin. */
enum err control_run(struct control *c) MUST_CHECK;
struct control *control_free(struct control *c);

/* ---- who asks ---- */
struct actor {
    const struct certs_peer *peer;
    struct slice id, department; /* "education/zhao"; bor: until the request ends */
    unsigned roles;              /* enum catalog_role bits; 0 for applications */
    bool bureau;                 /* of the data bureau's own department */
    enum lang lang;
};

/* ---- one administration request: a whole body in memory, one answer ---- */
struct act_job;
struct control_waiter { /* of a record given to the log */
    void (*done)(struct control_waiter *w, enum err e, uint64_t index);
};
struct api_request {
    struct control *control;
    struct control_waiter waiter; /* of a refusal's record */
    bool recorded;
    struct actor actor;
    struct arena arena; /* own: freed with the request */
    struct slice method;
    struct slice path[12]; /* decoded segments behind /v1/, or from /log on */
    size_t n_path;
    struct slice query; /* raw */
    struct slice body;
    struct diags diags; /* problems found; become the answer's `problems` */
    struct buf out;     /* the JSON of the answer */
    struct json json;   /* writes into out */
    char address[46];
    struct slice raw; /* what was no request; for a keyed digest */
    /* the answer, when there is one */
    int status;
    const char *type;                        /* of `out`; NULL: application/json */
    void (*answered)(struct api_request *q); /* where it goes; set by who made the request */
    bool study;                              /* counts as one of control's studies until it is answered */
    bool narrowing, again, tried;            /* a narrowing act met a full disk: once more with the reserve */
    void *state;                             /* a handler's own between its callbacks, in the arena */
};
/* The value of a query parameter, decoded; empty when absent. */
struct slice api_query(struct api_request *q, const char *name);
/* The body as a JSON object bound by a table; ERR_INVALID has answered already. */
enum err api_body(struct api_request *q, const struct doc_key *keys, void *out) MUST_CHECK;
/* Answer now. Exactly one of these (or act_commit) ends a request; afterwards q may be gone. */
void api_ok(struct api_request *q); /* 200 with q->out */
void api_problem(struct api_request *q, enum reason r, const char *en,
                 const char *zh);                      /* detail texts, or NULL; q->diags are added */
void api_denied(struct api_request *q, enum reason r); /* the same, with the first of q->diags as its detail */
void api_error(struct api_request *q,
               enum err e); /* the problem that an error of the store means: 404, 409, 400, 503 */
/* Does the actor hold one of `roles`? If not, answers role-missing, naming them. */
bool api_role(struct api_request *q, unsigned roles) MUST_CHECK;
/* The same for roles that count only within a department: officers of others are refused. The bureau's approvers pass
 * wherever `roles` has ROLE_BUREAU_APPROVER. */
bool api_role_of(struct api_request *q, unsigned roles, struct slice department) MUST_CHECK;
/* "a/b" of the i-th and the next path segment, in the arena; answers not-found when it is no pair of identifiers. */
bool api_id2(struct api_request *q, size_t i, struct slice *ret) MUST_CHECK;

/* ---- acts ---- */
struct act {           /* lives on the handler's stack until act_commit */
    struct sql_tx *tx; /* the write transaction */
    bool narrows;
    bool touch_trust;                    /* what certificates are trusted has changed */
    bool write_list;                     /* ours were revoked: a new list is signed first */
    bool recode;                         /* code tables have changed: touched resources that use one are made anew */
    struct sha256 enrols;                /* the certificate that this act lets in; else zeros */
    void (*then)(struct api_request *q); /* instead of answering, when it has taken effect; NULL: answer 200 */
    struct act_job *job;                 /* private */
    enum err failed;                     /* private: no memory on the way; the commit gives up */
};
/* Begin. ERR_DOWN: the log is unavailable and the act does not narrow. Every error has been answered. */
enum err act_begin(struct api_request *q, struct act *a, bool narrows) MUST_CHECK;
/* One record of what is done: verb "grant.revoke", object id, content a JSON object (text) without personal values. An
 * act that changes several objects has one record for each. A content that does not fit one record goes on in others
 * (act_parts.c). */
enum err act_record(struct api_request *q, struct act *a, const char *verb, struct slice object,
                    struct slice content) MUST_CHECK;
/* What the snapshot must read anew, in this order: resources before the grants on them. */
void act_touch(struct act *a, enum snapshot_kind kind, struct slice id);
/* A department takes its applications with it: each is read anew. In the act's transaction. */
enum err act_touch_apps(struct act *a, struct slice department) MUST_CHECK;
/* Commit, publish, and answer 200 with q->out when it has taken effect. Without any record: rolls back, answers. */
void act_commit(struct api_request *q, struct act *a);
/* Give up: rolls back. The handler answers itself. */
void act_cancel(struct act *a);
/* act_cancel, then api_error. */
void act_fail(struct api_request *q, struct act *a, enum err e);
/* A read transaction for a handler; ends with api_read_end, before the answer. Errors have been answered. */
enum err api_read(struct api_request *q, struct sql_tx **ret) MUST_CHECK;
void api_read_end(struct api_request *q, struct sql_tx *tx);

/* ---- routes: one table ---- */
struct api_route {
    const char *method;
    const char *path; /* "requests/{}/approve"; {} is one segment, a last * is one or more; ids with a slash are two */
    void (*run)(struct api_request *q);
    unsigned roles; /* one of these is needed; 0: any active person */
    bool apps;      /* applications registered for administration too */
};
/* Each api_<noun>.c has one, ended by a row of NULLs. */
extern const struct api_route api_catalog_routes[], api_apply_routes[], api_move_routes[], api_request_routes[],
    api_decide_routes[], api_grant_routes[], api_cert_routes[], api_audit_routes[], api_hold_routes[], api_log_routes[],
    api_status_routes[];

/* What handlers may reach. */
struct certs_ca *control_ca(struct control *c); /* NULL: the authority is not on this node */
enum keeper_state control_keeper_state(const struct control *c);
struct audit_log *control_log(struct control *c);
const struct settings *control_settings(const struct control *c);
const struct connector_world *control_world(const struct control *c);
struct snapshot *control_snapshot(const struct control *c); /* the newest; bor: until the loop's next turn */
void control_certificate_changed(struct control *c);        /* the file of the gateway's own: load it everywhere */
int64_t control_now(const struct control *c);               /* wall ms */
