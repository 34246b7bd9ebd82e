/* Grants in the snapshot: one or several for a pair, replaced by their newer selves, and older snapshots as they were.
 */
#include "gateway/snapshot_internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static int no_items(void *arg, struct slice item)
{
    (void)arg;
    (void)item;
    return -1;
}

static struct policy_grant *grant(const char *id, const char *app, const char *resource, uint64_t version)
{
    struct policy_grant_row row = { .id = slice_of(id),
                                    .app = slice_of(app),
                                    .resource = slice_of(resource),
                                    .purposes = SLICE("check"),
                                    .state = SLICE("active"),
                                    .version = version,
                                    .resource_version = 1 };
    struct policy_grant *g = NULL;

    assert_int_equal(policy_grant_compile(&row, no_items, NULL, &g), ERR_OK);
    return g;
}

static void put(struct snapshot *s, const char *id, const char *app, const char *resource, uint64_t version)
{
    struct policy_grant *g = grant(id, app, resource, version);

    assert_non_null(s);
    assert_int_equal(snapshot_put_grant(s, g), ERR_OK);
    counted_unref(g);
}

/* "g1.2 g3.1": ids and versions, in the order of the set. */
static void expect(const struct snapshot *s, const char *app, const char *resource, const char *want)
{
    struct grant_set set = snapshot_pair(s, slice_of(app), slice_of(resource));
    struct buf got = BUF_INIT(256);

    for (size_t i = 0; i < set.n; i++)
        buf_printf(&got, "%s%s.%u", i ? " " : "", policy_grant_id(grant_set_all(&set)[i]),
                   grant_set_all(&set)[i]->version);
    buf_putc(&got, '\0');
    assert_string_equal(got.p, want);
    buf_done(&got);
}

static void one_and_several(void **state)
{
    struct snapshot *s = snapshot_new(), *next;

    (void)state;
    assert_non_null(s);
    expect(s, "a/b", "c/d", "");
    put(s, "g1", "a/b", "c/d", 1);
    put(s, "g2", "a/b", "c/dd", 1);
    expect(s, "a/b", "c/d", "g1.1");
    expect(s, "a/b", "c/dd", "g2.1");
    expect(s, "a/bb", "c/d", "");
    put(s, "g1", "a/b", "c/d", 2); /* alone: its newer self takes its place */
    expect(s, "a/b", "c/d", "g1.2");
    put(s, "g3", "a/b", "c/d", 1);
    expect(s, "a/b", "c/d", "g1.2 g3.1");

    next = snapshot_next(s);
    put(next, "g1", "a/b", "c/d", 3);
    put(next, "g4", "a/b", "c/d", 1);
    expect(next, "a/b", "c/d", "g3.1 g1.3 g4.1");
    expect(s, "a/b", "c/d", "g1.2 g3.1"); /* whoever holds the older one sees what it was */
    assert_int_equal(snapshot_grant(next, SLICE("g1"))->version, 3);
    assert_int_equal(snapshot_grant(s, SLICE("g1"))->version, 2);
    assert_null(snapshot_grant(s, SLICE("g4")));
    snapshot_unref(s);
    expect(next, "a/b", "c/d", "g3.1 g1.3 g4.1");
    snapshot_unref(next);
}

/* What a caller may send as a name finds nothing but the pair it names. */
static void odd_names_find_nothing(void **state)
{
    struct snapshot *s = snapshot_new();
    char longer[400];

    (void)state;
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    put(s, "g1", "a/b", "c/d", 1);
    expect(s, "a/b", "c/d", "g1.1");
    expect(s, "a/b", "", "");
    expect(s, "a/b", "c/d ", "");
    expect(s, "a/b", " c/d", "");
    expect(s, "a/b c/d", "", "");
    expect(s, "", "a/b c/d", "");
    expect(s, longer, "d", "");
    snapshot_unref(s);
}

static void sized_for_many(void **state)
{
    struct snapshot *s = snapshot_new();
    char id[16], app[32];

    (void)state;
    assert_non_null(s);
    assert_true(snapshot_grants_size(s, 100000));
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(id, sizeof id, "g%u", i);
        snprintf(app, sizeof app, "a/b%u", i / 2);
        put(s, id, app, "c/d", 1);
    }
    assert_int_equal(smap_count(s->grants), 5000);
    assert_int_equal(smap_count(s->pairs), 2500);
    expect(s, "a/b7", "c/d", "g14.1 g15.1");
    snapshot_unref(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_and_several),
        cmocka_unit_test(odd_names_find_nothing),
        cmocka_unit_test(sized_for_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
