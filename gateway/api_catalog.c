/* Reading the catalog: departments, applications, people, resources, code tables and policies, as lists and one by one.
 */
#include "gateway/api_list.h"

static const struct noun {
    const char *name;
    enum catalog_kind kind;
    bool pair; /* its id has two segments */
    const char *states[6];
} nouns[] = {
    { "departments", CATALOG_DEPARTMENT, false, { "registered", "active", "disabled" } },
    { "apps", CATALOG_APP, true, { "registered", "active", "disabled" } },
    { "people", CATALOG_PERSON, true, { "registered", "active", "disabled" } },
    { "resources", CATALOG_RESOURCE, true, { "draft", "submitted", "published", "suspended", "retired" } },
    { "code-tables", CATALOG_CODE_TABLE, false, { "active" } },
    { "policies", CATALOG_POLICY, false, { "registered", "active", "replaced" } },
};

static const struct noun *noun_of(const struct api_request *q)
{
    for (size_t i = 0; i < sizeof nouns / sizeof nouns[0]; i++)
        if (slice_is(q->path[0], nouns[i].name))
            return &nouns[i];
    return NULL;
}

/* ---- one entry ---- */

/* "legacy: reason" or "none: reason" of a connector that does not protect what it carries; empty: it does. */
static struct slice weakness(struct arena *a, const struct doc *manifest)
{
    const struct doc *connector = doc_get(manifest, "connector"), *tls = connector ? doc_get(connector, "tls") : NULL;
    struct slice mode = tls ? doc_text(tls, "mode") : (struct slice){ 0 };

    if (!slice_is(mode, "legacy") && !slice_is(mode, "none"))
        return (struct slice){ 0 };
    return slice_of(arena_printf(a, "%.*s: %.*s", SLICE_ARG(mode), SLICE_ARG(doc_text(tls, "reason"))));
}

static void put_summary(struct json *j, const struct catalog_entry *e, enum lang l, struct slice weak)
{
    json_pair(j, "kind", slice_of(catalog_kind_name(e->kind)));
    json_pair(j, "id", e->id);
    json_opt(j, "department", e->department);
    json_pair(j, "title", l == LANG_ZH ? e->title_zh : e->title_en);
    json_opt(j, "title_zh", e->title_zh);
    json_opt(j, "title_en", e->title_en);
    json_opt(j, "state", e->state);
    json_pair_u64(j, "version", e->version);
    api_put_time(j, "created", e->created);
    api_put_time(j, "changed", e->changed);
    json_opt(j, "weakness", weak);
}

static uint64_t level_of(const struct doc *manifest, const struct doc *param)
{
    const struct doc *items = doc_get(manifest, "items");
    struct slice name = doc_text(param, "param");

    DOC_EACH(item, items)
    if (slice_eq(doc_text(item, "name"), name))
        return doc_u64(item, "level", 2);
    return doc_u64(param, "level", 3);
}

static void put_params(struct json *j, const struct doc *manifest)
{
    const struct doc *request = doc_get(manifest, "request"), *params = request ? doc_get(request, "params") : NULL;

    json_key(j, "params");
    json_open(j, '[');
    DOC_EACH(p, params)
    {
        if (doc_get(p, "param") == NULL)
            continue;
        json_open(j, '{');
        json_pair(j, "name", doc_text(p, "param"));
        json_pair_bool(j, "required", doc_flag(p, "required"));
        json_pair_u64(j, "level", level_of(manifest, p));
        json_close(j, '}');
    }
    json_close(j, ']');
}

struct versions {
    struct json *j;
    struct slice id;
};

static enum err put_version(void *arg, const struct catalog_entry *e)
{
    struct versions *v = arg;

    if (!slice_eq(e->id, v->id))
        return ERR_OK;
    json_open(v->j, '{');
    json_pair_u64(v->j, "version", e->version);
    json_pair(v->j, "state", e->state);
    json_opt(v->j, e->kind == CATALOG_POLICY ? "applied_by" : "submitted_by", e->submitter);
    api_put_time(v->j, "changed", e->changed);
    json_close(v->j, '}');
    return ERR_OK;
}

static enum err put_versions(struct api_request *q, struct sql_tx *tx, const struct catalog_entry *e)
{
    struct catalog_filter f = { .department = e->department, .all_versions = true };
    struct versions v = { &q->json, e->id };
    enum err err;

    json_key(&q->json, "versions");
    json_open(&q->json, '[');
    err = catalog_each(tx, e->kind, &f, put_version, &v);
    json_close(&q->json, ']');
    return err;
}

static void put_roles(struct json *j, unsigned roles)
{
    json_key(j, "roles");
    json_open(j, '[');
    for (unsigned r = 1; r <= ROLE_AUDIT_ADMIN; r <<= 1)
        if (roles & r)
            json_cstr(j, catalog_role_name(r, LANG_EN, false));
    json_close(j, ']');
}

static enum err put_entry(struct api_request *q, struct sql_tx *tx, const struct catalog_entry *e)
{
    struct json *j = &q->json;
    const struct doc *manifest;
    unsigned roles = 0;
    enum err err = doc_read_json(e->json, &q->arena, NULL, &manifest);

    if (err != ERR_OK)
        return ERR_CORRUPT;
    json_open(j, '{');
    put_summary(j, e, q->actor.lang, weakness(&q->arena, manifest));
    json_key(j, "manifest");
    json_raw(j, e->json);
    if (e->kind == CATALOG_RESOURCE) {
        put_params(j, manifest);
        err = put_versions(q, tx, e);
    } else if (e->kind == CATALOG_POLICY) {
        err = put_versions(q, tx, e);
    } else if (e->kind == CATALOG_PERSON) {
        err = catalog_roles(tx, e->id, &roles);
        put_roles(j, roles);
    }
    json_close(j, '}');
    return err;
}

static void show(struct api_request *q)
{
    const struct noun *n = noun_of(q);
    struct slice id = q->path[1], text = api_query(q, "version");
    struct catalog_entry entry;
    struct sql_tx *tx;
    uint64_t version = 0;
    enum err e;

    if (text.n > 0 && !slice_u64(text, 1, UINT32_MAX, &version)) {
        api_problem(q, REASON_PARAMETER_INVALID, "version is a number", "version 为数字");
        return;
    }
    if ((n->pair && !api_id2(q, 1, &id)) || api_read(q, &tx) != ERR_OK)
        return;
    e = catalog_find(tx, n->kind, id, version, &q->arena, &entry);
    if (e == ERR_OK)
        e = put_entry(q, tx, &entry);
    api_read_end(q, tx);
    if (e == ERR_OK)
        api_ok(q);
    else
        api_error(q, e);
}

/* ---- lists ---- */
struct listing {
    struct api_list list;
    bool weak_only;
};

static enum err list_entry(void *arg, const struct catalog_entry *entry)
{
    struct listing *l = arg;
    struct slice weak = { 0 };
    const struct doc *manifest;
    struct arena a;
    enum err e = ERR_OK;

    arena_init(&a, 16 << 20); /* a manifest is read for its weakness only: not kept for the whole list */
    if (entry->kind == CATALOG_RESOURCE && doc_read_json(entry->json, &a, NULL, &manifest) == ERR_OK)
        weak = weakness(&a, manifest);
    if (!l->weak_only || weak.n > 0) {
        e = api_list_next(&l->list);
        if (e == ERR_OK) {
            json_open(l->list.j, '{');
            put_summary(l->list.j, entry, l->list.q->actor.lang, weak);
            json_close(l->list.j, '}');
        }
        e = api_list_skip(e);
    }
    arena_done(&a);
    return e;
}

static bool query_flag(struct api_request *q, const char *name)
{
    struct slice v = api_query(q, name);

    return slice_is(v, "1") || slice_is(v, "true");
}

static void list(struct api_request *q)
{
    struct catalog_filter f = { .department = api_query(q, "department"),
                                .state = api_query(q, "state"),
                                .text = api_query(q, "q"),
                                .all_versions = query_flag(q, "all_versions") };
    struct listing l = { .weak_only = query_flag(q, "weak") };
    struct sql_tx *tx;
    enum err e;

    if (!api_list_state(q, noun_of(q)->states) || !api_list_begin(q, &l.list) || api_read(q, &tx) != ERR_OK)
        return;
    e = catalog_each(tx, noun_of(q)->kind, &f, list_entry, &l);
    api_read_end(q, tx);
    api_list_end(&l.list, e);
}

const struct api_route api_catalog_routes[] = {
    { "GET", "departments", list, 0, true },
    { "GET", "departments/{}", show, 0, true },
    { "GET", "apps", list, 0, true },
    { "GET", "apps/{}/{}", show, 0, true },
    { "GET", "people", list, 0, false },
    { "GET", "people/{}/{}", show, 0, false },
    { "GET", "resources", list, 0, true },
    { "GET", "resources/{}/{}", show, 0, true },
    { "GET", "code-tables", list, 0, true },
    { "GET", "code-tables/{}", show, 0, true },
    { "GET", "policies", list, 0, true },
    { "GET", "policies/{}", show, 0, true },
    { .method = NULL },
};
