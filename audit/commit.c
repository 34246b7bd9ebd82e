/* One group commit: gather what all queues hold, stamp, write and sync, publish; the rest is for the second thread.
 * Invariants: nothing is published before it is durable; after a failure the rings are read again from `done`, so that
 * a batch is all or nothing; indexes are given to lines that are written and to no others. */
#include "audit/log.h"

/* What is durable stays for the second thread. */
static void batch_clear(struct audit_log *l)
{
    struct batch *b = l->batch;
    b->bytes.n = b->kept_bytes;
    b->bytes.failed = ERR_OK;
    b->n = b->kept;
    b->lines = 0;
    b->act = l->act;
}

enum err batch_begin(struct audit_log *l)
{
    batch_clear(l);
    enum err e = segment_ready(l);
    l->batch->act = l->act; /* it may be another one now */
    return e;
}

static struct batch_item *batch_item(struct batch *b)
{
    if (b->n == b->room) {
        size_t room = b->room ? b->room * 2 : 1024;
        struct batch_item *p = mem_grow(b->items, room * sizeof *p);
        if (p == NULL)
            return NULL;
        b->items = p;
        b->room = room;
    }
    return &b->items[b->n++];
}

enum err batch_line(struct audit_log *l, struct slice line, const struct batch_item *facts)
{
    struct batch *b = l->batch;
    struct batch_item *i = batch_item(b);
    if (i == NULL)
        return ERR_NOMEM;
    *i = *facts;
    i->at = b->bytes.n;
    i->n = (uint32_t)line.n;
    buf_put(&b->bytes, line);
    b->lines++;
    return b->bytes.failed;
}

/* Acts stand in the log in the order of their numbers, each once. */
static enum err act_check(struct batch *b, uint64_t act)
{
    if (act == 0)
        return ERR_OK;
    if (act <= b->act)
        return ERR_EXISTS;
    if (act != b->act + 1)
        return ERR_CONFLICT;
    b->act = act;
    return ERR_OK;
}

static enum err item_fate(struct audit_log *l, const struct slot *s, enum gather mode)
{
    if (mode == GATHER_NONE || (mode == GATHER_ESSENTIAL && !(s->flags & AUDIT_ESSENTIAL)))
        return ERR_DOWN;
    return s->kind == AUDIT_ACT ? act_check(l->batch, s->number) : ERR_OK;
}

static enum err gather_slot(struct audit_log *l, struct audit_queue *q, struct slot *s, enum gather mode)
{
    struct batch_item facts = {
        .slot = s, .kind = s->kind, .reason = s->reason, .part = s->part, .exchange = s->exchange, .number = s->number
    };
    if (s->flags & SLOT_WAITED)
        q->wake = true;
    facts.err = (uint8_t)item_fate(l, s, mode);
    if (facts.err == ERR_OK)
        return batch_line(l, slice_make(slot_line(s), s->n), &facts);
    struct batch_item *i = batch_item(l->batch);
    if (i == NULL)
        return ERR_NOMEM;
    *i = facts;
    return ERR_OK;
}

static bool batch_closed(const struct audit_log *l)
{
    const struct batch *b = l->batch;
    size_t bytes = b->bytes.n - b->kept_bytes;
    return b->n - b->kept >= BATCH_ITEMS || bytes >= BATCH_BYTES ||
           (b->lines > 0 && segment_full_after(l, bytes, b->lines));
}

static enum err gather_queue(struct audit_log *l, struct audit_queue *q, enum gather mode)
{
    uint64_t tail = atomic_load_explicit(&q->tail, memory_order_acquire);
    while (q->taken < tail && !batch_closed(l)) {
        struct slot *s = queue_slot(q, q->taken);
        enum err e = s->n > 0 ? gather_slot(l, q, s, mode) : ERR_OK;
        if (e != ERR_OK)
            return e;
        q->taken += s->size;
    }
    return ERR_OK;
}

static enum err gather_all(struct audit_log *l, enum gather mode)
{
    unsigned start = l->turn++, n = atomic_load_explicit(&l->n_queues, memory_order_acquire);
    for (unsigned i = 0; i < n; i++) {
        struct audit_queue *q = atomic_load_explicit(&l->queues[(start + i) % n], memory_order_acquire);
        enum err e = q != NULL ? gather_queue(l, q, mode) : ERR_OK;
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

static void gather_undo(struct audit_log *l)
{
    for (unsigned i = 0; i < atomic_load_explicit(&l->n_queues, memory_order_acquire); i++) {
        struct audit_queue *q = atomic_load_explicit(&l->queues[i], memory_order_acquire);
        if (q != NULL)
            q->taken = atomic_load_explicit(&q->done, memory_order_relaxed);
    }
}

/* One record for all attempts that were turned away while the log could not be written. */
static enum err gap_add(struct audit_log *l)
{
    for (unsigned i = 0; i < atomic_load_explicit(&l->n_queues, memory_order_acquire); i++) {
        struct audit_queue *q = atomic_load_explicit(&l->queues[i], memory_order_acquire);
        for (unsigned r = 0; q != NULL && r < REASON_COUNT_; r++)
            l->gap_counts[r] += atomic_exchange_explicit(&q->refused[r], 0, memory_order_relaxed);
    }
    int64_t now = clock_wall_ms();
    struct audit_record r = { .kind = AUDIT_GAP,
                              .at = now,
                              .reason = REASON_EVIDENCE_UNAVAILABLE,
                              .has_reason = true,
                              .from = l->gap_from,
                              .to = now,
                              .counts = l->gap_counts };
    static const struct batch_item facts = { .kind = AUDIT_GAP };
    char line[AUDIT_RECORD_MAX];
    return batch_line(l, slice_make(line, render_record(&r, line)), &facts);
}

static void batch_stamp(struct audit_log *l)
{
    struct batch *b = l->batch;
    uint64_t index = l->next;
    for (size_t i = b->kept; i < b->n; i++) {
        if (b->items[i].n > 0)
            logline_stamp(b->bytes.p + b->items[i].at, b->items[i].n - 1, index++);
    }
}

/* Results into the slots, then the positions: the owners may free the slots from here on. */
static void batch_publish(struct audit_log *l)
{
    struct batch *b = l->batch;
    uint64_t index = l->next;
    for (size_t i = b->kept; i < b->n; i++) {
        struct batch_item *it = &b->items[i];
        bool written = it->n > 0;
        if (it->slot != NULL) {
            it->slot->index = written ? index : 0;
            it->slot->err = it->err;
        }
        index += written;
    }
    l->next = index;
    l->act = b->act;
    atomic_store(&l->last_act, l->act);
    atomic_store(&l->size, l->next);
    for (unsigned i = 0; i < atomic_load_explicit(&l->n_queues, memory_order_acquire); i++) {
        struct audit_queue *q = atomic_load_explicit(&l->queues[i], memory_order_acquire);
        if (q != NULL && q->taken != atomic_load_explicit(&q->done, memory_order_relaxed))
            queue_publish(q);
    }
}

/* What the writer itself keeps account of: the open intents, and attempts that could not be recorded. */
static void batch_count(struct audit_log *l)
{
    struct batch *b = l->batch;
    for (size_t i = b->kept; i < b->n; i++) {
        const struct batch_item *it = &b->items[i];
        if (it->n == 0) {
            if (it->err == ERR_DOWN && (it->kind == AUDIT_REFUSED || it->kind == AUDIT_INTENT))
                l->gap_counts[it->reason]++;
            continue;
        }
        openset_apply(&l->open, (enum audit_kind)it->kind, it->exchange, it->part, it->number);
        if (it->kind == AUDIT_GAP) {
            memset(l->gap_counts, 0, sizeof l->gap_counts);
            l->gap_from = 0;
        }
    }
    if (b->lines > 0) {
        atomic_fetch_add_explicit(&l->commits, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&l->bytes, b->bytes.n - b->kept_bytes, memory_order_relaxed);
    }
    b->kept = b->n;
    b->kept_bytes = b->bytes.n;
    b->lines = 0;
}

enum err commit_batch(struct audit_log *l)
{
    struct batch *b = l->batch;
    enum err e = openset_reserve(&l->open, b->lines);
    if (e == ERR_OK && b->lines > 0) {
        batch_stamp(l);
        e = segment_write(l, slice_sub(buf_slice(&b->bytes), b->kept_bytes, b->bytes.n));
    }
    if (e != ERR_OK)
        return e;
    batch_publish(l);
    batch_count(l);
    after_commit(l);
    return ERR_OK;
}

enum err commit_round(struct audit_log *l, enum gather mode)
{
    enum err e = ERR_OK;
    if (mode == GATHER_NONE)
        batch_clear(l);
    else
        e = batch_begin(l);
    if (e == ERR_OK && l->gap_due)
        e = gap_add(l);
    if (e == ERR_OK)
        e = gather_all(l, mode);
    if (e == ERR_OK)
        e = commit_batch(l);
    if (e != ERR_OK) {
        gather_undo(l);
        batch_clear(l); /* the batch may be given away before another round begins */
    }
    return e;
}
