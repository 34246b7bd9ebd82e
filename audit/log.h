#pragma once
/* The log's own struct and the functions by which its files work together; see each file for its part:
 *   open.c recover.c   start and end          writer.c      the thread: sleep, wake, states
 *   commit.c           one group commit       segment.c     files: begin, roll, abandon
 *   checkpoint.c       signed notes           queue.c       the owners' side
 * Thread rule: members under "any thread" are atomic or under the mutex; all else belongs to the writer thread, or to
 * audit_open and audit_close when it does not run. */
#include "audit/head.h"
#include "audit/io.h"
#include "audit/queue.h"
#include "audit/tile.h"
#include <limits.h>
#include <pthread.h>

enum {
    LOG_QUEUES = 64,
    BATCH_ITEMS = 8192,
    BATCH_BYTES = 2 << 20,
    BATCH_CAP = 256 << 20,
    LOG_TICK_MS = 1000,
    LOG_SIGN_MS = 1000, /* the writer waits so long for a signature, and comes back for it at a later tick */
    LOG_END_MS = 10000, /* at the start and the end */
    LOG_HUNG_MS = 5000, /* a disk that has not answered for so long is taken for one that fails */
    SEGMENT_FILL_MIN = 64 << 10,
    SEGMENT_FILL_MAX = 4 << 20
};

struct batch_item {
    struct slot *slot; /* bor: in its ring; NULL for lines of the log's own */
    size_t at;         /* of its line in the batch's bytes */
    uint32_t n;        /* with LF; 0: fails with err and is not written */
    uint8_t kind, err;
    uint16_t reason;
    uint32_t part;
    struct uuid exchange;
    uint64_t number;
};
struct batch {
    struct buf bytes;
    struct batch_item *items; /* own */
    size_t n, room, lines;    /* lines: items that are written */
    uint64_t act;             /* last act number so far */
};
struct segment {
    int fd; /* own; -1: none */
    uint64_t first;
    uint64_t end;          /* bytes that are durable */
    uint64_t filled, fill; /* zeros written ahead up to here; size of the next piece, 0: no more in this file */
    bool fresh;            /* its name is not durable yet */
    char path[PATH_MAX];
};
enum gather { GATHER_ALL, GATHER_ESSENTIAL, GATHER_NONE };

struct audit_log {
    struct audit_config c; /* dir and origin are own copies; without the two keys, which stand below */
    struct hmac_key salts, names;
    const struct audit_io *io;
    char *dir, *origin;
    int lock_fd;
    struct segment seg;
    uint64_t next, act; /* durable records; last durable act */
    struct merkle tree;
    struct digest *digest;
    struct openset open;
    struct tiles tiles;
    struct {           /* a checkpoint that the notary has been asked for and has not signed yet */
        uint64_t size; /* 0: none */
        struct sha256 root, proof[MERKLE_PATH_MAX];
        size_t n;
    } asked;
    struct merkle_growth growth; /* since what the notary signed last, or was asked for */
    struct batch batch;
    unsigned turn;
    bool dirty;                          /* records since the last checkpoint */
    int64_t checkpoint_due, restore_due; /* mono ms */
    bool gap_due;
    int64_t gap_from;  /* wall ms; 0: none open */
    int64_t hung_from; /* wall ms: when the last turn began that hung; 0: none since the last gap */
    uint32_t gap_counts[REASON_COUNT_];
    pthread_t thread;
    bool running;
    uint64_t torn_bytes; /* cut by audit_open */

    /* any thread */
    _Atomic(struct audit_queue *) queues[LOG_QUEUES];
    _Atomic uint32_t asleep;
    _Atomic bool stop, available;
    _Atomic int why;
    _Atomic uint64_t size, last_act, checkpoint_size, interrupted, commits, bytes;
    _Atomic int64_t checkpoint_at;
    _Atomic int64_t busy_since; /* mono ms: when the writer's turn began; 0: it sleeps */
    pthread_mutex_t note_lock;  /* guards note and witnessed */
    struct buf note, witnessed;
    _Atomic uint64_t witnessed_size;
};

/* writer.c */
void *writer_main(void *log);
void log_wake(struct audit_log *l);
int64_t log_hung_ms(const struct audit_log *l); /* any thread; 0 until LOG_HUNG_MS are over */
enum err log_queue_add(struct audit_log *l, struct audit_queue *q) MUST_CHECK;
void log_queue_remove(struct audit_log *l, struct audit_queue *q);
void log_down(struct audit_log *l, enum err why);
/* commit.c. ERR_FULL: no room; ERR_SYS: the segment was abandoned; nothing of the batch counts then. */
enum err commit_round(struct audit_log *l, enum gather mode) MUST_CHECK;
enum err commit_batch(struct audit_log *l) MUST_CHECK; /* what batch_line added, without any queue */
enum err batch_begin(struct audit_log *l) MUST_CHECK;
enum err batch_line(struct audit_log *l, struct slice line, const struct batch_item *facts) MUST_CHECK;
/* segment.c */
enum err
segment_ready(struct audit_log *l) MUST_CHECK; /* a segment to write to; its head is in the batch if it is new */
bool segment_full_after(const struct audit_log *l, uint64_t bytes, uint64_t lines);
enum err segment_write(struct audit_log *l, struct slice s) MUST_CHECK; /* durable on ERR_OK */
void segment_fill(struct audit_log *l);   /* zeros ahead of the records; off the commit path */
void segment_finish(struct audit_log *l); /* cuts the zeros off and closes */
void segment_abandon(struct audit_log *l);
enum err log_sys(int sys); /* ERR_FULL for a full disk, else ERR_SYS */
/* checkpoint.c. ERR_CONFLICT: the notary holds that this log does not continue what it signed; ERR_AGAIN: it has not
 * answered within wait_ms. `dirty` stays set when records came after the checkpoint that was made. */
enum err checkpoint_make(struct audit_log *l, int64_t wait_ms) MUST_CHECK;
enum err log_path(const struct audit_log *l, const char *name, char out[PATH_MAX]) MUST_CHECK;
/* recover.c: everything up to the end of the log as it is found. */
enum err recover_log(struct audit_log *l, struct diags *d) MUST_CHECK;
