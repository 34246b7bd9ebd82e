/* The failing hook, overflow checks, copies and wiping. */
#include <malloc.h>
#include <pthread.h>
#include "unit.h"
#include "base/core/mem_kept.h"

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

/* The same of small ones: of every size, cleared when that was asked for, and never shorter than it. */
static void kept_small(void **state)
{
    enum { SIZES = 1200 };
    static unsigned char *at[SIZES];

    (void)state;
    for (size_t round = 0; round < 6; round++) {
        for (size_t i = 0; i < SIZES; i++) {
            size_t n = round % 2 ? i : SIZES - 1 - i;
            at[i] = round % 3 == 1 ? mem_zalloc(n) : round % 3 == 2 ? mem_grow(NULL, n) : mem_alloc(n);
            assert_non_null(at[i]);
            assert_true(malloc_usable_size(at[i]) >= n);
            for (size_t k = 0; round % 3 == 1 && k < n; k++)
                assert_int_equal(at[i][k], 0);
            memset(at[i], (int)i, n);
        }
        for (size_t i = 0; i < SIZES; i++) {
            size_t n = round % 2 ? i : SIZES - 1 - i;
            assert_true(n == 0 || (at[i][0] == (i & 0xff) && at[i][n - 1] == (i & 0xff)));
        }
        for (size_t i = 0; i < SIZES; i++)
            at[i * 7 % SIZES] = mem_free(at[i * 7 % SIZES]);
    }
}

/* Blocks of every size that a thread may keep: each has the bytes that were asked for, and nobody has two of one. */
static void kept_blocks(void **state)
{
    enum { SIZES = 400 };
    static unsigned char *at[SIZES];

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < SIZES; i++) {
            size_t n = 1000 + 100 * ((i * 7 + (size_t)round) % SIZES);
            at[i] = round == 1 ? mem_zalloc(n) : mem_alloc(n);
            assert_non_null(at[i]);
            for (size_t k = 0; round == 1 && k < n; k++)
                assert_int_equal(at[i][k], 0);
            memset(at[i], (int)i, n);
        }
        for (size_t i = 0; i < SIZES; i++) {
            size_t n = 1000 + 100 * ((i * 7 + (size_t)round) % SIZES);
            assert_int_equal(at[i][0], i & 0xff);
            assert_int_equal(at[i][n - 1], i & 0xff);
            if (i % 3 == 0) {
                at[i] = mem_grow(at[i], n + 3000);
                assert_non_null(at[i]);
                assert_int_equal(at[i][n - 1], i & 0xff);
                memset(at[i], (int)i, n + 3000);
            }
        }
        for (size_t i = 0; i < SIZES; i++)
            at[i] = mem_free(at[i]);
    }
}

static size_t in_use(void)
{
    return mallinfo2().uordblks;
}

/* What grows, as a text does that is put together, and is freed each time leaves no more behind after the thousandth
 * time than the first. */
static void grown_blocks_go_round(void **state)
{
    size_t first = 0;

    (void)state;
    kept_clear();
    for (int i = 0; i < 1000; i++) {
        char *a = mem_grow(NULL, 65), *b = mem_library_alloc(100);
        a = mem_grow(a, 320);
        b = mem_library_grow(b, 5000);
        assert_non_null(a);
        assert_non_null(b);
        memset(a, 'a', 320);
        a = mem_grow(a, 40000);
        assert_non_null(a);
        assert_int_equal(a[319], 'a');
        mem_free(a);
        mem_library_free(b);
        if (i == 0)
            first = in_use();
    }
    assert_true(in_use() <= first + 1024);
}

/* What one thread frees and never asks for is given back, and what it asks for now and then is kept. */
static void blocks_without_use_are_freed(void **state)
{
    enum { BLOCKS = 400, USED = 200, SLACK = 20, SIZE = 1000 }; /* the C library keeps seven itself */
    static void *at[BLOCKS];
    size_t before, after;

    (void)state;
    kept_clear();
    before = in_use();
    for (int i = 0; i < BLOCKS; i++)
        assert_non_null(at[i] = mem_library_alloc(SIZE));
    kept_sweep(INT64_MAX / 4);
    for (int i = 0; i < BLOCKS; i++)
        mem_free(at[i]);
    kept_sweep(INT64_MAX / 4 + 10000); /* there were none at first: all were in use */
    after = in_use();
#ifndef SLUICE_SANITIZED
    assert_true(after >= before + (size_t)(BLOCKS - SLACK) * SIZE);
#endif
    for (int i = 0; i < USED; i++)
        assert_non_null(at[i] = mem_library_alloc(SIZE));
    for (int i = 0; i < USED; i++)
        mem_free(at[i]);
    kept_sweep(INT64_MAX / 4 + 19999); /* too early */
    assert_true(in_use() >= after);
    kept_sweep(INT64_MAX / 4 + 20000);
    after = in_use();
    assert_true(after <= before + (size_t)(USED + SLACK) * SIZE);
#ifndef SLUICE_SANITIZED
    assert_true(after >= before + (size_t)(USED - SLACK) * SIZE);
#endif
    kept_clear();
}

static void *give_and_end(void *unused)
{
    static char failed;
    void *p = mem_alloc(2000), *q = mem_library_alloc(20000), *grown = mem_library_grow(q, 30000);
    bool ok = p != NULL && q != NULL && grown != NULL && mem_library_alloc(0) == NULL;

    if (grown == NULL)
        mem_library_free(q);
    else if (mem_library_grow(grown, 0) != NULL)
        ok = false;
    mem_free(p);
    return ok ? unused : &failed;
}

/* What a thread kept is freed at its end: a hundred of them leave nothing that a leak checker finds. */
static void threads_end(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        pthread_t t;
        void *failed;
        assert_int_equal(pthread_create(&t, NULL, give_and_end, NULL), 0);
        pthread_join(t, &failed);
        assert_null(failed);
    }
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
    const struct CMUnitTest tests[] = { cmocka_unit_test(hook),
                                        cmocka_unit_test(growing_keeps_the_old_on_failure),
                                        cmocka_unit_test(sizes),
                                        cmocka_unit_test(kept_blocks),
                                        cmocka_unit_test(kept_small),
                                        cmocka_unit_test(threads_end),
                                        cmocka_unit_test(grown_blocks_go_round),
                                        cmocka_unit_test(blocks_without_use_are_freed) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
