/* A disk with no room for a checkpoint. At a start it takes the room of the reserve; while records still find room, as
 * in space written ahead or where only the inodes are used up, nothing goes on unsigned. */
#include "tests/unit/audit/world.h"
#include "tests/unit/until.h"
#include <errno.h>
#include <unistd.h>

static struct world w;
static _Atomic bool full, no_checkpoint;

/* The disk has no room for one file more while the reserve takes it. */
static enum err file_write_here(const char *path, struct slice data, unsigned mode, struct diags *d)
{
    if (no_checkpoint || (full && access(world_path(&w, "reserve"), F_OK) == 0))
        return diag_sys(d, ENOSPC, "cannot write %s", "无法写入 %s", path);
    return file_write(path, data, mode, d);
}
#define file_write file_write_here
#include "audit/checkpoint.c"
#undef file_write

static void nobody_is_open(void **state)
{
    struct audit_record r = world_intent(1000);
    struct audit_status s;
    uint64_t size;

    (void)state;
    world_init(&w);
    assert_int_equal(world_open(&w), ERR_OK);
    world_fill(&w, 0, 20);
    world_close(&w);
    full = true;
    assert_int_equal(world_open(&w), ERR_OK);
    audit_status(w.log, &s);
    assert_int_equal(s.checkpoint_size, s.size);
    full = false;
    UNTIL((audit_status(w.log, &s), s.available));
    assert_int_equal(world_put(&w, &r, 0).e, ERR_OK);
    r = world_outcome(1000);
    assert_int_equal(world_put(&w, &r, 0).e, ERR_OK);
    size = world_size(&w);
    world_close(&w);
    world_good(&w, size);
    world_done(&w);
}

static bool is_refused(unsigned *n)
{
    struct audit_record r = world_intent(++*n);

    audit_look(w.q); /* as each second does */
    return world_put(&w, &r, 0).e == ERR_DOWN;
}

static bool count_gap(void *arg, uint64_t index, struct slice line)
{
    (void)index;
    (void)line;
    ++*(unsigned *)arg;
    return true;
}

static void nothing_goes_on_unsigned(void **state)
{
    struct audit_record owed = world_outcome(1001);
    struct audit_status s;
    unsigned n = 1000, gaps = 0;
    uint64_t size;
    bool more;

    (void)state;
    world_init(&w);
    assert_int_equal(world_open(&w), ERR_OK);
    world_fill(&w, 0, 20);
    world_covered(&w, &s);
    no_checkpoint = true;
    UNTIL(!is_refused(&n) && atomic_load(&w.log->unstored) != ERR_OK);
    atomic_fetch_sub(&w.log->after_since, LOG_HUNG_MS); /* as if so much of it had passed */
    UNTIL(is_refused(&n));
    assert_true(n > 1001);
    audit_status(w.log, &s);
    assert_false(s.available);
    assert_int_equal(s.why, ERR_FULL);
    assert_int_equal(s.hung_ms, 0);
    assert_int_equal(world_put(&w, &owed, AUDIT_ESSENTIAL).e, ERR_OK);
    no_checkpoint = false;
    UNTIL(!is_refused(&n));
    world_covered(&w, &s);
    assert_true(s.available);
    world_close(&w);
    assert_int_equal(audit_search(w.dir,
                                  &(struct audit_filter){ .kind = SLICE("gap"), .after = UINT64_MAX, .limit = 1000 },
                                  count_gap, &gaps, &more, &w.d),
                     ERR_OK);
    assert_true(gaps > 0);
    assert_int_equal(world_open(&w), ERR_OK);
    size = world_size(&w);
    world_close(&w);
    world_good(&w, size);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(nobody_is_open), cmocka_unit_test(nothing_goes_on_unsigned) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
