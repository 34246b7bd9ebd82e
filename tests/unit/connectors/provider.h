#pragma once
/* What the tests of connectors share: manifests compiled from text, and a provider of the tests' own, with blocking
 * sockets and a thread a connection, that behaves by the path it is asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "connectors/internal.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* /ok answers "c<connection>r<request on it>"; /slow after 150 ms; /stale likewise, but takes the next request on that
 * connection and closes; /dead closes without an answer; /hang never answers; /cut ends inside the body; /chunks; /big
 * 4 MiB; /gzip claims a coding; /held answers half, and the rest when
 * told to go on; /noise is no HTTP; /show answers the request's own head and body. */
struct provider {
    int fd;
    unsigned port;
    _Atomic unsigned connections, requests, now, most; /* now, most: answers under way */
    _Atomic unsigned threads;
    _Atomic bool stop, go_on;
};
void provider_start(struct provider *p);
void provider_stop(struct provider *p);

struct text_target {
    struct arena arena;
    struct diags d;
    struct connector_target *target;
    enum err err;
};
/* Compile a manifest whose connector is this YAML map (flow style); more: further top-level YAML, or NULL. */
void compile_text(struct text_target *t, const struct connector_world *w, bool check_only, const char *connector,
                  const char *more);
void compile_done(struct text_target *t);

/* A provider, a target of it that takes plain HTTP, and a pool on a loop; more: further members of the connector. */
struct scene {
    struct provider provider;
    struct loop *loop;
    struct connector_pool *pool;
    struct text_target t;
};
void scene_begin(struct scene *s, const char *more);
void scene_end(struct scene *s);
