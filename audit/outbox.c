/* The outbox: an act's exact line beside the state it changes, in the caller's transaction.
 * Tables: audit_outbox(act, line, narrows, idx). Invariants: acts are numbered from 1 without holes; the newest row is
 * never removed, so the next number is always known; idx is set only when the record is durable in the log. */
#include "audit/logline.h"

enum { OUTBOX_KEEP = 1000 };

const struct sql_migration audit_migrations[] = {
    { "CREATE TABLE audit_outbox (act BIGINT PRIMARY KEY, line TEXT NOT NULL, narrows BIGINT NOT NULL, idx BIGINT)" },
    { "CREATE TABLE audit_hold (id BIGINT PRIMARY KEY, since BIGINT NOT NULL, reason TEXT NOT NULL, "
      "author TEXT NOT NULL, created BIGINT NOT NULL, released BIGINT, released_by TEXT, release_reason TEXT);"
      "CREATE TABLE audit_prune (act BIGINT PRIMARY KEY, before_index BIGINT NOT NULL)" },
};
const size_t audit_migrations_n = sizeof audit_migrations / sizeof audit_migrations[0];

static enum err take_int(void *arg, const struct sql_row *row)
{
    *(int64_t *)arg = sql_int(row, 0);
    return ERR_OK;
}

static enum err one_int(struct sql_tx *tx, const char *text, int64_t *ret)
{
    return sql_one(tx, text, NULL, 0, take_int, ret);
}

enum err audit_outbox_add(struct sql_tx *tx, struct audit_record *r, bool narrows, struct buf *line)
{
    int64_t last = 0;
    size_t start = line->n;
    if (r->content.n > AUDIT_CONTENT_MAX) /* it would be a digest in the log: not what was done */
        return ERR_TOO_LARGE;
    enum err e = one_int(tx, "SELECT COALESCE(MAX(act), 0) FROM audit_outbox", &last);
    if (e != ERR_OK)
        return e;
    r->kind = AUDIT_ACT;
    r->act = (uint64_t)last + 1;
    e = audit_render(r, line);
    if (e != ERR_OK)
        return e;
    struct slice text = slice_sub(buf_slice(line), start, line->n - start);
    return sql_exec(tx, "INSERT INTO audit_outbox (act, line, narrows) VALUES ($1, $2, $3)",
                    SQL_ARGS(SQL_I(r->act), SQL_T(text), SQL_I(narrows)), NULL);
}

enum err audit_outbox_done(struct sql_tx *tx, uint64_t act, uint64_t index)
{
    uint64_t changed = 0;
    enum err e =
        sql_exec(tx, "UPDATE audit_outbox SET idx = $2 WHERE act = $1", SQL_ARGS(SQL_I(act), SQL_I(index)), &changed);
    if (e == ERR_OK && changed == 0)
        e = ERR_NOT_FOUND;
    if (e == ERR_OK && act > OUTBOX_KEEP)
        e = sql_exec(tx, "DELETE FROM audit_outbox WHERE idx IS NOT NULL AND act <= $1",
                     SQL_ARGS(SQL_I(act - OUTBOX_KEEP)), NULL);
    return e;
}

/* Acts that the log holds though the state was not told: their index is looked up, newest first, and the reading ends
 * with the first of them: what stands before it may be years of exchanges without an act. */
struct catch_up {
    struct sql_tx *tx;
    uint64_t first; /* least act without an index */
    uint64_t at;    /* index of the last act seen */
    enum err e;
};

static bool catch_up_line(void *arg, uint64_t index, struct slice line)
{
    struct catch_up *c = arg;
    uint64_t act;
    if (!logline_u64(line, "act", &act))
        return true;
    c->at = index;
    if (act < c->first)
        return false;
    c->e = audit_outbox_done(c->tx, act, index);
    if (c->e == ERR_NOT_FOUND)
        c->e = ERR_OK;
    return c->e == ERR_OK && act > c->first;
}

static enum err outbox_catch_up(struct sql_tx *tx, const char *dir, uint64_t last, struct diags *d)
{
    struct catch_up c = { .tx = tx };
    int64_t first = 0;
    enum err e = sql_one(tx, "SELECT COALESCE(MIN(act), 0) FROM audit_outbox WHERE idx IS NULL AND act <= $1",
                         SQL_ARGS(SQL_I(last)), take_int, &first);
    if (e != ERR_OK || first == 0)
        return e;
    struct audit_filter f = { .kind = SLICE("act"), .after = UINT64_MAX, .newest_first = true, .limit = 1000 };
    bool more;
    c.first = (uint64_t)first;
    do {
        e = audit_search(dir, &f, catch_up_line, &c, &more, d);
        f.after = c.at;
    } while (e == ERR_OK && c.e == ERR_OK && more);
    return e != ERR_OK ? e : c.e;
}

struct replay {
    enum err (*fn)(void *arg, uint64_t act, struct slice line);
    void *arg;
};

static enum err replay_row(void *arg, const struct sql_row *row)
{
    struct replay *r = arg;
    return r->fn(r->arg, (uint64_t)sql_int(row, 0), sql_text(row, 1));
}

static enum err outbox_check(struct sql_tx *tx, uint64_t last, struct diags *d)
{
    int64_t top = 0, stored = 0;
    enum err e = one_int(tx, "SELECT COALESCE(MAX(act), 0) FROM audit_outbox", &top);
    if (e == ERR_OK)
        e = one_int(tx, "SELECT COALESCE(MAX(act), 0) FROM audit_outbox WHERE idx IS NOT NULL", &stored);
    if (e != ERR_OK)
        return e;
    if ((uint64_t)top < last)
        return diag_add(
            d, ERR_CORRUPT, 0, 0,
            "the state is older than the log: it knows %lld acts, the log %llu; restore state, keys and log "
            "together (sluice restore)",
            "状态早于存证日志：状态记有 %lld 项操作，日志记有 %llu 项；请一并恢复状态、密钥与日志（sluice restore）",
            (long long)top, (unsigned long long)last);
    if ((uint64_t)stored > last)
        return diag_add(
            d, ERR_CORRUPT, 0, 0,
            "the log is older than the state: act %lld was recorded, the log ends at act %llu; restore state, "
            "keys and log together (sluice restore)",
            "存证日志早于状态：第 %lld 项操作已存证，日志止于第 %llu 项；请一并恢复状态、密钥与日志（sluice restore）",
            (long long)stored, (unsigned long long)last);
    return ERR_OK;
}

enum err audit_outbox_replay(struct sql_tx *tx, const struct audit_log *l,
                             enum err (*fn)(void *arg, uint64_t act, struct slice line), void *arg, struct diags *d)
{
    struct audit_status s;
    struct replay r = { fn, arg };
    audit_status(l, &s);
    enum err e = outbox_check(tx, s.last_act, d);
    if (e == ERR_OK)
        e = outbox_catch_up(tx, audit_dir(l), s.last_act, d);
    if (e == ERR_OK)
        e = sql_each(tx, "SELECT act, line FROM audit_outbox WHERE act > $1 ORDER BY act", SQL_ARGS(SQL_I(s.last_act)),
                     replay_row, &r);
    return e;
}
