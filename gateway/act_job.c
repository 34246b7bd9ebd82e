/* The pipeline of committed acts. Lines go to the log in the order of their numbers; a line that the log refused goes
 * again, and all behind it, for the log takes acts only without holes. A widening act is published when its lines are
 * durable, a narrowing one at once; an author is answered when every worker has confirmed (and, while the log can be
 * written, when the record is durable). */
#include "gateway/act_job.h"

#include <poll.h>

enum {
    RETRY_SOON_MS = 20,
    RETRY_MS = 1000,
    FLUSH_MS = 1000,
    REPLAY_TRIES = 50,
    REPLAY_WAIT_MS = 100,
    REPLAY_CAP = 256 << 20
};

static bool log_available(struct control *c)
{
    struct audit_status s;

    audit_status(c->log, &s);
    return s.available;
}

static bool is_durable(const struct act_job *j)
{
    for (size_t i = 0; i < j->n_lines; i++)
        if (j->line[i].state != LINE_DURABLE)
            return false;
    return true;
}

/* ---- to the log ---- */
void act_flush_done(struct control *c)
{
    struct sql_tx *tx;
    enum err e;

    if (c->n_done == 0 || c->in_tx || sql_begin(c->sql, true, &tx, NULL) != ERR_OK)
        return;
    e = ERR_OK;
    for (unsigned i = 0; e == ERR_OK && i < c->n_done; i++)
        e = audit_outbox_done(tx, c->done[i].act, c->done[i].index);
    /* What is lost here is found again at the next start: the log knows its acts. */
    if (e == ERR_OK)
        e = sql_commit(tx, NULL);
    else
        sql_rollback(tx);
    c->n_done = 0;
    if (e != ERR_OK)
        log_event(LOG_WARN, "outbox-not-noted", "why", err_name(e), NULL);
}

static void note_done(struct control *c, uint64_t act, uint64_t index)
{
    if (c->n_done == DONE_BATCH)
        act_flush_done(c);
    if (c->n_done == DONE_BATCH)
        return;
    if (c->n_done == 0)
        alarm_set(c->loop, &c->flush, FLUSH_MS);
    c->done[c->n_done++] = (struct act_done){ act, index };
}

static void on_line(struct control_waiter *w, enum err e, uint64_t index)
{
    struct act_line *l = (struct act_line *)(void *)w;
    struct control *c = l->job->control;

    c->outstanding--;
    if (e == ERR_OK || e == ERR_EXISTS) {
        l->state = LINE_DURABLE;
        if (e == ERR_OK)
            note_done(c, l->act, index);
        return;
    }
    l->state = LINE_WAITS;
    c->held = true;
    alarm_set(c->loop, &c->retry, RETRY_MS);
}

static void put_lines(struct control *c)
{
    for (struct act_job *j = c->jobs; j && !c->held; j = j->next)
        for (size_t i = 0; i < j->n_lines; i++) {
            struct act_line *l = &j->line[i];
            enum err e;
            if (l->state != LINE_WAITS)
                continue;
            l->waiter.done = on_line;
            e = audit_put_line(c->queue, slice_sub(buf_slice(&j->lines), l->at, l->n), l->act,
                               j->narrows ? AUDIT_ESSENTIAL : 0, l);
            if (e != ERR_OK) {
                c->held = true;
                alarm_set(c->loop, &c->retry, e == ERR_AGAIN ? RETRY_SOON_MS : RETRY_MS);
                break;
            }
            l->state = LINE_PUT;
            c->outstanding++;
        }
    audit_kick(c->queue);
}

static void on_record(void *waiter, enum err e, uint64_t index)
{
    struct control_waiter *w = waiter;

    w->done(w, e, index);
}

void act_on_log(void *control)
{
    struct control *c = control;

    if (audit_poll(c->queue) > 0)
        job_pump(c);
}

/* ---- to the workers ---- */
static void on_confirmed(struct worker_note *n)
{
    struct act_job *j = ((struct job_note *)(void *)n)->job;

    j->waiting--;
    job_pump(j->control);
}

static enum err reload_touched(struct act_job *j, struct snapshot *s)
{
    struct control *c = j->control;
    struct snapshot_source from = { .world = &c->world, .now = control_now(c), .renew = j->renew, .recode = j->recode };
    struct diags d;
    struct arena a;
    enum err e = ERR_OK;

    if (j->n_touch == 0)
        return ERR_OK;
    arena_init(&a, 1 << 20);
    diags_init(&d, &a);
    e = sql_begin(c->sql, false, &from.tx, &d);
    for (size_t i = 0; e == ERR_OK && i < j->n_touch; i++)
        e = snapshot_reload(s, j->touch[i].kind, slice_of(j->touch[i].id), &from, &d);
    sql_rollback(from.tx);
    for (const struct diag *at = d.first; at; at = at->next)
        log_event(LOG_ERROR, "snapshot-object", "what", at->what[LANG_EN], NULL);
    arena_done(&a);
    return e;
}

/* What it finds wrong with the files the minute's look tells. */
static enum err load_trust(struct act_job *j)
{
    struct diags d;
    struct arena a;
    enum err e;

    arena_init(&a, 1 << 20);
    diags_init(&d, &a);
    e = control_trust_load(j->control, true, &j->trust, &d);
    arena_done(&a);
    return e;
}

/* The list is for others: here a revocation holds by the state. False: it has to be written yet, and is tried again. */
static bool list_written(struct act_job *j)
{
    struct control *c = j->control;
    enum err e;

    if (!j->write_crl)
        return true;
    e = control_crl_write(c, NULL);
    if (e == ERR_FULL && reserve_free(c))
        e = control_crl_write(c, NULL);
    j->write_crl = e != ERR_OK;
    if (e == ERR_OK)
        return true;
    log_event(LOG_ERROR, "crl-not-written", "why", err_name(e), NULL);
    j->list_due = loop_now(c->loop) + RETRY_MS;
    alarm_set(c->loop, &c->retry, RETRY_MS);
    return false;
}

static enum err fresh_trust(struct act_job *j)
{
    (void)list_written(j);
    return j->load_trust ? load_trust(j) : ERR_OK;
}

/* A list that could not be written when its revocation took effect, once a second: with it trust is loaded anew. The
 * alarm is everybody's, and tells no job that its second is over. */
static void list_again(struct act_job *j)
{
    struct control *c = j->control;

    if (!j->published || !j->write_crl || j->waiting > 0)
        return;
    if (loop_now(c->loop) >= j->list_due)
        j->published = !list_written(j);
    else if (c->retry.pprev == NULL)
        alarm_set(c->loop, &c->retry, RETRY_MS);
}

static void give(struct act_job *j, struct snapshot *s)
{
    struct control *c = j->control;
    bool trust = j->trust != NULL;

    snapshot_unref(c->snapshot);
    c->snapshot = s;
    providers_note(c);
    trust_swap(&c->trust, s->trust);
    if (trust)
        api_connections_recheck(c);
    for (unsigned i = 0; i < c->n_workers; i++) {
        j->waiting++;
        j->notes[i].job = j;
        worker_swap(c->workers[i], &j->notes[i].note, s, c->loop, on_confirmed);
    }
}

static enum err publish(struct act_job *j)
{
    struct control *c = j->control;
    struct snapshot *s;
    enum err e = fresh_trust(j);

    if (e != ERR_OK)
        return e;
    if (j->n_touch == 0 && j->trust == NULL)
        return ERR_OK;
    s = snapshot_next(c->snapshot);
    if (s == NULL)
        return ERR_NOMEM;
    e = reload_touched(j, s);
    if (e != ERR_OK) {
        snapshot_unref(s);
        return e;
    }
    if (j->trust) {
        if (s->trust)
            certs_trust_unref(s->trust);
        s->trust = certs_trust_ref(j->trust);
        s->trust_generation++;
    }
    give(j, s);
    return ERR_OK;
}

/* ---- to the author ---- */
static struct api_request *take_author(struct act_job *j)
{
    struct api_request *q = j->q;

    j->q = NULL;
    return q;
}

static void answer_done(struct act_job *j)
{
    struct api_request *q = take_author(j);

    if (q == NULL)
        return;
    if (j->then)
        j->then(q);
    else
        api_ok(q);
}

static void answer_later(struct act_job *j, enum reason r, const char *en, const char *zh)
{
    struct api_request *q = take_author(j);

    if (q)
        api_problem(q, r, en, zh);
}

static bool touches(const struct act_job *j, const struct act_touched *what)
{
    for (size_t i = 0; i < j->n_touch; i++)
        if (j->touch[i].kind == what->kind && strcmp(j->touch[i].id, what->id) == 0)
            return true;
    return false;
}

/* An object is loaded as the state has it: with what a later act gave it, which may not hold before its own record. */
static bool waits_for_later(const struct act_job *j)
{
    for (const struct act_job *k = j->next; k; k = k->next)
        for (size_t i = 0; !k->narrows && !is_durable(k) && i < j->n_touch; i++)
            if (touches(k, &j->touch[i]))
                return true;
    return false;
}

/* What narrows holds at once. A renewal narrows nobody: it only needs no record of its own. */
static bool may_publish(const struct act_job *j)
{
    if (j->narrows && !j->renew)
        return true;
    return (j->narrows || is_durable(j)) && !waits_for_later(j);
}

/* One job as far as it goes; true when it is over. */
static bool advance(struct act_job *j)
{
    struct control *c = j->control;
    bool durable = is_durable(j), available = log_available(c);

    list_again(j);
    if (!j->published && may_publish(j)) {
        enum err e = publish(j);
        j->published = e == ERR_OK;
        if (e != ERR_OK) {
            j->load_trust = j->load_trust || j->trust != NULL; /* at the next try another's may be in force */
            log_event(LOG_ERROR, "act-not-published", "why", err_name(e), NULL);
            alarm_set(c->loop, &c->retry, RETRY_MS);
            answer_later(j, REASON_INTERNAL,
                         "it is stored, but does not hold on every path yet; it is tried again every second",
                         "已存储，但尚未在所有路径生效；每秒重试一次");
        }
    }
    if (!durable && c->retry.pprev == NULL)
        alarm_set(c->loop, &c->retry, RETRY_MS); /* look again: the log may have become unavailable */
    if (j->published && j->waiting == 0 && j->write_crl)
        answer_later(
            j, REASON_INTERNAL,
            "it is stored and holds here, but the revocation list, which others read, cannot be written yet; it "
            "is tried again every second",
            "已存储并在本节点生效，但供其他方读取的吊销列表尚无法写入；每秒重试一次");
    else if (j->published && j->waiting == 0 && (durable || (j->narrows && !available)))
        answer_done(j);
    else if (!j->published && !j->narrows && !available)
        answer_later(j, REASON_EVIDENCE_UNAVAILABLE, "it is stored, and takes effect when its record can be written",
                     "已存储，存证恢复写入后生效");
    return durable && j->published && j->waiting == 0 && !j->write_crl;
}

static void pump_once(struct control *c)
{
    struct act_job **at = &c->jobs;

    put_lines(c);
    while (*at) {
        struct act_job *j = *at;
        if (!advance(j)) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        job_free(j);
    }
    c->jobs_tail = at;
}

void job_pump(struct control *c)
{
    if (c->pumping) {
        c->pump_again = true;
        return;
    }
    c->pumping = true;
    do {
        c->pump_again = false;
        pump_once(c);
    } while (c->pump_again);
    c->pumping = false;
}

void job_start(struct act_job *j)
{
    struct control *c = j->control;

    j->next = NULL;
    if (c->pumping) { /* pump_once walks by pointers to pointers: the end is found by walking, too */
        struct act_job **at = &c->jobs;
        while (*at)
            at = &(*at)->next;
        *at = j;
    } else {
        *c->jobs_tail = j;
        c->jobs_tail = &j->next;
    }
    job_pump(c);
}

/* ---- life ---- */
static void on_retry(struct alarm *a)
{
    struct control *c = (struct control *)((char *)a - offsetof(struct control, retry));

    c->held = false;
    job_pump(c);
}

static void on_flush(struct alarm *a)
{
    act_flush_done((struct control *)((char *)a - offsetof(struct control, flush)));
}

enum err act_init(struct control *c)
{
    c->jobs_tail = &c->jobs;
    alarm_init(&c->retry, on_retry);
    alarm_init(&c->flush, on_flush);
    return audit_queue_new(c->log, c->settings->evidence.queue_bytes, on_record, &c->queue);
}

void act_free_all(struct control *c)
{
    alarm_clear(&c->retry);
    alarm_clear(&c->flush);
    if (c->queue)
        audit_forget(c->queue, &c->counter);
    while (c->jobs) {
        struct act_job *j = c->jobs;
        c->jobs = j->next;
        for (size_t i = 0; i < j->n_lines; i++)
            audit_forget(c->queue, &j->line[i]);
        if (j->q)
            api_free(j->q);
        job_free(j);
    }
}

size_t act_pending(const struct control *c)
{
    size_t n = 0;

    for (const struct act_job *j = c->jobs; j; j = j->next)
        n++;
    return n;
}

bool act_waits(const struct control *c)
{
    for (const struct act_job *j = c->jobs; j; j = j->next)
        if (!is_durable(j))
            return true;
    return false;
}

bool act_enrols(const struct control *c, const struct sha256 *digest)
{
    for (const struct act_job *j = c->jobs; j; j = j->next)
        if (!is_durable(j) && memcmp(j->enrols.b, digest->b, sizeof digest->b) == 0)
            return true;
    return false;
}

void act_publish_trust(struct control *c, struct certs_trust *t)
{
    struct act_job *j = job_new(c);

    if (j == NULL) {
        certs_trust_unref(t);
        c->trust_stamp = 0; /* the next minute finds the files changed */
        log_event(LOG_ERROR, "act-not-published", "why", err_name(ERR_NOMEM), NULL);
        return;
    }
    j->narrows = true;
    j->trust = t;
    job_start(j);
}

/* ---- start-up ---- */
static enum err take_line(void *arg, uint64_t act, struct slice line)
{
    struct act_job *j = arg;
    size_t at = j->lines.n;

    buf_put(&j->lines, line);
    return j->lines.failed == ERR_OK ? job_add_line(j, act, at) : j->lines.failed;
}

/* Not for ever: a log that refuses answers at once, again and again. */
static enum err wait_durable(struct control *c, struct diags *d)
{
    struct pollfd p = { .fd = audit_queue_fd(c->queue), .events = POLLIN };
    struct audit_status s;
    uint64_t last = 0;

    for (unsigned tries = 0; c->jobs && tries < REPLAY_TRIES; tries++) {
        audit_kick(c->queue);
        poll(&p, 1, REPLAY_WAIT_MS);
        c->held = false;
        audit_poll(c->queue);
        if (c->held)
            poll(NULL, 0, REPLAY_WAIT_MS);
        audit_status(c->log, &s);
        if (s.last_act > last)
            tries = 0;
        last = s.last_act;
        c->held = false;
        job_pump(c);
    }
    if (c->jobs == NULL)
        return ERR_OK;
    return diag_add(
        d, ERR_FULL, 0, 0,
        "acts that are in the state cannot be appended to the evidence log: make room on its disk, then start "
        "again",
        "状态中的操作无法写入存证日志：请为其磁盘腾出空间后重新启动");
}

enum err act_replay(struct control *c, struct diags *d)
{
    struct act_job *j = job_new(c);
    struct sql_tx *tx = NULL;
    enum err e;

    if (j == NULL)
        return ERR_NOMEM;
    j->lines.cap = REPLAY_CAP;
    e = sql_begin(c->sql, true, &tx, d);
    if (e == ERR_OK)
        e = audit_outbox_replay(tx, c->log, take_line, j, d);
    if (e == ERR_OK)
        e = sql_commit(tx, d);
    else if (tx)
        sql_rollback(tx);
    if (e != ERR_OK || j->n_lines == 0) {
        job_free(j);
        return e;
    }
    job_start(j);
    return wait_durable(c, d);
}
