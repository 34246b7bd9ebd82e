/* Counts by name in a table of fixed size. */
#include "gateway/tally.h"

void tally_init(struct tally *t, uint64_t seed, uint64_t most, unsigned share)
{
    memset(t, 0, sizeof *t);
    t->seed = seed;
    t->most = (uint32_t)(most / share + 1);
}

void tally_least(struct tally *t, uint64_t most)
{
    if (t->most < most)
        t->most = (uint32_t)most;
}

uint32_t tally_slot(const struct tally *t, struct slice name)
{
    return (uint32_t)(slice_hash(name, t->seed) % TALLY_SLOTS);
}

bool tally_enter(struct tally *t, struct slice name, uint32_t *slot)
{
    *slot = tally_slot(t, name);
    if (t->n[*slot] >= t->most)
        return false;
    t->n[*slot]++;
    return true;
}

void tally_leave(struct tally *t, uint32_t slot)
{
    t->n[slot]--;
}

/* ---- over all workers ---- */
void running_init(struct running *r, uint64_t seed, uint64_t most, uint64_t most_each)
{
    memset(r, 0, sizeof *r);
    r->seed = seed;
    r->most = (uint32_t)most;
    r->most_each = (uint32_t)most_each;
}

static bool enter(_Atomic uint32_t *n, uint32_t most)
{
    uint32_t now = atomic_load_explicit(n, memory_order_relaxed);

    do {
        if (now >= most)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(n, &now, now + 1, memory_order_relaxed, memory_order_relaxed));
    return true;
}

bool running_enter(struct running *r)
{
    return enter(&r->all, r->most);
}

bool running_enter_each(struct running *r, uint32_t slot)
{
    return enter(&r->n[slot], r->most_each);
}

void running_leave(struct running *r)
{
    atomic_fetch_sub_explicit(&r->all, 1, memory_order_relaxed);
}

void running_leave_each(struct running *r, uint32_t slot)
{
    atomic_fetch_sub_explicit(&r->n[slot], 1, memory_order_relaxed);
}
