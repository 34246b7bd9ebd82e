/* policies/steps: what an approval step is, and whose. Invariant: what is no step of the table fits nobody. */
#include "policies/store.h"

static bool is_provider(const struct policy_actor *by)
{
    return by->provider_officer;
}

static bool is_consumer(const struct policy_actor *by)
{
    return by->consumer_officer;
}

static bool is_approver(const struct policy_actor *by)
{
    return by->bureau_approver;
}

static bool is_officer(const struct policy_actor *by)
{
    return by->provider_officer || by->consumer_officer;
}

enum whose { OF_BUREAU, OF_PROVIDER, OF_CONSUMER, OF_NAMED };
static const struct kind {
    const char *word;
    enum whose whose;
    bool (*role)(const struct policy_actor *by);
    const char *who[2];
} kinds[] = {
    { "provider", OF_PROVIDER, is_provider, { "provider officer", "提供方经办人" } },
    { "bureau", OF_BUREAU, is_approver, { "bureau approver", "大数据主管部门审批人" } },
    { "consumer", OF_CONSUMER, is_consumer, { "consumer officer", "使用方经办人" } },
    { "department:", OF_NAMED, is_officer, { "department officer", "经办人" } },
};

static struct slice named(struct slice step)
{
    slice_cut(&step, ':');
    return step;
}

/* NULL: it is no step. */
static const struct kind *kind_of(struct slice step)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].whose == OF_NAMED ? slice_starts(step, slice_of(kinds[i].word)) && ident_valid(named(step))
                                       : slice_is(step, kinds[i].word))
            return &kinds[i];
    return NULL;
}

bool policy_steps_valid(struct slice steps)
{
    struct slice rest = steps, step;
    bool decides = false;
    size_t n = 0;

    while (policy_name_next(&rest, &step)) {
        const struct kind *k = kind_of(step);
        size_t before = (size_t)(step.p - steps.p);

        if (k == NULL || ++n > POLICY_STEPS_MAX || policy_names_have(slice_make(steps.p, before), step))
            return false;
        decides = decides || k->whose == OF_PROVIDER || k->whose == OF_BUREAU;
    }
    return decides && steps.p[steps.n - 1] != ',';
}

static struct slice step_department(struct slice step, struct slice provider, struct slice consumer)
{
    const struct kind *k = kind_of(step);
    const struct slice of[] = { [OF_PROVIDER] = provider, [OF_CONSUMER] = consumer, [OF_NAMED] = named(step) };

    return k != NULL ? of[k->whose] : (struct slice){ 0 };
}

bool policy_step_fits(const struct policy_approval *ap, const struct policy_actor *by)
{
    const struct kind *k = kind_of(ap->step);

    return k != NULL && k->role(by) && (k->whose == OF_BUREAU || slice_eq(by->department, ap->department));
}

const char *policy_step_who(struct arena *a, const struct policy_approval *ap, enum lang lang)
{
    const struct kind *k = kind_of(ap->step);
    const char *who = k != NULL ? k->who[lang] : "", *text = who;

    if (ap->department.n != 0 && lang == LANG_ZH)
        text = arena_printf(a, " %.*s 的%s", SLICE_ARG(ap->department), who);
    else if (ap->department.n != 0)
        text = arena_printf(a, "%s of %.*s", who, SLICE_ARG(ap->department));
    return text != NULL ? text : "";
}

enum err policy_approvals_make(struct sql_tx *tx, const struct policy_request *q, const struct policy_wish *w,
                               struct slice steps)
{
    enum err e = ERR_OK;
    struct slice step;

    for (size_t i = 0; e == ERR_OK && policy_name_next(&steps, &step); i++) {
        struct slice whose = step_department(step, w->provider, q->department);
        e = sql_exec(tx,
                     "INSERT INTO policy_step(request, part, position, step, provider, department, state, decided_by,"
                     " note, at) VALUES($1, $2, $3, $4, $5, $6, $7, '', '', 0)",
                     SQL_ARGS(SQL_T(q->id), SQL_I(w->part), SQL_I(i), SQL_T(step), SQL_T(w->provider), SQL_T(whose),
                              SQL_T(i == 0 ? SLICE("waiting") : SLICE("next"))),
                     NULL);
    }
    return e;
}
