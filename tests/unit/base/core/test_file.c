/* Whole reads with a cap, atomic writes, permissions, folders: in a folder made for the run. */
#include "unit.h"
#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];
static struct arena arena;
static struct diags diags;

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/sluice-file-XXXXXX");
    arena_init(&arena, 1 << 20);
    diags_init(&diags, &arena);
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    char command[128];

    (void)state;
    arena_done(&arena);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static const char *in_dir(const char *name)
{
    const char *path = path_join(&arena, dir, name);

    assert_non_null(path);
    return path;
}

static unsigned entries(void)
{
    DIR *d = opendir(dir);
    unsigned n = 0;

    assert_non_null(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n - 2; /* . and .. */
}

static void write_and_read(void **state)
{
    struct buf b = BUF_INIT(100000);
    struct stat st;
    const char *path = in_dir("f");

    (void)state;
    buf_puts(&b, "stale");
    assert_int_equal(file_read(path, &b, &diags), ERR_NOT_FOUND);
    assert_int_equal(diags.first->sys, 2);
    assert_int_equal(file_write(path, SLICE("one"), 0640, &diags), ERR_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(file_read(path, &b, &diags), ERR_OK);
    assert_text(buf_slice(&b), "one");
    assert_int_equal(file_write(path, SLICE("second"), 0600, &diags), ERR_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(file_read(path, &b, &diags), ERR_OK);
    assert_text(buf_slice(&b), "second");
    assert_int_equal(file_write(path, slice_of(NULL), 0600, &diags), ERR_OK);
    assert_int_equal(file_read(path, &b, &diags), ERR_OK);
    assert_int_equal(b.n, 0);
    assert_int_equal(entries(), 1); /* no neighbour stays behind */
    buf_done(&b);
}

static void caps(void **state)
{
    static const struct {
        size_t size, cap;
        enum err want;
    } rows[] = { { 100, 100, ERR_OK },     { 101, 100, ERR_TOO_LARGE },
                 { 16384, 16384, ERR_OK }, { 50000, 49999, ERR_TOO_LARGE },
                 { 50000, 50001, ERR_OK }, { 0, 0, ERR_OK },
                 { 1, 0, ERR_TOO_LARGE } };
    char *data = mem_zalloc(50000);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf b = BUF_INIT(rows[i].cap);
        assert_int_equal(file_write(in_dir("g"), (struct slice){ data, rows[i].size }, 0600, &diags), ERR_OK);
        assert_int_equal(file_read(in_dir("g"), &b, &diags), rows[i].want);
        if (rows[i].want == ERR_OK)
            assert_int_equal(b.n, rows[i].size);
        buf_done(&b);
    }
    mem_free(data);
}

/* A write that fails leaves the old content and no neighbour. */
static void failed_write(void **state)
{
    struct buf b = BUF_INIT(100);
    unsigned before = entries();

    (void)state;
    assert_int_equal(file_write(in_dir("no/such/folder"), SLICE("x"), 0600, &diags), ERR_NOT_FOUND);
    assert_int_equal(mkdir(in_dir("full"), 0700), 0);
    assert_int_equal(mkdir(in_dir("full/inside"), 0700), 0);
    assert_int_equal(file_write(in_dir("full"), SLICE("x"), 0600, &diags), ERR_SYS); /* rename over a folder */
    assert_int_equal(entries(), before + 1);
    assert_int_equal(file_read(dir, &b, &diags), ERR_SYS);
    mem_fail_nth(1);
    assert_int_equal(file_write(in_dir("h"), SLICE("x"), 0600, NULL), ERR_NOMEM);
    mem_fail_nth(0);
    assert_int_equal(entries(), before + 1);
    buf_done(&b);
}

static void relative_path(void **state)
{
    char cwd[4096];

    (void)state;
    assert_non_null(getcwd(cwd, sizeof cwd));
    assert_int_equal(chdir(dir), 0);
    assert_int_equal(file_write("relative", SLICE("x"), 0600, &diags), ERR_OK);
    assert_int_equal(access(in_dir("relative"), R_OK), 0);
    assert_int_equal(dir_make("a/b", 0700, &diags), ERR_OK);
    assert_int_equal(access(in_dir("a/b"), X_OK), 0);
    assert_int_equal(chdir(cwd), 0);
}

static void private_files(void **state)
{
    static const struct {
        unsigned mode;
        enum err want;
    } rows[] = { { 0600, ERR_OK },     { 0400, ERR_OK },     { 0640, ERR_DENIED }, { 0604, ERR_DENIED },
                 { 0620, ERR_DENIED }, { 0601, ERR_DENIED }, { 0700, ERR_OK } };
    struct buf out = BUF_INIT(100000);
    const char *path = in_dir("key");

    (void)state;
    assert_int_equal(file_check_private(in_dir("nothing"), &diags), ERR_NOT_FOUND);
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(file_write(path, SLICE("k"), rows[i].mode, &diags), ERR_OK);
        assert_int_equal(file_check_private(path, &diags), rows[i].want);
    }
    diags_print(&diags, LANG_EN, &out);
    assert_non_null(memmem(out.p, out.n, "chmod 600 /tmp/sluice-file-", 27));
    assert_int_equal(chmod(dir, 0755), 0);
    assert_int_equal(file_check_private(dir, &diags), ERR_DENIED);
    assert_int_equal(chmod(dir, 0700), 0);
    assert_int_equal(file_check_private(dir, &diags), ERR_OK);
    assert_int_equal(file_check_private(geteuid() == 0 ? dir : "/etc", NULL), geteuid() == 0 ? ERR_OK : ERR_DENIED);
    buf_done(&out);
}

static void folders(void **state)
{
    char too_long[5000];

    (void)state;
    memset(too_long, 'x', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    assert_int_equal(dir_make(in_dir("p/q/r/"), 0700, &diags), ERR_OK);
    assert_int_equal(dir_make(in_dir("p/q/r"), 0700, &diags), ERR_OK);
    assert_int_equal(dir_make(in_dir("p//q/s"), 0700, &diags), ERR_OK);
    assert_int_equal(access(in_dir("p/q/s"), X_OK), 0);
    assert_int_equal(file_write(in_dir("plain"), SLICE("x"), 0600, &diags), ERR_OK);
    assert_int_equal(dir_make(in_dir("plain"), 0700, &diags), ERR_SYS);
    assert_int_equal(dir_make(in_dir("plain/below"), 0700, &diags), ERR_SYS);
    assert_int_equal(dir_make("", 0700, &diags), ERR_NOT_FOUND);
    assert_int_equal(dir_make(too_long, 0700, &diags), ERR_SYS);
    assert_int_equal(dir_make("/", 0700, &diags), ERR_OK);
}

static void joining(void **state)
{
    struct arena none;

    (void)state;
    assert_string_equal(path_join(&arena, "a/b", "c"), "a/b/c");
    assert_string_equal(path_join(&arena, "/", "c"), "/c");
    assert_string_equal(path_join(&arena, "", "c"), "c");
    arena_init(&none, 0);
    assert_null(path_join(&none, "a", "b"));
}

static void what_is_there_is_not_overwritten(void **state)
{
    struct buf out = BUF_INIT(64);
    int before = entries();

    (void)state;
    assert_int_equal(file_create(in_dir("anew"), SLICE("first"), 0600, &diags), ERR_OK);
    assert_int_equal(file_create(in_dir("anew"), SLICE("second"), 0600, &diags), ERR_EXISTS);
    assert_int_equal(file_read(in_dir("anew"), &out, &diags), ERR_OK);
    assert_text(buf_slice(&out), "first");
    assert_int_equal(entries(), before + 1);
    assert_int_equal(file_create(in_dir("no/such/anew"), SLICE("x"), 0600, &diags), ERR_NOT_FOUND);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_and_read), cmocka_unit_test(caps),
        cmocka_unit_test(failed_write),   cmocka_unit_test(relative_path),
        cmocka_unit_test(private_files),  cmocka_unit_test(folders),
        cmocka_unit_test(joining),        cmocka_unit_test(what_is_there_is_not_overwritten),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
