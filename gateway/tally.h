#pragma once
/* How many of something each name has in one worker: connections of an identity, running exchanges of a department.
 * Fixed memory, whatever names come; those that share a slot share its count, and so its limit. Belongs to one worker,
 * whose share of each limit it holds; but for what runs, which all workers count together. */
#include "base/core/core.h"

#include <stdatomic.h>

enum { TALLY_SLOTS = 8192 };
struct tally {
    uint64_t seed;
    uint32_t most; /* of one name */
    uint32_t n[TALLY_SLOTS];
};
/* `most` over all workers; `share` of them. */
void tally_init(struct tally *t, uint64_t seed, uint64_t most, unsigned share);
void tally_least(struct tally *t, uint64_t most); /* it is no less than this, however many share */
/* One more of this name: *slot for tally_leave. False: it has as many as it may, and nothing was counted. */
bool tally_enter(struct tally *t, struct slice name, uint32_t *slot);
void tally_leave(struct tally *t, uint32_t slot);
/* For who keeps slots: the same in all tallies of one seed. */
uint32_t tally_slot(const struct tally *t, struct slice name);
static inline bool tally_room(const struct tally *t, uint32_t slot, size_t n)
{
    return t->n[slot] + n <= t->most;
}
static inline void tally_add(struct tally *t, uint32_t slot, size_t n)
{
    t->n[slot] += (uint32_t)n;
}
static inline void tally_sub(struct tally *t, uint32_t slot, size_t n)
{
    t->n[slot] -= (uint32_t)n;
}

/* What runs, or is open, in all and of each name, over all workers: no share of a limit, for one connection may bring
 * all of it, and is in one worker. Any thread. */
struct running {
    uint64_t seed; /* of tallies in which a name has the same slot */
    uint32_t most, most_each;
    _Atomic uint32_t all, n[TALLY_SLOTS];
};
void running_init(struct running *r, uint64_t seed, uint64_t most, uint64_t most_each);
/* One more. False: there are as many as may be, and nothing was counted. */
bool running_enter(struct running *r);
bool running_enter_each(struct running *r, uint32_t slot);
void running_leave(struct running *r);
void running_leave_each(struct running *r, uint32_t slot);
