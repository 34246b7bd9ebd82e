/* The failing hook, overflow checks, copies and wiping. */
#include "unit.h"

static void hook(void **state)
{
    void *p, *q;

    (void)state;
    mem_fail_nth(2);
    p = mem_alloc(8);
    assert_non_null(p);
    assert_null(mem_zalloc(8));
    q = mem_array(2, 8);
    assert_non_null(q);
    assert_int_equal(mem_fail_nth(0), 3);
    assert_int_equal(mem_fail_nth(0), 0);
    mem_free(q);
    assert_null(mem_free(p));
}

static void growing_keeps_the_old_on_failure(void **state)
{
    char *p = mem_dup(SLICE("abc"));

    (void)state;
    mem_fail_nth(1);
    assert_null(mem_grow(p, 100));
    mem_fail_nth(0);
    assert_string_equal(p, "abc");
    p = mem_grow(p, 100);
    assert_string_equal(p, "abc");
    mem_free(p);
}

static void sizes(void **state)
{
    volatile size_t huge = SIZE_MAX;
    char *p;

    (void)state;
    assert_null(mem_array(huge / 2, 3));
    assert_null(mem_alloc(huge));
    assert_null(mem_zalloc(huge - 8));
    assert_null(mem_grow(NULL, huge));
    p = mem_alloc(0);
    assert_non_null(p);
    p = mem_free(p);
    p = mem_array(3, 5);
    for (int i = 0; i < 15; i++)
        assert_int_equal(p[i], 0);
    memset(p, 'x', 15);
    mem_wipe(p, 15);
    mem_wipe(NULL, 0);
    for (int i = 0; i < 15; i++)
        assert_int_equal(p[i], 0);
    mem_libc_free(p);
    p = mem_dup(slice_of(NULL));
    assert_string_equal(p, "");
    mem_free(p);
    mem_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(hook), cmocka_unit_test(growing_keeps_the_old_on_failure),
                                        cmocka_unit_test(sizes) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
