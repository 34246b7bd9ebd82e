#pragma once
/* The process's memory against limits.memory. The control thread looks, seldom while there is plenty and often while
 * there is not; workers read one flag and refuse new exchanges while it is up, so that what runs can end and the cap
 * holds. The control thread may hang in the state's disk: who is refused looks instead then. What may grow between two
 * looks, an exchange and a body that is held, takes from the room that the last look found, before it grows; what runs
 * may still grow while the flag is up, as far as there is room. What only begins has half of the last eighth besides:
 * it must be there to be told that there is no room; connections come from that too, and grow a little beyond it. Who
 * finds none left looks by itself: what was taken may long be given back. */
#include "base/net/net.h"

#include <stdatomic.h>

struct pressure {
    struct loop *loop; /* bor */
    struct alarm alarm;
    uint64_t cap; /* bytes; 0: none */
    int fd;       /* own: /proc/self/statm */
    _Atomic uint64_t resident;
    _Atomic uint64_t room, taken; /* any thread: found by the last look, before the flag goes up; taken since */
    _Atomic uint64_t last;        /* any thread: room that the last look found for what only begins */
    _Atomic uint64_t edge;        /* any thread: and for connections that stand already */
    _Atomic uint64_t promised;    /* any thread: taken for bodies that have not come yet, so that no look finds it */
    _Atomic int64_t looked;       /* any thread: mono ms of the last look */
    _Atomic bool high;            /* any thread: the flag, of the last look */
};
void pressure_init(struct pressure *p, struct loop *l, uint64_t cap); /* looks once, and from now on by itself */
uint64_t pressure_resident(const struct pressure *p);                 /* bytes, as of now; 0: not known */
void pressure_done(struct pressure *p);
/* Both: any thread; p NULL: there is no cap. */
static inline bool pressure_short(const struct pressure *p)
{
    return p && atomic_load_explicit(&p->high, memory_order_relaxed);
}
/* The most that an exchange holds beside long texts: its body, and what is made of it, and an answer whose result is
 * not known yet take theirs by themselves, the last in steps of that size. */
enum { PRESSURE_EXCHANGE = 96 * 1024, PRESSURE_STEP = 64 * 1024 };
/* The most that one holds which has only begun: itself, its stream, and what is kept of its head. */
enum { PRESSURE_BEGUN = 24 * 1024 };
bool pressure_look_again(struct pressure *p, size_t n, const _Atomic uint64_t *room);
/* False: nothing was taken, for those who are turned away, a crowd or one who wants much, must not end what runs. */
static inline bool pressure_ask(struct pressure *p, size_t n, const _Atomic uint64_t *room)
{
    uint64_t taken = atomic_load_explicit(&p->taken, memory_order_relaxed);

    do {
        if (taken + n > atomic_load_explicit(room, memory_order_relaxed))
            return pressure_look_again(p, n, room);
    } while (!atomic_compare_exchange_weak_explicit(&p->taken, &taken, taken + n, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}
/* n bytes more are to be held by what runs already; false: they have no room. */
static inline bool pressure_grow(struct pressure *p, size_t n)
{
    return p == NULL || p->cap == 0 || pressure_ask(p, n, &p->room);
}
/* One more begins, or a connection comes, of n bytes. False: not even to be refused. */
static inline bool pressure_begin(struct pressure *p, size_t n)
{
    return p == NULL || p->cap == 0 || pressure_ask(p, n, &p->last);
}
/* A connection that stands holds n bytes more. It has some room that what comes has not: to be told of each request
 * that there is none for it costs less than to come again. */
static inline bool pressure_stand(struct pressure *p, size_t n)
{
    return p == NULL || p->cap == 0 || pressure_ask(p, n, &p->edge);
}
/* So much must go, of the whole process, before the flag comes down. */
static inline uint64_t pressure_excess(const struct pressure *p)
{
    uint64_t now = atomic_load_explicit(&p->resident, memory_order_relaxed), down = p->cap - p->cap / 4;

    return now > down ? now - down : 0;
}
bool pressure_stays(struct pressure *p); /* the flag is up still, as of a look that is not long past */
/* The same for what begins: not while memory is short. */
static inline bool pressure_take(struct pressure *p, size_t n)
{
    return (!pressure_short(p) || !pressure_stays(p)) && pressure_grow(p, n);
}
/* Who ends for want of room gives back what he took, and has freed, before the next look finds it: else all who grow at
 * once would end at once. */
static inline void pressure_give(struct pressure *p, size_t n)
{
    if (p != NULL)
        atomic_fetch_add_explicit(&p->room, n, memory_order_relaxed);
}
/* So much of what was taken is still to come, or, below zero, has come or never will. */
static inline void pressure_promise(struct pressure *p, int64_t more)
{
    if (p != NULL)
        atomic_fetch_add_explicit(&p->promised, (uint64_t)more, memory_order_relaxed);
}
