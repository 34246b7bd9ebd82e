#pragma once
/* The control thread's inside, shared by control*.c, act.c, api.c and ops.c; nobody else. */
#include "gateway/control.h"
#include "gateway/flood.h"
#include "gateway/pressure.h"
#include "gateway/keeper.h"
#include "gateway/guard.h"
#include "gateway/tally.h"
#include "gateway/problem.h"
#include "gateway/trust.h"
#include "gateway/cosigner.h"
#include "gateway/witnesses.h"
#include "gateway/worker.h"

enum { DONE_BATCH = 256 };

struct act_done { /* an act whose record is in the log, not yet noted in the outbox */
    uint64_t act, index;
};
struct control_note {
    struct worker_note note; /* first: the worker gives it back */
    struct control *control;
};
struct api_conn;
struct ops;
struct control {
    const char *settings_path;
    const struct settings *settings; /* the ones in force */
    struct settings *reloaded;       /* own: when they came with a reload */
    struct audit_log *log;           /* bor */
    struct log_reader *reader;       /* bor */
    struct audit_index *index;       /* own */
    struct {                         /* retention.c */
        uint64_t looks, size, seen, last_act;
        int64_t grew;                /* mono ms: the log had a record then */
        struct audit_prunable ready; /* what was read, and may go as it is */
        uint64_t again;              /* number of the look that may read anew */
        bool reading, was_read;      /* a thread reads what may go; it is done since the last look */
        _Atomic bool stop;           /* it need not go on, nor need a check of the index; api_audit.c */
    } retention;
    struct loop *loop;
    struct sql *sql;
    struct audit_queue *queue;
    struct guard *guard; /* bor */
    struct watch *queue_watch, *signal_watch, *keeper_watch, *stop_watch;
    int signal_fd, control_fd, operations_fd;
    struct certs_ca *ca;         /* own */
    struct keeper *keeper;       /* bor; NULL: none is watched */
    struct gate *gate;           /* bor */
    struct names *names;         /* bor: of hosts */
    struct witnesses *witnesses; /* bor; NULL: none are named */
    struct cosigner *cosigner;   /* bor; NULL: no other log is witnessed */
    struct connector_world world;
    char secrets_dir[4200], state_dir[4096];
    struct snapshot *snapshot; /* ref: the newest */
    struct trust_holder trust; /* of the control listener */
    uint64_t trust_stamp;      /* changes of the files that it was loaded from */
    unsigned trust_lacks;      /* so many of them could not be used */
    int64_t crl_written;       /* wall ms; 0: not since the start */
    struct tls_context *tls;
    int64_t certificate_until; /* wall ms: the end of the certificate in use; 0: unknown */
    char reload_fault[2][160]; /* by enum lang: the first thing wrong with the last reload; "": nothing */
    bool look_at_all;          /* a reload asked for it while an act waited, or memory was short */
    size_t lacking;            /* resources that lack what their provider is called with; providers.c */
    size_t failing;            /* resources whose provider fails whoever asks */
    char lacks[2][200];        /* by enum lang: the first that lacks something, what, and the remedy */
    char fails[2][200];        /* the first that fails, and how */
    unsigned until_note;       /* seconds */
    struct acceptor *control_acceptor;
    struct door control_door;
    struct tally control_each; /* connections in use by who administers; of all together: */
    unsigned n_known;
    size_t body_bytes;                        /* of bodies that are held; api_http.c */
    struct worker *workers[SETTINGS_WORKERS]; /* bor */
    struct tls_sessions *sessions;            /* ref: of the workers, for /metrics */
    unsigned n_workers;
    /* acts under way, in the order of their numbers; act.c */
    struct act_job *jobs, **jobs_tail;
    unsigned outstanding; /* lines given to the log, not yet answered for */
    struct act_done done[DONE_BATCH];
    unsigned n_done;
    struct alarm retry, flush, minute, drain, counted, second;
    struct flood flood;            /* refusals of the control listener */
    struct control_waiter counter; /* for their count record */
    struct control_note reload_notes[SETTINGS_WORKERS], drain_notes[SETTINGS_WORKERS];
    unsigned reloads_out, drains_out;
    int64_t drain_until; /* mono ms */
    struct pressure pressure;
    unsigned log_reads;      /* jobs with the reading thread; api_log.c */
    bool reload_again;       /* asked for while one was under way */
    unsigned fault_of_trust; /* so many faults of the files of trust the minute's look found, and reload_fault tells */
    unsigned studies;        /* questions taken on and not answered: their number is limited; api_audit.c */
    unsigned searches;       /* threads that read the log for them */
    unsigned refusals_out;   /* refusals whose record is on its way */
    bool draining, in_tx;
    bool held; /* act.c: the log refused a line; wait for the retry alarm */
    bool pumping, pump_again;
    struct api_conn *connections;
    struct ops *ops; /* own: the operations listener's thread; NULL: not yet, or no more */
    unsigned n_connections;
    int64_t started;               /* wall ms */
    int64_t began;                 /* the same, mono ms: a clock that is set makes nobody older */
    uint64_t api_answers[6];       /* by class of status; for /metrics */
    uint64_t log_free, state_free; /* bytes, as the last second saw them */
};
/* What the control thread last said of itself, so that others can tell of it while it waits for a disk. */
struct control_picture {
    int64_t at; /* mono ms: end of its last turn; it has one each second */
    bool draining, held, has_trust;
    bool certificate_due; /* it ends within tls.remind days */
    size_t acts, grants, resources;
    uint64_t generation, log_free, state_free, api_answers[6];
    int64_t crl_next, certificate_until; /* wall ms; 0: none */
    int64_t crl_others; /* the same of other authorities' lists; the file of the first that runs out: */
    char crl_file[128];
    char reload_fault[2][160], lacks[2][200], fails[2][200];
    size_t lacking, failing;
    struct http_limits limits; /* of the operations listener */
};

/* act.c */
enum err act_init(struct control *c) MUST_CHECK;
void act_free_all(struct control *c);
void act_on_log(void *control); /* the queue's descriptor is readable */
void act_flush_done(struct control *c);
/* Acts that are in the state but not in the log (start-up): appended in order and durable on ERR_OK. */
enum err act_replay(struct control *c, struct diags *d) MUST_CHECK;
/* Trust was loaded anew: a snapshot with it, without an act. */
void act_publish_trust(struct control *c, struct certs_trust *t);
size_t act_pending(const struct control *c);
bool act_waits(const struct control *c); /* some act's record is not durable yet */
/* Is this certificate enrolled by an act whose record is not durable yet? */
bool act_enrols(const struct control *c, const struct sha256 *digest);
/* control_run.c: remember what a reload found, for /readyz; without faults: that all is well */
void control_reload_found(struct control *c, const struct diags *d);
/* control.c */
struct http_limits control_limits(const struct control *c);
enum err control_tls_load(struct control *c, struct diags *d) MUST_CHECK;
/* trust_load.c. `by_act`: a list of our own authority that cannot be used holds no act up: the earlier one stays. */
enum err control_trust_load(struct control *c, bool by_act, struct certs_trust **ret, struct diags *d) MUST_CHECK;
enum err control_crl_write(struct control *c, struct diags *d) MUST_CHECK;
void control_minute(struct control *c); /* renewals, reload of changed lists, pruning, the reserve */
/* providers.c: what the snapshot's resources lack, for /readyz, now and whenever a host's name is answered for; and a
 * look whether they, or all, can be made anew. */
void providers_begin(struct control *c);
void providers_end(struct control *c); /* before the loop is freed */
void providers_note(struct control *c);
void providers_second(struct control *c); /* each second: who is asked opens and closes circuits */
void providers_look(struct control *c, bool all);
/* reserve.c */
void reserve_keep(struct control *c); /* make it when there is room */
bool reserve_free(struct control *c); /* false: there is none */
/* api.c */
extern const struct http_service api_service;
void api_run(struct api_request *q); /* authenticate, route, run; the request is complete */
/* May whoever asks send a body for this? False: it was answered. api_run judges again. */
bool api_judge(struct api_request *q) MUST_CHECK;
/* api_http.c: does its connection have a place? False: others take all. */
bool api_admit(struct api_request *q) MUST_CHECK;
void api_free(struct api_request *q);
void api_init(struct control *c);
const struct api_route *api_route_find(const struct api_request *q, bool *path_known);
const struct api_route *api_route_at(size_t i); /* NULL past the end */
/* api_refuse.c: record a refusal and answer when that is durable. False: it is no attempt to be recorded; answer now.
 */
bool api_record_refusal(struct api_request *q, enum reason r, const char *en, const char *zh);
/* Count what needs no record of its own, exactly: one `count` record a second says how many. */
void api_count(struct control *c, enum reason r);
void api_write_counted(struct control *c); /* now */
void api_send_problem(struct api_request *q, enum reason r, const char *en, const char *zh);
void api_connections_drain(struct control *c);
void api_connections_abort(struct control *c);
void api_connections_recheck(struct control *c); /* close those whose certificate was revoked */
/* ops_thread.c: the operations listener, in a thread of its own. It reads of struct control what is set before it
 * starts and never again (log, index, keeper, witnesses, sessions, workers, started), atomics, and the picture. */
enum err ops_start(struct control *c) MUST_CHECK; /* on c->operations_fd, which stays the caller's */
void ops_tell(struct control *c);                 /* the control thread: a new picture */
void ops_stop(struct control *c);                 /* waits for the thread; before any worker ends */
/* ops.c: the pages. False: there is no such page. */
struct ops_page {
    const char *type;
    int status;
};
bool ops_page(struct control *c, const struct control_picture *p, const struct http_head *h, struct ops_page *ret,
              struct buf *out);
/* health.c: what api_status and ops both say */
enum { CHECKS_MAX = 16 };
struct health {
    const char *name;
    bool ok;
    bool warn; /* ok, but somebody should look */
    char text[2][256];
};
void control_picture(struct control *c, struct control_picture *ret); /* the control thread */
/* Any thread, of a picture. */
size_t control_health(struct control *c, const struct control_picture *p, struct health out[CHECKS_MAX]);
uint64_t control_disk_free(const char *dir); /* bytes; UINT64_MAX: unknown */
