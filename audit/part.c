/* Sealed parts: mapping, checking, finding rows by term. Invariant: a part in use has all its sections inside the
 * mapping, and no list reaches out of `lists`; row numbers in lists are checked where they are used. What is mapped
 * again is the file that was checked, by its head, which has the sum of all. */
#include "audit/part.h"
#include "audit/crc32c.h"
#include "audit/pruned.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void part_name(uint64_t first, char out[PART_NAME])
{
    snprintf(out, PART_NAME, "%016llu.part", (unsigned long long)(first % 10000000000000000ull));
}

struct part *part_ref(struct part *p)
{
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void part_unref(struct part *p)
{
    if (p == NULL || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (p->map != NULL)
        munmap(p->map, p->map_n);
    mem_free(p->path);
    mem_free(p);
}

void part_time_add(struct part_head *h, enum audit_kind kind, int64_t at)
{
    int64_t *newest = kind <= AUDIT_CUT ? &h->exchange_at : &h->other_at;
    if (kind == AUDIT_SEGMENT || at == 0)
        return; /* written by the log itself when a file begins: no evidence of time that passed */
    h->elapsed_ms += lived_step(part_time_last(h), at);
    h->at_last = at;
    if (h->at_first == 0)
        h->at_first = at;
    if (at > *newest)
        *newest = at;
}

bool part_times_equal(const struct part_head *a, const struct part_head *b)
{
    return a->at_before == b->at_before && a->at_first == b->at_first && a->at_last == b->at_last &&
           a->elapsed_ms == b->elapsed_ms && a->exchange_at == b->exchange_at && a->other_at == b->other_at;
}

int64_t part_time_last(const struct part_head *h)
{
    return h->at_last != 0 ? h->at_last : h->at_before;
}

static size_t bitmap_bytes(uint64_t rows)
{
    return (size_t)((rows + 15) / 16 * 2);
}

/* Bytes of a term's list; 0: the term names its row itself. */
static size_t term_bytes(const struct part_term *t, uint64_t rows)
{
    if (t->n == 1)
        return 0;
    return t->n > rows / 16 ? bitmap_bytes(rows) : (size_t)t->n * 2;
}

static bool terms_check(const struct part *p)
{
    for (uint64_t i = 0; i < p->h.terms; i++) {
        const struct part_term *t = &p->terms[i];
        size_t bytes = term_bytes(t, p->h.rows);
        if (t->n == 0 || t->n > p->h.rows || (i > 0 && t[-1].hash >= t->hash))
            return false;
        if (bytes == 0 ? t->at >= p->h.rows : t->at % 2 != 0 || t->at > p->h.lists || bytes > p->h.lists - t->at)
            return false;
    }
    return true;
}

static bool rows_check(const struct part *p)
{
    for (uint64_t i = 0; i < p->h.rows; i++) {
        if (p->rows[i].index >= p->h.n)
            return false;
    }
    for (uint64_t i = 0; i < p->h.loose; i++) {
        if (p->loose[i] >= p->h.rows)
            return false;
    }
    return true;
}

/* Places the sections; false when they do not make up the file. */
static bool part_lay(struct part *p)
{
    const struct part_head *h = &p->h;
    if (memcmp(h->magic, PART_MAGIC, sizeof h->magic) != 0 || h->version != PART_VERSION || h->endian != PART_ENDIAN ||
        h->n == 0 || h->n > PART_RECORDS || h->rows > h->n || h->marks != (h->n + PART_MARK - 1) / PART_MARK ||
        h->terms > p->map_n || h->lists > p->map_n || h->lists % 2 != 0 || h->loose > h->rows)
        return false;
    const char *at = (const char *)p->map + sizeof *h;
    p->rows = (const struct part_row *)(const void *)at;
    at += h->rows * sizeof *p->rows;
    p->marks = (const uint64_t *)(const void *)at;
    at += h->marks * sizeof *p->marks;
    p->terms = (const struct part_term *)(const void *)at;
    at += h->terms * sizeof *p->terms;
    p->lists = (const uint8_t *)at;
    at += h->lists;
    p->loose = (const uint16_t *)(const void *)at;
    at += h->loose * sizeof *p->loose;
    return at == (const char *)p->map + p->map_n;
}

static bool sum_check(const struct part *p)
{
    struct part_head h = p->h;
    struct slice rest = slice_make((const char *)p->map + sizeof h, p->map_n - sizeof h);
    h.sum = 0;
    return crc32c(crc32c(0, slice_make(&h, sizeof h)), rest) == p->h.sum;
}

static enum err why(int sys)
{
    return sys == ENOENT                                                      ? ERR_NOT_FOUND
           : sys == ENOMEM || sys == EMFILE || sys == ENFILE || sys == EAGAIN ? ERR_NOMEM
                                                                              : ERR_SYS;
}

static enum err part_map(struct part *p)
{
    struct stat st;
    int fd = open(p->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return why(errno);
    enum err e = fstat(fd, &st) == 0 ? ERR_OK : ERR_SYS;
    if (e == ERR_OK && (st.st_size < (off_t)sizeof p->h || st.st_size > UINT32_MAX))
        e = ERR_CORRUPT;
    if (e == ERR_OK && p->map_n != 0 && (size_t)st.st_size != p->map_n)
        e = ERR_AGAIN;
    if (e == ERR_OK) {
        if (p->map_n == 0)
            p->map_n = (size_t)st.st_size;
        p->map = mmap(NULL, p->map_n, PROT_READ, MAP_SHARED, fd, 0);
        if (p->map == MAP_FAILED) {
            p->map = NULL;
            e = why(errno);
        }
    }
    close(fd);
    return e;
}

enum err part_open(const char *path, struct part **ret)
{
    struct part *p = mem_zalloc(sizeof *p);
    if (p == NULL)
        return ERR_NOMEM;
    atomic_store(&p->refs, 1);
    p->uses = 1;
    p->kept = true;
    p->path = mem_dup(slice_of(path));
    enum err e = p->path ? part_map(p) : ERR_NOMEM;
    if (e == ERR_OK) {
        memcpy(&p->h, p->map, sizeof p->h);
        if (!part_lay(p) || !sum_check(p) || !terms_check(p) || !rows_check(p))
            e = ERR_CORRUPT;
    }
    if (e != ERR_OK) {
        part_unref(p);
        return e;
    }
    *ret = p;
    return ERR_OK;
}

static pthread_mutex_t uses = PTHREAD_MUTEX_INITIALIZER; /* of all parts' maps */

static void part_unmap(struct part *p)
{
    if (p->map != NULL)
        munmap(p->map, p->map_n);
    p->map = NULL;
}

enum err part_use(struct part *p)
{
    enum err e = ERR_OK;
    pthread_mutex_lock(&uses);
    if (p->map == NULL) {
        e = part_map(p);
        if (e == ERR_OK && (memcmp(p->map, &p->h, sizeof p->h) != 0 || !part_lay(p)))
            e = ERR_AGAIN;
        if (e != ERR_OK)
            part_unmap(p);
    }
    p->uses += e == ERR_OK;
    pthread_mutex_unlock(&uses);
    return e;
}

void part_rest(struct part *p)
{
    pthread_mutex_lock(&uses);
    if (--p->uses == 0)
        part_unmap(p);
    pthread_mutex_unlock(&uses);
}

uint64_t part_mark(const struct part *p, uint64_t n, unsigned *skip)
{
    *skip = (unsigned)(n % PART_MARK);
    return p->marks[n / PART_MARK];
}

struct part_list part_find(const struct part *p, uint64_t hash)
{
    uint64_t low = 0, high = p->h.terms;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        if (p->terms[mid].hash < hash)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == p->h.terms || p->terms[low].hash != hash)
        return (struct part_list){ 0 };
    const struct part_term *t = &p->terms[low];
    struct part_list l = { .n = t->n };
    if (t->n == 1)
        l.one = (uint16_t)t->at;
    else if (t->n > p->h.rows / 16)
        l.bits = p->lists + t->at;
    else
        l.numbers = (const uint16_t *)(const void *)(p->lists + t->at);
    return l;
}

static void mark(uint8_t bits[PART_BITS], uint64_t rows, uint16_t row)
{
    if (row < rows)
        bits[row / 8] |= (uint8_t)(1u << (row % 8));
}

void part_list_mark(const struct part_list *l, uint64_t rows, uint8_t bits[PART_BITS])
{
    if (l->bits != NULL) {
        for (size_t i = 0; i < (rows + 7) / 8; i++)
            bits[i] |= l->bits[i];
        return;
    }
    uint16_t row = 0;
    for (uint32_t at = 0; part_list_next(l, rows, &at, &row);)
        mark(bits, rows, row);
}

bool part_list_next(const struct part_list *l, uint64_t rows, uint32_t *at, uint16_t *ret)
{
    while (l->bits != NULL && *at < rows && !(l->bits[*at / 8] >> (*at % 8) & 1))
        ++*at;
    if (*at >= (l->bits != NULL ? rows : l->n))
        return false;
    *ret = l->bits != NULL ? (uint16_t)*at : l->numbers != NULL ? l->numbers[*at] : l->one;
    ++*at;
    return true;
}

void part_late_apply(struct part_row *r, uint64_t first, const struct part_late *l)
{
    uint64_t behind = l->index - (first + r->index);
    uint32_t delta = behind < UINT32_MAX ? (uint32_t)behind : 0;
    if (l->cut)
        r->cut = delta;
    else
        r->outcome = delta;
    if (l->cut || r->result != AUDIT_WAS_CUT)
        r->result = l->result;
}
