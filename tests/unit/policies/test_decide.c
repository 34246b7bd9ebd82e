/* The decision: one table of facts and verdicts that has a row for every reason, the edges of windows, and two
 * properties over random facts checked against a second, slower reading of the rules. */
#include "policies/policies.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* Saturday 2026-11-21 is day 20778; Sunday 20779; Monday 20780. Zone +08:00. */
enum { SATURDAY = 20778, SUNDAY = 20779, MONDAY = 20780, TUESDAY = 20781, MINUTES = 1440 };
#define ZONE_MS         (8 * 3600000LL)
#define AT(day, minute) (((int64_t)(day)*MINUTES + (minute)) * 60000 - ZONE_MS)
#define HM(h, m)        ((h)*60 + (m))

struct sketch { /* a grant in few words */
    const char *id, *app;
    enum policy_state state;
    const char *purposes[3];
    uint64_t items, clear;
    int32_t day_from, day_to; /* 0: a wide window */
    int16_t from, to;
    uint8_t weekdays;
    int64_t expires;
};
union made {
    struct policy_grant g;
    char room[sizeof(struct policy_grant) + 256];
};

/* Behind what is there already. */
static uint16_t text_put(union made *m, size_t *at, const char *text)
{
    size_t was = *at, n = strlen(text) + 1;

    assert_true(was + n <= sizeof m->room);
    memcpy(m->room + was, text, n);
    *at += n;
    return (uint16_t)was;
}

static const struct policy_grant *make(union made *m, const struct sketch *s)
{
    size_t at = sizeof m->g + 2 * sizeof m->g.bit[0];

    memset(m, 0, sizeof *m);
    m->g.words = 1;
    m->g.bit[0] = s->items;
    m->g.bit[1] = s->clear;
    m->g.app_at = text_put(m, &at, s->app ? s->app : "education/admission");
    m->g.resource_at = text_put(m, &at, "public-security/household");
    m->g.purposes_at = (uint16_t)at;
    for (; m->g.n_purposes < 3 && s->purposes[m->g.n_purposes]; m->g.n_purposes++)
        (void)text_put(m, &at, s->purposes[m->g.n_purposes]);
    m->g.id_at = text_put(m, &at, s->id);
    m->g.version = m->g.resource_version = 1;
    m->g.state = (uint8_t)s->state;
    m->g.day_from = s->day_from ? s->day_from : SATURDAY - 100;
    m->g.day_to = s->day_to ? s->day_to : SATURDAY + 100;
    m->g.minute_from = s->from;
    m->g.minute_to = s->to;
    m->g.weekdays = s->weekdays;
    m->g.expires = s->expires;
    m->g.max_rows = 10;
    return &m->g;
}

#pragma GCC diagnostic ignored "-Woverride-init" /* rows start from a live grant and say what differs */
#define LIVE(name) .id = name, .state = POLICY_ACTIVE, .purposes = { "admission" }, .items = 7
enum { MON_FRI = 0x1f, SAT = 0x20 };

struct row {
    const char *what;
    struct sketch grants[4];
    struct sketch named;         /* id set: what the header's grant is, when it is not a candidate */
    const char *grant, *purpose; /* as sent */
    uint64_t items;              /* named items; 0: none named */
    bool empty_items;            /* _items named nothing */
    bool off, draft, plain, paused;
    int32_t day;
    int minute;
    int ms;
    enum reason want;
    const char *id; /* of verdict.grant; NULL: none */
    uint64_t out;   /* items of a permit */
    uint64_t clear;
    int64_t until; /* 0: not looked at */
    size_t matches;
};

/* A row is a sentence: laid out by hand. */
/* clang-format off */
static const struct row rows[] = {
    { "one grant, one purpose, nothing said", { { LIVE("g1"), .clear = 2 } }, .want = REASON_GRANTED, .id = "g1", .out = 7, .clear =
      2 },
    { "purpose said", { { LIVE("g1") } }, .purpose = "admission", .want = REASON_GRANTED, .id = "g1", .out = 7 },
    { "items picked, clear follows", { { LIVE("g1"), .clear = 6 } }, .items = 3, .want = REASON_GRANTED, .id = "g1", .out = 3,
      .clear = 2 },
    { "grant named", { { LIVE("g1") }, { LIVE("g2") } }, .grant = "g2", .want = REASON_GRANTED, .id = "g2", .out = 7 },
    { "application not active", { { LIVE("g1") } }, .off = true, .want = REASON_SUBJECT_INACTIVE },
    { "application before resource", { { LIVE("g1") } }, .off = true, .draft = true, .want = REASON_SUBJECT_INACTIVE },
    { "not published", { { LIVE("g1") } }, .draft = true, .want = REASON_NOT_PUBLISHED },
    { "not callable", { { LIVE("g1") } }, .plain = true, .want = REASON_NOT_CALLABLE },
    { "resource suspended", { { LIVE("g1") } }, .paused = true, .want = REASON_RESOURCE_SUSPENDED },
    { "resource before grant named", { { LIVE("g1") } }, .plain = true, .grant = "g9", .want = REASON_NOT_CALLABLE },
    { "no grant at all", { { 0 } }, .want = REASON_NO_GRANT },
    { "named grant does not exist", { { LIVE("g1") } }, .grant = "g9", .want = REASON_NO_GRANT },
    { "named grant of another application", { { LIVE("g1") } }, .named = { LIVE("g7"), .app = "housing/desk" }, .grant = "g7", .want
      = REASON_GRANT_OF_ANOTHER },
    { "named grant for another resource", { { LIVE("g1") } }, .named = { LIVE("g8") }, .grant = "g8", .want = REASON_NO_GRANT },
    { "a candidate of another application never counts", { { LIVE("g1"), .app = "housing/desk" } }, .want = REASON_NO_GRANT },
    { "named grant is revoked though another would do", { { LIVE("g1") }, { LIVE("g2"), .state = POLICY_REVOKED } }, .grant = "g2",
      .want = REASON_REVOKED, .id = "g2" },
    { "revoked", { { LIVE("g1"), .state = POLICY_REVOKED } }, .want = REASON_REVOKED, .id = "g1" },
    { "suspended", { { LIVE("g1"), .state = POLICY_SUSPENDED } }, .want = REASON_SUSPENDED, .id = "g1" },
    { "given back", { { LIVE("g1"), .state = POLICY_RETURNED } }, .want = REASON_NO_GRANT, .id = "g1" },
    { "a state from the future", { { LIVE("g1"), .state = 9 } }, .want = REASON_NO_GRANT, .id = "g1" },
    { "revoked and expired is revoked", { { LIVE("g1"), .state = POLICY_REVOKED, .expires = 1 } }, .want = REASON_REVOKED, .id =
      "g1" },
    { "suspended and expired is expired", { { LIVE("g1"), .state = POLICY_SUSPENDED, .expires = 1 } }, .want = REASON_EXPIRED, .id =
      "g1" },
    { "expired is nearer than revoked", { { LIVE("g1"), .expires = 1 }, { LIVE("g2"), .state = POLICY_REVOKED } }, .want =
      REASON_EXPIRED, .id = "g1" },
    { "suspended is nearer than expired", { { LIVE("g1"), .state = POLICY_SUSPENDED }, { LIVE("g2"), .expires = 1 } }, .want =
      REASON_SUSPENDED, .id = "g1" },
    { "equally near: the youngest, by number", { { LIVE("g9"), .state = POLICY_REVOKED }, { LIVE("g10"), .state = POLICY_REVOKED }
      }, .want = REASON_REVOKED, .id = "g10" },
    { "purpose not granted", { { LIVE("g1") } }, .purpose = "statistics", .want = REASON_PURPOSE_NOT_GRANTED, .id = "g1" },
    { "purpose is compared whole", { { LIVE("g1") } }, .purpose = "admissio", .want = REASON_PURPOSE_NOT_GRANTED, .id = "g1" },
    { "purpose missing", { { LIVE("g1"), .purposes = { "a", "b" } } }, .want = REASON_PURPOSE_MISSING, .id = "g1" },
    { "second purpose", { { LIVE("g1"), .purposes = { "a", "b" } } }, .purpose = "b", .want = REASON_GRANTED, .id = "g1", .out = 7
      },
    { "a grant without purposes gives nothing", { { .id = "g1", .state = POLICY_ACTIVE, .items = 7 } }, .want =
      REASON_PURPOSE_NOT_GRANTED, .id = "g1" },
    { "missing is nearer than not granted", { { .id = "g2", .state = POLICY_ACTIVE, .items = 7 }, { LIVE("g1"), .purposes = { "a",
      "b" } } }, .want = REASON_PURPOSE_MISSING, .id = "g1" },
    { "purpose before window", { { LIVE("g1"), .day_from = MONDAY } }, .purpose = "x", .want = REASON_PURPOSE_NOT_GRANTED, .id =
      "g1" },
    { "the purpose picks the grant", { { LIVE("g1") }, { LIVE("g2"), .purposes = { "audit" } } }, .purpose = "audit", .want =
      REASON_GRANTED, .id = "g2", .out = 7 },
    { "an item not granted", { { LIVE("g1") } }, .items = 8, .want = REASON_ITEM_NOT_GRANTED, .id = "g1" },
    { "one granted, one not", { { LIVE("g1") } }, .items = 9, .want = REASON_ITEM_NOT_GRANTED, .id = "g1" },
    { "items named, but none", { { LIVE("g1") } }, .empty_items = true, .want = REASON_ITEM_NOT_GRANTED, .id = "g1" },
    { "a grant without items gives nothing", { { LIVE("g1"), .items = 0 } }, .want = REASON_ITEM_NOT_GRANTED, .id = "g1" },
    { "window before items", { { LIVE("g1"), .day_from = MONDAY } }, .items = 8, .want = REASON_OUTSIDE_WINDOW, .id = "g1" },
    { "items pick the grant", { { LIVE("g1") }, { LIVE("g2"), .items = 8 } }, .items = 8, .want = REASON_GRANTED, .id = "g2", .out =
      8 },
    { "two match", { { LIVE("g2") }, { LIVE("g1") } }, .want = REASON_GRANT_AMBIGUOUS, .id = "g2", .matches = 2 },
    { "three match", { { LIVE("g2") }, { LIVE("g1") }, { LIVE("g30") } }, .want = REASON_GRANT_AMBIGUOUS, .id = "g30", .matches = 3
      },
    { "the dead do not count", { { LIVE("g1") }, { LIVE("g2"), .state = POLICY_REVOKED }, { LIVE("g3"), .expires = 1 }, {
      LIVE("g4"), .state = POLICY_SUSPENDED } }, .want = REASON_GRANTED, .id = "g1", .out = 7 },
    { "nor those outside their window", { { LIVE("g1") }, { LIVE("g2"), .day_from = MONDAY } }, .want = REASON_GRANTED, .id = "g1",
      .out = 7 },
    { "begins tomorrow", { { LIVE("g1"), .day_from = SATURDAY + 1 } }, .minute = HM(23, 59), .ms = 59999, .want =
      REASON_OUTSIDE_WINDOW, .id = "g1" },
    { "begins today", { { LIVE("g1"), .day_from = SATURDAY } }, .minute = 0, .want = REASON_GRANTED, .id = "g1", .out = 7 },
    { "ended yesterday", { { LIVE("g1"), .day_to = SATURDAY - 1 } }, .minute = 0, .want = REASON_EXPIRED, .id = "g1" },
    { "ends today", { { LIVE("g1"), .day_to = SATURDAY } }, .minute = HM(23, 59), .ms = 59999, .want = REASON_GRANTED, .id = "g1",
      .out = 7, .until = AT(SUNDAY, 0) },
    { "a millisecond before expiry", { { LIVE("g1"), .expires = AT(SATURDAY, 600) } }, .minute = 599, .ms = 59999, .want =
      REASON_GRANTED, .id = "g1", .out = 7, .until = AT(SATURDAY, 600) },
    { "at expiry", { { LIVE("g1"), .expires = AT(SATURDAY, 600) } }, .minute = 600, .want = REASON_EXPIRED, .id = "g1" },
    { "before the hours", { { LIVE("g1"), .from = HM(8, 30), .to = HM(17, 0) } }, .minute = HM(8, 29), .want =
      REASON_OUTSIDE_WINDOW, .id = "g1" },
    { "first minute", { { LIVE("g1"), .from = HM(8, 30), .to = HM(17, 0) } }, .minute = HM(8, 30), .want = REASON_GRANTED, .id =
      "g1", .out = 7, .until = AT(SATURDAY, HM(17, 0)) },
    { "last minute", { { LIVE("g1"), .from = HM(8, 30), .to = HM(17, 0) } }, .minute = HM(16, 59), .ms = 59999, .want =
      REASON_GRANTED, .id = "g1", .out = 7, .until = AT(SATURDAY, HM(17, 0)) },
    { "the end is outside", { { LIVE("g1"), .from = HM(8, 30), .to = HM(17, 0) } }, .minute = HM(17, 0), .want =
      REASON_OUTSIDE_WINDOW, .id = "g1" },
    { "0 to 24 is the whole day", { { LIVE("g1"), .to = MINUTES } }, .minute = 1439, .want = REASON_GRANTED, .id = "g1", .out = 7,
      .until = AT(SATURDAY + 101, 0) },
    { "equal hours are never open", { { LIVE("g1"), .from = 60, .to = 60 } }, .minute = 60, .want = REASON_OUTSIDE_WINDOW, .id =
      "g1" },
    { "until midnight", { { LIVE("g1"), .from = HM(22, 0), .to = MINUTES } }, .minute = HM(23, 0), .want = REASON_GRANTED, .id =
      "g1", .out = 7, .until = AT(SUNDAY, 0) },
    { "wraps, before midnight", { { LIVE("g1"), .from = HM(22, 0), .to = HM(6, 0) } }, .minute = HM(22, 0), .want = REASON_GRANTED,
      .id = "g1", .out = 7, .until = AT(SUNDAY, HM(6, 0)) },
    { "wraps, after midnight", { { LIVE("g1"), .from = HM(22, 0), .to = HM(6, 0) } }, .minute = HM(5, 59), .want = REASON_GRANTED,
      .id = "g1", .out = 7, .until = AT(SATURDAY, HM(6, 0)) },
    { "wraps, by day", { { LIVE("g1"), .from = HM(22, 0), .to = HM(6, 0) } }, .minute = HM(6, 0), .want = REASON_OUTSIDE_WINDOW, .id
      = "g1" },
    { "wraps, cut by the last day", { { LIVE("g1"), .from = HM(22, 0), .to = HM(6, 0), .day_to = SATURDAY } }, .minute = HM(23, 0),
      .want = REASON_GRANTED, .id = "g1", .out = 7, .until = AT(SUNDAY, 0) },
    { "wraps to midnight exactly", { { LIVE("g1"), .from = HM(22, 0), .to = 0 } }, .minute = HM(23, 0), .want = REASON_GRANTED, .id
      = "g1", .out = 7, .until = AT(SUNDAY, 0) },
    { "not on Saturdays", { { LIVE("g1"), .weekdays = MON_FRI } }, .want = REASON_OUTSIDE_WINDOW, .id = "g1" },
    { "on Saturdays, cut at midnight", { { LIVE("g1"), .weekdays = SAT } }, .minute = 600, .want = REASON_GRANTED, .id = "g1", .out
      = 7, .until = AT(SUNDAY, 0) },
    { "Monday to Friday runs on until Saturday", { { LIVE("g1"), .weekdays = MON_FRI } }, .day = MONDAY, .minute = 600, .want =
      REASON_GRANTED, .id = "g1", .out = 7, .until = AT(MONDAY + 5, 0) },
    { "Saturday night lasts into Sunday", { { LIVE("g1"), .weekdays = SAT, .from = HM(22, 0), .to = HM(6, 0) } }, .day = SUNDAY,
      .minute = HM(5, 0), .want = REASON_GRANTED, .id = "g1", .out = 7, .until = AT(SUNDAY, HM(6, 0)) },
    { "Saturday morning was Friday's night", { { LIVE("g1"), .weekdays = SAT, .from = HM(22, 0), .to = HM(6, 0) } }, .minute = HM(5,
      0), .want = REASON_OUTSIDE_WINDOW, .id = "g1" },
    { "Monday morning was Sunday's night", { { LIVE("g1"), .weekdays = 0x40, .from = HM(22, 0), .to = HM(6, 0) } }, .day = MONDAY,
      .minute = HM(5, 0), .want = REASON_GRANTED, .id = "g1", .out = 7 },
};
/* clang-format on */

static void facts_of(const struct row *r, struct policy_facts *f)
{
    *f = (struct policy_facts){ .app = SLICE("education/admission"),
                                .app_active = !r->off,
                                .resource_published = !r->draft,
                                .resource_callable = !r->plain,
                                .resource_suspended = r->paused,
                                .purpose = slice_of(r->purpose),
                                .grant = slice_of(r->grant),
                                .items_named = r->items != 0 || r->empty_items,
                                .items = { { r->items } },
                                .day = r->day ? r->day : SATURDAY,
                                .minute = (int16_t)r->minute };
    f->weekday = (uint8_t)((f->day - MONDAY + 700) % 7 + 1);
    f->now = AT(f->day, r->minute) + r->ms;
}

static bool older(const char *a, const char *b)
{
    return strlen(a) < strlen(b) || strcmp(a, b) < 0;
}

static void expect_row(const struct row *r, const struct policy_verdict *v)
{
    if (v->reason != r->want)
        fail_msg("%s: %s, not %s", r->what, reason_info(v->reason)->code, reason_info(r->want)->code);
    if (v->permit != (r->want == REASON_GRANTED))
        fail_msg("%s: permit %d", r->what, v->permit);
    if ((v->grant == NULL) != (r->id == NULL) || (r->id && strcmp(policy_grant_id(v->grant), r->id) != 0))
        fail_msg("%s: grant %s", r->what, v->grant ? policy_grant_id(v->grant) : "none");
    if (v->items.bit[0] != r->out || v->clear.bit[0] != r->clear)
        fail_msg("%s: items %llx clear %llx", r->what, (unsigned long long)v->items.bit[0],
                 (unsigned long long)v->clear.bit[0]);
    if (v->n_matches != r->matches)
        fail_msg("%s: %zu matches", r->what, v->n_matches);
    if (r->until && v->valid_until != r->until)
        fail_msg("%s: valid until %lld, not %lld", r->what, (long long)v->valid_until, (long long)r->until);
    if (!v->permit && v->valid_until != 0)
        fail_msg("%s: a refusal has no validity", r->what);
    for (size_t i = 1; i < v->n_matches; i++)
        assert_true(older(policy_grant_id(v->matches[i - 1]), policy_grant_id(v->matches[i])));
}

/* Every row, with its candidates in this order and in the opposite one. */
static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        union made made[5];
        const struct policy_grant *forth[4], *back[4];
        struct policy_facts f;
        size_t n = 0;

        facts_of(r, &f);
        while (n < 4 && r->grants[n].id) {
            forth[n] = make(&made[n], &r->grants[n]);
            if (r->grant && strcmp(r->grant, policy_grant_id(forth[n])) == 0)
                f.named = forth[n];
            n++;
        }
        if (r->named.id)
            f.named = make(&made[4], &r->named);
        for (size_t k = 0; k < n; k++)
            back[k] = forth[n - 1 - k];
        f.n_grants = n;
        f.grants = forth;
        struct policy_verdict v = policy_decide(&f);
        expect_row(r, &v);
        f.grants = back;
        v = policy_decide(&f);
        expect_row(r, &v);
    }
}

static void test_every_reason_has_a_row(void **state)
{
    static const enum reason all[] = { REASON_GRANTED,
                                       REASON_SUBJECT_INACTIVE,
                                       REASON_NOT_PUBLISHED,
                                       REASON_NOT_CALLABLE,
                                       REASON_RESOURCE_SUSPENDED,
                                       REASON_NO_GRANT,
                                       REASON_GRANT_OF_ANOTHER,
                                       REASON_GRANT_AMBIGUOUS,
                                       REASON_PURPOSE_MISSING,
                                       REASON_PURPOSE_NOT_GRANTED,
                                       REASON_OUTSIDE_WINDOW,
                                       REASON_ITEM_NOT_GRANTED,
                                       REASON_REVOKED,
                                       REASON_SUSPENDED,
                                       REASON_EXPIRED };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        bool seen = false;
        for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
            seen = seen || rows[k].want == all[i];
        if (!seen)
            fail_msg("no row for %s", reason_info(all[i])->code);
    }
}

static void test_zero_denies(void **state)
{
    struct policy_facts nothing = { 0 };
    struct policy_verdict zero = { 0 }, v = policy_decide(&nothing);

    (void)state;
    assert_false(zero.permit);
    assert_int_equal(zero.reason, REASON_INTERNAL);
    assert_int_equal(POLICY_REVOKED, 0);
    assert_false(v.permit);
}

static void test_more_than_eight_match(void **state)
{
    union made made[12];
    const struct policy_grant *list[12];
    char ids[12][16];
    struct policy_facts f;

    (void)state;
    facts_of(&rows[0], &f);
    for (int i = 0; i < 12; i++) {
        snprintf(ids[i], sizeof ids[i], "g%d", (i * 5) % 12 + 1);
        list[i] = make(&made[i], &(struct sketch){ LIVE(ids[i]) });
    }
    f.grants = list;
    f.n_grants = 12;
    struct policy_verdict v = policy_decide(&f);
    assert_int_equal(v.reason, REASON_GRANT_AMBIGUOUS);
    assert_int_equal(v.n_matches, 8);
    for (int i = 0; i < 8; i++) {
        char want[16];
        snprintf(want, sizeof want, "g%d", i + 1);
        assert_string_equal(policy_grant_id(v.matches[i]), want);
    }
}

/* ---- properties ---- */

static uint64_t seed;
static uint32_t draw(uint32_t below)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33) % below;
}

static const char *const words[] = { "a", "b", "admission", "g1" };

static void draw_grant(union made *m, const char *id)
{
    struct sketch s = { .id = id, .app = draw(8) ? NULL : "housing/desk", .state = (enum policy_state)draw(6) };

    if (draw(3))
        s.state = POLICY_ACTIVE;
    for (uint32_t i = 0, n = draw(3); i < n; i++)
        s.purposes[i] = words[draw(3)];
    s.items = draw(16);
    s.clear = draw(16);
    s.day_from = SATURDAY - 3 + (int32_t)draw(6);
    s.day_to = s.day_from + (int32_t)draw(5) - 1;
    s.from = (int16_t)(draw(2) ? 0 : draw(1440));
    s.to = (int16_t)(draw(2) ? 0 : draw(1441));
    s.weekdays = (uint8_t)(draw(2) ? 0 : draw(256));
    s.expires = draw(3) ? 0 : AT(SATURDAY, draw(1440));
    make(m, &s);
}

static void draw_facts(struct policy_facts *f)
{
    struct row r = { .day = SATURDAY - 1 + (int32_t)draw(3), .minute = (int)draw(1440), .ms = (int)draw(60000) };

    r.items = draw(3) ? 0 : draw(16);
    r.empty_items = draw(10) == 0;
    r.purpose = draw(2) ? NULL : words[draw(4)];
    r.grant = draw(3) ? NULL : words[3];
    r.off = draw(10) == 0;
    r.draft = draw(10) == 0;
    r.plain = draw(10) == 0;
    r.paused = draw(10) == 0;
    facts_of(&r, f);
}

/* A second reading of the rules: may this grant stand for these facts? Day by day instead of by arithmetic of weekdays.
 */
static bool covers(const struct policy_facts *f, const struct policy_grant *g)
{
    bool purpose = f->purpose.n == 0 && g->n_purposes == 1;
    bool whole = g->minute_from == 0 && (g->minute_to == 0 || g->minute_to == MINUTES);
    bool hours = false;

    for (unsigned i = 0; i < g->n_purposes; i++)
        purpose = purpose || slice_is(f->purpose, policy_grant_purpose(g, i));
    for (int back = 0; back <= 1; back++) { /* opened today or yesterday */
        int from = whole ? 0 : g->minute_from, to = whole ? MINUTES : g->minute_to;
        int minute = f->minute + back * MINUTES;
        int weekday = (f->weekday + 6 - back) % 7;
        if (to < from)
            to += MINUTES;
        if (minute >= from && minute < to && (g->weekdays == 0 || g->weekdays >> weekday & 1))
            hours = true;
    }
    uint64_t items = policy_grant_items(g).bit[0], asked = f->items_named ? f->items.bit[0] : items;
    return slice_is(f->app, policy_grant_app(g)) && g->state == POLICY_ACTIVE &&
           (f->grant.n == 0 || slice_is(f->grant, policy_grant_id(g))) && purpose && hours && f->day >= g->day_from &&
           f->day <= g->day_to && (g->expires == 0 || f->now < g->expires) && asked != 0 && (asked & ~items) == 0;
}

static void expect_sound(const struct policy_facts *f, const struct policy_verdict *v)
{
    bool may = f->app_active && f->resource_published && f->resource_callable && !f->resource_suspended;
    const struct policy_grant *only = NULL;
    size_t n = 0;

    for (size_t i = 0; i < f->n_grants; i++)
        if (covers(f, f->grants[i])) {
            only = f->grants[i];
            n++;
        }
    if (f->grant.n != 0)
        may = may && f->named && slice_is(f->app, policy_grant_app(f->named));
    if (v->permit != (may && n == 1))
        fail_msg("permit %d (%s) where %zu grants cover", v->permit, reason_info(v->reason)->code, n);
    if (may)
        assert_int_equal(v->reason == REASON_GRANT_AMBIGUOUS, n > 1);
    if (!v->permit)
        return;
    assert_ptr_equal(v->grant, only);
    assert_true(v->items.bit[0] != 0 && (v->items.bit[0] & ~policy_grant_items(only).bit[0]) == 0);
    assert_true((v->clear.bit[0] & ~(v->items.bit[0] & policy_grant_clear(only).bit[0])) == 0);
    assert_true(v->purpose.n > 0);
    assert_true(v->valid_until > f->now);
}

/* The moment before valid_until is permitted, the moment itself is not: the window is cut exactly. */
static void expect_until(const struct policy_facts *at, const struct policy_verdict *v)
{
    struct policy_facts f = *at;

    if (v->valid_until - at->now > 40 * 86400000LL)
        return;
    for (int k = 0; k <= 1; k++) {
        int64_t local = v->valid_until - 1 + k + ZONE_MS;
        f.now = v->valid_until - 1 + k;
        f.day = (int32_t)(local / 86400000);
        f.minute = (int16_t)(local % 86400000 / 60000);
        f.weekday = (uint8_t)((f.day - MONDAY + 700) % 7 + 1);
        bool again = covers(&f, v->grant);
        if (k == 0 && !again)
            fail_msg("valid_until is too late");
        /* Hours that wrap may open again in the same moment only when one window's end is the next one's beginning. */
        if (k == 1 && again && v->grant->minute_to != v->grant->minute_from &&
            v->grant->minute_to % MINUTES != v->grant->minute_from)
            fail_msg("valid_until is too early");
    }
}

static void test_permit_means_one_live_grant(void **state)
{
    size_t permits = 0;

    (void)state;
    seed = 20261122;
    for (int round = 0; round < 200000; round++) {
        static const char *const ids[] = { "g1", "g2", "g3" };
        union made made[4];
        const struct policy_grant *list[3];
        struct policy_facts f;

        draw_facts(&f);
        f.n_grants = draw(4);
        for (size_t i = 0; i < f.n_grants; i++) {
            draw_grant(&made[i], ids[i]);
            list[i] = &made[i].g;
        }
        f.grants = list;
        f.named = f.n_grants > 0 && draw(4) ? list[0] : NULL;
        struct policy_verdict v = policy_decide(&f);
        expect_sound(&f, &v);
        if (v.permit) {
            expect_until(&f, &v);
            permits++;
        }
    }
    assert_true(permits > 1000); /* else nothing was tried */
}

static void test_no_grants_no_permit(void **state)
{
    (void)state;
    seed = 7;
    for (int round = 0; round < 50000; round++) {
        union made made;
        struct policy_facts f;

        draw_facts(&f);
        draw_grant(&made, "g1");
        f.named = draw(2) ? &made.g : NULL;
        struct policy_verdict v = policy_decide(&f);
        assert_false(v.permit);
        assert_true(v.reason != REASON_GRANTED && v.reason != REASON_INTERNAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_every_reason_has_a_row),
        cmocka_unit_test(test_zero_denies),
        cmocka_unit_test(test_more_than_eight_match),
        cmocka_unit_test(test_permit_means_one_live_grant),
        cmocka_unit_test(test_no_grants_no_permit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
