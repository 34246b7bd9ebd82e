/* The verifier of a log behind an address: entry bundles in order, each record against its hash in tiles that lead to
 * the signed root, and the tree of all that was read against the root itself. Where a tile is missing or wrong the
 * records alone must make the root. Invariant: without a failure in the report, what was read and what is said to be
 * pruned before it are the beginning of the signed tree. */
#include "audit/remote.h"
#include <stdio.h>

enum { BUNDLE_MAX = TILE_HASHES * (AUDIT_RECORD_MAX + 2) };

static void fail(struct remote *r, const char *what, uint64_t first, uint64_t last)
{
    struct audit_report *p = r->report;
    if (p->failed)
        return;
    p->failed = true;
    p->bad_what = what;
    p->bad_index = first;
    p->bad_last = last;
}

/* The first record that is wrong is in the bundle being read. */
static void fail_at(struct remote *r, const char *what, uint64_t index, size_t offset)
{
    char path[AUDIT_TILE_PATH];
    uint64_t tile = index / TILE_HASHES;
    if (r->report->failed)
        return;
    fail(r, what, index, index);
    audit_tile_path("entries", tile, tile_width(0, tile, r->cp.size), path);
    snprintf(r->report->bad_file, sizeof r->report->bad_file, "%s", path);
    r->report->bad_offset = offset;
}

/* ---- one bundle ---- */
static bool entry_next(struct slice *bundle, struct slice *line)
{
    size_t n = bundle->n < 2 ? SIZE_MAX : (size_t)(uint8_t)bundle->p[0] << 8 | (uint8_t)bundle->p[1];
    if (n == SIZE_MAX || bundle->n - 2 < n)
        return false;
    *line = slice_sub(*bundle, 2, n);
    *bundle = slice_sub(*bundle, 2 + n, bundle->n);
    return true;
}

static bool stands_later(struct remote *r, struct slice rest, const struct sha256 *leaf)
{
    struct slice line;
    while (entry_next(&rest, &line)) {
        struct sha256 h = merkle_leaf(r->digest, line);
        if (memcmp(&h, leaf, sizeof h) == 0)
            return true;
    }
    return false;
}

/* A record that is not the one signed here, by what it says itself. */
static void classify(struct remote *r, struct slice line, struct slice rest, const struct sha256 *want, size_t offset)
{
    uint64_t own, index = r->tree.size;
    if (!logline_check(line, &own) || own == index)
        fail_at(r, "altered", index, offset);
    else if (own < index)
        fail_at(r, "inserted", own + 1 == index ? own : index, offset);
    else
        fail_at(r, want != NULL && stands_later(r, rest, want) ? "reordered" : "missing", index, offset);
}

static void take_kept(struct remote *r)
{
    if (!r->has_kept || r->tree.size != r->kept.size)
        return;
    struct sha256 root = merkle_root(&r->tree, r->digest);
    r->kept_seen = true;
    r->kept_same = memcmp(&root, &r->kept.root, sizeof root) == 0;
}

static enum err take(struct remote *r, struct slice line, const struct sha256 *leaf)
{
    enum err e = r->a->take != NULL ? r->a->take(r->a->self, r->tree.size, line) : ERR_OK;
    pruned_take(&r->pruned, r->tree.size, line);
    merkle_push(&r->tree, r->digest, leaf);
    take_kept(r);
    return e;
}

static enum err bundle_read(struct remote *r, struct slice bundle, unsigned width, const struct sha256 *want,
                            struct sha256 *leaves)
{
    const char *begin = bundle.p;
    enum err e = ERR_OK;
    for (unsigned i = 0; e == ERR_OK && i < width; i++) {
        size_t offset = (size_t)(bundle.p - begin);
        struct slice line;
        uint64_t own;
        if (!entry_next(&bundle, &line)) {
            fail_at(r, "missing", r->tree.size, offset);
            return ERR_OK;
        }
        leaves[i] = merkle_leaf(r->digest, line);
        bool same = want == NULL || memcmp(&leaves[i], &want[i], sizeof *want) == 0;
        if (!same || !logline_check(line, &own) || own != r->tree.size) {
            classify(r, line, bundle, want != NULL ? &want[i] : NULL, offset);
            return ERR_OK;
        }
        e = take(r, line, &leaves[i]);
    }
    return e;
}

/* No tile of these leaves: their place in the level above vouches as well; else the root must. */
static void vouch(struct remote *r, uint64_t tile, unsigned width, struct sha256 *leaves)
{
    unsigned above = width == TILE_HASHES ? tile_width(1, tile / TILE_HASHES, r->cp.size) : 0;
    const struct sha256 *up = above > 0 ? remote_hashes(r, 1, tile / TILE_HASHES, above) : NULL;
    if (up == NULL) {
        r->unvouched = true;
        return;
    }
    struct sha256 root = tile_fold(leaves, TILE_HASHES, r->digest);
    if (memcmp(&root, &up[tile % TILE_HASHES], sizeof root) != 0)
        fail(r, "altered", tile * TILE_HASHES, tile * TILE_HASHES + width - 1);
}

static enum err bundle_verify(struct remote *r, uint64_t tile)
{
    unsigned width = tile_width(0, tile, r->cp.size);
    struct sha256 want[TILE_HASHES], leaves[TILE_HASHES];
    const struct sha256 *held = remote_hashes(r, 0, tile, width);
    bool whole;
    if (held != NULL)
        memcpy(want, held, width * sizeof *held);
    enum err e = remote_fetch_tile(r, "entries", tile, width, BUNDLE_MAX, &whole);
    if (e == ERR_NOT_FOUND || e == ERR_TOO_LARGE) {
        fail_at(r, e == ERR_NOT_FOUND ? "missing" : "altered", r->tree.size, 0);
        r->report->bad_last += width - 1;
        return ERR_OK;
    }
    if (e == ERR_OK && r->broken == ERR_OK)
        e = bundle_read(r, buf_slice(&r->bytes), width, held != NULL ? want : NULL, leaves);
    if (e == ERR_OK)
        e = r->broken;
    r->report->bytes += r->bytes.n;
    r->report->segments++;
    if (e == ERR_OK && !r->report->failed && held == NULL)
        vouch(r, tile, width, leaves);
    return e != ERR_OK ? e : r->broken;
}

/* ---- where to begin ---- */
static enum err has_bundle(struct remote *r, uint64_t tile, bool *ret)
{
    bool whole;
    enum err e = remote_fetch_tile(r, "entries", tile, tile_width(0, tile, r->cp.size), BUNDLE_MAX, &whole);
    *ret = e == ERR_OK || e == ERR_TOO_LARGE;
    return r->broken;
}

/* The first bundle from `tile` on that is there: what was pruned is a prefix. */
static enum err first_bundle(struct remote *r, uint64_t tile, uint64_t *ret)
{
    uint64_t hi = (r->cp.size - 1) / TILE_HASHES, lo = tile < hi ? tile : hi;
    bool there;
    enum err e = has_bundle(r, lo, &there);
    while (e == ERR_OK && !there && lo < hi) { /* lo is not there; hi is, or is the last */
        uint64_t mid = lo + (hi - lo) / 2;
        if (mid == lo)
            break;
        bool mid_there;
        e = has_bundle(r, mid, &mid_there);
        if (mid_there)
            hi = mid;
        else
            lo = mid;
    }
    *ret = there ? lo : hi;
    return e;
}

/* The records asked for do not all stand behind `first`. A range ends before an act that may say why. */
static void front_begin(struct remote *r, uint64_t first)
{
    const struct audit_remote_ask *a = r->a;
    if (a->to == 0)
        r->pruned.first = first;
    else if (first < a->to)
        r->report->front_unjudged = true;
    else
        fail(r, "missing", a->from, a->to - 1);
}

static enum err begin(struct remote *r, uint64_t *tile)
{
    enum err e = first_bundle(r, r->edge_ok ? r->a->from / TILE_HASHES : 0, tile);
    uint64_t first = *tile * TILE_HASHES;
    if (e != ERR_OK || first == 0)
        return e;
    if (!r->edge_ok || prove_edge(r->prover, first, &r->tree) != ERR_OK)
        fail(r, "missing", 0, first - 1); /* nothing vouches for what was before */
    if (first > r->a->from)
        front_begin(r, first);
    r->report->first = first;
    return r->broken;
}

/* ---- the whole ---- */
static enum err read_records(struct remote *r, uint64_t tile)
{
    uint64_t size = r->cp.size, first = r->report->first;
    uint64_t to = r->a->to != 0 && r->a->to < size - size % TILE_HASHES
                      ? (r->a->to + TILE_HASHES - 1) / TILE_HASHES * TILE_HASHES
                      : size;
    enum err e = ERR_OK;
    take_kept(r);
    while (e == ERR_OK && !r->report->failed && tile * TILE_HASHES < to) {
        e = bundle_verify(r, tile++);
        to = r->unvouched ? size : to;
        if (r->a->progress != NULL)
            r->a->progress(r->a->arg, r->tree.size - first, to - first);
    }
    return e;
}

static void judge(struct remote *r)
{
    uint64_t first = r->report->first;
    struct sha256 root = merkle_root(&r->tree, r->digest);
    const char *bad = pruned_judge(&r->pruned);
    r->report->pruning = r->pruned.act;
    if (r->tree.size == r->cp.size && memcmp(&root, &r->cp.root, sizeof root) != 0)
        fail(r, "altered", first, r->cp.size - 1);
    else if (bad != NULL)
        fail(r, bad, r->a->from, first - 1);
}

static const char *continues(struct remote *r)
{
    struct proof_path path;
    struct slice hashes[MERKLE_PATH_MAX];
    if (r->kept.size == 0 || r->kept_seen)
        return r->kept.size == 0 || r->kept_same ? NULL : "forked";
    if (!r->edge_ok || prove_consistency(r->prover, r->kept.size, &path) != ERR_OK)
        return "missing";
    for (size_t i = 0; i < path.n; i++)
        hashes[i] = slice_make(path.hash[i].b, SHA256_LEN);
    bool ok = merkle_consistent(r->digest, r->kept.size, slice_make(r->kept.root.b, SHA256_LEN), r->cp.size,
                                slice_make(r->cp.root.b, SHA256_LEN), (struct merkle_proof){ hashes, path.n });
    return ok ? NULL : "forked";
}

static void judge_kept(struct remote *r)
{
    if (!r->has_kept || r->report->failed)
        return;
    const char *bad = NULL;
    if (!note_verify(&r->kept, r->name, r->key))
        fail(r, "signature", r->kept.size, r->kept.size);
    else if (r->kept.size > r->cp.size)
        fail(r, "truncated", r->cp.size, r->cp.size);
    else if ((bad = continues(r)) != NULL)
        fail(r, bad, 0, r->kept.size - 1);
    if (r->report->failed)
        snprintf(r->report->bad_file, sizeof r->report->bad_file, "kept checkpoint");
    r->report->kept_ok = !r->report->failed;
}

/* False: there is nothing to go by. */
static enum err checkpoint_read(struct remote *r, bool *ok)
{
    enum err e = remote_fetch(r, "checkpoint", NOTE_MAX);
    *ok = false;
    if (r->broken != ERR_OK)
        return r->broken;
    if (e == ERR_OK)
        buf_put(&r->note, buf_slice(&r->bytes));
    snprintf(r->report->bad_file, sizeof r->report->bad_file, "checkpoint");
    if (e != ERR_OK || note_read(buf_slice(&r->note), &r->cp) != ERR_OK)
        fail(r, "checkpoint", 0, 0);
    else if (!note_verify(&r->cp, r->name, r->key))
        fail(r, "signature", r->cp.size, r->cp.size);
    else if (r->a->sm2.n > 0 && !(r->report->sm2_ok = audit_sm2_holds(buf_slice(&r->note), r->a->sm2)))
        fail(r, "sm2-signature", r->cp.size, r->cp.size);
    *ok = !r->report->failed;
    if (*ok)
        r->report->bad_file[0] = '\0';
    r->report->checkpoint_size = r->cp.size;
    r->report->signature_ok = *ok;
    return ERR_OK;
}

static enum err verify(struct remote *r)
{
    uint64_t tile = 0;
    bool ok;
    enum err e = checkpoint_read(r, &ok);
    if (e != ERR_OK || !ok)
        return e;
    if (r->cp.size > 0)
        e = remote_edge(r);
    if (e == ERR_OK && r->cp.size > 0)
        e = begin(r, &tile);
    if (e == ERR_OK)
        e = read_records(r, tile);
    if (e == ERR_OK && r->cp.size > 0)
        judge(r);
    if (e == ERR_OK)
        judge_kept(r);
    r->report->size = r->tree.size - r->report->first;
    r->report->root = merkle_root(&r->tree, r->digest);
    r->report->tiles_wrong = r->wrong;
    return e != ERR_OK ? e : r->broken;
}

static enum err ask_read(struct remote *r, struct diags *d)
{
    const struct audit_remote_ask *a = r->a;
    if (note_vkey_read(a->vkey, NOTE_ED25519, &r->name, r->key) != ERR_OK)
        return diag_add(d, ERR_SYNTAX, 0, 0, "the log's public key is not of the form name+hash+base64",
                        "日志公钥格式应为 名称+哈希+base64");
    if (a->to != 0 && a->to <= a->from)
        return diag_add(d, ERR_INVALID, 0, 0, "the range is empty: its end must be above its begin",
                        "区间为空：终点须大于起点");
    r->has_kept = a->kept.n > 0;
    if (r->has_kept && note_read(a->kept, &r->kept) != ERR_OK)
        return diag_add(d, ERR_INVALID, 0, 0, "the kept checkpoint is no checkpoint note",
                        "另存的检查点不是有效的检查点");
    return ERR_OK;
}

enum err audit_verify_remote(const struct audit_remote_ask *a, struct audit_report *ret, struct diags *d)
{
    struct remote *r = mem_zalloc(sizeof *r);
    *ret = (struct audit_report){ .bad_what = "" };
    if (r == NULL)
        return ERR_NOMEM;
    r->a = a;
    r->report = ret;
    r->note = BUF_INIT(NOTE_MAX);
    r->digest = digest_new();
    enum err e = r->digest == NULL ? ERR_NOMEM : ask_read(r, d);
    if (e == ERR_OK)
        e = verify(r);
    prover_free(r->prover);
    digest_free(r->digest);
    buf_done(&r->note);
    buf_done(&r->bytes);
    mem_free(r);
    return e;
}
