#pragma once
/* Level-0 hash tiles (C2SP tlog-tiles): 256 leaf hashes a file, under <dir>/tile/0/. Derived from the segments: they
 * are written off the commit path, never synced, and can be rebuilt; a reader trusts them only when they hash to a
 * signed root. */
#include "audit/merkle.h"

enum { TILE_HASHES = 256, TILE_BYTES = TILE_HASHES * SHA256_LEN, TILE_PATH = 64 };
/* "tile/0/x001/x234/067", and with width < 256 the partial tile's ".p/<width>". */
void tile_path(uint64_t tile, unsigned width, char out[TILE_PATH]);

struct tiles {
    const char *dir;  /* bor: the log's */
    uint64_t tile;    /* the one being filled */
    unsigned n;       /* hashes in it */
    unsigned partial; /* width of its partial file; 0: none */
    bool check;       /* look at what is there and write only what differs: start-up */
    uint64_t failed;  /* tiles that could not be written */
    struct sha256 hash[TILE_HASHES];
};
/* Begin at `size`, a multiple of 256. */
void tiles_begin(struct tiles *t, const char *dir, uint64_t size);
void tiles_push(struct tiles *t, const struct sha256 *leaf);
void tiles_partial(struct tiles *t); /* the partial tile of the present size, in place of the last */
/* Hashes of a stored tile: of width `width`, or of the full one. False: not there, or too short. */
bool tile_read(const char *dir, uint64_t tile, unsigned width, struct sha256 ret[TILE_HASHES]);
