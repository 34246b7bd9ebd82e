/* Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint). Everything read here may be hostile: strict shapes,
 * no leading zeros, exact lengths. Signature type 0x01 is Ed25519. */
#include "audit/note.h"
#include "audit/audit.h"

enum { NOTE_ED25519 = 1 };
static const char em_dash[] = "\xE2\x80\x94 ";

bool note_name_valid(struct slice name)
{
    if (name.n == 0 || name.n > NOTE_NAME_MAX || !utf8_valid(name))
        return false;
    for (size_t i = 0; i < name.n; i++) {
        if ((uint8_t)name.p[i] <= ' ' || name.p[i] == '+' || name.p[i] == 0x7F)
            return false;
    }
    return true;
}

void note_key_hash(struct slice name, const uint8_t public_key[ED25519_PUB], uint8_t ret[NOTE_HASH])
{
    uint8_t text[NOTE_NAME_MAX + 2 + ED25519_PUB];
    size_t n = name.n < NOTE_NAME_MAX ? name.n : NOTE_NAME_MAX;
    memcpy(text, name.p, n);
    text[n++] = '\n';
    text[n++] = NOTE_ED25519;
    memcpy(text + n, public_key, ED25519_PUB);
    struct sha256 h = sha256_of(slice_make(text, n + ED25519_PUB));
    memcpy(ret, h.b, NOTE_HASH);
}

enum err audit_vkey(struct slice origin, const uint8_t public_key[ED25519_PUB], struct buf *out)
{
    uint8_t hash[NOTE_HASH], key[1 + ED25519_PUB];
    if (!note_name_valid(origin))
        return ERR_INVALID;
    note_key_hash(origin, public_key, hash);
    key[0] = NOTE_ED25519;
    memcpy(key + 1, public_key, ED25519_PUB);
    buf_put(out, origin);
    buf_putc(out, '+');
    hex_put(out, slice_make(hash, sizeof hash));
    buf_putc(out, '+');
    base64_put(out, slice_make(key, sizeof key));
    return out->failed;
}

/* Exactly n bytes of base64. */
static bool base64_exact(struct slice text, uint8_t *ret, size_t n)
{
    struct buf raw = BUF_INIT(256);
    bool ok = base64_read(text, &raw) == ERR_OK && raw.n == n;
    if (ok)
        memcpy(ret, raw.p, n);
    buf_done(&raw);
    return ok;
}

enum err note_vkey_read(struct slice text, struct slice *name, uint8_t public_key[ED25519_PUB])
{
    uint8_t hash[NOTE_HASH], want[NOTE_HASH], key[1 + ED25519_PUB];
    while (text.n > 0 && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == ' '))
        text.n--;
    *name = slice_cut(&text, '+');
    struct slice hex = slice_cut(&text, '+');
    if (!note_name_valid(*name) || !hex_read(hex, hash, sizeof hash) || !base64_exact(text, key, sizeof key))
        return ERR_SYNTAX;
    if (key[0] != NOTE_ED25519)
        return ERR_UNSUPPORTED;
    memcpy(public_key, key + 1, ED25519_PUB);
    note_key_hash(*name, public_key, want);
    return memcmp(hash, want, sizeof hash) == 0 ? ERR_OK : ERR_INVALID;
}

enum err note_sign(struct slice origin, uint64_t size, const struct sha256 *root, const struct signer *signer,
                   struct buf *out)
{
    uint8_t sig[NOTE_HASH + ED25519_SIG];
    buf_put(out, origin);
    buf_putc(out, '\n');
    buf_put_u64(out, size);
    buf_putc(out, '\n');
    base64_put(out, slice_make(root->b, sizeof root->b));
    buf_putc(out, '\n');
    if (out->failed != ERR_OK)
        return out->failed;
    note_key_hash(origin, signer->public_key, sig);
    enum err e = signer->sign(signer->self, buf_slice(out), sig + NOTE_HASH);
    if (e != ERR_OK)
        return e;
    buf_putc(out, '\n');
    buf_puts(out, em_dash);
    buf_put(out, origin);
    buf_putc(out, ' ');
    base64_put(out, slice_make(sig, sizeof sig));
    buf_putc(out, '\n');
    return out->failed;
}

enum err note_read(struct slice note, struct note_checkpoint *ret)
{
    struct slice rest = note;
    if (note.n > NOTE_MAX || note.n == 0 || note.p[note.n - 1] != '\n')
        return ERR_SYNTAX;
    ret->origin = slice_cut(&rest, '\n');
    struct slice size = slice_cut(&rest, '\n'), root = slice_cut(&rest, '\n');
    bool zeros = size.n > 1 && size.p[0] == '0';
    if (ret->origin.n == 0 || zeros || !slice_u64(size, 0, (1ull << 53) - 1, &ret->size) ||
        !base64_exact(root, ret->root.b, sizeof ret->root.b))
        return ERR_SYNTAX;
    while (rest.n > 0 && rest.p[0] != '\n') /* extension lines are signed and not ours to read */
        slice_cut(&rest, '\n');
    if (rest.n < 2)
        return ERR_SYNTAX;
    ret->text = slice_make(note.p, (size_t)(rest.p - note.p));
    ret->lines = slice_make(rest.p + 1, rest.n - 1);
    return ERR_OK;
}

bool note_verify(const struct note_checkpoint *c, struct slice origin, const uint8_t public_key[ED25519_PUB])
{
    uint8_t hash[NOTE_HASH], sig[NOTE_HASH + ED25519_SIG];
    struct slice rest = c->lines;
    if (!slice_eq(c->origin, origin))
        return false;
    note_key_hash(origin, public_key, hash);
    while (rest.n > 0) {
        struct slice line = slice_cut(&rest, '\n');
        if (!slice_starts(line, slice_of(em_dash)))
            continue;
        line = slice_sub(line, sizeof em_dash - 1, line.n);
        struct slice name = slice_cut(&line, ' ');
        if (!slice_eq(name, origin) || !base64_exact(line, sig, sizeof sig) || memcmp(sig, hash, NOTE_HASH) != 0)
            continue;
        if (ed25519_verify(public_key, c->text, slice_make(sig + NOTE_HASH, ED25519_SIG)))
            return true;
    }
    return false;
}
