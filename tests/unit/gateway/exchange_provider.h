#pragma once
/* The provider of exchange_world.h: what it is asked and sent is counted and kept, what it says the test says. */
#include "gateway/exchange.h"

#include <stdio.h>

static unsigned provider_asked, provider_dropped, provider_ended;
static struct buf provider_got; /* of a body that streams */
static bool provider_full;      /* it takes no more */
static enum err provider_put;   /* what connector_put says */
static enum err provider_start; /* and connector_start */
#ifndef WORLD_HAS_PROVIDER
static const struct connector_events *provider_events;
static void *provider_user;
static enum err world_start(struct connector_pool *p, struct connector_target *t, const struct connector_request *q,
                            const struct connector_events *e, void *user, struct connector_call **ret)
{
    (void)p, (void)t, (void)q;
    provider_events = e;
    provider_user = user;
    if (provider_start != ERR_OK)
        return provider_start;
    provider_asked++;
    *ret = (struct connector_call *)&provider_asked;
    return ERR_OK;
}
static int64_t world_asked(const struct connector_call *c)
{
    (void)c;
    return 1; /* at once: before the exchange noted that it asks */
}
static void world_read(struct connector_call *c, bool on)
{
    (void)c, (void)on;
}
static bool world_room(const struct connector_call *c)
{
    (void)c;
    return !provider_full;
}
static enum err world_put_body(struct connector_call *c, struct slice bytes)
{
    (void)c;
    buf_put(&provider_got, bytes);
    return provider_put;
}
static enum err world_put_end(struct connector_call *c)
{
    (void)c;
    provider_ended++;
    return ERR_OK;
}
static struct connector_call *world_abort(struct connector_call *c)
{
    (void)c;
    provider_dropped++;
    return NULL;
}
static void provider_says(const char *body, bool whole)
{
    const unsigned before = provider_dropped;

    provider_events->head(provider_user, &(struct connector_head){ 200, SLICE("application/json"), true, false });
    if (provider_dropped == before)
        provider_events->body(provider_user, slice_of(body));
    if (whole && provider_dropped == before)
        provider_events->end(provider_user);
}
#define connector_start        world_start
#define connector_asked        world_asked
#define connector_read         world_read
#define connector_room         world_room
#define connector_put          world_put_body
#define connector_put_end      world_put_end
#define connector_most(c, n)   ((void)(c), (void)(n))
#define connector_abort        world_abort
#define connector_pool_trim(p) ((void)(p), false)
#endif
