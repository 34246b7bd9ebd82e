#pragma once
/* Sees to it that a stop comes to an end. A thread of its own takes SIGTERM and SIGINT and passes them to the control
 * thread; when what limits.drain allows and a grace have passed and the process still runs, a disk that does not answer
 * holds a thread, and the guard ends the process as a kill would: the next start closes what was open.
 * Thread rule: guard_allow from any thread, the rest belongs to the main thread. */
#include "base/core/core.h"
#include <pthread.h>
#include <stdatomic.h>

enum { GUARD_GRACE_MS = 10000 };
struct guard {
    pthread_t thread;
    bool running;
    int signals, end, asked; /* own: descriptors; `asked` is readable once for each request to stop */
    _Atomic int64_t drain_ms;
};
/* SIGTERM and SIGINT must be blocked in every thread. */
enum err guard_start(struct guard *g, int64_t drain_ms, struct diags *d) MUST_CHECK;
void guard_allow(struct guard *g, int64_t drain_ms); /* limits.drain after a reload */
void guard_end(struct guard *g);                     /* the process ends by itself */
