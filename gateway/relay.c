/* Relay: the provider's bytes through the translation to the consumer, in bounded memory. Invariants:
 *   - nothing is released before the intent is durable and the provider's own result is known to be good;
 *   - the last EX_HELD bytes wait for the outcome, so that a whole answer implies whole evidence;
 *   - what the provider sent is hashed as it comes, what is released as it goes. */
#include "gateway/exchange.h"

enum { PAUSE_AT = 8 * 1024, READ_MOST = 16 * 1024 /* of the provider, at once */ };

static bool may_release(const struct exchange *x)
{
    return x->call != NULL && x->intent.durable && x->run != NULL && translate_outcome(x->run)->settled;
}

void relay_release(struct exchange *x, size_t keep)
{
    size_t room = x->ops->room(x->call), n = x->out.n > keep ? x->out.n - keep : 0, at = 0;

    if (n > 0 && !x->head_sent) {
        /* A long answer: all the room it will need, at once, for a buffer that grows leaves its smaller selves behind.
         */
        buf_reserve(&x->out, PAUSE_AT + READ_MOST - (x->out.n < PAUSE_AT ? x->out.n : PAUSE_AT));
        answer_head(x, -1);
        room = x->call ? x->ops->room(x->call) : 0;
    }
    while (at < n && room > 0 && x->call != NULL) {
        struct slice piece = slice_sub((struct slice){ x->out.p + at, n - at }, 0, room);
        digest_add(x->digest_out, piece);
        x->bytes_out += piece.n;
        at += piece.n;
        room = x->ops->body(x->call, piece);
    }
    buf_drop(&x->out, at);
}

/* While the consumer is behind, the provider is not read: TCP passes the wait on. An answer whose result is not known
 * yet must be read on, up to the buffer's cap. */
static void steer(struct exchange *x)
{
    bool pause = x->out.n > PAUSE_AT && x->run && translate_outcome(x->run)->settled;

    if (x->provider == NULL || pause == x->provider_paused)
        return;
    x->provider_paused = pause;
    connector_read(x->provider, !pause);
}

/* The lazy intent of an answer that is longer than what is held back has somebody waiting for it after all. */
static void hurry(struct exchange *x)
{
    if (x->hurried || !x->intent.pending || x->out.n <= EX_HELD)
        return;
    x->hurried = true;
    audit_nudge(x->w->queue);
}

static bool progress_due(const struct exchange *x)
{
    return x->bytes_in - x->progress_bytes >= EX_PROGRESS_BYTES ||
           loop_now(x->w->loop) - x->progress_at >= EX_PROGRESS_MS;
}

static enum step note_progress(struct exchange *x)
{
    enum err e;

    if (x->progress_at == 0)
        x->progress_at = loop_now(x->w->loop);
    if (x->progress.pending || !progress_due(x))
        return STEP_NEXT;
    e = record_progress(x);
    if (e == ERR_AGAIN)
        return STEP_NEXT; /* the queue is full: it stays due */
    x->progress_bytes = x->bytes_in;
    x->progress_at = loop_now(x->w->loop);
    if (e != ERR_OK)
        return exchange_fail(x, REASON_EVIDENCE_UNAVAILABLE, NULL, NULL);
    return STEP_NEXT;
}

enum step stage_relay(struct exchange *x)
{
    if (x->intent.failed || x->progress.failed)
        return exchange_fail(x, REASON_EVIDENCE_UNAVAILABLE, NULL, NULL);
    if (x->out.failed != ERR_OK) /* whatever the translation says: a part is missing */
        return exchange_fail(x, x->out.failed == ERR_NOMEM ? REASON_OVERLOADED : REASON_PROVIDER_TOO_LARGE, NULL, NULL);
    if (x->provider_done) {
        x->reason = REASON_GRANTED;
        return STEP_NEXT;
    }
    note_progress(x);
    if (x->state != EX_RELAY)
        return STEP_NEXT;
    if (may_release(x))
        relay_release(x, EX_HELD);
    else
        hurry(x);
    steer(x);
    return x->state == EX_RELAY ? STEP_WAIT : STEP_NEXT;
}

/* ---- the provider's events ---- */
static void fail_translate(struct exchange *x)
{
    const struct translate_outcome *o = translate_outcome(x->run);
    char *place = arena_str(&x->arena, slice_of(o->place));
    enum reason r = o->reason == REASON_GRANTED ? REASON_PROVIDER_MALFORMED : o->reason;

    x->reached = REACHED_YES;
    exchange_fail(x, r, place, place);
}

static void begin_digests(struct exchange *x)
{
    struct sha256 in = audit_salt(x->w->cfg.log, x->id, 'i'), out = audit_salt(x->w->cfg.log, x->id, 'o');

    digest_begin(x->digest_in);
    digest_begin(x->digest_out);
    digest_add(x->digest_in, slice_make(in.b, sizeof in.b));
    digest_add(x->digest_out, slice_make(out.b, sizeof out.b));
}

static void on_head(void *user, int status, struct slice content_type)
{
    struct exchange *x = user;
    struct translate_want want = { .form = x->ask.form, .max_rows = x->verdict.max_rows };

    x->answered_at = loop_now(x->w->loop);
    x->reached = REACHED_YES;
    memcpy(want.items, x->verdict.items.bit, sizeof want.items);
    memcpy(want.clear, x->verdict.clear.bit, sizeof want.clear);
    begin_digests(x);
    if (translate_open(x->service->plan, &want, status, content_type, &x->out, &x->run) != ERR_OK)
        exchange_cut(x, REASON_OVERLOADED);
    else if (translate_outcome(x->run)->reason != REASON_GRANTED) {
        fail_translate(x);
        exchange_resume(x);
    }
}

static void on_body(void *user, struct slice bytes)
{
    struct exchange *x = user;

    x->bytes_in += bytes.n;
    digest_add(x->digest_in, bytes);
    if (translate_feed(x->run, bytes) != ERR_OK)
        fail_translate(x);
    exchange_resume(x);
}

static void on_end(void *user)
{
    struct exchange *x = user;

    x->provider = NULL;
    x->provider_done = true;
    if (translate_finish(x->run) != ERR_OK)
        fail_translate(x);
    exchange_resume(x);
}

static void on_fail(void *user, enum reason why, enum reached reached)
{
    struct exchange *x = user;

    x->provider = NULL;
    x->reached = reached;
    exchange_cut(x, why);
}

const struct connector_events relay_events = { on_head, on_body, on_end, on_fail };

void relay_stop(struct exchange *x)
{
    if (x->provider)
        x->provider = connector_abort(x->provider);
    if (x->reason != REASON_GRANTED)
        buf_done(&x->out);
}
