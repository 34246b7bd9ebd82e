/* What all workers share about one provider: places in flight, the rate, and whether it can be reached at all. Atomics
 * only; no lock, no order between workers but that of each counter. Invariants: never more than limits.in_flight at
 * once over all workers; never faster than limits.rate but for a quarter of a second's burst; after CIRCUIT_FAILURES
 * connects in a row that failed, one worker a CIRCUIT_OPEN_MS tries again. */
#include "connectors/internal.h"

static bool take_place(struct connector_target *t)
{
    if (atomic_fetch_add_explicit(&t->running, 1, memory_order_relaxed) < t->in_flight)
        return true;
    health_leave(t);
    return false;
}

void health_leave(struct connector_target *t)
{
    atomic_fetch_sub_explicit(&t->running, 1, memory_order_relaxed);
}

/* The generic cell rate algorithm: one number says when the next request is due. */
static bool take_rate(struct connector_target *t, int64_t now_us)
{
    int64_t due = atomic_load_explicit(&t->next_us, memory_order_relaxed), base;

    do {
        base = due > now_us ? due : now_us;
        if (base - now_us > t->burst_us)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&t->next_us, &due, base + t->rate_us, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

bool health_admit(struct connector_target *t, int64_t now)
{
    if (!take_place(t))
        return false;
    if (t->rate_us == 0 || take_rate(t, now * 1000))
        return true;
    health_leave(t);
    return false;
}

/* Half-open: who moves open_until on is the one that tries. */
bool health_may_connect(struct connector_target *t, int64_t now)
{
    int64_t until;

    if (atomic_load_explicit(&t->failures, memory_order_relaxed) < CIRCUIT_FAILURES)
        return true;
    until = atomic_load_explicit(&t->open_until, memory_order_relaxed);
    return now >= until && atomic_compare_exchange_strong_explicit(&t->open_until, &until, now + CIRCUIT_OPEN_MS,
                                                                   memory_order_relaxed, memory_order_relaxed);
}

void health_connected(struct connector_target *t)
{
    if (atomic_load_explicit(&t->failures, memory_order_relaxed) != 0)
        atomic_store_explicit(&t->failures, 0, memory_order_relaxed);
}

void health_unreachable(struct connector_target *t, int64_t now)
{
    uint32_t n = atomic_load_explicit(&t->failures, memory_order_relaxed);

    if (n + 1 >= CIRCUIT_FAILURES) /* before the count, so that nobody sees the one without the other */
        atomic_store_explicit(&t->open_until, now + CIRCUIT_OPEN_MS, memory_order_relaxed);
    if (n < CIRCUIT_FAILURES)
        atomic_fetch_add_explicit(&t->failures, 1, memory_order_relaxed);
}
