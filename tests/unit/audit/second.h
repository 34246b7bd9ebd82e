#pragma once
/* Leaves what the tests had judged where another verifier finds it. Where the environment's SLUICE_SECOND names a
 * folder, each log and each proof that a verdict was given of is put there with the verdict; system/verifiers runs
 * these programs so, and holds the second verifier (tests/verifier/) against each. Without it nothing is done. */
#include "audit/audit.h"

struct second_log {
    struct slice vkey, kept; /* kept: empty when there was none */
    bool part;               /* only a range of it was asked for */
};
void second_log(const char *dir, const struct second_log *l, const struct audit_report *r);
/* bad: "" when it holds. */
void second_proof(struct slice proof, struct slice line, struct slice vkey, const char *bad);
