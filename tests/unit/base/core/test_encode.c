/* RFC 4648 section 10 vectors, strict decoding, percent-encoding, identifiers. */
#include "unit.h"

static void hex(void **state)
{
    struct buf b = BUF_INIT(100);
    uint8_t out[6] = { 9, 9, 9, 9, 9, 9 };

    (void)state;
    hex_put(&b, SLICE("foobar"));
    hex_put(&b, SLICE("\x00\xff"));
    hex_put(&b, SLICE(""));
    assert_text(buf_slice(&b), "666f6f62617200ff");
    assert_true(hex_read(SLICE("666F6f626172"), out, 6));
    assert_memory_equal(out, "foobar", 6);
    memset(out, 9, 6);
    assert_false(hex_read(SLICE("666f6f6261"), out, 6));
    assert_false(hex_read(SLICE("666f6f62617"), out, 6));
    assert_false(hex_read(SLICE("666f6f62617g"), out, 6));
    assert_false(hex_read(SLICE("666f6f62617@"), out, 6));
    assert_false(hex_read(SLICE(" 66f6f626172"), out, 6));
    assert_int_equal(out[0], 9); /* nothing of a refused text is written */
    assert_true(hex_read(SLICE(""), out, 0));
    buf_done(&b);
    hex_put(&b, (struct slice){ "x", SIZE_MAX - 1 });
    assert_int_equal(b.failed, ERR_TOO_LARGE);
}

static void base64(void **state)
{
    static const struct {
        const char *plain, *coded, *url;
    } rows[] = { { "", "", "" },
                 { "f", "Zg==", "Zg" },
                 { "fo", "Zm8=", "Zm8" },
                 { "foo", "Zm9v", "Zm9v" },
                 { "foob", "Zm9vYg==", "Zm9vYg" },
                 { "fooba", "Zm9vYmE=", "Zm9vYmE" },
                 { "foobar", "Zm9vYmFy", "Zm9vYmFy" },
                 { "\xfb\xff\xfe", "+//+", "-__-" } };
    struct buf b = BUF_INIT(100);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        base64_put(&b, slice_of(rows[i].plain));
        assert_text(buf_slice(&b), rows[i].coded);
        buf_clear(&b);
        base64url_put(&b, slice_of(rows[i].plain));
        assert_text(buf_slice(&b), rows[i].url);
        buf_clear(&b);
        assert_int_equal(base64_read(slice_of(rows[i].coded), &b), ERR_OK);
        assert_text(buf_slice(&b), rows[i].plain);
        buf_clear(&b);
    }
    buf_done(&b);
}

static void base64_refused(void **state)
{
    static const char *const rows[] = { "Z",    "Zg",       "Zg=",      "Zh==",     "Zm9=",
                                        "=Zg=", "====",     "Zg==Zg==", "Zm9v\n",   "Zm9v\nZm9",
                                        "Zm-v", "Zm9v====", "Z===",     "Zm9v Zg=", "\xff\xff\xff\xff" };
    struct buf b = BUF_INIT(100);

    (void)state;
    buf_puts(&b, "kept");
    for (size_t i = 0; i < COUNT(rows); i++) {
        ROW_TRUE(base64_read(slice_of(rows[i]), &b) == ERR_SYNTAX, rows[i]);
        assert_text(buf_slice(&b), "kept");
    }
    buf_done(&b);
    buf_init(&b, 2);
    assert_int_equal(base64_read(SLICE("Zm9v"), &b), ERR_TOO_LARGE);
    buf_done(&b);
}

static void percent(void **state)
{
    static const struct {
        const char *text;
        bool plus;
        enum err want;
        const char *plain;
    } rows[] = {
        { "a%20b", false, ERR_OK, "a b" },
        { "a+b", false, ERR_OK, "a+b" },
        { "a+b", true, ERR_OK, "a b" },
        { "%E5%BC%a0", false, ERR_OK, "张" },
        { "", false, ERR_OK, "" },
        { "%", false, ERR_SYNTAX, NULL },
        { "%2", false, ERR_SYNTAX, NULL },
        { "%2g", false, ERR_SYNTAX, NULL },
        { "%%20", false, ERR_SYNTAX, NULL },
        { "%ff", false, ERR_INVALID, NULL },
        { "%E5%BC", false, ERR_INVALID, NULL },
        { "%c0%80", false, ERR_INVALID, NULL },
        { "%252f", false, ERR_OK, "%2f" },
    };
    struct buf b = BUF_INIT(100);
    struct arena a;
    struct slice s;

    (void)state;
    arena_init(&a, 1000);
    for (size_t i = 0; i < COUNT(rows); i++) {
        ROW_TRUE(percent_read(slice_of(rows[i].text), rows[i].plus, &a, &s) == rows[i].want, rows[i].text);
        if (rows[i].want == ERR_OK)
            assert_text(s, rows[i].plain);
    }
    assert_int_equal(percent_read((struct slice){ "x", 5000 }, false, &a, &s), ERR_NOMEM);
    percent_put(&b, SLICE("aZ09-._~ /张\x7f"));
    assert_text(buf_slice(&b), "aZ09-._~%20%2F%E5%BC%A0%7F");
    buf_done(&b);
    arena_done(&a);
}

static void identifiers(void **state)
{
    static const struct {
        const char *text;
        bool ident, path, purpose;
    } rows[] = {
        { "a", true, false, true },
        { "public-security", true, false, true },
        { "a-9-", true, false, true },
        { "9a", false, false, true },
        { "-a", false, false, true },
        { "A", false, false, false },
        { "a_b", false, false, false },
        { "", false, false, false },
        { "a/b", false, true, false },
        { "a/b/c", false, false, false },
        { "/b", false, false, false },
        { "a/", false, false, false },
        { "a/9", false, false, false },
        { "张", false, false, false },
        { "a23456789012345678901234567890123456789012345678901234567890123", true, false, true },
        { "a234567890123456789012345678901234567890123456789012345678901234", false, false, true },
        { "a2345678901234567890123456789012345678901234567890123456789012345", false, false, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct slice s = slice_of(rows[i].text);
        ROW_TRUE(ident_valid(s) == rows[i].ident, rows[i].text);
        ROW_TRUE(ident_path_valid(s) == rows[i].path, rows[i].text);
        ROW_TRUE(purpose_valid(s) == rows[i].purpose, rows[i].text);
    }
    assert_false(ident_valid(SLICE("a\0b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(hex), cmocka_unit_test(base64),
                                        cmocka_unit_test(base64_refused), cmocka_unit_test(percent),
                                        cmocka_unit_test(identifiers) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
