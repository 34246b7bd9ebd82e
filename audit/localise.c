/* Second pass of the verifier: which record is it? Leaf hashes are kept beside the log as tiles. When the tiles, up to
 * the checkpoint's size, hash to the signed root, they are what was signed, and the first record whose hash differs
 * from its tile is the altered one. Without such tiles the first pass's answer stands. */
#include "audit/verify.h"
#include <stdio.h>

struct tile_reader {
    const char *dir;
    uint64_t size; /* entries that the tiles must cover */
    uint64_t tile; /* the one in hash; UINT64_MAX: none */
    struct sha256 hash[TILE_HASHES];
};

static const struct sha256 *tile_leaf(struct tile_reader *t, uint64_t index)
{
    uint64_t tile = index / TILE_HASHES, left = t->size - tile * TILE_HASHES;
    if (tile != t->tile && !tile_read(t->dir, 0, tile, left < TILE_HASHES ? (unsigned)left : TILE_HASHES, t->hash))
        return NULL;
    t->tile = tile;
    return &t->hash[index % TILE_HASHES];
}

static bool tiles_signed(struct verify *v, struct tile_reader *t)
{
    struct merkle m = { 0 };
    for (uint64_t i = 0; i < t->size; i++) {
        const struct sha256 *leaf = tile_leaf(t, i);
        if (leaf == NULL)
            return false;
        merkle_push(&m, v->digest, leaf);
    }
    struct sha256 root = merkle_root(&m, v->digest);
    return memcmp(&root, &v->cp.root, sizeof root) == 0;
}

/* Records of one segment against the tiles; true when one differs. The first pass found shape and order right up to
 * `end`. */
static bool segment_differs(struct verify *v, struct tile_reader *t, uint64_t first, uint64_t end)
{
    char path[4096];
    struct logscan s;
    struct slice line;
    uint64_t offset;
    if (segment_path(v->dir, first, path, sizeof path) != ERR_OK || logscan_open(&s, path, 0) != ERR_OK)
        return false;
    bool differs = false;
    for (uint64_t i = first; i < end && !differs && logscan_next(&s, &line, &offset) == LOGSCAN_LINE; i++) {
        struct sha256 leaf = merkle_leaf(v->digest, line);
        const struct sha256 *want = tile_leaf(t, i);
        differs = want == NULL || memcmp(&leaf, want, sizeof leaf) != 0;
        if (differs) {
            bool same = v->report->bad_index == i && strcmp(v->report->bad_what, "inserted") == 0;
            segment_name(first, v->name);
            verify_fail(v, same ? "inserted" : "altered", i, offset);
        }
    }
    logscan_close(&s);
    return differs;
}

enum err localise(struct verify *v, struct diags *d)
{
    (void)d;
    if (!v->has_cp || (v->has_key && !v->signed_ok) || v->cp.size == 0)
        return ERR_OK;
    struct tile_reader *t = mem_zalloc(sizeof *t);
    if (t == NULL)
        return ERR_NOMEM;
    *t = (struct tile_reader){ .dir = v->dir, .size = v->cp.size, .tile = UINT64_MAX };
    uint64_t end = v->tree.size < v->cp.size ? v->tree.size : v->cp.size;
    if (tiles_signed(v, t)) {
        for (size_t i = 0; i < v->list.n && v->list.first[i] < end; i++) {
            uint64_t next = i + 1 < v->list.n && v->list.first[i + 1] < end ? v->list.first[i + 1] : end;
            if (segment_differs(v, t, v->list.first[i], next))
                break;
        }
    }
    mem_free(t);
    return ERR_OK;
}
