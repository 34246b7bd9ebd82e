/* The SM2 line of a log's checkpoints: see note.h for the bytes. Verifiers that do not know it pass over it, as over
 * the line of any unknown key; it never stands in for the Ed25519 line. */
#include "audit/audit.h"
#include "audit/note.h"

#define IDENTIFIER "sm2-with-sm3/" SM2_ID
enum { KIND = 1 + sizeof IDENTIFIER - 1, BODY = KIND + SM2_PUB };

static void body_put(const uint8_t public_key[SM2_PUB], uint8_t out[BODY])
{
    out[0] = NOTE_OTHER;
    memcpy(out + 1, IDENTIFIER, KIND - 1);
    memcpy(out + KIND, public_key, SM2_PUB);
}

void note_sm2_key(struct slice name, const uint8_t public_key[SM2_PUB], struct note_sm2 *ret)
{
    uint8_t text[NOTE_NAME_MAX + 1 + BODY];
    size_t n = name.n < NOTE_NAME_MAX ? name.n : NOTE_NAME_MAX;
    ret->name = name;
    memcpy(ret->key, public_key, SM2_PUB);
    memcpy(text, name.p, n);
    text[n++] = '\n';
    body_put(public_key, text + n);
    struct sha256 h = sha256_of(slice_make(text, n + BODY));
    memcpy(ret->hash, h.b, NOTE_HASH);
}

enum err note_sm2_read(struct slice vkey, struct note_sm2 *ret)
{
    uint8_t hash[NOTE_HASH], body[BODY], want[BODY];
    struct slice rest = slice_cut(&vkey, '\n'), name, hex;
    rest = slice_trim(rest);
    name = slice_cut(&rest, '+');
    hex = slice_cut(&rest, '+');
    if (!note_name_valid(name) || !hex_read(hex, hash, sizeof hash))
        return ERR_SYNTAX;
    if (!note_base64(rest, body, sizeof body))
        return ERR_UNSUPPORTED;
    body_put(body + KIND, want);
    if (memcmp(body, want, KIND) != 0)
        return ERR_UNSUPPORTED;
    note_sm2_key(name, body + KIND, ret);
    return memcmp(hash, ret->hash, sizeof hash) == 0 ? ERR_OK : ERR_INVALID;
}

enum err note_sm2_put(const struct note_sm2 *k, struct buf *out)
{
    uint8_t body[BODY];
    if (!note_name_valid(k->name))
        return ERR_INVALID;
    body_put(k->key, body);
    buf_put(out, k->name);
    buf_putc(out, '+');
    hex_put(out, slice_make(k->hash, sizeof k->hash));
    buf_putc(out, '+');
    base64_put(out, slice_make(body, sizeof body));
    return out->failed;
}

enum err note_sm2_line(const struct note_sm2 *k, const uint8_t sig[SM2_SIG], struct buf *out)
{
    return note_line(k->name, k->hash, slice_make(sig, SM2_SIG), out);
}

bool note_sm2_holds(const struct note_checkpoint *c, const struct note_sm2 *k)
{
    uint8_t sig[SM2_SIG];
    struct slice rest = c->lines;
    if (!slice_eq(c->origin, k->name))
        return false;
    while (note_line_next(&rest, k->name, k->hash, sig, sizeof sig)) {
        if (sm2_verify(k->key, c->text, sig))
            return true;
    }
    return false;
}

/* ---- for verifiers ---- */
enum err audit_sm2_vkey(struct slice origin, const uint8_t public_key[SM2_PUB], struct buf *out)
{
    struct note_sm2 k;
    note_sm2_key(origin, public_key, &k);
    return note_sm2_put(&k, out);
}

bool audit_sm2_vkey_valid(struct slice vkey)
{
    struct note_sm2 k;
    return note_sm2_read(vkey, &k) == ERR_OK;
}

bool audit_sm2_holds(struct slice note, struct slice vkey)
{
    struct note_checkpoint c;
    struct note_sm2 k;
    return note_read(note, &c) == ERR_OK && note_sm2_read(vkey, &k) == ERR_OK && note_sm2_holds(&c, &k);
}
