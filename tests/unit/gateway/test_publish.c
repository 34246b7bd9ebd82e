/* Acts and trust on their way into the snapshot while memory is short: what could not be made is made later, and what
 * came between is not undone. */
#include "tests/unit/gateway/control_world.h"
#include "gateway/act_job.h"

enum { MANY = 10000 };

/* *ret_all: the nth allocation was never made. */
static enum err reload_with(struct node *n, const struct snapshot_source *from, size_t nth, bool *ret_all)
{
    const struct slice id = SLICE("public-security/household");
    struct snapshot *s = snapshot_next(n->control->snapshot);
    struct diags d;
    struct arena a;
    enum err e;

    arena_init(&a, 1 << 20);
    diags_init(&d, &a);
    assert_non_null(s);
    assert_int_equal(smap_put(&s->resources, id, NULL), ERR_OK);
    mem_fail_nth(nth);
    e = snapshot_reload(s, SNAPSHOT_RESOURCE, id, from, &d);
    *ret_all = mem_fail_nth(0) < nth;
    if (e == ERR_OK) {
        assert_non_null(snapshot_resource(s, id));
        assert_int_equal(snapshot_resource(s, id)->latest, 1);
    } else {
        assert_int_equal(e, ERR_NOMEM);
    }
    snapshot_unref(s);
    arena_done(&a);
    return e;
}

/* A version that cannot be loaded for want of memory makes the whole try fail, which is tried again; left out, it would
 * be away until the resource is touched the next time. */
static void a_version_that_memory_lacked_for_is_not_left_out(void **state)
{
    struct node *n = *state;
    struct snapshot_source from = { .world = &n->control->world, .now = control_now(n->control) };
    size_t nth = 0, failed = 0;
    bool all = false;

    node_story(n);
    assert_int_equal(sql_begin(n->control->sql, false, &from.tx, &n->d), ERR_OK);
    while (!all && nth < MANY)
        failed += reload_with(n, &from, ++nth, &all) != ERR_OK;
    sql_rollback(from.tx);
    assert_true(all && failed > 5);
}

/* The trust of a reload that waits for memory was loaded before a revocation that held meanwhile. */
static void a_later_try_undoes_no_revocation(void **state)
{
    struct node *n = *state;
    struct control *c = n->control;
    struct act_job *waits;
    const char *serial;

    node_story(n);
    serial = node_certify_consumer(n);
    for (size_t nth = 1; c->jobs == NULL; nth++) {
        assert_true(nth < MANY);
        mem_fail_nth(nth);
        act_publish_trust(c, certs_trust_ref(c->trust.trust));
        mem_fail_nth(0);
    }
    waits = c->jobs; /* as if each try until the revocation failed, too */
    c->jobs = NULL;
    c->jobs_tail = &c->jobs;
    assert_int_equal(ask(n, WHO_CONSUMER, "GET", "me", NULL), 200);
    assert_int_equal(
        ask(n, WHO_SECURITY, "POST", arena_printf(&n->a, "certs/%s/revoke", serial), "{\"reason\":\"lost\"}"), 200);
    assert_int_equal(ask(n, WHO_CONSUMER, "GET", "me", NULL), 401);
    job_start(waits);
    assert_null(c->jobs);
    assert_int_equal(ask(n, WHO_CONSUMER, "GET", "me", NULL), 401);
}

/* Not even that much memory: the next minute finds it. */
static void trust_that_memory_lacked_for_comes_within_a_minute(void **state)
{
    struct node *n = *state;
    struct control *c = n->control;
    uint64_t before = c->snapshot->trust_generation;

    mem_fail_nth(1);
    act_publish_trust(c, certs_trust_ref(c->trust.trust));
    mem_fail_nth(0);
    assert_null(c->jobs);
    assert_int_equal(c->snapshot->trust_generation, before);
    control_minute(c);
    assert_int_equal(c->snapshot->trust_generation, before + 1);
}

#define PUBLISH_TEST(name) cmocka_unit_test_setup_teardown(name, node_open, node_close)
int main(void)
{
    const struct CMUnitTest tests[] = {
        PUBLISH_TEST(a_version_that_memory_lacked_for_is_not_left_out),
        PUBLISH_TEST(a_later_try_undoes_no_revocation),
        PUBLISH_TEST(trust_that_memory_lacked_for_comes_within_a_minute),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
