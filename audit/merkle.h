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
