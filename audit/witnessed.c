/* What witnesses have signed of this log, and what they are asked with. Invariant: the note that is kept is a
 * checkpoint of this log's own key, never smaller than the one before; lines are put under the newest checkpoint only
 * while it is the newest. */
#include "audit/log.h"
#include "audit/note.h"
#include "audit/prove.h"

static bool own_note(const struct audit_log *l, struct slice note, struct note_checkpoint *cp)
{
    return note_read(note, cp) == ERR_OK && note_verify(cp, slice_of(l->origin), l->c.signer.public_key);
}

void audit_cosigned_set(struct audit_log *l, struct slice note)
{
    struct note_checkpoint cp, newest;
    struct buf copy = BUF_INIT(NOTE_MAX);
    buf_put(&copy, note);
    if (!own_note(l, note, &cp) || copy.failed != ERR_OK) {
        buf_done(&copy);
        return;
    }
    pthread_mutex_lock(&l->note_lock);
    if (note_read(buf_slice(&l->note), &newest) == ERR_OK && slice_eq(cp.text, newest.text)) {
        struct buf old = l->note;
        l->note = copy;
        copy = old;
    }
    pthread_mutex_unlock(&l->note_lock);
    buf_done(&copy);
}

enum err audit_witnessed_set(struct audit_log *l, struct slice note)
{
    struct note_checkpoint cp;
    struct buf copy = BUF_INIT(NOTE_MAX);
    char path[PATH_MAX];
    if (!own_note(l, note, &cp) || cp.size > atomic_load(&l->size))
        return ERR_INVALID;
    if (cp.size < atomic_load(&l->witnessed_size))
        return ERR_OK;
    buf_put(&copy, note);
    enum err e = copy.failed;
    if (e == ERR_OK)
        e = log_path(l, "checkpoint.witnessed", path);
    if (e == ERR_OK)
        e = file_write(path, note, 0600, NULL);
    if (e == ERR_OK) {
        pthread_mutex_lock(&l->note_lock);
        struct buf old = l->witnessed;
        l->witnessed = copy;
        copy = old;
        pthread_mutex_unlock(&l->note_lock);
        atomic_store(&l->witnessed_size, cp.size);
        audit_cosigned_set(l, note);
    }
    buf_done(&copy);
    return e;
}

enum err audit_witnessed(const struct audit_log *log, struct buf *out)
{
    struct audit_log *l = (struct audit_log *)(uintptr_t)log; /* only the lock changes */
    pthread_mutex_lock(&l->note_lock);
    bool none = l->witnessed.n == 0;
    buf_put(out, buf_slice(&l->witnessed));
    pthread_mutex_unlock(&l->note_lock);
    return none ? ERR_NOT_FOUND : out->failed;
}

enum err audit_checkpoint_for(const struct audit_log *log, uint64_t index, struct buf *out, bool *witnessed)
{
    struct audit_log *l = (struct audit_log *)(uintptr_t)log;
    *witnessed = index < atomic_load(&l->witnessed_size);
    return *witnessed ? audit_witnessed(l, out) : audit_checkpoint(l, out);
}

static enum err proof_put(const struct audit_log *l, uint64_t old, const struct note_checkpoint *cp, struct buf *out)
{
    struct proof_path path = { .n = 0 };
    struct sha256 root;
    struct prover *p = prover_folder(l->dir, cp->size);
    enum err e = p != NULL ? prove_root(p, &root) : ERR_NOMEM;
    if (e == ERR_OK && memcmp(&root, &cp->root, sizeof root) != 0)
        e = ERR_CORRUPT;
    if (e == ERR_OK)
        e = prove_consistency(p, old, &path);
    for (size_t i = 0; e == ERR_OK && i < path.n; i++) {
        base64_put(out, slice_make(path.hash[i].b, SHA256_LEN));
        buf_putc(out, '\n');
    }
    prover_free(p);
    return e;
}

enum err audit_add_checkpoint(const struct audit_log *l, uint64_t old, struct slice note, struct buf *out)
{
    struct note_checkpoint cp;
    enum err e = ERR_OK;
    if (!own_note(l, note, &cp) || old > cp.size)
        return ERR_INVALID;
    buf_printf(out, "old %llu\n", (unsigned long long)old);
    if (old > 0 && old < cp.size)
        e = proof_put(l, old, &cp, out);
    buf_putc(out, '\n');
    buf_put(out, note);
    return e == ERR_OK ? out->failed : e;
}
