/* Grants: reading them, and taking them back. */
#include "gateway/api_list.h"

/* ---- reading ---- */
struct listing {
    struct api_list list;
    bool expired_only, not_expired; /* "expired" is no stored state */
};

static bool is_over(const struct policy_grant_row *g, int64_t now)
{
    return clock_day_of(now) > g->day_to || (g->expires != 0 && now >= g->expires);
}

static enum err list_one(void *arg, const struct policy_grant_row *g)
{
    struct listing *l = arg;
    int64_t now = control_now(l->list.q->control);
    bool over = is_over(g, now) && (slice_is(g->state, "active") || slice_is(g->state, "suspended"));
    enum err e;

    if ((l->expired_only && !over) || (l->not_expired && over))
        return ERR_OK;
    e = api_list_next(&l->list);
    if (e == ERR_OK)
        api_put_grant(l->list.j, g, now);
    return api_list_skip(e);
}

static void list(struct api_request *q)
{
    static const char *const states[] = { "active", "suspended", "revoked", "returned", "expired", NULL };
    struct policy_grant_filter f = { .app = api_query(q, "app"),
                                     .resource = api_query(q, "resource"),
                                     .department = api_query(q, "department"),
                                     .provider = api_query(q, "provider"),
                                     .state = api_query(q, "state") };
    struct listing l = { .expired_only = slice_is(f.state, "expired"),
                         .not_expired = slice_is(f.state, "active") || slice_is(f.state, "suspended") };
    struct sql_tx *tx;
    enum err e;

    if (l.expired_only)
        f.state = (struct slice){ 0 };
    if (!api_list_state(q, states) || !api_list_begin(q, &l.list) || api_read(q, &tx) != ERR_OK)
        return;
    e = policy_grant_each(tx, &f, NULL, list_one, &l);
    api_read_end(q, tx);
    api_list_end(&l.list, e);
}

static enum err put_version(void *arg, const struct policy_grant_row *g)
{
    struct api_request *q = arg;

    api_put_grant(&q->json, g, control_now(q->control));
    return ERR_OK;
}

/* The grant with its versions, oldest first. */
static enum err put_whole(struct api_request *q, struct sql_tx *tx, const struct policy_grant_row *g)
{
    struct json *j = &q->json;
    enum err e;

    json_open(j, '{');
    api_put_grant_members(j, g, control_now(q->control));
    json_key(j, "versions");
    json_open(j, '[');
    e = policy_grant_versions(tx, g->id, NULL, put_version, q);
    json_close(j, ']');
    json_close(j, '}');
    return e;
}

static void show(struct api_request *q)
{
    struct policy_grant_row row;
    struct sql_tx *tx;
    enum err e;

    if (api_read(q, &tx) != ERR_OK)
        return;
    e = policy_grant_find(tx, q->path[1], &q->arena, &row);
    if (e == ERR_OK)
        e = put_whole(q, tx, &row);
    api_read_end(q, tx);
    if (e == ERR_OK)
        api_ok(q);
    else
        api_error(q, e);
}

/* ---- changing ---- */
struct note_body {
    struct slice note;
};
static const struct doc_key note_keys[] = {
    { "note", DOC_K_STR, offsetof(struct note_body, note), 1, 1000, .flags = DOC_REQUIRED, .help = { "why", "理由" } },
    { .name = NULL },
};
static const struct change {
    const char *verb, *recorded;
    enum policy_change change;
    bool narrows;
} changes[] = {
    { "revoke", "grant.revoke", POLICY_REVOKE, true },
    { "suspend", "grant.suspend", POLICY_SUSPEND, true },
    { "resume", "grant.resume", POLICY_RESUME, false },
    { "give-back", "grant.give-back", POLICY_GIVE_BACK, true },
};

static enum err change_in(struct api_request *q, struct act *a, const struct change *ch, struct slice note,
                          enum reason *why_not)
{
    struct policy_actor by = api_policy_actor(q);
    struct policy_grant_row row;
    struct buf content = BUF_INIT(1 << 16);
    struct json j;
    enum err e = policy_grant_change(a->tx, q->path[1], ch->change, note, &by, control_now(q->control), &q->arena, &row,
                                     why_not, &q->diags);

    if (e != ERR_OK)
        return e;
    json_init(&j, &content);
    json_open(&j, '{');
    json_pair(&j, "app", row.app);
    json_pair(&j, "resource", row.resource);
    json_pair_u64(&j, "version", row.version);
    json_pair(&j, "state", row.state);
    json_pair(&j, "note", note);
    json_close(&j, '}');
    e = content.failed == ERR_OK ? act_record(q, a, ch->recorded, row.id, buf_slice(&content)) : content.failed;
    buf_done(&content);
    act_touch(a, SNAPSHOT_GRANT, row.id);
    api_put_grant(&q->json, &row, control_now(q->control));
    return e;
}

static void change(struct api_request *q)
{
    const struct change *ch = NULL;
    enum reason why_not = REASON_ROLE_MISSING;
    struct note_body b = { 0 };
    struct act a;
    enum err e;

    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
        if (slice_is(q->path[2], changes[i].verb))
            ch = &changes[i];
    if (api_body(q, note_keys, &b) != ERR_OK || act_begin(q, &a, ch->narrows) != ERR_OK)
        return;
    e = change_in(q, &a, ch, b.note, &why_not);
    if (e == ERR_OK) {
        act_commit(q, &a);
    } else if (e == ERR_DENIED) {
        act_cancel(&a);
        api_denied(q, why_not);
    } else {
        if (e == ERR_INVALID)
            diag_add(&q->diags, e, 0, 0, "a note says why, in at most 1000 characters, without an identity number",
                     "note 须说明理由，至多 1000 字，且不得含公民身份号码");
        act_fail(q, &a, e);
    }
}

enum { TAKERS = ROLE_PROVIDER_OFFICER | ROLE_BUREAU_APPROVER };
const struct api_route api_grant_routes[] = {
    { "GET", "grants", list, 0, false },
    { "GET", "grants/{}", show, 0, false },
    { "POST", "grants/{}/revoke", change, TAKERS, false },
    { "POST", "grants/{}/suspend", change, TAKERS, false },
    { "POST", "grants/{}/resume", change, TAKERS, false },
    { "POST", "grants/{}/give-back", change, ROLE_CONSUMER_OFFICER, false },
    { .method = NULL },
};
