/* What is said in a head decides, or is refused: never half of it. And what comes while one waits counts. */
#include "tests/unit/gateway/exchange_world.h"
#include "tests/unit/until.h"

#define PATH "/x/provider/people"

static void whole_request(void)
{
    world.x->body_done = true;
    if (world.x->state == EX_RESOLVE)
        exchange_resume(world.x);
}
static void refused(const char *text, enum reason why)
{
    world_begin(true);
    ask(text);
    whole_request();
    assert_non_null(last(AUDIT_REFUSED));
    assert_int_equal(last(AUDIT_REFUSED)->r.reason, why);
    assert_int_equal(provider_asked, 0);
    assert_int_equal(consumer.heads, 0);
    tell_all(ERR_OK);
    assert_int_equal(consumer.status, reason_info(why)->status);
    exchange_consumer_sent(world.x);
}

static void headers(void **state)
{
    static const struct {
        const char *line;
        enum reason why;
    } cases[] = {
        { "Sluice-Purpose: other\r\n", REASON_PURPOSE_NOT_GRANTED },
        { "Sluice-Purpose:\r\n", REASON_HEADER_INVALID },
        { "Sluice-Purpose: check\r\nSluice-Purpose: check\r\n", REASON_HEADER_INVALID },
        { "Sluice-Purpose: check\r\nsluice-purpose: other\r\n", REASON_HEADER_INVALID },
        { "Sluice-Purpose: 990101199001010019\r\n", REASON_HEADER_INVALID },
        { "Sluice-Grant:\r\n", REASON_HEADER_INVALID },
        { "Sluice-Grant: g2\r\n", REASON_NO_GRANT },
        { "Sluice-Operator: 990101199001010019\r\n", REASON_HEADER_INVALID },
        { "Sluice-Operator: 990101-19900101-0019\r\n", REASON_HEADER_INVALID },
        { "Sluice-Case: case%20990101%2019900101%200019\r\n", REASON_HEADER_INVALID },
        { "Sluice-Purpose: 990101-19900101-0019\r\n", REASON_HEADER_INVALID },
        { "Sluice-Case: %0\r\n", REASON_HEADER_INVALID },
        { "Accept: text/html\r\n", REASON_NOT_ACCEPTABLE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "GET " PATH " HTTP/1.1\r\n%s", cases[i].line);
        refused(text, cases[i].why);
        assert_string_equal(last(AUDIT_REFUSED)->subject, world.peer.uri);
        world_end();
    }
}

static void unknown_names_are_not_recorded(void **state)
{
    (void)state;
    refused("GET /x/provider/a990101199001010019 HTTP/1.1\r\n", REASON_NOT_PUBLISHED);
    assert_string_equal(last(AUDIT_REFUSED)->resource, "");
    assert_int_equal(last(AUDIT_REFUSED)->r.raw_length, strlen("provider/a990101199001010019"));
    world_end();
    refused("GET " PATH "?no=1 HTTP/1.1\r\n", REASON_PARAMETER_INVALID);
    assert_string_equal(last(AUDIT_REFUSED)->resource, "provider/people");
    world_end();
}

/* Memory that ends in the middle of a head never turns what was said into what was not. */
static void no_memory(void **state)
{
    static const char text[] = "GET " PATH "?_items=age HTTP/1.1\r\nSluice-Purpose: other\r\nSluice-Grant: g7\r\n";

    (void)state;
    for (size_t left = 0; left < 600; left += 16) {
        world_begin(true);
        ask_with(text, left);
        whole_request();
        assert_int_equal(provider_asked, 0);
        assert_non_null(last(AUDIT_REFUSED));
        if (left < 64)
            assert_int_equal(last(AUDIT_REFUSED)->r.reason, REASON_OVERLOADED);
        tell_all(ERR_OK);
        exchange_consumer_sent(world.x);
        world_end();
    }
}

/* Nor does a refusal that was begun without memory go out in half, as if that were all of it. */
static void refusals_are_whole(void **state)
{
    (void)state;
    for (size_t n = 1; n < 16; n++) {
        world_begin(true);
        ask("GET /x/provider/none HTTP/1.1\r\n");
        whole_request();
        (void)buf_reserve(&consumer.body, 16 << 10);
        (void)mem_fail_nth(n);
        tell_all(ERR_OK);
        (void)mem_fail_nth(0);
        assert_int_equal(consumer.heads, 1);
        if (!slice_ends(buf_slice(&consumer.body), SLICE("\"}")))
            fail_msg("%zu: '%.*s'", n, (int)consumer.body.n, consumer.body.p);
        exchange_consumer_sent(world.x);
        world_end();
    }
}

/* An intent names all items and parameters, whatever the arena says. */
static void intents_are_whole(void **state)
{
    unsigned intents = 0;

    (void)state;
    for (size_t left = 64; left < 2048; left += 16) {
        world_begin(true);
        ask_with("GET " PATH "?age=3 HTTP/1.1\r\n", left);
        whole_request();
        if (last(AUDIT_INTENT)) {
            intents++;
            assert_string_equal(last(AUDIT_INTENT)->items, "id_no,name,age");
            assert_int_equal(last(AUDIT_INTENT)->r.n_params, 1);
        }
        world_end();
    }
    assert_true(intents > 0);
}

/* A version that is retired while the body is on its way is not called, though its grant still lives. */
static void retired_meanwhile(void **state)
{
    struct snapshot *next;

    (void)state;
    world_begin(true);
    ask("POST " PATH " HTTP/1.1\r\nContent-Length: 2\r\n");
    assert_int_equal(world.x->state, EX_RESOLVE);
    next = snapshot_next(world.w->snapshot);
    assert_non_null(next);
    put_head(next, true, 2);
    snapshot_unref(world.w->snapshot);
    world.w->snapshot = next;
    whole_request();
    assert_int_equal(provider_asked, 0);
    assert_non_null(last(AUDIT_REFUSED));
    tell_all(ERR_OK);
    exchange_consumer_sent(world.x);
    world_end();
}

/* A body that comes late is decided on by what holds then: its grant, the day's window, the certificate. */
static void ended_meanwhile(void **state)
{
    static const enum reason rows[] = { REASON_EXPIRED, REASON_OUTSIDE_WINDOW, REASON_CERTIFICATE_EXPIRED };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct policy_grant *g;
        world_begin(true);
        g = (struct policy_grant *)(uintptr_t)snapshot_grant(world.w->snapshot, SLICE("g1"));
        ask("POST " PATH " HTTP/1.1\r\nContent-Length: 2\r\n");
        assert_int_equal(world.x->state, EX_RESOLVE);
        if (rows[i] == REASON_EXPIRED)
            g->expires = clock_wall_ms() + 100;
        else if (rows[i] == REASON_CERTIFICATE_EXPIRED)
            world.peer.not_after = clock_wall_ms() + 100;
        else
            g->day_from = clock_day_of(world.x->began_wall += 86400000); /* as after the clock went back a day */
        let_pass(200);
        whole_request();
        assert_int_equal(provider_asked, 0);
        assert_null(last(AUDIT_INTENT));
        assert_int_equal(last(AUDIT_REFUSED)->r.reason, rows[i]);
        tell_all(ERR_OK);
        exchange_consumer_sent(world.x);
        world_end();
    }
    world_begin(true); /* and what lasts is counted from then */
    ask("POST " PATH " HTTP/1.1\r\nContent-Length: 2\r\n");
    world.x->began -= 3600 * 1000; /* as after an hour in which the clock went back that long */
    whole_request();
    assert_int_equal(provider_asked, 1);
    world.x->verdict.valid_until = loop_wall(world.w->loop) + 1000;
    assert_in_range(exchange_expires_in(world.x), 900, 1000);
    world_end();
}

/* Who has no place is turned away without room that the others could have; nor has who has no room a place. */
static void no_place_and_no_room(void **state)
{
    static const enum reason rows[] = { REASON_RATE_LIMITED, REASON_OVERLOADED };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pressure p = { .cap = (uint64_t)1 << 40, .fd = -1, .looked = INT64_MAX };
        struct calm *calm;
        world_begin(true);
        world.w->cfg.pressure = &p;
        assert_non_null(world.w->calm = calm = calm_new(world.w));
        p.room = rows[i] == REASON_RATE_LIMITED ? 10 * PRESSURE_EXCHANGE : 0;
        running_init(&world.running, 1, 1000, rows[i] == REASON_RATE_LIMITED ? 0 : 1);
        ask_plain();
        assert_int_equal(last(AUDIT_REFUSED)->r.reason, rows[i]);
        assert_int_equal(p.taken, 0);
        assert_int_equal(world.running.all, 0);
        assert_int_equal(world.running.n[world.x->group], 0);
        tell_all(ERR_OK);
        exchange_consumer_sent(world.x);
        world_end();
        mem_free(calm);
    }
}

/* What ends a grant reaches what is still being given after its outcome, and is on record as what it was. */
static void ended_while_given(void **state)
{
    static const struct {
        const char *state;
        enum reason why;
    } rows[] = { { "revoked", REASON_REVOKED },
                 { "suspended", REASON_SUSPENDED },
                 { "active", REASON_SUSPENDED }, /* again: it was, in between */
                 { "returned", REASON_NO_GRANT } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct snapshot *next;
        world_begin(true);
        consumer.room = 10;
        ask_plain();
        assert_int_equal(provider_asked, 1);
        provider_says("{\"code\":\"0\",\"rows\":[" ROW "]}", true);
        tell_all(ERR_OK);
        assert_int_equal(consumer.body.n, 10);
        next = snapshot_next(world.w->snapshot);
        assert_non_null(next);
        put_grant(next, rows[i].state, 2);
        snapshot_unref(world.w->snapshot);
        world.w->snapshot = next;
        cut_exchanges(world.w);
        assert_int_equal(consumer.aborts, 1);
        assert_int_equal(consumer.ends, 0);
        assert_int_equal(last(AUDIT_CUT)->r.reason, rows[i].why);
        assert_int_equal(last(AUDIT_CUT)->r.bytes_out, 10);
        world_end();
    }
}

/* A wall clock that is set back lets nobody go on for longer. */
static void clock_set_back(void **state)
{
    (void)state;
    world_begin(true);
    ask_plain();
    world.x->decided_wall += 3600 * 1000; /* as it looks after the clock went back an hour */
    world.x->verdict.valid_until = world.x->grant->expires = world.x->decided_wall + 100;
    exchange_watch(world.x);
    let_pass(400);
    assert_int_equal(world.x->reason, REASON_EXPIRED);
    assert_int_equal(provider_dropped, 1);
    world_end();
}

/* Set back within the last stretch, after it had been set forward: the end is far again, and is watched for again. */
static void clock_set_back_at_the_end(void **state)
{
    enum { HOUR = 3600 * 1000 };

    (void)state;
    world_begin(true);
    ask_plain();
    world.x->decided_wall -= HOUR; /* as it looks after the clock went on by an hour */
    world.x->verdict.valid_until = world.x->grant->expires = loop_wall(world.w->loop) + 30;
    alarm_clear(&world.x->deadline);
    on_deadline(&world.x->deadline); /* its last look */
    assert_int_not_equal(world.w->expiry_at, 0);
    world.x->decided_wall += HOUR; /* and back */
    world.x->verdict.valid_until = world.x->grant->expires += HOUR;
    UNTIL((let_pass(20), world.w->expiry_at == 0));
    assert_int_equal(world.x->state, EX_RELAY);
    assert_non_null(world.x->deadline.pprev);
    world_end();
}

/* The last stretch before a grant ends is timed exactly; before it, a slot's delay may come, but never beyond the end.
 */
static void ends_in_time(void **state)
{
    (void)state;
    world_begin(true);
    ask_plain();
    world.x->verdict.valid_until = world.x->began_wall + 10000;
    exchange_watch(world.x);
    assert_int_equal(world.w->expiry_at, 0);
    assert_true(world.x->deadline.when <= loop_now(world.w->loop) + 10000 - ALARM_SLOT_MS);
    world.x->verdict.valid_until = world.x->grant->expires = world.x->began_wall + 30;
    exchange_watch(world.x);
    assert_in_range(world.w->expiry_at, 1, (uint64_t)loop_now(world.w->loop) + 30);
    let_pass(200);
    assert_int_equal(world.x->reason, REASON_EXPIRED);
    assert_int_equal(world.w->expiry_at, 0);
    world_end();
}

/* Hours that close are no expiry: the same grant holds again tomorrow. */
static void its_hours_close(void **state)
{
    (void)state;
    for (unsigned last_day = 0; last_day < 2; last_day++) {
        world_begin(true);
        ask_plain();
        world.x->verdict.valid_until = world.x->began_wall + 30;
        if (last_day)
            world.x->grant->day_to = clock_day_of(world.x->verdict.valid_until) - 1;
        exchange_watch(world.x);
        UNTIL((let_pass(20), world.x->state >= EX_OUTCOME));
        assert_int_equal(last(AUDIT_OUTCOME)->r.reason, last_day ? REASON_EXPIRED : REASON_OUTSIDE_WINDOW);
        world_end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers),           cmocka_unit_test(unknown_names_are_not_recorded),
        cmocka_unit_test(no_memory),         cmocka_unit_test(refusals_are_whole),
        cmocka_unit_test(intents_are_whole), cmocka_unit_test(retired_meanwhile),
        cmocka_unit_test(ended_while_given), cmocka_unit_test(ended_meanwhile),
        cmocka_unit_test(clock_set_back),    cmocka_unit_test(clock_set_back_at_the_end),
        cmocka_unit_test(ends_in_time),      cmocka_unit_test(no_place_and_no_room),
        cmocka_unit_test(its_hours_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
