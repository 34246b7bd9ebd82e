#pragma once
/* A worker: one thread, one loop, one listening socket, its own TLS context, evidence queue and provider pool. Workers
 * share with the control thread only what is listed here: the snapshot message, the evidence log's queues,
 * counters, whether memory is short, and among themselves the TLS sessions (base/net/sessions.h) and how many exchanges
 * run and connections are open (gateway/tally.h) and what identities may (gateway/flood.h). */
#include "audit/audit.h"
#include "gateway/gate.h"
#include "gateway/settings.h"
#include "gateway/snapshot.h"

struct worker;
struct log_reader;
struct running;
struct flood_each;
struct worker_config {
    unsigned number, workers;
    const struct settings *settings; /* bor: constant for the life of the process */
    struct audit_log *log;           /* bor */
    struct log_reader *reader;       /* bor */
    struct snapshot *snapshot;       /* the worker takes a reference of its own */
    int data_fd;                     /* bor: its listening socket */
    struct pressure *pressure;       /* bor; NULL: memory has no cap */
    struct tls_sessions *sessions;   /* bor: of all workers; NULL: nobody resumes */
    struct running *running;         /* bor: exchanges, of all workers, by department */
    struct running *connections;     /* bor: the same, by identity */
    struct flood_each *each;         /* bor: what identities may, of all workers */
    const struct gate *gate;         /* bor: for the life of the process */
};
enum err worker_start(const struct worker_config *c, struct worker **ret,
                      struct diags *d) MUST_CHECK; /* runs at once */

/* Everything below is called from the control thread; `done` runs on the loop `back`, once. */
struct worker_note {
    struct loop_msg to, home;
    struct loop *back;
    void (*done)(struct worker_note *n);
    struct snapshot *snapshot;      /* ref: taken by the worker */
    const struct tls_settings *tls; /* bor: until it is home */
    struct worker *worker;
};
/* Swap the snapshot: running exchanges whose grant, application, resource or certificate changed for the worse are cut
 * in the same callback. */
void worker_swap(struct worker *w, struct worker_note *n, struct snapshot *s, struct loop *back,
                 void (*done)(struct worker_note *n));
/* Load certificate and key again, and name the authorities of `t` (a reload: its settings, which stay until the note is
 * home). Failure leaves what was there; logged. */
void worker_reload_tls(struct worker *w, struct worker_note *n, const struct tls_settings *t, struct loop *back,
                       void (*done)(struct worker_note *n));
/* Stop accepting, end idle connections, finish what runs; done when nothing runs any more. */
void worker_drain(struct worker *w, struct worker_note *n, struct loop *back, void (*done)(struct worker_note *n));
/* Cut what still runs, end the thread, join it, free everything. */
struct worker *worker_stop(struct worker *w);

/* Counters of all workers, for /metrics: read without locks, written by their worker only. */
struct worker_counters {
    _Atomic uint64_t exchanges[REASON_COUNT_]; /* ended, by reason (REASON_GRANTED: answered) */
    _Atomic uint64_t bytes_in, bytes_out, bytes_upload, rows;
    _Atomic uint64_t connections_opened, connections_closed, running,
        counted;                                              /* counted: attempts in `count` records only */
    _Atomic uint64_t connections_refused, connections_calmed; /* for want of memory: when they came; later (calm.h) */
    _Atomic uint64_t connections_over; /* closed behind their handshake: limits.connections, limits.connections_each */
    _Atomic uint64_t waiting, waits;   /* for room in the evidence queue (room.h): now; ever begun */
    _Atomic uint64_t duration_bucket[12]; /* upper bounds worker_duration_bounds_ms[], last: +Inf */
    _Atomic uint64_t duration_sum_ms;
};
extern const uint32_t worker_duration_bounds_ms[11];
const struct worker_counters *worker_counters(const struct worker *w);
