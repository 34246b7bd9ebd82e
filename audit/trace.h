#pragma once
/* The records of one exchange, found in a log folder without an index: an exchange's id holds the time it began
 * (UUIDv7, RFC 9562), its intent follows within moments, its outcome not long behind. Bounded in bytes read and records
 * kept. */
#include "audit/logline.h"

enum { TRACE_RECORDS = AUDIT_PROOF_RECORDS };
struct trace_record {
    enum audit_kind kind;
    uint64_t index;
    size_t at, n; /* of its line in `lines` */
};
struct trace {
    struct buf lines; /* own */
    struct trace_record record[TRACE_RECORDS];
    unsigned n;
    bool begun, ended; /* an intent; a refusal, or an outcome */
    uint64_t next;     /* behind the last record that was looked at */
};
/* Records before `size`, but for progress. intent and outcome: their indexes, or AUDIT_UNKNOWN. ERR_NOT_FOUND: no
 * record; ERR_TOO_LARGE: an intent whose outcome did not follow in what may be read; it is in *ret all the same. */
enum err trace_exchange(const char *dir, const struct audit_proof_ask *a, uint64_t size, struct trace *ret) MUST_CHECK;
int64_t trace_time(const struct uuid *u); /* wall ms that an exchange's id holds; 0: it is no UUIDv7 */
void trace_done(struct trace *t);
static inline struct slice trace_line(const struct trace *t, unsigned i)
{
    return slice_make(t->lines.p + t->record[i].at, t->record[i].n);
}
