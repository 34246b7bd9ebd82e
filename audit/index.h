#pragma once
/* The search index's own struct, shared by its files: index.c the thread, index_load.c what is found on disk and
 * whether it fits the log, find.c questions.
 * Thread rule: members under "lock" are touched with it held; the index's thread alone changes them. Sealed parts are
 * counted, so that a question keeps those it reads. */
#include "audit/logscan.h"
#include "audit/part.h"
#include <limits.h>
#include <pthread.h>

struct audit_index {
    char *dir;                   /* own */
    const struct audit_log *log; /* bor; NULL: nobody writes */
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t wake, moved; /* the thread has work; `next` grew */

    _Atomic bool stop, asked;      /* asked: a question waits for the newest records */
    _Atomic uint64_t discard_from; /* throw away what is from here on; UINT64_MAX: nothing */

    /* lock */
    struct part **parts; /* own; ref each; ascending, without holes */
    size_t n_parts, parts_room;
    uint64_t bytes;
    struct draft draft;
    bool drafting;
    struct part_late *late; /* own: what came for sealed rows since the draft began */
    size_t n_late, late_room;
    uint64_t seed, first, next, discarded, failed;
    size_t maps;              /* of how many of its newest parts it keeps the map */
    uint64_t dropped;         /* how often index_drop_from took something back */
    uint64_t segment, offset; /* where record `next` is expected */
    int64_t at_last;          /* wall ms of the last record indexed */

    pthread_mutex_t told_lock;
    struct audit_index_status told; /* the last answer of audit_index_status */
};
/* index_load.c. Take in the parts that fit the log; those that do not, and all behind them, are removed. */
enum err index_load(struct audit_index *x) MUST_CHECK;
/* ERR_CONFLICT: a part says other times than the records it was built from. Each is compared once; those that this
 * process has built are right. ERR_AGAIN: *stop was set. */
enum err index_times(struct audit_index *x, const _Atomic bool *stop) MUST_CHECK;
void index_drop_from(struct audit_index *x, uint64_t first); /* lock held */
enum err index_part_path(const struct audit_index *x, uint64_t first, char out[PATH_MAX]) MUST_CHECK;
/* index.c. Parts by place, and the log's size as far as it may be read. */
enum err index_add_part(struct audit_index *x, struct part *p) MUST_CHECK; /* takes p; lock held */
uint64_t index_log_size(const struct audit_index *x);
bool index_lock_soon(struct audit_index *x); /* false: the index's thread holds it, and may wait for the disk */
