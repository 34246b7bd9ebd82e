/* The only way out. The outcome (or refusal) is queued, its durability awaited, and only then the answer is completed.
 */
#include "gateway/exchange.h"

static void count(struct exchange *x)
{
    struct worker *w = x->w;
    uint64_t ms = (uint64_t)(loop_now(w->loop) - x->began);
    unsigned i = 0;

    while (i < 11 && ms > worker_duration_bounds_ms[i])
        i++;
    COUNT(w, exchanges[x->reason], 1);
    COUNT(w, duration_bucket[i], 1);
    COUNT(w, duration_sum_ms, ms);
    COUNT(w, bytes_in, x->bytes_in);
    COUNT(w, bytes_out, x->bytes_out);
    if (x->run)
        COUNT(w, rows, translate_outcome(x->run)->rows);
}

/* What was held back until now belongs to what the outcome says was handed to release. */
static void take_held_in(struct exchange *x)
{
    if (x->reason != REASON_GRANTED)
        return;
    digest_add(x->digest_out, buf_slice(&x->out));
    x->bytes_out += x->out.n;
}

static enum err queue_refusal(struct exchange *x)
{
    struct slice key = slice_of(x->stranger || x->who[0] == '\0' ? x->address : x->who);
    bool stranger = x->stranger || x->who[0] == '\0';

    if (!flood_admit(&x->w->flood, key, stranger, x->reason, loop_now(x->w->loop), x->began_wall)) {
        x->counted = true;
        COUNT(x->w, counted, 1);
        return ERR_OK;
    }
    return record_refused(x);
}

static void conclude(struct exchange *x)
{
    bool intended = x->intent.pending || x->intent.durable;
    enum err e;

    x->concluded = true;
    alarm_clear(&x->deadline);
    relay_stop(x);
    take_held_in(x);
    e = intended ? record_outcome(x) : queue_refusal(x);
    count(x);
    if (e == ERR_OK)
        return;
    if (e == ERR_AGAIN)
        flood_count(&x->w->flood, x->reason, x->began_wall);
    /* No record, no data: what was granted a moment ago is withheld. */
    x->reason = REASON_EVIDENCE_UNAVAILABLE;
    x->detail[LANG_EN] = x->detail[LANG_ZH] = NULL;
    buf_done(&x->out);
}

static void cut(struct exchange *x)
{
    if (x->call)
        x->ops->abort(x->call);
    x->call = NULL;
    x->conn = NULL;
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
    if (x->outcome.failed && x->reason != REASON_EVIDENCE_UNAVAILABLE) {
        x->reason = REASON_EVIDENCE_UNAVAILABLE;
        buf_done(&x->out);
    }
    if (x->call == NULL)
        return;
    if (x->counted || (x->head_sent && x->reason != REASON_GRANTED))
        cut(x);
    else if (x->reason != REASON_GRANTED)
        answer_problem(x, x->reason);
    else if (!x->head_sent)
        answer_head(x, (int64_t)x->out.n);
}

enum step stage_outcome(struct exchange *x)
{
    if (!x->concluded)
        conclude(x);
    if (x->outcome.pending || x->intent.pending)
        return STEP_WAIT;
    if (!x->answered)
        begin_answer(x);
    if (x->call != NULL && x->reason == REASON_GRANTED && !x->ended)
        give_rest(x);
    if (x->call != NULL)
        return STEP_WAIT; /* until the endpoint says sent, or gone */
    x->run = translate_close(x->run);
    return STEP_NEXT;
}
