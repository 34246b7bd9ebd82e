/* The stage of those who ask for evidence: what is counted and what is recorded, what waits and for how long, and what
 * guessing costs. The reading thread is replaced by name: it brings what the test says, when it says so. */
#include "gateway/log_reader.h"
#include "tests/unit/gateway/exchange_world.h"

static struct log_job *given; /* with the reader */
static unsigned n_given;
static enum err reader_says;

static enum err world_reader_put(struct log_reader *r, struct log_job *j)
{
    (void)r;
    assert_null(given);
    if (reader_says != ERR_OK)
        return reader_says;
    given = j;
    n_given++;
    return ERR_OK;
}
#define log_reader_put world_reader_put
#include "gateway/stage_log.c"

#define ID "01a20182-3fd7-70a2-83e9-820b1bfab81a"

static void begin_world(void)
{
    world_begin(true);
    flood_reads(&world.w->flood, 50);
    given = NULL;
    n_given = 0;
    reader_says = ERR_OK;
}

static struct exchange *read_log_at(const char *path)
{
    char text[256];
    struct exchange *x;

    snprintf(text, sizeof text, "GET /log/%s HTTP/1.1\r\n", path);
    x = ask(text);
    x->body_done = true;
    exchange_resume(x);
    return x;
}

static void brings(enum err e, const char *text)
{
    struct log_job *j = given;

    assert_non_null(j);
    given = NULL;
    buf_init(&j->out, 1 << 16);
    buf_puts(&j->out, text); /* also with an error: the stage must let it go */
    j->e = e;
    j->done(j);
}

static void over(void)
{
    tell_all(ERR_OK);
    exchange_consumer_sent(world.x);
    world_end();
}

static void everybody_else_passes(void **state)
{
    (void)state;
    begin_world();
    ask_plain();
    assert_null(given);
    provider_says("{\"code\":\"0\",\"rows\":[" ROW "]}", true);
    tell_all(ERR_OK);
    assert_int_equal(consumer.status, 200);
    assert_int_equal(world.w->flood.total, 0);
    over();
}

static void hashes_are_counted_and_not_recorded(void **state)
{
    static const char *const paths[] = { "checkpoint", "checkpoint.witnessed", "tile/0/000", "tile/1/000.p/7" };

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        begin_world();
        read_log_at(paths[i]);
        assert_non_null(given);
        assert_false(given->proof || given->entries);
        assert_true(slice_is(given->path, paths[i]));
        assert_int_equal(consumer.heads, 0);
        brings(ERR_OK, "hashes");
        assert_int_equal(consumer.status, 200);
        assert_int_equal(consumer.ends, 1);
        assert_true(slice_is(buf_slice(&consumer.body), "hashes"));
        assert_int_equal(n_logged, 0);
        assert_int_equal(world.w->flood.counts[REASON_LOG_READ], 1);
        assert_int_equal(world.w->counters.exchanges[REASON_LOG_READ], 1);
        assert_int_equal(provider_asked, 0);
        over();
    }
}

/* Who resets what he reads makes the log no longer: no record says that it was handed out, so none says that it was
 * cut.
 */
static void a_reset_read_leaves_no_record(void **state)
{
    (void)state;
    begin_world();
    consumer.room = 3;
    read_log_at("tile/0/000");
    brings(ERR_OK, "hashes");
    assert_int_equal(consumer.heads, 1);
    exchange_consumer_gone(world.x, REASON_CONSUMER_GONE);
    assert_int_equal(n_logged, 0);
    world_end();
    begin_world(); /* a proof is on record, and so is its cut */
    consumer.room = 3;
    read_log_at("proof/" ID);
    brings(ERR_OK, "{\"v\":1}");
    tell_all(ERR_OK);
    exchange_consumer_gone(world.x, REASON_CONSUMER_GONE);
    assert_non_null(last(AUDIT_CUT));
    world_end();
}

static void types_and_names(void **state)
{
    static const struct {
        const char *path, *resource, *type;
    } rows[] = {
        { "checkpoint", "/log/checkpoint", "text/plain; charset=utf-8" },
        { "checkpoint.witnessed", "/log/checkpoint.witnessed", "text/plain; charset=utf-8" },
        { "tile/0/000", "/log/tile", "application/octet-stream" },
        { "proof/" ID, "/log/proof", "application/json" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin_world();
        read_log_at(rows[i].path);
        assert_true(slice_is(log_ask_resource(world.x), rows[i].resource));
        assert_string_equal(log_ask_type(world.x), rows[i].type);
        brings(ERR_OK, "x");
        over();
    }
}

/* What is not there, or not for them, is a refusal like any other: recorded before it is told. */
static void refusals(void **state)
{
    static const struct {
        const char *path;
        enum err e;
        int status;
        enum reason reason;
    } rows[] = {
        { "tile/9/000", ERR_NOT_FOUND, 404, REASON_NOT_FOUND },
        { "tile/entries/000", ERR_DENIED, 403, REASON_AUDITORS_ONLY },
        { "checkpoint", ERR_NOMEM, 503, REASON_OVERLOADED },
        { "tile/0/000", ERR_CORRUPT, 500, REASON_INTERNAL },
        { "tile/0/000", ERR_SYS, 500, REASON_INTERNAL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin_world();
        read_log_at(rows[i].path);
        brings(rows[i].e, "left over");
        assert_int_equal(consumer.heads, 0);
        assert_non_null(last(AUDIT_REFUSED));
        assert_int_equal(last(AUDIT_REFUSED)->r.reason, rows[i].reason);
        tell(last(AUDIT_REFUSED), ERR_OK);
        assert_int_equal(consumer.status, rows[i].status);
        assert_int_equal(world.w->flood.counts[REASON_LOG_READ], 0);
        over();
    }
}

static void what_is_no_such_path_never_reaches_the_reader(void **state)
{
    static const char *const paths[] = { "checkpoint?x=1",       "tile/0/000?a",          "proof/x",
                                         "proof/" ID "?intent=", "proof/" ID "?intent=x", "proof/" ID "?other=1",
                                         "proof/" ID "0" };

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        begin_world();
        read_log_at(paths[i]);
        assert_null(given);
        tell_all(ERR_OK);
        assert_int_equal(consumer.status, 404);
        over();
    }
}

static void a_proof_is_asked_for_on_record(void **state)
{
    struct sha256 salt, want;

    (void)state;
    begin_world();
    read_log_at("proof/" ID "?intent=7&outcome=9");
    assert_non_null(last(AUDIT_INTENT));
    assert_string_equal(last(AUDIT_INTENT)->resource, "/log/proof");
    assert_true(given->proof);
    assert_int_equal(given->ask.intent, 7);
    assert_int_equal(given->ask.outcome, 9);
    assert_true(slice_is(given->ask.department, "consumer"));
    assert_true(slice_is(given->ask.subject, world.peer.uri));
    assert_false(given->ask.any);
    brings(ERR_OK, "{}");
    assert_int_equal(consumer.heads, 0); /* neither record is durable */
    tell(last(AUDIT_INTENT), ERR_OK);
    assert_int_equal(consumer.heads, 0);
    tell(last(AUDIT_OUTCOME), ERR_OK);
    assert_int_equal(consumer.status, 200);
    assert_true(slice_is(buf_slice(&consumer.body), "{}"));
    salt = world_salt(NULL, last(AUDIT_OUTCOME)->r.exchange, 'o');
    want = sha256_of2(slice_make(salt.b, sizeof salt.b), SLICE("{}"));
    assert_true(last(AUDIT_OUTCOME)->has_out);
    assert_memory_equal(&world.x->sum_out, &want, sizeof want);
    assert_int_equal(world.w->flood.counts[REASON_LOG_READ], 0);
    over();
}

static void a_proof_that_cannot_be_recorded_is_not_given(void **state)
{
    (void)state;
    begin_world();
    put_fails[AUDIT_INTENT] = ERR_DOWN;
    read_log_at("proof/" ID);
    assert_null(given);
    assert_int_equal(n_logged, 0); /* the log has counted it already */
    assert_int_equal(consumer.status, 503);
    over();
    for (unsigned early = 0; early < 2; early++) { /* its intent is lost before the proof comes, or after */
        begin_world();
        read_log_at("proof/" ID);
        if (early)
            tell(last(AUDIT_INTENT), ERR_DOWN);
        brings(ERR_OK, "{\"secret\":1}");
        if (!early)
            tell(last(AUDIT_INTENT), ERR_DOWN);
        tell_all(ERR_OK);
        assert_int_equal(consumer.status, 503);
        assert_null(memmem(consumer.body.p, consumer.body.n, "secret", 6));
        assert_int_equal(world.w->flood.total, 0);
        assert_int_equal(world.w->counters.exchanges[REASON_EVIDENCE_UNAVAILABLE], 1);
        assert_int_equal(world.w->counters.bytes_out, 0);
        over();
    }
}

static void a_pending_proof_is_asked_for_again(void **state)
{
    (void)state;
    begin_world();
    read_log_at("proof/" ID);
    for (unsigned i = 0; i < 3; i++) {
        brings(ERR_AGAIN, "");
        assert_null(given);
        assert_int_equal(consumer.heads, 0);
        let_pass(300);
        assert_int_equal(n_given, i + 2);
    }
    brings(ERR_OK, "{}");
    tell_all(ERR_OK);
    assert_int_equal(consumer.status, 200);
    over();
    begin_world(); /* but not for ever */
    read_log_at("proof/" ID);
    world.x->began -= PATIENCE_MS;
    brings(ERR_AGAIN, "");
    tell_all(ERR_OK);
    assert_int_equal(consumer.status, 503);
    assert_int_equal(last(AUDIT_OUTCOME)->r.reason, REASON_PROOF_PENDING);
    over();
}

/* A proof that is not there, or not yet, costs eleven reads, one whose outcome is too far off forty-one; another
 * identity is not concerned. */
static void looking_in_vain_uses_up_the_rate(void **state)
{
    static const struct {
        enum err e;
        int status;
        unsigned least, most; /* 2 s of 50, by the cost */
    } rows[] = { { ERR_NOT_FOUND, 404, 8, 12 }, { ERR_AGAIN, 503, 8, 12 }, { ERR_TOO_LARGE, 503, 2, 4 } };

    (void)state;
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        unsigned found = 0, limited = 0;
        begin_world();
        for (unsigned i = 0; i < 40; i++) {
            consumer.status = 0;
            read_log_at("proof/" ID);
            if (given) {
                world.x->began -= PATIENCE_MS;
                brings(rows[k].e, "");
                found++;
            }
            tell_all(ERR_OK);
            assert_true(consumer.status == (limited || consumer.status == 429 ? 429 : rows[k].status));
            limited += consumer.status == 429;
            n_logged = 0;
            exchange_consumer_sent(world.x);
        }
        assert_true(found >= rows[k].least && found <= rows[k].most);
        assert_int_equal(limited, 40 - found);
        snprintf(world.peer.uri, sizeof world.peer.uri, "spiffe://test.example/dept/other/app/app");
        read_log_at("proof/" ID);
        assert_non_null(given);
        world.x->began -= PATIENCE_MS;
        brings(rows[k].e, "");
        over();
    }
}

static void reads_have_a_rate(void **state)
{
    unsigned good = 0;

    (void)state;
    begin_world();
    for (unsigned i = 0; i < 150; i++) {
        read_log_at("checkpoint");
        if (given) {
            brings(ERR_OK, "x");
            good++;
        }
        tell_all(ERR_OK);
        n_logged = 0;
        exchange_consumer_sent(world.x);
    }
    assert_true(good >= 100 && good < 110);
    assert_int_equal(world.w->flood.counts[REASON_LOG_READ], good);
    world_end();
}

static void who_may_not(void **state)
{
    (void)state;
    begin_world(); /* too many wait for the reader */
    reader_says = ERR_BUSY;
    read_log_at("checkpoint");
    tell_all(ERR_OK);
    assert_int_equal(consumer.status, 503);
    over();
    begin_world();
    world.w->draining = true;
    read_log_at("checkpoint");
    assert_null(given);
    tell_all(ERR_OK);
    assert_int_equal(consumer.status, 503);
    over();
    begin_world(); /* a gateway is a known peer, and has no exchanges of its own */
    world.peer.kind = CERTS_GATEWAY;
    read_log_at("proof/" ID);
    assert_null(given);
    tell_all(ERR_OK);
    assert_int_equal(consumer.status, 404);
    over();
    begin_world();
    world.peer.kind = CERTS_GATEWAY;
    read_log_at("checkpoint");
    brings(ERR_OK, "x");
    assert_int_equal(consumer.status, 200);
    over();
    begin_world(); /* an application that nobody knows any more */
    snprintf(world.peer.object, sizeof world.peer.object, "consumer/gone");
    read_log_at("checkpoint");
    assert_null(given);
    tell_all(ERR_OK);
    assert_int_equal(consumer.status, 403);
    over();
}

/* The job outlives its asker: the exchange waits for it, and what it brings is let go. */
static void nobody_is_left(void **state)
{
    (void)state;
    for (unsigned proof = 0; proof < 2; proof++) {
        begin_world();
        read_log_at(proof ? "proof/" ID : "tile/0/000");
        exchange_consumer_gone(world.x, REASON_CONSUMER_GONE);
        tell_all(ERR_OK);
        assert_non_null(world.w->exchanges);
        brings(ERR_OK, "for nobody");
        tell_all(ERR_OK);
        assert_int_equal(consumer.heads, 0);
        world_end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_else_passes),
        cmocka_unit_test(hashes_are_counted_and_not_recorded),
        cmocka_unit_test(a_reset_read_leaves_no_record),
        cmocka_unit_test(types_and_names),
        cmocka_unit_test(refusals),
        cmocka_unit_test(what_is_no_such_path_never_reaches_the_reader),
        cmocka_unit_test(a_proof_is_asked_for_on_record),
        cmocka_unit_test(a_proof_that_cannot_be_recorded_is_not_given),
        cmocka_unit_test(a_pending_proof_is_asked_for_again),
        cmocka_unit_test(looking_in_vain_uses_up_the_rate),
        cmocka_unit_test(reads_have_a_rate),
        cmocka_unit_test(who_may_not),
        cmocka_unit_test(nobody_is_left),
    };

    return crypto_init(NULL) == ERR_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
