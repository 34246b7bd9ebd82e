/* certs/trust: what is refused when anchors and lists are loaded. */
#include "pki.h"

/* Loads one anchor; ERR_OK gives a trust that the caller ends. */
static enum err load(struct pki *p, const char *ca_text, const char *crl_text, struct certs_trust **ret)
{
    struct certs_anchor anchor = { pki_path(p, "a.pem"), "", PKI_DOMAIN, "", crl_text == NULL, false };

    pki_write(p, "a.pem", ca_text);
    if (crl_text) {
        anchor.crl_file = pki_path(p, "l.pem");
        pki_write(p, "l.pem", crl_text);
    }
    *ret = NULL;
    return certs_trust_load(&anchor, 1, ret, &p->d);
}

static void must(struct pki *p, const char *what, const char *ca_text, const char *crl_text, enum err want)
{
    struct certs_trust *t;
    unsigned before = p->d.count;
    enum err e = load(p, ca_text, crl_text, &t);

    if (e != want)
        fail_msg("%s: %s", what, err_name(e));
    assert_int_equal(t != NULL, e == ERR_OK);
    assert_int_equal(p->d.count > before, e != ERR_OK);
    certs_trust_unref(t);
}

static void test_settings(void **state)
{
    struct pki *p = *state;
    const char *ca = pki_path(p, "ca/chain.pem"), *crl = pki_path(p, "ca/crl.pem");
    const struct {
        struct certs_anchor anchor;
        enum err want;
    } cases[] = {
        { { ca, crl, PKI_DOMAIN, "", false, false }, ERR_OK },
        { { ca, "", PKI_DOMAIN, "", true, false }, ERR_OK },
        { { ca, crl, PKI_DOMAIN, "education,health", false, false }, ERR_OK },
        { { ca, "", PKI_DOMAIN, "", false, false }, ERR_INVALID },
        { { ca, crl, PKI_DOMAIN, "", true, false }, ERR_INVALID },
        { { ca, crl, "", "", false, false }, ERR_INVALID },
        { { ca, crl, "Data.city", "", false, false }, ERR_INVALID },
        { { ca, crl, PKI_DOMAIN, "education,", false, false }, ERR_INVALID },
        { { ca, crl, PKI_DOMAIN, ",education", false, false }, ERR_INVALID },
        { { ca, crl, PKI_DOMAIN, "Education", false, false }, ERR_INVALID },
        { { "/nonexistent", crl, PKI_DOMAIN, "", false, false }, ERR_NOT_FOUND },
        { { ca, "/nonexistent", PKI_DOMAIN, "", false, false }, ERR_NOT_FOUND },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct certs_trust *t = NULL;
        enum err e = certs_trust_load(&cases[i].anchor, 1, &t, &p->d);

        if (e != cases[i].want)
            fail_msg("case %zu: %s", i, err_name(e));
        assert_int_equal(t != NULL, e == ERR_OK);
        certs_trust_unref(t);
    }
}

/* All anchors are looked at, so that a person mends a file once. */
static void test_all_errors_at_once(void **state)
{
    struct pki *p = *state;
    const struct certs_anchor anchors[] = { { "/nonexistent", "", PKI_DOMAIN, "", true, false },
                                            { "/nonexistent", "", "No", "", true, false } };
    struct certs_trust *t = NULL;
    unsigned before = p->d.count;

    assert_int_equal(certs_trust_load(anchors, 2, &t, &p->d), ERR_NOT_FOUND);
    assert_int_equal(p->d.count, before + 2);
    assert_null(t);
}

static void test_anchor_files(void **state)
{
    struct pki *p = *state;
    const struct pki_spec leaf = { 0 };
    const struct pki_spec weak = { .cn = "weak", .ku = "keyCertSign", .bc = "critical,CA:TRUE", .key = PKI_RSA1024 };
    const struct pki_spec zero = { .cn = "zero", .ku = "keyCertSign", .bc = "critical,CA:TRUE", .serial = "0" };
    const struct pki_spec one = { .cn = "one", .ku = "keyCertSign", .bc = "critical,CA:TRUE", .serial = "1" };
    X509 *other = pki_ca("other", PKI_P384, NULL, NULL);
    X509 *twin = pki_ca("twin", PKI_P256, p->root, pki_key(PKI_P384)); /* says that our root signed it */
    X509 *leaf_cert = pki_cert(&leaf, p->root, p->root_key), *weak_cert = pki_cert(&weak, NULL, NULL);
    X509 *zero_cert = pki_cert(&zero, NULL, NULL), *one_cert = pki_cert(&one, NULL, NULL);
    const struct {
        const char *what;
        X509 *certs[3];
        enum err want;
    } cases[] = {
        { "anchor and intermediate", { p->root, p->ca }, ERR_OK },
        { "the other order", { p->ca, p->root }, ERR_OK },
        { "anchor alone", { p->root }, ERR_OK },
        { "no anchor", { p->ca }, ERR_INVALID },
        { "two anchors", { p->root, other }, ERR_INVALID },
        { "somebody else's intermediate", { other, p->ca }, ERR_INVALID },
        { "forged intermediate", { p->root, twin }, ERR_INVALID },
        { "a leaf", { p->root, leaf_cert }, ERR_INVALID },
        { "weak key", { weak_cert }, ERR_INVALID },
        { "serial 0", { zero_cert }, ERR_INVALID },
        { "serial 1", { one_cert }, ERR_OK },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *pem = pki_pem(cases[i].certs, cases[i].certs[1] ? 2 : 1);

        must(p, cases[i].what, pem, NULL, cases[i].want);
        mem_free(pem);
    }
    must(p, "nothing", "", NULL, ERR_SYNTAX);
    must(p, "no PEM", "hello\n", NULL, ERR_SYNTAX);
    must(p, "torn PEM", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", NULL, ERR_SYNTAX);
    X509_free(other);
    X509_free(twin);
    X509_free(leaf_cert);
    X509_free(weak_cert);
    X509_free(zero_cert);
    X509_free(one_cert);
}

static void test_list_files(void **state)
{
    static const struct {
        const char *what;
        struct pki_list list;
        enum err want;
    } cases[] = {
        { "empty list", { 0 }, ERR_OK },
        { "with entries", { .revoked = { "12", "7" } }, ERR_OK },
        { "entries nobody could hold",
          { .revoked = { "0", "-3", "1461501637330902918203684832716283019655932542976" } },
          ERR_OK },
        { "no next update", { .to = -1 }, ERR_INVALID },
        { "SHA-1", { .sha1 = true }, ERR_INVALID },
        { "delta", { .extension = "deltaCRL", .value = "critical,DER:020101" }, ERR_UNSUPPORTED },
        { "delta, not critical", { .extension = "deltaCRL", .value = "DER:020101" }, ERR_UNSUPPORTED },
        { "partial", { .extension = "issuingDistributionPoint", .value = "critical,onlyuser:TRUE" }, ERR_UNSUPPORTED },
        { "partial, not critical",
          { .extension = "issuingDistributionPoint", .value = "onlyuser:TRUE" },
          ERR_UNSUPPORTED },
        { "unknown critical extension", { .extension = "1.2.3.4", .value = "critical,DER:0500" }, ERR_UNSUPPORTED },
        { "unknown extension", { .extension = "1.2.3.4", .value = "DER:0500" }, ERR_OK },
        { "indirect entries", { .revoked = { "12" }, .entry_extension = "\x30" }, ERR_UNSUPPORTED },
    };
    struct pki *p = *state;
    X509 *const both[] = { p->root, p->ca };
    char *pem = pki_pem(both, 2);

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *list = pki_list(&cases[i].list, p->ca, p->ca_key);

        must(p, cases[i].what, pem, list, cases[i].want);
        mem_free(list);
    }
    must(p, "nothing", pem, "", ERR_SYNTAX);
    must(p, "torn PEM", pem, "-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n", ERR_SYNTAX);
    mem_free(pem);
}

static void test_list_issuers(void **state)
{
    struct pki *p = *state;
    const struct pki_list plain = { 0 };
    const struct pki_spec mute = { .cn = "mute", .ku = "critical,keyCertSign", .bc = "critical,CA:TRUE" };
    const struct pki_spec renamed = { .cn = "renamed", .own_key = p->ca_key };
    X509 *renamed_cert = pki_cert(&renamed, NULL, NULL);
    X509 *mute_cert = pki_cert(&mute, NULL, NULL), *other = pki_ca("other", PKI_P256, NULL, NULL);
    X509 *const both[] = { p->root, p->ca };
    char *pem = pki_pem(both, 2), *mute_pem = pki_pem(&mute_cert, 1);
    char *strange = pki_list(&plain, other, pki_key(PKI_P256)), *forged = pki_list(&plain, p->ca, pki_key(PKI_P256));
    char *by_renamed = pki_list(&plain, renamed_cert, p->ca_key);
    char *by_mute = pki_list(&plain, mute_cert, pki_key(PKI_P256));

    must(p, "list of a stranger", pem, strange, ERR_INVALID);
    must(p, "list with our name and another key", pem, forged, ERR_INVALID);
    must(p, "list with our key and another name", pem, by_renamed, ERR_INVALID);
    must(p, "list of a CA that may sign none", mute_pem, by_mute, ERR_INVALID);
    mem_free(by_renamed);
    mem_free(by_mute);
    X509_free(renamed_cert);
    mem_free(forged);
    mem_free(strange);
    mem_free(mute_pem);
    mem_free(pem);
    X509_free(mute_cert);
    X509_free(other);
}

static void test_next_update(void **state)
{
    struct pki *p = *state;
    const struct pki_list early = { .to = PKI_NOW + HOUR }, late = { .to = PKI_NOW + 9 * DAY };
    X509 *const both[] = { p->root, p->ca };
    char *pem = pki_pem(both, 2), *ca = pki_list(&early, p->ca, p->ca_key),
         *root = pki_list(&late, p->root, p->root_key);
    struct buf text = BUF_INIT(65536);
    struct certs_trust *t;

    assert_int_equal(load(p, pem, NULL, &t), ERR_OK);
    assert_true(certs_crl_next_update(t, true, NULL) == 0);
    certs_trust_unref(t);
    buf_puts(&text, ca);
    buf_puts(&text, root);
    buf_putc(&text, '\0');
    assert_int_equal(load(p, pem, text.p, &t), ERR_OK);
    assert_true(certs_crl_next_update(t, true, NULL) == PKI_NOW + HOUR);
    assert_true(certs_crl_next_update(t, false, NULL) == 0);
    certs_trust_unref(t);
    buf_done(&text);
    mem_free(pem);
    mem_free(ca);
    mem_free(root);
}

/* Each of our allocations fails in turn: an error, never a trust that lacks something. */
static void test_allocations(void **state)
{
    struct pki *p = *state;
    const struct certs_anchor anchor = {
        pki_path(p, "ca/chain.pem"), pki_path(p, "ca/crl.pem"), PKI_DOMAIN, "health", false, false
    };
    struct certs_trust *t = NULL;
    size_t n, nth;
    enum err e = ERR_NOMEM;

    for (nth = 1; e != ERR_OK; nth++) {
        mem_fail_nth(nth);
        e = certs_trust_load(&anchor, 1, &t, NULL);
        n = mem_fail_nth(0);
        assert_true(e == ERR_OK ? n < nth : e == ERR_NOMEM && t == NULL);
    }
    assert_true(nth > 4);
    certs_trust_unref(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings),     cmocka_unit_test(test_all_errors_at_once),
        cmocka_unit_test(test_anchor_files), cmocka_unit_test(test_list_files),
        cmocka_unit_test(test_list_issuers), cmocka_unit_test(test_next_update),
        cmocka_unit_test(test_allocations),
    };

    return cmocka_run_group_tests(tests, pki_open, pki_close);
}
