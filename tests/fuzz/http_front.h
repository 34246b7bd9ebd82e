#pragma once
/* A whole server connection for fuzzers: the real one over a socket pair, with a service that answers, deterministic
 * and without waiting. Must hold: every call that is shown ends once, with sent or gone; the connection's owner is
 * closed as often as opened; a call is shown its end at most once and nothing after it. */
#include "base/net/net.h"

#include <stdlib.h>

enum { FRONT_CALLS = 512, FRONT_OUTPUT = 2 << 20 };
struct front_one {
    struct http_call *call;
    bool open, ended, answered;
    uint8_t kind; /* how it is answered, by the last byte of its path */
    size_t given;
};
struct front {
    struct loop *loop;
    struct http_conn *conn;
    struct front_one one[FRONT_CALLS];
    size_t n, opened, closed;
    size_t output; /* bytes that came back */
    size_t steps;  /* of memory that are left to the connection */
    char last[FRONT_OUTPUT];
};

static inline void must(bool holds)
{
    if (!holds)
        abort();
}

/* Say `data` in pieces of `step` bytes, wake who was paused, hear the rest, and go. What came back is in f->last. The
 * loop is kept: making one costs more than a run. */
void front_run(struct front *f, struct slice data, size_t step, bool http2);
