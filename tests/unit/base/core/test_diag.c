/* Places, both languages, the limit of what is kept, system errors, and no memory. */
#include "unit.h"
#include <errno.h>

static void adding(void **state)
{
    struct buf out = BUF_INIT(10000);
    struct arena a;
    struct diags d;

    (void)state;
    arena_init(&a, 100000);
    diags_init(&d, &a);
    assert_int_equal(d.worst, ERR_OK);
    d.file = SLICE("x.yaml");
    assert_int_equal(diag_add(&d, ERR_SYNTAX, 3, 7, "bad '%s' (%d)", "“%s”有误（%d）", "k", 5), ERR_SYNTAX);
    diag_add(&d, ERR_INVALID, 0, 0, "no place", "无位置");
    d.file = (struct slice){ NULL, 0 };
    diag_add(&d, ERR_INVALID, 2, 1, "no file", "无文件");
    assert_int_equal(diag_sys(&d, ENOENT, "cannot open %s", "无法打开 %s", "f"), ERR_NOT_FOUND);
    assert_int_equal(diag_sys(&d, EACCES, "cannot open %s", "无法打开 %s", "f"), ERR_SYS);
    assert_int_equal(diag_sys(&d, ENOSPC, "cannot write", "无法写入"), ERR_FULL);
    assert_int_equal(d.count, 6);
    assert_int_equal(d.worst, ERR_SYNTAX);
    assert_int_equal(d.first->next->next->next->sys, ENOENT);
    diags_print(&d, LANG_EN, &out);
    assert_text(buf_slice(&out), "x.yaml:3:7: bad 'k' (5)\n"
                                 "x.yaml: no place\n"
                                 "2:1: no file\n"
                                 "cannot open f: No such file or directory\n"
                                 "cannot open f: Permission denied\n"
                                 "cannot write: No space left on device\n");
    buf_clear(&out);
    diags_print(&d, LANG_ZH, &out);
    assert_true(
        slice_starts(buf_slice(&out), SLICE("x.yaml:3:7: “k”有误（5）\nx.yaml: 无位置\n2:1: 无文件\n无法打开 f: ")));
    buf_done(&out);
    arena_done(&a);
    assert_int_equal(diag_add(NULL, ERR_FULL, 1, 1, "%d", "%d", 1), ERR_FULL);
    assert_int_equal(diag_sys(NULL, EIO, "x", "x"), ERR_SYS);
}

static void at_most_a_hundred(void **state)
{
    struct buf out = BUF_INIT(10000);
    struct arena a;
    struct diags d;
    unsigned kept = 0;

    (void)state;
    arena_init(&a, 1000000);
    diags_init(&d, &a);
    for (int i = 0; i < 250; i++)
        diag_add(&d, ERR_INVALID, 1, 1, "%d", "%d", i);
    for (const struct diag *x = d.first; x; x = x->next)
        kept++;
    assert_int_equal(kept, 100);
    assert_int_equal(d.count, 250);
    diags_print(&d, LANG_EN, &out);
    assert_true(slice_ends(buf_slice(&out), SLICE("150 more not shown\n")));
    buf_done(&out);
    arena_done(&a);
}

/* Even without memory the code and the count are right, and printing works. */
static void no_memory(void **state)
{
    struct buf out = BUF_INIT(10000);

    (void)state;
    for (size_t cap = 0; cap < 400; cap += 16) {
        struct arena a;
        struct diags d;

        arena_init(&a, cap);
        diags_init(&d, &a);
        assert_int_equal(diag_add(&d, ERR_CORRUPT, 1, 1, "a text of some length", "一段文字"), ERR_CORRUPT);
        assert_int_equal(diag_add(&d, ERR_FULL, 1, 1, "another", "另一段"), ERR_FULL);
        assert_int_equal(d.count, 2);
        assert_int_equal(d.worst, ERR_CORRUPT);
        buf_clear(&out);
        diags_print(&d, LANG_EN, &out);
        assert_true(out.n > 0);
        arena_done(&a);
    }
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(adding), cmocka_unit_test(at_most_a_hundred),
                                        cmocka_unit_test(no_memory) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
