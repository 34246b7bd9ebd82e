/* Caps, sticky failure, printf at the edge of the room, dropping from the front. */
#include "unit.h"

static void appending(void **state)
{
    struct buf b = BUF_INIT(1000);

    (void)state;
    buf_puts(&b, "abc");
    buf_putc(&b, '-');
    buf_put(&b, SLICE("d\0e"));
    buf_put(&b, slice_of(NULL));
    buf_put_u64(&b, 0);
    buf_put_u64(&b, UINT64_MAX);
    buf_printf(&b, "[%s:%03d]", "x", 7);
    assert_true(slice_eq(buf_slice(&b), SLICE("abc-d\0e018446744073709551615[x:007]")));
    buf_drop(&b, 4);
    assert_true(slice_starts(buf_slice(&b), SLICE("d\0e0")));
    buf_drop(&b, 0);
    buf_drop(&b, 9999);
    assert_int_equal(b.n, 0);
    buf_done(&b);
    assert_null(b.p);
    assert_int_equal(b.cap, 1000);
}

/* A buffer that begins in memory of others, of every size around what is put into it. */
static void lent(void **state)
{
    (void)state;
    for (size_t n = 1; n < 40; n++)
        for (size_t cap = 10; cap <= 1000; cap += 990) {
            char mem[41];
            struct buf b;
            memset(mem, '#', sizeof mem);
            buf_init_with(&b, cap, mem, n);
            for (int i = 0; i < 10; i++)
                buf_putc(&b, (char)('0' + i));
            assert_text(buf_slice(&b), "0123456789");
            assert_true((b.p == mem) == (n > 10));
            buf_printf(&b, "%s", "0123456789");
            assert_int_equal(b.failed, cap == 10 ? ERR_TOO_LARGE : ERR_OK);
            assert_int_equal(b.n, cap == 10 ? 10 : 20);
            assert_int_equal(mem[n], '#');
            buf_done(&b);
            assert_null(b.p);
        }
}

/* Filling to exactly the cap works by every way in; one byte more fails, sticks, and changes nothing. */
static void caps(void **state)
{
    static const size_t tops[] = { 1, 2, 126, 127, 128, 129, 255, 256, 1000, 4096 };

    (void)state;
    for (size_t i = 0; i < COUNT(tops); i++) {
        struct buf put = BUF_INIT(tops[i]), print = BUF_INIT(tops[i]);

        for (size_t n = 0; n < tops[i]; n++)
            buf_putc(&put, 'x');
        buf_printf(&print, "%*d", (int)tops[i], 1);
        assert_int_equal(put.failed, ERR_OK);
        assert_int_equal(print.failed, ERR_OK);
        assert_int_equal(put.n, tops[i]);
        assert_int_equal(print.n, tops[i]);
        assert_true(put.room <= put.cap);
        buf_putc(&put, 'y');
        buf_printf(&print, "%d", 1);
        assert_int_equal(put.failed, ERR_TOO_LARGE);
        assert_int_equal(print.failed, ERR_TOO_LARGE);
        buf_put(&put, SLICE(""));
        assert_null(buf_reserve(&put, 0));
        assert_int_equal(put.n, tops[i]);
        buf_clear(&put);
        buf_putc(&put, 'z');
        assert_text(buf_slice(&put), "z");
        buf_done(&put);
        buf_done(&print);
    }
}

static void printing_in_place(void **state)
{
    struct buf b = BUF_INIT(10000);

    (void)state;
    for (int n = 0; n < 200; n++) {
        buf_clear(&b);
        buf_reserve(&b, 127);
        buf_printf(&b, "%*d", n, 1);
        assert_int_equal(b.n, n > 1 ? n : 1);
        assert_int_equal(b.p[b.n - 1], '1');
    }
    buf_done(&b);
}

static void reserving(void **state)
{
    struct buf b = BUF_INIT(SIZE_MAX);
    char *p = buf_reserve(&b, 500);

    (void)state;
    assert_non_null(p);
    memset(p, 'a', 500);
    assert_int_equal(b.n, 0);
    b.n = 500;
    assert_null(buf_reserve(&b, SIZE_MAX - 500));
    assert_int_equal(b.failed, ERR_NOMEM);
    assert_null(buf_reserve(&b, 1));
    buf_clear(&b);
    assert_null(buf_reserve(&b, SIZE_MAX));
    buf_done(&b);
    buf_init(&b, 0);
    buf_putc(&b, 'x');
    assert_int_equal(b.failed, ERR_TOO_LARGE);
    buf_done(&b);
}

/* Growth doubles: n bytes cost about log n allocations. */
static void doubling(void **state)
{
    struct buf b = BUF_INIT(1 << 20);
    size_t made;

    (void)state;
    mem_fail_nth(0);
    for (size_t i = 0; i < 1 << 20; i++)
        buf_putc(&b, (char)i);
    made = mem_fail_nth(0);
    assert_true(made >= 10 && made <= 15);
    buf_done(&b);
}

static bool work(void)
{
    struct buf b = BUF_INIT(100000);
    bool ok;

    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%d,", i);
    buf_puts(&b, "end");
    ok = b.failed == ERR_OK && b.n == 3893;
    assert_true(ok || b.failed == ERR_NOMEM);
    buf_done(&b);
    return ok;
}

static void failing(void **state)
{
    (void)state;
    each_allocation_fails(work);
}

/* Every length of a number, and both sides of each, against printf. */
static void numbers(void **state)
{
    struct buf b = BUF_INIT(64);
    char want[24];
    uint64_t power = 1;

    (void)state;
    for (unsigned digits = 1; digits <= 20; digits++, power *= 10)
        for (uint64_t v = power - 2; v != power + 2; v++) {
            snprintf(want, sizeof want, "%llu", (unsigned long long)v);
            buf_clear(&b);
            buf_put_u64(&b, v);
            assert_true(slice_is(buf_slice(&b), want));
            assert_int_equal(u64_digits(v), strlen(want));
        }
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(numbers),   cmocka_unit_test(appending),
                                        cmocka_unit_test(lent),      cmocka_unit_test(caps),
                                        cmocka_unit_test(reserving), cmocka_unit_test(printing_in_place),
                                        cmocka_unit_test(doubling),  cmocka_unit_test(failing) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
