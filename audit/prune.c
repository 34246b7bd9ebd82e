/* The front goes: read twice more first, then removed, oldest segment first, so that a crash in between leaves a prefix
 * cut off and nothing else. Invariant of the reading: no tile is written before all records were found to be those that
 * the log goes on from, for tiles are what tells an altered record. */
#include "audit/entries.h"
#include "audit/head.h"
#include "audit/index.h"
#include "audit/retention.h"
#include "audit/tile.h"
#include <errno.h>
#include <unistd.h>

struct leaving {
    const char *dir;
    const _Atomic bool *stop;
    struct digest *g;
    struct merkle tree;
    bool storing; /* the second time: the tiles */
    struct tiles tiles;
    int64_t exchange_at, other_at; /* the newest */
};

/* The tree before the record that opens a segment, as its head has it. */
static enum err tree_before(const char *dir, uint64_t index, struct merkle *ret)
{
    struct buf line = BUF_INIT(AUDIT_RECORD_MAX);
    struct head h = { 0 };
    enum err e = index > 0 ? entries_line(dir, index, &line) : ERR_OK;
    if (e == ERR_OK && index > 0)
        e = head_read(buf_slice(&line), index, &h);
    *ret = h.tree;
    buf_done(&line);
    return e;
}

static bool leave(void *arg, uint64_t index, struct slice line)
{
    struct leaving *x = arg;
    struct sha256 leaf = merkle_leaf(x->g, line), done[TILE_LEVELS];
    enum audit_kind kind;
    int64_t at;
    (void)index;
    unsigned n = merkle_push_noting(&x->tree, x->g, &leaf, NULL, done);
    if (x->storing)
        tiles_push(&x->tiles, done, n);
    if (logline_kind(line, &kind) && kind != AUDIT_SEGMENT && logline_at(line, &at)) {
        int64_t *newest = kind <= AUDIT_CUT ? &x->exchange_at : &x->other_at;
        *newest = at > *newest ? at : *newest;
    }
    return !atomic_load_explicit(x->stop, memory_order_relaxed);
}

static enum err read_all(struct leaving *x, const struct audit_prunable *p)
{
    enum err e = tree_before(x->dir, p->first, &x->tree);
    if (e == ERR_OK && x->storing) {
        tiles_begin(&x->tiles, x->dir, &x->tree, x->g);
        x->tiles.check = true;
    }
    if (e == ERR_OK)
        e = entries_each(x->dir, p->first, p->before, leave, x);
    return e == ERR_OK && atomic_load(x->stop) ? ERR_AGAIN : e;
}

static enum err judge(struct leaving *x, const struct audit_prunable *p)
{
    struct merkle head;
    enum err e = tree_before(x->dir, p->before, &head);
    if (e != ERR_OK)
        return e;
    struct sha256 made = merkle_root(&x->tree, x->g), said = merkle_root(&head, x->g);
    if (x->tree.size != head.size || memcmp(&made, &said, sizeof made) != 0)
        return ERR_CORRUPT;
    return x->exchange_at > p->exchange_at || x->other_at > p->other_at ? ERR_CONFLICT : ERR_OK;
}

static enum err store(struct leaving *x, const struct audit_prunable *p)
{
    x->storing = true;
    enum err e = read_all(x, p);
    if (e != ERR_OK)
        return e;
    tiles_store(&x->tiles);
    return x->tiles.failed > 0 ? ERR_SYS : tiles_sync(&x->tiles);
}

static enum err ready_say(struct diags *d, enum err e)
{
    if (e == ERR_CONFLICT)
        return diag_add(d, e, 0, 0, "the records have other times than the search index says",
                        "记录的时间与检索索引所载不符");
    if (e == ERR_CORRUPT)
        return diag_add(d, e, 0, 0, "its records are not those that the next segment's head has the tree of",
                        "其记录与下一段段首所载的哈希树不符");
    return e == ERR_OK || e == ERR_AGAIN
               ? e
               : diag_add(d, e, 0, 0, "its records cannot be read, or their hash tiles not be stored",
                          "无法读取其记录，或无法保存其哈希块");
}

enum err audit_prune_ready(struct audit_index *x, const struct audit_prunable *p, const _Atomic bool *stop,
                           struct diags *d)
{
    enum err e = index_times(x, stop); /* of what remains, too: what the log has lived since speaks for its age */
    if (e != ERR_OK)
        return ready_say(d, e);
    struct leaving *l = mem_zalloc(sizeof *l);
    if (l == NULL)
        return ERR_NOMEM;
    *l = (struct leaving){ .dir = x->dir, .stop = stop, .g = digest_new() };
    tiles_init(&l->tiles);
    e = l->g != NULL ? read_all(l, p) : ERR_NOMEM;
    if (e == ERR_OK)
        e = judge(l, p);
    if (e == ERR_OK)
        e = store(l, p);
    tiles_done(&l->tiles);
    digest_free(l->g);
    mem_free(l);
    return ready_say(d, e);
}

/* ---- removal ---- */
/* Lock held. */
static void parts_remove(struct audit_index *x, uint64_t before)
{
    char path[PATH_MAX];
    size_t n = 0;
    while (n < x->n_parts && x->parts[n]->h.first < before) {
        struct part *p = x->parts[n++];
        if (index_part_path(x, p->h.first, path) == ERR_OK)
            unlink(path);
        x->bytes -= p->map_n;
        part_unref(p);
    }
    memmove(x->parts, x->parts + n, (x->n_parts - n) * sizeof(struct part *));
    x->n_parts -= n;
    x->first = before > x->first ? before : x->first;
}

/* The segment that ends before record `next`, and its parts of the index, under one lock: no question begins with what
 * is gone. What cannot be removed stays in the index, so that it can be asked for, held, and removed at a later look.
 */
static enum err segment_remove(struct audit_index *x, uint64_t first, uint64_t next, struct diags *d)
{
    char path[PATH_MAX];
    enum err e = segment_path(x->dir, first, path, sizeof path);
    if (e != ERR_OK)
        return e;
    pthread_mutex_lock(&x->lock);
    int sys = unlink(path) == 0 ? 0 : errno;
    if (sys == 0)
        parts_remove(x, next);
    pthread_mutex_unlock(&x->lock);
    return sys == 0 ? ERR_OK : diag_sys(d, sys, "cannot remove %s", "无法删除 %s", path);
}

enum err audit_prune(struct audit_index *x, uint64_t before, struct diags *d)
{
    struct segment_list l;
    enum err e = segment_list_read(x->dir, &l, d);
    if (e != ERR_OK)
        return e;
    bool boundary = false;
    for (size_t i = 0; i < l.n; i++)
        boundary = boundary || l.first[i] == before;
    if (!boundary) {
        segment_list_done(&l);
        return diag_add(d, ERR_INVALID, 0, 0, "no segment begins at record %llu", "没有以第 %llu 条记录开始的日志段",
                        (unsigned long long)before);
    }
    for (size_t i = 0; e == ERR_OK && i + 1 < l.n && l.first[i] < before; i++)
        e = segment_remove(x, l.first[i], l.first[i + 1], d);
    segment_list_done(&l);
    return e;
}
