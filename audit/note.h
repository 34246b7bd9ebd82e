#pragma once
/* C2SP signed-note and tlog-checkpoint with Ed25519, and the cosignatures of witnesses: making, reading and checking
 * them. Note: text, empty line, then one line "— name base64(4-byte key hash ‖ signature)" a signer. Lines of unknown
 * signers are allowed and ignored; a checkpoint counts only when the line of its own origin holds. */
#include "audit/merkle.h"
#include "audit/witness.h"

enum { NOTE_MAX = 8192, NOTE_NAME_MAX = 255, NOTE_HASH = 4, NOTE_SIG_MAX = 255 };
enum note_kind {
    NOTE_ED25519 = 1,
    NOTE_COSIGNER = 4, /* cosignature/v1 */
    NOTE_OTHER = 0xFF  /* not assigned: a longer identifier follows it */
};                     /* signature types of signed-note */

bool note_name_valid(struct slice name);                     /* 1..255 bytes of UTF-8 without space, control or '+' */
bool note_base64(struct slice text, uint8_t *ret, size_t n); /* exactly n bytes */
void note_key_hash(struct slice name, enum note_kind kind, const uint8_t public_key[ED25519_PUB],
                   uint8_t ret[NOTE_HASH]);
/* "<name>+<hash>+<base64>" taken apart; name is borrowed from text. ERR_UNSUPPORTED: a key of another kind. */
enum err note_vkey_read(struct slice text, enum note_kind kind, struct slice *name,
                        uint8_t public_key[ED25519_PUB]) MUST_CHECK;
enum err note_vkey_put(struct slice name, enum note_kind kind, const uint8_t public_key[ED25519_PUB],
                       struct buf *out) MUST_CHECK;

struct note_checkpoint {
    struct slice origin; /* bor: from the note's text, as the next ones */
    uint64_t size;
    struct sha256 root;
    struct slice text;  /* what is signed: up to and with the LF before the empty line */
    struct slice lines; /* signature lines */
};
/* What is signed of a checkpoint; one signature line; both of them, with the empty line between. */
enum err note_text(struct slice origin, uint64_t size, const struct sha256 *root, struct buf *out) MUST_CHECK;
enum err note_line(struct slice name, const uint8_t hash[NOTE_HASH], struct slice sig, struct buf *out) MUST_CHECK;
enum err note_sign(struct slice origin, uint64_t size, const struct sha256 *root, const struct signer *signer,
                   struct buf *out) MUST_CHECK;
/* Shape only: text, one empty line, nothing but lines of signatures. ERR_SYNTAX; ERR_NOMEM. */
enum err note_read(struct slice note, struct note_checkpoint *ret) MUST_CHECK;
/* The next line of this signer with a signature of n bytes; *lines keeps what follows it. False: there is none. */
bool note_line_next(struct slice *lines, struct slice name, const uint8_t hash[NOTE_HASH], void *sig, size_t n);
bool note_verify(const struct note_checkpoint *c, struct slice origin, const uint8_t public_key[ED25519_PUB]);

/* Appends a witness's line over the text of a checkpoint, as of at_s (seconds since 1970). */
enum err note_cosign(struct slice text, struct slice name, int64_t at_s, const struct signer *signer,
                     struct buf *out) MUST_CHECK;
/* Does this witness's line hold? *ret_at: when it signed. */
bool note_cosigned_by(const struct note_checkpoint *c, const struct audit_witness *w, int64_t *ret_at);

/* The log's SM2 line (note_sm2.c): SM2 with SM3 over the text, signer's id 1234567812345678, r ‖ s of 32 bytes each.
 * signed-note has no type of its own for it, so it is 0xFF with an identifier behind it:
 *   key hash = SHA-256(origin ‖ 0x0A ‖ 0xFF ‖ "sm2-with-sm3/1234567812345678" ‖ 0x04 ‖ x ‖ y), first four bytes
 *   vkey     = origin "+" hash in hex "+" base64(0xFF ‖ "sm2-with-sm3/1234567812345678" ‖ 0x04 ‖ x ‖ y) */
struct note_sm2 {
    struct slice name; /* bor: from the vkey's text */
    uint8_t hash[NOTE_HASH], key[SM2_PUB];
};
void note_sm2_key(struct slice name, const uint8_t public_key[SM2_PUB], struct note_sm2 *ret);
/* ERR_SYNTAX; ERR_UNSUPPORTED: a key of another kind; ERR_INVALID: name, hash and key do not belong together. */
enum err note_sm2_read(struct slice vkey, struct note_sm2 *ret) MUST_CHECK;
enum err note_sm2_put(const struct note_sm2 *k, struct buf *out) MUST_CHECK; /* the vkey */
enum err note_sm2_line(const struct note_sm2 *k, const uint8_t sig[SM2_SIG], struct buf *out) MUST_CHECK;
bool note_sm2_holds(const struct note_checkpoint *c, const struct note_sm2 *k); /* of this origin, and signed */
