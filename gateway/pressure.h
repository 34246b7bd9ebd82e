#pragma once
/* The process's memory against limits.memory. The control thread looks, seldom while there is plenty and often while
 * there is not; workers read one flag and refuse new exchanges while it is up, so that what runs can end and the cap
 * holds. Bodies that are held are the one thing that grows by much between two looks: they take from the room that the
 * last look found. */
#include "base/net/net.h"

#include <stdatomic.h>

struct pressure {
    struct loop *loop; /* bor */
    struct alarm alarm;
    uint64_t cap; /* bytes; 0: none */
    int fd;       /* own: /proc/self/statm */
    _Atomic uint64_t resident;
    _Atomic uint64_t room, taken; /* any thread: found by the last look, before the flag goes up; taken since */
    _Atomic bool high;            /* any thread */
};
void pressure_init(struct pressure *p, struct loop *l, uint64_t cap); /* looks once, and from now on by itself */
uint64_t pressure_resident(const struct pressure *p);                 /* bytes, as of now; 0: not known */
void pressure_done(struct pressure *p);
/* Both: any thread; p NULL: there is no cap. */
static inline bool pressure_short(const struct pressure *p)
{
    return p && atomic_load_explicit(&p->high, memory_order_relaxed);
}
/* n bytes more are to be held; false: they have no room. */
static inline bool pressure_take(struct pressure *p, size_t n)
{
    if (p == NULL || p->cap == 0)
        return true;
    return !pressure_short(p) && atomic_fetch_add_explicit(&p->taken, n, memory_order_relaxed) + n <=
                                     atomic_load_explicit(&p->room, memory_order_relaxed);
}
