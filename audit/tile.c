/* Writing, reading and deriving hash tiles. Invariant: in each level hash[stored..n) are what the tile `tile` holds
 * behind what is in the level's file. Failures are counted and forgotten:
 * tiles are a convenience, segments are the evidence. */
#include "audit/tile.h"
#include "audit/entries.h"
#include "audit/io.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

enum { TILE_GROUPS = 7 };

void audit_tile_path(const char *what, uint64_t tile, unsigned width, char out[AUDIT_TILE_PATH])
{
    unsigned group[TILE_GROUPS], n = 0; /* 2^53 / 256 needs five groups of three digits */
    do {
        group[n++] = (unsigned)(tile % 1000);
        tile /= 1000;
    } while (tile != 0 && n < TILE_GROUPS);
    int at = snprintf(out, AUDIT_TILE_PATH, "tile/%.8s", what);
    while (n-- > 0)
        at += snprintf(out + at, (size_t)(AUDIT_TILE_PATH - at), n > 0 ? "/x%03u" : "/%03u", group[n]);
    if (width < TILE_HASHES)
        snprintf(out + at, (size_t)(AUDIT_TILE_PATH - at), ".p/%u", width);
}

void tile_path(unsigned level, uint64_t tile, unsigned width, char out[TILE_PATH])
{
    char what[8];
    snprintf(what, sizeof what, "%u", level % 100);
    audit_tile_path(what, tile, width, out);
}

static bool name_number(struct slice text, uint64_t min, uint64_t max, uint64_t *ret)
{
    bool zeros = text.n > 1 && text.p[0] == '0';
    return !zeros && slice_u64(text, min, max, ret);
}

static bool name_width(struct slice *path, unsigned *ret)
{
    size_t n = path->n < 6 ? 0 : path->n - 6, at = n + slice_find(slice_sub(*path, n, 6), '.');
    uint64_t width;
    *ret = TILE_HASHES;
    if (at == path->n)
        return true;
    if (!slice_starts(slice_sub(*path, at, 3), SLICE(".p/")) ||
        !name_number(slice_sub(*path, at + 3, path->n), 1, TILE_HASHES - 1, &width))
        return false;
    *ret = (unsigned)width;
    path->n = at;
    return true;
}

static bool name_index(struct slice path, uint64_t *ret)
{
    uint64_t tile = 0, digits;
    for (unsigned n = 0; path.n > 0; n++) {
        bool inner = slice_find(path, '/') < path.n;
        struct slice group = slice_cut(&path, '/');
        if (inner && (group.p[0] != 'x' || path.n == 0))
            return false;
        group = slice_sub(group, inner ? 1 : 0, group.n);
        if (group.n != 3 || !slice_u64(group, 0, 999, &digits) || n == TILE_GROUPS - 1)
            return false;
        if (inner && n == 0 && digits == 0) /* one path for each tile */
            return false;
        tile = tile * 1000 + digits;
    }
    *ret = tile;
    return true;
}

bool tile_name_read(struct slice path, struct tile_name *ret)
{
    uint64_t level = 0;
    *ret = (struct tile_name){ .width = TILE_HASHES };
    if (!slice_is(slice_cut(&path, '/'), "tile"))
        return false;
    struct slice first = slice_cut(&path, '/');
    ret->entries = slice_is(first, "entries");
    if (!ret->entries && !name_number(first, 0, 63, &level))
        return false;
    ret->level = (unsigned)level;
    return path.n > 0 && name_width(&path, &ret->width) && path.n > 0 && name_index(path, &ret->tile);
}

bool audit_tile_known(struct slice path, bool entries)
{
    struct tile_name n;
    return tile_name_read(path, &n) && n.entries == entries;
}

unsigned tile_width(unsigned level, uint64_t tile, uint64_t size)
{
    uint64_t hashes = level < TILE_LEVELS ? size >> (MERKLE_TILE_BITS * level) : 0;
    if (tile >= (1ull << 53) / TILE_HASHES || hashes <= tile * TILE_HASHES)
        return 0;
    hashes -= tile * TILE_HASHES;
    return hashes < TILE_HASHES ? (unsigned)hashes : TILE_HASHES;
}

static bool level_path(const char *dir, unsigned level, char out[PATH_MAX])
{
    int n = snprintf(out, PATH_MAX, "%s/tile/%u.hashes", dir, level);
    return n > 0 && n < PATH_MAX;
}

/* What was never written, or lost by a power cut, are zeros: no hash is all zeros. */
static bool hashes_whole(const struct sha256 *hash, unsigned n)
{
    static const struct sha256 zeros;
    for (unsigned i = 0; i < n; i++)
        if (memcmp(&hash[i], &zeros, sizeof zeros) == 0)
            return false;
    return true;
}

static bool hashes_read(int fd, uint64_t at, unsigned n, struct sha256 *ret)
{
    size_t bytes = n * sizeof *ret;
    return pread(fd, ret, bytes, (off_t)(at * sizeof *ret)) == (ssize_t)bytes && hashes_whole(ret, n);
}

bool tile_read(const char *dir, unsigned level, uint64_t tile, unsigned width, struct sha256 ret[TILE_HASHES])
{
    char path[PATH_MAX];
    int fd = level_path(dir, level, path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return false;
    bool ok = hashes_read(fd, tile * TILE_HASHES, width, ret);
    close(fd);
    return ok;
}

/* ---- deriving ---- */
struct leaves {
    struct digest *g;
    struct sha256 *hash;
    unsigned n;
};

static bool leaf_take(void *arg, uint64_t index, struct slice line)
{
    struct leaves *x = arg;
    (void)index;
    x->hash[x->n++] = merkle_leaf(x->g, line);
    return true;
}

struct sha256 tile_fold(struct sha256 *hash, unsigned n, struct digest *g)
{
    for (; n > 1; n /= 2)
        for (unsigned i = 0; i < n / 2; i++)
            hash[i] = merkle_node(g, &hash[2 * i], &hash[2 * i + 1]);
    return hash[0];
}

/* At most TILE_LEVELS deep: each level asks the one below. */
static bool tile_derive(const char *dir, unsigned level, uint64_t tile, unsigned width, struct digest *g,
                        struct sha256 ret[TILE_HASHES])
{
    struct leaves x = { g, ret, 0 };
    uint64_t first = tile * TILE_HASHES;
    if (level == 0)
        return entries_each(dir, first, first + width, leaf_take, &x) == ERR_OK && x.n == width;
    struct sha256 *below = mem_alloc(TILE_BYTES);
    bool ok = below != NULL;
    for (unsigned i = 0; ok && i < width; i++) {
        ok = tile_get(dir, level - 1, first + i, TILE_HASHES, g, below);
        if (ok)
            ret[i] = tile_fold(below, TILE_HASHES, g);
    }
    mem_free(below);
    return ok;
}

bool tile_get(const char *dir, unsigned level, uint64_t tile, unsigned width, struct digest *g,
              struct sha256 ret[TILE_HASHES])
{
    return tile_read(dir, level, tile, width, ret) || tile_derive(dir, level, tile, width, g, ret);
}

/* ---- writing ---- */
static bool level_open(struct tiles *t, unsigned level)
{
    char path[PATH_MAX], folder[PATH_MAX];
    struct tile_level *v = &t->level[level];
    if (v->fd >= 0)
        return true;
    int n = snprintf(folder, sizeof folder, "%s/tile", t->dir);
    if (n <= 0 || n >= PATH_MAX || !level_path(t->dir, level, path) || dir_make(folder, 0700, NULL) != ERR_OK)
        return false;
    v->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return v->fd >= 0;
}

/* What the level's file does not have yet of its tile. */
static void level_store(struct tiles *t, unsigned level)
{
    struct tile_level *v = &t->level[level];
    struct sha256 old[TILE_HASHES];
    unsigned n = v->n - v->stored;
    uint64_t at = v->tile * TILE_HASHES + v->stored;
    const struct sha256 *from = v->hash + v->stored;
    if (n == 0)
        return;
    bool ok = level_open(t, level);
    if (ok && !(t->check && hashes_read(v->fd, at, n, old) && memcmp(old, from, n * sizeof *from) == 0))
        ok = pwrite(v->fd, from, n * sizeof *from, (off_t)(at * sizeof *from)) == (ssize_t)(n * sizeof *from);
    if (ok)
        v->stored = v->n;
    t->failed += !ok;
}

/* The edge of the tree holds, for each bit of n, the root of that many hashes of this tile. */
static bool edge_agrees(const struct merkle *m, unsigned level, const struct tile_level *v, struct digest *g)
{
    struct sha256 part[TILE_HASHES / 2];
    unsigned at = 0;
    for (unsigned bit = MERKLE_TILE_BITS; bit-- > 0;) {
        unsigned n = 1u << bit;
        if (!(v->n & n))
            continue;
        memcpy(part, v->hash + at, n * SHA256_LEN);
        struct sha256 root = tile_fold(part, n, g);
        if (memcmp(&root, &m->edge[MERKLE_TILE_BITS * level + bit], sizeof root) != 0)
            return false;
        at += n;
    }
    return true;
}

void tiles_init(struct tiles *t)
{
    for (unsigned l = 0; l < TILE_LEVELS; l++)
        t->level[l].fd = -1;
}

void tiles_done(struct tiles *t)
{
    for (unsigned l = 0; l < TILE_LEVELS; l++) {
        if (t->level[l].fd >= 0)
            close(t->level[l].fd);
    }
    tiles_init(t);
}

void tiles_begin(struct tiles *t, const char *dir, const struct merkle *tree, struct digest *g)
{
    t->dir = dir;
    t->check = false;
    t->failed = 0;
    for (unsigned l = 0; l < TILE_LEVELS; l++) {
        struct tile_level *v = &t->level[l];
        uint64_t hashes = tree->size >> (MERKLE_TILE_BITS * l);
        v->tile = hashes / TILE_HASHES;
        v->n = hashes % TILE_HASHES;
        bool there = v->n == 0 || (tile_read(dir, l, v->tile, v->n, v->hash) && edge_agrees(tree, l, v, g));
        bool made = !there && tile_derive(dir, l, v->tile, v->n, g, v->hash) && edge_agrees(tree, l, v, g);
        v->stored = made ? 0 : v->n;
    }
}

static void level_push(struct tiles *t, unsigned level, const struct sha256 *hash)
{
    struct tile_level *v = &t->level[level];
    v->hash[v->n++] = *hash;
    if (v->n < TILE_HASHES)
        return;
    level_store(t, level);
    v->tile++;
    v->n = v->stored = 0;
}

void tiles_push(struct tiles *t, const struct sha256 *done, unsigned n)
{
    for (unsigned l = 0; l < n; l++)
        level_push(t, l, &done[l]);
}

void tiles_store(struct tiles *t)
{
    for (unsigned l = 0; l < TILE_LEVELS; l++)
        level_store(t, l);
}

enum err tiles_sync(struct tiles *t)
{
    const struct audit_io *io = &audit_io_system;
    char folder[PATH_MAX];
    bool ok = snprintf(folder, sizeof folder, "%s/tile", t->dir) < PATH_MAX;
    for (unsigned l = 0; ok && l < TILE_LEVELS; l++) {
        const struct tile_level *v = &t->level[l];
        if (v->tile > 0 || v->n > 0)
            ok = level_open(t, l) && io->sync(io->self, v->fd) == 0;
    }
    ok = ok && io->sync_dir(io->self, folder) == 0 && io->sync_dir(io->self, t->dir) == 0;
    return ok ? ERR_OK : ERR_SYS;
}
