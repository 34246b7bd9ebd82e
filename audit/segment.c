/* The segment that is being written. Files are named by their first index; the one that begins later wins from there,
 * so what stands behind a failed fsync is void as soon as the next segment is durable. Invariants: `end` bytes of the
 * file are durable; a new file's name is durable before anything in it is published. */
#include "audit/log.h"
#include "audit/logscan.h"
#include <errno.h>
#include <unistd.h>

enum { ENTRIES_ALIGN = 256 };

enum err log_sys(int sys)
{
    return sys == ENOSPC || sys == EDQUOT || sys == EFBIG ? ERR_FULL : ERR_SYS;
}

static void segment_close(struct segment *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    s->end = s->filled = 0;
}

/* What is behind `end` goes; for readers it is void in any case. */
static int segment_cut(struct audit_log *l)
{
    l->seg.filled = l->seg.end;
    return l->io->truncate(l->io->self, l->seg.fd, (off_t)l->seg.end);
}

void segment_finish(struct audit_log *l)
{
    if (l->seg.fd >= 0 && l->seg.filled > l->seg.end)
        (void)!segment_cut(l);
    segment_close(&l->seg);
}

void segment_fill(struct audit_log *l)
{
    static const char zeros[SEGMENT_FILL_MIN];
    struct segment *g = &l->seg;
    if (!atomic_load_explicit(&l->available, memory_order_relaxed) || g->fd < 0 || g->fill == 0 ||
        g->filled >= g->end + g->fill / 2 || g->end >= l->c.segment_bytes)
        return;
    for (uint64_t to = g->end + g->fill; g->filled < to; g->filled += SEGMENT_FILL_MIN) {
        if (audit_io_write_all(l->io, g->fd, slice_make(zeros, SEGMENT_FILL_MIN), (off_t)g->filled) != 0) {
            g->fill = 0;
            (void)!segment_cut(l);
            return;
        }
    }
    if (g->fill < SEGMENT_FILL_MAX)
        g->fill *= 2;
}

static enum err segment_create(struct audit_log *l)
{
    char path[PATH_MAX];
    const struct audit_io *io = l->io;
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
    segment_finish(l);
    l->seg.fd = fd;
    l->seg.fill = SEGMENT_FILL_MIN;
    l->seg.first = l->next;
    l->seg.fresh = true;
    memcpy(l->seg.path, path, sizeof path);
    return ERR_OK;
}

static enum err head_add(struct audit_log *l)
{
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

/* Nothing behind `end` can be trusted any more. Cutting it off is a courtesy to readers, not a need. */
void segment_abandon(struct audit_log *l)
{
    if (l->seg.fd >= 0)
        (void)!segment_cut(l);
    segment_close(&l->seg);
}

enum err segment_write(struct audit_log *l, struct slice s)
{
    const struct audit_io *io = l->io;
    struct segment *g = &l->seg;
    if (audit_io_write_all(io, g->fd, s, (off_t)g->end) != 0) {
        enum err e = log_sys(errno);
        if (e != ERR_FULL || segment_cut(l) != 0)
            segment_abandon(l);
        return e;
    }
    if (io->sync(io->self, g->fd) != 0 || (g->fresh && io->sync_dir(io->self, l->dir) != 0)) {
        enum err e = log_sys(errno);
        segment_abandon(l);
        return e;
    }
    g->fresh = false;
    g->end += s.n;
    if (g->filled < g->end)
        g->filled = g->end;
    return ERR_OK;
}
