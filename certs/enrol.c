/* certs/enrol: certificates of outside authorities, known here by their SHA-256.
 * Invariants: what is enrolled was judged by every rule that its holder will be judged by; a digest has one name here;
 * once revoked it stays revoked, whatever its authority says. Table: certs_enrolled. */
#include <openssl/err.h>
#include "certs/internal.h"

/* ---- judging ---- */

static const char no_certificate[2][64] = { "that is no certificate in PEM", "这不是 PEM 证书" };
static const char names_itself[2][128] = {
    "the certificate names somebody by itself: list its authority with that trust domain, not as an outside one",
    "该证书自带网关名称：请按其信任域登记签发机构，而非作为外部机构",
};

static enum reason say(const char *detail[2], const char *en, const char *zh)
{
    detail[LANG_EN] = en;
    detail[LANG_ZH] = zh;
    return REASON_CERTIFICATE_INVALID;
}

/* The subject of the anchor that vouches, for people to read. */
static bool authority_name(const struct certs_trust *t, const struct certs_peer *p, struct arena *a, struct slice *ret)
{
    const struct certs_authority *anchor = certs_authority_find(t, &p->path[p->path_n - 1]);
    BIO *mem = anchor ? BIO_new(BIO_s_mem()) : NULL;
    char *text = NULL;

    if (mem &&
        X509_NAME_print_ex(mem, X509_get_subject_name(anchor->cert), 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
        long n = BIO_get_mem_data(mem, &text);

        *ret = arena_dup(a, slice_make(text, (size_t)n));
    }
    BIO_free(mem);
    return ret->p != NULL && utf8_valid(*ret);
}

static enum reason outside_judge(const struct certs_trust *t, STACK_OF(X509) * chain, const struct certs_enrolled *as,
                                 int64_t now, struct arena *a, struct certs_outside *ret, const char *detail[2])
{
    X509 *leaf = sk_X509_value(chain, 0);
    char uri[CERTS_URI_MAX + 1];
    struct certs_name name;
    struct certs_peer p;

    certs_judge(t, leaf, chain, now, as, &p);
    if (p.verdict != REASON_GRANTED)
        return p.verdict;
    if (certs_uri_read(leaf, uri) && certs_name_read(slice_of(uri), &name))
        return say(detail, names_itself[LANG_EN], names_itself[LANG_ZH]);
    *ret = (struct certs_outside){ .not_after = p.not_after };
    memcpy(ret->serial, p.serial, sizeof ret->serial);
    memcpy(ret->digest, p.digest, sizeof ret->digest);
    return authority_name(t, &p, a, &ret->authority) ? REASON_GRANTED : REASON_INTERNAL;
}

enum reason certs_outside_judge(const struct certs_trust *t, struct slice pem, struct slice uri, int64_t now,
                                struct arena *a, struct certs_outside *ret, const char *detail[2])
{
    const struct certs_enrolled as = { .uri = uri, .until = INT64_MAX };
    STACK_OF(X509) *chain = NULL;
    enum reason r;

    detail[LANG_EN] = detail[LANG_ZH] = NULL;
    if (pem.n > CERTS_CSR_MAX || certs_pem_parse(pem, "", &chain, NULL) != ERR_OK)
        return say(detail, no_certificate[LANG_EN], no_certificate[LANG_ZH]);
    r = outside_judge(t, chain, &as, now, a, ret, detail);
    sk_X509_pop_free(chain, X509_free);
    ERR_clear_error();
    return r;
}

/* ---- the register ---- */

enum err certs_enrol(struct sql_tx *tx, const struct certs_outside *c, struct slice uri, struct slice author,
                     int64_t now, int64_t until)
{
    struct certs_row row = { 0 };
    struct arena a;
    enum err e;

    arena_init(&a, 65536);
    e = certs_find(tx, slice_of(c->digest), now, &a, &row);
    if (e == ERR_NOT_FOUND)
        e = sql_exec(tx,
                     "INSERT INTO certs_enrolled(digest, serial, uri, authority, author, enrolled_at, until)"
                     " VALUES($1, $2, $3, $4, $5, $6, $7)",
                     SQL_ARGS(SQL_T(slice_of(c->digest)), SQL_T(slice_of(c->serial)), SQL_T(uri), SQL_T(c->authority),
                              SQL_T(author), SQL_I(now), SQL_I(until)),
                     NULL);
    else if (e == ERR_OK && (row.revoked_at != 0 || row.authority.n == 0 || !slice_eq(row.uri, uri)))
        e = ERR_CONFLICT;
    else if (e == ERR_OK)
        e = sql_exec(tx,
                     "UPDATE certs_enrolled SET authority = $1, author = $2, enrolled_at = $3, until = $4"
                     " WHERE digest = $5",
                     SQL_ARGS(SQL_T(c->authority), SQL_T(author), SQL_I(now), SQL_I(until), SQL_T(row.digest)), NULL);
    arena_done(&a);
    return e;
}

struct enrolled_rows {
    struct arena *a;
    struct certs_enrolled *at;
    size_t n, room;
};

static enum err enrolled_add(void *arg, const struct sql_row *row)
{
    struct enrolled_rows *l = arg;
    struct slice uri = sql_text(row, 1);
    struct certs_enrolled *to;

    if (l->n == l->room) {
        size_t room = l->room ? l->room * 2 : 64;
        struct certs_enrolled *more = arena_array(l->a, room, sizeof *more);

        if (more == NULL)
            return ERR_NOMEM;
        if (l->n > 0)
            memcpy(more, l->at, l->n * sizeof *more);
        l->at = more;
        l->room = room;
    }
    to = &l->at[l->n];
    *to = (struct certs_enrolled){ .uri = arena_dup(l->a, uri),
                                   .until = sql_int(row, 2),
                                   .revoked = sql_int(row, 3) != 0 };
    if (to->uri.p == NULL)
        return ERR_NOMEM;
    if (!hex_read(sql_text(row, 0), to->digest.b, sizeof to->digest.b))
        return ERR_CORRUPT;
    l->n++;
    return ERR_OK;
}

enum err certs_enrolled_read(struct sql_tx *tx, struct arena *a, struct certs_enrolled **ret, size_t *n)
{
    struct enrolled_rows l = { .a = a };
    enum err e = sql_each(tx,
                          "SELECT digest, uri, until, revoked_at FROM certs_enrolled"
                          " UNION ALL SELECT digest, uri, not_after, revoked_at FROM certs_leaf WHERE revoked_at <> 0",
                          NULL, 0, enrolled_add, &l);

    if (e != ERR_OK)
        return e;
    *ret = l.at;
    *n = l.n;
    return ERR_OK;
}
