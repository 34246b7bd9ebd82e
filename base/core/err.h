#pragma once
/* One error enum for all folders. ERR_OK is zero; results must be looked at. */

enum err {
#define X(sym, text) ERR_##sym,
#include "base/core/err.def"
#undef X
    ERR_COUNT_
};

#define MUST_CHECK __attribute__((warn_unused_result))

/* Symbol in lower case with hyphens ("not-found"), and the text; static strings. */
const char *err_name(enum err e);
const char *err_text(enum err e);
