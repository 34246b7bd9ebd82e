/* Which connections end while memory is short, and that no more do than a look at the process asks for. */
#include "gateway/calm.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { CROWD = 64, CAP = 8 << 20, DOWN = CAP - CAP / 4, IDLE = 16 << 10 };

struct world {
    struct worker *w;
    struct pressure pressure;
    int fd[CROWD];
};

static void *on_open(void *arg, struct http_conn *http)
{
    struct worker *w = arg;
    struct connection *c = calloc(1, sizeof *c);

    assert_non_null(c);
    c->http = http;
    c->since = loop_now(w->loop);
    c->pprev = w->connections_end;
    *c->pprev = c;
    w->connections_end = &c->next;
    w->n_connections++;
    return c;
}

static void on_close(void *state)
{
    struct connection *c = state;

    *c->pprev = c->next;
    if (c->next)
        c->next->pprev = c->pprev;
    free(c);
}

static const struct http_service service = { .open = on_open, .close = on_close };

static void run_for(struct world *o, int64_t ms)
{
    struct loop *l = o->w->loop;
    struct moment *m = moment_new(l, (void (*)(void *))loop_stop, l);

    assert_non_null(m);
    moment_set(m, ms);
    loop_run(l);
    moment_free(m);
}

static unsigned left(const struct world *o)
{
    unsigned n = 0;

    for (const struct connection *c = o->w->connections; c != NULL; c = c->next)
        n++;
    return n;
}

/* Idle connections, all of one stranger, older than a moment. */
static void begin(struct world *o)
{
    struct worker *w = calloc(1, sizeof *w);

    assert_non_null(w);
    o->w = w;
    w->loop = loop_new();
    assert_non_null(w->loop);
    w->connections_end = &w->connections;
    w->cfg.workers = 1;
    w->cfg.pressure = &o->pressure;
    door_init(&w->door, w->loop, CROWD);
    o->pressure.cap = CAP;
    o->pressure.fd = -1; /* a look finds nothing */
    w->calm = calm_new(w);
    assert_non_null(w->calm);
    for (unsigned i = 0; i < CROWD; i++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
        o->fd[i] = pair[0];
        assert_int_equal(http_serve(w->loop, pair[1], NULL, NULL, &service, w), ERR_OK);
    }
    run_for(o, 700);
    assert_int_equal(left(o), CROWD);
}

/* The last look found so much more than the flag needs to come down. */
static void found(struct world *o, uint64_t excess)
{
    atomic_store(&o->pressure.resident, DOWN + excess);
    atomic_store(&o->pressure.looked, clock_mono_ms());
    atomic_store(&o->pressure.high, true);
    calm_later(o->w);
}

static void end(struct world *o)
{
    atomic_store(&o->pressure.high, false);
    while (o->w->connections != NULL)
        http_conn_abort(o->w->connections->http, REASON_CERTIFICATE_REVOKED);
    run_for(o, 1);
    for (unsigned i = 0; i < CROWD; i++)
        close(o->fd[i]);
    loop_free(o->w->loop);
    free(o->w->calm);
    free(o->w);
}

/* The control thread, which looks else, may be busy for long: what was ended is not in what it found before. */
static void what_was_found_once_ends_as_many(void **state)
{
    struct world o = { 0 };

    (void)state;
    begin(&o);
    found(&o, 8 * IDLE);
    run_for(&o, 150);
    assert_int_equal(left(&o), CROWD - 8);
    run_for(&o, 300);
    assert_int_equal(left(&o), CROWD - 8);
    found(&o, 8 * IDLE); /* it was not enough */
    run_for(&o, 150);
    assert_int_equal(left(&o), CROWD - 16);
    end(&o);
}

/* Less than a sixteenth of the cap: it is not they who fill it. */
static void who_holds_little_stays(void **state)
{
    struct world o = { 0 };

    (void)state;
    begin(&o);
    o.pressure.cap = 4 * CAP;
    found(&o, 4 * CAP);
    run_for(&o, 300);
    assert_int_equal(left(&o), CROWD);
    end(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_found_once_ends_as_many),
        cmocka_unit_test(who_holds_little_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
