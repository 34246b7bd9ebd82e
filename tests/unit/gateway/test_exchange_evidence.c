/* Nothing leaves without its records, and every record that is owed is written in the end. */
#include "tests/unit/gateway/exchange_world.h"
#include "tests/unit/until.h"

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

/* Why a provider was not asked is told as it was, and so is the record. */
static void not_even_asked(void **state)
{
    static const struct {
        enum err e;
        enum reason why;
    } cases[] = { { ERR_BUSY, REASON_PROVIDER_BUSY },
                  { ERR_AGAIN, REASON_PROVIDER_UNREACHABLE },
                  { ERR_NOT_FOUND, REASON_PROVIDER_UNPREPARED },
                  { ERR_NOMEM, REASON_OVERLOADED },
                  { ERR_TOO_LARGE, REASON_REQUEST_TOO_LARGE } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world_begin(true);
        provider_start = cases[i].e;
        ask_plain();
        provider_start = ERR_OK;
        assert_int_equal(last(AUDIT_OUTCOME)->r.reason, cases[i].why);
        tell_all(ERR_OK);
        assert_int_equal(consumer.status, reason_info(cases[i].why)->status);
        exchange_consumer_sent(world.x);
        world_end();
    }
}

/* One attempt counts once: the log counted the intent that it refused. */
static void counted_once(void **state)
{
    (void)state;
    world_begin(true);
    put_fails[AUDIT_INTENT] = put_fails[AUDIT_REFUSED] = ERR_DOWN;
    ask_plain();
    assert_int_equal(consumer.status, 503);
    assert_int_equal(world.w->flood.total, 0);
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

/* ---- a full queue ---- */
static void queue_is_full(bool full)
{
    for (size_t i = 0; i < sizeof put_fails / sizeof put_fails[0]; i++)
        put_fails[i] = full ? ERR_AGAIN : ERR_OK;
}

static struct exchange *ask_for(const char *what)
{
    char head[160];

    snprintf(head, sizeof head, "GET /x/provider/people%s HTTP/1.1\r\n", what);
    ask(head)->body_done = true;
    exchange_resume(world.x);
    return world.x;
}

/* It delays an intent and refuses nobody; the provider is asked no sooner. */
static void intent_waits_for_room(void **state)
{
    (void)state;
    for (int safe = 0; safe < 2; safe++) {
        world_begin(safe);
        queue_is_full(true);
        ask_plain();
        on_evidence(world.w);
        assert_int_equal(consumer.heads, 0);
        assert_int_equal(provider_asked, 0);
        queue_is_full(false);
        on_evidence(world.w);
        assert_non_null(last(AUDIT_INTENT));
        if (!safe)
            tell(last(AUDIT_INTENT), ERR_OK);
        assert_int_equal(provider_asked, 1);
        provider_says(GOOD, true);
        tell_all(ERR_OK);
        assert_int_equal(consumer.status, 200);
        exchange_consumer_sent(world.x);
        world_end();
    }
}

/* Who came first has room first, and nobody overtakes; a refusal is answered as what it is. */
static void in_line(void **state)
{
    struct exchange *first, *second, *third;

    (void)state;
    world_begin(true);
    queue_is_full(true);
    first = ask_for("");
    second = ask_for("?_items=none");
    queue_is_full(false);
    third = ask_for("");
    assert_int_equal(n_logged, 0);
    on_evidence(world.w);
    assert_int_equal(n_logged, 3);
    assert_ptr_equal(logged[0].waiter, &first->intent);
    assert_ptr_equal(logged[1].waiter, &second->outcome);
    assert_ptr_equal(logged[2].waiter, &third->intent);
    assert_int_equal(logged[1].r.reason, REASON_ITEM_NOT_GRANTED);
    tell(&logged[1], ERR_OK);
    assert_int_equal(consumer.status, 403);
    assert_int_equal(world.w->flood.total, 0);
    while (world.w->exchanges != NULL) {
        exchange_consumer_gone(world.w->exchanges, REASON_CONSUMER_GONE);
        tell_all(ERR_OK);
    }
    world_end();
}

/* Outcomes go before those who begin: their providers have been asked. */
static void owed_first(void **state)
{
    struct exchange *asked, *begins;

    (void)state;
    world_begin(true);
    asked = ask_plain();
    tell(last(AUDIT_INTENT), ERR_OK);
    queue_is_full(true);
    begins = ask_for("");
    exchange_consumer_gone(asked, REASON_CONSUMER_GONE);
    queue_is_full(false);
    on_evidence(world.w);
    assert_int_equal(n_logged, 3);
    assert_ptr_equal(logged[1].waiter, &asked->outcome);
    assert_ptr_equal(logged[2].waiter, &begins->intent);
    world_end();
}

/* Who has gone stands in no line: its attempt is refused, and who stood behind it goes on. */
static void leaves_the_line(void **state)
{
    struct exchange *gone;

    (void)state;
    world_begin(true);
    queue_is_full(true);
    gone = ask_for("");
    ask_for("");
    exchange_consumer_gone(gone, REASON_CONSUMER_GONE);
    queue_is_full(false);
    on_evidence(world.w);
    assert_int_equal(n_logged, 2);
    assert_ptr_equal(logged[0].waiter, &world.x->intent);
    assert_ptr_equal(logged[1].waiter, &gone->outcome);
    assert_int_equal(logged[1].r.kind, AUDIT_REFUSED);
    tell(&logged[1], ERR_OK);
    world_end();
}

/* A log that hangs answers nobody: who waits for room in it is told within a second of its being known. */
static void told_when_it_hangs(void **state)
{
    (void)state;
    world_begin(true);
    queue_is_full(true);
    ask_plain();
    for (size_t i = 0; i < sizeof put_fails / sizeof put_fails[0]; i++)
        put_fails[i] = ERR_DOWN;
    let_pass(1200);
    assert_int_equal(consumer.status, 503);
    assert_int_equal(world.w->counters.exchanges[REASON_EVIDENCE_UNAVAILABLE], 1);
    exchange_consumer_sent(world.x);
    world_end();
}

/* The intent fails while its outcome waits: nothing is owed, and nobody is left in line. */
static void nothing_owed_any_more(void **state)
{
    (void)state;
    world_begin(true);
    ask_plain();
    queue_is_full(true);
    provider_says(GOOD, true);
    assert_non_null(world.w->room[ROOM_OWED].first);
    tell(last(AUDIT_INTENT), ERR_DOWN);
    assert_null(world.w->room[ROOM_OWED].first);
    assert_int_equal(consumer.status, 503);
    exchange_consumer_sent(world.x);
    world_end();
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
    on_evidence(world.w);
    assert_int_equal(consumer.heads, 0);
    put_fails[AUDIT_OUTCOME] = ERR_OK;
    on_evidence(world.w);
    tell(last(AUDIT_OUTCOME), ERR_OK);
    assert_int_equal(consumer.status, 200);
    assert_int_equal(last(AUDIT_OUTCOME)->r.bytes_out, consumer.body.n);
    assert_true(last(AUDIT_OUTCOME)->has_out);
    exchange_consumer_sent(world.x);
    world_end();
}

/* What its record waits for is no time that the provider took. */
static void the_queue_is_not_the_provider(void **state)
{
    int64_t most;

    (void)state;
    world_begin(true);
    ask_plain();
    put_fails[AUDIT_OUTCOME] = ERR_AGAIN;
    (provider_events->fail)(provider_user, REASON_PROVIDER_TIMEOUT, REACHED_UNKNOWN);
    most = loop_now(world.w->loop) - world.x->asked_at;
    tell(last(AUDIT_INTENT), ERR_OK);
    let_pass(500);
    put_fails[AUDIT_OUTCOME] = ERR_OK;
    on_evidence(world.w);
    assert_int_equal(last(AUDIT_OUTCOME)->r.reason, REASON_PROVIDER_TIMEOUT);
    assert_in_range(last(AUDIT_OUTCOME)->r.provider_ms, 0, most);
    tell(last(AUDIT_OUTCOME), ERR_OK);
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
    assert_true(world.x->owes_cut);
    n = n_logged;
    tell_all(ERR_DOWN);
    let_pass(1500);
    assert_int_equal(n_logged, n);
    world_end();
}

/* A cut is no record of its own: it follows its outcome, which the log may lose and take again later. What the outcome
 * then says of the end needs no cut. */
static void a_cut_follows_its_outcome(void **state)
{
    (void)state;
    for (unsigned lost = 0; lost < 2; lost++) {
        world_begin(true);
        ask_plain();
        provider_says(GOOD, true);
        tell(last(AUDIT_INTENT), ERR_OK);
        exchange_consumer_gone(world.x, REASON_CONSUMER_GONE);
        assert_null(last(AUDIT_CUT));
        tell(last(AUDIT_OUTCOME), lost ? ERR_DOWN : ERR_OK);
        if (lost) {
            assert_null(last(AUDIT_CUT));
            UNTIL((let_pass(100), !last(AUDIT_OUTCOME)->told));
            assert_int_equal(last(AUDIT_OUTCOME)->r.reason, REASON_EVIDENCE_UNAVAILABLE);
            tell(last(AUDIT_OUTCOME), ERR_OK);
            assert_null(last(AUDIT_CUT));
        } else {
            assert_int_equal(last(AUDIT_CUT)->r.reason, REASON_CONSUMER_GONE);
            tell(last(AUDIT_CUT), ERR_OK);
        }
        assert_null(world.w->exchanges);
        world_end();
    }
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
    on_evidence(world.w);
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

static void still_runs(struct alarm *a)
{
    (void)a;
    loop_stop(world.w->loop);
}

/* A stop ends the loop when all that was counted is on record; false: it still waits. */
static bool stops(void)
{
    struct alarm still;
    bool stopped = true;

    alarm_init(&still, still_runs);
    alarm_set(world.w->loop, &still, 500);
    loop_run(world.w->loop);
    stopped = still.pprev != NULL;
    alarm_clear(&still);
    return stopped;
}

/* What is counted while a count record is under way needs one more, in a stop as well. */
static void a_stop_counts_all(void **state)
{
    (void)state;
    for (int down = 0; down < 2; down++) {
        world_begin(true);
        world.w->connections_end = &world.w->connections;
        flood_count(&world.w->flood, REASON_NO_GRANT, 5);
        write_counted(world.w);
        flood_count(&world.w->flood, REASON_NO_GRANT, 6);
        flood_count(&world.w->flood, REASON_NO_GRANT, 7);
        stop_here(world.w);
        assert_false(stops());
        assert_int_equal(n_logged, 1);
        put_fails[AUDIT_COUNT] = ERR_AGAIN; /* no room now, which passes */
        tell(last(AUDIT_COUNT), ERR_OK);
        assert_false(stops());
        put_fails[AUDIT_COUNT] = ERR_OK;
        assert_false(stops());
        assert_int_equal(n_logged, 2);
        assert_int_equal(last(AUDIT_COUNT)->r.counts[REASON_NO_GRANT], 2);
        if (down) /* who cannot write cannot wait for ever */
            put_fails[AUDIT_COUNT] = ERR_DOWN;
        tell(last(AUDIT_COUNT), down ? ERR_DOWN : ERR_OK);
        UNTIL(stops());
        assert_int_equal(world.w->flood.total, down ? 2 : 0);
        world_end();
    }
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
    assert_int_equal(rows.failed, ERR_OK);
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
        cmocka_unit_test(a_whole_answer),
        cmocka_unit_test(outcome_without_intent),
        cmocka_unit_test(not_even_asked),
        cmocka_unit_test(counted_once),
        cmocka_unit_test(outcome_waits_for_room),
        cmocka_unit_test(the_queue_is_not_the_provider),
        cmocka_unit_test(outcome_fails),
        cmocka_unit_test(what_is_owed_ends_nothing),
        cmocka_unit_test(cut_waits_for_room),
        cmocka_unit_test(no_cut_without_an_intent),
        cmocka_unit_test(a_cut_follows_its_outcome),
        cmocka_unit_test(counts_are_not_lost),
        cmocka_unit_test(a_stop_counts_all),
        cmocka_unit_test(status_as_given),
        cmocka_unit_test(intent_waits_for_room),
        cmocka_unit_test(in_line),
        cmocka_unit_test(owed_first),
        cmocka_unit_test(leaves_the_line),
        cmocka_unit_test(told_when_it_hangs),
        cmocka_unit_test(nothing_owed_any_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
