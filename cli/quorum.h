#pragma once
/* --witness and --quorum: whose cosignatures a verifier counts, and how many make a checkpoint valid for it. The
 * verifier's own choice, never what the log or its operator says. */
#include "audit/audit.h"
#include "cli/cli.h"

struct quorum {
    struct audit_witness w[AUDIT_WITNESSES_MAX];
    size_t n;      /* 0: none was asked for */
    uint64_t need; /* without --quorum: all of them */
};
/* An exit code; CLI_USAGE has been told. */
int quorum_read(struct cli *c, struct quorum *ret);
/* One line to out (to err beside a tree): valid, or pending, for a checkpoint that `count` of them signed; its exit
 * code. */
int quorum_say(struct cli *c, const struct quorum *q, size_t count, uint64_t size);
