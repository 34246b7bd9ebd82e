/* RFC 3629: what is valid, code points there and back, columns. */
#include "unit.h"

static void validity(void **state)
{
    static const struct {
        const char *name;
        struct slice text;
        bool ok;
    } rows[] = {
        { "empty", { "", 0 }, true },
        { "ascii", { "hello, world", 12 }, true },
        { "nul", { "a\0b", 3 }, true },
        { "A<NOT IDENTICAL TO><ALPHA>.", { "\x41\xE2\x89\xA2\xCE\x91\x2E", 7 }, true },
        { "nihongo", { "\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E", 9 }, true },
        { "bom and U+233B4", { "\xEF\xBB\xBF\xF0\xA3\x8E\xB4", 7 }, true },
        { "least 2", { "\xc2\x80", 2 }, true },
        { "most 2", { "\xdf\xbf", 2 }, true },
        { "least 3", { "\xe0\xa0\x80", 3 }, true },
        { "below surrogates", { "\xed\x9f\xbf", 3 }, true },
        { "above surrogates", { "\xee\x80\x80", 3 }, true },
        { "most 3", { "\xef\xbf\xbf", 3 }, true },
        { "least 4", { "\xf0\x90\x80\x80", 4 }, true },
        { "most of all", { "\xf4\x8f\xbf\xbf", 4 }, true },
        { "overlong 2", { "\xc0\x80", 2 }, false },
        { "overlong 2b", { "\xc1\xbf", 2 }, false },
        { "overlong 3", { "\xe0\x9f\xbf", 3 }, false },
        { "overlong 4", { "\xf0\x8f\xbf\xbf", 4 }, false },
        { "first surrogate", { "\xed\xa0\x80", 3 }, false },
        { "last surrogate", { "\xed\xbf\xbf", 3 }, false },
        { "above U+10FFFF", { "\xf4\x90\x80\x80", 4 }, false },
        { "f5", { "\xf5\x80\x80\x80", 4 }, false },
        { "ff", { "\xff", 1 }, false },
        { "lone continuation", { "\x80", 1 }, false },
        { "cut 2", { "\xc2", 1 }, false },
        { "cut 3", { "\xe4\xb8", 2 }, false },
        { "cut 4", { "\xf0\x90\x80", 3 }, false },
        { "bad third", { "\xe4\xb8\x41", 3 }, false },
        { "bad fourth", { "\xf0\x90\x80\x41", 4 }, false },
        { "behind eight", { "12345678\xff", 9 }, false },
        { "in the ninth", { "1234567\xe4\xb8\xad", 10 }, true },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        ROW_TRUE(utf8_valid(rows[i].text) == rows[i].ok, rows[i].name);
}

/* All code points: written, valid, read back; surrogates refused. */
static void round_trip(void **state)
{
    struct buf b = BUF_INIT(16);

    (void)state;
    for (uint32_t c = 0; c <= 0x110000; c++) {
        bool ok = c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
        buf_clear(&b);
        utf8_put(&b, c);
        if (!ok) {
            assert_int_equal(b.failed, ERR_INVALID);
            assert_int_equal(b.n, 0);
            continue;
        }
        if (!utf8_valid(buf_slice(&b)) || utf8_at(buf_slice(&b), 0) != c || utf8_next(buf_slice(&b), 0) != b.n)
            fail_msg("U+%04X", c);
    }
    buf_done(&b);
}

static void walking(void **state)
{
    struct slice s = SLICE("a张𠮷é");

    (void)state;
    assert_int_equal(utf8_count(s), 4);
    assert_int_equal(utf8_next(s, 0), 1);
    assert_int_equal(utf8_next(s, 1), 4);
    assert_int_equal(utf8_next(s, 4), 8);
    assert_int_equal(utf8_next(s, 8), 10);
    assert_int_equal(utf8_next(s, 10), 10);
    assert_int_equal(utf8_at(s, 4), 0x20bb7);
    assert_int_equal(utf8_at(s, 99), 0);
    /* Text that is not valid must stay inside the slice. */
    assert_int_equal(utf8_next(SLICE("\xf0"), 0), 1);
    (void)utf8_at(SLICE("\xf0\x90"), 0);
    (void)utf8_width(SLICE("\xf0\x90"));
}

static void columns(void **state)
{
    static const struct {
        const char *text;
        size_t want;
    } rows[] = { { "", 0 },          { "abc", 3 }, { "张三", 4 },         { "Ａ１", 4 },
                 { "ｱ", 1 },         { "𠮷", 2 },  { "한", 2 },           { "é", 1 },
                 { "e\xcc\x81", 1 }, { "，", 2 },  { "数闸 sluice", 11 }, { "…", 1 },
                 { "😀", 2 },         { "├─", 2 },  { "\xe2\x80\x8b", 0 } };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        ROW_TRUE(utf8_width(slice_of(rows[i].text)) == rows[i].want, rows[i].text);
}

/* Each blank is one, by its first byte too; what stands beside them is none. */
static void blanks(void **state)
{
    static const uint32_t are[] = { 0,      ' ',    0x7f,   0x85,   0xa0,   0xad,   0x2000, 0x2007, 0x200b,
                                    0x200f, 0x2028, 0x202f, 0x205f, 0x2060, 0x206f, 0x3000, 0xfeff };
    static const uint32_t are_not[] = { '!',    '~',    0xa1,   0xb7,   0x1fff, 0x2010,
                                        0x2027, 0x2030, 0x3001, 0x4e00, 0xff01, 0x20bb7 };
    struct buf b = BUF_INIT(16);

    (void)state;
    for (size_t i = 0; i < COUNT(are); i++)
        assert_true(utf8_is_blank(are[i]));
    for (size_t i = 0; i < COUNT(are_not); i++)
        assert_false(utf8_is_blank(are_not[i]));
    for (uint32_t c = 0; c < 0x30000; c++) {
        if (!utf8_is_blank(c))
            continue;
        buf_clear(&b);
        utf8_put(&b, c);
        assert_int_equal(b.failed, ERR_OK);
        assert_true(UTF8_MAY_BE_BLANK((unsigned char)b.p[0]));
    }
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(validity), cmocka_unit_test(round_trip),
                                        cmocka_unit_test(walking), cmocka_unit_test(columns),
                                        cmocka_unit_test(blanks) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
