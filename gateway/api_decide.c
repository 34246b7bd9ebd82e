/* Deciding requests: approving, rejecting, returning. The last approval of a part brings its grants. */
#include "gateway/api_list.h"

struct decide_body {
    struct slice note;
    uint64_t part;
};
static const struct doc_key decide_keys[] = {
    { "note", DOC_K_STR, offsetof(struct decide_body, note), 0, 1000, .help = { "why", "理由" } },
    { "part", DOC_K_U64, offsetof(struct decide_body, part), 1, POLICY_WISHES_MAX,
      .help = { "this part only", "仅该部分" } },
    { .name = NULL },
};
static const struct decision {
    const char *verb, *recorded;
    enum policy_act act;
} decisions[] = {
    { "approve", "request.approve", POLICY_APPROVE },
    { "reject", "request.reject", POLICY_REJECT },
    { "return", "request.return", POLICY_RETURN },
};

static void put_decided(struct json *j, const struct policy_decided *done)
{
    json_key(j, "parts");
    json_open(j, '[');
    for (unsigned i = 0; i < POLICY_WISHES_MAX; i++)
        if (done->parts >> i & 1)
            json_u64(j, i + 1);
    json_close(j, ']');
    api_put_names(j, "steps", done->step);
    api_put_names(j, "providers", done->provider);
}

static enum err record_decision(struct api_request *q, struct act *a, const struct decision *d, struct slice note,
                                const struct policy_decided *done)
{
    struct buf content = BUF_INIT(1 << 16);
    struct json j;
    enum err e;

    json_init(&j, &content);
    json_open(&j, '{');
    put_decided(&j, done);
    json_opt(&j, "note", note);
    json_close(&j, '}');
    e = content.failed == ERR_OK ? act_record(q, a, d->recorded, q->path[1], buf_slice(&content)) : content.failed;
    buf_done(&content);
    return e;
}

/* A grant's record says by itself on whose authority, and why. */
static enum err record_grant(struct api_request *q, struct act *a, struct slice id)
{
    struct policy_grant_row row;
    struct policy_request request;
    struct buf content = BUF_INIT(1 << 20);
    struct json j;
    enum err e = policy_grant_find(a->tx, id, &q->arena, &row);

    if (e == ERR_OK)
        e = policy_request_find(a->tx, row.request, &q->arena, &request);
    if (e != ERR_OK)
        return e;
    json_init(&j, &content);
    json_open(&j, '{');
    api_put_grant_members(&j, &row, control_now(q->control));
    json_pair(&j, "scenario", request.scenario);
    json_close(&j, '}');
    e = content.failed == ERR_OK ? act_record(q, a, "grant.create", id, buf_slice(&content)) : content.failed;
    buf_done(&content);
    act_touch(a, SNAPSHOT_GRANT, id);
    return e;
}

static enum err decide_in(struct api_request *q, struct act *a, const struct decision *d, const struct decide_body *b,
                          enum reason *why_not)
{
    struct policy_decision what = { .act = d->act, .note = b->note, .part = b->part };
    struct policy_actor by = api_policy_actor(q);
    struct policy_decided done = { 0 };
    struct json *j = &q->json;
    enum err e = policy_decide_request(a->tx, q->path[1], &what, &by, control_now(q->control), &q->arena, &done,
                                       why_not, &q->diags);

    if (e == ERR_OK)
        e = record_decision(q, a, d, b->note, &done);
    json_open(j, '{');
    json_pair(j, "id", q->path[1]);
    put_decided(j, &done);
    json_key(j, "grants");
    json_open(j, '[');
    for (size_t i = 0; e == ERR_OK && i < done.n_grants; i++) {
        e = record_grant(q, a, done.grants[i]);
        json_str(j, done.grants[i]);
    }
    json_close(j, ']');
    json_close(j, '}');
    return e;
}

static void decide(struct api_request *q)
{
    const struct decision *d = NULL;
    enum reason why_not = REASON_ROLE_MISSING;
    struct decide_body b = { 0 };
    struct act a;
    enum err e;

    for (size_t i = 0; i < sizeof decisions / sizeof decisions[0]; i++)
        if (slice_is(q->path[2], decisions[i].verb))
            d = &decisions[i];
    if (api_body(q, decide_keys, &b) != ERR_OK || act_begin(q, &a, false) != ERR_OK)
        return;
    e = decide_in(q, &a, d, &b, &why_not);
    if (e == ERR_OK) {
        act_commit(q, &a);
    } else if (e == ERR_DENIED) {
        act_cancel(&a);
        api_denied(q, why_not);
    } else {
        act_fail(q, &a, e);
    }
}

/* Whose step it is, the step says. */
enum { DECIDERS = ROLE_PROVIDER_OFFICER | ROLE_CONSUMER_OFFICER | ROLE_BUREAU_APPROVER };
const struct api_route api_decide_routes[] = {
    { "POST", "requests/{}/approve", decide, DECIDERS, false },
    { "POST", "requests/{}/reject", decide, DECIDERS, false },
    { "POST", "requests/{}/return", decide, DECIDERS, false },
    { .method = NULL },
};
