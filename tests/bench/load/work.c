/* Assigns work, hears of its end, counts. Owner of all connections of a run. */
#include "work.h"

#include "clock.h"

static struct run *run_of(struct conn *c)
{
    return (struct run *)c->common;
}

static void enqueue(struct run *r, struct conn *c)
{
    if (c->queued)
        return;
    c->queued = true;
    r->ring[(r->ring_head + r->ring_count++) % r->common.opt->connections] = c;
}

/* The longest free connection, or NULL. */
static struct conn *dequeue(struct run *r)
{
    enum conn_state free_state = r->common.opt->fresh == FRESH_NO ? CONN_IDLE : CONN_CLOSED;

    while (r->ring_count > 0) {
        struct conn *c = r->ring[r->ring_head];
        r->ring_head = (r->ring_head + 1) % r->common.opt->connections;
        r->ring_count--;
        c->queued = false;
        if (c->state == free_state)
            return c;
    }
    return NULL;
}

static void open_one(struct run *r, struct conn *c, int64_t now)
{
    c->opening = true;
    r->opening++;
    conn_open(c, now);
}

static void opening_ended(struct run *r, struct conn *c)
{
    if (c->opening)
        r->opening--;
    c->opening = false;
}

static void settle(struct run *r, struct conn *c)
{
    if (r->phase == PHASE_OPENING)
        r->settled++;
    enqueue(r, c);
}

static void on_ready(struct conn *c)
{
    struct run *r = run_of(c);

    opening_ended(r, c);
    if (c->has_work || (r->common.opt->prime && r->phase == PHASE_OPENING))
        conn_send(c, clock_ns());
    else
        settle(r, c);
}

static void count_answer(struct run *r, const struct conn *c, int64_t now)
{
    bool in_window = r->phase == PHASE_MEASURING;

    if (in_window) {
        r->result.requests++;
        r->result.body_bytes += c->answer.body;
    }
    if ((in_window || r->phase == PHASE_DRAINING) && c->due_ns >= r->begin_ns)
        histogram_add(&r->result.latency, now - c->due_ns);
}

static void on_answered(struct conn *c)
{
    struct run *r = run_of(c);
    int64_t now = clock_ns();

    if (c->has_work) {
        c->has_work = false;
        r->finished++;
        count_answer(r, c, now);
    }
    if (r->common.opt->fresh != FRESH_NO) {
        conn_close(c);
    } else if (c->answer.closing) {
        conn_close(c);
        open_one(r, c, now);
        return;
    }
    settle(r, c);
}

static void on_failed(struct conn *c, enum fail why)
{
    struct run *r = run_of(c);

    opening_ended(r, c);
    if (c->has_work) {
        c->has_work = false;
        r->finished++;
    }
    r->result.fails[why]++;
    if (++r->result.failed > r->common.opt->max_errors)
        r->phase = PHASE_OVER;
}

static void on_lost(struct conn *c)
{
    run_of(c)->result.lost++;
}

const struct conn_owner work_owner = {
    .ready = on_ready,
    .answered = on_answered,
    .failed = on_failed,
    .lost = on_lost,
};

void work_open(struct run *r, int64_t now)
{
    const struct options *o = r->common.opt;

    while (r->opening < o->opening && r->opened_next < o->connections && r->phase != PHASE_OVER)
        open_one(r, &r->conns[r->opened_next++], now);
}

void work_enqueue_all(struct run *r)
{
    for (size_t i = 0; i < r->common.opt->connections; i++)
        enqueue(r, &r->conns[i]);
    r->opened_next = r->common.opt->connections;
}

int64_t work_next_due(const struct run *r)
{
    uint64_t rate = r->common.opt->rate;

    if (rate == 0)
        return INT64_MAX;
    int64_t due = r->schedule_ns + (int64_t)((r->started / rate) * NS_PER_S + (r->started % rate) * NS_PER_S / rate);
    return due < r->end_ns ? due : INT64_MAX;
}

/* Is one more request to be sent now, and since when? */
static bool work_due(const struct run *r, int64_t now, int64_t *ret_due)
{
    const struct options *o = r->common.opt;

    if (o->rate != 0) {
        *ret_due = work_next_due(r);
        return *ret_due <= now;
    }
    *ret_due = now;
    return r->phase != PHASE_DRAINING && (o->requests == 0 || r->started < o->requests);
}

void work_pump(struct run *r, int64_t now)
{
    int64_t due = 0;

    while (r->phase >= PHASE_WARMING && r->phase != PHASE_OVER && r->ring_count > 0 && work_due(r, now, &due)) {
        struct conn *c = dequeue(r);
        if (c == NULL)
            return;
        r->started++;
        c->has_work = true;
        c->due_ns = due;
        if (c->state == CONN_IDLE)
            conn_send(c, now);
        else
            open_one(r, c, now);
    }
}

static void budget_fill(struct conn *c, uint64_t rate, int64_t now)
{
    uint64_t allowed = (uint64_t)((double)rate * (double)(now - c->began_ns) / NS_PER_S);

    c->may_read = allowed > c->taken ? allowed - c->taken : 0;
    if (c->may_read > 0)
        conn_run(c);
}

static void tick_one(struct run *r, struct conn *c, int64_t now)
{
    const struct options *o = r->common.opt;

    if (c->state == CONN_CLOSED) {
        if (o->fresh != FRESH_NO)
            enqueue(r, c);
        else if (r->opening < o->opening)
            open_one(r, c, now);
    } else if (c->state != CONN_IDLE && now - c->began_ns > o->timeout_ns) {
        conn_fail(c, FAIL_TIMEOUT);
    } else if (o->read_rate != 0 && c->state == CONN_RECEIVING) {
        budget_fill(c, o->read_rate, now);
    }
}

void work_tick(struct run *r, int64_t now)
{
    for (size_t i = 0; i < r->opened_next && r->phase != PHASE_OVER; i++)
        tick_one(r, &r->conns[i], now);
}
