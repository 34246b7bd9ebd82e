/* A disk that is full, lies, or breaks: nothing is released without evidence, nothing acknowledged is lost, service
 * resumes by itself. */
#include "tests/unit/audit/world.h"
#include "tests/unit/audit/judge.h"
#include "tests/unit/until.h"
#include <errno.h>

static struct world w;
static struct faults f;
static _Atomic int ups, downs;
static _Atomic int down_why; /* of the last down */

static void on_state(void *arg, bool available, enum err why)
{
    (void)arg;
    if (!available)
        down_why = why;
    if (available)
        ups++;
    else
        downs++;
}

static int setup(void **state)
{
    (void)state;
    world_init(&w);
    faults_init(&f);
    w.c.io = &f.io;
    w.c.on_state = on_state;
    ups = downs = 0;
    assert_int_equal(world_open(&w), ERR_OK);
    world_fill(&w, 0, 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_done(&w);
    return 0;
}

static struct waited put_intent(unsigned n)
{
    struct audit_record r = world_intent(n);
    return world_put(&w, &r, 0);
}

static void finish(void)
{
    uint64_t size = world_size(&w);
    world_close(&w);
    world_good(&w, size);
    faults_init(&f);
    assert_int_equal(world_open(&w), ERR_OK);
    size = world_size(&w);
    world_close(&w);
    world_good(&w, size);
}

static size_t segments(void)
{
    struct segment_list list;
    assert_int_equal(segment_list_read(w.dir, &list, NULL), ERR_OK);
    size_t n = list.n;
    segment_list_done(&list);
    return n;
}

/* One failure: a new segment from the last durable index, and nobody outside notices. */
static void one_failure(void **state)
{
    (void)state;
    static const struct {
        enum fault_kind k;
        int sys;
    } cases[] = { { FAULT_SYNC, EIO }, { FAULT_WRITE, EIO }, { FAULT_SYNC, EIO } };
    for (unsigned i = 0; i < 3; i++) {
        uint64_t before = world_size(&w);
        faults_set(&f, cases[i].k, cases[i].sys, 0, 1);
        struct waited x = put_intent(1000 + i);
        assert_int_equal(x.e, ERR_OK);
        assert_int_equal(x.index, before + 1); /* behind the new segment's head */
        assert_int_equal(segments(), 2 + i);
        world_fill(&w, 2000 + 100 * i, 10);
    }
    assert_int_equal(downs, 0);
    finish();
}

/* Twice at the same place: the new segment itself fails, and its name is used again. */
static void fails_again(void **state)
{
    (void)state;
    faults_set(&f, FAULT_SYNC, EIO, 0, 3);
    struct waited x = put_intent(1000); /* two tries, then essential ones only */
    assert_int_equal(x.e, ERR_DOWN);
    assert_int_equal(downs, 1);
    assert_int_equal(down_why, ERR_SYS);
    UNTIL(ups > 0);
    assert_int_equal(ups, 1);
    assert_int_equal(put_intent(1001).e, ERR_OK);
    finish();
}

static void broken_disk(void **state)
{
    (void)state;
    faults_set(&f, FAULT_SYNC, EIO, 0, -1);
    assert_int_equal(put_intent(1000).e, ERR_DOWN);
    struct audit_record cut = world_outcome(7);
    assert_int_equal(world_put(&w, &cut, AUDIT_ESSENTIAL).e, ERR_DOWN);
    uint64_t size = world_size(&w);
    assert_int_equal(put_intent(1001).e, ERR_DOWN);
    assert_int_equal(world_size(&w), size);
    faults_set(&f, FAULT_SYNC, 0, 0, 0);
    UNTIL(ups > 0);
    assert_int_equal(ups, 1);
    assert_int_equal(put_intent(1002).e, ERR_OK);
    finish();
}

struct gaps {
    unsigned n;
    int64_t no_grant, unavailable;
};

static bool count_gap(void *arg, uint64_t index, struct slice line)
{
    struct gaps *g = arg;
    struct slice counts;
    (void)index;
    g->n++;
    if (judge_get(line, "counts", &counts)) {
        int64_t a = judge_int(counts, "no-grant"), b = judge_int(counts, "evidence-unavailable");
        g->no_grant += a > 0 ? a : 0;
        g->unavailable += b > 0 ? b : 0;
    }
    return true;
}

static struct gaps gaps_of(void)
{
    struct gaps g = { 0 };
    struct audit_filter q = { .kind = SLICE("gap"), .after = UINT64_MAX, .limit = 100 };
    bool more;
    assert_int_equal(audit_search(w.dir, &q, count_gap, &g, &more, &w.d), ERR_OK);
    return g;
}

/* The disk fills: ordinary records are refused and counted, essential ones use the reserve, and it comes back by
 * itself. */
static void full_disk(void **state)
{
    (void)state;
    int64_t refused = 0;
    faults_room(&f, 2000, -1);
    unsigned n = 1000;
    while (put_intent(n).e == ERR_OK)
        n++;
    assert_true(n > 1000 && n < 1600); /* as far as the zeros written ahead go */
    refused++;
    assert_int_equal(downs, 1);
    assert_int_equal(down_why, ERR_FULL);
    assert_int_equal(faults_reserved(&f), 0);
    struct audit_record cut = world_outcome(1000);
    assert_int_equal(world_put(&w, &cut, AUDIT_ESSENTIAL).e, ERR_OK);
    for (unsigned i = 0; i < 7; i++, refused++)
        assert_int_equal(put_intent(2000 + i).e, ERR_DOWN);
    for (unsigned i = 0; i < 5; i++) {
        struct audit_record r = { .kind = AUDIT_REFUSED,
                                  .at = 1,
                                  .exchange = world_exchange(i),
                                  .has_reason = true,
                                  .reason = REASON_NO_GRANT,
                                  .status = 403 };
        assert_int_equal(world_put(&w, &r, 0).e, ERR_DOWN);
    }
    assert_int_equal(ups, 0);
    faults_room(&f, 1 << 20, -1);
    UNTIL(ups > 0);
    assert_int_equal(ups, 1);
    assert_true(faults_reserved(&f) > 0);
    assert_int_equal(put_intent(3000).e, ERR_OK);
    struct gaps g = gaps_of();
    assert_int_equal(g.n, 1);
    assert_int_equal(g.no_grant, 5);
    assert_int_equal(g.unavailable, refused);
    finish();
}

/* A stop before the log has come back by itself: what was turned away is said all the same, if the disk lets it. */
static void a_stop_says_what_was_turned_away(void **state)
{
    (void)state;
    faults_set(&f, FAULT_SYNC, EIO, 0, -1);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(put_intent(1000 + i).e, ERR_DOWN);
    faults_set(&f, FAULT_SYNC, 0, 0, 0);
    world_close(&w);
    assert_int_equal(ups, 1);
    struct gaps g = gaps_of();
    assert_int_equal(g.n, 1);
    assert_int_equal(g.unavailable, 3);
    faults_init(&f);
    assert_int_equal(world_open(&w), ERR_OK);
    finish();
}

/* And if it does not let it, what was not written is no leaf of the log's tree. */
static void a_stop_on_a_broken_disk(void **state)
{
    (void)state;
    uint64_t size = world_size(&w);
    faults_set(&f, FAULT_SYNC, EIO, 0, -1);
    assert_int_equal(put_intent(1000).e, ERR_DOWN);
    world_close(&w);
    faults_init(&f);
    world_good(&w, size);
    assert_int_equal(world_open(&w), ERR_OK);
    assert_int_equal(put_intent(2000).e, ERR_OK);
    finish();
}

/* No room even for the reserve: essential ones fail too, and say so. */
static void no_room_at_all(void **state)
{
    (void)state;
    faults_room(&f, 0, 1); /* what is freed with the reserve file: next to nothing */
    unsigned n = 1000;
    while (put_intent(n).e == ERR_OK)
        n++;
    faults_room(&f, 0, -1);
    struct audit_record cut = world_outcome(3);
    assert_int_equal(world_put(&w, &cut, AUDIT_ESSENTIAL).e, ERR_DOWN);
    faults_room(&f, 1 << 20, -1);
    UNTIL(ups > 0);
    assert_int_equal(ups, 1);
    assert_int_equal(world_put(&w, &cut, AUDIT_ESSENTIAL).e, ERR_OK);
    finish();
}

static void short_writes(void **state)
{
    (void)state;
    faults_short_writes(&f, true);
    world_fill(&w, 1000, 50);
    faults_short_writes(&f, false);
    finish();
}

/* Full at every possible place of a batch: never a torn record behind a published one. */
static void full_at_each_byte(void **state)
{
    (void)state;
    faults_room(&f, 1 << 20, -1);
    for (long room = 0; room < 600; room += 37) {
        int seen = ups;
        faults_room(&f, room, -1);
        unsigned n = 5000 + (unsigned)room * 10;
        while (put_intent(n).e == ERR_OK)
            n++;
        faults_room(&f, 1 << 20, -1);
        UNTIL(ups > seen);
        assert_int_equal(ups, seen + 1);
    }
    finish();
}

/* Space ahead that cannot be made costs time and nothing else: no record, no new segment. */
static void no_space_ahead(void **state)
{
    (void)state;
    static const int errors[] = { ENOSPC, EIO };
    for (unsigned i = 0; i < 2; i++) {
        world_close(&w);
        faults_set(&f, FAULT_FILL, errors[i], 0, -1);
        assert_int_equal(world_open(&w), ERR_OK);
        world_fill(&w, 1000 + 1000 * i, 200);
    }
    assert_int_equal(segments(), 1);
    assert_int_equal(downs, 0);
    finish();
}

/* A failure while the log rolls: the new segment cannot be made. */
static void roll_fails(void **state)
{
    (void)state;
    world_close(&w);
    w.c.segment_bytes = 1000;
    assert_int_equal(world_open(&w), ERR_OK);
    faults_set(&f, FAULT_CREATE, EMFILE, 0, 1);
    world_fill(&w, 1000, 300);
    assert_true(segments() >= 2);
    finish();
}

int main(void)
{
#define TEST(x) cmocka_unit_test_setup_teardown(x, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(one_failure),
        TEST(fails_again),
        TEST(broken_disk),
        TEST(full_disk),
        TEST(no_room_at_all),
        TEST(short_writes),
        TEST(full_at_each_byte),
        TEST(no_space_ahead),
        TEST(roll_fails),
        TEST(a_stop_says_what_was_turned_away),
        TEST(a_stop_on_a_broken_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
