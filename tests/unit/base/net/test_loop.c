/* The loop: messages from other threads in order, what waits for the end of the turn or for the next, graves. */
#include "net_test.h"
#include "base/net/internal.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

enum { SENDERS = 4, MESSAGES = 2000 };

struct inbox {
    struct loop *loop;
    unsigned next[SENDERS], total, wrong;
};
struct letter {
    struct loop_msg msg;
    struct inbox *inbox;
    unsigned from, number;
};
static struct letter letters[SENDERS][MESSAGES];

static void receive(void *arg)
{
    struct letter *l = arg;
    struct inbox *in = l->inbox;

    in->wrong += l->number != in->next[l->from]++;
    if (++in->total == SENDERS * MESSAGES)
        loop_stop(in->loop);
}

static void *send_letters(void *arg)
{
    struct letter *mine = arg;

    for (unsigned i = 0; i < MESSAGES; i++) {
        mine[i].msg = (struct loop_msg){ .fn = receive, .arg = &mine[i] };
        loop_post(mine[i].inbox->loop, &mine[i].msg);
    }
    return NULL;
}

static void messages_keep_their_order(void **state)
{
    struct inbox in = { .loop = loop_new() };
    pthread_t thread[SENDERS];

    (void)state;
    assert_non_null(in.loop);
    for (unsigned s = 0; s < SENDERS; s++)
        for (unsigned i = 0; i < MESSAGES; i++)
            letters[s][i] = (struct letter){ .inbox = &in, .from = s, .number = i };
    for (unsigned s = 0; s < SENDERS; s++)
        assert_int_equal(pthread_create(&thread[s], NULL, send_letters, letters[s]), 0);
    loop_run(in.loop);
    for (unsigned s = 0; s < SENDERS; s++)
        pthread_join(thread[s], NULL);
    assert_int_equal(in.total, SENDERS * MESSAGES);
    assert_int_equal(in.wrong, 0);
    loop_free(in.loop);
}

struct order {
    struct later later;
    struct soon soon;
    struct grave grave;
    struct loop *loop;
    char log[64];
    unsigned n, soons;
};

static void put(struct order *o, char c)
{
    if (o->n < sizeof o->log - 1)
        o->log[o->n++] = c;
}

static void at_grave(struct grave *g)
{
    put((struct order *)((char *)g - offsetof(struct order, grave)), 'g');
}

static void at_later(struct later *node)
{
    put((struct order *)((char *)node - offsetof(struct order, later)), 'l');
}

/* Sets itself again: it runs once a turn, and the turn ends all the same. */
static void at_soon(struct soon *node)
{
    struct order *o = (struct order *)((char *)node - offsetof(struct order, soon));

    put(o, 's');
    if (++o->soons < 3)
        loop_soon(o->loop, node, at_soon);
}

static void at_turn(void *arg)
{
    put(arg, 't');
}

static void begin_order(void *arg)
{
    struct order *o = arg;

    put(o, 'm');
    loop_bury(o->loop, &o->grave, at_grave);
    loop_later(o->loop, &o->later, at_later);
    loop_soon(o->loop, &o->soon, at_soon);
    loop_soon(o->loop, &o->soon, at_soon); /* once is enough */
}

static void turn_has_an_order(void **state)
{
    struct order o = { .loop = loop_new() };
    struct loop_msg m = { .fn = begin_order, .arg = &o };

    (void)state;
    assert_non_null(o.loop);
    loop_on_turn(o.loop, at_turn, &o);
    loop_post(o.loop, &m);
    turns(o.loop, 1);
    assert_string_equal(o.log, "mltg");
    turns(o.loop, 4);
    assert_string_equal(o.log, "mltgststst"
                               "t");
    loop_soon(o.loop, &o.soon, at_soon);
    loop_not_soon(&o.soon);
    turns(o.loop, 2);
    assert_int_equal(o.soons, 3);
    loop_free(o.loop);
}

struct again {
    struct loop *loop;
    struct moment *end;
    unsigned turns, at_once; /* turns in all; those that followed one that asked for it */
    bool asked;
};

static void ask_again(void *arg)
{
    struct again *a = arg;

    a->at_once += a->asked;
    a->asked = a->turns++ < 2;
    if (a->asked)
        loop_again(a->loop);
    else if (a->turns == 3)
        moment_set(a->end, 50);
}

static void begin_again(void *arg)
{
    (void)arg;
}

static void stop_loop(void *arg)
{
    loop_stop(((struct again *)arg)->loop);
}

/* Two turns ask for another at once; the one after them waits, until the moment. */
static void again_does_not_wait(void **state)
{
    struct again a = { .loop = loop_new() };
    struct loop_msg begin = { .fn = begin_again, .arg = NULL };

    (void)state;
    assert_non_null(a.loop);
    a.end = moment_new(a.loop, stop_loop, &a);
    assert_non_null(a.end);
    loop_on_turn(a.loop, ask_again, &a);
    loop_post(a.loop, &begin);
    moment_set(a.end, 10000);
    loop_run(a.loop);
    assert_int_equal(a.at_once, 2);
    assert_in_range(a.turns, 4, 6);
    moment_free(a.end);
    loop_free(a.loop);
}

static void on_watch(void *arg)
{
    ++*(unsigned *)arg;
}

static void watch_until_freed(void **state)
{
    struct loop *l = loop_new();
    int fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    unsigned n = 0, before;
    struct watch *w;

    (void)state;
    assert_non_null(l);
    w = watch_new(l, fd, on_watch, &n);
    assert_non_null(w);
    turns(l, 3);
    assert_true(n > 0);
    before = n;
    w = watch_free(w);
    turns(l, 3);
    assert_int_equal(n, before);
    close(fd);
    loop_free(l);
}

/* Refused at once or later: told as a failure, never taken for a connection, never from inside the call. */
static unsigned n_broken, n_open;

static void on_open(void *user)
{
    (void)user;
    n_open++;
}

static void on_broken(void *user, enum stream_fault f)
{
    n_broken += f == STREAM_REFUSED;
    loop_stop(user);
}

static void refused_connect_is_told(void **state)
{
    static const struct stream_events e = { .open = on_open, .broken = on_broken };
    struct loop *l = loop_new();
    struct sockaddr_storage to;
    struct stream *s;
    int fd;

    (void)state;
    assert_non_null(l);
    assert_int_equal(net_listen("127.0.0.1", 0, false, &fd, NULL), ERR_OK);
    address_of(fd, &to);
    close(fd);
    s = stream_connect(l, &to, NULL, SLICE(""), &e, l);
    assert_non_null(s);
    assert_int_equal(n_broken, 0);
    loop_run(l);
    assert_int_equal(n_broken, 1);
    assert_int_equal(n_open, 0);
    stream_close(s);
    turns(l, 1);
    loop_free(l);
}

/* A descriptor that never runs dry, while something waits for the next turn: each turn ends all the same. */
struct flood {
    struct loop *loop;
    struct watch *watch;
    struct soon soon;
    struct later later;
    int fd;
    unsigned calls, turns, unheard, most;
};

static void flood_soon(struct soon *node)
{
    struct flood *f = (struct flood *)((char *)node - offsetof(struct flood, soon));

    loop_soon(f->loop, &f->soon, flood_soon);
}

static void flood_later(struct later *node)
{
    struct flood *f = (struct flood *)((char *)node - offsetof(struct flood, later));

    f->unheard = 0;
    if (++f->turns == 50)
        loop_stop(f->loop);
}

static void flood_reads(void *arg)
{
    struct flood *f = arg;

    f->calls++;
    if (f->unheard++ == 0)
        loop_later(f->loop, &f->later, flood_later);
    f->most = f->unheard > f->most ? f->unheard : f->most;
    if (f->unheard > 100) { /* it would go on for ever */
        uint64_t n;

        assert_int_equal(read(f->fd, &n, sizeof n), sizeof n);
        loop_stop(f->loop);
    }
}

static void a_flood_does_not_hold_a_turn_open(void **state)
{
    struct flood f = { .loop = loop_new(), .fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC) };

    (void)state;
    assert_non_null(f.loop);
    f.watch = watch_new(f.loop, f.fd, flood_reads, &f);
    assert_non_null(f.watch);
    loop_soon(f.loop, &f.soon, flood_soon);
    loop_run(f.loop);
    assert_int_equal(f.most, 1);
    assert_int_equal(f.calls, 50);
    loop_not_soon(&f.soon);
    watch_free(f.watch);
    loop_free(f.loop);
    close(f.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_keep_their_order), cmocka_unit_test(turn_has_an_order),
        cmocka_unit_test(again_does_not_wait),       cmocka_unit_test(watch_until_freed),
        cmocka_unit_test(refused_connect_is_told),   cmocka_unit_test(a_flood_does_not_hold_a_turn_open)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
