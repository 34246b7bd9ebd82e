#pragma once
/* One exchange: an attempt of a consumer, from its head to the last record. Inside gateway/ only.
 *
 * Stages are rows of one table (exchange.c); exchange_goto is the only writer of `state`; each stage writes its own
 * column below once, and it is constant afterwards. An error at any stage jumps to OUTCOME with a reason; there is no
 * way out that does not pass a record. Invariants: no byte of an answer leaves before its record is durable; a whole
 * answer leaves only after its outcome is durable; memory is bounded by the arena's cap, the translate buffer and the
 * consumer's window; the struct lives until its last record has been answered for. */
#include "gateway/ask.h"
#include "gateway/worker_internal.h"

enum ex_state {
    EX_READ_HEAD,
    EX_IDENTIFY,
    EX_LOG,
    EX_RESOLVE,
    EX_DECIDE,
    EX_ADMIT,
    EX_INTENT,
    EX_OPEN,
    EX_RELAY,
    EX_OUTCOME,
    EX_DEAD,
    EX_COUNT_
};
enum step { STEP_NEXT, STEP_WAIT };
enum {
    EX_ARENA_BODIES = 4, /* times its body: its values, and the provider's request, which escapes may make longer */
    EX_ARENA_FIRST = 3072,
    EX_HELD = 4096,
    EX_PROGRESS_BYTES = 64 << 20,
    EX_PROGRESS_MS = 30000
};

/* What the consumer is told; one table a kind of endpoint. consumer_http.c has HTTP's, both versions. */
struct consumer_ops {
    void (*head)(void *call, const struct http_reply *r);
    size_t (*body)(void *call, struct slice bytes); /* returns the room left */
    void (*end)(void *call, const struct http_header *trailers, size_t n);
    void (*abort)(void *call);
    size_t (*room)(void *call);
    void (*read)(void *call, bool on); /* of the request's body */
};

/* What a relay came to; as struct translate_outcome has it. */
struct ex_found {
    uint64_t rows, findings;
    char code[33];
};

struct exchange {
    struct worker *w;
    struct exchange *next, **pprev; /* the worker's list of running ones */
    struct connection *conn;        /* bor: NULL when the consumer is gone */
    const struct consumer_ops *ops;
    void *call;     /* NULL when nobody is left to answer */
    uint8_t state;  /* enum ex_state */
    bool stranger;  /* no identity was established */
    bool running;   /* inside exchange_resume */
    bool body_done; /* the whole request is here */
    struct uuid id;
    char id_text[UUID_TEXT];
    int64_t began, began_wall;
    int64_t decided, decided_wall; /* DECIDE; a body may come long after its head */
    struct buf body;               /* own: the request's body */
    size_t body_counted;           /* of it, in the worker's sum: its whole length, where that was told */
    size_t body_promised;          /* of that, not come yet */
    uint64_t body_told;            /* its length, as the head tells it; 0: not told */
    char who[160];                 /* subject's "department/id"; stays when the connection goes */
    char uri[256], digest[65], address[46];

    struct ex_ask ask;              /* READ_HEAD */
    struct log_ask *log;            /* READ_HEAD: evidence is asked for, not data; in the arena */
    struct service *service;        /* ref, RESOLVE */
    struct upload *up;              /* RESOLVE: the body passes unread; in the arena. NULL: it holds parameters */
    struct translate_params params; /* RESOLVE */
    struct slice items_named;       /* RESOLVE */
    struct policy_grant *grant;     /* ref, DECIDE: the one that permits, or came nearest */
    struct policy_verdict verdict;  /* DECIDE */
    const char *grant_ids[8];
    uint64_t generation;                   /* snapshot it was decided on */
    struct connector_call *provider;       /* own, OPEN; NULL when over */
    struct translate_run *run;             /* own, RELAY; NULL at all other times, and when the answer passes unread */
    struct ex_found found;                 /* OUTCOME: what the relay came to */
    struct slice passed;                   /* RELAY: it does, and this is its Content-Type; the plan's */
    struct digest *digest_in, *digest_out; /* borrowed from the worker's pool; no digest_in of what passes unread */
    struct buf out;   /* own: translated, not yet given to the consumer; its last EX_HELD bytes wait for the outcome */
    size_t out_taken; /* of it, from the process's room, above PRESSURE_STEP */
    int64_t asked_at, answered_at; /* ms: provider */
    uint64_t bytes_in, bytes_out, progress_bytes;
    int64_t progress_at;
    bool provider_done, provider_paused, head_sent, trailer;
    bool hurried;      /* RELAY: the log was told that the intent is waited for */
    bool asked_items;  /* _items was given */
    bool unknown_item; /* and names something that the resource does not have */
    bool concluded, answered,
        ended;            /* OUTCOME: record queued (or counted); answer begun; answer all given to the endpoint */
    bool counted;         /* beyond the recorded rate: in a count record, no reply */
    bool gapped;          /* the log counted the attempt for its gap record */
    bool admitted;        /* ADMIT: counts among the running of its department; else among what has begun */
    uint32_t slot, group; /* in tallies, as its connection's */
    bool intended;        /* there was an intent when it concluded: an outcome is owed */
    bool owes_outcome, owes_cut, owes_refusal;
    bool withheld;          /* what the outcome said was handed out was not, for want of evidence */
    bool hashing, summed;   /* digests of the answer have begun; are final */
    enum reason cut_reason; /* of the cut that is owed */
    int64_t retry_at;       /* mono ms: not before, when something owed could not be queued */
    struct sha256 sum_in, sum_out;
    struct translate_refusal param_fault; /* RESOLVE: told only to those who may ask at all */
    enum reached reached;

    enum reason reason; /* OUTCOME: REASON_GRANTED or why not */
    const char *detail[2];
    struct slice raw; /* what could not be understood; for a keyed digest */
    struct evidence intent, outcome, progress, cut;
    struct room *in_line; /* bor: the worker's; waits there for room in the queue. NULL: nowhere */
    struct exchange *line_next, *line_before;
    unsigned outstanding;  /* records queued and not yet answered for */
    struct alarm deadline; /* the end of the grant's validity; in LOG the next look for a proof; in
                            * OUTCOME the next try at a record that is owed */
    struct grave grave;
    struct arena arena;
    char first[EX_ARENA_FIRST]; /* the arena's first block */
};

extern const char *const ex_state_names[EX_COUNT_];

/* A new exchange on this connection; NULL: no memory. It runs when exchange_resume is first called. */
struct exchange *exchange_new(struct worker *w, struct connection *conn, const struct consumer_ops *ops, void *call);
void exchange_body_done(struct exchange *x);      /* it is needed no more: its memory and its room are given back */
void exchange_begun(struct exchange *x, bool on); /* it counts among what has only begun, or no more */
/* Go on as far as possible. Called by every event of this exchange, and by nothing else. */
void exchange_resume(struct exchange *x);
/* Jump to the outcome with this reason, from whatever stage; the first reason stays. */
enum step exchange_fail(struct exchange *x, enum reason r, const char *en, const char *zh);
/* From outside the stages (the grant was revoked, an alarm): as exchange_fail, then on. An answer that is still being
 * given after its outcome is cut too. */
void exchange_cut(struct exchange *x, enum reason r);
/* Set the alarm for the end of the grant's validity. */
void exchange_watch(struct exchange *x);
int64_t exchange_expires_in(const struct exchange *x); /* ms; INT64_MAX: never */
void exchange_expire(struct exchange *x);              /* that is over: cut it */
/* Nobody is answered any more: the connection, or the stream, ends without an end. What is on record is another matter.
 */
void exchange_hang_up(struct exchange *x);
/* After an outcome that promised a whole answer: a record that it was not. */
void exchange_owe_cut(struct exchange *x, enum reason r);
void exchange_consumer_gone(struct exchange *x, enum reason r);
void exchange_consumer_sent(struct exchange *x);
void exchange_evidence(struct evidence *ev, enum err e, uint64_t index);

/* Note the verified peer's name; false: there is none. */
bool exchange_name(struct exchange *x, const struct certs_peer *peer);

/* Stages, by file. */
enum step stage_read_head(struct exchange *x);
enum step stage_identify(struct exchange *x);
enum step stage_log(struct exchange *x);
enum step stage_resolve(struct exchange *x);
enum step stage_decide(struct exchange *x);
enum step stage_admit(struct exchange *x);
enum step stage_intent(struct exchange *x);
enum step stage_open(struct exchange *x);
enum step stage_relay(struct exchange *x);
enum step stage_outcome(struct exchange *x);

/* trace.c: the consumer's trace context; the traceparent for the provider. */
enum { TRACE_TEXT = 56 };
void trace_read(struct exchange *x, const struct http_head *h);
struct slice trace_parent(const struct exchange *x, char out[TRACE_TEXT]);
/* relay.c */
extern const struct connector_events relay_events;
/* Ends provider and run, if any, and fills `found`: the run's memory is the next exchange's while it is still near. */
void relay_stop(struct exchange *x);
/* record.c: queue a record of this exchange. ERR_AGAIN: the queue is full, and the exchange is resumed to try again
 * when it is not (room.h). Any other error: it will never be durable. */
enum err record_intent(struct exchange *x);
enum err record_outcome(struct exchange *x);
enum err record_refused(struct exchange *x);
enum err record_progress(struct exchange *x);
enum err record_cut(struct exchange *x);
/* Begin a digest that the outcome tells: under the exchange's salt for 'i', 'o' or 'u'. */
void record_digest(struct exchange *x, struct digest *d, char direction);
/* answer.c: what leaves. */
void answer_problem(struct exchange *x, enum reason r);
void answer_head(struct exchange *x, int64_t length); /* -1: not known, ends with a trailer */
void answer_end(struct exchange *x);
