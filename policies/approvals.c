/* policies/approvals: the steps of a request and what comes of them.
 * States of an approval: next -> waiting -> approved | rejected | returned; withdrawn with its request. The parts of a
 * request go their ways alone, each through its own steps, one after the other, as they were stored with it.
 * Invariants: nobody decides their own request; nobody decides two steps of a part; a grant is born when all steps of
 * its part are approved and at no other place; a request is open while one of its parts is. */
#include "policies/store.h"

enum { APPROVALS_MAX = POLICY_WISHES_MAX * POLICY_STEPS_MAX };

struct reading {
    struct arena *a;
    struct policy_approval *at; /* a part's steps side by side, in their order */
    size_t n;
};

/* The next row is the first step of the next part, or the next step of the same. */
static bool in_order(const struct reading *to, uint64_t part, int64_t position)
{
    uint64_t before = to->n > 0 ? to->at[to->n - 1].part : 0;
    int64_t place = 0;

    for (size_t i = to->n; part == before && i > 0 && to->at[i - 1].part == part; i--)
        place++;
    return part >= 1 && (part == before || part == before + 1) && part <= POLICY_WISHES_MAX && position == place;
}

static enum err approval_read(void *arg, const struct sql_row *row)
{
    struct reading *to = arg;
    struct policy_reader r = { .row = row, .a = to->a };

    if (to->n == APPROVALS_MAX)
        return ERR_CORRUPT;
    struct policy_approval *ap = &to->at[to->n];
    ap->request = policy_read_text(&r);
    ap->part = (uint64_t)policy_read_int(&r);
    int64_t position = policy_read_int(&r);
    ap->step = policy_read_text(&r);
    ap->provider = policy_read_text(&r);
    ap->department = policy_read_text(&r);
    ap->state = policy_read_text(&r);
    ap->by = policy_read_text(&r);
    ap->note = policy_read_text(&r);
    ap->at = policy_read_int(&r);
    if (r.failed)
        return ERR_NOMEM;
    if (!in_order(to, ap->part, position))
        return ERR_CORRUPT;
    to->n++;
    return ERR_OK;
}

static enum err count_read(void *arg, const struct sql_row *row)
{
    *(int64_t *)arg = sql_int(row, 0);
    return ERR_OK;
}

static enum err approvals_load(struct sql_tx *tx, struct slice request, struct arena *a, struct reading *to)
{
    int64_t n = 0;
    enum err e =
        sql_one(tx, "SELECT COUNT(*) FROM policy_step WHERE request = $1", SQL_ARGS(SQL_T(request)), count_read, &n);

    *to = (struct reading){ .a = a };
    if (e != ERR_OK || n == 0)
        return e;
    if (n > APPROVALS_MAX)
        return ERR_CORRUPT;
    to->at = arena_array(a, (size_t)n, sizeof *to->at);
    if (to->at == NULL)
        return ERR_NOMEM;
    return sql_each(tx,
                    "SELECT request, part, position, step, provider, department, state, decided_by, note, at"
                    " FROM policy_step WHERE request = $1 ORDER BY part, position",
                    SQL_ARGS(SQL_T(request)), approval_read, to);
}

/* The steps of the part that the one at `at` belongs to: from *first up to the result. */
static size_t part_span(const struct reading *all, size_t at, size_t *first)
{
    uint64_t part = all->at[at].part;
    size_t end = at;

    while (end < all->n && all->at[end].part == part)
        end++;
    for (*first = at; *first > 0 && all->at[*first - 1].part == part;)
        --*first;
    return end;
}

enum err policy_approval_each(struct sql_tx *tx, struct slice request, struct arena *a,
                              enum err (*fn)(void *arg, const struct policy_approval *ap), void *arg)
{
    struct reading all;
    enum err e = approvals_load(tx, request, a, &all);

    for (size_t i = 0; i < all.n && e == ERR_OK; i++)
        e = fn(arg, &all.at[i]);
    return e;
}

/* ---- deciding ---- */

static const char *const act_states[] = {
    [POLICY_APPROVE] = "approved",
    [POLICY_REJECT] = "rejected",
    [POLICY_RETURN] = "returned",
};

struct deciding {
    struct sql_tx *tx;
    const struct policy_request *q;
    const struct policy_actor *by;
    const struct policy_decision *what;
    int64_t now;
    struct arena *a;
    struct policy_decided *ret;
    struct diags *d;
    struct reading all;
};

static bool decided_other_step(const struct reading *all, size_t at, struct slice who)
{
    size_t first, end = part_span(all, at, &first);

    for (size_t i = first; i < end; i++)
        if (slice_eq(all->at[i].by, who))
            return true;
    return false;
}

static enum err state_set(const struct deciding *w, size_t at, const char *state, struct slice by, struct slice note,
                          int64_t when)
{
    struct policy_approval *ap = &w->all.at[at];

    ap->state = slice_of(state);
    ap->by = by;
    ap->note = note;
    ap->at = when;
    return sql_exec(w->tx,
                    "UPDATE policy_step SET state = $4, decided_by = $5, note = $6, at = $7"
                    " WHERE request = $1 AND part = $2 AND step = $3",
                    SQL_ARGS(SQL_T(ap->request), SQL_I(ap->part), SQL_T(ap->step), SQL_T(ap->state), SQL_T(by),
                             SQL_T(note), SQL_I(when)),
                    NULL);
}

/* Who approved a part, joined by ','. ERR_CORRUPT: one of its steps is not approved. */
static enum err approvers_of(const struct deciding *w, size_t at, struct slice *ret)
{
    size_t first, end = part_span(&w->all, at, &first);

    *ret = (struct slice){ 0 };
    for (size_t i = first; i < end; i++) {
        if (!slice_is(w->all.at[i].state, "approved"))
            return ERR_CORRUPT;
        *ret = policy_names_join(w->a, *ret, w->all.at[i].by);
        if (ret->n == 0)
            return ERR_NOMEM;
    }
    return ERR_OK;
}

static enum err grants_born(struct deciding *w, size_t at)
{
    struct slice approvers;
    enum err e = approvers_of(w, at, &approvers);

    for (size_t i = 0; e == ERR_OK && i < w->q->n_wishes; i++) {
        if (w->q->wishes[i].part != w->all.at[at].part)
            continue;
        if (w->ret->n_grants == sizeof w->ret->grants / sizeof *w->ret->grants)
            return ERR_CORRUPT;
        e = policy_grant_born(w->tx, w->q, &w->q->wishes[i], approvers, w->by->id, w->now, w->a,
                              &w->ret->grants[w->ret->n_grants]);
        if (e == ERR_OK)
            w->ret->n_grants++;
    }
    return e;
}

/* Adds to the names of what was decided, once each. */
static enum err decided_note(struct deciding *w, size_t at)
{
    const struct policy_approval *ap = &w->all.at[at];

    if (!policy_names_have(w->ret->step, ap->step))
        w->ret->step = policy_names_join(w->a, w->ret->step, ap->step);
    if (!policy_names_have(w->ret->provider, ap->provider))
        w->ret->provider = policy_names_join(w->a, w->ret->provider, ap->provider);
    w->ret->parts |= (uint64_t)1 << (ap->part - 1);
    return w->ret->step.n > 0 && w->ret->provider.n > 0 ? ERR_OK : ERR_NOMEM;
}

static enum err decide_one(struct deciding *w, size_t at)
{
    size_t first, end = part_span(&w->all, at, &first);
    enum err e = state_set(w, at, act_states[w->what->act], w->by->id, w->what->note, w->now);

    if (e == ERR_OK)
        e = decided_note(w, at);
    if (e != ERR_OK || w->what->act != POLICY_APPROVE)
        return e;
    if (at + 1 == end)
        return grants_born(w, at);
    return state_set(w, at + 1, "waiting", (struct slice){ 0 }, (struct slice){ 0 }, 0);
}

/* What became of a part: its last step's state when all before it are approved, else that of the first that is not. */
static struct slice part_state(const struct reading *all, size_t first, size_t end)
{
    while (first + 1 < end && slice_is(all->at[first].state, "approved"))
        first++;
    return all->at[first].state;
}

/* The request's state from its parts: open while one is; then granted if one is, else returned if one is, else
 * rejected. */
static const char *request_state(const struct reading *all)
{
    bool granted = false, returned = false;

    for (size_t i = 0, first = 0; i < all->n;) {
        size_t end = part_span(all, i, &first);
        struct slice state = part_state(all, i, end);

        if (slice_is(state, "approved"))
            granted = true;
        else if (slice_is(state, "returned"))
            returned = true;
        else if (!slice_is(state, "rejected"))
            return "open";
        i = end;
    }
    return granted ? "granted" : returned ? "returned" : "rejected";
}

static bool waits(const struct policy_approval *ap, uint64_t part)
{
    return slice_is(ap->state, "waiting") && (part == 0 || part == ap->part);
}

/* Says of each step that waits who may decide it. Each language has its own words for that, and skips the other's. */
static enum err refuse(const struct deciding *w)
{
    for (size_t i = 0; i < w->all.n; i++) {
        const struct policy_approval *ap = &w->all.at[i];

        if (!waits(ap, w->what->part))
            continue;
        const char *en = policy_step_who(w->a, ap, LANG_EN), *zh = policy_step_who(w->a, ap, LANG_ZH);
        if (policy_step_fits(ap, w->by))
            diag_add(w->d, ERR_DENIED, 0, 0,
                     "you decided on the part of %.*s already: this step waits for another %s%.0s",
                     "本人已审批过 %.*s 部分：该步骤%.0s须由另一位%s办理", SLICE_ARG(ap->provider), en, zh);
        else
            diag_add(w->d, ERR_DENIED, 0, 0, "the part of %.*s waits for a %s%.0s", "%.*s 部分%.0s待%s审批",
                     SLICE_ARG(ap->provider), en, zh);
    }
    return ERR_DENIED;
}

struct pick {
    bool mine[APPROVALS_MAX];
    bool waits, fits, any; /* some step waits; is for one of this actor's roles; may be decided */
};

/* Marks what this actor decides now, of one part or (0) of all. Looked up first and decided afterwards, so that a
 * person who holds several roles does not run through several steps in one act. */
static void pick(const struct reading *all, const struct policy_actor *by, uint64_t part, struct pick *ret)
{
    *ret = (struct pick){ 0 };
    for (size_t i = 0; i < all->n; i++) {
        if (!waits(&all->at[i], part))
            continue;
        ret->waits = true;
        if (!policy_step_fits(&all->at[i], by))
            continue;
        ret->fits = true;
        ret->mine[i] = !decided_other_step(all, i, by->id);
        ret->any = ret->any || ret->mine[i];
    }
}

static enum err decide_all(struct deciding *w, enum reason *why_not)
{
    struct pick p;
    enum err e = approvals_load(w->tx, w->q->id, w->a, &w->all);

    if (e != ERR_OK)
        return e;
    pick(&w->all, w->by, w->what->part, &p);
    if (!p.waits)
        return ERR_CONFLICT;
    if (!p.any) {
        *why_not = p.fits ? REASON_FOUR_EYES : REASON_ROLE_MISSING;
        return refuse(w);
    }
    for (size_t i = 0; i < w->all.n && e == ERR_OK; i++)
        if (p.mine[i])
            e = decide_one(w, i);
    if (e != ERR_OK)
        return e;
    return sql_exec(w->tx, "UPDATE policy_request SET state = $2 WHERE id = $1",
                    SQL_ARGS(SQL_T(w->q->id), SQL_T(slice_of(request_state(&w->all)))), NULL);
}

enum err policy_decide_request(struct sql_tx *tx, struct slice request, const struct policy_decision *what,
                               const struct policy_actor *by, int64_t now, struct arena *a, struct policy_decided *ret,
                               enum reason *why_not, struct diags *d)
{
    struct policy_request q;

    if ((unsigned)what->act >= sizeof act_states / sizeof *act_states)
        return ERR_INVALID;
    enum err e = policy_request_find(tx, request, a, &q);
    if (e != ERR_OK)
        return e;
    if (slice_eq(by->id, q.author)) {
        *why_not = REASON_FOUR_EYES;
        return diag_add(d, ERR_DENIED, 0, 0, "you made this request", "该申请由本人提出");
    }
    if (!slice_is(q.state, "open"))
        return ERR_CONFLICT;
    e = policy_text_check(what->note, what->act == POLICY_APPROVE, "note", d);
    if (e != ERR_OK)
        return e;
    *ret = (struct policy_decided){ 0 };
    struct deciding w = { .tx = tx, .q = &q, .by = by, .what = what, .now = now, .a = a, .ret = ret, .d = d };
    return decide_all(&w, why_not);
}

enum err policy_request_waits(struct sql_tx *tx, const struct policy_request *q, const struct policy_actor *by,
                              bool *ret)
{
    struct reading all;
    struct arena a;
    struct pick p;

    *ret = false;
    if (slice_eq(by->id, q->author) || !slice_is(q->state, "open"))
        return ERR_OK;
    arena_init(&a, 4 << 20); /* asked of one request after the other: nothing of it is kept */
    enum err e = approvals_load(tx, q->id, &a, &all);
    if (e == ERR_OK) {
        pick(&all, by, 0, &p);
        *ret = p.any;
    }
    arena_done(&a);
    return e;
}
