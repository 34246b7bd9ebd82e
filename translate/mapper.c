/* Matching of events to the trie. The hot path (open, text, close of an element without predicates) makes no allocation
 * and looks for a name where the last one was found; predicates take the slower way through `pending`. */
#include "translate/mapper.h"
#include "translate/mapper_line.h"

#define XSI_NS "http://www.w3.org/2001/XMLSchema-instance"

/* ---- activation ---- */

static void reset_counts(struct map_doc *d, const struct map_level *level)
{
    for (const struct map_node *n = level->first; n != NULL; n = n->next)
        for (const struct map_node *v = n; v != NULL; v = v->same)
            d->counts[v->id] = 0;
}

static bool wanted(const struct mapper *m, const struct map_node *node)
{
    for (const struct map_bind *b = node->texts; b != NULL; b = b->next)
        if (b->target != MAP_TO_SLOT || m->values[b->slot].wanted)
            return true;
    return false;
}

/* The element on top matches `node` for good. */
static enum err activate(struct map_doc *d, const struct map_node *node)
{
    enum err e = ERR_OK;

    if (node->kids != NULL && node->kids->counted)
        reset_counts(d, node->kids);
    if (node->flags & MAP_PARENT)
        d->m->parent_seen = true;
    if (node->flags & MAP_FAULT)
        d->m->fault = true;
    if (node->flags & MAP_NESTED)
        d->stream = d->depth;
    if (node->group != MAP_NO_GROUP)
        e = group_begin(d, node->group);
    if (node->texts != NULL && d->gather != d->depth && wanted(d->m, node)) {
        d->gather = d->depth;
        d->filled = false;
        d->at = (uint32_t)d->m->text.n;
    }
    return e;
}

static bool counts_in(struct map_doc *d, const struct map_node *node)
{
    return node->nth == 0 || ++d->counts[node->id] == node->nth;
}

/* The gathered text goes to everything that is bound to it. */
static enum err deliver(struct map_doc *d, const struct map_frame *f, enum value_kind kind)
{
    uint32_t n = d->filled ? (uint32_t)d->m->text.n - d->at : 0;
    enum err e = ERR_OK;

    d->gather = 0;
    for (unsigned i = f->first; i < f->first + (unsigned)f->n && e == ERR_OK; i++)
        for (const struct map_bind *b = d->active[i]->texts; b != NULL && e == ERR_OK; b = b->next)
            e = group_take(d, b, kind, d->at, n);
    if (!d->m->in_record)
        d->m->text.n -= n;
    return e;
}

/* All attributes of the element on top are known: decide about nodes with predicates. */
static enum err settle(struct map_doc *d)
{
    struct map_frame *f = &d->frames[d->depth];
    unsigned kept = f->first, last = f->first + f->n;
    enum err e = ERR_OK;

    d->pending = false;
    for (unsigned i = f->first; i < last && e == ERR_OK; i++) {
        const struct map_node *node = d->active[i];
        bool was = d->states[i] == MAP_ACTIVE;
        if (!was && (d->states[i] != MAP_MET || !counts_in(d, node)))
            continue;
        d->active[kept] = node;
        d->states[kept++] = MAP_ACTIVE;
        if (was)
            continue;
        e = activate(d, node);
        for (unsigned k = 0; k < d->n_stash && e == ERR_OK; k++)
            if (d->stash[k].node == node)
                e = group_take(d, d->stash[k].bind, VALUE_TEXT, d->stash[k].at, d->stash[k].n);
    }
    if (d->n_stash > 0 && !d->m->in_record)
        d->m->text.n = d->stash[0].at;
    d->n_stash = 0;
    d->used = kept;
    f->n = (uint16_t)(kept - f->first);
    if (f->n == 0) { /* nothing matched after all */
        d->depth--;
        d->skip = 1;
        d->beside = false;
    }
    return e;
}

/* ---- events ---- */

static inline bool same(struct slice a, struct slice b)
{
    return a.n == b.n && same_bytes(a.p, b.p, a.n);
}

static inline bool is_name(const struct map_node *n, struct slice ns, struct slice name)
{
    return same(n->name, name) && same(n->ns, ns);
}

static const struct map_node *find(struct map_doc *d, const struct map_level *level, struct slice ns, struct slice name)
{
    const struct map_node *start = d->hints[level->id], *n = start;

    if (start == NULL)
        start = n = level->first;
    while (n != NULL) {
        if (is_name(n, ns, name)) {
            d->hints[level->id] = n->next != NULL ? n->next : level->first;
            return n;
        }
        n = n->next != NULL ? n->next : level->first;
        if (n == start)
            break;
    }
    return NULL;
}

static void match(struct map_doc *d, const struct map_level *level, struct slice ns, struct slice name)
{
    for (const struct map_node *v = find(d, level, ns, name); v != NULL; v = v->same) {
        if (v->pred.n == 0 && !counts_in(d, v))
            continue;
        d->states[d->used] = v->pred.n > 0 ? MAP_WAITING : MAP_ACTIVE;
        d->pending |= v->pred.n > 0;
        d->active[d->used++] = v;
    }
}

/* No path begins with this root: no answer of the provider does. */
static enum err strange_root(struct map_doc *d, struct slice name)
{
    d->m->strange = true;
    return slice_eq_nocase(name, SLICE("html")) ? mapper_fail(d->m, REASON_PROVIDER_MALFORMED, ERR_SYNTAX) : ERR_OK;
}

/* Whether a child of the element on top can only be one thing, and nothing is under way. */
static inline bool is_simple(const struct map_doc *d)
{
    return d->depth > 0 && d->depth + 1 < FRAMES_MAX && !d->pending && d->gather != d->depth &&
           d->frames[d->depth].n == 1 && d->m->in_record;
}

/* The children of the element on top, of which `members` says that each can only be one thing. */
static inline bool members_begin(struct map_doc *d)
{
    if (d->members_of == &map_nowhere && is_simple(d))
        d->members_of = d->active[d->frames[d->depth].first]->kids;
    return d->members_of != &map_nowhere;
}

static __attribute__((noinline)) void remember(struct map_doc *d, struct slice ns, struct slice name,
                                               struct member_memo *memo)
{
    const struct map_level *level = d->members_of;

    memo->where = level;
    memo->what = level != NULL ? find(d, level, ns, name) : NULL;
}

void map_leaf_frame(struct map_doc *d)
{
    const struct map_node *node = d->leaf;

    if (node == NULL)
        return;
    d->leaf = NULL;
    d->members_of = &map_nowhere;
    d->frames[++d->depth] = (struct map_frame){ .first = (uint16_t)d->used, .n = 1, .nil = d->leaf_nil };
    d->states[d->used] = MAP_ACTIVE;
    d->active[d->used++] = node;
    if (d->m->values[node->leaf].wanted)
        d->gather = d->depth;
}

/* An element that is neither unknown nor a leaf, or not where these are all there is. */
static __attribute__((noinline)) enum err open_slow(struct map_doc *d, struct slice ns, struct slice name)
{
    unsigned first;
    enum err e = ERR_OK;

    d->members_of = &map_nowhere;
    map_leaf_frame(d);
    if (d->pending)
        e = settle(d);
    if (d->skip > 0 || e != ERR_OK) {
        d->skip++;
        return e;
    }
    const struct map_frame *parent = &d->frames[d->depth];
    if (d->gather == d->depth && d->depth > 0)
        e = deliver(d, parent, VALUE_BAD); /* elements where a text should be */
    first = d->used;
    if (d->depth == 0)
        match(d, d->root, ns, name);
    for (unsigned i = parent->first; d->depth > 0 && i < parent->first + (unsigned)parent->n; i++)
        if (d->active[i]->kids != NULL)
            match(d, d->active[i]->kids, ns, name);
    if (d->used == first) {
        d->skip = 1;
        d->beside = holds_records(d);
        return d->depth == 0 && d->level == 0 ? strange_root(d, name) : e;
    }
    if (d->depth + 1 >= FRAMES_MAX)
        return mapper_fail(d->m, REASON_PROVIDER_TOO_LARGE, ERR_TOO_LARGE);
    d->frames[++d->depth] = (struct map_frame){ .first = (uint16_t)first, .n = (uint16_t)(d->used - first) };
    if (d->used == first + 1 && d->active[first]->bare && parent->n == 1 && d->depth > 1) {
        d->again = d->active[first];
        d->again_of = d->active[parent->first]->kids;
    }
    for (unsigned i = first; i < d->used && e == ERR_OK; i++)
        if (d->states[i] == MAP_ACTIVE)
            e = activate(d, d->active[i]);
    return e;
}

/* Whether the element matches what the one before it in this place did, and nothing is under way. */
static inline bool is_again(const struct map_doc *d, struct slice ns, struct slice name)
{
    const struct map_frame *f = &d->frames[d->depth];

    return d->again != NULL && d->leaf == NULL && d->depth > 0 && f->n == 1 && !d->pending &&
           d->active[f->first]->kids == d->again_of && d->gather != d->depth && d->depth + 1 < FRAMES_MAX &&
           is_name(d->again, ns, name);
}

/* What open_slow comes to for it. */
static enum err open_again(struct map_doc *d)
{
    const struct map_node *node = d->again;
    enum err e = ERR_OK;

    d->frames[++d->depth] = (struct map_frame){ .first = (uint16_t)d->used, .n = 1, .bare = true };
    d->states[d->used] = MAP_ACTIVE;
    d->active[d->used++] = node;
    if (node->group != MAP_NO_GROUP)
        e = group_begin(d, node->group);
    d->members_of = d->m->in_record ? node->kids : &map_nowhere;
    return e;
}

/* A child that is unknown, or a leaf, gets no frame. */
static enum err open_member(struct map_doc *d, struct slice ns, struct slice name, const struct map_node *node)
{
    if (node == NULL) {
        d->skip = 1;
        return ERR_OK;
    }
    if (node->leaf == MAP_NO_SLOT)
        return open_slow(d, ns, name);
    d->leaf = node;
    d->leaf_nil = d->filled = false;
    d->at = (uint32_t)d->m->text.n;
    return ERR_OK;
}

static __attribute__((noinline)) enum err open_new(struct map_doc *d, struct slice ns, struct slice name,
                                                   struct member_memo *memo)
{
    if (is_again(d, ns, name))
        return open_again(d);
    if (d->leaf != NULL || !members_begin(d))
        return open_slow(d, ns, name);
    if (memo->where != d->members_of)
        remember(d, ns, name, memo);
    return open_member(d, ns, name, memo->what);
}

static enum err on_open_named(void *self, struct slice ns, struct slice name, struct member_memo *memo)
{
    struct map_doc *d = self;

    if (d->skip > 0) {
        d->skip++;
        d->m->foreign |= d->beside;
        return ERR_OK;
    }
    if (memo->where != d->members_of || d->leaf != NULL)
        return open_new(d, ns, name, memo);
    return open_member(d, ns, name, memo->what);
}

static enum err on_open(void *self, struct slice ns, struct slice name)
{
    struct member_memo nothing = { .where = NULL };
    struct map_doc *d = self;

    if (d->skip == 0 && is_again(d, ns, name))
        return open_again(d);
    return on_open_named(self, ns, name, &nothing);
}

static enum err keep(struct mapper *m, struct slice s, uint32_t *at)
{
    *at = (uint32_t)m->text.n;
    if (s.n > RECORD_MAX - m->text.n)
        return mapper_fail(m, REASON_PROVIDER_TOO_LARGE, ERR_TOO_LARGE);
    char *to = buf_reserve(&m->text, s.n);
    if (to == NULL)
        return mapper_fail(m, REASON_OVERLOADED, ERR_NOMEM);
    if (s.n > 0)
        memcpy(to, s.p, s.n);
    m->text.n += s.n;
    return ERR_OK;
}

static enum err take_attr(struct map_doc *d, unsigned i, const struct map_bind *b, struct slice value)
{
    uint32_t at;

    if (b->target == MAP_TO_SLOT && !d->m->values[b->slot].wanted)
        return ERR_OK;
    enum err e = keep(d->m, value, &at);
    if (e != ERR_OK)
        return e;
    if (d->states[i] == MAP_ACTIVE) {
        e = group_take(d, b, VALUE_TEXT, at, (uint32_t)value.n);
        if (!d->m->in_record)
            d->m->text.n = at; /* what is stashed lies before it */
        return e;
    }
    d->stash[d->n_stash++] = (struct map_stash){ d->active[i], b, at, (uint32_t)value.n };
    return ERR_OK;
}

static enum err on_attr(void *self, struct slice ns, struct slice name, struct slice value)
{
    struct map_doc *d = self;
    enum err e = ERR_OK;

    if (d->skip > 0)
        return ERR_OK;
    map_leaf_frame(d);
    struct map_frame *f = &d->frames[d->depth];
    if (slice_is(name, "nil") && slice_is(ns, XSI_NS))
        f->nil = slice_is(value, "true") || slice_is(value, "1");
    for (unsigned i = f->first; i < f->first + (unsigned)f->n && e == ERR_OK; i++) {
        const struct map_node *node = d->active[i];
        if (d->states[i] == MAP_WAITING && slice_eq(node->pred, name) && slice_eq(node->pred_ns, ns) &&
            slice_eq(node->pred_value, value))
            d->states[i] = MAP_MET;
        for (const struct map_bind *b = node->attrs; b != NULL && e == ERR_OK; b = b->next)
            if (slice_eq(b->name, name) && slice_eq(b->ns, ns))
                e = take_attr(d, i, b, value);
    }
    return e;
}

/* JSON: a scalar where a record or an entry of a list should stand. XML: a text where elements should. */
static enum err misplaced(struct map_doc *d, enum scalar kind, struct slice piece)
{
    struct map_frame *f = &d->frames[d->depth];

    if (d->m->r->format == PLAN_JSON) {
        f->nil |= kind == SCALAR_NULL;
        f->misplaced |= kind != SCALAR_NULL;
    } else {
        stray_text(d, piece);
    }
    return ERR_OK;
}

static __attribute__((noinline)) bool more_room(struct mapper *m, size_t n)
{
    return n <= RECORD_MAX - m->text.n && buf_reserve(&m->text, n) != NULL;
}

/* False: no room; nothing has happened. */
static inline __attribute__((always_inline)) bool leaf_text(struct map_doc *d, enum scalar kind, struct slice piece)
{
    struct mapper *m = d->m;

    if (!m->values[d->leaf->leaf].wanted)
        return true;
    if (!text_has_room(m, piece.n) && !more_room(m, piece.n))
        return false;
    if (!d->filled)
        d->at = (uint32_t)m->text.n;
    d->filled = true;
    d->leaf_nil |= kind == SCALAR_NULL;
    copy_short(m->text.p + m->text.n, piece.p, piece.n);
    m->text.n += piece.n;
    return true;
}

static __attribute__((noinline)) enum err text_slow(struct map_doc *d, enum scalar kind, struct slice piece)
{
    struct mapper *m = d->m;
    uint32_t at;

    map_leaf_frame(d);
    if (d->pending && d->skip == 0) {
        enum err e = settle(d);
        if (e != ERR_OK)
            return e;
    }
    if (d->skip > 0 || d->depth == 0)
        return ERR_OK;
    if (d->stream == d->depth)
        return map_nested_text(d, piece);
    if (d->gather != d->depth)
        return misplaced(d, kind, piece);
    enum err e = keep(m, piece, &at);
    if (!d->filled)
        d->at = at;
    d->filled = true;
    d->frames[d->depth].nil |= kind == SCALAR_NULL;
    return e;
}

static enum err on_text(void *self, enum scalar kind, struct slice piece)
{
    struct map_doc *d = self;

    if (d->skip > 0 || (d->leaf != NULL && leaf_text(d, kind, piece)))
        return ERR_OK;
    return text_slow(d, kind, piece);
}

/* A JSON scalar, be it empty, fills: what has not is an object or an array, and no text. */
static inline enum value_kind kind_of(const struct map_doc *d, bool nil)
{
    if (!d->filled && d->m->r->format == PLAN_JSON)
        return VALUE_BAD;
    return nil ? VALUE_NIL : VALUE_TEXT;
}

static __attribute__((noinline)) enum err close_slow(struct map_doc *d)
{
    enum err e = ERR_OK;

    if (d->pending)
        e = settle(d);
    if (d->skip > 0 || e != ERR_OK) {
        d->skip -= d->skip > 0;
        return e;
    }
    d->members_of = &map_nowhere;
    const struct map_frame *f = &d->frames[d->depth];
    if (d->stream == d->depth)
        e = map_nested_end(d);
    if (d->gather == d->depth && e == ERR_OK)
        e = deliver(d, f, kind_of(d, f->nil));
    for (unsigned i = f->first; i < f->first + (unsigned)f->n && e == ERR_OK; i++) {
        const struct map_node *node = d->active[i];
        if (node->group != MAP_NO_GROUP)
            e = group_end(d, node->group, f);
        if ((node->flags & MAP_FAULT) && e == ERR_OK)
            e = mapper_fail(d->m, REASON_PROVIDER_REFUSED, ERR_INVALID);
    }
    d->used = f->first;
    d->depth--;
    return e;
}

/* What close_slow comes to for a frame of open_again. */
static enum err close_bare(struct map_doc *d, const struct map_frame *f)
{
    uint16_t group = d->active[f->first]->group;
    enum err e = group != MAP_NO_GROUP ? group_end(d, group, f) : ERR_OK;

    d->members_of = &map_nowhere;
    d->used = f->first;
    d->depth--;
    return e;
}

static enum err on_close(void *self)
{
    struct map_doc *d = self;

    if (d->skip > 0) {
        d->skip--;
        return ERR_OK;
    }
    if (d->leaf == NULL)
        return d->frames[d->depth].bare ? close_bare(d, &d->frames[d->depth]) : close_slow(d);
    uint16_t slot = d->leaf->leaf;
    if (d->m->values[slot].wanted)
        group_put(d->m, slot, kind_of(d, d->leaf_nil), d->at, d->filled ? (uint32_t)d->m->text.n - d->at : 0, false);
    d->leaf = NULL;
    return ERR_OK;
}

/* JSON: an array of records was there, be it empty. Or an array inside one, of which no path knows the elements. */
static enum err on_list(void *self, struct slice name, bool begins, bool inner)
{
    struct map_doc *d = self;
    struct map_frame *f = &d->frames[d->depth];
    const struct slice none = { NULL, 0 };
    bool known = false;

    if (d->skip > 0 || d->leaf != NULL || !begins || (d->m->records_seen && !inner))
        return ERR_OK;
    for (unsigned i = f->first; i < f->first + (unsigned)f->n || d->depth == 0; i++) {
        const struct map_level *level = d->depth == 0 ? d->root : d->active[i]->kids;
        const struct map_node *n = level != NULL ? find(d, level, none, name) : NULL;
        known |= n != NULL;
        for (; n != NULL; n = n->same)
            d->m->records_seen |= n->group == 0;
        if (d->depth == 0)
            break;
    }
    f->misplaced |= inner && !known;
    return ERR_OK;
}

static __attribute__((noinline)) enum err member_slow(struct map_doc *d, struct member_memo *memo, enum scalar kind,
                                                      struct slice value)
{
    static const struct slice none;
    enum err e = on_open_named(d, none, memo->name, memo);

    if (e == ERR_OK)
        e = on_text(d, kind, value);
    return e == ERR_OK ? on_close(d) : e;
}

/* The memo is that of the members now. False: there are none such. */
static __attribute__((noinline)) bool member_prepare(struct map_doc *d, struct member_memo *memo)
{
    static const struct slice none;

    if (d->leaf != NULL || !members_begin(d))
        return false;
    if (memo->where != d->members_of)
        remember(d, none, memo->name, memo);
    return true;
}

/* A leaf for which more must be done first, were it only to find room. */
static enum err member_put(struct map_doc *d, struct member_memo *memo, const struct map_field *f, enum scalar kind,
                           struct slice value)
{
    struct mapper *m = d->m;
    size_t line = f->json_key.n + value.n + 2 + LINE_SPARE;

    if (!m->values[f->slot].wanted)
        return ERR_OK;
    if ((text_has_room(m, line) || more_room(m, line)) && kind != SCALAR_NULL && line_put(m, f, value))
        return ERR_OK;
    if (!text_has_room(m, value.n))
        return member_slow(d, memo, kind, value);
    copy_short(m->text.p + m->text.n, value.p, value.n);
    group_put(m, f->slot, kind == SCALAR_NULL ? VALUE_NIL : VALUE_TEXT, (uint32_t)m->text.n, (uint32_t)value.n, true);
    m->text.n += value.n;
    return ERR_OK;
}

static __attribute__((noinline)) enum err member_other(struct map_doc *d, struct member_memo *memo, enum scalar kind,
                                                       struct slice value)
{
    if (d->skip > 0)
        return ERR_OK;
    if ((memo->where != d->members_of || d->leaf != NULL) && !member_prepare(d, memo))
        return member_slow(d, memo, kind, value);
    const struct map_node *node = memo->what;
    if (node == NULL)
        return ERR_OK;
    return node->field != NULL ? member_put(d, memo, node->field, kind, value) : member_slow(d, memo, kind, value);
}

/* JSON: a whole scalar. Quick for one that goes on with the line, and whose name has come before; no call on that way.
 */
static enum err on_member(void *self, struct member_memo *memo, enum scalar kind, struct slice value)
{
    struct map_doc *d = self;
    const struct map_node *node = memo->what;

    if (memo->where == d->members_of && node != NULL && node->field != NULL && d->skip == 0 && d->leaf == NULL &&
        kind != SCALAR_NULL && line_put(d->m, node->field, value))
        return ERR_OK;
    return member_other(d, memo, kind, value);
}

const struct event_sink map_sink = { .open = on_open,
                                     .attr = on_attr,
                                     .text = on_text,
                                     .close = on_close,
                                     .open_named = on_open_named,
                                     .list = on_list,
                                     .member = on_member };
