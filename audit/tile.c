/* Writing and reading level-0 tiles. Invariant: hash[0..n) are the leaves [tile * 256, tile * 256 + n). Failures are
 * counted and forgotten: tiles are a convenience, segments are the evidence. */
#include "audit/tile.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

void tile_path(uint64_t tile, unsigned width, char out[TILE_PATH])
{
    unsigned group[7], n = 0; /* 2^53 / 256 needs five groups of three digits */
    do {
        group[n++] = (unsigned)(tile % 1000);
        tile /= 1000;
    } while (tile != 0 && n < 7);
    int at = snprintf(out, TILE_PATH, "tile/0");
    while (n-- > 0)
        at += snprintf(out + at, (size_t)(TILE_PATH - at), n > 0 ? "/x%03u" : "/%03u", group[n]);
    if (width < TILE_HASHES)
        snprintf(out + at, (size_t)(TILE_PATH - at), ".p/%u", width);
}

static bool full_path(const char *dir, uint64_t tile, unsigned width, char out[PATH_MAX])
{
    char name[TILE_PATH];
    tile_path(tile, width, name);
    int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);
    return n > 0 && n < PATH_MAX;
}

bool tile_read(const char *dir, uint64_t tile, unsigned width, struct sha256 ret[TILE_HASHES])
{
    char path[PATH_MAX];
    for (int full = 0; full < 2; full++) {
        if (!full_path(dir, tile, full ? TILE_HASHES : width, path))
            return false;
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        ssize_t n = read(fd, ret, TILE_BYTES);
        close(fd);
        if (n >= (ssize_t)(width * SHA256_LEN))
            return true;
    }
    return false;
}

static bool tile_write(const char *path, const void *p, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 && errno == ENOENT) {
        char folder[PATH_MAX];
        snprintf(folder, sizeof folder, "%s", path);
        char *slash = strrchr(folder, '/');
        *slash = '\0';
        if (dir_make(folder, 0700, NULL) != ERR_OK)
            return false;
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    }
    if (fd < 0)
        return false;
    bool ok = write(fd, p, n) == (ssize_t)n;
    close(fd);
    return ok;
}

static void tile_store(struct tiles *t, unsigned width)
{
    char path[PATH_MAX];
    struct sha256 old[TILE_HASHES];
    if (!full_path(t->dir, t->tile, width, path))
        return;
    if (t->check && tile_read(t->dir, t->tile, width, old) && memcmp(old, t->hash, width * SHA256_LEN) == 0)
        return;
    if (!tile_write(path, t->hash, width * SHA256_LEN))
        t->failed++;
}

static void partial_drop(struct tiles *t)
{
    char path[PATH_MAX];
    if (t->partial != 0 && full_path(t->dir, t->tile, t->partial, path))
        unlink(path);
    t->partial = 0;
}

/* The partial files of a tile that is full now, those of an earlier process too. */
static void partial_sweep(struct tiles *t)
{
    char path[PATH_MAX];
    if (!full_path(t->dir, t->tile, 1, path))
        return;
    *strrchr(path, '/') = '\0';
    DIR *folder = opendir(path);
    t->partial = 0;
    if (folder == NULL)
        return;
    for (struct dirent *f; (f = readdir(folder)) != NULL;) {
        if (f->d_name[0] != '.')
            unlinkat(dirfd(folder), f->d_name, 0);
    }
    closedir(folder);
    rmdir(path);
}

void tiles_begin(struct tiles *t, const char *dir, uint64_t size)
{
    *t = (struct tiles){ .dir = dir, .tile = size / TILE_HASHES };
}

void tiles_push(struct tiles *t, const struct sha256 *leaf)
{
    t->hash[t->n++] = *leaf;
    if (t->n < TILE_HASHES)
        return;
    tile_store(t, TILE_HASHES);
    partial_sweep(t);
    t->tile++;
    t->n = 0;
}

void tiles_partial(struct tiles *t)
{
    if (t->n == 0 || t->n == t->partial)
        return;
    tile_store(t, t->n);
    partial_drop(t);
    t->partial = t->n;
}
