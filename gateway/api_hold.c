/* Holds on the log, and what retention would do: a hold keeps every record from its time on until it is released.
 * There is no route that removes a record. */
#include "gateway/api_list.h"
#include "gateway/retention.h"

#include <stdio.h>

struct hold_body {
    int64_t from;
    struct slice reason;
};
#define REASON(at)                                                                                                     \
    {                                                                                                                  \
        "reason", DOC_K_STR, at, 1, 1000, .flags = DOC_REQUIRED, .help = { "why", "理由" }                             \
    }
static const struct doc_key add_keys[] = {
    { "from", DOC_K_TIME, offsetof(struct hold_body, from),
      .help = { "records from here on; else all", "自此时间起的记录；缺省为全部" } },
    REASON(offsetof(struct hold_body, reason)),
    { .name = NULL },
};
static const struct doc_key release_keys[] = { REASON(offsetof(struct hold_body, reason)), { .name = NULL } };
#undef REASON

static bool reason_good(struct api_request *q, struct slice reason)
{
    if (!text_names_person(reason))
        return true;
    diag_add(&q->diags, ERR_INVALID, 0, 0, "a reason holds no identity number", "理由不得含公民身份号码");
    api_error(q, ERR_INVALID);
    return false;
}

static void put_hold(struct json *j, const struct audit_hold *h)
{
    char id[32];

    snprintf(id, sizeof id, "h%llu", (unsigned long long)h->id);
    json_open(j, '{');
    json_pair(j, "id", slice_of(id));
    json_pair(j, "state", h->released ? SLICE("released") : SLICE("held"));
    api_put_time(j, "from", h->from);
    json_pair(j, "reason", h->reason);
    json_opt(j, "author", h->author);
    api_put_time(j, "created", h->created);
    api_put_time(j, "released", h->released);
    json_opt(j, "released_by", h->released_by);
    json_opt(j, "release_reason", h->release_reason);
    json_close(j, '}');
}

/* One record for what was done, then commit: the answer is in q->out. */
static void commit(struct api_request *q, struct act *a, const char *verb, const struct audit_hold *h, enum err e)
{
    struct buf content = BUF_INIT(1 << 14);
    char id[32];
    struct json j;

    if (e != ERR_OK) {
        buf_done(&content);
        act_fail(q, a, e);
        return;
    }
    snprintf(id, sizeof id, "h%llu", (unsigned long long)h->id);
    json_init(&j, &content);
    json_open(&j, '{');
    api_put_time(&j, "from", h->from);
    json_pair(&j, "reason", h->reason);
    json_close(&j, '}');
    e = content.failed == ERR_OK ? act_record(q, a, verb, slice_of(id), buf_slice(&content)) : content.failed;
    buf_done(&content);
    if (e == ERR_OK)
        act_commit(q, a);
    else
        act_fail(q, a, e);
}

static void add(struct api_request *q)
{
    struct hold_body b = { 0 };
    struct audit_hold h = { 0 };
    struct act a;
    enum err e;

    if (api_body(q, add_keys, &b) != ERR_OK || !reason_good(q, b.reason) || act_begin(q, &a, false) != ERR_OK)
        return;
    h = (struct audit_hold){
        .from = b.from, .reason = b.reason, .author = q->actor.id, .created = control_now(q->control)
    };
    e = audit_hold_add(a.tx, &h);
    if (e == ERR_OK)
        put_hold(&q->json, &h);
    commit(q, &a, "audit.hold", &h, e);
}

struct shown {
    struct json *j;
    uint64_t id;
};

static enum err show_one(void *arg, const struct audit_hold *h)
{
    const struct shown *s = arg;

    if (h->id == s->id)
        put_hold(s->j, h);
    return ERR_OK;
}

static void release(struct api_request *q)
{
    struct slice id = q->path[2];
    struct hold_body b = { 0 };
    struct audit_hold h = { 0 };
    struct act a;
    enum err e;

    if (api_body(q, release_keys, &b) != ERR_OK || !reason_good(q, b.reason))
        return;
    if (!slice_starts(id, SLICE("h")) || !slice_u64(slice_sub(id, 1, id.n), 1, (uint64_t)1 << 53, &h.id)) {
        api_error(q, ERR_NOT_FOUND);
        return;
    }
    if (act_begin(q, &a, false) != ERR_OK)
        return;
    h.reason = b.reason;
    h.released = control_now(q->control);
    e = audit_hold_release(a.tx, h.id, q->actor.id, b.reason, h.released);
    if (e == ERR_CONFLICT)
        diag_add(&q->diags, e, 0, 0, "the hold was released before", "该留存令已解除");
    if (e == ERR_OK)
        e = audit_hold_each(a.tx, show_one, &(struct shown){ &q->json, h.id });
    commit(q, &a, "audit.release", &h, e);
}

struct listing {
    struct json *j;
};

static enum err list_one(void *arg, const struct audit_hold *h)
{
    put_hold(((struct listing *)arg)->j, h);
    return ERR_OK;
}

static void list(struct api_request *q)
{
    struct listing l = { &q->json };
    struct sql_tx *tx;
    enum err e;

    if (api_read(q, &tx) != ERR_OK)
        return;
    json_open(&q->json, '{');
    json_key(&q->json, "items");
    json_open(&q->json, '[');
    e = audit_hold_each(tx, list_one, &l);
    json_close(&q->json, ']');
    json_pair_bool(&q->json, "more", false);
    json_close(&q->json, '}');
    api_read_end(q, tx);
    if (e == ERR_OK)
        api_ok(q);
    else
        api_error(q, e);
}

static const char *const kept_by[] = {
    [AUDIT_KEPT_AGE] = "age",   [AUDIT_KEPT_CLOCK] = "clock", [AUDIT_KEPT_HOLD] = "hold",
    [AUDIT_KEPT_LAST] = "last", [AUDIT_KEPT_INDEX] = "index", [AUDIT_KEPT_GRANT] = "grant",
};

static void retention(struct api_request *q)
{
    const struct evidence_settings *s = &control_settings(q->control)->evidence;
    struct audit_index_status x;
    struct audit_retention r;
    struct audit_prunable p;
    struct json *j = &q->json;
    struct sql_tx *tx;
    bool ok;

    if (api_read(q, &tx) != ERR_OK)
        return;
    ok = retention_plan(q->control, tx, &r, &p);
    api_read_end(q, tx);
    if (!ok) {
        api_error(q, ERR_AGAIN);
        return;
    }
    audit_index_status(q->control->index, &x);
    json_open(j, '{');
    json_pair_u64(j, "retain_exchanges", s->retain_exchanges);
    json_pair_u64(j, "retain_operations", s->retain_operations);
    json_pair_u64(j, "log_days", (uint64_t)(x.elapsed_ms / 86400000));
    json_pair_u64(j, "first", p.first);
    json_pair_u64(j, "removable_before", p.before);
    json_pair_u64(j, "removable_segments", p.segments);
    json_pair_u64(j, "removable_bytes", p.bytes);
    json_pair(j, "kept_by", slice_of(kept_by[p.kept_by]));
    json_close(j, '}');
    api_ok(q);
}

enum { HOLDERS = ROLE_AUDITOR | ROLE_BUREAU_APPROVER, SEERS = HOLDERS | ROLE_AUDIT_ADMIN };
const struct api_route api_hold_routes[] = {
    { "GET", "audit/holds", list, SEERS, false },
    { "POST", "audit/holds", add, HOLDERS, false },
    { "POST", "audit/holds/{}/release", release, HOLDERS, false },
    { "GET", "audit/retention", retention, SEERS, false },
    { .method = NULL },
};
