/* Every error has a name in lower case with hyphens, and a text; nothing is out of range. */
#include "unit.h"

static void names(void **state)
{
    (void)state;
    assert_string_equal(err_name(ERR_OK), "ok");
    assert_string_equal(err_name(ERR_NOT_FOUND), "not-found");
    assert_string_equal(err_name(ERR_TOO_LARGE), "too-large");
    assert_string_equal(err_text(ERR_NOMEM), "out of memory");
    for (unsigned e = 0; e < ERR_COUNT_; e++) {
        assert_true(ident_valid(slice_of(err_name((enum err)e))));
        assert_true(strlen(err_text((enum err)e)) > 1);
        for (unsigned other = 0; other < e; other++)
            assert_string_not_equal(err_name((enum err)e), err_name((enum err)other));
    }
}

static void out_of_range(void **state)
{
    (void)state;
    assert_string_equal(err_name((enum err)999), "unknown");
    assert_string_equal(err_name(ERR_COUNT_), "unknown");
    assert_non_null(err_text((enum err) - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(names), cmocka_unit_test(out_of_range) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
