#pragma once
/* An exchange between a consumer, a provider and a log that do what the test says. The gateway's files are included, so
 * that the three ends can be replaced by name; everything between them is the real thing. One test program each. Who
 * defines WORLD_HAS_PROVIDER brings a provider on a socket, and the connector is the real one. */
#include "tests/unit/gateway/exchange_provider.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* ---- the log: records wait until the test says what became of them ---- */
enum { LOGGED_MAX = 64 };
struct logged {
    struct audit_record r;
    char subject[256], resource[160], items[256];
    bool has_out;
    unsigned flags;
    void *waiter;
    bool told;
};
static struct logged logged[LOGGED_MAX];
static size_t n_logged;
static enum err put_fails[AUDIT_SEGMENT + 1]; /* by kind: what audit_put says */

static void keep_text(char *to, size_t room, struct slice s)
{
    snprintf(to, room, "%.*s", (int)s.n, s.n ? s.p : "");
}
static enum err world_put(struct audit_queue *q, const struct audit_record *r, unsigned flags, void *waiter)
{
    struct logged *l = &logged[n_logged];

    (void)q;
    if (put_fails[r->kind] != ERR_OK)
        return put_fails[r->kind];
    assert_true(n_logged < LOGGED_MAX);
    *l = (struct logged){ .r = *r, .flags = flags, .waiter = waiter, .has_out = r->digest_out != NULL };
    keep_text(l->subject, sizeof l->subject, r->subject);
    keep_text(l->resource, sizeof l->resource, r->resource);
    keep_text(l->items, sizeof l->items, r->items);
    n_logged++;
    return ERR_OK;
}
static struct logged *last(enum audit_kind k)
{
    for (size_t i = n_logged; i > 0; i--)
        if (logged[i - 1].r.kind == k)
            return &logged[i - 1];
    return NULL;
}
static struct slice world_origin(const struct audit_log *l)
{
    (void)l;
    return SLICE("test.example/log/n1");
}
static struct sha256 world_salt(const struct audit_log *l, struct uuid x, char direction)
{
    (void)l;
    return sha256_of2(slice_make(x.b, sizeof x.b), slice_make(&direction, 1));
}
static void world_pseudonym(const struct audit_log *l, struct slice value, char out[33])
{
    (void)l, (void)value;
    memset(out, 'a', 32);
    out[32] = '\0';
}
static struct sha256 world_keyed(const struct audit_log *l, struct slice raw)
{
    (void)l;
    return sha256_of(raw);
}
#define audit_put          world_put
#define audit_kick(q)      ((void)(q))
#define audit_nudge(q)     ((void)(q))
#define audit_look(q)      ((void)(q))
#define audit_poll(q)      ((void)(q))
#define audit_origin       world_origin
#define audit_salt         world_salt
#define audit_pseudonym    world_pseudonym
#define audit_keyed_digest world_keyed
#include "gateway/answer.c"
#include "gateway/ask.c"
#include "gateway/exchange.c"
#include "gateway/flood.c"
#include "gateway/outcome.c"
#include "gateway/record.c"
#include "gateway/relay.c"
#include "gateway/stages.c"
#include "gateway/upload.c"
#include "gateway/worker.c"

/* ---- the consumer ---- */
static struct consumer {
    int status;
    unsigned heads, ends, aborts;
    struct buf body;
    size_t room;
    bool reading;
} consumer;

static void consumer_head(void *call, const struct http_reply *r)
{
    (void)call;
    consumer.heads++;
    consumer.status = r->status;
}
static size_t consumer_body(void *call, struct slice bytes)
{
    (void)call;
    buf_put(&consumer.body, bytes);
    consumer.room -= bytes.n < consumer.room ? bytes.n : consumer.room;
    return consumer.room;
}
static void consumer_end(void *call, const struct http_header *trailers, size_t n)
{
    (void)call, (void)trailers, (void)n;
    consumer.ends++;
}
static void consumer_abort(void *call)
{
    (void)call;
    consumer.aborts++;
}
static size_t consumer_room(void *call)
{
    (void)call;
    return consumer.room;
}
static void consumer_read(void *call, bool on)
{
    (void)call;
    consumer.reading = on;
}
static const struct consumer_ops consumer_table = { consumer_head,  consumer_body, consumer_end,
                                                    consumer_abort, consumer_room, consumer_read };

/* ---- a node: one application, one resource, one grant; exchange_world.c.h says which ---- */
struct world {
    struct worker *w;
    struct connection conn;
    struct certs_peer peer;
    struct settings settings;
    struct gate gate;
    struct running running;
    struct exchange *x;
};
static struct world world;

/* What became of a record. */
static void tell(struct logged *l, enum err e)
{
    assert_non_null(l);
    assert_false(l->told);
    l->told = true;
    if (l->waiter)
        on_record_done(l->waiter, e, (uint64_t)(l - logged));
}
static void tell_all(enum err e)
{
    for (size_t i = 0; i < n_logged; i++)
        if (!logged[i].told)
            tell(&logged[i], e);
}
#include "tests/unit/gateway/exchange_node.h"
