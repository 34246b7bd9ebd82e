/* Connections that are kept: used again, found stale, or with more on them than was asked for. */
#include "calls.h"
#include <sys/socket.h>

static void connections_are_kept(void **state)
{
    struct heard h = { 0 };
    struct scene s;

    (void)state;
    scene_begin(&s, "");
    ask(&s, &h, "/ok", true);
    BODY(&h, "c1r1");
    assert_true(h.exact);
    ask(&s, &h, "/ok", false);
    BODY(&h, "c1r2");
    ask(&s, &h, "/chunks", false);
    BODY(&h, "abcde");
    assert_true(h.exact);
    ask(&s, &h, "/ok", false);
    BODY(&h, "c1r4");
    assert_int_equal(h.status, 200);
    buf_done(&h.body);
    scene_end(&s);
}

static void stale_is_tried_again_once(void **state)
{
    struct heard h = { 0 };
    struct scene s;

    (void)state;
    scene_begin(&s, "");
    ask(&s, &h, "/stale", true);
    ask(&s, &h, "/ok", true); /* the provider takes the request and closes */
    assert_int_equal(h.ended, 1);
    BODY(&h, "c2r1");
    ask(&s, &h, "/stale", true);
    ask(&s, &h, "/ok", false); /* not safe: it may have been done */
    assert_int_equal(h.failed, 1);
    assert_int_equal(h.why, REASON_PROVIDER_CUT);
    assert_int_equal(h.reached, REACHED_UNKNOWN);
    ask(&s, &h, "/stale", true);
    ask(&s, &h, "/dead", true); /* the second try ends alike: once is enough */
    assert_int_equal(h.failed, 1);
    assert_int_equal(h.reached, REACHED_UNKNOWN);
    buf_done(&h.body);
    scene_end(&s);
}

/* The waiting call has the connection before the loop could see that there is more to read. */
static void what_nobody_asked_for_is_no_answer(void **state)
{
    struct heard h[2] = { 0 };
    struct scene s;

    (void)state;
    scene_begin(&s, ", limits: {in_flight: 1, queue: 5s}");
    assert_int_equal(begin(&s, &h[0], "/spare", true), ERR_OK);
    assert_int_equal(begin(&s, &h[1], "/ok", true), ERR_OK);
    run_until_ended(&s, h, 2);
    assert_int_equal(h[0].ended + h[1].ended, 2);
    BODY(&h[1], "c2r1");
    buf_done(&h[0].body);
    buf_done(&h[1].body);
    scene_end(&s);
}

/* Its second try has what is left of the call's time, until the head; then the provider may pause as it may for all. */
static void pauses_are_no_shorter(void **state)
{
    enum { LEFT_MS = 1000, MORE_MS = 500 };
    struct heard h = { 0 };
    struct scene s;
    int64_t until;

    (void)state;
    scene_begin(&s, ", timeout: 60s");
    ask(&s, &h, "/stale", true);
    h.stop = false;
    assert_int_equal(begin(&s, &h, "/held", true), ERR_OK);
    h.call->due = loop_now(s.loop) + LEFT_MS; /* as after a first try that took all but this */
    until = clock_mono_ms() + LEFT_MS + MORE_MS;
    UNTIL((run_for(s.loop, 20), h.status == 200 || h.failed > 0));
    UNTIL((run_for(s.loop, 20), clock_mono_ms() > until));
    assert_int_equal(h.failed, 0);
    atomic_store(&s.provider.go_on, true);
    run_until_ended(&s, &h, 1);
    BODY(&h, "halfrest");
    buf_done(&h.body);
    scene_end(&s);
}

/* The provider took the first try and closed; the second found it gone. */
static void a_try_that_was_sent_is_remembered(void **state)
{
    struct heard h = { 0 };
    struct scene s;

    (void)state;
    scene_begin(&s, "");
    ask(&s, &h, "/stale", true);
    assert_int_equal(shutdown(s.provider.fd, SHUT_RD), 0); /* listens no more */
    ask(&s, &h, "/ok", true);
    assert_int_equal(h.failed, 1);
    assert_int_equal(h.why, REASON_PROVIDER_CUT);
    assert_int_equal(h.reached, REACHED_UNKNOWN);
    buf_done(&h.body);
    scene_end(&s);
}

/* As many connections are kept as calls may be in flight: another hundred calls open none. */
static void crowds_use_their_connections_again(void **state)
{
    enum { CROWD = 100 };
    static struct heard h[CROWD];
    struct scene s;

    (void)state;
    scene_begin(&s, ", limits: {in_flight: 100}");
    for (unsigned wave = 0; wave < 2; wave++) {
        memset(h, 0, sizeof h);
        for (unsigned i = 0; i < CROWD; i++)
            assert_int_equal(begin(&s, &h[i], "/slow", true), ERR_OK);
        run_until_ended(&s, h, CROWD);
        for (unsigned i = 0; i < CROWD; i++)
            buf_done(&h[i].body);
    }
    assert_int_equal(atomic_load(&s.provider.connections), CROWD);
    scene_end(&s);
}

/* It has the identity of before, and would go on with it as long as there are calls. */
static void busy_at_a_reload_is_not_kept(void **state)
{
    struct heard h = { 0 };
    struct scene s;

    (void)state;
    scene_begin(&s, "");
    assert_int_equal(begin(&s, &h, "/slow", true), ERR_OK);
    connector_pool_reload(s.pool);
    run_until_ended(&s, &h, 1);
    BODY(&h, "c1r1");
    ask(&s, &h, "/ok", true);
    BODY(&h, "c2r1");
    ask(&s, &h, "/ok", true);
    BODY(&h, "c2r2");
    buf_done(&h.body);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_kept),
        cmocka_unit_test(busy_at_a_reload_is_not_kept),
        cmocka_unit_test(stale_is_tried_again_once),
        cmocka_unit_test(what_nobody_asked_for_is_no_answer),
        cmocka_unit_test(pauses_are_no_shorter),
        cmocka_unit_test(a_try_that_was_sent_is_remembered),
        cmocka_unit_test(crowds_use_their_connections_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
