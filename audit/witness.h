#pragma once
/* Witnesses (C2SP tlog-cosignature, tlog-witness): other operators who sign, with the time, that a checkpoint of a log
 * continues every earlier one that they signed. Part of audit.h. A witness's key is a vkey of type 0x04 (Ed25519,
 * cosignature/v1); the same key must never be a log's. Thread rule: plain data and pure functions; a struct
 * audit_observer belongs to one thread. */
#include "base/core/core.h"
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
uint64_t audit_note_size(struct slice note); /* of a checkpoint note; nothing is verified; 0: it is none */
/* One witness: when it signed, in seconds since 1970. False: it did not. */
bool audit_cosigned_by(struct slice note, const struct audit_witness *w, int64_t *ret_at);

/* ---- being a witness ---- */
/* What one witness has seen of the logs it knows. Durable: the last checkpoint of each log is on the disk before a
 * cosignature of it leaves, in <dir>/<digest of the origin>.checkpoint and, the same once more, .copy. All files are
 * opened by audit_observer_open, none later. */
struct audit_observer;
enum { AUDIT_ORIGINS_MAX = 64, AUDIT_ADD_MAX = 16 << 10 };
#define AUDIT_TYPE_TEXT "text/plain; charset=utf-8"
#define AUDIT_TYPE_SIZE "text/x.tlog.size" /* of a 409 */
/* `logs`: vkeys of the n logs that it signs for, each of another origin. Locks the folder: ERR_BUSY. */
enum err audit_observer_open(const char *dir, struct slice name, const struct signer *key, const struct slice *logs,
                             size_t n, struct audit_observer **ret, struct diags *d) MUST_CHECK;
struct audit_observer *audit_observer_close(struct audit_observer *o);
/* One add-checkpoint request, at now_s (seconds since 1970): the HTTP status, and the answer's body in `out` (cleared
 * first). *type: its media type. Total: any bytes give a status. *fault: what a checkpoint that the log did sign says
 * of it; audit_fault_keep should have the body then. */
enum audit_fault {
    AUDIT_FAULT_NONE,
    AUDIT_FAULT_UNPROVED, /* what came with it does not show that it continues what was seen: its log did not prove it,
                             or whoever brought it spoilt the proof. Nobody is convicted */
    AUDIT_FAULT_FORKED    /* another root at the size that was cosigned: the log has misbehaved, and both are signed */
};
int audit_observer_add(struct audit_observer *o, struct slice body, int64_t now_s, struct buf *out, const char **type,
                       enum audit_fault *fault);

/* Keeps the checkpoint of such a request, called before the next one is judged. FORKED: <dir>/<digest>.conflict, and
 * as .cosigned the one it contradicts: the two prove it by themselves, and replace whatever is there. UNPROVED:
 * .unproved, the last one, once a minute at most. False: it is of another log than `vkey`, and nothing was done. */
bool audit_fault_keep(const char *dir, struct slice vkey, struct slice body, enum audit_fault fault);

/* ---- the log's side ---- */
struct audit_log;
/* Lines of witnesses on a checkpoint, be they few: while it is the newest it is shown with them. Any thread. */
void audit_cosigned_set(struct audit_log *l, struct slice note);
/* The newest checkpoint that the quorum has signed, as a note with their lines: kept in <dir>/checkpoint.witnessed, and
 * durable on ERR_OK. The caller has counted. One caller at a time; nothing happens for one that is older than what is
 * there. */
enum err audit_witnessed_set(struct audit_log *l, struct slice note) MUST_CHECK;
/* Appends that checkpoint; ERR_NOT_FOUND: there is none yet. Any thread. */
enum err audit_witnessed(const struct audit_log *l, struct buf *out) MUST_CHECK;
/* Appends the checkpoint by which entry `index` should be shown: the newest with the quorum that covers it, else the
 * newest, which is pending (*witnessed false). Any thread. */
enum err audit_checkpoint_for(const struct audit_log *l, uint64_t index, struct buf *out, bool *witnessed) MUST_CHECK;
/* The body of an add-checkpoint request: `note` (of this log) and the proof from `old`, a size that the witness has
 * seen. Reads files: not on an event loop that others need. ERR_CORRUPT: the files do not prove it; ERR_INVALID: `old`
 * is larger. */
enum err audit_add_checkpoint(const struct audit_log *l, uint64_t old, struct slice note, struct buf *out) MUST_CHECK;
