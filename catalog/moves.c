/* catalog/moves: the life cycles. Invariant: one table says which move follows which state of which kind; all else is
 * refused. The content of an entry never changes with its state. */
#include "catalog/store.h"

enum {
    REGISTERED = 1,
    ACTIVE = 2,
    DISABLED = 4,
    DRAFT = 8,
    SUBMITTED = 16,
    PUBLISHED = 32,
    SUSPENDED = 64,
    RETIRED = 128
};
static const struct state {
    unsigned bit;
    const char *name;
} states[] = {
    { REGISTERED, "registered" }, { ACTIVE, "active" },       { DISABLED, "disabled" },   { DRAFT, "draft" },
    { SUBMITTED, "submitted" },   { PUBLISHED, "published" }, { SUSPENDED, "suspended" }, { RETIRED, "retired" },
};

static const struct move {
    const char *verb;
    unsigned from;
    const char *to;
    bool resources; /* a move of resources; else of departments, applications and people */
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
    [CATALOG_RETIRE] = { "retire", DRAFT | PUBLISHED | SUSPENDED, "retired", true, true, true },
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
    return m->resources ? k == CATALOG_RESOURCE : k == CATALOG_DEPARTMENT || k == CATALOG_APP || k == CATALOG_PERSON;
}

struct picking {
    const struct move *m;
    uint64_t version;   /* the newest version that may move; 0: none */
    struct slice state; /* of the newest version */
    struct arena *a;
    bool any;
};

static enum err version_pick(void *arg, const struct sql_row *row)
{
    struct picking *p = arg;
    struct slice state = sql_text(row, 1);

    p->any = true;
    if (state_bit(state) & p->m->from)
        p->version = (uint64_t)sql_int(row, 0);
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

static enum err state_set(struct sql_tx *tx, enum catalog_kind k, struct slice id, uint64_t version, const char *from,
                          const struct move *m, int64_t now)
{
    if (!m->all)
        return sql_exec(
            tx, "UPDATE catalog_entry SET state = $4, changed = $5 WHERE kind = $1 AND id = $2 AND version = $3",
            SQL_ARGS(SQL_I(k), SQL_T(id), SQL_I(version), SQL_T(slice_of(m->to)), SQL_I(now)), NULL);
    return sql_exec(tx, "UPDATE catalog_entry SET state = $4, changed = $5 WHERE kind = $1 AND id = $2 AND state = $3",
                    SQL_ARGS(SQL_I(k), SQL_T(id), SQL_T(slice_of(from)), SQL_T(slice_of(m->to)), SQL_I(now)), NULL);
}

enum err catalog_move(struct sql_tx *tx, enum catalog_kind k, struct slice id, enum catalog_move move, int64_t now,
                      struct arena *a, struct catalog_entry *ret, struct diags *d)
{
    if ((unsigned)move >= MOVES)
        return ERR_INVALID;
    const struct move *m = &moves[move];
    struct picking p = { .m = m, .a = a };
    enum err e = sql_each(tx, "SELECT version, state FROM catalog_entry WHERE kind = $1 AND id = $2 ORDER BY version",
                          SQL_ARGS(SQL_I(k), SQL_T(id)), version_pick, &p);

    if (e != ERR_OK)
        return e;
    if (!p.any)
        return ERR_NOT_FOUND;
    if (!kind_moves(k, m))
        return diag_add(d, ERR_CONFLICT, 0, 0, "%s is no move of a %s", "%s 不适用于 %s", m->verb,
                        catalog_kind_name(k));
    if (p.version == 0)
        return refuse(m, p.state, d);
    for (size_t i = 0; i < sizeof states / sizeof *states && e == ERR_OK; i++)
        if (m->from & states[i].bit)
            e = state_set(tx, k, id, p.version, states[i].name, m, now);
    return e == ERR_OK ? entry_find(tx, k, id, p.version, a, ret) : e;
}
