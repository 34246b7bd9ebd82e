/* The snapshot root and its objects. Invariant: a snapshot that a worker has seen never changes; only one made by
 * snapshot_next, not yet given away, is loaded into. */
#include "gateway/snapshot_internal.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { SHARDS_SMALL = 256 };

struct snapshot *snapshot_new(void)
{
    struct snapshot *s = mem_zalloc(sizeof *s);

    if (s == NULL)
        return NULL;
    atomic_init(&s->refs, 1);
    s->generation = 1;
    s->resources = smap_new(SHARDS_SMALL);
    s->apps = smap_new(SHARDS_SMALL);
    if (snapshot_grants_size(s, 0) && s->resources && s->apps)
        return s;
    snapshot_unref(s);
    return NULL;
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

static void map_unref(struct smap *m)
{
    if (m)
        smap_unref(m);
}

void snapshot_unref(struct snapshot *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
        return;
    map_unref(s->resources);
    map_unref(s->apps);
    map_unref(s->grants);
    map_unref(s->pairs);
    if (s->trust)
        certs_trust_unref(s->trust);
    mem_free(s);
}

struct snapshot *snapshot_next(const struct snapshot *from)
{
    struct snapshot *s = mem_zalloc(sizeof *s);

    if (s == NULL)
        return NULL;
    atomic_init(&s->refs, 1);
    s->generation = from->generation + 1;
    s->resources = smap_ref(from->resources);
    s->apps = smap_ref(from->apps);
    s->grants = smap_ref(from->grants);
    s->pairs = smap_ref(from->pairs);
    s->trust = from->trust ? certs_trust_ref(from->trust) : NULL;
    s->trust_generation = from->trust_generation;
    return s;
}

/* ---- reading ---- */
const struct resource_head *snapshot_resource(const struct snapshot *s, struct slice id)
{
    return smap_find(s->resources, id);
}

struct service *resource_version(const struct resource_head *h, uint64_t version)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->versions[i]->version == version)
            return h->versions[i];
    return NULL;
}

struct services {
    bool (*fn)(void *arg, const struct service *v);
    void *arg;
};

static bool each_head(void *arg, struct slice id, void *object)
{
    const struct services *all = arg;
    const struct resource_head *h = object;
    bool on = true;

    (void)id;
    for (size_t i = 0; on && i < h->n; i++)
        on = h->versions[i]->target == NULL || all->fn(all->arg, h->versions[i]);
    return on;
}

void snapshot_services(const struct snapshot *s, bool (*fn)(void *arg, const struct service *v), void *arg)
{
    struct services all = { fn, arg };

    smap_each(s->resources, each_head, &all);
}

const struct principal *snapshot_app(const struct snapshot *s, struct slice id)
{
    return smap_find(s->apps, id);
}

/* ---- applications ---- */
static void plain_free(struct counted *c)
{
    mem_free(c);
}

/* Put a new object under a key and leave the map its only owner. */
static enum err put_new(struct smap **m, struct slice key, void *object)
{
    enum err e = object ? smap_put(m, key, object) : ERR_NOMEM;

    counted_unref(object);
    return e;
}

/* An application is active while its department is, too. A department that cannot be read now is not one that is not
 * active: nobody would look again. */
static enum err find_active(const struct catalog_entry *app, const struct snapshot_source *from, bool *ret)
{
    struct catalog_entry department;
    struct arena a;
    enum err e;

    *ret = false;
    if (!slice_is(app->state, "active"))
        return ERR_OK;
    arena_init(&a, 1 << 20);
    e = catalog_find(from->tx, CATALOG_DEPARTMENT, app->department, 0, &a, &department);
    *ret = e == ERR_OK && slice_is(department.state, "active");
    arena_done(&a);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err put_app(struct snapshot *s, const struct catalog_entry *entry, const struct snapshot_source *from)
{
    struct principal *p;
    bool active;
    enum err e = find_active(entry, from, &active);

    if (e != ERR_OK)
        return e;
    p = mem_zalloc(sizeof *p);
    if (p) {
        counted_init(&p->counted, plain_free);
        p->active = active;
    }
    return put_new(&s->apps, entry->id, p);
}

static enum err reload_app(struct snapshot *s, struct slice id, const struct snapshot_source *from)
{
    struct catalog_entry entry;
    struct arena a;
    enum err e;

    arena_init(&a, 1 << 20);
    e = catalog_find(from->tx, CATALOG_APP, id, 0, &a, &entry);
    if (e == ERR_NOT_FOUND)
        e = smap_put(&s->apps, id, NULL);
    else if (e == ERR_OK)
        e = put_app(s, &entry, from);
    arena_done(&a);
    return e;
}

/* ---- resources ---- */
static void head_free(struct counted *c)
{
    struct resource_head *h = (struct resource_head *)c;

    for (size_t i = 0; i < h->n; i++)
        counted_unref(h->versions[i]);
    mem_free(h);
}

struct head_build {
    struct slice id; /* of the resource */
    const struct snapshot_source *from;
    const struct resource_head *before; /* unchanged versions are taken over, so that exchanges on them go on */
    struct resource_head *head;
    size_t room;
    struct diags *diags;
    bool appeared; /* a version that was not there before */
};

/* What it was made of beside its manifest, which never changes, may be other now. */
static bool is_stale(const struct snapshot_source *from, const struct service *s)
{
    return (from->renew && s->target && connector_stale(s->target)) ||
           (from->recode && service_has_codes(s, (struct slice){ 0 }));
}

/* *ret: ref; NULL: what no longer compiles is left out and reported. */
static enum err version_of(struct head_build *b, const struct catalog_entry *e, struct service **ret)
{
    struct service *before = b->before ? resource_version(b->before, e->version) : NULL;
    struct connector_world world = *b->from->world;
    unsigned said = b->diags->count;
    enum err why;

    *ret = before;
    if (before != NULL && !is_stale(b->from, before)) {
        counted_ref(before);
        return ERR_OK;
    }
    world.bears = true; /* it was published: what is lost since makes it fail, not vanish */
    why = service_load(e->json, e->version, &world, b->from->tx, ret, b->diags);
    if (why == ERR_OK) {
        b->appeared = b->appeared || before == NULL;
        return ERR_OK;
    }
    if (b->diags->count == said || why == ERR_TOO_LARGE)
        (void)!diag_add(b->diags, why, 0, 0, "%.*s, version %llu: %s", "%.*s 第 %llu 版：%s", SLICE_ARG(b->id),
                        (unsigned long long)e->version, err_text(why));
    if (before != NULL)
        counted_ref(before);
    return why == ERR_NOMEM ? why : ERR_OK; /* tried again whole */
}

static enum err add_version(void *arg, const struct catalog_entry *e)
{
    struct head_build *b = arg;
    bool live = slice_is(e->state, "published"), suspended = slice_is(e->state, "suspended");
    struct service *s;
    enum err why;

    b->head->suspended = b->head->suspended || suspended;
    if (!live && !suspended)
        return ERR_OK;
    if (b->head->n == b->room)
        return ERR_TOO_LARGE;
    why = version_of(b, e, &s);
    if (s == NULL)
        return why;
    b->head->versions[b->head->n++] = s;
    if (e->version > b->head->latest)
        b->head->latest = e->version;
    return why;
}

static bool is_served(const struct catalog_entry *e)
{
    return slice_is(e->state, "published") || slice_is(e->state, "suspended");
}

struct versions {
    struct slice id;
    struct arena *arena;
    struct catalog_entry *list;
    size_t n, room;
};

static enum err keep_version(void *arg, const struct catalog_entry *e)
{
    struct versions *v = arg;

    if (v->n == v->room) {
        struct catalog_entry *more = mem_grow(v->list, (v->room * 2 + 8) * sizeof *more);
        if (more == NULL)
            return ERR_NOMEM;
        v->list = more;
        v->room = v->room * 2 + 8;
    }
    struct catalog_entry *to = &v->list[v->n++];
    *to = (struct catalog_entry){ .version = e->version,
                                  .state = arena_dup(v->arena, e->state),
                                  .json = is_served(e) ? arena_dup(v->arena, e->json) : (struct slice){ 0 } };
    return to->state.p == NULL || (is_served(e) && to->json.p == NULL) ? ERR_NOMEM : ERR_OK;
}

static int by_version(const void *a, const void *b)
{
    uint64_t x = ((const struct catalog_entry *)a)->version, y = ((const struct catalog_entry *)b)->version;

    return x < y ? -1 : x > y;
}

static enum err build_head(struct snapshot *s, struct versions *v, const struct snapshot_source *from, struct diags *d)
{
    struct head_build b = {
        .id = v->id, .from = from, .before = snapshot_resource(s, v->id), .room = v->n, .diags = d
    };
    enum err e = ERR_OK;

    if (v->n == 0)
        return smap_put(&s->resources, v->id, NULL);
    b.head = mem_zalloc(sizeof *b.head + v->n * sizeof b.head->versions[0]);
    if (b.head == NULL)
        return ERR_NOMEM;
    counted_init(&b.head->counted, head_free);
    qsort(v->list, v->n, sizeof *v->list, by_version);
    for (size_t i = 0; e == ERR_OK && i < v->n; i++)
        e = add_version(&b, &v->list[i]);
    if (e == ERR_OK)
        e = smap_put(&s->resources, v->id, b.head);
    counted_unref(b.head);
    /* Grants know items by their places: those that met no version have none. */
    return e == ERR_OK && b.appeared ? snapshot_reload_grants_of(s, v->id, from) : e;
}

static enum err reload_resource(struct snapshot *s, struct slice id, const struct snapshot_source *from,
                                struct diags *d)
{
    struct catalog_filter f = { .id = id, .all_versions = true };
    struct arena a;
    struct versions v = { .id = id, .arena = &a };
    enum err e;

    arena_init(&a, (size_t)1 << 30);
    e = catalog_each(from->tx, CATALOG_RESOURCE, &f, keep_version, &v);
    if (e == ERR_OK)
        e = build_head(s, &v, from, d);
    arena_done(&a);
    mem_free(v.list);
    return e;
}

/* ---- the two ways in ---- */
enum err snapshot_reload(struct snapshot *s, enum snapshot_kind kind, struct slice id,
                         const struct snapshot_source *from, struct diags *d)
{
    switch (kind) {
    case SNAPSHOT_APP:
        return reload_app(s, id, from);
    case SNAPSHOT_GRANT:
        return snapshot_reload_grant(s, id, from);
    case SNAPSHOT_RESOURCE:
        return reload_resource(s, id, from, d);
    }
    return ERR_INVALID;
}

struct load {
    struct snapshot *s;
    const struct snapshot_source *from;
    struct diags *d;
};

static enum err load_app(void *arg, const struct catalog_entry *e)
{
    struct load *l = arg;

    return put_app(l->s, e, l->from);
}

static enum err load_resource(void *arg, const struct catalog_entry *e)
{
    struct load *l = arg;

    return reload_resource(l->s, e->id, l->from, l->d);
}

enum err snapshot_load_all(struct snapshot *s, const struct snapshot_source *from, struct diags *d)
{
    struct load l = { s, from, d };
    struct catalog_filter all = { 0 };
    enum err e;

    e = catalog_each(from->tx, CATALOG_APP, &all, load_app, &l);
    if (e == ERR_OK)
        e = catalog_each(from->tx, CATALOG_RESOURCE, &all, load_resource, &l);
    return e == ERR_OK ? snapshot_load_grants(s, from) : e;
}
