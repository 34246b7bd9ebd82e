/* Whose the places of one provider are, over all workers. A party (a consumer's department) that has asked in the last
 * few seconds is kept as many places free as it used at once, up to an even share, so that one that floods the provider
 * finds the rest only, and another's request does not wait for a flood's answers to end. What a party does not use for
 * some seconds is anybody's.
 * Parties are told apart by a hash: two in one slot share what is kept for them. Atomics only; between workers the
 * numbers may be a moment old, so what is kept is kept nearly always, while limits.in_flight (health.c) holds exactly.
 */
#include "connectors/health.h"

enum { WINDOW_MS = 2000, PEAK_MAX = 0xFFFF };

/* A slot's demand in one word: the window it was last seen in, the most at once in that one and in the one before. */
struct demand {
    uint32_t window, now, before;
};

static struct demand unpack(uint64_t word)
{
    return (struct demand){ (uint32_t)(word >> 32), (uint32_t)word & PEAK_MAX, (uint32_t)(word >> 16) & PEAK_MAX };
}

static uint64_t pack(struct demand d)
{
    return (uint64_t)d.window << 32 | d.before << 16 | d.now;
}

static struct demand at_window(struct demand d, uint32_t window)
{
    if (d.window == window)
        return d;
    return (struct demand){ window, 0, d.window + 1 == window ? d.now : 0 };
}

static uint32_t window_of(int64_t now)
{
    return (uint32_t)(now / WINDOW_MS) + 1; /* a slot of zeros was never seen */
}

unsigned share_slot(uint64_t party_hash)
{
    return (unsigned)(party_hash % TARGET_PARTIES);
}

void share_want(struct connector_target *t, unsigned slot, int64_t now, uint64_t n)
{
    uint64_t word = atomic_load_explicit(&t->share[slot].demand, memory_order_relaxed);
    struct demand d;

    n = n < PEAK_MAX ? n : PEAK_MAX;
    do {
        d = at_window(unpack(word), window_of(now));
        if (d.now >= n && d.window == unpack(word).window)
            return;
        d.now = d.now > n ? d.now : (uint32_t)n;
    } while (!atomic_compare_exchange_weak_explicit(&t->share[slot].demand, &word, pack(d), memory_order_relaxed,
                                                    memory_order_relaxed));
}

static uint64_t wanted(const struct connector_target *t, unsigned slot, int64_t now)
{
    struct demand d =
        at_window(unpack(atomic_load_explicit(&t->share[slot].demand, memory_order_relaxed)), window_of(now));

    return d.now > d.before ? d.now : d.before;
}

/* Places kept for the parties other than `slot`: all of them, or those that are free. */
static uint64_t kept(const struct connector_target *t, unsigned slot, int64_t now, bool free_only)
{
    uint64_t want[TARGET_PARTIES], active = 1, even, sum = 0;

    for (unsigned i = 0; i < TARGET_PARTIES; i++) {
        want[i] = i == slot ? 0 : wanted(t, i, now);
        active += want[i] > 0;
    }
    even = t->in_flight / active;
    for (unsigned i = 0; i < TARGET_PARTIES; i++) {
        uint64_t mine = want[i] < even ? want[i] : even;
        uint64_t used = free_only ? atomic_load_explicit(&t->share[i].running, memory_order_relaxed) : 0;
        sum += mine > used ? mine - used : 0;
    }
    return sum;
}

bool share_may(const struct connector_target *t, unsigned slot, int64_t now)
{
    uint64_t running = atomic_load_explicit(&t->running, memory_order_relaxed);

    /* Most providers are idle most of the time. */
    return running <= t->in_flight / 2 || running + kept(t, slot, now, true) <= t->in_flight;
}

uint64_t share_of(const struct connector_target *t, unsigned slot, int64_t now)
{
    uint64_t others = kept(t, slot, now, false);

    return others < t->in_flight ? t->in_flight - others : 1;
}

uint64_t share_waiting(const struct connector_target *t, unsigned slot)
{
    return atomic_load_explicit(&t->share[slot].waiting, memory_order_relaxed);
}

uint64_t share_present(const struct connector_target *t, unsigned slot)
{
    return share_waiting(t, slot) + atomic_load_explicit(&t->share[slot].running, memory_order_relaxed);
}

void share_wait(struct connector_target *t, unsigned slot, bool waits)
{
    atomic_fetch_add_explicit(&t->share[slot].waiting, waits ? 1 : UINT64_MAX, memory_order_relaxed);
}

void share_enter(struct connector_target *t, unsigned slot)
{
    atomic_fetch_add_explicit(&t->share[slot].running, 1, memory_order_relaxed);
}

void share_leave(struct connector_target *t, unsigned slot)
{
    atomic_fetch_sub_explicit(&t->share[slot].running, 1, memory_order_relaxed);
}
