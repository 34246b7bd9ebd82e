/* See retention.h. Invariants: only whole segments go, oldest first, so that a crash in between leaves a prefix cut off
 * and nothing else; what stays begins with a segment's head, which has the tree's right edge; the two newest segments
 * always stay, and the log that stays begins on a tile. */
#include "audit/retention.h"
#include "audit/index.h"
#include "audit/pruned.h"
#include "audit/tile.h"
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEEP_SEGMENTS = 2 };

struct segment_age {
    uint64_t first, end;           /* records */
    int64_t exchange_at, other_at; /* newest; 0: none */
    int64_t at_before, at_first;   /* of the record before it, and of its first; 0: none */
    int64_t elapsed_ms;            /* of the log, up to its end */
};

static void age_add(struct segment_age *a, const struct part_head *h, int64_t elapsed)
{
    a->end = h->first + h->n;
    a->elapsed_ms = elapsed;
    a->exchange_at = h->exchange_at > a->exchange_at ? h->exchange_at : a->exchange_at;
    a->other_at = h->other_at > a->other_at ? h->other_at : a->other_at;
    if (a->at_first == 0) {
        a->at_before = h->at_before;
        a->at_first = h->at_first;
    }
}

/* Segments by the sealed parts and the draft; *n of them. NULL: no memory. */
static struct segment_age *segments_read(struct audit_index *x, size_t *n, int64_t *elapsed)
{
    struct segment_age *s = mem_array(x->n_parts + 1, sizeof *s);
    *n = 0;
    *elapsed = 0;
    for (size_t i = 0; s != NULL && i < x->n_parts + x->drafting; i++) {
        const struct part_head *h = i < x->n_parts ? &x->parts[i]->h : &x->draft.h;
        if (*n == 0 || s[*n - 1].first != h->segment)
            s[(*n)++] = (struct segment_age){ .first = h->segment };
        *elapsed += h->elapsed_ms;
        age_add(&s[*n - 1], h, *elapsed);
    }
    return s;
}

/* Old enough by the wall clock, and by the log? */
static bool old(int64_t at, int64_t keep_ms, int64_t now, int64_t log_age, enum audit_kept_by *why)
{
    *why = AUDIT_KEPT_AGE;
    if (at == 0 || keep_ms <= 0 || now - at < keep_ms)
        return false;
    *why = AUDIT_KEPT_CLOCK;
    return log_age >= keep_ms;
}

/* What every verifier asks of what remains (pruned.h): the first record of the `n` segments behind is old, too. A step
 * more than that, for the clock may be set back before the act is written. */
static bool rest_old(const struct segment_age *rest, size_t n, int64_t now, int64_t log_age, enum audit_kept_by *why)
{
    while (n > 1 && rest->at_first == 0) {
        rest++;
        n--;
    }
    return old(rest->at_first, PRUNED_LEAST_MS + LIVED_STEP_MS, now,
               log_age - lived_step(rest->at_before, rest->at_first), why);
}

static bool segment_old(const struct segment_age *a, const struct audit_retention *r, int64_t now, int64_t log_age,
                        enum audit_kept_by *why)
{
    int64_t newest = a->exchange_at > a->other_at ? a->exchange_at : a->other_at;
    if ((a->exchange_at != 0 && !old(a->exchange_at, r->exchange_ms, now, log_age, why)) ||
        (a->other_at != 0 && !old(a->other_at, r->other_ms, now, log_age, why)))
        return false;
    *why = AUDIT_KEPT_HOLD;
    if (newest >= r->hold_from)
        return false;
    *why = AUDIT_KEPT_GRANT;
    return r->rests == NULL || !r->rests(r->arg, newest, log_age);
}

static void plan_add(const struct audit_index *x, const struct segment_age *a, struct audit_prunable *p)
{
    int64_t newest = a->exchange_at > a->other_at ? a->exchange_at : a->other_at;
    char path[PATH_MAX];
    struct stat st;
    p->before = a->end;
    p->segments++;
    if (newest > p->newest_at)
        p->newest_at = newest;
    if (segment_path(x->dir, a->first, path, sizeof path) == ERR_OK && stat(path, &st) == 0)
        p->bytes += (uint64_t)st.st_size;
}

void audit_retention_plan(struct audit_index *x, const struct audit_retention *r, int64_t now,
                          struct audit_prunable *ret)
{
    struct audit_prunable p = { 0 }, good;
    size_t n;
    int64_t elapsed;
    pthread_mutex_lock(&x->lock);
    p.first = p.before = x->first;
    p.kept_by = AUDIT_KEPT_INDEX;
    good = p;
    struct segment_age *s = segments_read(x, &n, &elapsed);
    bool whole = s != NULL && x->discard_from == UINT64_MAX; /* behind the log is well: it makes what is old younger */
    for (size_t i = 0; whole && i < n; i++) {
        int64_t log_age = elapsed - s[i].elapsed_ms;
        p.kept_by = AUDIT_KEPT_LAST;
        if (i + KEEP_SEGMENTS >= n || !segment_old(&s[i], r, now, log_age, &p.kept_by) ||
            !rest_old(&s[i + 1], n - i - 1, now, log_age, &p.kept_by))
            break;
        plan_add(x, &s[i], &p);
        if (p.before % TILE_HASHES == 0)
            good = p;
    }
    good.kept_by = p.kept_by;
    pthread_mutex_unlock(&x->lock);
    mem_free(s);
    *ret = good;
}

static void parts_remove(struct audit_index *x, uint64_t before)
{
    char path[PATH_MAX];
    size_t n = 0;
    pthread_mutex_lock(&x->lock);
    while (n < x->n_parts && x->parts[n]->h.first < before) {
        struct part *p = x->parts[n++];
        if (index_part_path(x, p->h.first, path) == ERR_OK)
            unlink(path);
        x->bytes -= p->map_n;
        part_unref(p);
    }
    memmove(x->parts, x->parts + n, (x->n_parts - n) * sizeof(struct part *));
    x->n_parts -= n;
    x->first = before > x->first ? before : x->first;
    pthread_mutex_unlock(&x->lock);
}

enum err audit_prune(struct audit_index *x, uint64_t before, struct diags *d)
{
    struct segment_list l;
    char path[PATH_MAX];
    enum err e = segment_list_read(x->dir, &l, d);
    if (e != ERR_OK)
        return e;
    bool boundary = false;
    for (size_t i = 0; i < l.n; i++)
        boundary = boundary || l.first[i] == before;
    if (!boundary) {
        segment_list_done(&l);
        return diag_add(d, ERR_INVALID, 0, 0, "no segment begins at record %llu", "没有以第 %llu 条记录开始的日志段",
                        (unsigned long long)before);
    }
    parts_remove(x, before); /* first, so that no question is led to what is gone */
    for (size_t i = 0; e == ERR_OK && i < l.n && l.first[i] < before; i++) {
        e = segment_path(x->dir, l.first[i], path, sizeof path);
        if (e == ERR_OK && unlink(path) != 0)
            e = diag_sys(d, errno, "cannot remove %s", "无法删除 %s", path);
    }
    segment_list_done(&l);
    return e;
}
