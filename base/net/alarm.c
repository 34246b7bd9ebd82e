/* A timing wheel of 64 ms slots. Setting an alarm later than its slot only stores the new time: when the slot comes up,
 * an alarm that is not due yet moves on, and one that rests leaves the wheel. The tick comes when the first filled slot
 * is due and not before, so that a process with nothing to do does not wake. Invariants: a linked alarm stands in a
 * slot that comes up no later than `when` rounded up to a slot, or one wheel turn from now; the bit of its slot is set
 * (a bit may also be left of alarms that were cleared); the tick is set for the first slot whose bit is set, or a
 * sooner one. */
#include "base/net/internal.h"

#include <event2/event.h>

enum { SLOTS = 1024, SLOT_MS = ALARM_SLOT_MS };
#define NEVER INT64_MAX

struct alarm_wheel {
    struct loop *loop;  /* bor */
    struct event *tick; /* own */
    struct alarm *slot[SLOTS];
    uint64_t filled[SLOTS / 64]; /* a bit for each slot */
    int64_t at;                  /* slots before this number have been run */
    int64_t due;                 /* the slot that the tick is set for; NEVER: it is not set */
};

/* A timer stands in libevent's heap from its birth on, set or not: only so can setting it not lack memory. */
static const struct timeval unset = { 365 * 86400, 0 };

static struct event *timer_free(struct event *timer)
{
    if (timer != NULL)
        event_free(timer);
    return NULL;
}

static struct event *timer_new(struct loop *l, event_callback_fn fn, void *arg)
{
    struct event *timer = event_new(loop_base(l), -1, EV_PERSIST, fn, arg);

    return timer != NULL && event_add(timer, &unset) == 0 ? timer : timer_free(timer);
}

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

static void set_tick(struct alarm_wheel *w, int64_t number)
{
    int64_t ms = number * SLOT_MS - loop_now(w->loop);
    struct timeval after = { ms > 0 ? ms / 1000 : 0, ms > 0 ? ms % 1000 * 1000 : 0 };

    w->due = event_add(w->tick, &after) == 0 ? number : NEVER;
}

static void link_alarm(struct alarm_wheel *w, struct alarm *a)
{
    int64_t number = (a->when + SLOT_MS - 1) / SLOT_MS, at;
    struct alarm **head;

    if (number < w->at)
        number = w->at;
    if (number >= w->at + SLOTS)
        number = w->at + SLOTS - 1;
    at = number % SLOTS;
    a->slot = number * SLOT_MS;
    w->filled[at / 64] |= UINT64_C(1) << (at % 64);
    head = &w->slot[at];
    a->next = *head;
    if (a->next)
        a->next->pprev = &a->next;
    *head = a;
    a->pprev = head;
    if (number < w->due)
        set_tick(w, number);
}

/* Take the slot's whole list off first: an alarm's function may set or clear others, and itself. */
static void run_slot(struct alarm_wheel *w, int64_t number, int64_t now)
{
    int64_t at = number % SLOTS;
    struct alarm *list = w->slot[at];

    w->slot[at] = NULL;
    w->filled[at / 64] &= ~(UINT64_C(1) << (at % 64));
    if (list)
        list->pprev = &list;
    while (list != NULL) {
        struct alarm *a = list;
        unlink_alarm(a);
        if (a->when == NEVER)
            continue;
        if (a->when > now)
            link_alarm(w, a);
        else
            a->fn(a);
    }
}

/* The first slot from `at` on whose bit is set, or NEVER. */
static int64_t first_filled(const struct alarm_wheel *w)
{
    for (int64_t number = w->at; number < w->at + SLOTS;) {
        int64_t at = number % SLOTS;
        uint64_t bits = w->filled[at / 64] >> (at % 64);
        if (bits != 0) {
            number += __builtin_ctzll(bits);
            return number < w->at + SLOTS ? number : NEVER;
        }
        number += 64 - at % 64;
    }
    return NEVER;
}

static void tick(evutil_socket_t fd, short what, void *arg)
{
    struct alarm_wheel *w = arg;
    int64_t now = loop_now(w->loop), number;

    (void)fd;
    (void)what;
    w->due = 0; /* what is set meanwhile is looked at below */
    while ((number = first_filled(w)) <= now / SLOT_MS) {
        w->at = number + 1;
        run_slot(w, number, now);
    }
    w->due = NEVER;
    if (number != NEVER)
        set_tick(w, number);
    else
        event_add(w->tick, &unset);
}

struct alarm_wheel *alarm_wheel_new(struct loop *l)
{
    struct alarm_wheel *w = mem_zalloc(sizeof *w);

    if (w == NULL)
        return NULL;
    w->loop = l;
    w->at = loop_now(l) / SLOT_MS;
    w->due = NEVER;
    w->tick = timer_new(l, tick, w);
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
    timer_free(w->tick);
    mem_free(w);
}

void alarm_init(struct alarm *a, void (*fn)(struct alarm *))
{
    *a = (struct alarm){ .fn = fn };
}

/* Nothing stands in the slots before the tick: the wheel's start may come up to now, so that it reaches far again. */
static void catch_up(struct alarm_wheel *w)
{
    int64_t now = loop_now(w->loop) / SLOT_MS;

    if (now > w->at && w->due != 0)
        w->at = now < w->due ? now : w->due;
}

void alarm_set(struct loop *l, struct alarm *a, int64_t ms)
{
    struct alarm_wheel *w = loop_wheel(l);
    int64_t when;

    when = loop_now(l) + ms;
    if (a->pprev != NULL && when > a->slot - SLOT_MS) {
        a->when = when; /* found early by its slot, and moved on then */
        return;
    }
    unlink_alarm(a);
    catch_up(w);
    a->when = when;
    link_alarm(w, a);
}

void alarm_clear(struct alarm *a)
{
    unlink_alarm(a);
}

void alarm_rest(struct alarm *a)
{
    a->when = NEVER;
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
    event_add(m->timer, &unset);
    m->fn(m->arg);
}

struct moment *moment_new(struct loop *l, void (*fn)(void *arg), void *arg)
{
    struct moment *m = mem_zalloc(sizeof *m);

    if (m == NULL)
        return NULL;
    m->fn = fn;
    m->arg = arg;
    m->timer = timer_new(l, on_timer, m);
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
        timer_free(m->timer);
    return mem_free(m);
}
