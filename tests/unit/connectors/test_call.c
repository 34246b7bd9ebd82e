/* Calls and the pool against a real provider: limits, deadlines, cuts, back-pressure, and for each failure what may be
 * said about the provider having been reached. */
#include "calls.h"
#include "connectors/health.h"

static void failures_by_table(void **state)
{
    static const struct {
        const char *target, *more;
        enum reason why;
        enum reached reached;
    } rows[] = {
        { "/dead", "", REASON_PROVIDER_CUT, REACHED_UNKNOWN },
        { "/hang", ", timeout: 1s", REASON_PROVIDER_TIMEOUT, REACHED_UNKNOWN },
        { "/cut", "", REASON_PROVIDER_CUT, REACHED_YES },
        { "/gzip", "", REASON_PROVIDER_MALFORMED, REACHED_YES },
        { "/noise", "", REASON_PROVIDER_MALFORMED, REACHED_YES },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct heard h = { 0 };
        struct scene s;
        scene_begin(&s, rows[i].more);
        ask(&s, &h, rows[i].target, true);
        if (h.failed != 1 || h.why != rows[i].why || h.reached != rows[i].reached)
            fail_msg("%s: %u %s %s", rows[i].target, h.failed, reason_info(h.why)->code, reached_name(h.reached));
        ask(&s, &h, "/ok", true); /* and it goes on, on a new connection */
        BODY(&h, "c2r1");
        assert_int_equal(atomic_load(&s.t.target->running), 0);
        buf_done(&h.body);
        scene_end(&s);
    }
}

static void unreachable_then_circuit(void **state)
{
    struct heard h = { 0 };
    struct scene s;
    unsigned slow = 0;

    (void)state;
    scene_begin(&s, "");
    shutdown(s.provider.fd, SHUT_RDWR); /* refuses from now on */
    for (unsigned i = 0; i < CIRCUIT_FAILURES; i++) {
        ask(&s, &h, "/ok", true);
        assert_int_equal(h.failed, 1);
        assert_int_equal(h.why, REASON_PROVIDER_UNREACHABLE);
        assert_int_equal(h.reached, REACHED_NO);
    }
    for (int i = 0; i < 3; i++) { /* the machine may stand still in one of them */
        int64_t began = clock_mono_ms();
        assert_int_equal(begin(&s, &h, "/ok", true), ERR_AGAIN);
        slow += clock_mono_ms() - began >= 500;
    }
    assert_true(slow <= 1);
    assert_int_equal(atomic_load(&s.t.target->running), 0);
    buf_done(&h.body);
    scene_end(&s);
}

/* Who is refused because the circuit is open has sent nothing: the next is told as soon, and not that the rate is
 * reached. */
static void an_open_circuit_uses_no_rate(void **state)
{
    struct heard h = { 0 };
    struct scene s;

    (void)state;
    scene_begin(&s, ", limits: {rate: 1/h, queue: 60s}");
    for (unsigned i = 0; i < CIRCUIT_FAILURES; i++)
        health_unreachable(s.t.target, loop_now(s.loop) + 60000);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(begin(&s, &h, "/ok", true), ERR_AGAIN);
    health_connected(s.t.target);
    ask(&s, &h, "/ok", true);
    assert_int_equal(h.ended, 1);
    assert_int_equal(begin(&s, &h, "/ok", true), ERR_BUSY); /* that one used it */
    buf_done(&h.body);
    scene_end(&s);
}

/* One that asks and leaves, over and over, keeps the provider from nobody. */
static void who_leaves_is_no_trial(void **state)
{
    struct heard h = { 0 }, other = { .party = "another" };
    struct scene s;

    (void)state;
    scene_begin(&s, "");
    for (unsigned i = 0; i < CIRCUIT_FAILURES; i++)
        health_unreachable(s.t.target, loop_now(s.loop) - CIRCUIT_OPEN_MS); /* the next may try */
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(begin(&s, &h, "/ok", true), ERR_OK);
        assert_int_equal(begin(&s, &other, "/ok", true), ERR_AGAIN); /* while one tries */
        h.call = connector_abort(h.call);
    }
    ask(&s, &other, "/ok", true);
    assert_int_equal(other.ended, 1);
    assert_int_equal(connector_outage(s.t.target), OUTAGE_NONE);
    buf_done(&h.body);
    buf_done(&other.body);
    scene_end(&s);
}

/* Who accepts and never answers is asked by one in CIRCUIT_OPEN_MS, on kept connections too, until it answers. Others
 * ask as before. */
static void silent_then_circuit(void **state)
{
    enum { N = CIRCUIT_FAILURES + 1 };
    struct heard h[N] = { 0 }, other = { .party = "another" };
    struct scene s;

    (void)state;
    scene_begin(&s, ", timeout: 2s"); /* the handshake is in it */
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(begin(&s, &h[i], "/slow", true), ERR_OK);
    run_until_ended(&s, h, N); /* so many connections are kept */
    run_for(s.loop, 5);        /* who was answered in the millisecond in which another asked is not silent to it */
    for (unsigned i = 0; i < CIRCUIT_FAILURES; i++)
        assert_int_equal(begin(&s, &h[i], "/hang", true), ERR_OK);
    UNTIL((run_for(s.loop, 20), atomic_load(&s.t.target->running) == 0));
    for (unsigned i = 0; i < CIRCUIT_FAILURES; i++)
        assert_int_equal(h[i].why, REASON_PROVIDER_TIMEOUT);
    assert_int_equal(begin(&s, &h[0], "/ok", true), ERR_AGAIN);
    ask(&s, &other, "/ok", true);
    assert_int_equal(other.ended, 1);
    run_for(s.loop, CIRCUIT_OPEN_MS);
    ask(&s, &h[0], "/ok", true);
    assert_int_equal(h[0].ended, 1);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(begin(&s, &h[i], "/ok", true), ERR_OK);
    run_until_ended(&s, h, 3);
    for (unsigned i = 0; i < N; i++)
        buf_done(&h[i].body);
    buf_done(&other.body);
    scene_end(&s);
}

static void queue_keeps_the_limit(void **state)
{
    struct heard h[6] = { 0 };
    struct scene s;

    (void)state;
    scene_begin(&s, ", limits: {in_flight: 2, queue: 5s}");
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(begin(&s, &h[i], "/slow", true), ERR_OK);
    run_until_ended(&s, h, 6);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(h[i].ended, 1);
        buf_done(&h[i].body);
    }
    assert_int_equal(atomic_load(&s.provider.most), 2);
    assert_int_equal(atomic_load(&s.provider.connections), 2);
    scene_end(&s);
}

static void queue_gives_up(void **state)
{
    struct heard h[3] = { 0 };
    struct scene s;

    (void)state;
    scene_begin(&s, ", limits: {in_flight: 1, queue: 100ms}");
    assert_int_equal(begin(&s, &h[0], "/hang", true), ERR_OK);
    assert_int_equal(begin(&s, &h[1], "/ok", true), ERR_OK);
    assert_int_equal(begin(&s, &h[2], "/ok", true), ERR_OK);
    h[2].call = connector_abort(h[2].call); /* leaves the queue without a word */
    run_for(s.loop, 400);
    assert_int_equal(h[1].failed, 1);
    assert_int_equal(h[1].why, REASON_PROVIDER_BUSY);
    assert_int_equal(h[1].reached, REACHED_NO);
    assert_int_equal(h[2].failed + h[2].ended, 0);
    h[0].call = connector_abort(h[0].call);
    assert_int_equal(atomic_load(&s.t.target->running), 0);
    for (unsigned i = 0; i < 3; i++)
        buf_done(&h[i].body);
    scene_end(&s);
    scene_begin(&s, ", limits: {in_flight: 1, queue: 0s}");
    assert_int_equal(begin(&s, &h[0], "/hang", true), ERR_OK);
    assert_int_equal(begin(&s, &h[1], "/ok", true), ERR_BUSY);
    buf_done(&h[0].body);
    buf_done(&h[1].body);
    scene_end(&s); /* with a call under way: dropped without a callback */
    assert_int_equal(h[0].failed + h[0].ended, 0);
}

/* One that has many calls waiting makes another wait for one of them, not for all. */
static void parties_take_turns(void **state)
{
    struct heard h[8] = { 0 };
    unsigned order = 0;
    struct scene s;

    (void)state;
    scene_begin(&s, ", limits: {in_flight: 1, queue: 20s}");
    for (unsigned i = 0; i < 8; i++) {
        h[i].party = i < 6 ? "noisy" : i == 6 ? "quiet" : "other";
        h[i].order = &order;
        h[i].stop = i == 5;
        assert_int_equal(begin(&s, &h[i], "/slow", true), ERR_OK);
    }
    loop_run(s.loop);
    assert_int_equal(h[0].place, 1);
    assert_int_equal(h[1].place, 2);
    assert_int_equal(h[6].place, 3);
    assert_int_equal(h[7].place, 4);
    assert_int_equal(h[5].place, 8);
    assert_int_equal(health_waiting(s.t.target), 0);
    for (unsigned i = 0; i < 8; i++)
        buf_done(&h[i].body);
    scene_end(&s);
}

/* What would wait longer than an answer takes is refused at once, so that those let in are served in twice the time. */
static void too_long_a_wait_is_refused(void **state)
{
    static struct heard h[4] = { { .party = "a" }, { .party = "a" }, { .party = "a" }, { .party = "b" } };
    struct scene s;
    int64_t began;

    (void)state;
    scene_begin(&s, ", limits: {in_flight: 1, queue: 20s}");
    began = clock_mono_ms();
    ask(&s, &h[0], "/slow", true); /* now it is known how long that takes */
    assert_in_range(health_service_us(s.t.target), 100000, (clock_mono_ms() - began + 1) * 1000);
    h[0].stop = false;
    assert_int_equal(begin(&s, &h[0], "/slow", true), ERR_OK);
    assert_int_equal(begin(&s, &h[1], "/slow", true), ERR_OK);
    assert_int_equal(begin(&s, &h[2], "/slow", true), ERR_BUSY);
    assert_int_equal(begin(&s, &h[3], "/slow", true), ERR_OK); /* another party takes turns with the first */
    h[3].stop = true;
    loop_run(s.loop);
    assert_int_equal(h[0].ended + h[3].ended, 2);
    h[1].stop = h[1].ended == 0;
    if (h[1].stop)
        loop_run(s.loop);
    for (unsigned i = 0; i < 4; i++)
        buf_done(&h[i].body);
    scene_end(&s);
}

/* A place that is given back goes to the worker where a call has waited longest, and to nobody else. */
static void places_are_handed_round(void **state)
{
    static const struct connector_world three = { .workers = 3 };
    struct text_target t;

    (void)state;
    compile_text(&t, &three, false,
                 "{kind: http, endpoint: 'http://127.0.0.1:9', tls: {mode: none, reason: t}, limits: {in_flight: 2}}",
                 NULL);
    assert_int_equal(t.err, ERR_OK);
    assert_true(health_admit(t.target, 0, 0, 0) == HEALTH_OK && health_admit(t.target, 0, 0, 0) == HEALTH_OK);
    assert_false(health_admit(t.target, 1, 0, 0) == HEALTH_OK);
    health_wait(t.target, 1, 100);
    health_wait(t.target, 2, 200);
    assert_int_equal(health_waiting(t.target), 2);
    health_leave(t.target);
    assert_false(health_admit(t.target, 0, 0, 0) == HEALTH_OK); /* not who gave it */
    assert_false(health_admit(t.target, 2, 0, 0) == HEALTH_OK);
    assert_true(health_admit(t.target, 1, 0, 0) == HEALTH_OK);
    health_wait(t.target, 1, 300); /* its oldest has gone */
    health_leave(t.target);
    assert_false(health_admit(t.target, 1, 0, 0) == HEALTH_OK);
    health_wait(t.target, 2, 0); /* it waits no more: its place goes on to the next */
    assert_true(health_admit(t.target, 1, 0, 0) == HEALTH_OK);
    health_wait(t.target, 1, 0);
    assert_int_equal(health_waiting(t.target), 0);
    health_leave(t.target);
    health_leave(t.target);
    assert_int_equal(atomic_load(&t.target->running), 0);
    compile_done(&t);
}

/* What a party used of late is kept free for it, up to an even share; one that nobody else wants is anybody's. */
static void places_are_kept(void **state)
{
    enum { A, B, C };
    struct text_target t;

    (void)state;
    compile_text(&t, NULL, true, "{kind: http, endpoint: 'https://h', limits: {in_flight: 8}}", NULL);
    assert_non_null(t.target);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(health_admit(t.target, 0, A, 10000), HEALTH_OK); /* alone: all of it */
    assert_int_equal(health_admit(t.target, 0, A, 10000), HEALTH_FULL);
    for (unsigned i = 0; i < 3; i++)
        health_leave(t.target);
    share_want(t.target, B, 10000, 3);
    assert_int_equal(share_of(t.target, A, 10000), 5);
    assert_int_equal(health_admit(t.target, 0, A, 10000), HEALTH_KEPT);
    assert_int_equal(health_admit(t.target, 0, B, 10000), HEALTH_OK);
    share_enter(t.target, B);
    assert_int_equal(health_admit(t.target, 0, A, 10000), HEALTH_KEPT); /* two are kept still */
    share_want(t.target, B, 10000, 100);
    share_want(t.target, A, 10000, 100);
    assert_int_equal(share_of(t.target, A, 10000), 4); /* an even share, whatever it wants */
    assert_int_equal(share_of(t.target, C, 10000), 4); /* 8 / 3 for each of the two others */
    assert_int_equal(share_of(t.target, A, 20000), 8); /* some seconds later B has not asked again */
    assert_int_equal(health_admit(t.target, 0, A, 20000), HEALTH_OK);
    compile_done(&t);
}

/* Another worker holds the only place and gives it back: nobody tells, yet the queue moves. */
static void place_freed_elsewhere(void **state)
{
    struct heard h = { .stop = true };
    struct scene s;

    (void)state;
    scene_begin(&s, ", limits: {in_flight: 1, queue: 20s}");
    assert_true(health_admit(s.t.target, 0, 0, 0) == HEALTH_OK);
    assert_int_equal(begin(&s, &h, "/ok", true), ERR_OK);
    run_for(s.loop, 150);
    assert_int_equal(h.ended, 0);
    health_leave(s.t.target);
    loop_run(s.loop);
    assert_int_equal(h.ended, 1);
    buf_done(&h.body);
    scene_end(&s);
}

static void back_pressure(void **state)
{
    struct heard h = { .pause_at_head = true, .stop = true };
    struct scene s;

    (void)state;
    scene_begin(&s, ", timeout: 1s");
    assert_int_equal(begin(&s, &h, "/big", true), ERR_OK);
    run_for(s.loop, 1500); /* the pause is ours: no time-out */
    assert_true(h.status == 200 && h.ended + h.failed == 0);
    assert_true(h.body.n <= 64 * 1024);
    connector_read(h.call, true);
    loop_run(s.loop);
    assert_int_equal(h.ended, 1);
    assert_int_equal(h.body.n, 4 << 20);
    buf_done(&h.body);
    scene_end(&s);
}

static void aborted_inside_a_callback(void **state)
{
    struct heard h = { .abort_at_head = true };
    struct scene s;

    (void)state;
    scene_begin(&s, "");
    assert_int_equal(begin(&s, &h, "/ok", true), ERR_OK);
    loop_run(s.loop);
    run_for(s.loop, 50);
    assert_int_equal(h.ended + h.failed + (unsigned)h.body.n, 0);
    assert_int_equal(atomic_load(&s.t.target->running), 0);
    h.abort_at_head = false;
    ask(&s, &h, "/ok", true);
    BODY(&h, "c2r1");
    buf_done(&h.body);
    scene_end(&s);
}

static void larger_than_is_sent(void **state)
{
    static char body[9 << 20];
    struct connector_request q = { .method = SLICE("POST"), .body = { body, sizeof body } };
    struct connector_call *call;
    struct heard h = { 0 };
    struct scene s;

    (void)state;
    scene_begin(&s, "");
    assert_int_equal(connector_start(s.pool, s.t.target, &q, &events, &h, &call), ERR_TOO_LARGE);
    scene_end(&s);
}

static bool shown(struct heard *h, const char *line)
{
    buf_putc(&h->body, '\0');
    h->body.n--;
    return strstr(h->body.p, line) != NULL;
}

static void headers_are_ours(void **state)
{
    static const struct http_header given[] = { { { "Host", 4 }, { "evil", 4 } },
                                                { { "content-length", 14 }, { "9", 1 } },
                                                { { "AUTHORIZATION", 13 }, { "x", 1 } },
                                                { { "X-User", 6 }, { "zhang", 5 } } };
    struct connector_request q = { .method = SLICE("POST"),
                                   .target = SLICE("/show?a=1"),
                                   .content_type = SLICE("application/json"),
                                   .body = SLICE("{}"),
                                   .headers = given,
                                   .n_headers = COUNT(given) };
    struct heard h = { .stop = true };
    struct scene s;
    char host[64];

    (void)state;
    scene_begin(&s, "");
    h.loop = s.loop;
    buf_init(&h.body, 1 << 16);
    assert_int_equal(connector_start(s.pool, s.t.target, &q, &events, &h, &h.call), ERR_OK);
    loop_run(s.loop);
    snprintf(host, sizeof host, "POST /show?a=1 HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n", s.provider.port);
    assert_true(shown(&h, host));
    assert_true(shown(&h, "X-User: zhang\r\n") && shown(&h, "Content-Length: 2\r\n\r\n{}"));
    assert_true(shown(&h, "Content-Type: application/json\r\n") && shown(&h, "Accept-Encoding: identity\r\n"));
    assert_false(shown(&h, "evil") || shown(&h, "content-length") || shown(&h, "AUTHORIZATION"));
    q.target = SLICE("/a b");
    assert_int_equal(connector_start(s.pool, s.t.target, &q, &events, &h, &h.call), ERR_INVALID);
    buf_done(&h.body);
    scene_end(&s);
}

/* A target that no snapshot holds loses its idle connections at the next trim, and its memory. */
static void trim_lets_go(void **state)
{
    struct heard h = { 0 };
    struct scene s;

    (void)state;
    scene_begin(&s, "");
    ask(&s, &h, "/ok", true);
    connector_pool_trim(s.pool);
    ask(&s, &h, "/ok", true);
    BODY(&h, "c1r2"); /* held: kept */
    connector_unref(connector_ref(s.t.target));
    connector_unref(s.t.target);
    s.t.target = NULL;
    connector_pool_trim(s.pool);
    for (size_t i = 0; i < BUCKETS; i++)
        assert_null(s.pool->bucket[i]);
    buf_done(&h.body);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_by_table),
        cmocka_unit_test(unreachable_then_circuit),
        cmocka_unit_test(an_open_circuit_uses_no_rate),
        cmocka_unit_test(who_leaves_is_no_trial),
        cmocka_unit_test(silent_then_circuit),
        cmocka_unit_test(queue_keeps_the_limit),
        cmocka_unit_test(queue_gives_up),
        cmocka_unit_test(parties_take_turns),
        cmocka_unit_test(too_long_a_wait_is_refused),
        cmocka_unit_test(places_are_handed_round),
        cmocka_unit_test(places_are_kept),
        cmocka_unit_test(place_freed_elsewhere),
        cmocka_unit_test(back_pressure),
        cmocka_unit_test(aborted_inside_a_callback),
        cmocka_unit_test(larger_than_is_sent),
        cmocka_unit_test(headers_are_ours),
        cmocka_unit_test(trim_lets_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
