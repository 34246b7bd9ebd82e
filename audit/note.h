#pragma once
/* C2SP signed-note and tlog-checkpoint with Ed25519: making, reading and checking them.
 * Note: text, empty line, then one line "— name base64(4-byte key hash ‖ signature)" a signer. Lines of unknown
 * signers are allowed and ignored; a checkpoint counts only when the line of its own origin holds. */
#include "audit/merkle.h"

enum { NOTE_MAX = 4096, NOTE_NAME_MAX = 255, NOTE_HASH = 4 };

bool note_name_valid(struct slice name); /* 1..255 bytes of UTF-8 without space, control or '+' */
void note_key_hash(struct slice name, const uint8_t public_key[ED25519_PUB], uint8_t ret[NOTE_HASH]);
/* "<name>+<hash>+<base64>" taken apart; name is borrowed from text. */
enum err note_vkey_read(struct slice text, struct slice *name, uint8_t public_key[ED25519_PUB]) MUST_CHECK;

struct note_checkpoint {
    struct slice origin; /* bor: from the note's text, as the next ones */
    uint64_t size;
    struct sha256 root;
    struct slice text;  /* what is signed: up to and with the LF before the empty line */
    struct slice lines; /* signature lines */
};
enum err note_sign(struct slice origin, uint64_t size, const struct sha256 *root, const struct signer *signer,
                   struct buf *out) MUST_CHECK;
/* Shape only. */
enum err note_read(struct slice note, struct note_checkpoint *ret) MUST_CHECK;
bool note_verify(const struct note_checkpoint *c, struct slice origin, const uint8_t public_key[ED25519_PUB]);
