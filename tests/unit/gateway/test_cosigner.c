/* The witness listener. Its certificate is renewed while the daemon runs, and whatever the order in which its two files
 * are put in place, the new one is shown in the end. What those who may ask make it say in the daemon's log is little,
 * however often they ask. */
#include "tests/unit/gateway/control_world.h"

#include "gateway/cosigner.h"

static unsigned said; /* words in the daemon's log */

#define http_small_tls(service, tls)         ((void)(service), (void)(tls))
#define audit_fault_keep(dir, vkey, body, f) ((void)(dir), (void)(body), (void)(f), slice_is(vkey, named))
#define log_event(level, event, ...)         ((void)(level), (void)(event), said++)
static const char *named;     /* the log that is at fault */
#include "gateway/cosigner.c" /* in place of the library's */
#undef http_small_tls
#undef audit_fault_keep
#undef log_event

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

static void a_fault_is_said_once_a_minute_of_each_log(void **state)
{
    static struct settings settings;
    static struct settings_observed logs[2];
    static struct cosigner c;
    static const char *const keys[] = { "a", "b" };

    (void)state;
    for (size_t i = 0; i < 2; i++)
        logs[i].log = logs[i].origin = slice_of(keys[i]);
    settings.evidence.observed = logs;
    settings.evidence.n_observed = 2;
    c.settings = &settings;
    said = 0;
    for (int n = 0; n < 1000; n++)
        for (size_t i = 0; i < 2; i++)
            for (enum audit_fault f = AUDIT_FAULT_UNPROVED; f <= AUDIT_FAULT_FORKED; f++) {
                named = keys[i];
                assert_true(slice_is(find_fault(&c, SLICE("old 1"), f), named));
            }
    assert_in_range(said, 4, 8); /* 4: it was all within one minute */
    assert_int_equal(atomic_load(&c.misbehaved), 2000);
    assert_int_equal(atomic_load(&c.unproved), 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_that_comes_behind_its_certificate, node_open, node_close),
        cmocka_unit_test(a_fault_is_said_once_a_minute_of_each_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
