#pragma once
/* A manifest in YAML to a plan that has only its request, for the tests of requests and parameters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "translate/plan.h"

struct fixture {
    struct arena arena;
    struct diags diags;
    struct translate_plan plan;
};

static const struct translate_item fixture_items[] = {
    { .name = { "id_no", 5 }, .type = 'C', .level = 4 },
    { .name = { "name", 4 }, .type = 'C', .level = 3 },
    { .name = { "kind", 4 }, .type = 'C', .level = 1 },
    { .name = { "year", 4 }, .type = 'C', .level = 2 },
};

static enum err fixture_compile(struct fixture *f, const char *yaml)
{
    const struct doc *all = NULL;

    *f = (struct fixture){ 0 };
    arena_init(&f->arena, 8 << 20);
    diags_init(&f->diags, &f->arena);
    assert_int_equal(doc_read_yaml(slice_of(yaml), &f->arena, &f->diags, &all), ERR_OK);
    return request_compile(all->first, fixture_items, 4, &f->arena, &f->diags, &f->plan.request);
}

static void fixture_done(struct fixture *f)
{
    arena_done(&f->arena);
}

/* The diagnostics as text, for messages and searches; in the arena. */
static inline const char *fixture_diags(struct fixture *f, enum lang lang)
{
    struct buf b = BUF_INIT(1 << 20);
    const char *s;

    diags_print(&f->diags, lang, &b);
    s = arena_str(&f->arena, buf_slice(&b));
    buf_done(&b);
    return s;
}
