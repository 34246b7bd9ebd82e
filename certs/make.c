/* certs/make: certificates and keys as this authority makes them.
 * Invariants: names go into a certificate as values, never through OpenSSL's configuration language; a serial is 128
 * random bits; a key file is whole, 0600, and never over another. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <unistd.h>
#include "certs/internal.h"

enum { COMMON_NAME_MAX = 64 /* characters, RFC 5280 appendix A.1 */, SERIAL_LEN = 16 };

const EVP_MD *certs_md(const EVP_PKEY *key)
{
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519)
        return NULL; /* it hashes by itself */
    return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC && EVP_PKEY_get_bits(key) > 256 ? EVP_sha384() : EVP_sha256();
}

static bool name_put(X509_NAME *to, int nid, struct slice text)
{
    size_t at = 0;

    for (unsigned i = 0; i < COMMON_NAME_MAX && at < text.n; i++)
        at = utf8_next(text, at);
    return X509_NAME_add_entry_by_NID(to, nid, MBSTRING_UTF8, (const unsigned char *)text.p, (int)at, -1, 0) == 1;
}

bool certs_common_name_put(X509_NAME *to, struct slice text)
{
    return name_put(to, NID_commonName, text);
}

static bool serial_put(X509 *x)
{
    unsigned char bytes[SERIAL_LEN] = { 0 };
    BIGNUM *n = NULL;
    bool ok = random_bytes(bytes, sizeof bytes) == ERR_OK;

    if (ok)
        n = BN_bin2bn(bytes, sizeof bytes, NULL);
    ok = n && !BN_is_zero(n) && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
    BN_free(n);
    return ok;
}

/* ---- alternative names ---- */

/* Octets of an IP address, 4 or 16; 0: it is none. */
static size_t address_read(struct slice s, unsigned char out[16])
{
    char text[INET6_ADDRSTRLEN];

    if (s.n == 0 || s.n >= sizeof text || memchr(s.p, '\0', s.n) != NULL)
        return 0;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (inet_pton(AF_INET, text, out) == 1)
        return 4;
    return inet_pton(AF_INET6, text, out) == 1 ? 16 : 0;
}

static bool label_valid(struct slice s)
{
    if (s.n == 0 || s.n > 63 || s.p[0] == '-' || s.p[s.n - 1] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return true;
}

bool certs_host_valid(struct slice name)
{
    unsigned char address[16];
    bool numeric = true; /* 10.0.0.256 is no address, and no name either */

    if (address_read(name, address) > 0)
        return true;
    if (name.n == 0 || name.n > 253 || name.p[name.n - 1] == '.')
        return false;
    while (name.n > 0) {
        struct slice label = slice_cut(&name, '.');

        if (!label_valid(label))
            return false;
        numeric = name.n == 0 && label.p[0] >= '0' && label.p[0] <= '9';
    }
    return !numeric;
}

/* Appends a name of the given type; GEN_IPADD takes octets. */
static bool alternative_add(GENERAL_NAMES *to, int type, struct slice value)
{
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_STRING *s = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();

    if (g == NULL || s == NULL || !ASN1_STRING_set(s, value.p, (int)value.n)) {
        GENERAL_NAME_free(g);
        ASN1_STRING_free(s);
        return false;
    }
    GENERAL_NAME_set0_value(g, type, s);
    if (sk_GENERAL_NAME_push(to, g) > 0)
        return true;
    GENERAL_NAME_free(g);
    return false;
}

static bool alternatives_put(X509 *x, struct slice uri, struct slice names)
{
    GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
    bool ok = all && alternative_add(all, GEN_URI, uri);

    while (ok && names.n > 0) {
        unsigned char address[16];
        struct slice one = slice_cut(&names, ',');
        size_t n = address_read(one, address);

        ok = n > 0 ? alternative_add(all, GEN_IPADD, slice_make(address, n)) : alternative_add(all, GEN_DNS, one);
    }
    ok = ok && X509_add1_ext_i2d(x, NID_subject_alt_name, all, 0, X509V3_ADD_DEFAULT) == 1;
    GENERAL_NAMES_free(all);
    return ok;
}

/* ---- certificates ---- */

static bool extensions_put(X509 *x, X509 *issuer, const struct certs_extension *list)
{
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
    for (; list->nid != 0; list++) {
        X509_EXTENSION *one = X509V3_EXT_conf_nid(NULL, &context, list->nid, list->value);
        bool ok = one && X509_add_ext(x, one, -1) == 1;

        X509_EXTENSION_free(one);
        if (!ok)
            return false;
    }
    return true;
}

static bool fill(X509 *x, const struct certs_make *m)
{
    X509 *issuer = m->issuer ? m->issuer : x;

    return X509_set_version(x, X509_VERSION_3) && serial_put(x) &&
           name_put(X509_get_subject_name(x), NID_organizationName, m->organisation) &&
           certs_common_name_put(X509_get_subject_name(x), m->common_name) &&
           X509_set_issuer_name(x, X509_get_subject_name(issuer)) && X509_set_pubkey(x, m->key) &&
           ASN1_TIME_set(X509_getm_notBefore(x), (time_t)(m->from / 1000)) &&
           ASN1_TIME_set(X509_getm_notAfter(x), (time_t)(m->to / 1000)) && alternatives_put(x, m->uri, m->names) &&
           extensions_put(x, issuer, m->extensions) && X509_sign(x, m->issuer_key, certs_md(m->issuer_key)) > 0;
}

enum err certs_make(const struct certs_make *m, X509 **ret)
{
    X509 *x = X509_new();

    if (x == NULL || !fill(x, m)) {
        X509_free(x);
        return ERR_CRYPTO;
    }
    *ret = x;
    return ERR_OK;
}

void certs_pem_put(struct buf *out, X509 *x)
{
    BIO *mem = BIO_new(BIO_s_mem());
    char *text = NULL;

    if (mem && PEM_write_bio_X509(mem, x) == 1) {
        long n = BIO_get_mem_data(mem, &text);

        buf_put(out, slice_make(text, (size_t)n));
    } else if (out->failed == ERR_OK) {
        out->failed = ERR_NOMEM;
    }
    BIO_free(mem);
}

/* ---- key files ---- */

enum err certs_key_store(const char *path, EVP_PKEY *key, struct diags *d)
{
    BIO *out = BIO_new(BIO_s_secmem()); /* clears itself */
    char *text = NULL;
    long n;
    enum err e;

    if (access(path, F_OK) == 0)
        e = diag_add(d, ERR_EXISTS, 0, 0, "%s exists already and is not overwritten", "%s 已存在，不予覆盖", path);
    else if (out == NULL || PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) != 1)
        e = diag_add(d, ERR_CRYPTO, 0, 0, "cannot write a key (%s)", "无法写出密钥（%s）", certs_why());
    else {
        n = BIO_get_mem_data(out, &text);
        e = file_create(path, slice_make(text, (size_t)n), 0600, d);
    }
    BIO_free(out);
    return e;
}
