/* certs/register: what was signed, what of others was enrolled, what was taken back, and the list that says so.
 * Invariants: a row is made once and never deleted; revoked_at is set once; the list written holds every revoked row
 * of ours; numbers of lists only grow. Tables: certs_leaf, certs_enrolled (written by enrol.c, revoked here). */
#include <openssl/err.h>
#include <openssl/pem.h>
#include "certs/internal.h"

static const char first_schema[] =
    "CREATE TABLE certs_leaf(serial TEXT PRIMARY KEY, digest TEXT NOT NULL UNIQUE, uri TEXT NOT NULL,"
    " author TEXT NOT NULL, not_before BIGINT NOT NULL, not_after BIGINT NOT NULL,"
    " revoked_at BIGINT NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '');"
    "CREATE INDEX certs_leaf_by_uri ON certs_leaf(uri);"
    "CREATE INDEX certs_leaf_by_revoked ON certs_leaf(revoked_at);";

static const char outside_schema[] =
    "CREATE TABLE certs_enrolled(digest TEXT PRIMARY KEY, serial TEXT NOT NULL, uri TEXT NOT NULL,"
    " authority TEXT NOT NULL, author TEXT NOT NULL, enrolled_at BIGINT NOT NULL, until BIGINT NOT NULL,"
    " revoked_at BIGINT NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '');"
    "CREATE INDEX certs_enrolled_by_uri ON certs_enrolled(uri);"
    "CREATE INDEX certs_enrolled_by_serial ON certs_enrolled(serial);";

const struct sql_migration certs_migrations[] = { { first_schema }, { outside_schema } };
const size_t certs_migrations_n = sizeof certs_migrations / sizeof *certs_migrations;

/* Both tables as one, a condition for each. */
#define ROWS(leaf, enrolled)                                                                                           \
    "SELECT serial, digest, uri, author, reason, '' AS authority, not_before AS since, not_after, revoked_at"          \
    " FROM certs_leaf" leaf " UNION ALL SELECT serial, digest, uri, author, reason, authority, enrolled_at, until,"    \
    " revoked_at FROM certs_enrolled" enrolled

enum err certs_register(struct sql_tx *tx, const struct certs_issued *c, struct slice uri, struct slice author)
{
    return sql_exec(tx,
                    "INSERT INTO certs_leaf(serial, digest, uri, author, not_before, not_after)"
                    " VALUES($1, $2, $3, $4, $5, $6)",
                    SQL_ARGS(SQL_T(slice_of(c->serial)), SQL_T(slice_of(c->digest)), SQL_T(uri), SQL_T(author),
                             SQL_I(c->not_before), SQL_I(c->not_after)),
                    NULL);
}

/* ---- reading ---- */

struct reader {
    int64_t now;
    struct arena *a;
    enum err (*fn)(void *arg, const struct certs_row *row);
    void *arg;
};

static enum err row_read(void *arg, const struct sql_row *from)
{
    struct reader *r = arg;
    struct certs_row row = { .not_before = sql_int(from, 6),
                             .not_after = sql_int(from, 7),
                             .revoked_at = sql_int(from, 8) };
    struct slice *const texts[] = { &row.serial, &row.digest, &row.uri, &row.author, &row.reason, &row.authority };

    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct slice s = sql_text(from, i);

        *texts[i] = r->a ? arena_dup(r->a, s) : s;
        if (texts[i]->n != s.n)
            return ERR_NOMEM;
    }
    row.state = row.revoked_at ? SLICE("revoked") : r->now > row.not_after ? SLICE("expired") : SLICE("valid");
    return r->fn(r->arg, &row);
}

static enum err row_keep(void *arg, const struct certs_row *row)
{
    *(struct certs_row *)arg = *row;
    return ERR_OK;
}

enum err certs_find(struct sql_tx *tx, struct slice id, int64_t now, struct arena *a, struct certs_row *ret)
{
    static const char sql[] = ROWS(" WHERE serial = $1 OR digest = $1", " WHERE serial = $1 OR digest = $1");
    struct reader r = { now, a, row_keep, ret };

    return sql_one(tx, sql, SQL_ARGS(SQL_T(id)), row_read, &r);
}

enum err certs_each(struct sql_tx *tx, struct slice uri, int64_t now, struct arena *a,
                    enum err (*fn)(void *arg, const struct certs_row *row), void *arg)
{
    static const char all[] = ROWS("", "") " ORDER BY since, serial";
    static const char some[] = ROWS(" WHERE uri = $1", " WHERE uri = $1") " ORDER BY since, serial";
    struct reader r = { now, a, fn, arg };

    if (uri.n == 0)
        return sql_each(tx, all, NULL, 0, row_read, &r);
    return sql_each(tx, some, SQL_ARGS(SQL_T(uri)), row_read, &r);
}

/* ---- taking back ---- */

enum err certs_revoke(struct sql_tx *tx, struct slice id, struct slice reason, int64_t now)
{
    static const char ours[] = "UPDATE certs_leaf SET revoked_at = $1, reason = $2 WHERE digest = $3";
    static const char outside[] = "UPDATE certs_enrolled SET revoked_at = $1, reason = $2 WHERE digest = $3";
    struct certs_row row = { 0 };
    struct arena a;
    enum err e;

    arena_init(&a, 65536);
    e = certs_find(tx, id, now, &a, &row);
    if (e == ERR_OK && row.revoked_at != 0)
        e = ERR_CONFLICT;
    if (e == ERR_OK)
        e = sql_exec(tx, row.authority.n > 0 ? outside : ours, SQL_ARGS(SQL_I(now), SQL_T(reason), SQL_T(row.digest)),
                     NULL);
    arena_done(&a);
    return e;
}

/* ---- the list ---- */

static bool list_copy(X509_CRL *list, struct buf *out)
{
    BIO *mem = BIO_new(BIO_s_mem());
    char *text = NULL;
    bool ok = mem && PEM_write_bio_X509_CRL(mem, list) == 1;

    if (ok) {
        long n = BIO_get_mem_data(mem, &text);

        buf_put(out, slice_make(text, (size_t)n));
    }
    BIO_free(mem);
    return ok;
}

/* Lists of other authorities (the root's) stay as they are; of our own only the number matters. */
static enum err others_keep(const struct certs_ca *ca, struct slice old, struct buf *out, uint64_t *number,
                            struct diags *d)
{
    BIO *in = BIO_new_mem_buf(old.p, (int)old.n);
    X509_CRL *list = NULL;
    enum err e = in ? ERR_OK : diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");

    while (e == ERR_OK && (e = certs_list_next(in, ca->list_path, &list, d)) == ERR_OK && list) {
        if (X509_NAME_cmp(X509_CRL_get_issuer(list), X509_get_subject_name(ca->cert)) == 0) {
            uint64_t n = certs_list_number(list);

            *number = n >= *number ? n + 1 : *number;
        } else if (!list_copy(list, out)) {
            e = diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
        }
        X509_CRL_free(list);
    }
    BIO_free(in);
    return e;
}

struct revoked_rows {
    struct certs_revoked *at; /* own */
    size_t n, room;
};

static enum err entry_add(void *arg, const struct sql_row *row)
{
    struct revoked_rows *l = arg;
    struct slice serial = sql_text(row, 0);
    struct certs_revoked *to;

    if (l->n == l->room) {
        size_t room = l->room ? l->room * 2 : 256;
        struct certs_revoked *more = mem_grow(l->at, room * sizeof *more);

        if (more == NULL)
            return ERR_NOMEM;
        l->at = more;
        l->room = room;
    }
    to = &l->at[l->n];
    if (serial.n / 2 > sizeof to->serial || !hex_read(serial, to->serial, serial.n / 2))
        return ERR_CORRUPT;
    to->n = (uint8_t)(serial.n / 2);
    to->at = sql_int(row, 1);
    l->n++;
    return ERR_OK;
}

static enum err own_put(struct certs_ca *ca, struct sql_tx *tx, uint64_t number, unsigned hours, int64_t now,
                        struct buf *out, struct diags *d)
{
    struct revoked_rows l = { 0 };
    enum err e =
        sql_each(tx, "SELECT serial, revoked_at FROM certs_leaf WHERE revoked_at <> 0", NULL, 0, entry_add, &l);

    if (e != ERR_OK)
        diag_add(d, e, 0, 0, "cannot read what was revoked", "无法读取已吊销的证书");
    else if (ca->hand != NULL)
        e = ca->hand->list(ca->hand->self, number, hours, l.at, l.n, out, d);
    else
        e = certs_list_sign(ca, number, hours, l.at, l.n, now, out, d);
    mem_free(l.at);
    return e;
}

enum err certs_crl_write(struct certs_ca *ca, struct sql_tx *tx, unsigned hours, int64_t now, struct diags *d)
{
    struct buf old = BUF_INIT(CERTS_LIST_MAX), text = BUF_INIT(CERTS_LIST_MAX);
    uint64_t number = (uint64_t)(now / 1000);
    enum err e;

    e = file_read(ca->list_path, &old, d);
    if (e == ERR_OK)
        e = others_keep(ca, buf_slice(&old), &text, &number, d);
    if (e == ERR_OK)
        e = own_put(ca, tx, number, hours, now, &text, d);
    if (e == ERR_OK)
        e = file_write(ca->list_path, buf_slice(&text), 0644, d);
    ERR_clear_error();
    buf_done(&old);
    buf_done(&text);
    return e;
}
