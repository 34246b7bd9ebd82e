/* certs/revocation: lists that are missing, late, early, renewed, and those that name the leaf or its issuer; at the
 * handshake and for a connection that is open. */
#include "pki.h"

enum { NONE, PLAIN, OLD, NAMES, OLD_NAMES, FUTURE, NEARLY, EDGE, OTHERS }; /* kinds of list */

static const struct {
    const char *what;
    int ca, root; /* the lists of both */
    int ca2;      /* one more of the issuing CA's, in front */
    enum reason want;
} cases[] = {
    { "both lists", PLAIN, PLAIN, NONE, REASON_GRANTED },
    { "others are revoked", OTHERS, OTHERS, NONE, REASON_GRANTED },
    { "the leaf is revoked", NAMES, PLAIN, NONE, REASON_CERTIFICATE_REVOKED },
    { "the issuing CA is revoked", PLAIN, NAMES, NONE, REASON_CERTIFICATE_REVOKED },
    { "the issuing CA's list is missing", NONE, PLAIN, NONE, REASON_REVOCATION_UNKNOWN },
    { "the root's list is missing", PLAIN, NONE, NONE, REASON_REVOCATION_UNKNOWN },
    { "the issuing CA's list is out of date", OLD, PLAIN, NONE, REASON_REVOCATION_UNKNOWN },
    { "the root's list is out of date", PLAIN, OLD, NONE, REASON_REVOCATION_UNKNOWN },
    { "in the last second", EDGE, PLAIN, NONE, REASON_GRANTED },
    { "out of date, but revoked stays revoked", OLD_NAMES, PLAIN, NONE, REASON_CERTIFICATE_REVOKED },
    { "a list of tomorrow", FUTURE, PLAIN, NONE, REASON_REVOCATION_UNKNOWN },
    { "a list of a clock that is a little ahead", NEARLY, PLAIN, NONE, REASON_GRANTED },
    { "the newer list counts", PLAIN, PLAIN, OLD, REASON_GRANTED },
    { "in either order", OLD, PLAIN, PLAIN, REASON_GRANTED },
    { "the newer list revokes", NAMES, PLAIN, OLD, REASON_CERTIFICATE_REVOKED },
};

static void list_add(struct buf *to, int kind, const char *serial, X509 *issuer, EVP_PKEY *key)
{
    static const struct {
        int64_t from, to;
    } times[] = {
        [PLAIN] = { PKI_NOW - HOUR, PKI_NOW + HOUR },    [OTHERS] = { PKI_NOW - HOUR, PKI_NOW + HOUR },
        [NAMES] = { PKI_NOW - HOUR, PKI_NOW + HOUR },    [OLD] = { PKI_NOW - DAY, PKI_NOW - 1000 },
        [OLD_NAMES] = { PKI_NOW - DAY, PKI_NOW - 1000 }, [FUTURE] = { PKI_NOW + HOUR, PKI_NOW + DAY },
        [NEARLY] = { PKI_NOW + 240000, PKI_NOW + DAY },  [EDGE] = { PKI_NOW - HOUR, PKI_NOW },
    };
    struct pki_list s = { .from = times[kind].from, .to = times[kind].to };
    char *text;

    if (kind == NONE)
        return;
    if (kind == NAMES || kind == OLD_NAMES) {
        s.revoked[0] = "3";
        s.revoked[1] = serial;
        s.revoked[2] = "99999999999999999999999999";
    }
    if (kind == OTHERS)
        s.revoked[0] = "4";
    text = pki_list(&s, issuer, key);
    buf_puts(to, text);
    mem_free(text);
}

static struct certs_trust *trust_of(struct pki *p, size_t i)
{
    struct buf text = BUF_INIT(65536);
    const char *ca_serial = arena_str(&p->a, slice_of(pki_serial(p->ca)));
    struct certs_trust *t;

    list_add(&text, cases[i].ca2, "4242", p->ca, p->ca_key);
    list_add(&text, cases[i].ca, "4242", p->ca, p->ca_key);
    list_add(&text, cases[i].root, ca_serial, p->root, p->root_key);
    buf_putc(&text, '\0');
    pki_write(p, "lists.pem", text.p);
    buf_done(&text);
    t = pki_trust(p, "lists.pem");
    return t;
}

static void test_lists(void **state)
{
    struct pki *p = *state;
    const struct pki_spec s = { .serial = "4242" };
    X509 *leaf = pki_cert(&s, p->ca, p->ca_key);
    struct certs_trust *good = trust_of(p, 0);
    struct certs_peer open, peer;

    certs_peer_verify(good, leaf, NULL, PKI_NOW, &open);
    assert_int_equal(open.verdict, REASON_GRANTED);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct certs_trust *t = trust_of(p, i);
        enum reason again;

        certs_peer_verify(t, leaf, NULL, PKI_NOW, &peer);
        again = certs_peer_recheck(t, &open, PKI_NOW);
        if (peer.verdict != cases[i].want || again != cases[i].want)
            fail_msg("%s: %s, open: %s", cases[i].what, reason_info(peer.verdict)->code, reason_info(again)->code);
        certs_trust_unref(t);
    }
    certs_trust_unref(good);
    X509_free(leaf);
}

/* The same serial revoked by another authority means nothing here. */
static void test_serial_of_another_authority(void **state)
{
    struct pki *p = *state;
    X509 *other = pki_ca("other", PKI_P256, NULL, NULL);
    char *pem = pki_pem(&other, 1);
    const struct pki_spec s = { .serial = "4242" };
    const struct pki_list list = { .revoked = { "4242" } };
    char *text = pki_list(&list, other, pki_key(PKI_P256));
    X509 *leaf = pki_cert(&s, p->ca, p->ca_key);
    struct certs_anchor anchors[2] = { { .domain = PKI_DOMAIN, .departments = "" },
                                       { .domain = "town.example", .departments = "" } };
    struct certs_trust *t = NULL;
    struct certs_peer peer;

    pki_write(p, "o.pem", pem);
    pki_write(p, "o.crl", text);
    anchors[0].ca_file = pki_path(p, "ca/chain.pem");
    anchors[0].crl_file = pki_path(p, "ca/crl.pem");
    anchors[1].ca_file = pki_path(p, "o.pem");
    anchors[1].crl_file = pki_path(p, "o.crl");
    assert_int_equal(certs_trust_load(anchors, 2, &t, &p->d), ERR_OK);
    certs_peer_verify(t, leaf, NULL, PKI_NOW, &peer);
    assert_int_equal(peer.verdict, REASON_GRANTED);
    certs_trust_unref(t);
    X509_free(leaf);
    X509_free(other);
    mem_free(pem);
    mem_free(text);
}

/* What is wrong with a file of another authority's is that one's alone, and what it said last stays. */
static void test_a_fault_of_others(void **state)
{
    static const struct {
        const char *what, *broken; /* whose file; "": what is said of their anchor */
        bool before;               /* there is a trust to go by */
        enum err want;
        enum reason own, other;
        bool own_list_too;
    } rows[] = {
        { "nothing is broken", NULL, true, ERR_OK, REASON_CERTIFICATE_REVOKED, REASON_CERTIFICATE_REVOKED, false },
        { "their list", "o.crl", true, ERR_OK, REASON_CERTIFICATE_REVOKED, REASON_CERTIFICATE_REVOKED, false },
        { "their list, at the start", "o.crl", false, ERR_OK, REASON_CERTIFICATE_REVOKED, REASON_REVOCATION_UNKNOWN,
          false },
        { "their anchor", "o.pem", true, ERR_OK, REASON_CERTIFICATE_REVOKED, REASON_CERTIFICATE_REVOKED, false },
        { "their anchor, at the start", "o.pem", false, ERR_OK, REASON_CERTIFICATE_REVOKED, REASON_CERTIFICATE_UNKNOWN,
          false },
        { "our list", "own.crl", true, ERR_SYNTAX, REASON_GRANTED, REASON_GRANTED, false },
        { "our list, when an act takes effect", "own.crl", true, ERR_OK, REASON_CERTIFICATE_REVOKED,
          REASON_CERTIFICATE_REVOKED, true },
        { "our anchor", "own.pem", true, ERR_SYNTAX, REASON_GRANTED, REASON_GRANTED, false },
        { "our anchor, when an act takes effect", "own.pem", true, ERR_SYNTAX, REASON_GRANTED, REASON_GRANTED, true },
        { "the settings", "", true, ERR_INVALID, REASON_GRANTED, REASON_GRANTED, false },
    };
    static const char *const files[] = { "own.pem", "own.crl", "o.pem", "o.crl" };
    struct pki *p = *state;
    X509 *roots[2] = { pki_ca("own", PKI_P256, NULL, NULL), pki_ca("other", PKI_P384, NULL, NULL) };
    const struct pki_spec s = { .serial = "4242" };
    const struct pki_list list = { .revoked = { "4242" } };
    X509 *own = pki_cert(&s, roots[0], pki_key(PKI_P256)), *other = pki_cert(&s, roots[1], pki_key(PKI_P384));
    char *text[] = { pki_pem(&roots[0], 1), pki_list(&list, roots[0], pki_key(PKI_P256)), pki_pem(&roots[1], 1),
                     pki_list(&list, roots[1], pki_key(PKI_P384)) };
    struct certs_anchor anchors[2] = { { .domain = PKI_DOMAIN, .departments = "" },
                                       { .domain = PKI_DOMAIN, .departments = "" } };

    anchors[0].ca_file = pki_path(p, files[0]);
    anchors[0].crl_file = pki_path(p, files[1]);
    anchors[1].ca_file = pki_path(p, files[2]);
    anchors[1].crl_file = pki_path(p, files[3]);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct certs_trust *before = NULL, *t = NULL;
        struct certs_peer peer;
        unsigned told;
        for (size_t f = 0; f < sizeof files / sizeof files[0]; f++)
            pki_write(p, files[f], text[f]);
        if (rows[i].before)
            assert_int_equal(certs_trust_load(anchors, 2, &before, &p->d), ERR_OK);
        anchors[1].departments = rows[i].broken && rows[i].broken[0] == '\0' ? "health," : "";
        if (rows[i].broken && rows[i].broken[0])
            pki_write(p, rows[i].broken, "<html>502 Bad Gateway</html>\n");
        told = p->d.count;
        assert_int_equal(certs_trust_reload(anchors, 2, before, rows[i].own_list_too, &t, &p->d), rows[i].want);
        assert_int_equal(p->d.count > told, rows[i].broken != NULL);
        certs_trust_unref(before); /* nothing of it is needed any more */
        if (t == NULL)
            continue;
        certs_peer_verify(t, own, NULL, PKI_NOW, &peer);
        assert_int_equal(peer.verdict, rows[i].own);
        certs_peer_verify(t, other, NULL, PKI_NOW, &peer);
        if (peer.verdict != rows[i].other)
            fail_msg("%s: %s", rows[i].what, reason_info(peer.verdict)->code);
        certs_trust_unref(t);
    }
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++)
        mem_free(text[i]);
    X509_free(own);
    X509_free(other);
    X509_free(roots[0]);
    X509_free(roots[1]);
}

/* Without lists only where that is said; an authority whose issuer's list is not at hand is not known to be good. */
static void test_unlisted_intermediate(void **state)
{
    struct pki *p = *state;
    X509 *middle = pki_ca("middle", PKI_P384, p->root, p->root_key); /* in nobody's file */
    X509 *deep = pki_ca("deep", PKI_P256, p->ca, p->ca_key);         /* under one that may have none below */
    const struct pki_spec s = { .key = PKI_ED25519 };
    X509 *leaf = pki_cert(&s, middle, pki_key(PKI_P384)), *below = pki_cert(&s, deep, pki_key(PKI_P256));
    STACK_OF(X509) *chain = pki_chain(middle, deep, NULL);
    struct certs_anchor anchor = { pki_path(p, "root/root.pem"), "", PKI_DOMAIN, "", true, false };
    struct certs_trust *t = pki_trust(p, "ca/crl.pem"), *loose = NULL;
    struct certs_peer peer;

    certs_peer_verify(t, leaf, chain, PKI_NOW, &peer);
    assert_int_equal(peer.verdict, REASON_REVOCATION_UNKNOWN);
    certs_peer_verify(t, below, chain, PKI_NOW, &peer);
    assert_int_equal(peer.verdict, REASON_CERTIFICATE_INVALID); /* path length */
    assert_int_equal(certs_trust_load(&anchor, 1, &loose, &p->d), ERR_OK);
    certs_peer_verify(loose, leaf, chain, PKI_NOW, &peer);
    assert_int_equal(peer.verdict, REASON_GRANTED);
    assert_int_equal(certs_peer_recheck(loose, &peer, PKI_NOW), REASON_GRANTED);
    assert_int_equal(certs_peer_recheck(t, &peer, PKI_NOW), REASON_REVOCATION_UNKNOWN);
    certs_trust_unref(loose);
    certs_trust_unref(t);
    sk_X509_free(chain);
    X509_free(leaf);
    X509_free(below);
    X509_free(middle);
    X509_free(deep);
}

static struct certs_trust *trust_bound(struct pki *p, const char *ca, const char *domain, const char *departments)
{
    struct certs_anchor anchor = { pki_path(p, ca), "", domain, departments, true, false };
    struct certs_trust *t = NULL;

    assert_int_equal(certs_trust_load(&anchor, 1, &t, &p->d), ERR_OK);
    return t;
}

/* What else may end an open connection when the trust is loaded anew. */
static void test_recheck(void **state)
{
    struct pki *p = *state;
    const struct pki_spec s = { .to = PKI_NOW + DAY };
    X509 *leaf = pki_cert(&s, p->ca, p->ca_key), *other = pki_ca("other", PKI_P256, NULL, NULL);
    struct certs_trust *t = pki_trust(p, "ca/crl.pem"), *same, *town, *health, *strange;
    struct certs_peer peer, refused;
    char *pem = pki_pem(&other, 1);

    pki_write(p, "strange.pem", pem);
    mem_free(pem);
    same = trust_bound(p, "ca/chain.pem", PKI_DOMAIN, "education");
    town = trust_bound(p, "ca/chain.pem", "town.example", "");
    health = trust_bound(p, "ca/chain.pem", PKI_DOMAIN, "health");
    strange = trust_bound(p, "strange.pem", PKI_DOMAIN, "");
    certs_peer_verify(same, leaf, NULL, PKI_NOW, &peer);
    assert_int_equal(peer.verdict, REASON_GRANTED);
    assert_int_equal(certs_peer_recheck(same, &peer, PKI_NOW), REASON_GRANTED);
    assert_int_equal(certs_peer_recheck(same, &peer, PKI_NOW + DAY), REASON_GRANTED);
    assert_int_equal(certs_peer_recheck(same, &peer, PKI_NOW + DAY + 1), REASON_CERTIFICATE_EXPIRED);
    assert_int_equal(certs_peer_recheck(town, &peer, PKI_NOW), REASON_CERTIFICATE_UNKNOWN);
    assert_int_equal(certs_peer_recheck(health, &peer, PKI_NOW), REASON_CERTIFICATE_UNKNOWN);
    assert_int_equal(certs_peer_recheck(strange, &peer, PKI_NOW), REASON_CERTIFICATE_UNKNOWN);
    certs_peer_verify(strange, leaf, NULL, PKI_NOW, &refused);
    assert_int_equal(certs_peer_recheck(same, &refused, PKI_NOW), REASON_CERTIFICATE_INVALID);
    memset(&refused, 0, sizeof refused);
    assert_int_equal(certs_peer_recheck(same, &refused, PKI_NOW), REASON_CERTIFICATE_INVALID);
    certs_peer_copy(&refused, &peer);
    refused.verdict = REASON_CERTIFICATE_EXPIRED;
    assert_int_equal(certs_peer_recheck(same, &refused, PKI_NOW), REASON_CERTIFICATE_INVALID);
    certs_peer_copy(&refused, &peer);
    refused.path_n = 0;
    assert_int_equal(certs_peer_recheck(same, &refused, PKI_NOW), REASON_CERTIFICATE_INVALID);
    certs_trust_unref(t);
    certs_trust_unref(same);
    certs_trust_unref(town);
    certs_trust_unref(health);
    certs_trust_unref(strange);
    X509_free(other);
    X509_free(leaf);
}

/* A list of many is searched, not walked, and finds first, last and middle. */
static void test_many(void **state)
{
    struct pki *p = *state;
    struct pki_list s = { .revoked = { "500000", "1", "1461501637330902918203684832716283019655932542975", "70000" } };
    X509 *ca = p->ca;
    char *own = pki_list(&s, ca, p->ca_key);
    const struct pki_list plain = { 0 };
    char *root = pki_list(&plain, p->root, p->root_key);
    struct buf text = BUF_INIT(65536);
    static const char *const free_ones[] = { "499999", "2", "70001",
                                             "1461501637330902918203684832716283019655932542974" };
    struct certs_trust *t;

    buf_puts(&text, own);
    buf_puts(&text, root);
    buf_putc(&text, '\0');
    pki_write(p, "lists.pem", text.p);
    buf_done(&text);
    t = pki_trust(p, "lists.pem");
    for (int i = 0; i < 8; i++) {
        const struct pki_spec leaf_spec = { .serial = i < 4 ? s.revoked[i] : free_ones[i - 4] };
        X509 *leaf = pki_cert(&leaf_spec, ca, p->ca_key);
        struct certs_peer peer;

        certs_peer_verify(t, leaf, NULL, PKI_NOW, &peer);
        assert_int_equal(peer.verdict, i < 4 ? REASON_CERTIFICATE_REVOKED : REASON_GRANTED);
        X509_free(leaf);
    }
    certs_trust_unref(t);
    mem_free(own);
    mem_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_serial_of_another_authority),
        cmocka_unit_test(test_unlisted_intermediate),
        cmocka_unit_test(test_a_fault_of_others),
        cmocka_unit_test(test_recheck),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, pki_open, pki_close);
}
