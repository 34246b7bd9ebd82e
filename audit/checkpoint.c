/* Signed checkpoints: made from durable records only, durable in <dir>/checkpoint before anybody is shown one. */
#include "audit/log.h"
#include "audit/note.h"
#include <stdio.h>

enum err log_path(const struct audit_log *l, const char *name, char out[PATH_MAX])
{
    int n = snprintf(out, PATH_MAX, "%s/%s", l->dir, name);
    return n > 0 && n < PATH_MAX ? ERR_OK : ERR_TOO_LARGE;
}

/* By a key that is kept elsewhere: it is shown that this checkpoint continues its last. */
static enum err notary_sign(struct audit_log *l, const struct sha256 *root, struct buf *note)
{
    struct audit_notary *o = &l->c.notary;
    struct sha256 proof[MERKLE_PATH_MAX];
    struct audit_continuation c = { .size = l->tree.size, .root = *root, .proof = proof };
    uint8_t hash[NOTE_HASH], sig[ED25519_SIG];
    c.n = o->size > 0 ? merkle_growth_proof(&l->growth, &l->tree, l->digest, proof) : 0;
    enum err e = o->sign(o->self, &c, sig);
    if (e != ERR_OK)
        return e;
    o->size = c.size;
    o->root = c.root;
    merkle_growth_begin(&l->growth, &l->tree);
    note_key_hash(slice_of(l->origin), NOTE_ED25519, l->c.signer.public_key, hash);
    e = note_text(slice_of(l->origin), c.size, root, note);
    buf_putc(note, '\n');
    return e == ERR_OK ? note_line(slice_of(l->origin), hash, slice_make(sig, sizeof sig), note) : e;
}

enum err checkpoint_make(struct audit_log *l)
{
    char path[PATH_MAX];
    struct buf note = BUF_INIT(NOTE_MAX);
    struct sha256 root = merkle_root(&l->tree, l->digest);
    tiles_partial(&l->tiles);
    enum err e = l->c.notary.sign != NULL ? notary_sign(l, &root, &note)
                                          : note_sign(slice_of(l->origin), l->tree.size, &root, &l->c.signer, &note);
    if (e == ERR_OK)
        e = log_path(l, "checkpoint", path);
    if (e == ERR_OK)
        e = file_write(path, buf_slice(&note), 0600, NULL);
    if (e == ERR_OK) {
        pthread_mutex_lock(&l->note_lock);
        struct buf old = l->note;
        l->note = note;
        note = old;
        pthread_mutex_unlock(&l->note_lock);
        atomic_store(&l->checkpoint_size, l->tree.size);
        atomic_store(&l->checkpoint_at, clock_wall_ms());
        l->dirty = false;
    }
    buf_done(&note);
    return e;
}

enum err audit_checkpoint(const struct audit_log *log, struct buf *out)
{
    struct audit_log *l = (struct audit_log *)(uintptr_t)log; /* only the lock changes */
    pthread_mutex_lock(&l->note_lock);
    buf_put(out, buf_slice(&l->note));
    pthread_mutex_unlock(&l->note_lock);
    return out->failed;
}
