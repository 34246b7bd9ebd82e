#pragma once
/* Making Merkle proofs (RFC 9162 2.1.3.1 and 2.1.4.1) from hash tiles, wherever the tiles are: a log's folder, or a
 * server's. What a prover gives is only as good as its tiles: check it by merkle.h against a signed root before it is
 * shown to anybody. The log's writer needs no prover for its own growth: merkle_growth_proof.
 * Thread rule: a prover belongs to one thread. */
#include "audit/tile.h"

struct tile_source {
    /* `width` hashes of a tile; false: not to be had. */
    bool (*read)(void *self, unsigned level, uint64_t tile, unsigned width, struct sha256 ret[TILE_HASHES]);
    void *self;
};
struct prover;
/* For the tree of `size` entries. `source` is copied; NULL: no memory. */
struct prover *prover_new(const struct tile_source *source, uint64_t size);
/* For the log under `dir` (borrowed until prover_free); what the tiles lack is derived from the segments. */
struct prover *prover_folder(const char *dir, uint64_t size);
struct prover *prover_free(struct prover *p);

struct proof_path {
    struct sha256 hash[MERKLE_PATH_MAX];
    size_t n;
};
/* ERR_NOT_FOUND: a tile that is needed is not to be had. ERR_INVALID: no such entry, or sizes that prove nothing. */
enum err prove_root(struct prover *p, struct sha256 *ret) MUST_CHECK;
/* The right edge of the tree of the first `size` entries. */
enum err prove_edge(struct prover *p, uint64_t size, struct merkle *ret) MUST_CHECK;
enum err prove_inclusion(struct prover *p, uint64_t index, struct proof_path *ret) MUST_CHECK;
enum err prove_consistency(struct prover *p, uint64_t size1, struct proof_path *ret) MUST_CHECK;
