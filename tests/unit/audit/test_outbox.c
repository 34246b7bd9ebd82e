/* Acts between state and log: numbers without holes, exact lines, replay after each kind of crash, restored copies. */
#include "tests/unit/audit/world.h"
#include <stdio.h>
#include <stdlib.h>

static struct world w;
static struct sql *db;
static struct waited last_wait;

static int setup(void **state)
{
    (void)state;
    world_init(&w);
    assert_int_equal(sql_open(world_path(&w, "state.db"), &db, &w.d), ERR_OK);
    assert_int_equal(sql_migrate(db, "audit", audit_migrations, audit_migrations_n, &w.d), ERR_OK);
    assert_int_equal(world_open(&w), ERR_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    db = sql_close(db);
    world_done(&w);
    return 0;
}

static struct sql_tx *begin(void)
{
    struct sql_tx *tx = NULL;
    assert_int_equal(sql_begin(db, true, &tx, &w.d), ERR_OK);
    return tx;
}

/* One act; with `log` also into the log, with `done` also the index back into the state. */
static uint64_t act(bool log, bool done)
{
    struct buf line = BUF_INIT(AUDIT_RECORD_MAX * 2);
    struct audit_record r = { .at = 1795309200000,
                              .author = SLICE("spiffe://x/dept/a/person/b"),
                              .verb = SLICE("grant.revoke"),
                              .object = SLICE("g-1"),
                              .content = SLICE("{\"why\":\"误批\"}") };
    struct sql_tx *tx = begin();
    assert_int_equal(audit_outbox_add(tx, &r, true, &line), ERR_OK);
    assert_int_equal(sql_commit(tx, &w.d), ERR_OK);
    if (log) {
        struct waited x = { 0 };
        assert_int_equal(audit_put_line(w.q, buf_slice(&line), r.act, AUDIT_ESSENTIAL, &x), ERR_OK);
        audit_kick(w.q);
        world_wait(&w, &x);
        assert_int_equal(x.e, ERR_OK);
        last_wait = x;
    }
    if (done) {
        tx = begin();
        assert_int_equal(audit_outbox_done(tx, r.act, last_wait.index), ERR_OK);
        assert_int_equal(sql_commit(tx, &w.d), ERR_OK);
    }
    buf_done(&line);
    return r.act;
}

static unsigned replayed;

static enum err replay_one(void *arg, uint64_t number, struct slice line)
{
    uint64_t *want = arg;
    struct waited x = { 0 };
    assert_int_equal(number, (*want)++);
    assert_int_equal(audit_put_line(w.q, line, number, AUDIT_ESSENTIAL, &x), ERR_OK);
    audit_kick(w.q);
    world_wait(&w, &x);
    assert_int_equal(x.e, ERR_OK);
    replayed++;
    return ERR_OK;
}

static enum err replay(uint64_t from)
{
    struct sql_tx *tx = begin();
    replayed = 0;
    enum err e = audit_outbox_replay(tx, w.log, replay_one, &from, &w.d);
    if (e == ERR_OK)
        assert_int_equal(sql_commit(tx, &w.d), ERR_OK);
    else
        sql_rollback(tx);
    return e;
}

static enum err take_int(void *arg, const struct sql_row *row)
{
    *(int64_t *)arg = sql_is_null(row, 0) ? -1 : sql_int(row, 0);
    return ERR_OK;
}

static int64_t query(const char *text)
{
    int64_t n = -2;
    struct sql_tx *tx = begin();
    assert_int_equal(sql_one(tx, text, NULL, 0, take_int, &n), ERR_OK);
    sql_rollback(tx);
    return n;
}

static void numbers(void **state)
{
    (void)state;
    struct buf line = BUF_INIT(1 << 16);
    assert_int_equal(act(true, true), 1);
    struct audit_record r = { .at = 1, .verb = SLICE("x") };
    struct sql_tx *tx = begin();
    assert_int_equal(audit_outbox_add(tx, &r, false, &line), ERR_OK);
    assert_int_equal(r.act, 2);
    sql_rollback(tx); /* never happened */
    assert_int_equal(act(true, true), 2);
    tx = begin();
    assert_int_equal(audit_outbox_done(tx, 99, 1), ERR_NOT_FOUND);
    sql_rollback(tx);
    buf_done(&line);
}

/* Committed in the state, not in the log: replayed in order, byte for byte. */
static void lost_before_log(void **state)
{
    (void)state;
    act(true, true);
    act(false, false);
    act(false, false);
    world_close(&w);
    assert_int_equal(world_open(&w), ERR_OK);
    assert_int_equal(replay(2), ERR_OK);
    assert_int_equal(replayed, 2);
    struct audit_status s;
    audit_status(w.log, &s);
    assert_int_equal(s.last_act, 3);
    assert_int_equal(replay(4), ERR_OK);
    assert_int_equal(replayed, 0);
    assert_int_equal(act(true, true), 4);
}

/* In the log, but the state was not told: the index is found. */
static void lost_after_log(void **state)
{
    (void)state;
    act(true, true);
    act(true, false);
    uint64_t index = last_wait.index;
    world_fill(&w, 0, 50);
    world_close(&w);
    assert_int_equal(query("SELECT idx FROM audit_outbox WHERE act = 2"), -1);
    assert_int_equal(world_open(&w), ERR_OK);
    assert_int_equal(replay(3), ERR_OK);
    assert_int_equal(replayed, 0);
    assert_int_equal(query("SELECT idx FROM audit_outbox WHERE act = 2"), index);
}

/* What this process has read of files. */
static uint64_t bytes_read(void)
{
    struct buf text = BUF_INIT(4096);
    struct slice rest, line;
    uint64_t n = 0;
    assert_int_equal(file_read("/proc/self/io", &text, NULL), ERR_OK);
    rest = buf_slice(&text);
    line = slice_cut(&rest, '\n');
    assert_true(slice_is(slice_cut(&line, ' '), "rchar:") && slice_u64(line, 0, UINT64_MAX, &n));
    buf_done(&text);
    return n;
}

/* Killed between an act's commit and the state's word of it, after long without any act: the start looks for that act
 * in its own segment, and not for the one before it. */
static void the_log_is_not_read_back(void **state)
{
    (void)state;
    struct segment_list l;
    world_close(&w);
    w.c.segment_bytes = 60000;
    assert_int_equal(world_open(&w), ERR_OK);
    act(true, true);
    world_fill(&w, 0, 3000);
    act(true, false);
    uint64_t index = last_wait.index;
    world_close(&w);
    assert_int_equal(segment_list_read(w.dir, &l, &w.d), ERR_OK);
    assert_true(l.n > 10 && l.first[l.n - 2] < index);
    segment_list_done(&l);
    assert_int_equal(world_open(&w), ERR_OK);
    uint64_t before = bytes_read();
    assert_int_equal(replay(3), ERR_OK);
    uint64_t n = bytes_read() - before;
    assert_int_equal(query("SELECT idx FROM audit_outbox WHERE act = 2"), index);
    assert_in_range(n, 1, 8 * w.c.segment_bytes);
}

/* The state was not told of one act, and then of a thousand and more it was: that one is still found. */
static void lost_long_ago(void **state)
{
    (void)state;
    act(true, false);
    uint64_t index = last_wait.index;
    for (unsigned i = 0; i < 1010; i++)
        act(true, true);
    world_close(&w);
    assert_int_equal(world_open(&w), ERR_OK);
    assert_int_equal(replay(1012), ERR_OK);
    assert_int_equal(query("SELECT COUNT(*) FROM audit_outbox WHERE idx IS NULL"), 0);
    assert_int_equal(query("SELECT idx FROM audit_outbox WHERE act = 1"), index);
}

static void state_older(void **state)
{
    (void)state;
    act(true, true);
    assert_int_equal(sql_backup(db, world_path(&w, "old.db"), &w.d), ERR_OK);
    act(true, true);
    db = sql_close(db);
    assert_int_equal(sql_open(world_path(&w, "old.db"), &db, &w.d), ERR_OK);
    assert_int_equal(replay(1), ERR_CORRUPT);
    assert_int_equal(replayed, 0);
}

static void log_older(void **state)
{
    (void)state;
    char command[256];
    act(true, true);
    world_close(&w);
    int n = snprintf(command, sizeof command, "rm -rf %s/*.seg %s/checkpoint %s/tile", w.dir, w.dir, w.dir);
    assert_true(n > 0 && system(command) == 0);
    assert_int_equal(world_open(&w), ERR_OK); /* an empty log */
    assert_int_equal(replay(1), ERR_CORRUPT);
}

static void pruned(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1010; i++)
        act(true, i != 3);
    assert_int_equal(query("SELECT COUNT(*) FROM audit_outbox"), 1001); /* and the one whose index is not known */
    assert_int_equal(query("SELECT MAX(act) FROM audit_outbox"), 1010);
    assert_int_equal(act(true, true), 1011);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(numbers),       TEST(lost_before_log), TEST(lost_after_log), TEST(the_log_is_not_read_back),
        TEST(lost_long_ago), TEST(state_older),     TEST(log_older),      TEST(pruned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
