#pragma once
/* Time by the log's own evidence, and the rule by which a log may begin later than at record 0 (decision 012).
 *
 * What the log has lived is the sum of the steps from each record's time to the next one's, none counted for more than
 * two days, forward or back: a clock that jumps by years adds two days, one that is put right again takes them away,
 * and records of two queues that stand crosswise add nothing. The heads of segments do not count: the log writes them
 * itself whenever a file begins.
 *
 * The front may be missing only when an act "audit.prune" says so, {"before":N}, and the log has lived at least six
 * months between the first record that is there and this act, by its own time and by the wall clock. The daemon says
 * and removes nothing that would not hold here. */
#include "audit/logline.h"

enum { LIVED_STEP_MS = 2 * 86400000 };
/* From one record to the next, wall ms; before 0: there was none. */
int64_t lived_step(int64_t before, int64_t at);
#define PRUNED_LEAST_MS (AUDIT_KEEP_OPERATIONS_DAYS * (int64_t)86400000)

struct pruned {
    uint64_t first; /* the log begins here; 0: nothing is to be judged, and nothing is kept */
    int64_t first_at, last_at, lived_ms;
    struct audit_pruning act; /* the oldest of its acts, by what the log has lived until then */
};
void pruned_take(struct pruned *p, uint64_t index, struct slice line); /* each record in order, all under the root */
/* NULL: it may begin there; else what is wrong. */
const char *pruned_judge(const struct pruned *p);
