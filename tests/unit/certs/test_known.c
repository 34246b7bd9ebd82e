/* certs/known: what is recognised, what is looked at again all the same, and what is never remembered. */
#include "pki.h"

/* Trust with a list of the issuing CA that names `revoked` (NULL: nobody). */
static struct certs_trust *trust_without(struct pki *p, const char *revoked)
{
    struct pki_list s = { .revoked = { revoked } }, none = { 0 };
    char *ca = pki_list(&s, p->ca, p->ca_key), *root = pki_list(&none, p->root, p->root_key);
    struct buf text = BUF_INIT(65536);
    struct certs_trust *t;

    assert_non_null(ca);
    assert_non_null(root);
    buf_puts(&text, ca);
    buf_puts(&text, root);
    buf_putc(&text, '\0');
    pki_write(p, "lists.pem", text.p);
    t = pki_trust(p, "lists.pem");
    buf_done(&text);
    mem_free(ca);
    mem_free(root);
    return t;
}

/* As it comes with a handshake: the same certificate, decoded anew. */
static X509 *again(X509 *x)
{
    uint8_t *der = NULL;
    const uint8_t *at;
    int n = i2d_X509(x, &der);
    X509 *copy;

    assert_true(n > 0);
    at = der;
    copy = d2i_X509(NULL, &at, n);
    OPENSSL_free(der);
    assert_non_null(copy);
    return copy;
}

/* The verdict on `x`; *known: it was recognised, by the peer that it got the first time. */
static enum reason show(struct certs_known *k, struct certs_trust *t, X509 *x, int64_t now, struct certs_shared **first,
                        bool *known)
{
    X509 *copy = again(x), *leaf = copy;
    struct certs_shared *p = certs_known_verify(k, t, &leaf, NULL, now);
    enum reason verdict;

    assert_non_null(p);
    *known = leaf != copy;
    verdict = p->peer.verdict;
    if (*known) {
        assert_ptr_equal(p, *first);
        assert_int_equal(X509_cmp(leaf, copy), 0);
        X509_free(leaf);
    }
    *first = p; /* only compared */
    tls_peer_unref(&p->head);
    X509_free(copy);
    return verdict;
}

static void recognised_and_rechecked(void **state)
{
    struct pki *p = *state;
    const struct pki_spec s = { .serial = "4242" };
    X509 *leaf = pki_cert(&s, p->ca, p->ca_key);
    struct certs_trust *good = trust_without(p, NULL), *revokes = trust_without(p, "4242");
    struct certs_known *k = certs_known_new(8);
    struct certs_shared *first = NULL;
    bool known;

    assert_int_equal(show(k, good, leaf, PKI_NOW, &first, &known), REASON_GRANTED);
    assert_false(known);
    assert_int_equal(show(k, good, leaf, PKI_NOW, &first, &known), REASON_GRANTED);
    assert_true(known);
    /* Lists run out, and so does the certificate: known or not. */
    assert_int_equal(show(k, good, leaf, PKI_NOW + 2 * DAY, &first, &known), REASON_REVOCATION_UNKNOWN);
    assert_false(known);
    assert_int_equal(show(k, good, leaf, PKI_NOW + 31 * DAY, &first, &known), REASON_CERTIFICATE_EXPIRED);
    assert_false(known);
    /* Another trust: nothing of what was known counts. */
    assert_int_equal(show(k, revokes, leaf, PKI_NOW, &first, &known), REASON_CERTIFICATE_REVOKED);
    assert_false(known);
    assert_int_equal(show(k, good, leaf, PKI_NOW, &first, &known), REASON_GRANTED);
    assert_false(known);
    assert_int_equal(show(k, NULL, leaf, PKI_NOW, &first, &known), REASON_CERTIFICATE_UNKNOWN);
    assert_false(known);
    certs_known_free(k);
    certs_trust_unref(good);
    certs_trust_unref(revokes);
    X509_free(leaf);
}

static void only_the_good_and_only_so_many(void **state)
{
    struct pki *p = *state;
    const struct pki_spec good = { .serial = "1" }, server = { .serial = "2", .eku = "serverAuth" };
    X509 *bad = pki_cert(&server, p->ca, p->ca_key), *leaf = pki_cert(&good, p->ca, p->ca_key);
    struct certs_trust *t = trust_without(p, NULL);
    struct certs_known *k = certs_known_new(8);
    struct certs_shared *first = NULL, *other = NULL;
    bool known;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(show(k, t, bad, PKI_NOW, &other, &known), REASON_CERTIFICATE_INVALID);
        assert_false(known);
    }
    show(k, t, leaf, PKI_NOW, &first, &known);
    show(k, t, leaf, PKI_NOW, &first, &known);
    assert_true(known);
    for (int i = 0; i < 8; i++) {
        char serial[16];
        const struct pki_spec s = { .serial = serial };
        X509 *x;

        snprintf(serial, sizeof serial, "%d", 100 + i);
        x = pki_cert(&s, p->ca, p->ca_key);
        assert_int_equal(show(k, t, x, PKI_NOW, &other, &known), REASON_GRANTED);
        X509_free(x);
    }
    assert_int_equal(show(k, t, leaf, PKI_NOW, &first, &known), REASON_GRANTED);
    assert_false(known); /* it gave way */
    certs_known_free(k);
    certs_trust_unref(t);
    X509_free(bad);
    X509_free(leaf);
}

/* A session lasts as long as everything that its peer rests on. */
static void good_until_the_first_end(void **state)
{
    struct pki *p = *state;
    const struct pki_spec brief = { .serial = "7", .from = PKI_NOW - HOUR, .to = PKI_NOW + HOUR },
                          s = { .serial = "8" };
    X509 *leaf = pki_cert(&s, p->ca, p->ca_key), *soon = pki_cert(&brief, p->ca, p->ca_key);
    struct certs_trust *t = trust_without(p, NULL), *revokes = trust_without(p, "8");
    struct certs_peer peer;

    certs_peer_verify(t, leaf, NULL, PKI_NOW, &peer);
    assert_true(certs_good_until(t, &peer, PKI_NOW) == certs_crl_next_update(t, true, NULL));
    assert_int_equal(certs_good_until(revokes, &peer, PKI_NOW), 0);
    assert_int_equal(certs_good_until(NULL, &peer, PKI_NOW), 0);
    certs_peer_verify(t, soon, NULL, PKI_NOW, &peer);
    assert_true(certs_good_until(t, &peer, PKI_NOW) == PKI_NOW + HOUR);
    assert_int_equal(certs_good_until(t, &peer, PKI_NOW + HOUR + 1000), 0);
    certs_peer_verify(t, NULL, NULL, PKI_NOW, &peer);
    assert_int_equal(certs_good_until(t, &peer, PKI_NOW), 0);
    certs_trust_unref(t);
    certs_trust_unref(revokes);
    X509_free(leaf);
    X509_free(soon);
}

/* A list of another authority that ran out, or will soon, ends nothing for those who are none of its. */
static void lists_of_others_end_nothing(void **state)
{
    static const int64_t ends[] = { PKI_NOW - HOUR, PKI_NOW + HOUR };
    struct pki *p = *state;
    const struct pki_spec s = { .serial = "9" };
    X509 *leaf = pki_cert(&s, p->ca, p->ca_key), *province = pki_ca("province", PKI_P384, NULL, NULL);
    struct certs_trust *alone = trust_without(p, NULL);
    struct certs_peer peer;

    certs_peer_verify(alone, leaf, NULL, PKI_NOW, &peer);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct pki_list list = { .from = PKI_NOW - DAY, .to = ends[i] };
        struct certs_anchor anchors[2] = {
            { pki_path(p, "ca/chain.pem"), pki_path(p, "lists.pem"), PKI_DOMAIN, "", false, false },
            { pki_path(p, "province.pem"), pki_path(p, "province-lists.pem"), PKI_DOMAIN, "", false, true },
        };
        char *ca = pki_pem(&province, 1), *lists = pki_list(&list, province, pki_key(PKI_P384));
        struct certs_trust *t = NULL;

        pki_write(p, "province.pem", ca);
        pki_write(p, "province-lists.pem", lists);
        assert_int_equal(certs_trust_load(anchors, 2, &t, &p->d), ERR_OK);
        assert_true(certs_good_until(t, &peer, PKI_NOW) == certs_good_until(alone, &peer, PKI_NOW));
        assert_true(certs_good_until(t, &peer, PKI_NOW) > PKI_NOW + 2 * HOUR);
        certs_trust_unref(t);
        mem_free(ca);
        mem_free(lists);
    }
    certs_trust_unref(alone);
    X509_free(province);
    X509_free(leaf);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(recognised_and_rechecked),
                                        cmocka_unit_test(only_the_good_and_only_so_many),
                                        cmocka_unit_test(good_until_the_first_end),
                                        cmocka_unit_test(lists_of_others_end_nothing) };

    return cmocka_run_group_tests(tests, pki_open, pki_close);
}
