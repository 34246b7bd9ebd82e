/* A body that passes unread: nothing of it is asked for before its intent is durable, all that is handed on is hashed,
 * and each way it may end is on record. */
/* The file is the second of three items. */
static const char upload_format[] =
    "{\"kind\":\"Resource\",\"id\":\"provider/people\",\"code\":\"101001/1\",\"title\":{\"zh\":\"测\",\"en\":\"T\"},"
    "\"abstract\":\"a\",\"class\":\"base/population\",\"format\":{\"class\":\"interface\",\"type\":\"json\"},"
    "\"share\":{\"type\":\"conditional\",\"condition\":\"t\",\"mode\":\"interface\"},\"open\":\"none\",\"update\":"
    "\"daily\",\"contact\":{\"person\":\"provider/pat\",\"phone\":\"0543-0000000\"},\"items\":["
    "{\"name\":\"id_no\",\"title\":\"i\",\"type\":\"C\",\"length\":18},"
    "{\"name\":\"name\",\"title\":\"n\",\"type\":\"G\",\"level\":3},"
    "{\"name\":\"age\",\"title\":\"a\",\"type\":\"I\"}],"
    "\"connector\":{\"kind\":\"http\",\"endpoint\":\"http://127.0.0.1:9/p\",\"tls\":{\"mode\":\"none\",\"reason\":"
    "\"a test\"},\"timeout\":\"5s\"},\"request\":{\"safe\":%s,\"whole\":\"name\",\"types\":[\"application/pdf\"]},"
    "\"response\":{\"success\":{\"at\":\"/code\",\"ok\":[\"0\"]},\"records\":\"/rows\","
    "\"map\":{\"id_no\":\"id\",\"age\":\"age\"}}}";

#define WORLD_MANIFEST upload_format
#include "tests/unit/gateway/exchange_world.h"

#define POST   "POST /x/provider/people HTTP/1.1\r\n"
#define PDF    "Content-Type: application/pdf\r\n"
#define CHUNKS "Transfer-Encoding: chunked\r\n"

/* As far as its provider listens. */
static struct exchange *begin(void)
{
    struct exchange *x;

    world_begin(false);
    x = ask(POST PDF CHUNKS);
    tell(last(AUDIT_INTENT), ERR_OK);
    assert_int_equal(x->state, EX_RELAY);
    assert_true(consumer.reading);
    return x;
}

static void outcome_is(enum reason why, uint64_t bytes)
{
    const struct logged *l = last(AUDIT_OUTCOME);

    assert_non_null(l);
    assert_int_equal(l->r.reason, why);
    assert_int_equal(l->r.bytes_upload, bytes);
    assert_int_equal(l->r.digest_upload != NULL, bytes > 0);
    tell_all(ERR_OK);
    assert_int_equal(consumer.status, reason_info(why)->status);
    exchange_consumer_sent(world.x);
    world_end();
}

static void in_order(void **state)
{
    struct exchange *x;
    struct sha256 salt, want;

    (void)state;
    world_begin(false);
    provider_full = true;
    x = ask(POST PDF CHUNKS);
    let_pass(10);
    assert_false(consumer.reading);
    assert_int_equal(provider_asked, 0);
    assert_string_equal(last(AUDIT_INTENT)->items, "id_no,name,age");
    assert_int_equal(last(AUDIT_INTENT)->flags & AUDIT_LAZY, 0);
    tell(last(AUDIT_INTENT), ERR_OK);
    assert_int_equal(provider_asked, 1);
    assert_false(consumer.reading); /* not connected yet */
    provider_full = false;
    provider_events->room(provider_user);
    assert_true(consumer.reading);
    upload_body(x, SLICE("hello "));
    provider_full = true;
    upload_body(x, SLICE("wor"));
    assert_false(consumer.reading); /* its socket is full */
    provider_full = false;
    provider_events->room(provider_user);
    assert_true(consumer.reading);
    upload_body(x, SLICE("ld"));
    assert_int_equal(provider_ended, 0);
    x->body_done = true;
    upload_end(x);
    exchange_resume(x);
    assert_int_equal(provider_ended, 1);
    assert_true(slice_is(buf_slice(&provider_got), "hello world"));
    provider_says("{\"code\":\"0\",\"rows\":[{\"id\":\"7\",\"age\":3}]}", true);
    salt = world_salt(NULL, x->id, 'u');
    want = sha256_of2(slice_make(salt.b, sizeof salt.b), SLICE("hello world"));
    assert_memory_equal(last(AUDIT_OUTCOME)->r.digest_upload, &want, sizeof want);
    assert_int_equal(consumer.heads, 0);
    tell_all(ERR_OK);
    assert_int_equal(consumer.status, 200);
    assert_true(slice_is(buf_slice(&consumer.body),
                         "{\"resource\":\"provider/people\",\"records\":[{\"id_no\":\"7\",\"age\":3}],\"count\":1}"));
    exchange_consumer_sent(x);
    world_end();
}

static void heads_by_table(void **state)
{
    static const struct {
        const char *lines;
        enum reason why;
    } cases[] = {
        { "Content-Type: image/png\r\n" CHUNKS, REASON_UNSUPPORTED_TYPE },
        { "Content-Type: application/json\r\n" CHUNKS, REASON_UNSUPPORTED_TYPE },
        { CHUNKS, REASON_UNSUPPORTED_TYPE },
        { PDF PDF CHUNKS, REASON_UNSUPPORTED_TYPE },
        { PDF "Content-Length: 0\r\n", REASON_REQUEST_MALFORMED },
        { PDF, REASON_REQUEST_MALFORMED },
        { PDF "Content-Length: 1048577\r\n", REASON_REQUEST_TOO_LARGE },
        { PDF CHUNKS "Accept: text/html\r\n", REASON_NOT_ACCEPTABLE },
    };

    (void)state;
    for (size_t i = 0; i <= sizeof cases / sizeof cases[0]; i++) {
        bool get = i == sizeof cases / sizeof cases[0];
        enum reason why = get ? REASON_METHOD_NOT_ALLOWED : cases[i].why;
        char text[256];
        world_begin(false);
        if (get) {
            ask_plain();
        } else {
            snprintf(text, sizeof text, POST "%s", cases[i].lines);
            ask(text);
        }
        assert_non_null(last(AUDIT_REFUSED));
        assert_int_equal(last(AUDIT_REFUSED)->r.reason, why);
        tell_all(ERR_OK);
        assert_int_equal(consumer.status, reason_info(why)->status);
        assert_int_equal(provider_asked, 0);
        exchange_consumer_sent(world.x);
        world_end();
    }
}

static void longer_than_the_limit(void **state)
{
    static char block[1 << 19];
    struct exchange *x = begin();

    (void)state;
    upload_body(x, slice_make(block, sizeof block));
    upload_body(x, slice_make(block, sizeof block));
    assert_null(last(AUDIT_OUTCOME));
    upload_body(x, SLICE("x"));
    assert_int_equal(provider_dropped, 1);
    upload_body(x, SLICE("more")); /* dropped */
    assert_int_equal(provider_got.n, 1 << 20);
    outcome_is(REASON_REQUEST_TOO_LARGE, 1 << 20);
}

static void empty_after_all(void **state)
{
    struct exchange *x = begin();

    (void)state;
    x->body_done = true;
    upload_end(x);
    exchange_resume(x);
    assert_int_equal(provider_dropped, 1);
    assert_int_equal(provider_ended, 0);
    outcome_is(REASON_REQUEST_MALFORMED, 0);
}

/* HTTP/2 tells the end when it comes, be it before anybody wanted the body. */
static void empty_before_it_is_wanted(void **state)
{
    struct exchange *x;

    (void)state;
    world_begin(false);
    x = ask(POST PDF CHUNKS);
    assert_int_equal(provider_asked, 0);
    x->body_done = true;
    upload_end(x);
    exchange_resume(x);
    tell(last(AUDIT_INTENT), ERR_OK);
    assert_int_equal(provider_ended, 0);
    outcome_is(REASON_REQUEST_MALFORMED, 0);
}

static void answered_too_soon(void **state)
{
    static const struct {
        int status;
        enum reason why;
    } cases[] = { { 200, REASON_PROVIDER_MALFORMED }, { 413, REASON_PROVIDER_REFUSED } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct exchange *x = begin();
        upload_body(x, SLICE("half"));
        provider_events->head(provider_user,
                              &(struct connector_head){ cases[i].status, SLICE("application/json"), true, true });
        assert_int_equal(provider_dropped, 1);
        outcome_is(cases[i].why, 4);
    }
}

/* Of a body whose length was told HTTP/2 may tell the end apart, and late: the provider has answered by then. */
static void answered_before_the_end_is_told(void **state)
{
    struct exchange *x = begin();

    (void)state;
    let_pass(50);
    upload_body(x, SLICE("hello"));
    provider_events->head(provider_user, &(struct connector_head){ 200, SLICE("application/json"), true, false });
    let_pass(50);
    x->body_done = true;
    upload_end(x);
    exchange_resume(x);
    provider_events->body(provider_user, SLICE("{\"code\":\"0\",\"rows\":[]}"));
    assert_int_equal(provider_dropped, 0);
    provider_events->end(provider_user);
    assert_true(last(AUDIT_OUTCOME)->r.provider_ms < 10000);
    outcome_is(REASON_GRANTED, 5);
}

static void it_cannot_be_put(void **state)
{
    struct exchange *x = begin();

    (void)state;
    provider_put = ERR_NOMEM;
    upload_body(x, SLICE("half"));
    assert_int_equal(provider_dropped, 1);
    outcome_is(REASON_OVERLOADED, 4);
}

static void either_end_goes(void **state)
{
    struct exchange *x = begin();

    (void)state;
    upload_body(x, SLICE("half"));
    exchange_consumer_gone(x, REASON_CONSUMER_GONE);
    assert_int_equal(provider_dropped, 1);
    assert_int_equal(last(AUDIT_OUTCOME)->r.reason, REASON_CONSUMER_GONE);
    assert_int_equal(last(AUDIT_OUTCOME)->r.bytes_upload, 4);
    tell_all(ERR_OK);
    world_end();
    x = begin();
    upload_body(x, SLICE("half"));
    (provider_events->fail)(provider_user, REASON_PROVIDER_CUT, REACHED_UNKNOWN);
    outcome_is(REASON_PROVIDER_CUT, 4);
    x = begin();
    upload_body(x, SLICE("half"));
    exchange_cut(x, REASON_REVOKED);
    outcome_is(REASON_REVOKED, 4);
}

/* What no provider sent has no digest. */
static void never_answered(void **state)
{
    (void)state;
    for (unsigned put = 0; put < 2; put++) {
        struct exchange *x = begin();
        if (put)
            upload_body(x, SLICE("half"));
        (provider_events->fail)(provider_user, REASON_PROVIDER_TIMEOUT, REACHED_UNKNOWN);
        assert_null(last(AUDIT_OUTCOME)->r.digest_in);
        assert_null(last(AUDIT_OUTCOME)->r.digest_out);
        outcome_is(REASON_PROVIDER_TIMEOUT, put ? 4 : 0);
    }
}

static void evidence_that_fails(void **state)
{
    struct exchange *x;

    (void)state;
    world_begin(false);
    x = ask(POST PDF CHUNKS);
    tell(last(AUDIT_INTENT), ERR_SYS);
    assert_int_equal(x->reason, REASON_EVIDENCE_UNAVAILABLE);
    assert_int_equal(provider_asked, 0);
    assert_false(consumer.reading);
    exchange_consumer_sent(x);
    world_end();
}

static void long_ones_progress(void **state)
{
    static char block[1 << 20];
    struct exchange *x;

    (void)state;
    x = begin();
    world.settings.limits.upload = UINT64_MAX;
    for (unsigned i = 0; i < 64; i++) {
        assert_null(last(AUDIT_PROGRESS));
        upload_body(x, slice_make(block, sizeof block));
    }
    assert_int_equal(last(AUDIT_PROGRESS)->r.bytes_upload, 64 << 20);
    exchange_cut(x, REASON_EXPIRED);
    outcome_is(REASON_EXPIRED, 64 << 20);
}

/* Memory that ends makes a failure, never an upload without its digest. */
static void no_memory(void **state)
{
    unsigned asked = 0;

    (void)state;
    for (size_t left = 0; left < 4096; left += 64) {
        world_begin(false);
        ask_with(POST PDF CHUNKS, left);
        if (last(AUDIT_INTENT))
            tell(last(AUDIT_INTENT), ERR_OK);
        asked += provider_asked;
        assert_true(provider_asked == 0 || world.x->up->digest != NULL);
        world_end();
    }
    assert_true(asked > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order),
        cmocka_unit_test(heads_by_table),
        cmocka_unit_test(longer_than_the_limit),
        cmocka_unit_test(empty_after_all),
        cmocka_unit_test(empty_before_it_is_wanted),
        cmocka_unit_test(answered_too_soon),
        cmocka_unit_test(answered_before_the_end_is_told),
        cmocka_unit_test(it_cannot_be_put),
        cmocka_unit_test(either_end_goes),
        cmocka_unit_test(never_answered),
        cmocka_unit_test(evidence_that_fails),
        cmocka_unit_test(long_ones_progress),
        cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
