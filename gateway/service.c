/* Compiling one version of a resource: the three checkers of a Resource manifest over one tree, and the service that
 * owns the result. */
#include "gateway/snapshot.h"

enum { SERVICE_ARENA = 8 << 20, TABLE_ARENA = 64 << 20 };

struct table { /* read once, whichever items have its codes */
    struct slice id;
    const struct translate_code *codes;
    size_t n;
    struct table *next;
};
struct compile {
    struct sql_tx *tx; /* NULL: code tables are not followed */
    struct arena *arena;
    struct diags *diags;
    struct table *tables;
};

/* ---- code tables ---- */
static enum err keep_codes(struct compile *c, struct slice id, const struct doc *codes)
{
    struct translate_code *list = codes ? arena_array(c->arena, codes->count, sizeof *list) : NULL;
    struct table *t = arena_zalloc(c->arena, sizeof *t);
    size_t n = 0;

    if (codes == NULL)
        return ERR_INVALID;
    if (list == NULL || t == NULL)
        return ERR_NOMEM;
    DOC_EACH(row, codes)
    {
        list[n].code = arena_dup(c->arena, doc_text(row, "code"));
        if (list[n++].code.p == NULL)
            return ERR_NOMEM;
    }
    *t = (struct table){ .id = id, .codes = list, .n = n, .next = c->tables };
    c->tables = t;
    return ERR_OK;
}

/* Of the table only its codes are kept: the tree of a large one takes ten times their room. */
static enum err read_codes(struct compile *c, struct slice id)
{
    struct catalog_entry entry;
    const struct doc *table;
    struct arena a;
    enum err e;

    arena_init(&a, TABLE_ARENA);
    e = catalog_find(c->tx, CATALOG_CODE_TABLE, id, 0, &a, &entry);
    if (e == ERR_OK)
        e = doc_read_json(entry.json, &a, c->diags, &table);
    if (e == ERR_OK)
        e = keep_codes(c, id, doc_get(table, "codes"));
    arena_done(&a);
    return e;
}

static const struct table *find_table(const struct compile *c, struct slice id)
{
    const struct table *t = c->tables;

    while (t != NULL && !slice_eq(t->id, id))
        t = t->next;
    return t;
}

static enum err find_codes(struct compile *c, const struct doc *item, struct slice id, struct translate_item *to)
{
    const struct doc *at = doc_get(item, "codes");
    const struct table *t;
    enum err e = ERR_OK;

    if (id.n == 0 || c->tx == NULL)
        return ERR_OK;
    if (find_table(c, id) == NULL)
        e = read_codes(c, id);
    t = find_table(c, id);
    if (t != NULL) {
        to->codes = t->codes;
        to->n_codes = t->n;
    }
    if (e == ERR_NOT_FOUND)
        return diag_add(c->diags, ERR_INVALID, at ? at->line : 0, at ? at->col : 0,
                        "there is no code table %.*s: apply its CodeTable manifest first",
                        "没有代码表 %.*s：请先登记该代码表", SLICE_ARG(id));
    return e;
}

static bool has_codes(const struct catalog_item *items, size_t n, struct slice table)
{
    for (size_t i = 0; i < n; i++)
        if ((table.n > 0 ? slice_eq(items[i].codes, table) : items[i].codes.n > 0) ||
            has_codes(items[i].items, items[i].n_items, table))
            return true;
    return false;
}

bool service_has_codes(const struct service *s, struct slice table)
{
    return has_codes(s->resource->items, s->resource->n_items, table);
}

/* ---- items: the catalog's words to translate's ---- */
static enum err convert_items(struct compile *c, const struct doc *list, const struct catalog_item *from, size_t n,
                              const struct translate_item **ret, size_t *ret_n);

static enum err convert_item(struct compile *c, const struct doc *item, const struct catalog_item *from,
                             struct translate_item *to)
{
    enum err e = find_codes(c, item, from->codes, to);

    to->name = from->name;
    to->type = from->type != '\0' ? from->type : 'C'; /* an unknown one has been told */
    to->level = from->level;
    to->key = from->key;
    to->length = from->length;
    to->mask = from->mask;
    to->check = from->check;
    to->format_in = from->format_in;
    to->empty_as = from->empty_as;
    if (e == ERR_OK && from->n_items > 0)
        e = convert_items(c, doc_get(item, "items"), from->items, from->n_items, &to->items, &to->n_items);
    return e;
}

/* Items without a name have been told and are left out. A code table that is missing hides no other problem. */
static enum err convert_items(struct compile *c, const struct doc *list, const struct catalog_item *from, size_t n,
                              const struct translate_item **ret, size_t *ret_n)
{
    const struct doc *item = list ? list->first : NULL;
    struct translate_item *to = arena_array(c->arena, n ? n : 1, sizeof *to);
    enum err e = to ? ERR_OK : ERR_NOMEM;

    *ret = to;
    *ret_n = 0;
    for (size_t i = 0; to && i < n; i++, item = item ? item->next : NULL) {
        enum err e2 = from[i].name.n ? convert_item(c, item, &from[i], &to[*ret_n]) : ERR_OK;
        *ret_n += from[i].name.n > 0;
        e = e != ERR_OK ? e : e2;
        if (e2 == ERR_NOMEM) /* the tables of those behind it would be read for nothing */
            return e2;
    }
    return e;
}

/* ---- the three checkers ---- */
struct compiled {
    const struct catalog_resource *resource; /* as far as it could be read */
    const struct translate_plan *plan;
    struct connector_target *target; /* ref */
};

static enum err compile_call(struct compile *c, const struct doc *doc, uint64_t version,
                             const struct connector_world *world, bool check_only, struct compiled *ret)
{
    const struct catalog_resource *r = ret->resource;
    const struct translate_item *items = NULL;
    size_t n = 0;
    enum err e = convert_items(c, doc_get(doc, "items"), r->items, r->n_items, &items, &n), e2, e3;

    if (items == NULL)
        return e;
    /* All, so that a person sees the faults of each part at once. */
    e2 = translate_compile(doc, items, n, r->id, version, c->arena, c->diags, &ret->plan);
    e3 = connector_compile(doc, world, check_only, &ret->target, c->diags);
    if (e == ERR_OK)
        e = e2;
    return e != ERR_OK ? e : e3;
}

static enum err compile(struct compile *c, const struct doc *doc, uint64_t version, const struct connector_world *world,
                        bool check_only, struct compiled *ret)
{
    enum err e = catalog_read_loose(doc, c->arena, c->diags, &ret->resource), e2;

    if (e == ERR_OK && ret->resource == NULL)
        return diag_add(c->diags, ERR_INVALID, doc->line, doc->col, "this is no Resource", "这不是数据资源清单");
    if (ret->resource == NULL || !ret->resource->callable)
        return e;
    e2 = compile_call(c, doc, version, world, check_only, ret);
    return e != ERR_OK ? e : e2;
}

/* What is larger than it may be is so each time: nobody must wait for memory to try it again. */
static enum err cap_told(const struct arena *a, enum err e, struct diags *d)
{
    if (e != ERR_NOMEM || !a->capped)
        return e;
    return diag_add(d, ERR_TOO_LARGE, 0, 0,
                    "the resource needs more memory than it may have: with its code tables more than %d MiB",
                    "该数据资源所需内存超出上限：连同代码表超过 %d MiB", SERVICE_ARENA >> 20);
}

enum err service_check(const struct doc *manifest, const struct connector_world *world, bool check_only,
                       struct sql_tx *tx, struct diags *d)
{
    struct arena a;
    struct compile c = { .tx = tx, .arena = &a, .diags = d };
    struct compiled out = { 0 };
    enum err e;

    arena_init(&a, SERVICE_ARENA);
    e = cap_told(&a, compile(&c, manifest, 1, world, check_only, &out), d);
    connector_unref(out.target);
    arena_done(&a);
    return e;
}

static void service_free(struct counted *counted)
{
    struct service *s = (struct service *)counted;

    connector_unref(s->target);
    arena_done(&s->arena);
    mem_free(s);
}

enum err service_load(struct slice manifest, uint64_t version, const struct connector_world *world, struct sql_tx *tx,
                      struct service **ret, struct diags *d)
{
    struct service *s = mem_zalloc(sizeof *s);
    struct compile c = { .tx = tx, .diags = d };
    struct compiled out = { 0 };
    const struct doc *doc;
    enum err e;

    if (s == NULL)
        return ERR_NOMEM;
    counted_init(&s->counted, service_free);
    arena_init(&s->arena, SERVICE_ARENA);
    c.arena = &s->arena;
    e = doc_read_json(manifest, &s->arena, d, &doc);
    if (e == ERR_OK)
        e = compile(&c, doc, version, world, false, &out);
    e = cap_told(&s->arena, e, d);
    s->target = out.target;
    if (e != ERR_OK) {
        counted_unref(s);
        return e;
    }
    s->resource = out.resource;
    s->plan = out.plan;
    s->version = version;
    *ret = s;
    return ERR_OK;
}
