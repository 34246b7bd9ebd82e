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
struct terms {
    uint64_t seed;
    unsigned n;
    uint64_t hash[TERMS_MAX];
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
