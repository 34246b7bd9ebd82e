/* Calls that wait for a place or the rate of their target, in one worker: a ring of parties (the consumers'
 * departments), each with its calls, the oldest first. The parties take turns, so that one with a thousand calls
 * waiting makes another wait for one of them, not for all. Invariants: a party is in the ring exactly while it has
 * calls; the worker's bit of health.c is set exactly while the ring is not empty; what cannot be served in time is
 * refused at once, never queued. */
#include "connectors/health.h"

enum { SHORT_US = 50 * 1000 };

static struct party *party_find(const struct queue *q, struct slice name)
{
    struct party *p;

    TAILQ_FOREACH(p, &q->ring, link)
    if (slice_is(name, p->name))
        return p;
    return NULL;
}

unsigned queue_waiting(const struct queue *q, struct slice party)
{
    const struct party *p = party_find(q, party);

    return p ? p->n : 0;
}

static struct party *party_new(struct queue *q, struct slice name)
{
    struct party *p = mem_alloc(sizeof *p + name.n + 1);

    if (p == NULL)
        return NULL;
    TAILQ_INIT(&p->calls);
    p->n = 0;
    memcpy(p->name, name.p ? name.p : "", name.n);
    p->name[name.n] = '\0';
    TAILQ_INSERT_TAIL(&q->ring, p, link);
    q->parties++;
    return p;
}

/* Microseconds until one more call of this party would have its turn: its places serve those that wait in any worker; a
 * rate serves one party after another. */
static int64_t wait_expected(const struct entry *e, unsigned slot, unsigned parties)
{
    const struct connector_target *t = e->target;
    int64_t n = (int64_t)share_waiting(t, slot) + 1;
    int64_t place = health_service_us(t) / (int64_t)share_of(t, slot, loop_now(e->pool->loop));
    int64_t rate = t->rate_us * parties;

    return (place > rate ? place : rate) * n;
}

/* Under more load than the provider bears, those let in must still be served in twice the usual time, and the others
 * know at once. At most half of what an answer takes may be expected (and half a turn, so that one can wait for a
 * single place): places become free in bunches, and who misses one bunch waits for the next. Short waits are let pass,
 * for bursts at quick providers end soon. */
static int64_t wait_allowed(const struct connector_target *t)
{
    int64_t served = health_service_us(t), most = t->queue * 1000, half;

    if (t->rate_us > 0 || served == 0)
        return most;
    half = (served + served / (int64_t)t->in_flight) / 2;
    half = half > SHORT_US ? half : SHORT_US;
    return half < most ? half : most;
}

/* All wait equally long, so the one that gives up first has come first. */
static void tell_oldest(struct entry *e)
{
    const struct party *p;
    int64_t oldest = 0;

    TAILQ_FOREACH(p, &e->queue.ring, link)
    if (oldest == 0 || TAILQ_FIRST(&p->calls)->due < oldest)
        oldest = TAILQ_FIRST(&p->calls)->due;
    health_wait(e->target, e->pool->worker, oldest);
}

enum err queue_add(struct entry *e, struct connector_call *c, struct slice name)
{
    struct queue *q = &e->queue;
    struct party *p = party_find(q, name);
    unsigned parties = q->parties + (p == NULL);

    if (q->n >= PROVIDER_WAITING_MAX || wait_expected(e, c->slot, parties) > wait_allowed(e->target))
        return ERR_BUSY;
    if (p == NULL && (p = party_new(q, name)) == NULL)
        return ERR_NOMEM;
    TAILQ_INSERT_TAIL(&p->calls, c, link);
    p->n++;
    c->party = p;
    share_wait(e->target, c->slot, true);
    q->n++;
    tell_oldest(e);
    return ERR_OK;
}

void queue_remove(struct entry *e, struct connector_call *c)
{
    struct queue *q = &e->queue;
    struct party *p = c->party;

    TAILQ_REMOVE(&p->calls, c, link);
    c->party = NULL;
    share_wait(e->target, c->slot, false);
    if (--p->n == 0) {
        TAILQ_REMOVE(&q->ring, p, link);
        q->parties--;
        mem_free(p);
    }
    q->n--;
    tell_oldest(e);
}

/* Each party's first is its oldest, and all wait equally long. */
struct connector_call *queue_late(const struct queue *q, int64_t now)
{
    const struct party *p;

    TAILQ_FOREACH(p, &q->ring, link)
    if (TAILQ_FIRST(&p->calls)->due <= now)
        return TAILQ_FIRST(&p->calls);
    return NULL;
}

void queue_turn(struct queue *q, struct party *p)
{
    TAILQ_REMOVE(&q->ring, p, link);
    TAILQ_INSERT_TAIL(&q->ring, p, link);
}
