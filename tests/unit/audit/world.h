#pragma once
/* What the tests of audit/ share: a log in a folder of its own, records, waiting, and a file table that fails on
 * demand. */
#include "audit/io.h"
#include "audit/log.h"
#include "audit/logscan.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct waited {
    bool done;
    enum err e;
    uint64_t index;
};
struct world {
    char dir[64];
    struct ed25519 *key;
    struct audit_config c;
    struct arena arena;
    struct diags d;
    struct audit_log *log;
    struct audit_queue *q;
    struct buf vkey;
};
void world_init(struct world *w);
void world_done(struct world *w);     /* closes, and removes the folder */
enum err world_open(struct world *w); /* opens and starts */
void world_close(struct world *w);
struct uuid world_exchange(unsigned n); /* a fixed one for each number */
struct audit_record world_intent(unsigned n);
struct audit_record world_outcome(unsigned n);
/* Put, kick and wait; the result. */
struct waited world_put(struct world *w, const struct audit_record *r, unsigned flags);
void world_wait(struct world *w, struct waited *x);
/* n exchanges, intent and outcome each, numbered from `from`. */
void world_fill(struct world *w, unsigned from, unsigned n);
uint64_t world_size(const struct world *w);
void world_covered(struct world *w, struct audit_status *ret); /* waits for a checkpoint of all that is durable */
void world_verify(struct world *w, struct audit_report *ret);
void world_good(struct world *w, uint64_t size); /* verifies, with that many records */
/* Files by name inside the folder. */
void world_read(const struct world *w, const char *name, struct buf *out);
void world_write(const struct world *w, const char *name, struct slice s);
char *world_path(const struct world *w, const char *name); /* static buffer */
void world_copy(const struct world *w, const char *to);
/* A log in a copy: same key, other folder. */
void world_done_fn(void *waiter, enum err e, uint64_t index);

/* Fails calls when told to: errno for the next `n` calls of a kind, after `skip` good ones. While a log has it, it is
 * changed and read by the functions below only. */
enum fault_kind { FAULT_CREATE, FAULT_WRITE, FAULT_SYNC, FAULT_FILL, FAULT_RESERVE, FAULT_KINDS };
struct faults {
    struct audit_io io;
    pthread_mutex_t lock; /* guards all below */
    int sys[FAULT_KINDS], n[FAULT_KINDS], skip[FAULT_KINDS];
    long room; /* bytes left on the "disk"; negative: no limit */
    long reserved;
    bool short_writes;
};
void faults_init(struct faults *f);
void faults_set(struct faults *f, enum fault_kind k, int sys, int skip, int n);
void faults_room(struct faults *f, long room, long reserved); /* reserved below 0: as it is */
long faults_reserved(struct faults *f);
void faults_short_writes(struct faults *f, bool on);
