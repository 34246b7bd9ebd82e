/* A log's disk that does not answer, seen from the administration API: who is refused is told so now, and is counted in
 * the log when it answers again. */
#include "tests/unit/gateway/control_world.h"

#include "tests/unit/until.h"
#include "audit/log.h"
#include <stdio.h>

/* All that was written is signed, and nothing goes on in the log by itself. */
static void rest(struct node *n)
{
    struct audit_status s;

    UNTIL((audit_status(n->log, &s), s.checkpoint_size == s.size && atomic_load(&n->log->after_since) == 0));
}

static bool log_has(const struct node *n, const char *text)
{
    struct buf all = BUF_INIT(64 << 20);
    char path[256];
    bool found;

    snprintf(path, sizeof path, "%s/log/0000000000000000.seg", n->dir);
    assert_int_equal(file_read(path, &all, NULL), ERR_OK);
    buf_putc(&all, '\0');
    found = strstr(all.p, text) != NULL;
    buf_done(&all);
    return found;
}

static void who_is_refused_is_told(void **state)
{
    struct node *n = *state;

    assert_int_equal(ask(n, WHO_SYSTEM, "POST", "audit/search", "{}"), 403);
    rest(n);
    atomic_store(&n->log->after_since, clock_mono_ms() - 2 * LOG_HUNG_MS);
    assert_int_equal(ask(n, WHO_SYSTEM, "POST", "audit/search", "{}"), 503);
    assert_true(slice_is(problem_code(n), "evidence-unavailable"));
    atomic_store(&n->log->after_since, 0);
    assert_int_equal(ask(n, WHO_SYSTEM, "POST", "audit/search", "{}"), 403);
    UNTIL(log_has(n, "\"counts\":{\"role-missing\":1}"));
}

static void its_status_says_why(void **state)
{
    struct node *n = *state;

    rest(n);
    atomic_store(&n->log->after_since, clock_mono_ms() - 2 * LOG_HUNG_MS);
    assert_int_equal(ask(n, WHO_AUDITOR, "GET", "audit/status", NULL), 200);
    assert_false(doc_flag(n->json, "available"));
    assert_true(slice_is(doc_text(n->json, "why"), "timeout"));
    atomic_store(&n->log->after_since, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_is_refused_is_told, node_open, node_close),
        cmocka_unit_test_setup_teardown(its_status_says_why, node_open, node_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
