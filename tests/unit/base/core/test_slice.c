/* Comparing, cutting, numbers and hashes of borrowed bytes. */
#include "unit.h"

static void comparing(void **state)
{
    static const struct {
        const char *a, *b;
        int cmp;
        bool starts, ends, nocase;
    } rows[] = {
        { "", "", 0, true, true, true },         { "a", "", 1, true, true, false },
        { "", "a", -1, false, false, false },    { "abc", "ab", 1, true, false, false },
        { "abc", "bc", -1, false, true, false }, { "aBc", "AbC", 1, false, false, true },
        { "\xff", "a", 1, false, false, false }, { "a[", "a{", -1, false, false, false },
        { "abcd", "abcd", 0, true, true, true },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct slice a = slice_of(rows[i].a), b = slice_of(rows[i].b);
        ROW_TRUE(slice_cmp(a, b) == rows[i].cmp, rows[i].a);
        ROW_TRUE(slice_cmp(b, a) == -rows[i].cmp, rows[i].a);
        ROW_TRUE(slice_eq(a, b) == (rows[i].cmp == 0), rows[i].a);
        ROW_TRUE(slice_starts(a, b) == rows[i].starts, rows[i].a);
        ROW_TRUE(slice_ends(a, b) == rows[i].ends, rows[i].a);
        ROW_TRUE(slice_eq_nocase(a, b) == rows[i].nocase, rows[i].a);
    }
    assert_int_equal(slice_of(NULL).n, 0);
    assert_true(slice_eq(slice_of(NULL), SLICE("")));
    assert_int_equal(slice_cmp(slice_of(NULL), SLICE("")), 0);
}

/* Texts of any length, so that every byte meets every other at every place of a word. */
static void nocase(void **state)
{
    char a[24], b[24];

    (void)state;
    for (size_t n = 1; n <= sizeof a; n++)
        for (int x = 0; x < 256; x++)
            for (int y = 0; y < 256; y++) {
                int lower_x = x >= 'A' && x <= 'Z' ? x + 32 : x, lower_y = y >= 'A' && y <= 'Z' ? y + 32 : y;
                memset(a, 'M', n);
                memset(b, 'm', n);
                a[(size_t)x % n] = (char)x;
                b[(size_t)x % n] = (char)y;
                if (slice_eq_nocase(slice_make(a, n), slice_make(b, n)) != (lower_x == lower_y))
                    fail_msg("%d and %d of %zu", x, y, n);
            }
}

static void pieces(void **state)
{
    struct slice s = SLICE("a,b,,c");

    (void)state;
    assert_text(slice_cut(&s, ','), "a");
    assert_text(slice_cut(&s, ','), "b");
    assert_text(slice_cut(&s, ','), "");
    assert_text(s, "c");
    assert_text(slice_cut(&s, ','), "c");
    assert_int_equal(s.n, 0);
    assert_text(slice_cut(&s, ','), "");
    assert_text(slice_trim(SLICE(" \t x y\t ")), "x y");
    assert_text(slice_trim(SLICE(" \t ")), "");
    assert_text(slice_sub(SLICE("hello"), 1, 3), "ell");
    assert_text(slice_sub(SLICE("hello"), 3, SIZE_MAX), "lo");
    assert_text(slice_sub(SLICE("hello"), 5, 1), "");
    assert_text(slice_sub(SLICE("hello"), SIZE_MAX, SIZE_MAX), "");
    assert_int_equal(slice_find(SLICE("abc"), 'c'), 2);
    assert_int_equal(slice_find(SLICE("abc"), 'x'), 3);
    assert_int_equal(slice_find(slice_of(NULL), 'x'), 0);
}

static void numbers(void **state)
{
    static const struct {
        const char *text;
        uint64_t min, max;
        bool ok;
        uint64_t want;
    } rows[] = {
        { "0", 0, 10, true, 0 },
        { "18446744073709551615", 0, UINT64_MAX, true, UINT64_MAX },
        { "18446744073709551616", 0, UINT64_MAX, false, 0 },
        { "99999999999999999999", 0, UINT64_MAX, false, 0 },
        { "007", 0, 10, true, 7 },
        { "11", 0, 10, false, 0 },
        { "4", 5, 10, false, 0 },
        { "", 0, 10, false, 0 },
        { "-1", 0, 10, false, 0 },
        { "+1", 0, 10, false, 0 },
        { "1 ", 0, 10, false, 0 },
        { "1a", 0, 100, false, 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t v = 77;
        ROW_TRUE(slice_u64(slice_of(rows[i].text), rows[i].min, rows[i].max, &v) == rows[i].ok, rows[i].text);
        ROW_TRUE(v == (rows[i].ok ? rows[i].want : 77), rows[i].text);
    }
}

/* Every length up to past two words; each bit of the input and of the seed must matter. */
static void hashes(void **state)
{
    char bytes[20] = { 0 };

    (void)state;
    for (size_t n = 0; n < sizeof bytes; n++) {
        uint64_t h = slice_hash((struct slice){ bytes, n }, 1);
        assert_true(h == slice_hash((struct slice){ bytes, n }, 1));
        assert_true(h != slice_hash((struct slice){ bytes, n }, 2));
        assert_true(h != slice_hash((struct slice){ bytes, n + 1 < sizeof bytes ? n + 1 : 0 }, 1));
        for (size_t bit = 0; bit < 8 * n; bit++) {
            bytes[bit / 8] ^= (char)(1 << bit % 8);
            assert_true(h != slice_hash((struct slice){ bytes, n }, 1));
            bytes[bit / 8] ^= (char)(1 << bit % 8);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(comparing), cmocka_unit_test(nocase), cmocka_unit_test(pieces),
                                        cmocka_unit_test(numbers), cmocka_unit_test(hashes) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
