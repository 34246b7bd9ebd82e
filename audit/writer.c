/* The writer thread: sleeps on a futex until an owner wants a commit, a checkpoint has to be asked for or a lost disk
 * may be back. States: available; unavailable with why (ERR_FULL: no room, ERR_SYS: the disk fails). While unavailable
 * only essential records are tried, and once a second the way back: reserve file, new segment, gap record. No wake can
 * be lost: an owner stores `wanted` before it reads `asleep`, the writer stores `asleep` before it reads `wanted`, both
 * sequentially consistent. Owners pay a system call only when the writer sleeps. */
#include "audit/log.h"
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void log_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, ms >= 0 ? &t : NULL, NULL, 0);
}

void log_futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void log_wake(struct audit_log *l)
{
    if (atomic_load(&l->asleep) != 0 && atomic_exchange(&l->asleep, 0) != 0)
        log_futex_wake(&l->asleep);
}

enum err log_queue_add(struct audit_log *l, struct audit_queue *q)
{
    for (unsigned i = 0; i < AUDIT_QUEUES; i++) {
        struct audit_queue *none = NULL;
        if (!atomic_compare_exchange_strong(&l->queues[i], &none, q))
            continue;
        unsigned n = atomic_load(&l->n_queues);
        while (n <= i && !atomic_compare_exchange_weak(&l->n_queues, &n, i + 1))
            continue;
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
    log_futex_wake(&q->gone);
}

void log_queue_remove(struct audit_log *l, struct audit_queue *q)
{
    for (unsigned i = 0; !l->running && i < AUDIT_QUEUES; i++) {
        if (atomic_load(&l->queues[i]) == q)
            queue_drop(l, i, q);
    }
    atomic_store(&q->closing, true);
    log_wake(l);
    while (atomic_load(&q->gone) == 0)
        log_futex_wait(&q->gone, 0, -1);
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
    for (unsigned i = 0; i < atomic_load_explicit(&l->n_queues, memory_order_acquire); i++) {
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
    int64_t from = atomic_exchange(&l->hung_from, 0);
    if (!gap_open(l))
        return;
    l->gap_from = from != 0 ? from : clock_wall_ms();
    l->gap_due = true;
    enum err e = commit_round(l, GATHER_ALL);
    l->gap_due = false;
    if (e != ERR_OK)
        log_down(l, e);
}

static bool checkpoint_wanted(const struct audit_log *l)
{
    return l->next != atomic_load_explicit(&l->checkpoint_size, memory_order_relaxed);
}

/* Apart by name: what the clock drives is left out where instructions are counted (tests/bench/targets/sluice.py). */
static __attribute__((noinline)) void writer_second(struct audit_log *l, int64_t now)
{
    writer_late_gap(l);
    after_checkpoint(l);
    l->checkpoint_due = now + LOG_TICK_MS;
}

static void writer_tick(struct audit_log *l, int64_t now)
{
    bool up = atomic_load_explicit(&l->available, memory_order_relaxed);
    if (!up && now >= l->restore_due)
        writer_restore(l);
    if (now >= l->checkpoint_due && checkpoint_wanted(l))
        writer_second(l, now);
}

/* Entries that somebody wants committed; closes the queues whose owners are done with them. */
static bool writer_wanted(struct audit_log *l, bool all)
{
    bool wanted = false;
    for (unsigned i = 0; i < atomic_load(&l->n_queues); i++) {
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
static int64_t turn_begin(struct audit_log *l)
{
    int64_t now = clock_mono_ms(), before = atomic_load_explicit(&l->busy_since, memory_order_relaxed);
    if (before != 0 && now - before >= LOG_HUNG_MS)
        log_hung_note(l, before);
    atomic_store_explicit(&l->busy_since, now, memory_order_relaxed);
    return now;
}

static void writer_sleep(struct audit_log *l, int64_t now)
{
    bool due = checkpoint_wanted(l), down = !atomic_load_explicit(&l->available, memory_order_relaxed);
    int64_t wait = due ? l->checkpoint_due - now : -1;
    if (down && (!due || l->restore_due - now < wait))
        wait = l->restore_due - now;
    if ((due || down) && wait <= 0)
        return;
    atomic_store(&l->asleep, 1);
    if (!writer_wanted(l, false) && !atomic_load(&l->stop)) {
        atomic_store_explicit(&l->busy_since, 0, memory_order_relaxed);
        log_futex_wait(&l->asleep, 1, wait);
    }
    atomic_store(&l->asleep, 0);
}

int64_t log_hung_ms(const struct audit_log *l)
{
    int64_t turn = atomic_load_explicit(&l->busy_since, memory_order_relaxed);
    int64_t after = atomic_load_explicit(&l->after_since, memory_order_relaxed);
    int64_t since = turn == 0 || (after != 0 && after < turn) ? after : turn;
    int64_t ms = since == 0 ? 0 : clock_mono_ms() - since;
    return ms < LOG_HUNG_MS ? 0 : ms;
}

void log_hung_note(struct audit_log *l, int64_t since_ms)
{
    int64_t ms = clock_mono_ms() - since_ms, none = 0;
    if (ms >= LOG_HUNG_MS)
        atomic_compare_exchange_strong(&l->hung_from, &none, clock_wall_ms() - ms);
}

/* The last chance: what was turned away and is not said now is said nowhere. */
static void writer_last_gap(struct audit_log *l)
{
    if (!atomic_load(&l->available))
        writer_restore(l);
    writer_late_gap(l);
}

void *writer_main(void *log)
{
    struct audit_log *l = log;
    for (;;) {
        int64_t now = turn_begin(l);
        writer_tick(l, now);
        bool stop = atomic_load(&l->stop);
        if (writer_wanted(l, stop))
            writer_round(l);
        else if (stop)
            break;
        else
            writer_sleep(l, now);
    }
    writer_last_gap(l);
    after_end(l);
    return NULL;
}
