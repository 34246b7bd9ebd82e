/* What may go: see retention.h. Invariants: only whole segments, oldest first; what stays begins with a segment's head,
 * which has the tree's right edge, and on a tile; the two newest segments always stay. */
#include "audit/retention.h"
#include "audit/index.h"
#include "audit/pruned.h"
#include "audit/tile.h"
#include <sys/stat.h>

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
    if (a->exchange_at > p->exchange_at)
        p->exchange_at = a->exchange_at;
    if (a->other_at > p->other_at)
        p->other_at = a->other_at;
    if (segment_path(x->dir, a->first, path, sizeof path) == ERR_OK && stat(path, &st) == 0)
        p->bytes += (uint64_t)st.st_size;
}

bool audit_retention_plan(struct audit_index *x, const struct audit_retention *r, int64_t now,
                          struct audit_prunable *ret)
{
    struct audit_prunable p = { 0 }, good;
    size_t n;
    int64_t elapsed;
    *ret = p;
    if (!index_lock_soon(x)) /* who carries out acts asks */
        return false;
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
    return true;
}
