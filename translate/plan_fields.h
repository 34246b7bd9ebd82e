#pragma once
/* Inside translate: items with their map entries into groups and fields. */
#include "translate/plan_trie.h"

struct plan_build {
    struct plan_trie trie;
    struct path_scope scope;
    struct plan_response *r;
    const struct map_field **slots;
    const struct translate_item *sent; /* by the consumer: no answer holds it; NULL: none is */
};
/* Compile `items` by `map` into a new group whose element is `base`; returns its number, or MAP_NO_GROUP (reported or
 * no memory). `top`: the top-level item that all of it belongs to, or MAP_NO_GROUP for the record itself. */
uint16_t plan_group(struct plan_build *b, const struct translate_item *items, size_t n, const struct doc *map,
                    struct map_node *base, uint16_t top, unsigned depth);
