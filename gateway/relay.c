/* Relay: the provider's bytes through the translation to the consumer, or past it, in bounded memory. Invariants:
 *   - nothing is released before the intent is durable and the provider's own result is known to be good;
 *   - the last EX_HELD bytes wait for the outcome, so that a whole answer implies whole evidence;
 *   - what the provider sent is hashed as it comes, what is released as it goes; what passes unread, once, as it goes.
 */
#include "gateway/upload.h"

/* Of what waits for the consumer: the provider is not read above PAUSE_AT, and of a long answer no more at once than
 * the consumer has room for, but 4 KiB; so what waits is hardly ever more than WAITING. */
enum { PAUSE_AT = 8 * 1024, FEED = 8 * 1024, WAITING = 14 * 1024 };

/* The provider's own result is known to be good. */
static bool settled(const struct exchange *x)
{
    return x->passed.n > 0 || (x->run != NULL && translate_outcome(x->run)->settled);
}

static bool may_release(const struct exchange *x)
{
    return x->call != NULL && x->intent.durable && settled(x);
}

/* As much of it as there is room for; how much that was. */
static size_t give(struct exchange *x, struct slice bytes)
{
    size_t room = x->ops->room(x->call), at = 0;

    while (at < bytes.n && room > 0 && x->call != NULL) {
        struct slice piece = slice_sub(slice_sub(bytes, at, bytes.n), 0, room);
        digest_add(x->digest_out, piece);
        x->bytes_out += piece.n;
        at += piece.n;
        room = x->ops->body(x->call, piece);
    }
    return at;
}

/* Give the consumer what stands in x->out, but for the last `keep` bytes, as far as it has room. */
static void release(struct exchange *x, size_t keep)
{
    size_t n = x->out.n > keep ? x->out.n - keep : 0;

    if (n > 0 && !x->head_sent)
        answer_head(x, -1);
    if (n > 0 && x->call != NULL)
        buf_drop(&x->out, give(x, slice_make(x->out.p, n)));
}

/* Bytes that pass unread. What stands before them goes first; then as much of them as there is room for, from where
 * they were read; only what must wait is copied. */
static void pass(struct exchange *x, struct slice bytes)
{
    if (may_release(x) && x->out.n + bytes.n > EX_HELD) {
        if (!x->head_sent)
            answer_head(x, -1);
        release(x, bytes.n >= EX_HELD ? 0 : EX_HELD - bytes.n);
        if (x->out.n == 0 && bytes.n > EX_HELD && x->call != NULL)
            bytes = slice_sub(bytes, give(x, slice_sub(bytes, 0, bytes.n - EX_HELD)), bytes.n);
    }
    buf_put(&x->out, bytes);
}

/* While the consumer is behind, the provider is not read: TCP passes the wait on. An answer whose result is not known
 * yet must be read on, up to the buffer's cap, as far as the process has room. */
static void steer(struct exchange *x)
{
    bool pause = x->out.n > PAUSE_AT && settled(x);

    if (x->provider == NULL)
        return;
    if (x->head_sent && x->call != NULL)
        connector_most(x->provider, x->ops->room(x->call));
    if (pause != x->provider_paused)
        connector_read(x->provider, !(x->provider_paused = pause));
}

/* The lazy intent of an answer that is longer than what is held back has somebody waiting for it after all. */
static void hurry(struct exchange *x)
{
    if (x->hurried || !x->intent.pending || x->out.n <= EX_HELD)
        return;
    x->hurried = true;
    audit_nudge(x->w->queue);
}

static uint64_t moved(const struct exchange *x)
{
    return x->bytes_in + (x->up ? x->up->bytes : 0);
}

static bool progress_due(const struct exchange *x)
{
    return moved(x) - x->progress_bytes >= EX_PROGRESS_BYTES || loop_now(x->w->loop) - x->progress_at >= EX_PROGRESS_MS;
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
    x->progress_bytes = moved(x);
    x->progress_at = loop_now(x->w->loop);
    if (e != ERR_OK)
        return exchange_fail(x, REASON_EVIDENCE_UNAVAILABLE, NULL, NULL);
    return STEP_NEXT;
}

/* What is held grows from the room that is left; else it ends, and what runs beside it does not. */
static bool may_grow(struct exchange *x)
{
    struct pressure *p = x->w->cfg.pressure;

    while (x->out.n > x->out_taken + PRESSURE_STEP) {
        if (!pressure_grow(p, PRESSURE_STEP)) {
            buf_done(&x->out);
            pressure_give(p, x->out_taken);
            return false;
        }
        x->out_taken += PRESSURE_STEP;
    }
    return true;
}

enum step stage_relay(struct exchange *x)
{
    if (x->intent.failed || x->progress.failed)
        return exchange_fail(x, REASON_EVIDENCE_UNAVAILABLE, NULL, NULL);
    if (x->out.failed != ERR_OK) /* whatever the translation says: a part is missing */
        return exchange_fail(x, x->out.failed == ERR_NOMEM ? REASON_OVERLOADED : REASON_PROVIDER_TOO_LARGE, NULL, NULL);
    if (!may_grow(x))
        return exchange_fail(x, REASON_OVERLOADED, "the gateway's memory is short", "网关内存不足");
    if (x->provider_done) {
        x->reason = REASON_GRANTED;
        return STEP_NEXT;
    }
    note_progress(x);
    if (x->state != EX_RELAY)
        return STEP_NEXT;
    if (may_release(x))
        release(x, EX_HELD);
    else
        hurry(x);
    steer(x);
    if (x->up != NULL)
        upload_steer(x);
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

/* The plan has one item, and admit has seen that the verdict gives it. */
static void pass_head(struct exchange *x, const struct connector_head *h)
{
    enum reason r = translate_whole_head(x->service->plan, h->status, h->content_type, h->exact, &x->passed);

    if (r == REASON_PROVIDER_REFUSED)
        exchange_fail(x, r, NULL, NULL);
    else if (r != REASON_GRANTED)
        exchange_fail(x, r, "the provider's answer has none of the declared types, or no certain end",
                      "提供方响应不属于所声明的类型，或其结尾无法确定");
}

static void map_head(struct exchange *x, const struct connector_head *h)
{
    struct translate_want want = { .form = x->ask.form, .max_rows = x->verdict.max_rows };

    memcpy(want.items, x->verdict.items.bit, sizeof want.items);
    memcpy(want.clear, x->verdict.clear.bit, sizeof want.clear);
    if (translate_open(x->service->plan, &want, h->status, h->content_type, &x->out, &x->run) != ERR_OK)
        exchange_fail(x, REASON_OVERLOADED, NULL, NULL);
    else if (translate_outcome(x->run)->reason != REASON_GRANTED)
        fail_translate(x);
}

/* What it waited here for a place is no time of the provider's, who knew nothing of it. */
static void note_asked(struct exchange *x)
{
    int64_t at = connector_asked(x->provider);

    if (at > x->asked_at)
        x->asked_at = at;
    if (at != 0)
        return;
    x->answered_at = x->asked_at;
    x->reached = REACHED_NO;
}

static void on_head(void *user, const struct connector_head *h)
{
    struct exchange *x = user;

    note_asked(x);
    x->answered_at = loop_now(x->w->loop);
    x->reached = REACHED_YES;
    record_digest(x, x->digest_out, 'o');
    if (x->digest_in)
        record_digest(x, x->digest_in, 'i');
    if (translate_whole(x->service->plan))
        pass_head(x, h);
    else
        map_head(x, h);
    if (h->early && x->state < EX_OUTCOME) /* an error is one; that all is well cannot be known yet */
        exchange_fail(x, h->status >= 400 ? REASON_PROVIDER_REFUSED : REASON_PROVIDER_MALFORMED,
                      "the provider answered before it had the whole file", "提供方在收到完整文件之前即作出响应");
    if (x->state >= EX_OUTCOME)
        exchange_resume(x);
}

/* Of a long answer no more at once than what it becomes has place for, which is made at once: a buffer that grows
 * leaves its smaller selves behind. */
static void feed(struct exchange *x, struct slice bytes)
{
    if (x->out.room == 0 && bytes.n > EX_HELD)
        buf_reserve(&x->out, WAITING);
    while (bytes.n > 0 && x->run != NULL) { /* what is released may end the relay */
        struct slice piece = slice_sub(bytes, 0, x->head_sent ? FEED : bytes.n);
        bytes = slice_sub(bytes, piece.n, bytes.n);
        if (translate_feed(x->run, piece) != ERR_OK) {
            fail_translate(x);
            return;
        }
        if (bytes.n > 0 && may_release(x))
            release(x, EX_HELD);
    }
}

static void on_body(void *user, struct slice bytes)
{
    struct exchange *x = user;

    x->bytes_in += bytes.n;
    if (x->passed.n > 0) {
        pass(x, bytes);
    } else {
        digest_add(x->digest_in, bytes);
        feed(x, bytes);
    }
    exchange_resume(x);
}

static void on_end(void *user)
{
    struct exchange *x = user;

    x->provider = NULL;
    x->provider_done = true;
    if (x->passed.n > 0 && x->bytes_in == 0)
        exchange_fail(x, REASON_PROVIDER_MALFORMED, "the provider sent an empty file", "提供方返回了空文件");
    else if (x->passed.n == 0 && translate_finish(x->run) != ERR_OK)
        fail_translate(x);
    exchange_resume(x);
}

static void on_fail(void *user, enum reason why, enum reached reached)
{
    struct exchange *x = user;

    note_asked(x);
    x->provider = NULL;
    x->reached = reached;
    exchange_cut(x, why);
}

static void on_room(void *user)
{
    exchange_resume(user);
}

const struct connector_events relay_events = { on_head, on_body, on_end, on_fail, on_room };

static void note_found(struct exchange *x)
{
    const struct translate_outcome *o;

    x->found.rows = x->passed.n > 0 && x->bytes_in > 0;
    if (x->run == NULL)
        return;
    o = translate_outcome(x->run);
    x->found.rows = o->rows;
    x->found.findings = o->findings;
    memcpy(x->found.code, o->code, sizeof x->found.code);
    x->run = translate_close(x->run);
}

void relay_stop(struct exchange *x)
{
    if (x->provider) {
        note_asked(x);
        x->provider = connector_abort(x->provider);
    }
    if (x->asked_at != 0 && x->answered_at == 0) /* it never did, and what the record waits for is no time of its own */
        x->answered_at = loop_now(x->w->loop);
    note_found(x);
    if (x->reason != REASON_GRANTED)
        buf_done(&x->out);
}
