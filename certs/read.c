/* certs/read: what is read from certificates and keys, the same way wherever it is needed.
 * Invariant: a reader that cannot be sure says no; nothing is taken from a certificate that was not parsed whole. */
#include <arpa/inet.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <time.h>
#include "certs/internal.h"

enum { DER_ROOM = 4096 };

const char *certs_why(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    ERR_clear_error();
    return text ? text : "OpenSSL";
}

bool certs_serial_read(const ASN1_INTEGER *from, struct certs_serial *ret)
{
    int n = from ? ASN1_STRING_length(from) : 0;
    const unsigned char *bytes = from ? ASN1_STRING_get0_data(from) : NULL;

    if (n < 1 || n > CERTS_SERIAL_MAX || ASN1_STRING_type(from) != V_ASN1_INTEGER || bytes[0] == 0)
        return false;
    ret->n = (uint8_t)n;
    memcpy(ret->b, bytes, (size_t)n);
    return true;
}

int certs_serial_cmp(const void *a, const void *b)
{
    const struct certs_serial *x = a, *y = b;

    if (x->n != y->n)
        return x->n < y->n ? -1 : 1;
    return memcmp(x->b, y->b, x->n);
}

void certs_hex(const uint8_t *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

bool certs_digest(const X509 *x, struct sha256 *ret)
{
    unsigned char room[DER_ROOM], *der = room, *at;
    int n = i2d_X509(x, NULL);

    if (n <= 0)
        return false;
    if (n > DER_ROOM)
        der = mem_alloc((size_t)n);
    at = der;
    if (der == NULL || i2d_X509(x, &at) != n)
        n = 0;
    if (n > 0)
        *ret = sha256_of(slice_make(der, (size_t)n));
    if (der != room)
        mem_free(der);
    return n > 0;
}

bool certs_time_read(const ASN1_TIME *t, int64_t *ret_wall_ms)
{
    struct tm tm;

    if (t == NULL || !ASN1_TIME_to_tm(t, &tm))
        return false;
    *ret_wall_ms = (int64_t)timegm(&tm) * 1000;
    return true;
}

static bool curve_ok(const EVP_PKEY *key)
{
    char name[32];
    size_t n = 0;
    int spelt_out = 0;

    if (!EVP_PKEY_get_group_name(key, name, sizeof name, &n) || n >= sizeof name)
        return false;
    /* A curve given by its numbers may have a generator of the sender's choice. */
    if (!EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &spelt_out) || spelt_out)
        return false;
    return slice_is(slice_make(name, n), SN_X9_62_prime256v1) || slice_is(slice_make(name, n), SN_secp384r1);
}

bool certs_key_ok(const EVP_PKEY *key)
{
    switch (key ? EVP_PKEY_get_base_id(key) : EVP_PKEY_NONE) {
    case EVP_PKEY_ED25519:
        return true;
    case EVP_PKEY_RSA:
        return EVP_PKEY_get_bits(key) >= 2048;
    case EVP_PKEY_EC:
        return curve_ok(key);
    default:
        return false;
    }
}

bool certs_signature_ok(X509 *x)
{
    int digest = NID_undef, key = NID_undef;

    if (!X509_get_signature_info(x, &digest, &key, NULL, NULL))
        return false;
    return digest == NID_sha256 || digest == NID_sha384 || digest == NID_sha512 ||
           (digest == NID_undef && key == NID_ED25519);
}

bool certs_uri_read(const X509 *x, char out[CERTS_URI_MAX + 1])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL); /* NULL for two of them, too */
    const ASN1_IA5STRING *uri = NULL;
    int found = 0, n = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) { /* -1 members of NULL */
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);

        if (g->type != GEN_URI)
            continue;
        uri = g->d.uniformResourceIdentifier;
        found++;
    }
    if (found == 1)
        n = ASN1_STRING_length(uri);
    if (n > 0 && n <= CERTS_URI_MAX) {
        memcpy(out, ASN1_STRING_get0_data(uri), (size_t)n);
        out[n] = '\0';
        if (memchr(out, '\0', (size_t)n) != NULL)
            n = 0;
    } else {
        n = 0;
    }
    GENERAL_NAMES_free(names);
    return n > 0;
}

static bool host_put(const GENERAL_NAME *g, struct buf *out)
{
    char text[INET6_ADDRSTRLEN];
    const ASN1_STRING *s = g->type == GEN_IPADD ? g->d.iPAddress : g->d.dNSName;
    int n = ASN1_STRING_length(s);

    if (g->type != GEN_IPADD && g->type != GEN_DNS)
        return true;
    if (out->n > 0)
        buf_putc(out, ',');
    if (g->type == GEN_DNS) {
        buf_put(out, slice_make(ASN1_STRING_get0_data(s), (size_t)n));
        return true;
    }
    if ((n != 4 && n != 16) || !inet_ntop(n == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(s), text, sizeof text))
        return false;
    buf_puts(out, text);
    return true;
}

bool certs_hosts_read(const X509 *x, struct buf *out)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    bool ok = names != NULL;

    for (int i = 0; ok && i < sk_GENERAL_NAME_num(names); i++)
        ok = host_put(sk_GENERAL_NAME_value(names, i), out);
    GENERAL_NAMES_free(names);
    return ok && out->failed == ERR_OK;
}

/* At the end of a PEM text the last error says that no block begins. */
static bool pem_ended(void)
{
    unsigned long last = ERR_peek_last_error();

    return ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
}

static enum err certificates_parse(struct slice text, const char *path, STACK_OF(X509) * into, struct diags *d)
{
    BIO *in = BIO_new_mem_buf(text.p, (int)text.n);
    X509 *x;

    if (in == NULL)
        return diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    while ((x = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL) {
        if (sk_X509_push(into, x) > 0)
            continue;
        X509_free(x);
        BIO_free(in);
        return diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    }
    BIO_free(in);
    if (!pem_ended())
        return diag_add(d, ERR_SYNTAX, 0, 0, "certificate %d in %s is malformed (%s)",
                        "第 %d 张证书（%s）格式错误（%s）", sk_X509_num(into) + 1, path, certs_why());
    if (sk_X509_num(into) == 0)
        return diag_add(d, ERR_SYNTAX, 0, 0, "%s holds no certificate in PEM", "%s 中没有 PEM 证书", path);
    return ERR_OK;
}

enum err certs_pem_parse(struct slice text, const char *path, STACK_OF(X509) * *ret, struct diags *d)
{
    STACK_OF(X509) *all = sk_X509_new_null();
    enum err e;

    ERR_clear_error();
    e = all ? certificates_parse(text, path, all, d) : diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    ERR_clear_error();
    if (e == ERR_OK)
        *ret = all;
    else
        sk_X509_pop_free(all, X509_free);
    return e;
}

enum err certs_pem_read(const char *path, STACK_OF(X509) * *ret, struct diags *d)
{
    struct buf text = BUF_INIT(CERTS_PEM_MAX);
    enum err e = file_read(path, &text, d);

    if (e == ERR_OK)
        e = certs_pem_parse(buf_slice(&text), path, ret, d);
    buf_done(&text);
    return e;
}

enum err certs_list_next(BIO *pem, const char *path, X509_CRL **ret, struct diags *d)
{
    ERR_clear_error();
    *ret = PEM_read_bio_X509_CRL(pem, NULL, NULL, NULL);
    if (*ret == NULL && !pem_ended())
        return diag_add(d, ERR_SYNTAX, 0, 0, "a revocation list in %s is malformed (%s)",
                        "%s 中的吊销列表格式错误（%s）", path, certs_why());
    ERR_clear_error();
    return ERR_OK;
}
