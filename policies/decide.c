/* policies/decide: the decision. Facts in, verdict out: no sockets, no clock, no SQL, no globals, no allocation.
 * Each candidate runs through one list of checks and ends with a reason; nothing permits but a candidate that passed
 * them all. Invariants: with no candidates nothing is permitted; what a permit gives out is a non-empty subset of the
 * grant's items; the order of the candidates never changes the verdict; the cost grows with the candidates only. */
#include "policies/policies.h"

enum { MINUTE_MS = 60000, DAY_MINUTES = 1440, ALL_WEEK = 0x7f };
#define DAY_MS ((int64_t)DAY_MINUTES * MINUTE_MS)

struct candidate {
    const struct policy_facts *f;
    const struct policy_grant *g;
    struct slice purpose; /* set by check_purpose; bor: the grant's */
};

/* How near a refusal came to a permit; the nearest grant gives the reason. */
static const uint8_t nearness[REASON_COUNT_] = {
    [REASON_NO_GRANT] = 1,
    [REASON_REVOKED] = 2,
    [REASON_EXPIRED] = 3,
    [REASON_SUSPENDED] = 4,
    [REASON_PURPOSE_NOT_GRANTED] = 5,
    [REASON_PURPOSE_MISSING] = 6,
    [REASON_OUTSIDE_WINDOW] = 7,
    [REASON_ITEM_NOT_GRANTED] = 8,
    [REASON_GRANTED] = 9,
};

static bool items_within(const struct policy_items *inner, const struct policy_items *outer)
{
    for (unsigned i = 0; i < POLICY_ITEM_WORDS; i++)
        if (inner->bit[i] & ~outer->bit[i])
            return false;
    return true;
}

static bool items_empty(const struct policy_items *items)
{
    for (unsigned i = 0; i < POLICY_ITEM_WORDS; i++)
        if (items->bit[i])
            return false;
    return true;
}

static struct policy_items items_and(const struct policy_items *a, const struct policy_items *b)
{
    struct policy_items both;

    for (unsigned i = 0; i < POLICY_ITEM_WORDS; i++)
        both.bit[i] = a->bit[i] & b->bit[i];
    return both;
}

/* ---- the checks of one candidate, in the order of DESIGN.md ---- */

static enum reason check_alive(struct candidate *c)
{
    if (c->g->state == POLICY_REVOKED)
        return REASON_REVOKED;
    if (c->g->state == POLICY_ACTIVE || c->g->state == POLICY_SUSPENDED)
        return REASON_GRANTED;
    return REASON_NO_GRANT; /* given back by the consumer itself, or a state this program does not know */
}

static enum reason check_expiry(struct candidate *c)
{
    if (c->g->expires != 0 && c->f->now >= c->g->expires)
        return REASON_EXPIRED;
    return c->f->day > c->g->day_to ? REASON_EXPIRED : REASON_GRANTED;
}

static enum reason check_suspended(struct candidate *c)
{
    return c->g->state == POLICY_ACTIVE ? REASON_GRANTED : REASON_SUSPENDED;
}

static enum reason check_purpose(struct candidate *c)
{
    if (c->f->purpose.n == 0) {
        if (c->g->n_purposes > 1)
            return REASON_PURPOSE_MISSING;
        if (c->g->n_purposes == 0)
            return REASON_PURPOSE_NOT_GRANTED;
        c->purpose = slice_of(policy_grant_purpose(c->g, 0));
        return REASON_GRANTED;
    }
    for (unsigned i = 0; i < c->g->n_purposes; i++) {
        const char *purpose = policy_grant_purpose(c->g, i);
        if (slice_is(c->f->purpose, purpose)) {
            c->purpose = slice_of(purpose);
            return REASON_GRANTED;
        }
    }
    return REASON_PURPOSE_NOT_GRANTED;
}

static bool all_day(const struct policy_grant *g)
{
    return g->minute_from == 0 && (g->minute_to == 0 || g->minute_to == DAY_MINUTES);
}

/* Whether the hours are open at `minute`; *yesterday: they opened on the day before and wrapped midnight. */
static bool hours_open(const struct policy_grant *g, int minute, bool *yesterday)
{
    *yesterday = false;
    if (all_day(g))
        return true;
    if (g->minute_from <= g->minute_to)
        return minute >= g->minute_from && minute < g->minute_to;
    *yesterday = minute < g->minute_to;
    return *yesterday || minute >= g->minute_from;
}

/* `weekday` plus some days, counted from Monday = 1; false for a weekday that does not exist. */
static bool weekday_open(const struct policy_grant *g, unsigned weekday, unsigned plus)
{
    if (g->weekdays == 0)
        return true;
    return weekday >= 1 && weekday <= 7 && (g->weekdays >> ((weekday - 1 + plus) % 7) & 1);
}

static enum reason check_window(struct candidate *c)
{
    bool yesterday;

    if (c->f->day < c->g->day_from || !hours_open(c->g, c->f->minute, &yesterday))
        return REASON_OUTSIDE_WINDOW;
    return weekday_open(c->g, c->f->weekday, yesterday ? 6 : 0) ? REASON_GRANTED : REASON_OUTSIDE_WINDOW;
}

static enum reason check_items(struct candidate *c)
{
    const struct policy_items items = policy_grant_items(c->g), *asked = c->f->items_named ? &c->f->items : &items;

    return items_within(asked, &items) && !items_empty(asked) ? REASON_GRANTED : REASON_ITEM_NOT_GRANTED;
}

static enum reason (*const candidate_checks[])(struct candidate *c) = {
    check_alive, check_expiry, check_suspended, check_purpose, check_window, check_items,
};

static enum reason candidate_judge(struct candidate *c)
{
    for (size_t i = 0; i < sizeof candidate_checks / sizeof *candidate_checks; i++) {
        enum reason r = candidate_checks[i](c);
        if (r != REASON_GRANTED)
            return r;
    }
    return REASON_GRANTED;
}

/* ---- the verdict ---- */

/* Wall ms at which the open window closes. Called only for a candidate that passed: day_to >= day, hours open. */
static int64_t window_end(const struct policy_facts *f, const struct policy_grant *g)
{
    int64_t in_minute = (f->now % MINUTE_MS + MINUTE_MS) % MINUTE_MS;
    int64_t midnight = f->now - in_minute - (int64_t)f->minute * MINUTE_MS;
    int64_t end = midnight + ((int64_t)g->day_to - f->day + 1) * DAY_MS;
    int64_t close = end;

    if (!all_day(g)) {
        bool tomorrow = g->minute_from > g->minute_to && f->minute >= g->minute_from;
        close = midnight + ((int64_t)g->minute_to + (tomorrow ? DAY_MINUTES : 0)) * MINUTE_MS;
    } else if (g->weekdays != 0 && (g->weekdays & ALL_WEEK) != ALL_WEEK) {
        unsigned days = 1;
        while (days < 7 && weekday_open(g, f->weekday, days))
            days++;
        close = midnight + days * DAY_MS;
    }
    if (close < end)
        end = close;
    return g->expires != 0 && g->expires < end ? g->expires : end;
}

/* Ids are a letter and a number: the longer is the younger, then the greater; 0 for the same. */
static int age_cmp(const struct policy_grant *a, const struct policy_grant *b)
{
    const char *ia = policy_grant_id(a), *ib = policy_grant_id(b);
    size_t na = strlen(ia), nb = strlen(ib);

    if (na != nb)
        return na < nb ? -1 : 1;
    int c = memcmp(ia, ib, na);
    return c != 0 ? c : (a->version > b->version) - (a->version < b->version);
}

/* Keeps the oldest eight, oldest first. */
static void match_note(struct policy_verdict *v, const struct policy_grant *g)
{
    size_t max = sizeof v->matches / sizeof *v->matches;
    size_t at = v->n_matches < max ? v->n_matches : max;

    while (at > 0 && age_cmp(g, v->matches[at - 1]) < 0) {
        if (at < max)
            v->matches[at] = v->matches[at - 1];
        at--;
    }
    if (at < max)
        v->matches[at] = g;
    if (v->n_matches < max)
        v->n_matches++;
}

static void verdict_permit(struct policy_verdict *v, const struct candidate *c)
{
    v->permit = true;
    v->reason = REASON_GRANTED;
    v->grant = c->g;
    v->purpose = c->purpose;
    const struct policy_items items = policy_grant_items(c->g), clear = policy_grant_clear(c->g);

    v->items = c->f->items_named ? items_and(&c->f->items, &items) : items;
    v->clear = items_and(&v->items, &clear);
    v->max_rows = c->g->max_rows;
    v->valid_until = window_end(c->f, c->g);
    memset(v->matches, 0, sizeof v->matches);
    v->n_matches = 0;
}

/* Reasons that need no look at any candidate; REASON_GRANTED: go on. */
static enum reason decide_before(const struct policy_facts *f)
{
    if (!f->app_active)
        return REASON_SUBJECT_INACTIVE;
    if (f->resource_suspended)
        return REASON_RESOURCE_SUSPENDED;
    if (!f->resource_published)
        return REASON_NOT_PUBLISHED;
    if (!f->resource_callable)
        return REASON_NOT_CALLABLE;
    if (f->grant.n == 0)
        return REASON_GRANTED;
    if (f->named == NULL || !slice_is(f->grant, policy_grant_id(f->named)))
        return REASON_NO_GRANT;
    return slice_is(f->app, policy_grant_app(f->named)) ? REASON_GRANTED : REASON_GRANT_OF_ANOTHER;
}

struct policy_verdict policy_decide(const struct policy_facts *f)
{
    struct policy_verdict v = { .permit = false, .reason = decide_before(f), .purpose = f->purpose };
    struct candidate winner = { 0 };

    if (v.reason != REASON_GRANTED)
        return v;
    v.reason = REASON_NO_GRANT;
    for (size_t i = 0; i < f->n_grants; i++) {
        struct candidate c = { .f = f, .g = f->grants[i] };

        if (!slice_is(f->app, policy_grant_app(c.g)) || (f->grant.n != 0 && !slice_is(f->grant, policy_grant_id(c.g))))
            continue;
        enum reason r = candidate_judge(&c);
        if (r == REASON_GRANTED) {
            match_note(&v, c.g);
            winner = c;
        }
        if (v.grant == NULL || nearness[r] > nearness[v.reason] ||
            (nearness[r] == nearness[v.reason] && age_cmp(c.g, v.grant) > 0)) {
            v.reason = r;
            v.grant = c.g;
        }
    }
    if (v.n_matches == 1)
        verdict_permit(&v, &winner);
    else if (v.n_matches > 1)
        v.reason = REASON_GRANT_AMBIGUOUS;
    return v;
}
