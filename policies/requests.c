/* policies/requests: requests and the approvals that are made with them.
 * Invariants: a request is stored whole with its wishes and the approvals of its parts: resources of one provider that
 * have the same steps; its author is who acted; what was stored never changes but for the state. */
#include "policies/store.h"

#define REQUEST_COLUMNS                                                                                                \
    "id, app, department, purposes, basis, scenario, day_from, day_to, minute_from, minute_to, weekdays, expires, "    \
    "max_rows,"                                                                                                        \
    " author, created, state"

static struct slice steps_of(const struct policy_wish *w)
{
    return w->steps.n != 0 ? w->steps : POLICY_STEPS_DEFAULT;
}

/* The part of a wish: that of one before it with the same provider and steps, or the next. */
static uint64_t part_of(const struct policy_wish *wishes, size_t at)
{
    uint64_t last = 0;

    for (size_t i = 0; i < at; i++) {
        if (slice_eq(wishes[i].provider, wishes[at].provider) && slice_eq(steps_of(&wishes[i]), steps_of(&wishes[at])))
            return wishes[i].part;
        last = wishes[i].part > last ? wishes[i].part : last;
    }
    return last + 1;
}

static enum err wish_store(struct sql_tx *tx, const struct policy_request *q, const struct policy_wish *w, size_t at)
{
    return sql_exec(
        tx,
        "INSERT INTO policy_wish(request, position, resource, provider, resource_version, items, clear, part)"
        " VALUES($1, $2, $3, $4, $5, $6, $7, $8)",
        SQL_ARGS(SQL_T(q->id), SQL_I(at), SQL_T(w->resource), SQL_T(w->provider), SQL_I(w->resource_version),
                 SQL_T(w->items), SQL_T(w->clear), SQL_I(w->part)),
        NULL);
}

static enum err wishes_store(struct sql_tx *tx, const struct policy_request *q)
{
    struct policy_wish wishes[POLICY_WISHES_MAX];
    uint64_t parts = 0;
    enum err e = ERR_OK;

    for (size_t i = 0; e == ERR_OK && i < q->n_wishes; i++) {
        wishes[i] = q->wishes[i];
        wishes[i].part = part_of(wishes, i);
        e = wish_store(tx, q, &wishes[i], i);
        if (e == ERR_OK && wishes[i].part > parts)
            e = policy_approvals_make(tx, q, &wishes[i], steps_of(&wishes[i]));
        parts = wishes[i].part > parts ? wishes[i].part : parts;
    }
    return e;
}

static enum err request_store(struct sql_tx *tx, int64_t number, const struct policy_request *q)
{
    return sql_exec(tx,
                    "INSERT INTO policy_request(number, " REQUEST_COLUMNS ")"
                    " VALUES($16, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 'open')",
                    SQL_ARGS(SQL_T(q->id), SQL_T(q->app), SQL_T(q->department), SQL_T(q->purposes), SQL_T(q->basis),
                             SQL_T(q->scenario), SQL_I(q->day_from), SQL_I(q->day_to), SQL_I(q->minute_from),
                             SQL_I(q->minute_to), SQL_I(q->weekdays), SQL_I(q->expires), SQL_I(q->max_rows),
                             SQL_T(q->author), SQL_I(q->created), SQL_I(number)),
                    NULL);
}

enum err policy_request_create(struct sql_tx *tx, const struct policy_request *q, const struct policy_actor *by,
                               int64_t now, struct arena *a, struct slice *ret_id, struct diags *d)
{
    struct policy_request made = *q;
    int64_t number = 0;

    if (!by->consumer_officer || !slice_eq(by->department, q->department))
        return ERR_DENIED;
    made.author = by->id;
    made.created = now;
    enum err e = policy_request_check(&made, now, d);
    if (e == ERR_OK)
        e = policy_id_next(tx, 'r', a, &number, &made.id);
    if (e == ERR_OK)
        e = request_store(tx, number, &made);
    if (e == ERR_OK)
        e = wishes_store(tx, &made);
    if (e == ERR_OK)
        *ret_id = made.id;
    return e;
}

/* ---- reading ---- */

enum { PAGE = 64, PAGE_MEMORY = 64 << 20 }; /* requests in memory at once, while each of them is looked at */

struct node {
    struct policy_request q;
    int64_t number; /* of a page's */
    struct node *next;
};
struct reading {
    struct arena *a;
    struct node *first, **tail;
};

static enum err request_read(void *arg, const struct sql_row *row)
{
    struct reading *to = arg;
    struct policy_reader r = { .row = row, .a = to->a };
    struct node *n = arena_zalloc(to->a, sizeof *n);

    if (n == NULL)
        return ERR_NOMEM;
    n->q.id = policy_read_text(&r);
    n->q.app = policy_read_text(&r);
    n->q.department = policy_read_text(&r);
    n->q.purposes = policy_read_text(&r);
    n->q.basis = policy_read_text(&r);
    n->q.scenario = policy_read_text(&r);
    n->q.day_from = (int32_t)policy_read_int(&r);
    n->q.day_to = (int32_t)policy_read_int(&r);
    n->q.minute_from = (int16_t)policy_read_int(&r);
    n->q.minute_to = (int16_t)policy_read_int(&r);
    n->q.weekdays = (uint8_t)policy_read_int(&r);
    n->q.expires = policy_read_int(&r);
    n->q.max_rows = (uint64_t)policy_read_int(&r);
    n->q.author = policy_read_text(&r);
    n->q.created = policy_read_int(&r);
    n->q.state = policy_read_text(&r);
    n->number = policy_read_int(&r);
    *to->tail = n;
    to->tail = &n->next;
    return r.failed ? ERR_NOMEM : ERR_OK;
}

struct wishes {
    struct arena *a;
    struct policy_wish *at;
    size_t n;
};

static enum err wish_read(void *arg, const struct sql_row *row)
{
    struct wishes *to = arg;
    struct policy_reader r = { .row = row, .a = to->a };

    if (to->n == POLICY_WISHES_MAX)
        return ERR_CORRUPT;
    struct policy_wish *w = &to->at[to->n++];
    w->resource = policy_read_text(&r);
    w->provider = policy_read_text(&r);
    w->resource_version = (uint64_t)policy_read_int(&r);
    w->items = policy_read_text(&r);
    w->clear = policy_read_text(&r);
    w->steps = (struct slice){ 0 };
    w->part = (uint64_t)policy_read_int(&r);
    return r.failed ? ERR_NOMEM : ERR_OK;
}

static enum err wishes_load(struct sql_tx *tx, struct policy_request *q, struct arena *a)
{
    struct policy_wish room[POLICY_WISHES_MAX];
    struct wishes to = { .a = a, .at = room };
    enum err e = sql_each(tx,
                          "SELECT resource, provider, resource_version, items, clear, part FROM policy_wish"
                          " WHERE request = $1 ORDER BY position",
                          SQL_ARGS(SQL_T(q->id)), wish_read, &to);

    if (e != ERR_OK || to.n == 0)
        return e != ERR_OK ? e : ERR_CORRUPT;
    struct policy_wish *kept = arena_array(a, to.n, sizeof *kept);
    if (kept == NULL)
        return ERR_NOMEM;
    memcpy(kept, room, to.n * sizeof *kept);
    q->wishes = kept;
    q->n_wishes = to.n;
    return ERR_OK;
}

enum err policy_request_find(struct sql_tx *tx, struct slice id, struct arena *a, struct policy_request *ret)
{
    struct reading to = { .a = a, .tail = &to.first };
    enum err e = sql_one(tx, "SELECT " REQUEST_COLUMNS ", number FROM policy_request WHERE id = $1",
                         SQL_ARGS(SQL_T(id)), request_read, &to);

    if (e == ERR_OK)
        e = wishes_load(tx, &to.first->q, a);
    if (e == ERR_OK)
        *ret = to.first->q;
    return e;
}

/* The next ones behind number *at, in memory of their own; ERR_NOT_FOUND: there are none. */
static enum err page_each(struct sql_tx *tx, struct slice state, int64_t *at,
                          enum err (*fn)(void *arg, const struct policy_request *q), void *arg)
{
    struct arena a;
    struct reading to = { .a = &a, .tail = &to.first };
    enum err e;

    arena_init(&a, PAGE_MEMORY);
    e = sql_each(tx,
                 "SELECT " REQUEST_COLUMNS ", number FROM policy_request WHERE ($1 = '' OR state = $1) AND number > $2"
                 " ORDER BY number LIMIT $3",
                 SQL_ARGS(SQL_T(state), SQL_I(*at), SQL_I(PAGE)), request_read, &to);
    if (e == ERR_OK && to.first == NULL)
        e = ERR_NOT_FOUND;
    for (struct node *n = to.first; n != NULL && e == ERR_OK; n = n->next) {
        *at = n->number;
        e = wishes_load(tx, &n->q, &a);
        if (e == ERR_OK)
            e = fn(arg, &n->q);
    }
    arena_done(&a);
    return e;
}

enum err policy_request_each(struct sql_tx *tx, struct slice state,
                             enum err (*fn)(void *arg, const struct policy_request *q), void *arg)
{
    int64_t at = 0;
    enum err e;

    while ((e = page_each(tx, state, &at, fn, arg)) == ERR_OK)
        continue;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum err policy_request_withdraw(struct sql_tx *tx, struct slice id, const struct policy_actor *by, struct arena *a,
                                 struct policy_request *ret)
{
    struct policy_request q;
    enum err e = policy_request_find(tx, id, a, &q);

    if (e != ERR_OK)
        return e;
    if (!by->consumer_officer || !slice_eq(by->department, q.department))
        return ERR_DENIED;
    if (!slice_is(q.state, "open"))
        return ERR_CONFLICT;
    e = sql_exec(tx, "UPDATE policy_request SET state = 'withdrawn' WHERE id = $1", SQL_ARGS(SQL_T(id)), NULL);
    if (e == ERR_OK)
        e = sql_exec(tx,
                     "UPDATE policy_step SET state = 'withdrawn' WHERE request = $1 AND state IN ('waiting', 'next')",
                     SQL_ARGS(SQL_T(id)), NULL);
    if (e == ERR_OK) {
        q.state = SLICE("withdrawn");
        *ret = q;
    }
    return e;
}
