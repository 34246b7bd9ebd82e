/* Questions over the parts. In each part the rows of all terms are intersected as bits; what is left is filtered by
 * time and result, read from the segments, and asked again there. Invariants: a row is shown only when its own records
 * hold all that was asked; rows come in the order of their first records, each once; a question sees the parts and the
 * end of the draft as they were when it began. */
#include "audit/index.h"
#include "audit/render.h"
#include <fcntl.h>
#include <unistd.h>

enum { FIND_LIMIT = 1000, READ_FIRST = 16 << 10, READ_MOST = (PART_MARK + 1) * AUDIT_RECORD_MAX, PAGE_ROWS = 256 };

struct place { /* of a record: in this segment, `skip` lines behind the offset */
    uint64_t segment, offset;
    unsigned skip;
};
struct finder {
    struct audit_index *x;
    const struct audit_question *q;
    struct part **parts; /* own; ref each: as they were at the beginning */
    size_t n;
    struct part_late *late; /* own: copy */
    size_t n_late;
    uint64_t first, draft_first, end; /* end: records from here on are not part of the answer */
    uint64_t dropped;                 /* the index's, at the beginning */
    enum err unused;                  /* why a part that is there could not be read; else ERR_OK */
    struct terms want, have;
    struct {
        uint64_t wanted, hash;
    } instead[PERSON_SPELLINGS + 1]; /* terms that will do as well as one of `want` */
    unsigned n_instead;
    uint8_t bits[PART_BITS], one[PART_BITS];
    struct part_row rows[PAGE_ROWS];
    uint64_t segment; /* of fd */
    int fd;           /* own */
    char *mem;        /* own; READ_MOST */
    char lines[3][AUDIT_RECORD_MAX];
    uint32_t limit, found;
    bool done;
    bool (*fn)(void *arg, const struct audit_row *row);
    void *arg;
    struct audit_found *ret;
};

/* ---- records by index ---- */
static struct part *part_of(struct finder *f, uint64_t index)
{
    size_t low = 0, high = f->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (f->parts[mid]->h.first + f->parts[mid]->h.n <= index)
            low = mid + 1;
        else
            high = mid;
    }
    return low < f->n && f->parts[low]->h.first <= index ? f->parts[low] : NULL;
}

static bool place_in(struct finder *f, struct part *p, uint64_t index, struct place *ret)
{
    enum err e = part_use(p);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        f->unused = e;
    if (e != ERR_OK)
        return false;
    ret->segment = p->h.segment;
    ret->offset = part_mark(p, index - p->h.first, &ret->skip);
    part_rest(p);
    return true;
}

/* Behind the parts that the question began with: in the draft, or in what became of it. */
static bool place_new(struct finder *f, uint64_t index, struct place *ret)
{
    struct audit_index *x = f->x;
    bool found = false;
    pthread_mutex_lock(&x->lock);
    const struct part_head *h = &x->draft.h;
    if (x->drafting && index >= h->first && index < h->first + h->n) {
        *ret = (struct place){ h->segment, x->draft.marks[(index - h->first) / PART_MARK],
                               (unsigned)((index - h->first) % PART_MARK) };
        found = true;
    }
    for (size_t i = x->n_parts; i-- > 0 && !found && x->parts[i]->h.first + x->parts[i]->h.n > index;) {
        if (x->parts[i]->h.first <= index)
            found = place_in(f, x->parts[i], index, ret);
    }
    pthread_mutex_unlock(&x->lock);
    return found;
}

static bool place_of(struct finder *f, uint64_t index, struct place *ret)
{
    struct part *p = part_of(f, index);
    return p == NULL ? place_new(f, index, ret) : place_in(f, p, index, ret);
}

static bool segment_use(struct finder *f, uint64_t segment)
{
    char path[PATH_MAX];
    if (f->fd >= 0 && f->segment == segment)
        return true;
    if (f->fd >= 0)
        close(f->fd);
    f->fd = segment_path(f->x->dir, segment, path, sizeof path) == ERR_OK ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    f->segment = segment;
    return f->fd >= 0;
}

/* Line number `skip` of the n bytes read; false: it is not whole in there. */
static bool line_in(const char *mem, size_t n, unsigned skip, struct slice *ret)
{
    size_t at = 0;
    for (;; skip--) {
        const char *lf = memchr(mem + at, '\n', n - at);
        if (lf == NULL)
            return false;
        *ret = slice_make(mem + at, (size_t)(lf - mem) - at);
        if (skip == 0)
            return true;
        at = (size_t)(lf - mem) + 1;
    }
}

static bool line_read(struct finder *f, uint64_t index, char out[AUDIT_RECORD_MAX], struct slice *ret)
{
    struct place p;
    struct slice line;
    uint64_t written;
    if (!place_of(f, index, &p) || !segment_use(f, p.segment))
        return false;
    ssize_t n = pread(f->fd, f->mem, READ_FIRST, (off_t)p.offset);
    bool ok = n > 0 && line_in(f->mem, (size_t)n, p.skip, &line);
    if (!ok && n == READ_FIRST) {
        n = pread(f->fd, f->mem, READ_MOST, (off_t)p.offset);
        ok = n > 0 && line_in(f->mem, (size_t)n, p.skip, &line);
    }
    if (!ok || !logline_check(line, &written) || written != index)
        return false;
    memcpy(out, line.p, line.n);
    *ret = slice_make(out, line.n);
    return true;
}

/* ---- one part ---- */
/* Terms whose rows may have changed since a part was sealed. */
static bool term_comes_late(const struct finder *f, uint64_t hash)
{
    const struct audit_question *q = f->q;
    if (q->result != AUDIT_NO_RESULT && hash == term_result(&f->want, q->result))
        return true;
    return q->reason.n > 0 || slice_is(q->kind, "outcome") || slice_is(q->kind, "cut");
}

static void mark_row(uint8_t *bits, uint16_t row)
{
    bits[row / 8] |= (uint8_t)(1u << (row % 8));
}

/* Rows of one term in a sealed part, and those that have to be looked at because something came late. */
static void sealed_mark(struct finder *f, const struct part *p, uint64_t hash)
{
    struct part_list l = part_find(p, hash);
    part_list_mark(&l, p->h.rows, f->one);
    if (!term_comes_late(f, hash))
        return;
    for (uint64_t i = 0; i < p->h.loose; i++)
        mark_row(f->one, p->loose[i]);
    for (size_t i = 0; i < f->n_late; i++) {
        if (f->late[i].first == p->h.first && f->late[i].row < p->h.rows)
            mark_row(f->one, f->late[i].row);
    }
}

/* Steps through the terms that will do in place of `wanted`, itself first; *k from 0. */
static bool each_instead(const struct finder *f, uint64_t wanted, unsigned *k, uint64_t *ret)
{
    *ret = wanted;
    if ((*k)++ == 0)
        return true;
    while (*k - 2 < f->n_instead && f->instead[*k - 2].wanted != wanted)
        ++*k;
    if (*k - 2 >= f->n_instead)
        return false;
    *ret = f->instead[*k - 2].hash;
    return true;
}

static bool draft_may(const struct finder *f, unsigned i)
{
    bool may = false;
    uint64_t hash;
    for (unsigned k = 0; !may && each_instead(f, f->want.hash[i], &k, &hash);)
        may = draft_may_have(&f->x->draft, hash);
    return may;
}

static void term_mark(struct finder *f, const struct part *p, uint64_t hash)
{
    if (p != NULL)
        sealed_mark(f, p, hash);
    else
        draft_mark(&f->x->draft, hash, f->one);
}

/* f->bits: the rows that may hold all that is asked. p NULL: of the draft, whose lock is held. */
static bool part_intersect(struct finder *f, const struct part *p, uint64_t rows)
{
    uint64_t any = 1;
    for (unsigned i = 0; p == NULL && i < f->want.n; i++) {
        if (!draft_may(f, i))
            return false;
    }
    memset(f->bits, 0xff, PART_BITS);
    for (unsigned i = 0; i <= f->want.n && any != 0; i++) {
        bool result = i == f->want.n;
        if (result && (p == NULL || f->q->result == AUDIT_NO_RESULT))
            break; /* a draft has no list of results */
        uint64_t wanted = result ? term_result(&f->want, f->q->result) : f->want.hash[i], hash, word, other;
        memset(f->one, 0, PART_BITS);
        for (unsigned k = 0; each_instead(f, wanted, &k, &hash);)
            term_mark(f, p, hash);
        any = 0;
        for (size_t k = 0; k < PART_BITS; k += sizeof word) {
            memcpy(&word, f->bits + k, sizeof word);
            memcpy(&other, f->one + k, sizeof other);
            word &= other;
            memcpy(f->bits + k, &word, sizeof word);
            any |= word;
        }
    }
    return any != 0 && rows > 0;
}

static bool row_is(const struct finder *f, const struct part_row *r, uint64_t first)
{
    const struct audit_question *q = f->q;
    uint64_t index = first + r->index;
    if (r->kind == AUDIT_SEGMENT && q->kind.n == 0)
        return false; /* the log's own bookkeeping: shown when asked for by name */
    if (index >= f->end || (q->result != AUDIT_NO_RESULT && r->result != q->result))
        return false;
    if (q->after != UINT64_MAX && (q->oldest_first ? index <= q->after : index >= q->after))
        return false;
    return (q->from == 0 || r->at >= q->from) && (q->to == 0 || r->at < q->to);
}

/* Copies rows that hold, from *at on in the order of the answer, up to PAGE_ROWS; *at moves behind them. */
static unsigned rows_take(struct finder *f, const struct part_row *rows, uint32_t n, uint64_t first, uint32_t *at)
{
    unsigned got = 0;
    bool sealed = first != f->draft_first;
    for (; got < PAGE_ROWS && *at < n; ++*at) {
        uint32_t row = f->q->oldest_first ? *at : n - 1 - *at;
        if (!(f->bits[row / 8] >> (row % 8) & 1))
            continue;
        struct part_row r = rows[row];
        for (size_t i = 0; sealed && i < f->n_late; i++) {
            if (f->late[i].first == first && f->late[i].row == row)
                part_late_apply(&r, first, &f->late[i]);
        }
        if (row_is(f, &r, first))
            f->rows[got++] = r;
    }
    return got;
}

/* ---- one row ---- */
static bool has_all(const struct finder *f, uint64_t *missing)
{
    uint64_t left = 0;
    for (unsigned i = 0; i < f->want.n; i++) {
        bool held = false;
        uint64_t hash;
        for (unsigned k = 0; !held && each_instead(f, f->want.hash[i], &k, &hash);)
            held = terms_hold(&f->have, hash);
        if ((*missing >> i & 1) && !held)
            left |= 1ull << i;
    }
    *missing = left;
    return left == 0;
}

/* A record that is not where the index said: retention removed it since the question began, or the index was thrown
 * away since, or it never was there. */
static enum err why_gone(struct finder *f, uint64_t index)
{
    struct audit_index *x = f->x;
    if (f->unused != ERR_OK)
        return f->unused;
    pthread_mutex_lock(&x->lock);
    enum err e = index < x->first ? ERR_NOT_FOUND : x->dropped != f->dropped ? ERR_AGAIN : ERR_CORRUPT;
    pthread_mutex_unlock(&x->lock);
    return e;
}

/* Reads the row's records and asks them. ERR_NOT_FOUND: they do not hold it (two hashes met), or are gone. */
static enum err row_read(struct finder *f, const struct part_row *r, uint64_t first, struct audit_row *ret)
{
    const uint64_t index = first + r->index, at[] = { index, index + r->outcome, index + r->cut };
    struct slice *const lines[] = { &ret->record, &ret->outcome, &ret->cut };
    const bool there[] = { true, r->outcome != 0, r->cut != 0 };
    uint64_t missing = f->want.n == 0 ? 0 : UINT64_MAX >> (64 - f->want.n);
    struct term_facts facts;
    *ret = (struct audit_row){ .index = index, .item_unsure = f->q->item.n > 0 };
    for (int i = 0; i < 3; i++) {
        if (!there[i] || at[i] >= f->end)
            continue;
        if (!line_read(f, at[i], f->lines[i], lines[i]))
            return why_gone(f, at[i]);
        if (!terms_of_line(&f->have, *lines[i], &facts))
            return ERR_CORRUPT;
        (void)!has_all(f, &missing);
        ret->item_unsure = ret->item_unsure && !terms_hold(&f->have, f->want.item);
        ret->result = i == 0 || facts.result != AUDIT_NO_RESULT ? facts.result : ret->result;
    }
    return missing == 0 ? ERR_OK : ERR_NOT_FOUND;
}

static enum err row_give(struct finder *f, const struct part_row *r, uint64_t first)
{
    struct audit_row row;
    enum err e = row_read(f, r, first, &row);
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    if (e != ERR_OK)
        return e;
    if (f->found == f->limit) {
        f->ret->more = f->done = true;
        return ERR_OK;
    }
    f->found++;
    f->ret->last = row.index;
    if (!f->fn(f->arg, &row)) {
        f->ret->more = f->done = true;
    }
    return ERR_OK;
}

/* ---- all parts ---- */
static bool part_skip(const struct finder *f, const struct part_head *h)
{
    const struct audit_question *q = f->q;
    if ((q->from != 0 && h->row_to < q->from) || (q->to != 0 && h->row_from >= q->to))
        return true;
    if (q->after == UINT64_MAX)
        return false;
    return q->oldest_first ? h->first + h->n <= q->after : h->first >= q->after;
}

static enum err rows_give(struct finder *f, unsigned n, uint64_t first)
{
    enum err e = ERR_OK;
    for (unsigned i = 0; e == ERR_OK && i < n && !f->done; i++)
        e = row_give(f, &f->rows[i], first);
    return e;
}

/* What part_use failed for: of a part that retention removed meanwhile nothing is asked any more. */
static enum err why_not_used(struct finder *f, const struct part *p, enum err e)
{
    if (e == ERR_NOT_FOUND)
        e = why_gone(f, p->h.first);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err sealed_ask(struct finder *f, struct part *p)
{
    uint32_t at = 0, rows = (uint32_t)p->h.rows;
    enum err e = ERR_OK;
    if (part_skip(f, &p->h))
        return ERR_OK;
    e = part_use(p);
    if (e != ERR_OK)
        return why_not_used(f, p, e);
    if (!part_intersect(f, p, rows))
        at = rows;
    while (e == ERR_OK && at < rows && !f->done)
        e = rows_give(f, rows_take(f, p->rows, rows, p->h.first, &at), p->h.first);
    part_rest(p);
    return e;
}

/* The draft grows, and may be sealed, between two pages of it: then it is asked as the part it became. It may be thrown
 * away, too: then nobody knows its rows, and what is built in its place may be another one. */
static enum err draft_ask(struct finder *f)
{
    struct audit_index *x = f->x;
    uint32_t at = 0, rows = 0;
    uint64_t seen = 0;
    for (bool more = true; more && !f->done;) {
        struct part *sealed = NULL;
        unsigned n = 0;
        pthread_mutex_lock(&x->lock);
        bool dropped = x->dropped != f->dropped;
        if (dropped) {
            n = 0;
        } else if (x->drafting && x->draft.h.first == f->draft_first) {
            rows = seen == 0 ? (uint32_t)x->draft.h.rows : rows;
            seen = 1;
            if (part_intersect(f, NULL, rows))
                n = rows_take(f, x->draft.rows, rows, f->draft_first, &at);
        } else {
            for (size_t i = 0; i < x->n_parts; i++) {
                if (x->parts[i]->h.first == f->draft_first)
                    sealed = part_ref(x->parts[i]);
            }
        }
        pthread_mutex_unlock(&x->lock);
        if (sealed != NULL) {
            rows = seen == 0 ? (uint32_t)sealed->h.rows : rows;
            seen = 1;
            enum err e = part_use(sealed);
            if (e == ERR_OK && part_intersect(f, sealed, rows))
                n = rows_take(f, sealed->rows, rows, f->draft_first, &at);
            if (e == ERR_OK)
                part_rest(sealed);
            else
                e = why_not_used(f, sealed, e);
            part_unref(sealed);
            if (e != ERR_OK)
                return e;
        }
        more = n == PAGE_ROWS;
        enum err e = dropped ? ERR_AGAIN : rows_give(f, n, f->draft_first);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

static enum err finder_ask(struct finder *f)
{
    enum err e = ERR_OK;
    if (!f->q->oldest_first && f->draft_first != UINT64_MAX)
        e = draft_ask(f);
    for (size_t k = 0; e == ERR_OK && k < f->n && !f->done; k++)
        e = sealed_ask(f, f->parts[f->q->oldest_first ? k : f->n - 1 - k]);
    if (e == ERR_OK && f->q->oldest_first && f->draft_first != UINT64_MAX && !f->done)
        e = draft_ask(f);
    return e;
}

static enum err finder_begin(struct finder *f)
{
    struct audit_index *x = f->x;
    enum err e = ERR_OK;
    f->mem = mem_alloc(READ_MOST);
    pthread_mutex_lock(&x->lock);
    terms_begin(&f->want, x->seed);
    terms_begin(&f->have, x->seed);
    f->first = x->first;
    f->end = x->next;
    f->dropped = x->dropped;
    f->draft_first = x->drafting ? x->draft.h.first : UINT64_MAX;
    f->parts = mem_array(x->n_parts + 1, sizeof(struct part *));
    f->late = mem_array(x->n_late + 1, sizeof *f->late);
    if (f->mem == NULL || f->parts == NULL || f->late == NULL)
        e = ERR_NOMEM;
    for (; e == ERR_OK && f->n < x->n_parts; f->n++)
        f->parts[f->n] = part_ref(x->parts[f->n]);
    for (; e == ERR_OK && f->n_late < x->n_late; f->n_late++)
        f->late[f->n_late] = x->late[f->n_late];
    pthread_mutex_unlock(&x->lock);
    return e;
}

static void finder_free(struct finder *f)
{
    for (size_t i = 0; i < f->n; i++)
        part_unref(f->parts[i]);
    if (f->fd >= 0)
        close(f->fd);
    mem_free(f->parts);
    mem_free(f->late);
    mem_free(f->mem);
    mem_free(f);
}

/* Records that retention has removed meanwhile are not covered by the answer. */
static void finder_end(struct finder *f)
{
    pthread_mutex_lock(&f->x->lock);
    if (f->x->first > f->ret->first)
        f->ret->first = f->x->first;
    pthread_mutex_unlock(&f->x->lock);
    finder_free(f);
}

static struct finder *finder_new(struct audit_index *x)
{
    struct finder *f = mem_zalloc(sizeof *f);
    if (f == NULL)
        return NULL;
    f->x = x;
    f->fd = -1;
    if (finder_begin(f) == ERR_OK)
        return f;
    finder_free(f);
    return NULL;
}

static void instead_add(struct finder *f, uint64_t wanted, uint64_t hash)
{
    f->instead[f->n_instead].wanted = wanted;
    f->instead[f->n_instead++].hash = hash;
}

enum err audit_find(struct audit_index *x, const struct audit_question *q,
                    bool (*fn)(void *arg, const struct audit_row *row), void *arg, struct audit_found *ret,
                    struct diags *d)
{
    struct finder *f = finder_new(x);
    if (f == NULL)
        return ERR_NOMEM;
    *ret = (struct audit_found){ .last = UINT64_MAX, .first = f->first, .indexed = f->end };
    f->q = q;
    f->limit = q->limit < 1 ? 1 : q->limit > FIND_LIMIT ? FIND_LIMIT : q->limit;
    f->fn = fn;
    f->arg = arg;
    f->ret = ret;
    enum err e = terms_of_question(&f->want, q);
    for (unsigned i = 0; i < q->n_older && f->want.n > 0; i++)
        instead_add(f, f->want.hash[f->want.n - 1], term_of(&f->want, TERM_PERSON, q->older[i]));
    if (q->item.n > 0)
        instead_add(f, f->want.item, term_of(&f->want, TERM_ITEM, SLICE(RENDER_CUT)));
    if (e == ERR_OK)
        e = finder_ask(f);
    finder_end(f);
    if (e == ERR_AGAIN)
        return diag_add(d, e, 0, 0, "the search index is being built anew: ask again in a moment",
                        "检索索引正在重建：请稍后重试");
    if (e != ERR_CORRUPT)
        return e;
    audit_index_rebuild(x);
    return diag_add(d, e, 0, 0,
                    "a record is not where the search index says; the index is being built anew: ask again, and run "
                    "`sluice audit verify` on the log",
                    "检索索引与存证日志不符，索引正在重建：请稍后重试，并对日志运行 sluice audit verify");
}

enum err audit_record_line(struct audit_index *x, uint64_t index, struct buf *out)
{
    struct finder *f = finder_new(x);
    struct slice line;
    if (f == NULL)
        return ERR_NOMEM;
    bool ok = index < f->end && line_read(f, index, f->lines[0], &line);
    if (ok)
        buf_put(out, line);
    finder_free(f);
    return ok ? out->failed : ERR_NOT_FOUND;
}
