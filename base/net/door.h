#pragma once
/* How many TLS handshakes of one listener are under way at once. They cost most of all that a stranger may ask for: a
 * millisecond of work and tens of KiB each. Beyond the door's number nothing is accepted: whoever comes waits in the
 * kernel's queue, and is served later instead of failing. While others wait, a handshake may take a second and no
 * longer, so that the slow, or those who pretend to be, cannot keep the door shut. One loop's; must outlive its
 * streams. */
#include "base/net/loop.h"

struct stream;
struct acceptor;
struct door {
    struct loop *loop;         /* bor */
    struct acceptor *acceptor; /* bor: held while the door is full; NULL: none */
    unsigned now, most;
    struct door_pass *first, **last; /* in the order of coming */
    struct alarm hurry;
};
struct door_pass {     /* inside a stream that shakes hands */
    struct door *door; /* bor; NULL: has none */
    struct door_pass *next, **pprev;
    int64_t since; /* mono ms */
};
void door_init(struct door *g, struct loop *l, unsigned most);
void door_done(struct door *g); /* ends the handshakes that are under way */
