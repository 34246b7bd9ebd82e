/* The verifier: reads the segments, trusts none of them, and names the first record that is wrong.
 * First pass: shape, CRC, order, tree. Whoever can write the files can also make CRCs; only the signed root tells then,
 * and the second pass (localise.c) finds the record through tiles that hash to that root. Invariant: the report says
 * failed, or the records [0, checkpoint_size) hash to the signed root. */
#include "audit/verify.h"
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

enum { PROGRESS_STEP = 16 << 20 };

void verify_fail(struct verify *v, const char *what, uint64_t index, uint64_t offset)
{
    struct audit_report *r = v->report;
    r->failed = true;
    r->bad_what = what;
    r->bad_index = r->bad_last = index;
    r->bad_offset = offset;
    snprintf(r->bad_file, sizeof r->bad_file, "%s", v->name);
}

static void take_root(struct verify *v)
{
    verify_take_kept(v);
    if (v->has_cp && v->tree.size == v->cp.size)
        v->cp_root = merkle_root(&v->tree, v->digest);
}

/* The head of a later segment repeats the root of all records before it: where it differs, they were changed. */
static void take_head(struct verify *v, struct slice line, uint64_t index)
{
    struct head h;
    enum audit_kind kind;
    if (v->suspect || !logline_kind(line, &kind) || kind != AUDIT_SEGMENT || !head_is_first(line))
        return;
    struct sha256 root = merkle_root(&v->tree, v->digest);
    if (head_read(line, index, &h) == ERR_OK && memcmp(&root, &h.root, sizeof root) == 0) {
        v->trusted = index;
        return;
    }
    v->suspect = true;
    v->suspect_end = index;
}

/* What stands behind a broken line: the next good record's index, and whether `want` comes later at all. */
struct ahead {
    bool good, found, rest; /* rest: bytes that are not zero */
    uint64_t next;
};

static struct ahead look_ahead(struct logscan *s, uint64_t want)
{
    struct ahead a = { 0 };
    struct slice line;
    uint64_t index, offset;
    enum logscan_state state;
    while (!a.found && (state = logscan_next(s, &line, &offset)) != LOGSCAN_END && state != LOGSCAN_FAILED) {
        if (state != LOGSCAN_LINE) {
            if (!logscan_skip(s))
                break;
            a.rest = true;
            continue;
        }
        a.rest = true;
        if (!logline_check(line, &index))
            continue;
        if (!a.good)
            a.next = index;
        a.good = true;
        a.found = index == want;
    }
    return a;
}

static void classify_broken(struct verify *v, struct logscan *s, enum logscan_state state, uint64_t offset, bool last)
{
    uint64_t want = v->tree.size;
    bool zeros = state == LOGSCAN_ZEROS;
    struct ahead a = look_ahead(s, want);
    if (last && !a.good && (!v->has_cp || want >= v->cp.size)) {
        v->report->torn_tail = !zeros || a.rest;
        v->ended = true;
    } else if (zeros && !a.good) {
        verify_fail(v, last ? "truncated" : "missing", want, offset);
    } else {
        verify_fail(v, a.good && a.next == want ? "inserted" : "altered", want, offset);
    }
}

static void classify_order(struct verify *v, struct logscan *s, uint64_t index, uint64_t offset)
{
    uint64_t want = v->tree.size;
    if (index < want)
        verify_fail(v, "inserted", index + 1 == want ? index : want, offset);
    else
        verify_fail(v, look_ahead(s, want).found ? "reordered" : "missing", want, offset);
}

static void take_line(struct verify *v, struct slice line, uint64_t offset)
{
    if (offset == 0 && v->tree.size > 0)
        take_head(v, line, v->tree.size);
    if (!v->has_cp || v->tree.size < v->cp.size)
        pruned_take(&v->pruned, v->tree.size, line);
    struct sha256 leaf = merkle_leaf(v->digest, line);
    merkle_push(&v->tree, v->digest, &leaf);
    take_root(v);
}

static void progress(struct verify *v, uint64_t more)
{
    v->report->bytes += more;
    if (v->progress == NULL || v->report->bytes < v->progress_next)
        return;
    v->progress(v->arg, v->report->bytes, v->total);
    v->progress_next = v->report->bytes + PROGRESS_STEP;
}

/* Records of one segment up to `limit`; what stands behind it in the file is void. */
static enum err verify_segment(struct verify *v, uint64_t first, uint64_t limit, bool last, struct diags *d)
{
    char path[4096];
    struct logscan s;
    struct slice line;
    uint64_t index, offset = 0;
    enum err e = segment_path(v->dir, first, path, sizeof path);
    if (e == ERR_OK)
        e = logscan_open(&s, path, 0);
    if (e != ERR_OK)
        return diag_add(d, e, 0, 0, "cannot read %s", "无法读取 %s", path);
    segment_name(first, v->name);
    enum logscan_state state = LOGSCAN_END;
    while (!v->report->failed && !v->ended && v->tree.size < limit) {
        state = logscan_next(&s, &line, &offset);
        if (state == LOGSCAN_END || state == LOGSCAN_FAILED)
            break;
        bool good = state == LOGSCAN_LINE && logline_check(line, &index);
        if (!good)
            classify_broken(v, &s, state, offset, last);
        else if (index != v->tree.size)
            classify_order(v, &s, index, offset);
        else
            take_line(v, line, offset);
        progress(v, line.n + 1);
    }
    if (state == LOGSCAN_FAILED)
        e = diag_sys(d, s.sys, "cannot read %s", "无法读取 %s", path);
    else if (!last && v->tree.size < limit && !v->report->failed)
        verify_fail(v, "missing", v->tree.size, offset);
    v->end_offset = offset;
    logscan_close(&s);
    v->report->segments++;
    return e;
}

static enum err verify_records(struct verify *v, struct diags *d)
{
    enum err e = ERR_OK;
    const struct segment_list *l = &v->list;
    uint64_t stop = v->stop;
    size_t i = verify_begin(v);
    take_root(v);
    for (; e == ERR_OK && i < l->n && v->tree.size < stop && !v->report->failed; i++) {
        bool last = i + 1 == l->n;
        uint64_t limit = last ? UINT64_MAX : l->first[i + 1];
        e = verify_segment(v, l->first[i], limit < stop ? limit : stop, last, d);
    }
    if (e == ERR_OK && !v->report->failed)
        verify_front_end(v);
    if (e == ERR_OK && !v->report->failed && v->has_cp && v->tree.size < v->cp.size && v->tree.size < stop)
        verify_fail(v, "truncated", v->tree.size, v->end_offset);
    return e;
}

static void verify_root(struct verify *v)
{
    snprintf(v->name, sizeof v->name, "checkpoint");
    if (!v->has_cp) {
        if (v->tree.size > 1 || v->cp_bad || v->sm2_asked || v->key_given) /* asked by a key: nothing is signed */
            verify_fail(v, "checkpoint", v->tree.size, 0);
        return;
    }
    if (v->has_key && !v->signed_ok)
        verify_fail(v, "signature", v->cp.size, 0);
    else if (v->sm2_asked && !v->sm2_ok)
        verify_fail(v, "sm2-signature", v->cp.size, 0);
    else if (memcmp(&v->cp_root, &v->cp.root, sizeof v->cp_root) != 0) {
        verify_fail(v, "altered", v->trusted, 0);
        v->report->bad_last = (v->suspect ? v->suspect_end : v->cp.size) - 1;
        v->report->bad_file[0] = '\0';
    }
}

static enum err key_load(struct verify *v, struct slice vkey, struct buf *text, struct diags *d)
{
    char path[4096];
    struct slice name;
    v->key_given = vkey.n > 0;
    if (!v->key_given) {
        snprintf(path, sizeof path, "%s/log.vkey", v->dir);
        if (file_read(path, text, NULL) != ERR_OK)
            return ERR_OK;
        vkey = buf_slice(text);
    }
    if (note_vkey_read(vkey, NOTE_ED25519, &name, v->key) != ERR_OK)
        return diag_add(d, ERR_SYNTAX, 0, 0, "the log's public key is not of the form name+hash+base64",
                        "日志公钥格式应为 名称+哈希+base64");
    v->has_key = true;
    v->origin = name;
    return ERR_OK;
}

static enum err checkpoint_load(struct verify *v, struct slice sm2, struct buf *note, struct diags *d)
{
    char path[4096];
    v->sm2_asked = sm2.n > 0;
    snprintf(path, sizeof path, "%s/checkpoint", v->dir);
    enum err e = file_read(path, note, NULL);
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    if (e != ERR_OK && e != ERR_TOO_LARGE)
        return diag_add(d, e, 0, 0, "cannot read %s", "无法读取 %s", path);
    v->has_cp = e == ERR_OK && note_read(buf_slice(note), &v->cp) == ERR_OK;
    v->cp_bad = !v->has_cp;
    v->signed_ok = v->has_cp && v->has_key && note_verify(&v->cp, v->origin, v->key);
    v->sm2_ok = v->has_cp && v->sm2_asked && audit_sm2_holds(buf_slice(note), sm2);
    return ERR_OK;
}

static void total_bytes(struct verify *v)
{
    for (size_t i = 0; i < v->list.n; i++) {
        char path[4096];
        struct stat st;
        if (segment_path(v->dir, v->list.first[i], path, sizeof path) == ERR_OK && stat(path, &st) == 0)
            v->total += (uint64_t)st.st_size;
    }
}

/* Once more, to the end: where tiles do not vouch for the rest, records must. */
static void read_on(struct verify *v)
{
    v->stop = UINT64_MAX;
    v->tree = (struct merkle){ 0 };
    v->kept_seen = v->ended = v->suspect = false;
    v->report->segments = v->report->bytes = v->report->first = 0;
    v->progress_next = 0;
}

static enum err verify_run(struct verify *v, struct diags *d)
{
    struct audit_report *r = v->report;
    enum err e = segment_list_read(v->dir, &v->list, d);
    if (e != ERR_OK)
        return e;
    total_bytes(v);
    e = verify_records(v, d);
    bool part = e == ERR_OK && !r->failed && v->to != 0 && v->has_cp && v->tree.size < v->cp.size;
    if (part && verify_range_holds(v)) {
        v->cp_root = v->cp.root;
    } else if (part) {
        read_on(v);
        e = verify_records(v, d);
    }
    if (e == ERR_OK && !r->failed)
        verify_root(v);
    if (e == ERR_OK && r->failed)
        e = localise(v, d);
    if (e == ERR_OK)
        e = verify_kept(v, d);
    if (e == ERR_OK && v->progress != NULL)
        v->progress(v->arg, v->total, v->total);
    r->size = v->tree.size - (r->failed ? 0 : r->first);
    r->root = merkle_root(&v->tree, v->digest);
    r->checkpoint_size = v->has_cp ? v->cp.size : 0;
    r->signature_ok = v->signed_ok && v->key_given;
    r->sm2_ok = v->sm2_ok;
    segment_list_done(&v->list);
    return e;
}

static enum err kept_load(struct verify *v, struct slice kept, struct diags *d)
{
    v->has_kept = kept.n > 0;
    if (!v->has_kept || note_read(kept, &v->kept) == ERR_OK)
        return ERR_OK;
    return diag_add(d, ERR_INVALID, 0, 0, "the kept checkpoint is no checkpoint note", "另存的检查点不是有效的检查点");
}

enum err audit_verify_part(const struct audit_verify_ask *a, struct audit_report *ret, struct diags *d)
{
    struct verify v = { .dir = a->dir,
                        .progress = a->progress,
                        .arg = a->arg,
                        .from = a->from,
                        .to = a->to,
                        .stop = a->to != 0 ? a->to : UINT64_MAX,
                        .report = ret,
                        .digest = digest_new() };
    struct buf note = BUF_INIT(NOTE_MAX), key = BUF_INIT(NOTE_MAX);
    *ret = (struct audit_report){ .bad_what = "" };
    enum err e = v.digest == NULL ? ERR_NOMEM : key_load(&v, a->vkey, &key, d);
    if (e == ERR_OK && a->to != 0 && a->to <= a->from)
        e = diag_add(d, ERR_INVALID, 0, 0, "the range is empty: its end must be above its begin",
                     "区间为空：终点须大于起点");
    if (e == ERR_OK)
        e = kept_load(&v, a->kept, d);
    if (e == ERR_OK)
        e = checkpoint_load(&v, a->sm2, &note, d);
    if (e == ERR_OK)
        e = verify_run(&v, d);
    digest_free(v.digest);
    buf_done(&note);
    buf_done(&key);
    return e;
}

enum err audit_verify(const char *dir, struct slice vkey, void (*progress_fn)(void *arg, uint64_t done, uint64_t total),
                      void *arg, struct audit_report *ret, struct diags *d)
{
    struct audit_verify_ask a = { .dir = dir, .vkey = vkey, .progress = progress_fn, .arg = arg };
    return audit_verify_part(&a, ret, d);
}
