/* Bodies that stream, against a real provider: each on a connection of its own, once, and only while there is room. */
#include "provider.h"

struct heard {
    struct loop *loop;
    struct connector_call *call;
    struct buf body;
    unsigned rooms, ended, failed;
    enum reason why;
    enum reached reached;
    bool early;
    const char *sends; /* when there is room; NULL: nothing, for ever */
};
static void on_head(void *user, const struct connector_head *head)
{
    ((struct heard *)user)->early = head->early;
}

static void on_body(void *user, struct slice bytes)
{
    buf_put(&((struct heard *)user)->body, bytes);
}

static void on_end(void *user)
{
    struct heard *h = user;

    h->ended++;
    loop_stop(h->loop);
}

static void on_fail(void *user, enum reason why, enum reached reached)
{
    struct heard *h = user;

    h->failed++;
    h->why = why;
    h->reached = reached;
    loop_stop(h->loop);
}

static void on_room(void *user)
{
    struct heard *h = user;

    h->rooms++;
    if (h->sends == NULL)
        return;
    assert_true(connector_room(h->call));
    assert_int_equal(connector_put(h->call, slice_of(h->sends)), ERR_OK);
    assert_int_equal(connector_put_end(h->call), ERR_OK);
    assert_false(connector_room(h->call));
}

static const struct connector_events events = { on_head, on_body, on_end, on_fail, on_room };

static void begin(struct scene *s, struct heard *h, const char *target, const char *sends, uint64_t length)
{
    struct connector_request q = { .method = SLICE("POST"),
                                   .target = slice_of(target),
                                   .content_type = SLICE("application/pdf"),
                                   .streams = length != UINT64_MAX,
                                   .length = length };

    *h = (struct heard){ .loop = s->loop, .sends = sends, .body = BUF_INIT(1 << 20) };
    assert_int_equal(connector_start(s->pool, s->t.target, &q, &events, h, &h->call), ERR_OK);
    assert_int_equal(h->rooms + h->ended + h->failed, 0);
    assert_false(connector_room(h->call));
}

static void in_turn_and_on_fresh_connections(void **state)
{
    struct heard h, other;
    struct scene s;

    (void)state;
    scene_begin(&s, ", limits: {in_flight: 1, queue: 5s}");
    begin(&s, &h, "/ok", NULL, UINT64_MAX); /* an ordinary one leaves a connection behind */
    loop_run(s.loop);
    buf_done(&h.body);
    begin(&s, &h, "/show", "hello", 5);
    begin(&s, &other, "/show", "second", 6); /* waits for its place */
    assert_int_equal(connector_put(other.call, SLICE("x")), ERR_BUSY);
    while (h.ended + h.failed + other.ended + other.failed < 2)
        loop_run(s.loop);
    assert_int_equal(h.ended + other.ended, 2);
    assert_true(h.rooms == 1 && other.rooms == 1 && !h.early && !other.early);
    assert_int_equal(atomic_load(&s.provider.connections), 3); /* kept ones may be stale */
    buf_putc(&h.body, '\0');
    assert_non_null(strstr(h.body.p, "Content-Length: 5\r\n\r\nhello"));
    assert_non_null(strstr(h.body.p, "Content-Type: application/pdf\r\n"));
    buf_done(&h.body);
    buf_done(&other.body);
    scene_end(&s);
}

static void sent_once(void **state)
{
    struct heard h;
    struct scene s;

    (void)state;
    scene_begin(&s, "");
    begin(&s, &h, "/dead", "hello", 5);
    loop_run(s.loop);
    assert_int_equal(h.failed, 1);
    assert_int_equal(h.why, REASON_PROVIDER_CUT);
    assert_int_equal(h.reached, REACHED_UNKNOWN);
    assert_int_equal(atomic_load(&s.provider.connections), 1);
    begin(&s, &h, "/hang", "hello", 5);
    h.call = connector_abort(h.call);
    scene_end(&s);
}

static void answered_too_soon(void **state)
{
    struct heard h;
    struct scene s;

    (void)state;
    scene_begin(&s, "");
    begin(&s, &h, "/ok", NULL, 0); /* in chunks, which this provider does not wait for */
    loop_run(s.loop);
    assert_true(h.early && h.ended == 1);
    buf_done(&h.body);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(in_turn_and_on_fresh_connections), cmocka_unit_test(sent_once),
                                        cmocka_unit_test(answered_too_soon) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
