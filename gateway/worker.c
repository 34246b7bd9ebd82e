/* A worker thread: loop, listening socket, TLS, evidence queue, provider pool, and the swap of snapshots. */
#include "gateway/calm.h"
#include "gateway/exchange.h"
#include "gateway/room.h"

#include <signal.h>
#include <stdatomic.h>

/* Certificates that a worker remembers: 5 KiB each at most. More only means that some are judged whole again. */
enum { NUDGE_MS = 64, SECOND_MS = 1000, KNOWN_CERTIFICATES = 2048, TRIM_AFTER = 256 };

const uint32_t worker_duration_bounds_ms[11] = { 1, 2, 5, 10, 25, 50, 100, 250, 1000, 5000, 30000 };

const struct worker_counters *worker_counters(const struct worker *w)
{
    return &w->counters;
}

struct digest *worker_digest(struct worker *w)
{
    return w->n_digests > 0 ? w->digests[--w->n_digests] : digest_new();
}

void worker_digest_back(struct worker *w, struct digest *g)
{
    if (g == NULL)
        return;
    if (w->n_digests < DIGEST_POOL)
        w->digests[w->n_digests++] = g;
    else
        digest_free(g);
}

struct exchange *worker_exchange_block(struct worker *w)
{
    struct exchange *x = w->spare;

    if (x == NULL)
        return mem_alloc(sizeof *x);
    w->spare = x->next;
    w->n_spare--;
    return x;
}

void worker_exchange_block_back(struct worker *w, struct exchange *x)
{
    if (w->n_spare == EXCHANGE_POOL) {
        mem_free(x);
        return;
    }
    x->next = w->spare;
    w->spare = x;
    w->n_spare++;
}

/* ---- evidence ---- */
static void on_evidence(void *arg)
{
    struct worker *w = arg;

    audit_poll(w->queue);
    room_serve(w);
}

static void on_record_done(void *waiter, enum err e, uint64_t index)
{
    struct evidence *ev = waiter;

    if (ev->x)
        exchange_evidence(ev, e, index);
    else
        flood_written(&((struct worker *)((char *)ev - offsetof(struct worker, count)))->flood, e == ERR_OK);
}

static void on_turn(void *arg)
{
    struct worker *w = arg;

    if (audit_gathers(w->queue, loop_now_ns(w->loop), clock_mono_ns()))
        loop_again(w->loop);
    else
        audit_kick(w->queue);
}

static void on_nudge(struct alarm *a)
{
    struct worker *w = (struct worker *)((char *)a - offsetof(struct worker, nudge));

    audit_nudge(w->queue);
    if (w->n_exchanges > 0)
        alarm_set(w->loop, a, NUDGE_MS);
}

void worker_nudge_later(struct worker *w)
{
    if (w->nudge.pprev == NULL)
        alarm_set(w->loop, &w->nudge, NUDGE_MS);
}

static void write_counted(struct worker *w)
{
    if (flood_put(&w->flood, w->queue, clock_wall_ms(), &w->count))
        audit_kick(w->queue);
}

static void attend_log(struct worker *w)
{
    audit_look(w->queue);
    room_serve(w); /* a log that hangs has room for nobody, and they must be told */
    write_counted(w);
}

/* A burst of handshakes leaves the heap in pieces: twice the memory that connections need. In the first quiet second it
 * is given back. */
static bool trim_when_quiet(struct worker *w)
{
    uint64_t opened = atomic_load_explicit(&w->counters.connections_opened, memory_order_relaxed);

    if (opened == w->shaken && opened - w->trimmed >= TRIM_AFTER) {
        w->trimmed = opened;
        mem_trim();
    }
    w->shaken = opened;
    return opened - w->trimmed >= TRIM_AFTER;
}

static void on_second(struct alarm *a)
{
    struct worker *w = (struct worker *)((char *)a - offsetof(struct worker, second));

    bool more = trim_when_quiet(w); /* a quiet second is still to come */

    attend_log(w);
    /* While something runs the log's disk is looked at, for who waits for it must be told when it hangs. */
    if (connector_pool_trim(w->pool) || w->flood.total > 0 || w->n_exchanges > 0 || more)
        worker_second_later(w);
}

/* Only while there is something to do, so that an idle worker does not wake. */
void worker_second_later(struct worker *w)
{
    if (w->second.pprev == NULL)
        alarm_set(w->loop, &w->second, SECOND_MS);
}

/* ---- grants that end ---- */
static bool is_running(const struct exchange *x)
{
    return x->log == NULL && x->state >= EX_INTENT && (x->state < EX_OUTCOME || x->reason == REASON_GRANTED);
}

void worker_expire_in(struct worker *w, int64_t ms)
{
    int64_t at;

    ms = ms < 0 ? 0 : ms;
    at = loop_now(w->loop) + ms;
    if (w->expiry_at != 0 && w->expiry_at <= at)
        return;
    w->expiry_at = at;
    moment_set(w->expiry, ms);
}

static void on_expiry(void *arg)
{
    struct worker *w = arg;
    struct exchange *next;

    w->expiry_at = 0;
    for (struct exchange *x = w->exchanges; x != NULL; x = next) {
        int64_t left = is_running(x) ? exchange_expires_in(x) : INT64_MAX;
        next = x->next;
        if (left <= 0)
            exchange_expire(x);
        else if (left <= ALARM_SLOT_MS)
            worker_expire_in(w, left);
        else if (left < INT64_MAX && x->deadline.pprev == NULL)
            exchange_watch(x); /* the clock was set back meanwhile */
    }
}

/* ---- connections ---- */
static void on_accept(void *arg, int fd)
{
    struct worker *w = arg;
    const struct limit_settings *l = &w->cfg.settings->limits;
    struct http_limits limits = { .handshake = l->handshake_ms,
                                  .head = l->head_ms,
                                  .body = l->body_ms,
                                  .idle = l->idle_ms,
                                  .write = l->write_ms,
                                  .head_bytes = (uint32_t)l->head_bytes,
                                  .head_fields = (uint32_t)l->head_fields,
                                  .rate = (uint32_t)l->rate,
                                  .requests = (uint32_t)l->requests,
                                  .streams = (uint32_t)l->http2_streams,
                                  .resets = (uint32_t)l->http2_resets,
                                  .frames = (uint32_t)l->http2_frames };

    enum err e = http_serve(w->loop, fd, w->tls, &limits, &consumer_service, w);

    if (e == ERR_BUSY)
        COUNT(w, connections_refused, 1);
    else if (e != ERR_OK)
        log_event(LOG_WARN, "accept-failed", NULL);
    if (pressure_short(w->cfg.pressure))
        calm_later(w);
}

static enum err make_tls(struct worker *w, const struct tls_settings *t, struct tls_context **ret, struct diags *d)
{
    struct tls_server s = { .cert_file = t->certificate.p,
                            .key_file = t->key.p,
                            .ca_files = t->authorities,
                            .verify = trust_verify,
                            .good_until = trust_good_until,
                            .arg = &w->trust,
                            .sessions = w->cfg.sessions,
                            .door = &w->door,
                            .http2 = w->cfg.settings->limits.http2_streams > 0 };

    return tls_server_new(&s, ret, d);
}

void worker_exchange_gone(struct worker *w)
{
    w->n_exchanges--;
    atomic_fetch_sub_explicit(&w->counters.running, 1, memory_order_relaxed);
}

/* ---- the snapshot ---- */

/* Of the grant that it was decided on, as it is now: given back, suspended (and perhaps again in force since), or
 * revoked. */
static enum reason grant_ended(const struct policy_grant *g)
{
    if (g == NULL || g->state == POLICY_REVOKED)
        return REASON_REVOKED;
    return g->state == POLICY_RETURNED ? REASON_NO_GRANT : REASON_SUSPENDED;
}

/* Does what this exchange was decided on still hold? REASON_GRANTED, or why it must be cut. */
static enum reason still_good(struct worker *w, const struct exchange *x)
{
    const struct principal *app = snapshot_app(w->snapshot, slice_of(x->who));
    const struct resource_head *h = snapshot_resource(w->snapshot, x->ask.resource);
    const struct policy_grant *g = snapshot_grant(w->snapshot, slice_of(policy_grant_id(x->grant)));

    if (app == NULL || !app->active)
        return REASON_SUBJECT_INACTIVE;
    if (h == NULL || resource_version(h, x->service->version) == NULL)
        return REASON_NOT_PUBLISHED;
    if (h->suspended)
        return REASON_RESOURCE_SUSPENDED;
    return g == x->grant ? REASON_GRANTED : grant_ended(g);
}

static void cut_exchanges(struct worker *w)
{
    struct exchange *next;

    for (struct exchange *x = w->exchanges; x != NULL; x = next) {
        enum reason r = REASON_GRANTED;
        next = x->next;
        if (is_running(x))
            r = still_good(w, x);
        if (r != REASON_GRANTED)
            exchange_cut(x, r);
    }
}

/* A revoked certificate loses its open connections too, and so does one whose anchor no longer vouches for it. A list
 * that ran out only stops new exchanges. */
static void cut_connections(struct worker *w)
{
    struct connection *next;
    int64_t now = clock_wall_ms();

    for (struct connection *c = w->connections; c != NULL; c = next) {
        enum reason r;
        next = c->next;
        if (c->peer == NULL || c->peer->verdict != REASON_GRANTED)
            continue;
        r = certs_peer_recheck(w->trust.trust, c->peer, now);
        if (r != REASON_GRANTED && r != REASON_REVOCATION_UNKNOWN)
            http_conn_abort(c->http, r);
    }
}

static void swap_here(void *arg)
{
    struct worker_note *n = arg;
    struct worker *w = n->worker;
    struct snapshot *before = w->snapshot;
    bool new_trust = before->trust_generation != n->snapshot->trust_generation;

    w->snapshot = n->snapshot;
    n->snapshot = NULL;
    trust_swap(&w->trust, w->snapshot->trust);
    cut_exchanges(w);
    if (new_trust)
        cut_connections(w);
    snapshot_unref(before);
    if (connector_pool_trim(w->pool))
        worker_second_later(w);
    loop_post(n->back, &n->home);
}

static void note_home(void *arg)
{
    struct worker_note *n = arg;

    n->done(n);
}

static void send_note(struct worker *w, struct worker_note *n, struct loop *back, void (*done)(struct worker_note *n),
                      void (*here)(void *arg))
{
    n->worker = w;
    n->back = back;
    n->done = done;
    n->to = (struct loop_msg){ .fn = here, .arg = n };
    n->home = (struct loop_msg){ .fn = note_home, .arg = n };
    loop_post(w->loop, &n->to);
}

void worker_swap(struct worker *w, struct worker_note *n, struct snapshot *s, struct loop *back,
                 void (*done)(struct worker_note *n))
{
    n->snapshot = snapshot_ref(s);
    send_note(w, n, back, done, swap_here);
}

/* ---- reload ---- */
static void reload_here(void *arg)
{
    struct worker_note *n = arg;
    struct tls_context *next = NULL;

    if (make_tls(n->worker, n->tls, &next, NULL) == ERR_OK) {
        tls_unref(n->worker->tls);
        n->worker->tls = next;
    } else {
        log_event(LOG_ERROR, "tls-reload-failed", "kept", "the certificate in use", NULL);
    }
    connector_pool_reload(n->worker->pool); /* the identity towards providers may be new too */
    loop_post(n->back, &n->home);
}

void worker_reload_tls(struct worker *w, struct worker_note *n, const struct tls_settings *t, struct loop *back,
                       void (*done)(struct worker_note *n))
{
    n->tls = t;
    send_note(w, n, back, done, reload_here);
}

/* ---- drain and stop ---- */
static void stop_accepting(struct worker *w)
{
    w->door.acceptor = NULL;
    w->acceptor = acceptor_free(w->acceptor);
}

/* What is in the kernel's hands has not arrived: a process that ends may take it along. */
static bool all_arrived(const struct worker *w)
{
    const struct connection *c = w->connections;

    while (c != NULL && http_conn_settled(c->http))
        c = c->next;
    return w->n_exchanges == 0 && c == NULL;
}

static void on_leave(struct alarm *a)
{
    struct worker *w = (struct worker *)((char *)a - offsetof(struct worker, leave));
    struct worker_note *n = w->drain;

    if (!all_arrived(w)) {
        alarm_set(w->loop, a, NUDGE_MS);
        return;
    }
    w->drain = NULL;
    loop_post(n->back, &n->home);
}

static void drain_here(void *arg)
{
    struct worker_note *n = arg;
    struct worker *w = n->worker;
    struct connection *next;

    w->draining = true;
    stop_accepting(w);
    for (struct connection *c = w->connections; c != NULL; c = next) {
        next = c->next;
        http_conn_drain(c->http);
    }
    w->drain = n;
    on_leave(&w->leave);
}

void worker_drain(struct worker *w, struct worker_note *n, struct loop *back, void (*done)(struct worker_note *n))
{
    send_note(w, n, back, done, drain_here);
}

static void maybe_stop(struct worker *w)
{
    if (w->stopping && w->n_exchanges == 0 && flood_settled(&w->flood))
        loop_stop(w->loop);
}

static void stop_check(struct alarm *a)
{
    struct worker *w = (struct worker *)((char *)a - offsetof(struct worker, second));

    attend_log(w); /* what was counted while a count record was under way needs another */
    maybe_stop(w);
    alarm_set(w->loop, a, NUDGE_MS);
}

/* Cut what runs; each still writes its outcome, then the loop ends. */
static void stop_here(void *arg)
{
    struct worker *w = arg;
    struct exchange *next;

    w->stopping = w->draining = true;
    w->drain = NULL;
    alarm_clear(&w->leave);
    stop_accepting(w);
    for (struct exchange *x = w->exchanges; x != NULL; x = next) {
        next = x->next;
        exchange_cut(x, REASON_DRAINING);
    }
    door_done(&w->door);
    while (w->connections != NULL)
        http_conn_end(w->connections->http);
    write_counted(w);
    audit_kick(w->queue);
    alarm_clear(&w->second);
    alarm_init(&w->second, stop_check);
    alarm_set(w->loop, &w->second, 1);
}

/* ---- life ---- */
static void worker_done(struct worker *w)
{
    w->pool = connector_pool_free(w->pool);
    stop_accepting(w);
    w->expiry = moment_free(w->expiry);
    w->queue_watch = watch_free(w->queue_watch);
    w->queue = audit_queue_free(w->queue);
    tls_unref(w->tls);
    trust_swap(&w->trust, NULL);
    w->trust.known = certs_known_free(w->trust.known);
    snapshot_unref(w->snapshot);
    while (w->n_digests > 0)
        digest_free(w->digests[--w->n_digests]);
    w->loop = loop_free(w->loop); /* buries exchanges, which come back as spare */
    for (struct exchange *x; (x = w->spare) != NULL; mem_free(x))
        w->spare = x->next;
    mem_free(w->intents);
    mem_free(w->asks);
    mem_free(w->calm);
    mem_free(w);
}

struct worker *worker_stop(struct worker *w)
{
    if (w == NULL)
        return NULL;
    w->stop = (struct loop_msg){ .fn = stop_here, .arg = w };
    loop_post(w->loop, &w->stop);
    pthread_join(w->thread, NULL);
    worker_done(w);
    return NULL;
}

static void *run(void *arg)
{
    struct worker *w = arg;
    sigset_t all;

    sigfillset(&all); /* signals are the control thread's */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    loop_run(w->loop);
    return NULL;
}

/* What one connection may begin its identity may, and one whole body has room, however many workers share. */
static void init_tallies(struct worker *w, const struct limit_settings *l)
{
    uint64_t seed = w->cfg.running->seed;

    tally_init(&w->begun_each, seed, l->begun_each, w->cfg.workers);
    tally_least(&w->begun_each, l->http2_streams);
    tally_init(&w->begun_group, seed, 0, 1);
    tally_least(&w->begun_group, (uint64_t)w->begun_each.most * BEGUN_GROUP);
    tally_init(&w->bodies_each, seed, worker_body_kib(l->bodies_each), w->cfg.workers);
    tally_least(&w->bodies_each, worker_body_kib(l->body));
}

static enum err prepare(struct worker *w, struct diags *d)
{
    const struct limit_settings *l = &w->cfg.settings->limits;
    enum err e;

    w->loop = loop_new();
    if (w->loop == NULL)
        return ERR_NOMEM;
    door_init(&w->door, w->loop, (unsigned)(l->handshakes / w->cfg.workers + 1));
    trust_swap(&w->trust, w->snapshot->trust);
    w->trust.known = certs_known_new(KNOWN_CERTIFICATES);
    flood_init(&w->flood, l->strangers_source, l->strangers_all, l->refusals, w->cfg.workers);
    flood_day(&w->flood, w->cfg.settings->evidence.strangers_bytes, w->cfg.workers + 1);
    init_tallies(w, l);
    flood_share(&w->flood, w->cfg.each, l->refusals);
    flood_reads(&w->flood, l->log_reads);
    e = make_tls(w, &w->cfg.settings->tls, &w->tls, d);
    if (e == ERR_OK)
        e = audit_queue_new(w->cfg.log, w->cfg.settings->evidence.queue_bytes, on_record_done, &w->queue);
    if (e != ERR_OK)
        return e;
    w->pool = connector_pool_new(w->loop, w->cfg.number, (uint32_t)l->provider_rate);
    w->queue_watch = watch_new(w->loop, audit_queue_fd(w->queue), on_evidence, w);
    w->acceptor = acceptor_new(w->loop, w->cfg.data_fd, on_accept, w);
    w->expiry = moment_new(w->loop, on_expiry, w);
    w->intents = mem_array(INTENT_MEMOS, sizeof *w->intents);
    w->asks = mem_array(HTTP_KEPT, sizeof *w->asks);
    w->calm = calm_new(w);
    w->connections_end = &w->connections;
    if (w->intents == NULL || w->asks == NULL || w->calm == NULL || w->pool == NULL || w->expiry == NULL ||
        w->queue_watch == NULL || w->acceptor == NULL)
        return ERR_NOMEM;
    acceptor_leaves(w->acceptor);
    w->door.acceptor = w->acceptor;
    loop_on_turn(w->loop, on_turn, w);
    alarm_init(&w->nudge, on_nudge);
    alarm_init(&w->second, on_second);
    alarm_init(&w->leave, on_leave);
    return ERR_OK;
}

enum err worker_start(const struct worker_config *c, struct worker **ret, struct diags *d)
{
    struct worker *w = mem_zalloc(sizeof *w);
    enum err e;

    if (w == NULL)
        return ERR_NOMEM;
    w->cfg = *c;
    w->snapshot = snapshot_ref(c->snapshot);
    e = prepare(w, d);
    if (e == ERR_OK && pthread_create(&w->thread, NULL, run, w) != 0)
        e = ERR_SYS;
    if (e != ERR_OK) {
        worker_done(w);
        return e;
    }
    *ret = w;
    return ERR_OK;
}
