/* The witness listener's certificate: renewed while the daemon runs, and whatever the order in which its two files are
 * put in place, the new one is shown in the end. */
#include "tests/unit/gateway/control_world.h"

#include "gateway/cosigner.h"

#define http_small_tls(service, tls) ((void)(service), (void)(tls))
#include "gateway/cosigner.c" /* in place of the library's */
#undef http_small_tls

static void put_file(struct node *n, const char *name, struct slice text)
{
    assert_int_equal(file_write(path_join(&n->a, n->dir, name), text, 0600, NULL), ERR_OK);
}

static struct slice file_of(struct node *n, const char *name)
{
    struct buf b = BUF_INIT(1 << 16);
    struct slice s;

    assert_int_equal(file_read(path_join(&n->a, n->dir, name), &b, NULL), ERR_OK);
    s = arena_dup(&n->a, buf_slice(&b));
    buf_done(&b);
    return s;
}

/* A certificate for another key, both beside those in use. */
static struct slice other_certificate(struct node *n)
{
    struct buf csr = BUF_INIT(1 << 16);
    struct certs_issued issued;

    assert_int_equal(certs_request_make(path_join(&n->a, n->dir, "keys/other.key"), SLICE("node-1"), &csr, &n->d),
                     ERR_OK);
    assert_int_equal(certs_sign_gateway(n->control->ca, buf_slice(&csr),
                                        SLICE("spiffe://data.city.example/gateway/node-1"), SLICE("127.0.0.1"), 30,
                                        clock_wall_ms(), &n->a, &issued, &n->d),
                     ERR_OK);
    buf_done(&csr);
    return issued.pem;
}

static struct cosigner *begin(struct node *n)
{
    struct cosigner *c = mem_zalloc(sizeof *c);

    assert_non_null(c);
    c->settings = &n->settings;
    c->loop = loop_new();
    assert_non_null(c->loop);
    alarm_init(&c->look, on_look);
    door_init_yielding(&c->door, c->loop, 16);
    assert_int_equal(tls_load(c, &c->tls, &n->d), ERR_OK);
    return c;
}

static void end(struct cosigner *c)
{
    alarm_clear(&c->look);
    door_done(&c->door);
    tls_unref(c->tls);
    loop_free(c->loop);
    mem_free(c);
}

static void a_key_that_comes_behind_its_certificate(void **state)
{
    struct node *n = *state;
    struct slice certificate = other_certificate(n);
    struct cosigner *c = begin(n);
    struct tls_context *before = c->tls;

    on_look(&c->look);
    assert_ptr_equal(c->tls, before);
    put_file(n, "keys/gateway.pem", certificate);
    on_look(&c->look); /* it is of another key than the one that is there */
    assert_ptr_equal(c->tls, before);
    put_file(n, "keys/gateway.key", file_of(n, "keys/other.key"));
    on_look(&c->look);
    assert_ptr_not_equal(c->tls, before);
    before = c->tls;
    on_look(&c->look);
    assert_ptr_equal(c->tls, before);
    end(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_that_comes_behind_its_certificate, node_open, node_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
