#pragma once
/* Attempts that may be recorded one by one: token buckets for each source of strangers, for all strangers together, and
 * for refusals of each known identity. What goes beyond is counted exactly, by reason, and written as one `count`
 * record a second. Belongs to one worker, whose share of each rate it holds. Memory is fixed: sources that share a slot
 * share its bucket. */
#include "audit/audit.h"

enum { FLOOD_SLOTS = 1024 };
struct flood_bucket {
    float tokens;
    int64_t at;
};
struct flood {
    float source_rate, all_rate, identity_rate; /* a second */
    struct flood_bucket source[FLOOD_SLOTS], identity[FLOOD_SLOTS], all;
    uint64_t seed;
    uint32_t counts[REASON_COUNT_];
    uint32_t total; /* in counts */
    int64_t from;   /* wall ms of the first counted one */
};
void flood_init(struct flood *f, uint64_t source, uint64_t all, uint64_t identity, unsigned share);
/* May this refusal have a record of its own? False: it was counted, and its connection is to be closed without a reply.
 */
bool flood_admit(struct flood *f, struct slice key, bool stranger, enum reason r, int64_t mono_ms, int64_t wall_ms);
/* Count one that cannot have a record of its own for another cause. */
void flood_count(struct flood *f, enum reason r, int64_t wall_ms);
/* The count record for what gathered, if any; the caller queues it and then calls flood_clear. */
bool flood_record(const struct flood *f, struct audit_record *r, int64_t wall_ms);
void flood_clear(struct flood *f);
