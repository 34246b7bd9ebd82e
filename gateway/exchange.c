/* The stage table of an exchange, the one function that moves it, and its life. */
#include "gateway/stage_log.h"
#include "gateway/upload.h"

#include <assert.h>

#define TO(s) (1u << (s))
enum { WATCH_MS = 10 * 1000, LOST_MS = 1000 };

static const struct stage {
    const char *name;
    enum step (*run)(struct exchange *x);
    unsigned next; /* states it may move to */
} stages[EX_COUNT_] = {
    [EX_READ_HEAD] = { "read-head", stage_read_head, TO(EX_IDENTIFY) | TO(EX_OUTCOME) },
    [EX_IDENTIFY] = { "identify", stage_identify, TO(EX_LOG) | TO(EX_OUTCOME) },
    [EX_LOG] = { "log", stage_log, TO(EX_RESOLVE) | TO(EX_OUTCOME) },
    [EX_RESOLVE] = { "resolve", stage_resolve, TO(EX_DECIDE) | TO(EX_OUTCOME) },
    [EX_DECIDE] = { "decide", stage_decide, TO(EX_ADMIT) | TO(EX_OUTCOME) },
    [EX_ADMIT] = { "admit", stage_admit, TO(EX_INTENT) | TO(EX_OUTCOME) },
    [EX_INTENT] = { "intent", stage_intent, TO(EX_OPEN) | TO(EX_OUTCOME) },
    [EX_OPEN] = { "open", stage_open, TO(EX_RELAY) | TO(EX_OUTCOME) },
    [EX_RELAY] = { "relay", stage_relay, TO(EX_OUTCOME) },
    [EX_OUTCOME] = { "outcome", stage_outcome, TO(EX_DEAD) },
    [EX_DEAD] = { "dead", NULL, 0 },
};

/* The only writer of x->state. */
static void exchange_goto(struct exchange *x, enum ex_state to)
{
    assert(stages[x->state].next & TO(to));
    x->state = (uint8_t)to;
}

/* What must hold in each state; checked each turn where asserts are on. */
static void exchange_check(const struct exchange *x)
{
    assert(x->state <= EX_RESOLVE || x->reason != REASON_INTERNAL || x->service != NULL || x->log != NULL);
    assert(x->state < EX_INTENT || x->state >= EX_OUTCOME || (x->verdict.permit && x->grant != NULL));
    assert(x->run == NULL || !x->concluded);
    assert(x->state != EX_DEAD || (x->provider == NULL && x->run == NULL));
    (void)x;
}

void exchange_begun(struct exchange *x, bool on)
{
    struct worker *w = x->w;

    if (on) {
        tally_add(&w->begun_each, x->slot, 1);
        tally_add(&w->begun_group, x->group, 1);
    } else {
        tally_sub(&w->begun_each, x->slot, 1);
        tally_sub(&w->begun_group, x->group, 1);
    }
}

void exchange_body_done(struct exchange *x)
{
    struct worker *w = x->w;

    w->body_bytes -= x->body_counted;
    tally_sub(&w->bodies_each, x->group, worker_body_kib(x->body_counted));
    pressure_promise(w->cfg.pressure, -(int64_t)x->body_promised);
    x->body_counted = x->body_promised = 0;
    buf_done(&x->body);
}

static void exchange_bury(struct grave *g)
{
    struct exchange *x = (struct exchange *)((char *)g - offsetof(struct exchange, grave));

    buf_done(&x->out);
    arena_done(&x->arena);
    worker_exchange_block_back(x->w, x);
}

static void exchange_release(struct exchange *x)
{
    struct worker *w = x->w;

    alarm_clear(&x->deadline);
    exchange_body_done(x);
    if (x->admitted) {
        w->n_admitted--;
        running_leave_each(w->cfg.running, x->group);
        running_leave(w->cfg.running);
    } else {
        exchange_begun(x, false);
    }
    log_ask_drop(x);
    if (x->service && x->generation != w->snapshot->generation)
        worker_second_later(w); /* its service may have been the last to hold a target */
    counted_unref(x->service);
    counted_unref(x->grant);
    worker_digest_back(w, x->digest_in);
    worker_digest_back(w, x->digest_out);
    if (x->up != NULL)
        worker_digest_back(w, x->up->digest);
    *x->pprev = x->next;
    if (x->next)
        x->next->pprev = x->pprev;
    loop_bury(w->loop, &x->grave, exchange_bury);
    worker_exchange_gone(w);
}

/* Until the end of the grant's validity, by the wall clock or by what has passed since the decision, whichever is
 * sooner: a clock that is set back gives nobody more time. */
static int64_t validity_left(const struct exchange *x)
{
    int64_t by_wall = x->verdict.valid_until - loop_wall(x->w->loop);
    int64_t passed = x->verdict.valid_until - x->decided_wall - (loop_now(x->w->loop) - x->decided);

    return by_wall < passed ? by_wall : passed;
}

/* Wake a slot before, or in ten seconds to look again, for clocks are set forward too. The last slot's time is the
 * worker's exact timer's. */
void exchange_watch(struct exchange *x)
{
    int64_t left = validity_left(x);

    if (x->verdict.valid_until <= 0)
        return;
    if (left <= ALARM_SLOT_MS)
        worker_expire_in(x->w, left);
    else
        alarm_set(x->w->loop, &x->deadline, left - ALARM_SLOT_MS > WATCH_MS ? WATCH_MS : left - ALARM_SLOT_MS);
}

int64_t exchange_expires_in(const struct exchange *x)
{
    return x->verdict.valid_until > 0 ? validity_left(x) : INT64_MAX;
}

/* Its grant has ended, or only the hours have in which it holds: what was decided anew would be refused likewise. */
void exchange_expire(struct exchange *x)
{
    const struct policy_grant *g = x->grant;
    int64_t until = x->verdict.valid_until;
    bool ended = (g->expires != 0 && g->expires <= until) || clock_day_of(until) > g->day_to;

    exchange_cut(x, ended ? REASON_EXPIRED : REASON_OUTSIDE_WINDOW);
}

static void on_deadline(struct alarm *a)
{
    struct exchange *x = (struct exchange *)((char *)a - offsetof(struct exchange, deadline));

    if (x->state == EX_LOG)
        log_ask_alarm(x);
    else if (x->log == NULL && exchange_expires_in(x) > 0)
        exchange_watch(x);
    else if (x->log == NULL)
        exchange_expire(x);
    if (x->state == EX_OUTCOME && (x->owes_outcome || x->owes_cut))
        exchange_resume(x);
}

struct exchange *exchange_new(struct worker *w, struct connection *conn, const struct consumer_ops *ops, void *call)
{
    struct exchange *x = worker_exchange_block(w);

    if (x == NULL)
        return NULL;
    memset(x, 0, offsetof(struct exchange, first));
    x->w = w;
    x->conn = conn;
    x->ops = ops;
    x->call = call;
    x->began = loop_now(w->loop);
    x->began_wall = loop_wall(w->loop);
    x->id = uuid_v7(x->began_wall);
    uuid_text(x->id, x->id_text);
    arena_init_with(&x->arena, EXCHANGE_MEMORY + EX_ARENA_BODIES * w->cfg.settings->limits.body, x->first,
                    sizeof x->first);
    buf_init(&x->body, w->cfg.settings->limits.body);
    buf_init(&x->out, EXCHANGE_OUT);
    alarm_init(&x->deadline, on_deadline);
    x->intent.x = x->outcome.x = x->progress.x = x->cut.x = x;
    memcpy(x->address, conn->address, sizeof x->address);
    memcpy(x->digest, conn->peer->digest, sizeof x->digest);
    x->next = w->exchanges;
    x->pprev = &w->exchanges;
    if (x->next)
        x->next->pprev = &x->next;
    w->exchanges = x;
    w->n_exchanges++;
    x->slot = conn->slot;
    x->group = conn->group;
    exchange_begun(x, true);
    worker_second_later(w);
    COUNT(w, running, 1);
    return x;
}

void exchange_resume(struct exchange *x)
{
    assert(!x->running);
    x->running = true;
    while (x->state != EX_DEAD) {
        enum ex_state before = (enum ex_state)x->state;
        exchange_check(x);
        if (stages[before].run(x) == STEP_WAIT)
            break;
        /* A stage that went well moves to the next; exchange_fail has moved already. */
        if (x->state == before)
            exchange_goto(x, (enum ex_state)(before + 1));
    }
    x->running = false;
    if (x->state == EX_DEAD && x->outstanding == 0 && x->pprev != NULL) {
        exchange_release(x);
        x->pprev = NULL;
    }
}

enum step exchange_fail(struct exchange *x, enum reason r, const char *en, const char *zh)
{
    if (x->state < EX_OUTCOME) {
        x->reason = r;
        x->detail[LANG_EN] = en;
        x->detail[LANG_ZH] = zh;
        exchange_goto(x, EX_OUTCOME);
    }
    return STEP_NEXT;
}

/* Its outcome says that a whole answer was handed out. */
static bool promised(const struct exchange *x)
{
    return x->state == EX_OUTCOME && x->intended && x->reason == REASON_GRANTED;
}

void exchange_owe_cut(struct exchange *x, enum reason r)
{
    if (x->owes_cut || x->cut.pending || x->cut.durable)
        return;
    x->owes_cut = true;
    x->cut_reason = r;
}

void exchange_hang_up(struct exchange *x)
{
    if (x->call)
        x->ops->abort(x->call);
    x->call = NULL;
    x->conn = NULL;
}

void exchange_cut(struct exchange *x, enum reason r)
{
    if (x->state < EX_OUTCOME) {
        exchange_fail(x, r, NULL, NULL);
    } else if (promised(x) && x->call != NULL) {
        exchange_owe_cut(x, r);
        exchange_hang_up(x);
    } else {
        return;
    }
    if (!x->running)
        exchange_resume(x);
}

/* Nobody is left to answer. Before the outcome that is a failure; after it, a record says that not all arrived. */
void exchange_consumer_gone(struct exchange *x, enum reason r)
{
    x->call = NULL;
    x->conn = NULL;
    if (promised(x))
        exchange_owe_cut(x, r);
    if (x->state < EX_OUTCOME)
        exchange_cut(x, r);
    else if (!x->running)
        exchange_resume(x);
}

void exchange_consumer_sent(struct exchange *x)
{
    x->call = NULL;
    x->conn = NULL;
    if (!x->running)
        exchange_resume(x);
}

void exchange_evidence(struct evidence *ev, enum err e, uint64_t index)
{
    struct exchange *x = ev->x;

    ev->pending = false;
    ev->durable = e == ERR_OK;
    ev->failed = e != ERR_OK;
    ev->index = index;
    x->outstanding--;
    if (ev->failed && ((ev == &x->outcome && x->intended) || ev == &x->cut)) {
        /* What is owed is tried again, but not at once: the log has just been lost. */
        x->owes_outcome = x->owes_outcome || ev == &x->outcome;
        x->owes_cut = x->owes_cut || ev == &x->cut;
        x->retry_at = loop_now(x->w->loop) + LOST_MS;
    }
    if (!x->running)
        exchange_resume(x);
}
