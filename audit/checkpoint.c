/* Signed checkpoints: made from durable records only, durable in <dir>/checkpoint before anybody is shown one. */
#include "audit/log.h"
#include "audit/note.h"
#include <stdio.h>

enum err log_path(const struct audit_log *l, const char *name, char out[PATH_MAX])
{
    int n = snprintf(out, PATH_MAX, "%s/%s", l->dir, name);
    return n > 0 && n < PATH_MAX ? ERR_OK : ERR_TOO_LARGE;
}

enum err checkpoint_make(struct audit_log *l)
{
    char path[PATH_MAX];
    struct buf note = BUF_INIT(NOTE_MAX);
    struct sha256 root = merkle_root(&l->tree, l->digest);
    tiles_partial(&l->tiles);
    enum err e = note_sign(slice_of(l->origin), l->tree.size, &root, &l->c.signer, &note);
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
        merkle_growth_begin(&l->growth, &l->tree);
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
