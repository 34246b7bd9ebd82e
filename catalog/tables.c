/* catalog/tables: the code values of the field (tables/code-tables.yaml), embedded at build time and read as a tree.
 * Invariant: no value of theirs stands in code; a name that the file lacks is refused. */
#include "catalog/internal.h"

extern const char catalog_code_tables[];
extern const size_t catalog_code_tables_n;

enum err catalog_tables(struct arena *a, const struct doc **ret)
{
    const struct doc *list = NULL;
    enum err e = doc_read_yaml(slice_make(catalog_code_tables, catalog_code_tables_n), a, NULL, &list);

    if (e != ERR_OK)
        return e == ERR_TOO_LARGE ? ERR_NOMEM : e;
    *ret = list->first;
    return ERR_OK;
}

bool doc_list_has(const struct doc *list, struct slice value)
{
    DOC_EACH(one, list)
    {
        if (slice_eq(one->text, value))
            return true;
    }
    return false;
}

const struct doc *reading_value(struct reading *r, const struct doc *table, struct slice value, const struct doc *at,
                                const char *what)
{
    struct buf names = BUF_INIT(2000);

    if (value.n == 0)
        return NULL;
    const struct doc *found = doc_get_slice(table, value);
    if (found != NULL)
        return found;
    DOC_EACH(one, table)
    {
        buf_printf(&names, "%s%.*s", names.n ? ", " : "", SLICE_ARG(one->key));
    }
    reading_found(r, diag_add(r->d, ERR_INVALID, at->line, at->col, "%s \"%.*s\" is not known; use one of: %.*s",
                              "%s 的取值“%.*s”无效，可用：%.*s", what, SLICE_ARG(value), SLICE_ARG(buf_slice(&names))));
    buf_done(&names);
    return NULL;
}
