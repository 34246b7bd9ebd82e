/* Names and texts of enum err, from err.def. Invariant: every value of the enum has a row; out of range is "unknown".
 */
#include "base/core/err.h"
#include <stddef.h>

/* Symbols and texts as they stand in err.def. */
static const struct row {
    const char *symbol;
    const char *text;
} rows[ERR_COUNT_] = {
#define X(sym, txt) { #sym, txt },
#include "base/core/err.def"
#undef X
};

enum { NAME_MAX_ = 24 };

/* Lower-case names are made once, before main, so that err_name needs no lock. */
static char names[ERR_COUNT_][NAME_MAX_];

__attribute__((constructor)) static void names_make(void)
{
    for (size_t e = 0; e < ERR_COUNT_; e++) {
        const char *s = rows[e].symbol;
        for (size_t i = 0; i < NAME_MAX_ - 1 && s[i] != '\0'; i++)
            names[e][i] = s[i] == '_' ? '-' : (char)(s[i] >= 'A' && s[i] <= 'Z' ? s[i] + 32 : s[i]);
    }
}

const char *err_name(enum err e)
{
    return (unsigned)e < ERR_COUNT_ ? names[e] : "unknown";
}

const char *err_text(enum err e)
{
    return (unsigned)e < ERR_COUNT_ ? rows[e].text : "unknown error";
}
