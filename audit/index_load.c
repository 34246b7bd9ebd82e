/* What a start finds in <dir>/index, and whether it is of this log. A part fits when its file is whole (its sum), when
 * it continues the part before it, and when its first and last record stand in the segment where it says, with the
 * checksum that it says. audit_index_check reads everything. Invariant: parts[0..n_parts) cover [first, next) of the
 * log without a hole; a file that does not fit is removed with all behind it. */
#include "audit/index.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIES = 50, TRY_US = 20000 }; /* where memory is short */

enum err index_part_path(const struct audit_index *x, uint64_t first, char out[PATH_MAX])
{
    char name[PART_NAME];
    part_name(first, name);
    int n = snprintf(out, PATH_MAX, "%s/index/%s", x->dir, name);
    return n > 0 && n < PATH_MAX ? ERR_OK : ERR_TOO_LARGE;
}

static void part_remove(const struct audit_index *x, uint64_t first)
{
    char path[PATH_MAX];
    if (index_part_path(x, first, path) == ERR_OK)
        unlink(path);
}

void index_drop_from(struct audit_index *x, uint64_t first)
{
    while (x->n_parts > 0 && x->parts[x->n_parts - 1]->h.first >= first) {
        struct part *p = x->parts[--x->n_parts];
        part_remove(x, p->h.first);
        x->bytes -= p->map_n;
        x->discarded++;
        part_unref(p);
    }
    const struct part *last = x->n_parts > 0 ? x->parts[x->n_parts - 1] : NULL;
    x->next = last ? last->h.first + last->h.n : x->first;
    x->segment = last ? last->h.segment : x->first;
    x->offset = last ? last->h.to : 0;
    x->at_last = last ? part_time_last(&last->h) : 0;
    x->drafting = false;
    x->n_late = 0;
    x->dropped++;
}

/* ---- the files ---- */
struct names {
    uint64_t *first; /* own */
    size_t n, room;
};

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The folder is made here, and tried again later when there is no room: nothing waits for an index. */
static enum err names_read(const struct audit_index *x, struct names *ret)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/index", x->dir);
    enum err e = n > 0 && n < PATH_MAX ? dir_make(path, 0700, NULL) : ERR_TOO_LARGE;
    DIR *folder = e == ERR_OK ? opendir(path) : NULL;
    if (folder == NULL)
        return e != ERR_OK ? e : ERR_SYS;
    for (struct dirent *f; e == ERR_OK && (f = readdir(folder)) != NULL;) {
        struct slice name = slice_of(f->d_name);
        uint64_t first;
        if (name.n != PART_NAME - 1 || !slice_ends(name, SLICE(".part")) ||
            !slice_u64(slice_sub(name, 0, 16), 0, (1ull << 53) - 1, &first))
            continue;
        if (ret->n == ret->room) {
            size_t room = ret->room ? ret->room * 2 : 64;
            uint64_t *more = mem_grow(ret->first, room * sizeof *more);
            e = more == NULL ? ERR_NOMEM : ERR_OK;
            ret->first = more != NULL ? more : ret->first;
            ret->room = more != NULL ? room : ret->room;
        }
        if (e == ERR_OK)
            ret->first[ret->n++] = first;
    }
    closedir(folder);
    if (ret->n > 1)
        qsort(ret->first, ret->n, sizeof *ret->first, ascending);
    return e;
}

/* ---- does a part fit the log? ---- */
/* Segments hold a part's records when one begins at h.segment and none begins inside the part. */
static bool segments_fit(const struct segment_list *l, const struct part_head *h)
{
    bool found = false;
    for (size_t i = 0; i < l->n; i++) {
        found = found || l->first[i] == h->segment;
        if (l->first[i] > h->first && l->first[i] < h->first + h->n)
            return false;
    }
    return found;
}

/* The record `n` behind the part's first stands in the segment; its checksum and the offset behind it. *e is set where
 * memory was short: then nobody knows. */
static bool record_fits(const struct audit_index *x, const struct part *p, uint64_t n, char sum[LOGLINE_CRC_N],
                        uint64_t *end, enum err *e)
{
    char path[PATH_MAX];
    struct logscan s;
    struct slice line = { 0 };
    uint64_t index = 0, offset = 0;
    unsigned skip;
    enum err opened = segment_path(x->dir, p->h.segment, path, sizeof path);
    if (opened == ERR_OK)
        opened = logscan_open(&s, path, part_mark(p, n, &skip));
    if (opened == ERR_NOMEM)
        *e = opened;
    bool ok = opened == ERR_OK;
    if (!ok)
        return false;
    for (unsigned i = 0; ok && i <= skip; i++)
        ok = logscan_next(&s, &line, &offset) == LOGSCAN_LINE;
    ok = ok && logline_check(line, &index) && index == p->h.first + n;
    if (ok)
        memcpy(sum, line.p + LOGLINE_CRC, LOGLINE_CRC_N);
    *end = offset + line.n + 1;
    logscan_close(&s);
    return ok;
}

static bool part_fits(const struct audit_index *x, const struct segment_list *l, const struct part *p, enum err *e)
{
    const struct part *before = x->n_parts > 0 ? x->parts[x->n_parts - 1] : NULL;
    char sum[LOGLINE_CRC_N];
    uint64_t end;
    bool begins = p->h.first == p->h.segment;
    if (p->h.first != x->next || (before != NULL && p->h.seed != x->seed) || !segments_fit(l, &p->h))
        return false;
    if (before != NULL && p->h.at_before != part_time_last(&before->h))
        return false;
    if (begins ? p->h.from != 0 : before != NULL && (before->h.segment != p->h.segment || before->h.to != p->h.from))
        return false;
    return p->h.first + p->h.n <= index_log_size(x) && record_fits(x, p, 0, sum, &end, e) &&
           record_fits(x, p, p->h.n - 1, sum, &end, e) && end == p->h.to && memcmp(sum, p->h.last_sum, sizeof sum) == 0;
}

static enum err load_one(struct audit_index *x, const struct segment_list *l, uint64_t first, bool *fits)
{
    char path[PATH_MAX];
    struct part *p = NULL;
    enum err e = index_part_path(x, first, path);
    *fits = false;
    if (e == ERR_OK)
        e = part_open(path, &p);
    if (e != ERR_OK)
        return e == ERR_NOMEM ? e : ERR_OK;
    pthread_mutex_lock(&x->lock);
    *fits = part_fits(x, l, p, &e);
    if (*fits && x->n_parts == 0)
        x->seed = p->h.seed;
    if (*fits)
        e = index_add_part(x, p);
    else
        part_unref(p);
    pthread_mutex_unlock(&x->lock);
    return e;
}

/* Segments may go meanwhile: what an earlier try or this one has loaded can be asked for. */
static uint64_t first_now(struct audit_index *x)
{
    pthread_mutex_lock(&x->lock);
    uint64_t first = x->first;
    pthread_mutex_unlock(&x->lock);
    return first;
}

static enum err load_all(struct audit_index *x, const struct segment_list *l, const struct names *names)
{
    enum err e = ERR_OK;
    bool fits = true;
    for (size_t i = 0; e == ERR_OK && i < names->n; i++) {
        bool pruned = names->first[i] < first_now(x);
        if (!pruned && fits)
            e = load_one(x, l, names->first[i], &fits);
        if (e != ERR_OK || (fits && !pruned))
            continue;
        part_remove(x, names->first[i]);
        x->discarded += !pruned;
    }
    return e;
}

/* Lock held. What an attempt before has loaded goes from memory; its files are as good as before. `first` was read
 * without the lock: segments may have gone since. */
static void load_begin(struct audit_index *x, uint64_t first)
{
    while (x->n_parts > 0)
        part_unref(x->parts[--x->n_parts]);
    x->bytes = 0;
    x->first = first > x->first ? first : x->first;
    index_drop_from(x, 0);
}

enum err index_load(struct audit_index *x)
{
    struct segment_list list = { 0 };
    struct names names = { 0 };
    enum err e = segment_list_read(x->dir, &list, NULL);
    if (e == ERR_OK)
        e = names_read(x, &names);
    if (e == ERR_OK) {
        pthread_mutex_lock(&x->lock);
        load_begin(x, list.n > 0 ? list.first[0] : 0);
        pthread_mutex_unlock(&x->lock);
        e = load_all(x, &list, &names);
    }
    mem_free(names.first);
    segment_list_done(&list);
    return e;
}

/* ---- the whole comparison ---- */
static void add_time(struct part_head *times, struct slice line)
{
    enum audit_kind kind;
    int64_t at;
    if (logline_kind(line, &kind) && logline_at(line, &at))
        part_time_add(times, kind, at);
}

/* In use: its marks are read. */
static enum err part_agrees(const struct audit_index *x, struct part *p)
{
    struct part_head times = { .at_before = p->h.at_before };
    char path[PATH_MAX];
    struct logscan s;
    struct slice line;
    uint64_t index, offset;
    enum err e = segment_path(x->dir, p->h.segment, path, sizeof path);
    if (e == ERR_OK)
        e = logscan_open(&s, path, p->h.from);
    if (e != ERR_OK)
        return e == ERR_NOMEM ? e : ERR_CONFLICT;
    uint64_t sums = 0;
    bool ok = true;
    for (uint64_t i = 0; ok && i < p->h.n; i++) {
        ok = logscan_next(&s, &line, &offset) == LOGSCAN_LINE && logline_check(line, &index) &&
             index == p->h.first + i && (i % PART_MARK != 0 || p->marks[i / PART_MARK] == offset);
        if (!ok)
            break;
        sums = part_sums_add(sums, line);
        add_time(&times, line);
    }
    logscan_close(&s);
    p->timed = ok && sums == p->h.sums && part_times_equal(&times, &p->h);
    return p->timed ? ERR_OK : ERR_CONFLICT;
}

/* ERR_CONFLICT: it says other things than its records, or its file is gone. One whose segment retention has removed
 * meanwhile says nothing against the index. ERR_AGAIN: the index has another one in its place by now, or none.
 * ERR_NOMEM: nobody knows. */
static enum err part_compare(struct audit_index *x, struct part *p)
{
    enum err e = part_use(p);
    if (e == ERR_OK) {
        e = part_agrees(x, p);
        part_rest(p);
    }
    if (e == ERR_OK || e == ERR_NOMEM)
        return e;
    bool there = false;
    pthread_mutex_lock(&x->lock);
    for (size_t i = 0; i < x->n_parts; i++)
        there = there || x->parts[i] == p;
    bool gone = p->h.first < x->first;
    pthread_mutex_unlock(&x->lock);
    return gone ? ERR_OK : there ? ERR_CONFLICT : ERR_AGAIN;
}

/* The part that begins at or behind `first`, counted; NULL: there is none. */
static struct part *part_from(struct audit_index *x, uint64_t first)
{
    struct part *p = NULL;
    pthread_mutex_lock(&x->lock);
    for (size_t i = 0; p == NULL && i < x->n_parts; i++) {
        if (x->parts[i]->h.first >= first)
            p = part_ref(x->parts[i]);
    }
    pthread_mutex_unlock(&x->lock);
    return p;
}

enum err index_times(struct audit_index *x, const _Atomic bool *stop)
{
    enum err e = ERR_OK;
    struct part *p;
    for (uint64_t at = 0; e == ERR_OK && (p = part_from(x, at)) != NULL; part_unref(p)) {
        at = p->h.first + p->h.n;
        if (!p->timed)
            e = part_compare(x, p);
        if (e == ERR_AGAIN) {
            at = p->h.first;
            e = ERR_OK;
        }
        if (atomic_load_explicit(stop, memory_order_relaxed))
            e = ERR_AGAIN;
    }
    return e;
}

static bool is_asked(const _Atomic bool *stop)
{
    return stop != NULL && atomic_load_explicit(stop, memory_order_relaxed);
}

uint64_t audit_index_check(struct audit_index *x, const _Atomic bool *stop)
{
    uint64_t bad = UINT64_MAX;
    struct part *p;
    for (uint64_t at = 0; bad == UINT64_MAX && !is_asked(stop) && (p = part_from(x, at)) != NULL; part_unref(p)) {
        at = p->h.first + p->h.n;
        enum err e = part_compare(x, p);
        for (unsigned i = 0; e == ERR_NOMEM && i < TRIES; i++) {
            usleep(TRY_US);
            e = part_compare(x, p);
        }
        if (e == ERR_AGAIN)
            at = p->h.first;
        if (e == ERR_OK || e == ERR_AGAIN)
            continue;
        bad = p->h.first;
        pthread_mutex_lock(&x->lock);
        uint64_t from = x->discard_from; /* a rebuild may be asked for without the lock */
        while (from > p->h.first && !atomic_compare_exchange_weak(&x->discard_from, &from, p->h.first)) {
        }
        pthread_cond_signal(&x->wake);
        pthread_mutex_unlock(&x->lock);
    }
    return bad;
}
