/* certs/revocation: lists of revoked certificates, checked once when they are loaded, and the question asked of them.
 * Invariants: a list counts only for an authority whose name and key it was checked against, whose key may sign lists,
 * and only when it is complete (no delta, no partition, no indirect entries); the newest list of an authority is the
 * one that counts; where no list is, or it is out of date, the answer is "unknown", never "no".
 * OpenSSL's own check is not used, for it verifies the list's signature again at every handshake. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include "certs/internal.h"

static bool algorithm_ok(const X509_CRL *list)
{
    int digest = NID_undef, key = NID_undef;

    if (!OBJ_find_sigid_algs(X509_CRL_get_signature_nid(list), &digest, &key))
        return false;
    return digest == NID_sha256 || digest == NID_sha384 || digest == NID_sha512 ||
           (digest == NID_undef && key == NID_ED25519);
}

static bool entry_ok(const X509_REVOKED *one)
{
    return X509_REVOKED_get_ext_by_critical(one, 1, -1) < 0;
}

static bool complete(X509_CRL *list)
{
    STACK_OF(X509_REVOKED) *all = X509_CRL_get_REVOKED(list);

    if (X509_CRL_get_ext_by_critical(list, 1, -1) >= 0 || X509_CRL_get_ext_by_NID(list, NID_delta_crl, -1) >= 0 ||
        X509_CRL_get_ext_by_NID(list, NID_issuing_distribution_point, -1) >= 0)
        return false;
    for (int i = 0; i < sk_X509_REVOKED_num(all); i++)
        if (!entry_ok(sk_X509_REVOKED_value(all, i)))
            return false;
    return true;
}

/* A serial that cannot be read can stand in no certificate that would be accepted. */
static bool serials_take(struct certs_list *into, X509_CRL *list, struct arena *a)
{
    STACK_OF(X509_REVOKED) *all = X509_CRL_get_REVOKED(list);
    int n = sk_X509_REVOKED_num(all);

    if (n <= 0)
        return true;
    into->serials = arena_array(a, (size_t)n, sizeof *into->serials);
    if (into->serials == NULL)
        return false;
    for (int i = 0; i < n; i++)
        if (certs_serial_read(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(all, i)), &into->serials[into->n]))
            into->n++;
    qsort(into->serials, into->n, sizeof *into->serials, certs_serial_cmp);
    return true;
}

static bool issued_by(X509_CRL *list, X509 *by)
{
    return X509_NAME_cmp(X509_CRL_get_issuer(list), X509_get_subject_name(by)) == 0 &&
           (X509_get_key_usage(by) & KU_CRL_SIGN) != 0 && X509_CRL_verify(list, X509_get0_pubkey(by)) == 1;
}

/* Hang it on every authority that it speaks for (a CA and its renewal share name and key), unless a newer is there. */
static enum err list_hang(struct certs_trust *t, X509_CRL *from, const struct certs_list *list, const char *path,
                          struct diags *d)
{
    bool known = false;

    for (struct certs_authority *a = t->authorities; a; a = a->next) {
        if (!issued_by(from, a->cert))
            continue;
        known = true;
        if (a->list == NULL || a->list->this_update <= list->this_update)
            a->list = list;
    }
    if (known)
        return ERR_OK;
    return diag_add(d, ERR_INVALID, 0, 0,
                    "%s holds a revocation list that no known authority signed: add its CA to the anchor's file",
                    "%s 中有一份吊销列表不是由已知机构签发：请将其 CA 证书加入信任锚文件", path);
}

static enum err list_take(struct certs_trust *t, X509_CRL *from, const char *path, struct diags *d)
{
    struct certs_list *list = arena_zalloc(&t->arena, sizeof *list);

    if (list == NULL)
        return diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    if (!certs_time_read(X509_CRL_get0_lastUpdate(from), &list->this_update) ||
        !certs_time_read(X509_CRL_get0_nextUpdate(from), &list->next_update))
        return diag_add(d, ERR_INVALID, 0, 0, "%s holds a revocation list that does not say when the next one comes",
                        "%s 中有一份吊销列表未注明下次更新时间", path);
    if (!algorithm_ok(from))
        return diag_add(d, ERR_INVALID, 0, 0, "%s holds a revocation list that is not signed with SHA-2 or Ed25519",
                        "%s 中有一份吊销列表的签名算法不是 SHA-2 或 Ed25519", path);
    if (!complete(from))
        return diag_add(d, ERR_UNSUPPORTED, 0, 0,
                        "%s holds a delta, partial or indirect revocation list: give the complete one",
                        "%s 中有增量、分区或间接吊销列表：请提供完整列表", path);
    if (!serials_take(list, from, &t->arena))
        return diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    return list_hang(t, from, list, path, d);
}

enum err certs_lists_load(struct certs_trust *t, const char *path, struct diags *d)
{
    struct buf text = BUF_INIT(CERTS_LIST_MAX);
    X509_CRL *list = NULL;
    BIO *in = NULL;
    unsigned n = 0;
    enum err e = file_read(path, &text, d);

    if (e == ERR_OK && (in = BIO_new_mem_buf(text.p, (int)text.n)) == NULL)
        e = diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    while (e == ERR_OK && (e = certs_list_next(in, path, &list, d)) == ERR_OK && list) {
        e = list_take(t, list, path, d);
        X509_CRL_free(list);
        n++;
    }
    if (e == ERR_OK && n == 0)
        e = diag_add(d, ERR_SYNTAX, 0, 0, "%s holds no revocation list in PEM", "%s 中没有 PEM 吊销列表", path);
    BIO_free(in);
    buf_done(&text);
    return e;
}

static enum reason list_ask(const struct certs_list *list, const struct certs_serial *serial, int64_t now)
{
    if (list == NULL)
        return REASON_REVOCATION_UNKNOWN;
    if (list->n > 0 && bsearch(serial, list->serials, list->n, sizeof *serial, certs_serial_cmp))
        return REASON_CERTIFICATE_REVOKED;
    if (now > list->next_update || now < list->this_update - CERTS_LEEWAY_MS)
        return REASON_REVOCATION_UNKNOWN;
    return REASON_GRANTED;
}

enum reason certs_path_revoked(const struct certs_trust *t, const struct certs_peer *p, const struct certs_serial *leaf,
                               int64_t now)
{
    const struct certs_serial *serial = leaf;

    for (unsigned i = 0; i < p->path_n; i++) {
        const struct certs_authority *a = certs_authority_find(t, &p->path[i]);
        enum reason r = list_ask(a ? a->list : NULL, serial, now);

        if (r != REASON_GRANTED)
            return r;
        serial = &a->serial;
    }
    return REASON_GRANTED;
}
