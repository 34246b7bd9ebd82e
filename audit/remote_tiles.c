/* Hash tiles of a log behind an address. The right edge, the partial tiles of all levels, must hash to the signed root;
 * a full tile must hash to its place in the level above. Invariant: edge (when edge_ok) and level hold such tiles only.
 */
#include "audit/remote.h"
#include <stdio.h>

enum err remote_fetch(struct remote *r, const char *path, size_t cap)
{
    buf_clear(&r->bytes);
    r->bytes.cap = cap;
    enum err e = r->broken != ERR_OK ? r->broken : r->a->fetch(r->a->self, path, &r->bytes);
    if (e == ERR_OK)
        e = r->bytes.failed;
    if (e != ERR_OK && e != ERR_NOT_FOUND && e != ERR_TOO_LARGE)
        r->broken = e;
    return e;
}

enum err remote_fetch_tile(struct remote *r, const char *what, uint64_t tile, unsigned width, size_t cap, bool *whole)
{
    char path[AUDIT_TILE_PATH];
    audit_tile_path(what, tile, width, path);
    enum err e = remote_fetch(r, path, cap);
    *whole = width == TILE_HASHES;
    if (e != ERR_NOT_FOUND || *whole)
        return e;
    *whole = true;
    audit_tile_path(what, tile, TILE_HASHES, path);
    return remote_fetch(r, path, cap);
}

/* As it came. */
static bool tile_take(struct remote *r, unsigned level, uint64_t tile, unsigned width, struct remote_tile *t)
{
    char what[8];
    bool whole;
    t->width = 0;
    snprintf(what, sizeof what, "%u", level % 100);
    if (remote_fetch_tile(r, what, tile, width, TILE_BYTES, &whole) != ERR_OK ||
        r->bytes.n != (whole ? TILE_HASHES : width) * SHA256_LEN) {
        r->wrong = true;
        return false;
    }
    memcpy(t->hash, r->bytes.p, width * SHA256_LEN);
    t->tile = tile;
    t->width = width;
    return true;
}

static const struct sha256 *full_tile(struct remote *r, unsigned level, uint64_t tile)
{
    struct remote_tile *t = &r->level[level];
    struct sha256 part[TILE_HASHES];
    if (t->width == TILE_HASHES && t->tile == tile)
        return t->hash;
    unsigned above = tile_width(level + 1, tile / TILE_HASHES, r->cp.size);
    const struct sha256 *up = above > 0 ? remote_hashes(r, level + 1, tile / TILE_HASHES, above) : NULL;
    if (up == NULL || !tile_take(r, level, tile, TILE_HASHES, t))
        return NULL;
    memcpy(part, t->hash, sizeof part);
    struct sha256 root = tile_fold(part, TILE_HASHES, r->digest);
    if (memcmp(&root, &up[tile % TILE_HASHES], sizeof root) == 0)
        return t->hash;
    t->width = 0;
    r->wrong = true;
    return NULL;
}

const struct sha256 *remote_hashes(struct remote *r, unsigned level, uint64_t tile, unsigned width)
{
    const struct remote_tile *edge = &r->edge[level];
    if (!r->edge_ok)
        return NULL;
    if (width < TILE_HASHES)
        return edge->tile == tile && edge->width == width ? edge->hash : NULL;
    return full_tile(r, level, tile);
}

/* For the prover: while the edge is read it is taken as it comes, for its root is compared. */
static bool source_read(void *self, unsigned level, uint64_t tile, unsigned width, struct sha256 ret[TILE_HASHES])
{
    struct remote *r = self;
    if (!r->edge_ok && !tile_take(r, level, tile, width, &r->edge[level]))
        return false;
    const struct sha256 *hash = r->edge_ok ? remote_hashes(r, level, tile, width) : r->edge[level].hash;
    if (hash != NULL)
        memcpy(ret, hash, width * SHA256_LEN);
    return hash != NULL;
}

enum err remote_edge(struct remote *r)
{
    struct tile_source source = { .read = source_read, .self = r };
    struct sha256 root;
    r->prover = prover_new(&source, r->cp.size);
    if (r->prover == NULL)
        return ERR_NOMEM;
    enum err e = prove_root(r->prover, &root);
    r->edge_ok = e == ERR_OK && memcmp(&root, &r->cp.root, sizeof root) == 0;
    r->wrong = r->wrong || !r->edge_ok;
    return r->broken;
}
