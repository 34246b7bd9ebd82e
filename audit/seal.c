/* From a draft to a file: rows gathered by term, terms put in order, all of it written at once beside the old and
 * renamed. Nothing is synced: the index must not make the log's commits wait, and its files can be built again. */
#include "audit/crc32c.h"
#include "audit/part.h"
#include "audit/thread.h"
#include <endian.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

enum { FILE_CAP = 1 << 30, SPREAD_MOST = 20, FEW_ROWS = 32, STEPS = 4096, AT_ONCE = 64 << 10 /* bytes */ };

/* Between two of a long loop's steps: a part takes milliseconds, and exchanges go first. */
static void step(size_t i)
{
    if (i % STEPS == 0)
        thread_give_way();
}

/* What is made of a draft's terms. */
struct sealing {
    struct draft *d;
    uint16_t *rows;         /* own: of the terms with more than one, each term's together */
    uint32_t *end;          /* own: for each of d->known, behind its rows */
    struct part_term *term; /* own: in the order of their hashes; `at` of more than one row: the place in d->known */
    uint8_t bits[PART_BITS];
    struct buf lists;
};

static enum err results_add(struct draft *d)
{
    uint32_t group[AUDIT_RESULTS_];
    bool there[AUDIT_RESULTS_] = { [AUDIT_NO_RESULT] = true };
    enum err e = ERR_OK;
    for (uint32_t row = 0; e == ERR_OK && row < d->h.rows; row++) {
        const enum audit_result r = (enum audit_result)d->rows[row].result;
        if (!there[r]) {
            uint64_t hash = term_result(&d->terms, r);
            e = draft_group_new(d, &hash, 1, &group[r]);
            there[r] = e == ERR_OK;
        }
        if (e == ERR_OK && r != AUDIT_NO_RESULT)
            e = draft_group_post(d, group[r], row);
    }
    return e;
}

/* known[].n becomes the number of all its rows, those of its groups too; end[] where its rows begin, if they are more
 * than `first`. */
static void rows_count(struct sealing *s)
{
    struct draft *d = s->d;
    uint32_t at = 0;
    for (size_t i = 0; i < d->groups_n; i++) {
        const struct draft_group *g = &d->groups[i];
        for (uint32_t k = 0; k < g->n; k++)
            s->end[d->group_terms[g->at + k]] += g->rows;
    }
    for (size_t i = 1; i < d->known_n; i++) {
        step(i);
        struct draft_term *t = &d->known[i];
        uint32_t grouped = s->end[i], own = t->n & DRAFT_ROWS;
        t->n = (t->n & (DRAFT_MIXED | DRAFT_BORN)) | (own + grouped);
        s->end[i] = at;
        if (t->n == 1)
            continue;
        if (own > 0 && !(t->n & DRAFT_BORN))
            s->rows[s->end[i]++] = t->first;
        at += own + grouped;
    }
}

/* Each term's rows together, in the order they came. */
static void rows_gather(struct sealing *s)
{
    const struct draft *d = s->d;
    for (size_t i = 0; i < d->posts_n; i++) {
        step(i);
        const struct draft_post p = d->posts[i];
        if (!(p.term & DRAFT_GROUP)) {
            s->rows[s->end[p.term]++] = (uint16_t)p.row;
            continue;
        }
        const struct draft_group *g = &d->groups[p.term & ~DRAFT_GROUP];
        const uint32_t *term = d->group_terms + g->at;
        for (uint32_t k = 0; k < g->n; k++)
            s->rows[s->end[term[k]]++] = (uint16_t)p.row;
    }
}

static size_t rows_all(const struct draft *d)
{
    size_t n = d->known_n + d->posts_n;
    for (size_t i = 0; i < d->groups_n; i++)
        n += (size_t)d->groups[i].rows * d->groups[i].n;
    return n;
}

/* Hashes are spread evenly: a pass by their first bits leaves each near its place. */
static enum err terms_sort(struct sealing *s)
{
    const struct draft *d = s->d;
    unsigned bits = 1;
    while (bits < SPREAD_MOST && (size_t)2 << bits <= d->known_n)
        bits++;
    uint32_t *place = mem_array((size_t)1 << bits, sizeof *place), sum = 0;
    if (place == NULL)
        return ERR_NOMEM;
    for (size_t i = 1; i < d->known_n; i++)
        place[d->known[i].hash >> (64 - bits)]++;
    for (size_t v = 0; v >> bits == 0; v++) {
        uint32_t n = place[v];
        place[v] = sum;
        sum += n;
    }
    for (size_t i = 1; i < d->known_n; i++) {
        step(i);
        const struct draft_term *t = &d->known[i];
        s->term[place[t->hash >> (64 - bits)]++] =
            (struct part_term){ .hash = t->hash, .n = t->n, .at = t->n == 1 ? t->first : (uint32_t)i };
    }
    mem_free(place);
    for (size_t i = 1; i + 1 < d->known_n; i++) {
        step(i);
        struct part_term t = s->term[i];
        size_t k = i;
        for (; k > 0 && s->term[k - 1].hash > t.hash; k--)
            s->term[k] = s->term[k - 1];
        s->term[k] = t;
    }
    return ERR_OK;
}

static bool in_order(const uint16_t *rows, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        if (rows[i - 1] >= rows[i])
            return false;
    }
    return true;
}

static void bits_set(struct sealing *s, const uint16_t *rows, uint32_t n)
{
    memset(s->bits, 0, sizeof s->bits);
    for (uint32_t i = 0; i < n; i++)
        s->bits[rows[i] / 8] |= (uint8_t)(1u << (rows[i] % 8));
}

/* Rows in order, each once; how many there are. Few by moving them, many by way of a bitmap. */
static uint32_t rows_order(struct sealing *s, uint16_t *rows, uint32_t n)
{
    uint32_t kept = 0;
    if (n > FEW_ROWS)
        bits_set(s, rows, n);
    for (uint32_t at = 0; n > FEW_ROWS && at < PART_BITS; at += 8) {
        uint64_t word;
        memcpy(&word, s->bits + at, sizeof word);
        for (word = le64toh(word); word != 0; word &= word - 1)
            rows[kept++] = (uint16_t)(at * 8 + (uint32_t)__builtin_ctzll(word));
    }
    for (uint32_t i = 0; n <= FEW_ROWS && i < n; i++) {
        const uint16_t row = rows[i];
        uint32_t k = kept;
        while (k > 0 && rows[k - 1] > row)
            k--;
        if (k > 0 && rows[k - 1] == row)
            continue;
        memmove(rows + k + 1, rows + k, (kept - k) * sizeof *rows);
        rows[k] = row;
        kept++;
    }
    return kept;
}

/* The list of a term that has more than one row. */
static void put_list(struct sealing *s, struct part_term *t)
{
    uint32_t n = t->n & DRAFT_ROWS;
    uint16_t *rows = s->rows + s->end[t->at] - n;
    const uint64_t all = s->d->h.rows;
    if (t->n & DRAFT_MIXED && !in_order(rows, n))
        n = rows_order(s, rows, n);
    *t = (struct part_term){ .hash = t->hash, .n = n, .at = n == 1 ? rows[0] : (uint32_t)s->lists.n };
    if (n > 1 && n > all / 16) {
        bits_set(s, rows, n);
        buf_put(&s->lists, slice_make(s->bits, (size_t)((all + 15) / 16 * 2)));
    } else if (n > 1) {
        buf_put(&s->lists, slice_make(rows, n * sizeof *rows));
    }
}

static enum err terms_seal(struct sealing *s)
{
    struct draft *d = s->d;
    s->rows = mem_alloc(rows_all(d) * sizeof *s->rows);
    s->end = mem_array(d->known_n, sizeof *s->end);
    s->term = mem_alloc(d->known_n * sizeof *s->term);
    if (s->rows == NULL || s->end == NULL || s->term == NULL)
        return ERR_NOMEM;
    rows_count(s);
    rows_gather(s);
    enum err e = terms_sort(s);
    if (e != ERR_OK)
        return e;
    for (size_t i = 0; i + 1 < d->known_n; i++) {
        step(i);
        if (s->term[i].n != 1)
            put_list(s, &s->term[i]);
    }
    return s->lists.failed;
}

enum { PIECES = 5 };

static uint32_t pieces_sum(const struct slice *piece, unsigned n)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < n; i++) {
        for (size_t at = 0; at < piece[i].n; at += AT_ONCE) {
            thread_give_way();
            sum = crc32c(sum, slice_sub(piece[i], at, AT_ONCE));
        }
    }
    return sum;
}

static bool pieces_put(int fd, const struct slice *piece, unsigned n)
{
    bool ok = true;
    for (unsigned i = 0; i < n; i++) {
        for (size_t at = 0; ok && at < piece[i].n;) {
            const struct slice next = slice_sub(piece[i], at, AT_ONCE);
            thread_give_way();
            ssize_t put = write(fd, next.p, next.n);
            ok = put > 0;
            at += ok ? (size_t)put : 0;
        }
    }
    return ok;
}

/* The head, its sum made, and behind it what is in piece[1 .. n). */
static enum err part_write(struct part_head *h, struct slice *piece, unsigned n, const char *dir)
{
    char path[PATH_MAX], beside[PATH_MAX + 8], name[PART_NAME];
    part_name(h->first, name);
    int len = snprintf(path, sizeof path, "%s/index/%s", dir, name);
    if (len <= 0 || len >= PATH_MAX)
        return ERR_TOO_LARGE;
    h->sum = 0;
    piece[0] = slice_make(h, sizeof *h);
    h->sum = pieces_sum(piece, n);
    snprintf(beside, sizeof beside, "%s.new", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return ERR_SYS;
    bool ok = pieces_put(fd, piece, n);
    close(fd);
    if (ok && rename(beside, path) == 0)
        return ERR_OK;
    unlink(beside);
    return ERR_SYS;
}

enum err draft_seal(struct draft *d, const char *dir)
{
    struct sealing *s = mem_zalloc(sizeof *s);
    if (s == NULL)
        return ERR_NOMEM;
    s->d = d;
    s->lists = BUF_INIT(FILE_CAP);
    enum err e = results_add(d);
    if (e == ERR_OK)
        e = terms_seal(s);
    if (e == ERR_OK) {
        struct part_head *h = &d->h;
        h->marks = (h->n + PART_MARK - 1) / PART_MARK;
        h->terms = d->known_n - 1;
        h->lists = s->lists.n;
        struct slice piece[PIECES] = { [1] = slice_make(d->rows, h->rows * sizeof *d->rows),
                                       [2] = slice_make(d->marks, h->marks * sizeof *d->marks),
                                       [3] = slice_make(s->term, h->terms * sizeof *s->term),
                                       [4] = buf_slice(&s->lists) };
        e = part_write(h, piece, PIECES, dir);
    }
    buf_done(&s->lists);
    mem_free(s->rows);
    mem_free(s->end);
    mem_free(s->term);
    mem_free(s);
    return e;
}

enum err part_rewrite(const struct part *p, const char *dir, const struct part_late *late, size_t n)
{
    struct buf body = BUF_INIT(FILE_CAP);
    struct part_head h = p->h;
    buf_put(&body, slice_make((const char *)p->map + sizeof h, p->map_n - sizeof h));
    for (size_t i = 0; body.failed == ERR_OK && i < n; i++) {
        if (late[i].first != h.first || late[i].row >= h.rows)
            continue;
        struct part_row *row = (struct part_row *)(void *)body.p + late[i].row;
        bool listed = false;
        part_late_apply(row, h.first, &late[i]);
        for (uint64_t k = 0; k < h.loose && !listed; k++)
            listed = memcmp(body.p + body.n - (k + 1) * sizeof late->row, &late[i].row, sizeof late->row) == 0;
        if (listed)
            continue;
        buf_put(&body, slice_make(&late[i].row, sizeof late[i].row));
        h.loose++;
    }
    enum err e = body.failed;
    if (e == ERR_OK)
        e = part_write(&h, (struct slice[]){ { 0 }, buf_slice(&body) }, 2, dir);
    buf_done(&body);
    return e;
}
