#pragma once
/* The log's key where it is kept apart. Part of audit.h. A seal signs a checkpoint only when it is shown that it
 * continues the last one that it signed, and what it signed last is durable in a file of its own before the signature
 * leaves: neither who asks nor a restart can make it sign two histories. Thread rule: a seal belongs to one thread. */
#include "base/crypto/crypto.h"

enum { AUDIT_HASHES_MAX = 63 }; /* hashes of a consistency proof, C2SP tlog-witness */

struct audit_continuation { /* what is asked for; everything borrowed for the call */
    uint64_t size;
    struct sha256 root;
    const struct sha256 *proof; /* RFC 6962 2.1.2, from the size signed last; none for the same size or from 0 */
    size_t n;
    int64_t wait_ms; /* the caller waits no longer than about this for who holds the key; a seal answers at once */
};
struct audit_signatures { /* of one checkpoint's text */
    uint8_t ed25519[ED25519_SIG], sm2[SM2_SIG];
    bool has_sm2;
};
/* What a log signs its checkpoints with: a seal here, or a process that holds one. `sign` is called by the log's
 * second thread, and by audit_open. ERR_AGAIN: it has not been answered; it may have been signed all the same, so the
 * log asks for this very checkpoint again until it is told. */
struct audit_notary {
    void *self;
    enum err (*sign)(void *self, const struct audit_continuation *c, struct audit_signatures *ret); /* NULL: none */
    uint64_t size; /* the last that it signed; 0: none yet */
    struct sha256 root;
    bool has_sm2; /* it signs by this SM2 key too */
    uint8_t sm2_key[SM2_PUB];
};

struct audit_seal;
/* A new state, of nothing signed; ERR_EXISTS rather than overwrite. What `sluice init` does beside a new key. */
enum err audit_seal_create(const char *state_file, struct slice origin, const struct signer *key,
                           struct diags *d) MUST_CHECK;
/* Opens the state for writing; afterwards no further file is opened. The key is borrowed. ERR_CORRUPT: damaged or of
 * another key or origin, with the remedy; ERR_NOT_FOUND. */
enum err audit_seal_open(const char *state_file, struct slice origin, const struct signer *key, struct audit_seal **ret,
                         struct diags *d) MUST_CHECK;
struct audit_seal *audit_seal_free(struct audit_seal *s);
/* From now on checkpoints are signed by this key as well; borrowed. What was signed last is kept under the first key
 * only. */
void audit_seal_sm2(struct audit_seal *s, struct sm2 *key);
/* ERR_CONFLICT: it does not continue the last one; ERR_SYS: that could not be made durable, so nothing was signed. Both
 * leave what was signed last as it was. *why (may be NULL) says what is wrong, static texts by language. */
enum err audit_seal_sign(struct audit_seal *s, const struct audit_continuation *c, struct audit_signatures *ret,
                         const char *why[2]) MUST_CHECK;
void audit_seal_last(const struct audit_seal *s, uint64_t *size, struct sha256 *root);
