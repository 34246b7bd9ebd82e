#pragma once
/* How many TLS handshakes of one listener are under way at once. They cost most of all that a stranger may ask for: a
 * millisecond of work and tens of KiB each. Beyond the door's number nothing is accepted: whoever comes waits in the
 * kernel's queue, and is served later instead of failing. While others wait, a handshake may take a second and no
 * longer, so that the slow, or those who pretend to be, cannot keep the door shut. One loop's; must outlive its
 * streams.
 *
 * A door that yields is for a listener that some must reach whatever others do. There nobody waits, and whoever came
 * stands in it, during the handshake and after, until the listener's owner knows the peer (http_conn_admit). When it is
 * full, one of the source that has most in it is closed for the next: one whose handshake is over before one that says
 * nothing, and last one to whom the costly part of a handshake was given already; the oldest of them. So who comes
 * to do something is in within moments, and who comes to stand there goes. A source is an address, of IPv6 its /64. */
#include "base/net/loop.h"

struct stream;
struct acceptor;
enum { DOOR_SOURCES = 256 };
enum door_stage { DOOR_CAME, DOOR_SHAKES /* we have answered */, DOOR_OPEN };
struct door {
    struct loop *loop;         /* bor */
    struct acceptor *acceptor; /* bor: held while the door is full; NULL: none */
    unsigned now, most;
    bool yields;
    unsigned of[DOOR_SOURCES];       /* how many stand in it by source; those that share a slot share its number */
    struct door_pass *first, **last; /* in the order of coming */
    struct alarm hurry;
};
struct door_pass {     /* inside a stream that shakes hands */
    struct door *door; /* bor; NULL: has none */
    struct door_pass *next, **pprev;
    int64_t since; /* mono ms */
    uint8_t source, stage;
};
void door_init(struct door *g, struct loop *l, unsigned most);
void door_init_yielding(struct door *g, struct loop *l, unsigned most); /* has no acceptor */
void door_hurry(struct door *g); /* ends those that have stood in it for a second, though it is not full */
void door_done(struct door *g);  /* ends all that stand in it */
