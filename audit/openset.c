/* Open addressing with linear probing and backward-shift deletion.
 * Invariants: at most 3/4 of the slots are used, so that a probe always ends; no tombstones. */
#include "audit/openset.h"

static size_t slot_home(const struct openset *s, const struct uuid *x, uint32_t part)
{
    uint64_t h;
    memcpy(&h, x->b + 8, sizeof h); /* the random half of a UUIDv7 */
    h = (h ^ part) * 0x9E3779B97F4A7C15ull;
    return (size_t)(h >> 20) & (s->room - 1);
}

/* The slot that holds the key, or the free one where it belongs. */
static size_t slot_find(const struct openset *s, const struct uuid *x, uint32_t part)
{
    size_t i = slot_home(s, x, part);
    while (s->slots[i].used && (s->slots[i].part != part || memcmp(&s->slots[i].exchange, x, sizeof *x) != 0))
        i = (i + 1) & (s->room - 1);
    return i;
}

void openset_done(struct openset *s)
{
    s->slots = mem_free(s->slots);
    s->room = s->count = 0;
}

enum err openset_reserve(struct openset *s, size_t more)
{
    size_t room = s->room ? s->room : 64;
    while ((s->count + more) * 4 > room * 3)
        room *= 2;
    if (room == s->room)
        return ERR_OK;
    struct openset bigger = { .slots = mem_array(room, sizeof *s->slots), .room = room, .count = s->count };
    if (bigger.slots == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < s->room; i++) {
        if (s->slots[i].used)
            bigger.slots[slot_find(&bigger, &s->slots[i].exchange, s->slots[i].part)] = s->slots[i];
    }
    mem_free(s->slots);
    *s = bigger;
    return ERR_OK;
}

void openset_add(struct openset *s, struct uuid exchange, uint32_t part, uint64_t bytes)
{
    size_t i = slot_find(s, &exchange, part);
    if (!s->slots[i].used)
        s->count++;
    s->slots[i] = (struct openset_entry){ .exchange = exchange, .part = part, .used = true, .bytes = bytes };
}

void openset_progress(struct openset *s, struct uuid exchange, uint32_t part, uint64_t bytes)
{
    if (s->room == 0)
        return;
    size_t i = slot_find(s, &exchange, part);
    if (s->slots[i].used)
        s->slots[i].bytes = bytes;
}

void openset_remove(struct openset *s, struct uuid exchange, uint32_t part)
{
    if (s->room == 0)
        return;
    size_t mask = s->room - 1, hole = slot_find(s, &exchange, part);
    if (!s->slots[hole].used)
        return;
    for (size_t i = (hole + 1) & mask; s->slots[i].used; i = (i + 1) & mask) {
        size_t home = slot_home(s, &s->slots[i].exchange, s->slots[i].part);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            s->slots[hole] = s->slots[i];
            hole = i;
        }
    }
    s->slots[hole].used = false;
    s->count--;
}

void openset_apply(struct openset *s, enum audit_kind k, struct uuid exchange, uint32_t part, uint64_t bytes)
{
    if (k == AUDIT_INTENT)
        openset_add(s, exchange, part, 0);
    else if (k == AUDIT_PROGRESS)
        openset_progress(s, exchange, part, bytes);
    else if (k == AUDIT_OUTCOME || k == AUDIT_CUT)
        openset_remove(s, exchange, part);
}

const struct openset_entry *openset_each(const struct openset *s, size_t *at)
{
    while (*at < s->room) {
        const struct openset_entry *e = &s->slots[(*at)++];
        if (e->used)
            return e;
    }
    return NULL;
}
