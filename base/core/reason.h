#pragma once
/* Stable reason codes of every refusal, failure and cut: one table for replies, metrics and records. */
#include "base/core/diag.h"

enum reason {
#define X(sym, ...) REASON_##sym,
#include "base/core/reason.def"
#undef X
    REASON_COUNT_
};
enum hop { HOP_CONSUMER, HOP_GATEWAY, HOP_PROVIDER };
enum reached { REACHED_NO, REACHED_YES, REACHED_UNKNOWN };

struct reason_info {
    const char *code; /* "no-grant" */
    int status;       /* HTTP; 499: nobody is left to read it */
    enum hop hop;
    enum reached reached;
    const char *title[2]; /* by enum lang */
    const char *remedy[2];
};
const struct reason_info *reason_info(enum reason r); /* never NULL; out of range gives REASON_INTERNAL */
const char *hop_name(enum hop h);                     /* "consumer", "gateway", "provider" */
const char *reached_name(enum reached r);             /* "no", "yes", "unknown" */
bool reason_by_code(struct slice code, enum reason *ret);
