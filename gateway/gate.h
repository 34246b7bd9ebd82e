#pragma once
/* Why no exchange may begin now although the log can be written: a gate that the keeper's and the witnesses' owners
 * close and open, and that every worker looks at before an intent. Zero is open. Thread rule: any thread. */
#include "base/core/core.h"

#include <stdatomic.h>

struct gate {
    _Atomic bool unsigned_;   /* the log's key does not sign: the keeper has ended, or refuses */
    _Atomic bool unwitnessed; /* witnesses are late, and the settings say stop */
};
/* REASON_GRANTED: open. */
static inline enum reason gate_reason(const struct gate *g)
{
    if (atomic_load_explicit(&g->unsigned_, memory_order_relaxed))
        return REASON_EVIDENCE_UNSIGNED;
    return atomic_load_explicit(&g->unwitnessed, memory_order_relaxed) ? REASON_WITNESS_LATE : REASON_GRANTED;
}
