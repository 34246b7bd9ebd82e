/* The stages from the head to the provider: who asks, for what, may they, is there room, the intent, the call. Each
 * either moves on, waits for an event, or fails with a reason. */
#include "gateway/calm.h"
#include "gateway/upload.h"

enum { RECHECK_MS = 60000, LONG_TEXT = 16 * 1024 /* of shorter ones PRESSURE_EXCHANGE bears all copies */ };
static const char memory_short_en[] = "the gateway's memory is short", memory_short_zh[] = "网关内存不足";

/* Copies of a long text, its body or what is made of it, take from the room that the process has left. */
static bool has_room(const struct exchange *x, size_t text, unsigned copies)
{
    return text <= LONG_TEXT || pressure_take(x->w->cfg.pressure, text * copies);
}

bool exchange_name(struct exchange *x, const struct certs_peer *peer)
{
    x->stranger = peer == NULL || peer->verdict != REASON_GRANTED;
    if (x->stranger)
        return false;
    memcpy(x->uri, peer->uri, sizeof x->uri);
    memcpy(x->who, peer->object, sizeof x->who);
    return true;
}

/* A fault of the head is refused before anybody is judged; but it is on record whose it was. */
enum step stage_read_head(struct exchange *x)
{
    if (x->reason == REASON_INTERNAL)
        return STEP_NEXT;
    exchange_name(x, x->conn->peer);
    return exchange_fail(x, x->reason, x->detail[LANG_EN], x->detail[LANG_ZH]);
}

/* ---- identify ---- */

/* The peer was judged at its handshake. Look again when trust has changed, and now and then, for lists run out and
 * certificates expire. */
static enum reason judge(struct exchange *x, const struct certs_peer *peer)
{
    struct connection *c = x->conn;
    struct worker *w = x->w;
    int64_t now = loop_now(w->loop), wall = loop_wall(w->loop);
    enum reason r;

    if (peer->verdict != REASON_GRANTED)
        return peer->verdict;
    if (wall >= peer->not_after)
        return REASON_CERTIFICATE_EXPIRED;
    if (c->trust_generation == w->snapshot->trust_generation && now - c->checked < RECHECK_MS)
        return REASON_GRANTED;
    r = certs_peer_recheck(w->trust.trust, peer, wall);
    if (r == REASON_GRANTED) {
        c->trust_generation = w->snapshot->trust_generation;
        c->checked = now;
    }
    return r;
}

enum step stage_identify(struct exchange *x)
{
    const struct certs_peer *peer = x->conn->peer;
    enum reason r = judge(x, peer);

    exchange_name(x, peer);
    if (r != REASON_GRANTED)
        return exchange_fail(x, r, NULL, NULL);
    if (peer->kind != CERTS_APP && !(x->log != NULL && peer->kind == CERTS_GATEWAY))
        return exchange_fail(x, REASON_CERTIFICATE_UNKNOWN,
                             "data is given to applications; people use the control listener",
                             "数据仅提供给应用；人员请使用管理端口");
    return STEP_NEXT;
}

/* ---- resolve ---- */

static bool is_live(const struct exchange *x, const struct policy_grant *g)
{
    int64_t now = loop_wall(x->w->loop);

    return g->state == POLICY_ACTIVE && (g->expires == 0 || now < g->expires) && clock_day_of(now) <= g->day_to;
}

static void fill_time(struct policy_facts *f, int64_t now)
{
    f->now = now;
    f->day = clock_day_of(now);
    f->minute = (int16_t)clock_minute_of(now);
    f->weekday = (uint8_t)clock_weekday(f->day);
}

/* Would this grant alone permit the call, as far as version and items are no matter? */
static bool permits(const struct exchange *x, const struct policy_grant *g)
{
    struct policy_facts f = { .app = slice_of(x->who),
                              .app_active = true,
                              .resource_published = true,
                              .resource_callable = true,
                              .purpose = x->ask.purpose,
                              .grants = &g,
                              .n_grants = 1 };

    fill_time(&f, loop_wall(x->w->loop));
    return policy_decide(&f).permit;
}

static uint64_t newest_of(const struct exchange *x, const struct resource_head *h, const struct grant_set *set,
                          bool (*counts)(const struct exchange *x, const struct policy_grant *g))
{
    uint64_t v = 0;

    for (size_t i = 0; i < set->n; i++) {
        const struct policy_grant *g = grant_set_all(set)[i];
        if (counts(x, g) && g->resource_version > v && resource_version(h, g->resource_version))
            v = g->resource_version;
    }
    return v;
}

/* The version that the call is for: the named grant's, else the newest of those whose grants permit the call now (one
 * that begins later, or is for another purpose, stands in nobody's way), else the newest that a live grant of this
 * application is for, else the newest published. */
static uint64_t choose_version(const struct exchange *x, const struct resource_head *h, const struct grant_set *set)
{
    uint64_t v = 0;

    for (size_t i = 0; i < set->n && x->ask.grant.n > 0; i++)
        if (slice_is(x->ask.grant, policy_grant_id(grant_set_all(set)[i])))
            return grant_set_all(set)[i]->resource_version;
    if (set->n > 1) /* one alone is for its version, whatever becomes of it */
        v = newest_of(x, h, set, permits);
    if (v == 0)
        v = newest_of(x, h, set, is_live);
    return v ? v : h->latest;
}

static void read_params(struct exchange *x)
{
    const struct translate_plan *plan = x->service->plan;
    struct slice items = { 0 };
    enum err e;

    if (!has_room(x, x->body.n, 1)) {
        x->param_fault =
            (struct translate_refusal){ .reason = REASON_OVERLOADED,
                                        .detail = { [LANG_EN] = memory_short_en, [LANG_ZH] = memory_short_zh } };
        return;
    }
    if (x->ask.get)
        e = translate_params_query(plan, x->ask.query, &x->arena, &x->params, &items, &x->param_fault);
    else
        e = translate_params_json(plan, x->body.n ? buf_slice(&x->body) : SLICE("{}"), &x->arena, &x->params, &items,
                                  &x->param_fault);
    if (e != ERR_OK && x->param_fault.reason == REASON_INTERNAL)
        x->param_fault.reason = e == ERR_NOMEM                        ? REASON_OVERLOADED
                                : e == ERR_INVALID || e == ERR_SYNTAX ? REASON_PARAMETER_INVALID
                                                                      : REASON_REQUEST_TOO_LARGE;
    if (x->body.n > LONG_TEXT) /* its values are in the arena now */
        exchange_body_done(x);
    x->items_named = items;
    x->asked_items = items.p != NULL; /* named, be it with nothing: then nothing is given */
}

/* Valid until the stage waits: then there may be another snapshot. */
static const struct found *find(struct exchange *x)
{
    struct found *f = &x->conn->found;
    const struct snapshot *s = x->w->snapshot;
    struct slice r = x->ask.resource, who = slice_of(x->who);

    if (f->in == s && f->generation == s->generation && slice_eq(r, (struct slice){ f->resource, f->n }))
        return f;
    f->app = snapshot_app(s, who);
    f->head = snapshot_resource(s, r);
    f->set = snapshot_pair(s, who, r);
    f->generation = s->generation;
    f->in = r.n <= sizeof f->resource ? s : NULL; /* a longer name is looked up each time */
    f->n = f->in ? r.n : 0;
    memcpy(f->resource, r.p, f->n);
    return f;
}

enum step stage_resolve(struct exchange *x)
{
    const struct found *found = find(x);
    const struct resource_head *h = found->head;
    struct service *s = h ? resource_version(h, choose_version(x, h, &found->set)) : NULL;

    /* Chosen anew after each wait: what was there when the head came may have been retired before the body did. */
    counted_unref(x->service);
    x->service = s ? counted_ref(s) : NULL;
    if (h == NULL)
        x->raw = x->ask.resource;
    if (s == NULL)
        return exchange_fail(x, REASON_NOT_PUBLISHED, NULL, NULL);
    if (found->set.n == 0 || x->service->plan == NULL)
        return STEP_NEXT; /* the decision refuses; the body need not be looked at */
    if (x->ask.late != REASON_INTERNAL || translate_upload(x->service->plan))
        return upload_resolve(x);
    if (!x->body_done)
        return STEP_WAIT;
    read_params(x);
    return STEP_NEXT;
}

/* ---- decide ---- */
static void name_items(struct exchange *x, struct policy_items *ret)
{
    struct slice rest = x->items_named;

    while (rest.n > 0) {
        int i = catalog_item_index(x->service->resource, slice_trim(slice_cut(&rest, ',')));
        if (i < 0 || i >= POLICY_ITEM_WORDS * 64)
            x->unknown_item = true;
        else
            ret->bit[i / 64] |= 1ULL << (i % 64);
    }
}

/* `found` must live as long as the facts. */
static void fill_facts(struct exchange *x, const struct found *found, struct policy_facts *f)
{
    const struct principal *app = found->app;
    const struct resource_head *h = found->head;

    f->app = slice_of(x->who);
    f->app_active = app && app->active;
    f->resource_published = h && h->n > 0;
    f->resource_suspended = h && h->suspended;
    f->resource_callable = x->service->plan != NULL && x->service->target != NULL;
    f->purpose = x->ask.purpose;
    f->grant = x->ask.grant;
    f->items_named = x->asked_items;
    name_items(x, &f->items);
    fill_time(f, x->decided_wall);
    f->grants = grant_set_all(&found->set);
    f->n_grants = found->set.n;
    f->named = x->ask.grant.n > 0 ? snapshot_grant(x->w->snapshot, x->ask.grant) : NULL;
}

enum step stage_decide(struct exchange *x)
{
    struct policy_facts f = { 0 };

    x->decided = loop_now(x->w->loop);
    x->decided_wall = loop_wall(x->w->loop);
    if (x->decided != x->began) { /* the body was waited for: what the head was judged by may have ended */
        enum reason r = judge(x, x->conn->peer);
        if (r != REASON_GRANTED)
            return exchange_fail(x, r, NULL, NULL);
    }
    fill_facts(x, find(x), &f);
    x->generation = x->w->snapshot->generation;
    x->verdict = policy_decide(&f);
    /* A refusal must not tell one application of another's grant. */
    if (x->verdict.grant && strcmp(policy_grant_app(x->verdict.grant), x->who) == 0)
        x->grant = counted_ref((void *)x->verdict.grant);
    for (size_t i = 0; i < x->verdict.n_matches; i++)
        x->grant_ids[i] = arena_str(&x->arena, slice_of(policy_grant_id(x->verdict.matches[i])));
    if (!x->verdict.permit)
        return exchange_fail(x, x->verdict.reason, NULL, NULL);
    if (x->unknown_item)
        return exchange_fail(x, REASON_ITEM_NOT_GRANTED, "_items names an item that the resource does not have",
                             "_items 含有该数据资源没有的数据项");
    if (x->grant->resource_version != x->service->version)
        return exchange_fail(x, REASON_GRANT_AMBIGUOUS,
                             "name the grant in Sluice-Grant: grants are for several versions of the resource",
                             "授权对应数据资源的多个版本，请在 Sluice-Grant 中指明");
    return STEP_NEXT;
}

/* ---- admit ---- */
static struct slice department_of(struct slice app)
{
    return slice_sub(app, 0, slice_find(app, '/'));
}

static bool is_acceptable(const struct exchange *x)
{
    const struct translate_plan *p = x->service->plan;

    return translate_whole(p) ? translate_whole_wanted(p, x->ask.accept) : !x->ask.no_form;
}

static void count_admitted(struct exchange *x)
{
    exchange_begun(x, false);
    x->w->n_admitted++;
    x->admitted = true;
}

/* One of its department's places, then memory, which is not given back before the next look; else it is refused. */
static bool take_room(struct exchange *x)
{
    struct worker *w = x->w;

    if (!running_enter_each(w->cfg.running, x->group)) {
        exchange_fail(x, REASON_RATE_LIMITED, "too many exchanges of your department run at once",
                      "本部门同时进行的交换过多");
        return false;
    }
    if (pressure_take(w->cfg.pressure, x->up ? PRESSURE_EXCHANGE + UPLOAD_ROOM : PRESSURE_EXCHANGE))
        return true;
    running_leave_each(w->cfg.running, x->group);
    calm_later(w);
    exchange_fail(x, REASON_OVERLOADED, memory_short_en, memory_short_zh);
    return false;
}

enum step stage_admit(struct exchange *x)
{
    struct worker *w = x->w;

    if (!is_acceptable(x))
        return exchange_fail(x, REASON_NOT_ACCEPTABLE, NULL, NULL);
    if (translate_whole(x->service->plan) &&
        (x->verdict.items.bit[0] >> translate_whole_item(x->service->plan) & 1) == 0)
        return exchange_fail(x, REASON_ITEM_NOT_GRANTED, "the file is the answer's only item",
                             "文件是响应唯一的数据项");
    if (x->up != NULL && !upload_granted(x))
        return STEP_NEXT;
    if (x->param_fault.reason != REASON_INTERNAL)
        return exchange_fail(x, x->param_fault.reason, x->param_fault.detail[LANG_EN], x->param_fault.detail[LANG_ZH]);
    if (w->draining)
        return exchange_fail(x, REASON_DRAINING, NULL, NULL);
    if (gate_reason(w->cfg.gate) != REASON_GRANTED)
        return exchange_fail(x, gate_reason(w->cfg.gate), NULL, NULL);
    if (!running_enter(w->cfg.running))
        return exchange_fail(x, REASON_OVERLOADED, NULL, NULL);
    if (take_room(x)) {
        count_admitted(x);
        exchange_watch(x);
        return STEP_NEXT;
    }
    running_leave(w->cfg.running);
    return STEP_NEXT;
}

/* ---- intent ---- */
enum step stage_intent(struct exchange *x)
{
    enum err e = ERR_OK;

    if (!x->intent.pending && !x->intent.durable && !x->intent.failed)
        e = record_intent(x);
    if (e == ERR_AGAIN)
        return STEP_WAIT; /* for room; the provider is asked no sooner */
    if (x->intent.failed || e != ERR_OK)
        return exchange_fail(x, REASON_EVIDENCE_UNAVAILABLE, NULL, NULL);
    if (x->intent.pending && !translate_safe(x->service->plan))
        return STEP_WAIT; /* only what changes nothing may be asked before its intent is durable */
    return STEP_NEXT;
}

/* ---- open ---- */
static enum err render(struct exchange *x, struct translate_request *out, struct translate_refusal *why)
{
    char now[CLOCK_TEXT];
    struct translate_context c = { .operator_ = x->ask.operator_,
                                   .case_ = x->ask.case_,
                                   .app = slice_of(x->who),
                                   .purpose = x->verdict.purpose,
                                   .exchange = slice_of(x->id_text) };

    c.department = department_of(c.app);
    if (translate_asks_now(x->service->plan)) {
        clock_text(loop_wall(x->w->loop), now);
        c.now = arena_dup(&x->arena, slice_of(now)); /* a header may borrow it */
        if (c.now.p == NULL)
            return ERR_NOMEM;
    }
    return translate_render(x->service->plan, &x->params, &c, &x->arena, out, why);
}

/* A connection's peer is the same for all its exchanges. */
static uint64_t party_hash(struct exchange *x)
{
    struct connection *c = x->conn;

    if (c->party_hash == 0)
        c->party_hash = slice_hash(department_of(slice_of(x->who)), 0);
    return c->party_hash;
}

static enum err start(struct exchange *x, const struct translate_request *r)
{
    struct http_header headers[sizeof r->headers / sizeof r->headers[0] + 1];
    char trace[TRACE_TEXT];
    struct connector_request q = { .method = r->method,
                                   .target = r->target,
                                   .content_type = r->content_type,
                                   .body = r->body,
                                   .headers = headers,
                                   .n_headers = r->n_headers,
                                   .party = department_of(slice_of(x->who)),
                                   .party_hash = party_hash(x),
                                   .safe = translate_safe(x->service->plan) };

    if (translate_whole(x->service->plan))
        q.accept = translate_whole_types(x->service->plan);
    if (x->up != NULL && !upload_open(x, &q))
        return ERR_NOMEM;
    for (size_t i = 0; i < r->n_headers; i++)
        headers[i] = (struct http_header){ r->headers[i].name, r->headers[i].value };
    headers[q.n_headers++] = (struct http_header){ SLICE("traceparent"), trace_parent(x, trace) };
    return connector_start(x->w->pool, x->service->target, &q, &relay_events, x, &x->provider);
}

enum step stage_open(struct exchange *x)
{
    struct translate_request *request = arena_zalloc(&x->arena, sizeof *request);
    struct translate_refusal why = { 0 };
    enum err e;

    bool two = !translate_whole(x->service->plan); /* else what comes is what goes */

    x->digest_in = two ? worker_digest(x->w) : NULL;
    x->digest_out = worker_digest(x->w);
    if (request == NULL || (two && x->digest_in == NULL) || x->digest_out == NULL)
        return exchange_fail(x, REASON_OVERLOADED, NULL, NULL);
    e = render(x, request, &why);
    if (e != ERR_OK)
        return exchange_fail(x,
                             why.reason       ? why.reason
                             : e == ERR_NOMEM ? REASON_OVERLOADED
                                              : REASON_PARAMETER_INVALID,
                             why.detail[LANG_EN], why.detail[LANG_ZH]);
    if (!has_room(x, request->body.n, 2)) /* in the arena, and on its way */
        return exchange_fail(x, REASON_OVERLOADED, memory_short_en, memory_short_zh);
    e = start(x, request);
    if (e == ERR_BUSY)
        return exchange_fail(x, REASON_PROVIDER_BUSY, NULL, NULL);
    if (e == ERR_NOT_FOUND)
        return exchange_fail(x, REASON_PROVIDER_UNPREPARED, NULL, NULL);
    if (e == ERR_TOO_LARGE)
        return exchange_fail(x, REASON_REQUEST_TOO_LARGE, "the request to the provider exceeds its limit",
                             "发往提供方的请求超过上限");
    if (e != ERR_OK)
        return exchange_fail(x, e == ERR_NOMEM ? REASON_OVERLOADED : REASON_PROVIDER_UNREACHABLE, NULL, NULL);
    x->asked_at = loop_now(x->w->loop);
    x->reached = REACHED_UNKNOWN;
    return STEP_NEXT;
}
