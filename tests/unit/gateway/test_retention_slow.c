/* A log that grows faster than its old part is read: more has become old each time that the reading is over. What was
 * read goes, and the reading goes on behind it. */
#include "tests/unit/gateway/control_world.h"

#include "tests/unit/until.h"
#include <stdio.h>

enum { SEGMENT = 256, LOOKS = 130 };

static uint64_t first, old_to; /* the log as the plan sees it: old are [first, old_to) */
static uint64_t read_first, read_to;
static unsigned removals;

static bool plan_of(struct audit_index *x, const struct audit_retention *r, int64_t now, struct audit_prunable *ret)
{
    (void)x;
    (void)r;
    (void)now;
    *ret = (struct audit_prunable){ .first = first, .before = old_to, .segments = (old_to - first) / SEGMENT };
    return true;
}

static enum err read_once_more(struct audit_index *x, const struct audit_prunable *p, const _Atomic bool *stop,
                               struct diags *d)
{
    (void)x;
    (void)stop;
    (void)d;
    read_first = p->first;
    read_to = p->before;
    return ERR_OK;
}

static enum err removed(struct audit_index *x, uint64_t before, struct diags *d)
{
    (void)x;
    (void)d;
    assert_true(read_first <= first && before > first && before <= read_to); /* nothing that was not read */
    first = before;
    removals++;
    return ERR_OK;
}

static void status_of(struct audit_index *x, struct audit_index_status *ret)
{
    (void)x;
    *ret = (struct audit_index_status){ .first = first };
}
#define audit_retention_plan       plan_of
#define audit_prune_ready          read_once_more
#define audit_prune                removed
#define audit_index_status(x, ret) status_of(x, ret)
#include "gateway/retention.c"

static struct control *looked_at;

static void on_check(struct alarm *a)
{
    if (looked_at->retention.reading || looked_at->jobs != NULL)
        alarm_set(looked_at->loop, a, 1);
    else
        loop_stop(looked_at->loop);
}

/* One of each minute's looks, and what it begins; what it says is signed when it returns. */
static void look_once(struct node *n)
{
    struct alarm check;
    struct audit_status s;

    looked_at = n->control;
    retention_look(n->control, false);
    audit_kick(n->control->queue);
    alarm_init(&check, on_check);
    alarm_set(n->control->loop, &check, 1);
    loop_run(n->control->loop);
    UNTIL((audit_status(n->log, &s), s.checkpoint_size == s.size));
}

static void it_keeps_up(void **state)
{
    struct node *n = *state;

    for (unsigned i = 0; i < LOOKS; i++) {
        old_to += SEGMENT;
        look_once(n);
    }
    assert_true(removals > 1);
    assert_true(old_to - first <= (LOOKS_BETWEEN + 10) * (uint64_t)SEGMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_keeps_up, node_open, node_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
