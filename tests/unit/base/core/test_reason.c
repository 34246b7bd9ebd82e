/* The table of reasons is whole: codes unique and well-formed, texts in both languages, statuses that fit the side. */
#include "unit.h"

static void rows(void **state)
{
    (void)state;
    for (unsigned r = 0; r < REASON_COUNT_; r++) {
        const struct reason_info *i = reason_info((enum reason)r);
        enum reason found = REASON_COUNT_;

        ROW_TRUE(ident_valid(slice_of(i->code)), i->code);
        ROW_TRUE(reason_by_code(slice_of(i->code), &found) && found == r, i->code); /* so no code stands twice */
        ROW_TRUE(i->status >= 200 && i->status < 600, i->code);
        for (int lang = LANG_EN; lang <= LANG_ZH; lang++) {
            ROW_TRUE(i->title[lang][0] != '\0' && utf8_valid(slice_of(i->title[lang])), i->code);
            ROW_TRUE(utf8_valid(slice_of(i->remedy[lang])), i->code);
        }
        ROW_TRUE((i->remedy[LANG_EN][0] == '\0') == (i->remedy[LANG_ZH][0] == '\0'), i->code);
        /* A caller's mistake is a 4xx; a 5xx never blames the consumer. */
        ROW_TRUE(i->status >= 500 ? i->hop != HOP_CONSUMER : true, i->code);
        ROW_TRUE(i->status >= 400 && i->status < 499 ? i->hop == HOP_CONSUMER && i->reached == REACHED_NO : true,
                 i->code);
    }
}

static void names(void **state)
{
    enum reason r = REASON_COUNT_;

    (void)state;
    assert_int_equal(reason_info(REASON_NO_GRANT)->status, 403);
    assert_ptr_equal(reason_info((enum reason)9999), reason_info(REASON_INTERNAL));
    assert_ptr_equal(reason_info((enum reason) - 1), reason_info(REASON_INTERNAL));
    assert_string_equal(hop_name(HOP_CONSUMER), "consumer");
    assert_string_equal(hop_name(HOP_GATEWAY), "gateway");
    assert_string_equal(hop_name(HOP_PROVIDER), "provider");
    assert_string_equal(reached_name(REACHED_NO), "no");
    assert_string_equal(reached_name(REACHED_YES), "yes");
    assert_string_equal(reached_name(REACHED_UNKNOWN), "unknown");
    assert_string_equal(reached_name((enum reached)7), "unknown");
    assert_false(reason_by_code(SLICE("no-such"), &r));
    assert_false(reason_by_code(SLICE(""), &r));
    assert_int_equal(r, REASON_COUNT_);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(rows), cmocka_unit_test(names) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
