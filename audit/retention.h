#pragma once
/* How long records are kept, what stops their removal, and their removal: whole segments from the front of the log, by
 * the daemon itself, after the act that says so is in the log.
 *
 * A segment goes only when both the wall clock and the log's own time (audit/pruned.h) say that all in it is old
 * enough, and the first record that stays is old enough for every verifier (decision 012).
 *
 * Thread rule: holds and notes belong to the thread that owns SQL; the rest may run in any. */
#include "base/sql/sql.h"
#include "audit/search.h"

enum { AUDIT_KEEP_EXCHANGES_DAYS = 1096, AUDIT_KEEP_OPERATIONS_DAYS = 184 }; /* the least that is accepted */
struct audit_retention {
    int64_t exchange_ms, other_ms; /* of exchanges and refusals; of acts, counts and gaps. 0: for ever */
    int64_t hold_from;             /* records from this wall ms on stay; INT64_MAX: no hold */
    /* Does something that is alive rest on a record of `newest_at` (wall ms) or before? `lived_ms`: how long the log
     * has certainly lived since. NULL: nothing does. */
    bool (*rests)(void *arg, int64_t newest_at, int64_t lived_ms);
    void *arg;
};
enum audit_kept_by {
    AUDIT_KEPT_AGE,
    AUDIT_KEPT_CLOCK,
    AUDIT_KEPT_HOLD,
    AUDIT_KEPT_LAST,
    AUDIT_KEPT_INDEX,
    AUDIT_KEPT_GRANT
};
struct audit_prunable {
    uint64_t first, before; /* records [first, before) may go; equal: none */
    uint64_t segments, bytes;
    int64_t newest_at;             /* of what may go; */
    int64_t exchange_at, other_at; /* its newest by class. 0: none */
    enum audit_kept_by kept_by;    /* why no more: it is not old enough; the clock says so but the log does not; a hold;
                                      the newest segments always stay; the index is being thrown away; something alive
                                      rests on it */
};
/* Waits for no disk. False: the index's thread does, and nobody knows now: nothing may go. */
bool audit_retention_plan(struct audit_index *x, const struct audit_retention *r, int64_t now,
                          struct audit_prunable *ret);
/* Reads what may go once more from the segments, before an act says so and nothing is left to ask: its tree must be the
 * one that the next segment's head has (ERR_CORRUPT), its newest records must not be newer than the plan says,
 * nor any times of the index others than the records have, of what remains either (ERR_CONFLICT: build it anew), and
 * all hash tiles of it are stored and durable, for they cannot be derived later. Reads and hashes all of it, and what
 * of the index is older than this process: a thread of its own. ERR_AGAIN: *stop was set. */
enum err audit_prune_ready(struct audit_index *x, const struct audit_prunable *p, const _Atomic bool *stop,
                           struct diags *d) MUST_CHECK;
/* Remove the segments that end at or before `before`, and their parts of the index. Their hash tiles stay, so that what
 * remains can be proved as before. The caller made sure that it was ready, and that the act of this is durable in the
 * log. Fails: the segments that are left stay in the index, and in the next plan. */
enum err audit_prune(struct audit_index *x, uint64_t before, struct diags *d) MUST_CHECK;

/* ---- in the state: holds, and what was decided to be removed ---- */
struct audit_hold {
    uint64_t id;
    int64_t from;                /* wall ms; 0: from the first record on */
    struct slice reason, author; /* bor */
    int64_t created;
    int64_t released; /* 0: it holds */
    struct slice released_by, release_reason;
};
enum err audit_hold_add(struct sql_tx *tx, struct audit_hold *h) MUST_CHECK; /* gives the id */
/* ERR_NOT_FOUND; ERR_CONFLICT: released already. */
enum err audit_hold_release(struct sql_tx *tx, uint64_t id, struct slice by, struct slice reason,
                            int64_t now) MUST_CHECK;
enum err audit_hold_each(struct sql_tx *tx, enum err (*fn)(void *arg, const struct audit_hold *h),
                         void *arg) MUST_CHECK;
enum err audit_hold_from(struct sql_tx *tx, int64_t *ret) MUST_CHECK; /* as struct audit_retention wants it */
enum err audit_prune_note(struct sql_tx *tx, uint64_t act, uint64_t before) MUST_CHECK;
/* What the acts that the log holds (up to last_act) said was to be removed; 0: nothing. */
enum err audit_prune_noted(struct sql_tx *tx, uint64_t last_act, uint64_t *ret) MUST_CHECK;
