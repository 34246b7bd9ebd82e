/* Token buckets over fixed tables. A bucket holds two seconds' worth at most, so that a burst after silence stays
 * small. */
#include "gateway/flood.h"

void flood_init(struct flood *f, uint64_t source, uint64_t all, uint64_t identity, unsigned share)
{
    memset(f, 0, sizeof *f);
    f->source_rate = (float)source / (float)share;
    f->all_rate = (float)all / (float)share;
    f->identity_rate = (float)identity / (float)share;
    if (random_bytes(&f->seed, sizeof f->seed) != ERR_OK)
        f->seed = 1;
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

static bool may(struct flood *f, struct slice key, bool stranger, int64_t now)
{
    size_t slot = slice_hash(key, f->seed) % FLOOD_SLOTS;

    if (!stranger)
        return take(&f->identity[slot], f->identity_rate, now);
    return take(&f->source[slot], f->source_rate, now) && take(&f->all, f->all_rate, now) && take_day(f, now);
}

void flood_reads(struct flood *f, uint64_t rate, unsigned share)
{
    f->read_rate = (float)rate / (float)share;
}

bool flood_may_read(struct flood *f, struct slice identity, int64_t mono_ms)
{
    return take(&f->read[slice_hash(identity, f->seed) % FLOOD_SLOTS], f->read_rate, mono_ms);
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
