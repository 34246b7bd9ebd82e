/* The door before handshakes. Invariants: `now` passes are on the list, oldest first; the acceptor is held exactly
 * while `now` has reached `most`, and then the alarm is set. One that yields holds nothing and sets no alarm, and `now`
 * never exceeds `most`. */
#include "base/net/door.h"
#include "base/net/internal.h"

#include <netinet/in.h>
#include <sys/socket.h>

enum { HURRY_MS = 1000, LOOK_MS = 128 };

static void hold(struct door *g, bool on)
{
    if (g->acceptor)
        acceptor_hold(g->acceptor, on);
}

/* Until fewer than `enough` stand there. */
static void hurry(struct door *g, unsigned enough)
{
    int64_t before = loop_now(g->loop) - HURRY_MS;

    while (g->first && g->now >= enough && g->first->since <= before)
        stream_hurry(g->first); /* leaves the door */
}

void door_hurry(struct door *g)
{
    hurry(g, 0);
}

static void on_hurry(struct alarm *a)
{
    struct door *g = (struct door *)((char *)a - offsetof(struct door, hurry));

    hurry(g, g->most);
    if (g->now >= g->most)
        alarm_set(g->loop, a, LOOK_MS);
}

void door_init(struct door *g, struct loop *l, unsigned most)
{
    *g = (struct door){ .loop = l, .most = most };
    g->last = &g->first;
    alarm_init(&g->hurry, on_hurry);
}

void door_init_yielding(struct door *g, struct loop *l, unsigned most)
{
    door_init(g, l, most);
    g->yields = true;
}

void door_done(struct door *g)
{
    g->acceptor = NULL;
    while (g->first)
        stream_hurry(g->first);
    alarm_clear(&g->hurry);
}

/* How readily a pass goes: those of greater number first. */
static unsigned goes(const struct door *g, const struct door_pass *p)
{
    static const uint8_t by_stage[] = { [DOOR_CAME] = 1, [DOOR_SHAKES] = 0, [DOOR_OPEN] = 2 };

    return g->of[p->source] * 4 + by_stage[p->stage];
}

static void yield(struct door *g)
{
    struct door_pass *one = g->first;

    for (struct door_pass *p = g->first; p; p = p->next)
        if (goes(g, p) > goes(g, one))
            one = p;
    stream_hurry(one); /* leaves the door */
}

uint8_t door_source(int fd)
{
    struct sockaddr_storage a = { 0 };
    const char *v4 = (const char *)&((struct sockaddr_in *)&a)->sin_addr;
    const struct in6_addr *v6 = &((struct sockaddr_in6 *)&a)->sin6_addr;
    struct slice bytes = { v4, 4 };
    socklen_t n = sizeof a;

    if (getpeername(fd, (struct sockaddr *)&a, &n) != 0)
        return 0;
    if (a.ss_family == AF_INET6)
        bytes = IN6_IS_ADDR_V4MAPPED(v6) ? slice_make((const char *)v6 + 12, 4) : slice_make((const char *)v6, 8);
    return (uint8_t)(slice_hash(bytes, 0) % DOOR_SOURCES);
}

void door_enter(struct door *g, struct door_pass *p, uint8_t source)
{
    if (g->yields && g->now >= g->most)
        yield(g);
    p->door = g;
    p->source = source;
    p->stage = DOOR_CAME;
    g->of[source]++;
    p->since = loop_now(g->loop);
    p->next = NULL;
    p->pprev = g->last;
    *g->last = p;
    g->last = &p->next;
    if (++g->now < g->most || g->yields)
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
    g->of[p->source]--;
    if (g->now-- == g->most && !g->yields) {
        alarm_clear(&g->hurry);
        hold(g, false);
    }
}
