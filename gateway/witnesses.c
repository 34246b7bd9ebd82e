/* Rounds: the newest checkpoint is sent to every witness that has not signed it; their lines are gathered on it, and
 * with the quorum it becomes the one that proofs are shown by. The next round begins when all have answered or failed.
 * What a witness has seen is known from its last answer; if it is another size, its 409 tells, and it is asked once
 * more. Answers are hostile until the witness's own signature holds; everything is bounded in bytes, and each call in
 * time as a whole, however busily it trickles. */
#include "gateway/witnesses.h"
#include "base/net/net.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

enum {
    TICK_MS = 200,
    RETRY_MS = 1000,
    RETRY_MOST = 6, /* doublings */
    NOTE_ROOM = 16384,
    REQUEST_MAX = 32768
};

struct one {
    struct witnesses *all;
    const struct settings_witness *s;
    struct audit_witness w;
    struct tls_context *tls; /* own; NULL: plain */
    struct http_client *http;
    struct name *where; /* ref: of its host */
    struct sockaddr_storage to;
    bool opened;          /* http came to be a connection */
    uint64_t seen;        /* size that it has signed last, as far as is known */
    uint64_t signed_size; /* of the checkpoint of this process that it has signed last */
    int64_t retry_at;     /* mono ms */
    unsigned failures;
    int64_t asked_at; /* mono ms */
    bool busy, asked_again;
    int status;
    struct buf reply;
    enum witness_state state; /* this and the next under the lock */
    int64_t signed_at;
};
struct witnesses {
    const struct settings *settings;
    struct audit_log *log;
    struct gate *gate;
    struct names *names;
    struct loop *loop;
    struct alarm tick;
    pthread_t thread;
    bool running;
    struct loop_msg end;
    size_t n;
    struct one at[SETTINGS_WITNESSES];
    struct audit_witness keys[SETTINGS_WITNESSES];
    struct buf note;      /* of this round, with the lines gathered so far */
    uint64_t size;        /* of that checkpoint */
    int64_t round_at;     /* mono ms */
    int64_t store_at;     /* mono ms: the note has the quorum and could not be stored, next try; 0: not so */
    pthread_mutex_t lock; /* for other threads' sake: what witnesses_status reads is written under it */
    uint64_t witnessed;
    int64_t behind_since; /* mono ms; 0: nothing is without the quorum */
    bool late;
};

/* ---- one witness ---- */
static void set_state(struct one *o, enum witness_state state)
{
    static const char *const words[] = { "new", "signs", "unreachable", "refuses" };
    bool changed;

    pthread_mutex_lock(&o->all->lock);
    changed = o->state != state;
    o->state = state;
    if (state == WITNESS_SIGNS)
        o->signed_at = clock_wall_ms();
    pthread_mutex_unlock(&o->all->lock);
    if (changed)
        log_event(state == WITNESS_SIGNS ? LOG_INFO : LOG_ERROR, "witness", "name", o->w.name, "state", words[state],
                  NULL);
}

static void failed(struct one *o, enum witness_state state)
{
    unsigned doublings = o->failures < RETRY_MOST ? o->failures : RETRY_MOST;

    o->busy = false;
    o->failures++;
    o->retry_at = clock_mono_ms() + ((int64_t)RETRY_MS << doublings);
    if (o->http && !o->opened)
        (void)name_unreachable(o->where, &o->to);
    if (o->http)
        o->http = http_client_free(o->http);
    set_state(o, state);
}

/* The lines of its reply that hold move to the round's note; lines of other keys are left out. */
static bool lines_take(struct one *o)
{
    struct witnesses *w = o->all;
    struct slice rest = buf_slice(&o->reply);
    bool good = false;

    while (rest.n > 0 && !good) {
        struct buf both = BUF_INIT(NOTE_ROOM);
        struct slice line = slice_cut(&rest, '\n');
        int64_t at;
        buf_put(&both, buf_slice(&w->note));
        buf_put(&both, line);
        buf_putc(&both, '\n');
        good = both.failed == ERR_OK && audit_cosigned_by(buf_slice(&both), &o->w, &at);
        if (good) {
            struct buf old = w->note;
            w->note = both;
            both = old;
        }
        buf_done(&both);
    }
    return good;
}

static void round_count(struct witnesses *w)
{
    audit_cosigned_set(w->log, buf_slice(&w->note));
    if (audit_cosigned(buf_slice(&w->note), w->keys, w->n) < w->settings->evidence.quorum)
        return;
    if (audit_witnessed_set(w->log, buf_slice(&w->note)) != ERR_OK) {
        log_event(LOG_ERROR, "witnessed-checkpoint", "what", "cannot be stored", NULL);
        w->store_at = clock_mono_ms() + RETRY_MS;
        return;
    }
    w->store_at = 0;
    pthread_mutex_lock(&w->lock);
    w->witnessed = w->size;
    pthread_mutex_unlock(&w->lock);
}

static void ask(struct one *o);

/* It has seen another size than was thought: asked once more from there. One that is ahead has seen another log. */
static void on_conflict(struct one *o)
{
    struct slice text = buf_slice(&o->reply);
    uint64_t size;

    if (!o->asked_again && slice_u64(slice_cut(&text, '\n'), 0, o->all->size, &size) && size != o->seen) {
        o->asked_again = true;
        o->seen = size;
        o->busy = false;
        ask(o);
        return;
    }
    failed(o, WITNESS_REFUSES);
}

static void on_head(void *user, const struct http_head *h)
{
    struct one *o = user;

    o->status = h->status;
    buf_clear(&o->reply);
}

static enum witness_state what_of(const struct one *o)
{
    return o->status >= 500 ? WITNESS_UNREACHABLE : WITNESS_REFUSES;
}

static void on_body(void *user, struct slice bytes)
{
    struct one *o = user;

    buf_put(&o->reply, bytes);
    if (o->reply.failed != ERR_OK)
        failed(o, what_of(o)); /* nobody waits for the end of what is too long */
}

static void on_end(void *user, bool reusable)
{
    struct one *o = user;

    if (!reusable)
        o->http = http_client_free(o->http);
    if (o->status == 409 && o->reply.failed == ERR_OK) {
        on_conflict(o);
        return;
    }
    if (o->status != 200 || o->reply.failed != ERR_OK || !lines_take(o)) {
        failed(o, what_of(o));
        return;
    }
    o->busy = false;
    o->failures = 0;
    o->retry_at = 0;
    o->seen = o->signed_size = o->all->size;
    set_state(o, WITNESS_SIGNS);
    round_count(o->all);
}

static void on_fail(void *user, enum reason why, bool sent)
{
    (void)why, (void)sent;
    failed(user, WITNESS_UNREACHABLE);
}

static void on_opened(void *user)
{
    ((struct one *)user)->opened = true;
}

static void on_idle_closed(void *user)
{
    struct one *o = user;

    o->http = http_client_free(o->http);
}

static const struct http_client_events events = {
    .head = on_head, .body = on_body, .end = on_end, .fail = on_fail, .opened = on_opened, .idle_closed = on_idle_closed
};

/* This gateway's own certificate is shown to a witness that asks for one. Read anew for each connection: it is renewed
 * while the daemon runs; what cannot be read leaves the one before in use. */
static enum err tls_load(struct one *o, struct diags *d)
{
    const struct tls_settings *s = &o->all->settings->tls;
    struct tls_client tls = {
        .mode = TLS_MUTUAL, .ca_file = o->s->ca.p, .cert_file = s->certificate.p, .key_file = s->key.p
    };
    struct tls_context *next = NULL;
    enum err e = o->s->tls ? tls_client_new(&tls, &next, d) : ERR_OK;

    if (next != NULL) {
        tls_unref(o->tls);
        o->tls = next;
    }
    return e;
}

/* What its certificate has to name: the host without port, an IPv6 address without brackets. */
static struct slice name_in_certificate(struct slice host)
{
    if (slice_starts(host, SLICE("[")))
        return slice_sub(host, 1, slice_find(host, ']') - 1);
    return slice_sub(host, 0, slice_find(host, ':'));
}

static enum err connect_to(struct one *o)
{
    struct slice name = name_in_certificate(o->s->host);

    if (name_address(o->where, &o->to) == 0)
        return ERR_NOT_FOUND; /* not known where, or not yet: nobody waits for that */
    (void)!tls_load(o, NULL);
    o->opened = false;
    o->http = http_client_new(o->all->loop, &o->to, o->tls, name, &events, o, WITNESS_CALL_MS);
    return o->http ? ERR_OK : ERR_NOMEM;
}

static enum err send_to(struct one *o)
{
    static const struct http_header type = { { "Content-Type", 12 }, { "text/plain", 10 } };
    struct buf body = BUF_INIT(REQUEST_MAX), text = BUF_INIT(2 * REQUEST_MAX), target = BUF_INIT(2048);
    enum err e = audit_add_checkpoint(o->all->log, o->seen, buf_slice(&o->all->note), &body);

    buf_put(&target, o->s->path);
    buf_puts(&target, "/add-checkpoint");
    if (e == ERR_OK)
        e = target.failed;
    if (e == ERR_OK)
        e = http_request_put(&text, SLICE("POST"), buf_slice(&target), o->s->host, &type, 1, buf_slice(&body));
    if (e == ERR_OK && o->http == NULL)
        e = connect_to(o);
    if (e == ERR_OK)
        e = http_client_send(o->http, buf_slice(&text), false, WITNESS_CALL_MS);
    buf_done(&body);
    buf_done(&text);
    buf_done(&target);
    return e;
}

static void ask(struct one *o)
{
    o->busy = true;
    o->asked_at = clock_mono_ms();
    if (send_to(o) != ERR_OK)
        failed(o, WITNESS_UNREACHABLE);
}

/* ---- rounds ---- */
/* All that a call may take, for the others wait for the round's end: half the bound of lateness at most. */
static bool takes_too_long(const struct one *o, int64_t now)
{
    int64_t half = o->all->settings->evidence.witness_bound_ms / 2;

    return o->busy && now - o->asked_at > (half < WITNESS_CALL_MS ? half : WITNESS_CALL_MS);
}

static bool any_busy(struct witnesses *w, int64_t now)
{
    bool busy = false;

    for (size_t i = 0; i < w->n; i++) {
        if (takes_too_long(&w->at[i], now))
            failed(&w->at[i], WITNESS_UNREACHABLE);
        busy = busy || w->at[i].busy;
    }
    return busy;
}

/* The newest checkpoint; lines gathered on the same one stay. */
static bool round_begin(struct witnesses *w, int64_t now)
{
    struct audit_status s;

    audit_status(w->log, &s);
    if (s.checkpoint_size == w->size)
        return true;
    buf_clear(&w->note);
    w->store_at = 0;
    if (audit_checkpoint(w->log, &w->note) != ERR_OK)
        return false;
    w->size = audit_note_size(buf_slice(&w->note));
    w->round_at = now;
    return w->size > 0;
}

static void look_at_lateness(struct witnesses *w, int64_t now)
{
    bool stop = w->settings->evidence.witness_late == WITNESS_STOP, late;
    int64_t since = w->behind_since;
    struct audit_status s;

    audit_status(w->log, &s);
    if (w->witnessed >= s.checkpoint_size)
        since = 0;
    else if (since == 0)
        since = now;
    else if (w->witnessed == w->size && since < w->round_at)
        since = w->round_at; /* what is without the quorum came after that round's checkpoint */
    late = since != 0 && now - since > w->settings->evidence.witness_bound_ms;
    if (late != w->late)
        log_event(late ? LOG_ERROR : LOG_INFO, late ? "witnesses-late" : "witnesses-back", "exchanges",
                  late && stop ? "stopped" : "served", NULL);
    pthread_mutex_lock(&w->lock);
    w->behind_since = since;
    w->late = late;
    pthread_mutex_unlock(&w->lock);
    atomic_store(&w->gate->unwitnessed, late && stop);
}

static void on_tick(struct alarm *a)
{
    struct witnesses *w = (struct witnesses *)((char *)a - offsetof(struct witnesses, tick));
    int64_t now = clock_mono_ms();

    if (!any_busy(w, now) && round_begin(w, now))
        for (size_t i = 0; i < w->n; i++)
            if (w->at[i].signed_size != w->size && now >= w->at[i].retry_at &&
                name_state(w->at[i].where) != NAME_ASKED) {
                w->at[i].asked_again = false;
                ask(&w->at[i]);
            }
    if (w->store_at != 0 && now >= w->store_at)
        round_count(w); /* who has signed is not asked again, and another checkpoint may be long in coming */
    look_at_lateness(w, now);
    alarm_set(w->loop, a, TICK_MS);
}

/* ---- life ---- */
static void *run(void *arg)
{
    struct witnesses *w = arg;
    sigset_t all;

    sigfillset(&all); /* signals are the control thread's */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    alarm_set(w->loop, &w->tick, 1);
    loop_run(w->loop);
    return NULL;
}

static enum err one_begin(struct witnesses *w, size_t i, struct diags *d)
{
    struct one *o = &w->at[i];
    enum err e;

    *o = (struct one){ .all = w, .s = &w->settings->evidence.witness[i], .reply = BUF_INIT(WITNESS_REPLY_MAX) };
    if (audit_witness_read(o->s->key, &o->w) != ERR_OK)
        return ERR_INVALID;
    w->keys[i] = o->w;
    e = name_get(w->names, o->s->host, o->s->tls ? 443 : 80, &o->where, d);
    return e == ERR_OK ? tls_load(o, d) : e;
}

/* What the quorum signed before the last stop; what no longer has the quorum (another was set) is left alone. */
static void begin_with(struct witnesses *w)
{
    struct buf text = BUF_INIT(NOTE_ROOM);
    char path[4200];

    snprintf(path, sizeof path, "%s/checkpoint.witnessed", audit_dir(w->log));
    if (file_read(path, &text, NULL) == ERR_OK &&
        audit_cosigned(buf_slice(&text), w->keys, w->n) >= w->settings->evidence.quorum &&
        audit_witnessed_set(w->log, buf_slice(&text)) == ERR_OK)
        w->witnessed = audit_note_size(buf_slice(&text));
    for (size_t i = 0; i < w->n; i++)
        w->at[i].seen = w->witnessed;
    buf_done(&text);
}

enum err witnesses_start(const struct settings *s, struct audit_log *log, struct gate *gate, struct names *names,
                         struct witnesses **ret, struct diags *d)
{
    struct witnesses *w = s->evidence.n_witnesses > 0 ? mem_zalloc(sizeof *w) : NULL;
    enum err e = ERR_OK;

    if (s->evidence.n_witnesses == 0 || w == NULL)
        return w == NULL && s->evidence.n_witnesses > 0 ? ERR_NOMEM : ERR_OK;
    w->settings = s;
    w->log = log;
    w->gate = gate;
    w->names = names;
    w->note = BUF_INIT(NOTE_ROOM);
    pthread_mutex_init(&w->lock, NULL);
    alarm_init(&w->tick, on_tick);
    for (; e == ERR_OK && w->n < s->evidence.n_witnesses; w->n++)
        e = one_begin(w, w->n, d);
    w->loop = loop_new();
    if (e == ERR_OK && w->loop == NULL)
        e = ERR_NOMEM;
    if (e == ERR_OK)
        begin_with(w);
    if (e == ERR_OK && pthread_create(&w->thread, NULL, run, w) != 0)
        e = ERR_SYS;
    w->running = e == ERR_OK;
    if (e == ERR_OK)
        *ret = w;
    else
        witnesses_stop(w);
    return e;
}

static void on_stop(void *arg)
{
    struct witnesses *w = arg;

    alarm_clear(&w->tick);
    for (size_t i = 0; i < w->n; i++)
        if (w->at[i].http)
            w->at[i].http = http_client_free(w->at[i].http);
    loop_stop(w->loop);
}

struct witnesses *witnesses_stop(struct witnesses *w)
{
    if (w == NULL)
        return NULL;
    if (w->running) {
        w->end = (struct loop_msg){ .fn = on_stop, .arg = w };
        loop_post(w->loop, &w->end);
        pthread_join(w->thread, NULL);
    }
    for (size_t i = 0; i < w->n; i++) {
        if (w->at[i].tls)
            tls_unref(w->at[i].tls);
        name_unref(w->at[i].where);
        buf_done(&w->at[i].reply);
    }
    if (w->loop)
        loop_free(w->loop);
    buf_done(&w->note);
    pthread_mutex_destroy(&w->lock);
    return mem_free(w);
}

void witnesses_status(struct witnesses *w, struct witnesses_status *ret)
{
    int64_t now = clock_mono_ms();

    *ret = (struct witnesses_status){ .n = w->n,
                                      .quorum = w->settings->evidence.quorum,
                                      .stops = w->settings->evidence.witness_late == WITNESS_STOP };
    pthread_mutex_lock(&w->lock);
    ret->size = w->witnessed;
    ret->late = w->late;
    ret->behind_ms = w->behind_since != 0 ? now - w->behind_since : 0;
    for (size_t i = 0; i < w->n; i++) {
        snprintf(ret->at[i].name, sizeof ret->at[i].name, "%s", w->at[i].w.name);
        ret->at[i].state = w->at[i].state;
        ret->at[i].signed_at = w->at[i].signed_at;
    }
    pthread_mutex_unlock(&w->lock);
}
