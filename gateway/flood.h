#pragma once
/* Attempts that may be recorded one by one: token buckets for each source of strangers, for all strangers together, and
 * for refusals of each known identity. What goes beyond is counted exactly, by reason, and written as one `count`
 * record a second. Belongs to one worker, whose share of each rate of strangers it holds: they come anew each time, to
 * any worker. A known identity keeps its connections, and what it may is counted by all workers together. Memory is
 * fixed: sources that share a slot share its bucket. */
#include "audit/audit.h"

#include <stdatomic.h>

enum { FLOOD_SLOTS = 1024, FLOOD_RECORD_BYTES = 2048 /* what a stranger's record is charged; it is never longer */ };
struct flood_bucket {
    float tokens;
    int64_t at;
};
struct flood_each { /* any thread: when the next one of an identity is due, in mono us (GCRA) */
    uint64_t seed;
    _Atomic int64_t identity[FLOOD_SLOTS], read[FLOOD_SLOTS];
};
struct flood {
    double day_left, day_most,
        day_rate;   /* strangers' records that the day still bears; refilled each ms; most 0: any */
    int64_t day_at; /* mono ms of the last refill; 0: none yet */
    float source_rate, all_rate, identity_rate, read_rate; /* a second */
    struct flood_bucket source[FLOOD_SLOTS], all;
    struct flood_each *each, own; /* bor: own, until flood_share */
    uint64_t seed;
    uint32_t counts[REASON_COUNT_];
    uint32_t sent[REASON_COUNT_]; /* of counts: in a record that is not durable yet */
    uint32_t total, sent_total;   /* sums of the two */
    int64_t from, sent_to;        /* wall ms of the first counted one; when the record was made */
    bool out, refused;            /* a record is under way; the log took the last one not */
};
void flood_init(struct flood *f, uint64_t source, uint64_t all, uint64_t identity, unsigned share);
/* Of known identities, count with others: their rates are whole ones then, `identity` and what flood_reads sets. */
void flood_share(struct flood *f, struct flood_each *each, uint64_t identity);
/* Strangers' own records may take so many bytes of the log in any day, besides the count records. It is no more than
 * half of that at once, and a sixteenth after a start, for what was used before it is not known. */
void flood_day(struct flood *f, uint64_t bytes, unsigned share);
/* May this refusal have a record of its own? False: it was counted, and its connection is to be closed without a reply.
 */
bool flood_admit(struct flood *f, struct slice key, bool stranger, enum reason r, int64_t mono_ms, int64_t wall_ms);
/* May this identity read from the log once more? The rate is nothing until flood_reads has set it. */
void flood_reads(struct flood *f, uint64_t rate);
bool flood_may_read(struct flood *f, struct slice identity, int64_t mono_ms);
/* Count one that cannot have a record of its own for another cause. */
void flood_count(struct flood *f, enum reason r, int64_t wall_ms);
/* Queue the count record for what gathered. False: nothing did, one is under way, or the log does not take it. When
 * done() is called with `waiter` the caller says flood_written: only what is durable is forgotten, the rest goes into
 * the next record. */
bool flood_put(struct flood *f, struct audit_queue *q, int64_t wall_ms, void *waiter);
void flood_written(struct flood *f, bool durable);
/* All that was counted is on record, or the log takes nothing: a stop waits until then, and puts again meanwhile. */
bool flood_settled(const struct flood *f);
