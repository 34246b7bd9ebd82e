/* See pki.h. */
#include "pki.h"
#include <ftw.h>
#include <openssl/core_names.h>
#include <openssl/pem.h>

/* ---- keys ---- */

static EVP_PKEY *curve_spelt_out(void)
{
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *k = NULL;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)(uintptr_t) "P-256", 0),
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, (char *)(uintptr_t) "explicit", 0),
        OSSL_PARAM_construct_end(),
    };

    assert_true(EVP_PKEY_keygen_init(c) > 0 && EVP_PKEY_CTX_set_params(c, params) > 0);
    assert_true(EVP_PKEY_generate(c, &k) > 0);
    EVP_PKEY_CTX_free(c);
    return k;
}

EVP_PKEY *pki_key(enum pki_key kind)
{
    static EVP_PKEY *made[PKI_KEYS];

    if (made[kind] == NULL)
        switch (kind) {
        case PKI_P384:
            made[kind] = EVP_EC_gen("P-384");
            break;
        case PKI_P521:
            made[kind] = EVP_EC_gen("P-521");
            break;
        case PKI_SPELT_OUT:
            made[kind] = curve_spelt_out();
            break;
        case PKI_ED25519:
            made[kind] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
            break;
        case PKI_RSA1024:
            made[kind] = EVP_RSA_gen(1024);
            break;
        case PKI_RSA2048:
            made[kind] = EVP_RSA_gen(2048);
            break;
        default:
            made[kind] = EVP_EC_gen("P-256");
            break;
        }
    assert_non_null(made[kind]);
    return made[kind];
}

static const EVP_MD *md_for(EVP_PKEY *key, bool sha1)
{
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519)
        return NULL;
    return sha1 ? EVP_sha1() : EVP_sha256();
}

/* ---- certificates ---- */

static void extension_put(X509 *x, X509 *issuer, int nid, const char *value, const char *otherwise)
{
    X509V3_CTX c;
    X509_EXTENSION *e;

    value = value ? value : otherwise;
    if (value[0] == '\0')
        return;
    X509V3_set_ctx(&c, issuer, x, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &c, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

static void serial_put(X509 *x, const char *decimal)
{
    static unsigned next = 1000;
    char own[16];
    ASN1_INTEGER *n;

    snprintf(own, sizeof own, "%u", next++);
    n = s2i_ASN1_INTEGER(NULL, decimal ? decimal : own);
    assert_non_null(n);
    assert_int_equal(X509_set_serialNumber(x, n), 1);
    ASN1_INTEGER_free(n);
}

/* As a peer's arrives: from bytes, so that the key is what was written and not what we hold. */
static X509 *reread(X509 *x)
{
    unsigned char *der = NULL;
    const unsigned char *at;
    int n = i2d_X509(x, &der);

    assert_true(n > 0);
    X509_free(x);
    at = der;
    x = d2i_X509(NULL, &at, n);
    assert_non_null(x);
    OPENSSL_free(der);
    return x;
}

X509 *pki_cert(const struct pki_spec *s, X509 *issuer, EVP_PKEY *issuer_key)
{
    X509 *x = X509_new();
    EVP_PKEY *key = s->own_key ? s->own_key : pki_key(s->key);
    X509 *by = issuer ? issuer : x;
    const char *cn = s->cn ? s->cn : "admission";

    if (issuer == NULL)
        issuer_key = key;
    X509_set_version(x, X509_VERSION_3);
    serial_put(x, s->serial);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(by));
    X509_set_pubkey(x, key);
    ASN1_TIME_set(X509_getm_notBefore(x), (time_t)((s->from ? s->from : PKI_NOW - DAY) / 1000));
    ASN1_TIME_set(X509_getm_notAfter(x), (time_t)((s->to ? s->to : PKI_NOW + 30 * DAY) / 1000));
    extension_put(x, by, NID_subject_alt_name, s->san, PKI_APP);
    extension_put(x, by, NID_subject_alt_name, s->san2, "");
    extension_put(x, by, NID_basic_constraints, s->bc, "critical,CA:FALSE");
    extension_put(x, by, NID_key_usage, s->ku, "critical,digitalSignature");
    extension_put(x, by, NID_ext_key_usage, s->eku, "clientAuth");
    extension_put(x, by, NID_subject_key_identifier, s->skid, "hash");
    extension_put(x, by, NID_authority_key_identifier, s->akid, "keyid");
    assert_true(X509_sign(x, issuer_key, md_for(issuer_key, s->sha1)) > 0);
    return reread(x);
}

X509 *pki_ca(const char *cn, enum pki_key key, X509 *issuer, EVP_PKEY *issuer_key)
{
    const struct pki_spec s = {
        .cn = cn, .san = "", .eku = "", .ku = "critical,keyCertSign,cRLSign", .bc = "critical,CA:TRUE", .key = key
    };

    return pki_cert(&s, issuer, issuer_key);
}

/* ---- text ---- */

static char *bio_text(BIO *b)
{
    char *p = NULL, *copy;
    long n = BIO_get_mem_data(b, &p);

    copy = mem_dup(slice_make(p, (size_t)n));
    assert_non_null(copy);
    BIO_free(b);
    return copy;
}

char *pki_pem(X509 *const *certs, size_t n)
{
    BIO *b = BIO_new(BIO_s_mem());

    for (size_t i = 0; i < n; i++)
        assert_int_equal(PEM_write_bio_X509(b, certs[i]), 1);
    return bio_text(b);
}

static void entry_put(X509_CRL *list, const char *decimal, const char *entry_extension)
{
    X509_REVOKED *r = X509_REVOKED_new();
    ASN1_INTEGER *n = s2i_ASN1_INTEGER(NULL, decimal);
    ASN1_TIME *when = ASN1_TIME_set(NULL, (time_t)((PKI_NOW - 2 * HOUR) / 1000));

    assert_true(X509_REVOKED_set_serialNumber(r, n) && X509_REVOKED_set_revocationDate(r, when));
    if (entry_extension) {
        ASN1_OCTET_STRING *der = ASN1_OCTET_STRING_new();
        X509_EXTENSION *e;

        ASN1_OCTET_STRING_set(der, (const unsigned char *)entry_extension, (int)strlen(entry_extension));
        e = X509_EXTENSION_create_by_NID(NULL, NID_certificate_issuer, 1, der);
        assert_int_equal(X509_REVOKED_add_ext(r, e, -1), 1);
        X509_EXTENSION_free(e);
        ASN1_OCTET_STRING_free(der);
    }
    assert_int_equal(X509_CRL_add0_revoked(list, r), 1);
    ASN1_INTEGER_free(n);
    ASN1_TIME_free(when);
}

char *pki_list(const struct pki_list *s, X509 *issuer, EVP_PKEY *key)
{
    X509_CRL *list = X509_CRL_new();
    ASN1_TIME *t = ASN1_TIME_set(NULL, (time_t)((s->from ? s->from : PKI_NOW - HOUR) / 1000));
    BIO *b = BIO_new(BIO_s_mem());

    X509_CRL_set_version(list, X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(list, X509_get_subject_name(issuer));
    X509_CRL_set1_lastUpdate(list, t);
    ASN1_TIME_set(t, (time_t)((s->to ? s->to : PKI_NOW + DAY) / 1000));
    if (s->to != -1)
        X509_CRL_set1_nextUpdate(list, t);
    for (size_t i = 0; i < 4 && s->revoked[i]; i++)
        entry_put(list, s->revoked[i], s->entry_extension);
    if (s->extension) {
        X509V3_CTX c;
        X509_EXTENSION *e;

        X509V3_set_ctx(&c, issuer, NULL, NULL, list, 0);
        e = X509V3_EXT_conf(NULL, &c, s->extension, s->value);
        assert_non_null(e);
        assert_int_equal(X509_CRL_add_ext(list, e, -1), 1);
        X509_EXTENSION_free(e);
    }
    assert_true(X509_CRL_sign(list, key, md_for(key, s->sha1)) > 0);
    assert_int_equal(PEM_write_bio_X509_CRL(b, list), 1);
    X509_CRL_free(list);
    ASN1_TIME_free(t);
    return bio_text(b);
}

const char *pki_serial(const X509 *x)
{
    static char text[64];
    char *s = i2s_ASN1_INTEGER(NULL, X509_get0_serialNumber(x));

    snprintf(text, sizeof text, "%s", s);
    OPENSSL_free(s);
    return text;
}

/* ---- the folder ---- */

const char *pki_path(struct pki *p, const char *name)
{
    const char *path = path_join(&p->a, p->dir, name);

    assert_non_null(path);
    return path;
}

void pki_write(struct pki *p, const char *name, const char *text)
{
    assert_int_equal(file_write(pki_path(p, name), slice_of(text), 0644, &p->d), ERR_OK);
}

char *pki_read(struct pki *p, const char *name)
{
    struct buf b = BUF_INIT(1 << 20);
    char *copy;

    assert_int_equal(file_read(pki_path(p, name), &b, &p->d), ERR_OK);
    copy = mem_dup(buf_slice(&b));
    buf_done(&b);
    return copy;
}

X509 *pki_first(struct slice pem)
{
    BIO *b = BIO_new_mem_buf(pem.p, (int)pem.n);
    X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);

    assert_non_null(x);
    BIO_free(b);
    return x;
}

static X509 *cert_at(struct pki *p, const char *name)
{
    char *text = pki_read(p, name);
    X509 *x = pki_first(slice_of(text));

    mem_free(text);
    return x;
}

static EVP_PKEY *key_at(struct pki *p, const char *name)
{
    char *text = pki_read(p, name);
    BIO *b = BIO_new_mem_buf(text, -1);
    EVP_PKEY *k = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);

    assert_non_null(k);
    BIO_free(b);
    mem_free(text);
    return k;
}

STACK_OF(X509) * pki_chain(X509 *first, ...)
{
    STACK_OF(X509) *all = sk_X509_new_null();
    va_list ap;

    va_start(ap, first);
    for (X509 *x = first; x; x = va_arg(ap, X509 *))
        assert_true(sk_X509_push(all, x) > 0);
    va_end(ap);
    return all;
}

void pki_say(struct pki *p)
{
    struct buf text = BUF_INIT(65536);

    diags_print(&p->d, LANG_EN, &text);
    print_error("%.*s", SLICE_ARG(buf_slice(&text)));
    buf_done(&text);
}

struct certs_trust *pki_trust(struct pki *p, const char *lists)
{
    struct certs_anchor anchor = { pki_path(p, "ca/chain.pem"), pki_path(p, lists), PKI_DOMAIN, "", false, false };
    struct certs_trust *t = NULL;

    if (certs_trust_load(&anchor, 1, &t, &p->d) != ERR_OK) {
        pki_say(p);
        fail();
    }
    return t;
}

int pki_open(void **state)
{
    struct pki *p = mem_zalloc(sizeof *p);

    if (p == NULL)
        return -1;
    snprintf(p->dir, sizeof p->dir, "/tmp/sluice-certs-XXXXXX");
    if (mkdtemp(p->dir) == NULL)
        return -1;
    arena_init(&p->a, (size_t)64 << 20);
    diags_init(&p->d, &p->a);
    if (certs_ca_create(p->dir, PKI_DOMAIN, PKI_NOW - DAY, &p->d) != ERR_OK) {
        pki_say(p);
        return -1;
    }
    p->root = cert_at(p, "root/root.pem");
    p->ca = cert_at(p, "ca/ca.pem");
    p->root_key = key_at(p, "root/root.key");
    p->ca_key = key_at(p, "ca/ca.key");
    *state = p;
    return 0;
}

static int one_remove(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

int pki_close(void **state)
{
    struct pki *p = *state;

    X509_free(p->root);
    X509_free(p->ca);
    EVP_PKEY_free(p->root_key);
    EVP_PKEY_free(p->ca_key);
    nftw(p->dir, one_remove, 16, FTW_DEPTH | FTW_PHYS);
    arena_done(&p->a);
    mem_free(p);
    return 0;
}
