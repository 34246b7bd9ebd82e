/* See pruned.h. Invariant: act.said only when an act was read that covers all records before `first`. */
#include "audit/pruned.h"

int64_t lived_step(int64_t before, int64_t at)
{
    int64_t step = before != 0 ? at - before : 0;
    if (step > LIVED_STEP_MS)
        return LIVED_STEP_MS;
    return step < -LIVED_STEP_MS ? -LIVED_STEP_MS : step;
}

static void take_act(struct pruned *p, uint64_t index, struct slice line)
{
    struct slice verb, content, newest;
    uint64_t before;
    int64_t by_wall = p->last_at - p->first_at, shown_ms = by_wall < p->lived_ms ? by_wall : p->lived_ms;
    if (!logline_field(line, "verb", &verb) || !slice_is(verb, "\"audit.prune\"") ||
        !logline_field(line, "content", &content) || !logline_u64(content, "before", &before) || before < p->first ||
        (p->act.said && shown_ms <= p->act.shown_ms))
        return;
    p->act = (struct audit_pruning){ .said = true, .index = index, .at = p->last_at, .shown_ms = shown_ms };
    if (logline_field(content, "newest", &newest) && logline_plain(newest, &newest))
        (void)!clock_parse(newest, &p->act.newest);
}

void pruned_take(struct pruned *p, uint64_t index, struct slice line)
{
    enum audit_kind kind;
    int64_t at;
    if (p->first == 0 || !logline_kind(line, &kind) || kind == AUDIT_SEGMENT || !logline_at(line, &at))
        return;
    p->lived_ms += lived_step(p->last_at, at);
    p->last_at = at;
    if (p->first_at == 0)
        p->first_at = at;
    if (kind == AUDIT_ACT)
        take_act(p, index, line);
}

const char *pruned_judge(const struct pruned *p)
{
    if (p->first == 0)
        return NULL;
    return !p->act.said ? "missing" : p->act.shown_ms < PRUNED_LEAST_MS ? "removed-early" : NULL;
}
