#pragma once
/* policies: who may have what, why and until when. Requests, approvals and grants in the state (tables policy_*), and
 * the decision, a pure function over plain facts: no sockets, no clock, no globals, no SQL. Invariants: deny is the
 * zero value of every verdict; nobody approves their own request; a grant is born only of a part of a request all of
 * whose steps were approved, each by another person; a request keeps the steps it was made with; a revoked, rejected or
 * expired thing never becomes live again.
 * Thread rule: store functions on the thread that owns SQL; policy_decide anywhere. */
#include "base/sql/sql.h"
#include "policies/grant.h"

/* ---- the decision ---- */
struct policy_facts { /* all borrowed for the call */
    struct slice app; /* "education/admission" */
    bool app_active;
    bool resource_published, resource_callable, resource_suspended;
    struct slice purpose; /* empty: not said */
    struct slice grant;   /* Sluice-Grant: empty: not said */
    bool items_named;     /* _items was given */
    struct policy_items items;
    int64_t now; /* wall ms */
    int32_t day; /* of `now`, in the zone */
    int16_t minute;
    uint8_t weekday;                          /* 1 Monday … 7 */
    const struct policy_grant *const *grants; /* of this application for this resource, in any order */
    size_t n_grants;
    const struct policy_grant *named; /* the grant that `grant` names, whoever's; NULL: there is none */
};
struct policy_verdict { /* zero: deny, REASON_INTERNAL */
    bool permit;
    enum reason reason;               /* REASON_GRANTED, or the most telling refusal */
    const struct policy_grant *grant; /* the one that permits; on a refusal the one that came nearest, or NULL */
    struct slice purpose;             /* the one that counts: said, or the grant's only one */
    struct policy_items items, clear; /* what may be given out, and which of it unmasked */
    uint64_t max_rows;
    int64_t valid_until; /* wall ms at which a running exchange must be cut: expiry, end of day, end of hours */
    const struct policy_grant *matches[8]; /* REASON_GRANT_AMBIGUOUS: which */
    size_t n_matches;
};
/* Total and deterministic; a grant of f->grants that is of another application never counts. With f->grant only that
 * one counts. Only the caller's list permits: `named` tells whose a grant is. What permits gives at least one item.
 * Refusals are ordered: application, resource, grant named, then the grant that came nearest (purpose before window
 * before items; revoked, expired and suspended before those; of equally near ones the youngest), so that the same
 * attempt always gets the same reason. */
struct policy_verdict policy_decide(const struct policy_facts *f);

/* ---- the store ---- */
extern const struct sql_migration policy_migrations[];
extern const size_t policy_migrations_n;

struct policy_actor { /* who acts, as the caller established it */
    struct slice id;  /* "education/zhao" */
    struct slice department;
    bool provider_officer, consumer_officer, bureau_approver;
};
/* ---- approval steps: in order, joined by ','. A step is one of
 *     provider            a provider officer of the provider department
 *     bureau              a bureau approver
 *     consumer            a consumer officer of the department that asks
 *     department:finance  an officer, provider's or consumer's, of that department ---- */
enum { POLICY_STEPS_MAX = 8, POLICY_WISHES_MAX = 64 }; /* of a part; resources of a request */
#define POLICY_STEPS_DEFAULT SLICE("provider,bureau")  /* where nothing else was said: never fewer eyes by accident */
bool policy_steps_valid(struct slice steps);           /* 1..8, none twice, the provider or the bureau among them */

struct policy_wish {                 /* one resource of a request */
    struct slice resource, provider; /* provider: its department */
    uint64_t resource_version;
    struct slice items, clear; /* names joined by ','; clear must be among items */
    struct slice steps;        /* for policy_request_create; empty: POLICY_STEPS_DEFAULT. Read back it is empty */
    uint64_t part;             /* which part of the request, from 1; set by policy_request_create */
};
struct policy_request {
    struct slice id;              /* made by policy_request_create: "r" and a number */
    struct slice app, department; /* the consumer */
    struct slice purposes;        /* codes joined by ',' */
    struct slice basis;           /* legal basis, required */
    struct slice scenario;        /* use scenario, required */
    int32_t day_from, day_to;
    int16_t minute_from, minute_to;
    uint8_t weekdays;
    int64_t expires;
    uint64_t max_rows;
    struct slice author; /* person */
    int64_t created;
    struct slice state; /* open while a part is; then granted if one is, else returned, else rejected; or withdrawn */
    const struct policy_wish *wishes;
    size_t n_wishes;
};
/* Check and store; author is `by`, created `now`; ERR_INVALID with all problems in d; ERR_DENIED when the actor is no
 * consumer officer of that department. The approvals it needs are made with it: resources of one provider with the same
 * steps are one part, which goes its way alone. *ret_id lives in `a`. */
enum err policy_request_create(struct sql_tx *tx, const struct policy_request *q, const struct policy_actor *by,
                               int64_t now, struct arena *a, struct slice *ret_id, struct diags *d) MUST_CHECK;
enum err policy_request_find(struct sql_tx *tx, struct slice id, struct arena *a,
                             struct policy_request *ret) MUST_CHECK;
/* In the order they came, with few of them in memory at once: q lives until fn returns, which may use SQL. A request
 * that fn makes is among them. */
enum err policy_request_each(struct sql_tx *tx, struct slice state /* empty: all */,
                             enum err (*fn)(void *arg, const struct policy_request *q), void *arg) MUST_CHECK;

/* The consumer's officer takes back an open request; grants that one of its parts brought already stay. ERR_DENIED,
 * ERR_CONFLICT. */
enum err policy_request_withdraw(struct sql_tx *tx, struct slice id, const struct policy_actor *by, struct arena *a,
                                 struct policy_request *ret) MUST_CHECK;

struct policy_approval {
    struct slice request, department; /* department: whose step; "" for the bureau's */
    struct slice provider;            /* the provider department whose part of the request this is */
    uint64_t part;                    /* of its request, from 1 */
    struct slice step;                /* as above: "provider", "department:finance" */
    struct slice state;               /* waiting (it is due), next, approved, rejected, returned, withdrawn */
    struct slice by, note;
    int64_t at;
};
/* In order of parts, and of steps in each. */
enum err policy_approval_each(struct sql_tx *tx, struct slice request, struct arena *a,
                              enum err (*fn)(void *arg, const struct policy_approval *ap), void *arg) MUST_CHECK;
/* Is there a step of this open request that the actor may decide now? */
enum err policy_request_waits(struct sql_tx *tx, const struct policy_request *q, const struct policy_actor *by,
                              bool *ret) MUST_CHECK;
enum policy_act { POLICY_APPROVE, POLICY_REJECT, POLICY_RETURN };
struct policy_decision {
    enum policy_act act;
    struct slice note; /* rejecting and returning need one */
    uint64_t part;     /* this part of the request only; 0: every part that waits for the actor */
};
struct policy_decided {
    struct slice grants[64]; /* grants that came into being with this approval, in the arena */
    size_t n_grants;
    struct slice step, provider; /* what was decided; joined by ',' when the actor decided several at once */
    uint64_t parts;              /* of which parts: bit 0 the first */
};
/* Decide what waits for this actor. `why_not` is set on ERR_DENIED: REASON_FOUR_EYES (own request, or the same person
 * for two steps of a part) or REASON_ROLE_MISSING, and d says who may; ERR_CONFLICT: nothing waits. */
enum err policy_decide_request(struct sql_tx *tx, struct slice request, const struct policy_decision *what,
                               const struct policy_actor *by, int64_t now, struct arena *a, struct policy_decided *ret,
                               enum reason *why_not, struct diags *d) MUST_CHECK;

struct policy_grant_row { /* a grant as stored; names instead of bits */
    struct slice id, request, app, department, provider, resource, purposes, items, clear, basis, author, approvers,
        state, note;
    struct slice changed_by; /* who made this version */
    uint64_t version, resource_version, max_rows;
    int32_t day_from, day_to;
    int16_t minute_from, minute_to;
    uint8_t weekdays;
    int64_t expires, created, changed;
};
enum err policy_grant_find(struct sql_tx *tx, struct slice id, struct arena *a,
                           struct policy_grant_row *ret) MUST_CHECK;
struct policy_grant_filter {
    struct slice app, resource, department, provider, state; /* empty: any */
};
/* With a == NULL nothing is copied: the row's slices live until fn returns, and fn makes no SQL call. */
enum err policy_grant_each(struct sql_tx *tx, const struct policy_grant_filter *f, struct arena *a,
                           enum err (*fn)(void *arg, const struct policy_grant_row *g), void *arg) MUST_CHECK;
/* Every grant, in the order of numbers, with no more of it than policy_grant_compile reads (the rest is empty):
 * millions at start. The row's slices live until fn returns, and fn makes no SQL call. */
enum err policy_grant_load(struct sql_tx *tx, enum err (*fn)(void *arg, const struct policy_grant_row *g),
                           void *arg) MUST_CHECK;
/* Does anything rest on a request made at `made` (wall ms) or before: a grant that no act has ended and whose time is
 * not over, or one that ended less than `keep` ms ago (0: for ever), for so long its exchanges are kept? By the wall
 * clock `now` and by `lived`, ms that have certainly passed since. Within a day or two: yes. */
enum err policy_grant_needed(struct sql_tx *tx, int64_t made, int64_t now, int64_t lived, int64_t keep,
                             bool *ret) MUST_CHECK;
/* How many grants were ever made; none is ever deleted. */
enum err policy_grant_count(struct sql_tx *tx, uint64_t *ret) MUST_CHECK;
/* Every version of one grant, oldest first; `a` as above. */
enum err policy_grant_versions(struct sql_tx *tx, struct slice id, struct arena *a,
                               enum err (*fn)(void *arg, const struct policy_grant_row *g), void *arg) MUST_CHECK;
enum policy_change { POLICY_REVOKE, POLICY_SUSPEND, POLICY_RESUME, POLICY_GIVE_BACK };
/* Allowed to the provider department's officer and the bureau (revoke, suspend, resume), or the consumer's officer
 * (give back); resume never to the grant's own author. ERR_DENIED: `why_not` is REASON_ROLE_MISSING or
 * REASON_FOUR_EYES, and d says who may. A note is required (ERR_INVALID: missing, too long, or it holds an identity
 * number). ERR_CONFLICT: not from this state; *row is the grant after the change, a new version. */
enum err policy_grant_change(struct sql_tx *tx, struct slice id, enum policy_change change, struct slice note,
                             const struct policy_actor *by, int64_t now, struct arena *a, struct policy_grant_row *row,
                             enum reason *why_not, struct diags *d) MUST_CHECK;
/* Compile a stored grant into one counted block: `bit_of` gives an item's position in the resource version, or -1 (then
 * the item is left out). ERR_CORRUPT: a state, version or list of purposes that no grant may have. */
enum err policy_grant_compile(const struct policy_grant_row *row, int (*bit_of)(void *arg, struct slice item),
                              void *arg, struct policy_grant **ret) MUST_CHECK;
