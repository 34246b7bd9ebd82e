#pragma once
/* catalog, inside: what the readers of manifests share. Not for other folders. */
#include "catalog/catalog.h"

enum { CATALOG_ITEMS_MAX = 256, CATALOG_LISTS_DEEP = 4, CATALOG_JSON_MAX = 4 << 20 };

/* The reading of one manifest. */
struct reading {
    struct arena *a;
    struct diags *d;          /* may be NULL */
    const struct doc *doc;    /* the manifest */
    const struct doc *tables; /* tables/code-tables.yaml; bor: for the reading */
    enum err worst;           /* ERR_OK until something was found */
};
/* Marks the reading as failed by the code of a diag_add, so that later checks still run. */
void reading_found(struct reading *r, enum err e);
/* The place of a problem: the value under `key`, or the map itself when it is absent. */
const struct doc *reading_place(const struct doc *map, const char *key);
/* One of the names of a code table: its entry, or NULL and a problem at `at` that lists the names. Empty values pass as
 * NULL. */
const struct doc *reading_value(struct reading *r, const struct doc *table, struct slice value, const struct doc *at,
                                const char *what);
/* True when the list of texts `list` holds `value`. */
bool doc_list_has(const struct doc *list, struct slice value);

/* The embedded tables as a tree in `a`. */
enum err catalog_tables(struct arena *a, const struct doc **ret) MUST_CHECK;

/* A Resource; `id` has been checked. What is wrong is told in r. */
void resource_read(struct reading *r, struct catalog_manifest *m);
/* The `approval:` of a Policy whose id has been read. What is wrong is told in r. */
void policy_read(struct reading *r, const struct doc *approval, struct slice id);
/* The list of items of a resource or of a list item. */
void items_read(struct reading *r, const struct doc *list, unsigned depth, const struct catalog_item **ret,
                size_t *ret_n);
