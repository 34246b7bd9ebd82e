/* Token buckets over fixed tables. A bucket holds two seconds' worth at most, so that a burst after silence stays
 * small. */
#include "gateway/flood.h"
#include "base/net/net.h"

#include <stdio.h>

void flood_init(struct flood *f, uint64_t source, uint64_t all, uint64_t identity, unsigned share)
{
    memset(f, 0, sizeof *f);
    f->source_rate = (float)source / (float)share;
    f->all_rate = (float)all / (float)share;
    f->identity_rate = (float)identity / (float)share;
    if (random_bytes(&f->seed, sizeof f->seed) != ERR_OK)
        f->seed = 1;
    f->own.seed = f->seed;
    f->each = &f->own;
}

void flood_share(struct flood *f, struct flood_each *each, uint64_t identity)
{
    f->each = each;
    f->identity_rate = (float)identity;
}

static bool take(struct flood_bucket *b, float rate, int64_t now)
{
    float most = rate * 2 < 1 ? 1 : rate * 2;

    if (b->at == 0)
        b->tokens = most;
    else
        b->tokens += rate * (float)(now - b->at) / 1000;
    b->at = now;
    if (b->tokens > most)
        b->tokens = most;
    if (b->tokens < 1)
        return false;
    b->tokens -= 1;
    return true;
}

/* The same for a bucket that several threads have: one number says when the next is due. */
static bool take_each(_Atomic int64_t *at, double rate, int64_t now)
{
    double most = rate * 2 < 1 ? 1 : rate * 2;
    int64_t due = atomic_load_explicit(at, memory_order_relaxed), from, now_us = now * 1000;

    if (rate <= 0)
        return false;
    do {
        from = due > now_us ? due : now_us;
        if (from - now_us > (int64_t)((most - 1) * 1e6 / rate))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(at, &due, from + (int64_t)(1e6 / rate), memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

static size_t slot_of(const struct flood *f, struct slice identity)
{
    return slice_hash(identity, f->each->seed) % FLOOD_SLOTS;
}

void flood_day(struct flood *f, uint64_t bytes, unsigned share)
{
    enum { DAY_MS = 86400000, BURST = 2, FIRST = 16 };
    double records = (double)bytes / FLOOD_RECORD_BYTES / share;

    f->day_most = records / BURST < 1 ? 1 : records / BURST;
    f->day_left = records / FIRST < 1 ? 1 : records / FIRST;
    f->day_rate = (records - records / BURST) / DAY_MS;
}

static bool take_day(struct flood *f, int64_t now)
{
    if (f->day_most == 0)
        return true;
    if (f->day_at != 0)
        f->day_left += f->day_rate * (double)(now - f->day_at);
    f->day_at = now;
    if (f->day_left > f->day_most)
        f->day_left = f->day_most;
    if (f->day_left < 1)
        return false;
    f->day_left -= 1;
    return true;
}

/* Strangers' keys are their addresses. */
static struct flood_bucket *bucket_of(struct flood *f, struct slice key)
{
    char address[ADDRESS_TEXT], source[ADDRESS_TEXT];

    snprintf(address, sizeof address, "%.*s", SLICE_ARG(key));
    address_source(address, source);
    return &f->source[slice_hash(slice_of(source), f->seed) % FLOOD_SLOTS];
}

static bool may(struct flood *f, struct slice key, bool stranger, int64_t now)
{
    if (!stranger)
        return take_each(&f->each->identity[slot_of(f, key)], f->identity_rate, now);
    return take(bucket_of(f, key), f->source_rate, now) && take(&f->all, f->all_rate, now) && take_day(f, now);
}

void flood_reads(struct flood *f, uint64_t rate)
{
    f->read_rate = (float)rate;
}

bool flood_may_read(struct flood *f, struct slice identity, int64_t mono_ms)
{
    return take_each(&f->each->read[slot_of(f, identity)], f->read_rate, mono_ms);
}

void flood_count(struct flood *f, enum reason r, int64_t wall_ms)
{
    if (f->total++ == 0)
        f->from = wall_ms;
    f->counts[r]++;
}

bool flood_admit(struct flood *f, struct slice key, bool stranger, enum reason r, int64_t mono_ms, int64_t wall_ms)
{
    if (may(f, key, stranger, mono_ms))
        return true;
    flood_count(f, r, wall_ms);
    return false;
}

static void sent(struct flood *f, int64_t wall_ms)
{
    memcpy(f->sent, f->counts, sizeof f->sent);
    f->sent_total = f->total;
    f->sent_to = wall_ms;
    f->out = true;
}

bool flood_put(struct flood *f, struct audit_queue *q, int64_t wall_ms, void *waiter)
{
    struct audit_record r = { .kind = AUDIT_COUNT, .at = wall_ms, .from = f->from, .to = wall_ms, .counts = f->counts };
    enum err e;

    if (f->out || f->total == 0)
        return false;
    e = audit_put(q, &r, 0, waiter);
    f->refused = e != ERR_OK && e != ERR_AGAIN;
    if (e == ERR_OK)
        sent(f, wall_ms);
    return e == ERR_OK;
}

void flood_written(struct flood *f, bool durable)
{
    for (unsigned i = 0; durable && i < REASON_COUNT_; i++)
        f->counts[i] -= f->sent[i];
    if (durable) {
        f->total -= f->sent_total;
        f->from = f->sent_to; /* what came meanwhile came after it */
    }
    f->sent_total = 0;
    memset(f->sent, 0, sizeof f->sent);
    f->out = false;
    f->refused = !durable;
}

bool flood_settled(const struct flood *f)
{
    return !f->out && (f->total == 0 || f->refused);
}
