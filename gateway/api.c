/* Who asks, what for, and the answer: authentication from the verified certificate and the state, one table of routes,
 * and the problems that errors mean. Invariants: a handler runs only for an active person (or an application registered
 * for administration, where the route says so) whose roles the route admits; every request gets exactly one answer. */
#include "gateway/control_internal.h"

static const struct api_route *const tables[] = {
    api_catalog_routes, api_apply_routes, api_move_routes,  api_request_routes, api_decide_routes, api_grant_routes,
    api_hold_routes,    api_cert_routes,  api_audit_routes, api_log_routes,     api_status_routes,
};
enum { TABLES = sizeof tables / sizeof tables[0] };

/* ---- answers ---- */
/* Every request comes here once, whatever became of it. */
static void answer(struct api_request *q, int status)
{
    if (q->study)
        q->control->studies--;
    q->status = status;
    q->answered(q);
}

void api_ok(struct api_request *q)
{
    if (q->out.failed != ERR_OK) {
        enum err e = q->out.failed;
        buf_clear(&q->out);
        api_error(q, e);
        return;
    }
    answer(q, 200);
}

void api_send_problem(struct api_request *q, enum reason r, const char *en, const char *zh)
{
    struct problem p = { .reason = r, .detail = { en, zh }, .problems = q->diags.first ? &q->diags : NULL };

    buf_clear(&q->out);
    problem_put(&p, PROBLEM_JSON, q->actor.lang, &q->out);
    q->type = problem_type(PROBLEM_JSON);
    answer(q, reason_info(r)->status == 499 ? 500 : reason_info(r)->status);
}

void api_problem(struct api_request *q, enum reason r, const char *en, const char *zh)
{
    /* The detail may live on the caller's stack; the answer may have to wait for its record. */
    if (!api_record_refusal(q, r, en, zh))
        api_send_problem(q, r, en, zh);
}

void api_denied(struct api_request *q, enum reason r)
{
    const struct diag *first = q->diags.first;

    api_problem(q, r, first ? first->what[LANG_EN] : NULL, first ? first->what[LANG_ZH] : NULL);
}

static const struct meaning {
    enum err e;
    enum reason r;
    const char *detail[2];
} meanings[] = {
    { ERR_NOT_FOUND, REASON_NOT_FOUND, { NULL, NULL } },
    { ERR_CONFLICT, REASON_CONFLICT, { NULL, NULL } },
    { ERR_EXISTS, REASON_CONFLICT, { "it exists already", "已存在" } },
    { ERR_INVALID, REASON_INVALID, { "see problems", "详见 problems" } },
    { ERR_SYNTAX, REASON_INVALID, { "see problems", "详见 problems" } },
    { ERR_UNSUPPORTED, REASON_INVALID, { "not supported", "尚不支持" } },
    { ERR_TOO_LARGE, REASON_REQUEST_TOO_LARGE, { NULL, NULL } },
    { ERR_DENIED, REASON_ROLE_MISSING, { NULL, NULL } },
    { ERR_FULL, REASON_OVERLOADED, { "the disk of the state is full", "状态库所在磁盘已满" } },
    { ERR_NOMEM, REASON_OVERLOADED, { "out of memory", "内存不足" } },
    { ERR_BUSY, REASON_OVERLOADED, { NULL, NULL } },
    { ERR_AGAIN, REASON_OVERLOADED, { NULL, NULL } },
};

void api_error(struct api_request *q, enum err e)
{
    const char *first = q->diags.first ? q->diags.first->what[LANG_EN] : NULL;
    const char *first_zh = q->diags.first ? q->diags.first->what[LANG_ZH] : NULL;

    if (e == ERR_FULL && q->narrowing && !q->tried) {
        q->again = true; /* api_run frees the reserve and calls the handler once more */
        return;
    }
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        if (meanings[i].e == e) {
            api_problem(q, meanings[i].r, first ? first : meanings[i].detail[LANG_EN],
                        first ? first_zh : meanings[i].detail[LANG_ZH]);
            return;
        }
    log_event(LOG_ERROR, "api-failed", "why", err_name(e), "what", first ? first : "", NULL);
    api_problem(q, REASON_INTERNAL, NULL, NULL);
}

/* ---- what handlers read ---- */
struct slice api_query(struct api_request *q, const char *name)
{
    struct slice rest = q->query, value = { 0 };

    while (rest.n > 0) {
        struct slice v = slice_cut(&rest, '&'), k = slice_cut(&v, '=');
        if (slice_is(k, name) && percent_read(v, true, &q->arena, &value) == ERR_OK)
            return value;
    }
    return (struct slice){ 0 };
}

enum err api_body(struct api_request *q, const struct doc_key *keys, void *out)
{
    const struct doc *doc = NULL;
    enum err e = ERR_OK;

    if (q->body.n > 0 || keys->flags & DOC_REQUIRED)
        e = doc_read_json(q->body, &q->arena, &q->diags, &doc);
    if (e == ERR_OK)
        e = doc_bind(doc, keys, out, &q->arena, &q->diags);
    if (e != ERR_OK)
        api_error(q, e == ERR_SYNTAX || e == ERR_NOMEM ? e : ERR_INVALID);
    return e;
}

bool api_id2(struct api_request *q, size_t i, struct slice *ret)
{
    struct slice both = { 0 };

    if (i + 1 < q->n_path && ident_valid(q->path[i]) && ident_valid(q->path[i + 1]))
        both = slice_of(arena_printf(&q->arena, "%.*s/%.*s", SLICE_ARG(q->path[i]), SLICE_ARG(q->path[i + 1])));
    if (both.n == 0)
        api_problem(q, REASON_NOT_FOUND, "an identifier is department/name", "编号形如 部门/名称");
    *ret = both;
    return both.n > 0;
}

enum err api_read(struct api_request *q, struct sql_tx **ret)
{
    enum err e = sql_begin(q->control->sql, false, ret, &q->diags);

    if (e != ERR_OK)
        api_error(q, e);
    else
        q->control->in_tx = true;
    return e;
}

void api_read_end(struct api_request *q, struct sql_tx *tx)
{
    sql_rollback(tx);
    q->control->in_tx = false;
}

/* ---- roles ---- */
static void role_names(unsigned roles, enum lang l, struct buf *out)
{
    for (unsigned r = 1; r <= ROLE_AUDIT_ADMIN; r <<= 1)
        if (roles & r)
            buf_printf(out, "%s%s", out->n ? (l == LANG_ZH ? "、" : ", ") : "", catalog_role_name(r, l, true));
}

static void role_missing(struct api_request *q, unsigned roles, struct slice department)
{
    struct buf en = BUF_INIT(1024), zh = BUF_INIT(1024);
    const char *texts[2];
    bool outside = (roles & ROLE_BUREAU_APPROVER) && !q->actor.bureau;

    role_names(roles, LANG_EN, &en);
    role_names(roles, LANG_ZH, &zh);
    texts[LANG_EN] = arena_printf(&q->arena, "it needs: %.*s%s%.*s%s", SLICE_ARG(buf_slice(&en)),
                                  department.n ? " of " : "", SLICE_ARG(department),
                                  outside ? "; bureau approvers are people of the data bureau's department" : "");
    texts[LANG_ZH] =
        arena_printf(&q->arena, "需要角色：%.*s%s%.*s%s", SLICE_ARG(buf_slice(&zh)), department.n ? "，所属部门 " : "",
                     SLICE_ARG(department), outside ? "；主管部门审批人须为大数据主管部门人员" : "");
    buf_done(&en);
    buf_done(&zh);
    api_problem(q, REASON_ROLE_MISSING, texts[LANG_EN], texts[LANG_ZH]);
}

bool api_role(struct api_request *q, unsigned roles)
{
    if (q->actor.roles & roles)
        return true;
    role_missing(q, roles, (struct slice){ 0 });
    return false;
}

bool api_role_of(struct api_request *q, unsigned roles, struct slice department)
{
    unsigned held = q->actor.roles & roles;

    if ((held & ROLE_BUREAU_APPROVER) || (held && slice_eq(q->actor.department, department)))
        return true;
    role_missing(q, roles, department);
    return false;
}

/* ---- who ---- */

/* What could not be read says nothing of anybody: it must not go on the record as theirs. */
static enum reason not_read(enum err e, enum reason absent)
{
    return e == ERR_NOT_FOUND ? absent : e == ERR_NOMEM ? REASON_OVERLOADED : REASON_INTERNAL;
}

/* The entry's manifest when it is there and active. */
static enum reason find_active(struct sql_tx *tx, enum catalog_kind k, struct slice id, struct arena *a,
                               const struct doc **ret)
{
    struct catalog_entry entry;
    enum err e = catalog_find(tx, k, id, 0, a, &entry);

    if (e == ERR_OK && !slice_is(entry.state, "active"))
        return REASON_SUBJECT_INACTIVE;
    if (e == ERR_OK)
        e = doc_read_json(entry.json, a, NULL, ret);
    return e == ERR_OK ? REASON_GRANTED : not_read(e, REASON_SUBJECT_INACTIVE);
}

/* What a person may do here: the bureau's approvers are those of the bureau's own department, whatever is stored. */
static enum reason find_roles(struct api_request *q, struct sql_tx *tx, struct slice person)
{
    enum err e = catalog_roles(tx, person, &q->actor.roles);

    if (e != ERR_OK)
        return not_read(e, REASON_SUBJECT_INACTIVE);
    if (!q->actor.bureau)
        q->actor.roles &= ~(unsigned)ROLE_BUREAU_APPROVER;
    return REASON_GRANTED;
}

static enum reason find_subject(struct api_request *q, struct sql_tx *tx, const struct certs_peer *p)
{
    const struct doc *department, *subject;
    bool person = p->kind == CERTS_PERSON;
    enum reason r;

    if (!person && p->kind != CERTS_APP)
        return REASON_ROLE_MISSING;
    r = find_active(tx, person ? CATALOG_PERSON : CATALOG_APP, slice_of(p->object), &q->arena, &subject);
    if (r == REASON_GRANTED)
        r = find_active(tx, CATALOG_DEPARTMENT, p->department, &q->arena, &department);
    if (r != REASON_GRANTED)
        return r;
    q->actor.bureau = doc_flag(department, "bureau");
    if (person)
        return find_roles(q, tx, slice_of(p->object));
    return doc_flag(subject, "administration") ? REASON_GRANTED : REASON_ROLE_MISSING;
}

static enum reason identify(struct api_request *q)
{
    const struct certs_peer *p = q->actor.peer;
    struct sql_tx *tx;
    enum reason r;

    if (p == NULL)
        return REASON_CERTIFICATE_MISSING;
    if (p->verdict != REASON_GRANTED)
        return p->verdict;
    r = q->control->trust.trust ? certs_peer_recheck(q->control->trust.trust, p, control_now(q->control))
                                : REASON_REVOCATION_UNKNOWN;
    if (r == REASON_GRANTED && p->not_after < control_now(q->control))
        r = REASON_CERTIFICATE_EXPIRED;
    if (r != REASON_GRANTED)
        return r;
    if (sql_begin(q->control->sql, false, &tx, &q->diags) != ERR_OK)
        return REASON_INTERNAL;
    r = find_subject(q, tx, p);
    sql_rollback(tx);
    q->actor.id = slice_of(p->object);
    q->actor.department = p->department;
    return r;
}

/* ---- routes ---- */
static bool path_fits(const struct api_request *q, const char *pattern)
{
    struct slice rest = slice_of(pattern);
    size_t i = 0;

    while (rest.n > 0) {
        struct slice part = slice_cut(&rest, '/');
        if (slice_is(part, "*") && rest.n == 0)
            return i < q->n_path;
        if (i == q->n_path || q->path[i].n == 0 || (!slice_is(part, "{}") && !slice_eq(part, q->path[i])))
            return false;
        i++;
    }
    return i == q->n_path;
}

const struct api_route *api_route_find(const struct api_request *q, bool *path_known)
{
    *path_known = false;
    for (size_t t = 0; t < TABLES; t++)
        for (const struct api_route *r = tables[t]; r->method; r++) {
            if (!path_fits(q, r->path))
                continue;
            *path_known = true;
            if (slice_is(q->method, r->method))
                return r;
        }
    return NULL;
}

const struct api_route *api_route_at(size_t i)
{
    for (size_t t = 0; t < TABLES; t++)
        for (const struct api_route *r = tables[t]; r->method; r++)
            if (i-- == 0)
                return r;
    return NULL;
}

static bool admitted(struct api_request *q, const struct api_route *r)
{
    if (q->actor.peer->kind == CERTS_APP && !r->apps) {
        api_problem(q, REASON_ROLE_MISSING, "an application may only read the catalog here", "应用在此仅可读取目录");
        return false;
    }
    return r->roles == 0 || api_role(q, r->roles);
}

/* A narrowing act that met a full disk runs once more, with the reserve given up. */
static void run(struct api_request *q, const struct api_route *r)
{
    r->run(q);
    if (!q->again)
        return;
    q->again = false;
    q->tried = true;
    buf_clear(&q->out);
    json_init(&q->json, &q->out);
    diags_init(&q->diags, &q->arena);
    if (reserve_free(q->control))
        r->run(q);
    else
        api_error(q, ERR_FULL);
}

/* NULL: it was answered. */
static const struct api_route *judge(struct api_request *q)
{
    bool known;
    const struct api_route *r;
    enum reason who = identify(q);

    if (who != REASON_GRANTED) {
        api_problem(q, who, NULL, NULL);
        return NULL;
    }
    if (!api_admit(q)) {
        api_problem(q, REASON_OVERLOADED, "your other connections, or those of others, take all places of the listener",
                    "监听端口的位置已被您或他人的其他连接占满");
        return NULL;
    }
    r = api_route_find(q, &known);
    if (r == NULL)
        api_problem(q, known ? REASON_METHOD_NOT_ALLOWED : REASON_NOT_FOUND, NULL, NULL);
    return r && admitted(q, r) ? r : NULL;
}

bool api_judge(struct api_request *q)
{
    return judge(q) != NULL;
}

void api_run(struct api_request *q)
{
    const struct api_route *r = judge(q);

    if (r)
        run(q, r);
}
