/* Building the trie of a response mapping. Paths with equal beginnings share their nodes; two steps are equal when name
 * and predicates are, so that a[1]/b and a[2]/b are different nodes under one name. */
#include "translate/plan_trie.h"

struct map_level *trie_level(struct plan_trie *t)
{
    struct map_level *l = arena_zalloc(t->arena, sizeof *l);

    if (l != NULL)
        l->id = t->n_levels++;
    return l;
}

static bool same_name(const struct map_node *n, const struct path_step *s)
{
    return slice_eq(n->name, s->name) && slice_eq(n->ns, s->ns);
}

static bool same_step(const struct map_node *n, const struct path_step *s)
{
    return n->nth == s->nth && slice_eq(n->pred, s->pred) && slice_eq(n->pred_ns, s->pred_ns) &&
           slice_eq(n->pred_value, s->pred_value);
}

static struct map_node *node_new(struct plan_trie *t, const struct path_step *s, const struct path *path)
{
    if (t->n_nodes >= MAP_NODES_MAX) {
        (void)diag_add(t->diags, ERR_TOO_LARGE, path->line, path->col, "the mapping has more than %d steps",
                       "映射超过 %d 级", MAP_NODES_MAX);
        return NULL;
    }
    struct map_node *n = arena_zalloc(t->arena, sizeof *n);
    if (n == NULL)
        return NULL;
    n->ns = s->ns;
    n->name = s->name;
    n->pred_ns = s->pred_ns;
    n->pred = s->pred;
    n->pred_value = s->pred_value;
    n->nth = s->nth;
    n->id = t->n_nodes++;
    n->group = MAP_NO_GROUP;
    n->leaf = MAP_NO_SLOT;
    n->line = path->line;
    n->col = path->col;
    return n;
}

struct map_node *trie_step(struct plan_trie *t, struct map_level *level, const struct path_step *step,
                           const struct path *path)
{
    struct map_node **end = &level->first;

    while (*end != NULL && !same_name(*end, step))
        end = &(*end)->next;
    while (*end != NULL && !same_step(*end, step))
        end = &(*end)->same;
    if (*end == NULL)
        *end = node_new(t, step, path);
    level->counted |= step->nth != 0;
    return *end;
}

struct map_node *trie_walk(struct plan_trie *t, struct map_level *level, struct map_node *base, const struct path *path)
{
    for (unsigned i = 0; i < path->n; i++) {
        if (base != NULL) {
            if (base->kids == NULL)
                base->kids = trie_level(t);
            level = base->kids;
        }
        base = level != NULL ? trie_step(t, level, &path->steps[i], path) : NULL;
        if (base == NULL)
            return NULL;
    }
    return base;
}

enum err trie_bind(struct plan_trie *t, struct map_level *level, struct map_node *base, const struct path *path,
                   enum map_target target, uint16_t slot)
{
    struct map_node *node = trie_walk(t, level, base, path);
    struct map_bind *b = arena_zalloc(t->arena, sizeof *b);

    if (node == NULL || b == NULL)
        return t->diags->count > 0 ? ERR_INVALID : ERR_NOMEM;
    struct map_bind **list = path->attr ? &node->attrs : &node->texts;
    b->ns = path->attr_ns;
    b->name = path->attr_name;
    b->target = target;
    b->slot = slot;
    b->next = *list;
    *list = b;
    return ERR_OK;
}

static enum err check_node(const struct plan_trie *t, const struct map_node *n)
{
    enum err e = ERR_OK;

    if (n->texts != NULL && n->kids != NULL)
        e = diag_add(t->diags, ERR_INVALID, n->line, n->col,
                     "the text of \"%.*s\" is mapped, and so are elements inside it; map only one of them",
                     "\"%.*s\" 的文本与其子元素不能同时映射，请只保留其一", SLICE_ARG(n->name));
    if ((n->flags & MAP_NESTED) && (n->texts != NULL || n->kids != NULL || n->group != MAP_NO_GROUP))
        e = diag_add(t->diags, ERR_INVALID, n->line, n->col,
                     "\"%.*s\" is nested: paths into it begin anew with its document's own root, as in /PACKAGE/DATA",
                     "\"%.*s\" 为内嵌文档：其中的路径应从内嵌文档的根元素写起，如 /PACKAGE/DATA", SLICE_ARG(n->name));
    if (n->kids != NULL && trie_check(t, n->kids) != ERR_OK)
        e = ERR_INVALID;
    return e;
}

enum err trie_check(const struct plan_trie *t, const struct map_level *level)
{
    enum err e = ERR_OK;

    for (const struct map_node *n = level->first; n != NULL; n = n->next)
        for (const struct map_node *v = n; v != NULL; v = v->same)
            if (check_node(t, v) != ERR_OK)
                e = ERR_INVALID;
    return e;
}

static bool is_leaf(const struct map_level *level, const struct map_node *n)
{
    return !level->counted && n->same == NULL && n->pred.n == 0 && n->nth == 0 && n->flags == 0 &&
           n->group == MAP_NO_GROUP && n->kids == NULL && n->attrs == NULL && n->texts != NULL &&
           n->texts->next == NULL && n->texts->target == MAP_TO_SLOT;
}

static bool is_bare(const struct map_level *level, const struct map_node *n)
{
    return !level->counted && n->same == NULL && n->pred.n == 0 && n->nth == 0 && n->flags == 0 && n->attrs == NULL &&
           n->texts == NULL && (n->kids == NULL || !n->kids->counted);
}

void trie_mark(struct map_level *level, const struct map_field *const *slots)
{
    for (struct map_node *n = level->first; n != NULL; n = n->next) {
        if (is_leaf(level, n)) {
            n->leaf = n->texts->slot;
            n->field = slots[n->leaf];
        }
        n->bare = is_bare(level, n);
        for (struct map_node *v = n; v != NULL; v = v->same)
            if (v->kids != NULL)
                trie_mark(v->kids, slots);
    }
}
