#pragma once
/* What the commands of `sluice audit` share: a question from the options, one page of its answer, its rows. */
#include "cli/client.h"
#include "cli/output.h"

enum { AUDIT_PAGE_MOST = 1000 };
struct audit_query {
    const char *person;
    bool newest_first, proofs;
    uint64_t limit, after;
    bool has_after;
};
int audit_query_read(struct cli *c, struct audit_query *q);
/* One page: the answer's text. */
int audit_ask(struct cli *c, const struct audit_query *q, struct buf *ret);
/* The rows of an answer, flat, for these columns. */
int audit_rows(struct cli *c, const struct doc *reply, struct arena *a, const struct doc **ret);
const struct column *audit_columns(void);
/* Says on the error output what an answer does not cover. */
void audit_say_covered(struct cli *c, const struct doc *reply);
/* "2026-11-22" as the beginning of that day in the zone; a full time stands as it is; NULL: neither. */
const char *audit_time(struct cli *c, const char *text);
