#pragma once
/* Lines of records as the renderer writes them, of values that begin or end alike, are empty, hold what ends a field,
 * or are long; the same in every run. */
#include "audit/logline.h"

unsigned lines_any(unsigned n); /* 0 .. n - 1 */
/* The stamped line of a record without LF, into `out` (AUDIT_RECORD_MAX); its length. */
size_t lines_of(const struct audit_record *r, char *out, uint64_t index);
/* A stamped line without LF of any kind. Exchanges are few, so that some have several
 * intents, parts, outcomes and cuts, in any order. */
size_t lines_make(char *out, uint64_t index);
