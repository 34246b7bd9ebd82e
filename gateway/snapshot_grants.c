/* The snapshot's grants: by id, and by the pair of application and resource that an exchange asks for. Invariants: both
 * maps hold the same grants; neither stores keys, for a grant tells its own; a pair with one grant, as nearly all have,
 * holds that grant itself and no list. So a million grants stay under 400 bytes each, and a look-up touches four lines
 * of cold memory: page, entry, and the first two of the grant. */
#include "gateway/snapshot_internal.h"

enum { SHARD_GRANTS = 16, SHARDS_MIN = 256, PAIR_TEXT = 320 };

struct grant_list { /* of a pair with more than one */
    struct counted counted;
    size_t n;
    const struct policy_grant *at[]; /* ref */
};

static void list_free(struct counted *c)
{
    struct grant_list *list = (struct grant_list *)c;

    for (size_t i = 0; i < list->n; i++)
        counted_unref((void *)list->at[i]);
    mem_free(list);
}

/* What a pair holds is a grant or a list; its destructor tells. */
static const struct grant_list *list_in(const void *object)
{
    return ((const struct counted *)object)->free == list_free ? object : NULL;
}

static bool is_grant(const void *object, struct slice id)
{
    return slice_is(id, policy_grant_id(object));
}

static bool is_pair(const void *object, struct slice key)
{
    const struct grant_list *list = list_in(object);
    const struct policy_grant *g = list ? list->at[0] : object;
    const char *app = policy_grant_app(g);
    size_t n = strlen(app);

    return key.n > n && key.p[n] == ' ' && memcmp(key.p, app, n) == 0 &&
           slice_is(slice_sub(key, n + 1, key.n), policy_grant_resource(g));
}

/* Few grants to a shard keep a change small; a shard has its own cost, too. */
static unsigned shards_for(uint64_t grants)
{
    unsigned n = SHARDS_MIN;

    while (n < SMAP_SHARDS_MAX && grants / SHARD_GRANTS > n)
        n *= 2;
    return n;
}

bool snapshot_grants_size(struct snapshot *s, uint64_t grants)
{
    unsigned shards = shards_for(grants);
    struct smap *by_id = smap_new_by(shards, is_grant), *pairs = smap_new_by(shards, is_pair);

    if (by_id == NULL || pairs == NULL) {
        smap_unref(by_id);
        smap_unref(pairs);
        return false;
    }
    smap_unref(s->grants);
    smap_unref(s->pairs);
    s->grants = by_id;
    s->pairs = pairs;
    return true;
}

/* ---- reading ---- */
const struct policy_grant *snapshot_grant(const struct snapshot *s, struct slice id)
{
    return smap_find(s->grants, id);
}

static bool pair_key(char out[PAIR_TEXT], struct slice app, struct slice resource, struct slice *key)
{
    if (app.n + resource.n + 1 > PAIR_TEXT)
        return false;
    memcpy(out, app.p, app.n);
    out[app.n] = ' ';
    memcpy(out + app.n + 1, resource.p, resource.n);
    *key = (struct slice){ out, app.n + 1 + resource.n };
    return true;
}

struct grant_set snapshot_pair(const struct snapshot *s, struct slice app, struct slice resource)
{
    char text[PAIR_TEXT];
    struct slice key;
    const void *object = pair_key(text, app, resource, &key) ? smap_find(s->pairs, key) : NULL;
    const struct grant_list *list = object ? list_in(object) : NULL;

    if (object == NULL)
        return (struct grant_set){ 0 };
    return list ? (struct grant_set){ .n = list->n, .many = list->at } : (struct grant_set){ .n = 1, .one = object };
}

const struct policy_grant *const *grant_set_all(const struct grant_set *set)
{
    return set->n == 1 ? &set->one : set->many;
}

/* ---- changing ---- */
static int bit_of(void *arg, struct slice item)
{
    return catalog_item_index(arg, item);
}

static enum err compile_grant(const struct snapshot *s, const struct policy_grant_row *row, struct policy_grant **ret)
{
    const struct resource_head *h = snapshot_resource(s, row->resource);
    struct service *v = h ? resource_version(h, row->resource_version) : NULL;
    static const struct catalog_resource nothing;

    return policy_grant_compile(row, bit_of, v ? (void *)v->resource : (void *)&nothing, ret);
}

/* What the pair has besides an older self of this grant. */
static size_t others_of(const struct grant_set *set, const struct policy_grant *g, const struct policy_grant **ret)
{
    const struct policy_grant *const *all = grant_set_all(set);
    size_t n = 0;

    for (size_t i = 0; i < set->n; i++)
        if (strcmp(policy_grant_id(all[i]), policy_grant_id(g)) != 0)
            ret[n++] = all[i];
    return n;
}

static enum err put_list(struct smap **pairs, struct slice key, const struct grant_set *old, struct policy_grant *g)
{
    struct grant_list *list = mem_zalloc(sizeof *list + (old->n + 1) * sizeof list->at[0]);
    enum err e;

    if (list == NULL)
        return ERR_NOMEM;
    counted_init(&list->counted, list_free);
    list->n = others_of(old, g, list->at);
    list->at[list->n++] = g;
    for (size_t i = 0; i < list->n; i++)
        counted_ref((void *)list->at[i]);
    e = smap_put(pairs, key, list);
    counted_unref(list);
    return e;
}

static enum err put_in_pair(struct snapshot *s, struct policy_grant *g)
{
    struct slice app = slice_of(policy_grant_app(g)), resource = slice_of(policy_grant_resource(g)), key;
    struct grant_set old = snapshot_pair(s, app, resource);
    char text[PAIR_TEXT];

    if (!pair_key(text, app, resource, &key))
        return ERR_TOO_LARGE;
    if (old.n == 0 || (old.n == 1 && strcmp(policy_grant_id(old.one), policy_grant_id(g)) == 0))
        return smap_put(&s->pairs, key, g);
    return put_list(&s->pairs, key, &old, g);
}

enum err snapshot_put_grant(struct snapshot *s, struct policy_grant *g)
{
    enum err e = smap_put(&s->grants, slice_of(policy_grant_id(g)), g);

    return e == ERR_OK ? put_in_pair(s, g) : e;
}

static enum err put_row(void *arg, const struct policy_grant_row *row)
{
    struct snapshot *s = arg;
    struct policy_grant *g = NULL;
    enum err e = compile_grant(s, row, &g);

    if (e == ERR_OK)
        e = snapshot_put_grant(s, g);
    counted_unref(g);
    return e;
}

enum err snapshot_reload_grant(struct snapshot *s, struct slice id, const struct snapshot_source *from)
{
    struct policy_grant_row row;
    struct arena a;
    enum err e;

    arena_init(&a, 1 << 20);
    e = policy_grant_find(from->tx, id, &a, &row);
    if (e == ERR_OK)
        e = put_row(s, &row);
    arena_done(&a);
    return e;
}

static bool has_items(const struct policy_grant *g)
{
    return g->words > 0;
}

/* Others stay as they are, for exchanges run on them. One that is not there, or is of another version, waits for its
 * record, and comes by itself. */
static enum err put_bare(void *arg, const struct policy_grant_row *row)
{
    struct snapshot *s = arg;
    const struct policy_grant *g = snapshot_grant(s, row->id);

    return g != NULL && g->version == row->version && !has_items(g) ? put_row(s, row) : ERR_OK;
}

enum err snapshot_reload_grants_of(struct snapshot *s, struct slice resource, const struct snapshot_source *from)
{
    struct policy_grant_filter f = { .resource = resource };

    return smap_count(s->grants) == 0 ? ERR_OK : policy_grant_each(from->tx, &f, NULL, put_bare, s);
}

/* Without an arena the rows stream by: a million grants need no copy. */
enum err snapshot_load_grants(struct snapshot *s, const struct snapshot_source *from)
{
    uint64_t n;
    enum err e = policy_grant_count(from->tx, &n);

    if (e == ERR_OK && smap_count(s->grants) == 0 && !snapshot_grants_size(s, n))
        e = ERR_NOMEM;
    return e == ERR_OK ? policy_grant_load(from->tx, put_row, s) : e;
}
