/* One fold for all spellings of one person; another for another; and which older spellings a search asks for. */
#include "unit.h"

static const struct {
    const char *value, *want; /* NULL: itself, not even copied */
} rows[] = {
    { "99010119900101006X", NULL },
    { "99010119900101006x", "99010119900101006X" },
    { " 990101 19900101-006x\t", "99010119900101006X" },
    { "\u3000９９０１０１１９９００１０１００６ｘ", "99010119900101006X" },
    { "990101\u200b19900101\u00a0006Ｘ\ufeff", "99010119900101006X" },
    { "99010119\u2007900101\u202d006X\u200f", "99010119900101006X" },
    { "990101900101006", "99010119900101006X" }, /* the first generation */
    { "990101 900101 006", "99010119900101006X" },
    { "990101900101998", "990101189001019989" }, /* over a hundred when the numbers were given */
    { "990101909901006", NULL },                 /* fifteen digits that are none: no such day */
    { "13812345678", NULL },
    { "+8613812345678", "13812345678" },
    { "+86 138-1234-5678", "13812345678" },
    { "008613812345678", "13812345678" },
    { "+8612345", "+8612345" },
    { "张三", NULL },
    { "买买提·艾力", "买买提艾力" },
    { "买买提•艾力", "买买提艾力" },
    { "Ann Lee", "ANNLEE" },
    { "ann@example.org", "ANN@EXAMPLE.ORG" },
    { "京A12345", NULL },
    { "\xff\xfe x", NULL }, /* no text: as it is */
    { "", NULL },
    { " ", "" },
};

static void folds(void **state)
{
    char mem[PERSON_ROOM], again[PERSON_ROOM];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice value = slice_of(rows[i].value), got = person_fold(value, mem);

        if (!slice_is(got, rows[i].want ? rows[i].want : rows[i].value))
            fail_msg("%s: %.*s", rows[i].value, SLICE_ARG(got));
        assert_int_equal(got.p == value.p, rows[i].want == NULL);
        assert_true(slice_eq(person_fold(got, again), got));
    }
}

/* However it is written; 15 digits have no check digit, so in groups they may well be another number. */
static void numbers_in_words(void **state)
{
    static const struct {
        const char *text;
        bool found;
    } texts[] = {
        { "99010119900101006x", true },
        { "990101 19900101 006X", true },
        { "990101-19900101-006x", true },
        { "case 12: 990101 19900101 006X, today", true },
        { "12 990101 19900101 006X", true },
        { "９９０１０１　１９９００１０１　００６Ｘ", true },
        { "990101·1990·0101·006X号", true },
        { "990101 19900101 006X1", false },
        { "990101 19900101 0069", false },
        { "990101,19900101,006X", false },
        { "990101900315123", true },
        { "990101 900315 123", false },
        { "2026-1126-0112001", false },
        { "2024-11-28 2024-11-29 0543-3160000", false },
        { "\xff 990101 19900101 006X", false },
        { "", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (text_names_person(slice_of(texts[i].text)) != texts[i].found)
            fail_msg("%s", texts[i].text);
    assert_false(text_names_person(slice_of(NULL)));
}

/* Padding does not make another person; what is too long without it is no such value. */
static void lengths(void **state)
{
    char mem[PERSON_ROOM], value[2000];

    (void)state;
    memset(value, ' ', sizeof value);
    memcpy(value + 900, "99010119900101006x", 18);
    assert_true(slice_is(person_fold(slice_make(value, sizeof value), mem), "99010119900101006X"));
    memset(value, 'a', sizeof value);
    for (size_t n = PERSON_ROOM - 1; n <= PERSON_ROOM + 1; n++) {
        struct slice got = person_fold(slice_make(value, n), mem);
        assert_int_equal(got.n, n);
        assert_int_equal(got.p[n - 1], n <= PERSON_ROOM ? 'A' : 'a');
    }
}

static void spellings(void **state)
{
    static const struct {
        const char *value, *want[PERSON_SPELLINGS];
    } all[] = {
        { "99010119900101006X", { "99010119900101006x", "990101900101006" } },
        { "99010119900101006x", { "99010119900101006x", "990101900101006" } },
        { "９９010119900101006X", { "９９010119900101006X", "99010119900101006x", "990101900101006" } },
        { "990101189001019989", { "990101900101998" } },
        { "990101200001010014", { NULL } }, /* of this century: there never was another */
        { "13812345678", { NULL } },
        { "138 1234 5678", { "138 1234 5678" } },
        { "990101900101006", { "990101900101006", "99010119900101006x" } },
        { "张三", { NULL } },
    };
    char mem[PERSON_SPELLINGS][PERSON_ROOM];
    struct slice got[PERSON_SPELLINGS];

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        unsigned n = person_spellings(slice_of(all[i].value), got, mem);

        for (unsigned k = 0; k < n; k++)
            if (all[i].want[k] == NULL || !slice_is(got[k], all[i].want[k]))
                fail_msg("%s, %u: %.*s", all[i].value, k, SLICE_ARG(got[k]));
        assert_true(n == PERSON_SPELLINGS || all[i].want[n] == NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(folds), cmocka_unit_test(numbers_in_words),
                                        cmocka_unit_test(lengths), cmocka_unit_test(spellings) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
