/* The sharded immutable map. A version is a root of pages, a page is PAGE pointers to shards, a shard is one block:
 * entries in order of arrival, an open-addressing index over them (at most 3/4 full) and the bytes of the keys.
 * Invariants: what more than one version can reach (refs > 1 on the way to it) is never written; a block is written
 * only by the one writer, and only when every count on the way from the root is 1. A root copies only page pointers and
 * one page, so the cost of a change grows with the square root of the number of shards, and with the size of one shard.
 * The hash is seeded once per process, because peers choose keys. */
#include "base/core/smap.h"
#include "base/core/mem.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

enum { PAGE = 64, SHARDS_MAX = 65536 };

struct entry {
    uint64_t hash;
    void *object; /* ref */
    uint32_t key_at, key_n;
};

struct shard {
    _Atomic uint32_t refs;
    uint32_t n, cap;
    uint32_t slots; /* power of two */
    uint32_t keys_n, keys_cap;
    struct entry entries[]; /* cap of them, then uint32_t slots (entry + 1; 0: free), then the keys */
};

struct page {
    _Atomic uint32_t refs;
    struct shard *shards[PAGE]; /* ref; NULL: empty */
};

struct smap {
    _Atomic uint32_t refs;
    uint32_t shards, pages;
    size_t count;
    struct page *page[]; /* ref */
};

void counted_init(struct counted *c, void (*destroy)(struct counted *))
{
    atomic_init(&c->refs, 1);
    c->free = destroy;
}

static void ref(_Atomic uint32_t *refs)
{
    atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
}

/* True when that was the last one; everything done under other references has then happened. */
static bool unref(_Atomic uint32_t *refs)
{
    return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

static bool is_only(_Atomic uint32_t *refs)
{
    return atomic_load_explicit(refs, memory_order_acquire) == 1;
}

void *counted_ref(void *object)
{
    ref(&((struct counted *)object)->refs);
    return object;
}

void counted_unref(void *object)
{
    struct counted *c = object;

    if (c != NULL && unref(&c->refs))
        c->free(c);
}

static uint64_t seed;

static void seed_make(void)
{
    while (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        if (errno != EINTR)
            abort();
}

static uint32_t *shard_index(const struct shard *s)
{
    return (uint32_t *)(s->entries + s->cap);
}

static char *shard_keys(const struct shard *s)
{
    return (char *)(shard_index(s) + s->slots);
}

/* Where `key` is in the index, or the free slot where it would be. */
static uint32_t *shard_slot(const struct shard *s, uint64_t hash, struct slice key)
{
    uint32_t *index = shard_index(s);

    for (uint32_t i = (uint32_t)hash;; i++) {
        uint32_t *slot = &index[i & (s->slots - 1)];
        const struct entry *e;
        if (*slot == 0)
            return slot;
        e = &s->entries[*slot - 1];
        if (e->hash == hash && slice_eq((struct slice){ shard_keys(s) + e->key_at, e->key_n }, key))
            return slot;
    }
}

static struct entry *shard_find(struct shard *s, uint64_t hash, struct slice key)
{
    uint32_t slot = s ? *shard_slot(s, hash, key) : 0;

    return slot ? &s->entries[slot - 1] : NULL;
}

/* An empty shard with room; NULL: no memory, or sizes that do not fit. */
static struct shard *shard_new(size_t cap, size_t keys_cap)
{
    size_t slots = 2;
    struct shard *s;

    if (cap > UINT32_MAX / 4 || keys_cap > UINT32_MAX)
        return NULL;
    while (slots * 3 < cap * 4)
        slots *= 2;
    s = mem_alloc(sizeof *s + cap * sizeof(struct entry) + slots * sizeof(uint32_t) + keys_cap);
    if (s == NULL)
        return NULL;
    *s = (struct shard){ .cap = (uint32_t)cap, .slots = (uint32_t)slots, .keys_cap = (uint32_t)keys_cap };
    atomic_init(&s->refs, 1);
    memset(shard_index(s), 0, slots * sizeof(uint32_t));
    return s;
}

/* There is room, and the key is not in it. Takes over a reference on the object. */
static void shard_append(struct shard *s, uint64_t hash, struct slice key, void *object)
{
    assert(s->n < s->cap && key.n <= s->keys_cap - s->keys_n);
    for (uint32_t i = (uint32_t)hash;; i++) { /* no compare of keys: only a free slot is wanted */
        uint32_t *slot = &shard_index(s)[i & (s->slots - 1)];
        if (*slot != 0)
            continue;
        *slot = s->n + 1;
        break;
    }
    s->entries[s->n++] = (struct entry){ hash, object, s->keys_n, (uint32_t)key.n };
    if (key.n)
        memcpy(shard_keys(s) + s->keys_n, key.p, key.n);
    s->keys_n += (uint32_t)key.n;
}

static void shard_unref(struct shard *s)
{
    if (s == NULL || !unref(&s->refs))
        return;
    for (uint32_t i = 0; i < s->n; i++)
        counted_unref(s->entries[i].object);
    mem_free(s);
}

/* Appends all of `from` but `skip` (NULL: none). Objects get no new reference. */
static void shard_fill(struct shard *to, const struct shard *from, const struct entry *skip)
{
    for (uint32_t i = 0; from && i < from->n; i++) {
        const struct entry *e = &from->entries[i];
        if (e != skip)
            shard_append(to, e->hash, (struct slice){ shard_keys(from) + e->key_at, e->key_n }, e->object);
    }
}

/* `fresh` holds what `old` held: the references move when nobody else holds `old`, else there are new ones. */
static void shard_supersede(struct shard *old, struct shard *fresh, const struct entry *dropped)
{
    if (old == NULL)
        return;
    if (is_only(&old->refs)) {
        if (dropped != NULL)
            counted_unref(dropped->object);
        mem_free(old);
        return;
    }
    for (uint32_t i = 0; fresh && i < fresh->n; i++)
        counted_ref(fresh->entries[i].object);
    shard_unref(old);
}

/* Room for growing: an eighth more while loading, exactly enough in a copy, which lives as long as its version. */
static size_t room_for(size_t n, bool loading)
{
    return loading ? n + n / 8 + 2 : n;
}

/* Adds a key that is not there. Replaces **at unless the shard is ours alone and has room. */
static enum err shard_add(struct shard **at, uint64_t hash, struct slice key, void *object)
{
    struct shard *s = *at, *fresh;
    bool mine = s == NULL || is_only(&s->refs);
    size_t n = s ? s->n : 0, keys = s ? s->keys_n : 0;

    if (key.n > UINT32_MAX || keys + key.n > UINT32_MAX)
        return ERR_TOO_LARGE;
    if (s == NULL || !mine || s->n == s->cap || key.n > s->keys_cap - s->keys_n) {
        fresh = shard_new(room_for(n + 1, mine && n > 0), mine && n > 0 ? keys + keys / 8 + 2 * key.n : keys + key.n);
        if (fresh == NULL)
            return ERR_NOMEM;
        shard_fill(fresh, s, NULL);
        shard_supersede(s, fresh, NULL);
        *at = s = fresh;
    }
    shard_append(s, hash, key, counted_ref(object));
    return ERR_OK;
}

/* Puts another object under the key of `e`, an entry of *at. */
static enum err shard_replace(struct shard **at, struct entry *e, void *object)
{
    struct shard *s = *at, *fresh;
    size_t i = (size_t)(e - s->entries);

    if (!is_only(&s->refs)) {
        fresh = shard_new(s->n, s->keys_n);
        if (fresh == NULL)
            return ERR_NOMEM;
        shard_fill(fresh, s, NULL);
        shard_supersede(s, fresh, NULL);
        *at = s = fresh;
    }
    counted_ref(object);
    counted_unref(s->entries[i].object);
    s->entries[i].object = object;
    return ERR_OK;
}

/* Removes the entry `e` of *at. */
static enum err shard_remove(struct shard **at, const struct entry *e)
{
    struct shard *s = *at, *fresh = NULL;

    if (s->n > 1) {
        fresh = shard_new(s->n - 1, s->keys_n - e->key_n);
        if (fresh == NULL)
            return ERR_NOMEM;
        shard_fill(fresh, s, e);
    }
    shard_supersede(s, fresh, e);
    *at = fresh;
    return ERR_OK;
}

static void page_unref(struct page *p)
{
    if (p == NULL || !unref(&p->refs))
        return;
    for (unsigned i = 0; i < PAGE; i++)
        shard_unref(p->shards[i]);
    mem_free(p);
}

/* Makes *at a page that only this root holds. */
static bool page_own(struct page **at)
{
    struct page *old = *at, *fresh;

    if (is_only(&old->refs))
        return true;
    fresh = mem_alloc(sizeof *fresh);
    if (fresh == NULL)
        return false;
    atomic_init(&fresh->refs, 1);
    for (unsigned i = 0; i < PAGE; i++) {
        fresh->shards[i] = old->shards[i];
        if (fresh->shards[i] != NULL)
            ref(&fresh->shards[i]->refs);
    }
    page_unref(old);
    *at = fresh;
    return true;
}

struct smap *smap_new(unsigned shards)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    uint32_t pages = (shards + PAGE - 1) / PAGE;
    struct smap *m;

    assert(shards > 0 && shards <= SHARDS_MAX && (shards & (shards - 1)) == 0);
    pthread_once(&once, seed_make);
    m = mem_zalloc(sizeof *m + pages * sizeof m->page[0]);
    if (m == NULL)
        return NULL;
    atomic_init(&m->refs, 1);
    m->shards = shards;
    m->pages = pages;
    for (uint32_t i = 0; i < pages; i++) {
        m->page[i] = mem_zalloc(sizeof *m->page[i]);
        if (m->page[i] == NULL) {
            smap_unref(m);
            return NULL;
        }
        atomic_init(&m->page[i]->refs, 1);
    }
    return m;
}

struct smap *smap_ref(struct smap *m)
{
    ref(&m->refs);
    return m;
}

void smap_unref(struct smap *m)
{
    if (m == NULL || !unref(&m->refs))
        return;
    for (uint32_t i = 0; i < m->pages; i++)
        page_unref(m->page[i]);
    mem_free(m);
}

/* The shard comes from the upper half of the hash, the slot inside it from the lower. */
static uint32_t shard_number(const struct smap *m, uint64_t hash)
{
    return (uint32_t)(hash >> 32) & (m->shards - 1);
}

void *smap_find(const struct smap *m, struct slice key)
{
    uint64_t hash = slice_hash(key, seed);
    uint32_t i = shard_number(m, hash);
    const struct entry *e = shard_find(m->page[i / PAGE]->shards[i % PAGE], hash, key);

    return e ? e->object : NULL;
}

size_t smap_count(const struct smap *m)
{
    return m->count;
}

/* Changes `m`, which nobody else holds; blocks that other versions hold are copied. On failure nothing is different. */
static enum err change(struct smap *m, struct slice key, void *object)
{
    uint64_t hash = slice_hash(key, seed);
    uint32_t i = shard_number(m, hash);
    struct page **page = &m->page[i / PAGE];
    struct shard **at;
    struct entry *e = shard_find((*page)->shards[i % PAGE], hash, key);
    enum err err;

    if (e == NULL && object == NULL)
        return ERR_OK;
    if (!page_own(page))
        return ERR_NOMEM;
    at = &(*page)->shards[i % PAGE];
    err = e == NULL ? shard_add(at, hash, key, object) : object ? shard_replace(at, e, object) : shard_remove(at, e);
    if (err == ERR_OK && (e == NULL) != (object == NULL))
        m->count = e == NULL ? m->count + 1 : m->count - 1;
    return err;
}

enum err smap_load(struct smap *m, struct slice key, void *object)
{
    assert(is_only(&m->refs));
    return is_only(&m->refs) ? change(m, key, object) : ERR_CONFLICT;
}

enum err smap_put(struct smap **m, struct slice key, void *object)
{
    struct smap *old = *m, *fresh;
    enum err err;

    if (is_only(&old->refs))
        return change(old, key, object);
    fresh = mem_alloc(sizeof *fresh + old->pages * sizeof fresh->page[0]);
    if (fresh == NULL)
        return ERR_NOMEM;
    *fresh = (struct smap){ .shards = old->shards, .pages = old->pages, .count = old->count };
    atomic_init(&fresh->refs, 1);
    for (uint32_t i = 0; i < old->pages; i++) {
        fresh->page[i] = old->page[i];
        ref(&fresh->page[i]->refs);
    }
    err = change(fresh, key, object);
    if (err != ERR_OK) {
        smap_unref(fresh);
        return err;
    }
    *m = fresh;
    smap_unref(old);
    return ERR_OK;
}

void smap_each(const struct smap *m, bool (*fn)(void *arg, struct slice key, void *object), void *arg)
{
    for (uint32_t i = 0; i < m->shards; i++) {
        const struct shard *s = m->page[i / PAGE]->shards[i % PAGE];
        for (uint32_t k = 0; s && k < s->n; k++) {
            const struct entry *e = &s->entries[k];
            if (!fn(arg, (struct slice){ shard_keys(s) + e->key_at, e->key_n }, e->object))
                return;
        }
    }
}
