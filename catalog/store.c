/* catalog/store: the tables of the catalog and reading from them.
 * Invariants: (kind, id, version) is unique; exactly one row of each (kind, id) is the newest; only resources and
 * policies have several. */
#include "catalog/store.h"

/* find: id and titles in lower case, what text search looks at; special: a bureau, or an application for
 * administration. */
static const char first_schema[] = "CREATE TABLE catalog_entry(kind BIGINT NOT NULL, id TEXT NOT NULL, version BIGINT "
                                   "NOT NULL, newest BIGINT NOT NULL,"
                                   " department TEXT NOT NULL, state TEXT NOT NULL, title_zh TEXT NOT NULL, title_en "
                                   "TEXT NOT NULL, code TEXT NOT NULL,"
                                   " special BIGINT NOT NULL, find TEXT NOT NULL, created BIGINT NOT NULL, changed "
                                   "BIGINT NOT NULL, json TEXT NOT NULL,"
                                   " PRIMARY KEY(kind, id, version));"
                                   "CREATE INDEX catalog_entry_by_department ON catalog_entry(kind, department);"
                                   "CREATE INDEX catalog_entry_by_code ON catalog_entry(kind, code);"
                                   "CREATE TABLE catalog_role(person TEXT PRIMARY KEY, roles BIGINT NOT NULL);";

static const char submitters[] = "ALTER TABLE catalog_entry ADD COLUMN submitter TEXT NOT NULL DEFAULT '';";

const struct sql_migration catalog_migrations[] = { { first_schema }, { submitters } };
const size_t catalog_migrations_n = sizeof catalog_migrations / sizeof *catalog_migrations;

static bool keep(const struct sql_row *row, unsigned col, struct arena *a, struct slice *ret)
{
    struct slice s = sql_text(row, col);

    *ret = arena_dup(a, s);
    return s.n == 0 || ret->p != NULL;
}

enum err entry_read(const struct sql_row *row, struct arena *a, struct catalog_entry *ret)
{
    ret->kind = (enum catalog_kind)sql_int(row, 0);
    bool ok = keep(row, 1, a, &ret->id) && keep(row, 2, a, &ret->department) && keep(row, 3, a, &ret->state) &&
              keep(row, 4, a, &ret->title_zh) && keep(row, 5, a, &ret->title_en);
    ret->version = (uint64_t)sql_int(row, 6);
    ret->created = sql_int(row, 7);
    ret->changed = sql_int(row, 8);
    return ok && keep(row, 9, a, &ret->json) && keep(row, 10, a, &ret->submitter) ? ERR_OK : ERR_NOMEM;
}

struct one {
    struct arena *a;
    struct catalog_entry entry;
};

static enum err one_read(void *arg, const struct sql_row *row)
{
    struct one *to = arg;

    return entry_read(row, to->a, &to->entry);
}

enum err entry_find(struct sql_tx *tx, enum catalog_kind k, struct slice id, uint64_t version, struct arena *a,
                    struct catalog_entry *ret)
{
    struct one to = { .a = a };
    enum err e;

    if (version == 0)
        e = sql_one(tx, "SELECT " ENTRY_COLUMNS " FROM catalog_entry WHERE kind = $1 AND id = $2 AND newest = 1",
                    SQL_ARGS(SQL_I(k), SQL_T(id)), one_read, &to);
    else
        e = sql_one(tx, "SELECT " ENTRY_COLUMNS " FROM catalog_entry WHERE kind = $1 AND id = $2 AND version = $3",
                    SQL_ARGS(SQL_I(k), SQL_T(id), SQL_I(version)), one_read, &to);
    if (e == ERR_OK)
        *ret = to.entry;
    return e;
}

enum err catalog_find(struct sql_tx *tx, enum catalog_kind k, struct slice id, uint64_t version, struct arena *a,
                      struct catalog_entry *ret)
{
    return version > INT64_MAX ? ERR_NOT_FOUND : entry_find(tx, k, id, version, a, ret);
}

static enum err row_seen(void *arg, const struct sql_row *row)
{
    (void)row;
    *(bool *)arg = true;
    return ERR_OK;
}

enum err entry_exists(struct sql_tx *tx, const char *text, const struct sql_value *args, size_t n, bool *ret)
{
    *ret = false;
    return sql_each(tx, text, args, n, row_seen, ret);
}

/* ---- listing ---- */

struct node {
    struct catalog_entry entry;
    struct node *next;
};
struct listing {
    struct arena *a;
    struct node *first, **tail;
};

static enum err listing_read(void *arg, const struct sql_row *row)
{
    struct listing *to = arg;
    struct node *n = arena_zalloc(to->a, sizeof *n);

    if (n == NULL)
        return ERR_NOMEM;
    *to->tail = n;
    to->tail = &n->next;
    return entry_read(row, to->a, &n->entry);
}

/* What LIKE reads as itself: % _ and \ escaped, ASCII in lower case, between two %. */
static void pattern_put(struct buf *out, struct slice text)
{
    buf_putc(out, '%');
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '%' || c == '_' || c == '\\')
            buf_putc(out, '\\');
        buf_putc(out, c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c);
    }
    buf_putc(out, '%');
}

enum { PAGE = 64, PAGE_MEMORY = PAGE * 2 * CATALOG_JSON_MAX /* rows in memory at once */, ID_MAX = 256 };

struct query {
    struct buf text, pattern;
    struct sql_value args[8];
    size_t n;
};

static void query_and(struct query *q, const char *before, struct sql_value v, const char *behind)
{
    q->args[q->n++] = v;
    buf_printf(&q->text, " AND %s$%zu%s", before, q->n, behind);
}

/* Each wish is a condition of its own, so that the indexes serve. The page behind (id, version). */
static void query_build(struct query *q, enum catalog_kind k, const struct catalog_filter *f, struct slice id,
                        uint64_t version)
{
    q->args[q->n++] = SQL_I(k);
    buf_puts(&q->text, "SELECT " ENTRY_COLUMNS " FROM catalog_entry WHERE kind = $1");
    if (f->id.n != 0)
        query_and(q, "id = ", SQL_T(f->id), "");
    if (f->department.n != 0)
        query_and(q, "department = ", SQL_T(f->department), "");
    if (f->text.n != 0) {
        pattern_put(&q->pattern, f->text);
        query_and(q, "find LIKE ", SQL_T(buf_slice(&q->pattern)), " ESCAPE '\\'");
    }
    if (f->state.n != 0)
        query_and(q, "state = ", SQL_T(f->state), "");
    if (!f->all_versions && f->state.n == 0)
        buf_puts(&q->text, " AND newest = 1");
    else if (!f->all_versions)
        buf_printf(&q->text,
                   " AND version = (SELECT MAX(o.version) FROM catalog_entry o WHERE o.kind = catalog_entry.kind"
                   " AND o.id = catalog_entry.id AND o.state = $%zu)",
                   q->n);
    q->args[q->n++] = SQL_T(id);
    q->args[q->n++] = SQL_I(version);
    /* The +: one id's rows are found by it, not by going through all that are behind. */
    buf_printf(&q->text, " AND (%sid, version) > ($%zu, $%zu) ORDER BY id, version LIMIT %d", f->id.n != 0 ? "+" : "",
               q->n - 1, q->n, PAGE);
    buf_putc(&q->text, '\0');
}

struct place { /* of the last row that was seen */
    char id[ID_MAX];
    size_t n;
    uint64_t version;
};

static enum err place_take(struct place *at, const struct catalog_entry *e)
{
    if (e->id.n > sizeof at->id)
        return ERR_CORRUPT;
    memcpy(at->id, e->id.p, e->id.n);
    at->n = e->id.n;
    at->version = e->version;
    return ERR_OK;
}

/* ERR_NOT_FOUND: there are no more. */
static enum err page_each(struct sql_tx *tx, enum catalog_kind k, const struct catalog_filter *f, struct place *at,
                          enum err (*fn)(void *arg, const struct catalog_entry *e), void *arg)
{
    struct arena a;
    struct listing to = { .a = &a, .tail = &to.first };
    struct query q = { .text = BUF_INIT(2000), .pattern = BUF_INIT(8000) };
    enum err e;

    arena_init(&a, PAGE_MEMORY);
    query_build(&q, k, f, slice_make(at->id, at->n), at->version);
    e = q.text.failed != ERR_OK ? q.text.failed : q.pattern.failed;
    if (e == ERR_OK)
        e = sql_each(tx, q.text.p, q.args, q.n, listing_read, &to);
    buf_done(&q.text);
    buf_done(&q.pattern);
    if (e == ERR_OK && to.first == NULL)
        e = ERR_NOT_FOUND;
    for (struct node *n = to.first; n != NULL && e == ERR_OK; n = n->next) {
        e = place_take(at, &n->entry);
        if (e == ERR_OK)
            e = fn(arg, &n->entry);
    }
    arena_done(&a);
    return e;
}

enum err catalog_each(struct sql_tx *tx, enum catalog_kind k, const struct catalog_filter *f,
                      enum err (*fn)(void *arg, const struct catalog_entry *e), void *arg)
{
    struct place at = { .n = 0 };
    enum err e;

    while ((e = page_each(tx, k, f, &at, fn, arg)) == ERR_OK)
        continue;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}
