/* policies/compile: from a stored grant to the block that the data path holds.
 * Invariants: one allocation holds the struct, the purposes and every string; clear is a subset of items; an item that
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

/* Copies `s` with a NUL to *at and moves it on. */
static const char *string_put(char **at, struct slice s)
{
    char *p = *at;

    if (s.n > 0)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    *at = p + s.n + 1;
    return p;
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
    size_t head = sizeof(struct policy_grant) + n * sizeof(const char *);
    struct policy_grant *g = mem_zalloc(head + row->id.n + row->app.n + row->resource.n + row->purposes.n + 4);
    if (g == NULL)
        return ERR_NOMEM;

    char *at = (char *)g + head;
    counted_init(&g->counted, grant_free);
    g->id = string_put(&at, row->id);
    g->app = string_put(&at, row->app);
    g->resource = string_put(&at, row->resource);
    struct slice rest = row->purposes, purpose;
    while (policy_name_next(&rest, &purpose))
        g->purposes[g->n_purposes++] = string_put(&at, purpose); /* a comma's byte is the NUL's */
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
    g->items = items_compile(row->items, bit_of, arg);
    g->clear = items_compile(row->clear, bit_of, arg);
    for (unsigned i = 0; i < POLICY_ITEM_WORDS; i++)
        g->clear.bit[i] &= g->items.bit[i];
    *ret = g;
    return ERR_OK;
}
