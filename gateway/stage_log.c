/* The stage of those who ask for evidence instead of data: /log/checkpoint (and .witnessed), /log/tile/… and
 * /log/proof/{exchange}. It
 * is passed over by everybody else. A proof is asked for on record, by an intent and an outcome; checkpoint and tiles
 * hold hashes only and are counted, exactly, under `log-read`: a record for each would make the log grow by being
 * watched. What is read comes from the reading thread; the exchange waits for its job also when nobody is left to
 * answer. */
#include "gateway/stage_log.h"
#include "gateway/log_reader.h"

enum { AGAIN_MS = 100, PATIENCE_MS = 4000, MISS_COST = 10, FAR_COST = 40 /* four times as much is read */ };

struct log_ask {
    struct log_job job;
    struct exchange *x;
    bool begun;           /* judged */
    bool out, came, wait; /* with the reader; back from it; until the alarm */
};

bool log_ask_read(struct exchange *x, struct slice path, struct slice query)
{
    struct log_ask *a = arena_zalloc(&x->arena, sizeof *a);
    struct slice rest = path, n;

    if (a == NULL)
        return false;
    x->log = a;
    a->x = x;
    a->job.ask.intent = a->job.ask.outcome = AUDIT_UNKNOWN;
    a->job.path = path;
    a->job.proof = slice_is(slice_cut(&rest, '/'), "proof");
    if (!a->job.proof)
        return query.n == 0;
    while (query.n > 0) {
        struct slice value = slice_cut(&query, '&'), key = slice_cut(&value, '=');
        uint64_t *index = slice_is(key, "intent")    ? &a->job.ask.intent
                          : slice_is(key, "outcome") ? &a->job.ask.outcome
                                                     : NULL;
        if (index == NULL || !slice_u64(value, 0, (1ull << 53) - 1, index))
            return false;
    }
    n = rest;
    return uuid_read(n, &a->job.ask.exchange);
}

struct slice log_ask_resource(const struct exchange *x)
{
    struct slice path = x->log->job.path;

    return x->log->job.proof                               ? SLICE("/log/proof")
           : slice_is(path, "checkpoint.witnessed")        ? SLICE("/log/checkpoint.witnessed")
           : slice_is(slice_cut(&path, '/'), "checkpoint") ? SLICE("/log/checkpoint")
                                                           : SLICE("/log/tile");
}

bool log_ask_is_proof(const struct exchange *x)
{
    return x->log != NULL && x->log->job.proof;
}

bool log_ask_is_hashes(const struct exchange *x)
{
    return x->log != NULL && !x->log->job.proof;
}

struct uuid log_ask_exchange(const struct exchange *x)
{
    return x->log->job.ask.exchange;
}

const char *log_ask_type(const struct exchange *x)
{
    return x->log->job.proof                            ? "application/json"
           : slice_is(log_ask_resource(x), "/log/tile") ? "application/octet-stream"
                                                        : "text/plain; charset=utf-8";
}

/* ---- the job ---- */
static void on_done(struct log_job *j)
{
    struct log_ask *a = j->arg;
    struct exchange *x = a->x;

    a->out = false;
    a->came = true;
    x->outstanding--;
    exchange_resume(x);
    /* An exchange that is dead by now is released by that; `a` went with its arena at the end of this turn. */
}

static enum step send(struct exchange *x)
{
    struct log_ask *a = x->log;

    a->job.arg = a;
    a->job.back = x->w->loop;
    a->job.done = on_done;
    a->job.log = x->w->cfg.log;
    a->job.ask.subject = slice_of(x->uri);
    a->job.ask.department = slice_sub(slice_of(x->who), 0, slice_find(slice_of(x->who), '/'));
    if (log_reader_put(x->w->cfg.reader, &a->job) != ERR_OK)
        return exchange_fail(x, REASON_OVERLOADED, NULL, NULL);
    a->out = true;
    x->outstanding++;
    return STEP_WAIT;
}

static const struct answer {
    enum err e;
    enum reason r;
    const char *en, *zh;
} answers[] = {
    { ERR_DENIED, REASON_AUDITORS_ONLY, NULL, NULL },
    { ERR_AGAIN, REASON_PROOF_PENDING, NULL, NULL },
    { ERR_TOO_LARGE, REASON_PROOF_PENDING, "name the indexes that Sluice-Receipt told: ?intent=…&outcome=…",
      "请用 ?intent=…&outcome=… 指明 Sluice-Receipt 所给序号" },
    { ERR_NOMEM, REASON_OVERLOADED, NULL, NULL },
};

/* Looking for what is not there costs the most: guessing uses up the rate of who guesses, and so does asking for an
 * exchange that goes on, or whose outcome is too far behind its intent to be looked for. */
static void charge(struct exchange *x)
{
    const struct log_job *j = &x->log->job;
    bool missed = j->e == ERR_NOT_FOUND || j->e == ERR_AGAIN;
    unsigned cost = !j->proof ? 0 : missed ? MISS_COST : j->e == ERR_TOO_LARGE ? FAR_COST : 0;

    for (unsigned i = 0; i < cost; i++)
        (void)flood_may_read(&x->w->flood, slice_of(x->uri), loop_now(x->w->loop));
}

static enum step came(struct exchange *x)
{
    struct log_ask *a = x->log;

    a->came = false;
    if (a->job.e == ERR_OK) {
        buf_done(&x->out);
        x->out = a->job.out;
        return exchange_fail(x, REASON_GRANTED, NULL, NULL); /* the way out, with what was asked for */
    }
    buf_done(&a->job.out);
    if (a->job.e == ERR_AGAIN && loop_now(x->w->loop) - x->began < PATIENCE_MS) {
        a->wait = true;
        alarm_set(x->w->loop, &x->deadline, AGAIN_MS);
        return STEP_WAIT;
    }
    charge(x);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        if (answers[i].e == a->job.e)
            return exchange_fail(x, answers[i].r, answers[i].en, answers[i].zh);
    if (a->job.e == ERR_NOT_FOUND)
        return exchange_fail(x, a->job.proof ? REASON_NO_PROOF : REASON_NOT_FOUND, NULL, NULL);
    log_event(LOG_ERROR, "log-read-failed", "why", err_name(a->job.e), "exchange", x->id_text, NULL);
    return exchange_fail(x, REASON_INTERNAL, "the log's files do not have its signed root", "日志文件与其签名根不符");
}

void log_ask_alarm(struct exchange *x)
{
    x->log->wait = false;
    if (!x->running)
        exchange_resume(x);
}

/* What the reader brings when the exchange has ended otherwise. */
void log_ask_drop(struct exchange *x)
{
    if (x->log != NULL && x->log->came)
        buf_done(&x->log->job.out);
    if (x->log != NULL)
        x->log->came = false;
}

static enum step begin_proof(struct exchange *x)
{
    enum err e = record_intent(x);

    if (e == ERR_AGAIN)
        return STEP_WAIT; /* for room in the queue */
    if (e != ERR_OK)
        return exchange_fail(x, REASON_EVIDENCE_UNAVAILABLE, NULL, NULL);
    x->digest_out = worker_digest(x->w);
    if (x->digest_out == NULL)
        return exchange_fail(x, REASON_OVERLOADED, NULL, NULL);
    record_digest(x, x->digest_out, 'o');
    return send(x);
}

static enum step go_on(struct exchange *x)
{
    bool recorded = x->intent.pending || x->intent.durable;

    return x->log->job.proof && !recorded ? begin_proof(x) : send(x);
}

static enum step begin(struct exchange *x)
{
    const struct principal *app = snapshot_app(x->w->snapshot, slice_of(x->who));

    if (x->w->draining)
        return exchange_fail(x, REASON_DRAINING, NULL, NULL);
    if (x->conn->peer->kind == CERTS_APP && (app == NULL || !app->active))
        return exchange_fail(x, REASON_SUBJECT_INACTIVE, NULL, NULL);
    if (x->log->job.proof && x->conn->peer->kind != CERTS_APP)
        return exchange_fail(x, REASON_NO_PROOF, NULL, NULL);
    if (!flood_may_read(&x->w->flood, slice_of(x->uri), loop_now(x->w->loop)))
        return exchange_fail(x, REASON_RATE_LIMITED, "limits.log_reads is reached", "已达 limits.log_reads 上限");
    x->generation = x->w->snapshot->generation;
    x->log->begun = true;
    return go_on(x);
}

enum step stage_log(struct exchange *x)
{
    struct log_ask *a = x->log;

    if (a == NULL)
        return STEP_NEXT;
    if (x->intent.failed)
        return exchange_fail(x, REASON_EVIDENCE_UNAVAILABLE, NULL, NULL);
    if (a->came)
        return came(x);
    if (a->out || a->wait)
        return STEP_WAIT;
    return a->begun ? go_on(x) : begin(x);
}
