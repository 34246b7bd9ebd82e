/* policies/compile: from a stored grant to the block that the data path holds, and what reads that block.
 * Invariants: one allocation holds the struct, the items and every string; clear is a subset of items; an item that
 * the resource version does not have (any more) is left out, never guessed. */
#include "policies/store.h"

static const struct state_name {
    const char *name;
    enum policy_state state;
} state_names[] = {
    { "active", POLICY_ACTIVE },
    { "suspended", POLICY_SUSPENDED },
    { "revoked", POLICY_REVOKED },
    { "returned", POLICY_RETURNED },
};

static bool state_of(struct slice name, uint8_t *ret)
{
    for (size_t i = 0; i < sizeof state_names / sizeof *state_names; i++)
        if (slice_is(name, state_names[i].name)) {
            *ret = (uint8_t)state_names[i].state;
            return true;
        }
    return false;
}

static void grant_free(struct counted *c)
{
    mem_free(c);
}

static size_t purposes_count(struct slice purposes)
{
    struct slice name;
    size_t n = 0;

    while (policy_name_next(&purposes, &name))
        n++;
    return n;
}

static struct policy_items items_compile(struct slice names, int (*bit_of)(void *arg, struct slice item), void *arg)
{
    struct policy_items items = { { 0 } };
    struct slice name;

    while (policy_name_next(&names, &name)) {
        int at = bit_of(arg, name);
        if (at >= 0 && at < POLICY_ITEMS_MAX)
            items.bit[at / 64] |= (uint64_t)1 << (at % 64);
    }
    return items;
}

/* Words up to the last item; what is beyond is no part of the block. */
static unsigned items_words(const struct policy_items *items)
{
    unsigned n = POLICY_ITEM_WORDS;

    while (n > 0 && items->bit[n - 1] == 0)
        n--;
    return n;
}

static struct policy_items items_read(const uint64_t *bit, unsigned words)
{
    struct policy_items items = { { 0 } };

    for (unsigned i = 0; i < words && i < POLICY_ITEM_WORDS; i++)
        items.bit[i] = bit[i];
    return items;
}

/* Copies `s` with a NUL to *at bytes behind g and moves that on; returns where it was. */
static uint16_t string_put(struct policy_grant *g, size_t *at, struct slice s)
{
    size_t was = *at;
    char *p = (char *)g + was;

    if (s.n > 0)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    *at = was + s.n + 1;
    return (uint16_t)was;
}

static bool row_sound(const struct policy_grant_row *row, size_t n_purposes)
{
    return n_purposes > 0 && n_purposes <= POLICY_PURPOSES_MAX && row->version <= UINT32_MAX &&
           row->resource_version <= UINT32_MAX;
}

enum err policy_grant_compile(const struct policy_grant_row *row, int (*bit_of)(void *arg, struct slice item),
                              void *arg, struct policy_grant **ret)
{
    size_t n = purposes_count(row->purposes);
    uint8_t state;

    if (!state_of(row->state, &state) || !row_sound(row, n))
        return ERR_CORRUPT;
    struct policy_items items = items_compile(row->items, bit_of, arg), clear = items_compile(row->clear, bit_of, arg);
    unsigned words = items_words(&items);
    size_t at = sizeof(struct policy_grant) + 2 * words * sizeof(uint64_t);
    size_t size = at + row->id.n + row->app.n + row->resource.n + row->purposes.n + 4;
    if (size > UINT16_MAX)
        return ERR_CORRUPT;
    struct policy_grant *g = mem_zalloc_line(size);
    if (g == NULL)
        return ERR_NOMEM;

    counted_init(&g->counted, grant_free);
    for (unsigned i = 0; i < words; i++) {
        g->bit[i] = items.bit[i];
        g->bit[words + i] = clear.bit[i] & items.bit[i];
    }
    g->words = (uint8_t)words;
    g->app_at = string_put(g, &at, row->app);
    g->resource_at = string_put(g, &at, row->resource);
    g->purposes_at = (uint16_t)at;
    struct slice rest = row->purposes, purpose;
    while (policy_name_next(&rest, &purpose)) {
        (void)string_put(g, &at, purpose); /* a comma's byte is the NUL's */
        g->n_purposes++;
    }
    g->id_at = string_put(g, &at, row->id);
    g->version = (uint32_t)row->version;
    g->resource_version = (uint32_t)row->resource_version;
    g->state = state;
    g->weekdays = row->weekdays;
    g->minute_from = row->minute_from;
    g->minute_to = row->minute_to;
    g->day_from = row->day_from;
    g->day_to = row->day_to;
    g->expires = row->expires;
    g->max_rows = row->max_rows;
    *ret = g;
    return ERR_OK;
}

/* ---- reading ---- */
const char *policy_grant_id(const struct policy_grant *g)
{
    return (const char *)g + g->id_at;
}

const char *policy_grant_app(const struct policy_grant *g)
{
    return (const char *)g + g->app_at;
}

const char *policy_grant_resource(const struct policy_grant *g)
{
    return (const char *)g + g->resource_at;
}

const char *policy_grant_purpose(const struct policy_grant *g, unsigned i)
{
    const char *p = (const char *)g + g->purposes_at;

    for (; i > 0; i--)
        p += strlen(p) + 1;
    return p;
}

struct policy_items policy_grant_items(const struct policy_grant *g)
{
    return items_read(g->bit, g->words);
}

struct policy_items policy_grant_clear(const struct policy_grant *g)
{
    return items_read(g->bit + g->words, g->words);
}
