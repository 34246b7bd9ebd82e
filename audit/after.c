/* The log's second thread: what nobody waits for. It follows the writer with the tree, the tiles, the checkpoints and
 * the space written ahead, so that hashing, signing and the disk's bookkeeping stand beside commits and not between
 * them.
 *
 * The batches of the pool go round: the writer adds commit after commit to pool[given] and gives it away when it is
 * worth a wake (AFTER_BYTES), when space is short or when a checkpoint is due; this thread takes pool[taken] and
 * empties it. While all others are still to be taken (a signature takes long) the writer's grows, and only at AFTER_MAX
 * the writer waits. Invariants: taken <= given < taken + AFTER_BATCHES; while taken == given nobody but the writer
 * touches the tree, so it may read it then. Before the thread runs (audit_open) batches are taken at once. */
#include "audit/log.h"
#include "audit/thread.h"

static void take_line(struct audit_log *l, struct slice line)
{
    struct sha256 done[TILE_LEVELS], leaf = merkle_leaf(l->digest, line);
    tiles_push(&l->tiles, done, merkle_push_noting(&l->tree, l->digest, &leaf, &l->growth, done));
    l->dirty = true;
}

/* A notary that is late is not waited for again, records are. A failure leaves the checkpoint due. A disk that takes
 * records and no checkpoint is one that hangs: what goes on there could not be proved. */
static void take_checkpoint(struct audit_log *l)
{
    int64_t since = atomic_load_explicit(&l->after_since, memory_order_relaxed);
    if (since == 0)
        since = clock_mono_ms();
    atomic_store_explicit(&l->after_since, since, memory_order_relaxed);
    (void)!checkpoint_make(l, l->asked.size == 0 ? LOG_SIGN_MS : 0);
    if (atomic_load_explicit(&l->unstored, memory_order_relaxed) == ERR_OK)
        atomic_store_explicit(&l->after_since, 0, memory_order_relaxed);
    log_hung_note(l, since);
}

static void batch_take(struct audit_log *l, struct batch *b)
{
    segment_fill(l); /* first: the writer is short of it soonest */
    for (size_t i = 0; i < b->n; i++) {
        if (b->items[i].n > 0)
            take_line(l, slice_make(b->bytes.p + b->items[i].at, b->items[i].n - 1));
    }
    if (b->checkpoint && l->dirty)
        take_checkpoint(l);
    if (b->bytes.room > AFTER_KEEP)
        buf_done(&b->bytes);
    buf_clear(&b->bytes);
    b->n = b->kept = b->kept_bytes = 0;
    b->checkpoint = false;
}

/* Batches that the writer may give before it has none of its own. */
static uint32_t batches_free(const struct audit_log *l)
{
    return AFTER_BATCHES - 1 - (atomic_load_explicit(&l->given, memory_order_relaxed) - atomic_load(&l->taken));
}

static void batch_give(struct audit_log *l)
{
    if (!l->running) {
        batch_take(l, l->batch);
        return;
    }
    for (uint32_t taken; taken = atomic_load(&l->taken), batches_free(l) == 0;)
        log_futex_wait(&l->taken, taken, -1);
    uint32_t given = atomic_load_explicit(&l->given, memory_order_relaxed) + 1;
    atomic_store(&l->given, given);
    log_futex_wake(&l->given);
    l->batch = &l->pool[given % AFTER_BATCHES];
}

void after_commit(struct audit_log *l)
{
    size_t n = l->batch->bytes.n;
    if (!l->running || n >= AFTER_MAX || (batches_free(l) > 0 && (n >= AFTER_BYTES || segment_short(l))))
        batch_give(l);
}

void after_checkpoint(struct audit_log *l)
{
    l->batch->checkpoint = true;
    if (batches_free(l) > 0)
        batch_give(l);
}

void after_settle(struct audit_log *l)
{
    uint32_t taken;
    if (l->batch->n > 0)
        batch_give(l);
    while ((taken = atomic_load(&l->taken)) != atomic_load(&l->given))
        log_futex_wait(&l->taken, taken, -1);
}

void after_end(struct audit_log *l)
{
    l->batch->last = true;
    batch_give(l);
}

/* Twice when a late one has to come first. */
static void last_checkpoint(struct audit_log *l)
{
    for (int64_t until = clock_mono_ms() + LOG_END_MS, left = LOG_END_MS; l->dirty && left > 0;) {
        if (checkpoint_make(l, left) != ERR_OK)
            break;
        left = until - clock_mono_ms();
    }
}

void *after_main(void *log)
{
    struct audit_log *l = log;
    thread_stand_back(0); /* a stretch of zeros must not keep exchanges off its processor */
    for (uint32_t taken = 0;;) {
        while (atomic_load(&l->given) == taken)
            log_futex_wait(&l->given, taken, -1);
        struct batch *b = &l->pool[taken % AFTER_BATCHES];
        bool last = b->last;
        batch_take(l, b);
        if (last)
            last_checkpoint(l);
        atomic_store(&l->taken, ++taken);
        log_futex_wake(&l->taken);
        if (last)
            return NULL;
    }
}
