/* Statements: the table of prepared ones, parameters, rows, and SQLite's codes as ours.
 * Invariants: a cached statement is reset and unbound when nobody steps it; parameters are bound by the number in their
 * name ($2 is args[1]), not by where they stand; text that PostgreSQL could not store (NUL, bytes that are not UTF-8)
 * is refused here already; a statement cannot end or begin a transaction. */
#include "base/sql/internal.h"
#include <errno.h>
#include <stdio.h>

struct sql_row {
    sqlite3_stmt *st;
};

/* ---- codes ---- */

static const struct {
    int rc;
    enum err code;
} codes[] = {
    { SQLITE_CONSTRAINT_UNIQUE, ERR_EXISTS },
    { SQLITE_CONSTRAINT_PRIMARYKEY, ERR_EXISTS },
    { SQLITE_CONSTRAINT_ROWID, ERR_EXISTS },
    { SQLITE_CONSTRAINT, ERR_CONFLICT },
    { SQLITE_FULL, ERR_FULL },
    { SQLITE_BUSY, ERR_BUSY },
    { SQLITE_LOCKED, ERR_BUSY },
    { SQLITE_CORRUPT, ERR_CORRUPT },
    { SQLITE_NOTADB, ERR_CORRUPT },
    { SQLITE_NOMEM, ERR_NOMEM },
    { SQLITE_TOOBIG, ERR_TOO_LARGE },
    { SQLITE_READONLY, ERR_DENIED },
    { SQLITE_PERM, ERR_DENIED },
    { SQLITE_AUTH, ERR_DENIED },
    { SQLITE_CANTOPEN, ERR_SYS },
    { SQLITE_IOERR, ERR_SYS },
};

enum err sql_code(int rc, int sys)
{
    bool on_disk = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN;

    if (on_disk && (sys == ENOSPC || sys == EDQUOT || sys == EFBIG))
        return ERR_FULL;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].rc == rc || codes[i].rc == (rc & 0xff))
            return codes[i].code;
    return ERR_INVALID;
}

enum err sql_fail(struct sql *s, int rc)
{
    /* SQLite keeps the errno of a failed statement but not that of a failed COMMIT: errno, cleared before each step,
     * has it. */
    int sys = errno ? errno : (s->db ? sqlite3_system_errno(s->db) : 0);
    enum err e = sql_code(rc, sys);

    snprintf(s->error, sizeof s->error, "%s", s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc));
    if (s->tx.open && s->db && sqlite3_get_autocommit(s->db))
        s->tx.failed = e;
    return e;
}

enum err sql_refuse(struct sql *s, enum err code, const char *words)
{
    snprintf(s->error, sizeof s->error, "%s", words);
    return code;
}

enum err sql_script(struct sql *s, const char *text)
{
    while (*text) {
        sqlite3_stmt *st = NULL;
        const char *tail = text;
        int rc = sqlite3_prepare_v2(s->db, text, -1, &st, &tail);

        errno = 0;
        while (rc == SQLITE_OK && st && (rc = sqlite3_step(st)) == SQLITE_ROW)
            rc = SQLITE_OK;
        if (rc != SQLITE_OK && rc != SQLITE_DONE) {
            enum err e = sql_fail(s, rc);
            sqlite3_finalize(st);
            return e;
        }
        sqlite3_finalize(st);
        text = tail;
    }
    return ERR_OK;
}

/* ---- prepared statements ---- */

void sql_forget_statements(struct sql *s)
{
    for (unsigned i = 0; i < SQL_CACHE_SLOTS; i++) {
        sqlite3_finalize(s->cache[i].st);
        mem_free(s->cache[i].text);
        s->cache[i] = (struct statement){ 0 };
    }
    s->cached = 0;
}

static bool any_busy(const struct sql *s)
{
    for (unsigned i = 0; i < SQL_CACHE_SLOTS; i++)
        if (s->cache[i].busy)
            return true;
    return false;
}

/* The slot that holds `text`, or the free one where it belongs; the table is never full, so the search ends. */
static struct statement *slot_of(struct sql *s, const char *text)
{
    unsigned at = (unsigned)slice_hash(slice_of(text), 0) % SQL_CACHE_SLOTS;

    while (s->cache[at].text && strcmp(s->cache[at].text, text) != 0)
        at = (at + 1) % SQL_CACHE_SLOTS;
    return &s->cache[at];
}

static enum err prepare(struct sql *s, const char *text, unsigned how, sqlite3_stmt **ret)
{
    const char *tail = NULL;
    int rc = sqlite3_prepare_v3(s->db, text, -1, how, ret, &tail);

    if (rc != SQLITE_OK)
        return sql_fail(s, rc);
    if (!*ret || (tail && tail[strspn(tail, " \t\r\n;")] != '\0')) {
        sqlite3_finalize(*ret);
        *ret = NULL;
        return sql_refuse(s, ERR_INVALID, "one statement at a time");
    }
    return ERR_OK;
}

/* A statement to step: the cached one, or when that one is being stepped already (a nested query of the same text) or
 * the table is full of busy ones, a statement in *own that statement_done finalizes. */
static enum err statement_get(struct sql *s, const char *text, struct statement *own, struct statement **ret)
{
    struct statement *c;
    enum err e;

    if (s->cached >= SQL_CACHE_MAX && !any_busy(s))
        sql_forget_statements(s);
    c = slot_of(s, text);
    if (c->busy || (!c->text && s->cached >= SQL_CACHE_MAX)) {
        *own = (struct statement){ 0 };
        *ret = own;
        return prepare(s, text, 0, &own->st);
    }
    if (!c->text) {
        e = prepare(s, text, SQLITE_PREPARE_PERSISTENT, &c->st);
        if (e != ERR_OK)
            return e;
        c->text = mem_dup(slice_of(text));
        if (!c->text) {
            sqlite3_finalize(c->st);
            c->st = NULL;
            return sql_refuse(s, ERR_NOMEM, "out of memory");
        }
        s->cached++;
    }
    *ret = c;
    return ERR_OK;
}

static void statement_done(struct statement *c)
{
    c->busy = false;
    if (!c->text) {
        sqlite3_finalize(c->st);
        return;
    }
    sqlite3_reset(c->st);
    sqlite3_clear_bindings(c->st); /* they point into memory of the caller */
}

/* ---- parameters ---- */

static int bind_text(sqlite3_stmt *st, int at, const struct sql_value *v)
{
    /* A NULL pointer would bind NULL where the empty string is meant. */
    return sqlite3_bind_text64(st, at, v->s.p ? v->s.p : "", v->s.n, SQLITE_STATIC, SQLITE_UTF8);
}

static int bind_one(sqlite3_stmt *st, int at, const struct sql_value *v)
{
    switch (v->kind) {
    case SQL_INT:
        return sqlite3_bind_int64(st, at, v->i);
    case SQL_TEXT:
        return bind_text(st, at, v);
    case SQL_BLOB:
        return sqlite3_bind_blob64(st, at, v->s.p ? v->s.p : "", v->s.n, SQLITE_STATIC);
    case SQL_NULL:
        break;
    }
    return sqlite3_bind_null(st, at);
}

static bool text_storable(struct slice s)
{
    return s.n == 0 || (!memchr(s.p, 0, s.n) && utf8_valid(s));
}

static enum err bind_all(struct sql *s, sqlite3_stmt *st, const struct sql_value *args, size_t n)
{
    int count = sqlite3_bind_parameter_count(st);

    if ((size_t)count != n)
        return sql_refuse(s, ERR_INVALID, "the number of values is not the number of parameters");
    for (int i = 1; i <= count; i++) {
        const char *name = sqlite3_bind_parameter_name(st, i);
        uint64_t k;
        int rc;

        if (!name || name[0] != '$' || !slice_u64(slice_of(name + 1), 1, n, &k))
            return sql_refuse(s, ERR_INVALID, "parameters are $1, $2, ... without gaps");
        if (args[k - 1].kind == SQL_TEXT && !text_storable(args[k - 1].s))
            return sql_refuse(s, ERR_INVALID, "a text value holds NUL or is not UTF-8");
        rc = bind_one(st, i, &args[k - 1]);
        if (rc != SQLITE_OK)
            return sql_fail(s, rc);
    }
    return ERR_OK;
}

/* ---- running ---- */

static enum err statement_allowed(struct sql *s, const struct sql_tx *tx, sqlite3_stmt *st)
{
    bool reads = sqlite3_stmt_readonly(st) != 0;

    /* COMMIT, SAVEPOINT, ATTACH and their kin write nothing themselves and have no columns. */
    if (reads && sqlite3_column_count(st) == 0)
        return sql_refuse(s, ERR_DENIED, "a statement must not control the transaction");
    if (!reads && !tx->write)
        return sql_refuse(s, ERR_DENIED, "a read transaction cannot write");
    return ERR_OK;
}

struct row_sink {
    enum err (*fn)(void *arg, const struct sql_row *row);
    void *arg;
    bool single;
    uint64_t rows;
};

static enum err step_rows(struct sql *s, sqlite3_stmt *st, struct row_sink *sink)
{
    struct sql_row row = { st };
    int rc;

    for (errno = 0; (rc = sqlite3_step(st)) == SQLITE_ROW; errno = 0) {
        enum err e = ERR_OK;

        if (sink->single && sink->rows == 1)
            return sql_refuse(s, ERR_CONFLICT, "more than one row where one is expected");
        sink->rows++;
        if (sink->fn)
            e = sink->fn(sink->arg, &row);
        if (e != ERR_OK)
            return e;
    }
    return rc == SQLITE_DONE ? ERR_OK : sql_fail(s, rc);
}

static enum err run(struct sql_tx *tx, const char *text, const struct sql_value *args, size_t n, struct row_sink *sink)
{
    struct sql *s = tx->sql;
    struct statement own = { 0 }, *c = NULL;
    enum err e;

    if (!tx->open)
        return sql_refuse(s, ERR_INVALID, "the transaction has ended");
    if (tx->failed != ERR_OK)
        return tx->failed;
    e = statement_get(s, text, &own, &c);
    if (e != ERR_OK)
        return e;
    c->busy = true;
    e = statement_allowed(s, tx, c->st);
    if (e == ERR_OK)
        e = bind_all(s, c->st, args, n);
    if (e == ERR_OK)
        e = step_rows(s, c->st, sink);
    statement_done(c);
    return e;
}

enum err sql_exec(struct sql_tx *tx, const char *text, const struct sql_value *args, size_t n, uint64_t *changed)
{
    struct row_sink sink = { 0 };
    int64_t before = sqlite3_total_changes64(tx->sql->db);
    enum err e = run(tx, text, args, n, &sink);

    /* total_changes counts what a foreign key deletes along; changes alone is kept from earlier statements. */
    if (changed && e == ERR_OK)
        *changed = sqlite3_total_changes64(tx->sql->db) == before ? 0 : (uint64_t)sqlite3_changes64(tx->sql->db);
    return e;
}

enum err sql_each(struct sql_tx *tx, const char *text, const struct sql_value *args, size_t n,
                  enum err (*fn)(void *arg, const struct sql_row *row), void *arg)
{
    struct row_sink sink = { .fn = fn, .arg = arg };

    return run(tx, text, args, n, &sink);
}

enum err sql_one(struct sql_tx *tx, const char *text, const struct sql_value *args, size_t n,
                 enum err (*fn)(void *arg, const struct sql_row *row), void *arg)
{
    struct row_sink sink = { .fn = fn, .arg = arg, .single = true };
    enum err e = run(tx, text, args, n, &sink);

    return e == ERR_OK && sink.rows == 0 ? ERR_NOT_FOUND : e;
}

int64_t sql_int(const struct sql_row *r, unsigned col)
{
    return sqlite3_column_int64(r->st, (int)col);
}

struct slice sql_text(const struct sql_row *r, unsigned col)
{
    const void *p = sqlite3_column_blob(r->st, (int)col);

    return slice_make(p, (size_t)sqlite3_column_bytes(r->st, (int)col));
}

bool sql_is_null(const struct sql_row *r, unsigned col)
{
    return sqlite3_column_type(r->st, (int)col) == SQLITE_NULL;
}
