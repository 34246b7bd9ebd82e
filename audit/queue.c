/* The owner's side of a queue, and the one function by which the writer publishes. See queue.h for the order of
 * positions. The eventfd protocol cannot lose a wake: the writer stores `done` before it reads `seen`; the owner stores
 * `seen` before it reads `done`; both sequentially consistent. */
#include "audit/log.h"
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { RING_MIN = 1 << 16, SLOT_MAX = SLOT_ALIGN + AUDIT_RECORD_MAX, GATHER_BYTES = 64 << 10, GATHER_NS = 1000000 };

enum err audit_queue_new(struct audit_log *l, size_t bytes, audit_done *done, struct audit_queue **ret)
{
    size_t capacity = RING_MIN;
    while (capacity < bytes && capacity < (size_t)1 << 40)
        capacity *= 2;
    char *room = mem_zalloc(sizeof(struct audit_queue) + SLOT_ALIGN);
    struct audit_queue *q =
        (struct audit_queue *)(void *)(((uintptr_t)room + SLOT_ALIGN - 1) & ~(uintptr_t)(SLOT_ALIGN - 1));
    if (room == NULL)
        return ERR_NOMEM;
    q->log = l;
    q->done_fn = done;
    q->capacity = capacity;
    q->own = room;
    q->base = mem_alloc(capacity + SLOT_ALIGN);
    q->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    enum err e = q->base == NULL ? ERR_NOMEM : q->fd < 0 ? ERR_SYS : ERR_OK;
    if (e == ERR_OK) {
        q->mem = (char *)(((uintptr_t)q->base + SLOT_ALIGN - 1) & ~(uintptr_t)(SLOT_ALIGN - 1));
        e = log_queue_add(l, q);
    }
    if (e == ERR_OK) {
        *ret = q;
        return ERR_OK;
    }
    if (q->fd >= 0)
        close(q->fd);
    mem_free(q->base);
    mem_free(room);
    return e;
}

struct audit_queue *audit_queue_free(struct audit_queue *q)
{
    if (q == NULL)
        return NULL;
    log_queue_remove(q->log, q);
    close(q->fd);
    mem_free(q->base);
    mem_free(q->own);
    return NULL;
}

int audit_queue_fd(const struct audit_queue *q)
{
    return q->fd;
}

/* Free finished entries at the front that nobody waits for. */
static void ring_reclaim(struct audit_queue *q)
{
    uint64_t done = atomic_load_explicit(&q->done, memory_order_acquire);
    while (q->freed < done) {
        const struct slot *s = queue_slot(q, q->freed);
        if (s->waiter != NULL)
            return;
        q->freed += s->size;
    }
}

/* Room for the largest record in one piece; NULL when the ring is full. A filler may be put before it. */
static struct slot *ring_reserve(struct audit_queue *q)
{
    uint64_t left = q->capacity - (q->put & (q->capacity - 1)), fill = left < SLOT_MAX ? left : 0;
    if (q->capacity - (q->put - q->freed) < fill + SLOT_MAX)
        ring_reclaim(q);
    if (q->capacity - (q->put - q->freed) < fill + SLOT_MAX) {
        q->urgent = q->urgent || q->lazy; /* now somebody waits: for the room that these take */
        return NULL;
    }
    if (fill > 0) {
        *queue_slot(q, q->put) = (struct slot){ .size = (uint32_t)fill };
        q->put += fill;
    }
    return queue_slot(q, q->put);
}

static void ring_commit(struct audit_queue *q, struct slot *s, unsigned flags)
{
    s->size = (uint32_t)((SLOT_ALIGN + s->n + SLOT_ALIGN - 1) & ~(uint32_t)(SLOT_ALIGN - 1));
    s->flags = (uint16_t)((flags & SLOT_KEEP_FLAGS) | (s->waiter != NULL ? SLOT_WAITED : 0));
    q->put += s->size;
    atomic_store_explicit(&q->tail, q->put, memory_order_release);
    if (flags & AUDIT_LAZY)
        q->lazy = true;
    else
        q->urgent = true;
}

/* An owner that had nothing to do since the disk hung has not looked again. */
static bool queue_closed(struct audit_queue *q)
{
    if (q->hung)
        audit_look(q);
    return q->hung || !atomic_load_explicit(&q->log->available, memory_order_relaxed);
}

enum err audit_put(struct audit_queue *q, const struct audit_record *r, unsigned flags, void *waiter)
{
    uint16_t reason;
    bool attempt = slot_attempt(r->kind, r->has_reason, r->reason, &reason);
    if (!(flags & AUDIT_ESSENTIAL) && queue_closed(q)) {
        if (attempt)
            atomic_fetch_add_explicit(&q->refused[reason], 1, memory_order_relaxed);
        return ERR_DOWN;
    }
    struct slot *s = ring_reserve(q);
    if (s == NULL)
        return ERR_AGAIN;
    *s = (struct slot){ .kind = (uint8_t)r->kind,
                        .reason = reason,
                        .part = r->part,
                        .exchange = r->exchange,
                        .number = r->kind == AUDIT_ACT ? r->act : r->bytes_out,
                        .waiter = waiter };
    s->n = (uint32_t)render_record(r, slot_line(s));
    ring_commit(q, s, flags);
    return ERR_OK;
}

enum err audit_put_line(struct audit_queue *q, struct slice line, uint64_t act, unsigned flags, void *waiter)
{
    enum audit_kind kind;
    if (line.n < 2 || line.n > AUDIT_RECORD_MAX || line.p[line.n - 1] != '\n' || !logline_is_blank(line) ||
        !logline_kind(line, &kind) || kind != AUDIT_ACT)
        return ERR_INVALID;
    struct slot *s = ring_reserve(q);
    if (s == NULL)
        return ERR_AGAIN;
    *s = (struct slot){ .kind = AUDIT_ACT, .reason = REASON_EVIDENCE_UNAVAILABLE, .number = act, .waiter = waiter };
    s->n = (uint32_t)line.n;
    memcpy(slot_line(s), line.p, line.n);
    ring_commit(q, s, flags | AUDIT_ESSENTIAL); /* its state is committed already; later acts must follow it */
    return ERR_OK;
}

static void queue_want(struct audit_queue *q)
{
    q->urgent = q->lazy = false;
    if (atomic_load_explicit(&q->done, memory_order_acquire) >= q->put)
        return; /* it rode along already */
    atomic_store(&q->wanted, q->put);
    log_wake(q->log);
}

bool audit_gathers(struct audit_queue *q, int64_t began_ns, int64_t now_ns)
{
    int64_t since = q->gather_ns != 0 ? q->gather_ns : began_ns;
    uint64_t told = atomic_load_explicit(&q->wanted, memory_order_relaxed);
    bool more = q->urgent && q->put != q->gathered && q->put - told < GATHER_BYTES && now_ns - since < GATHER_NS;
    q->gathered = q->put;
    q->gather_ns = more ? since : 0;
    return more;
}

void audit_kick(struct audit_queue *q)
{
    if (q->urgent)
        queue_want(q);
}

void audit_nudge(struct audit_queue *q)
{
    if (q->urgent || q->lazy)
        queue_want(q);
}

void audit_look(struct audit_queue *q)
{
    q->hung = log_hung_ms(q->log) > 0;
}

unsigned audit_poll(struct audit_queue *q)
{
    uint64_t count;
    if (read(q->fd, &count, sizeof count) == sizeof count)
        atomic_store(&q->seen, atomic_load_explicit(&q->seen, memory_order_relaxed) + count);
    uint64_t done = atomic_load(&q->done);
    unsigned n = 0;
    while (q->freed < done) {
        const struct slot *s = queue_slot(q, q->freed);
        void *waiter = s->waiter;
        enum err e = (enum err)s->err;
        uint64_t index = s->index;
        q->freed += s->size; /* before the call: it may put again */
        if (waiter != NULL) {
            q->done_fn(waiter, e, index);
            n++;
        }
    }
    return n;
}

void audit_forget(struct audit_queue *q, void *waiter)
{
    for (uint64_t at = q->freed; at < q->put;) {
        struct slot *s = queue_slot(q, at);
        if (s->waiter == waiter)
            s->waiter = NULL;
        at += s->size;
    }
}

void queue_publish(struct audit_queue *q)
{
    atomic_store(&q->done, q->taken);
    bool wake = q->wake && atomic_load(&q->seen) == q->sent;
    q->wake = false; /* a wake that was not seen yet will find these results too */
    if (!wake)
        return;
    uint64_t one = 1;
    q->sent++;
    (void)!write(q->fd, &one, sizeof one);
}
