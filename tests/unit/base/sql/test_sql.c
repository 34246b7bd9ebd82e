/* base/sql against a real database file: rows in and out, codes of failures, transactions, locks, migrations, copies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sqlite3.h>
#include "base/sql/sql.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct place {
    char dir[64], path[128];
    struct arena arena;
    struct diags d;
    struct sql *s;
};

static void place_open(struct place *p)
{
    assert_int_equal(sql_open(p->path, &p->s, &p->d), ERR_OK);
}

static int place_make(void **state)
{
    static struct place p;

    p = (struct place){ .dir = "/tmp/sluice-sql-XXXXXX" };
    assert_non_null(mkdtemp(p.dir));
    snprintf(p.path, sizeof p.path, "%s/state.db", p.dir);
    arena_init(&p.arena, 1 << 20);
    diags_init(&p.d, &p.arena);
    place_open(&p);
    *state = &p;
    return 0;
}

static int place_clear(void **state)
{
    struct place *p = *state;
    char command[128];

    p->s = sql_close(p->s);
    arena_done(&p->arena);
    snprintf(command, sizeof command, "rm -rf %s", p->dir);
    return system(command);
}

static struct sql_tx *begin(struct place *p, bool write)
{
    struct sql_tx *tx = NULL;

    assert_int_equal(sql_begin(p->s, write, &tx, &p->d), ERR_OK);
    return tx;
}

static enum err one_int(void *arg, const struct sql_row *row)
{
    *(int64_t *)arg = sql_int(row, 0);
    return ERR_OK;
}

static int64_t count(struct place *p, const char *text)
{
    struct sql_tx *tx = begin(p, false);
    int64_t v = -1;

    assert_int_equal(sql_one(tx, text, NULL, 0, one_int, &v), ERR_OK);
    sql_rollback(tx);
    return v;
}

static void tables(struct place *p)
{
    struct sql_tx *tx = begin(p, true);

    assert_int_equal(
        sql_exec(tx, "CREATE TABLE t (k TEXT PRIMARY KEY, n BIGINT CHECK (n < 1000), b BLOB)", NULL, 0, NULL), 0);
    assert_int_equal(sql_exec(tx, "CREATE TABLE child (k TEXT REFERENCES t (k))", NULL, 0, NULL), 0);
    assert_int_equal(sql_commit(tx, &p->d), ERR_OK);
}

struct seen {
    int64_t n;
    bool k_null, b_null;
    char k[32], b[32];
    size_t k_n, b_n;
};

static enum err see(void *arg, const struct sql_row *row)
{
    struct seen *s = arg;
    struct slice k = sql_text(row, 0), b = sql_text(row, 2);

    s->n = sql_int(row, 1);
    s->k_null = sql_is_null(row, 0);
    s->b_null = sql_is_null(row, 2);
    s->k_n = k.n;
    s->b_n = b.n;
    if (k.n)
        memcpy(s->k, k.p, k.n);
    if (b.n)
        memcpy(s->b, b.p, b.n);
    return ERR_OK;
}

/* Parameters go by their number, the empty string is not NULL, blobs keep every byte. */
static void test_values(void **state)
{
    struct place *p = *state;
    struct sql_tx *tx;
    struct seen s = { 0 };
    uint64_t changed = 9;

    tables(p);
    tx = begin(p, true);
    assert_int_equal(sql_exec(tx, "INSERT INTO t (b, n, k) VALUES ($3, $2, $1)",
                              SQL_ARGS(SQL_T(SLICE("𠮷")), SQL_I(-7), SQL_B(slice_make("\0\xff", 2))), &changed),
                     ERR_OK);
    assert_int_equal(changed, 1);
    assert_int_equal(sql_exec(tx, "INSERT INTO t VALUES ($1, $2, $3)",
                              SQL_ARGS(SQL_T(((struct slice){ NULL, 0 })), SQL_N, SQL_B(((struct slice){ NULL, 0 }))),
                              NULL),
                     ERR_OK);
    assert_int_equal(sql_commit(tx, &p->d), ERR_OK);
    tx = begin(p, false);
    assert_int_equal(sql_one(tx, "SELECT k, n, b FROM t WHERE n = $1", SQL_ARGS(SQL_I(-7)), see, &s), ERR_OK);
    assert_int_equal(s.n, -7);
    assert_int_equal(s.k_n, 4);
    assert_memory_equal(s.k, "𠮷", 4);
    assert_int_equal(s.b_n, 2);
    assert_memory_equal(s.b, "\0\xff", 2);
    assert_int_equal(sql_one(tx, "SELECT k, n, b FROM t WHERE n IS NULL", NULL, 0, see, &s), ERR_OK);
    assert_false(s.k_null);
    assert_false(s.b_null);
    assert_int_equal(s.k_n + s.b_n, 0);
    sql_rollback(tx);
}

static void test_codes(void **state)
{
    static const struct {
        const char *text;
        size_t n;
        enum err want;
    } cases[] = {
        { "INSERT INTO t VALUES ('a', 1, NULL)", 0, ERR_OK },
        { "INSERT INTO t VALUES ('a', 2, NULL)", 0, ERR_EXISTS },
        { "INSERT INTO t VALUES ('b', 1000, NULL)", 0, ERR_CONFLICT },
        { "INSERT INTO t VALUES ($1, 1, NULL)", 0, ERR_INVALID },
        { "INSERT INTO t VALUES ($2, 1, NULL)", 1, ERR_INVALID },
        { "INSERT INTO t VALUES (?, 1, NULL)", 1, ERR_INVALID },
        { "INSERT INTO missing VALUES (1)", 0, ERR_INVALID },
        { "INSERT INTO t VALUES (\"a1\", 1, NULL)", 0, ERR_INVALID },
        { "SELEKT 1", 0, ERR_INVALID },
        { "", 0, ERR_INVALID },
        { "DELETE FROM child; DELETE FROM t", 0, ERR_INVALID },
        { "COMMIT", 0, ERR_DENIED },
        { "ROLLBACK", 0, ERR_DENIED },
        { "SAVEPOINT x", 0, ERR_DENIED },
        { "ATTACH '/tmp/x' AS x", 0, ERR_DENIED },
    };
    struct place *p = *state;
    struct sql_value arg = SQL_T(SLICE("z"));
    struct sql_tx *tx;

    tables(p);
    tx = begin(p, true);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum err e = sql_exec(tx, cases[i].text, &arg, cases[i].n, NULL);

        if (e != cases[i].want)
            fail_msg("%s: got %s, want %s (%s)", cases[i].text, err_name(e), err_name(cases[i].want), sql_error(tx));
    }
    assert_int_equal(sql_exec(tx, "INSERT INTO t VALUES ($1, 1, NULL)", SQL_ARGS(SQL_T(SLICE("a\0b"))), NULL),
                     ERR_INVALID);
    assert_int_equal(sql_exec(tx, "INSERT INTO t VALUES ($1, 1, NULL)", SQL_ARGS(SQL_T(SLICE("\xff"))), NULL),
                     ERR_INVALID);
    assert_int_equal(sql_commit(tx, &p->d), ERR_OK);
    assert_int_equal(count(p, "SELECT COUNT(*) FROM t"), 1);
}

static void test_foreign_key(void **state)
{
    struct place *p = *state;
    struct sql_tx *tx;
    uint64_t changed = 9;

    tables(p);
    tx = begin(p, true);
    assert_int_equal(sql_exec(tx, "INSERT INTO child VALUES ('nobody')", NULL, 0, NULL), ERR_CONFLICT);
    assert_int_equal(sql_exec(tx, "DELETE FROM t WHERE k = 'nobody'", NULL, 0, &changed), ERR_OK);
    assert_int_equal(changed, 0);
    sql_rollback(tx);
}

static enum err stop_at_two(void *arg, const struct sql_row *row)
{
    int64_t *sum = arg;

    *sum += sql_int(row, 0);
    return sql_int(row, 0) == 2 ? ERR_AGAIN : ERR_OK;
}

struct nest {
    struct sql_tx *tx;
    int64_t pairs;
};

static const char numbers[] = "SELECT n FROM t ORDER BY n";

static enum err nest_inner(void *arg, const struct sql_row *row)
{
    (void)row;
    ((struct nest *)arg)->pairs++;
    return ERR_OK;
}

static enum err nest_outer(void *arg, const struct sql_row *row)
{
    (void)row;
    return sql_each(((struct nest *)arg)->tx, numbers, NULL, 0, nest_inner, arg);
}

static void test_rows(void **state)
{
    struct place *p = *state;
    struct sql_tx *tx;
    struct nest nest = { 0 };
    int64_t sum = 0, v = 0;

    tables(p);
    tx = begin(p, true);
    for (int i = 1; i <= 3; i++) {
        char k[2] = { (char)('a' + i), 0 };
        assert_int_equal(
            sql_exec(tx, "INSERT INTO t VALUES ($1, $2, NULL)", SQL_ARGS(SQL_T(slice_of(k)), SQL_I(i)), NULL), 0);
    }
    assert_int_equal(sql_each(tx, numbers, NULL, 0, stop_at_two, &sum), ERR_AGAIN);
    assert_int_equal(sum, 3);
    nest.tx = tx;
    assert_int_equal(sql_each(tx, numbers, NULL, 0, nest_outer, &nest), ERR_OK); /* a query inside itself */
    assert_int_equal(nest.pairs, 9);
    assert_int_equal(sql_one(tx, numbers, NULL, 0, one_int, &v), ERR_CONFLICT);
    assert_int_equal(sql_one(tx, "SELECT n FROM t WHERE k = 'zz'", NULL, 0, one_int, &v), ERR_NOT_FOUND);
    assert_int_equal(sql_one(tx, "UPDATE t SET n = 9 WHERE n = 3 RETURNING n", NULL, 0, one_int, &v), ERR_OK);
    assert_int_equal(v, 9);
    assert_int_equal(sql_commit(tx, &p->d), ERR_OK);
}

/* One buffer, many texts: the table goes by text and outlives its own bound. */
static void test_cache(void **state)
{
    struct place *p = *state;
    struct sql_tx *tx = begin(p, false);

    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 700; i++) {
            char text[32];
            int64_t v = -1;

            snprintf(text, sizeof text, "SELECT %d", i);
            assert_int_equal(sql_one(tx, text, NULL, 0, one_int, &v), ERR_OK);
            assert_int_equal(v, i);
        }
    sql_rollback(tx);
}

static void test_transactions(void **state)
{
    struct place *p = *state;
    struct sql_tx *tx, *second = NULL;

    tables(p);
    tx = begin(p, true);
    assert_int_equal(sql_begin(p->s, false, &second, NULL), ERR_BUSY);
    assert_null(second);
    assert_int_equal(sql_exec(tx, "INSERT INTO t VALUES ('a', 1, NULL)", NULL, 0, NULL), ERR_OK);
    sql_rollback(tx);
    sql_rollback(NULL);
    assert_int_equal(sql_exec(tx, "INSERT INTO t VALUES ('a', 1, NULL)", NULL, 0, NULL),
                     ERR_INVALID); /* after its end */
    assert_int_equal(count(p, "SELECT COUNT(*) FROM t"), 0);
    tx = begin(p, false);
    assert_int_equal(sql_exec(tx, "INSERT INTO t VALUES ('a', 1, NULL)", NULL, 0, NULL), ERR_DENIED);
    assert_int_equal(sql_commit(tx, &p->d), ERR_OK);
    assert_int_equal(count(p, "SELECT COUNT(*) FROM t"), 0);
    tx = begin(p, true);
    assert_int_equal(sql_exec(tx, "INSERT INTO t VALUES ('a', 1, NULL)", NULL, 0, NULL), ERR_OK);
    assert_int_equal(sql_commit(tx, &p->d), ERR_OK);
    p->s = sql_close(p->s);
    place_open(p);
    assert_int_equal(count(p, "SELECT COUNT(*) FROM t"), 1);
}

/* What was committed is there after SIGKILL, what was not is not, and the lock of the dead is gone. */
static void test_killed(void **state)
{
    struct place *p = *state;
    int status;
    pid_t pid;

    tables(p);
    p->s = sql_close(p->s);
    pid = fork();
    if (pid == 0) {
        struct sql_tx *tx = NULL;

        if (sql_open(p->path, &p->s, NULL) || sql_begin(p->s, true, &tx, NULL) ||
            sql_exec(tx, "INSERT INTO t VALUES ('kept', 1, NULL)", NULL, 0, NULL) || sql_commit(tx, NULL) ||
            sql_begin(p->s, true, &tx, NULL) || sql_exec(tx, "INSERT INTO t VALUES ('lost', 1, NULL)", NULL, 0, NULL))
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    place_open(p);
    assert_int_equal(count(p, "SELECT COUNT(*) FROM t WHERE k = 'kept'"), 1);
    assert_int_equal(count(p, "SELECT COUNT(*) FROM t"), 1);
}

static void test_lock_and_modes(void **state)
{
    static const char *const suffix[] = { "", "-wal", "-shm", ".lock" };
    struct place *p = *state;
    struct stat st;
    int status;
    pid_t pid;

    tables(p);
    for (size_t i = 0; i < 4; i++) {
        char name[160];

        snprintf(name, sizeof name, "%s%s", p->path, suffix[i]);
        assert_int_equal(stat(name, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    pid = fork();
    if (pid == 0) {
        struct sql *other = NULL;
        _exit(sql_open(p->path, &other, NULL) == ERR_BUSY && !other ? 42 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 42);
    p->s = sql_close(p->s);
    assert_int_equal(chmod(p->path, 0640), 0);
    assert_int_equal(sql_open(p->path, &p->s, &p->d), ERR_DENIED);
    assert_int_equal(chmod(p->path, 0600), 0);
    place_open(p);
}

static void test_not_a_database(void **state)
{
    struct place *p = *state;
    char name[160];
    struct sql *other = NULL;

    snprintf(name, sizeof name, "%s/other.db", p->dir);
    assert_int_equal(file_write(name, SLICE("this is no database, it is a letter to the mayor, long enough to be read"),
                                0600, &p->d),
                     ERR_OK);
    assert_int_equal(sql_open(name, &other, &p->d), ERR_CORRUPT);
    assert_int_equal(sql_open("/nonexistent/folder/state.db", &other, &p->d), ERR_NOT_FOUND);
    assert_null(other);
    assert_int_equal(p->d.count, 2);
}

/* A file that may not grow stands for a full disk. The transaction is over; the next one works when there is room. */
static void test_full(void **state)
{
    struct place *p = *state;
    struct rlimit old, tight = { .rlim_cur = 200000 };
    struct sql_tx *tx;
    enum err e = ERR_OK, after;

    tables(p);
    getrlimit(RLIMIT_FSIZE, &old);
    tight.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    tx = begin(p, true);
    e = sql_exec(tx, "INSERT INTO t VALUES ('big', 1, zeroblob(500000))", NULL, 0, NULL);
    after = sql_commit(tx, &p->d);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_true(e == ERR_OK || e == ERR_FULL);
    assert_int_equal(after, ERR_FULL);
    assert_int_equal(count(p, "SELECT COUNT(*) FROM t"), 0);
    tx = begin(p, true);
    assert_int_equal(sql_exec(tx, "INSERT INTO t VALUES ('big', 1, zeroblob(500000))", NULL, 0, NULL), ERR_OK);
    assert_int_equal(sql_commit(tx, &p->d), ERR_OK);
    assert_int_equal(count(p, "SELECT COUNT(*) FROM t"), 1);
}

/* No room in the middle of a statement: SQLite has rolled back by then, and what follows must not run on its own. */
static void test_full_halfway(void **state)
{
    struct place *p = *state;
    struct rlimit old, tight;
    struct sql_tx *tx;

    tables(p);
    getrlimit(RLIMIT_FSIZE, &old);
    tight = (struct rlimit){ .rlim_cur = 200000, .rlim_max = old.rlim_max };
    signal(SIGXFSZ, SIG_IGN);
    tx = begin(p, true);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    assert_int_equal(sql_exec(tx, "INSERT INTO t VALUES ('big', 1, zeroblob(20000000))", NULL, 0, NULL), ERR_FULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(sql_exec(tx, "INSERT INTO t VALUES ('after', 1, NULL)", NULL, 0, NULL), ERR_FULL);
    assert_int_equal(sql_commit(tx, &p->d), ERR_FULL);
    assert_int_equal(count(p, "SELECT COUNT(*) FROM t"), 0);
}

/* Another program with the file open (a backup tool) that writes: our begin says so, and readers are not held up. */
static void test_busy(void **state)
{
    struct place *p = *state;
    struct sql_tx *tx = NULL;
    sqlite3 *other = NULL;

    tables(p);
    assert_int_equal(sqlite3_open(p->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE; INSERT INTO t VALUES ('x', 1, NULL)", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sql_begin(p->s, true, &tx, &p->d), ERR_BUSY);
    assert_null(tx);
    assert_int_equal(count(p, "SELECT COUNT(*) FROM t"), 0);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    sql_rollback(begin(p, true));
}

/* When SQLite itself finds no room in the middle of a statement, the transaction may end there: nothing after it
 * counts. */
static void test_full_inside(void **state)
{
    struct place *p = *state;
    struct sql_tx *tx;
    int64_t v;

    tables(p);
    tx = begin(p, true);
    assert_int_equal(sql_one(tx, "PRAGMA max_page_count=20", NULL, 0, one_int, &v), ERR_OK);
    assert_int_equal(sql_exec(tx, "INSERT INTO t VALUES ('small', 1, NULL)", NULL, 0, NULL), ERR_OK);
    assert_int_equal(sql_exec(tx, "INSERT INTO t VALUES ('big', 1, zeroblob(500000))", NULL, 0, NULL), ERR_FULL);
    if (sql_exec(tx, "INSERT INTO t VALUES ('after', 1, NULL)", NULL, 0, NULL) == ERR_OK)
        assert_int_equal(sql_commit(tx, &p->d), ERR_OK);
    else
        assert_int_equal(sql_commit(tx, NULL), ERR_FULL);
    v = count(p, "SELECT COUNT(*) FROM t");
    assert_true(v == 0 || v == 2);
}

static const struct sql_migration steps[] = {
    { "CREATE TABLE m (a TEXT);\n-- a comment; with a semicolon\nINSERT INTO m VALUES ('x;y');" },
    { "ALTER TABLE m ADD COLUMN b BIGINT; CREATE INDEX m_b ON m (b)" },
};
static const struct sql_migration bad_steps[] = {
    { "" },
    { "" },
    { "CREATE TABLE halfway (a TEXT); NONSENSE" },
};
static const struct sql_migration rude_steps[] = { { "" }, { "" }, { "CREATE TABLE rude (a TEXT); COMMIT" } };

static void test_migrate(void **state)
{
    struct place *p = *state;
    char copy[200];

    snprintf(copy, sizeof copy, "%s.before-m-1", p->path);
    assert_int_equal(sql_migrate(p->s, "m", steps, 1, &p->d), ERR_OK);
    assert_int_equal(count(p, "SELECT version FROM schema_version WHERE prefix = 'm'"), 1);
    assert_int_equal(count(p, "SELECT COUNT(*) FROM m WHERE a = 'x;y'"), 1);
    assert_int_not_equal(access(copy, F_OK), 0);
    assert_int_equal(sql_migrate(p->s, "m", steps, 2, &p->d), ERR_OK);
    assert_int_equal(access(copy, F_OK), 0);
    assert_int_equal(sql_migrate(p->s, "m", steps, 2, &p->d), ERR_OK); /* again: nothing to do */
    assert_int_equal(count(p, "SELECT version FROM schema_version WHERE prefix = 'm'"), 2);
    assert_int_equal(p->d.count, 0);
    assert_int_equal(sql_migrate(p->s, "m", steps, 1, &p->d), ERR_CONFLICT); /* an older program */
    assert_int_equal(sql_migrate(p->s, "m", bad_steps, 3, &p->d), ERR_INVALID);
    assert_int_equal(count(p, "SELECT COUNT(*) FROM sqlite_master WHERE name = 'halfway'"), 0);
    assert_int_equal(count(p, "SELECT version FROM schema_version WHERE prefix = 'm'"), 2);
    assert_int_equal(sql_migrate(p->s, "m", rude_steps, 3, &p->d), ERR_INVALID);
    assert_int_equal(count(p, "SELECT version FROM schema_version WHERE prefix = 'm'"), 2);
    assert_int_equal(sql_migrate(p->s, "M;", steps, 1, &p->d), ERR_INVALID);
}

static void test_backup(void **state)
{
    struct place *p = *state;
    struct sql_tx *tx;
    struct stat st;
    char to[160];

    snprintf(to, sizeof to, "%s/copy.db", p->dir);
    tables(p);
    tx = begin(p, true);
    assert_int_equal(sql_exec(tx, "INSERT INTO t VALUES ('a', 1, zeroblob(100000))", NULL, 0, NULL), ERR_OK);
    assert_int_equal(sql_backup(p->s, to, NULL), ERR_BUSY);
    assert_int_equal(sql_commit(tx, &p->d), ERR_OK);
    assert_int_equal(sql_backup(p->s, to, &p->d), ERR_OK);
    assert_int_equal(sql_backup(p->s, to, NULL), ERR_EXISTS);
    assert_int_equal(stat(to, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    p->s = sql_close(p->s);
    assert_int_equal(sql_open(to, &p->s, &p->d), ERR_OK);
    assert_int_equal(count(p, "SELECT LENGTH(b) FROM t"), 100000);
}

/* The n-th allocation of ours fails: an error, never a crash, and the connection goes on. */
static void test_no_memory(void **state)
{
    struct place *p = *state;

    p->s = sql_close(p->s);
    for (size_t n = 1; n < 12; n++) {
        struct sql *s = NULL;
        enum err e;

        mem_fail_nth(n);
        e = sql_open(p->path, &s, NULL);
        mem_fail_nth(0);
        assert_true((e == ERR_OK) == (s != NULL));
        sql_close(s);
    }
    place_open(p);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, place_make, place_clear)
    const struct CMUnitTest tests[] = {
        CASE(test_values),         CASE(test_codes),        CASE(test_foreign_key), CASE(test_rows),
        CASE(test_cache),          CASE(test_transactions), CASE(test_killed),      CASE(test_lock_and_modes),
        CASE(test_full),           CASE(test_full_halfway), CASE(test_busy),        CASE(test_full_inside),
        CASE(test_not_a_database), CASE(test_migrate),      CASE(test_backup),      CASE(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
