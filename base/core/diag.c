/* Collecting what a loader found wrong. Invariants: `tail` points at the NULL that ends the list; at most KEPT nodes
 * are in the list, `count` counts all; `worst` is the code of the first one, also when there was no memory to keep it.
 */
#include "base/core/diag.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

enum { KEPT = 100 };

void diags_init(struct diags *d, struct arena *arena)
{
    *d = (struct diags){ .arena = arena, .tail = &d->first };
}

/* The text, with ": tail" behind it when `tail` is not NULL; NULL on failure. */
static __attribute__((format(printf, 2, 0))) const char *text_make(struct arena *a, const char *fmt, va_list args,
                                                                   const char *tail)
{
    size_t tail_n = tail ? strlen(tail) + 2 : 0;
    va_list again;
    char *p = NULL;
    int n;

    va_copy(again, args);
    n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n >= 0)
        p = arena_alloc(a, (size_t)n + tail_n + 1);
    if (p == NULL)
        return NULL;
    va_copy(again, args);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    if (tail != NULL)
        snprintf(p + n, tail_n + 1, ": %s", tail);
    return p;
}

/* Counts one, and links a node for it unless there are enough or there is no memory. */
static struct diag *node_add(struct diags *d, enum err code)
{
    struct diag *node;

    if (d->count++ == 0)
        d->worst = code;
    node = d->count <= KEPT ? arena_zalloc(d->arena, sizeof *node) : NULL;
    if (node == NULL)
        return NULL;
    node->code = code;
    node->file = d->file;
    node->what[LANG_EN] = node->what[LANG_ZH] = err_text(code);
    *d->tail = node;
    d->tail = &node->next;
    return node;
}

static void texts_set(struct diag *node, const char *en, const char *zh)
{
    if (en != NULL)
        node->what[LANG_EN] = en;
    if (zh != NULL)
        node->what[LANG_ZH] = zh;
}

enum err diag_add(struct diags *d, enum err code, unsigned line, unsigned col, const char *en, const char *zh, ...)
{
    struct diag *node = d ? node_add(d, code) : NULL;
    va_list args;

    if (node == NULL)
        return code;
    node->line = line;
    node->col = col;
    va_start(args, zh);
    texts_set(node, text_make(d->arena, en, args, NULL), text_make(d->arena, zh, args, NULL));
    va_end(args);
    return code;
}

/* The causes that callers tell apart; the rest is ERR_SYS. */
static enum err err_of_sys(int sys)
{
    static const struct {
        int sys;
        enum err code;
    } rows[] = { { ENOENT, ERR_NOT_FOUND }, { ENOMEM, ERR_NOMEM }, { ENOSPC, ERR_FULL }, { EDQUOT, ERR_FULL } };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].sys == sys)
            return rows[i].code;
    return ERR_SYS;
}

enum err diag_sys(struct diags *d, int sys, const char *en, const char *zh, ...)
{
    enum err code = err_of_sys(sys);
    struct diag *node = d ? node_add(d, code) : NULL;
    const char *why = strerrordesc_np(sys);
    va_list args;

    if (node == NULL)
        return code;
    if (why == NULL)
        why = "unknown error";
    node->sys = sys;
    va_start(args, zh);
    texts_set(node, text_make(d->arena, en, args, why), text_make(d->arena, zh, args, why));
    va_end(args);
    return code;
}

void diags_print(const struct diags *d, enum lang lang, struct buf *out)
{
    unsigned shown = 0;

    for (const struct diag *x = d->first; x != NULL; x = x->next, shown++) {
        if (x->file.n) {
            buf_put(out, x->file);
            buf_putc(out, ':');
        }
        if (x->line)
            buf_printf(out, "%u:%u:", x->line, x->col);
        if (x->file.n || x->line)
            buf_putc(out, ' ');
        buf_puts(out, x->what[lang]);
        buf_putc(out, '\n');
    }
    if (d->count > shown)
        buf_printf(out, lang == LANG_ZH ? "另有 %u 处未列出\n" : "%u more not shown\n", d->count - shown);
}
