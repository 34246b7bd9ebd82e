/* See retention.h. Invariants: a segment is removed only when an act that the log holds, under a signed checkpoint,
 * says that everything before a record at or behind its end is removed; it is said and done only when this process has
 * read it once more. */
#include "gateway/act_job.h"
#include "gateway/api_list.h"
#include "gateway/retention.h"

#include <pthread.h>
#include <stdio.h>

enum { DAY_MS = 86400000, LOOKS_BETWEEN = 60 };

/* ---- what grants rest on ---- */
struct resting {
    struct sql_tx *tx;
    int64_t now, keep; /* keep: ms that exchanges are kept; 0: for ever */
};

/* Unsure is yes. */
static bool grants_rest(void *arg, int64_t newest_at, int64_t lived_ms)
{
    const struct resting *r = arg;
    bool needed = true;

    return policy_grant_needed(r->tx, newest_at, r->now, lived_ms, r->keep, &needed) != ERR_OK || needed;
}

bool retention_plan(struct control *c, struct sql_tx *tx, struct audit_retention *r, struct audit_prunable *ret)
{
    const struct evidence_settings *s = &c->settings->evidence;
    struct resting resting = { tx, control_now(c), (int64_t)s->retain_exchanges * DAY_MS };

    *r = (struct audit_retention){ .exchange_ms = resting.keep,
                                   .other_ms = (int64_t)s->retain_operations * DAY_MS,
                                   .rests = grants_rest,
                                   .arg = &resting };
    if (audit_hold_from(tx, &r->hold_from) != ERR_OK)
        return false;
    bool known = audit_retention_plan(c->index, r, resting.now, ret);
    r->rests = NULL; /* it ends with this transaction */
    return known;
}

/* ---- acts of the gateway's own ---- */
struct own_act {
    struct act_job *job;
    struct sql_tx *tx;
    struct audit_record record;
    char author[512];
};

static bool own_begin(struct control *c, struct own_act *o)
{
    const struct settings *s = c->settings;

    *o = (struct own_act){ .job = job_new(c) };
    if (o->job == NULL || sql_begin(c->sql, true, &o->tx, NULL) != ERR_OK) {
        job_free(o->job);
        return false;
    }
    c->in_tx = true;
    snprintf(o->author, sizeof o->author, "spiffe://%.*s/gateway/%.*s", SLICE_ARG(s->trust_domain), SLICE_ARG(s->node));
    o->record = (struct audit_record){ .kind = AUDIT_ACT,
                                       .at = control_now(c),
                                       .author = slice_of(o->author),
                                       .object = SLICE("log"),
                                       .snapshot = c->snapshot->generation };
    return true;
}

/* Takes the act over when all went well, else gives it up. */
static void own_end(struct control *c, struct own_act *o, enum err e)
{
    if (e == ERR_OK)
        e = sql_commit(o->tx, NULL);
    else
        sql_rollback(o->tx);
    c->in_tx = false;
    if (e == ERR_OK) {
        job_start(o->job);
        return;
    }
    log_event(LOG_WARN, "retention-act-failed", "why", err_name(e), NULL);
    job_free(o->job);
}

static enum err own_put(struct own_act *o, const char *verb, struct slice content)
{
    size_t at = o->job->lines.n;
    enum err e;

    o->record.verb = slice_of(verb);
    o->record.content = content;
    e = audit_outbox_add(o->tx, &o->record, false, &o->job->lines);
    return e == ERR_OK ? job_add_line(o->job, o->record.act, at) : e;
}

static void put_plan(struct json *j, struct control *c, const struct audit_prunable *p)
{
    const struct evidence_settings *s = &c->settings->evidence;
    struct audit_index_status x;

    audit_index_status(c->index, &x);
    json_open(j, '{');
    json_pair_u64(j, "from", p->first);
    json_pair_u64(j, "before", p->before);
    json_pair_u64(j, "segments", p->segments);
    json_pair_u64(j, "bytes", p->bytes);
    api_put_time(j, "newest", p->newest_at);
    json_pair_u64(j, "retain_exchanges_days", s->retain_exchanges);
    json_pair_u64(j, "retain_operations_days", s->retain_operations);
    json_pair_u64(j, "log_days", (uint64_t)(x.elapsed_ms / DAY_MS));
    json_close(j, '}');
}

/* ---- reading it once more ---- */
struct reading {
    struct control *c;
    struct audit_prunable plan;
    enum err e;
    struct arena arena;
    struct diags diags;
    struct loop_msg home;
};

static void not_pruned(const struct diags *d)
{
    log_event(LOG_ERROR, "log-not-pruned", "what", d->first ? d->first->what[LANG_EN] : "", NULL);
}

static void *reading_thread(void *arg)
{
    struct reading *r = arg;

    r->e = audit_prune_ready(r->c->index, &r->plan, &r->c->retention.stop, &r->diags);
    loop_post(r->c->loop, &r->home);
    return NULL;
}

static void reading_home(void *arg)
{
    struct reading *r = arg;
    struct control *c = r->c;

    c->retention.reading = false;
    c->retention.was_read = r->e == ERR_OK;
    if (r->e == ERR_OK)
        c->retention.ready = r->plan;
    else if (r->e != ERR_AGAIN)
        not_pruned(&r->diags);
    if (r->e == ERR_CONFLICT)
        audit_index_rebuild(c->index);
    arena_done(&r->arena);
    mem_free(r);
}

/* Without memory or a thread: at a later look. */
static void reading_start(struct control *c, const struct audit_prunable *p)
{
    struct reading *r = mem_zalloc(sizeof *r);
    pthread_attr_t detached;
    pthread_t thread;

    if (r == NULL)
        return;
    r->c = c;
    r->plan = *p;
    r->home = (struct loop_msg){ .fn = reading_home, .arg = r };
    arena_init(&r->arena, 1 << 16);
    diags_init(&r->diags, &r->arena);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    c->retention.reading = pthread_create(&thread, &detached, reading_thread, r) == 0;
    pthread_attr_destroy(&detached);
    c->retention.again = c->retention.looks + LOOKS_BETWEEN; /* what was not right is not read each minute */
    if (!c->retention.reading)
        mem_free(r);
}

/* May what is before this record be said to go, and go? If not yet, it is seen to. */
static bool is_ready(struct control *c, uint64_t before, const struct audit_prunable *p)
{
    if (before <= c->retention.ready.before)
        return true;
    if (!c->retention.reading && !c->draining && c->retention.looks >= c->retention.again)
        reading_start(c, p);
    return false;
}

/* Reading takes its time, and each time more may have become old: what was read goes first, or nothing ever would. */
static void cut_to_ready(const struct control *c, struct audit_prunable *p, uint64_t said)
{
    const struct audit_prunable *ready = &c->retention.ready;

    if (ready->first == p->first && ready->before > p->first && ready->before < p->before && ready->before > said)
        *p = *ready;
}

static void decide(struct control *c)
{
    struct buf content = BUF_INIT(4096);
    struct audit_retention r;
    struct audit_prunable p;
    struct own_act o;
    struct json j;
    uint64_t said = 0;
    enum err e;

    if (!own_begin(c, &o))
        return;
    e = retention_plan(c, o.tx, &r, &p) ? audit_prune_noted(o.tx, INT64_MAX, &said) : ERR_AGAIN;
    if (e == ERR_OK)
        cut_to_ready(c, &p, said);
    /* nothing may go, or an act says so already */
    if (e != ERR_OK || p.before <= p.first || p.before <= said || !is_ready(c, p.before, &p)) {
        sql_rollback(o.tx);
        c->in_tx = false;
        job_free(o.job);
        return;
    }
    json_init(&j, &content);
    put_plan(&j, c, &p);
    e = content.failed == ERR_OK ? own_put(&o, "audit.prune", buf_slice(&content)) : content.failed;
    if (e == ERR_OK)
        e = audit_prune_note(o.tx, o.record.act, p.before);
    own_end(c, &o, e);
    buf_done(&content);
}

/* A day without any record would be a day that the log's own time does not know of. */
static void mark_day(struct control *c, uint64_t size)
{
    struct own_act o;

    if (size != c->retention.size) {
        c->retention.size = size;
        c->retention.grew = clock_mono_ms();
    }
    if (clock_mono_ms() - c->retention.grew < DAY_MS || !own_begin(c, &o))
        return;
    own_end(c, &o, own_put(&o, "log.day", SLICE("{}")));
}

/* ---- removing what an act said ---- */
/* What acts up to last_act said, if it may still go: a hold that came meanwhile, or longer settings, win. 0: nothing.
 */
static uint64_t noted(struct control *c, uint64_t last_act)
{
    struct audit_retention r;
    struct audit_prunable p;
    struct sql_tx *tx;
    uint64_t before = 0;
    bool may;

    if (sql_begin(c->sql, false, &tx, NULL) != ERR_OK)
        return 0;
    may = audit_prune_noted(tx, last_act, &before) == ERR_OK && retention_plan(c, tx, &r, &p) && before <= p.before &&
          before > p.first && is_ready(c, before, &p);
    sql_rollback(tx);
    return may ? before : 0;
}

static void carry_out(struct control *c, uint64_t before)
{
    char text[32];
    struct diags d;
    struct arena a;

    arena_init(&a, 1 << 16);
    diags_init(&d, &a);
    snprintf(text, sizeof text, "%llu", (unsigned long long)before);
    if (audit_prune(c->index, before, &d) == ERR_OK)
        log_event(LOG_INFO, "log-pruned", "before", text, NULL);
    else
        not_pruned(&d);
    arena_done(&a);
}

void retention_look(struct control *c, bool now)
{
    struct audit_status s;
    struct audit_index_status x;
    uint64_t before;
    bool covered;

    audit_status(c->log, &s);
    audit_index_status(c->index, &x);
    covered = s.checkpoint_size >= c->retention.seen; /* what was durable at the look before is signed now */
    c->retention.seen = s.size;
    if (!s.available || c->in_tx)
        return;
    mark_day(c, s.size);
    before = covered && c->retention.looks > 0 ? noted(c, c->retention.last_act) : 0;
    c->retention.last_act = s.last_act;
    if (before > x.first) {
        carry_out(c, before);
    } else if (now || c->retention.was_read || c->retention.looks % LOOKS_BETWEEN == 0) {
        c->retention.was_read = false;
        decide(c);
    }
    c->retention.looks++;
}
