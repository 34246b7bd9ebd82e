#pragma once
/* What the workers share about one provider: whether it may be called, and in whose turn. Inside connectors/; any
 * thread. */
#include "connectors/internal.h"

/* ---- health.c: places and the rate ---- */
enum health {
    HEALTH_OK,
    HEALTH_FULL /* no place, or ahead of the rate */,
    HEALTH_KEPT /* the place is kept for others */
};
/* Takes a place and a unit of the rate for this worker: a place that was handed to it, else a free one. */
enum health health_admit(struct connector_target *t, unsigned worker, unsigned slot, int64_t now);
void health_unsent(struct connector_target *t); /* gives both back: nothing was sent */
void health_leave(struct connector_target *t);  /* the place goes to the worker that has waited longest, or is free */
/* Calls wait in this worker, the oldest since then; 0: none any more. */
void health_wait(struct connector_target *t, unsigned worker, int64_t since);
unsigned health_waiting(const struct connector_target *t);  /* how many workers wait */
void health_served(struct connector_target *t, int64_t us); /* an answer took so long */
int64_t health_service_us(const struct connector_target *t);

/* ---- circuit.c: when it is left alone ---- */
bool health_may_connect(struct connector_target *t, int64_t now);
void health_connected(struct connector_target *t);
void health_unreachable(struct connector_target *t, int64_t now); /* no connection came about */
/* Who was let try at `began` has ended before that was known: the next may try at once, not in CIRCUIT_OPEN_MS. */
void health_untried(struct connector_target *t, int64_t began, int64_t now);
/* The same of answers, for a party's slot. A request that went out whole at `began` and whose answer did not begin in
 * its time counts as a silence, unless the party was answered since then. */
bool health_may_ask(struct connector_target *t, unsigned slot, int64_t now);
void health_answered(struct connector_target *t, unsigned slot, int64_t now);
void health_silent(struct connector_target *t, unsigned slot, int64_t began, int64_t now);

/* ---- share.c: whose places ---- */
/* A party's slot, by slice_hash of its name with seed 0; what it wants at once just now; may it
 * take one more place, which t->running counts already; how many it may hold. */
unsigned share_slot(uint64_t party_hash);
void share_want(struct connector_target *t, unsigned slot, int64_t now, uint64_t n);
bool share_may(const struct connector_target *t, unsigned slot, int64_t now);
uint64_t share_of(const struct connector_target *t, unsigned slot, int64_t now);
uint64_t share_present(const struct connector_target *t, unsigned slot); /* its calls, those that wait too */
uint64_t share_waiting(const struct connector_target *t, unsigned slot); /* of these */
void share_wait(struct connector_target *t, unsigned slot, bool waits);
void share_enter(struct connector_target *t, unsigned slot);
void share_leave(struct connector_target *t, unsigned slot);
