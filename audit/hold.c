/* Holds and notes of retention, in the state. Tables: audit_hold, audit_prune. Nothing is ever deleted from either. */
#include "audit/retention.h"

static enum err take_int(void *arg, const struct sql_row *row)
{
    *(int64_t *)arg = sql_int(row, 0);
    return ERR_OK;
}

enum err audit_hold_add(struct sql_tx *tx, struct audit_hold *h)
{
    int64_t last = 0;
    enum err e = sql_one(tx, "SELECT COALESCE(MAX(id), 0) FROM audit_hold", NULL, 0, take_int, &last);
    if (e != ERR_OK)
        return e;
    h->id = (uint64_t)last + 1;
    return sql_exec(tx, "INSERT INTO audit_hold (id, since, reason, author, created) VALUES ($1, $2, $3, $4, $5)",
                    SQL_ARGS(SQL_I(h->id), SQL_I(h->from), SQL_T(h->reason), SQL_T(h->author), SQL_I(h->created)),
                    NULL);
}

enum err audit_hold_release(struct sql_tx *tx, uint64_t id, struct slice by, struct slice reason, int64_t now)
{
    uint64_t changed = 0;
    int64_t known = 0;
    enum err e = sql_exec(tx,
                          "UPDATE audit_hold SET released = $2, released_by = $3, release_reason = $4 "
                          "WHERE id = $1 AND released IS NULL",
                          SQL_ARGS(SQL_I(id), SQL_I(now), SQL_T(by), SQL_T(reason)), &changed);
    if (e != ERR_OK || changed == 1)
        return e;
    e = sql_one(tx, "SELECT COUNT(*) FROM audit_hold WHERE id = $1", SQL_ARGS(SQL_I(id)), take_int, &known);
    return e != ERR_OK ? e : known == 0 ? ERR_NOT_FOUND : ERR_CONFLICT;
}

struct each {
    enum err (*fn)(void *arg, const struct audit_hold *h);
    void *arg;
};

static enum err take_hold(void *arg, const struct sql_row *row)
{
    struct each *x = arg;
    struct audit_hold h = { .id = (uint64_t)sql_int(row, 0),
                            .from = sql_int(row, 1),
                            .reason = sql_text(row, 2),
                            .author = sql_text(row, 3),
                            .created = sql_int(row, 4),
                            .released = sql_is_null(row, 5) ? 0 : sql_int(row, 5),
                            .released_by = sql_text(row, 6),
                            .release_reason = sql_text(row, 7) };
    return x->fn(x->arg, &h);
}

enum err audit_hold_each(struct sql_tx *tx, enum err (*fn)(void *arg, const struct audit_hold *h), void *arg)
{
    struct each x = { fn, arg };
    return sql_each(tx,
                    "SELECT id, since, reason, author, created, released, released_by, release_reason "
                    "FROM audit_hold ORDER BY id",
                    NULL, 0, take_hold, &x);
}

enum err audit_hold_from(struct sql_tx *tx, int64_t *ret)
{
    int64_t open = 0;
    enum err e = sql_one(tx, "SELECT COUNT(*) FROM audit_hold WHERE released IS NULL", NULL, 0, take_int, &open);
    *ret = INT64_MAX;
    if (e != ERR_OK || open == 0)
        return e;
    return sql_one(tx, "SELECT MIN(since) FROM audit_hold WHERE released IS NULL", NULL, 0, take_int, ret);
}

enum err audit_prune_note(struct sql_tx *tx, uint64_t act, uint64_t before)
{
    return sql_exec(tx, "INSERT INTO audit_prune (act, before_index) VALUES ($1, $2)",
                    SQL_ARGS(SQL_I(act), SQL_I(before)), NULL);
}

enum err audit_prune_noted(struct sql_tx *tx, uint64_t last_act, uint64_t *ret)
{
    int64_t before = 0;
    enum err e = sql_one(tx, "SELECT COALESCE(MAX(before_index), 0) FROM audit_prune WHERE act <= $1",
                         SQL_ARGS(SQL_I(last_act)), take_int, &before);
    *ret = (uint64_t)before;
    return e;
}
