/* certs/enrol: certificates of outside authorities: who is let in under which name, what is refused all the same, and
 * the register of it. */
#include "pki.h"
#include <openssl/pem.h>

#define APP    SLICE("spiffe://data.city.example/dept/education/app/admission")
#define PERSON SLICE("spiffe://data.city.example/dept/education/person/zhao")

struct town { /* an outside authority, bound to the department of education */
    struct pki *p;
    X509 *root;
};
static const struct pki_spec plain = { .san = "", .cn = "some server" };

static int town_open(void **state)
{
    struct town *t = mem_zalloc(sizeof *t);
    void *p = NULL;

    if (t == NULL || pki_open(&p) != 0)
        return -1;
    t->p = p;
    t->root = pki_ca("省级 CA", PKI_P384, NULL, NULL);
    *state = t;
    return 0;
}

static int town_close(void **state)
{
    struct town *t = *state;
    void *p = t->p;

    X509_free(t->root);
    pki_close(&p);
    mem_free(t);
    return 0;
}

static X509 *leaf_of(struct town *t, const struct pki_spec *s)
{
    return pki_cert(s, t->root, pki_key(PKI_P384));
}

static struct sha256 digest_of(const X509 *x)
{
    unsigned char *der = NULL;
    int n = i2d_X509(x, &der);
    struct sha256 d;

    assert_true(n > 0);
    d = sha256_of(slice_make(der, (size_t)n));
    OPENSSL_free(der);
    return d;
}

/* Our own authority and the town's, whose list holds `revoked`; *e is enrolled, unless NULL. */
static struct certs_trust *trust_of(struct town *t, const char *revoked, const struct certs_enrolled *e)
{
    const struct pki_list list = { .revoked = { revoked } };
    char *pem = pki_pem(&t->root, 1), *crl = pki_list(&list, t->root, pki_key(PKI_P384));
    struct certs_anchor anchors[] = {
        { pki_path(t->p, "ca/chain.pem"), pki_path(t->p, "ca/crl.pem"), PKI_DOMAIN, "", false, false },
        { pki_path(t->p, "town.pem"), pki_path(t->p, "town.crl"), PKI_DOMAIN, "education", false, true },
    };
    struct certs_trust *trust = NULL;

    pki_write(t->p, "town.pem", pem);
    pki_write(t->p, "town.crl", crl);
    mem_free(pem);
    mem_free(crl);
    assert_int_equal(certs_trust_load(anchors, 2, &trust, &t->p->d), ERR_OK);
    assert_int_equal(certs_trust_enrol(trust, e, e ? 1 : 0), ERR_OK);
    return trust;
}

static struct certs_peer judged(struct town *t, X509 *leaf, const char *revoked, const struct certs_enrolled *e)
{
    struct certs_trust *trust = trust_of(t, revoked, e);
    struct certs_peer peer;

    certs_peer_verify(trust, leaf, NULL, PKI_NOW, &peer);
    certs_trust_unref(trust);
    return peer;
}

static void test_identity_is_the_enrolments(void **state)
{
    struct town *t = *state;
    X509 *leaf = leaf_of(t, &plain);
    struct certs_enrolled e = { .digest = digest_of(leaf), .uri = APP, .until = PKI_NOW + DAY };
    struct certs_peer peer = judged(t, leaf, NULL, &e);

    assert_int_equal(peer.verdict, REASON_GRANTED);
    assert_true(peer.enrolled && peer.kind == CERTS_APP && slice_is(APP, peer.uri));
    assert_true(slice_is(peer.department, "education") && strcmp(peer.object, "education/admission") == 0);
    assert_int_equal(peer.path_until, PKI_NOW + DAY); /* sessions end with the enrolment */
    assert_int_equal(peer.not_after, PKI_NOW + 30 * DAY);
    e.uri = PERSON;
    peer = judged(t, leaf, NULL, &e);
    assert_int_equal(peer.kind, CERTS_PERSON);
    peer = judged(t, leaf, NULL, NULL);
    assert_int_equal(peer.verdict, REASON_CERTIFICATE_NOT_ENROLLED);
    assert_true(peer.uri[0] == '\0' && peer.digest[0] != '\0');
    X509_free(leaf);
}

static void test_what_an_enrolment_does_not_open(void **state)
{
    static const struct {
        const char *what;
        struct pki_spec spec;
        struct slice uri;
        int64_t until; /* 0: long */
        bool revoked, listed, not_enrolled;
        enum reason want;
    } cases[] = {
        { "revoked here", { .san = "" }, APP, 0, true, false, false, REASON_CERTIFICATE_REVOKED },
        { "ran out here", { .san = "" }, APP, PKI_NOW - 1, false, false, false, REASON_CERTIFICATE_EXPIRED },
        { "revoked there", { .san = "", .serial = "77" }, APP, 0, false, true, false, REASON_CERTIFICATE_REVOKED },
        { "expired", { .san = "", .to = PKI_NOW - HOUR }, APP, 0, false, false, false, REASON_CERTIFICATE_EXPIRED },
        { "not yet", { .san = "", .from = PKI_NOW + HOUR }, APP, 0, false, false, false, REASON_CERTIFICATE_EXPIRED },
        { "a server's", { .san = "", .eku = "serverAuth" }, APP, 0, false, false, false, REASON_CERTIFICATE_INVALID },
        { "no usage", { .san = "", .eku = "" }, APP, 0, false, false, false, REASON_CERTIFICATE_INVALID },
        { "a CA",
          { .san = "", .bc = "critical,CA:TRUE", .ku = "keyCertSign" },
          APP,
          0,
          false,
          false,
          false,
          REASON_CERTIFICATE_INVALID },
        { "SHA-1", { .san = "", .sha1 = true }, APP, 0, false, false, false, REASON_CERTIFICATE_INVALID },
        { "small", { .san = "", .key = PKI_RSA1024 }, APP, 0, false, false, false, REASON_CERTIFICATE_INVALID },
        { "another department",
          { .san = "" },
          { "spiffe://data.city.example/dept/health/app/a", 44 },
          0,
          false,
          false,
          false,
          REASON_CERTIFICATE_UNKNOWN },
        { "a gateway",
          { .san = "" },
          { "spiffe://data.city.example/gateway/g1", 37 },
          0,
          false,
          false,
          false,
          REASON_CERTIFICATE_UNKNOWN },
        { "another domain",
          { .san = "" },
          { "spiffe://town.example/dept/education/app/a", 42 },
          0,
          false,
          false,
          false,
          REASON_CERTIFICATE_UNKNOWN },
        { "no name", { .san = "" }, { "nobody", 6 }, 0, false, false, false, REASON_CERTIFICATE_INVALID },
        { "names itself", { 0 }, APP, 0, false, false, true, REASON_CERTIFICATE_NOT_ENROLLED },
    };
    struct town *t = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        X509 *leaf = leaf_of(t, &cases[i].spec);
        const struct certs_enrolled e = { digest_of(leaf), cases[i].uri,
                                          cases[i].until ? cases[i].until : PKI_NOW + 900 * DAY, cases[i].revoked };
        struct certs_peer peer =
            judged(t, leaf, cases[i].listed ? pki_serial(leaf) : NULL, cases[i].not_enrolled ? NULL : &e);

        if (peer.verdict != cases[i].want || peer.uri[0] != '\0')
            fail_msg("%s: %s", cases[i].what, reason_info(peer.verdict)->code);
        X509_free(leaf);
    }
}

/* A leaf of our own authority is who it says, and no enrolment makes it somebody else. */
static void test_our_own_cannot_be_renamed(void **state)
{
    struct town *t = *state;
    const struct pki_spec s = { 0 };
    X509 *leaf = pki_cert(&s, t->p->ca, t->p->ca_key);
    const struct certs_enrolled e = { digest_of(leaf), PERSON, PKI_NOW + DAY, false };
    const struct certs_enrolled other = { .uri = PERSON, .until = PKI_NOW + DAY };
    struct certs_peer peer = judged(t, leaf, NULL, &e);

    assert_int_equal(peer.verdict, REASON_CERTIFICATE_UNKNOWN);
    peer = judged(t, leaf, NULL, &other);
    assert_true(peer.verdict == REASON_GRANTED && !peer.enrolled && slice_is(APP, peer.uri));
    X509_free(leaf);
}

/* By the register, whatever the list says: at the door, and on connections that are open. */
static void test_our_own_are_revoked_without_a_list(void **state)
{
    struct town *t = *state;
    const struct pki_spec s = { 0 };
    X509 *leaf = pki_cert(&s, t->p->ca, t->p->ca_key);
    const struct certs_enrolled gone = { digest_of(leaf), APP, PKI_NOW + DAY, true };
    const struct certs_enrolled other = { .uri = PERSON, .until = PKI_NOW + DAY };
    const struct certs_peer open = judged(t, leaf, NULL, &other);
    struct certs_trust *trust = trust_of(t, NULL, &gone);

    assert_int_equal(open.verdict, REASON_GRANTED);
    assert_int_equal(certs_peer_recheck(trust, &open, PKI_NOW), REASON_CERTIFICATE_REVOKED);
    assert_int_equal(judged(t, leaf, NULL, &gone).verdict, REASON_CERTIFICATE_REVOKED);
    certs_trust_unref(trust);
    X509_free(leaf);
}

/* Open connections, kept sessions and certificates that come again follow what is enrolled now. */
static void test_what_is_open_follows(void **state)
{
    struct town *t = *state;
    X509 *leaf = leaf_of(t, &plain);
    struct certs_enrolled e = { .digest = digest_of(leaf), .uri = APP, .until = PKI_NOW + DAY };
    const struct certs_peer peer = judged(t, leaf, NULL, &e);
    const struct {
        struct slice uri;
        int64_t until;
        bool revoked, none;
        enum reason want;
    } cases[] = {
        { APP, PKI_NOW + DAY, false, false, REASON_GRANTED },
        { APP, PKI_NOW + DAY, true, false, REASON_CERTIFICATE_REVOKED },
        { APP, PKI_NOW - 1, false, false, REASON_CERTIFICATE_EXPIRED },
        { APP, PKI_NOW + DAY, false, true, REASON_CERTIFICATE_NOT_ENROLLED },
        { PERSON, PKI_NOW + DAY, false, false, REASON_CERTIFICATE_UNKNOWN },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct certs_trust *trust;
        struct certs_known *known = certs_known_new(8);

        e.uri = cases[i].uri;
        e.until = cases[i].until;
        e.revoked = cases[i].revoked;
        trust = trust_of(t, NULL, cases[i].none ? NULL : &e);
        assert_int_equal(certs_peer_recheck(trust, &peer, PKI_NOW), cases[i].want);
        assert_int_equal(certs_good_until(trust, &peer, PKI_NOW) != 0, i == 0);
        for (unsigned n = 0; n < 2; n++) {
            X509 *copy = X509_dup(leaf), *given = copy;
            struct certs_shared *s = certs_known_verify(known, trust, &given, NULL, PKI_NOW);

            assert_int_equal(s->peer.verdict, i == 4 ? REASON_GRANTED : cases[i].want);
            assert_true(i != 4 || slice_is(PERSON, s->peer.uri));
            tls_peer_unref(&s->head);
            if (given != copy)
                X509_free(given);
            X509_free(copy);
        }
        certs_known_free(known);
        certs_trust_unref(trust);
    }
    X509_free(leaf);
}

static void test_a_digest_has_one_name(void **state)
{
    struct town *t = *state;
    struct certs_trust *trust = trust_of(t, NULL, NULL);
    const struct certs_enrolled twice[] = { { .uri = APP, .until = 1 }, { .uri = PERSON, .until = 1 } };

    assert_int_equal(certs_trust_enrol(trust, twice, 2), ERR_CONFLICT);
    certs_trust_unref(trust);
}

static enum reason offered(struct town *t, X509 *leaf, struct slice uri, struct certs_outside *c)
{
    struct certs_trust *trust = trust_of(t, NULL, NULL);
    char *pem = pki_pem(&leaf, 1);
    const char *more[2];
    enum reason r = certs_outside_judge(trust, slice_of(pem), uri, PKI_NOW, &t->p->a, c, more);

    mem_free(pem);
    certs_trust_unref(trust);
    return r;
}

static void test_what_may_be_enrolled(void **state)
{
    const struct pki_spec server = { .san = "", .eku = "serverAuth" }, named = { 0 };
    const struct pki_spec other = { .san = "URI:https://hr.town.example/7" };
    struct town *t = *state;
    struct certs_outside c = { .not_after = 0 };
    X509 *good = leaf_of(t, &plain), *bad = leaf_of(t, &server), *itself = leaf_of(t, &named), *ours;
    X509 *tagged = leaf_of(t, &other);
    struct certs_trust *trust = trust_of(t, NULL, NULL);
    const char *more[2];

    ours = pki_cert(&plain, t->p->ca, t->p->ca_key);
    assert_int_equal(offered(t, good, APP, &c), REASON_GRANTED);
    assert_int_equal(c.not_after, PKI_NOW + 30 * DAY);
    assert_true(strlen(c.digest) == 64 && c.serial[0] != '\0' && slice_is(c.authority, "CN=省级 CA"));
    assert_int_equal(offered(t, tagged, PERSON, &c), REASON_GRANTED); /* a URI that is no name here */
    assert_int_equal(offered(t, good, SLICE("spiffe://data.city.example/dept/health/app/a"), &c),
                     REASON_CERTIFICATE_UNKNOWN);
    assert_int_equal(offered(t, bad, APP, &c), REASON_CERTIFICATE_INVALID);
    assert_int_equal(offered(t, itself, APP, &c), REASON_CERTIFICATE_INVALID);
    assert_int_equal(offered(t, ours, APP, &c), REASON_CERTIFICATE_UNKNOWN);
    assert_int_equal(certs_outside_judge(trust, SLICE("no PEM"), APP, PKI_NOW, &t->p->a, &c, more),
                     REASON_CERTIFICATE_INVALID);
    assert_non_null(more[LANG_EN]);
    certs_trust_unref(trust);
    X509_free(tagged);
    X509_free(ours);
    X509_free(itself);
    X509_free(bad);
    X509_free(good);
}

/* ---- the register ---- */
static enum err count(void *arg, const struct certs_row *row)
{
    (void)row;
    ++*(unsigned *)arg;
    return ERR_OK;
}

static void test_the_register(void **state)
{
    struct town *t = *state;
    const struct slice author = SLICE("bureau/security");
    struct certs_outside c = { .authority = SLICE("CN=省级 CA"), .serial = "0abc" };
    struct certs_issued ours = { .not_after = PKI_NOW + DAY };
    struct slice digest = slice_make(c.digest, 64);
    struct certs_enrolled *all = NULL;
    struct certs_row row;
    struct sql *sql = NULL;
    struct sql_tx *tx = NULL;
    size_t n = 0;
    unsigned seen = 0;

    memset(c.digest, 'e', 64);
    assert_int_equal(sql_open(pki_path(t->p, "state.db"), &sql, &t->p->d), ERR_OK);
    assert_int_equal(sql_migrate(sql, "certs", certs_migrations, certs_migrations_n, &t->p->d), ERR_OK);
    assert_int_equal(sql_begin(sql, true, &tx, &t->p->d), ERR_OK);
    assert_int_equal(certs_enrol(tx, &c, APP, author, PKI_NOW, PKI_NOW + DAY), ERR_OK);
    assert_int_equal(certs_find(tx, digest, PKI_NOW, &t->p->a, &row), ERR_OK);
    assert_true(slice_is(row.state, "valid") && slice_eq(row.uri, APP) && slice_eq(row.authority, c.authority));
    assert_int_equal(certs_find(tx, SLICE("0abc"), PKI_NOW + DAY + 1, &t->p->a, &row), ERR_OK);
    assert_true(slice_is(row.state, "expired"));
    assert_int_equal(certs_enrol(tx, &c, PERSON, author, PKI_NOW, PKI_NOW + DAY), ERR_CONFLICT);
    assert_int_equal(certs_enrol(tx, &c, APP, author, PKI_NOW + 2 * DAY, PKI_NOW + 3 * DAY), ERR_OK); /* anew */
    assert_int_equal(certs_find(tx, digest, PKI_NOW + 2 * DAY, &t->p->a, &row), ERR_OK);
    assert_true(row.not_before == PKI_NOW + 2 * DAY && row.not_after == PKI_NOW + 3 * DAY);

    memset(c.digest, 'f', 64); /* of another authority, with the same serial */
    assert_int_equal(certs_enrol(tx, &c, PERSON, author, PKI_NOW, PKI_NOW + DAY), ERR_OK);
    assert_int_equal(certs_find(tx, SLICE("0abc"), PKI_NOW, &t->p->a, &row), ERR_CONFLICT);
    assert_int_equal(certs_revoke(tx, SLICE("0abc"), SLICE("lost"), PKI_NOW), ERR_CONFLICT);
    assert_int_equal(certs_revoke(tx, digest, SLICE("lost"), PKI_NOW), ERR_OK);
    assert_int_equal(certs_revoke(tx, digest, SLICE("again"), PKI_NOW), ERR_CONFLICT);
    assert_int_equal(certs_enrol(tx, &c, PERSON, author, PKI_NOW, PKI_NOW + DAY), ERR_CONFLICT); /* for good */

    assert_int_equal(certs_enrolled_read(tx, &t->p->a, &all, &n), ERR_OK);
    assert_int_equal(n, 2);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(all[i].revoked, slice_eq(all[i].uri, PERSON));
    memset(ours.digest, 'd', 64); /* of our own those that are revoked, and no others */
    for (int i = 0; i < 2; i++) {
        snprintf(ours.serial, sizeof ours.serial, "0%d", i + 1);
        ours.digest[0] = (char)('d' + i);
        ours.digest[1] = ours.digest[0];
        assert_int_equal(certs_register(tx, &ours, SLICE("spiffe://ours"), author), ERR_OK);
    }
    assert_int_equal(certs_revoke(tx, SLICE("01"), SLICE("lost"), PKI_NOW), ERR_OK);
    assert_int_equal(certs_enrolled_read(tx, &t->p->a, &all, &n), ERR_OK);
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++)
        assert_true(!slice_is(all[i].uri, "spiffe://ours") || (all[i].revoked && all[i].digest.b[0] == 0xdd));
    assert_int_equal(certs_each(tx, SLICE(""), PKI_NOW, &t->p->a, count, &seen), ERR_OK);
    assert_int_equal(certs_each(tx, APP, PKI_NOW, &t->p->a, count, &seen), ERR_OK);
    assert_int_equal(seen, 5);
    sql_rollback(tx);
    sql_close(sql);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity_is_the_enrolments), cmocka_unit_test(test_what_an_enrolment_does_not_open),
        cmocka_unit_test(test_our_own_cannot_be_renamed),  cmocka_unit_test(test_our_own_are_revoked_without_a_list),
        cmocka_unit_test(test_what_is_open_follows),       cmocka_unit_test(test_a_digest_has_one_name),
        cmocka_unit_test(test_what_may_be_enrolled),       cmocka_unit_test(test_the_register),
    };

    return cmocka_run_group_tests(tests, town_open, town_close);
}
