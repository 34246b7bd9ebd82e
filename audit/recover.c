/* Finding the end of a log: from the last segment whose head stands at or before the last checkpoint, each line is
 * checked, hashed and counted; the tree must pass through the checkpoint's root; what stands broken behind the last
 * good record is a write that never finished, and is cut. Invariants: a record below the checkpoint that is missing or
 * altered is never cut away but reported; nothing found here is trusted to be on the disk until it was written and
 * synced again (pages after a failed fsync look clean). */
#include "audit/log.h"
#include "audit/logscan.h"
#include "audit/note.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

struct recovery {
    struct audit_log *l;
    struct diags *d;
    struct segment_list list;
    struct note_checkpoint cp;
    bool has_cp, at_cp; /* at_cp: the tree passed through the checkpoint's root */
    bool at_seal;       /* and through what the notary signed last */
    uint64_t head_open, head_total, rewrite_from;
    size_t segment;         /* place in list */
    uint64_t first, offset; /* of the segment being read */
};

static enum err corrupt(struct recovery *r, const char *en, const char *zh)
{
    /* Both formats take the same arguments; "%.0s" passes over the text of the other language. */
    return diag_add(
        r->d, ERR_CORRUPT, 0, 0,
        "log %s, record %llu: %s%.0s; run `sluice audit verify`, then restore state, keys and log together "
        "from the last backup",
        "存证日志 %s，第 %llu 条记录：%.0s%s；请先运行 sluice audit verify，再从最近的备份一并恢复状态、密钥与日志",
        r->l->dir, (unsigned long long)r->l->tree.size, en, zh);
}

static enum err checkpoint_load(struct recovery *r, struct buf *note)
{
    char path[PATH_MAX];
    enum err e = log_path(r->l, "checkpoint", path);
    if (e == ERR_OK)
        e = file_read(path, note, NULL);
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    if (e != ERR_OK)
        return diag_sys(r->d, errno, "cannot read %s", "无法读取 %s", path);
    if (note_read(buf_slice(note), &r->cp) != ERR_OK ||
        !note_verify(&r->cp, slice_of(r->l->origin), r->l->c.signer.public_key))
        return diag_add(
            r->d, ERR_CORRUPT, 0, 0,
            "%s is damaged or signed by another key; restore state, keys and log together from the last backup",
            "%s 已损坏或由其他密钥签名；请从最近的备份一并恢复状态、密钥与日志", path);
    r->has_cp = true;
    return ERR_OK;
}

/* The same for what the notary signed last: a key that is kept apart, with a memory of its own. */
static enum err seal_pass(struct recovery *r)
{
    struct audit_log *l = r->l;
    const struct audit_notary *o = &l->c.notary;
    if (o->size == 0 || l->tree.size != o->size)
        return ERR_OK;
    struct sha256 root = merkle_root(&l->tree, l->digest);
    if (memcmp(&root, &o->root, sizeof root) != 0)
        return corrupt(r, "the records before it are not those that the log's key signed last",
                       "之前的记录不是日志密钥最近签名的记录");
    r->at_seal = true;
    merkle_growth_begin(&l->growth, &l->tree);
    return ERR_OK;
}

/* Does the tree, at the checkpoint's size, have the checkpoint's root? Called whenever the tree may be there. */
static enum err checkpoint_pass(struct recovery *r)
{
    struct audit_log *l = r->l;
    enum err e = seal_pass(r);
    if (e != ERR_OK)
        return e;
    if (!r->has_cp || l->tree.size != r->cp.size)
        return ERR_OK;
    struct sha256 root = merkle_root(&l->tree, l->digest);
    if (memcmp(&root, &r->cp.root, sizeof root) != 0)
        return corrupt(r, "the records before it do not have the root of the last checkpoint",
                       "之前的记录与最近检查点的根不符");
    r->at_cp = true;
    r->rewrite_from = r->offset;
    return ERR_OK;
}

static enum err line_head(struct recovery *r, struct slice line)
{
    struct audit_log *l = r->l;
    if (!head_is_first(line))
        return head_open(line, &l->open, &r->head_open);
    struct head h;
    enum err e = head_read(line, l->tree.size, &h);
    struct sha256 root = merkle_root(&l->tree, l->digest);
    if (e != ERR_OK || memcmp(&root, &h.root, sizeof root) != 0)
        return corrupt(r, "the segment's head does not continue the records before it", "段首记录与之前的记录不衔接");
    if (!slice_eq(h.origin, slice_of(l->origin)))
        return corrupt(r, "the segment belongs to another log", "该段属于另一存证日志");
    openset_done(&l->open);
    l->act = h.act;
    r->head_open = 0;
    r->head_total = h.open_total;
    return head_open(line, &l->open, &r->head_open);
}

/* What one good record means for the state of the log. */
static enum err line_take(struct recovery *r, struct slice line)
{
    struct audit_log *l = r->l;
    enum audit_kind kind;
    struct uuid exchange;
    uint32_t part;
    uint64_t bytes = 0, act;
    enum err e = openset_reserve(&l->open, 1);
    if (e != ERR_OK)
        return e;
    if (!logline_kind(line, &kind))
        return corrupt(r, "unknown kind of record: written by a newer program", "未知的记录种类：由更新版本的程序写入");
    if (kind == AUDIT_SEGMENT)
        e = line_head(r, line);
    else if (kind == AUDIT_ACT && logline_u64(line, "act", &act))
        l->act = act;
    else if (kind <= AUDIT_CUT && kind != AUDIT_REFUSED && logline_exchange(line, &exchange, &part)) {
        if (kind == AUDIT_PROGRESS)
            (void)logline_u64(line, "bytes_out", &bytes);
        openset_apply(&l->open, kind, exchange, part, bytes);
    }
    if (e != ERR_OK)
        return e;
    struct sha256 done[TILE_LEVELS], leaf = merkle_leaf(l->digest, line);
    tiles_push(&l->tiles, done, merkle_push_noting(&l->tree, l->digest, &leaf, &l->growth, done));
    return ERR_OK;
}

/* Reads records up to `limit`, or to the first broken one, whose offset is left in r->offset. */
static enum err segment_take(struct recovery *r, const char *path, uint64_t limit)
{
    struct logscan s;
    struct slice line;
    uint64_t index, offset;
    enum logscan_state state = LOGSCAN_END;
    enum err e = logscan_open(&s, path, 0);
    if (e != ERR_OK)
        return diag_sys(r->d, s.sys, "cannot open %s", "无法打开 %s", path);
    r->offset = 0;
    while (e == ERR_OK && r->l->tree.size < limit) {
        state = logscan_next(&s, &line, &offset);
        if (state != LOGSCAN_LINE || !logline_check(line, &index) || index != r->l->tree.size)
            break;
        e = line_take(r, line);
        r->offset = offset + line.n + 1;
        if (e == ERR_OK)
            e = checkpoint_pass(r);
    }
    if (e == ERR_OK && state == LOGSCAN_FAILED)
        e = diag_sys(r->d, s.sys, "cannot read %s", "无法读取 %s", path);
    logscan_close(&s);
    return e;
}

/* A segment whose head is not whole was never published from; its name may be durable without its contents. */
static enum err head_whole(const char *path, uint64_t first, bool *ret)
{
    struct logscan s;
    struct openset open = { 0 };
    struct head h = { 0 };
    struct slice line;
    uint64_t index, offset, count = 0, want = first;
    enum err e = logscan_open(&s, path, 0);
    *ret = false;
    while (e == ERR_OK && logscan_next(&s, &line, &offset) == LOGSCAN_LINE && logline_check(line, &index) &&
           index == want) {
        if (want++ == first && head_read(line, index, &h) != ERR_OK)
            break;
        e = head_open(line, &open, &count);
        *ret = e == ERR_OK && count == h.open_total;
        if (*ret)
            break;
    }
    openset_done(&open);
    logscan_close(&s);
    return e == ERR_CORRUPT ? ERR_OK : e;
}

/* Kept beside the log under a name that no reader takes for a segment. */
static int unborn_aside(const char *path)
{
    char aside[PATH_MAX + 8];
    snprintf(aside, sizeof aside, "%s.torn", path);
    return rename(path, aside);
}

static enum err drop_unborn(struct recovery *r)
{
    while (r->list.n > 0) {
        char path[PATH_MAX];
        bool whole;
        uint64_t first = r->list.first[r->list.n - 1];
        enum err e = segment_path(r->l->dir, first, path, sizeof path);
        if (e == ERR_OK)
            e = head_whole(path, first, &whole);
        if (e != ERR_OK)
            return diag_add(r->d, e, 0, 0, "cannot read %s", "无法读取 %s", path);
        if (whole || (r->has_cp && r->cp.size > first))
            return ERR_OK;
        if (unborn_aside(path) != 0)
            return diag_sys(r->d, errno, "cannot rename %s", "无法重命名 %s", path);
        r->list.n--;
    }
    return ERR_OK;
}

/* The last segment that begins on a tile, at or before the tile of the checkpoint and of what the notary signed last.
 */
static size_t start_segment(const struct recovery *r)
{
    const struct audit_notary *o = &r->l->c.notary;
    uint64_t size = r->has_cp && o->size > 0 && o->size < r->cp.size ? o->size : r->cp.size;
    uint64_t reach = r->has_cp ? size & ~(uint64_t)(TILE_HASHES - 1) : 0;
    for (size_t i = r->list.n; i-- > 0;) {
        if (r->list.first[i] <= reach && r->list.first[i] % TILE_HASHES == 0)
            return i;
    }
    return 0;
}

static enum err start_tree(struct recovery *r, const char *path, uint64_t first)
{
    struct audit_log *l = r->l;
    struct logscan s;
    struct slice line;
    struct head h;
    uint64_t index, offset;
    if (first == 0)
        return ERR_OK;
    enum err e = logscan_open(&s, path, 0);
    l->tree.size = first;
    if (e == ERR_OK && (logscan_next(&s, &line, &offset) != LOGSCAN_LINE || !logline_check(line, &index) ||
                        index != first || head_read(line, index, &h) != ERR_OK))
        e = corrupt(r, "the segment's head cannot be read", "段首记录无法读取");
    if (e == ERR_OK)
        l->tree = h.tree;
    logscan_close(&s);
    return e;
}

/* Written again, so that the next fdatasync really carries it: the kernel forgets pages that once failed to be written.
 * Its name, too: the process that made it may have ended before it was durable, and what is here is signed next. */
static enum err tail_rewrite(struct recovery *r)
{
    struct audit_log *l = r->l;
    char *mem = mem_alloc(LOGSCAN_BUFFER);
    enum err e = mem == NULL ? ERR_NOMEM : ERR_OK;
    for (uint64_t at = r->rewrite_from; e == ERR_OK && at < r->offset;) {
        size_t want = r->offset - at < LOGSCAN_BUFFER ? (size_t)(r->offset - at) : LOGSCAN_BUFFER;
        ssize_t n = pread(l->seg.fd, mem, want, (off_t)at);
        if (n <= 0 || audit_io_write_all(l->io, l->seg.fd, slice_make(mem, (size_t)n), (off_t)at) != 0)
            e = ERR_SYS;
        else
            at += (uint64_t)n;
    }
    mem_free(mem);
    if (e == ERR_OK && (l->io->sync(l->io->self, l->seg.fd) != 0 || l->io->sync_dir(l->io->self, l->dir) != 0))
        e = ERR_SYS;
    return e == ERR_SYS ? diag_sys(r->d, errno, "cannot write %s", "无法写入 %s", l->seg.path) : e;
}

/* Bytes from `from` to the last one that is not zero: zeros are space that was never used. */
static uint64_t torn_bytes(int fd, uint64_t from)
{
    char mem[1 << 14];
    uint64_t at = from, last = from;
    for (ssize_t n; (n = pread(fd, mem, sizeof mem, (off_t)at)) > 0; at += (uint64_t)n) {
        for (ssize_t i = 0; i < n; i++) {
            if (mem[i] != 0)
                last = at + (uint64_t)i + 1;
        }
    }
    return last - from;
}

/* The last segment becomes the one to write to; what is broken behind r->offset is cut. */
static enum err tail_take(struct recovery *r)
{
    struct audit_log *l = r->l;
    struct segment *g = &l->seg;
    g->fd = l->io->open(l->io->self, g->path);
    if (g->fd < 0)
        return diag_sys(r->d, errno, "cannot open %s", "无法打开 %s", g->path);
    off_t size = lseek(g->fd, 0, SEEK_END);
    g->first = r->first;
    g->end = r->offset;
    g->fresh = false; /* tail_rewrite sees to its name */
    g->filled = r->offset;
    g->settled = r->offset;
    g->short_at = UINT64_MAX;
    g->fill = r->offset < l->c.segment_bytes ? SEGMENT_FILL_MIN : 0;
    if (size > (off_t)r->offset) {
        l->torn_bytes = torn_bytes(g->fd, r->offset);
        if (l->io->truncate(l->io->self, g->fd, (off_t)r->offset) != 0)
            return diag_sys(r->d, errno, "cannot cut %s", "无法截断 %s", g->path);
    }
    return tail_rewrite(r);
}

static enum err recover_segments(struct recovery *r)
{
    struct audit_log *l = r->l;
    enum err e = ERR_OK;
    for (size_t start = start_segment(r), i = start; e == ERR_OK && i < r->list.n; i++) {
        bool last = i + 1 == r->list.n;
        r->first = r->list.first[i];
        r->rewrite_from = 0;
        e = segment_path(l->dir, r->first, l->seg.path, sizeof l->seg.path);
        if (e == ERR_OK && i == start) {
            e = start_tree(r, l->seg.path, r->first);
            tiles_begin(&l->tiles, l->dir, &l->tree, l->digest);
            l->tiles.check = true;
        }
        r->offset = 0;
        if (e == ERR_OK)
            e = checkpoint_pass(r);
        if (e == ERR_OK && l->tree.size != r->first)
            e = corrupt(r, "the next segment does not begin here", "下一段并非由此开始");
        if (e == ERR_OK)
            e = segment_take(r, l->seg.path, last ? UINT64_MAX : r->list.first[i + 1]);
        if (e == ERR_OK && !last && l->tree.size != r->list.first[i + 1])
            e = corrupt(r, "it is damaged or missing", "该记录已损坏或缺失");
    }
    l->tiles.check = false;
    return e;
}

static enum err recover_found(struct recovery *r)
{
    struct audit_log *l = r->l;
    enum err e = recover_segments(r);
    if (e != ERR_OK)
        return e;
    if (r->has_cp && !r->at_cp)
        return corrupt(r, "the log ends before its own last checkpoint, or is damaged there",
                       "日志短于其最近的检查点，或在此处损坏");
    if (l->c.notary.size > 0 && !r->at_seal)
        return corrupt(r, "the log ends before what its own key signed last: it was cut, or is an older copy",
                       "日志短于其密钥最近签名的大小：日志被截短，或是较旧的副本");
    if (!r->has_cp && l->tree.size > 1)
        return corrupt(r, "the checkpoint file is missing", "检查点文件缺失");
    e = tail_take(r);
    l->next = l->tree.size;
    return e;
}

enum err recover_log(struct audit_log *l, struct diags *d)
{
    struct recovery r = { .l = l, .d = d };
    struct buf note = BUF_INIT(NOTE_MAX);
    enum err e = checkpoint_load(&r, &note);
    if (e == ERR_OK)
        e = segment_list_read(l->dir, &r.list, d);
    if (e == ERR_OK)
        e = drop_unborn(&r);
    if (e == ERR_OK && r.list.n > 0)
        e = recover_found(&r);
    else if (e == ERR_OK && r.has_cp)
        e = corrupt(&r, "the log ends before its own last checkpoint", "日志短于其最近的检查点");
    else if (e == ERR_OK && l->c.notary.size > 0)
        e = corrupt(&r, "the log is gone, and its key has signed it before", "日志不见了，而其密钥曾为它签名");
    else if (e == ERR_OK)
        tiles_begin(&l->tiles, l->dir, &l->tree, l->digest);
    segment_list_done(&r.list);
    buf_done(&note);
    return e;
}
