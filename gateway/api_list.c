/* Lists, and the small values that all answers have in common. */
#include "gateway/api_list.h"

#include <stdio.h>

static bool number(struct api_request *q, const char *name, uint64_t max, uint64_t *ret)
{
    struct slice text = api_query(q, name);

    return text.n == 0 || slice_u64(text, 0, max, ret);
}

bool api_list_begin(struct api_request *q, struct api_list *l)
{
    *l = (struct api_list){ .q = q, .j = &q->json, .limit = CONTROL_ROWS_MAX };
    if (!number(q, "limit", CONTROL_ROWS_MAX, &l->limit) || !number(q, "offset", UINT32_MAX, &l->offset) ||
        l->limit == 0) {
        api_problem(q, REASON_PARAMETER_INVALID, "limit is 1 to 1000, offset a number",
                    "limit 为 1 到 1000，offset 为数字");
        return false;
    }
    json_open(l->j, '{');
    json_key(l->j, "items");
    json_open(l->j, '[');
    return true;
}

bool api_list_state(struct api_request *q, const char *const names[])
{
    struct slice state = api_query(q, "state");
    struct buf all = BUF_INIT(512);

    for (size_t i = 0; names[i]; i++) {
        if (slice_is(state, names[i]))
            state.n = 0;
        buf_printf(&all, "%s%s", i ? ", " : "", names[i]);
    }
    if (state.n > 0) {
        diag_add(&q->diags, ERR_INVALID, 0, 0, "there is no state %.*s here, but: %.*s", "没有状态 %.*s，可用：%.*s",
                 SLICE_ARG(state), SLICE_ARG(buf_slice(&all)));
        api_problem(q, REASON_PARAMETER_INVALID, q->diags.first ? q->diags.first->what[LANG_EN] : NULL,
                    q->diags.first ? q->diags.first->what[LANG_ZH] : NULL);
    }
    buf_done(&all);
    return state.n == 0;
}

enum err api_list_next(struct api_list *l)
{
    uint64_t at = l->seen++;

    if (at < l->offset)
        return ERR_AGAIN;
    if (at < l->offset + l->limit)
        return ERR_OK;
    l->more = true;
    return ERR_CLOSED;
}

void api_list_end(struct api_list *l, enum err e)
{
    if (e != ERR_OK && e != ERR_CLOSED) {
        api_error(l->q, e);
        return;
    }
    json_close(l->j, ']');
    json_pair_bool(l->j, "more", l->more);
    json_close(l->j, '}');
    api_ok(l->q);
}

void api_put_time(struct json *j, const char *key, int64_t wall_ms)
{
    char text[CLOCK_TEXT];

    if (wall_ms == 0)
        return;
    clock_text(wall_ms, text);
    json_pair(j, key, slice_of(text));
}

void api_put_date(struct json *j, const char *key, int32_t days)
{
    char mem[32];
    struct buf b = { .p = mem, .room = sizeof mem, .cap = sizeof mem };

    clock_put_date(&b, days);
    json_pair(j, key, buf_slice(&b));
}

void api_put_names(struct json *j, const char *key, struct slice joined)
{
    json_key(j, key);
    json_open(j, '[');
    while (joined.n > 0)
        json_str(j, slice_cut(&joined, ','));
    json_close(j, ']');
}

struct slice api_join(struct arena *a, const struct doc_strs *s)
{
    size_t n = 0;
    char *text, *at;

    for (size_t i = 0; i < s->n; i++)
        n += s->at[i].n + 1;
    text = at = arena_alloc(a, n ? n : 1);
    if (text == NULL || n == 0)
        return (struct slice){ 0 };
    for (size_t i = 0; i < s->n; i++) {
        memcpy(at, s->at[i].p, s->at[i].n);
        at += s->at[i].n;
        *at++ = ',';
    }
    return slice_make(text, n - 1);
}

void api_put_window(struct json *j, const struct api_window *w)
{
    char hours[32];

    json_key(j, "window");
    json_open(j, '{');
    api_put_date(j, "from", w->day_from);
    api_put_date(j, "to", w->day_to);
    if (w->minute_from != w->minute_to && !(w->minute_from == 0 && w->minute_to == 1440)) {
        snprintf(hours, sizeof hours, "%02d:%02d-%02d:%02d", w->minute_from / 60, w->minute_from % 60,
                 w->minute_to / 60, w->minute_to % 60);
        json_pair(j, "hours", slice_of(hours));
    }
    if (w->weekdays != 0) {
        json_key(j, "weekdays");
        json_open(j, '[');
        for (unsigned d = 0; d < 7; d++)
            if (w->weekdays & 1u << d)
                json_u64(j, d + 1);
        json_close(j, ']');
    }
    json_close(j, '}');
}

/* Past its end a grant is expired, whatever is stored. */
static struct slice grant_state(const struct policy_grant_row *g, int64_t now)
{
    bool over = clock_day_of(now) > g->day_to || (g->expires != 0 && now >= g->expires);

    return over && (slice_is(g->state, "active") || slice_is(g->state, "suspended")) ? SLICE("expired") : g->state;
}

void api_put_grant_members(struct json *j, const struct policy_grant_row *g, int64_t now)
{
    struct api_window w = { g->day_from, g->day_to, g->minute_from, g->minute_to, g->weekdays };

    json_pair(j, "id", g->id);
    json_pair_u64(j, "version", g->version);
    json_pair(j, "state", grant_state(g, now));
    json_pair(j, "request", g->request);
    json_pair(j, "app", g->app);
    json_pair(j, "department", g->department);
    json_pair(j, "provider", g->provider);
    json_pair(j, "resource", g->resource);
    json_pair_u64(j, "resource_version", g->resource_version);
    api_put_names(j, "items", g->items);
    api_put_names(j, "clear", g->clear);
    api_put_names(j, "purposes", g->purposes);
    json_pair(j, "basis", g->basis);
    api_put_window(j, &w);
    api_put_time(j, "expires", g->expires);
    if (g->max_rows)
        json_pair_u64(j, "max_rows", g->max_rows);
    json_opt(j, "author", g->author);
    api_put_names(j, "approvers", g->approvers);
    json_opt(j, "note", g->note);
    json_opt(j, "changed_by", g->changed_by);
    api_put_time(j, "created", g->created);
    api_put_time(j, "changed", g->changed);
}

void api_put_grant(struct json *j, const struct policy_grant_row *g, int64_t now)
{
    json_open(j, '{');
    api_put_grant_members(j, g, now);
    json_close(j, '}');
}

struct policy_actor api_policy_actor(const struct api_request *q)
{
    return (struct policy_actor){ .id = q->actor.id,
                                  .department = q->actor.department,
                                  .provider_officer = q->actor.roles & ROLE_PROVIDER_OFFICER,
                                  .consumer_officer = q->actor.roles & ROLE_CONSUMER_OFFICER,
                                  .bureau_approver = q->actor.roles & ROLE_BUREAU_APPROVER };
}
