/* catalog/moves: the life cycles. Invariants: one table says which move follows which state of which kind; all else is
 * refused; the content of an entry never changes with its state; at most one version of a resource is with the bureau,
 * and only the bureau's decision (or retiring) ends that; who submitted a version does not publish it; a retired
 * resource has no version in another state; one version of a policy is active at most, and who applied it did not
 * activate it. */
#include "catalog/store.h"

enum {
    REGISTERED = 1,
    ACTIVE = 2,
    DISABLED = 4,
    DRAFT = 8,
    SUBMITTED = 16,
    PUBLISHED = 32,
    SUSPENDED = 64,
    RETIRED = 128,
    REPLACED = 256
};
static const struct state {
    unsigned bit;
    const char *name;
} states[] = {
    { REGISTERED, "registered" }, { ACTIVE, "active" },       { DISABLED, "disabled" },
    { DRAFT, "draft" },           { SUBMITTED, "submitted" }, { PUBLISHED, "published" },
    { SUSPENDED, "suspended" },   { RETIRED, "retired" },     { REPLACED, "replaced" },
};

static const struct move {
    const char *verb;
    unsigned from;
    const char *to;
    bool resources; /* a move of resources; else of departments, applications and people; activate of policies too */
    bool narrows;
    bool all; /* every version in one of the states, not the newest of them only */
} moves[] = {
    [CATALOG_ACTIVATE] = { "activate", REGISTERED | DISABLED, "active", false, false, false },
    [CATALOG_DISABLE] = { "disable", ACTIVE, "disabled", false, true, false },
    [CATALOG_SUBMIT] = { "submit", DRAFT, "submitted", true, false, false },
    [CATALOG_RETURN] = { "return", SUBMITTED, "draft", true, false, false },
    [CATALOG_PUBLISH] = { "publish", SUBMITTED, "published", true, false, false },
    [CATALOG_SUSPEND] = { "suspend", PUBLISHED, "suspended", true, true, true },
    [CATALOG_RESUME] = { "resume", SUSPENDED, "published", true, false, true },
    [CATALOG_RETIRE] = { "retire", DRAFT | SUBMITTED | PUBLISHED | SUSPENDED, "retired", true, true, true },
};
enum { MOVES = sizeof moves / sizeof *moves };

bool catalog_move_of(struct slice verb, enum catalog_move *ret)
{
    for (unsigned i = 0; i < MOVES; i++)
        if (slice_is(verb, moves[i].verb)) {
            *ret = (enum catalog_move)i;
            return true;
        }
    return false;
}

bool catalog_move_narrows(enum catalog_move m)
{
    return (unsigned)m < MOVES && moves[m].narrows;
}

static unsigned state_bit(struct slice name)
{
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (slice_is(name, states[i].name))
            return states[i].bit;
    return 0;
}

static bool kind_moves(enum catalog_kind k, const struct move *m)
{
    if (k == CATALOG_POLICY)
        return m == &moves[CATALOG_ACTIVATE];
    return m->resources ? k == CATALOG_RESOURCE : k == CATALOG_DEPARTMENT || k == CATALOG_APP || k == CATALOG_PERSON;
}

struct picking {
    const struct move *m;
    enum catalog_kind kind;
    uint64_t asked;     /* the version that the move names; 0: the newest that may move */
    uint64_t version;   /* that may move; 0: none */
    uint64_t newest;    /* of all */
    struct slice state; /* of the one asked for, else of the newest */
    struct arena *a;
    uint64_t waits; /* the one that is with the bureau, or of a policy to be activated; 0: none */
    bool retired;   /* one is: then the resource is, and nothing of it moves any more */
};

static enum err version_pick(void *arg, const struct sql_row *row)
{
    struct picking *p = arg;
    uint64_t version = (uint64_t)sql_int(row, 0);
    struct slice state = sql_text(row, 1);
    unsigned bit = state_bit(state);

    p->newest = version;
    if (bit == (p->kind == CATALOG_POLICY ? REGISTERED : SUBMITTED))
        p->waits = version;
    p->retired = p->retired || bit == RETIRED;
    if (p->asked != 0 && version != p->asked)
        return ERR_OK;
    if (bit & p->m->from)
        p->version = version;
    p->state = arena_dup(p->a, state);
    return p->state.p != NULL ? ERR_OK : ERR_NOMEM;
}

static enum err refuse(const struct move *m, struct slice state, struct diags *d)
{
    struct buf names = BUF_INIT(200);

    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (m->from & states[i].bit)
            buf_printf(&names, "%s%s", names.n ? ", " : "", states[i].name);
    enum err e =
        diag_add(d, ERR_CONFLICT, 0, 0, "%s is not possible in state %.*s; it is from: %.*s",
                 "不能执行 %s：当前状态为 %.*s，须为：%.*s", m->verb, SLICE_ARG(state), SLICE_ARG(buf_slice(&names)));
    buf_done(&names);
    return e;
}

/* What stands against the move besides the state it starts from. */
static enum err judge(const struct picking *p, enum catalog_move move, struct diags *d)
{
    bool submit = move == CATALOG_SUBMIT;

    if (p->retired && p->m->resources && move != CATALOG_RETIRE)
        return refuse(p->m, SLICE("retired"), d);
    if (p->version == 0 && p->asked != 0 && p->waits != 0 && p->kind == CATALOG_POLICY)
        return diag_add(d, ERR_CONFLICT, 0, 0,
                        "version %llu is %.*s, version %llu is registered: look at that one, then activate it",
                        "版本 %llu 的状态为 %.*s，待激活的是版本 %llu：请先查看该版本再予激活",
                        (unsigned long long)p->asked, SLICE_ARG(p->state), (unsigned long long)p->waits);
    if (p->version == 0 && p->asked != 0 && p->waits != 0)
        return diag_add(d, ERR_CONFLICT, 0, 0,
                        "version %llu is %.*s, version %llu is submitted: look at that one, then publish it",
                        "版本 %llu 的状态为 %.*s，已提交的是版本 %llu：请先查看该版本再予发布",
                        (unsigned long long)p->asked, SLICE_ARG(p->state), (unsigned long long)p->waits);
    if (p->version == 0 || (submit && p->version != p->newest))
        return refuse(p->m, p->state, d);
    if (submit && p->waits != 0)
        return diag_add(d, ERR_CONFLICT, 0, 0,
                        "version %llu is with the bureau already: it has to be published or returned first",
                        "版本 %llu 已提交待发布：须先予发布或退回", (unsigned long long)p->waits);
    return ERR_OK;
}

/* Who submitted a version does not publish it; who applied a policy does not activate it. */
static enum err four_eyes(const struct catalog_act *act, const struct catalog_entry *e, struct diags *d)
{
    if (e->kind == CATALOG_POLICY && slice_eq(e->submitter, act->by))
        return diag_add(d, ERR_DENIED, 0, 0, "you applied version %llu: another security administrator activates it",
                        "版本 %llu 由本人登记：须由其他安全管理员激活", (unsigned long long)e->version);
    if (act->move != CATALOG_PUBLISH || !slice_eq(e->submitter, act->by))
        return ERR_OK;
    return diag_add(d, ERR_DENIED, 0, 0, "you submitted version %llu: another bureau approver publishes it",
                    "版本 %llu 由本人提交：须由大数据主管部门的其他审批人发布", (unsigned long long)e->version);
}

static enum err state_set(struct sql_tx *tx, enum catalog_kind k, struct slice id, const struct picking *p,
                          const struct catalog_act *act, struct slice submitter)
{
    const struct move *m = p->m;
    enum err e = ERR_OK;

    if (!m->all)
        return sql_exec(
            tx,
            "UPDATE catalog_entry SET state = $4, changed = $5, submitter = $6"
            " WHERE kind = $1 AND id = $2 AND version = $3",
            SQL_ARGS(SQL_I(k), SQL_T(id), SQL_I(p->version), SQL_T(slice_of(m->to)), SQL_I(act->now), SQL_T(submitter)),
            NULL);
    for (size_t i = 0; i < sizeof states / sizeof *states && e == ERR_OK; i++)
        if (m->from & states[i].bit)
            e = sql_exec(
                tx, "UPDATE catalog_entry SET state = $4, changed = $5 WHERE kind = $1 AND id = $2 AND state = $3",
                SQL_ARGS(SQL_I(k), SQL_T(id), SQL_T(slice_of(states[i].name)), SQL_T(slice_of(m->to)), SQL_I(act->now)),
                NULL);
    return e;
}

/* Before a version of a policy becomes the active one: its departments are looked at again, they may have been disabled
 * since it was applied; the one that was active makes room. */
static enum err policy_turn(struct sql_tx *tx, const struct catalog_entry *e, int64_t now, struct arena *a,
                            struct diags *d)
{
    const struct doc *manifest = NULL;
    enum err err = doc_read_json(e->json, a, NULL, &manifest);

    if (err != ERR_OK)
        return err == ERR_NOMEM ? err : ERR_CORRUPT;
    err = policy_departments(tx, manifest, false, d);
    if (err != ERR_OK)
        return err;
    return sql_exec(tx,
                    "UPDATE catalog_entry SET state = 'replaced', changed = $3"
                    " WHERE kind = $1 AND id = $2 AND state = 'active'",
                    SQL_ARGS(SQL_I(e->kind), SQL_T(e->id), SQL_I(now)), NULL);
}

enum err catalog_move(struct sql_tx *tx, enum catalog_kind k, struct slice id, const struct catalog_act *act,
                      struct arena *a, struct catalog_entry *ret, struct diags *d)
{
    if ((unsigned)act->move >= MOVES)
        return ERR_INVALID;
    const struct move *m = &moves[act->move];
    struct picking p = { .m = m, .kind = k, .asked = act->version, .a = a };
    enum err e = sql_each(tx, "SELECT version, state FROM catalog_entry WHERE kind = $1 AND id = $2 ORDER BY version",
                          SQL_ARGS(SQL_I(k), SQL_T(id)), version_pick, &p);

    if (e != ERR_OK)
        return e;
    if (p.state.n == 0)
        return ERR_NOT_FOUND;
    if (!kind_moves(k, m))
        return diag_add(d, ERR_CONFLICT, 0, 0, "%s is no move of a %s", "%s 不适用于 %s", m->verb,
                        catalog_kind_name(k));
    e = judge(&p, act->move, d);
    if (e == ERR_OK)
        e = entry_find(tx, k, id, p.version, a, ret);
    if (e == ERR_OK)
        e = four_eyes(act, ret, d);
    if (e == ERR_OK && act->move == CATALOG_DISABLE && k != CATALOG_APP)
        e = role_security_left(tx, k == CATALOG_PERSON ? id : SLICE(""), k == CATALOG_DEPARTMENT ? id : SLICE(""), d);
    if (e == ERR_OK && k == CATALOG_POLICY)
        e = policy_turn(tx, ret, act->now, a, d);
    if (e == ERR_OK)
        e = state_set(tx, k, id, &p, act, act->move == CATALOG_SUBMIT ? act->by : ret->submitter);
    return e == ERR_OK ? entry_find(tx, k, id, p.version, a, ret) : e;
}
