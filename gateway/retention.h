#pragma once
/* Retention in the daemon: each minute it is looked at whether the front of the log may go. What may go is first
 * read once more, by a thread of its own, then said in an act of the gateway's own; the files go at a later look, when
 * that act is durable and under a checkpoint. Nobody can ask for it. Belongs to the control thread. */
#include "gateway/control_internal.h"

void retention_look(struct control *c, bool now); /* now: the settings may have changed; else an hour may pass */
/* What the settings and holds allow now; false: the state could not be read. */
bool retention_plan(struct control *c, struct sql_tx *tx, struct audit_retention *r, struct audit_prunable *ret);
