#pragma once
/* The records that open a segment: who the log is, the tree of all entries before it (right edge and root), the last
 * act, and the intents still open. Start-up needs the last segment only; being records, they are evidence themselves.
 * A head is one record, and as many continuations as the open intents need. */
#include "audit/merkle.h"
#include "audit/openset.h"
#include "audit/render.h"

struct head {
    struct slice origin; /* bor */
    uint32_t epoch;
    uint64_t act;
    uint64_t open_total; /* open intents that head and continuations list */
    struct merkle tree;  /* of all entries before it; tree.size is its index */
    struct sha256 root;
    int64_t at;
};
/* Renders line number *part of the head (0: the head proper) into out[AUDIT_RECORD_MAX], moving *slot through `open`.
 * Returns its length; 0 when there is nothing further. */
size_t head_render(const struct head *h, const struct openset *open, unsigned *part, size_t *slot, char *out);
/* Reads a head proper whose stamped index is `index`. ERR_CORRUPT: not one. */
enum err head_read(struct slice line, uint64_t index, struct head *ret) MUST_CHECK;
bool head_is_first(struct slice line); /* a head proper, not a continuation */
/* Adds the open intents that a head line lists; *count grows by their number. */
enum err head_open(struct slice line, struct openset *open, uint64_t *count) MUST_CHECK;
