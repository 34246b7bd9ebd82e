/* The part that is being built. Invariants: rows stand in the order of their first records; pairs hold every term of
 * every row but its result, which may still change and is added when the part is sealed; at most PART_RECORDS records,
 * so that a row's number fits 16 bits and memory has a bound. */
#include "audit/part.h"

enum { PAIRS_FIRST = 1 << 16, MARKS_MAX = PART_RECORDS / PART_MARK };

void draft_done(struct draft *d)
{
    mem_free(d->rows);
    mem_free(d->marks);
    mem_free(d->pairs);
    mem_free(d->joins);
    mem_free(d->join_terms);
    mem_free(d->seen);
    mem_free(d->terms.memo);
    digest_free(d->sums);
    *d = (struct draft){ 0 };
}

enum err draft_init(struct draft *d)
{
    *d = (struct draft){ .rows = mem_array(PART_RECORDS, sizeof *d->rows),
                         .marks = mem_array(MARKS_MAX, sizeof *d->marks),
                         .joins = mem_array(DRAFT_JOINS, sizeof *d->joins),
                         .join_terms = mem_array(DRAFT_JOINS, sizeof *d->join_terms),
                         .seen = mem_array(DRAFT_SEEN / 64, sizeof *d->seen),
                         .sums = digest_new(),
                         .terms.memo = mem_zalloc(sizeof *d->terms.memo) };
    if (d->terms.memo != NULL && d->rows != NULL && d->marks != NULL && d->joins != NULL && d->join_terms != NULL &&
        d->seen != NULL && d->sums != NULL)
        return ERR_OK;
    draft_done(d);
    return ERR_NOMEM;
}

void draft_begin(struct draft *d, uint64_t segment, uint64_t first, uint64_t offset, uint64_t seed, int64_t at_before)
{
    d->h = (struct part_head){ .version = PART_VERSION,
                               .endian = PART_ENDIAN,
                               .segment = segment,
                               .first = first,
                               .from = offset,
                               .to = offset,
                               .seed = seed,
                               .at_before = at_before };
    memcpy(d->h.magic, PART_MAGIC, sizeof d->h.magic);
    d->pairs_n = 0;
    d->terms.seed = seed;
    memset(d->joins, 0, DRAFT_JOINS * sizeof *d->joins);
    memset(d->seen, 0, DRAFT_SEEN / 8);
    digest_begin(d->sums);
}

/* ---- joins ---- */
static uint64_t join_key(const struct term_facts *f)
{
    return f->exchange ^ (uint64_t)f->part * 0x9e3779b97f4a7c15u;
}

static size_t join_slot(const struct draft *d, uint64_t key)
{
    size_t i = (size_t)(key % DRAFT_JOINS);
    while (d->joins[i] != 0 && d->join_terms[i] != key)
        i = (i + 1) % DRAFT_JOINS;
    return i;
}

/* ---- rows ---- */
static enum err pairs_add(struct draft *d, uint32_t row)
{
    if (d->pairs_n + d->terms.n > d->pairs_room) {
        size_t room = d->pairs_room ? d->pairs_room : PAIRS_FIRST;
        while (room < d->pairs_n + d->terms.n)
            room *= 2;
        struct draft_pair *p = mem_grow(d->pairs, room * sizeof *p);
        if (p == NULL)
            return ERR_NOMEM;
        d->pairs = p;
        d->pairs_room = room;
    }
    for (unsigned i = 0; i < d->terms.n; i++) {
        uint64_t hash = d->terms.hash[i];
        d->pairs[d->pairs_n++] = (struct draft_pair){ (uint32_t)hash, (uint32_t)(hash >> 32), row };
        d->seen[hash % DRAFT_SEEN / 64] |= 1ull << (hash % 64);
    }
    return ERR_OK;
}

enum err draft_own(struct draft *d, const struct term_facts *f)
{
    uint32_t row = (uint32_t)d->h.rows;
    enum err e = pairs_add(d, row);
    if (e != ERR_OK)
        return e;
    d->rows[row] = (struct part_row){ .at = f->at,
                                      .index = (uint32_t)(d->h.n - 1),
                                      .part = (uint16_t)f->part,
                                      .kind = (uint8_t)f->kind,
                                      .result = (uint8_t)f->result };
    if (row == 0 || f->at < d->h.row_from)
        d->h.row_from = f->at;
    if (row == 0 || f->at > d->h.row_to)
        d->h.row_to = f->at;
    d->h.rows++;
    if (f->kind == AUDIT_INTENT && f->exchange != 0) {
        size_t slot = join_slot(d, join_key(f));
        d->joins[slot] = row + 1;
        d->join_terms[slot] = join_key(f);
    }
    return ERR_OK;
}

static enum err draft_join(struct draft *d, uint32_t row, const struct term_facts *f)
{
    struct part_late l = { .cut = f->kind == AUDIT_CUT,
                           .result = (uint8_t)f->result,
                           .index = d->h.first + d->h.n - 1 };
    enum err e = pairs_add(d, row);
    if (e == ERR_OK)
        part_late_apply(&d->rows[row], d->h.first, &l);
    return e;
}

static void draft_time(struct draft *d, const struct term_facts *f)
{
    struct part_head *h = &d->h;
    int64_t before = h->at_last != 0 ? h->at_last : h->at_before, step = f->at - before;
    int64_t *newest = f->kind <= AUDIT_CUT ? &h->exchange_at : &h->other_at;
    if (f->kind == AUDIT_SEGMENT || f->at == 0)
        return; /* written by the log itself when a file begins: no evidence of time that passed */
    if (before != 0 && step > 0)
        h->elapsed_ms += step < PART_STEP_MS ? step : PART_STEP_MS;
    h->at_last = f->at;
    if (f->at > *newest)
        *newest = f->at;
}

enum err draft_add(struct draft *d, struct slice line, uint64_t offset, struct term_facts *f)
{
    struct part_head *h = &d->h;
    if (!terms_of_line(&d->terms, line, f))
        return ERR_CORRUPT;
    if (h->n % PART_MARK == 0)
        d->marks[h->n / PART_MARK] = offset;
    h->n++;
    h->to = offset + line.n + 1;
    digest_add(d->sums, slice_sub(line, LOGLINE_CRC, LOGLINE_CRC_N));
    memcpy(h->last_sum, line.p + LOGLINE_CRC, LOGLINE_CRC_N);
    draft_time(d, f);
    if ((f->kind != AUDIT_OUTCOME && f->kind != AUDIT_CUT) || f->exchange == 0)
        return draft_own(d, f);
    uint32_t row = d->joins[join_slot(d, join_key(f))];
    return row == 0 ? ERR_NOT_FOUND : draft_join(d, row - 1, f);
}

bool draft_may_have(const struct draft *d, uint64_t hash)
{
    return d->seen[hash % DRAFT_SEEN / 64] >> (hash % 64) & 1;
}

void draft_mark(const struct draft *d, uint64_t hash, uint8_t bits[PART_BITS])
{
    uint32_t low = (uint32_t)hash, high = (uint32_t)(hash >> 32);
    for (size_t i = 0; i < d->pairs_n; i++) {
        const struct draft_pair *p = &d->pairs[i];
        if (p->low == low && p->high == high)
            bits[p->row / 8] |= (uint8_t)(1u << (p->row % 8));
    }
}
