/* Terms of lines the quick way, with what lines before have said, against the other way: they are the same, whatever
 * stands in the line. Lines are as the renderer writes them, and then changed: a byte, a piece left out, doubled or
 * moved, cut off anywhere. */
#include "audit/terms.h"
#include "tests/unit/audit/lines.h"
#include "tests/unit/audit/world.h"
#include <stdio.h>
#include <stdlib.h>

enum { LINES = 20000, CHANGED = 100000 };
static struct terms quick, slow;
static struct term_memo memo;

static int order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void same(struct slice line)
{
    struct term_facts a, b;
    bool is = terms_of_line(&quick, line, &a);
    assert_int_equal(is, terms_of_line(&slow, line, &b));
    if (!is)
        return;
    terms_flat(&quick);
    qsort(quick.hash, quick.n, sizeof quick.hash[0], order);
    qsort(slow.hash, slow.n, sizeof slow.hash[0], order);
    assert_int_equal(quick.runs_n, 0);
    assert_int_equal(quick.n, slow.n);
    assert_memory_equal(quick.hash, slow.hash, quick.n * sizeof quick.hash[0]);
    assert_true(a.kind == b.kind && a.at == b.at && a.exchange == b.exchange && a.part == b.part &&
                a.result == b.result);
}

static void begin(uint64_t seed)
{
    quick.memo = &memo;
    terms_begin(&quick, seed);
    terms_begin(&slow, seed);
}

static void both_ways_are_the_same(void **state)
{
    char line[AUDIT_RECORD_MAX];
    (void)state;
    for (unsigned i = 0; i < LINES; i++) {
        begin(i < LINES / 2 ? 11 : 12); /* a new index has another seed: what was kept for the old one is not seen */
        same(slice_make(line, lines_make(line, i)));
    }
}

/* One change of the n bytes; what is left of them. */
static size_t change(char *line, size_t n)
{
    static const char *const pieces[] = {
        "\"", "\\", ",", "}", "]", "{", "[", " ", "0", "\"reason\":\"granted\"", ":"
    };
    size_t at = lines_any((unsigned)n), len = 1 + lines_any(60), to;
    const char *piece = pieces[lines_any(sizeof pieces / sizeof pieces[0])];
    len = len < n - at ? len : n - at;
    switch (lines_any(6)) {
    case 0:
        line[at] = (char)lines_any(256);
        return n;
    case 1:
        line[at] = piece[0];
        return n;
    case 2: /* left out */
        memmove(line + at, line + at + len, n - at - len);
        return n - len;
    case 3: /* moved over others */
        to = lines_any((unsigned)(n - len + 1));
        memmove(line + to, line + at, len);
        return n;
    case 4: /* put in */
        len = strlen(piece);
        memmove(line + at + len, line + at, n - at);
        memcpy(line + at, piece, len);
        return n + len;
    default:
        return at + 1;
    }
}

static void so_are_changed_lines(void **state)
{
    static char line[AUDIT_RECORD_MAX + 1024];
    (void)state;
    begin(13);
    for (unsigned i = 0; i < CHANGED; i++) {
        size_t n = lines_make(line, i);
        same(slice_make(line, n));
        for (unsigned k = 1 + lines_any(3); k > 0 && n > 1; k--)
            n = change(line, n);
        char *exact = mem_alloc(n); /* so that a step behind it is seen */
        assert_non_null(exact);
        memcpy(exact, line, n);
        same(slice_make(exact, n));
        mem_free(exact);
    }
}

/* A run that was known and a list that was not may want the same place. */
static void many_lists_of_one_run(void **state)
{
    char line[AUDIT_RECORD_MAX], items[32];
    (void)state;
    begin(15);
    for (unsigned i = 0; i < LINES; i++) {
        struct audit_record r = world_intent(i);
        snprintf(items, sizeof items, "item-%u,name", i);
        r.items = slice_of(items);
        same(slice_make(line, lines_of(&r, line, i)));
    }
}

static void lines_as_they_are_written_are_quick(void **state)
{
    char line[AUDIT_RECORD_MAX];
    struct term_facts f;
    static const struct audit_param params[] = { { SLICE("id_no"), SLICE("0123456789abcdef0123456789abcdef"), true },
                                                 { SLICE("year"), SLICE("2026"), false } };
    unsigned n = 0, runs = 0;
    (void)state;
    begin(14);
    for (unsigned i = 0; i < 1000; i++) {
        struct audit_record intent = world_intent(i % 100), outcome = world_outcome(i % 100);
        const struct audit_record *r = i % 2 ? &outcome : &intent;
        intent.certificate = SLICE("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
        intent.params = params;
        intent.n_params = 2;
        n += terms_quick(&quick, slice_make(line, lines_of(r, line, i)), &f);
    }
    for (unsigned i = 0; i < MEMO_RUNS; i++)
        runs += memo.run[i].text_n != 0;
    assert_int_equal(n, 1000);
    assert_true(runs > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(both_ways_are_the_same),
                                        cmocka_unit_test(so_are_changed_lines), cmocka_unit_test(many_lists_of_one_run),
                                        cmocka_unit_test(lines_as_they_are_written_are_quick) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
