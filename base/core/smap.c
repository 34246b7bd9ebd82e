/* The sharded immutable map. A version is a root of pages, a page is PAGE pointers to shards, a shard is one block: an
 * open-addressing table of entries (at most 3/4 full) and the bytes of the keys behind it.
 * Invariants: what more than one version can reach (refs > 1 on the way to it) is never written; a block is written
 * only by the one writer, and only when every count on the way from the root is 1. A root copies only page pointers and
 * one page, so the cost of a change grows with the square root of the number of shards, and with the size of one shard.
 * A page knows the sizes of its shards, so that a look-up touches cold memory twice: the entry and its key (or, in a
 * map whose objects tell their keys, the object, which the caller wants next anyway). The hash is seeded once per
 * process, because peers choose keys. */
#include "base/core/smap.h"
#include "base/core/mem.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

/* An object's first lines are fetched together; the caller reads on where `is` has stopped. */
enum { PAGE = 64, LINE = 64, OBJECT_LINES = 2 };
#define NO_KEY UINT32_MAX

/* A quarter of a line. Of the hash only what tells a slot: the other half chose the shard. */
struct entry {
    void *object; /* ref; NULL: a free slot */
    uint32_t hash;
    uint32_t key_at; /* its length, then its bytes */
};

struct shard {
    _Atomic uint32_t refs;
    uint32_t n, cap, slots; /* n <= cap < slots */
    uint32_t keys_n, keys_cap;
    _Alignas(sizeof(struct entry)) struct entry entries[]; /* `slots` of them, then the keys; none straddles a line */
};

/* The size beside the pointer: one line of memory tells both. */
struct place {
    struct shard *shard; /* ref; NULL: empty */
    uint32_t slots;
};

struct page {
    _Atomic uint32_t refs;
    struct place at[PAGE];
};

struct smap {
    _Atomic uint32_t refs;
    uint32_t shards, pages;
    size_t count;
    bool (*is)(const void *object, struct slice key); /* NULL: keys are stored */
    struct page *page[];                              /* ref */
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

/* What a key of n bytes takes in its shard; empty ones, as all are in a map that stores none, take nothing. */
static size_t key_room(size_t n)
{
    return n ? sizeof(uint32_t) + n : 0;
}

static struct slice entry_key(const struct entry *entries, uint32_t slots, const struct entry *e)
{
    const char *at = (const char *)(entries + slots) + e->key_at;
    uint32_t n;

    if (e->key_at == NO_KEY)
        return (struct slice){ 0 };
    memcpy(&n, at, sizeof n);
    return (struct slice){ at + sizeof n, n };
}

/* Where probing starts. The shard was chosen by the upper half of the hash. */
static uint32_t slot_first(uint32_t hash, uint32_t slots)
{
    return (uint32_t)((uint64_t)hash * slots >> 32);
}

/* NULL: not there. Does not read the head of the shard. */
static struct entry *shard_find(const struct smap *m, struct shard *s, uint32_t slots, uint32_t hash, struct slice key)
{
    if (s == NULL)
        return NULL;
    for (uint32_t i = slot_first(hash, slots);; i = i + 1 < slots ? i + 1 : 0) {
        struct entry *e = &s->entries[i];
        if (e->object == NULL)
            return NULL;
        if (e->hash != hash)
            continue;
        for (int line = 0; line < OBJECT_LINES; line++)
            __builtin_prefetch((const char *)e->object + line * LINE);
        if (m->is ? m->is(e->object, key) : slice_eq(entry_key(s->entries, slots, e), key))
            return e;
    }
}

/* An empty shard with room; NULL: no memory, or sizes that do not fit. */
static struct shard *shard_new(size_t cap, size_t keys_cap)
{
    size_t slots = cap + cap / 3 + 1;
    struct shard *s;

    if (cap > UINT32_MAX / 4 || keys_cap >= NO_KEY)
        return NULL;
    s = mem_alloc(sizeof *s + slots * sizeof(struct entry) + keys_cap);
    if (s == NULL)
        return NULL;
    *s = (struct shard){ .cap = (uint32_t)cap, .slots = (uint32_t)slots, .keys_cap = (uint32_t)keys_cap };
    atomic_init(&s->refs, 1);
    memset(s->entries, 0, slots * sizeof(struct entry));
    return s;
}

/* There is room, and the key is not in it. Takes over a reference on the object. */
static void shard_append(struct shard *s, uint32_t hash, struct slice key, void *object)
{
    uint32_t i = slot_first(hash, s->slots), n = (uint32_t)key.n;

    assert(s->n < s->cap && key_room(key.n) <= s->keys_cap - s->keys_n);
    while (s->entries[i].object != NULL) /* no compare of keys: only a free slot is wanted */
        i = i + 1 < s->slots ? i + 1 : 0;
    s->entries[i] = (struct entry){ object, hash, n ? s->keys_n : NO_KEY };
    if (n) {
        char *at = (char *)(s->entries + s->slots) + s->keys_n;
        memcpy(at, &n, sizeof n);
        memcpy(at + sizeof n, key.p, n);
    }
    s->keys_n += (uint32_t)key_room(key.n);
    s->n++;
}

static void shard_unref(struct shard *s)
{
    if (s == NULL || !unref(&s->refs))
        return;
    for (uint32_t i = 0; i < s->slots; i++)
        counted_unref(s->entries[i].object);
    mem_free(s);
}

static struct slice key_at(const struct shard *s, const struct entry *e)
{
    return entry_key(s->entries, s->slots, e);
}

/* Appends all of `from` but `skip` (NULL: none). Objects get no new reference. */
static void shard_fill(struct shard *to, const struct shard *from, const struct entry *skip)
{
    for (uint32_t i = 0; from && i < from->slots; i++) {
        const struct entry *e = &from->entries[i];
        if (e != skip && e->object != NULL)
            shard_append(to, e->hash, key_at(from, e), e->object);
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
    for (uint32_t i = 0; fresh && i < fresh->slots; i++)
        if (fresh->entries[i].object != NULL)
            counted_ref(fresh->entries[i].object);
    shard_unref(old);
}

/* Room for growing: an eighth more while loading, exactly enough in a copy, which lives as long as its version. */
static size_t room_for(size_t n, bool loading)
{
    return loading ? n + n / 8 + 2 : n;
}

/* Adds a key that is not there. Replaces **at unless the shard is ours alone and has room. */
static enum err shard_add(struct shard **at, uint32_t hash, struct slice key, void *object)
{
    struct shard *s = *at, *fresh;
    bool mine = s == NULL || is_only(&s->refs);
    size_t n = s ? s->n : 0, keys = s ? s->keys_n : 0, room = key_room(key.n);

    if (key.n > UINT32_MAX || keys + room >= NO_KEY)
        return ERR_TOO_LARGE;
    if (s == NULL || !mine || s->n == s->cap || room > s->keys_cap - s->keys_n) {
        fresh = shard_new(room_for(n + 1, mine && n > 0), mine && n > 0 ? keys + keys / 8 + 2 * room : keys + room);
        if (fresh == NULL)
            return ERR_NOMEM;
        shard_fill(fresh, s, NULL);
        shard_supersede(s, fresh, NULL);
        *at = s = fresh;
    }
    shard_append(s, hash, key, counted_ref(object));
    return ERR_OK;
}

/* The entry of `fresh`, a copy, that was made from `e`. */
static struct entry *entry_in_copy(struct shard *fresh, const struct entry *e)
{
    uint32_t i = slot_first(e->hash, fresh->slots);

    while (fresh->entries[i].hash != e->hash || fresh->entries[i].object != e->object)
        i = i + 1 < fresh->slots ? i + 1 : 0;
    return &fresh->entries[i];
}

/* Puts another object under the key of `e`, an entry of *at. */
static enum err shard_replace(struct shard **at, struct entry *e, void *object)
{
    struct shard *s = *at, *fresh;

    if (!is_only(&s->refs)) {
        fresh = shard_new(s->n, s->keys_n);
        if (fresh == NULL)
            return ERR_NOMEM;
        shard_fill(fresh, s, NULL);
        e = entry_in_copy(fresh, e);
        shard_supersede(s, fresh, NULL);
        *at = fresh;
    }
    counted_ref(object);
    counted_unref(e->object);
    e->object = object;
    return ERR_OK;
}

/* Removes the entry `e` of *at. */
static enum err shard_remove(struct shard **at, const struct entry *e)
{
    struct shard *s = *at, *fresh = NULL;

    if (s->n > 1) {
        fresh = shard_new(s->n - 1, s->keys_n - key_room(key_at(s, e).n));
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
        shard_unref(p->at[i].shard);
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
        fresh->at[i] = old->at[i];
        if (fresh->at[i].shard != NULL)
            ref(&fresh->at[i].shard->refs);
    }
    page_unref(old);
    *at = fresh;
    return true;
}

struct smap *smap_new(unsigned shards)
{
    return smap_new_by(shards, NULL);
}

struct smap *smap_new_by(unsigned shards, bool (*is)(const void *object, struct slice key))
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    uint32_t pages = (shards + PAGE - 1) / PAGE;
    struct smap *m;

    assert(shards > 0 && shards <= SMAP_SHARDS_MAX && (shards & (shards - 1)) == 0);
    pthread_once(&once, seed_make);
    m = mem_zalloc(sizeof *m + pages * sizeof m->page[0]);
    if (m == NULL)
        return NULL;
    atomic_init(&m->refs, 1);
    m->shards = shards;
    m->pages = pages;
    m->is = is;
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

static uint32_t shard_number(const struct smap *m, uint64_t hash)
{
    return (uint32_t)(hash >> 32) & (m->shards - 1);
}

void *smap_find(const struct smap *m, struct slice key)
{
    uint64_t hash = slice_hash(key, seed);
    uint32_t i = shard_number(m, hash);
    const struct place *at = &m->page[i / PAGE]->at[i % PAGE];
    const struct entry *e = shard_find(m, at->shard, at->slots, (uint32_t)hash, key);

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
    struct place *at = &(*page)->at[i % PAGE];
    struct entry *e = shard_find(m, at->shard, at->slots, (uint32_t)hash, key);
    struct slice stored = key;
    bool present = e != NULL;
    enum err err;

    if (m->is)
        stored.n = 0;
    if (!present && object == NULL)
        return ERR_OK;
    if (!page_own(page))
        return ERR_NOMEM;
    at = &(*page)->at[i % PAGE];
    if (e == NULL)
        err = shard_add(&at->shard, (uint32_t)hash, stored, object);
    else
        err = object ? shard_replace(&at->shard, e, object) : shard_remove(&at->shard, e);
    if (err != ERR_OK)
        return err;
    at->slots = at->shard ? at->shard->slots : 0;
    if (present != (object != NULL))
        m->count = present ? m->count - 1 : m->count + 1;
    return ERR_OK;
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
    *fresh = (struct smap){ .shards = old->shards, .pages = old->pages, .count = old->count, .is = old->is };
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
        const struct shard *s = m->page[i / PAGE]->at[i % PAGE].shard;
        for (uint32_t k = 0; s && k < s->slots; k++) {
            const struct entry *e = &s->entries[k];
            if (e->object != NULL && !fn(arg, key_at(s, e), e->object))
                return;
        }
    }
}
