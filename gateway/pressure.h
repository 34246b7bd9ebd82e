#pragma once
/* The process's memory against limits.memory. The control thread looks, seldom while there is plenty and often while
 * there is not; workers read one flag and refuse new exchanges while it is up, so that what runs can end and the cap
 * holds. */
#include "base/net/net.h"

struct pressure {
    struct loop *loop; /* bor */
    struct alarm alarm;
    uint64_t cap; /* bytes; 0: none */
    int fd;       /* own: /proc/self/statm */
    _Atomic uint64_t resident;
    _Atomic bool high; /* any thread */
};
void pressure_init(struct pressure *p, struct loop *l, uint64_t cap); /* looks once, and from now on by itself */
uint64_t pressure_resident(const struct pressure *p);                 /* bytes, as of now; 0: not known */
void pressure_done(struct pressure *p);
