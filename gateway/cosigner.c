/* See cosigner.h. One request: who asks is judged, the keeper answers, and what is refused is answered when its record
 * is durable; beyond the rates of flood.c refusals are counted and cut. Requests are bounded in number, bytes and time;
 * a keeper that does not answer costs its own thread WITNESS_CALL_MS and the peer a 503. */
#include "gateway/cosigner.h"
#include "gateway/flood.h"
#include "gateway/trust.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECOND_MS = 1000, LOOK_MS = 10000, TELL_MS = 60000, QUEUE_BYTES = 256 << 10, TEXT_MAX = 4096 };

/* What waits for a record to be durable: an answer, or with ask NULL the counts. */
struct waiting {
    struct cosigner *cosigner;
    struct http_small_ask *ask;
    int status;
    const char *type; /* static */
    struct buf text;
};
struct cosigner {
    const struct settings *settings;
    struct keeper *keeper;
    struct audit_log *log;
    char dir[4200]; /* of what was seen, for conflicts */
    struct trust_holder trust;
    struct tls_context *tls;
    struct door door;
    struct loop *loop;
    struct http_small *service;
    struct audit_queue *queue;
    struct watch *queue_watch;
    struct flood flood;
    struct alarm second, look;
    int64_t cert_at; /* the certificate's file as it was loaded: when it was changed last, ns */
    bool counting, stopping;
    struct waiting counts;              /* for the flood's count record */
    int64_t told[AUDIT_ORIGINS_MAX][2]; /* mono ms: when this log was last said to be unproved, or forked; 0: never */
    unsigned outstanding;               /* records on their way */
    int fd;
    pthread_t thread;
    bool running;
    struct loop_msg end;
    _Atomic uint64_t cosigned, refused, unproved, misbehaved;
    _Atomic int64_t cosigned_at;
};

/* ---- refusals ---- */
static void write_counted(struct cosigner *c)
{
    if (!flood_put(&c->flood, c->queue, clock_wall_ms(), &c->counts))
        return;
    c->outstanding++;
    audit_kick(c->queue);
}

/* What was counted goes on record first, unless the log takes nothing. */
static void end_if_done(struct cosigner *c)
{
    if (!c->stopping)
        return;
    write_counted(c);
    if (c->outstanding == 0 && flood_settled(&c->flood))
        loop_stop(c->loop);
}

static void on_durable(void *waiter, enum err e, uint64_t index)
{
    struct waiting *x = waiter;
    struct cosigner *c = x->cosigner;

    (void)index;
    c->outstanding--;
    if (x->ask == NULL) { /* what is not durable is not forgotten: it goes into the next record */
        flood_written(&c->flood, e == ERR_OK);
        end_if_done(c);
        return;
    }
    if (e == ERR_OK)
        http_small_answer(x->ask, x->status, x->type, buf_slice(&x->text));
    else
        http_small_answer(x->ask, 503, AUDIT_TYPE_TEXT, SLICE("the refusal cannot be recorded now\n"));
    buf_done(&x->text);
    mem_free(x);
    end_if_done(c);
}

static enum err put_refusal(struct cosigner *c, const struct http_small_ask *a, enum reason why, struct slice origin,
                            struct waiting *x)
{
    const struct certs_peer *p = trust_peer(http_conn_peer(a->http));
    struct sha256 digest = audit_keyed_digest(c->log, buf_slice(&a->body));
    struct audit_record r = { .kind = AUDIT_REFUSED, .at = clock_wall_ms(), .reason = why, .has_reason = true };

    r.exchange = uuid_v7(r.at);
    r.status = x->status;
    r.peer = slice_of(a->address);
    r.verb = SLICE("witness.cosign");
    r.object = origin;
    if (p != NULL)
        r.certificate = slice_of(p->digest);
    if (p != NULL && p->verdict == REASON_GRANTED)
        r.subject = slice_of(p->uri);
    if (why == REASON_REQUEST_MALFORMED || why == REASON_LOG_UNPROVED || why == REASON_LOG_FORKED) {
        r.raw_length = a->body.n;
        r.raw_digest = &digest;
    }
    return audit_put(c->queue, &r, 0, x);
}

static void on_second(struct alarm *al)
{
    struct cosigner *c = (struct cosigner *)((char *)al - offsetof(struct cosigner, second));

    audit_look(c->queue);
    write_counted(c);
    end_if_done(c);
    c->counting = c->flood.total > 0 || c->outstanding > 0;
    if (c->counting)
        alarm_set(c->loop, al, SECOND_MS);
}

static void keep_looking(struct cosigner *c)
{
    if (!c->counting)
        alarm_set(c->loop, &c->second, SECOND_MS);
    c->counting = true;
}

/* The answer waits for its record. */
static enum err hold(struct cosigner *c, struct http_small_ask *a, enum reason why, struct slice origin, int status,
                     const char *type, struct slice text)
{
    struct waiting *x = mem_zalloc(sizeof *x);
    enum err e;

    if (x == NULL)
        return ERR_NOMEM;
    *x = (struct waiting){ .cosigner = c, .ask = a, .status = status, .type = type, .text = BUF_INIT(TEXT_MAX) };
    buf_put(&x->text, text);
    e = x->text.failed != ERR_OK ? x->text.failed : put_refusal(c, a, why, origin, x);
    if (e != ERR_OK) {
        buf_done(&x->text);
        mem_free(x);
        return e;
    }
    c->outstanding++;
    audit_kick(c->queue);
    return ERR_OK;
}

/* Takes `a`. */
static void refuse(struct cosigner *c, struct http_small_ask *a, enum reason why, struct slice origin, int status,
                   const char *type, struct slice text)
{
    const struct certs_peer *p = trust_peer(http_conn_peer(a->http));
    bool known = p != NULL && p->verdict == REASON_GRANTED;
    struct slice key = slice_of(known ? p->uri : a->address);
    enum err e;

    atomic_fetch_add(&c->refused, 1);
    keep_looking(c);
    if (!flood_admit(&c->flood, key, !known, why, clock_mono_ms(), clock_wall_ms())) {
        http_small_drop(a);
        return;
    }
    e = hold(c, a, why, origin, status, type, text);
    if (e == ERR_OK)
        return;
    if (e != ERR_DOWN) /* what it is away for the log counts itself */
        flood_count(&c->flood, why, clock_wall_ms());
    http_small_answer(a, 503, AUDIT_TYPE_TEXT, SLICE("the refusal cannot be recorded now\n"));
}

/* ---- one request ---- */
/* Once a minute of each log: whoever may ask may ask as often as it likes. */
static void tell_fault(struct cosigner *c, size_t i, bool forked)
{
    int64_t now = clock_mono_ms(), *told = &c->told[i][forked];

    if (*told != 0 && now - *told < TELL_MS)
        return;
    *told = now;
    log_event(forked ? LOG_ERROR : LOG_WARN, forked ? "log-misbehaved" : "log-unproved", "log",
              c->settings->evidence.observed[i].origin.p, "what",
              forked ? "it signed two histories; kept as .conflict and .cosigned"
                     : "no proof came that what it signed continues what was co-signed; kept as .unproved",
              NULL);
}

/* The log that a body which the keeper found fault with is of: its checkpoint is kept, and says who signed it. */
static struct slice find_fault(struct cosigner *c, struct slice body, enum audit_fault fault)
{
    const struct evidence_settings *e = &c->settings->evidence;
    bool forked = fault == AUDIT_FAULT_FORKED;

    atomic_fetch_add(forked ? &c->misbehaved : &c->unproved, 1);
    for (size_t i = 0; i < e->n_observed; i++)
        if (audit_fault_keep(c->dir, e->observed[i].log, body, fault)) {
            tell_fault(c, i, forked);
            return e->observed[i].origin;
        }
    return SLICE("");
}

static void cosign(struct cosigner *c, struct http_small_ask *a)
{
    struct buf out = BUF_INIT(TEXT_MAX);
    struct keeper_cosigned r = { 0 };
    enum err e = keeper_cosign(c->keeper, buf_slice(&a->body), WITNESS_CALL_MS, &r, &out);

    if (e != ERR_OK) {
        http_small_answer(a, 503, AUDIT_TYPE_TEXT, SLICE("the keeper does not answer now\n"));
    } else if (r.fault != AUDIT_FAULT_NONE) {
        refuse(c, a, r.fault == AUDIT_FAULT_FORKED ? REASON_LOG_FORKED : REASON_LOG_UNPROVED,
               find_fault(c, buf_slice(&a->body), r.fault), r.status, r.type, buf_slice(&out));
    } else if (r.status == 200 || r.status == 409 || r.status >= 500) {
        if (r.status == 200) {
            atomic_fetch_add(&c->cosigned, 1);
            atomic_store(&c->cosigned_at, clock_wall_ms());
        }
        http_small_answer(a, r.status, r.type,
                          buf_slice(&out)); /* 409: it only asks for the size, as the text has it */
    } else {
        refuse(c, a, REASON_REQUEST_MALFORMED, SLICE(""), r.status, r.type, buf_slice(&out));
    }
    buf_done(&out);
}

/* From the end of its handshake on: else it would stand among the strangers until its request comes, and go for the
 * next of them. */
static bool is_known(void *owner, const struct http_conn *http)
{
    const struct cosigner *c = owner;

    return certs_gateway_judge(c->trust.trust, http_conn_peer(http), clock_wall_ms()) == REASON_GRANTED;
}

/* Whoever is not known is read too, for its record, and refused when it is whole; until then it stays in the door. */
static int on_head(void *owner, const struct http_conn *http, const struct http_head *h, const char **text)
{
    *text = "POST /add-checkpoint\n";
    if (!slice_ends(h->path, SLICE("/add-checkpoint")))
        return 404;
    if (!slice_is(h->method, "POST"))
        return 405;
    return is_known(owner, http) ? 0 : -1;
}

static void on_ask(void *owner, struct http_small_ask *a)
{
    struct cosigner *c = owner;
    enum reason why = certs_gateway_judge(c->trust.trust, http_conn_peer(a->http), clock_wall_ms());
    struct buf text = BUF_INIT(TEXT_MAX);

    if (why == REASON_GRANTED) {
        cosign(c, a);
        return;
    }
    buf_printf(&text, "only gateways of known operators may ask: %s\n", reason_info(why)->code);
    refuse(c, a, why, SLICE(""), 403, AUDIT_TYPE_TEXT, buf_slice(&text));
    buf_done(&text);
}

/* ---- life ---- */
enum err cosigner_trust(const struct settings *s, struct certs_trust **ret, struct diags *d)
{
    struct certs_anchor anchors[AUDIT_ORIGINS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < s->evidence.n_observed; i++) {
        const struct settings_observed *o = &s->evidence.observed[i];
        bool there = false;
        for (size_t k = 0; k < n; k++)
            there = there || (strcmp(anchors[k].ca_file, o->ca.p) == 0 && strcmp(anchors[k].domain, o->domain.p) == 0);
        if (!there)
            anchors[n++] = (struct certs_anchor){
                .ca_file = o->ca.p, .crl_file = "", .domain = o->domain.p, .departments = "", .no_crl = true
            };
    }
    return certs_trust_load(anchors, n, ret, d);
}

static void on_queue(void *arg)
{
    audit_poll(((struct cosigner *)arg)->queue);
}

static void *run(void *arg)
{
    struct cosigner *c = arg;
    sigset_t all;

    sigfillset(&all); /* signals are the control thread's */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    alarm_set(c->loop, &c->look, LOOK_MS);
    loop_run(c->loop);
    return NULL;
}

static int64_t changed_at(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec : 0;
}

static enum err tls_load(struct cosigner *c, struct tls_context **ret, struct diags *d)
{
    const struct settings *s = c->settings;
    const char *files[AUDIT_ORIGINS_MAX + 1] = { NULL };
    struct tls_server tls = { .cert_file = s->tls.certificate.p,
                              .key_file = s->tls.key.p,
                              .ca_files = files,
                              .verify = trust_verify,
                              .arg = &c->trust,
                              .door = &c->door };
    int64_t at = changed_at(tls.cert_file);
    enum err e;

    for (size_t i = 0; i < s->evidence.n_observed; i++)
        files[i] = s->evidence.observed[i].ca.p;
    e = tls_server_new(&tls, ret, d);
    if (e == ERR_OK)
        c->cert_at = at;
    return e;
}

/* The certificate is renewed while the daemon runs. What cannot be loaded leaves the one before in use until it can:
 * its key may come behind it. */
static void on_look(struct alarm *a)
{
    struct cosigner *c = (struct cosigner *)((char *)a - offsetof(struct cosigner, look));
    struct tls_context *next = NULL;

    alarm_set(c->loop, a, LOOK_MS);
    if (c->stopping || changed_at(c->settings->tls.certificate.p) == c->cert_at || tls_load(c, &next, NULL) != ERR_OK)
        return;
    http_small_tls(c->service, next);
    tls_unref(c->tls);
    c->tls = next;
}

static enum err listen_open(struct cosigner *c, struct diags *d)
{
    const struct settings *s = c->settings;
    char host[SETTINGS_HOST];
    unsigned port;
    enum err e = cosigner_trust(s, &c->trust.trust, d);

    if (e == ERR_OK)
        e = tls_load(c, &c->tls, d);
    if (e == ERR_OK && !settings_address(s->listen.witness, host, &port))
        e = ERR_INVALID;
    return e == ERR_OK ? net_listen(host, port, false, &c->fd, d) : e;
}

static enum err open_all(struct cosigner *c, struct diags *d)
{
    struct http_small_config service = { .body_max = AUDIT_ADD_MAX,
                                         .connections = WITNESS_CONNECTIONS,
                                         .door = &c->door,
                                         .known = is_known,
                                         .head = on_head,
                                         .ask = on_ask,
                                         .owner = c };
    const struct limit_settings *l = &c->settings->limits;
    enum err e = listen_open(c, d);

    snprintf(c->dir, sizeof c->dir, "%s/witness", c->settings->state.dir.p);
    flood_init(&c->flood, l->strangers_source, l->strangers_all, l->refusals, 1);
    flood_day(&c->flood, c->settings->evidence.strangers_bytes, (unsigned)c->settings->workers + 1);
    alarm_init(&c->second, on_second);
    alarm_init(&c->look, on_look);
    if (e == ERR_OK && (c->loop = loop_new()) == NULL)
        e = ERR_NOMEM;
    door_init_yielding(&c->door, c->loop, (unsigned)l->control_strangers);
    if (e == ERR_OK)
        e = audit_queue_new(c->log, QUEUE_BYTES, on_durable, &c->queue);
    if (e == ERR_OK && ((c->queue_watch = watch_new(c->loop, audit_queue_fd(c->queue), on_queue, c)) == NULL ||
                        (c->service = http_small_new(c->loop, c->fd, c->tls, &service)) == NULL))
        e = ERR_NOMEM;
    if (e == ERR_OK && pthread_create(&c->thread, NULL, run, c) != 0)
        e = ERR_SYS;
    c->running = e == ERR_OK;
    return e;
}

enum err cosigner_start(const struct settings *s, struct keeper *k, struct audit_log *log, struct cosigner **ret,
                        struct diags *d)
{
    struct cosigner *c;
    enum err e;

    if (s->evidence.n_observed == 0)
        return ERR_OK;
    c = mem_zalloc(sizeof *c);
    if (c == NULL)
        return ERR_NOMEM;
    c->settings = s;
    c->counts.cosigner = c;
    c->keeper = k;
    c->log = log;
    c->fd = -1;
    e = open_all(c, d);
    if (e == ERR_OK)
        *ret = c;
    else
        cosigner_stop(c);
    return e;
}

/* On its own thread: what waits for a record is still answered, everything else is cut. */
static void on_stop(void *arg)
{
    struct cosigner *c = arg;

    c->stopping = true;
    c->service = http_small_free(c->service);
    door_done(&c->door);
    end_if_done(c);
}

struct cosigner *cosigner_stop(struct cosigner *c)
{
    if (c == NULL)
        return NULL;
    if (c->running) {
        c->end = (struct loop_msg){ .fn = on_stop, .arg = c };
        loop_post(c->loop, &c->end);
        pthread_join(c->thread, NULL);
    }
    c->service = http_small_free(c->service);
    alarm_clear(&c->second);
    alarm_clear(&c->look);
    c->queue_watch = c->queue_watch ? watch_free(c->queue_watch) : NULL;
    c->queue = c->queue ? audit_queue_free(c->queue) : NULL;
    if (c->loop)
        loop_free(c->loop);
    if (c->tls)
        tls_unref(c->tls);
    trust_swap(&c->trust, NULL);
    if (c->fd >= 0)
        close(c->fd);
    return mem_free(c);
}

unsigned cosigner_port(const struct cosigner *c)
{
    return net_port(c->fd);
}

void cosigner_status(const struct cosigner *c, struct cosigner_status *ret)
{
    *ret = (struct cosigner_status){ .logs = c->settings->evidence.n_observed,
                                     .cosigned = atomic_load(&c->cosigned),
                                     .refused = atomic_load(&c->refused),
                                     .unproved = atomic_load(&c->unproved),
                                     .misbehaved = atomic_load(&c->misbehaved),
                                     .cosigned_at = atomic_load(&c->cosigned_at) };
}
