/* From a draft to a file: terms sorted, lists made, all of it written at once beside the old and renamed. Nothing is
 * synced: the index must not make the log's commits wait, and its files can be built again. */
#include "audit/part.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

enum { DIGITS = 5, DIGIT_VALUES = 65536, FILE_CAP = 1 << 30 };

static uint32_t pair_digit(const struct draft_pair *p, int digit)
{
    const uint32_t word = digit == 0 ? p->row : digit <= 2 ? p->low : p->high;
    return digit == 2 || digit == 4 ? word >> 16 : word & 0xffff;
}

/* By hash, then row: one stable pass for each 16 bits. The result is in d->pairs. */
static enum err pairs_sort(struct draft *d)
{
    struct draft_pair *from = d->pairs, *to = mem_array(d->pairs_room, sizeof *to);
    uint32_t *place = mem_array(DIGIT_VALUES, sizeof *place);
    for (int digit = 0; to != NULL && place != NULL && digit < DIGITS; digit++) {
        uint32_t sum = 0;
        memset(place, 0, DIGIT_VALUES * sizeof *place);
        for (size_t i = 0; i < d->pairs_n; i++)
            place[pair_digit(&from[i], digit)]++;
        for (size_t v = 0; v < DIGIT_VALUES; v++) {
            uint32_t n = place[v];
            place[v] = sum;
            sum += n;
        }
        for (size_t i = 0; i < d->pairs_n; i++)
            to[place[pair_digit(&from[i], digit)]++] = from[i];
        struct draft_pair *swap = from;
        from = to;
        to = swap;
    }
    mem_free(place);
    if (to == NULL || place == NULL) {
        mem_free(to);
        return ERR_NOMEM;
    }
    mem_free(to);
    d->pairs = from;
    return ERR_OK;
}

static enum err results_add(struct draft *d)
{
    for (uint32_t row = 0; row < d->h.rows; row++) {
        if (d->rows[row].result == AUDIT_NO_RESULT)
            continue;
        if (d->pairs_n == d->pairs_room) {
            size_t room = d->pairs_room * 2;
            struct draft_pair *p = mem_grow(d->pairs, room * sizeof *p);
            if (p == NULL)
                return ERR_NOMEM;
            d->pairs = p;
            d->pairs_room = room;
        }
        uint64_t hash = term_result(d->h.seed, (enum audit_result)d->rows[row].result);
        d->pairs[d->pairs_n++] = (struct draft_pair){ (uint32_t)hash, (uint32_t)(hash >> 32), row };
    }
    return ERR_OK;
}

static bool pair_same(const struct draft_pair *a, const struct draft_pair *b)
{
    return a->low == b->low && a->high == b->high;
}

static void put_bits(struct buf *lists, const struct draft_pair *p, size_t n, uint64_t rows)
{
    size_t bytes = (size_t)((rows + 15) / 16 * 2);
    uint8_t *bits = (uint8_t *)buf_reserve(lists, bytes);
    if (bits == NULL)
        return;
    memset(bits, 0, bytes);
    for (size_t i = 0; i < n; i++)
        bits[p[i].row / 8] |= (uint8_t)(1u << (p[i].row % 8));
    lists->n += bytes;
}

static void put_numbers(struct buf *lists, const struct draft_pair *p, size_t n)
{
    char *at = buf_reserve(lists, n * sizeof(uint16_t));
    for (size_t i = 0; at != NULL && i < n; i++) {
        uint16_t row = (uint16_t)p[i].row;
        memcpy(at + i * sizeof row, &row, sizeof row);
    }
    lists->n += at != NULL ? n * sizeof(uint16_t) : 0;
}

/* One term: `n` pairs of the same hash, rows ascending and different. */
static void put_term(struct draft *d, const struct draft_pair *p, size_t n, struct buf *terms, struct buf *lists)
{
    struct part_term t = { .hash = (uint64_t)p->high << 32 | p->low, .n = (uint32_t)n, .at = (uint32_t)lists->n };
    if (n == 1) {
        t.at = p->row;
    } else if (n > d->h.rows / 16) {
        put_bits(lists, p, n, d->h.rows);
    } else {
        put_numbers(lists, p, n);
    }
    buf_put(terms, slice_make(&t, sizeof t));
}

static void put_terms(struct draft *d, struct buf *terms, struct buf *lists)
{
    d->h.terms = 0;
    for (size_t i = 0; i < d->pairs_n;) {
        size_t n = 0, k = i;
        for (; k < d->pairs_n && pair_same(&d->pairs[i], &d->pairs[k]); k++) {
            if (n == 0 || d->pairs[i + n - 1].row != d->pairs[k].row)
                d->pairs[i + n++] = d->pairs[k]; /* a row may have a term twice */
        }
        put_term(d, &d->pairs[i], n, terms, lists);
        d->h.terms++;
        i = k;
    }
}

static enum err file_put(const char *path, struct slice head, struct slice body)
{
    char beside[PATH_MAX + 8];
    snprintf(beside, sizeof beside, "%s.new", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return ERR_SYS;
    bool ok = write(fd, head.p, head.n) == (ssize_t)head.n;
    for (size_t at = 0; ok && at < body.n;) {
        ssize_t n = write(fd, body.p + at, body.n - at);
        ok = n > 0;
        at += ok ? (size_t)n : 0;
    }
    close(fd);
    if (ok && rename(beside, path) == 0)
        return ERR_OK;
    unlink(beside);
    return ERR_SYS;
}

static enum err part_write(struct part_head *h, struct slice body, const char *dir)
{
    char path[PATH_MAX], name[PART_NAME];
    struct digest *g = digest_new();
    part_name(h->first, name);
    int n = snprintf(path, sizeof path, "%s/index/%s", dir, name);
    if (g == NULL || n <= 0 || n >= PATH_MAX) {
        digest_free(g);
        return g == NULL ? ERR_NOMEM : ERR_TOO_LARGE;
    }
    h->digest = part_digest(h, body, g);
    digest_free(g);
    return file_put(path, slice_make(h, sizeof *h), body);
}

enum err draft_seal(struct draft *d, const char *dir)
{
    struct buf body = BUF_INIT(FILE_CAP), terms = BUF_INIT(FILE_CAP), lists = BUF_INIT(FILE_CAP);
    enum err e = results_add(d);
    if (e == ERR_OK)
        e = pairs_sort(d);
    if (e == ERR_OK) {
        put_terms(d, &terms, &lists);
        d->h.marks = (d->h.n + PART_MARK - 1) / PART_MARK;
        d->h.lists = lists.n;
        d->h.sums = digest_end(d->sums);
        buf_put(&body, slice_make(d->rows, d->h.rows * sizeof *d->rows));
        buf_put(&body, slice_make(d->marks, d->h.marks * sizeof *d->marks));
        buf_put(&body, buf_slice(&terms));
        buf_put(&body, buf_slice(&lists));
        e = terms.failed != ERR_OK ? terms.failed : lists.failed != ERR_OK ? lists.failed : body.failed;
    }
    if (e == ERR_OK)
        e = part_write(&d->h, buf_slice(&body), dir);
    buf_done(&body);
    buf_done(&terms);
    buf_done(&lists);
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
        e = part_write(&h, buf_slice(&body), dir);
    buf_done(&body);
    return e;
}
