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
