/* One worker's connections to all providers. A connection stands in its entry's `busy` list while a call has it and in
 * `idle` otherwise; the last used is taken first, so that those not needed run out. Invariants: an idle connection is
 * closed after PROVIDER_IDLE_MS, beyond limits.in_flight of its target, when the provider closes it, and when no
 * snapshot holds its target; none is used again that was opened before the last reload; TLS contexts belong to this
 * loop. */
#include "connectors/internal.h"

struct connector_pool *connector_pool_new(struct loop *l, unsigned worker, uint32_t rate)
{
    struct connector_pool *p = mem_zalloc(sizeof *p);

    if (p == NULL)
        return NULL;
    p->loop = l;
    p->worker = worker;
    p->rate = rate;
    buf_init(&p->text, (size_t)8 << 20);
    return p;
}

/* ---- entries ---- */
static struct entry **bucket_of(struct connector_pool *p, const struct connector_target *t)
{
    return &p->bucket[((uintptr_t)t >> 6) % BUCKETS];
}

static void run_wake(struct later *node)
{
    struct entry *e = (struct entry *)((char *)node - offsetof(struct entry, wake));

    e->wake_set = false;
    calls_poll(e);
}

void calls_wake(struct entry *e)
{
    if (e->wake_set || e->queue.n == 0)
        return;
    e->wake_set = true;
    loop_later(e->pool->loop, &e->wake, run_wake);
}

struct entry *pool_entry(struct connector_pool *p, struct connector_target *t)
{
    struct entry **head = bucket_of(p, t), *e;

    for (e = *head; e; e = e->next)
        if (e->target == t)
            return e;
    e = mem_zalloc(sizeof *e);
    if (e == NULL)
        return NULL;
    e->pool = p;
    e->target = t;
    target_keep(t);
    LIST_INIT(&e->idle);
    LIST_INIT(&e->busy);
    TAILQ_INIT(&e->queue.ring);
    e->next = *head;
    *head = e;
    return e;
}

static void bury_entry(struct grave *g)
{
    mem_free((char *)g - offsetof(struct entry, grave));
}

static void close_idle(struct entry *e)
{
    while (!LIST_EMPTY(&e->idle))
        pool_close(LIST_FIRST(&e->idle));
}

/* The memory stays for this turn: `wake` may be set. */
static void entry_free(struct entry **at)
{
    struct entry *e = *at;

    *at = e->next;
    e->poll = moment_free(e->poll);
    tls_unref(e->tls);
    target_drop(e->target);
    loop_bury(e->pool->loop, &e->grave, bury_entry);
}

bool connector_pool_trim(struct connector_pool *p)
{
    bool left = false;

    for (size_t i = 0; i < BUCKETS; i++)
        for (struct entry **at = &p->bucket[i]; *at;) {
            struct entry *e = *at;
            if (target_orphan(e->target))
                close_idle(e);
            if (target_orphan(e->target) && LIST_EMPTY(&e->busy) && e->queue.n == 0) {
                entry_free(at);
                continue;
            }
            left = left || target_orphan(e->target);
            at = &e->next;
        }
    return left;
}

void connector_pool_reload(struct connector_pool *p)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct entry *e = p->bucket[i]; e; e = e->next) {
            close_idle(e);
            for (struct conn *k = LIST_FIRST(&e->busy); k; k = LIST_NEXT(k, link))
                k->last = true; /* its identity may be withdrawn, and under load it would never be idle long */
            tls_unref(e->tls);
            e->tls = NULL;
        }
}

struct connector_pool *connector_pool_free(struct connector_pool *p)
{
    if (p == NULL)
        return NULL;
    for (size_t i = 0; i < BUCKETS; i++)
        while (p->bucket[i]) {
            calls_drop(p->bucket[i]);
            close_idle(p->bucket[i]);
            entry_free(&p->bucket[i]);
        }
    buf_done(&p->text);
    return mem_free(p);
}

/* ---- connections ---- */
static void bury_conn(struct grave *g)
{
    mem_free((char *)g - offsetof(struct conn, grave));
}

void pool_close(struct conn *k)
{
    struct entry *e = k->entry;

    LIST_REMOVE(k, link);
    e->n_idle -= k->call == NULL;
    alarm_clear(&k->expiry);
    k->http = http_client_free(k->http);
    k->call = NULL;
    loop_bury(e->pool->loop, &k->grave, bury_conn);
}

/* Is the provider still where this connection goes? One that has moved must not be called at its old place for as long
 * as that answers. */
static bool still_there(struct conn *k)
{
    struct name *where = k->entry->target->where;
    uint32_t generation = name_generation(where);

    if (k->generation != generation && !name_has(where, &k->to))
        return false;
    k->generation = generation;
    return true;
}

/* What a provider sent behind an answer would be taken for the next one, of another department perhaps. The loop may
 * not have seen it yet. */
struct conn *pool_take(struct entry *e)
{
    struct conn *k;

    while ((k = LIST_FIRST(&e->idle)) != NULL && !(still_there(k) && http_client_quiet(k->http)))
        pool_close(k);
    if (k == NULL)
        return NULL;
    LIST_REMOVE(k, link);
    LIST_INSERT_HEAD(&e->busy, k, link);
    e->n_idle--;
    return k;
}

void pool_keep(struct conn *k)
{
    struct entry *e = k->entry;

    LIST_REMOVE(k, link);
    LIST_INSERT_HEAD(&e->idle, k, link);
    e->n_idle++;
    k->call = NULL;
    k->kept = true;
    /* Not cleared when it is taken: moving an alarm later is cheap, and a busy one is not closed by it. */
    alarm_set(e->pool->loop, &k->expiry, PROVIDER_IDLE_MS);
    if (k->last || e->n_idle > e->target->in_flight || target_orphan(e->target))
        pool_close(k);
}

static void run_expiry(struct alarm *a)
{
    struct conn *k = (struct conn *)((char *)a - offsetof(struct conn, expiry));

    if (k->call == NULL)
        pool_close(k);
}

/* Of the files as they are now, which may be others than when the target was made. */
static enum err make_tls(struct entry *e)
{
    struct connector_target *t = e->target;
    struct tls_client how = { t->mode, t->ca_file, t->cert_file, t->key_file };
    enum err err;

    if (t->mode == TLS_NONE || e->tls)
        return ERR_OK;
    err = tls_client_new(&how, &e->tls, NULL);
    if (err == ERR_NOMEM)
        return err;
    atomic_store_explicit(&t->no_tls, err != ERR_OK, memory_order_relaxed);
    return err == ERR_OK ? ERR_OK : ERR_NOT_FOUND;
}

enum err pool_connect(struct entry *e, int64_t ms, struct conn **ret)
{
    const struct connector_target *t = e->target;
    enum err err = make_tls(e);
    struct conn *k;

    if (err != ERR_OK)
        return err;
    k = mem_zalloc(sizeof *k);
    if (k == NULL)
        return ERR_NOMEM;
    k->generation = name_generation(t->where);
    k->http = name_address(t->where, &k->to) == 0
                  ? NULL
                  : http_client_new(e->pool->loop, &k->to, e->tls, t->name, &call_events, k,
                                    ms < PROVIDER_CONNECT_MS ? ms : PROVIDER_CONNECT_MS);
    if (k->http == NULL) {
        mem_free(k);
        return ERR_NOMEM;
    }
    http_client_least(k->http, e->pool->rate);
    k->entry = e;
    alarm_init(&k->expiry, run_expiry);
    LIST_INSERT_HEAD(&e->busy, k, link);
    *ret = k;
    return ERR_OK;
}
