/* certs/register: rows, states, revocation, and the list that follows from them. */
#include "pki.h"
#include <openssl/pem.h>

struct book {
    struct pki *p;
    struct sql *sql;
    struct sql_tx *tx;
    struct certs_ca *ca;
    struct slice csr;
};

static const struct slice admission = { "spiffe://data.city.example/dept/education/app/admission", 55 };
static const struct slice school = { "spiffe://data.city.example/dept/education/app/school", 52 };

static int book_open(void **state)
{
    struct book *b = mem_zalloc(sizeof *b);
    struct buf csr = BUF_INIT(65536);
    void *p = NULL;

    if (b == NULL || pki_open(&p) != 0)
        return -1;
    b->p = p;
    if (sql_open(pki_path(b->p, "state.db"), &b->sql, &b->p->d) != ERR_OK ||
        sql_migrate(b->sql, "certs", certs_migrations, certs_migrations_n, &b->p->d) != ERR_OK ||
        sql_begin(b->sql, true, &b->tx, &b->p->d) != ERR_OK ||
        certs_ca_open(b->p->dir, PKI_DOMAIN, &b->ca, &b->p->d) != ERR_OK ||
        certs_request_make(pki_path(b->p, "app.key"), SLICE("x"), &csr, &b->p->d) != ERR_OK) {
        pki_say(b->p);
        return -1;
    }
    b->csr = arena_dup(&b->p->a, buf_slice(&csr));
    buf_done(&csr);
    *state = b;
    return 0;
}

static int book_close(void **state)
{
    struct book *b = *state;
    void *p = b->p;

    sql_rollback(b->tx);
    sql_close(b->sql);
    certs_ca_free(b->ca);
    pki_close(&p);
    mem_free(b);
    return 0;
}

static struct certs_issued issue(struct book *b, struct slice uri, unsigned days)
{
    struct certs_issued c;

    assert_int_equal(certs_sign(b->ca, b->csr, uri, SLICE("x"), days, PKI_NOW, &b->p->a, &c, &b->p->d), ERR_OK);
    assert_int_equal(certs_register(b->tx, &c, uri, SLICE("bureau/security")), ERR_OK);
    return c;
}

static void test_rows(void **state)
{
    struct book *b = *state;
    struct certs_issued c = issue(b, admission, 10);
    struct slice serial = slice_of(c.serial);
    struct certs_row row;

    assert_int_equal(certs_register(b->tx, &c, admission, SLICE("bureau/security")), ERR_EXISTS);
    assert_int_equal(certs_find(b->tx, serial, PKI_NOW, &b->p->a, &row), ERR_OK);
    assert_true(slice_eq(row.serial, serial) && slice_is(row.digest, c.digest) && slice_eq(row.uri, admission));
    assert_true(slice_is(row.state, "valid") && slice_is(row.author, "bureau/security") && row.reason.n == 0);
    assert_true(row.not_before == c.not_before && row.not_after == c.not_after && row.revoked_at == 0);
    assert_int_equal(certs_find(b->tx, serial, c.not_after, &b->p->a, &row), ERR_OK);
    assert_true(slice_is(row.state, "valid"));
    assert_int_equal(certs_find(b->tx, serial, c.not_after + 1, &b->p->a, &row), ERR_OK);
    assert_true(slice_is(row.state, "expired"));
    assert_int_equal(certs_find(b->tx, SLICE("beef"), PKI_NOW, &b->p->a, &row), ERR_NOT_FOUND);

    assert_int_equal(certs_revoke(b->tx, serial, SLICE("密钥泄露"), PKI_NOW + 5), ERR_OK);
    assert_int_equal(certs_find(b->tx, serial, c.not_after + 1, &b->p->a, &row), ERR_OK);
    assert_true(slice_is(row.state, "revoked") && slice_is(row.reason, "密钥泄露") && row.revoked_at == PKI_NOW + 5);
    assert_int_equal(certs_revoke(b->tx, serial, SLICE("again"), PKI_NOW + 6), ERR_CONFLICT);
    assert_int_equal(certs_find(b->tx, serial, PKI_NOW, &b->p->a, &row), ERR_OK);
    assert_true(slice_is(row.reason, "密钥泄露") && row.revoked_at == PKI_NOW + 5);
    assert_int_equal(certs_revoke(b->tx, SLICE("beef"), SLICE("x"), PKI_NOW), ERR_NOT_FOUND);
}

struct seen {
    unsigned n, stop_at;
    struct certs_row last;
};

static enum err see(void *arg, const struct certs_row *row)
{
    struct seen *s = arg;

    s->n++;
    s->last = *row;
    return s->n == s->stop_at ? ERR_AGAIN : ERR_OK;
}

static void test_each(void **state)
{
    struct book *b = *state;
    struct seen all = { 0 }, some = { 0 }, none = { 0 }, stopped = { .stop_at = 2 };
    struct arena tiny;

    issue(b, admission, 1);
    issue(b, school, 1);
    issue(b, admission, 2);
    assert_int_equal(certs_each(b->tx, SLICE(""), PKI_NOW, &b->p->a, see, &all), ERR_OK);
    assert_int_equal(all.n, 3);
    assert_int_equal(certs_each(b->tx, admission, PKI_NOW, &b->p->a, see, &some), ERR_OK);
    assert_int_equal(some.n, 2);
    assert_true(slice_eq(some.last.uri, admission)); /* rows outlive the call, with their arena */
    assert_int_equal(certs_each(b->tx, SLICE("spiffe://x"), PKI_NOW, &b->p->a, see, &none), ERR_OK);
    assert_int_equal(none.n, 0);
    assert_int_equal(certs_each(b->tx, SLICE(""), PKI_NOW, &b->p->a, see, &stopped), ERR_AGAIN);
    assert_int_equal(stopped.n, 2);
    arena_init(&tiny, 64);
    assert_int_equal(certs_each(b->tx, SLICE(""), PKI_NOW, &tiny, see, &none), ERR_NOMEM);
    arena_done(&tiny);
}

static enum reason verdict(struct book *b, const struct certs_issued *c, int64_t now)
{
    struct certs_trust *t = pki_trust(b->p, "ca/crl.pem");
    X509 *x = pki_first(c->pem);
    struct certs_peer peer;

    certs_peer_verify(t, x, NULL, now, &peer);
    certs_trust_unref(t);
    X509_free(x);
    return peer.verdict;
}

static void test_list(void **state)
{
    struct book *b = *state;
    struct certs_issued first = issue(b, admission, 30), second = issue(b, school, 30);
    struct certs_issued third = issue(b, school, 30);

    assert_int_equal(certs_crl_write(b->ca, b->tx, 24, PKI_NOW, &b->p->d), ERR_OK);
    assert_int_equal(verdict(b, &first, PKI_NOW + DAY), REASON_GRANTED);
    assert_int_equal(verdict(b, &first, PKI_NOW + DAY + 1000), REASON_REVOCATION_UNKNOWN);
    assert_int_equal(certs_revoke(b->tx, slice_of(first.serial), SLICE("x"), PKI_NOW), ERR_OK);
    assert_int_equal(certs_revoke(b->tx, slice_of(third.serial), SLICE("x"), PKI_NOW), ERR_OK);
    assert_int_equal(verdict(b, &first, PKI_NOW), REASON_GRANTED); /* the list says it, not the register */
    assert_int_equal(certs_crl_write(b->ca, b->tx, 168, PKI_NOW, &b->p->d), ERR_OK);
    assert_int_equal(verdict(b, &first, PKI_NOW), REASON_CERTIFICATE_REVOKED);
    assert_int_equal(verdict(b, &third, PKI_NOW), REASON_CERTIFICATE_REVOKED);
    assert_int_equal(verdict(b, &second, PKI_NOW + 7 * DAY), REASON_GRANTED);
    assert_int_equal(certs_crl_write(b->ca, b->tx, 0, PKI_NOW, &b->p->d), ERR_INVALID);
    assert_int_equal(certs_crl_write(b->ca, b->tx, 169, PKI_NOW, &b->p->d), ERR_INVALID);
}

/* Numbers of the lists in the file, the root's first. */
static unsigned numbers(struct book *b, uint64_t out[2])
{
    char *text = pki_read(b->p, "ca/crl.pem");
    BIO *in = BIO_new_mem_buf(text, -1);
    X509_CRL *list;
    unsigned n = 0;

    while ((list = PEM_read_bio_X509_CRL(in, NULL, NULL, NULL)) != NULL) {
        ASN1_INTEGER *number = X509_CRL_get_ext_d2i(list, NID_crl_number, NULL, NULL);
        X509 *issuer = n == 0 ? b->p->root : b->p->ca;

        assert_true(n < 2);
        assert_int_equal(X509_NAME_cmp(X509_CRL_get_issuer(list), X509_get_subject_name(issuer)), 0);
        assert_int_equal(ASN1_INTEGER_get_uint64(&out[n], number), 1);
        ASN1_INTEGER_free(number);
        X509_CRL_free(list);
        n++;
    }
    BIO_free(in);
    mem_free(text);
    return n;
}

static void test_list_file(void **state)
{
    struct book *b = *state;
    const struct pki_list by_root = {
        .from = PKI_NOW, .to = PKI_NOW + 90 * DAY, .extension = "2.5.29.20", .value = "DER:020107"
    };
    char *root, *text;
    uint64_t before[2], after[2];

    assert_int_equal(numbers(b, before), 2);
    assert_int_equal(certs_crl_write(b->ca, b->tx, 24, PKI_NOW, &b->p->d), ERR_OK);
    assert_int_equal(numbers(b, after), 2);
    assert_true(after[0] == before[0] && after[1] > before[1]);
    before[1] = after[1];
    assert_int_equal(certs_crl_write(b->ca, b->tx, 24, PKI_NOW - 9 * DAY, &b->p->d), ERR_OK); /* a clock set back */
    assert_int_equal(numbers(b, after), 2);
    assert_true(after[1] > before[1]);
    /* A list that the root signed elsewhere since, brought here by hand, is kept. */
    root = pki_list(&by_root, b->p->root, b->p->root_key);
    pki_write(b->p, "ca/crl.pem", root);
    assert_int_equal(certs_crl_write(b->ca, b->tx, 24, PKI_NOW, &b->p->d), ERR_OK);
    assert_int_equal(numbers(b, after), 2);
    assert_true(after[0] == 7);
    /* What cannot be read is not written over. */
    pki_write(b->p, "ca/crl.pem", "-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n");
    assert_int_equal(certs_crl_write(b->ca, b->tx, 24, PKI_NOW, &b->p->d), ERR_SYNTAX);
    text = pki_read(b->p, "ca/crl.pem");
    assert_int_equal(strlen(text), 53);
    unlink(pki_path(b->p, "ca/crl.pem"));
    assert_int_equal(certs_crl_write(b->ca, b->tx, 24, PKI_NOW, &b->p->d), ERR_NOT_FOUND);
    mem_free(text);
    mem_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows, book_open, book_close),
        cmocka_unit_test_setup_teardown(test_each, book_open, book_close),
        cmocka_unit_test_setup_teardown(test_list, book_open, book_close),
        cmocka_unit_test_setup_teardown(test_list_file, book_open, book_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
