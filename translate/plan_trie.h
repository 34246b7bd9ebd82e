#pragma once
/* Inside translate: building the trie of struct map_node from paths, at compile time only. */
#include "translate/path.h"
#include "translate/plan.h"

struct plan_trie {
    struct arena *arena;
    struct diags *diags;
    uint16_t n_nodes, n_levels;
};

struct map_level *trie_level(struct plan_trie *t); /* NULL: no memory */
/* The node for one step below `level`, made when new. NULL: reported or no memory. */
struct map_node *trie_step(struct plan_trie *t, struct map_level *level, const struct path_step *step,
                           const struct path *path);
/* The node at the end of `path`, from `base` or, when that is NULL, from `level`; `base` itself for a path of no steps.
 */
struct map_node *trie_walk(struct plan_trie *t, struct map_level *level, struct map_node *base,
                           const struct path *path);
/* Bind the text or, for a path that ends in one, the attribute at the end of `path`. */
enum err trie_bind(struct plan_trie *t, struct map_level *level, struct map_node *base, const struct path *path,
                   enum map_target target, uint16_t slot) MUST_CHECK;
/* Reports nodes whose uses exclude each other: text with children below it, a document inside with anything else. */
enum err trie_check(const struct plan_trie *t, const struct map_level *level) MUST_CHECK;
/* When all is bound: fills map_node.leaf, .field and .bare. */
void trie_mark(struct map_level *level, const struct map_field *const *slots);
