/* certs/list: revocation lists as this authority makes them (RFC 5280 section 5): version 2, with number and issuer
 * key, complete, without reasons. What a list of ours once held, the next one holds too. */
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <unistd.h>
#include "certs/internal.h"

static bool number_put(X509_CRL *list, uint64_t number)
{
    ASN1_INTEGER *n = ASN1_INTEGER_new();
    bool ok = n && ASN1_INTEGER_set_uint64(n, number) &&
              X509_CRL_add1_ext_i2d(list, NID_crl_number, n, 0, X509V3_ADD_DEFAULT) == 1;

    ASN1_INTEGER_free(n);
    return ok;
}

static bool issuer_key_put(X509_CRL *list, X509 *issuer)
{
    X509V3_CTX context;
    X509_EXTENSION *one;
    bool ok;

    X509V3_set_ctx(&context, issuer, NULL, NULL, list, 0);
    one = X509V3_EXT_conf_nid(NULL, &context, NID_authority_key_identifier, "keyid:always");
    ok = one && X509_CRL_add_ext(list, one, -1) == 1;
    X509_EXTENSION_free(one);
    return ok;
}

static bool times_put(X509_CRL *list, int64_t from, int64_t to)
{
    ASN1_TIME *t = ASN1_TIME_set(NULL, (time_t)(from / 1000));
    bool ok = t && X509_CRL_set1_lastUpdate(list, t) && ASN1_TIME_set(t, (time_t)(to / 1000)) &&
              X509_CRL_set1_nextUpdate(list, t);

    ASN1_TIME_free(t);
    return ok;
}

enum err certs_list_new(X509 *issuer, uint64_t number, int64_t from, int64_t to, X509_CRL **ret)
{
    X509_CRL *list = X509_CRL_new();

    if (list && X509_CRL_set_version(list, X509_CRL_VERSION_2) &&
        X509_CRL_set_issuer_name(list, X509_get_subject_name(issuer)) && times_put(list, from, to) &&
        number_put(list, number) && issuer_key_put(list, issuer)) {
        *ret = list;
        return ERR_OK;
    }
    X509_CRL_free(list);
    return ERR_CRYPTO;
}

enum err certs_list_add(X509_CRL *list, struct slice serial_hex, int64_t at)
{
    uint8_t bytes[CERTS_SERIAL_MAX];
    BIGNUM *n = NULL;
    ASN1_INTEGER *serial = NULL;
    ASN1_TIME *when = ASN1_TIME_set(NULL, (time_t)(at / 1000));
    X509_REVOKED *one = X509_REVOKED_new();
    bool ok = serial_hex.n / 2 <= sizeof bytes && hex_read(serial_hex, bytes, serial_hex.n / 2);

    if (ok)
        n = BN_bin2bn(bytes, (int)(serial_hex.n / 2), NULL);
    serial = n ? BN_to_ASN1_INTEGER(n, NULL) : NULL;
    ok = serial && when && one && X509_REVOKED_set_serialNumber(one, serial) &&
         X509_REVOKED_set_revocationDate(one, when) && X509_CRL_add0_revoked(list, one);
    if (!ok)
        X509_REVOKED_free(one);
    BN_free(n);
    ASN1_INTEGER_free(serial);
    ASN1_TIME_free(when);
    return ok ? ERR_OK : ERR_CRYPTO;
}

enum err certs_list_put(X509_CRL *list, EVP_PKEY *key, struct buf *out)
{
    BIO *mem = BIO_new(BIO_s_mem());
    char *text = NULL;
    bool ok = mem && X509_CRL_sort(list) && X509_CRL_sign(list, key, certs_md(key)) > 0 &&
              PEM_write_bio_X509_CRL(mem, list) == 1;

    if (ok) {
        long n = BIO_get_mem_data(mem, &text);

        buf_put(out, slice_make(text, (size_t)n));
    }
    BIO_free(mem);
    return ok ? out->failed : ERR_CRYPTO;
}

/* ---- lists in order ---- */

uint64_t certs_list_number(const X509_CRL *list)
{
    ASN1_INTEGER *n = X509_CRL_get_ext_d2i(list, NID_crl_number, NULL, NULL);
    uint64_t value = 0;

    if (n == NULL || !ASN1_INTEGER_get_uint64(&value, n))
        value = 0;
    ASN1_INTEGER_free(n);
    return value;
}

static enum err listed_take(struct certs_ca *ca, X509_CRL *list)
{
    STACK_OF(X509_REVOKED) *all = X509_CRL_get_REVOKED(list);
    int n = sk_X509_REVOKED_num(all);
    struct certs_serial *at = mem_array(n > 0 ? (size_t)n : 1, sizeof *at);
    size_t got = 0;

    if (at == NULL)
        return ERR_NOMEM;
    for (int i = 0; i < n; i++)
        got += certs_serial_read(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(all, i)), &at[got]);
    qsort(at, got, sizeof *at, certs_serial_cmp);
    mem_free(ca->listed);
    ca->listed = at;
    ca->n_listed = got;
    ca->list_number = certs_list_number(list);
    return ERR_OK;
}

enum err certs_listed_load(struct certs_ca *ca, struct diags *d)
{
    struct buf text = BUF_INIT(CERTS_LIST_MAX);
    X509_CRL *list = NULL;
    BIO *in = NULL;
    enum err e = access(ca->list_path, F_OK) == 0 ? file_read(ca->list_path, &text, d) : ERR_OK;

    if (e == ERR_OK && text.n > 0 && (in = BIO_new_mem_buf(text.p, (int)text.n)) == NULL)
        e = ERR_NOMEM;
    while (e == ERR_OK && in && (e = certs_list_next(in, ca->list_path, &list, d)) == ERR_OK && list) {
        if (X509_CRL_verify(list, X509_get0_pubkey(ca->cert)) == 1 && certs_list_number(list) >= ca->list_number)
            e = listed_take(ca, list);
        X509_CRL_free(list);
    }
    BIO_free(in);
    buf_done(&text);
    ERR_clear_error();
    return e;
}

/* Everything that the last list held is among `at`. */
static bool none_forgotten(const struct certs_ca *ca, const struct certs_serial *at, size_t n)
{
    for (size_t i = 0; i < ca->n_listed; i++)
        if (n == 0 || bsearch(&ca->listed[i], at, n, sizeof *at, certs_serial_cmp) == NULL)
            return false;
    return true;
}

static enum err list_build(struct certs_ca *ca, X509_CRL *list, const struct certs_revoked *at, size_t n,
                           struct buf *out)
{
    char hex[2 * CERTS_SERIAL_MAX + 1];
    enum err e = ERR_OK;

    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        certs_hex(at[i].serial, at[i].n, hex);
        e = certs_list_add(list, slice_of(hex), at[i].at);
    }
    return e == ERR_OK ? certs_list_put(list, ca->key, out) : e;
}

static struct certs_serial *serials_of(const struct certs_revoked *at, size_t n)
{
    struct certs_serial *s = mem_array(n > 0 ? n : 1, sizeof *s);

    for (size_t i = 0; s && i < n; i++) {
        size_t zeros = 0;
        while (zeros < at[i].n && at[i].serial[zeros] == 0)
            zeros++;
        s[i].n = (uint8_t)(at[i].n - zeros);
        memcpy(s[i].b, at[i].serial + zeros, s[i].n);
    }
    if (s)
        qsort(s, n, sizeof *s, certs_serial_cmp);
    return s;
}

enum err certs_list_sign(struct certs_ca *ca, uint64_t number, unsigned hours, const struct certs_revoked *at, size_t n,
                         int64_t now, struct buf *out, struct diags *d)
{
    struct certs_serial *serials;
    X509_CRL *list = NULL;
    enum err e;

    if (hours < 1 || hours > 168)
        return diag_add(d, ERR_INVALID, 0, 0, "a revocation list lasts 1 to 168 hours, not %u",
                        "吊销列表有效期须为 1 至 168 小时，不能为 %u 小时", hours);
    serials = serials_of(at, n);
    if (serials == NULL)
        return diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    if (!none_forgotten(ca, serials, n)) {
        mem_free(serials);
        return diag_add(d, ERR_CONFLICT, 0, 0,
                        "the new revocation list forgets a certificate that the last one holds: restore state.db and "
                        "ca/ together",
                        "新的吊销列表遗漏了上一份所列的证书：请一并恢复 state.db 与 ca 目录");
    }
    if (number <= ca->list_number)
        number = ca->list_number + 1;
    e = certs_list_new(ca->cert, number, now, now + (int64_t)hours * 3600000, &list);
    if (e == ERR_OK)
        e = list_build(ca, list, at, n, out);
    X509_CRL_free(list);
    if (e != ERR_OK) {
        mem_free(serials);
        return diag_add(d, e, 0, 0, "cannot sign the revocation list (%s)", "无法签发吊销列表（%s）", certs_why());
    }
    mem_free(ca->listed);
    ca->listed = serials;
    ca->n_listed = n;
    ca->list_number = number;
    return ERR_OK;
}
