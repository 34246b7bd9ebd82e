#pragma once
/* A thread that reads the log's files for others: proofs, tiles, entries. No event loop ever waits for a disk. Jobs are
 * taken in the order of their coming; so many may wait, and no more. */
#include "audit/audit.h"
#include "base/net/net.h"

struct log_job;
struct log_reader;
struct log_job {
    struct loop_msg home;            /* private */
    struct log_job *next;            /* private */
    struct loop *back;               /* bor: where done runs */
    void (*done)(struct log_job *j); /* once for each job that was taken */
    void *arg;                       /* the owner's */
    bool proof, entries;             /* a proof, by `ask`; else the resource `path`, entries too if they may be given */
    struct slice path;               /* bor: until done */
    struct audit_proof_ask ask;      /* bor: its slices, until done */
    const struct audit_log *log;     /* bor */
    struct buf out;                  /* own: the caller's to free */
    enum err e;                      /* the result */
};
struct log_reader *log_reader_new(void); /* NULL: no memory or thread */
/* Nobody may give jobs any more; those that wait are done first. */
struct log_reader *log_reader_free(struct log_reader *r);
/* ERR_BUSY: too many wait. The job must live until done. Any thread. */
enum err log_reader_put(struct log_reader *r, struct log_job *j) MUST_CHECK;
