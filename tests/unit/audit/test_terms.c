/* Terms of lines with a memo against terms without one: whatever stood in the lines before, they are the same. */
#include "audit/terms.h"
#include "tests/unit/audit/lines.h"
#include "tests/unit/audit/world.h"

enum { LINES = 20000 };

static void a_memo_changes_nothing(void **state)
{
    static struct terms with, without;
    static struct term_memo memo;
    char line[AUDIT_RECORD_MAX];
    (void)state;
    with = (struct terms){ .seed = 11, .memo = &memo };
    without.seed = 11;
    for (unsigned i = 0; i < LINES; i++) {
        struct term_facts a, b;
        struct slice s = slice_make(line, lines_make(line, i));
        if (i == LINES / 2) /* a new index has another seed: what was kept for the old one must not be seen */
            with.seed = without.seed = 12;
        assert_true(terms_of_line(&with, s, &a));
        assert_true(terms_of_line(&without, s, &b));
        assert_int_equal(with.n, without.n);
        assert_memory_equal(with.hash, without.hash, with.n * sizeof with.hash[0]);
        assert_true(a.kind == b.kind && a.at == b.at && a.exchange == b.exchange && a.part == b.part &&
                    a.result == b.result);
    }
}

static void a_memo_is_used(void **state)
{
    static struct term_memo memo;
    static struct terms t = { .seed = 5, .memo = &memo };
    char line[AUDIT_RECORD_MAX];
    struct term_facts f;
    unsigned filled = 0;
    (void)state;
    for (unsigned i = 0; i < 200; i++)
        assert_true(terms_of_line(&t, slice_make(line, lines_make(line, i)), &f));
    for (unsigned i = 0; i < MEMO_SLOTS; i++)
        filled += memo.slot[i].text_n != 0;
    assert_true(filled > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_memo_changes_nothing), cmocka_unit_test(a_memo_is_used) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
