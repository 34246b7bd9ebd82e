#pragma once
/* What a loader or compiler found wrong: where, what, and what to do about it, in both languages.
 * A struct diags collects all of them, so that a person mends a file once. Functions that cannot place an error
 * in a document leave line 0. */
#include "base/core/arena.h"
#include "base/core/buf.h"
#include "base/core/err.h"

enum lang { LANG_EN, LANG_ZH };

struct diag {
    enum err code;
    int sys;             /* errno, or 0 */
    unsigned line, col;  /* from 1; 0: no place */
    struct slice file;   /* as given by the caller; may be empty */
    const char *what[2]; /* by enum lang; bor: until the arena of the struct diags ends */
    struct diag *next;
};

struct diags {
    struct arena *arena; /* bor: holds texts and nodes */
    struct diag *first, **tail;
    unsigned count;
    struct slice file; /* stamped on what is added */
    enum err worst;    /* code of the first one; ERR_OK when none */
};

void diags_init(struct diags *d, struct arena *arena);
/* Add one. The two formats take the same arguments in the same order. At most 100 are kept, all are counted.
 * Returns `code`, so that a function can end with it. `d` may be NULL: only the code is returned. */
enum err diag_add(struct diags *d, enum err code, unsigned line, unsigned col, const char *en, const char *zh, ...)
    __attribute__((format(printf, 5, 7), format(printf, 6, 7)));
/* The same for a failed system call: appends the system's text. Returns ERR_NOT_FOUND for ENOENT, ERR_NOMEM for ENOMEM,
 * ERR_FULL for ENOSPC and EDQUOT, else ERR_SYS. */
enum err diag_sys(struct diags *d, int sys, const char *en, const char *zh, ...)
    __attribute__((format(printf, 3, 5), format(printf, 4, 5)));
/* "file:line:col: text\n" for each, into out. */
void diags_print(const struct diags *d, enum lang lang, struct buf *out);
