/* When a provider is left alone for a while. Two things tell that it is of no use to ask: no connection comes about,
 * which is so for all who ask; or it takes a request and does not begin to answer, which may be so for what one party
 * asks alone, and counts for that party alone. After CIRCUIT_FAILURES of them in a row the circuit is open: one in
 * CIRCUIT_OPEN_MS tries, until one succeeds. Atomics only; any thread. */
#include "connectors/health.h"

enum { ANSWERED_MS = 100 }; /* to within this: not a store for every answer */

static bool is_open(const struct circuit *c)
{
    return atomic_load_explicit(&c->failures, memory_order_relaxed) >= CIRCUIT_FAILURES;
}

enum connector_outage connector_outage(const struct connector_target *t)
{
    if (!atomic_load_explicit(&t->opened, memory_order_relaxed))
        return OUTAGE_NONE;
    if (is_open(&t->reach))
        return OUTAGE_UNREACHABLE;
    for (size_t i = 0; i < TARGET_PARTIES; i++)
        if (is_open(&t->share[i].answers))
            return OUTAGE_SILENT;
    return OUTAGE_NONE;
}

/* Half-open: who moves open_until on is the one that tries. */
static bool may_try(struct circuit *c, int64_t now)
{
    int64_t until;

    if (!is_open(c))
        return true;
    until = atomic_load_explicit(&c->open_until, memory_order_relaxed);
    return now >= until && atomic_compare_exchange_strong_explicit(&c->open_until, &until, now + CIRCUIT_OPEN_MS,
                                                                   memory_order_relaxed, memory_order_relaxed);
}

static void succeeded(struct circuit *c)
{
    if (atomic_load_explicit(&c->failures, memory_order_relaxed) != 0)
        atomic_store_explicit(&c->failures, 0, memory_order_relaxed);
}

/* What ends late, begun before it opened, does not put the next trial off. */
static void failed(struct connector_target *t, struct circuit *c, int64_t now)
{
    uint32_t n = atomic_load_explicit(&c->failures, memory_order_relaxed);

    do {
        if (n >= CIRCUIT_FAILURES)
            return;
        if (n + 1 == CIRCUIT_FAILURES) { /* before the count, so that nobody sees the one without the other */
            atomic_store_explicit(&c->open_until, now + CIRCUIT_OPEN_MS, memory_order_relaxed);
            atomic_store_explicit(&t->opened, true, memory_order_relaxed);
        }
    } while (
        !atomic_compare_exchange_weak_explicit(&c->failures, &n, n + 1, memory_order_relaxed, memory_order_relaxed));
}

bool health_may_connect(struct connector_target *t, int64_t now)
{
    return may_try(&t->reach, now);
}

void health_connected(struct connector_target *t)
{
    succeeded(&t->reach);
}

void health_unreachable(struct connector_target *t, int64_t now)
{
    failed(t, &t->reach, now);
}

void health_untried(struct connector_target *t, int64_t began, int64_t now)
{
    int64_t until = began + CIRCUIT_OPEN_MS; /* as its own trial set it; another's since then stands */

    atomic_compare_exchange_strong_explicit(&t->reach.open_until, &until, now, memory_order_relaxed,
                                            memory_order_relaxed);
}

bool health_may_ask(struct connector_target *t, unsigned slot, int64_t now)
{
    return may_try(&t->share[slot].answers, now);
}

void health_answered(struct connector_target *t, unsigned slot, int64_t now)
{
    _Atomic int64_t *at = &t->share[slot].answered;

    succeeded(&t->share[slot].answers);
    if (now - atomic_load_explicit(at, memory_order_relaxed) >= ANSWERED_MS)
        atomic_store_explicit(at, now, memory_order_relaxed);
}

void health_silent(struct connector_target *t, unsigned slot, int64_t began, int64_t now)
{
    if (atomic_load_explicit(&t->share[slot].answered, memory_order_relaxed) < began)
        failed(t, &t->share[slot].answers, now);
}
