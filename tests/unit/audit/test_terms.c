/* Terms of lines with a memo against terms without one: whatever stood in the lines before, they are the same. */
#include "audit/terms.h"
#include "audit/render.h"
#include "tests/unit/audit/world.h"

enum { LINES = 20000 };
static unsigned random_state = 7;

static unsigned any(unsigned n)
{
    random_state = random_state * 1103515245u + 12345u;
    return (random_state >> 8) % n;
}

static struct slice pick(const char *const *from, unsigned n)
{
    return slice_of(from[any(n)]);
}
#define PICK(list) pick(list, sizeof(list) / sizeof((list)[0]))

/* Values that begin or end alike, are empty, hold what ends a field, or are longer than a slot. */
static size_t line_make(char *out)
{
    static const char *const subjects[] = { "spiffe://a.example/dept/tax/app/one", "spiffe://a.example/dept/tax/app/on",
                                            "spiffe://a.example/dept/tax/person/ann", "" };
    static const char *const resources[] = { "health/dose", "health/doses", "no-slash", "" };
    static const char *const purposes[] = { "check", "check\",\"items\":[", "checks", "" };
    static const char *const items[] = { "name,relation", "name", "", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t" };
    static const char *const grants[] = { "g1", "g2", "" };
    static char certificate[65], operator_[65];
    struct audit_param p = { SLICE("id_no"), SLICE("0123456789abcdef0123456789abcdef"), true };
    memset(certificate, 'a' + (int)any(2), 64);
    memset(operator_, 'x', 64);
    struct audit_record r = { .kind = (enum audit_kind)any(AUDIT_ACT + 1),
                              .at = 1764115200000 + (int64_t)any(3000) + (any(9) == 0 ? -86400000 : 0),
                              .exchange.b = { (uint8_t)any(256), 1 },
                              .subject = PICK(subjects),
                              .peer = any(3) ? SLICE("10.0.0.1") : SLICE(""),
                              .certificate = slice_of(certificate),
                              .resource = PICK(resources),
                              .resource_version = any(2),
                              .grant = PICK(grants),
                              .grant_version = any(2),
                              .purpose = PICK(purposes),
                              .operator_ = slice_make(operator_, any(2) * 64),
                              .case_ = any(2) ? SLICE("2026-1") : SLICE(""),
                              .items = PICK(items),
                              .params = &p,
                              .n_params = any(2),
                              .has_reason = true,
                              .reason = (enum reason)any(REASON_COUNT_),
                              .status = any(2) ? 200 : 403 };
    if (r.kind == AUDIT_ACT) {
        r.act = 1;
        r.author = PICK(subjects);
        r.verb = any(2) ? SLICE("grant.revoke") : SLICE("resource.publish");
        r.object = PICK(resources);
    }
    size_t n = render_record(&r, out) - 1;
    logline_stamp(out, n, any(1000));
    return n;
}

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
        struct slice s = slice_make(line, line_make(line));
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
        assert_true(terms_of_line(&t, slice_make(line, line_make(line)), &f));
    for (unsigned i = 0; i < MEMO_SLOTS; i++)
        filled += memo.slot[i].text_n != 0;
    assert_true(filled > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_memo_changes_nothing), cmocka_unit_test(a_memo_is_used) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
