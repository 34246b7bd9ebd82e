#pragma once
/* Hash tiles (C2SP tlog-tiles), 256 hashes each: level 0 holds leaf hashes, each hash of a level above is the root of a
 * full tile below. A level is one file, <dir>/tile/<level>.hashes, its hashes in order, so that tile n begins at byte
 * 8192 n, full or not: a file for each tile would cost more to create than all its hashes to make. Derived from the
 * segments: they are written off the commit path, synced only before the segments go, and can be derived again until
 * then; a reader trusts them only when they hash to a signed root. */
#include "audit/merkle.h"
#include "audit/proof.h"

enum {
    TILE_HASHES = 256,
    TILE_BYTES = TILE_HASHES * SHA256_LEN,
    TILE_PATH = AUDIT_TILE_PATH,
    TILE_LEVELS = MERKLE_TILE_LEVELS /* 2^53 entries */
};
/* Their names for others: "tile/0/x001/x234/067", and with width < 256 the partial tile's ".p/<width>"; audit_tile_path
 * by level. */
void tile_path(unsigned level, uint64_t tile, unsigned width, char out[TILE_PATH]);
/* What such a path names, "tile/entries/…" too (entries is then set). False: not one of the specification's. */
struct tile_name {
    bool entries;
    unsigned level, width; /* width 1..256 */
    uint64_t tile;
};
bool tile_name_read(struct slice path, struct tile_name *ret);
/* Hashes that tile `tile` of `level` has in a tree of `size` entries: 0..256. */
unsigned tile_width(unsigned level, uint64_t tile, uint64_t size);

struct tile_level {
    int fd;          /* own; -1: not open yet */
    uint64_t tile;   /* the one being filled */
    unsigned n;      /* hashes in it */
    unsigned stored; /* of these, from the first on, in the file, or not to be had any more */
    struct sha256 hash[TILE_HASHES];
};
struct tiles {
    const char *dir; /* bor: the log's */
    bool check;      /* look at what is there and write only what differs: start-up */
    uint64_t failed; /* writes that failed */
    struct tile_level level[TILE_LEVELS];
};
void tiles_init(struct tiles *t);
void tiles_done(struct tiles *t); /* closes the files; what was not stored is lost */
/* Begin where the tree is, at a multiple of 256 entries. Partial tiles of the upper levels are taken up from the
 * files, or derived, and must hash to the tree's own edge. */
void tiles_begin(struct tiles *t, const char *dir, const struct merkle *tree, struct digest *g);
/* What merkle_push_noting said that a leaf completed. */
void tiles_push(struct tiles *t, const struct sha256 *done, unsigned n);
/* All hashes of the present size into the files. */
void tiles_store(struct tiles *t);
/* What the files of these levels have on the disk, whoever wrote it. */
enum err tiles_sync(struct tiles *t) MUST_CHECK;

/* The first `width` hashes of a tile from the level's file. False: they are not all there. */
bool tile_read(const char *dir, unsigned level, uint64_t tile, unsigned width, struct sha256 ret[TILE_HASHES]);
/* The same, and when they are not there, derived from the level below, at last from the segments. */
bool tile_get(const char *dir, unsigned level, uint64_t tile, unsigned width, struct digest *g,
              struct sha256 ret[TILE_HASHES]);
/* Root of n hashes of one level, n a power of two up to 256. Overwrites them. */
struct sha256 tile_fold(struct sha256 *hash, unsigned n, struct digest *g);
