/* See export.h. A proof is checked against the checkpoint's root before it is given: tiles are derived files. */
#include "audit/export.h"
#include "audit/log.h"
#include "audit/note.h"
#include "audit/prove.h"

struct audit_proofs {
    struct prover *prover;
    struct digest *digest;
    struct note_checkpoint cp; /* slices point into note */
    struct buf note;
};

struct audit_proofs *audit_proofs_free(struct audit_proofs *p)
{
    if (p == NULL)
        return NULL;
    prover_free(p->prover);
    digest_free(p->digest);
    buf_done(&p->note);
    return mem_free(p);
}

enum err audit_proofs_new(const struct audit_log *l, struct buf *note, struct audit_proofs **ret)
{
    struct audit_proofs *p = mem_zalloc(sizeof *p);
    if (p == NULL)
        return ERR_NOMEM;
    p->note = BUF_INIT(NOTE_MAX);
    p->digest = digest_new();
    enum err e = p->digest == NULL ? ERR_NOMEM : audit_checkpoint(l, &p->note);
    if (e == ERR_OK)
        e = note_read(buf_slice(&p->note), &p->cp);
    if (e == ERR_OK) {
        p->prover = prover_folder(audit_dir(l), p->cp.size);
        e = p->prover == NULL ? ERR_NOMEM : ERR_OK;
    }
    if (e != ERR_OK) {
        audit_proofs_free(p);
        return e;
    }
    buf_put(note, buf_slice(&p->note));
    *ret = p;
    return note->failed;
}

uint64_t audit_proofs_size(const struct audit_proofs *p)
{
    return p->cp.size;
}

static bool path_holds(struct digest *g, struct slice leaf, uint64_t index, uint64_t size, const struct sha256 *path,
                       size_t n, const struct sha256 *root)
{
    struct slice hashes[AUDIT_PATH_MAX];
    if (n > AUDIT_PATH_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        hashes[i] = slice_make(path[i].b, SHA256_LEN);
    return merkle_included(g, leaf, index, size, (struct merkle_proof){ hashes, n }, slice_make(root->b, SHA256_LEN));
}

enum err audit_proofs_put(struct audit_proofs *p, uint64_t index, struct slice line, struct json *j)
{
    struct proof_path path;
    struct buf text = BUF_INIT(64);
    enum err e = prove_inclusion(p->prover, index, &path);
    if (e != ERR_OK)
        return e;
    struct sha256 leaf = merkle_leaf(p->digest, line);
    if (!path_holds(p->digest, slice_make(leaf.b, SHA256_LEN), index, p->cp.size, path.hash, path.n, &p->cp.root))
        return ERR_CORRUPT;
    json_open(j, '[');
    for (size_t i = 0; i < path.n; i++) {
        buf_clear(&text);
        base64_put(&text, slice_make(path.hash[i].b, SHA256_LEN));
        json_str(j, buf_slice(&text));
    }
    json_close(j, ']');
    buf_done(&text);
    return ERR_OK;
}

/* ---- elsewhere ---- */
enum err audit_signed_read(struct slice note, struct slice vkey, struct audit_signed *ret)
{
    struct note_checkpoint cp;
    struct slice name;
    uint8_t key[ED25519_PUB];
    if (note_read(note, &cp) != ERR_OK || (vkey.n > 0 && note_vkey_read(vkey, NOTE_ED25519, &name, key) != ERR_OK))
        return ERR_SYNTAX;
    *ret = (struct audit_signed){ .size = cp.size, .signature_ok = vkey.n > 0 && note_verify(&cp, name, key) };
    memcpy(&ret->root, &cp.root, sizeof ret->root);
    return ERR_OK;
}

bool audit_signed_holds(const struct audit_signed *s, struct slice line, const struct sha256 *path, size_t n,
                        uint64_t *ret_index)
{
    struct digest *g = digest_new();
    if (g == NULL)
        return false;
    bool ok = logline_check(line, ret_index) && *ret_index < s->size;
    struct sha256 leaf = ok ? merkle_leaf(g, line) : (struct sha256){ 0 };
    ok = ok && path_holds(g, slice_make(leaf.b, SHA256_LEN), *ret_index, s->size, path, n, &s->root);
    digest_free(g);
    return ok;
}
