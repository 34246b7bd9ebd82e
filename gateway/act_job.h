#pragma once
/* One committed act on its way: records to the log, snapshot to the workers, answer to the author. act.c makes jobs,
 * act_job.c moves them. */
#include "gateway/control_internal.h"

enum act_line_state { LINE_WAITS, LINE_PUT, LINE_DURABLE };
struct act_line {
    struct control_waiter waiter; /* first */
    struct act_job *job;
    uint64_t act;
    size_t at, n; /* in the job's lines */
    enum act_line_state state;
};
struct act_touched {
    enum snapshot_kind kind;
    char id[160];
};
struct job_note {
    struct worker_note note; /* first: the worker gives it back */
    struct act_job *job;
};
/* Invariants: a job leaves the list only when its lines are durable and every worker has its snapshot; `waiting` notes
 * are with workers; q is answered once and then NULL. */
struct act_job {
    struct act_job *next;
    struct control *control;
    struct api_request *q; /* NULL: answered, or nobody asked */
    void (*then)(struct api_request *q);
    bool narrows, write_crl, load_trust, published;
    bool renew;                /* touched resources are made anew where their targets are stale … */
    bool recode;               /* … or where they use a code table */
    struct certs_trust *trust; /* ref: to be published; NULL: the one in force */
    struct sha256 enrols;      /* not trusted before the lines are durable; zeros: nothing */
    struct buf lines;
    struct act_line *line; /* own */
    size_t n_lines, lines_room;
    struct act_touched *touch; /* own */
    size_t n_touch, touch_room;
    unsigned waiting;
    int64_t list_due;        /* when the list is tried again, by the loop's clock */
    struct job_note notes[]; /* one a worker */
};
struct act_job *job_new(struct control *c);
void job_free(struct act_job *j);
enum err job_add_line(struct act_job *j, uint64_t act, size_t at);
enum err job_add_touch(struct act_job *j, enum snapshot_kind kind, struct slice id);
/* act_record for a content that fits one record. */
enum err act_record_one(struct api_request *q, struct act *a, const char *verb, struct slice object,
                        struct slice content) MUST_CHECK;
/* Take over a committed job: from here on nothing can fail, only wait. */
void job_start(struct act_job *j);
/* Move every job as far as it goes. */
void job_pump(struct control *c);
