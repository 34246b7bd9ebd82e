/* A sealed part against what its lines say: each term of each row once and in order, and no other; also of drafts that
 * grow, of outcomes and cuts in any order, and of results that changed. */
#include "audit/part.h"
#include "tests/unit/audit/lines.h"
#include "tests/unit/audit/world.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINES = 6000, PAIRS = LINES * 40, SEED = 77, MANY = 180 };

/* What the lines say: pairs of a term and a row. */
static struct pair {
    uint64_t hash;
    uint32_t row;
} * pairs;
static size_t n_pairs;
static struct draft d;
static char dir[64];

static int setup(void **state)
{
    char path[128];
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/sluice-part-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/index", dir);
    pairs = mem_array(PAIRS, sizeof *pairs);
    assert_non_null(pairs);
    assert_int_equal(mkdir(path, 0700), 0);
    return 0;
}

static int teardown(void **state)
{
    char path[128];
    (void)state;
    mem_free(pairs);
    snprintf(path, sizeof path, "%s/index/0000000000000100.part", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/index", dir);
    rmdir(path);
    rmdir(dir);
    return 0;
}

static void pair_add(uint64_t hash, uint32_t row)
{
    assert_true(n_pairs < PAIRS);
    pairs[n_pairs++] = (struct pair){ hash, row };
}

static int order(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* The row of a record of an exchange, as the rows stand: the newest intent of this exchange and part. */
static uint32_t row_of(const uint64_t *exchange, const uint32_t *part, uint32_t n, const struct term_facts *f)
{
    while (n > 0 && !(exchange[n - 1] == f->exchange && part[n - 1] == f->part))
        n--;
    return n;
}

/* LINES records; every one whose intent is not in the draft gets a row of its own. */
static void fill(void)
{
    static struct terms t;
    static uint64_t exchange[LINES];
    static uint32_t part[LINES];
    char line[AUDIT_RECORD_MAX];
    uint64_t offset = 0;
    uint32_t n = 0;
    terms_begin(&t, SEED);
    draft_begin(&d, 0, 100, 0, SEED, 0);
    n_pairs = 0;
    for (unsigned i = 0; i < LINES; i++) {
        struct slice s = slice_make(line, lines_make(line, 100 + i));
        struct term_facts f, same;
        assert_true(terms_of_line(&t, s, &f));
        bool joins = (f.kind == AUDIT_OUTCOME || f.kind == AUDIT_CUT) && f.exchange != 0;
        uint32_t row = joins ? row_of(exchange, part, n, &f) : 0;
        enum err e = draft_add(&d, s, offset, &same);
        assert_int_equal(e, joins && row == 0 ? ERR_NOT_FOUND : ERR_OK);
        if (e != ERR_OK)
            assert_int_equal(draft_own(&d, &same), ERR_OK);
        if (row == 0) {
            exchange[n] = f.kind == AUDIT_INTENT ? f.exchange : 0;
            part[n] = f.part;
            row = ++n;
        }
        for (unsigned k = 0; k < t.n; k++)
            pair_add(t.hash[k], row - 1);
        offset += s.n + 1;
    }
    assert_int_equal(d.h.rows, n);
}

static void draft_is_right(void)
{
    static uint8_t bits[PART_BITS], want[PART_BITS];
    assert_false(draft_may_have(&d, 1));
    for (unsigned i = 0; i < 50; i++) {
        uint64_t hash = pairs[lines_any((unsigned)n_pairs)].hash;
        memset(bits, 0, sizeof bits);
        memset(want, 0, sizeof want);
        for (size_t k = 0; k < n_pairs; k++) {
            if (pairs[k].hash == hash)
                want[pairs[k].row / 8] |= (uint8_t)(1u << (pairs[k].row % 8));
        }
        assert_true(draft_may_have(&d, hash));
        draft_mark(&d, hash, bits);
        assert_memory_equal(bits, want, sizeof bits);
    }
}

/* One term of the part: `n` pairs of it, ascending, each once. */
static void list_is_right(const struct part *p, const struct pair *want, size_t n)
{
    static uint8_t bits[PART_BITS];
    struct part_list l = part_find(p, want->hash);
    uint32_t at = 0;
    assert_int_equal(l.n, n);
    memset(bits, 0, sizeof bits);
    part_list_mark(&l, p->h.rows, bits);
    for (size_t i = 0; i < n; i++) {
        uint16_t row;
        assert_true(part_list_next(&l, p->h.rows, &at, &row) && row == want[i].row);
        assert_true(bits[want[i].row / 8] >> (want[i].row % 8) & 1);
        bits[want[i].row / 8] ^= (uint8_t)(1u << (want[i].row % 8));
    }
    for (size_t i = 0; i < sizeof bits; i++)
        assert_int_equal(bits[i], 0);
}

static void part_is_right(void)
{
    char path[128];
    struct part *p = NULL;
    uint64_t terms = 0;
    for (uint32_t row = 0; row < d.h.rows; row++) {
        if (d.rows[row].result != AUDIT_NO_RESULT)
            pair_add(term_result(&d.terms, (enum audit_result)d.rows[row].result), row);
    }
    qsort(pairs, n_pairs, sizeof *pairs, order);
    size_t n = 0;
    for (size_t i = 0; i < n_pairs; i++) {
        if (n == 0 || order(&pairs[n - 1], &pairs[i]) != 0)
            pairs[n++] = pairs[i];
    }
    assert_int_equal(draft_seal(&d, dir), ERR_OK);
    snprintf(path, sizeof path, "%s/index/0000000000000100.part", dir);
    assert_int_equal(part_open(path, &p), ERR_OK);
    for (size_t i = 0, k; i < n; i = k, terms++) {
        for (k = i; k < n && pairs[k].hash == pairs[i].hash; k++)
            ;
        list_is_right(p, &pairs[i], k - i);
    }
    assert_int_equal(p->h.terms, terms);
    part_unref(p);
}

static void a_part_says_what_its_lines_say(void **state)
{
    (void)state;
    assert_int_equal(draft_init(&d), ERR_OK);
    for (int i = 0; i < 3; i++) { /* the same draft again and again */
        fill();
        draft_is_right();
        part_is_right();
    }
    draft_done(&d);
}

/* More terms than a draft has room for at first. */
static void a_draft_grows(void **state)
{
    (void)state;
    assert_int_equal(draft_init(&d), ERR_OK);
    size_t room = d.known_room;
    draft_begin(&d, 0, 100, 0, SEED, 0);
    n_pairs = 0;
    for (uint32_t row = 0; row < MANY; row++) {
        struct term_facts f = { .kind = AUDIT_ACT };
        d.h.n++;
        d.terms.n = TERMS_MAX;
        for (unsigned i = 0; i < TERMS_MAX; i++)
            d.terms.hash[i] = (row + 1) * 0x9e3779b97f4a7c15u * (i / 2 + 3) >> (i % 2 ? 20 : 0); /* some alike */
        assert_int_equal(draft_own(&d, &f), ERR_OK);
        for (unsigned i = 0; i < TERMS_MAX && row % 90 == 0; i++)
            pair_add(d.terms.hash[i], row);
    }
    assert_true(d.known_room > room && d.known_n > room);
    for (size_t i = 0; i < n_pairs; i++) {
        static uint8_t bits[PART_BITS];
        if (i % 50 != 0)
            continue;
        memset(bits, 0, sizeof bits);
        draft_mark(&d, pairs[i].hash, bits);
        assert_true(bits[pairs[i].row / 8] >> (pairs[i].row % 8) & 1);
    }
    draft_done(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_part_says_what_its_lines_say),
                                        cmocka_unit_test(a_draft_grows) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
