#pragma once
/* Second half of exchange_world.h: the node's catalog and grant, and how a test lets time and bytes pass. */
#include "tests/unit/gateway/exchange_manifest.h"
#include "tests/unit/gateway/exchange_world.h"

#define ROW "{\"id\":\"990101199001010019\",\"name\":\"n\",\"age\":3}"

static void plain_done(struct counted *c)
{
    mem_free(c);
}
static void head_done(struct counted *c)
{
    struct resource_head *h = (struct resource_head *)c;

    for (size_t i = 0; i < h->n; i++)
        counted_unref(h->versions[i]);
    mem_free(h);
}
static struct service *service_of(struct slice manifest, uint64_t version)
{
    struct buf said = BUF_INIT(1 << 16);
    struct connector_world none = { .workers = 1, .secrets_dir = "/nonexistent", .trust_dir = "/nonexistent" };
    struct service *s = NULL;
    struct arena a;
    struct diags d;

    arena_init(&a, 1 << 20);
    diags_init(&d, &a);
    if (service_load(manifest, version, &none, NULL, &s, &d) != ERR_OK) {
        diags_print(&d, LANG_EN, &said);
        fail_msg("%.*s", (int)said.n, said.p);
    }
    arena_done(&a);
    return s;
}
static struct service *make_service(bool safe, uint64_t version)
{
    struct buf text = BUF_INIT(1 << 16);
    struct service *s;

    buf_printf(&text, WORLD_MANIFEST, safe ? "true" : "false");
    s = service_of(buf_slice(&text), version);
    buf_done(&text);
    return s;
}
static void put_head(struct snapshot *s, bool safe, uint64_t version)
{
    struct resource_head *h = mem_zalloc(sizeof *h + sizeof h->versions[0]);

    assert_non_null(h);
    counted_init(&h->counted, head_done);
    h->n = 1;
    h->latest = version;
    h->versions[0] = make_service(safe, version);
    assert_int_equal(smap_put(&s->resources, SLICE("provider/people"), h), ERR_OK);
    counted_unref(h);
}
static int bit_of_item(void *arg, struct slice item)
{
    return catalog_item_index(arg, item);
}
static void put_grant(struct snapshot *s, const char *state, uint64_t version)
{
    const struct resource_head *h = snapshot_resource(s, SLICE("provider/people"));
    struct policy_grant_row row = { .id = SLICE("g1"),
                                    .request = SLICE("r1"),
                                    .app = SLICE("consumer/app"),
                                    .department = SLICE("consumer"),
                                    .provider = SLICE("provider"),
                                    .resource = SLICE("provider/people"),
                                    .purposes = SLICE("check"),
                                    .items = SLICE("id_no,name,age"),
                                    .state = slice_of(state),
                                    .version = version,
                                    .resource_version = 1,
                                    .day_from = 0,
                                    .day_to = 100000 };
    struct policy_grant *g = NULL;

    assert_int_equal(policy_grant_compile(&row, bit_of_item, (void *)h->versions[0]->resource, &g), ERR_OK);
    assert_int_equal(snapshot_put_grant(s, g), ERR_OK);
    counted_unref(g);
}
static struct snapshot *make_snapshot(bool safe)
{
    struct snapshot *s = snapshot_new();
    struct principal *app = mem_zalloc(sizeof *app);

    assert_true(s != NULL && app != NULL);
    counted_init(&app->counted, plain_done);
    app->active = true;
    assert_int_equal(smap_put(&s->apps, SLICE("consumer/app"), app), ERR_OK);
    counted_unref(app);
    put_head(s, safe, 1);
    put_grant(s, "active", 1);
    return s;
}
static void world_begin(bool safe)
{
    memset(&world, 0, sizeof world);
    memset(&consumer, 0, sizeof consumer);
    memset(put_fails, 0, sizeof put_fails);
    n_logged = provider_asked = provider_dropped = provider_ended = 0;
    provider_full = false;
    provider_put = ERR_OK;
    provider_got = BUF_INIT(256 << 20);
    consumer.room = 1 << 20;
    consumer.reading = true;
    consumer.body = BUF_INIT(8 << 20);
    world.settings.limits.body = 1 << 16;
    world.settings.limits.upload = 1 << 20;
    world.settings.limits.exchanges = 1000;
    assert_non_null(world.w = mem_zalloc(sizeof *world.w));
    world.w->cfg = (struct worker_config){
        .workers = 1, .settings = &world.settings, .running = &world.running, .gate = &world.gate
    };
    assert_non_null(world.w->loop = loop_new());
    assert_non_null(world.w->intents = mem_array(INTENT_MEMOS, sizeof *world.w->intents));
    world.w->snapshot = make_snapshot(safe);
    flood_init(&world.w->flood, 10, 100, 100, 1);
    running_init(&world.running, 1, 1000, 1000);
    alarm_init(&world.w->nudge, on_nudge);
    alarm_init(&world.w->second, on_second);
    alarm_init(&world.w->leave, on_leave);
    assert_non_null(world.w->expiry = moment_new(world.w->loop, on_expiry, world.w));
    world.peer = (struct certs_peer){ .verdict = REASON_GRANTED,
                                      .kind = CERTS_APP,
                                      .not_after = INT64_MAX,
                                      .path_until = INT64_MAX,
                                      .uri = "spiffe://test.example/dept/consumer/app/app",
                                      .object = "consumer/app" };
    world.conn = (struct connection){ .w = world.w, .peer = &world.peer, .checked = loop_now(world.w->loop) };
}
static void world_end(void)
{
    consumer.room = 1 << 20;
    memset(put_fails, 0, sizeof put_fails);
    if (world.w->exchanges && world.w->exchanges->call)
        exchange_consumer_gone(world.w->exchanges, REASON_CONSUMER_GONE);
    tell_all(ERR_OK);
    assert_null(world.w->exchanges); /* nothing is left behind */
    alarm_clear(&world.w->nudge);
    alarm_clear(&world.w->second);
    moment_free(world.w->expiry);
    snapshot_unref(world.w->snapshot);
    while (world.w->n_digests > 0)
        digest_free(world.w->digests[--world.w->n_digests]);
    loop_free(world.w->loop);
    for (struct exchange *x; (x = world.w->spare) != NULL; mem_free(x))
        world.w->spare = x->next;
    mem_free(world.w->intents), mem_free(world.w);
    buf_done(&consumer.body);
    buf_done(&provider_got);
}
/* A head, without the Host line. */
static struct exchange *ask_with(const char *text, size_t arena_left)
{
    struct buf all = BUF_INIT(1 << 16);
    struct http_head h;
    const char *why = "";

    buf_printf(&all, "%sHost: h\r\n\r\n", text);
    assert_int_equal(http_head_parse(buf_slice(&all), true, &h, &why), ERR_OK);
    world.x = exchange_new(world.w, &world.conn, &consumer_table, &consumer);
    assert_non_null(world.x);
    if (arena_left < SIZE_MAX)
        world.x->arena.cap = world.x->arena.used + arena_left;
    ask_read(world.x, &h);
    world.x->body_told = h.has_length ? h.length : 0;
    buf_done(&all);
    exchange_resume(world.x);
    return world.x;
}
static struct exchange *ask(const char *text)
{
    return ask_with(text, SIZE_MAX);
}
static struct exchange *ask_plain(void)
{
    struct exchange *x = ask("GET /x/provider/people HTTP/1.1\r\n");

    x->body_done = true;
    exchange_resume(x);
    return x;
}
static void stop_turning(struct alarm *a)
{
    (void)a;
    loop_stop(world.w->loop);
}
static void let_pass(int64_t ms)
{
    struct alarm a;

    alarm_init(&a, stop_turning);
    alarm_set(world.w->loop, &a, ms);
    loop_run(world.w->loop);
}
