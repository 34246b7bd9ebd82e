#pragma once
/* The log's own struct and the functions by which its files work together; see each file for its part:
 *   open.c recover.c   start and end          writer.c      the writer thread: sleep, wake, states
 *   commit.c           one group commit       after.c       the second thread: what follows a commit
 *   segment.c          files: begin, fill, roll, abandon    checkpoint.c   signed notes
 *   queue.c            the owners' side
 * Thread rule: members under "any thread" are atomic or under the mutex; those under "second thread" are that thread's,
 * and the writer's to read after after_settle; all else belongs to the writer thread; and all to audit_open and
 * audit_close when no thread runs. */
#include "audit/head.h"
#include "audit/io.h"
#include "audit/queue.h"
#include "audit/tile.h"
#include <limits.h>
#include <pthread.h>

enum {
    BATCH_ITEMS = 8192,
    BATCH_BYTES = 2 << 20,
    BATCH_CAP = 256 << 20,
    LOG_TICK_MS = 1000,
    LOG_SIGN_MS = 1000,      /* the writer waits so long for a signature, and comes back for it at a later tick */
    LOG_END_MS = 10000,      /* at the start and the end */
    LOG_HUNG_MS = 5000,      /* a disk that has not answered for so long is taken for one that fails */
    AFTER_BATCHES = 4,       /* a power of two */
    AFTER_BYTES = 128 << 10, /* a batch worth waking the second thread for */
    AFTER_MAX = 16 << 20,    /* a batch that the writer waits for */
    AFTER_KEEP = 4 << 20,    /* memory that a batch keeps */
    SEGMENT_FILL_MIN = 64 << 10,
    SEGMENT_FILL_MAX = 1 << 20
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
/* Commits one after the other, until the second thread gets them; what stands behind `kept` is the one being made. */
struct batch {
    struct buf bytes;
    struct batch_item *items; /* own */
    size_t n, room;
    size_t kept, kept_bytes; /* items and bytes that are durable */
    size_t lines;            /* items behind them that are written */
    uint64_t act;            /* last act number so far */
    bool checkpoint, last;   /* what is to follow it: a checkpoint; the end */
};
struct segment {
    pthread_mutex_t lock; /* see segment.c */
    int fd;               /* own; -1: none; the writer changes it, with the lock */
    uint64_t first;
    _Atomic uint64_t end;     /* bytes that are durable */
    _Atomic uint64_t settled; /* up to here the file's size and blocks are */
    _Atomic uint64_t fill;    /* how far to write zeros ahead next time; 0: no more in this file */
    _Atomic uint64_t filled;  /* zeros written ahead up to here */
    uint64_t short_at;        /* writer: `filled` when it last found space short */
    bool fresh;               /* its name is not durable yet */
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
    struct openset open;
    struct batch *batch; /* bor: in pool */
    struct batch pool[AFTER_BATCHES];

    /* second thread */
    struct merkle tree;
    struct digest *digest;
    struct tiles tiles;
    bool dirty;        /* records since the last checkpoint */
    struct {           /* a checkpoint that the notary has been asked for and has not signed yet */
        uint64_t size; /* 0: none */
        struct sha256 root, proof[MERKLE_PATH_MAX];
        size_t n;
    } asked;
    struct merkle_growth growth; /* since what the notary signed last, or was asked for */

    /* writer thread */
    unsigned turn;
    int64_t checkpoint_due, restore_due; /* mono ms */
    bool gap_due;
    int64_t gap_from; /* wall ms; 0: none open */
    uint32_t gap_counts[REASON_COUNT_];
    pthread_t thread, second;
    bool running;
    uint64_t torn_bytes; /* cut by audit_open */

    /* any thread */
    _Atomic(struct audit_queue *) queues[AUDIT_QUEUES];
    _Atomic unsigned n_queues; /* none stands behind these */
    _Atomic uint32_t asleep;
    _Atomic uint32_t given, taken; /* batches, see after.c */
    _Atomic bool stop, available;
    _Atomic int why;
    _Atomic uint64_t size, last_act, checkpoint_size, interrupted, commits, bytes;
    _Atomic int64_t checkpoint_at;
    _Atomic int64_t busy_since;  /* mono ms: when the writer's turn began; 0: it sleeps */
    _Atomic int64_t after_since; /* the same of a checkpoint by the second thread, until it is on the disk */
    _Atomic int unstored;        /* why the last one that was signed is not; ERR_OK: it is */
    _Atomic int64_t hung_from;   /* wall ms: when what last hung began; 0: nothing since the last gap */
    pthread_mutex_t note_lock;   /* guards note and witnessed */
    struct buf note, witnessed;
    _Atomic uint64_t witnessed_size;
};

/* writer.c */
void *writer_main(void *log);
void log_wake(struct audit_log *l);
int64_t log_hung_ms(const struct audit_log *l);            /* any thread; 0 until LOG_HUNG_MS are over */
void log_hung_note(struct audit_log *l, int64_t since_ms); /* it is over; if it took too long, the next gap says so */
void log_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t ms); /* ms below 0: for ever */
void log_futex_wake(_Atomic uint32_t *word);
enum err log_queue_add(struct audit_log *l, struct audit_queue *q) MUST_CHECK;
void log_queue_remove(struct audit_log *l, struct audit_queue *q);
void log_down(struct audit_log *l, enum err why);
/* commit.c. ERR_FULL: no room; ERR_SYS: the segment was abandoned; nothing of the batch counts then. */
enum err commit_round(struct audit_log *l, enum gather mode) MUST_CHECK;
enum err commit_batch(struct audit_log *l) MUST_CHECK; /* what batch_line added, without any queue */
enum err batch_begin(struct audit_log *l) MUST_CHECK;
enum err batch_line(struct audit_log *l, struct slice line, const struct batch_item *facts) MUST_CHECK;
/* after.c */
void *after_main(void *log);
void after_commit(struct audit_log *l);     /* what the batch holds is durable */
void after_checkpoint(struct audit_log *l); /* one is due */
void after_settle(struct audit_log *l);     /* waits until all that is durable is in the tree */
void after_end(struct audit_log *l);        /* the writer's last word: a last checkpoint, and the thread ends */
/* segment.c */
enum err
segment_ready(struct audit_log *l) MUST_CHECK; /* a segment to write to; its head is in the batch if it is new */
bool segment_full_after(const struct audit_log *l, uint64_t bytes, uint64_t lines);
enum err segment_write(struct audit_log *l, struct slice s) MUST_CHECK; /* durable on ERR_OK */
bool segment_short(struct audit_log *l);  /* space filled ahead runs out: segment_fill is wanted */
void segment_fill(struct audit_log *l);   /* second thread: zeros ahead of the records, where they are due */
void segment_finish(struct audit_log *l); /* cuts the zeros off and closes */
enum err log_sys(int sys);                /* ERR_FULL for a full disk, else ERR_SYS */
/* checkpoint.c. ERR_CONFLICT: the notary holds that this log does not continue what it signed; ERR_AGAIN: it has not
 * answered within wait_ms. `dirty` stays set when records came after the checkpoint that was made. */
enum err checkpoint_make(struct audit_log *l, int64_t wait_ms) MUST_CHECK;
enum err log_path(const struct audit_log *l, const char *name, char out[PATH_MAX]) MUST_CHECK;
/* recover.c: everything up to the end of the log as it is found. */
enum err recover_log(struct audit_log *l, struct diags *d) MUST_CHECK;
