/* Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint). Everything read here may be hostile: strict shapes,
 * no leading zeros, exact lengths. Signature type 0x01 is Ed25519. */
#include "audit/note.h"
#include "audit/audit.h"

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

void note_key_hash(struct slice name, enum note_kind kind, const uint8_t public_key[ED25519_PUB],
                   uint8_t ret[NOTE_HASH])
{
    uint8_t text[NOTE_NAME_MAX + 2 + ED25519_PUB];
    size_t n = name.n < NOTE_NAME_MAX ? name.n : NOTE_NAME_MAX;
    memcpy(text, name.p, n);
    text[n++] = '\n';
    text[n++] = (uint8_t)kind;
    memcpy(text + n, public_key, ED25519_PUB);
    struct sha256 h = sha256_of(slice_make(text, n + ED25519_PUB));
    memcpy(ret, h.b, NOTE_HASH);
}

enum err note_vkey_put(struct slice name, enum note_kind kind, const uint8_t public_key[ED25519_PUB], struct buf *out)
{
    uint8_t hash[NOTE_HASH], key[1 + ED25519_PUB];
    if (!note_name_valid(name))
        return ERR_INVALID;
    note_key_hash(name, kind, public_key, hash);
    key[0] = (uint8_t)kind;
    memcpy(key + 1, public_key, ED25519_PUB);
    buf_put(out, name);
    buf_putc(out, '+');
    hex_put(out, slice_make(hash, sizeof hash));
    buf_putc(out, '+');
    base64_put(out, slice_make(key, sizeof key));
    return out->failed;
}

enum err audit_vkey(struct slice origin, const uint8_t public_key[ED25519_PUB], struct buf *out)
{
    return note_vkey_put(origin, NOTE_ED25519, public_key, out);
}

bool audit_vkey_origin(struct slice vkey, struct slice *origin)
{
    uint8_t key[ED25519_PUB];
    return note_vkey_read(vkey, NOTE_ED25519, origin, key) == ERR_OK;
}

bool note_base64(struct slice text, uint8_t *ret, size_t n)
{
    struct buf raw = BUF_INIT(256);
    bool ok = base64_read(text, &raw) == ERR_OK && raw.n == n;
    if (ok)
        memcpy(ret, raw.p, n);
    buf_done(&raw);
    return ok;
}

enum err note_vkey_read(struct slice text, enum note_kind kind, struct slice *name, uint8_t public_key[ED25519_PUB])
{
    uint8_t hash[NOTE_HASH], want[NOTE_HASH], key[1 + ED25519_PUB];
    while (text.n > 0 && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == ' '))
        text.n--;
    *name = slice_cut(&text, '+');
    struct slice hex = slice_cut(&text, '+');
    if (!note_name_valid(*name) || !hex_read(hex, hash, sizeof hash) || !note_base64(text, key, sizeof key))
        return ERR_SYNTAX;
    if (key[0] != kind)
        return ERR_UNSUPPORTED;
    memcpy(public_key, key + 1, ED25519_PUB);
    note_key_hash(*name, kind, public_key, want);
    return memcmp(hash, want, sizeof hash) == 0 ? ERR_OK : ERR_INVALID;
}

enum err note_text(struct slice origin, uint64_t size, const struct sha256 *root, struct buf *out)
{
    buf_put(out, origin);
    buf_putc(out, '\n');
    buf_put_u64(out, size);
    buf_putc(out, '\n');
    base64_put(out, slice_make(root->b, sizeof root->b));
    buf_putc(out, '\n');
    return out->failed;
}

enum err note_line(struct slice name, const uint8_t hash[NOTE_HASH], struct slice sig, struct buf *out)
{
    uint8_t both[NOTE_HASH + NOTE_SIG_MAX];
    if (sig.n > NOTE_SIG_MAX)
        return ERR_TOO_LARGE;
    memcpy(both, hash, NOTE_HASH);
    memcpy(both + NOTE_HASH, sig.p, sig.n);
    buf_puts(out, em_dash);
    buf_put(out, name);
    buf_putc(out, ' ');
    base64_put(out, slice_make(both, NOTE_HASH + sig.n));
    buf_putc(out, '\n');
    return out->failed;
}

enum err note_sign(struct slice origin, uint64_t size, const struct sha256 *root, const struct signer *signer,
                   struct buf *out)
{
    uint8_t hash[NOTE_HASH], sig[ED25519_SIG];
    enum err e = note_text(origin, size, root, out);
    if (e == ERR_OK)
        e = signer->sign(signer->self, buf_slice(out), sig);
    if (e != ERR_OK)
        return e;
    note_key_hash(origin, NOTE_ED25519, signer->public_key, hash);
    buf_putc(out, '\n');
    return note_line(origin, hash, slice_make(sig, sizeof sig), out);
}

/* UTF-8 without control characters, and not too long: signed-note asks it of the whole note. */
static bool note_plain(struct slice note)
{
    if (note.n > NOTE_MAX || note.n == 0 || note.p[note.n - 1] != '\n' || !utf8_valid(note))
        return false;
    for (size_t i = 0; i < note.n; i++) {
        if ((uint8_t)note.p[i] < ' ' && note.p[i] != '\n')
            return false;
    }
    return true;
}

/* Each is "— name base64" of a key hash and something more, those of unknown signers too: an empty line would end
 * another text for who looks for the last one, and what is no signature would seem to be part of what is signed. */
static enum err note_lines_check(struct slice lines)
{
    struct buf raw = BUF_INIT(NOTE_MAX);
    enum err e = lines.n > 0 ? ERR_OK : ERR_SYNTAX;
    while (e == ERR_OK && lines.n > 0) {
        struct slice line = slice_cut(&lines, '\n');
        bool dash = slice_starts(line, slice_of(em_dash));
        line = slice_sub(line, dash ? sizeof em_dash - 1 : 0, line.n);
        struct slice name = slice_cut(&line, ' ');
        buf_clear(&raw);
        e = dash && name.n > 0 && slice_find(name, '+') == name.n ? base64_read(line, &raw) : ERR_SYNTAX;
        if (e == ERR_OK && raw.n <= NOTE_HASH)
            e = ERR_SYNTAX;
    }
    buf_done(&raw);
    return e;
}

enum err note_read(struct slice note, struct note_checkpoint *ret)
{
    struct slice rest = note;
    if (!note_plain(note))
        return ERR_SYNTAX;
    ret->origin = slice_cut(&rest, '\n');
    struct slice size = slice_cut(&rest, '\n'), root = slice_cut(&rest, '\n');
    bool zeros = size.n > 1 && size.p[0] == '0';
    if (ret->origin.n == 0 || zeros || !slice_u64(size, 0, (1ull << 53) - 1, &ret->size) ||
        !note_base64(root, ret->root.b, sizeof ret->root.b))
        return ERR_SYNTAX;
    while (rest.n > 0 && rest.p[0] != '\n') /* extension lines are signed and not ours to read */
        slice_cut(&rest, '\n');
    if (rest.n < 2)
        return ERR_SYNTAX;
    ret->text = slice_make(note.p, (size_t)(rest.p - note.p));
    ret->lines = slice_make(rest.p + 1, rest.n - 1);
    return note_lines_check(ret->lines);
}

bool note_line_next(struct slice *lines, struct slice name, const uint8_t hash[NOTE_HASH], void *sig, size_t n)
{
    uint8_t both[NOTE_HASH + NOTE_SIG_MAX];
    while (lines->n > 0) {
        struct slice line = slice_cut(lines, '\n');
        if (n > NOTE_SIG_MAX || !slice_starts(line, slice_of(em_dash)))
            continue;
        line = slice_sub(line, sizeof em_dash - 1, line.n);
        struct slice who = slice_cut(&line, ' ');
        if (!slice_eq(who, name) || !note_base64(line, both, NOTE_HASH + n) || memcmp(both, hash, NOTE_HASH) != 0)
            continue;
        memcpy(sig, both + NOTE_HASH, n);
        return true;
    }
    return false;
}

bool note_verify(const struct note_checkpoint *c, struct slice origin, const uint8_t public_key[ED25519_PUB])
{
    uint8_t hash[NOTE_HASH], sig[ED25519_SIG];
    struct slice rest = c->lines;
    if (!slice_eq(c->origin, origin))
        return false;
    note_key_hash(origin, NOTE_ED25519, public_key, hash);
    while (note_line_next(&rest, origin, hash, sig, sizeof sig)) {
        if (ed25519_verify(public_key, c->text, slice_make(sig, sizeof sig)))
            return true;
    }
    return false;
}
