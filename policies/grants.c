/* policies/grants: grants as stored: born, read, changed.
 * Invariants: one table says which change may follow which state and who may make it, all else is refused; nobody
 * resumes a grant that they asked for themselves; a revoked or returned grant never changes again; every version, the
 * first included, has its row in policy_grant_version. */
#include "policies/store.h"

#define GRANT_COLUMNS                                                                                                  \
    "id, request, app, department, provider, resource, purposes, items, clear, basis, author, approvers, state, "      \
    "note, changed_by,"                                                                                                \
    " version, resource_version, max_rows, day_from, day_to, minute_from, minute_to, weekdays, expires, created, "     \
    "changed"

static enum err version_keep(struct sql_tx *tx, struct slice id)
{
    return sql_exec(tx,
                    "INSERT INTO policy_grant_version(" GRANT_COLUMNS ") SELECT " GRANT_COLUMNS
                    " FROM policy_grant WHERE id = $1",
                    SQL_ARGS(SQL_T(id)), NULL);
}

enum err policy_grant_born(struct sql_tx *tx, const struct policy_request *q, const struct policy_wish *w,
                           struct slice approvers, struct slice by, int64_t now, struct arena *a, struct slice *ret_id)
{
    int64_t number = 0;
    struct slice id;
    enum err e = policy_id_next(tx, 'g', a, &number, &id);

    if (e == ERR_OK)
        e = sql_exec(tx,
                     "INSERT INTO policy_grant(number, " GRANT_COLUMNS
                     ") VALUES($23, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,"
                     " 'active', '', $13, 1, $14, $15, $16, $17, $18, $19, $20, $21, $22, $22)",
                     SQL_ARGS(SQL_T(id), SQL_T(q->id), SQL_T(q->app), SQL_T(q->department), SQL_T(w->provider),
                              SQL_T(w->resource), SQL_T(q->purposes), SQL_T(w->items), SQL_T(w->clear), SQL_T(q->basis),
                              SQL_T(q->author), SQL_T(approvers), SQL_T(by), SQL_I(w->resource_version),
                              SQL_I(q->max_rows), SQL_I(q->day_from), SQL_I(q->day_to), SQL_I(q->minute_from),
                              SQL_I(q->minute_to), SQL_I(q->weekdays), SQL_I(q->expires), SQL_I(now), SQL_I(number)),
                     NULL);
    if (e == ERR_OK)
        e = version_keep(tx, id);
    if (e == ERR_OK)
        *ret_id = id;
    return e;
}

/* ---- reading ---- */

struct reading {
    struct arena *a;
    enum err (*fn)(void *arg, const struct policy_grant_row *g);
    void *arg;
};

/* From `version` to `expires`, in the order of GRANT_COLUMNS. */
static void numbers_read(struct policy_reader *r, struct policy_grant_row *g)
{
    g->version = (uint64_t)policy_read_int(r);
    g->resource_version = (uint64_t)policy_read_int(r);
    g->max_rows = (uint64_t)policy_read_int(r);
    g->day_from = (int32_t)policy_read_int(r);
    g->day_to = (int32_t)policy_read_int(r);
    g->minute_from = (int16_t)policy_read_int(r);
    g->minute_to = (int16_t)policy_read_int(r);
    g->weekdays = (uint8_t)policy_read_int(r);
    g->expires = policy_read_int(r);
}

static enum err grant_read(void *arg, const struct sql_row *row)
{
    struct reading *to = arg;
    struct policy_reader r = { .row = row, .a = to->a };
    struct policy_grant_row g;

    g.id = policy_read_text(&r);
    g.request = policy_read_text(&r);
    g.app = policy_read_text(&r);
    g.department = policy_read_text(&r);
    g.provider = policy_read_text(&r);
    g.resource = policy_read_text(&r);
    g.purposes = policy_read_text(&r);
    g.items = policy_read_text(&r);
    g.clear = policy_read_text(&r);
    g.basis = policy_read_text(&r);
    g.author = policy_read_text(&r);
    g.approvers = policy_read_text(&r);
    g.state = policy_read_text(&r);
    g.note = policy_read_text(&r);
    g.changed_by = policy_read_text(&r);
    numbers_read(&r, &g);
    g.created = policy_read_int(&r);
    g.changed = policy_read_int(&r);
    return r.failed ? ERR_NOMEM : to->fn(to->arg, &g);
}

static enum err row_keep(void *arg, const struct policy_grant_row *g)
{
    *(struct policy_grant_row *)arg = *g;
    return ERR_OK;
}

enum err policy_grant_find(struct sql_tx *tx, struct slice id, struct arena *a, struct policy_grant_row *ret)
{
    struct reading to = { .a = a, .fn = row_keep, .arg = ret };

    return sql_one(tx, "SELECT " GRANT_COLUMNS " FROM policy_grant WHERE id = $1", SQL_ARGS(SQL_T(id)), grant_read,
                   &to);
}

/* Each wish of the filter is a condition of its own, so that the indexes serve: an OR in the statement would read every
 * grant. */
static void filter_put(struct buf *sql, struct sql_value *args, size_t *n, const char *column, struct slice want)
{
    if (want.n == 0)
        return;
    args[(*n)++] = SQL_T(want);
    buf_printf(sql, "%s %s = $%zu", *n == 1 ? " WHERE" : " AND", column, *n);
}

enum err policy_grant_each(struct sql_tx *tx, const struct policy_grant_filter *f, struct arena *a,
                           enum err (*fn)(void *arg, const struct policy_grant_row *g), void *arg)
{
    struct reading to = { .a = a, .fn = fn, .arg = arg };
    struct sql_value args[5];
    size_t n = 0;

    struct buf sql = BUF_INIT(1024);
    enum err e;

    buf_puts(&sql, "SELECT " GRANT_COLUMNS " FROM policy_grant");
    filter_put(&sql, args, &n, "app", f->app);
    filter_put(&sql, args, &n, "resource", f->resource);
    filter_put(&sql, args, &n, "department", f->department);
    filter_put(&sql, args, &n, "provider", f->provider);
    filter_put(&sql, args, &n, "state", f->state);
    buf_puts(&sql, " ORDER BY number");
    buf_putc(&sql, '\0');
    e = sql.failed;
    if (e == ERR_OK)
        e = sql_each(tx, sql.p, args, n, grant_read, &to);
    buf_done(&sql);
    return e;
}

static enum err terms_read(void *arg, const struct sql_row *row)
{
    struct reading *to = arg;
    struct policy_reader r = { .row = row };
    struct policy_grant_row g = { 0 };

    g.id = policy_read_text(&r);
    g.app = policy_read_text(&r);
    g.resource = policy_read_text(&r);
    g.purposes = policy_read_text(&r);
    g.items = policy_read_text(&r);
    g.clear = policy_read_text(&r);
    g.state = policy_read_text(&r);
    numbers_read(&r, &g);
    return to->fn(to->arg, &g);
}

enum err policy_grant_load(struct sql_tx *tx, enum err (*fn)(void *arg, const struct policy_grant_row *g), void *arg)
{
    struct reading to = { .fn = fn, .arg = arg };

    return sql_each(tx,
                    "SELECT id, app, resource, purposes, items, clear, state, version, resource_version, max_rows, "
                    "day_from, day_to, minute_from, minute_to, weekdays, expires FROM policy_grant ORDER BY number",
                    NULL, 0, terms_read, &to);
}

static enum err number_read(void *arg, const struct sql_row *row)
{
    *(uint64_t *)arg = (uint64_t)sql_int(row, 0);
    return ERR_OK;
}

static enum err one_seen(void *arg, const struct sql_row *row)
{
    (void)row;
    *(bool *)arg = true;
    return ERR_OK;
}

/* `over` is its last day in a zone that is within a day of UTC, or its expiry; an act may have ended it before: what
 * ran then has ended two days later. */
enum err policy_grant_needed(struct sql_tx *tx, int64_t made, int64_t now, int64_t lived, int64_t keep, bool *ret)
{
    static const char sql[] =
        "SELECT 1 FROM (SELECT made, CASE WHEN ended AND changed + 172800000 < over THEN changed + 172800000 ELSE over"
        " END + $4 AS until FROM (SELECT q.created AS made, g.changed, g.state NOT IN ('active', 'suspended') AS ended,"
        " CASE WHEN g.expires > 0 AND g.expires < (g.day_to + 2) * 86400000 THEN g.expires"
        " ELSE (g.day_to + 2) * 86400000 END AS over FROM policy_grant g JOIN policy_request q ON q.id = g.request"
        " WHERE q.created <= $1) AS times) AS grants WHERE until > $2 OR until - made > $3 LIMIT 1";

    *ret = false;
    return sql_each(tx, sql, SQL_ARGS(SQL_I(made), SQL_I(now), SQL_I(lived), SQL_I(keep > 0 ? keep : INT64_MAX / 4)),
                    one_seen, ret);
}

enum err policy_grant_count(struct sql_tx *tx, uint64_t *ret)
{
    return sql_one(tx, "SELECT coalesce(max(number), 0) FROM policy_grant", NULL, 0, number_read, ret);
}

enum err policy_grant_versions(struct sql_tx *tx, struct slice id, struct arena *a,
                               enum err (*fn)(void *arg, const struct policy_grant_row *g), void *arg)
{
    struct reading to = { .a = a, .fn = fn, .arg = arg };

    return sql_each(tx, "SELECT " GRANT_COLUMNS " FROM policy_grant_version WHERE id = $1 ORDER BY version",
                    SQL_ARGS(SQL_T(id)), grant_read, &to);
}

/* ---- changing ---- */

enum { FROM_ACTIVE = 1, FROM_SUSPENDED = 2 };

static const struct move {
    unsigned from;
    const char *to;
    bool consumers; /* an act of the consumer's officer; else of the provider's officer or the bureau */
    bool widens;    /* never an act of whoever asked for the grant, whatever other roles they hold */
} moves[] = {
    [POLICY_REVOKE] = { FROM_ACTIVE | FROM_SUSPENDED, "revoked", false, false },
    [POLICY_SUSPEND] = { FROM_ACTIVE, "suspended", false, false },
    [POLICY_RESUME] = { FROM_SUSPENDED, "active", false, true },
    [POLICY_GIVE_BACK] = { FROM_ACTIVE | FROM_SUSPENDED, "returned", true, false },
};

static enum err move_refuse_role(const struct move *m, const struct policy_grant_row *g, struct diags *d)
{
    if (m->consumers)
        return diag_add(d, ERR_DENIED, 0, 0, "it needs: consumer officer of %.*s", "须由 %.*s 的使用方经办人办理",
                        SLICE_ARG(g->department));
    return diag_add(d, ERR_DENIED, 0, 0, "it needs: provider officer of %.*s, or bureau approver",
                    "须由 %.*s 的提供方经办人或大数据主管部门审批人办理", SLICE_ARG(g->provider));
}

static enum err move_allowed_to(const struct move *m, const struct policy_grant_row *g, const struct policy_actor *by,
                                enum reason *why_not, struct diags *d)
{
    bool ours = m->consumers ? by->consumer_officer && slice_eq(by->department, g->department)
                             : by->bureau_approver || (by->provider_officer && slice_eq(by->department, g->provider));

    *why_not = ours ? REASON_FOUR_EYES : REASON_ROLE_MISSING;
    if (!ours)
        return move_refuse_role(m, g, d);
    if (m->widens && slice_eq(by->id, g->author))
        return diag_add(d, ERR_DENIED, 0, 0,
                        "you asked for this grant: another officer of %.*s, or another bureau approver, resumes it",
                        "该授权由本人申请：须由 %.*s 的其他提供方经办人或大数据主管部门的其他审批人恢复",
                        SLICE_ARG(g->provider));
    return ERR_OK;
}

static bool move_allowed_from(const struct move *m, struct slice state)
{
    return ((m->from & FROM_ACTIVE) && slice_is(state, "active")) ||
           ((m->from & FROM_SUSPENDED) && slice_is(state, "suspended"));
}

enum err policy_grant_change(struct sql_tx *tx, struct slice id, enum policy_change change, struct slice note,
                             const struct policy_actor *by, int64_t now, struct arena *a, struct policy_grant_row *row,
                             enum reason *why_not, struct diags *d)
{
    struct policy_grant_row g;

    if ((unsigned)change >= sizeof moves / sizeof *moves)
        return ERR_INVALID;
    const struct move *m = &moves[change];
    enum err e = policy_grant_find(tx, id, a, &g);
    if (e != ERR_OK)
        return e;
    e = move_allowed_to(m, &g, by, why_not, d);
    if (e != ERR_OK)
        return e;
    e = policy_text_check(note, false, "note", NULL);
    if (e != ERR_OK)
        return e;
    if (!move_allowed_from(m, g.state))
        return ERR_CONFLICT;
    e = sql_exec(tx,
                 "UPDATE policy_grant SET state = $2, note = $3, changed_by = $4, changed = $5, version = version + 1 "
                 "WHERE id = $1",
                 SQL_ARGS(SQL_T(id), SQL_T(slice_of(m->to)), SQL_T(note), SQL_T(by->id), SQL_I(now)), NULL);
    if (e == ERR_OK)
        e = version_keep(tx, id);
    return e == ERR_OK ? policy_grant_find(tx, id, a, row) : e;
}
