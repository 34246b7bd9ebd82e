/* catalog/put: storing a manifest. Applying the same manifest again changes nothing.
 * Invariants: what an entry needs (its department, its code tables) is there before it; a resource code, a department's
 * code and a title inside a provider are used once; a version that was submitted keeps its content for ever (returned,
 * it takes the next number with its first change), and a policy's for ever; a retired resource is never changed; what
 * gains power (a bureau, an application for administration, any change of a policy) must be activated anew. */
#include "catalog/store.h"

struct putting {
    struct sql_tx *tx;
    const struct catalog_manifest *m;
    struct slice by;
    int64_t now;
    struct arena a;
    struct diags *d;
    struct buf json, find;
    struct catalog_entry old;
    bool known; /* old is set */
    bool special, was_special;
    struct slice old_code;
    enum err worst;
};

static void found(struct putting *p, enum err e)
{
    if (p->worst == ERR_OK)
        p->worst = e;
}

static bool yes(struct putting *p, const char *text, const struct sql_value *args, size_t n)
{
    bool there = false;

    found(p, entry_exists(p->tx, text, args, n, &there));
    return there;
}

static bool entry_known(struct putting *p, enum catalog_kind k, struct slice id)
{
    return yes(p, "SELECT 1 FROM catalog_entry WHERE kind = $1 AND id = $2 AND newest = 1",
               SQL_ARGS(SQL_I(k), SQL_T(id)));
}

/* ---- what must be true besides the manifest itself ---- */

static void need_department(struct putting *p)
{
    const struct doc *at = reading_place(p->m->doc, "id");

    if (p->m->department.n != 0 && !entry_known(p, CATALOG_DEPARTMENT, p->m->department))
        found(p, diag_add(p->d, ERR_NOT_FOUND, at->line, at->col,
                          "department %.*s is not registered: apply its Department manifest first",
                          "部门 %.*s 尚未登记：请先登记该部门", SLICE_ARG(p->m->department)));
}

static void need_codes(struct putting *p, const struct doc *items, const struct catalog_item *list, size_t n)
{
    const struct doc *map = items ? items->first : NULL;

    for (size_t i = 0; i < n; i++, map = map ? map->next : NULL) {
        const struct doc *at = map ? reading_place(map, "codes") : p->m->doc;
        if (list[i].codes.n != 0 && !entry_known(p, CATALOG_CODE_TABLE, list[i].codes))
            found(p, diag_add(p->d, ERR_NOT_FOUND, at->line, at->col,
                              "there is no code table %.*s: apply its CodeTable manifest first",
                              "没有代码表 %.*s：请先登记该代码表", SLICE_ARG(list[i].codes)));
        need_codes(p, doc_get(map, "items"), list[i].items, list[i].n_items);
    }
}

static void need_new_code(struct putting *p)
{
    const struct doc *at = reading_place(p->m->doc, "code");

    if (p->m->code.n == 0)
        return;
    if (yes(p, "SELECT 1 FROM catalog_entry WHERE kind = $1 AND code = $2 AND id <> $3",
            SQL_ARGS(SQL_I(p->m->kind), SQL_T(p->m->code), SQL_T(p->m->id))))
        found(p,
              diag_add(p->d, ERR_EXISTS, at->line, at->col, "code %.*s is in use already: codes are never used twice",
                       "代码 %.*s 已被使用：代码不得重复", SLICE_ARG(p->m->code)));
    const struct check *uscc = check_find(SLICE("uscc"));
    if (p->m->kind == CATALOG_DEPARTMENT && !slice_eq(p->m->code, p->old_code) && uscc != NULL && !uscc->ok(p->m->code))
        found(p, diag_add(p->d, ERR_INVALID, at->line, at->col,
                          "the check digit of code %.*s is wrong: compare it with the certificate of registration",
                          "统一社会信用代码 %.*s 校验位错误：请核对登记证书", SLICE_ARG(p->m->code)));
}

static void need_new_title(struct putting *p)
{
    const struct doc *at = reading_place(p->m->doc, "title");

    if (p->m->kind != CATALOG_RESOURCE)
        return;
    if (yes(p,
            "SELECT 1 FROM catalog_entry WHERE kind = $1 AND department = $2 AND title_zh = $3 AND id <> $4"
            " AND newest = 1 AND state <> 'retired'",
            SQL_ARGS(SQL_I(p->m->kind), SQL_T(p->m->department), SQL_T(p->m->title.zh), SQL_T(p->m->id))))
        found(p, diag_add(p->d, ERR_EXISTS, at->line, at->col,
                          "this provider has a resource titled %.*s already: give it a title of its own",
                          "该提供方已有名为“%.*s”的数据资源：名称不得重复", SLICE_ARG(p->m->title.zh)));
}

static void need_not_retired(struct putting *p)
{
    const struct doc *at = reading_place(p->m->doc, "id");

    if (p->m->kind == CATALOG_RESOURCE && p->known && slice_is(p->old.state, "retired"))
        found(p, diag_add(p->d, ERR_CONFLICT, at->line, at->col,
                          "%.*s is retired for good: register the resource under another id and code",
                          "%.*s 已下线，不可恢复：请以新的标识与代码登记", SLICE_ARG(p->m->id)));
}

static void need_one_bureau(struct putting *p)
{
    const struct doc *at = reading_place(p->m->doc, "bureau");

    if (p->m->bureau &&
        yes(p, "SELECT 1 FROM catalog_entry WHERE kind = $1 AND special = 1 AND newest = 1 AND id <> $2",
            SQL_ARGS(SQL_I(CATALOG_DEPARTMENT), SQL_T(p->m->id))))
        found(p, diag_add(p->d, ERR_EXISTS, at->line, at->col,
                          "another department is the data bureau already: there is one at most",
                          "已有其他部门为大数据主管部门：只能有一个"));
}

static void need_departments(struct putting *p)
{
    if (p->m->kind == CATALOG_POLICY)
        found(p, policy_departments(p->tx, p->m->doc, true, p->d));
}

/* ---- writing ---- */

static void find_put(struct buf *out, struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        buf_putc(out, s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] + ('a' - 'A')) : s.p[i]);
    buf_putc(out, '\n');
}

static enum err row_insert(struct putting *p, uint64_t version, const char *state)
{
    const struct catalog_manifest *m = p->m;

    return sql_exec(p->tx,
                    "INSERT INTO catalog_entry(kind, id, version, newest, department, state, title_zh, title_en, code, "
                    "special, find, created, changed, json, submitter)"
                    " VALUES($1, $2, $3, 1, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12, $13)",
                    SQL_ARGS(SQL_I(m->kind), SQL_T(m->id), SQL_I(version), SQL_T(m->department), SQL_T(slice_of(state)),
                             SQL_T(m->title.zh), SQL_T(m->title.en), SQL_T(m->code), SQL_I(p->special),
                             SQL_T(buf_slice(&p->find)), SQL_I(p->now), SQL_T(buf_slice(&p->json)),
                             SQL_T(m->kind == CATALOG_POLICY ? p->by : SLICE(""))),
                    NULL);
}

/* The newest row takes the manifest. */
static enum err row_update(struct putting *p, uint64_t version, struct slice state)
{
    const struct catalog_manifest *m = p->m;

    return sql_exec(
        p->tx,
        "UPDATE catalog_entry SET version = $3, department = $4, state = $5, title_zh = $6, title_en = $7, code = $8,"
        " special = $9, find = $10, changed = $11, json = $12, submitter = '' WHERE kind = $1 AND id = $2 AND newest = "
        "1",
        SQL_ARGS(SQL_I(m->kind), SQL_T(m->id), SQL_I(version), SQL_T(m->department), SQL_T(state), SQL_T(m->title.zh),
                 SQL_T(m->title.en), SQL_T(m->code), SQL_I(p->special), SQL_T(buf_slice(&p->find)), SQL_I(p->now),
                 SQL_T(buf_slice(&p->json))),
        NULL);
}

static const char *const first_states[CATALOG_KINDS_] = {
    [CATALOG_DEPARTMENT] = "registered", [CATALOG_APP] = "registered",    [CATALOG_PERSON] = "registered",
    [CATALOG_RESOURCE] = "draft",        [CATALOG_CODE_TABLE] = "active", [CATALOG_POLICY] = "registered",
};

/* The row that was the newest stays as it is; the manifest comes into the next. */
static enum err write_next(struct putting *p, uint64_t version)
{
    enum err e = sql_exec(p->tx, "UPDATE catalog_entry SET newest = 0 WHERE kind = $1 AND id = $2",
                          SQL_ARGS(SQL_I(p->m->kind), SQL_T(p->m->id)), NULL);

    return e == ERR_OK ? row_insert(p, version, first_states[p->m->kind]) : e;
}

/* One version of a policy is to be activated at most: the newest. */
static enum err write_policy(struct putting *p, uint64_t version)
{
    enum err e = sql_exec(p->tx,
                          "UPDATE catalog_entry SET state = 'replaced', changed = $3"
                          " WHERE kind = $1 AND id = $2 AND state = 'registered'",
                          SQL_ARGS(SQL_I(p->m->kind), SQL_T(p->m->id), SQL_I(p->now)), NULL);

    return e == ERR_OK ? write_next(p, version) : e;
}

static enum err write_change(struct putting *p, uint64_t *version)
{
    *version = p->old.version + 1;
    if (p->m->kind == CATALOG_POLICY)
        return write_policy(p, *version);
    if (p->m->kind != CATALOG_RESOURCE) {
        bool gains = p->special && !p->was_special;
        enum err e =
            gains && p->m->kind == CATALOG_DEPARTMENT ? role_security_left(p->tx, SLICE(""), p->m->id, p->d) : ERR_OK;
        if (e != ERR_OK)
            return e;
        return row_update(p, *version, gains ? SLICE("registered") : p->old.state);
    }
    if (slice_is(p->old.state, "draft")) {
        if (p->old.submitter.n == 0)
            *version = p->old.version;
        return row_update(p, *version, p->old.state);
    }
    return write_next(p, *version);
}

static enum err write(struct putting *p, enum catalog_put *ret, uint64_t *version)
{
    if (!p->known) {
        *ret = CATALOG_CREATED;
        *version = 1;
        return row_insert(p, 1, first_states[p->m->kind]);
    }
    *ret = CATALOG_CHANGED;
    return write_change(p, version);
}

/* ---- the whole ---- */

static enum err old_marks(void *arg, const struct sql_row *row)
{
    struct putting *p = arg;
    struct slice code = sql_text(row, 0);

    p->old_code = arena_dup(&p->a, code);
    p->was_special = sql_int(row, 1) != 0;
    return code.n != 0 && p->old_code.p == NULL ? ERR_NOMEM : ERR_OK;
}

static enum err load_old(struct putting *p)
{
    enum err e = entry_find(p->tx, p->m->kind, p->m->id, 0, &p->a, &p->old);

    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    p->known = e == ERR_OK;
    if (e != ERR_OK)
        return e;
    return sql_one(p->tx, "SELECT code, special FROM catalog_entry WHERE kind = $1 AND id = $2 AND newest = 1",
                   SQL_ARGS(SQL_I(p->m->kind), SQL_T(p->m->id)), old_marks, p);
}

static enum err check(struct putting *p)
{
    need_department(p);
    if (p->m->resource != NULL)
        need_codes(p, doc_get(p->m->doc, "items"), p->m->resource->items, p->m->resource->n_items);
    need_new_code(p);
    need_new_title(p);
    need_not_retired(p);
    need_one_bureau(p);
    need_departments(p);
    return p->worst;
}

static enum err put(struct putting *p, enum catalog_put *ret, uint64_t *version)
{
    struct json j;
    enum err e = load_old(p);

    json_init(&j, &p->json);
    doc_put_json(p->m->doc, &j);
    find_put(&p->find, p->m->id);
    find_put(&p->find, p->m->title.zh);
    find_put(&p->find, p->m->title.en);
    if (e == ERR_OK)
        e = p->json.failed != ERR_OK ? p->json.failed : p->find.failed;
    if (e == ERR_TOO_LARGE)
        return diag_add(p->d, e, p->m->doc->line, p->m->doc->col, "the manifest is larger than %d bytes",
                        "清单超过 %d 字节", CATALOG_JSON_MAX);
    if (e != ERR_OK)
        return e;
    if (p->known && slice_eq(p->old.json, buf_slice(&p->json))) {
        *ret = CATALOG_UNCHANGED;
        *version = p->old.version;
        return ERR_OK;
    }
    e = check(p);
    return e == ERR_OK ? write(p, ret, version) : e;
}

enum err catalog_put(struct sql_tx *tx, const struct catalog_manifest *m, struct slice by, int64_t now,
                     enum catalog_put *ret, uint64_t *version, struct diags *d)
{
    struct putting p = { .tx = tx,
                         .m = m,
                         .by = by,
                         .now = now,
                         .d = d,
                         .json = BUF_INIT(CATALOG_JSON_MAX),
                         .find = BUF_INIT(4000),
                         .special = m->bureau || m->administration };

    arena_init(&p.a, (size_t)2 * CATALOG_JSON_MAX);
    enum err e = put(&p, ret, version);
    buf_done(&p.json);
    buf_done(&p.find);
    arena_done(&p.a);
    return e;
}
