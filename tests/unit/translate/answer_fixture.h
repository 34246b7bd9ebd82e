#pragma once
/* A manifest in YAML to a whole plan, and a provider's bytes to an answer, fed in pieces of any size. Used by tests and
 * fuzzers; fails by returning, never by asserting. */
#include "translate/translate.h"

struct answer {
    struct arena arena;
    struct diags diags;
    const struct translate_plan *plan;
    struct translate_item *items;
    size_t n_items;
    struct buf out;
    struct translate_outcome outcome;
    bool finished; /* translate_finish said ERR_OK */
};

static inline void fixture_strs(struct arena *a, const struct doc *list, struct doc_strs *ret)
{
    struct slice *at = list ? arena_array(a, list->count + 1, sizeof *at) : NULL;

    DOC_EACH(node, list)
    at[ret->n++] = node->text;
    ret->at = at;
}

static inline struct translate_item *fixture_items_of(struct arena *a, const struct doc *list, size_t *n)
{
    struct translate_item *items = arena_array(a, list ? list->count + 1 : 1, sizeof *items);

    DOC_EACH(node, list)
    {
        struct translate_item *item = &items[(*n)++];
        struct slice type = doc_text(node, "type");
        item->name = doc_text(node, "name");
        item->type = slice_is(type, "list") ? 'A' : type.n ? type.p[0] : 'C';
        item->level = (uint8_t)doc_u64(node, "level", 1);
        item->length = (uint32_t)doc_u64(node, "length", 0);
        item->mask = doc_text(node, "mask");
        fixture_strs(a, doc_get(node, "format_in"), &item->format_in);
        fixture_strs(a, doc_get(node, "empty_as"), &item->empty_as);
        if (doc_get(node, "codes") != NULL) {
            struct doc_strs codes = { NULL, 0 };
            fixture_strs(a, doc_get(node, "codes"), &codes);
            struct translate_code *all = arena_array(a, codes.n + 1, sizeof *all);
            for (size_t i = 0; i < codes.n; i++)
                all[i].code = codes.at[i];
            item->codes = all;
            item->n_codes = codes.n;
        }
        item->items = fixture_items_of(a, doc_get(node, "items"), &item->n_items);
    }
    return items;
}

static inline enum err answer_compile(struct answer *f, const char *yaml)
{
    const struct doc *all = NULL;

    *f = (struct answer){ 0 };
    arena_init(&f->arena, 1 << 30);
    diags_init(&f->diags, &f->arena);
    buf_init(&f->out, 64 << 20);
    enum err e = doc_read_yaml(slice_of(yaml), &f->arena, &f->diags, &all);
    if (e != ERR_OK)
        return e;
    f->items = fixture_items_of(&f->arena, doc_get(all->first, "items"), &f->n_items);
    return translate_compile(all->first, f->items, f->n_items, doc_text(all->first, "id"), 1, &f->arena, &f->diags,
                             &f->plan);
}

/* Feed `bytes` in pieces of `step` (0: whole). wanted, clear: bits of the first 64 items. */
static inline enum err answer_run(struct answer *f, struct slice bytes, size_t step, enum translate_form form,
                                  int status, const char *type, uint64_t wanted, uint64_t clear)
{
    struct translate_want w = { .form = form, .items = { wanted }, .clear = { clear } };
    struct translate_run *run = NULL;
    enum err e = translate_open(f->plan, &w, status, slice_of(type), &f->out, &run);

    buf_clear(&f->out);
    f->finished = false;
    if (e != ERR_OK)
        return e;
    for (size_t at = 0; at < bytes.n && e == ERR_OK; at += step ? step : bytes.n)
        e = translate_feed(run, slice_sub(bytes, at, step ? step : bytes.n));
    if (e == ERR_OK)
        e = translate_finish(run);
    f->finished = e == ERR_OK;
    f->outcome = *translate_outcome(run);
    (void)translate_close(run);
    return e;
}

static inline void answer_done(struct answer *f)
{
    buf_done(&f->out);
    arena_done(&f->arena);
}
