/* policies/store: the tables and the small helpers that requests, approvals and grants share.
 * Invariant: ids are given out once, in order, by the counter table, inside the transaction that uses them. */
#include "policies/store.h"

/* number: that of the id; rows are kept and listed in its order without sorting. */
static const char first_schema[] =
    "CREATE TABLE policy_counter(name TEXT PRIMARY KEY, value BIGINT NOT NULL);"
    "CREATE TABLE policy_request(number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, app TEXT NOT NULL, department "
    "TEXT NOT NULL, purposes TEXT NOT "
    "NULL,"
    " basis TEXT NOT NULL, scenario TEXT NOT NULL, day_from BIGINT NOT NULL, day_to BIGINT NOT NULL,"
    " minute_from BIGINT NOT NULL, minute_to BIGINT NOT NULL, weekdays BIGINT NOT NULL, expires BIGINT NOT NULL,"
    " max_rows BIGINT NOT NULL, author TEXT NOT NULL, created BIGINT NOT NULL, state TEXT NOT NULL);"
    "CREATE INDEX policy_request_by_state ON policy_request(state);"
    "CREATE TABLE policy_wish(request TEXT NOT NULL, position BIGINT NOT NULL, resource TEXT NOT NULL, provider TEXT "
    "NOT NULL,"
    " resource_version BIGINT NOT NULL, items TEXT NOT NULL, clear TEXT NOT NULL, PRIMARY KEY(request, position));"
    "CREATE TABLE policy_approval(request TEXT NOT NULL, provider TEXT NOT NULL, step BIGINT NOT NULL,"
    " department TEXT NOT NULL, state TEXT NOT NULL, decided_by TEXT NOT NULL, note TEXT NOT NULL, at BIGINT NOT NULL,"
    " PRIMARY KEY(request, provider, step));"
    "CREATE TABLE policy_grant(number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, request TEXT NOT NULL, app TEXT "
    "NOT NULL, department TEXT NOT NULL,"
    " provider TEXT NOT NULL, resource TEXT NOT NULL, purposes TEXT NOT NULL, items TEXT NOT NULL, clear TEXT NOT NULL,"
    " basis TEXT NOT NULL, author TEXT NOT NULL, approvers TEXT NOT NULL, state TEXT NOT NULL, note TEXT NOT NULL,"
    " changed_by TEXT NOT NULL, version BIGINT NOT NULL, resource_version BIGINT NOT NULL, max_rows BIGINT NOT NULL,"
    " day_from BIGINT NOT NULL, day_to BIGINT NOT NULL, minute_from BIGINT NOT NULL, minute_to BIGINT NOT NULL,"
    " weekdays BIGINT NOT NULL, expires BIGINT NOT NULL, created BIGINT NOT NULL, changed BIGINT NOT NULL);"
    "CREATE INDEX policy_grant_by_app ON policy_grant(app, resource);"
    "CREATE INDEX policy_grant_by_resource ON policy_grant(resource);"
    "CREATE TABLE policy_grant_version(id TEXT NOT NULL, request TEXT NOT NULL, app TEXT NOT NULL, department TEXT NOT "
    "NULL,"
    " provider TEXT NOT NULL, resource TEXT NOT NULL, purposes TEXT NOT NULL, items TEXT NOT NULL, clear TEXT NOT NULL,"
    " basis TEXT NOT NULL, author TEXT NOT NULL, approvers TEXT NOT NULL, state TEXT NOT NULL, note TEXT NOT NULL,"
    " changed_by TEXT NOT NULL, version BIGINT NOT NULL, resource_version BIGINT NOT NULL, max_rows BIGINT NOT NULL,"
    " day_from BIGINT NOT NULL, day_to BIGINT NOT NULL, minute_from BIGINT NOT NULL, minute_to BIGINT NOT NULL,"
    " weekdays BIGINT NOT NULL, expires BIGINT NOT NULL, created BIGINT NOT NULL, changed BIGINT NOT NULL,"
    " PRIMARY KEY(id, version));";

/* Any number of steps in any number of parts. What was asked before has a part for each provider, of two steps; a
 * number that is neither's is refused by NOT NULL. */
static const char steps_as_data[] =
    "CREATE TABLE policy_step(request TEXT NOT NULL, part BIGINT NOT NULL, position BIGINT NOT NULL, step TEXT NOT "
    "NULL, provider TEXT NOT NULL, department TEXT NOT NULL, state TEXT NOT NULL, decided_by TEXT NOT NULL,"
    " note TEXT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY(request, part, position));"
    "INSERT INTO policy_step(request, part, position, step, provider, department, state, decided_by, note, at)"
    " SELECT p.request, (SELECT COUNT(DISTINCT o.provider) FROM policy_approval o WHERE o.request = p.request"
    " AND o.provider <= p.provider), p.step, CASE p.step WHEN 0 THEN 'provider' WHEN 1 THEN 'bureau' END, p.provider,"
    " p.department, p.state, p.decided_by, p.note, p.at FROM policy_approval p;"
    "DROP TABLE policy_approval;"
    "ALTER TABLE policy_wish ADD COLUMN part BIGINT NOT NULL DEFAULT 0;"
    "UPDATE policy_wish SET part = (SELECT MIN(s.part) FROM policy_step s WHERE s.request = policy_wish.request"
    " AND s.provider = policy_wish.provider);";

const struct sql_migration policy_migrations[] = { { first_schema }, { steps_as_data } };
const size_t policy_migrations_n = sizeof policy_migrations / sizeof *policy_migrations;

bool policy_name_next(struct slice *rest, struct slice *ret)
{
    if (rest->n == 0)
        return false;
    const char *comma = memchr(rest->p, ',', rest->n);
    size_t n = comma ? (size_t)(comma - rest->p) : rest->n;

    *ret = slice_make(rest->p, n);
    size_t skip = comma ? n + 1 : n;
    *rest = slice_make(rest->p + skip, rest->n - skip);
    return true;
}

bool policy_names_have(struct slice names, struct slice name)
{
    struct slice one;

    while (policy_name_next(&names, &one))
        if (slice_eq(one, name))
            return true;
    return false;
}

struct slice policy_names_join(struct arena *a, struct slice names, struct slice more)
{
    if (names.n == 0)
        return arena_dup(a, more);
    return slice_of(arena_printf(a, "%.*s,%.*s", SLICE_ARG(names), SLICE_ARG(more)));
}

struct slice policy_read_text(struct policy_reader *r)
{
    struct slice s = sql_text(r->row, r->col++);

    if (r->a == NULL || s.n == 0)
        return s;
    struct slice copy = arena_dup(r->a, s);
    if (copy.p == NULL)
        r->failed = true;
    return copy;
}

int64_t policy_read_int(struct policy_reader *r)
{
    return sql_int(r->row, r->col++);
}

static enum err counter_read(void *arg, const struct sql_row *row)
{
    *(int64_t *)arg = sql_int(row, 0);
    return ERR_OK;
}

enum err policy_id_next(struct sql_tx *tx, char letter, struct arena *a, int64_t *ret_number, struct slice *ret)
{
    struct slice name = slice_make(&letter, 1);
    int64_t value = 0;
    enum err e = sql_exec(tx,
                          "INSERT INTO policy_counter(name, value) VALUES($1, 1)"
                          " ON CONFLICT(name) DO UPDATE SET value = policy_counter.value + 1",
                          SQL_ARGS(SQL_T(name)), NULL);

    if (e == ERR_OK)
        e = sql_one(tx, "SELECT value FROM policy_counter WHERE name = $1", SQL_ARGS(SQL_T(name)), counter_read,
                    &value);
    if (e != ERR_OK)
        return e;
    *ret = slice_of(arena_printf(a, "%c%lld", letter, (long long)value));
    *ret_number = value;
    return ret->p ? ERR_OK : ERR_NOMEM;
}

static bool text_blank(struct slice text)
{
    for (size_t i = 0; i < text.n; i++)
        if (memchr(" \t\r\n", text.p[i], 4) == NULL)
            return false;
    return true;
}

enum err policy_text_check(struct slice text, bool optional, const char *field, struct diags *d)
{
    if (text_blank(text))
        return optional
                   ? ERR_OK
                   : diag_add(d, ERR_INVALID, 0, 0, "%s is missing: say it in words", "缺少 %s：请用文字说明", field);
    if (!utf8_valid(text))
        return diag_add(d, ERR_INVALID, 0, 0, "%s is not UTF-8", "%s 不是 UTF-8 编码", field);
    if (utf8_count(text) > POLICY_TEXT_MAX)
        return diag_add(d, ERR_INVALID, 0, 0, "%s is longer than %d characters: shorten it",
                        "%s 超过 %d 个字符：请缩短", field, POLICY_TEXT_MAX);
    if (text_names_person(text))
        return diag_add(d, ERR_INVALID, 0, 0, "%s holds an identity number: leave it out, this text goes on the record",
                        "%s 含有公民身份号码：该文字将被存证，请删去", field);
    return ERR_OK;
}
