#pragma once
/* What the files of the auditor's API share. A study is work on the log that runs in a thread of its own, after the act
 * that says who asked for it is on record: a long one holds up no revocation. It reads files and the index, nothing of
 * the control thread's. */
#include "gateway/control_internal.h"

struct study {
    struct loop_msg home;
    struct api_request *q; /* its out, json and diags are the study's while it runs */
    struct audit_index *index;
    uint64_t size; /* the log's durable records when it began */
    void (*run)(struct study *s);
    enum err e;
    struct audit_question question;
    const struct audit_log *log;
    const _Atomic bool *stop; /* the daemon ends: whoever reads the whole log need not go on */
    bool proofs;              /* each record with its inclusion proof */
    char pseudonyms[1 + PERSON_SPELLINGS][33];
};
/* api_audit_rows.c: the answer of a search, into q->out. */
void study_search(struct study *s);
