/* Whose places a stranger's connections take: those of where they come from. */
#include "gateway/consumer_http.c" /* in place of the library's */

#include <setjmp.h>
#include <stdio.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void who_comes_from_one_place_is_one(void **state)
{
    static const struct {
        const char *one, *other;
        bool same;
    } rows[] = {
        { "192.0.2.1", "192.0.2.1", true },
        { "192.0.2.1", "192.0.2.2", false },
        { "2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true },
        { "2001:db8:0:1::1", "2001:db8:0:2::1", false },
        { "::ffff:192.0.2.1", "::ffff:192.0.2.2", false },
    };
    struct worker *w = mem_zalloc(sizeof *w);

    (void)state;
    assert_non_null(w);
    tally_init(&w->begun_each, 7, 100, 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct connection one = { .w = w }, other = { .w = w };
        snprintf(one.address, sizeof one.address, "%s", rows[i].one);
        snprintf(other.address, sizeof other.address, "%s", rows[i].other);
        assert_int_equal(slot_of(&one) == slot_of(&other), rows[i].same);
    }
    mem_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(who_comes_from_one_place_is_one) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
