#pragma once
/* This gateway as a witness of other operators' logs (C2SP tlog-witness): a listener and a thread of its own, closed
 * unless the settings name both an address and logs. Only gateways of those logs' trust domains are answered, by a
 * certificate of the authority that the settings name for the domain. What is signed, and whether, the keeper decides
 * (audit/observer.c runs there). Cosignatures are counted, not recorded: two gateways that witness one another would
 * otherwise make each other's logs grow for ever; refusals and logs that misbehave are recorded like every refusal.
 * Thread rule: start and stop on the main thread; the rest any thread. */
#include "audit/audit.h"
#include "certs/certs.h"
#include "gateway/keeper.h"
#include "gateway/settings.h"

struct cosigner;
/* Everything is borrowed until cosigner_stop. *ret stays NULL when the settings name none. */
enum err cosigner_start(const struct settings *s, struct keeper *k, struct audit_log *log, struct cosigner **ret,
                        struct diags *d) MUST_CHECK;
struct cosigner *cosigner_stop(struct cosigner *c); /* before the log is closed and the keeper ends */
unsigned cosigner_port(const struct cosigner *c);
struct cosigner_status {
    uint64_t logs, cosigned, refused, unproved, misbehaved; /* since the start */
    int64_t cosigned_at;                                    /* wall ms; 0: not since the start */
};
void cosigner_status(const struct cosigner *c, struct cosigner_status *ret);
/* Whose gateways may ask. The caller owns *ret. */
enum err cosigner_trust(const struct settings *s, struct certs_trust **ret, struct diags *d) MUST_CHECK;
