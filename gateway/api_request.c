/* Requests and approvals: who asks for which items, why and until when, and through which steps it goes. */
#include "gateway/api_list.h"

/* ---- the body of a new request ---- */
struct window_body {
    int32_t from, to;
    struct slice hours;
    struct doc_strs weekdays;
};
static const struct doc_key window_keys[] = {
    { "from", DOC_K_DATE, offsetof(struct window_body, from),
      .help = { "first day; default today", "起始日期，默认今天" } },
    { "to", DOC_K_DATE, offsetof(struct window_body, to), .flags = DOC_REQUIRED, .help = { "last day", "截止日期" } },
    { "hours", DOC_K_STR, offsetof(struct window_body, hours), 11, 11, .help = { "as 08:00-18:00", "如 08:00-18:00" } },
    { "weekdays", DOC_K_STRS, offsetof(struct window_body, weekdays), .help = { "1 Monday to 7", "1（周一）至 7" } },
    { .name = NULL },
};
struct wish_body {
    struct slice resource;
    struct doc_strs items, clear;
    uint64_t version;
};
static const struct doc_key wish_keys[] = {
    { "resource", DOC_K_PATH2, offsetof(struct wish_body, resource), .flags = DOC_REQUIRED,
      .help = { "department/resource", "部门/数据资源" } },
    { "items", DOC_K_STRS, offsetof(struct wish_body, items), .flags = DOC_REQUIRED,
      .help = { "item names", "数据项" } },
    { "clear", DOC_K_STRS, offsetof(struct wish_body, clear),
      .help = { "items wanted without their mask", "免脱敏数据项" } },
    { "version", DOC_K_U64, offsetof(struct wish_body, version), 1, UINT32_MAX,
      .help = { "default: the latest published", "默认为最新发布版本" } },
    { .name = NULL },
};
struct request_body {
    struct slice app, basis, scenario;
    struct doc_strs purposes;
    const struct doc *resources, *window;
    int64_t expires;
    uint64_t max_rows;
};
#define AT(field) offsetof(struct request_body, field)
static const struct doc_key request_keys[] = {
    { "app", DOC_K_PATH2, AT(app), .flags = DOC_REQUIRED, .help = { "department/app", "部门/应用" } },
    { "resources", DOC_K_LIST, AT(resources), .flags = DOC_REQUIRED,
      .help = { "a list of {resource, items, clear, version}", "{resource, items, clear, version} 列表" } },
    { "purposes", DOC_K_STRS, AT(purposes), .flags = DOC_REQUIRED, .help = { "purpose codes", "用途代码" } },
    { "basis", DOC_K_STR, AT(basis), 1, 1000, .flags = DOC_REQUIRED, .help = { "legal basis", "依据" } },
    { "scenario", DOC_K_STR, AT(scenario), 1, 1000, .flags = DOC_REQUIRED, .help = { "use scenario", "使用场景" } },
    { "window", DOC_K_MAP, AT(window), .flags = DOC_REQUIRED,
      .help = { "{from, to, hours, weekdays}", "{from, to, hours, weekdays}" } },
    { "expires", DOC_K_TIME, AT(expires), .help = { "first moment it no longer holds", "失效时刻" } },
    { "max_rows", DOC_K_U64, AT(max_rows), 1, UINT32_MAX, .help = { "most records in one answer", "单次最多记录数" } },
    { .name = NULL },
};
#undef AT

static bool two_digits(struct slice s, size_t at, unsigned max, unsigned *ret)
{
    uint64_t v;

    if (!slice_u64(slice_sub(s, at, 2), 0, max, &v))
        return false;
    *ret = (unsigned)v;
    return true;
}

/* "HH:MM-HH:MM", a span; 24:00 ends a day. */
static bool read_hours(struct slice s, int16_t *from, int16_t *to)
{
    unsigned h1, m1, h2, m2;

    if (s.n != 11 || s.p[2] != ':' || s.p[5] != '-' || s.p[8] != ':' || !two_digits(s, 0, 23, &h1) ||
        !two_digits(s, 3, 59, &m1) || !two_digits(s, 6, 24, &h2) || !two_digits(s, 9, 59, &m2) || h2 * 60 + m2 > 1440)
        return false;
    *from = (int16_t)(h1 * 60 + m1);
    *to = (int16_t)(h2 * 60 + m2);
    return *from != *to; /* whoever means no hour must not get all of them */
}

static enum err read_window(struct api_request *q, const struct doc *node, struct policy_request *r)
{
    struct window_body w = { .from = clock_day_of(control_now(q->control)) };
    const struct doc *days = doc_get(node, "weekdays");
    enum err e = doc_bind(node, window_keys, &w, &q->arena, &q->diags);

    if (e != ERR_OK)
        return e;
    r->day_from = w.from;
    r->day_to = w.to;
    if (w.hours.n > 0 && !read_hours(w.hours, &r->minute_from, &r->minute_to))
        e = diag_add(&q->diags, ERR_INVALID, node->line, node->col,
                     "hours are as 08:00-18:00, the whole day 00:00-24:00",
                     "hours 形如 08:00-18:00，全天为 00:00-24:00");
    if (days != NULL && days->type == DOC_LIST && days->count == 0) /* whoever means no day must not get all of them */
        e = diag_add(&q->diags, ERR_INVALID, node->line, node->col, "weekdays names no day: leave it out for every day",
                     "weekdays 未写明任何一天：每天有效时请删去");
    for (size_t i = 0; i < w.weekdays.n; i++) {
        uint64_t day;
        if (slice_u64(w.weekdays.at[i], 1, 7, &day))
            r->weekdays |= (uint8_t)(1u << (day - 1));
        else
            e = diag_add(&q->diags, ERR_INVALID, node->line, node->col, "weekdays are 1 (Monday) to 7",
                         "weekdays 为 1（周一）至 7");
    }
    return e;
}

/* ---- wishes: against the published version ---- */
static enum err check_items(struct api_request *q, const struct doc *node, const struct service *s,
                            const struct doc_strs *items)
{
    enum err e = ERR_OK;

    for (size_t i = 0; i < items->n; i++)
        if (catalog_item_index(s->resource, items->at[i]) < 0)
            e = diag_add(&q->diags, ERR_INVALID, node->line, node->col, "%.*s has no item '%.*s'",
                         "%.*s 没有数据项“%.*s”", SLICE_ARG(s->resource->id), SLICE_ARG(items->at[i]));
    return e;
}

static const struct service *service_of(const struct api_request *q, struct slice resource, uint64_t version)
{
    const struct resource_head *h = snapshot_resource(control_snapshot(q->control), resource);

    return h ? resource_version(h, version ? version : h->latest) : NULL;
}

/* The stricter of two sharing attributes: that of the version, and that of the newest. So neither an old version nor a
 * new one is a way around what the other says. */
static struct slice share_of(const struct api_request *q, const struct service *s)
{
    static const char *const strictest_first[] = { "none", "conditional", "unconditional" };
    const struct service *newest = service_of(q, s->resource->id, 0);

    for (size_t i = 0; i < sizeof strictest_first / sizeof *strictest_first; i++)
        if (slice_is(s->resource->share, strictest_first[i]) ||
            (newest != NULL && slice_is(newest->resource->share, strictest_first[i])))
            return slice_of(strictest_first[i]);
    return SLICE("none");
}

static enum err read_wish(struct api_request *q, const struct doc *node, struct policy_wish *to)
{
    struct wish_body w = { 0 };
    const struct service *s;
    enum err e = doc_bind(node, wish_keys, &w, &q->arena, &q->diags), e2;

    if (e != ERR_OK)
        return e;
    s = service_of(q, w.resource, w.version);
    if (s == NULL)
        return diag_add(&q->diags, ERR_INVALID, node->line, node->col, "there is no published resource %.*s",
                        "没有已发布的数据资源 %.*s", SLICE_ARG(w.resource));
    if (slice_is(share_of(q, s), "none"))
        return diag_add(&q->diags, ERR_INVALID, node->line, node->col,
                        "%.*s is not shared: its catalog entry says on what basis", "%.*s 不予共享：依据见其目录登记",
                        SLICE_ARG(w.resource));
    e = check_items(q, node, s, &w.items);
    e2 = check_items(q, node, s, &w.clear);
    *to = (struct policy_wish){ .resource = w.resource,
                                .provider = slice_sub(w.resource, 0, slice_find(w.resource, '/')),
                                .resource_version = s->version,
                                .items = api_join(&q->arena, &w.items),
                                .clear = api_join(&q->arena, &w.clear) };
    return e != ERR_OK ? e : e2;
}

static enum err read_wishes(struct api_request *q, const struct doc *list, struct policy_request *r)
{
    struct policy_wish *at;
    enum err e = ERR_OK;

    if (list->count == 0 || list->count > POLICY_WISHES_MAX)
        return diag_add(&q->diags, ERR_INVALID, list->line, list->col, "name 1 to 64 resources",
                        "数据资源为 1 至 64 个");
    at = arena_array(&q->arena, list->count, sizeof *at);
    if (at == NULL)
        return ERR_NOMEM;
    DOC_EACH(node, list)
    {
        enum err e2 = read_wish(q, node, &at[r->n_wishes++]);
        e = e != ERR_OK ? e : e2;
    }
    r->wishes = at;
    return e;
}

static enum err read_request(struct api_request *q, const struct request_body *b, struct policy_request *r)
{
    enum err e, e2;

    *r = (struct policy_request){ .app = b->app,
                                  .department = slice_sub(b->app, 0, slice_find(b->app, '/')),
                                  .purposes = api_join(&q->arena, &b->purposes),
                                  .basis = b->basis,
                                  .scenario = b->scenario,
                                  .expires = b->expires,
                                  .max_rows = b->max_rows };
    e = read_window(q, b->window, r);
    e2 = read_wishes(q, b->resources, r);
    return e != ERR_OK ? e : e2;
}

/* ---- writing ---- */
/* Whoever decides is told which of the items the application would send, not get. */
static void put_sent(struct json *j, const struct api_request *q, const struct policy_wish *wish)
{
    const struct service *s = service_of(q, wish->resource, wish->resource_version);

    if (s != NULL && s->plan != NULL && translate_upload(s->plan))
        json_pair(j, "sends", s->resource->items[translate_upload_item(s->plan)].name);
}

/* q: for whom it is shown; NULL: it is recorded, as it was asked for. */
static void put_request_members(struct json *j, const struct policy_request *r, const struct api_request *q)
{
    struct api_window w = { r->day_from, r->day_to, r->minute_from, r->minute_to, r->weekdays };

    json_pair(j, "app", r->app);
    api_put_names(j, "purposes", r->purposes);
    json_pair(j, "basis", r->basis);
    json_pair(j, "scenario", r->scenario);
    api_put_window(j, &w);
    api_put_time(j, "expires", r->expires);
    if (r->max_rows)
        json_pair_u64(j, "max_rows", r->max_rows);
    json_key(j, "resources");
    json_open(j, '[');
    for (size_t i = 0; i < r->n_wishes; i++) {
        const struct policy_wish *wish = &r->wishes[i];
        json_open(j, '{');
        json_pair(j, "resource", wish->resource);
        json_pair_u64(j, "version", wish->resource_version);
        api_put_names(j, "items", wish->items);
        api_put_names(j, "clear", wish->clear);
        if (q == NULL) {
            api_put_names(j, "steps", wish->steps);
        } else {
            json_pair_u64(j, "part", wish->part);
            put_sent(j, q, wish);
        }
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void put_request_head(struct json *j, const struct policy_request *r, const struct api_request *q)
{
    json_pair(j, "id", r->id);
    json_pair(j, "state", r->state);
    json_pair(j, "department", r->department);
    json_pair(j, "author", r->author);
    api_put_time(j, "created", r->created);
    put_request_members(j, r, q);
}

/* ---- create ---- */
/* The steps of each wish, by the sharing attribute and the policy of this moment: they stay the request's. */
static enum err choose_steps(struct api_request *q, struct sql_tx *tx, struct policy_request *r)
{
    struct policy_wish *at = arena_array(&q->arena, r->n_wishes, sizeof *at);
    enum err e = at != NULL ? ERR_OK : ERR_NOMEM;

    for (size_t i = 0; e == ERR_OK && i < r->n_wishes; i++) {
        const struct service *s = service_of(q, r->wishes[i].resource, r->wishes[i].resource_version);

        if (s == NULL) /* read_wish found it in this turn */
            return ERR_CORRUPT;
        at[i] = r->wishes[i];
        e = catalog_policy_steps(tx, share_of(q, s), &q->arena, &at[i].steps);
        if (at[i].steps.n == 0)
            at[i].steps = POLICY_STEPS_DEFAULT;
    }
    r->wishes = at;
    return e;
}

static enum err record_request(struct api_request *q, struct act *a, struct slice id, const struct policy_request *r)
{
    struct buf content = BUF_INIT(4 << 20);
    struct json j;
    enum err e;

    json_init(&j, &content);
    json_open(&j, '{');
    put_request_members(&j, r, NULL);
    json_close(&j, '}');
    e = content.failed == ERR_OK ? act_record(q, a, "request.create", id, buf_slice(&content)) : content.failed;
    buf_done(&content);
    return e;
}

static enum err create_in(struct api_request *q, struct act *a, struct policy_request *r, struct slice *id)
{
    struct policy_actor by = api_policy_actor(q);
    struct catalog_entry app;
    enum err e = catalog_find(a->tx, CATALOG_APP, r->app, 0, &q->arena, &app);

    if (e == ERR_NOT_FOUND)
        return diag_add(&q->diags, ERR_INVALID, 0, 0, "there is no application %.*s", "没有应用 %.*s",
                        SLICE_ARG(r->app));
    if (e == ERR_OK)
        e = choose_steps(q, a->tx, r);
    if (e == ERR_OK)
        e = policy_request_create(a->tx, r, &by, control_now(q->control), &q->arena, id, &q->diags);
    return e == ERR_OK ? record_request(q, a, *id, r) : e;
}

static void create(struct api_request *q)
{
    struct request_body b = { 0 };
    struct policy_request r;
    struct slice id = { 0 };
    struct act a;
    enum err e;

    if (api_body(q, request_keys, &b) != ERR_OK)
        return;
    if (!api_role_of(q, ROLE_CONSUMER_OFFICER, slice_sub(b.app, 0, slice_find(b.app, '/'))))
        return;
    e = read_request(q, &b, &r);
    if (e != ERR_OK) {
        api_error(q, e);
        return;
    }
    if (act_begin(q, &a, false) != ERR_OK)
        return;
    e = create_in(q, &a, &r, &id);
    if (e != ERR_OK) {
        act_fail(q, &a, e);
        return;
    }
    json_open(&q->json, '{');
    json_pair(&q->json, "id", id);
    json_pair(&q->json, "state", SLICE("open"));
    json_close(&q->json, '}');
    act_commit(q, &a);
}

/* ---- read ---- */
static enum err list_one(void *arg, const struct policy_request *r)
{
    struct api_list *l = arg;
    enum err e = api_list_next(l);

    if (e == ERR_OK) {
        json_open(l->j, '{');
        put_request_head(l->j, r, l->q);
        json_close(l->j, '}');
    }
    return api_list_skip(e);
}

static void list(struct api_request *q)
{
    static const char *const states[] = { "open", "granted", "rejected", "returned", "withdrawn", NULL };
    struct api_list l;
    struct sql_tx *tx;
    enum err e;

    if (!api_list_state(q, states) || !api_list_begin(q, &l) || api_read(q, &tx) != ERR_OK)
        return;
    e = policy_request_each(tx, api_query(q, "state"), list_one, &l);
    api_read_end(q, tx);
    api_list_end(&l, e);
}

static enum err put_approval(void *arg, const struct policy_approval *ap)
{
    struct json *j = arg;

    json_open(j, '{');
    json_pair_u64(j, "part", ap->part);
    json_pair(j, "step", ap->step);
    json_opt(j, "department", ap->department);
    json_opt(j, "provider", ap->provider);
    json_pair(j, "state", ap->state);
    json_opt(j, "by", ap->by);
    json_opt(j, "note", ap->note);
    api_put_time(j, "at", ap->at);
    json_close(j, '}');
    return ERR_OK;
}

struct grants_of {
    struct api_request *q;
    const struct policy_request *request;
};

static enum err put_grant_of(void *arg, const struct policy_grant_row *g)
{
    struct grants_of *of = arg;

    if (slice_eq(g->request, of->request->id))
        api_put_grant(&of->q->json, g, control_now(of->q->control));
    return ERR_OK;
}

static enum err put_whole(struct api_request *q, struct sql_tx *tx, const struct policy_request *r)
{
    struct policy_grant_filter f = { .app = r->app };
    struct grants_of of = { q, r };
    struct json *j = &q->json;
    enum err e;

    json_open(j, '{');
    put_request_head(j, r, q);
    json_key(j, "approvals");
    json_open(j, '[');
    e = policy_approval_each(tx, r->id, &q->arena, put_approval, j);
    json_close(j, ']');
    json_key(j, "grants");
    json_open(j, '[');
    if (e == ERR_OK)
        e = policy_grant_each(tx, &f, NULL, put_grant_of, &of);
    json_close(j, ']');
    json_close(j, '}');
    return e;
}

static void show(struct api_request *q)
{
    struct policy_request r;
    struct sql_tx *tx;
    enum err e;

    if (api_read(q, &tx) != ERR_OK)
        return;
    e = policy_request_find(tx, q->path[1], &q->arena, &r);
    if (e == ERR_OK)
        e = put_whole(q, tx, &r);
    api_read_end(q, tx);
    if (e == ERR_OK)
        api_ok(q);
    else
        api_error(q, e);
}

/* ---- take back ---- */
static void withdraw(struct api_request *q)
{
    struct policy_actor by = api_policy_actor(q);
    struct policy_request r;
    struct act a;
    enum err e;

    if (act_begin(q, &a, false) != ERR_OK)
        return;
    e = policy_request_withdraw(a.tx, q->path[1], &by, &q->arena, &r);
    if (e == ERR_OK)
        e = act_record(q, &a, "request.withdraw", q->path[1], SLICE("{}"));
    if (e != ERR_OK) {
        act_fail(q, &a, e);
        return;
    }
    json_open(&q->json, '{');
    put_request_head(&q->json, &r, q);
    json_close(&q->json, '}');
    act_commit(q, &a);
}

const struct api_route api_request_routes[] = {
    { "POST", "requests", create, ROLE_CONSUMER_OFFICER, false },
    { "GET", "requests", list, 0, false },
    { "GET", "requests/{}", show, 0, false },
    { "POST", "requests/{}/withdraw", withdraw, ROLE_CONSUMER_OFFICER, false },
    { .method = NULL },
};
