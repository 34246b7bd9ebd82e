/* Signed checkpoints: made from durable records only, durable in <dir>/checkpoint before anybody is shown one. */
#include "audit/log.h"
#include "audit/note.h"
#include <stdio.h>

enum err log_path(const struct audit_log *l, const char *name, char out[PATH_MAX])
{
    int n = snprintf(out, PATH_MAX, "%s/%s", l->dir, name);
    return n > 0 && n < PATH_MAX ? ERR_OK : ERR_TOO_LARGE;
}

/* What is asked of the notary stays the same until it is signed: a question whose answer is late may have been signed,
 * and then only its own size and root can be asked for again. */
static void notary_ask(struct audit_log *l)
{
    if (l->asked.size != 0)
        return;
    l->asked.size = l->tree.size;
    l->asked.root = merkle_root(&l->tree, l->digest);
    l->asked.n = l->c.notary.size > 0 ? merkle_growth_proof(&l->growth, &l->tree, l->digest, l->asked.proof) : 0;
    merkle_growth_begin(&l->growth, &l->tree);
    tiles_store(&l->tiles);
}

/* By a key that is kept elsewhere: it is shown that this checkpoint continues its last. */
static enum err notary_sign(struct audit_log *l, int64_t wait_ms, struct buf *note)
{
    struct audit_notary *o = &l->c.notary;
    struct audit_signatures sig;
    uint8_t hash[NOTE_HASH];
    notary_ask(l);
    struct audit_continuation c = {
        .size = l->asked.size, .root = l->asked.root, .proof = l->asked.proof, .n = l->asked.n, .wait_ms = wait_ms
    };
    enum err e = o->sign(o->self, &c, &sig);
    if (e != ERR_OK)
        return e;
    l->asked.size = 0;
    o->size = c.size;
    o->root = c.root;
    note_key_hash(slice_of(l->origin), NOTE_ED25519, l->c.signer.public_key, hash);
    e = note_text(slice_of(l->origin), c.size, &c.root, note);
    buf_putc(note, '\n');
    if (e == ERR_OK)
        e = note_line(slice_of(l->origin), hash, slice_make(sig.ed25519, sizeof sig.ed25519), note);
    if (e == ERR_OK && sig.has_sm2) {
        struct note_sm2 k;
        note_sm2_key(slice_of(l->origin), o->sm2_key, &k);
        e = note_sm2_line(&k, sig.sm2, note);
    }
    return e;
}

static enum err signer_sign(struct audit_log *l, struct buf *note)
{
    struct sha256 root = merkle_root(&l->tree, l->digest);
    tiles_store(&l->tiles);
    return note_sign(slice_of(l->origin), l->tree.size, &root, &l->c.signer, note);
}

enum err checkpoint_make(struct audit_log *l, int64_t wait_ms)
{
    char path[PATH_MAX];
    struct buf note = BUF_INIT(NOTE_MAX);
    uint64_t size = l->asked.size != 0 ? l->asked.size : l->tree.size;
    enum err e = l->c.notary.sign != NULL ? notary_sign(l, wait_ms, &note) : signer_sign(l, &note);
    if (e == ERR_OK)
        e = log_path(l, "checkpoint", path);
    if (e == ERR_OK) {
        e = file_write(path, buf_slice(&note), 0600, NULL);
        atomic_store_explicit(&l->unstored, (int)e, memory_order_relaxed);
    }
    if (e == ERR_OK) {
        pthread_mutex_lock(&l->note_lock);
        struct buf old = l->note;
        l->note = note;
        note = old;
        pthread_mutex_unlock(&l->note_lock);
        atomic_store(&l->checkpoint_size, size);
        atomic_store(&l->checkpoint_at, clock_wall_ms());
        l->dirty = l->tree.size != size;
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
