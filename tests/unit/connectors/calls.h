#pragma once
/* A call in a scene (provider.h): what it was told, and the loop run until it was. */
#include "provider.h"
#include "tests/unit/until.h"

struct heard { /* what one call was told */
    const char *party;
    unsigned *order, place; /* *order counts ends; place: this one's */
    int status;
    struct buf body;
    struct loop *loop;
    struct connector_call *call;
    unsigned ended, failed;
    enum reason why;
    enum reached reached;
    bool pause_at_head, abort_at_head, stop, exact;
};
static inline void on_head(void *user, const struct connector_head *head)
{
    struct heard *h = user;

    h->status = head->status;
    h->exact = head->exact;
    if (h->pause_at_head)
        connector_read(h->call, false);
    if (h->abort_at_head)
        h->call = connector_abort(h->call);
    if (h->abort_at_head)
        loop_stop(h->loop);
}

static inline void on_body(void *user, struct slice bytes)
{
    buf_put(&((struct heard *)user)->body, bytes);
}

static inline void over(struct heard *h)
{
    h->call = NULL;
    if (h->stop)
        loop_stop(h->loop);
}

static inline void on_end(void *user)
{
    struct heard *h = user;

    h->ended++;
    if (h->order)
        h->place = ++*h->order;
    over(h);
}

static inline void on_fail(void *user, enum reason why, enum reached reached)
{
    struct heard *h = user;

    h->failed++;
    h->why = why;
    h->reached = reached;
    over(h);
}

static const struct connector_events events = { .head = on_head, .body = on_body, .end = on_end, .fail = on_fail };

static inline enum err begin(struct scene *s, struct heard *h, const char *target, bool safe)
{
    struct connector_request q = {
        .method = SLICE("GET"), .target = slice_of(target), .party = slice_of(h->party), .safe = safe
    };
    enum err e;

    buf_done(&h->body);
    buf_init(&h->body, 16 << 20);
    h->status = 0;
    h->ended = h->failed = 0;
    h->loop = s->loop;
    e = connector_start(s->pool, s->t.target, &q, &events, h, &h->call);
    assert_int_equal(h->ended + h->failed + (unsigned)h->status, 0); /* never calls back before it has returned */
    return e;
}

static inline void ask(struct scene *s, struct heard *h, const char *target, bool safe)
{
    h->stop = true;
    assert_int_equal(begin(s, h, target, safe), ERR_OK);
    loop_run(s->loop);
}

struct pause {
    struct alarm alarm;
    struct loop *loop;
};

static inline void pause_over(struct alarm *a)
{
    loop_stop(((struct pause *)a)->loop);
}

static inline void run_for(struct loop *l, int64_t ms)
{
    struct pause p = { .loop = l };

    alarm_init(&p.alarm, pause_over);
    alarm_set(l, &p.alarm, ms);
    loop_run(l);
    alarm_clear(&p.alarm);
}

static inline unsigned ended_of(const struct heard *h, unsigned n)
{
    unsigned ended = 0;

    while (n-- > 0)
        ended += h[n].ended;
    return ended;
}

static inline void run_until_ended(struct scene *s, const struct heard *h, unsigned n)
{
    UNTIL((run_for(s->loop, 20), ended_of(h, n) == n));
}

#define BODY(h, text)                                                                                                  \
    do {                                                                                                               \
        if (!slice_is(buf_slice(&(h)->body), text))                                                                    \
            fail_msg("body '%.*s', want '%s'", (int)(h)->body.n, (h)->body.p ? (h)->body.p : "", text);                \
    } while (0)
