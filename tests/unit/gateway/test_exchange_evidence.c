/* Nothing leaves without its records, and every record that is owed is written in the end. */
#include "tests/unit/gateway/exchange_world.h"

#define GOOD "{\"code\":\"0\",\"rows\":[" ROW "]}"

static void a_whole_answer(void **state)
{
    (void)state;
    world_begin(true);
    ask_plain();
    provider_says(GOOD, true);
    assert_int_equal(consumer.heads, 0);
    tell(last(AUDIT_INTENT), ERR_OK);
    assert_int_equal(consumer.heads, 0);
    tell(last(AUDIT_OUTCOME), ERR_OK);
    assert_int_equal(consumer.status, 200);
    assert_int_equal(consumer.ends, 1);
    assert_int_equal(last(AUDIT_OUTCOME)->r.bytes_out, consumer.body.n);
    assert_string_equal(last(AUDIT_INTENT)->items, "id_no,name,age");
    exchange_consumer_sent(world.x);
    world_end();
}

/* The disk fills between the two: the reserve takes the outcome and not the intent. */
static void outcome_without_intent(void **state)
{
    (void)state;
    world_begin(true);
    ask_plain();
    provider_says(GOOD, true);
    tell(last(AUDIT_INTENT), ERR_DOWN);
    tell(last(AUDIT_OUTCOME), ERR_OK);
    assert_int_equal(consumer.status, 503);
    assert_non_null(last(AUDIT_CUT)); /* the outcome said that it was handed out */
    assert_int_equal(last(AUDIT_CUT)->r.reason, REASON_EVIDENCE_UNAVAILABLE);
    assert_int_equal(last(AUDIT_CUT)->r.bytes_out, 0);
    world_end();
}

/* One attempt counts once: the log counted the intent that it refused. */
static void counted_once(void **state)
{
    static const enum err ways[] = { ERR_DOWN, ERR_AGAIN };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        world_begin(true);
        put_fails[AUDIT_INTENT] = put_fails[AUDIT_REFUSED] = ways[i];
        ask_plain();
        assert_int_equal(consumer.status, 503);
        assert_int_equal(world.w->flood.total, ways[i] == ERR_AGAIN);
        exchange_consumer_sent(world.x);
        world_end();
        world_begin(true);
        ask_plain();
        tell(last(AUDIT_INTENT), ERR_DOWN);
        assert_null(last(AUDIT_REFUSED));
        assert_int_equal(consumer.status, 503);
        assert_int_equal(provider_dropped, 1);
        exchange_consumer_sent(world.x);
        world_end();
    }
}

/* A full queue delays an outcome and never loses it: an intent is not left open. */
static void outcome_waits_for_room(void **state)
{
    (void)state;
    world_begin(true);
    ask_plain();
    put_fails[AUDIT_OUTCOME] = ERR_AGAIN;
    provider_says(GOOD, true);
    tell(last(AUDIT_INTENT), ERR_OK);
    assert_int_equal(consumer.heads, 0);
    let_pass(200);
    assert_int_equal(consumer.heads, 0);
    put_fails[AUDIT_OUTCOME] = ERR_OK;
    let_pass(400);
    tell(last(AUDIT_OUTCOME), ERR_OK);
    assert_int_equal(consumer.status, 200);
    assert_int_equal(last(AUDIT_OUTCOME)->r.bytes_out, consumer.body.n);
    assert_true(last(AUDIT_OUTCOME)->has_out);
    exchange_consumer_sent(world.x);
    world_end();
}

/* The log is lost while the outcome is on its way: the data is withheld, and the outcome follows when it can. */
static void outcome_fails(void **state)
{
    (void)state;
    world_begin(true);
    ask_plain();
    provider_says(GOOD, true);
    tell(last(AUDIT_INTENT), ERR_OK);
    tell(last(AUDIT_OUTCOME), ERR_DOWN);
    assert_int_equal(consumer.status, 503);
    assert_int_equal(world.w->counters.exchanges[REASON_EVIDENCE_UNAVAILABLE], 1);
    assert_int_equal(world.w->counters.exchanges[REASON_GRANTED], 0);
    exchange_consumer_sent(world.x);
    let_pass(1500);
    assert_false(last(AUDIT_OUTCOME)->told);
    assert_int_equal(last(AUDIT_OUTCOME)->r.reason, REASON_EVIDENCE_UNAVAILABLE);
    assert_int_equal(last(AUDIT_OUTCOME)->r.bytes_out, 0);
    assert_false(last(AUDIT_OUTCOME)->has_out);
    tell(last(AUDIT_OUTCOME), ERR_OK);
    world_end();
}

/* The log is lost with all that was under way: what never had an intent has no cut. */
static void no_cut_without_an_intent(void **state)
{
    size_t n;

    (void)state;
    world_begin(true);
    ask_plain();
    provider_says(GOOD, true);
    exchange_consumer_gone(world.x, REASON_CONSUMER_GONE);
    assert_non_null(last(AUDIT_CUT));
    n = n_logged;
    tell_all(ERR_DOWN);
    let_pass(1500);
    assert_int_equal(n_logged, n);
    world_end();
}

/* The alarm of what is owed ends no answer whose grant has no end. */
static void what_is_owed_ends_nothing(void **state)
{
    (void)state;
    world_begin(true);
    consumer.room = 10;
    ask_plain();
    world.x->verdict.valid_until = 0;
    provider_says(GOOD, true);
    tell_all(ERR_OK);
    assert_int_equal(consumer.body.n, 10);
    on_deadline(&world.x->deadline);
    assert_int_equal(consumer.aborts, 0);
    assert_null(last(AUDIT_CUT));
    world_end();
}

static void cut_waits_for_room(void **state)
{
    (void)state;
    world_begin(true);
    ask_plain();
    provider_says(GOOD, true);
    tell_all(ERR_OK);
    put_fails[AUDIT_CUT] = ERR_AGAIN;
    exchange_consumer_gone(world.x, REASON_CONSUMER_GONE);
    assert_null(last(AUDIT_CUT));
    put_fails[AUDIT_CUT] = ERR_OK;
    let_pass(400);
    assert_non_null(last(AUDIT_CUT));
    world_end();
}

/* A count record that the log lost is written again with the next. */
static void counts_are_not_lost(void **state)
{
    (void)state;
    world_begin(true);
    flood_count(&world.w->flood, REASON_NO_GRANT, 5);
    write_counted(world.w);
    flood_count(&world.w->flood, REASON_NO_GRANT, 6);
    tell(last(AUDIT_COUNT), ERR_DOWN);
    write_counted(world.w);
    assert_int_equal(last(AUDIT_COUNT)->r.counts[REASON_NO_GRANT], 2);
    assert_int_equal(last(AUDIT_COUNT)->r.from, 5);
    tell(last(AUDIT_COUNT), ERR_OK);
    assert_int_equal(world.w->flood.total, 0);
    world_end();
}

/* What was told stays told: a cut answer had status 200. It is cut at once; only replies wait for a record. */
static void status_as_given(void **state)
{
    struct buf rows = BUF_INIT(1 << 20);

    (void)state;
    world_begin(true);
    ask_plain();
    tell(last(AUDIT_INTENT), ERR_OK);
    buf_puts(&rows, "{\"code\":\"0\",\"rows\":[" ROW);
    for (int i = 0; i < 400; i++)
        buf_puts(&rows, "," ROW);
    buf_putc(&rows, '\0');
    provider_says(rows.p, false);
    assert_int_equal(consumer.status, 200);
    (provider_events->fail)(provider_user, REASON_PROVIDER_CUT, REACHED_YES);
    assert_int_equal(last(AUDIT_OUTCOME)->r.status, 200);
    assert_int_equal(last(AUDIT_OUTCOME)->r.bytes_out, consumer.body.n);
    assert_int_equal(consumer.aborts, 1);
    tell_all(ERR_OK);
    assert_int_equal(consumer.aborts, 1);
    assert_int_equal(consumer.ends, 0);
    buf_done(&rows);
    world_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_answer),      cmocka_unit_test(outcome_without_intent),
        cmocka_unit_test(counted_once),        cmocka_unit_test(outcome_waits_for_room),
        cmocka_unit_test(outcome_fails),       cmocka_unit_test(what_is_owed_ends_nothing),
        cmocka_unit_test(cut_waits_for_room),  cmocka_unit_test(no_cut_without_an_intent),
        cmocka_unit_test(counts_are_not_lost), cmocka_unit_test(status_as_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
