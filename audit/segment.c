/* The segment that is being written. Files are named by their first index; the one that begins later wins from there,
 * so what stands behind a failed fsync is void as soon as the next segment is durable. Invariants: `end` bytes of the
 * file are durable; a new file's name is durable before anything in it is published.
 *
 *   end <= settled <= filled    where nothing fails; zeros from `end` on
 *
 * Below `settled` size and blocks are durable too, so that a commit there is one call (RWF_DSYNC) and no lock. Whatever
 * writes behind it, changes the file's size or the file itself holds the lock: zeros never meet records. Nobody but the
 * writer syncs the file: the kernel tells of a failure once, and it must be the writer that hears of it. */
#include "audit/log.h"
#include "audit/logscan.h"
#include "audit/thread.h"
#include <errno.h>
#include <unistd.h>

enum { ENTRIES_ALIGN = 256, FILL_AT_ONCE = 256 << 10 };

enum err log_sys(int sys)
{
    return sys == ENOSPC || sys == EDQUOT || sys == EFBIG ? ERR_FULL : ERR_SYS;
}

/* ---- with the lock held ---- */
static void close_held(struct segment *g)
{
    if (g->fd >= 0)
        close(g->fd);
    g->fd = -1;
    g->end = g->settled = g->filled = 0;
}

/* What is behind `at` goes; for readers it is void in any case. */
static int cut_held(struct audit_log *l, uint64_t at)
{
    l->seg.settled = l->seg.filled = at;
    return l->io->truncate(l->io->self, l->seg.fd, (off_t)at);
}

static void finish_held(struct audit_log *l)
{
    if (l->seg.fd >= 0 && l->seg.filled > l->seg.end)
        (void)!cut_held(l, l->seg.end);
    close_held(&l->seg);
}

/* Nothing behind `end` can be trusted any more. Cutting it off is a courtesy to readers, not a need. */
static void abandon_held(struct audit_log *l)
{
    if (l->seg.fd >= 0)
        (void)!cut_held(l, l->seg.end);
    close_held(&l->seg);
}

static bool fill_due(const struct audit_log *l)
{
    const struct segment *g = &l->seg;
    return atomic_load_explicit(&l->available, memory_order_relaxed) && g->fill > 0 &&
           g->filled < g->end + g->fill / 4 && g->end < l->c.segment_bytes;
}

/* A piece more, up to `to`. False: there is nothing more to do, or it failed. */
static bool fill_held(struct audit_log *l, uint64_t to)
{
    struct segment *g = &l->seg;
    uint64_t from = g->filled, n = from < to ? to - from : 0;
    if (n > FILL_AT_ONCE)
        n = FILL_AT_ONCE;
    if (n > 0 && l->io->fill(l->io->self, g->fd, (off_t)from, n) != 0) {
        g->fill = 0;
        (void)!cut_held(l, g->settled); /* a commit may be under way below it */
        return false;
    }
    g->filled = from + n;
    return g->filled < to;
}

static enum err write_held(struct audit_log *l, struct slice s)
{
    const struct audit_io *io = l->io;
    struct segment *g = &l->seg;
    if (audit_io_write_all(io, g->fd, s, (off_t)g->end) != 0) {
        enum err e = log_sys(errno);
        if (e != ERR_FULL || cut_held(l, g->end) != 0)
            abandon_held(l);
        return e;
    }
    if (io->sync(io->self, g->fd) != 0 || (g->fresh && io->sync_dir(io->self, l->dir) != 0)) {
        enum err e = log_sys(errno);
        abandon_held(l);
        return e;
    }
    g->fresh = false;
    g->end += s.n;
    if (g->filled < g->end)
        g->filled = g->end;
    g->settled = g->filled; /* the sync was of all the file */
    return ERR_OK;
}

/* ---- taking it ---- */
void segment_finish(struct audit_log *l)
{
    pthread_mutex_lock(&l->seg.lock);
    finish_held(l);
    pthread_mutex_unlock(&l->seg.lock);
}

bool segment_short(struct audit_log *l)
{
    struct segment *g = &l->seg;
    if (g->filled == g->short_at || !fill_due(l))
        return false;
    g->short_at = g->filled; /* once, until something comes of it */
    return true;
}

/* The writer may want the lock, and exchanges the processor, so both are given up between two pieces. */
void segment_fill(struct audit_log *l)
{
    struct segment *g = &l->seg;
    if (!fill_due(l))
        return;
    pthread_mutex_lock(&g->lock);
    uint64_t first = g->first, to = g->end + g->fill;
    bool due = g->fd >= 0 && fill_due(l);
    if (due && g->fill < SEGMENT_FILL_MAX)
        g->fill *= 2; /* the next time */
    while (due && fill_held(l, to)) {
        pthread_mutex_unlock(&g->lock);
        thread_give_way();
        pthread_mutex_lock(&g->lock);
        due = g->fd >= 0 && g->first == first;
    }
    pthread_mutex_unlock(&g->lock);
}

static enum err segment_create(struct audit_log *l)
{
    char path[PATH_MAX];
    const struct audit_io *io = l->io;
    struct segment *g = &l->seg;
    enum err e = segment_path(l->dir, l->next, path, sizeof path);
    if (e != ERR_OK)
        return e;
    int fd = io->create(io->self, path);
    if (fd < 0 && errno == EEXIST) {
        /* Its first record never became durable, or `next` would be behind it. */
        io->unlink(io->self, path);
        fd = io->create(io->self, path);
    }
    if (fd < 0)
        return log_sys(errno);
    pthread_mutex_lock(&g->lock);
    finish_held(l);
    g->fd = fd;
    g->fill = SEGMENT_FILL_MIN;
    g->short_at = UINT64_MAX;
    g->first = l->next;
    g->fresh = true;
    memcpy(g->path, path, sizeof path);
    pthread_mutex_unlock(&g->lock);
    return ERR_OK;
}

static enum err head_add(struct audit_log *l)
{
    after_settle(l); /* the tree is at `next` then */
    struct head h = { .origin = slice_of(l->origin),
                      .epoch = l->c.epoch,
                      .act = l->act,
                      .tree = l->tree,
                      .root = merkle_root(&l->tree, l->digest),
                      .at = clock_wall_ms() };
    static const struct batch_item facts = { .kind = AUDIT_SEGMENT };
    char line[AUDIT_RECORD_MAX];
    unsigned part = 0;
    size_t slot = 0, n;
    while ((n = head_render(&h, &l->open, &part, &slot, line)) > 0) {
        enum err e = batch_line(l, slice_make(line, n), &facts);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

bool segment_full_after(const struct audit_log *l, uint64_t bytes, uint64_t lines)
{
    return l->seg.end + bytes >= l->c.segment_bytes && (l->next + lines) % ENTRIES_ALIGN == 0;
}

enum err segment_ready(struct audit_log *l)
{
    enum err e = ERR_OK;
    if (l->seg.fd < 0 || (l->seg.end > 0 && segment_full_after(l, 0, 0)))
        e = segment_create(l);
    if (e == ERR_OK && l->seg.end == 0)
        e = head_add(l);
    return e;
}

static enum err write_behind(struct audit_log *l, struct slice s)
{
    pthread_mutex_lock(&l->seg.lock);
    enum err e = write_held(l, s);
    pthread_mutex_unlock(&l->seg.lock);
    return e;
}

enum err segment_write(struct audit_log *l, struct slice s)
{
    struct segment *g = &l->seg;
    if (g->end + s.n > g->settled)
        return write_behind(l, s);
    if (audit_io_write_durable(l->io, g->fd, s, (off_t)g->end) == 0) {
        g->end += s.n;
        return ERR_OK;
    }
    enum err e = log_sys(errno);
    pthread_mutex_lock(&g->lock);
    abandon_held(l);
    pthread_mutex_unlock(&g->lock);
    return e;
}
