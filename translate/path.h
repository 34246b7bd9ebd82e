#pragma once
/* Inside translate: the paths of the response mapping.
 * XML: child steps `a/p:b`, a last step `@x`, `.` for the element itself, and predicates `[@a='v']` and `[n]` in this
 * order; absolute ones begin with '/'. JSON: RFC 6901 pointers, where a number is a place in an array, and relative
 * ones may be written without the first '/'. There are no wildcards: what a department gives out is named. */
#include "base/doc/doc.h"

enum { PATH_STEPS_MAX = 24 };
struct path_step {
    struct slice ns, name;
    struct slice pred_ns, pred, pred_value;
    uint32_t nth; /* 0: all */
};
struct path {
    struct path_step steps[PATH_STEPS_MAX]; /* all but an attribute */
    unsigned n;
    bool attr; /* the last step is an attribute */
    struct slice attr_ns, attr_name;
    unsigned line, col;
};
struct path_scope {
    bool json;
    const struct doc *namespaces; /* prefix: uri; NULL: none */
    struct arena *arena;
    struct diags *diags;
};

/* Parse the scalar `node`; slices of *ret live as long as the document, or in the arena. ERR_INVALID: reported. */
enum err path_parse(const struct path_scope *c, const struct doc *node, bool absolute, struct path *ret) MUST_CHECK;
