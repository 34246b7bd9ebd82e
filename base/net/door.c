/* The door before handshakes. Invariants: `now` passes are on the list, oldest first; the acceptor is held exactly
 * while `now` has reached `most`, and then the alarm is set. */
#include "base/net/door.h"
#include "base/net/internal.h"

enum { HURRY_MS = 1000, LOOK_MS = 128 };

static void hold(struct door *g, bool on)
{
    if (g->acceptor)
        acceptor_hold(g->acceptor, on);
}

static void on_hurry(struct alarm *a)
{
    struct door *g = (struct door *)((char *)a - offsetof(struct door, hurry));
    int64_t before = loop_now(g->loop) - HURRY_MS;

    while (g->first && g->now >= g->most && g->first->since <= before)
        stream_hurry(g->first); /* leaves the door */
    if (g->now >= g->most)
        alarm_set(g->loop, a, LOOK_MS);
}

void door_init(struct door *g, struct loop *l, unsigned most)
{
    *g = (struct door){ .loop = l, .most = most };
    g->last = &g->first;
    alarm_init(&g->hurry, on_hurry);
}

void door_done(struct door *g)
{
    g->acceptor = NULL;
    while (g->first)
        stream_hurry(g->first);
    alarm_clear(&g->hurry);
}

void door_enter(struct door *g, struct door_pass *p)
{
    p->door = g;
    p->since = loop_now(g->loop);
    p->next = NULL;
    p->pprev = g->last;
    *g->last = p;
    g->last = &p->next;
    if (++g->now < g->most)
        return;
    hold(g, true);
    alarm_set(g->loop, &g->hurry, LOOK_MS);
}

void door_leave(struct door_pass *p)
{
    struct door *g = p->door;

    if (g == NULL)
        return;
    p->door = NULL;
    *p->pprev = p->next;
    if (p->next)
        p->next->pprev = p->pprev;
    else
        g->last = p->pprev;
    if (g->now-- == g->most) {
        alarm_clear(&g->hurry);
        hold(g, false);
    }
}
