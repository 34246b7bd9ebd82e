/* A look at all connections of the worker, several a second while memory is short and never else. Invariant: the alarm
 * is set only while there is a cap. */
#include "gateway/calm.h"
#include "gateway/exchange.h"

enum {
    LOOK_MS = 64,
    FRESH_MS = 500,   /* it may still begin */
    MUCH = 48 * 1024, /* more than an idle connection holds */
    SHARE = 16,       /* of the cap, that connections hold before they are worth ending */
    ENDS_A_LOOK = 256 /* each costs some ten microseconds */
};

struct calm {
    struct worker *worker; /* bor: its owner */
    struct alarm alarm;
    /* Of one look: */
    struct tally group, name;       /* KiB by department, and by identity or address */
    uint32_t most_group, most_name; /* of one; of one in a group that has half of the former at least */
    uint64_t total;                 /* KiB, of those that may end */
    uint64_t want, going;           /* bytes: to go; of those that are told to, and whose last words go out yet */
    int64_t before;                 /* mono ms: who came later is left alone */
    int64_t ended;                  /* mono ms: some were, for the last time */
    unsigned left;
};

/* What a connection's exchanges are to it, as of now: no counter is kept on their way. */
static void mark_busy(struct worker *w)
{
    for (struct connection *c = w->connections; c != NULL; c = c->next)
        c->busy = c->admitted = false;
    for (struct exchange *x = w->exchanges; x != NULL; x = x->next)
        if (x->conn != NULL) {
            x->conn->busy = true;
            x->conn->admitted = x->conn->admitted || x->admitted;
        }
}

static bool may_end(const struct connection *c)
{
    return !c->calmed && !c->admitted && (!c->busy || http_conn_held(c->http) >= MUCH);
}

static bool in_heavy_group(const struct calm *k, const struct connection *c)
{
    return k->group.n[c->group] >= k->most_group / 2;
}

static void weigh(struct calm *k)
{
    k->total = k->going = k->most_group = k->most_name = 0;
    memset(k->group.n, 0, sizeof k->group.n);
    memset(k->name.n, 0, sizeof k->name.n);
    for (struct connection *c = k->worker->connections; c != NULL; c = c->next) {
        size_t kib = http_conn_held(c->http) / 1024;
        k->going += c->calmed ? kib * 1024 : 0;
        if (!may_end(c))
            continue;
        tally_add(&k->group, c->group, kib);
        tally_add(&k->name, c->slot, kib);
        k->total += kib;
        if (k->group.n[c->group] > k->most_group)
            k->most_group = k->group.n[c->group];
    }
    for (struct connection *c = k->worker->connections; c != NULL; c = c->next)
        if (in_heavy_group(k, c) && k->name.n[c->slot] > k->most_name)
            k->most_name = k->name.n[c->slot];
}

static void end(struct calm *k, bool much)
{
    struct connection *next;

    for (struct connection *c = k->worker->connections; c != NULL && k->want > 0 && k->left > 0; c = next) {
        size_t held = http_conn_held(c->http);
        next = c->next;
        if (!may_end(c) || c->since > k->before || (held >= MUCH) != much || !in_heavy_group(k, c) ||
            k->name.n[c->slot] < k->most_name / 2)
            continue;
        k->want -= held < k->want ? held : k->want;
        k->left--;
        c->calmed = true;
        COUNT(k->worker, connections_calmed, 1);
        http_conn_calm(c->http);
    }
}

/* What is to go, as the process was found after the last that ended, and the last words of those that still speak; 0:
 * no look has come since. The control thread looks as often, but may be busy for long: what one look found would end
 * as much each time. */
static uint64_t still_wanted(const struct calm *k, struct pressure *p)
{
    uint64_t want;

    if (atomic_load_explicit(&p->looked, memory_order_relaxed) <= k->ended && !pressure_look_again(p, 0, &p->room))
        return 0;
    want = pressure_excess(p) / k->worker->cfg.workers;
    return want > k->going ? want - k->going : 0;
}

static void on_look(struct alarm *a)
{
    struct calm *k = (struct calm *)((char *)a - offsetof(struct calm, alarm));
    struct worker *w = k->worker;
    struct pressure *p = w->cfg.pressure;

    if (!pressure_short(p))
        return;
    alarm_set(w->loop, a, LOOK_MS);
    door_hurry(&w->door);
    mem_trim(); /* a small block that is kept holds its page */
    k->before = loop_now(w->loop) - FRESH_MS;
    k->left = ENDS_A_LOOK;
    mark_busy(w);
    weigh(k);
    if (k->total * 1024 < p->cap / SHARE / w->cfg.workers)
        return;
    k->want = still_wanted(k, p);
    end(k, true);
    end(k, false);
    if (k->left < ENDS_A_LOOK)
        k->ended = clock_mono_ms();
}

struct calm *calm_new(struct worker *w)
{
    struct calm *k = mem_zalloc(sizeof *k);

    if (k == NULL)
        return NULL;
    k->worker = w;
    alarm_init(&k->alarm, on_look);
    return k;
}

void calm_later(struct worker *w)
{
    if (w->calm->alarm.pprev == NULL)
        alarm_set(w->loop, &w->calm->alarm, LOOK_MS);
}
