/* The verifier on less than a whole log, and against more than its own checkpoint: a range, a log whose oldest segments
 * were removed by retention, a checkpoint that was kept elsewhere. Invariant: what was not read is vouched for by
 * hashes that lead to the signed root, or the answer is that it does not verify. */
#include "audit/prove.h"
#include "audit/verify.h"
#include <stdio.h>

/* A later segment's head holds the tree of all records before it. Nothing in it is believed until the root at the end,
 * which it leads to, is the signed one. */
static bool begin_at(struct verify *v, uint64_t first)
{
    char path[4096];
    struct logscan s;
    struct slice line;
    struct head h;
    uint64_t index, offset;
    if (first == 0)
        return true;
    if (segment_path(v->dir, first, path, sizeof path) != ERR_OK || logscan_open(&s, path, 0) != ERR_OK)
        return false;
    bool ok = logscan_next(&s, &line, &offset) == LOGSCAN_LINE && logline_check(line, &index) && index == first &&
              head_read(line, index, &h) == ERR_OK;
    if (ok)
        v->tree = h.tree;
    logscan_close(&s);
    v->report->first = v->trusted = first;
    return ok;
}

/* A range ends before an act that may stand behind it: what of it is there is verified, and nothing said of the rest.
 */
static void front_begin(struct verify *v)
{
    uint64_t first = v->list.n > 0 ? v->list.first[0] : 0;
    if (first <= v->from)
        return;
    segment_name(first, v->name);
    if (v->to == 0) {
        v->pruned.first = first;
    } else if (first < v->to) {
        v->report->front_unjudged = true;
    } else {
        verify_fail(v, "missing", v->from, 0);
        v->report->bad_last = v->to - 1;
    }
}

/* Not behind the checkpoint, for there nothing is signed that the records could lead to. */
size_t verify_begin(struct verify *v)
{
    uint64_t from = v->has_cp && v->cp.size < v->from ? v->cp.size : v->from;
    size_t i = 0;
    while (i + 1 < v->list.n && v->list.first[i + 1] <= from)
        i++;
    uint64_t first = v->list.n > 0 ? v->list.first[i] : 0;
    front_begin(v);
    if (!begin_at(v, first)) {
        segment_name(first, v->name);
        verify_fail(v, i > 0 ? "altered" : "missing", i > 0 ? first : 0, 0);
        v->report->bad_last = i > 0 ? first : first - 1;
    }
    return i;
}

void verify_front_end(struct verify *v)
{
    const char *bad = pruned_judge(&v->pruned);
    v->report->pruning = v->pruned.act;
    if (bad == NULL)
        return;
    segment_name(v->pruned.first, v->name);
    verify_fail(v, bad, v->from, 0);
    v->report->bad_last = v->pruned.first - 1;
}

/* What the tiles say of the root of the first `size` records. Only hashes that lead to the signed root say anything:
 * where some are missing or wrong nobody is accused. */
enum vouched { VOUCHED_NOT, VOUCHED_SAME, VOUCHED_OTHER };

static enum vouched tiles_vouch(struct verify *v, uint64_t size, const struct sha256 *root)
{
    struct proof_path path;
    struct merkle tree;
    struct slice hashes[MERKLE_PATH_MAX];
    struct prover *p = v->has_cp && size <= v->cp.size ? prover_folder(v->dir, v->cp.size) : NULL;
    bool ok = p != NULL && prove_edge(p, size, &tree) == ERR_OK && prove_consistency(p, size, &path) == ERR_OK;
    prover_free(p);
    if (!ok)
        return VOUCHED_NOT;
    for (size_t i = 0; i < path.n; i++)
        hashes[i] = slice_make(path.hash[i].b, SHA256_LEN);
    struct sha256 own = merkle_root(&tree, v->digest);
    if (!merkle_consistent(v->digest, size, slice_make(own.b, SHA256_LEN), v->cp.size,
                           slice_make(v->cp.root.b, SHA256_LEN), (struct merkle_proof){ hashes, path.n }))
        return VOUCHED_NOT;
    return memcmp(&own, root, sizeof own) == 0 ? VOUCHED_SAME : VOUCHED_OTHER;
}

bool verify_range_holds(struct verify *v)
{
    struct sha256 root = merkle_root(&v->tree, v->digest);
    return tiles_vouch(v, v->tree.size, &root) == VOUCHED_SAME;
}

/* Called at each size while reading. */
void verify_take_kept(struct verify *v)
{
    if (!v->has_kept || v->tree.size != v->kept.size)
        return;
    struct sha256 root = merkle_root(&v->tree, v->digest);
    v->kept_seen = true;
    v->kept_same = memcmp(&root, &v->kept.root, sizeof root) == 0;
}

static enum vouched kept_vouched(struct verify *v)
{
    if (v->kept_seen)
        return v->kept_same ? VOUCHED_SAME : VOUCHED_OTHER;
    return v->kept.size == 0 ? VOUCHED_SAME : tiles_vouch(v, v->kept.size, &v->kept.root);
}

/* The log's own checkpoint does not go so far: of the records behind it only the kept one is signed, so nobody signed
 * others, and what differs was altered. Its tiles may tell which. */
static enum err kept_differs(struct verify *v, struct diags *d)
{
    const struct note_checkpoint own = v->cp;
    verify_fail(v, "altered", own.size, 0);
    v->report->bad_last = v->kept.size - 1;
    v->report->bad_file[0] = '\0';
    v->cp = v->kept;
    enum err e = localise(v, d);
    v->cp = own;
    return e;
}

enum err verify_kept(struct verify *v, struct diags *d)
{
    enum vouched says = VOUCHED_SAME;
    if (!v->has_kept || v->report->failed)
        return ERR_OK;
    snprintf(v->name, sizeof v->name, "kept checkpoint");
    if (v->has_key && !note_verify(&v->kept, v->origin, v->key)) {
        verify_fail(v, "signature", v->kept.size, 0);
    } else if (!v->kept_seen && v->kept.size > v->tree.size && v->stop == UINT64_MAX) {
        verify_fail(v, "truncated", v->tree.size, 0);
    } else if ((says = kept_vouched(v)) == VOUCHED_OTHER && v->signed_ok && v->kept.size > v->cp.size) {
        return kept_differs(v, d);
    } else if (says != VOUCHED_SAME) {
        verify_fail(v, says == VOUCHED_OTHER ? "forked" : "missing", 0, 0);
        v->report->bad_last = v->kept.size - 1;
    } else {
        v->report->kept_ok = v->has_key && v->key_given;
    }
    return ERR_OK;
}
