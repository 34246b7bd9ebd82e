/* Proofs from tiles. A node is named by its height and its place in that height; what a tile holds of it is folded.
 * Invariant: tile[l] is what the source gave for level l, or width 0. Peers name index and size: both are checked
 * first, and no source is asked for a tile outside the tree. */
#include "audit/prove.h"

struct held {
    uint64_t tile;
    unsigned width; /* 0: nothing */
    struct sha256 hash[TILE_HASHES];
};
struct prover {
    struct tile_source source;
    uint64_t size;
    struct digest *digest; /* own */
    struct held level[TILE_LEVELS];
    const char *dir; /* bor: of a folder's prover */
};

struct prover *prover_new(const struct tile_source *source, uint64_t size)
{
    struct prover *p = mem_zalloc(sizeof *p);
    if (p == NULL)
        return NULL;
    p->source = *source;
    p->size = size;
    p->digest = digest_new();
    return p->digest != NULL ? p : prover_free(p);
}

static bool folder_read(void *self, unsigned level, uint64_t tile, unsigned width, struct sha256 ret[TILE_HASHES])
{
    struct prover *p = self;
    return tile_get(p->dir, level, tile, width, p->digest, ret);
}

struct prover *prover_folder(const char *dir, uint64_t size)
{
    struct tile_source source = { .read = folder_read };
    struct prover *p = prover_new(&source, size);
    if (p != NULL) {
        p->source.self = p;
        p->dir = dir;
    }
    return p;
}

struct prover *prover_free(struct prover *p)
{
    if (p == NULL)
        return NULL;
    digest_free(p->digest);
    return mem_free(p);
}

static const struct sha256 *held_tile(struct prover *p, unsigned level, uint64_t tile)
{
    struct held *h = &p->level[level];
    unsigned width = tile_width(level, tile, p->size);
    if (h->width == width && h->tile == tile)
        return h->hash;
    h->width = 0;
    if (width == 0 || !p->source.read(p->source.self, level, tile, width, h->hash))
        return NULL;
    h->width = width;
    h->tile = tile;
    return h->hash;
}

/* Root of the full subtree `place` of height k. */
static enum err full_node(struct prover *p, unsigned k, uint64_t place, struct sha256 *ret)
{
    struct sha256 part[TILE_HASHES / 2];
    unsigned level = k / MERKLE_TILE_BITS, n = 1u << (k % MERKLE_TILE_BITS);
    uint64_t first = place * n;
    const struct sha256 *hash = level < TILE_LEVELS ? held_tile(p, level, first / TILE_HASHES) : NULL;
    if (hash == NULL)
        return ERR_NOT_FOUND;
    memcpy(part, hash + first % TILE_HASHES, n * SHA256_LEN);
    *ret = tile_fold(part, n, p->digest);
    return ERR_OK;
}

/* Root of the entries [begin, end), where begin is a multiple of 2^k and end - begin at most that: full subtrees of
 * falling height, joined from the right. */
static enum err range_node(struct prover *p, uint64_t begin, uint64_t end, unsigned k, struct sha256 *ret)
{
    struct sha256 part[MERKLE_LEVELS + 1];
    unsigned n = 0;
    enum err e = ERR_OK;
    for (unsigned h = k + 1; e == ERR_OK && h-- > 0;) {
        if (!(((end - begin) >> h) & 1))
            continue;
        e = full_node(p, h, begin >> h, &part[n++]);
        begin += 1ull << h;
    }
    for (; e == ERR_OK && n > 1; n--)
        part[n - 2] = merkle_node(p->digest, &part[n - 2], &part[n - 1]);
    if (e == ERR_OK && n == 1)
        *ret = part[0];
    return e;
}

/* Siblings from the node `place` of height k up to the root. */
static enum err path_up(struct prover *p, unsigned k, uint64_t place, struct proof_path *ret)
{
    enum err e = ERR_OK;
    for (; e == ERR_OK && (place > 0 || (1ull << k) < p->size); k++, place >>= 1) {
        uint64_t begin = (place ^ 1) << k, end = begin + (1ull << k);
        if (begin < p->size)
            e = range_node(p, begin, end < p->size ? end : p->size, k, &ret->hash[ret->n++]);
    }
    return e;
}

enum err prove_root(struct prover *p, struct sha256 *ret)
{
    if (p->size == 0) {
        *ret = sha256_of(slice_make("", 0));
        return ERR_OK;
    }
    return range_node(p, 0, p->size, MERKLE_LEVELS - 1, ret);
}

enum err prove_edge(struct prover *p, uint64_t size, struct merkle *ret)
{
    enum err e = size <= p->size ? ERR_OK : ERR_INVALID;
    *ret = (struct merkle){ .size = size };
    for (unsigned k = 0; e == ERR_OK && k < MERKLE_LEVELS; k++)
        if ((size >> k) & 1)
            e = full_node(p, k, size >> (k + 1) << 1, &ret->edge[k]);
    return e;
}

enum err prove_inclusion(struct prover *p, uint64_t index, struct proof_path *ret)
{
    ret->n = 0;
    if (index >= p->size || p->size >= 1ull << 53)
        return ERR_INVALID;
    return path_up(p, 0, index, ret);
}

enum err prove_consistency(struct prover *p, uint64_t size1, struct proof_path *ret)
{
    ret->n = 0;
    if (size1 == 0 || size1 > p->size || p->size >= 1ull << 53)
        return ERR_INVALID;
    if (size1 == p->size)
        return ERR_OK;
    unsigned k = (unsigned)__builtin_ctzll(size1);
    uint64_t place = (size1 >> k) - 1;
    enum err e = place > 0 ? full_node(p, k, place, &ret->hash[ret->n++]) : ERR_OK;
    return e == ERR_OK ? path_up(p, k, place, ret) : e;
}
