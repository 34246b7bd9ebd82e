#pragma once
/* Records that are taken elsewhere with their proofs: making the inclusion proof of a record under the last checkpoint,
 * and checking one without the log (docs/EXPORT.md). Thread rule: a struct audit_proofs belongs to one thread; it reads
 * files only. */
#include "base/crypto/crypto.h"

struct audit_log;
struct audit_proofs;

/* Proofs under the checkpoint that holds now, whose note is appended to `note`. */
enum err audit_proofs_new(const struct audit_log *l, struct buf *note, struct audit_proofs **ret) MUST_CHECK;
struct audit_proofs *audit_proofs_free(struct audit_proofs *p);
uint64_t audit_proofs_size(const struct audit_proofs *p); /* records [0, size) can be proved */
/* The hashes of the inclusion proof (RFC 9162 2.1.3.1) of record `index`, whose line (without LF) the caller has read,
 * as a JSON list of base64 texts. Its segment may have gone since: its hash tiles stay. ERR_CORRUPT: it is not the
 * record that was signed. */
enum err audit_proofs_put(struct audit_proofs *p, uint64_t index, struct slice line, struct json *j) MUST_CHECK;

/* ---- elsewhere ---- */
struct audit_signed { /* what a checkpoint says */
    uint64_t size;
    struct sha256 root;
    bool signature_ok; /* under the key given */
};
/* `vkey`: the log's public key in signed-note form, or empty: then only that the records hang together is proved.
 * ERR_SYNTAX: no note, or no key. */
enum err audit_signed_read(struct slice note, struct slice vkey, struct audit_signed *ret) MUST_CHECK;
enum { AUDIT_PATH_MAX = 64 };
/* Is this line (without LF) the record of its index under that root? *ret_index: as the line says. */
bool audit_signed_holds(const struct audit_signed *s, struct slice line, const struct sha256 *path, size_t n,
                        uint64_t *ret_index);
