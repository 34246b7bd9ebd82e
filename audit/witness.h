#pragma once
/* Witnesses (C2SP tlog-cosignature, tlog-witness): other operators who sign, with the time, that a checkpoint of a log
 * continues every earlier one that they signed. Part of audit.h. A witness's key is a vkey of type 0x04 (Ed25519,
 * cosignature/v1); the same key must never be a log's. Thread rule: plain data and pure functions; a struct
 * audit_observer belongs to one thread. */
#include "base/crypto/crypto.h"

enum { AUDIT_NAME_MAX = 255, AUDIT_KEY_HASH = 4, AUDIT_WITNESSES_MAX = 16 };
struct audit_witness {
    char name[AUDIT_NAME_MAX + 1];
    uint8_t hash[AUDIT_KEY_HASH], key[ED25519_PUB];
};
/* "<name>+<hash>+<base64 of 0x04 ‖ key>". ERR_SYNTAX; ERR_UNSUPPORTED: a key of another type, a log's for instance;
 * ERR_INVALID: name, hash and key do not belong together. */
enum err audit_witness_read(struct slice vkey, struct audit_witness *ret) MUST_CHECK;
enum err audit_witness_vkey(struct slice name, const uint8_t public_key[ED25519_PUB], struct buf *out) MUST_CHECK;
/* How many of the n witnesses have signed this checkpoint note, each counted once; the log's own line is not looked at.
 * A proof is valid when this is at least the quorum, else pending. Anything that is no checkpoint: 0. */
size_t audit_cosigned(struct slice note, const struct audit_witness *w, size_t n);
/* One witness: when it signed, in seconds since 1970. False: it did not. */
bool audit_cosigned_by(struct slice note, const struct audit_witness *w, int64_t *ret_at);
