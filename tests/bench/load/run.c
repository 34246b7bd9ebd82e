/* Phases and the loop.
 *
 *   OPENING -> HOLDING -> OVER                          with --hold
 *   OPENING -> WARMING -> MEASURING [-> DRAINING] -> OVER
 *
 * OPENING is left out with --fresh. Too many errors lead to OVER from anywhere. */
#include "run.h"

#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "clock.h"
#include "request.h"
#include "tls.h"

enum { EVENTS_MAX = 256 };

/* The whole life of a run's loop; apart from struct run because work.c has no business with it. */
struct loop {
    struct run run;
    int64_t opening_since, phase_until, next_tick;
    struct watch watch_begin;
    uint64_t full_begin, resumed_begin;
    bool broken; /* a watched process is gone */
};

static void announce(const struct loop *l, const char *event)
{
    if (!l->run.common.opt->announce)
        return;
    printf("{\"event\":\"%s\"}\n", event);
    fflush(stdout);
}

static void window_begin(struct loop *l, int64_t now)
{
    struct run *r = &l->run;

    r->phase = PHASE_MEASURING;
    r->begin_ns = now;
    if (r->common.opt->rate == 0)
        r->end_ns = now + r->common.opt->duration_ns;
    l->full_begin = r->common.handshakes_full;
    l->resumed_begin = r->common.handshakes_resumed;
    l->broken = !watch_read(r->common.opt, &l->watch_begin);
    announce(l, "measuring");
}

static void window_end(struct loop *l, int64_t now)
{
    struct run *r = &l->run;
    struct watch end = { 0 };

    l->broken |= !watch_read(r->common.opt, &end);
    r->result.used = (struct watch){ .cpu_ns = end.cpu_ns - l->watch_begin.cpu_ns,
                                     .user_ticks = end.user_ticks - l->watch_begin.user_ticks,
                                     .system_ticks = end.system_ticks - l->watch_begin.system_ticks };
    r->result.window_ns = now - r->begin_ns;
    r->result.handshakes_full = r->common.handshakes_full - l->full_begin;
    r->result.handshakes_resumed = r->common.handshakes_resumed - l->resumed_begin;
    r->phase = r->common.opt->rate != 0 ? PHASE_DRAINING : PHASE_OVER;
    l->phase_until = now + r->common.opt->timeout_ns;
}

static void load_begin(struct loop *l, int64_t now)
{
    const struct options *o = l->run.common.opt;

    l->run.schedule_ns = now;
    l->run.end_ns = now + o->warmup_ns + o->duration_ns;
    l->phase_until = now + o->warmup_ns;
    l->run.phase = PHASE_WARMING;
    if (o->warmup_ns == 0)
        window_begin(l, now);
}

/* Nothing goes on in the loop while this waits: every connection is open and none has been asked anything. */
static int64_t gate_wait(void)
{
    char text[64];

    while (read(STDIN_FILENO, text, sizeof text) > 0)
        continue;
    return clock_ns();
}

static void opening_step(struct loop *l, int64_t now)
{
    struct run *r = &l->run;
    const struct options *o = r->common.opt;

    work_open(r, now);
    if (r->settled < o->connections)
        return;
    r->result.opened_ns = now - l->opening_since;
    announce(l, "open");
    if (o->gate)
        now = gate_wait();
    if (o->hold_ns == 0) {
        load_begin(l, now);
        return;
    }
    r->phase = PHASE_HOLDING;
    l->phase_until = now + o->hold_ns;
    announce(l, "holding");
}

static void measuring_step(struct loop *l, int64_t now)
{
    const struct run *r = &l->run;
    uint64_t wanted = r->common.opt->requests;

    if (now >= r->end_ns || (wanted != 0 && r->finished >= wanted))
        window_end(l, now);
}

/* How many requests were due inside the window, by the schedule. */
static uint64_t scheduled_count(const struct run *r)
{
    uint64_t span = (uint64_t)(r->end_ns - r->schedule_ns);
    uint64_t rate = r->common.opt->rate;

    return span / NS_PER_S * rate + (span % NS_PER_S * rate + NS_PER_S - 1) / NS_PER_S;
}

static void draining_step(struct loop *l, int64_t now)
{
    struct run *r = &l->run;
    uint64_t scheduled = scheduled_count(r);

    if (r->finished < scheduled && now < l->phase_until)
        return;
    if (scheduled > r->finished) {
        r->result.fails[FAIL_UNANSWERED] += scheduled - r->finished;
        r->result.failed += scheduled - r->finished;
    }
    r->phase = PHASE_OVER;
}

static void phase_step(struct loop *l, int64_t now)
{
    switch (l->run.phase) {
    case PHASE_OPENING:
        opening_step(l, now);
        break;
    case PHASE_HOLDING:
        l->run.phase = now >= l->phase_until ? PHASE_OVER : PHASE_HOLDING;
        break;
    case PHASE_WARMING:
        if (now >= l->phase_until)
            window_begin(l, now);
        break;
    case PHASE_MEASURING:
        measuring_step(l, now);
        break;
    case PHASE_DRAINING:
        draining_step(l, now);
        break;
    case PHASE_OVER:
        break;
    }
}

/* How long the loop may sleep. */
static struct timespec sleep_for(const struct loop *l, int64_t now)
{
    const struct run *r = &l->run;
    int64_t until = l->next_tick;
    int64_t due = r->ring_count > 0 && r->phase >= PHASE_WARMING ? work_next_due(r) : INT64_MAX;

    if (due < until)
        until = due;
    if (r->phase == PHASE_MEASURING && r->end_ns < until)
        until = r->end_ns;
    if (l->phase_until > now && l->phase_until < until)
        until = l->phase_until;
    int64_t ns = until > now ? until - now : 0;
    return (struct timespec){ .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };
}

static void loop_run(struct loop *l)
{
    struct epoll_event events[EVENTS_MAX];
    struct run *r = &l->run;
    int64_t now = clock_ns();

    l->opening_since = l->next_tick = now;
    if (r->common.opt->fresh != FRESH_NO) {
        work_enqueue_all(r);
        load_begin(l, now);
    }
    while (r->phase != PHASE_OVER && !l->broken) {
        phase_step(l, now);
        work_pump(r, now);
        if (now >= l->next_tick) {
            work_tick(r, now);
            l->next_tick = now + WORK_TICK_NS;
        }
        struct timespec wait = sleep_for(l, clock_ns());
        int n = epoll_pwait2(r->common.epoll_fd, events, EVENTS_MAX, &wait, NULL);
        for (int i = 0; i < n && r->phase != PHASE_OVER; i++)
            conn_run(events[i].data.ptr);
        now = clock_ns();
    }
}

static bool loop_init(struct loop *l, const struct options *o)
{
    struct run *r = &l->run;

    r->common.opt = o;
    r->common.owner = &work_owner;
    r->common.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    r->common.request = request_new(o, &r->common.request_len);
    r->conns = OPENSSL_zalloc(o->connections * sizeof *r->conns);
    r->ring = OPENSSL_zalloc(o->connections * sizeof(struct conn *));
    if (o->tls)
        r->common.ctx = tls_new(o, conn_ticket);
    if (r->common.epoll_fd < 0 || r->conns == NULL || r->ring == NULL || r->common.request == NULL)
        return false;
    for (size_t i = 0; i < o->connections; i++)
        conn_init(&r->conns[i], &r->common);
    return !o->tls || r->common.ctx != NULL;
}

static void loop_done(struct loop *l)
{
    struct run *r = &l->run;

    for (size_t i = 0; r->conns != NULL && i < r->opened_next; i++)
        conn_done(&r->conns[i]);
    SSL_CTX_free(r->common.ctx);
    OPENSSL_free((void *)(uintptr_t)r->common.request);
    OPENSSL_free(r->conns);
    OPENSSL_free(r->ring);
    if (r->common.epoll_fd >= 0)
        close(r->common.epoll_fd);
}

bool run_load(const struct options *o, struct result *ret)
{
    struct loop *l = OPENSSL_zalloc(sizeof *l);
    bool ok = false;

    if (l == NULL)
        return false;
    if (loop_init(l, o)) {
        loop_run(l);
        l->run.result.watched = o->watch_count > 0 && !l->broken && l->run.result.window_ns > 0;
        *ret = l->run.result;
        ok = !l->broken;
    }
    loop_done(l);
    OPENSSL_free(l);
    return ok;
}
