/* policies/approvals: the steps of a request and what comes of them.
 * States of an approval: next -> waiting -> approved | rejected | returned; withdrawn with its request. The parts of a
 * request, one for each provider department, go their ways alone: the provider's officer, then the bureau. Invariants:
 * nobody decides their own request; nobody decides both steps of a part; a grant is born when both steps of its part
 * are approved and at no other place; a request is open while one of its parts is. */
#include "policies/store.h"

enum { APPROVALS_MAX = POLICY_WISHES_MAX * POLICY_STEPS };
static const char *const step_names[POLICY_STEPS] = { "provider", "bureau" };

struct reading {
    struct arena *a;
    struct policy_approval *at;
    size_t n;
};

static enum err approval_read(void *arg, const struct sql_row *row)
{
    struct reading *to = arg;
    struct policy_reader r = { .row = row, .a = to->a };

    if (to->n == APPROVALS_MAX)
        return ERR_CORRUPT;
    struct policy_approval *ap = &to->at[to->n++];
    ap->request = policy_read_text(&r);
    ap->provider = policy_read_text(&r);
    int64_t step = policy_read_int(&r);
    ap->department = policy_read_text(&r);
    ap->state = policy_read_text(&r);
    ap->by = policy_read_text(&r);
    ap->note = policy_read_text(&r);
    ap->at = policy_read_int(&r);
    if (step < 0 || step >= POLICY_STEPS)
        return ERR_CORRUPT;
    ap->step = slice_of(step_names[step]);
    return r.failed ? ERR_NOMEM : ERR_OK;
}

/* Both steps of a part side by side, provider first: at[2 * i] and at[2 * i + 1]. */
static enum err approvals_load(struct sql_tx *tx, struct slice request, struct arena *a, struct reading *to)
{
    to->a = a;
    to->n = 0;
    to->at = arena_array(a, APPROVALS_MAX, sizeof *to->at);
    if (to->at == NULL)
        return ERR_NOMEM;
    enum err e = sql_each(tx,
                          "SELECT request, provider, step, department, state, decided_by, note, at FROM policy_approval"
                          " WHERE request = $1 ORDER BY provider, step",
                          SQL_ARGS(SQL_T(request)), approval_read, to);
    if (e != ERR_OK)
        return e;
    for (size_t i = 0; i < to->n; i++)
        if (!slice_is(to->at[i].step, step_names[i % POLICY_STEPS]))
            return ERR_CORRUPT;
    return to->n % POLICY_STEPS == 0 ? ERR_OK : ERR_CORRUPT;
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
    enum policy_act act;
    struct slice note;
    int64_t now;
    struct arena *a;
    struct policy_decided *ret;
    struct diags *d;
    struct reading all;
};

static bool step_is_bureau(size_t at)
{
    return at % POLICY_STEPS == 1;
}

static bool role_fits(const struct deciding *w, size_t at)
{
    if (step_is_bureau(at))
        return w->by->bureau_approver;
    return w->by->provider_officer && slice_eq(w->by->department, w->all.at[at].department);
}

static bool decided_other_step(const struct deciding *w, size_t at)
{
    return step_is_bureau(at) && slice_eq(w->all.at[at - 1].by, w->by->id);
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
                    "UPDATE policy_approval SET state = $4, decided_by = $5, note = $6, at = $7"
                    " WHERE request = $1 AND provider = $2 AND step = $3",
                    SQL_ARGS(SQL_T(ap->request), SQL_T(ap->provider), SQL_I(at % POLICY_STEPS), SQL_T(ap->state),
                             SQL_T(by), SQL_T(note), SQL_I(when)),
                    NULL);
}

static enum err grants_born(struct deciding *w, size_t at)
{
    const struct policy_approval *ap = &w->all.at[at];
    struct slice approvers = policy_names_join(w->a, w->all.at[at - 1].by, ap->by);

    if (approvers.n == 0)
        return ERR_NOMEM;
    for (size_t i = 0; i < w->q->n_wishes; i++) {
        if (!slice_eq(w->q->wishes[i].provider, ap->provider))
            continue;
        if (w->ret->n_grants == sizeof w->ret->grants / sizeof *w->ret->grants)
            return ERR_CORRUPT;
        enum err e = policy_grant_born(w->tx, w->q, &w->q->wishes[i], approvers, w->by->id, w->now, w->a,
                                       &w->ret->grants[w->ret->n_grants]);
        if (e != ERR_OK)
            return e;
        w->ret->n_grants++;
    }
    return ERR_OK;
}

/* Adds to the names of what was decided, once each. */
static enum err decided_note(struct deciding *w, size_t at)
{
    const struct policy_approval *ap = &w->all.at[at];

    if (!policy_names_have(w->ret->step, ap->step))
        w->ret->step = policy_names_join(w->a, w->ret->step, ap->step);
    if (!policy_names_have(w->ret->provider, ap->provider))
        w->ret->provider = policy_names_join(w->a, w->ret->provider, ap->provider);
    return w->ret->step.n > 0 && w->ret->provider.n > 0 ? ERR_OK : ERR_NOMEM;
}

static enum err decide_one(struct deciding *w, size_t at)
{
    enum err e = state_set(w, at, act_states[w->act], w->by->id, w->note, w->now);

    if (e == ERR_OK)
        e = decided_note(w, at);
    if (e != ERR_OK || w->act != POLICY_APPROVE)
        return e;
    if (step_is_bureau(at))
        return grants_born(w, at);
    return state_set(w, at + 1, "waiting", (struct slice){ 0 }, (struct slice){ 0 }, 0);
}

/* The request's state from its parts: open while one is; then granted if one is, else returned if one is, else
 * rejected. */
static const char *request_state(const struct reading *all)
{
    bool granted = false, returned = false;

    for (size_t i = 0; i < all->n; i += POLICY_STEPS) {
        const struct policy_approval *first = &all->at[i], *second = &all->at[i + 1];
        bool back = slice_is(first->state, "returned") || slice_is(second->state, "returned");
        bool no = slice_is(first->state, "rejected") || slice_is(second->state, "rejected");

        if (slice_is(first->state, "approved") && slice_is(second->state, "approved"))
            granted = true;
        else if (back)
            returned = true;
        else if (!no)
            return "open";
    }
    return granted ? "granted" : returned ? "returned" : "rejected";
}

/* Says of each step that waits who may decide it. */
static enum err refuse(const struct deciding *w, enum reason why)
{
    for (size_t i = 0; i < w->all.n; i++) {
        struct slice provider = w->all.at[i].provider;

        if (!slice_is(w->all.at[i].state, "waiting"))
            continue;
        if (!step_is_bureau(i))
            diag_add(w->d, ERR_DENIED, 0, 0, "it waits for a provider officer of %.*s", "待 %.*s 的提供方经办人审批",
                     SLICE_ARG(provider));
        else if (why == REASON_FOUR_EYES)
            diag_add(w->d, ERR_DENIED, 0, 0,
                     "you decided for %.*s already: the bureau's step waits for another bureau approver",
                     "本人已代表 %.*s 审批：大数据主管部门环节须由其他审批人办理", SLICE_ARG(provider));
        else
            diag_add(w->d, ERR_DENIED, 0, 0, "the part of %.*s waits for a bureau approver",
                     "%.*s 部分待大数据主管部门审批人审批", SLICE_ARG(provider));
    }
    return ERR_DENIED;
}

/* Marks what this actor decides now. Looked up first and decided afterwards, so that a person who holds both roles does
 * not run through both steps in one act. */
static enum err pick(const struct deciding *w, bool mine[APPROVALS_MAX], enum reason *why_not)
{
    bool waits = false, any = false, fits = false;

    for (size_t i = 0; i < w->all.n; i++) {
        if (!slice_is(w->all.at[i].state, "waiting"))
            continue;
        waits = true;
        if (!role_fits(w, i))
            continue;
        fits = true;
        mine[i] = !decided_other_step(w, i);
        any = any || mine[i];
    }
    if (any)
        return ERR_OK;
    if (!waits)
        return ERR_CONFLICT;
    *why_not = fits ? REASON_FOUR_EYES : REASON_ROLE_MISSING;
    return refuse(w, *why_not);
}

static enum err decide_all(struct deciding *w, enum reason *why_not)
{
    bool mine[APPROVALS_MAX] = { false };
    enum err e = approvals_load(w->tx, w->q->id, w->a, &w->all);

    if (e == ERR_OK)
        e = pick(w, mine, why_not);
    for (size_t i = 0; i < w->all.n && e == ERR_OK; i++)
        if (mine[i])
            e = decide_one(w, i);
    if (e != ERR_OK)
        return e;
    return sql_exec(w->tx, "UPDATE policy_request SET state = $2 WHERE id = $1",
                    SQL_ARGS(SQL_T(w->q->id), SQL_T(slice_of(request_state(&w->all)))), NULL);
}

enum err policy_decide_request(struct sql_tx *tx, struct slice request, enum policy_act act, struct slice note,
                               const struct policy_actor *by, int64_t now, struct arena *a, struct policy_decided *ret,
                               enum reason *why_not, struct diags *d)
{
    struct policy_request q;

    if ((unsigned)act >= sizeof act_states / sizeof *act_states)
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
    e = policy_text_check(note, act == POLICY_APPROVE, "note", d);
    if (e != ERR_OK)
        return e;
    *ret = (struct policy_decided){ 0 };
    struct deciding w = {
        .tx = tx, .q = &q, .by = by, .act = act, .note = note, .now = now, .a = a, .ret = ret, .d = d
    };
    return decide_all(&w, why_not);
}
