/* The daemon's own record of a day that has no other: by the monotonic clock, once, in the gateway's name. */
#include "tests/unit/gateway/control_world.h"

#include "tests/unit/until.h"
#include <stdio.h>

static int64_t ahead; /* ms that the monotonic clock is ahead of the machine's */

static int64_t later_mono(void)
{
    return clock_mono_ms() + ahead;
}
#define clock_mono_ms later_mono
#include "gateway/retention.c"
#undef clock_mono_ms

enum { HOUR = 3600 * 1000 };

static void on_line_found(const char *at, const struct node *n)
{
    char author[128];
    const char *end = strchr(at, '\n');

    snprintf(author, sizeof author, "\"author\":\"spiffe://%.*s/gateway/%.*s\"", SLICE_ARG(n->settings.trust_domain),
             SLICE_ARG(n->settings.node));
    assert_non_null(end);
    while (at[-1] != '\n')
        at--;
    assert_non_null(memmem(at, (size_t)(end - at), author, strlen(author)));
    assert_non_null(memmem(at, (size_t)(end - at), "\"kind\":\"act\"", 12));
    assert_non_null(memmem(at, (size_t)(end - at), "\"object\":\"log\"", 14));
}

/* Records of that kind in the log's first segment. */
static unsigned days(const struct node *n)
{
    struct buf text = BUF_INIT(64 << 20);
    char path[256];
    unsigned found = 0;

    snprintf(path, sizeof path, "%s/log/0000000000000000.seg", n->dir);
    assert_int_equal(file_read(path, &text, NULL), ERR_OK);
    buf_putc(&text, '\0');
    for (const char *at = text.p; (at = strstr(at, "\"verb\":\"log.day\"")) != NULL; at++) {
        on_line_found(at, n);
        found++;
    }
    buf_done(&text);
    return found;
}

/* As each minute does; what it says is in the log when it returns. */
static unsigned look(struct node *n, int64_t more)
{
    struct audit_status s;

    ahead += more;
    retention_look(n->control, false);
    UNTIL((act_on_log(n->control), n->control->jobs == NULL));
    audit_status(n->log, &s);
    assert_true(s.available);
    return days(n);
}

/* So many hours, with a look in each and one right behind it: what a look makes is seen by the next. */
static unsigned hours(struct node *n, unsigned many)
{
    unsigned found = look(n, 0);

    while (many-- > 0) {
        (void)look(n, HOUR);
        found = look(n, 0);
    }
    return found;
}

static void a_day_without_records_is_marked_once(void **state)
{
    struct node *n = *state;

    assert_int_equal(look(n, 0), 0); /* the clock begins here */
    assert_int_equal(look(n, 23 * HOUR), 0);
    assert_int_equal(look(n, 59 * 60 * 1000), 0);
    assert_int_equal(look(n, 60 * 1000), 1);
    assert_int_equal(look(n, 60 * 1000), 1); /* that is a record: the day begins anew */
    assert_int_equal(look(n, 23 * HOUR), 1);
    assert_int_equal(look(n, 1 * HOUR), 2);
    for (unsigned day = 0; day < 5; day++) { /* and so on, as long as nothing happens */
        assert_int_equal(hours(n, 23), 2 + day);
        assert_int_equal(hours(n, 1), 3 + day);
    }
}

static void a_day_with_records_needs_none(void **state)
{
    struct node *n = *state;

    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(ask(n, WHO_CONSUMER, "POST", "/v1/people/education/zhao/roles", "{}"), 403); /* on record */
        assert_int_equal(hours(n, 20), 0);
    }
    assert_int_equal(hours(n, 3), 0);
    assert_int_equal(hours(n, 1), 1);
}

/* Nothing is begun beside another act; the next look makes it good. */
static void not_inside_another_act(void **state)
{
    struct node *n = *state;

    assert_int_equal(look(n, 0), 0);
    n->control->in_tx = true;
    assert_int_equal(look(n, 30 * HOUR), 0);
    n->control->in_tx = false;
    assert_int_equal(look(n, 0), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_day_without_records_is_marked_once, node_open, node_close),
        cmocka_unit_test_setup_teardown(a_day_with_records_needs_none, node_open, node_close),
        cmocka_unit_test_setup_teardown(not_inside_another_act, node_open, node_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
