#pragma once
/* What the two files of the verifier of a log behind an address share: remote.c reads records, remote_tiles.c hashes.
 * Nothing that comes is believed before it leads to the signed root; memory is bounded whatever is sent. */
#include "audit/entries.h"
#include "audit/note.h"
#include "audit/prove.h"
#include "audit/pruned.h"

struct remote_tile {
    uint64_t tile;
    unsigned width; /* 0: nothing is held */
    struct sha256 hash[TILE_HASHES];
};
struct remote {
    const struct audit_remote_ask *a;
    struct audit_report *report;
    struct digest *digest; /* own */
    struct slice name;     /* of the key; bor */
    uint8_t key[ED25519_PUB];
    struct buf note, bytes; /* own; the checkpoint, and the resource being read */
    struct note_checkpoint cp, kept;
    bool has_kept, kept_seen, kept_same;
    /* remote_tiles.c: tiles that lead to the signed root */
    struct prover *prover; /* own */
    bool edge_ok;          /* the right edge does: without it no tile is believed */
    bool wrong;            /* some tile was missing, or did not */
    struct remote_tile edge[TILE_LEVELS], level[TILE_LEVELS];
    enum err broken; /* what ended the reading: nothing is judged then */
    /* remote.c */
    struct merkle tree;   /* of the records before the next one */
    struct pruned pruned; /* of a log whose front is not there */
    bool unvouched;       /* records were read that no tile vouches for: the root must, at the end */
};
/* One resource into r->bytes (cleared first), at most `cap` bytes. ERR_NOT_FOUND: there is none; ERR_TOO_LARGE: what
 * came is none; anything else is r->broken too. */
enum err remote_fetch(struct remote *r, const char *path, size_t cap) MUST_CHECK;
/* A partial tile or bundle that is gone is the beginning of the full one. */
enum err remote_fetch_tile(struct remote *r, const char *what, uint64_t tile, unsigned width, size_t cap,
                           bool *whole) MUST_CHECK;
/* The right edge of the signed tree; edge_ok says whether its hashes make the root. */
enum err remote_edge(struct remote *r) MUST_CHECK;
/* `width` hashes that lead to the root; NULL: not to be had, or they do not. */
const struct sha256 *remote_hashes(struct remote *r, unsigned level, uint64_t tile, unsigned width);
