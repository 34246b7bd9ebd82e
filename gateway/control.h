#pragma once
/* The control thread: it alone owns SQL, runs the administration API and the acts, makes snapshots and gives them to
 * the workers.
 *
 * An act (DESIGN.md "Acts") commits its state and the exact line of its record in one transaction. One that widens
 * enters the snapshot when its record is durable; one that narrows enters it at once. Either is answered to its author
 * when every worker has confirmed. */
#include "audit/audit.h"
#include "gateway/snapshot.h"
#include "gateway/settings.h"

struct control;
struct worker;

/* ---- who asks ---- */
struct actor {
    const struct certs_peer *peer;
    struct slice id, department; /* "education/zhao"; bor: until the request ends */
    unsigned roles;              /* enum catalog_role bits; 0 for applications */
    bool bureau;                 /* of the data bureau's own department */
    enum lang lang;
};

/* ---- one administration request: a whole body in memory, one answer ---- */
struct api_request {
    struct control *control;
    struct actor actor;
    struct arena arena; /* own: freed with the request */
    struct slice method;
    struct slice path[8]; /* decoded segments behind /v1/ */
    size_t n_path;
    struct slice query; /* raw */
    struct slice body;
    struct diags diags;    /* problems found; become the answer's `problems` */
    struct buf out;        /* the JSON of the answer */
    struct api_call *call; /* where it goes; private to api.c */
};
/* The value of a query parameter, decoded; empty when absent. */
struct slice api_query(struct api_request *q, const char *name);
/* The body as a JSON object bound by a table; ERR_INVALID has answered already. */
enum err api_body(struct api_request *q, const struct doc_key *keys, void *out) MUST_CHECK;
/* Answer now. Exactly one of these (or act_commit) ends a request; afterwards q may be gone. */
void api_ok(struct api_request *q); /* 200 with q->out */
void api_problem(struct api_request *q, enum reason r, const char *en,
                 const char *zh); /* detail texts, or NULL; q->diags are added */
void api_error(struct api_request *q,
               enum err e); /* the problem that an error of the store means: 404, 409, 400, 503 */
/* Does the actor hold one of `roles`? If not, answers role-missing, naming them. */
bool api_role(struct api_request *q, unsigned roles) MUST_CHECK;

/* ---- acts ---- */
enum { ACT_TOUCH_MAX = 64 };
struct act {           /* lives on the handler's stack until act_commit */
    struct sql_tx *tx; /* the write transaction */
    bool narrows;
    struct {
        enum snapshot_kind kind;
        struct slice id;
    } touch[ACT_TOUCH_MAX]; /* what the snapshot must read anew */
    size_t n_touch;
    bool touch_trust; /* certificates were revoked: a new list was written */
    unsigned records; /* how many act_record calls were made */
    struct buf lines; /* private */
};
/* Begin. ERR_FULL: the log is unavailable and the act does not narrow (it has been answered). */
enum err act_begin(struct api_request *q, struct act *a, bool narrows) MUST_CHECK;
/* One record of what is done: verb "grant.revoke", object id, content a JSON object (text) without personal values. An
 * act that changes several objects has one record for each. */
enum err act_record(struct api_request *q, struct act *a, const char *verb, struct slice object,
                    struct slice content) MUST_CHECK;
void act_touch(struct act *a, enum snapshot_kind kind, struct slice id);
/* Commit, publish, and answer 200 with q->out when it has taken effect. */
void act_commit(struct api_request *q, struct act *a);
/* Give up: rolls back. The handler answers itself. */
void act_cancel(struct act *a);
/* A read transaction for a handler; ended by the request's end or api_read_end. */
enum err api_read(struct api_request *q, struct sql_tx **ret) MUST_CHECK;
void api_read_end(struct api_request *q, struct sql_tx *tx);

/* ---- routes: one table ---- */
struct api_route {
    const char *method;
    const char *path; /* "requests/{}/approve"; {} is one segment; ids with a slash are two */
    void (*run)(struct api_request *q);
};
/* Each api_<noun>.c has one, ended by a row of NULLs. */
extern const struct api_route api_catalog_routes[], api_request_routes[], api_grant_routes[], api_cert_routes[],
    api_audit_routes[], api_status_routes[];

/* What handlers may reach. */
struct certs_ca *control_ca(struct control *c);
struct audit_log *control_log(struct control *c);
const struct settings *control_settings(const struct control *c);
const struct connector_world *control_world(const struct control *c);
const struct snapshot *control_snapshot(const struct control *c);
int64_t control_now(const struct control *c); /* wall ms */
