#pragma once
/* catalog, inside: what the files of the store share. Not for other folders. */
#include "catalog/internal.h"

#define ENTRY_COLUMNS "kind, id, department, state, title_zh, title_en, version, created, changed, json, submitter"

/* One row of ENTRY_COLUMNS, copied into `a`. ERR_NOMEM when it does not fit. */
enum err entry_read(const struct sql_row *row, struct arena *a, struct catalog_entry *ret) MUST_CHECK;
/* Like catalog_find, for any arena; version 0: the newest. */
enum err entry_find(struct sql_tx *tx, enum catalog_kind k, struct slice id, uint64_t version, struct arena *a,
                    struct catalog_entry *ret) MUST_CHECK;
/* True when the statement, with these values, has a row. */
enum err entry_exists(struct sql_tx *tx, const char *text, const struct sql_value *args, size_t n,
                      bool *ret) MUST_CHECK;
/* Every department that a policy's manifest names is active, else a problem (ERR_CONFLICT), at its place when `places`.
 * What is no department there is passed over. */
enum err policy_departments(struct sql_tx *tx, const struct doc *manifest, bool places, struct diags *d) MUST_CHECK;
/* ERR_CONFLICT: without that person, or the people of that department (empty: nobody), no security administrator could
 * act any more, and one can now. */
enum err role_security_left(struct sql_tx *tx, struct slice person, struct slice department,
                            struct diags *d) MUST_CHECK;
