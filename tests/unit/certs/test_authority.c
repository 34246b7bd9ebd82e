/* certs/authority and certs/sign: what is made, what is in it, and what is refused. */
#include "pki.h"
#include <openssl/pem.h>
#include <sys/stat.h>

static unsigned mode_of(struct pki *p, const char *name)
{
    struct stat st;

    assert_int_equal(stat(pki_path(p, name), &st), 0);
    return st.st_mode & 0777;
}

static void test_create(void **state)
{
    struct pki *p = *state;
    char *chain = pki_read(p, "ca/chain.pem"), *ca = pki_read(p, "ca/ca.pem"), *root = pki_read(p, "root/root.pem");
    X509 *leaf_of_chain = pki_first(slice_of(chain));

    assert_int_equal(mode_of(p, "root"), 0700);
    assert_int_equal(mode_of(p, "ca"), 0700);
    assert_int_equal(mode_of(p, "root/root.key"), 0600);
    assert_int_equal(mode_of(p, "ca/ca.key"), 0600);
    assert_int_equal(X509_cmp(leaf_of_chain, p->ca), 0);
    assert_true(strncmp(chain, ca, strlen(ca)) == 0);
    assert_string_equal(chain + strlen(ca), root);
    assert_int_equal(X509_verify(p->ca, X509_get0_pubkey(p->root)), 1);
    assert_int_equal(X509_self_signed(p->root, 1), 1);
    assert_int_equal(X509_get_pathlen(p->root), 1);
    assert_int_equal(X509_get_pathlen(p->ca), 0);
    assert_int_equal(EVP_PKEY_eq(p->root_key, p->ca_key), 0);
    /* Both lists are in date from the start: a new authority's first certificate can be used. */
    {
        struct certs_trust *t = pki_trust(p, "ca/crl.pem");
        assert_true(certs_crl_next_update(t, true, NULL) == PKI_NOW - DAY + 24 * HOUR);
        certs_trust_unref(t);
    }
    X509_free(leaf_of_chain);
    mem_free(chain);
    mem_free(ca);
    mem_free(root);
}

static void test_create_refused(void **state)
{
    struct pki *p = *state;
    char *before = pki_read(p, "ca/ca.pem"), *after;
    static const char *const domains[] = {
        "", "Data.city", "a b", "a/b", "a2345678901234567890123456789012345678901234567890123456789012345", /* 65 */
    };

    assert_int_equal(certs_ca_create(p->dir, PKI_DOMAIN, PKI_NOW, &p->d), ERR_EXISTS);
    after = pki_read(p, "ca/ca.pem");
    assert_string_equal(before, after);
    for (size_t i = 0; i < sizeof domains / sizeof *domains; i++)
        assert_int_equal(certs_ca_create(pki_path(p, "new"), domains[i], PKI_NOW, &p->d), ERR_INVALID);
    assert_int_not_equal(access(pki_path(p, "new"), F_OK), 0);
    /* The root's key was taken away: what is left is still an authority. */
    assert_int_equal(rename(pki_path(p, "root/root.key"), pki_path(p, "taken")), 0);
    assert_int_equal(certs_ca_create(p->dir, PKI_DOMAIN, PKI_NOW, &p->d), ERR_EXISTS);
    assert_int_equal(rename(pki_path(p, "taken"), pki_path(p, "root/root.key")), 0);
    mem_free(before);
    mem_free(after);
}

static void open_fails(struct pki *p, const char *domain, enum err want)
{
    struct certs_ca *ca = NULL;
    unsigned before = p->d.count;

    assert_int_equal(certs_ca_open(p->dir, domain, &ca, &p->d), want);
    assert_null(ca);
    assert_true(p->d.count > before);
}

static void test_open(void **state)
{
    struct pki *p = *state;
    char *cert = pki_read(p, "ca/ca.pem"), *root = pki_read(p, "root/root.pem"), *key = pki_read(p, "ca/ca.key");
    const char *key_path = pki_path(p, "ca/ca.key");
    struct certs_ca *ca = NULL;

    assert_int_equal(rename(pki_path(p, "root"), pki_path(p, "away")), 0); /* the root is not needed */
    assert_int_equal(certs_ca_open(p->dir, PKI_DOMAIN, &ca, &p->d), ERR_OK);
    assert_null(certs_ca_free(ca));
    assert_int_equal(rename(pki_path(p, "away"), pki_path(p, "root")), 0);
    open_fails(p, "town.example", ERR_CONFLICT);
    assert_int_equal(chmod(key_path, 0640), 0);
    open_fails(p, PKI_DOMAIN, ERR_DENIED);
    assert_int_equal(chmod(key_path, 0600), 0);
    pki_write(p, "ca/ca.pem", root); /* another's certificate */
    open_fails(p, PKI_DOMAIN, ERR_CONFLICT);
    pki_write(p, "ca/ca.pem", "nothing");
    open_fails(p, PKI_DOMAIN, ERR_SYNTAX);
    pki_write(p, "ca/ca.pem", cert);
    assert_int_equal(file_write(key_path, SLICE("nothing"), 0600, &p->d), ERR_OK);
    open_fails(p, PKI_DOMAIN, ERR_CRYPTO);
    assert_int_equal(unlink(key_path), 0);
    open_fails(p, PKI_DOMAIN, ERR_NOT_FOUND);
    assert_int_equal(file_write(key_path, slice_of(key), 0600, &p->d), ERR_OK);
    mem_free(cert);
    mem_free(root);
    mem_free(key);
}

/* ---- signing ---- */

static struct certs_ca *ca_of(struct pki *p)
{
    struct certs_ca *ca = NULL;

    assert_int_equal(certs_ca_open(p->dir, PKI_DOMAIN, &ca, &p->d), ERR_OK);
    return ca;
}

/* A request for a name of its own choosing, with extensions of its own choosing, that must all be ignored. */
static struct slice csr_of(struct pki *p, EVP_PKEY *key, EVP_PKEY *signer)
{
    X509_REQ *csr = X509_REQ_new();
    STACK_OF(X509_EXTENSION) *more = sk_X509_EXTENSION_new_null();
    BIO *b = BIO_new(BIO_s_mem());
    char *at;
    struct slice copy;

    X509_REQ_set_version(csr, X509_REQ_VERSION_1);
    X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(csr), "CN", MBSTRING_ASC, (const unsigned char *)"mayor", -1,
                               -1, 0);
    sk_X509_EXTENSION_push(more, X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE"));
    sk_X509_EXTENSION_push(more, X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name,
                                                     "URI:spiffe://data.city.example/dept/mayor/app/all"));
    X509_REQ_add_extensions(csr, more);
    X509_REQ_set_pubkey(csr, key);
    assert_true(X509_REQ_sign(csr, signer, EVP_PKEY_get_base_id(signer) == EVP_PKEY_ED25519 ? NULL : EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509_REQ(b, csr), 1);
    copy.n = (size_t)BIO_get_mem_data(b, &at);
    copy.p = at;
    copy = arena_dup(&p->a, copy);
    BIO_free(b);
    sk_X509_EXTENSION_pop_free(more, X509_EXTENSION_free);
    X509_REQ_free(csr);
    return copy;
}

static const struct slice app = { "spiffe://data.city.example/dept/education/app/admission", 55 };

static void test_sign_keys(void **state)
{
    static const struct {
        enum pki_key key, signer;
        enum err want;
    } cases[] = {
        { PKI_P256, PKI_P256, ERR_OK },
        { PKI_P384, PKI_P384, ERR_OK },
        { PKI_ED25519, PKI_ED25519, ERR_OK },
        { PKI_RSA2048, PKI_RSA2048, ERR_OK },
        { PKI_RSA1024, PKI_RSA1024, ERR_INVALID },
        { PKI_P521, PKI_P521, ERR_INVALID },
        { PKI_SPELT_OUT, PKI_SPELT_OUT, ERR_INVALID },
        { PKI_P256, PKI_P384, ERR_DENIED }, /* no proof of possession */
    };
    struct pki *p = *state;
    struct certs_ca *ca = ca_of(p);
    struct certs_trust *t = pki_trust(p, "ca/crl.pem");

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice csr = csr_of(p, pki_key(cases[i].key), pki_key(cases[i].signer));
        struct certs_issued c = { 0 };
        struct certs_peer peer;
        enum err e = certs_sign(ca, csr, app, SLICE("x"), 30, PKI_NOW - HOUR, &p->a, &c, &p->d);
        X509 *x;

        if (e != cases[i].want)
            fail_msg("case %zu: %s", i, err_name(e));
        assert_int_equal(c.pem.n > 0, e == ERR_OK);
        if (e != ERR_OK)
            continue;
        x = pki_first(c.pem);
        assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(x), pki_key(cases[i].key)), 1);
        certs_peer_verify(t, x, NULL, PKI_NOW - HOUR, &peer);
        assert_int_equal(peer.verdict, REASON_GRANTED);
        assert_string_equal(peer.uri, app.p);
        assert_string_equal(peer.digest, c.digest);
        assert_string_equal(peer.serial, c.serial);
        assert_true(peer.not_after == c.not_after);
        X509_free(x);
    }
    certs_trust_unref(t);
    certs_ca_free(ca);
}

static void test_sign_content(void **state)
{
    struct pki *p = *state;
    struct certs_ca *ca = ca_of(p);
    struct slice csr = csr_of(p, pki_key(PKI_P256), pki_key(PKI_P256));
    struct certs_issued one, two;
    struct slice rest;
    char cn[200];
    X509 *x, *issuer;

    assert_int_equal(certs_sign(ca, csr, app, SLICE("新生入学资格核查"), 30, PKI_NOW + 999, &p->a, &one, &p->d),
                     ERR_OK);
    assert_int_equal(certs_sign(ca, csr, app, SLICE("a"), 366, PKI_NOW, &p->a, &two, &p->d), ERR_OK);
    assert_true(one.not_before == PKI_NOW - 300000 && one.not_after == PKI_NOW + 30 * DAY);
    assert_string_not_equal(one.serial, two.serial);
    assert_true(strlen(one.serial) >= 24 && strlen(one.serial) <= 32); /* 128 bits; shorter than 96 never happens */
    x = pki_first(one.pem);
    assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, cn, sizeof cn) > 0);
    assert_string_equal(cn, "新生入学资格核查");
    assert_int_equal(X509_check_ca(x), 0);
    assert_int_equal(X509_get_key_usage(x), KU_DIGITAL_SIGNATURE);
    assert_int_equal(X509_get_extended_key_usage(x), XKU_SSL_CLIENT);
    /* The issuing CA follows, and nothing else. */
    rest = slice_make(strstr(one.pem.p, "-----END CERTIFICATE-----\n") + 26, 0);
    rest.n = (size_t)(one.pem.p + one.pem.n - rest.p);
    issuer = pki_first(rest);
    assert_int_equal(X509_cmp(issuer, p->ca), 0);
    X509_free(issuer);
    X509_free(x);
    certs_ca_free(ca);
}

static void test_common_name_is_cut(void **state)
{
    struct pki *p = *state;
    struct certs_ca *ca = ca_of(p);
    struct slice csr = csr_of(p, pki_key(PKI_P256), pki_key(PKI_P256));
    struct buf name = BUF_INIT(1024);
    struct certs_issued c;
    char cn[400];
    X509 *x;

    for (int i = 0; i < 65; i++)
        buf_puts(&name, "教");
    assert_int_equal(certs_sign(ca, csr, app, buf_slice(&name), 1, PKI_NOW, &p->a, &c, &p->d), ERR_OK);
    x = pki_first(c.pem);
    assert_int_equal(X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, cn, sizeof cn), 64 * 3);
    X509_free(x);
    buf_done(&name);
    certs_ca_free(ca);
}

static void test_sign_refused(void **state)
{
    static const struct {
        const char *uri, *cn;
        unsigned days;
        int64_t now;
        enum err want;
    } cases[] = {
        { "spiffe://data.city.example/dept/education/person/wang", "w", 1, PKI_NOW, ERR_OK },
        { "spiffe://data.city.example/gateway/g", "w", 1, PKI_NOW, ERR_INVALID },
        { "spiffe://town.example/dept/education/app/a", "w", 1, PKI_NOW, ERR_INVALID },
        { "spiffe://data.city.example/dept/education/app/A", "w", 1, PKI_NOW, ERR_INVALID },
        { "", "w", 1, PKI_NOW, ERR_INVALID },
        { "spiffe://data.city.example/dept/education/app/a", "w", 0, PKI_NOW, ERR_INVALID },
        { "spiffe://data.city.example/dept/education/app/a", "w", 366, PKI_NOW, ERR_OK },
        { "spiffe://data.city.example/dept/education/app/a", "w", 367, PKI_NOW, ERR_INVALID },
        { "spiffe://data.city.example/dept/education/app/a", "", 1, PKI_NOW, ERR_INVALID },
        { "spiffe://data.city.example/dept/education/app/a", "a\nb", 1, PKI_NOW, ERR_INVALID },
        { "spiffe://data.city.example/dept/education/app/a", "\xff", 1, PKI_NOW, ERR_INVALID },
        { "spiffe://data.city.example/dept/education/app/a", "w", 1, PKI_NOW - 3 * DAY, ERR_CONFLICT },
        { "spiffe://data.city.example/dept/education/app/a", "w", 1, PKI_NOW + 3650 * DAY, ERR_CONFLICT },
    };
    static const char *const texts[] = {
        "", "hello", "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n"
    };
    struct pki *p = *state;
    struct certs_ca *ca = ca_of(p);
    struct slice csr = csr_of(p, pki_key(PKI_P256), pki_key(PKI_P256));
    struct certs_issued c;
    char *cert = pki_read(p, "ca/ca.pem");

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned before = p->d.count;
        enum err e = certs_sign(ca, csr, slice_of(cases[i].uri), slice_of(cases[i].cn), cases[i].days, cases[i].now,
                                &p->a, &c, &p->d);

        if (e != cases[i].want)
            fail_msg("case %zu: %s", i, err_name(e));
        assert_int_equal(p->d.count > before, e != ERR_OK);
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(certs_sign(ca, slice_of(texts[i]), app, SLICE("x"), 1, PKI_NOW, &p->a, &c, &p->d), ERR_SYNTAX);
    assert_int_equal(certs_sign(ca, slice_of(cert), app, SLICE("x"), 1, PKI_NOW, &p->a, &c, &p->d), ERR_SYNTAX);
    mem_free(cert);
    certs_ca_free(ca);
}

static void test_never_beyond_the_authority(void **state)
{
    struct pki *p = *state;
    struct certs_ca *ca = ca_of(p);
    struct slice csr = csr_of(p, pki_key(PKI_P256), pki_key(PKI_P256));
    int64_t end = PKI_NOW - DAY + 3650 * DAY, born = PKI_NOW - DAY - 300000;
    struct certs_issued c;

    assert_int_equal(certs_sign(ca, csr, app, SLICE("x"), 366, end - 10 * DAY, &p->a, &c, &p->d), ERR_OK);
    assert_true(c.not_after == end);
    assert_int_equal(certs_sign(ca, csr, app, SLICE("x"), 5, end - 10 * DAY, &p->a, &c, &p->d), ERR_OK);
    assert_true(c.not_after == end - 5 * DAY);
    assert_int_equal(certs_sign(ca, csr, app, SLICE("x"), 5, born + 1000, &p->a, &c, &p->d), ERR_OK);
    assert_true(c.not_before == born);
    certs_ca_free(ca);
}

static void test_gateway(void **state)
{
    static const struct {
        const char *uri, *names;
        enum err want;
    } cases[] = {
        { "spiffe://data.city.example/gateway/g1", "gw.data.city.example,10.1.2.3,::1", ERR_OK },
        { "spiffe://data.city.example/gateway/g1", "localhost", ERR_OK },
        { "spiffe://data.city.example/gateway/g1", "127.0.0.1", ERR_OK },
        { "spiffe://data.city.example/gateway/g1", "", ERR_INVALID },
        { "spiffe://data.city.example/gateway/g1", "a,", ERR_INVALID },
        { "spiffe://data.city.example/gateway/g1", ",a", ERR_INVALID },
        { "spiffe://data.city.example/gateway/g1", "a,,b", ERR_INVALID },
        { "spiffe://data.city.example/gateway/g1", "*.a.example", ERR_INVALID },
        { "spiffe://data.city.example/gateway/g1", "a b", ERR_INVALID },
        { "spiffe://data.city.example/gateway/g1", "a..b", ERR_INVALID },
        { "spiffe://data.city.example/gateway/g1", "a.", ERR_INVALID },
        { "spiffe://data.city.example/gateway/g1", "-a", ERR_INVALID },
        { "spiffe://data.city.example/gateway/g1", "10.0.0.256", ERR_INVALID },
        { "spiffe://data.city.example/gateway/g1", "a:443", ERR_INVALID },
        { "spiffe://data.city.example/gateway/g1", "[::1]", ERR_INVALID },
        { "spiffe://data.city.example/dept/education/app/a", "a", ERR_INVALID },
        { "spiffe://town.example/gateway/g1", "a", ERR_INVALID },
    };
    struct pki *p = *state;
    struct certs_ca *ca = ca_of(p);
    struct slice csr = csr_of(p, pki_key(PKI_P256), pki_key(PKI_P256));

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct certs_issued c;
        enum err e = certs_sign_gateway(ca, csr, slice_of(cases[i].uri), slice_of(cases[i].names), 90, PKI_NOW, &p->a,
                                        &c, &p->d);

        if (e != cases[i].want)
            fail_msg("%s: %s", cases[i].names, err_name(e));
    }
    certs_ca_free(ca);
}

static void test_gateway_content(void **state)
{
    struct pki *p = *state;
    struct certs_ca *ca = ca_of(p);
    struct certs_trust *t = pki_trust(p, "ca/crl.pem");
    struct slice csr = csr_of(p, pki_key(PKI_P256), pki_key(PKI_P256));
    struct certs_issued c;
    struct certs_peer peer;
    X509 *x;

    assert_int_equal(certs_sign_gateway(ca, csr, SLICE("spiffe://data.city.example/gateway/g1"),
                                        SLICE("gw.data.city.example,10.1.2.3,fd00::1"), 90, PKI_NOW, &p->a, &c, &p->d),
                     ERR_OK);
    x = pki_first(c.pem);
    assert_int_equal(X509_check_host(x, "gw.data.city.example", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(x, "data.city.example", 0, 0, NULL), 0);
    assert_int_equal(X509_check_ip_asc(x, "10.1.2.3", 0), 1);
    assert_int_equal(X509_check_ip_asc(x, "10.1.2.4", 0), 0);
    assert_int_equal(X509_check_ip_asc(x, "fd00::1", 0), 1);
    assert_int_equal(X509_get_extended_key_usage(x), XKU_SSL_CLIENT | XKU_SSL_SERVER);
    certs_peer_verify(t, x, NULL, PKI_NOW, &peer);
    assert_int_equal(peer.verdict, REASON_GRANTED);
    assert_int_equal(peer.kind, CERTS_GATEWAY);
    X509_free(x);
    certs_trust_unref(t);
    certs_ca_free(ca);
}

static void write_pem(struct pki *p, const char *name, struct slice pem)
{
    assert_int_equal(file_write(pki_path(p, name), pem, 0644, &p->d), ERR_OK);
}

/* The same key and names, and nothing that the one who asks could choose. */
static void test_gateway_again(void **state)
{
    const struct slice uri = SLICE("spiffe://data.city.example/gateway/g1");
    const struct slice names = SLICE("gw.data.city.example,10.1.2.3,fd00::1");
    struct pki *p = *state;
    struct certs_ca *ca = ca_of(p);
    struct slice csr = csr_of(p, pki_key(PKI_P384), pki_key(PKI_P384));
    const struct pki_spec strange = { .san = "URI:spiffe://data.city.example/gateway/g1,DNS:a" };
    struct certs_issued first, leaf, again;
    struct certs_trust *t = pki_trust(p, "ca/crl.pem");
    struct certs_peer peer;
    X509 *x, *other = pki_cert(&strange, NULL, NULL);
    char *text = pki_pem(&other, 1);

    assert_int_equal(certs_gateway_renew(ca, 90, PKI_NOW, &p->a, &again, &p->d), ERR_UNSUPPORTED);
    assert_int_equal(certs_sign_gateway(ca, csr, uri, names, 90, PKI_NOW, &p->a, &first, &p->d), ERR_OK);
    assert_int_equal(certs_sign(ca, csr, SLICE("spiffe://data.city.example/dept/education/app/a"), SLICE("a"), 90,
                                PKI_NOW, &p->a, &leaf, &p->d),
                     ERR_OK);
    write_pem(p, "other.pem", slice_of(text)); /* signed by itself, an application's, none */
    assert_int_equal(certs_gateway_know(ca, pki_path(p, "other.pem"), &p->d), ERR_INVALID);
    write_pem(p, "app.pem", leaf.pem);
    assert_int_equal(certs_gateway_know(ca, pki_path(p, "app.pem"), &p->d), ERR_INVALID);
    assert_int_equal(certs_gateway_know(ca, pki_path(p, "none.pem"), &p->d), ERR_NOT_FOUND);
    assert_int_equal(certs_gateway_renew(ca, 90, PKI_NOW, &p->a, &again, &p->d), ERR_UNSUPPORTED);

    write_pem(p, "gateway.pem", first.pem);
    assert_int_equal(certs_gateway_know(ca, pki_path(p, "gateway.pem"), &p->d), ERR_OK);
    assert_int_equal(certs_gateway_renew(ca, 0, PKI_NOW, &p->a, &again, &p->d), ERR_INVALID);
    assert_int_equal(certs_gateway_renew(ca, 367, PKI_NOW, &p->a, &again, &p->d), ERR_INVALID);
    assert_int_equal(certs_gateway_renew(ca, 100, PKI_NOW - HOUR, &p->a, &again, &p->d), ERR_OK);
    assert_int_equal(again.not_after, PKI_NOW - HOUR + 100 * DAY);
    assert_string_not_equal(again.serial, first.serial);
    x = pki_first(again.pem);
    assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(x), pki_key(PKI_P384)), 1);
    assert_int_equal(X509_check_host(x, "gw.data.city.example", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(x, "10.1.2.3", 0), 1);
    assert_int_equal(X509_check_ip_asc(x, "fd00::1", 0), 1);
    certs_peer_verify(t, x, NULL, PKI_NOW, &peer);
    assert_true(peer.verdict == REASON_GRANTED && peer.kind == CERTS_GATEWAY && slice_is(uri, peer.uri));
    certs_trust_unref(t);
    assert_int_equal(X509_get_extended_key_usage(x), XKU_SSL_CLIENT | XKU_SSL_SERVER);
    X509_free(x);
    X509_free(other);
    mem_free(text);
    certs_ca_free(ca);
}

static void test_request(void **state)
{
    struct pki *p = *state;
    struct certs_ca *ca = ca_of(p);
    const char *key = pki_path(p, "app.key");
    struct buf csr = BUF_INIT(65536), again = BUF_INIT(65536), small = BUF_INIT(16);
    struct certs_issued c;
    char *text, *after;

    assert_int_equal(certs_request_make(key, SLICE("入学"), &csr, &p->d), ERR_OK);
    assert_int_equal(mode_of(p, "app.key"), 0600);
    text = pki_read(p, "app.key");
    assert_true(strncmp(text, "-----BEGIN PRIVATE KEY-----\n", 28) == 0);
    assert_int_equal(certs_sign(ca, buf_slice(&csr), app, SLICE("x"), 1, PKI_NOW, &p->a, &c, &p->d), ERR_OK);
    assert_int_equal(certs_request_make(key, SLICE("b"), &again, &p->d), ERR_EXISTS);
    after = pki_read(p, "app.key");
    assert_string_equal(text, after);
    assert_int_equal(certs_request_make(pki_path(p, "b.key"), SLICE(""), &again, &p->d), ERR_INVALID);
    assert_int_equal(certs_request_make(pki_path(p, "no/b.key"), SLICE("b"), &again, &p->d), ERR_NOT_FOUND);
    /* No key without the request that belongs to it. */
    assert_int_equal(certs_request_make(pki_path(p, "b.key"), SLICE("b"), &small, &p->d), ERR_TOO_LARGE);
    assert_int_not_equal(access(pki_path(p, "b.key"), F_OK), 0);
    mem_free(text);
    mem_free(after);
    buf_done(&csr);
    buf_done(&again);
    buf_done(&small);
    certs_ca_free(ca);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),        cmocka_unit_test(test_create_refused),
        cmocka_unit_test(test_open),          cmocka_unit_test(test_sign_keys),
        cmocka_unit_test(test_sign_content),  cmocka_unit_test(test_common_name_is_cut),
        cmocka_unit_test(test_sign_refused),  cmocka_unit_test(test_never_beyond_the_authority),
        cmocka_unit_test(test_gateway),       cmocka_unit_test(test_gateway_content),
        cmocka_unit_test(test_gateway_again), cmocka_unit_test(test_request),
    };

    return cmocka_run_group_tests(tests, pki_open, pki_close);
}
