/* A timing wheel of 64 ms slots. Setting an alarm later than its slot only stores the new time: when the slot comes up,
 * an alarm that is not due yet moves on. The tick runs only while alarms are set, so an idle process does not wake.
 * Invariant: a linked alarm stands in a slot that comes up no later than `when` rounded up to a slot, or one wheel turn
 * from now. */
#include "base/net/internal.h"

#include <event2/event.h>

enum { SLOTS = 1024, SLOT_MS = ALARM_SLOT_MS };

struct alarm_wheel {
    struct loop *loop;  /* bor */
    struct event *tick; /* own */
    struct alarm *slot[SLOTS];
    int64_t at; /* slots before this number have been run */
    bool ticking;
};

static void unlink_alarm(struct alarm *a)
{
    if (a->pprev == NULL)
        return;
    *a->pprev = a->next;
    if (a->next)
        a->next->pprev = a->pprev;
    a->pprev = NULL;
    a->next = NULL;
}

static void link_alarm(struct alarm_wheel *w, struct alarm *a)
{
    int64_t number = (a->when + SLOT_MS - 1) / SLOT_MS;
    struct alarm **head;

    if (number < w->at)
        number = w->at;
    if (number >= w->at + SLOTS)
        number = w->at + SLOTS - 1;
    head = &w->slot[number % SLOTS];
    a->next = *head;
    if (a->next)
        a->next->pprev = &a->next;
    *head = a;
    a->pprev = head;
}

/* Take the slot's whole list off first: an alarm's function may set or clear others, and itself. */
static void run_slot(struct alarm_wheel *w, int64_t number, int64_t now)
{
    struct alarm *list = w->slot[number % SLOTS];

    w->slot[number % SLOTS] = NULL;
    if (list)
        list->pprev = &list;
    while (list != NULL) {
        struct alarm *a = list;
        unlink_alarm(a);
        if (a->when > now)
            link_alarm(w, a);
        else
            a->fn(a);
    }
}

static bool wheel_is_empty(const struct alarm_wheel *w)
{
    for (unsigned i = 0; i < SLOTS; i++)
        if (w->slot[i] != NULL)
            return false;
    return true;
}

static void tick(evutil_socket_t fd, short what, void *arg)
{
    struct alarm_wheel *w = arg;
    int64_t now;

    (void)fd;
    (void)what;
    now = loop_now(w->loop);
    for (int64_t until = now / SLOT_MS; w->at <= until;) {
        int64_t number = w->at++;
        run_slot(w, number, now);
    }
    if (wheel_is_empty(w)) {
        event_del(w->tick);
        w->ticking = false;
    }
}

struct alarm_wheel *alarm_wheel_new(struct loop *l)
{
    struct alarm_wheel *w = mem_zalloc(sizeof *w);

    if (w == NULL)
        return NULL;
    w->loop = l;
    w->at = loop_now(l) / SLOT_MS;
    w->tick = event_new(loop_base(l), -1, EV_PERSIST, tick, w);
    if (w->tick == NULL)
        return mem_free(w);
    return w;
}

void alarm_wheel_free(struct alarm_wheel *w)
{
    if (w == NULL)
        return;
    for (unsigned i = 0; i < SLOTS; i++)
        while (w->slot[i])
            unlink_alarm(w->slot[i]);
    event_free(w->tick);
    mem_free(w);
}

void alarm_init(struct alarm *a, void (*fn)(struct alarm *))
{
    *a = (struct alarm){ .fn = fn };
}

static void start_ticking(struct alarm_wheel *w)
{
    static const struct timeval every = { 0, SLOT_MS * 1000 };

    w->at = loop_now(w->loop) / SLOT_MS;
    w->ticking = event_add(w->tick, &every) == 0;
}

void alarm_set(struct loop *l, struct alarm *a, int64_t ms)
{
    struct alarm_wheel *w = loop_wheel(l);
    int64_t when;

    if (!w->ticking)
        start_ticking(w);
    when = loop_now(l) + ms;
    if (a->pprev != NULL && when >= a->when) {
        a->when = when; /* found early by its slot, and moved on then */
        return;
    }
    unlink_alarm(a);
    a->when = when;
    link_alarm(w, a);
}

void alarm_clear(struct alarm *a)
{
    unlink_alarm(a);
}

/* ---- exact ones ---- */
struct moment {
    struct event *timer; /* own */
    void (*fn)(void *arg);
    void *arg;
};

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct moment *m = arg;

    (void)fd;
    (void)what;
    m->fn(m->arg);
}

struct moment *moment_new(struct loop *l, void (*fn)(void *arg), void *arg)
{
    struct moment *m = mem_zalloc(sizeof *m);

    if (m == NULL)
        return NULL;
    m->fn = fn;
    m->arg = arg;
    m->timer = event_new(loop_base(l), -1, 0, on_timer, m);
    return m->timer ? m : mem_free(m);
}

void moment_set(struct moment *m, int64_t ms)
{
    struct timeval after = { ms / 1000, ms % 1000 * 1000 };

    event_add(m->timer, &after);
}

struct moment *moment_free(struct moment *m)
{
    if (m)
        event_free(m->timer);
    return mem_free(m);
}
