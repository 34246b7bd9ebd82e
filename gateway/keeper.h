#pragma once
/* The keeper: a process that alone holds the private keys of the log and of the issuing authority, and answers a short
 * table of verbs over two socket pairs (keeper_wire.h). The daemon never opens the files of these keys.
 *
 * Forked before any thread exists and before anything is read from a peer. It signs no bytes that it is given: a
 * checkpoint only as the continuation of the last one it signed (audit/notary.h), a certificate only as one that it has
 * made itself from a request of a name in its trust domain, or the gateway's own once more, as it stood on the disk at
 * the start, a revocation list only when it forgets nothing. It ends
 * with the daemon; when it ends before, nothing is signed any more and the gate is closed: the daemon must be started
 * again. While it does not answer (a disk that stands still under its state) the gate is closed after ten seconds, and
 * open again when it does.
 *
 * Thread rule: keeper_notary's function belongs to the log's second thread, keeper_cosign to the cosigner's, all else
 * to the control (main) thread. */
#include "audit/audit.h"
#include "certs/certs.h"
#include "gateway/gate.h"

struct keeper;
struct keeper_config {     /* everything borrowed for the call */
    const char *state_dir; /* keys/log.key, keys/keeper.state, ca/ */
    const char *log_dir;   /* a log that is there while keeper.state is not: refused */
    const char *trust_domain;
    const char *certificate; /* the gateway's own, which may be renewed as it is; NULL: none */
    struct slice origin;
    struct slice witness;         /* the name that other operators' logs are co-signed under */
    const struct slice *observed; /* vkeys of those logs; none: no key is made and nothing is co-signed */
    size_t n_observed;
    bool sm2;          /* checkpoints are signed by keys/log.sm2.key too; it is made when it is not there */
    struct gate *gate; /* bor: for the life of the process; closed while the log's key does not sign */
};
/* Forks it and waits until it has opened its keys; what is wrong with them is in `d`. */
enum err keeper_start(const struct keeper_config *c, struct keeper **ret, struct diags *d) MUST_CHECK;
/* Lets it end and waits for that. After the log was closed and the control thread's parts are freed. */
struct keeper *keeper_stop(struct keeper *k);

struct signer keeper_public_key(const struct keeper *k); /* its public key; it signs nothing */
struct audit_notary keeper_notary(struct keeper *k);     /* borrows k */
const struct certs_hand *keeper_hand(struct keeper *k);  /* borrows k; NULL: the authority's key is not on this node */
/* An add-checkpoint request of another operator's log (audit/witness.h), judged and remembered by the keeper: its
 * answer. ERR_AGAIN: it does not answer within wait_ms, or has not answered the one before; ERR_UNSUPPORTED: none is
 * co-signed.
 */
struct keeper_cosigned {
    int status;
    enum audit_fault fault; /* audit_fault_keep */
    const char *type;       /* static */
};
enum err keeper_cosign(struct keeper *k, struct slice body, int64_t wait_ms, struct keeper_cosigned *ret,
                       struct buf *out) MUST_CHECK;
/* Readable when the keeper has ended, or a reply comes late: then call keeper_look, which drops the one, and for the
 * other closes the gate and says so in the log. */
int keeper_fd(const struct keeper *k);
void keeper_look(struct keeper *k);

enum keeper_state { KEEPER_GONE, KEEPER_SLOW, KEEPER_REFUSES, KEEPER_SIGNS };
enum keeper_state keeper_state(const struct keeper *k); /* any thread, as the next */
int64_t keeper_slow_ms(const struct keeper *k);         /* it owes a reply for so long; 0: that is not long */
