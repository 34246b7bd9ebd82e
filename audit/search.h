#pragma once
/* Questions to the log: what an auditor asks, and the index that answers.
 *
 * The index is derived from the segments and can be rebuilt from them at any time; nothing on the write path waits for
 * it or reads it. It joins the records of one exchange into one row (intent, outcome, cut) and keeps keyed hashes of
 * what a row can be asked by, no values. What it finds is read again from the segments and compared with the question
 * before it is shown: the index proposes, the log answers.
 *
 * Thread rule: audit_index_open and _close belong to one thread; everything else may be called from any. */
#include "base/core/core.h"

struct audit_log;

/* ---- reading through: no index, no state; for the outbox and for tests ---- */
struct audit_filter { /* empty: any; all given must hold */
    struct slice subject, resource, grant, reason, kind, operator_, case_, purpose, pseudonym, exchange;
    int64_t from, to; /* wall ms, 0: open */
    uint64_t after;   /* index to begin behind; UINT64_MAX: from the start */
    bool newest_first;
    uint32_t limit; /* 1..1000 */
};
/* fn gets each matching line, no LF, until it returns false; subject finds acts' authors too. *more: others exist. */
enum err audit_search(const char *dir, const struct audit_filter *f,
                      bool (*fn)(void *arg, uint64_t index, struct slice line), void *arg, bool *more,
                      struct diags *d) MUST_CHECK;

/* ---- rows: one exchange with what came of it, or one record that belongs to none ---- */
enum audit_result {
    AUDIT_NO_RESULT, /* acts, counts, gaps, segment heads */
    AUDIT_GRANTED,   /* answered, complete */
    AUDIT_DENIED,    /* refused before an intent */
    AUDIT_FAILED,    /* an intent that ended without an answer */
    AUDIT_WAS_CUT,   /* an answer that ended before its end */
    AUDIT_BROKEN_OFF /* "interrupted": the gateway ended in the middle of it */,
    AUDIT_OPEN, /* "running": no outcome yet */
    AUDIT_RESULTS_
};
const char *audit_result_name(enum audit_result r); /* "granted"; "" for AUDIT_NO_RESULT */
bool audit_result_find(struct slice name, enum audit_result *ret);

/* Empty: any; all that is given must hold for the row. Texts as they were sent. Heads of segments are shown only to
 * who asks for their kind. */
struct audit_question {
    struct slice subject;    /* URI of who asked, or of an act's author */
    struct slice who;        /* the same as "department/name" */
    struct slice department; /* of who asked, or of the resource */
    struct slice resource, item, grant, purpose, operator_, case_, exchange, reason, kind;
    struct slice verb, object;            /* of an act, or of an attempt at one */
    struct slice pseudonym;               /* as audit_pseudonym makes it */
    struct slice older[PERSON_SPELLINGS]; /* others of the same person: any of them will do as well */
    unsigned n_older;
    enum audit_result result; /* AUDIT_NO_RESULT: any */
    int64_t from, to;         /* wall ms of the first record, [from, to); 0: open */
    bool oldest_first;
    uint64_t after; /* the row's index to begin behind; UINT64_MAX: from the start */
    uint32_t limit; /* 1..1000 */
};
struct audit_row {  /* lines without LF; bor: for the call */
    uint64_t index; /* of the first record */
    enum audit_result result;
    struct slice record, outcome, cut; /* the latter two empty when there is none */
    bool item_unsure; /* asked for an item: it may be among those that the record's list had no room for ("…") */
};
struct audit_found {
    bool more;               /* there are others behind `last` */
    uint64_t last;           /* index of the last row shown; UINT64_MAX: none was */
    uint64_t first, indexed; /* the answer covers records [first, indexed) */
};

/* ---- the index ---- */
struct audit_index;
struct audit_index_status {
    uint64_t first, indexed, size; /* records [first, indexed) of a log of `size` */
    uint64_t parts, bytes;         /* files, and what they take */
    uint64_t discarded;            /* parts found wrong or stale since the start, and built anew */
    uint64_t failed;               /* index of a record that could not be read; UINT64_MAX: none */
    int64_t elapsed_ms;            /* time by the log's own evidence, see audit/pruned.h */
};
/* The files stand in <dir>/index. `log`: the open log, whose durable records are followed; NULL: a log that nobody
 * writes, as far as its files go. Starts the thread that checks what is there, builds and follows. */
enum err audit_index_open(const char *dir, const struct audit_log *log, struct audit_index **ret,
                          struct diags *d) MUST_CHECK;
struct audit_index *audit_index_close(struct audit_index *x);
/* Waits for no disk: while the index's thread does, as it was when somebody asked last. */
void audit_index_status(struct audit_index *x, struct audit_index_status *ret);
/* Wait until the records [0, size) are indexed, at most so long. */
bool audit_index_wait(struct audit_index *x, uint64_t size, int64_t ms);
/* Throw the files away and begin anew; the thread does it. */
void audit_index_rebuild(struct audit_index *x);
/* Read all segments again and compare each part with what it was built from. A part that differs is thrown away with
 * those behind it, and built anew; its first record, UINT64_MAX when all agree. *stop (NULL: nothing) ends it early:
 * what was not read until then is taken to agree. */
uint64_t audit_index_check(struct audit_index *x, const _Atomic bool *stop);

/* fn gets each row until it returns false. ERR_CORRUPT: the log is not as the index knew it (it is being rebuilt: ask
 * again). ERR_AGAIN: the index was thrown away meanwhile: what was given is not all. */
enum err audit_find(struct audit_index *x, const struct audit_question *q,
                    bool (*fn)(void *arg, const struct audit_row *row), void *arg, struct audit_found *ret,
                    struct diags *d) MUST_CHECK;
/* One record's line, appended to `out` without LF. ERR_NOT_FOUND: not in the log, or not indexed yet. */
enum err audit_record_line(struct audit_index *x, uint64_t index, struct buf *out) MUST_CHECK;
