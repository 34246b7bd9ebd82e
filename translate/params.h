#pragma once
/* Inside the reading of parameters: what the JSON and the query form share. Values are put by the plan's index, so that
 * order and duplicates of the input do not matter to what comes out. */
#include "translate/event.h"
#include "translate/plan.h"
#include "translate/request_render.h"

struct params_read {
    const struct plan_request *r;
    struct arena *a;
    struct translate_refusal *why;
    struct slice values[REQUEST_PARAMS_MAX];
    uint32_t given;     /* bit i: parameter i has come */
    unsigned members;   /* names seen so far, for texts */
    struct slice items; /* _items, joined by commas */
    bool items_given;
};

/* Texts without a parameter's name. Always ERR_INVALID. */
enum err params_refuse(struct params_read *d, enum reason reason, const char *en, const char *zh) MUST_CHECK;
enum { PARAMS_ITEMS = -1, PARAMS_UNKNOWN = -2 };
int params_find(const struct params_read *d, struct slice name); /* index, or one of the two above */
/* A name has come: index or PARAMS_ITEMS. Refuses the undeclared and the second one of a name. */
enum err params_name(struct params_read *d, struct slice name, int *ret) MUST_CHECK;
/* Its value (valid UTF-8, lives as long as the arena): length and check. */
enum err params_value(struct params_read *d, int index, struct slice value) MUST_CHECK;
/* All have come: what is missing, then into the plan's order. */
enum err params_done(struct params_read *d, struct translate_params *ret, struct slice *ret_items) MUST_CHECK;
