/* A refused act whose record has no place in the queue is counted: no attempt goes unseen. */
#include "tests/unit/gateway/control_world.h"
#include "gateway/control_internal.h"

static void fill(struct audit_queue *q)
{
    struct audit_record r = { .kind = AUDIT_COUNT, .has_reason = true, .reason = REASON_LOG_READ };

    while (audit_put(q, &r, AUDIT_LAZY, NULL) == ERR_OK)
        continue;
}

static void a_full_queue_counts(void **state)
{
    struct node *n = *state;
    struct control *c = n->control;
    unsigned unrecorded = 0;

    for (unsigned tries = 0; tries < 1000 && unrecorded < 3; tries++) { /* the log may make place at any moment */
        uint32_t before;
        fill(c->queue);
        before = c->flood.total;
        assert_true(ask(n, WHO_CONSUMER, "POST", "apply", "{\"files\":[]}") >= 400);
        if (slice_eq(problem_code(n), SLICE("evidence-unavailable"))) {
            assert_int_equal(c->flood.total, before + 1);
            unrecorded++;
        } else {
            assert_in_range(c->flood.total, 0, before); /* written meanwhile */
        }
    }
    assert_int_equal(unrecorded, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(a_full_queue_counts, node_open, node_close) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
