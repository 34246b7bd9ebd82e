/* Which connection sends when: the schedule, the queue of free connections, and what is counted.
 *
 * A connection is free when it is IDLE, or CLOSED in a run with --fresh. Free ones wait in a ring, first in first out,
 * so that all of them are used at any rate. Invariant: `queued` is true exactly for the connections in the ring; one
 * that lost its socket meanwhile is skipped when it is taken out. */
#pragma once

#include "conn.h"
#include "histogram.h"
#include "watch.h"

enum phase {
    PHASE_OPENING,   /* all connections are opened, and primed; no load (left out with --fresh) */
    PHASE_HOLDING,   /* --hold: nothing is sent */
    PHASE_WARMING,   /* load that is not counted */
    PHASE_MEASURING, /* the window [begin_ns, end_ns) */
    PHASE_DRAINING,  /* --rate: what was due inside the window is finished */
    PHASE_OVER,
};

struct result {
    uint64_t requests; /* complete, correct answers inside the window */
    uint64_t body_bytes;
    uint64_t handshakes_full, handshakes_resumed; /* inside the window */
    uint64_t lost;                                /* idle connections the server closed */
    uint64_t fails[FAIL_COUNT_], failed;
    int64_t window_ns, opened_ns;
    bool watched;
    struct watch used;        /* by the watched processes inside the window */
    struct histogram latency; /* from the time due */
};

struct run {
    struct conn_common common; /* first: a connection finds its run through it */
    struct conn *conns;        /* own; opt->connections of them */
    struct conn **ring;        /* own; as long as conns */
    size_t ring_head, ring_count;
    size_t opened_next; /* conns before it have been opened once */
    size_t opening;     /* now between connect and ready */
    size_t settled;     /* PHASE_OPENING: ready, and primed */
    enum phase phase;
    int64_t schedule_ns; /* when the first request of the schedule was due */
    uint64_t started, finished;
    int64_t begin_ns, end_ns;
    struct result result;
};

extern const struct conn_owner work_owner;

/* Open further connections, at most opt->opening at once. */
void work_open(struct run *r, int64_t now);

/* Put every connection into the ring, for --fresh. */
void work_enqueue_all(struct run *r);

/* Hand all work that is due to free connections. */
void work_pump(struct run *r, int64_t now);

/* Housekeeping, every WORK_TICK_NS: time-outs, reopening, read budgets. */
enum { WORK_TICK_NS = 20 * 1000 * 1000 };
void work_tick(struct run *r, int64_t now);

/* When the next request of the schedule is due; INT64_MAX when flat out, or none is left. */
int64_t work_next_due(const struct run *r);
