#pragma once
/* What outsiders check, and how: proofs for one exchange, the log's resources (C2SP tlog-tiles), the verifier. Part of
 * audit.h. Checking needs files, or a text, and the log's public key: no log, no daemon, no secret.
 * Thread rule: every function may be called by any thread at once; they read files, so never from an event loop. */
#include "base/core/core.h"
#include "base/crypto/crypto.h"

struct audit_log;

/* ---- proofs for one exchange ---- */
enum { AUDIT_PROOF_MAX = 1 << 20, AUDIT_PROOF_RECORDS = 8 };
struct audit_proof_ask {
    struct uuid exchange;
    uint64_t intent, outcome; /* indexes that Sluice-Receipt told; AUDIT_UNKNOWN: found by the time in the id */
    /* Who asks. Any one is enough; an exchange that is not theirs is answered like one that never was. */
    struct slice subject;    /* its requester */
    struct slice department; /* an application of the department that provides its resource */
    bool any;                /* an auditor */
};
#define AUDIT_UNKNOWN UINT64_MAX
/* Appends
 * {"v":1,"origin":…,"exchange":…,"salts":{…},"records":[{"index":…,"line":"…","proof":"c2sp.org/tlog-proof…"},…]}
 * (docs/EVIDENCE.md) for the refusal, or for intent, outcome and cut. The salt of what was handed out is for the
 * requester and the provider, that of what the provider sent for the provider only: with it a consumer could guess what
 * it was not given. ERR_AGAIN: not complete, or not under a signed checkpoint yet: `a` may be changed to
 * go on from there; ERR_NOT_FOUND; ERR_TOO_LARGE: the
 * outcome is too far behind its intent to be looked for: its index is needed; ERR_CORRUPT: the files do not have the
 * signed root. */
enum err audit_prove_exchange(const struct audit_log *l, struct audit_proof_ask *a, struct buf *out) MUST_CHECK;

/* One C2SP tlog-proof. `bad` is "", or what does not hold: "shape", "origin", "signature", "line" (no record, or its
 * own index is another), "path". */
struct audit_inclusion {
    uint64_t index, size; /* of the record; of the tree it is proved to be in */
    struct slice note;    /* bor: of the text given; the checkpoint */
    const char *bad;
};
/* Is `line` (no LF) the entry that the proof says, in a tree signed by `vkey`? ERR_SYNTAX: vkey is none. */
enum err audit_proof_check(struct slice proof, struct slice line, struct slice vkey,
                           struct audit_inclusion *ret) MUST_CHECK;
/* Does a checkpoint note hold under vkey? Size and root as it says. */
bool audit_note_check(struct slice note, struct slice vkey, uint64_t *size, struct sha256 *root);
/* Does it carry an SM2 signature that holds under this SM2 vkey? Nothing else of it is looked at. */
bool audit_sm2_holds(struct slice note, struct slice vkey);
bool audit_sm2_vkey_valid(struct slice vkey);

/* ---- the log as C2SP tlog-tiles ---- */
/* "checkpoint", "checkpoint.witnessed" (the newest with the quorum), "tile/<level>/…" or "tile/entries/…" (ERR_DENIED
 * unless `entries`), appended to out. ERR_NOT_FOUND: no such path, or not part of the tree that was signed last. */
enum { AUDIT_RESOURCE_MAX = 4 << 20, AUDIT_TILE_PATH = 64, AUDIT_TILE = 256 };
/* Path of a tile: `what` is its level, or "entries"; a width below AUDIT_TILE is a partial one. */
void audit_tile_path(const char *what, uint64_t tile, unsigned width, char out[AUDIT_TILE_PATH]);
/* Is it the path of a tile, or with `entries` of a bundle of entries? Each has one spelling: nothing else of a path is
 * ever shown or recorded. */
bool audit_tile_known(struct slice path, bool entries);
enum err audit_resource(const struct audit_log *l, struct slice path, bool entries, struct buf *out) MUST_CHECK;

/* ---- the verifier ---- */
/* The act by which a log begins later than at record 0, as it says itself. */
struct audit_pruning {
    bool said; /* there is one */
    uint64_t index;
    int64_t at, newest; /* wall ms; newest: of the records removed, in the act's words; 0: it has none */
    int64_t shown_ms;   /* so long the records that are there show the log to have lived before it: at least six months,
                           or the front was removed early */
};
struct audit_report {
    uint64_t first, size; /* records looked at: [first, first + size) */
    struct audit_pruning pruning;
    bool front_unjudged; /* records that were asked for are not there, and the range ends before what may say why */
    uint64_t segments, bytes;
    struct sha256 root;
    uint64_t checkpoint_size;
    bool signature_ok; /* a checkpoint was there and its signature holds under the key given */
    bool sm2_ok;       /* and so does its SM2 signature, under the SM2 key given */
    bool kept_ok;      /* the log continues the kept checkpoint, which the key given has signed */
    bool torn_tail;    /* unfinished last write after the last durable record: harmless, named */
    bool tiles_wrong;  /* of a log behind an address: its hash tiles do not all lead to the signed root */
    /* when it does not verify */
    bool failed;
    uint64_t bad_index;   /* first record that is altered, missing, reordered or inserted */
    uint64_t bad_last;    /* it is in [bad_index, bad_last]; the same when it is named exactly */
    const char *bad_what; /* "altered", "missing", "reordered", "inserted", "truncated", "checkpoint", "signature",
                             "sm2-signature", "forked": it does not continue the kept checkpoint;
                             "removed-early": see audit_pruning */
    char bad_file[256];
    uint64_t bad_offset;
};
struct audit_verify_ask {
    const char *dir;
    struct slice vkey, kept; /* as below; a checkpoint note that was kept elsewhere, or empty */
    struct slice sm2;        /* the log's SM2 vkey: the checkpoint must be signed by it too; or empty */
    uint64_t from, to; /* only the records [from, to); to 0: all. Read from the segment that `from` stands in, or that
                          the checkpoint ends in when that is before it */
    void (*progress)(void *arg, uint64_t done, uint64_t total);
    void *arg;
};
/* As audit_verify. ERR_INVALID: `kept` is no checkpoint, or to is not above from. */
enum err audit_verify_part(const struct audit_verify_ask *a, struct audit_report *ret, struct diags *d) MUST_CHECK;
/* The same for a log that is read by its resources, as its server or a copy gives them: in one pass, in bounded memory,
 * with nothing kept. Tiles that lead to the signed root name the first wrong record at once, and vouch for what was
 * pruned, which the log must say itself. bad_file is the bundle's path; `segments` of the report counts bundles. */
struct audit_remote_ask {
    /* Appends the resource "checkpoint", "tile/0/000", "tile/entries/000.p/17". ERR_NOT_FOUND: there is none; any other
     * error ends the reading and is returned. What does not fit the cap of `out` need not be read. */
    enum err (*fetch)(void *self, const char *path, struct buf *out);
    enum err (*take)(void *self, uint64_t index, struct slice line); /* each record as it is read; may be NULL */
    void *self;
    struct slice vkey, kept, sm2; /* as above; vkey is needed */
    uint64_t from, to;            /* as above; whole bundles are read */
    void (*progress)(void *arg, uint64_t done, uint64_t total);
    void *arg;
};
enum err audit_verify_remote(const struct audit_remote_ask *a, struct audit_report *ret, struct diags *d) MUST_CHECK;
/* Check the segments under `dir` against its checkpoint. `vkey`: the log's public key in signed-note form
 * "<origin>+<hash>+<base64>", or empty to use dir/log.vkey (then only consistency is proved, and the report says so by
 * signature_ok). progress may be NULL. ERR_OK also when verification failed: see report->failed; errors are for
 * unreadable files. */
enum err audit_verify(const char *dir, struct slice vkey, void (*progress)(void *arg, uint64_t done, uint64_t total),
                      void *arg, struct audit_report *ret, struct diags *d) MUST_CHECK;
