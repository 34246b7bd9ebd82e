/* Memory that is short while the snapshot is made anew: the change fails, and is tried again, or it is said what was
 * left out; an application or a version is never missing as if the state had said so. */
#include "tests/unit/gateway/control_world.h"

enum { TRIES = 5000 };

static enum err reload(struct node *n, enum snapshot_kind kind, const char *id, struct snapshot *s, bool *said)
{
    struct snapshot_source from = { .world = &n->control->world, .now = clock_wall_ms() };
    struct diags d;
    struct arena a;
    enum err e;

    arena_init(&a, 1 << 20);
    diags_init(&d, &a);
    e = sql_begin(n->control->sql, false, &from.tx, &d);
    if (e == ERR_OK)
        e = snapshot_reload(s, kind, slice_of(id), &from, &d);
    sql_rollback(from.tx);
    *said = d.count > 0;
    arena_done(&a);
    return e;
}

/* `there` holds of every snapshot whose making did not fail, whichever allocation failed. */
static void whole_or_not_at_all(struct node *n, enum snapshot_kind kind, const char *id,
                                bool (*there)(const struct snapshot *s, const char *id))
{
    bool failed = true, said;

    assert_true(there(n->control->snapshot, id));
    for (unsigned nth = 1; failed; nth++) {
        struct snapshot *s = snapshot_new(); /* nothing of the last one is taken over */
        enum err e;

        assert_true(nth < TRIES);
        assert_non_null(s);
        mem_fail_nth(nth);
        e = reload(n, kind, id, s, &said);
        failed = mem_fail_nth(0) >= nth;
        if (e == ERR_OK && !said && !there(s, id))
            fail_msg("%s is missing, though allocation %u failed and nobody said so", id, nth);
        snapshot_unref(s);
    }
}

static bool app_there(const struct snapshot *s, const char *id)
{
    const struct principal *p = snapshot_app(s, slice_of(id));

    return p != NULL && p->active;
}

static bool resource_there(const struct snapshot *s, const char *id)
{
    const struct resource_head *h = snapshot_resource(s, slice_of(id));

    return h != NULL && h->latest == 1 && h->n == 1;
}

static void objects_are_whole(void **state)
{
    struct node *n = *state;

    node_story(n);
    whole_or_not_at_all(n, SNAPSHOT_APP, "education/admission", app_there);
    whole_or_not_at_all(n, SNAPSHOT_RESOURCE, "public-security/household", resource_there);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(objects_are_whole, node_open, node_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
