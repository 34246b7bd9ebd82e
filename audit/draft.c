/* The part that is being built. Invariants: rows stand in the order of their first records; every term of every row is
 * known but its result, which may still change and is added when the part is sealed; at most PART_RECORDS records, so
 * that a row's number fits 16 bits and memory has a bound. */
#include "audit/part.h"

enum {
    KNOWN_FIRST = 1 << 17,
    POSTS_FIRST = 1 << 18,
    GROUPS_FIRST = 1 << 10,
    GROUP_TERMS_FIRST = 1 << 13,
    MARKS_MAX = PART_RECORDS / PART_MARK
};

void draft_done(struct draft *d)
{
    mem_free(d->rows);
    mem_free(d->marks);
    mem_free(d->known);
    mem_free(d->slots);
    mem_free(d->posts);
    mem_free(d->groups);
    mem_free(d->group_terms);
    mem_free(d->joins);
    mem_free(d->join_terms);
    mem_free(d->terms.memo);
    *d = (struct draft){ 0 };
}

enum err draft_init(struct draft *d)
{
    *d = (struct draft){ .rows = mem_array(PART_RECORDS, sizeof *d->rows),
                         .marks = mem_array(MARKS_MAX, sizeof *d->marks),
                         .known = mem_array(KNOWN_FIRST, sizeof *d->known),
                         .known_room = KNOWN_FIRST,
                         .slots = mem_array(2 * KNOWN_FIRST, sizeof *d->slots),
                         .posts = mem_array(POSTS_FIRST, sizeof *d->posts),
                         .posts_room = POSTS_FIRST,
                         .groups = mem_array(GROUPS_FIRST, sizeof *d->groups),
                         .groups_room = GROUPS_FIRST,
                         .group_terms = mem_array(GROUP_TERMS_FIRST, sizeof *d->group_terms),
                         .group_terms_room = GROUP_TERMS_FIRST,
                         .joins = mem_array(DRAFT_JOINS, sizeof *d->joins),
                         .join_terms = mem_array(DRAFT_JOINS, sizeof *d->join_terms),
                         .terms.memo = mem_zalloc(sizeof *d->terms.memo) };
    if (d->terms.memo != NULL && d->rows != NULL && d->marks != NULL && d->known != NULL && d->slots != NULL &&
        d->posts != NULL && d->groups != NULL && d->group_terms != NULL && d->joins != NULL && d->join_terms != NULL)
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
    d->known_n = 1;
    d->posts_n = d->groups_n = d->group_terms_n = 0;
    d->begun++;
    terms_begin(&d->terms, seed);
    if (d->joins_n > 0)
        memset(d->joins, 0, DRAFT_JOINS * sizeof *d->joins);
    d->joins_n = 0;
    memset(d->slots, 0, 2 * d->known_room * sizeof *d->slots);
}

/* ---- terms ---- */
/* The slot of a term, or the free one where it belongs. */
static inline uint32_t *slot_of(const struct draft *d, uint64_t hash)
{
    const struct draft_term *known = d->known;
    size_t mask = 2 * d->known_room - 1, i = (size_t)hash & mask;
    uint32_t *slots = d->slots, term;
    while ((term = slots[i]) != 0 && known[term].hash != hash)
        i = (i + 1) & mask;
    return &slots[i];
}

static enum err known_grow(struct draft *d)
{
    size_t room = 2 * d->known_room;
    uint32_t *slots = mem_array(2 * room, sizeof *slots);
    struct draft_term *known = slots == NULL ? NULL : mem_grow(d->known, room * sizeof *known);
    if (known == NULL) {
        mem_free(slots);
        return ERR_NOMEM;
    }
    mem_free(d->slots);
    d->slots = slots;
    d->known = known;
    d->known_room = room;
    for (size_t i = 1; i < d->known_n; i++)
        *slot_of(d, known[i].hash) = (uint32_t)i;
    return ERR_OK;
}

static enum err list_grow(void **list, size_t need, size_t *room, size_t size)
{
    size_t more = *room;
    while (more < need)
        more *= 2;
    void *p = mem_grow(*list, more * size);
    if (p == NULL)
        return ERR_NOMEM;
    *list = p;
    *room = more;
    return ERR_OK;
}

static enum err posts_grow(struct draft *d, size_t n)
{
    void *list = d->posts;
    enum err e = list_grow(&list, d->posts_n + n, &d->posts_room, sizeof *d->posts);
    d->posts = list;
    return e;
}

/* Room for n terms more, new ones or not. */
static enum err terms_grow(struct draft *d, size_t n)
{
    enum err e = ERR_OK;
    while (e == ERR_OK && d->known_n + n > d->known_room)
        e = known_grow(d);
    return e == ERR_OK ? posts_grow(d, n) : e;
}

/* The row has these terms; it may have had some of them before. `mixed`: DRAFT_MIXED for a row that is not the newest,
 * else 0. */
static enum err terms_add_all(struct draft *d, const uint64_t *hash, size_t n, uint16_t row, uint32_t mixed)
{
    if (d->known_n + n > d->known_room || d->posts_n + n > d->posts_room) {
        enum err e = terms_grow(d, n);
        if (e != ERR_OK)
            return e;
    }
    struct draft_term *known = d->known;
    struct draft_post *post = d->posts + d->posts_n;
    for (size_t i = 0; i < n; i++) {
        uint32_t *slot = slot_of(d, hash[i]), term = *slot;
        struct draft_term *t = &known[term];
        if (term == 0) {
            *slot = (uint32_t)d->known_n;
            known[d->known_n++] = (struct draft_term){ .hash = hash[i], .n = 1, .first = row, .last = row };
            continue;
        }
        if (t->last == row && t->n != DRAFT_BORN)
            continue;
        t->n = (t->n + 1) | mixed;
        t->last = row;
        *post++ = (struct draft_post){ term, row };
    }
    d->posts_n = (size_t)(post - d->posts);
    return ERR_OK;
}

/* ---- groups ---- */
static enum err groups_room(struct draft *d, size_t terms)
{
    void *groups = d->groups, *list = d->group_terms;
    enum err e = ERR_OK;
    if (d->groups_n == d->groups_room)
        e = list_grow(&groups, d->groups_n + 1, &d->groups_room, sizeof *d->groups);
    d->groups = groups;
    if (e == ERR_OK && d->group_terms_n + terms > d->group_terms_room)
        e = list_grow(&list, d->group_terms_n + terms, &d->group_terms_room, sizeof *d->group_terms);
    d->group_terms = list;
    if (e == ERR_OK && d->known_n + terms > d->known_room)
        e = terms_grow(d, terms);
    return e;
}

enum err draft_group_new(struct draft *d, const uint64_t *hash, size_t n, uint32_t *ret)
{
    enum err e = groups_room(d, n);
    if (e != ERR_OK)
        return e;
    struct draft_group *g = &d->groups[d->groups_n];
    *g = (struct draft_group){ .at = (uint32_t)d->group_terms_n };
    uint32_t *terms = d->group_terms + g->at;
    for (size_t i = 0; i < n; i++) {
        uint32_t *slot = slot_of(d, hash[i]), k = 0;
        if (*slot == 0) {
            *slot = (uint32_t)d->known_n;
            d->known[d->known_n++] = (struct draft_term){ .hash = hash[i], .n = DRAFT_BORN };
        }
        while (k < g->n && terms[k] != *slot)
            k++;
        if (k == g->n) /* a run may have a term twice */
            terms[g->n++] = *slot;
    }
    d->group_terms_n += g->n;
    *ret = (uint32_t)d->groups_n++;
    return ERR_OK;
}

enum err draft_group_post(struct draft *d, uint32_t group, uint32_t row)
{
    if (d->posts_n == d->posts_room) {
        enum err e = posts_grow(d, 1);
        if (e != ERR_OK)
            return e;
    }
    d->posts[d->posts_n++] = (struct draft_post){ DRAFT_GROUP | group, row };
    d->groups[group].rows++;
    return ERR_OK;
}

static enum err run_add(struct draft *d, struct term_memo_run *r, uint32_t row)
{
    if (r->owner != d->begun) {
        enum err e = draft_group_new(d, r->hash, r->n, &r->group);
        if (e != ERR_OK)
            return e;
        r->owner = d->begun;
    }
    return draft_group_post(d, r->group, row);
}

/* ---- joins ---- */
static size_t join_slot(const struct draft *d, const struct term_facts *f, uint64_t *ret_key)
{
    uint64_t key = f->exchange ^ (uint64_t)part_number(f) * 0x9e3779b97f4a7c15u;
    size_t i = (size_t)(key % DRAFT_JOINS);
    while (d->joins[i] != 0 && d->join_terms[i] != key)
        i = (i + 1) % DRAFT_JOINS;
    *ret_key = key;
    return i;
}

/* An intent is found by the first row of its exchange; only where that is another, by a table. */
static void join_put(struct draft *d, uint32_t row, const struct term_facts *f)
{
    uint64_t key;
    if (d->known[*slot_of(d, f->exchange)].first == row)
        return;
    size_t i = join_slot(d, f, &key);
    d->joins[i] = row + 1;
    d->join_terms[i] = key;
    d->joins_n++;
}

/* The newest intent of this exchange and part; false: it is not in the draft. */
static bool join_find(const struct draft *d, const struct term_facts *f, uint32_t *ret)
{
    uint64_t key;
    uint32_t row = d->joins_n > 0 ? d->joins[join_slot(d, f, &key)] : 0, term = *slot_of(d, f->exchange);
    if (row == 0 && term != 0) {
        const struct part_row *first = &d->rows[d->known[term].first];
        if (first->kind == AUDIT_INTENT && first->part == part_number(f))
            row = d->known[term].first + 1u;
    }
    *ret = row - 1;
    return row != 0;
}

/* ---- rows ---- */
enum err draft_own(struct draft *d, const struct term_facts *f)
{
    uint32_t row = (uint32_t)d->h.rows;
    enum err e = terms_add_all(d, d->terms.hash, d->terms.n, (uint16_t)row, 0);
    for (unsigned i = 0; e == ERR_OK && i < d->terms.runs_n; i++)
        e = run_add(d, d->terms.run[i], row);
    if (e != ERR_OK)
        return e;
    d->rows[row] = (struct part_row){ .at = f->at,
                                      .index = (uint32_t)(d->h.n - 1),
                                      .part = part_number(f),
                                      .kind = (uint8_t)f->kind,
                                      .result = (uint8_t)f->result };
    if (row == 0 || f->at < d->h.row_from)
        d->h.row_from = f->at;
    if (row == 0 || f->at > d->h.row_to)
        d->h.row_to = f->at;
    d->h.rows++;
    if (f->kind == AUDIT_INTENT && f->exchange != 0)
        join_put(d, row, f);
    return ERR_OK;
}

static enum err draft_join(struct draft *d, uint32_t row, const struct term_facts *f)
{
    struct part_late l = { .cut = f->kind == AUDIT_CUT,
                           .result = (uint8_t)f->result,
                           .index = d->h.first + d->h.n - 1 };
    terms_flat(&d->terms); /* groups are for rows in their order */
    uint32_t mixed = row + 1 == d->h.rows ? 0 : DRAFT_MIXED;
    enum err e = terms_add_all(d, d->terms.hash, d->terms.n, (uint16_t)row, mixed);
    if (e == ERR_OK)
        part_late_apply(&d->rows[row], d->h.first, &l);
    return e;
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
    h->sums = part_sums_add(h->sums, line);
    memcpy(h->last_sum, line.p + LOGLINE_CRC, LOGLINE_CRC_N);
    part_time_add(h, f->kind, f->at);
    if ((f->kind != AUDIT_OUTCOME && f->kind != AUDIT_CUT) || f->exchange == 0)
        return draft_own(d, f);
    uint32_t row;
    return join_find(d, f, &row) ? draft_join(d, row, f) : ERR_NOT_FOUND;
}

bool draft_may_have(const struct draft *d, uint64_t hash)
{
    return *slot_of(d, hash) != 0;
}

static void mark(uint8_t bits[PART_BITS], uint32_t row)
{
    bits[row / 8] |= (uint8_t)(1u << (row % 8));
}

void draft_mark(struct draft *d, uint64_t hash, uint8_t bits[PART_BITS])
{
    uint32_t term = *slot_of(d, hash);
    if (term == 0)
        return;
    if (!(d->known[term].n & DRAFT_BORN))
        mark(bits, d->known[term].first);
    for (size_t i = 0; i < d->groups_n; i++) {
        struct draft_group *g = &d->groups[i];
        g->asked = false;
        for (uint32_t k = 0; k < g->n; k++)
            g->asked = g->asked || d->group_terms[g->at + k] == term;
    }
    for (size_t i = 0; i < d->posts_n; i++) {
        const struct draft_post *p = &d->posts[i];
        if (p->term & DRAFT_GROUP ? d->groups[p->term & ~DRAFT_GROUP].asked : p->term == term)
            mark(bits, p->row);
    }
}
