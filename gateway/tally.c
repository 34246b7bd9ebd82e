/* Counts by name in a table of fixed size. */
#include "gateway/tally.h"

void tally_init(struct tally *t, uint64_t seed, uint64_t most, unsigned share)
{
    memset(t, 0, sizeof *t);
    t->seed = seed;
    t->most = (uint32_t)(most / share + 1);
}

bool tally_enter(struct tally *t, struct slice name, uint32_t *slot)
{
    *slot = (uint32_t)(slice_hash(name, t->seed) % TALLY_SLOTS);
    if (t->n[*slot] >= t->most)
        return false;
    t->n[*slot]++;
    return true;
}

void tally_leave(struct tally *t, uint32_t slot)
{
    t->n[slot]--;
}
