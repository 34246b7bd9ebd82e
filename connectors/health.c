/* What all workers share about one provider: places in flight and the rate. Atomics only; no lock. A place that is
 * given back while calls wait is handed to the worker where one has waited longest, so that none has to be lucky.
 * Invariants: never more than limits.in_flight at once over all workers, places handed over included; never faster than
 * limits.rate but for a quarter of a second's burst. */
#include "connectors/health.h"

static void place_free(struct connector_target *t)
{
    atomic_fetch_sub_explicit(&t->running, 1, memory_order_relaxed);
}

static bool take_free(struct connector_target *t)
{
    if (atomic_fetch_add_explicit(&t->running, 1, memory_order_relaxed) < t->in_flight)
        return true;
    place_free(t);
    return false;
}

static bool take_handed(struct connector_target *t, unsigned worker)
{
    uint32_t n = atomic_load(&t->side[worker].handed);

    while (n > 0)
        if (atomic_compare_exchange_weak(&t->side[worker].handed, &n, n - 1))
            return true;
    return false;
}

/* ---- who waits ---- */
static bool waits(const struct connector_target *t, unsigned worker)
{
    return atomic_load(&t->waiting[worker / 64]) >> (worker % 64) & 1;
}

unsigned health_waiting(const struct connector_target *t)
{
    unsigned n = 0;

    for (unsigned i = 0; i < (t->workers + 63) / 64; i++)
        n += (unsigned)__builtin_popcountll(atomic_load_explicit(&t->waiting[i], memory_order_relaxed));
    return n;
}

/* The one in which a call has waited longest; `workers`: none. */
static unsigned next_waiting(struct connector_target *t)
{
    unsigned next = t->workers;
    int64_t oldest = INT64_MAX;

    for (unsigned i = 0; i < t->workers; i++) {
        int64_t since = waits(t, i) ? atomic_load_explicit(&t->side[i].since, memory_order_relaxed) : INT64_MAX;
        if (since < oldest) {
            oldest = since;
            next = i;
        }
    }
    return next;
}

/* Either the giver sees that the worker has stopped waiting, and takes the place back, or the worker sees the place:
 * each writes its own word before it reads the other's. */
void health_leave(struct connector_target *t)
{
    unsigned next;

    while ((next = next_waiting(t)) < t->workers) {
        atomic_fetch_add(&t->side[next].handed, 1);
        if (waits(t, next) || !take_handed(t, next))
            return;
    }
    place_free(t);
}

void health_wait(struct connector_target *t, unsigned worker, int64_t since)
{
    uint64_t bit = (uint64_t)1 << (worker % 64);

    if (since > 0) {
        atomic_store_explicit(&t->side[worker].since, since, memory_order_relaxed);
        atomic_fetch_or(&t->waiting[worker / 64], bit);
        return;
    }
    atomic_fetch_and(&t->waiting[worker / 64], ~bit);
    while (take_handed(t, worker))
        health_leave(t);
}

/* ---- how long it takes ---- */
void health_served(struct connector_target *t, int64_t us)
{
    int64_t was = atomic_load_explicit(&t->service_us, memory_order_relaxed);

    /* One answer in eight of another worker may be lost: it is a mean. */
    atomic_store_explicit(&t->service_us, was == 0 ? us + 1 : was + (us - was) / 8, memory_order_relaxed);
}

int64_t health_service_us(const struct connector_target *t)
{
    return atomic_load_explicit(&t->service_us, memory_order_relaxed);
}

/* ---- admission ---- */

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

void health_unsent(struct connector_target *t)
{
    if (t->rate_us > 0)
        atomic_fetch_sub_explicit(&t->next_us, t->rate_us, memory_order_relaxed);
    health_leave(t);
}

enum health health_admit(struct connector_target *t, unsigned worker, unsigned slot, int64_t now)
{
    if (!take_handed(t, worker) && !take_free(t))
        return HEALTH_FULL;
    if (!share_may(t, slot, now)) {
        place_free(t);
        return HEALTH_KEPT;
    }
    if (t->rate_us == 0 || take_rate(t, now * 1000))
        return HEALTH_OK;
    place_free(t);
    return HEALTH_FULL;
}
