#pragma once
/* A file layer under the real daemon (LD_PRELOAD), for two purposes: a journal from which a power cut can be played
 * after a SIGKILL (tests/system/disk.py does), and faults: calls that fail, a slow or hung disk, a clock that jumped.
 * Only files under $SLUICE_DISK_DIR are watched. Every change is written to the journal before it is made, with what it
 * overwrites; a finished fsync, fdatasync or RWF_DSYNC write writes how far it reached. Files that go away are kept in
 * the stash by a second link. Invariant: under the one lock a change and its entry are one, so the journal's order is
 * the real one.
 *
 * Real system calls only, nothing of libc's own versions: it works before and under the sanitizers' interceptors.
 * Shared memory of SQLite (-shm) is written through a mapping and not seen here: the player makes rubbish of it. */
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* What the test may change at any time: a mapped file, the same layout in disk.py. */
struct control {
    uint32_t sync_noop;              /* syncs say that they are done and are not */
    uint32_t sync_ms, sync_random;   /* a sync takes so long, or up to so long when random */
    uint32_t sync_errno, sync_every; /* every n-th sync fails so */
    uint32_t write_errno;
    uint32_t hang;         /* syncs do not come back */
    uint32_t scope;        /* where faults hold: enum IN_LOG, IN_KEYS (what the keeper writes), ELSEWHERE */
    int64_t clock_ms;      /* the wall clock is ahead by so much */
    uint32_t syncs, halts; /* counted by the layer: syncs so far; syncs that hang now */
};
enum entry_type { WRITE = 1, SIZE, SYNC, FAILED, CREATE, UNLINK, RENAME, LINK, MKDIR, SYNCDIR };
struct entry {
    uint32_t magic, type;
    uint64_t file, at, n, old_size, mark; /* mark: place in the journal that a sync reached; n 0: of all the file */
    uint32_t data, names;                 /* bytes that follow: what is overwritten; paths, each with its NUL */
};
enum { MAGIC = 0x4b534944, FDS = 1 << 16, IN_LOG = 1, ELSEWHERE = 2, IN_KEYS = 4 };

struct disk {
    pthread_mutex_t lock; /* a change and its entry */
    char dir[PATH_MAX], log[PATH_MAX], stash[PATH_MAX];
    int journal; /* -1: faults only */
    struct control *control;
    unsigned stashed;
    unsigned char watched[FDS]; /* 0: not ours */
};
extern struct disk disk;

_Noreturn void disk_give_up(const char *what);
/* 0: not watched; IN_LOG, IN_KEYS or ELSEWHERE. */
unsigned char disk_watch_path(const char *path);
unsigned char disk_watch_fd(int fd);
/* Absolute; relative ones against dirfd, in `out`. */
const char *disk_path_at(int dirfd, const char *path, char out[PATH_MAX]);
/* Entries; the caller holds the lock. A change of a file: its bytes [from, to) are kept. */
void disk_put_change(int fd, enum entry_type type, uint64_t at, uint64_t n, uint64_t from, uint64_t to);
void disk_put_names(enum entry_type type, uint64_t file, uint64_t stashed, const char *a, const char *b);
void disk_put_sync(enum entry_type type, int fd, uint64_t mark, uint64_t at, uint64_t n);
uint64_t disk_journal_end(void);
/* A second link to what is about to lose its name; its number, 0 when there is nothing. */
uint64_t disk_stash(const char *path, uint64_t *file);
