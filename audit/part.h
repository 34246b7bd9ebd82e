#pragma once
/* Parts of the search index: rows and terms of at most PART_RECORDS records of one segment. The newest is a draft in
 * memory; a whole one is sealed into the immutable file <dir>/index/<first>.part and read by mapping it.
 *
 *   head | rows | marks | terms | lists | loose
 *
 * rows: one for each exchange and for each record that belongs to none, in the order of their first records.
 * marks: file offset of each 16th record. terms: sorted hashes; each names one row, or a list of rows (16-bit numbers,
 * or a bitmap where that is shorter). loose: rows whose outcome or cut came after the part was sealed; their late terms
 * are in no list, so a question about results looks at them one by one.
 *
 * Thread rule: a draft belongs to who holds the index's lock; a sealed part never changes and is counted. */
#include "audit/terms.h"
#include <stdatomic.h>

enum { PART_LAST = 65535 };
static inline uint16_t part_number(const struct term_facts *f)
{
    return (uint16_t)(f->part < PART_LAST ? f->part : PART_LAST);
}
enum { PART_RECORDS = 65536, PART_MARK = 16, PART_NAME = 16 + 5 + 1 };
struct part_row {
    int64_t at;                   /* wall ms of the first record */
    uint32_t index, outcome, cut; /* first record, less part.first; the others: so many behind it, 0: none */
    uint16_t part;                /* of a composite, at most PART_LAST */
    uint8_t kind, result;
};
struct part_term {
    uint64_t hash;
    uint32_t n, at; /* n 1: `at` is the row; else offset in lists of n numbers, or of a bitmap when n > rows / 16 */
};
/* What the part was built from, and what retention asks. The sums are against accidents: who may write these files
 * could make any digest of them right too, and what they find is read from the log again. */
struct part_head {
    char magic[8];
    uint32_t version, endian;
    uint64_t segment, first, n;                /* segment's first index; records [first, first + n) */
    uint64_t from, to;                         /* their bytes in the segment */
    uint64_t seed;                             /* of the terms */
    uint64_t rows, marks, terms, lists, loose; /* how many; lists: bytes */
    int64_t at_before, at_first, at_last;      /* wall ms of the last record before it, of its first and last; 0: none.
                                                  Heads of segments do not count */
    int64_t elapsed_ms;                        /* what the log lived from at_before to at_last (pruned.h) */
    int64_t row_from, row_to;                  /* least and greatest time of a row */
    int64_t exchange_at, other_at;             /* newest record of an exchange, and of any other kind; 0: none */
    char last_sum[8];                          /* checksum of its last record */
    uint64_t sums;                             /* over the records' checksums in order, each of which covers its line */
    uint64_t sum;                              /* CRC-32C of the whole file, with this as zeros */
};
enum { PART_VERSION = 4, PART_ENDIAN = 0x01020304 };
#define PART_MAGIC "sluiceix"

struct part {
    struct part_head h;
    const struct part_row *rows;
    const uint64_t *marks;
    const struct part_term *terms;
    const uint8_t *lists;
    const uint16_t *loose;
    void *map; /* own; NULL: nobody uses it, and what stands above but the head is not there */
    size_t map_n;
    unsigned uses;      /* of the map; part.c */
    bool kept;          /* the index has one of them */
    char *path;         /* own */
    _Atomic bool timed; /* this process made its times from the records, or compared them */
    _Atomic unsigned refs;
};
struct part *part_ref(struct part *p);
void part_unref(struct part *p); /* NULL is ok */
/* The next record of the part; begins with 0. One that differs is always seen. */
static inline uint64_t part_sums_add(uint64_t sums, struct slice line)
{
    uint64_t digits;
    memcpy(&digits, line.p + LOGLINE_CRC, sizeof digits);
    sums = (sums ^ digits) * 0x9e3779b97f4a7c15u;
    return sums ^ sums >> 29;
}
/* What a record of this kind and wall ms adds to the times of its part; 0: it has none. */
void part_time_add(struct part_head *h, enum audit_kind kind, int64_t at);
/* The times that retention judges by. */
bool part_times_equal(const struct part_head *a, const struct part_head *b);
int64_t part_time_last(const struct part_head *h); /* wall ms of the last record up to its end; 0: none */
void part_name(uint64_t first, char out[PART_NAME]);
/* Maps and checks a file: shape, sum, bounds. It is in use, and kept. ERR_CORRUPT: not one of ours, or damaged;
 * ERR_NOMEM: also where the process has no descriptor or map left. */
enum err part_open(const char *path, struct part **ret) MUST_CHECK;
/* A process has some 65,000 maps (vm.max_map_count), and when they are used up no allocation and no thread succeeds any
 * more: so the index keeps the maps of its newest PART_MAPS parts only (of a thousand million records), and whoever
 * asks an older one maps it for as long. Its sections can be read until part_rest. Any thread. ERR_NOT_FOUND: its file
 * is gone; ERR_AGAIN: another one stands in its place. */
enum { PART_MAPS = 16384 };
enum err part_use(struct part *p) MUST_CHECK;
void part_rest(struct part *p);
/* Where the record stands that is `n` behind part.first: the offset of the nearest mark at or before it. */
uint64_t part_mark(const struct part *p, uint64_t n, unsigned *skip);

/* The rows of one term: none, one, numbers or bits. */
struct part_list {
    uint32_t n;
    uint16_t one;
    const uint16_t *numbers; /* n of them, ascending */
    const uint8_t *bits;
};
struct part_list part_find(const struct part *p, uint64_t hash);
enum { PART_BITS = PART_RECORDS / 8 };
void part_list_mark(const struct part_list *l, uint64_t rows, uint8_t bits[PART_BITS]);
/* The next row of a list, ascending; *at from 0. False: there is none. */
bool part_list_next(const struct part_list *l, uint64_t rows, uint32_t *at, uint16_t *ret);

/* A record that came after the part of its exchange was sealed. */
struct part_late {
    uint64_t first; /* of the part */
    uint16_t row;
    bool cut;
    uint8_t result;
    uint64_t index; /* of the outcome or cut */
};
void part_late_apply(struct part_row *r, uint64_t first, const struct part_late *l);

/* Each term of the draft once. Most have one row only; other rows are in `posts`, by the term or by a group of terms
 * that rows often have together. */
struct draft_term {
    uint64_t hash;
    uint32_t n; /* rows by the term itself, and DRAFT_MIXED, DRAFT_BORN */
    uint16_t first, last;
};
struct draft_group {
    uint32_t at, n; /* its terms, in `group_terms` */
    uint32_t rows;
    bool asked; /* for draft_mark */
};
struct draft_post {
    uint32_t term; /* place in `known`; with DRAFT_GROUP in `groups` */
    uint32_t row;
};
struct draft {
    struct part_head h;
    struct part_row *rows;    /* own; PART_RECORDS */
    uint64_t *marks;          /* own */
    struct draft_term *known; /* own; [1, known_n) */
    size_t known_n, known_room;
    uint32_t *slots;            /* own: place in `known` by hash, open addressing; 2 * known_room, a power of two */
    struct draft_post *posts;   /* own: in the order they came, without the first row of each term */
    struct draft_group *groups; /* own */
    uint32_t *group_terms;      /* own: places in `known` */
    size_t posts_n, posts_room, groups_n, groups_room, group_terms_n, group_terms_room;
    uint32_t *joins;      /* own: row + 1 by exchange and part, open addressing: intents whose exchange was known */
    uint64_t *join_terms; /* own: and the exchange's term */
    size_t joins_n;
    uint64_t begun; /* how many parts: the owner of a run's group */
    struct terms terms;
};
enum { DRAFT_JOINS = 2 * PART_RECORDS };
#define DRAFT_MIXED 0x80000000u /* its rows may not be in order, some twice */
#define DRAFT_BORN  0x40000000u /* in a group: `first` is no row, that is in `posts` too */
#define DRAFT_ROWS  0x3fffffffu
#define DRAFT_GROUP 0x80000000u
enum err draft_init(struct draft *d) MUST_CHECK; /* allocates; then draft_begin for each part */
void draft_done(struct draft *d);
void draft_begin(struct draft *d, uint64_t segment, uint64_t first, uint64_t offset, uint64_t seed, int64_t at_before);
/* The next record, its line and offset. ERR_NOT_FOUND: its intent is not in the draft (facts and terms are in
 * d->terms): the caller looks elsewhere, then calls draft_late or draft_own. */
enum err draft_add(struct draft *d, struct slice line, uint64_t offset, struct term_facts *f) MUST_CHECK;
enum err draft_own(struct draft *d, const struct term_facts *f) MUST_CHECK; /* a row of its own for the last record */
/* Terms that rows have together: the number of a new group, and its next row, ascending. */
enum err draft_group_new(struct draft *d, const uint64_t *hash, size_t n, uint32_t *ret) MUST_CHECK;
enum err draft_group_post(struct draft *d, uint32_t group, uint32_t row) MUST_CHECK;
/* Writes <dir>/index/<first>.part, not synced: a torn one is found by its sum and built anew. */
enum err draft_seal(struct draft *d, const char *dir) MUST_CHECK;
/* The part again, with what came late. */
enum err part_rewrite(const struct part *p, const char *dir, const struct part_late *late, size_t n) MUST_CHECK;
bool draft_may_have(const struct draft *d, uint64_t hash);                /* false: certainly not; cheap */
void draft_mark(struct draft *d, uint64_t hash, uint8_t bits[PART_BITS]); /* the rows of one term */
