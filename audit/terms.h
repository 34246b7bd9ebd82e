#pragma once
/* What a record can be asked by: keyed hashes of its fields, made the same way from a record's line and from a
 * question. A term is a hash of the field's number and the raw JSON text of its value, so that nothing is decoded, and
 * no value stands in the index. A hash may collide by chance (64 bits): what the index finds is only a proposal. */
#include "audit/logline.h"

/* A line is shorter than AUDIT_RECORD_MAX and an element of a list takes at least four bytes of it. */
enum { TERMS_MAX = AUDIT_RECORD_MAX / 4 };
enum term_field {
    TERM_KIND = 1,
    TERM_REASON,
    TERM_RESULT,
    TERM_SUBJECT,
    TERM_WHO,
    TERM_DEPARTMENT,
    TERM_RESOURCE,
    TERM_ITEM,
    TERM_GRANT,
    TERM_PURPOSE,
    TERM_OPERATOR,
    TERM_CASE,
    TERM_EXCHANGE,
    TERM_PERSON,
    TERM_VERB,
    TERM_OBJECT
};
/* What runs of fields came to lately. Most lines say in a row what a line before said: the same application, grant and
 * resource; the same items. A slot is found by a few bytes of the run and holds only when all of it is equal. */
enum { MEMO_SLOTS = 1024, MEMO_TEXT = 480, MEMO_TERMS = 16, MEMO_LOOK = 256 };
struct term_memo {
    uint64_t seed;
    struct term_memo_slot {
        uint16_t n, text_n; /* text_n 0: empty */
        uint16_t end;       /* the field it ends with: a place in the table of terms.c */
        char text[MEMO_TEXT];
        uint64_t hash[MEMO_TERMS];
    } slot[MEMO_SLOTS];
    char second[32]; /* a time of day without its milliseconds, and what it is */
    size_t second_n;
    int64_t second_ms;
};
struct terms {
    uint64_t seed;
    unsigned n;
    uint64_t hash[TERMS_MAX];
    struct term_memo *memo; /* bor; NULL: none. For one thread */
};
struct term_facts {
    enum audit_kind kind;
    int64_t at;
    uint64_t exchange; /* its term; 0: none */
    uint32_t part;
    enum audit_result result; /* what this record alone says */
};
/* False: not a record of ours. terms->seed is the caller's; what was in it is dropped. */
bool terms_of_line(struct terms *t, struct slice line, struct term_facts *ret);
uint64_t term_result(uint64_t seed, enum audit_result r);
/* All that a question asks for; each must be among a row's terms. */
enum err terms_of_question(struct terms *t, const struct audit_question *q) MUST_CHECK;
bool terms_hold(const struct terms *t, uint64_t hash);
