/* Life cycles: activating and disabling departments, applications and people; activating a policy; submitting,
 * publishing, suspending and retiring resources; roles of people. */
#include "gateway/api_list.h"

/* ---- departments, applications, people ---- */
static const struct subject_noun {
    const char *name, *singular;
    enum catalog_kind kind;
    bool pair;
} subjects[] = {
    { "departments", "department", CATALOG_DEPARTMENT, false },
    { "apps", "app", CATALOG_APP, true },
    { "people", "person", CATALOG_PERSON, true },
    { "resources", "resource", CATALOG_RESOURCE, true },
    { "policies", "policy", CATALOG_POLICY, false },
};

static const struct subject_noun *subject_of(const struct api_request *q)
{
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++)
        if (slice_is(q->path[0], subjects[i].name))
            return &subjects[i];
    return NULL;
}

static void put_moved(struct api_request *q, const struct catalog_entry *e)
{
    json_open(&q->json, '{');
    json_pair(&q->json, "kind", slice_of(catalog_kind_name(e->kind)));
    json_pair(&q->json, "id", e->id);
    json_pair(&q->json, "state", e->state);
    json_pair_u64(&q->json, "version", e->version);
    json_close(&q->json, '}');
}

static enum err record_move(struct api_request *q, struct act *a, const char *singular, struct slice verb,
                            const struct catalog_entry *e)
{
    const char *name = arena_printf(&q->arena, "%s.%.*s", singular, SLICE_ARG(verb));
    struct buf content = BUF_INIT(1024);
    struct json j;
    enum err err;

    json_init(&j, &content);
    json_open(&j, '{');
    json_pair(&j, "state", e->state);
    json_pair_u64(&j, "version", e->version);
    json_close(&j, '}');
    err = name && content.failed == ERR_OK ? act_record(q, a, name, e->id, buf_slice(&content)) : ERR_NOMEM;
    buf_done(&content);
    return err;
}

/* The version that is published must compile for real: mapping, connector, secrets, trust. */
static enum err compiles(struct api_request *q, struct sql_tx *tx, struct slice id, uint64_t version)
{
    struct catalog_entry entry;
    struct service *s = NULL;
    enum err e = catalog_find(tx, CATALOG_RESOURCE, id, version, &q->arena, &entry);

    if (e == ERR_OK)
        e = service_load(entry.json, entry.version, control_world(q->control), tx, &s, &q->diags);
    if (s)
        counted_unref(s);
    return e == ERR_TOO_LARGE ? ERR_INVALID : e;
}

static enum err touch_moved(struct act *a, const struct catalog_entry *e)
{
    if (e->kind == CATALOG_DEPARTMENT)
        return act_touch_apps(a, e->id);
    if (e->kind == CATALOG_APP)
        act_touch(a, SNAPSHOT_APP, e->id);
    else if (e->kind == CATALOG_RESOURCE)
        act_touch(a, SNAPSHOT_RESOURCE, e->id);
    return ERR_OK;
}

static enum err move_in(struct api_request *q, struct act *a, const struct subject_noun *n, struct slice id,
                        const struct catalog_act *act, struct catalog_entry *entry)
{
    enum err e = catalog_move(a->tx, n->kind, id, act, &q->arena, entry, &q->diags);

    if (e == ERR_OK && act->move == CATALOG_PUBLISH)
        e = compiles(q, a->tx, id, entry->version);
    if (e == ERR_OK)
        e = record_move(q, a, n->singular, q->path[q->n_path - 1], entry);
    if (e == ERR_OK)
        e = touch_moved(a, entry);
    return e;
}

static void move(struct api_request *q, const struct subject_noun *n, struct slice id, uint64_t version)
{
    struct catalog_act act = { .version = version, .by = q->actor.id, .now = control_now(q->control) };
    struct catalog_entry entry;
    struct act a;
    enum err e;

    if (!catalog_move_of(q->path[q->n_path - 1], &act.move)) {
        api_error(q, ERR_NOT_FOUND);
        return;
    }
    if (act_begin(q, &a, catalog_move_narrows(act.move)) != ERR_OK)
        return;
    e = move_in(q, &a, n, id, &act, &entry);
    if (e == ERR_OK) {
        put_moved(q, &entry);
        act_commit(q, &a);
    } else if (e == ERR_DENIED) {
        act_cancel(&a);
        api_denied(q, REASON_FOUR_EYES);
    } else {
        act_fail(q, &a, e);
    }
}

static void move_subject(struct api_request *q)
{
    const struct subject_noun *n = subject_of(q);
    struct slice id = q->path[1];

    if (n->pair && !api_id2(q, 1, &id))
        return;
    move(q, n, id, 0);
}

/* ---- policies and versions: what takes effect is what was looked at ---- */
struct version_body {
    uint64_t version;
};
static const struct doc_key version_keys[] = {
    { "version", DOC_K_U64, offsetof(struct version_body, version), 1, UINT32_MAX, .flags = DOC_REQUIRED,
      .help = { "the version that was looked at", "已审阅的版本" } },
    { .name = NULL },
};

static void move_policy(struct api_request *q)
{
    struct version_body body = { 0 };

    if (api_body(q, version_keys, &body) == ERR_OK)
        move(q, subject_of(q), q->path[1], body.version);
}

/* ---- resources: whose officer may do what ---- */
static const struct resource_verb {
    const char *verb;
    unsigned roles;
} resource_verbs[] = {
    { "submit", ROLE_PROVIDER_OFFICER },
    { "retire", ROLE_PROVIDER_OFFICER | ROLE_BUREAU_APPROVER },
    { "suspend", ROLE_PROVIDER_OFFICER | ROLE_BUREAU_APPROVER },
    { "resume", ROLE_PROVIDER_OFFICER | ROLE_BUREAU_APPROVER },
    { "publish", ROLE_BUREAU_APPROVER },
    { "return", ROLE_BUREAU_APPROVER },
};

static void move_resource(struct api_request *q)
{
    struct slice id, verb = q->path[3], department = q->path[1];
    struct version_body body = { 0 };

    if (!api_id2(q, 1, &id))
        return;
    for (size_t i = 0; i < sizeof resource_verbs / sizeof resource_verbs[0]; i++) {
        if (!slice_is(verb, resource_verbs[i].verb))
            continue;
        if (!api_role_of(q, resource_verbs[i].roles, department) ||
            (slice_is(verb, "publish") && api_body(q, version_keys, &body) != ERR_OK))
            return;
        move(q, subject_of(q), id, body.version);
        return;
    }
    api_error(q, ERR_NOT_FOUND);
}

/* ---- roles ---- */
struct role_body {
    struct slice role;
    bool on;
};
static const struct doc_key role_keys[] = {
    { "role", DOC_K_STR, offsetof(struct role_body, role), 1, 32, .flags = DOC_REQUIRED,
      .help = { "provider-officer, consumer-officer, bureau-approver, auditor, system-admin, security-admin, "
                "audit-admin",
                "provider-officer、consumer-officer、bureau-approver、auditor、system-admin、security-admin、audit-"
                "admin" } },
    { "on", DOC_K_BOOL, offsetof(struct role_body, on), .flags = DOC_REQUIRED,
      .help = { "give or take", "授予或撤销" } },
    { .name = NULL },
};

static enum err set_role(struct api_request *q, struct act *a, struct slice id, const struct role_body *b,
                         unsigned role)
{
    struct catalog_entry entry;
    struct buf content = BUF_INIT(1024);
    struct json j;
    enum err e = catalog_find(a->tx, CATALOG_PERSON, id, 0, &q->arena, &entry);

    if (e == ERR_OK)
        e = catalog_role_set(a->tx, id, role, b->on, &q->diags);
    if (e != ERR_OK)
        return e;
    json_init(&j, &content);
    json_open(&j, '{');
    json_pair(&j, "role", b->role);
    json_pair_bool(&j, "on", b->on);
    json_close(&j, '}');
    e = act_record(q, a, b->on ? "person.grant-role" : "person.revoke-role", id, buf_slice(&content));
    json_open(&q->json, '{');
    json_pair(&q->json, "id", id);
    json_pair(&q->json, "role", b->role);
    json_pair_bool(&q->json, "on", b->on);
    json_close(&q->json, '}');
    buf_done(&content);
    return e;
}

static void person_role(struct api_request *q)
{
    struct role_body b = { 0 };
    struct slice id;
    struct act a;
    unsigned role;
    enum err e;

    if (!api_id2(q, 1, &id) || api_body(q, role_keys, &b) != ERR_OK)
        return;
    if (!catalog_role_of(b.role, &role)) {
        diag_add(&q->diags, ERR_INVALID, 0, 0, "there is no role %.*s", "没有角色 %.*s", SLICE_ARG(b.role));
        api_error(q, ERR_INVALID);
        return;
    }
    if (act_begin(q, &a, !b.on) != ERR_OK)
        return;
    e = set_role(q, &a, id, &b, role);
    if (e == ERR_OK)
        act_commit(q, &a);
    else
        act_fail(q, &a, e);
}

const struct api_route api_move_routes[] = {
    { "POST", "departments/{}/activate", move_subject, ROLE_SECURITY_ADMIN, false },
    { "POST", "departments/{}/disable", move_subject, ROLE_SECURITY_ADMIN, false },
    { "POST", "apps/{}/{}/activate", move_subject, ROLE_SECURITY_ADMIN, false },
    { "POST", "apps/{}/{}/disable", move_subject, ROLE_SECURITY_ADMIN, false },
    { "POST", "people/{}/{}/activate", move_subject, ROLE_SECURITY_ADMIN, false },
    { "POST", "people/{}/{}/disable", move_subject, ROLE_SECURITY_ADMIN, false },
    { "POST", "people/{}/{}/roles", person_role, ROLE_SECURITY_ADMIN, false },
    { "POST", "policies/{}/activate", move_policy, ROLE_SECURITY_ADMIN, false },
    { "POST", "resources/{}/{}/submit", move_resource, ROLE_PROVIDER_OFFICER, false },
    { "POST", "resources/{}/{}/retire", move_resource, ROLE_PROVIDER_OFFICER | ROLE_BUREAU_APPROVER, false },
    { "POST", "resources/{}/{}/suspend", move_resource, ROLE_PROVIDER_OFFICER | ROLE_BUREAU_APPROVER, false },
    { "POST", "resources/{}/{}/resume", move_resource, ROLE_PROVIDER_OFFICER | ROLE_BUREAU_APPROVER, false },
    { "POST", "resources/{}/{}/publish", move_resource, ROLE_BUREAU_APPROVER, false },
    { "POST", "resources/{}/{}/return", move_resource, ROLE_BUREAU_APPROVER, false },
    { .method = NULL },
};
