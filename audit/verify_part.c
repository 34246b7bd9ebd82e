/* The verifier on less than a whole log, and against more than its own checkpoint: a range, a log whose oldest segments
 * were removed by retention, a checkpoint that was kept elsewhere. Invariant: what was not read is vouched for by
 * hashes that lead to the signed root, or the answer is that it does not verify. */
#include "audit/prove.h"
#include "audit/verify.h"
#include <stdio.h>

/* A later segment's head holds the tree of all records before it. Nothing in it is believed until the root at the end,
 * which it leads to, is the signed one. */
bool verify_begin_at(struct verify *v, uint64_t first)
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

size_t verify_first_segment(const struct verify *v)
{
    size_t i = 0;
    while (i + 1 < v->list.n && v->list.first[i + 1] <= v->from)
        i++;
    return i;
}

/* An act "audit.prune" says {"before":N}: records below N were removed by retention, on record. */
void verify_note_prune(struct verify *v, struct slice line)
{
    struct slice verb, content;
    uint64_t before;
    if ((v->has_cp && v->tree.size >= v->cp.size) || line.p[LOGLINE_KIND] != 'a' ||
        !logline_field(line, "verb", &verb) || !slice_is(verb, "\"audit.prune\"") ||
        !logline_field(line, "content", &content) || !logline_u64(content, "before", &before))
        return;
    if (before > v->pruned)
        v->pruned = before;
}

/* The tiles lead from (size, root) to the signed root. */
static bool tiles_vouch(struct verify *v, uint64_t size, const struct sha256 *root)
{
    struct proof_path path;
    struct slice hashes[MERKLE_PATH_MAX];
    struct prover *p = v->has_cp && size <= v->cp.size ? prover_folder(v->dir, v->cp.size) : NULL;
    bool ok = p != NULL && prove_consistency(p, size, &path) == ERR_OK;
    prover_free(p);
    for (size_t i = 0; ok && i < path.n; i++)
        hashes[i] = slice_make(path.hash[i].b, SHA256_LEN);
    return ok && merkle_consistent(v->digest, size, slice_make(root->b, SHA256_LEN), v->cp.size,
                                   slice_make(v->cp.root.b, SHA256_LEN), (struct merkle_proof){ hashes, path.n });
}

bool verify_range_holds(struct verify *v)
{
    struct sha256 root = merkle_root(&v->tree, v->digest);
    return tiles_vouch(v, v->tree.size, &root);
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

void verify_kept(struct verify *v)
{
    if (!v->has_kept || v->report->failed)
        return;
    snprintf(v->name, sizeof v->name, "kept checkpoint");
    if (v->has_key && !note_verify(&v->kept, v->origin, v->key)) {
        verify_fail(v, "signature", v->kept.size, 0);
    } else if (!v->kept_seen && v->kept.size > v->tree.size && v->to == 0) {
        verify_fail(v, "truncated", v->tree.size, 0);
    } else if (!(v->kept_seen ? v->kept_same : v->kept.size == 0 || tiles_vouch(v, v->kept.size, &v->kept.root))) {
        verify_fail(v, "forked", 0, 0);
        v->report->bad_last = v->kept.size - 1;
    } else {
        v->report->kept_ok = v->has_key && v->key_given;
    }
}
