/* certs/verify: one thing wrong at a time, and the verdict that it must bring. */
#include "pki.h"
#include <openssl/err.h>
#include <pthread.h>

static const struct {
    const char *what;
    struct pki_spec spec;
    enum reason want;
} leaves[] = {
    { "all as it should be", { 0 }, REASON_GRANTED },
    { "P-384", { .key = PKI_P384 }, REASON_GRANTED },
    { "Ed25519", { .key = PKI_ED25519 }, REASON_GRANTED },
    { "RSA 2048", { .key = PKI_RSA2048 }, REASON_GRANTED },
    { "RSA 1024", { .key = PKI_RSA1024 }, REASON_CERTIFICATE_INVALID },
    { "P-521", { .key = PKI_P521 }, REASON_CERTIFICATE_INVALID },
    { "curve spelt out", { .key = PKI_SPELT_OUT }, REASON_CERTIFICATE_INVALID },
    { "SHA-1", { .sha1 = true }, REASON_CERTIFICATE_INVALID },
    { "expired", { .to = PKI_NOW - HOUR }, REASON_CERTIFICATE_EXPIRED },
    { "expires now", { .to = PKI_NOW - 1000 }, REASON_CERTIFICATE_EXPIRED },
    { "not yet valid", { .from = PKI_NOW + HOUR }, REASON_CERTIFICATE_EXPIRED },
    { "EKU of a server", { .eku = "serverAuth" }, REASON_CERTIFICATE_INVALID },
    { "EKU of anything", { .eku = "anyExtendedKeyUsage" }, REASON_CERTIFICATE_INVALID },
    { "EKU of both", { .eku = "serverAuth,clientAuth" }, REASON_GRANTED },
    { "no EKU", { .eku = "" }, REASON_CERTIFICATE_INVALID },
    { "key usage without signatures", { .ku = "critical,keyEncipherment" }, REASON_CERTIFICATE_INVALID },
    { "a CA", { .bc = "critical,CA:TRUE", .ku = "critical,digitalSignature,keyCertSign" }, REASON_CERTIFICATE_INVALID },
    { "no issuer's key id (strict)", { .akid = "" }, REASON_CERTIFICATE_INVALID },
    { "no name", { .san = "" }, REASON_CERTIFICATE_INVALID },
    { "two URIs",
      { .san = PKI_APP ",URI:spiffe://data.city.example/dept/education/app/b" },
      REASON_CERTIFICATE_INVALID },
    { "the same URI twice", { .san = PKI_APP "," PKI_APP }, REASON_CERTIFICATE_INVALID },
    { "two extensions", { .san2 = "URI:spiffe://data.city.example/dept/education/app/b" }, REASON_CERTIFICATE_INVALID },
    { "DNS name only", { .san = "DNS:admission.example" }, REASON_CERTIFICATE_INVALID },
    { "DNS name too", { .san = "DNS:admission.example," PKI_APP }, REASON_GRANTED },
    { "ill-formed URI", { .san = "URI:spiffe://data.city.example/dept/Education/app/a" }, REASON_CERTIFICATE_INVALID },
    { "another scheme", { .san = "URI:https://data.city.example/dept/education/app/a" }, REASON_CERTIFICATE_INVALID },
    { "another domain", { .san = "URI:spiffe://data.town.example/dept/education/app/a" }, REASON_CERTIFICATE_UNKNOWN },
    { "serial 0", { .serial = "0" }, REASON_CERTIFICATE_INVALID },
    { "negative serial", { .serial = "-5" }, REASON_CERTIFICATE_INVALID },
    { "serial of 20 octets", { .serial = "1461501637330902918203684832716283019655932542975" }, REASON_GRANTED },
    { "serial of 21 octets",
      { .serial = "1461501637330902918203684832716283019655932542976" },
      REASON_CERTIFICATE_INVALID },
};

static void must_be_nobody(const struct certs_peer *peer)
{
    assert_int_equal(peer->kind, CERTS_NOBODY);
    assert_int_equal(peer->uri[0], 0);
    assert_int_equal(peer->object[0], 0);
    assert_int_equal(peer->serial[0], 0);
    assert_int_equal(peer->department.n + peer->id.n + peer->path_n, 0);
}

static void test_leaves(void **state)
{
    struct pki *p = *state;
    struct certs_trust *t = pki_trust(p, "ca/crl.pem");

    for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++) {
        X509 *leaf = pki_cert(&leaves[i].spec, p->ca, p->ca_key);
        struct certs_peer peer;

        certs_peer_verify(t, leaf, NULL, PKI_NOW, &peer);
        if (peer.verdict != leaves[i].want)
            fail_msg("%s: %s", leaves[i].what, reason_info(peer.verdict)->code);
        assert_int_equal(strlen(peer.digest), 64);
        if (peer.verdict != REASON_GRANTED)
            must_be_nobody(&peer);
        X509_free(leaf);
    }
    certs_trust_unref(t);
}

static void test_identity(void **state)
{
    static const struct {
        const char *san, *object, *department, *id;
        enum certs_kind kind;
    } cases[] = {
        { PKI_APP, "education/admission", "education", "admission", CERTS_APP },
        { "URI:spiffe://data.city.example/dept/health/person/li", "health/li", "health", "li", CERTS_PERSON },
        { "URI:spiffe://data.city.example/gateway/g1", "g1", "", "g1", CERTS_GATEWAY },
    };
    struct pki *p = *state;
    struct certs_trust *t = pki_trust(p, "ca/crl.pem");

    for (size_t i = 0; i < 3; i++) {
        const struct pki_spec s = { .san = cases[i].san, .serial = "51966", .to = PKI_NOW + 7 * DAY };
        X509 *leaf = pki_cert(&s, p->ca, p->ca_key);
        STACK_OF(X509) *chain = pki_chain(leaf, p->ca, p->root, NULL);
        struct certs_peer peer, copy;

        certs_peer_verify(t, leaf, chain, PKI_NOW, &peer);
        assert_int_equal(peer.verdict, REASON_GRANTED);
        certs_peer_copy(&copy, &peer);
        memset(&peer, 'x', sizeof peer);
        assert_int_equal(copy.kind, cases[i].kind);
        assert_string_equal(copy.uri, cases[i].san + 4);
        assert_string_equal(copy.object, cases[i].object);
        assert_true(slice_is(copy.department, cases[i].department));
        assert_true(slice_is(copy.id, cases[i].id));
        assert_string_equal(copy.serial, "cafe");
        assert_true(copy.not_after == PKI_NOW + 7 * DAY);
        assert_int_equal(copy.path_n, 2);
        sk_X509_free(chain);
        X509_free(leaf);
    }
    certs_trust_unref(t);
}

static void test_nobody_and_strangers(void **state)
{
    struct pki *p = *state;
    struct certs_trust *t = pki_trust(p, "ca/crl.pem");
    X509 *other = pki_ca("Sluice issuing CA", PKI_P384, NULL, NULL);
    X509 *twin = X509_dup(p->ca); /* our CA's certificate with another's key in it: same name, same key id */
    const struct pki_spec plain = { 0 };
    X509 *self = pki_cert(&plain, NULL, NULL), *strange = pki_cert(&plain, other, pki_key(PKI_P384));
    X509 *forged = pki_cert(&plain, twin, pki_key(PKI_P384));
    STACK_OF(X509) *chain = pki_chain(other, NULL);
    struct certs_peer peer;

    certs_peer_verify(t, NULL, NULL, PKI_NOW, &peer);
    assert_int_equal(peer.verdict, REASON_CERTIFICATE_MISSING);
    assert_int_equal(peer.digest[0], 0);
    certs_peer_verify(t, self, NULL, PKI_NOW, &peer);
    assert_int_equal(peer.verdict, REASON_CERTIFICATE_UNKNOWN);
    certs_peer_verify(t, strange, NULL, PKI_NOW, &peer);
    assert_int_equal(peer.verdict, REASON_CERTIFICATE_UNKNOWN);
    certs_peer_verify(t, strange, chain, PKI_NOW, &peer);
    assert_int_equal(peer.verdict, REASON_CERTIFICATE_UNKNOWN);
    certs_peer_verify(t, forged, NULL, PKI_NOW, &peer);
    assert_int_equal(peer.verdict, REASON_CERTIFICATE_UNKNOWN);
    must_be_nobody(&peer);
    sk_X509_free(chain);
    X509_free(forged);
    X509_free(strange);
    X509_free(self);
    X509_free(twin);
    X509_free(other);
    certs_trust_unref(t);
}

/* Chains of several CAs below an anchor without lists; what is presented is not in the anchor's file. */
static struct certs_trust *loose_trust(struct pki *p, X509 *root)
{
    char *pem = pki_pem(&root, 1);
    struct certs_anchor anchor = { NULL, "", PKI_DOMAIN, "", true, false };
    struct certs_trust *t = NULL;

    pki_write(p, "loose.pem", pem);
    mem_free(pem);
    anchor.ca_file = pki_path(p, "loose.pem");
    assert_int_equal(certs_trust_load(&anchor, 1, &t, &p->d), ERR_OK);
    return t;
}

static void test_depth(void **state)
{
    struct pki *p = *state;
    EVP_PKEY *key = pki_key(PKI_P256);
    X509 *ca[6];
    struct certs_trust *t;

    ca[0] = pki_ca("depth 0", PKI_P256, NULL, NULL);
    for (int i = 1; i < 6; i++) {
        char cn[32];

        snprintf(cn, sizeof cn, "depth %d", i);
        ca[i] = pki_ca(cn, PKI_P256, ca[i - 1], key);
    }
    t = loose_trust(p, ca[0]);
    for (int n = 0; n < 6; n++) { /* n authorities between leaf and anchor */
        const struct pki_spec s = { .key = PKI_ED25519 };
        X509 *leaf = pki_cert(&s, ca[n], key);
        STACK_OF(X509) *chain = pki_chain(ca[1], ca[2], ca[3], ca[4], ca[5], NULL);
        struct certs_peer peer;

        certs_peer_verify(t, leaf, chain, PKI_NOW, &peer);
        assert_int_equal(peer.verdict, n <= 3 ? REASON_GRANTED : REASON_CERTIFICATE_INVALID);
        if (n <= 3)
            assert_int_equal(peer.path_n, n + 1);
        sk_X509_free(chain);
        X509_free(leaf);
    }
    for (int i = 0; i < 6; i++)
        X509_free(ca[i]);
    certs_trust_unref(t);
}

#define CA_OF .cn = "middle", .san = "", .eku = "", .ku = "critical,keyCertSign", .bc = "critical,CA:TRUE"

static void test_middles(void **state)
{
    static const struct {
        const char *what;
        struct pki_spec spec;
        enum reason want;
    } cases[] = {
        { "good", { CA_OF, .key = PKI_RSA2048 }, REASON_GRANTED },
        { "Ed25519", { CA_OF, .key = PKI_ED25519 }, REASON_GRANTED },
        { "weak key", { CA_OF, .key = PKI_RSA1024 }, REASON_CERTIFICATE_INVALID },
        { "SHA-1", { CA_OF, .sha1 = true }, REASON_CERTIFICATE_INVALID },
        { "serial 0", { CA_OF, .serial = "0" }, REASON_CERTIFICATE_INVALID },
        { "expired", { CA_OF, .to = PKI_NOW - HOUR }, REASON_CERTIFICATE_EXPIRED },
        { "not yet valid", { CA_OF, .from = PKI_NOW + HOUR }, REASON_CERTIFICATE_EXPIRED },
        { "for servers only",
          { .cn = "m", .san = "", .eku = "serverAuth", .ku = "critical,keyCertSign", .bc = "critical,CA:TRUE" },
          REASON_CERTIFICATE_INVALID },
        { "no CA", { .cn = "middle", .san = "", .eku = "", .ku = "critical,keyCertSign" }, REASON_CERTIFICATE_INVALID },
        { "no key usage (strict)",
          { .cn = "middle", .san = "", .eku = "", .ku = "", .bc = "critical,CA:TRUE" },
          REASON_CERTIFICATE_INVALID },
        { "constraints not critical (strict)",
          { .cn = "middle", .san = "", .eku = "", .ku = "critical,keyCertSign", .bc = "CA:TRUE" },
          REASON_CERTIFICATE_INVALID },
    };
    struct pki *p = *state;
    X509 *root = pki_ca("middles", PKI_P384, NULL, NULL);
    struct certs_trust *t = loose_trust(p, root);

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct pki_spec plain = { .key = PKI_ED25519 };
        X509 *middle = pki_cert(&cases[i].spec, root, pki_key(PKI_P384));
        X509 *leaf = pki_cert(&plain, middle, pki_key(cases[i].spec.key));
        STACK_OF(X509) *chain = pki_chain(middle, NULL);
        struct certs_peer peer;

        certs_peer_verify(t, leaf, chain, PKI_NOW, &peer);
        if (peer.verdict != cases[i].want)
            fail_msg("%s: %s", cases[i].what, reason_info(peer.verdict)->code);
        sk_X509_free(chain);
        X509_free(leaf);
        X509_free(middle);
    }
    X509_free(root);
    certs_trust_unref(t);
}

/* Two anchors, one for each of two domains; one of them for two departments only. */
static void test_bounds_of_anchors(void **state)
{
    static const struct {
        const char *san;
        bool second; /* under the second anchor */
        enum reason want;
    } cases[] = {
        { PKI_APP, false, REASON_GRANTED },
        { PKI_APP, true, REASON_CERTIFICATE_UNKNOWN },
        { "URI:spiffe://town.example/dept/health/app/a", true, REASON_GRANTED },
        { "URI:spiffe://town.example/dept/housing/person/a", true, REASON_GRANTED },
        { "URI:spiffe://town.example/dept/health/app/a", false, REASON_CERTIFICATE_UNKNOWN },
        { "URI:spiffe://town.example/dept/education/app/a", true, REASON_CERTIFICATE_UNKNOWN },
        { "URI:spiffe://town.example/dept/heal/app/a", true, REASON_CERTIFICATE_UNKNOWN },
        { "URI:spiffe://town.example/gateway/g", true, REASON_CERTIFICATE_UNKNOWN },
        { "URI:spiffe://village.example/gateway/g", true, REASON_GRANTED },
    };
    struct pki *p = *state;
    X509 *second = pki_ca("second", PKI_P256, NULL, NULL);
    char *pem = pki_pem(&second, 1);
    struct certs_anchor anchors[3] = { { .domain = PKI_DOMAIN, .departments = "" },
                                       { .domain = "town.example", .departments = "health,housing", .no_crl = true },
                                       { .domain = "village.example", .departments = "", .no_crl = true } };
    struct certs_trust *t = NULL;

    pki_write(p, "second.pem", pem);
    mem_free(pem);
    anchors[0].ca_file = pki_path(p, "ca/chain.pem");
    anchors[0].crl_file = pki_path(p, "ca/crl.pem");
    anchors[1].ca_file = anchors[2].ca_file = pki_path(p, "second.pem");
    anchors[1].crl_file = anchors[2].crl_file = "";
    assert_int_equal(certs_trust_load(anchors, 3, &t, &p->d), ERR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct pki_spec s = { .san = cases[i].san, .key = PKI_ED25519 };
        X509 *leaf = cases[i].second ? pki_cert(&s, second, pki_key(PKI_P256)) : pki_cert(&s, p->ca, p->ca_key);
        struct certs_peer peer;

        certs_peer_verify(t, leaf, NULL, PKI_NOW, &peer);
        if (peer.verdict != cases[i].want)
            fail_msg("case %zu: %s", i, reason_info(peer.verdict)->code);
        X509_free(leaf);
    }
    X509_free(second);
    certs_trust_unref(t);
}

static void test_error_queue(void **state)
{
    struct pki *p = *state;
    struct certs_trust *t = pki_trust(p, "ca/crl.pem");
    const struct pki_spec s = { .key = PKI_P256 };
    X509 *leaf = pki_cert(&s, p->ca, pki_key(PKI_P256)); /* the signature is another's: OpenSSL raises errors */
    struct certs_peer peer;

    ERR_clear_error();
    certs_peer_verify(t, leaf, NULL, PKI_NOW, &peer);
    assert_int_equal(ERR_peek_error(), 0);
    ERR_raise(ERR_LIB_USER, 7);
    certs_peer_verify(t, leaf, NULL, PKI_NOW, &peer);
    assert_int_equal(ERR_GET_REASON(ERR_get_error()), 7);
    assert_int_equal(ERR_peek_error(), 0);
    X509_free(leaf);
    certs_trust_unref(t);
}

struct worker {
    struct certs_trust *t;
    X509 *leaf;
    unsigned granted;
};

static void *verify_often(void *arg)
{
    struct worker *w = arg;

    for (int i = 0; i < 100; i++) {
        struct certs_trust *t = certs_trust_ref(w->t);
        struct certs_peer peer;

        certs_peer_verify(t, w->leaf, NULL, PKI_NOW, &peer);
        w->granted += peer.verdict == REASON_GRANTED && certs_peer_recheck(t, &peer, PKI_NOW) == REASON_GRANTED;
        certs_trust_unref(t);
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct pki *p = *state;
    struct certs_trust *t = pki_trust(p, "ca/crl.pem");
    const struct pki_spec s = { 0 };
    static struct worker w[4]; /* its threads go on even if this test ends before them */
    pthread_t id[4];

    for (int i = 0; i < 4; i++) {
        w[i] = (struct worker){ t, pki_cert(&s, p->ca, p->ca_key), 0 };
        assert_int_equal(pthread_create(&id[i], NULL, verify_often, &w[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(id[i], NULL);
        assert_int_equal(w[i].granted, 100);
        X509_free(w[i].leaf);
    }
    certs_trust_unref(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaves),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_nobody_and_strangers),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_middles),
        cmocka_unit_test(test_bounds_of_anchors),
        cmocka_unit_test(test_error_queue),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, pki_open, pki_close);
}
