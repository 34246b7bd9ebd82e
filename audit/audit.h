#pragma once
/* audit: the evidence log. Records, the queues that bring them, group commit, the Merkle tree and its signed
 * checkpoints, the outbox of governance acts, recovery, verification and search.
 *
 * Order (DESIGN.md, "Order of evidence"): a record is evidence when its queue says that it is durable, never before.
 * The caller waits for that before it releases a byte. Records of one queue keep their order; the writer stamps index
 * and CRC. The log knows no exchange, no certificate and no key: it is given records, a signer and two secrets.
 *
 * Thread rule: each struct audit_queue belongs to one thread; the log's writer thread is the only other one that
 * touches it. Offline functions (verify, search) read files only and may run in any thread or process. */
#include "audit/proof.h"
#include "audit/notary.h"
#include "audit/witness.h"
#include "base/sql/sql.h"
#include "audit/export.h"
#include "audit/retention.h"
#include "audit/search.h"

/* ---- records; the last kind is the log's own: it opens a segment and lists the open intents ---- */
enum audit_kind {
    AUDIT_REFUSED,
    AUDIT_INTENT,
    AUDIT_PROGRESS,
    AUDIT_OUTCOME,
    AUDIT_CUT,
    AUDIT_ACT,
    AUDIT_COUNT,
    AUDIT_GAP,
    AUDIT_SEGMENT
};
enum { AUDIT_RECORD_MAX = 8192, AUDIT_PARAMS_MAX = 32, AUDIT_CONTENT_MAX = 5632 /* of an act, bytes of JSON */ };

/* A declared parameter: by value when it names no person, else by pseudonym: then `value` is what audit_pseudonym gave
 * (anything else is left out of the line). */
struct audit_param {
    struct slice name, value;
    bool pseudonym;
};
/* Columns as text, rendered once for records that say the same again and again: all from `subject` to `purpose`, and
 * `items`. */
enum { AUDIT_KNOWN_MAX = 1400 };
struct audit_known {
    uint16_t who, n; /* bytes of the columns up to `purpose`; of all */
    char text[AUDIT_KNOWN_MAX];
};
/* One record. Empty slices and zero numbers are left out of the line. Everything is borrowed for the call. Fields are
 * capped by the renderer (a cut value ends in "…"); bytes that are not UTF-8 become {"b64":…}; no input can make a
 * record fail. */
struct audit_record {
    enum audit_kind kind;
    int64_t at;           /* wall ms */
    struct uuid exchange; /* all zero: none */
    uint32_t part;        /* 0 for a plain exchange */
    struct slice subject; /* the first requester: spiffe URI of an application or person */
    struct slice via;     /* gateways in order, joined by ' '; empty when direct */
    struct slice origin_exchange;
    struct slice peer;        /* address it came from, without port */
    struct slice certificate; /* SHA-256 of the leaf, hex */
    struct slice resource;    /* "public-security/household" */
    uint64_t resource_version;
    struct slice grant;
    uint64_t grant_version;
    struct slice purpose, operator_, case_;
    struct slice trace; /* traceparent's trace id */
    uint64_t snapshot;  /* generation it was decided on */
    uint64_t debit_rows, debit_bytes;
    const struct audit_param *params;
    size_t n_params;
    struct slice items; /* names, joined by ',' */
    enum reason reason; /* refused, outcome, cut */
    bool has_reason;
    int status;                 /* HTTP status given or to be given */
    struct slice provider_code; /* the provider's own result code */
    uint64_t rows, findings, bytes_in, bytes_out, bytes_upload;
    const struct sha256 *digest_in, *digest_out; /* salted: what the provider sent, what was handed to release */
    const struct sha256 *digest_upload;          /* salted: what of a consumer's file was handed to the provider */
    uint64_t duration_ms, provider_ms;
    uint64_t raw_length;             /* what could not be understood: never raw, */
    const struct sha256 *raw_digest; /* a keyed digest */
    /* act */
    uint64_t act;              /* number, from 1 without holes */
    struct slice author;       /* spiffe URI of the person or application that acted */
    struct slice verb, object; /* "grant.revoke", id; of a refusal: what was tried */
    struct slice content;      /* a JSON object as text: the act's particulars, canonical, no personal value */
    /* of an exchange: stands for these columns, whose members are then not looked at; NULL: they are rendered */
    const struct audit_known *known;
    /* count and gap */
    int64_t from, to;       /* wall ms */
    const uint32_t *counts; /* by enum reason, REASON_COUNT_ of them */
};
/* Those columns of a record of an exchange, for any kind of these. ERR_TOO_LARGE: longer than is worth keeping. */
enum err audit_know(const struct audit_record *r, struct audit_known *ret) MUST_CHECK;
/* The line with LF, index blank and CRC zeros. For outbox rows and tests; queues render by themselves. */
enum err audit_render(const struct audit_record *r, struct buf *out) MUST_CHECK;

/* ---- the log ---- */
struct audit_log;
struct audit_config {
    const char *dir;            /* the folder of segments; one log, one process (locked) */
    struct slice origin;        /* "<trust domain>/log/<node>" */
    struct signer signer;       /* checkpoints; used by the log's second thread only */
    struct audit_notary notary; /* signs instead, where it is set: then only the public key of `signer` is used */
    uint8_t salt_key[KEY_LEN];  /* epoch key of the salts of digests */
    uint8_t name_key[KEY_LEN];  /* epoch key of pseudonyms */
    uint32_t epoch;
    uint64_t segment_bytes; /* roll after this many, at a multiple of 256 entries; default 256 MiB */
    uint64_t reserve_bytes; /* freed for outcomes and narrowing acts when the disk is full; default 4 MiB */
    /* Called from the writer thread (or audit_open) when the log turns unavailable or available again. */
    void (*on_state)(void *arg, bool available, enum err why);
    void *arg;
    const struct audit_io *io; /* the file calls (audit/io.h), for fault injection; NULL: the kernel's */
};
/* Open or create, lock, check the tail against the last checkpoint, cut a torn tail, close open intents as interrupted
 * (durable on return). ERR_BUSY: another process has it; ERR_CORRUPT: damaged or shorter than its checkpoint, with the
 * remedy. */
enum err audit_open(const struct audit_config *c, struct audit_log **ret, struct diags *d) MUST_CHECK;
enum err audit_start(struct audit_log *l) MUST_CHECK; /* its threads; queues may be made before and after */
/* Commits what is queued, signs a last checkpoint, ends the threads. All queues must have been freed or be idle. */
struct audit_log *audit_close(struct audit_log *l);

struct audit_status {
    uint64_t size; /* durable records */
    uint64_t last_act;
    uint64_t checkpoint_size;
    int64_t checkpoint_at; /* wall ms */
    uint64_t interrupted;  /* intents closed by audit_open */
    uint64_t torn_bytes;   /* unfinished last write that audit_open cut */
    bool available;        /* false too while the disk does not answer */
    enum err why;          /* ERR_TIMEOUT: hung_ms says for how long */
    uint64_t commits, bytes;
    int64_t hung_ms; /* the disk has not answered for so long; 0: it is not slow enough to tell */
};
void audit_status(const struct audit_log *l, struct audit_status *ret); /* any thread */
const char *audit_dir(const struct audit_log *l);                       /* any thread */
/* The last signed checkpoint (C2SP tlog-checkpoint note), with the witnesses' lines it has by now; any thread. */
enum err audit_checkpoint(const struct audit_log *l, struct buf *out) MUST_CHECK;
struct slice audit_origin(const struct audit_log *l); /* bor: as long as the log; any thread */
/* Salt of a payload digest: HMAC(salt_key, exchange ‖ direction): 'i' provider's bytes, 'o' handed out. Any thread. */
struct sha256 audit_salt(const struct audit_log *l, struct uuid exchange, char direction);
/* Pseudonym of a value (HMAC under name_key) as 32 hex digits, and the keyed digest of raw bytes; any thread. */
void audit_pseudonym(const struct audit_log *l, struct slice value, char out[33]);
/* To search a person by: that one, then those of spellings that an older program did not fold. How many. */
unsigned audit_pseudonyms(const struct audit_log *l, struct slice value, char out[1 + PERSON_SPELLINGS][33]);
struct sha256 audit_keyed_digest(const struct audit_log *l, struct slice raw);

/* ---- queues ---- */
struct audit_queue;
enum { AUDIT_QUEUES = 320 }; /* of one log, at most */
/* done() is called by audit_poll in the order of audit_put, with the index, or with why it never will be durable. */
typedef void audit_done(void *waiter, enum err e, uint64_t index);
/* `bytes`: capacity of the ring, at least 64 KiB. ERR_TOO_LARGE: there are AUDIT_QUEUES already. audit_queue_fd is
 * readable when audit_poll has something. */
enum err audit_queue_new(struct audit_log *l, size_t bytes, audit_done *done, struct audit_queue **ret) MUST_CHECK;
struct audit_queue *audit_queue_free(struct audit_queue *q); /* nothing may be outstanding */
int audit_queue_fd(const struct audit_queue *q);
/* LAZY: nobody waits, it may ride on a later record's commit; audit_nudge bounds the delay. ESSENTIAL: an outcome, a
 * cut, a narrowing act: may use the reserve when the disk is full. */
enum { AUDIT_LAZY = 1, AUDIT_ESSENTIAL = 2 };
/* Queue a record. `waiter` NULL: done is not called. ERR_DOWN: the log is unavailable; ERR_AGAIN: the ring is full:
 * try again after a completion; lazy records that fill it are not lazy any more. */
enum err audit_put(struct audit_queue *q, const struct audit_record *r, unsigned flags, void *waiter) MUST_CHECK;
/* An act's line from the outbox, byte for byte, in act order. It may always use the reserve: its state is committed and
 * later acts must follow it, so refuse a widening act before its transaction while the log is unavailable. done() gets
 * ERR_EXISTS when the log holds that act already, ERR_CONFLICT when one before it is missing: replay them. */
enum err audit_put_line(struct audit_queue *q, struct slice line, uint64_t act, unsigned flags,
                        void *waiter) MUST_CHECK;
/* Wake the writer if something is waiting that it was not told of. Call once at the end of each loop turn and from a
 * short timer; costs nothing when the writer is awake anyway. */
void audit_kick(struct audit_queue *q);  /* for records that somebody waits for */
void audit_nudge(struct audit_queue *q); /* for lazy ones older than a few milliseconds */
/* At the end of a turn that began at `began_ns` (monotonic, as now_ns), before audit_kick: whether what waits may
 * gather for one turn more, which must follow at once. Only while each turn brings more, up to 64 KiB and until a
 * millisecond has passed: one commit and one wake carry what took several, and who has nothing else to do does not
 * wait. */
bool audit_gathers(struct audit_queue *q, int64_t began_ns, int64_t now_ns);
/* Call about once a second: while the disk does not answer, what is not essential is refused at once instead of
 * waiting with what already waits. */
void audit_look(struct audit_queue *q);
/* Deliver completions; returns how many. */
unsigned audit_poll(struct audit_queue *q);
/* Waiters that died: their completion is dropped. */
void audit_forget(struct audit_queue *q, void *waiter);

/* ---- the outbox of acts: state and evidence in one transaction (tables audit_*) ---- */
extern const struct sql_migration audit_migrations[];
extern const size_t audit_migrations_n;
/* Render `r` as the next act (its number is stamped into r->act) and store its exact line. It is appended to `line`. */
enum err audit_outbox_add(struct sql_tx *tx, struct audit_record *r, bool narrows, struct buf *line) MUST_CHECK;
enum err audit_outbox_done(struct sql_tx *tx, uint64_t act, uint64_t index) MUST_CHECK;
/* Start-up: acts that the log does not hold yet, in order; ERR_CORRUPT when one is older than the other. */
enum err audit_outbox_replay(struct sql_tx *tx, const struct audit_log *l,
                             enum err (*fn)(void *arg, uint64_t act, struct slice line), void *arg,
                             struct diags *d) MUST_CHECK;

/* ---- offline: questions are in audit/search.h, proofs and the verifier in audit/proof.h ---- */
/* The signed-note verifier key "<origin>+<hex>+<base64>" of a public key. */
enum err audit_vkey(struct slice origin, const uint8_t public_key[ED25519_PUB], struct buf *out) MUST_CHECK;
bool audit_vkey_origin(struct slice vkey, struct slice *origin); /* false: it is no log's key; borrowed from vkey */
/* The same of the log's SM2 key, whose line a checkpoint may carry besides (audit/note.h has the bytes). */
enum err audit_sm2_vkey(struct slice origin, const uint8_t public_key[SM2_PUB], struct buf *out) MUST_CHECK;
