/* Alignment, caps, lent memory, and that what is really held stays near what was asked for. */
#include "unit.h"

static void aligned_and_apart(void **state)
{
    struct arena a;
    char *before = NULL;

    (void)state;
    arena_init(&a, 1 << 20);
    for (size_t n = 0; n < 300; n++) {
        char *p = arena_alloc(&a, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        assert_ptr_not_equal(p, before);
        memset(p, (int)n, n);
        before = p;
    }
    arena_done(&a);
    assert_null(a.chunks);
    assert_int_equal(a.used, 0);
    assert_non_null(arena_zalloc(&a, 100)); /* usable again */
    arena_done(&a);
}

static void cap(void **state)
{
    static const size_t pieces[] = { 1, 16, 100, 1000, 5000, 70000 };

    (void)state;
    for (size_t i = 0; i < COUNT(pieces); i++) {
        struct arena a;
        size_t got = 0;

        arena_init(&a, 100000);
        mem_fail_nth(1);
        assert_null(arena_alloc(&a, pieces[i]));
        mem_fail_nth(0);
        assert_false(a.capped);
        while (arena_alloc(&a, pieces[i]) != NULL)
            got += (pieces[i] + 15) / 16 * 16;
        assert_true(a.capped);
        assert_int_equal(a.used, got);
        assert_true(got <= 100000 && got + (pieces[i] + 15) / 16 * 16 > 100000);
        arena_done(&a);
        assert_null(arena_alloc(&a, 100001));
        assert_null(arena_alloc(&a, SIZE_MAX));
        assert_null(arena_alloc(&a, SIZE_MAX - 15));
        assert_null(arena_array(&a, SIZE_MAX / 2, 3));
        arena_done(&a);
    }
}

/* Big pieces among small ones must not throw away the chunk that small ones are cut from. */
static void big_ones_stand_alone(void **state)
{
    struct arena a;
    size_t made;

    (void)state;
    arena_init(&a, 1 << 24);
    arena_alloc(&a, 16);
    mem_fail_nth(0);
    for (int i = 0; i < 100; i++) {
        assert_non_null(arena_alloc(&a, 16));
        memset(arena_alloc(&a, 3000), 1, 3000);
    }
    made = mem_fail_nth(0);
    assert_true(made <= 102);
    arena_done(&a);
}

static void chunks_grow(void **state)
{
    struct arena a;
    size_t made;

    (void)state;
    arena_init(&a, 1 << 22);
    mem_fail_nth(0);
    for (int i = 0; i < (1 << 22) / 64; i++)
        assert_non_null(arena_alloc(&a, 64));
    made = mem_fail_nth(0);
    assert_true(made >= 64 && made <= 72);
    arena_done(&a);
}

static void lent_memory_first(void **state)
{
    char mem[1000];
    struct arena a;
    char *p;

    (void)state;
    arena_init_with(&a, 5000, mem + 1, sizeof mem - 1);
    mem_fail_nth(0);
    p = arena_zalloc(&a, 900);
    assert_true(p > mem && p + 900 <= mem + sizeof mem);
    assert_int_equal((uintptr_t)p % 16, 0);
    assert_int_equal(mem_fail_nth(0), 0);
    p = arena_alloc(&a, 900);
    assert_true(p < mem || p >= mem + sizeof mem);
    assert_int_equal(mem_fail_nth(0), 1);
    arena_done(&a);
    p = arena_alloc(&a, 16);
    assert_true(p < mem || p >= mem + sizeof mem);
    arena_done(&a);
    arena_init_with(&a, 112, mem + 1, 3); /* too little to be of use */
    assert_non_null(arena_alloc(&a, 100));
    arena_done(&a);
}

static void texts(void **state)
{
    struct arena a;
    struct slice s;

    (void)state;
    arena_init(&a, 10000);
    assert_string_equal(arena_str(&a, SLICE("abc")), "abc");
    assert_string_equal(arena_str(&a, slice_of(NULL)), "");
    s = arena_dup(&a, SLICE("x\0y"));
    assert_true(slice_eq(s, SLICE("x\0y")));
    assert_int_equal(arena_dup(&a, slice_of(NULL)).n, 0);
    assert_string_equal(arena_printf(&a, "%s-%d", "n", 42), "n-42");
    assert_null(arena_printf(&a, "%20000d", 1));
    arena_done(&a);
}

static bool work(void)
{
    struct arena a;
    bool ok = true;

    arena_init(&a, 1 << 20);
    for (int i = 0; i < 100; i++) {
        ok &= arena_alloc(&a, 1000) != NULL;
        ok &= arena_printf(&a, "%d", i) != NULL;
        ok &= arena_dup(&a, SLICE("some text")).n == 9;
    }
    arena_done(&a);
    return ok;
}

static void failing(void **state)
{
    (void)state;
    each_allocation_fails(work);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aligned_and_apart), cmocka_unit_test(cap),   cmocka_unit_test(big_ones_stand_alone),
        cmocka_unit_test(chunks_grow),       cmocka_unit_test(texts), cmocka_unit_test(lent_memory_first),
        cmocka_unit_test(failing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
