#pragma once
/* Inside the rendering of a request: the values of its rows, and how a failure names its parameter. */
#include "translate/request.h"

struct render_value {
    struct slice text;
    bool given; /* false: absent, nothing is written */
};
struct render {
    const struct plan_request *r;
    const struct translate_params *params;
    const struct translate_context *context;
    struct arena *a;
    struct translate_refusal *why;
    struct render_value values[REQUEST_ROWS_MAX]; /* by row */
};

/* Fill *why: `name` is a declared parameter or a header of ours, the texts say what is wrong with it. Always
 * ERR_INVALID. */
enum err request_refuse(struct translate_refusal *why, struct arena *a, enum reason reason, struct slice name,
                        const char *en, const char *zh) MUST_CHECK;
enum err render_refuse(struct render *d, const struct plan_row *row, const char *en, const char *zh) MUST_CHECK;
static inline const struct render_value *render_value(const struct render *d, const struct plan_row *row)
{
    return &d->values[row - d->r->rows];
}
/* The body in UTF-8, into out. */
enum err render_body(struct render *d, struct buf *out) MUST_CHECK;
/* UTF-8 into the plan's encoding; ERR_INVALID: a character that it does not have. Thread-safe. */
enum err render_encode(enum plan_encoding encoding, struct slice text, struct buf *out) MUST_CHECK;
