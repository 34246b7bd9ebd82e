/* The bounded sets of open keys; see json_reader_keys.h for the invariants. */
#include "translate/json_reader_keys.h"
#include "translate/plain.h"
#include <pthread.h>

static uint64_t process_seed;
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void draw_seed(void)
{
    struct uuid u = uuid_v7(clock_wall_ms());

    memcpy(&process_seed, u.b + 8, sizeof process_seed); /* the random half */
}

void json_keys_init(struct json_keys *k)
{
    pthread_once(&seed_once, draw_seed);
    memset(k, 0, sizeof *k);
    k->seed = process_seed;
}

void json_keys_done(struct json_keys *k)
{
    if (k->stack != NULL)
        mem_free(k->stack);
    if (k->table != NULL)
        mem_free(k->table);
    for (unsigned i = 0; i < KNOWN_DEEP; i++)
        if (k->known[i] != NULL)
            mem_free(k->known[i]);
    json_keys_init(k);
}

size_t json_keys_bytes(const struct json_keys *k)
{
    size_t n = 0;

    for (unsigned i = 0; i < KNOWN_DEEP; i++)
        n += k->known[i] != NULL ? sizeof *k->known[i] : 0;
    return n;
}

static void pop(struct json_keys *k, uint32_t base)
{
    while (k->n > base) {
        struct json_key_entry *e = &k->stack[--k->n];

        if (e->slot != 0) {
            k->table[e->slot - 1] = 0;
            k->used--;
        }
    }
}

/* The slot of that hash among the entries from `base`, or the free one where it goes. */
static uint32_t find_slot(const struct json_keys *k, uint32_t base, uint64_t hash, bool *ret_found)
{
    uint32_t at = (uint32_t)(hash ^ (hash >> 32)) & (k->size - 1);

    *ret_found = false;
    for (; k->table[at] != 0; at = (at + 1) & (k->size - 1)) {
        uint32_t i = k->table[at] - 1;

        if (i >= base && k->stack[i].hash == hash) {
            *ret_found = true;
            break;
        }
    }
    return at;
}

static void table_put(struct json_keys *k, uint32_t i)
{
    bool found;
    uint32_t at = find_slot(k, i, k->stack[i].hash, &found);

    k->table[at] = i + 1;
    k->stack[i].slot = at + 1;
    k->used++;
}

/* Room for `more` entries at no more than half load. What was in the table goes into the new one in the order of its
 * coming. */
static enum err table_reserve(struct json_keys *k, uint32_t more)
{
    uint32_t size = k->size != 0 ? k->size : 64;
    uint32_t *table;

    while (size < 2 * (k->used + more))
        size *= 2;
    if (size == k->size)
        return ERR_OK;
    table = mem_array(size, sizeof *table);
    if (table == NULL)
        return ERR_NOMEM;
    mem_free(k->table);
    k->table = table;
    k->size = size;
    k->used = 0;
    for (uint32_t i = 0; i < k->n; i++)
        if (k->stack[i].slot != 0)
            table_put(k, i);
    return ERR_OK;
}

static enum err stack_reserve(struct json_keys *k)
{
    uint32_t room = k->room != 0 ? k->room * 2 : 64;
    struct json_key_entry *p;

    if (k->n + k->light >= JSON_OPEN_MAX)
        return ERR_TOO_LARGE;
    if (k->n < k->room)
        return ERR_OK;
    p = mem_grow(k->stack, room * sizeof *p);
    if (p == NULL)
        return ERR_NOMEM;
    k->stack = p;
    k->room = room;
    return ERR_OK;
}

static bool seen_linear(const struct json_keys *k, uint32_t base, uint64_t hash)
{
    for (uint32_t i = base; i < k->n; i++)
        if (k->stack[i].hash == hash)
            return true;
    return false;
}

static void push(struct json_keys *k, uint64_t hash)
{
    k->stack[k->n++] = (struct json_key_entry){ .hash = hash };
}

/* The object is too large for a linear look: all its entries move into the table, those that are not there yet. */
static enum err add_to_table(struct json_keys *k, uint32_t base, uint64_t hash)
{
    bool found;
    enum err e = table_reserve(k, k->n - base + 1);

    if (e != ERR_OK)
        return e;
    for (uint32_t i = base; i < k->n && k->stack[i].slot == 0; i++)
        table_put(k, i);
    (void)find_slot(k, base, hash, &found);
    if (found)
        return ERR_INVALID;
    push(k, hash);
    table_put(k, k->n - 1);
    return ERR_OK;
}

static enum err add_hashed(struct json_keys *k, uint32_t base, struct slice key)
{
    /* The base is part of the seed: the same key in an outer object has another hash. */
    uint64_t hash = slice_hash(key, k->seed + base * 0x9e3779b97f4a7c15U);
    enum err e = stack_reserve(k);

    if (e != ERR_OK)
        return e;
    if (k->n - base >= JSON_MEMBERS_MAX)
        return ERR_TOO_LARGE;
    if (k->n - base >= KEYS_LINEAR)
        return add_to_table(k, base, hash);
    if (seen_linear(k, base, hash))
        return ERR_INVALID;
    push(k, hash);
    return ERR_OK;
}

void json_keys_reset(struct json_keys *k, bool memos)
{
    pop(k, 0);
    k->light = 0;
    for (unsigned i = 0; i < KNOWN_DEEP; i++) {
        struct json_known *known = k->known[i];
        if (known == NULL)
            continue;
        if (known->n > KNOWN_KEPT)
            known->n = known->used = 0;
        for (uint32_t j = 0; j < known->n && !memos; j++)
            known->memo[j].where = known->memo[j].what = NULL;
    }
}

/* ---- known names ---- */

/* Index of the name, from the likely one on and around; known->n: not there. */
static uint32_t find_known(const struct json_known *known, uint32_t from, struct slice key)
{
    uint32_t i = from < known->n ? from : 0;

    for (uint32_t k = 0; k < known->n; k++) {
        struct slice name = known->memo[i].name;

        if (name.n == key.n && same_bytes(name.p, key.p, key.n))
            return i;
        i = i + 1 < known->n ? i + 1 : 0;
    }
    return known->n;
}

/* A name that is written as it is read can be compared with the text of an object; others are not kept. */
static bool keep_known(struct json_known *known, struct slice key, bool plain)
{
    char *at = known->text + known->used;

    if (known->n >= KNOWN_MAX || key.n + KNOWN_BEHIND_N > KNOWN_BYTES - known->used)
        return false;
    if (!plain && plain_run(key.p, key.p + key.n, true) != key.p + key.n)
        return false;
    copy_short(at, key.p, key.n);
    memcpy(at + key.n, KNOWN_BEHIND, KNOWN_BEHIND_N);
    known->memo[known->n++] = (struct member_memo){ .name = slice_make(at, key.n) };
    known->used += (uint32_t)key.n + KNOWN_BEHIND_N;
    return true;
}

/* The object's names are more than are known: from now on they are hashed. */
static enum err fall_back(struct json_keys *k, struct json_members *m)
{
    const struct json_known *known = m->known;
    enum err e = ERR_OK;

    k->light = m->light;
    m->known = NULL;
    for (uint32_t i = 0; i < known->n && e == ERR_OK; i++)
        if (m->seen >> i & 1)
            e = add_hashed(k, m->base, known->memo[i].name);
    return e;
}

/* The first object of its depth. NULL: no memory. */
static __attribute__((noinline)) struct json_known *known_new(struct json_keys *k, unsigned depth)
{
    struct json_known *known = mem_alloc(sizeof *known);

    if (known != NULL)
        known->n = known->used = 0;
    k->known[depth] = known;
    return known;
}

enum err json_members_begin(struct json_keys *k, struct json_members *m, unsigned depth)
{
    *m = (struct json_members){ .base = k->n, .light = k->light };
    if (depth >= KNOWN_DEEP)
        return ERR_OK;
    m->known = k->known[depth] != NULL ? k->known[depth] : known_new(k, depth);
    return m->known != NULL ? ERR_OK : ERR_NOMEM;
}

enum err json_members_add(struct json_keys *k, struct json_members *m, struct slice key, bool plain,
                          struct member_memo **ret_memo)
{
    static const struct slice empty = SLICE("");
    struct json_known *known = m->known;

    *ret_memo = NULL;
    if (key.n == 0)
        key = empty; /* never a null pointer */
    if (known != NULL) {
        uint32_t i = find_known(known, m->next, key);

        if (i < known->n || keep_known(known, key, plain)) {
            *ret_memo = &known->memo[i];
            return json_members_add_known(k, m, i);
        }
        enum err e = fall_back(k, m);
        if (e != ERR_OK)
            return e;
    }
    return add_hashed(k, m->base, key);
}

void json_members_end(struct json_keys *k, const struct json_members *m)
{
    pop(k, m->base);
    k->light = m->light;
}
