/* Cosignatures of witnesses (C2SP tlog-cosignature, Ed25519): the signed message is "cosignature/v1", the time, and the
 * whole text of the checkpoint; the signature line holds the time in eight bytes before the signature. Everything read
 * here may be hostile. */
#include "audit/audit.h"
#include "audit/note.h"

enum { TIME_BYTES = 8, COSIGNATURE = TIME_BYTES + ED25519_SIG };

enum err audit_witness_read(struct slice vkey, struct audit_witness *ret)
{
    struct slice name;
    enum err e = note_vkey_read(vkey, NOTE_COSIGNER, &name, ret->key);
    if (e != ERR_OK)
        return e;
    memcpy(ret->name, name.p, name.n); /* note_vkey_read has checked its length */
    ret->name[name.n] = '\0';
    note_key_hash(name, NOTE_COSIGNER, ret->key, ret->hash);
    return ERR_OK;
}

enum err audit_witness_vkey(struct slice name, const uint8_t public_key[ED25519_PUB], struct buf *out)
{
    return note_vkey_put(name, NOTE_COSIGNER, public_key, out);
}

static void message_put(struct slice text, uint64_t at, struct buf *out)
{
    buf_puts(out, "cosignature/v1\ntime ");
    buf_put_u64(out, at);
    buf_putc(out, '\n');
    buf_put(out, text);
}

enum err note_cosign(struct slice text, struct slice name, int64_t at_s, const struct signer *signer, struct buf *out)
{
    struct buf message = BUF_INIT(NOTE_MAX + 64);
    uint8_t hash[NOTE_HASH], sig[COSIGNATURE];
    uint64_t at = at_s > 0 ? (uint64_t)at_s : 0;
    for (int i = 0; i < TIME_BYTES; i++)
        sig[i] = (uint8_t)(at >> (56 - 8 * i));
    message_put(text, at, &message);
    enum err e = message.failed;
    if (e == ERR_OK)
        e = signer->sign(signer->self, buf_slice(&message), sig + TIME_BYTES);
    note_key_hash(name, NOTE_COSIGNER, signer->public_key, hash);
    if (e == ERR_OK)
        e = note_line(name, hash, slice_make(sig, sizeof sig), out);
    buf_done(&message);
    return e;
}

static bool line_holds(const struct note_checkpoint *c, const struct audit_witness *w, const uint8_t sig[COSIGNATURE],
                       int64_t *ret_at)
{
    struct buf message = BUF_INIT(NOTE_MAX + 64);
    uint64_t at = 0;
    for (int i = 0; i < TIME_BYTES; i++)
        at = at << 8 | sig[i];
    message_put(c->text, at, &message);
    bool ok = at <= INT64_MAX && message.failed == ERR_OK &&
              ed25519_verify(w->key, buf_slice(&message), slice_make(sig + TIME_BYTES, ED25519_SIG));
    buf_done(&message);
    *ret_at = ok ? (int64_t)at : 0;
    return ok;
}

bool note_cosigned_by(const struct note_checkpoint *c, const struct audit_witness *w, int64_t *ret_at)
{
    uint8_t sig[COSIGNATURE];
    struct slice rest = c->lines;
    while (note_line_next(&rest, slice_of(w->name), w->hash, sig, sizeof sig)) {
        if (line_holds(c, w, sig, ret_at))
            return true;
    }
    return false;
}

bool audit_cosigned_by(struct slice note, const struct audit_witness *w, int64_t *ret_at)
{
    struct note_checkpoint c;
    return note_read(note, &c) == ERR_OK && note_cosigned_by(&c, w, ret_at);
}

/* The same key under two names is one witness. */
static bool seen_before(const struct audit_witness *w, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (memcmp(w[k].key, w[i].key, ED25519_PUB) == 0)
            return true;
    }
    return false;
}

size_t audit_cosigned(struct slice note, const struct audit_witness *w, size_t n)
{
    struct note_checkpoint c;
    size_t count = 0;
    int64_t at;
    if (note_read(note, &c) != ERR_OK)
        return 0;
    for (size_t i = 0; i < n; i++)
        count += !seen_before(w, i) && note_cosigned_by(&c, &w[i], &at);
    return count;
}

uint64_t audit_note_size(struct slice note)
{
    struct note_checkpoint c;
    return note_read(note, &c) == ERR_OK ? c.size : 0;
}
