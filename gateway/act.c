/* Making acts: one write transaction holds the change and the exact lines of its records; what follows the commit is
 * act_job.c's. Invariant: all memory that the way after the commit needs is there before the commit. */
#include "gateway/act_job.h"

enum { LINES_CAP = 16 << 20, GROW = 8 };

/* ---- jobs ---- */
struct act_job *job_new(struct control *c)
{
    struct act_job *j = mem_zalloc(sizeof *j + c->n_workers * sizeof j->notes[0]);

    if (j == NULL)
        return NULL;
    j->control = c;
    buf_init(&j->lines, LINES_CAP);
    return j;
}

void job_free(struct act_job *j)
{
    if (j == NULL)
        return;
    if (j->trust)
        certs_trust_unref(j->trust);
    buf_done(&j->lines);
    mem_free(j->line);
    mem_free(j->touch);
    mem_free(j);
}

static bool grow(void **at, size_t n, size_t *room, size_t size)
{
    size_t more = *room ? *room * 2 : GROW;
    void *p;

    if (n < *room)
        return true;
    p = mem_grow(*at, more * size);
    if (p == NULL)
        return false;
    *at = p;
    *room = more;
    return true;
}

enum err job_add_line(struct act_job *j, uint64_t act, size_t at)
{
    void *list = j->line;
    bool ok = grow(&list, j->n_lines, &j->lines_room, sizeof *j->line);

    j->line = list;
    if (!ok)
        return ERR_NOMEM;
    j->line[j->n_lines++] = (struct act_line){ .job = j, .act = act, .at = at, .n = j->lines.n - at };
    return ERR_OK;
}

enum err job_add_touch(struct act_job *j, enum snapshot_kind kind, struct slice id)
{
    void *list = j->touch;
    bool ok;

    if (id.n >= sizeof j->touch->id)
        return ERR_TOO_LARGE;
    ok = grow(&list, j->n_touch, &j->touch_room, sizeof *j->touch);
    j->touch = list;
    if (!ok)
        return ERR_NOMEM;
    j->touch[j->n_touch].kind = kind;
    memset(j->touch[j->n_touch].id, 0, sizeof j->touch->id);
    memcpy(j->touch[j->n_touch++].id, id.p, id.n);
    return ERR_OK;
}

/* ---- what handlers call ---- */
static bool log_available(struct control *c)
{
    struct audit_status s;

    audit_status(c->log, &s);
    return s.available;
}

enum err act_begin(struct api_request *q, struct act *a, bool narrows)
{
    struct control *c = q->control;
    enum err e;

    *a = (struct act){ .narrows = narrows };
    q->narrowing = narrows;
    if (!narrows && !log_available(c)) {
        api_problem(q, REASON_EVIDENCE_UNAVAILABLE, NULL, NULL);
        return ERR_DOWN;
    }
    a->job = job_new(c);
    if (a->job == NULL) {
        api_error(q, ERR_NOMEM);
        return ERR_NOMEM;
    }
    e = sql_begin(c->sql, true, &a->tx, &q->diags);
    if (e != ERR_OK) {
        job_free(a->job);
        a->job = NULL;
        api_error(q, e);
        return e;
    }
    c->in_tx = true;
    a->job->narrows = narrows;
    return ERR_OK;
}

static void put_author(const struct api_request *q, struct audit_record *r)
{
    r->peer = slice_of(q->address);
    if (q->actor.peer == NULL)
        return;
    r->author = slice_of(q->actor.peer->uri);
    r->certificate = slice_of(q->actor.peer->digest);
}

enum err act_record_one(struct api_request *q, struct act *a, const char *verb, struct slice object,
                        struct slice content)
{
    struct audit_record r = { .kind = AUDIT_ACT, .at = control_now(q->control) };
    size_t at = a->job->lines.n;
    enum err e;

    r.verb = slice_of(verb);
    r.object = object;
    r.content = content;
    r.snapshot = q->control->snapshot->generation;
    put_author(q, &r);
    e = audit_outbox_add(a->tx, &r, a->narrows, &a->job->lines);
    if (e == ERR_OK)
        e = job_add_line(a->job, r.act, at);
    if (e != ERR_OK)
        a->failed = e;
    return e;
}

void act_touch(struct act *a, enum snapshot_kind kind, struct slice id)
{
    enum err e = job_add_touch(a->job, kind, id);

    if (e != ERR_OK)
        a->failed = e;
}

static enum err touch_app(void *arg, const struct catalog_entry *e)
{
    act_touch(arg, SNAPSHOT_APP, e->id);
    return ERR_OK;
}

enum err act_touch_apps(struct act *a, struct slice department)
{
    struct catalog_filter f = { .department = department };

    return catalog_each(a->tx, CATALOG_APP, &f, touch_app, a);
}

void act_cancel(struct act *a)
{
    if (a->job == NULL)
        return;
    if (a->tx)
        sql_rollback(a->tx);
    a->tx = NULL;
    a->job->control->in_tx = false;
    job_free(a->job);
    a->job = NULL;
}

void act_fail(struct api_request *q, struct act *a, enum err e)
{
    act_cancel(a);
    api_error(q, e);
}

void act_commit(struct api_request *q, struct act *a)
{
    struct act_job *j = a->job;
    enum err e = a->failed == ERR_OK ? q->out.failed : a->failed;

    if (e != ERR_OK || j->n_lines == 0) {
        act_cancel(a);
        if (e != ERR_OK)
            api_error(q, e);
        else if (a->then)
            a->then(q);
        else
            api_ok(q);
        return;
    }
    e = sql_commit(a->tx, &q->diags);
    a->tx = NULL;
    q->control->in_tx = false;
    if (e != ERR_OK) {
        act_fail(q, a, e);
        return;
    }
    a->job = NULL;
    j->q = q;
    j->then = a->then;
    j->write_crl = a->write_list;
    j->load_trust = a->touch_trust;
    j->recode = a->recode;
    j->enrols = a->enrols;
    job_start(j);
}
