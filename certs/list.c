/* certs/list: revocation lists as this authority makes them (RFC 5280 section 5): version 2, with number and issuer
 * key, complete, without reasons. */
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
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
