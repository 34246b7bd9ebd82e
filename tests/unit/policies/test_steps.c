/* Lists of approval steps: which are some, and that a request with another is refused. */
#include "bench.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const struct {
    const char *steps;
    bool valid;
} rows[] = {
    { "provider,bureau", true },
    { "bureau", true },
    { "provider", true },
    { "consumer,provider", true },
    { "department:legal-affairs,bureau", true },
    { "department:bureau,bureau", true },
    { "department:a,department:b,department:c,department:d,department:e,department:f,consumer,bureau", true },
    { "department:a,department:b,department:c,department:d,department:e,department:f,consumer,provider,bureau", false },
    { "", false },
    { ",", false },
    { "bureau,", false },
    { ",bureau", false },
    { "provider,,bureau", false },
    { "consumer", false },
    { "department:legal-affairs", false },
    { "consumer,department:legal-affairs", false },
    { "bureau,bureau", false },
    { "department:a,bureau,department:a", false },
    { "department:,bureau", false },
    { "department,bureau", false },
    { "department:Legal,bureau", false },
    { "department:a:b,bureau", false },
    { "Bureau", false },
    { "bureau ", false },
    { "bureaux", false },
    { "legal-affairs,bureau", false },
};

static void test_lists(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (policy_steps_valid(slice_of(rows[i].steps)) != rows[i].valid)
            fail_msg("\"%s\" is taken for %s", rows[i].steps, rows[i].valid ? "none" : "one");
    assert_true(policy_steps_valid(POLICY_STEPS_DEFAULT));
}

static void test_requests(void **state)
{
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct policy_request q = bench_request(1);
        struct policy_wish wish = q.wishes[0];
        struct slice id;

        wish.steps = slice_of(rows[i].steps);
        q.wishes = &wish;
        bool valid = rows[i].valid || wish.steps.n == 0; /* nothing said: the default */
        assert_int_equal(policy_request_create(b->tx, &q, &wang, bench_time(22, 600), &b->a, &id, &b->d),
                         valid ? ERR_OK : ERR_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test_setup_teardown(test_requests, bench_open, bench_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
