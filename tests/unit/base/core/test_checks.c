/* Check digits against published vectors and against their pure-system recurrences; identity numbers inside text. */
#include "unit.h"

/* 17 digits and the check character by the recurrence of ISO 7064 MOD 11-2, not by GB 11643's weights. */
static void id_make(const char *first17, char out[19])
{
    int p = 0;

    for (int i = 0; i < 17; i++) {
        out[i] = first17[i];
        p = (p + (first17[i] - '0')) * 2 % 11;
    }
    p = (12 - p) % 11;
    out[17] = (char)(p == 10 ? 'X' : '0' + p);
    out[18] = '\0';
}

static const struct {
    const char *check, *value;
    bool ok;
} vectors[] = {
    { "id-card", "11010519491231002X", true },
    { "id-card", "11010519491231002x", true },
    { "id-card", "440524188001010014", true },
    { "id-card", "110105194912310021", false },
    { "id-card", "11010519491231002", false },
    { "id-card", "11010519491231002X ", false },
    { "id-card", "1101051949123100X2", false },
    { "id-card", "", false },
    { "uscc", "91350100M000100Y43", true },
    { "uscc", "91110000101623741K", true },
    { "uscc", "911101066976941872", true },
    { "uscc", "91350211M0000XUF46", false },
    { "uscc", "91350211M0000XUF4R", true }, /* what the registered one computes to */
    { "uscc", "91350100M000100Y44", false },
    { "uscc", "91350100m000100y43", false },
    { "uscc", "9135010OM000100Y43", false },
    { "uscc", "91350100M000100Y4", false },
    { "org-code", "M000100Y4", true },
    { "org-code", "101623741", true },
    { "org-code", "697694187", true },
    { "org-code", "69769418-7", true },
    { "org-code", "697694188", false },
    { "org-code", "6976941-87", false },
    { "org-code", "m000100Y4", false },
    { "org-code", "", false },
    { "mobile", "13812345678", true },
    { "mobile", "+86 138-1234-5678", true },
    { "mobile", "008613812345678", true },
    { "mobile", "12812345678", false },
    { "mobile", "1381234567", false },
    { "mobile", "138123456789", false },
    { "mobile", "1381234567a", false },
    { "mobile", "+8613812345678                      ", false },
    { "bank-card", "4111111111111111", true },
    { "bank-card", "6222020000000000125", true },
    { "bank-card", "79927398713", false }, /* Luhn holds, eleven digits */
    { "bank-card", "4111111111111112", false },
    { "bank-card", "6222020000000000152", false },
    { "bank-card", "378282246310005", true },
    { "bank-card", "41111111111111110000", false },
    { "postcode", "100000", true },
    { "postcode", "10000", false },
    { "postcode", "10000a", false },
    { "email", "zhang@x.cn", true },
    { "email", "张@例子.中国", true },
    { "email", "a@b@x.cn", false },
    { "email", "@x.cn", false },
    { "email", "a@x", false },
    { "email", "a@.cn", false },
    { "email", "a@x.", false },
    { "email", "a b@x.cn", false },
    { "email", "a@x.cn\n", false },
    { "email", "", false },
    { "plate", "鲁A12345", true },
    { "plate", "京A1234警", true },
    { "plate", "鲁AD12345", true },
    { "plate", "鲁A1234I", false },
    { "plate", "鲁A1234", false },
    { "plate", "鲁A1234567", false },
    { "plate", "鲁a12345", false },
    { "plate", "X鲁12345", false },
    { "plate", "国A12345", false },
    { "plate", "鲁A12345警", false },
    { "plate", "鲁A1234国", false },
    { "plate", "", false },
    { "division", "370000", true },
    { "division", "370102001", true },
    { "division", "370102001001", true },
    { "division", "37", false },
    { "division", "37010200100x", false },
};

static void table(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        const struct check *c = check_find(slice_of(vectors[i].check));
        ROW_TRUE(c != NULL, vectors[i].check);
        ROW_TRUE(c->ok(slice_of(vectors[i].value)) == vectors[i].ok, vectors[i].value);
    }
}

static void listing(void **state)
{
    unsigned n = 0;

    (void)state;
    for (const struct check *c; (c = check_at(n)) != NULL; n++) {
        assert_ptr_equal(check_find(slice_of(c->name)), c);
        assert_true(utf8_valid(slice_of(c->what[LANG_ZH])) && c->what[LANG_EN][0] != '\0');
    }
    assert_int_equal(n, 9);
    assert_null(check_find(SLICE("passport")));
    assert_null(check_find(SLICE("")));
}

/* Birth dates: real days of the calendar, 1850 to today. */
static void births(void **state)
{
    static const struct {
        const char *birth;
        bool ok;
    } rows[] = { { "19900101", true },  { "20000229", true },  { "19000229", false }, { "20230229", false },
                 { "18500101", true },  { "18491231", false }, { "19901301", false }, { "19900100", false },
                 { "99990101", false }, { "19900431", false }, { "00000000", false } };
    struct civil now = clock_civil(clock_wall_ms()), next = clock_civil(clock_wall_ms() + 2 * 86400000);
    char first17[64], id[19];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        snprintf(first17, sizeof first17, "990101%s001", rows[i].birth);
        id_make(first17, id);
        ROW_TRUE(check_id_card(slice_of(id)) == rows[i].ok, rows[i].birth);
    }
    snprintf(first17, sizeof first17, "990101%04d%02d%02d001", now.year, now.month, now.day);
    id_make(first17, id);
    assert_true(check_id_card(slice_of(id)));
    snprintf(first17, sizeof first17, "990101%04d%02d%02d001", next.year, next.month, next.day);
    id_make(first17, id);
    assert_false(check_id_card(slice_of(id)));
}

/* Every sequence number: the one right check character of eleven passes. */
static void check_digits(void **state)
{
    char first17[64], id[19];

    (void)state;
    for (int seq = 0; seq < 1000; seq++) {
        char right;
        unsigned passed = 0;

        snprintf(first17, sizeof first17, "99010119800315%03d", seq);
        id_make(first17, id);
        right = id[17];
        for (const char *c = "0123456789X"; *c != '\0'; c++) {
            id[17] = *c;
            passed += check_id_card(slice_of(id));
            assert_int_equal(check_id_card(slice_of(id)), *c == right);
        }
        assert_int_equal(passed, 1);
    }
}

static void inside_text(void **state)
{
    static const struct {
        const char *before, *after;
        bool found;
    } rows[] = {
        { "", "", true },
        { "case ", ", urgent", true },
        { "身份证号", "，请核验", true },
        { "A", "B", true },
        { "1", "", false },
        { "", "1", false },
        { "１", "", false },
        { "no.1 ", " 2", true },
        { "\xef\xbc", "", true },
        { "\xff", "\xef", true },
        { "X", "X", true },
        { "12345678901234567 ", "", true },
    };
    char id[19], wide[60], text[200];
    size_t n;

    (void)state;
    id_make("99010119800315123", id);
    n = 0;
    for (int i = 0; i < 18; i++) {
        wide[n++] = '\xef';
        wide[n++] = '\xbc';
        wide[n++] = (char)(id[i] == 'X' ? 0xb8 : 0x90 + (id[i] - '0'));
    }
    wide[n] = '\0';
    for (size_t i = 0; i < COUNT(rows); i++) {
        snprintf(text, sizeof text, "%s%s%s", rows[i].before, id, rows[i].after);
        ROW_TRUE(text_holds_id_card(slice_of(text)) == rows[i].found, text);
        snprintf(text, sizeof text, "%s%s%s", rows[i].before, wide, rows[i].after);
        ROW_TRUE(text_holds_id_card(slice_of(text)) == rows[i].found, text);
    }
    id[16] = id[16] == '9' ? '0' : (char)(id[16] + 1);
    assert_false(text_holds_id_card(slice_of(id)));
}

/* 15 digits: no check digit, so the province and the date say. */
static void the_first_generation(void **state)
{
    static const struct {
        const char *text;
        bool found;
    } rows[] = {
        { "990101900315123", true },
        { "110105491231002", true },
        { "case 110105491231002, urgent", true },
        { "130503670401001", true },
        { "659001000229001", false },
        { "659001040229001", true },
        { "440524600101997", true },
        { "440524400101997", false }, /* 1860; 1840 */
        { "110105491331002", false },
        { "110105490431002", false },
        { "110105490100002", false },
        { "010105491231002", false },
        { "160105491231002", false },
        { "240105491231002", false },
        { "380105491231002", false },
        { "470105491231002", false },
        { "550105491231002", false },
        { "660105491231002", false },
        { "720105491231002", false },
        { "840105491231002", false },
        { "202611260112001", false },
        { "199901011231001", false }, /* a year, and a number */
        { "11010549123100", false },
        { "1101054912310021", false },
        { "110105 491231 002", false },
        { "110105-491231002", false },
        { "A110105491231002B", true },
        { "110105491231002X", true },
        { "１１０１０５４９１２３１００２", true },
        { "１110105491231002", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        ROW_TRUE(text_holds_id_card(slice_of(rows[i].text)) == rows[i].found, rows[i].text);
    assert_false(check_id_card(SLICE("110105491231002"))); /* a parameter is the present form */
}

static void inside_text_with_x(void **state)
{
    (void)state;
    assert_true(text_holds_id_card(SLICE("11010519491231002X")));
    assert_true(text_holds_id_card(SLICE("（11010519491231002x）")));
    assert_true(text_holds_id_card(SLICE("1101051949123100２Ｘ"))); /* half and half */
    assert_true(text_holds_id_card(SLICE("11010519491231002ｘ")));
    assert_true(text_holds_id_card(SLICE("a440524188001010014b 11010519491231002")));
    assert_false(text_holds_id_card(SLICE("011010519491231002X")));
    assert_false(text_holds_id_card(SLICE("11010519491231002")));
    assert_false(text_holds_id_card(SLICE("11010519491231002Y")));
    assert_false(text_holds_id_card(SLICE("110105 19491231 0021")));
    assert_false(text_holds_id_card(SLICE("")));
    assert_false(text_holds_id_card(slice_of(NULL)));
}

/* Trace ids: the number may be filled up, in front or behind. */
static void among_digits(void **state)
{
    static const struct {
        const char *text;
        bool found;
    } rows[] = {
        { "440524188001010014", true },
        { "00000000000000440524188001010014", true },
        { "44052418800101001477777777777777", true },
        { "123abc9440524188001010014567890f", true },
        { "00000000000000440524188001010015", false },
        { "00000000000000000110105491231002", true },
        { "a00000000000110105491231002bbbbb", true },
        { "00000000000000001110105491231002", false }, /* 16 digits */
        { "00000000000000000110105491331002", false },
        { "0123456789abcdef0123456789abcdef", false },
        { "4bf92f3577b34da6a3ce929d0e0e4736", false },
        { "", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        ROW_TRUE(digits_hold_id_card(slice_of(rows[i].text)) == rows[i].found, rows[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test(listing),
        cmocka_unit_test(births),
        cmocka_unit_test(check_digits),
        cmocka_unit_test(inside_text),
        cmocka_unit_test(among_digits),
        cmocka_unit_test(the_first_generation),
        cmocka_unit_test(inside_text_with_x),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
