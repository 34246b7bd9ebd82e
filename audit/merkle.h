#pragma once
/* RFC 6962 Merkle tree with SHA-256, grown leaf by leaf, and the checks of its proofs (RFC 9162 2.1.3.2 and 2.1.4.2).
 * A struct merkle is the right edge of the tree only: one hash for each set bit of its size, so it is at most 2 KiB
 * and can be written into a segment's head and taken up again there.
 * Thread rule: a digest belongs to one thread; all else is plain data. */
#include "base/crypto/crypto.h"

enum { MERKLE_LEVELS = 54 }; /* sizes stay below 2^53 */
struct merkle {
    uint64_t size;
    struct sha256
        edge[MERKLE_LEVELS]; /* edge[k] counts when bit k of size is set: root of a full subtree of 2^k leaves */
};

struct sha256 merkle_leaf(struct digest *g, struct slice entry);
struct sha256 merkle_node(struct digest *g, const struct sha256 *left, const struct sha256 *right);
void merkle_push(struct merkle *m, struct digest *g, const struct sha256 *leaf);

/* How a tree grew since it was `from`: right[] are the full subtrees behind it, the first one beginning at from.size
 * and each where the one before ended. It costs no hash, and proves at any later size that nothing before it changed.
 */
struct merkle_growth {
    struct merkle from;
    struct sha256 right[MERKLE_LEVELS];
    unsigned n, level; /* level of the next subtree */
    uint64_t at;       /* where it begins */
};
enum { MERKLE_TILE_BITS = 8, MERKLE_TILE_LEVELS = 7, MERKLE_PATH_MAX = MERKLE_LEVELS + 1 };
void merkle_growth_begin(struct merkle_growth *w, const struct merkle *now);
/* merkle_push, noting the growth (NULL: no), and what the leaf completed: done[i] is the root of the 256^i leaves that
 * end with it, for each i below the number returned. */
unsigned merkle_push_noting(struct merkle *m, struct digest *g, const struct sha256 *leaf, struct merkle_growth *w,
                            struct sha256 done[MERKLE_TILE_LEVELS]);
/* The consistency proof (RFC 9162 2.1.4.1) from w->from to `now`, which w has followed leaf by leaf; returns how many
 * hashes: 0 when either is empty or nothing was added. */
size_t merkle_growth_proof(const struct merkle_growth *w, const struct merkle *now, struct digest *g,
                           struct sha256 ret[MERKLE_PATH_MAX]);
struct sha256 merkle_root(const struct merkle *m, struct digest *g); /* of the empty tree: SHA-256 of nothing */

struct merkle_proof {
    const struct slice *hashes; /* bor */
    size_t n;
};
/* True when `path` proves that `leaf` (a leaf hash) is entry `index` of the tree of `size` entries with `root`. */
bool merkle_included(struct digest *g, struct slice leaf, uint64_t index, uint64_t size, struct merkle_proof path,
                     struct slice root);
/* True when `path` proves that the tree (size1, root1) is a prefix of (size2, root2). Size 0 proves nothing: false. */
bool merkle_consistent(struct digest *g, uint64_t size1, struct slice root1, uint64_t size2, struct slice root2,
                       struct merkle_proof path);
/* True when [start, end) is a subtree of some tree: start is a multiple of the smallest power of two >= end - start. */
bool merkle_subtree_valid(uint64_t start, uint64_t end);
/* The same for a subtree [start, end) (draft-ietf-plants-merkle-tree-certs 4.3, 4.4): a leaf in it, and it in a tree.
 */
bool merkle_subtree_included(struct digest *g, struct slice leaf, uint64_t index, uint64_t start, uint64_t end,
                             struct merkle_proof path, struct slice root);
bool merkle_subtree_consistent(struct digest *g, uint64_t start, uint64_t end, struct slice subtree, uint64_t size,
                               struct slice root, struct merkle_proof path);
