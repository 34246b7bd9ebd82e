/* Outcomes that come when the part of their intent is sealed, in parts of few records, and with an allocation that
 * fails at each place in turn while the index is built: each exchange is one row, with its own records, every time. */
#include "tests/unit/audit/world.h"
#include "audit/index.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { PARTS = 8, MORE = 80, PART_WAIT = 60000, TRIES = 400 };

static struct world w;
static struct faults disk;

static void put(struct audit_record r, uint32_t part)
{
    r.part = part;
    assert_int_equal(world_put(&w, &r, 0).e, ERR_OK);
}

/* A composite exchange and others; the disk fails once, and their outcomes stand in the next segment. */
static int setup(void **state)
{
    (void)state;
    world_init(&w);
    faults_init(&disk);
    w.c.io = &disk.io;
    assert_int_equal(world_open(&w), ERR_OK);
    for (uint32_t i = 1; i <= PARTS; i++)
        put(world_intent(0), i);
    for (unsigned i = 1; i <= MORE; i++)
        put(world_intent(i), 0);
    faults_set(&disk, FAULT_SYNC, EIO, 0, 1);
    for (uint32_t i = 1; i <= PARTS; i++)
        put(world_outcome(0), i);
    for (unsigned i = 1; i <= MORE; i++)
        put(world_outcome(i), 0);
    struct segment_list l;
    assert_int_equal(segment_list_read(w.dir, &l, NULL), ERR_OK);
    assert_int_equal(l.n, 2);
    segment_list_done(&l);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_done(&w);
    return 0;
}

struct seen {
    unsigned n;
    uint64_t last;
};

static bool row_is_whole(void *arg, const struct audit_row *row)
{
    struct seen *s = arg;
    struct slice of_record = { 0 }, of_outcome = { 0 };
    assert_int_equal(row->result, AUDIT_GRANTED);
    assert_true(s->n == 0 || row->index > s->last);
    assert_true(logline_field(row->record, "exchange", &of_record));
    assert_true(logline_field(row->outcome, "exchange", &of_outcome));
    assert_true(slice_eq(of_record, of_outcome));
    s->last = row->index;
    s->n++;
    return true;
}

static void rows_are_right(struct audit_index *x, struct slice exchange, unsigned want)
{
    struct audit_question q = { .exchange = exchange, .after = UINT64_MAX, .limit = 1000, .oldest_first = true };
    struct audit_found found;
    struct seen s = { 0 };
    assert_int_equal(audit_find(x, &q, row_is_whole, &s, &found, &w.d), ERR_OK);
    assert_int_equal(s.n, want);
    assert_int_equal(found.indexed, world_size(&w));
}

static void index_is_right(struct audit_index *x)
{
    char id[UUID_TEXT];
    uuid_text(world_exchange(0), id);
    rows_are_right(x, slice_of(id), PARTS);
    rows_are_right(x, (struct slice){ 0 }, PARTS + MORE);
}

static void parts_of_one_exchange(void **state)
{
    (void)state;
    struct audit_index *x;
    assert_int_equal(audit_index_open(w.dir, w.log, &x, &w.d), ERR_OK);
    assert_true(audit_index_wait(x, world_size(&w), PART_WAIT));
    index_is_right(x);
    audit_index_close(x);
}

static void memory_that_is_short(void **state)
{
    (void)state;
    char command[256];
    bool failed = true;
    snprintf(command, sizeof command, "rm -rf %s/index", w.dir);
    for (unsigned nth = 1; failed; nth++) {
        struct audit_index *x = NULL;
        assert_true(nth < TRIES);
        assert_int_equal(system(command), 0);
        mem_fail_nth(nth);
        enum err e = audit_index_open(w.dir, w.log, &x, NULL);
        bool there = e == ERR_OK && audit_index_wait(x, world_size(&w), PART_WAIT);
        failed = mem_fail_nth(0) >= nth;
        if (e == ERR_OK) {
            assert_true(there);
            index_is_right(x);
        }
        audit_index_close(x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_of_one_exchange),
        cmocka_unit_test(memory_that_is_short),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
