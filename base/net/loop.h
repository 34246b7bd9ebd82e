#pragma once
/* One event loop a thread, without locks: readiness, alarms, messages from other threads, deferred frees, end-of-turn
 * work. */
#include "base/core/core.h"

struct loop;
struct event;
struct event_base;

struct loop *loop_new(void);                  /* NULL: no memory or descriptors */
struct loop *loop_free(struct loop *l);       /* after loop_run has returned */
void loop_run(struct loop *l);                /* until loop_stop */
void loop_stop(struct loop *l);               /* from the loop's own thread */
int64_t loop_now(struct loop *l);             /* monotonic ms, read once a turn */
int64_t loop_now_ns(struct loop *l);          /* the same moment in ns */
int64_t loop_wall(struct loop *l);            /* wall ms, read once a turn */
struct event_base *loop_base(struct loop *l); /* inside base/net only */

/* A message from any thread: fn(arg) runs on the loop's thread, in the order of sending for one sender.
 * The node is the sender's and must live until fn runs. */
struct loop_msg {
    struct loop_msg *next;
    void (*fn)(void *arg);
    void *arg;
};
void loop_post(struct loop *l, struct loop_msg *m);

/* Freed when the running turn is over, so that callbacks further up may still look at it. */
struct grave {
    struct grave *next;
    void (*free)(struct grave *);
};
void loop_bury(struct loop *l, struct grave *g, void (*free)(struct grave *));

/* Run once at the end of this turn, before anything is freed. The node must not be given twice before it ran. */
struct later {
    struct later *next;
    void (*fn)(struct later *);
};
void loop_later(struct loop *l, struct later *node, void (*fn)(struct later *));

/* Called once at the end of every turn, in the order of adding; at most 4. */
void loop_on_turn(struct loop *l, void (*fn)(void *arg), void *arg);

/* The next turn takes what is ready and does not wait for more. */
void loop_again(struct loop *l);

/* Watch a foreign descriptor (eventfd, signalfd, socket) for reading. */
struct watch;
struct watch *watch_new(struct loop *l, int fd, void (*fn)(void *arg), void *arg); /* borrows fd */
struct watch *watch_free(struct watch *w);

/* Alarms: cheap time-outs in a wheel of 64 ms slots; moving one later costs a store. Fires once, up to 64 ms late,
 * never early. */
enum { ALARM_SLOT_MS = 64 };
struct alarm {
    struct alarm *next, **pprev;
    int64_t when, slot; /* ms: due; its slot comes up */
    void (*fn)(struct alarm *);
};
void alarm_init(struct alarm *a, void (*fn)(struct alarm *));
void alarm_set(struct loop *l, struct alarm *a, int64_t ms); /* from now; replaces what was set */
void alarm_clear(struct alarm *a);
/* Does not fire until it is set again. Cheaper than alarm_clear when that is soon; but it stays in the wheel: only
 * alarm_clear lets its memory go. */
void alarm_rest(struct alarm *a);

/* An exact alarm, for the few things that a slot's delay would matter to: a timer of its own, to the millisecond. */
struct moment;
struct moment *moment_new(struct loop *l, void (*fn)(void *arg), void *arg); /* not set; NULL: no memory */
void moment_set(struct moment *m, int64_t ms);                               /* from now; replaces what was set */
struct moment *moment_free(struct moment *m);

/* Scratch of the loop's thread: one block for reading, valid until the callback returns. */
enum { LOOP_SCRATCH = 64 * 1024 };
char *loop_scratch(struct loop *l);
