/* The writer thread: sleeps on a futex until an owner wants a commit, a checkpoint is due or a lost disk may be back.
 * States: available; unavailable with why (ERR_FULL: no room, ERR_SYS: the disk fails). While unavailable only
 * essential records are tried, and once a second the way back: reserve file, new segment, gap record. No wake can be
 * lost: an owner stores `wanted` before it reads `asleep`, the writer stores `asleep` before it reads `wanted`, both
 * sequentially consistent. Owners pay a system call only when the writer sleeps. */
#include "audit/log.h"
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, ms >= 0 ? &t : NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void log_wake(struct audit_log *l)
{
    if (atomic_load(&l->asleep) != 0 && atomic_exchange(&l->asleep, 0) != 0)
        futex_wake(&l->asleep);
}

enum err log_queue_add(struct audit_log *l, struct audit_queue *q)
{
    for (unsigned i = 0; i < LOG_QUEUES; i++) {
        struct audit_queue *none = NULL;
        if (atomic_compare_exchange_strong(&l->queues[i], &none, q))
            return ERR_OK;
    }
    return ERR_TOO_LARGE;
}

/* Writer thread, or nobody else is there. */
static void queue_drop(struct audit_log *l, unsigned i, struct audit_queue *q)
{
    for (unsigned r = 0; r < REASON_COUNT_; r++)
        l->gap_counts[r] += atomic_exchange_explicit(&q->refused[r], 0, memory_order_relaxed);
    atomic_store(&l->queues[i], NULL);
    atomic_store(&q->gone, 1);
    futex_wake(&q->gone);
}

void log_queue_remove(struct audit_log *l, struct audit_queue *q)
{
    for (unsigned i = 0; !l->running && i < LOG_QUEUES; i++) {
        if (atomic_load(&l->queues[i]) == q)
            queue_drop(l, i, q);
    }
    atomic_store(&q->closing, true);
    log_wake(l);
    while (atomic_load(&q->gone) == 0)
        futex_wait(&q->gone, 0, -1);
}

void log_down(struct audit_log *l, enum err why)
{
    char path[PATH_MAX];
    if (why == ERR_FULL && log_path(l, "reserve", path) == ERR_OK)
        (void)!l->io->unlink(l->io->self, path);
    atomic_store(&l->why, why);
    l->restore_due = clock_mono_ms() + LOG_TICK_MS;
    if (!atomic_exchange(&l->available, false))
        return;
    if (l->gap_from == 0)
        l->gap_from = clock_wall_ms();
    if (l->c.on_state != NULL)
        l->c.on_state(l->c.arg, false, why);
}

/* A failed segment was abandoned by the commit itself, so a second try goes to a new one. */
static enum err round_twice(struct audit_log *l, enum gather mode)
{
    enum err e = commit_round(l, mode);
    return e == ERR_SYS ? commit_round(l, mode) : e;
}

static void writer_round(struct audit_log *l)
{
    bool up = atomic_load_explicit(&l->available, memory_order_relaxed);
    enum err e = round_twice(l, up ? GATHER_ALL : GATHER_ESSENTIAL);
    if (e == ERR_OK)
        return;
    log_down(l, e);
    if (up)
        e = round_twice(l, GATHER_ESSENTIAL);
    if (e != ERR_OK)
        (void)!commit_round(l, GATHER_NONE);
}

/* Attempts were turned away and no gap record says so yet. */
static bool gap_open(const struct audit_log *l)
{
    for (unsigned i = 0; i < REASON_COUNT_; i++) {
        if (l->gap_counts[i] != 0)
            return true;
    }
    for (unsigned i = 0; i < LOG_QUEUES; i++) {
        struct audit_queue *q = atomic_load_explicit(&l->queues[i], memory_order_acquire);
        for (unsigned r = 0; q != NULL && r < REASON_COUNT_; r++) {
            if (atomic_load_explicit(&q->refused[r], memory_order_relaxed) != 0)
                return true;
        }
    }
    return false;
}

/* Once a second while unavailable: is there room, or a disk that works, again? */
static void writer_restore(struct audit_log *l)
{
    char path[PATH_MAX];
    enum err e = log_path(l, "reserve", path);
    l->restore_due = clock_mono_ms() + LOG_TICK_MS;
    if (e == ERR_OK && l->io->reserve(l->io->self, path, (off_t)l->c.reserve_bytes) != 0)
        return;
    l->gap_due = true;
    if (e == ERR_OK)
        e = round_twice(l, GATHER_ESSENTIAL);
    l->gap_due = false;
    if (e != ERR_OK) {
        log_down(l, e);
        return;
    }
    atomic_store(&l->why, ERR_OK);
    atomic_store(&l->available, true);
    if (l->c.on_state != NULL)
        l->c.on_state(l->c.arg, true, ERR_OK);
}

/* Attempts that were turned away between the gap record and the return to service, or while the disk hung. */
static void writer_late_gap(struct audit_log *l)
{
    if (!atomic_load_explicit(&l->available, memory_order_relaxed))
        return;
    int64_t from = l->hung_from != 0 ? l->hung_from : clock_wall_ms();
    l->hung_from = 0;
    if (!gap_open(l))
        return;
    l->gap_from = from;
    l->gap_due = true;
    enum err e = commit_round(l, GATHER_ALL);
    l->gap_due = false;
    if (e != ERR_OK)
        log_down(l, e);
}

static void writer_tick(struct audit_log *l)
{
    bool up = atomic_load_explicit(&l->available, memory_order_relaxed);
    int64_t now = clock_mono_ms();
    if (!up && now >= l->restore_due)
        writer_restore(l);
    if (!l->dirty || now < l->checkpoint_due)
        return;
    writer_late_gap(l);
    /* A failure leaves it due; a notary that is late is not waited for again, records are. */
    (void)!checkpoint_make(l, l->asked.size == 0 ? LOG_SIGN_MS : 0);
    l->checkpoint_due = now + LOG_TICK_MS;
}

/* Entries that somebody wants committed; closes the queues whose owners are done with them. */
static bool writer_wanted(struct audit_log *l, bool all)
{
    bool wanted = false;
    for (unsigned i = 0; i < LOG_QUEUES; i++) {
        struct audit_queue *q = atomic_load(&l->queues[i]);
        if (q == NULL)
            continue;
        uint64_t to = all ? atomic_load(&q->tail) : atomic_load(&q->wanted);
        if (to > q->taken)
            wanted = true;
        else if (atomic_load(&q->closing))
            queue_drop(l, i, q);
    }
    return wanted;
}

/* A turn writes and syncs a few times at most: one that does not end waits for the disk. */
static void turn_begin(struct audit_log *l)
{
    int64_t now = clock_mono_ms(), before = atomic_load_explicit(&l->busy_since, memory_order_relaxed);
    if (before != 0 && now - before >= LOG_HUNG_MS && l->hung_from == 0)
        l->hung_from = clock_wall_ms() - (now - before);
    atomic_store_explicit(&l->busy_since, now, memory_order_relaxed);
}

static void writer_sleep(struct audit_log *l)
{
    int64_t now = clock_mono_ms(), wait = -1;
    if (l->dirty)
        wait = l->checkpoint_due - now;
    if (!atomic_load_explicit(&l->available, memory_order_relaxed) && (wait < 0 || l->restore_due - now < wait))
        wait = l->restore_due - now;
    if (wait == 0 || ((l->dirty || !atomic_load(&l->available)) && wait < 0))
        return;
    atomic_store(&l->asleep, 1);
    if (!writer_wanted(l, false) && !atomic_load(&l->stop)) {
        turn_begin(l); /* ends the one before */
        atomic_store_explicit(&l->busy_since, 0, memory_order_relaxed);
        futex_wait(&l->asleep, 1, wait);
    }
    atomic_store(&l->asleep, 0);
}

int64_t log_hung_ms(const struct audit_log *l)
{
    int64_t since = atomic_load_explicit(&l->busy_since, memory_order_relaxed);
    int64_t ms = since == 0 ? 0 : clock_mono_ms() - since;
    return ms < LOG_HUNG_MS ? 0 : ms;
}

void *writer_main(void *log)
{
    struct audit_log *l = log;
    for (;;) {
        turn_begin(l);
        bool stop = atomic_load(&l->stop), wanted = writer_wanted(l, stop);
        if (wanted)
            writer_round(l);
        if (stop && !wanted)
            break;
        writer_tick(l);
        if (!wanted)
            writer_sleep(l);
    }
    /* Twice when a late one has to come first. */
    for (int64_t until = clock_mono_ms() + LOG_END_MS, left = LOG_END_MS; l->dirty && left > 0;) {
        if (checkpoint_make(l, left) != ERR_OK)
            break;
        left = until - clock_mono_ms();
    }
    return NULL;
}
