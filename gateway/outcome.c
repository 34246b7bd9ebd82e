/* The only way out. The outcome (or refusal) is queued, its durability awaited, and only then the answer is completed.
 * An exchange that had an intent does not end before its outcome is durable, nor one that was cut before its cut is: a
 * full queue or a lost log delays them, and only the end of the process gives up (its next start writes them). */
#include "gateway/room.h"
#include "gateway/stage_log.h"
#include "gateway/upload.h"

static void count(struct exchange *x)
{
    struct worker *w = x->w;
    uint64_t ms = (uint64_t)(loop_now(w->loop) - x->began);
    unsigned i = 0;

    while (i < 11 && ms > worker_duration_bounds_ms[i])
        i++;
    COUNT(w, exchanges[x->log && x->reason == REASON_GRANTED ? REASON_LOG_READ : x->reason], 1);
    COUNT(w, duration_bucket[i], 1);
    COUNT(w, duration_sum_ms, ms);
    COUNT(w, bytes_in, x->bytes_in);
    COUNT(w, bytes_out, x->bytes_out);
    if (x->up != NULL)
        COUNT(w, bytes_upload, x->up->bytes);
    COUNT(w, rows, x->found.rows);
}

/* What was held back until now belongs to what the outcome says was handed to release. */
static void take_held_in(struct exchange *x)
{
    if (x->reason != REASON_GRANTED)
        return;
    if (x->digest_out)
        digest_add(x->digest_out, buf_slice(&x->out));
    x->bytes_out += x->out.n;
}

/* No record, no data: what was granted a moment ago is not given. */
static void withhold(struct exchange *x)
{
    x->bytes_out -= x->out.n;
    x->withheld = true;
    x->reason = REASON_EVIDENCE_UNAVAILABLE;
    x->detail[LANG_EN] = x->detail[LANG_ZH] = NULL;
    buf_done(&x->out);
}

/* False: it is counted, or the log has counted it. */
static bool is_recorded(struct exchange *x)
{
    struct slice key = slice_of(x->stranger || x->who[0] == '\0' ? x->address : x->who);
    bool stranger = x->stranger || x->who[0] == '\0';

    if (x->gapped || x->intent.failed) { /* one attempt, one count */
        withhold(x);
        return false;
    }
    if (!flood_admit(&x->w->flood, key, stranger, x->reason, loop_now(x->w->loop), loop_wall(x->w->loop))) {
        x->counted = true;
        worker_second_later(x->w);
        COUNT(x->w, counted, 1);
        return false;
    }
    return true;
}

/* As often as it takes: the queue may be full. */
static void refuse(struct exchange *x)
{
    enum err e = record_refused(x);

    x->owes_refusal = e == ERR_AGAIN;
    if (e != ERR_OK && e != ERR_AGAIN)
        withhold(x);
}

/* The next one of this service will likely be as long. */
static void note_length(const struct exchange *x)
{
    bool is_long = x->bytes_out > EX_HELD;

    if (x->service != NULL && x->reason == REASON_GRANTED &&
        atomic_load_explicit(&x->service->long_answers, memory_order_relaxed) != is_long)
        atomic_store_explicit(&x->service->long_answers, is_long, memory_order_relaxed);
}

static void conclude(struct exchange *x)
{
    x->concluded = true;
    room_leave(x); /* a record that was not queued is not owed */
    x->intended = x->owes_outcome = x->intent.pending || x->intent.durable;
    relay_stop(x);
    /* What has begun ends here and now, with what the consumer has not read yet: only replies wait for a record. */
    if (x->head_sent && x->reason != REASON_GRANTED)
        exchange_hang_up(x);
    take_held_in(x);
    note_length(x);
    if (x->intended)
        return;
    if (x->reason == REASON_GRANTED && log_ask_is_hashes(x)) { /* counted, exactly */
        flood_count(&x->w->flood, REASON_LOG_READ, loop_wall(x->w->loop));
        worker_second_later(x->w);
        return;
    }
    x->owes_refusal = is_recorded(x);
}

static bool owes(const struct exchange *x)
{
    return x->owes_outcome || x->owes_cut;
}

/* Queue what is owed, in order, or see to it that it is tried again. */
static void pay(struct exchange *x)
{
    struct worker *w = x->w;

    if (x->intent.failed) { /* never an intent: the log counts the attempt, and what never was is not cut */
        x->owes_outcome = false;
        x->owes_cut = x->owes_cut && x->outcome.durable;
    }
    if (!owes(x)) {
        room_leave(x);
        return;
    }
    if (w->stopping && (x->outcome.failed || x->cut.failed)) {
        x->owes_outcome = x->owes_cut = false;
        room_leave(x);
        return;
    }
    if (loop_now(w->loop) < x->retry_at) {
        room_leave(x); /* it would hold up those behind it */
        alarm_set(w->loop, &x->deadline, x->retry_at - loop_now(w->loop));
        return;
    }
    x->owes_outcome = x->owes_outcome && record_outcome(x) != ERR_OK;
    /* What is told of an outcome comes behind it, and it may still fail, and be written again. */
    x->owes_cut = x->owes_cut && (x->owes_outcome || x->outcome.pending || record_cut(x) != ERR_OK);
}

/* The rest of a good answer, already counted and hashed. */
static void give_rest(struct exchange *x)
{
    size_t room = x->ops->room(x->call), at = 0;

    while (at < x->out.n && room > 0 && x->call != NULL) {
        struct slice piece = slice_sub((struct slice){ x->out.p + at, x->out.n - at }, 0, room);
        at += piece.n;
        room = x->ops->body(x->call, piece);
    }
    buf_drop(&x->out, at);
    if (x->out.n == 0 && x->call != NULL)
        answer_end(x);
}

static void begin_answer(struct exchange *x)
{
    x->answered = true;
    if (x->outcome.failed || (x->intent.failed && x->intended)) {
        if (x->outcome.durable && x->reason == REASON_GRANTED)
            exchange_owe_cut(x, REASON_EVIDENCE_UNAVAILABLE); /* an outcome says that it was handed out */
        else if (!x->outcome.durable)
            x->owes_cut = false; /* the one that will be written says how it ended */
        withhold(x);
    }
    count(x);
    if (x->call == NULL)
        return;
    if (x->counted || (x->head_sent && x->reason != REASON_GRANTED))
        exchange_hang_up(x);
    else if (x->reason != REASON_GRANTED)
        answer_problem(x, x->reason);
    else if (!x->head_sent)
        answer_head(x, (int64_t)x->out.n);
}

enum step stage_outcome(struct exchange *x)
{
    if (!x->concluded)
        conclude(x);
    if (x->owes_refusal)
        refuse(x);
    else
        pay(x);
    if (!x->answered) {
        if (x->owes_refusal || x->intent.pending || x->outcome.pending || (x->owes_outcome && !x->outcome.failed))
            return STEP_WAIT;
        begin_answer(x);
        pay(x);
    }
    if (x->call != NULL && x->reason == REASON_GRANTED && !x->ended)
        give_rest(x);
    if (x->call != NULL || x->outcome.pending || x->cut.pending || owes(x))
        return STEP_WAIT; /* until the endpoint says sent, or gone, and nothing is owed */
    return STEP_NEXT;
}
