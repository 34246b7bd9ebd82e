#pragma once
/* What a record can be asked by: keyed hashes of its fields, made the same way from a record's line and from a
 * question. A term is a hash of the field's number and the raw JSON text of its value, so that nothing is decoded, and
 * no value stands in the index. A hash may collide by chance (64 bits): what the index finds is only a proposal.
 *
 * The hash of a short text is multilinear (Lemire and Kaser, "Strongly universal string hashing is fast", 2013): words
 * times secret words of twice their width, added up, the upper half. Two different texts meet with a chance of 2^-64
 * over the choice of the key, which nobody outside learns; a longer text gets SipHash. */
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
enum { TERM_WORDS = 12, TERM_TEXT = 8 * TERM_WORDS };
/* What was seen lately and what it came to, for quick.c. Most lines say what a line before said: the same application,
 * grant and resource in one run of fields, the same items; an outcome says the exchange of its intent. A slot is found
 * by its text and holds only when all of it is equal. */
enum {
    MEMO_RUNS = 2048,
    MEMO_TEXT = 480,
    MEMO_TERMS = 32,
    MEMO_EXCHANGES = 1024,
    MEMO_REASONS = 64,
    MEMO_SHORT = 40,
    MEMO_ENDING = 80
};
struct term_memo {
    uint64_t seed;
    uint64_t kind[AUDIT_SEGMENT + 1]; /* the term of each */
    struct term_memo_run {
        uint16_t n, text_n; /* text_n 0: empty */
        char text[MEMO_TEXT];
        uint64_t hash[MEMO_TERMS];
        uint64_t owner; /* who gave it a group, and which; 0: nobody */
        uint32_t group;
    } run[MEMO_RUNS]; /* in pairs */
    unsigned turn;
    struct term_memo_short {
        uint8_t text_n, result; /* result: of an outcome for this reason, whatever its status; or AUDIT_NO_RESULT */
        char text[MEMO_SHORT];
        uint64_t hash;
    } exchange[MEMO_EXCHANGES], reason[MEMO_REASONS];
    struct { /* from part to status as the last outcome had it, and what ends the status: most have the same */
        uint8_t text_n, result;
        char text[MEMO_ENDING];
        uint64_t hash; /* of the reason */
    } ending;
    char second[32]; /* a time of day without its milliseconds, and what it is */
    size_t second_n;
    int64_t second_ms;
};
struct terms {
    uint64_t seed;
    uint64_t low[TERM_WORDS + 2], high[TERM_WORDS + 2]; /* the key that the seed stands for: 128 bits a word */
    unsigned n;
    uint64_t hash[TERMS_MAX];
    uint64_t item;   /* of a question: the term of the item that it asks for */
    unsigned runs_n; /* terms that are not in hash[]: runs that were known */
    struct term_memo_run *run[2];
    struct term_memo *memo; /* bor; NULL: none, and no line is read the quick way. For one thread */
};
struct term_facts {
    enum audit_kind kind;
    int64_t at;
    uint64_t exchange; /* its term; 0: none */
    uint32_t part;
    enum audit_result result; /* what this record alone says */
};
void terms_begin(struct terms *t, uint64_t seed); /* before anything else */
/* False: not a record of ours. What was in *t is dropped. */
bool terms_of_line(struct terms *t, struct slice line, struct term_facts *ret);
void terms_flat(struct terms *t); /* all of them into hash[] */
/* quick.c. The same of a record of an exchange as the renderer writes most of them; needs t->memo. False: not one of
 * these, and what is in *t and *ret is of no use; terms_of_line asks it first and knows every line. */
bool terms_quick(struct terms *t, struct slice line, struct term_facts *ret);
/* What a value adds: raw JSON text, not empty. */
uint64_t term_of(const struct terms *t, enum term_field f, struct slice text);
void terms_add(struct terms *t, enum term_field f, struct slice text);
void terms_add_identity(struct terms *t, struct slice raw);
void terms_add_resource(struct terms *t, struct slice raw);
void terms_add_items(struct terms *t, struct slice raw);
/* Of an outcome for this reason, without quotes; AUDIT_NO_RESULT: its status says. */
enum audit_result term_reason_result(struct slice reason);
uint64_t term_result(const struct terms *t, enum audit_result r);
/* All that a question asks for; each must be among a row's terms. */
enum err terms_of_question(struct terms *t, const struct audit_question *q) MUST_CHECK;
bool terms_hold(const struct terms *t, uint64_t hash);
