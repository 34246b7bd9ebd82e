/* Search: each filter alone and together, both directions, paging, hostile values. */
#include "tests/unit/audit/world.h"
#include <stdio.h>

static struct world w;
static struct segment_list list;
enum { EXCHANGES = 500 };

static int setup(void **state)
{
    (void)state;
    world_init(&w);
    w.c.segment_bytes = 60000;
    assert_int_equal(world_open(&w), ERR_OK);
    for (unsigned i = 0; i < EXCHANGES; i++) {
        char pseudonym[33];
        audit_pseudonym(w.log, i == 77 ? SLICE("990101199001011234") : SLICE("other"), pseudonym);
        struct audit_param p = { SLICE("id_no"), slice_make(pseudonym, 32), true };
        struct audit_record a = world_intent(i), b = world_outcome(i);
        a.params = &p;
        a.n_params = 1;
        if (i % 10 == 0)
            a.case_ = SLICE("case \"ten\" \\ ,\"purpose\":\"x\"");
        if (i % 50 == 0)
            a.operator_ = SLICE("\xff\xfe raw");
        b.reason = i % 4 == 0 ? REASON_PROVIDER_TIMEOUT : REASON_GRANTED;
        assert_int_equal(audit_put(w.q, &a, 0, NULL), ERR_OK);
        assert_int_equal(world_put(&w, &b, 0).e, ERR_OK);
    }
    struct audit_record r = { .kind = AUDIT_REFUSED,
                              .at = 1795309300000,
                              .exchange = world_exchange(9999),
                              .has_reason = true,
                              .reason = REASON_NO_GRANT,
                              .purpose = SLICE("tax"),
                              .subject = SLICE("spiffe://x/dept/b/app/c") };
    struct audit_record act = { .kind = AUDIT_ACT,
                                .at = 1795309300001,
                                .act = 1,
                                .author = SLICE("spiffe://x/dept/b/person/p"),
                                .verb = SLICE("grant.revoke") };
    assert_int_equal(world_put(&w, &r, 0).e, ERR_OK);
    assert_int_equal(world_put(&w, &act, 0).e, ERR_OK);
    assert_int_equal(segment_list_read(w.dir, &list, NULL), ERR_OK);
    assert_true(list.n > 3);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    segment_list_done(&list);
    world_done(&w);
    return 0;
}

struct seen {
    unsigned n, stop;
    uint64_t index[1000];
};

static bool take(void *arg, uint64_t index, struct slice line)
{
    struct seen *s = arg;
    uint64_t written;
    assert_true(logline_check(line, &written));
    assert_int_equal(index, written);
    s->index[s->n++] = index;
    return s->n != s->stop;
}

static struct seen search(struct audit_filter f, bool *more)
{
    struct seen s = { 0 };
    bool m;
    if (f.limit == 0)
        f.limit = 1000;
    if (f.after == 0)
        f.after = UINT64_MAX;
    assert_int_equal(audit_search(w.dir, &f, take, &s, more != NULL ? more : &m, &w.d), ERR_OK);
    return s;
}

static void each_filter(void **state)
{
    (void)state;
    char pseudonym[33], id[UUID_TEXT];
    audit_pseudonym(w.log, SLICE("990101199001011234"), pseudonym);
    uuid_text(world_exchange(123), id);
    const struct {
        struct audit_filter f;
        unsigned want;
    } cases[] = {
        { { .kind = SLICE("intent") }, EXCHANGES },
        { { .kind = SLICE("segment") }, (unsigned)list.n },
        { { .kind = SLICE("inten") }, 0 },
        { { .reason = SLICE("provider-timeout") }, 125 },
        { { .reason = SLICE("no-grant") }, 1 },
        { { .case_ = SLICE("入学-17") }, 450 },
        { { .case_ = SLICE("case \"ten\" \\ ,\"purpose\":\"x\"") }, 50 },
        { { .purpose = SLICE("x") }, 0 }, /* it stands in a case only */
        { { .purpose = SLICE("tax") }, 1 },
        { { .operator_ = SLICE("\xff\xfe raw") }, 10 },
        { { .operator_ = SLICE("zhang"), .case_ = SLICE("case \"ten\" \\ ,\"purpose\":\"x\"") }, 40 },
        { { .exchange = slice_of(id) }, 2 },
        { { .exchange = slice_of(id), .kind = SLICE("outcome") }, 1 },
        { { .pseudonym = slice_of(pseudonym) }, 1 },
        { { .pseudonym = SLICE("00") }, 0 },
        { { .resource = SLICE("public-security/household"), .grant = SLICE("g-2026-0001") }, EXCHANGES },
        { { .resource = SLICE("public-security/house") }, 0 },
        { { .subject = SLICE("spiffe://x/dept/b/person/p") }, 1 }, /* the author of an act */
        { { .subject = SLICE("spiffe://x/dept/b/app/c"), .kind = SLICE("act") }, 0 },
        { { .from = 1795309200100, .to = 1795309200109, .kind = SLICE("intent") }, 10 },
        { { .from = 1795309300001, .kind = SLICE("act") }, 1 },
        { { .to = 1795309200000, .kind = SLICE("intent") }, 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct seen up = search(cases[i].f, NULL);
        struct audit_filter back = cases[i].f;
        back.newest_first = true;
        struct seen down = search(back, NULL);
        if (up.n != cases[i].want)
            print_error("case %zu: %u, wanted %u\n", i, up.n, cases[i].want);
        assert_int_equal(up.n, cases[i].want);
        assert_int_equal(down.n, up.n);
        for (unsigned k = 0; k < up.n; k++)
            assert_int_equal(up.index[k], down.index[up.n - 1 - k]);
    }
}

static void paging(void **state)
{
    (void)state;
    for (int back = 0; back < 2; back++) {
        struct audit_filter f = { .kind = SLICE("outcome"), .newest_first = back, .limit = 37 };
        unsigned n = 0, pages = 0;
        uint64_t last = 0;
        bool more = true;
        while (more) {
            struct seen s = search(f, &more);
            assert_int_equal(s.n, more ? 37 : EXCHANGES % 37);
            for (unsigned i = 0; i < s.n; i++, n++) {
                assert_true(n == 0 || (back ? s.index[i] < last : s.index[i] > last));
                last = s.index[i];
            }
            f.after = last;
            pages++;
        }
        assert_int_equal(n, EXCHANGES);
        assert_int_equal(pages, EXCHANGES / 37 + 1);
    }
}

static void stops(void **state)
{
    (void)state;
    struct audit_filter f = { .kind = SLICE("intent"), .after = UINT64_MAX, .limit = 1000 };
    for (int back = 0; back < 2; back++) {
        struct seen s = { .stop = 3 };
        bool more;
        f.newest_first = back;
        assert_int_equal(audit_search(w.dir, &f, take, &s, &more, NULL), ERR_OK);
        assert_int_equal(s.n, 3);
    }
    struct seen s = { 0 };
    bool more;
    assert_int_not_equal(audit_search("/tmp/sluice-no-such-log", &f, take, &s, &more, NULL), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_filter), cmocka_unit_test(paging),
                                        cmocka_unit_test(stops) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
