/* RFC 6962 tree: hashes, the right edge, roots and the checks of proofs.
 * Invariant: edge[k] is meaningful exactly when bit k of size is set. Proof checks take hostile input: lengths first.
 */
#include "audit/merkle.h"

struct sha256 merkle_leaf(struct digest *g, struct slice entry)
{
    digest_begin(g);
    digest_add(g, slice_make("\0", 1));
    digest_add(g, entry);
    return digest_end(g);
}

struct sha256 merkle_node(struct digest *g, const struct sha256 *left, const struct sha256 *right)
{
    uint8_t both[1 + 2 * SHA256_LEN];
    both[0] = 1;
    memcpy(both + 1, left->b, SHA256_LEN);
    memcpy(both + 1 + SHA256_LEN, right->b, SHA256_LEN);
    digest_begin(g);
    digest_add(g, slice_make(both, sizeof both));
    return digest_end(g);
}

void merkle_push(struct merkle *m, struct digest *g, const struct sha256 *leaf)
{
    struct sha256 h = *leaf;
    unsigned k = 0;
    for (; (m->size >> k) & 1; k++)
        h = merkle_node(g, &m->edge[k], &h);
    m->edge[k] = h;
    m->size++;
}

static void growth_next(struct merkle_growth *w, uint64_t at)
{
    w->at = at;
    w->level = at == 0 ? MERKLE_LEVELS : (unsigned)__builtin_ctzll(at);
}

void merkle_growth_begin(struct merkle_growth *w, const struct merkle *now)
{
    w->from = *now;
    w->n = 0;
    growth_next(w, now->size);
}

unsigned merkle_push_noting(struct merkle *m, struct digest *g, const struct sha256 *leaf, struct merkle_growth *w,
                            struct sha256 done[MERKLE_TILE_LEVELS])
{
    struct sha256 h = *leaf;
    uint64_t end = m->size + 1;
    unsigned k = 0, tiles = 0;
    for (;; k++) {
        if (k % MERKLE_TILE_BITS == 0)
            done[tiles++] = h;
        if (w != NULL && k == w->level && end == w->at + (1ull << k)) {
            w->right[w->n++] = h;
            growth_next(w, end);
        }
        if (!((m->size >> k) & 1))
            break;
        h = merkle_node(g, &m->edge[k], &h);
    }
    m->edge[k] = h;
    m->size = end;
    return tiles;
}

/* Root of the entries [size with its low k bits cleared, size): those bits are its full subtrees. */
static struct sha256 edge_below(const struct merkle *m, unsigned k, struct digest *g)
{
    struct merkle low = *m;
    low.size &= (1ull << k) - 1;
    return merkle_root(&low, g);
}

/* From the smallest full subtree that ends at the old size up to the new root: on the left stand old subtrees, on the
 * right those that came since, the last of them perhaps not full yet. */
size_t merkle_growth_proof(const struct merkle_growth *w, const struct merkle *now, struct digest *g,
                           struct sha256 ret[MERKLE_PATH_MAX])
{
    uint64_t old = w->from.size, at = old;
    size_t n = 0;
    unsigned i = 0;
    if (old == 0 || now->size <= old)
        return 0;
    unsigned k = (unsigned)__builtin_ctzll(old);
    uint64_t place = (old >> k) - 1;
    if (place > 0)
        ret[n++] = w->from.edge[k];
    for (; place > 0 || at < now->size; k++, place >>= 1) {
        if (place & 1) {
            ret[n++] = w->from.edge[k];
        } else if (at < now->size && i < w->n) {
            ret[n++] = w->right[i++];
            at += 1ull << k;
        } else if (at < now->size) {
            ret[n++] = edge_below(now, k, g);
            at = now->size;
        }
    }
    return n;
}

struct sha256 merkle_root(const struct merkle *m, struct digest *g)
{
    if (m->size == 0)
        return sha256_of(slice_make("", 0));
    unsigned k = (unsigned)__builtin_ctzll(m->size);
    struct sha256 h = m->edge[k];
    for (k++; k < MERKLE_LEVELS; k++) {
        if ((m->size >> k) & 1)
            h = merkle_node(g, &m->edge[k], &h);
    }
    return h;
}

static bool hash_read(struct slice s, struct sha256 *ret)
{
    if (s.n != SHA256_LEN)
        return false;
    memcpy(ret->b, s.p, SHA256_LEN);
    return true;
}

static bool hash_is(const struct sha256 *h, struct slice s)
{
    return s.n == SHA256_LEN && memcmp(h->b, s.p, SHA256_LEN) == 0;
}

bool merkle_included(struct digest *g, struct slice leaf, uint64_t index, uint64_t size, struct merkle_proof path,
                     struct slice root)
{
    struct sha256 r, p;
    if (index >= size || !hash_read(leaf, &r))
        return false;
    uint64_t fn = index, sn = size - 1;
    for (size_t i = 0; i < path.n; i++) {
        if (sn == 0 || !hash_read(path.hashes[i], &p))
            return false;
        if ((fn & 1) || fn == sn) {
            r = merkle_node(g, &p, &r);
            while (!(fn & 1) && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            r = merkle_node(g, &r, &p);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && hash_is(&r, root);
}

bool merkle_consistent(struct digest *g, uint64_t size1, struct slice root1, uint64_t size2, struct slice root2,
                       struct merkle_proof path)
{
    if (size1 == 0 || size1 > size2)
        return false;
    if (size1 == size2)
        return path.n == 0 && slice_eq(root1, root2);
    return merkle_subtree_consistent(g, 0, size1, root1, size2, root2, path);
}

bool merkle_subtree_valid(uint64_t start, uint64_t end)
{
    if (start >= end)
        return false;
    uint64_t span = 1;
    while (span < end - start && span < (1ull << 62))
        span <<= 1;
    return (start & (span - 1)) == 0;
}

bool merkle_subtree_included(struct digest *g, struct slice leaf, uint64_t index, uint64_t start, uint64_t end,
                             struct merkle_proof path, struct slice root)
{
    if (!merkle_subtree_valid(start, end) || index < start || index >= end)
        return false;
    return merkle_included(g, leaf, index - start, end - start, path, root);
}

bool merkle_subtree_consistent(struct digest *g, uint64_t start, uint64_t end, struct slice subtree, uint64_t size,
                               struct slice root, struct merkle_proof path)
{
    if (start == end && end <= size) { /* the empty one is part of every tree */
        struct sha256 none = sha256_of(slice_make("", 0));
        return path.n == 0 && hash_is(&none, subtree);
    }
    if (!merkle_subtree_valid(start, end) || end > size)
        return false;
    if (start == 0 && end == size)
        return path.n == 0 && slice_eq(subtree, root);
    uint64_t fn = start, sn = end - 1, tn = size - 1;
    while (fn != sn && (sn == tn || (sn & 1))) {
        fn >>= 1;
        sn >>= 1;
        tn >>= 1;
    }
    struct sha256 fr, sr, p;
    size_t i = 0;
    if (!hash_read(fn == sn ? subtree : path.n > 0 ? path.hashes[i++] : slice_make(NULL, 0), &fr))
        return false;
    sr = fr;
    for (; i < path.n; i++) {
        if (tn == 0 || !hash_read(path.hashes[i], &p))
            return false;
        if ((sn & 1) || sn == tn) {
            if (fn < sn)
                fr = merkle_node(g, &p, &fr);
            sr = merkle_node(g, &p, &sr);
            for (; !(sn & 1) && sn != 0; sn >>= 1, fn >>= 1)
                tn >>= 1;
        } else {
            sr = merkle_node(g, &sr, &p);
        }
        fn >>= 1;
        sn >>= 1;
        tn >>= 1;
    }
    return tn == 0 && hash_is(&fr, subtree) && hash_is(&sr, root);
}
