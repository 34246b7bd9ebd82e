/* The administration API over a real state and a real log: the story from registration to revocation, who may do what,
 * and that state and evidence agree at every step. */
#include "tests/unit/gateway/control_world.h"

#include <stdio.h>
#include <stdlib.h>

static int status_of(struct node *n, const char *want)
{
    return slice_is(problem_code(n), want);
}

/* ---- routes and roles ---- */
static void set_path(struct api_request *q, const char *path)
{
    struct slice rest = slice_of(path);

    q->n_path = 0;
    while (rest.n > 0)
        q->path[q->n_path++] = slice_cut(&rest, '/');
}

static void routes_are_found(void **state)
{
    static const struct {
        const char *method, *path, *want; /* want NULL: none; "": path known, method not */
    } cases[] = {
        { "GET", "resources/public-security/household", "resources/{}/{}" },
        { "GET", "resources/public-security", NULL },
        { "GET", "departments/education", "departments/{}" },
        { "POST", "departments/education", "" },
        { "DELETE", "grants/g1", "" },
        { "POST", "grants/g1/give-back", "grants/{}/give-back" },
        { "POST", "requests/r1/approve", "requests/{}/approve" },
        { "POST", "requests/r1/approves", NULL },
        { "POST", "requests//approve", NULL },
        { "GET", "", NULL },
        { "GET", "me/x", NULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct api_request q = { .method = slice_of(cases[i].method) };
        const struct api_route *r;
        bool known;
        set_path(&q, cases[i].path);
        r = api_route_find(&q, &known);
        if (cases[i].want && *cases[i].want) {
            assert_non_null(r);
            assert_string_equal(r->path, cases[i].want);
        } else {
            assert_null(r);
            assert_int_equal(known, cases[i].want != NULL);
        }
    }
}

/* Every route that changes something needs a role; no two rows say the same; only reading is for applications. */
static void routes_are_guarded(void **state)
{
    const struct api_route *r, *other;

    (void)state;
    for (size_t i = 0; (r = api_route_at(i)) != NULL; i++) {
        assert_true(strcmp(r->method, "GET") == 0 || r->roles != 0);
        assert_true(!r->apps || strcmp(r->method, "GET") == 0);
        for (size_t k = 0; k < i; k++) {
            other = api_route_at(k);
            assert_false(strcmp(r->method, other->method) == 0 && strcmp(r->path, other->path) == 0);
        }
    }
}

/* "/requests/{id}/approve" of the description as "requests/{}/approve" of the table. */
static const char *as_pattern(struct arena *a, struct slice path)
{
    char *out = arena_zalloc(a, path.n + 1), *at = out;

    for (size_t i = 1; i < path.n; i++) {
        *at++ = path.p[i];
        if (path.p[i] == '{')
            while (path.p[i + 1] != '}')
                i++;
    }
    return out;
}

/* docs/openapi.yaml describes every route and nothing else. */
/* OpenAPI has no name for a path's rest: there it is one more parameter. */
static bool is_pattern(const char *described, const char *route)
{
    size_t n = strlen(route);

    if (route[n - 1] != '*')
        return strcmp(described, route) == 0;
    return strncmp(described, route, n - 1) == 0 && strcmp(described + n - 1, "{}") == 0;
}

static void routes_are_described(void **state)
{
    const char *source = getenv("SLUICE_SOURCE");
    const char *file;
    const struct doc *list;
    const struct api_route *r;
    size_t described = 0, routes = 0;
    struct buf text = BUF_INIT(1 << 20);
    struct arena a;

    (void)state;
    if (source == NULL || *source == '\0')
        skip();
    arena_init(&a, 16 << 20);
    file = path_join(&a, source, "docs/openapi.yaml");
    assert_non_null(file);
    assert_int_equal(file_read(file, &text, NULL), ERR_OK);
    assert_int_equal(doc_read_yaml(buf_slice(&text), &a, NULL, &list), ERR_OK);
    for (size_t i = 0; (r = api_route_at(i)) != NULL; i++, routes++) {
        bool there = false;
        DOC_EACH(path, doc_get(list->first, "paths"))
        {
            const char *method = strcmp(r->method, "GET") == 0 ? "get" : "post";
            there = there || (is_pattern(as_pattern(&a, path->key), r->path) && doc_get(path, method));
        }
        if (!there)
            fail_msg("%s %s is not described", r->method, r->path);
    }
    DOC_EACH(path, doc_get(list->first, "paths"))
    described += (doc_get(path, "get") != NULL) + (doc_get(path, "post") != NULL);
    assert_int_equal(described, routes);
    arena_done(&a);
    buf_done(&text);
}

/* Nobody without one of a route's roles gets past it, whatever the body. */
static void roles_are_checked(void **state)
{
    struct node *n = *state;
    const struct api_route *r;

    node_story(n);
    for (size_t i = 0; (r = api_route_at(i)) != NULL; i++) {
        char path[256] = "";
        struct slice rest = slice_of(r->path);
        if (r->roles == 0)
            continue;
        while (rest.n > 0) {
            struct slice part = slice_cut(&rest, '/');
            size_t at = strlen(path);
            snprintf(path + at, sizeof path - at, "%s%.*s", at ? "/" : "",
                     SLICE_ARG(slice_is(part, "{}") ? SLICE("x") : part));
        }
        for (enum who w = WHO_SYSTEM; w <= WHO_BUREAU; w++) {
            unsigned held = 0;
            struct sql_tx *tx;
            assert_int_equal(sql_begin(n->control->sql, false, &tx, NULL), ERR_OK);
            assert_int_equal(catalog_roles(tx, slice_of(n->peer[w].object), &held), ERR_OK);
            sql_rollback(tx);
            ask(n, w, r->method, path, "{}");
            if (!(held & r->roles))
                assert_true(n->status == 403 && status_of(n, "role-missing"));
        }
        assert_int_equal(ask(n, WHO_APP, r->method, path, "{}"), 403);
    }
}

static void strangers_are_refused(void **state)
{
    struct node *n = *state;
    static const enum reason verdicts[] = { REASON_INTERNAL, REASON_CERTIFICATE_MISSING, REASON_CERTIFICATE_UNKNOWN,
                                            REASON_CERTIFICATE_EXPIRED };

    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
        struct certs_peer kept;
        certs_peer_copy(&kept, &n->peer[WHO_SYSTEM]);
        n->peer[WHO_SYSTEM].verdict = verdicts[i];
        ask(n, WHO_SYSTEM, "GET", "me", NULL);
        assert_int_equal(n->status, reason_info(verdicts[i])->status);
        certs_peer_copy(&n->peer[WHO_SYSTEM], &kept);
    }
    assert_int_equal(ask(n, WHO_CONSUMER, "GET", "me", NULL), 403); /* nobody registered this person yet */
    assert_true(status_of(n, "subject-inactive"));
}

/* ---- the story ---- */
#define REQUEST_FORM                                                                                                   \
    "{\"app\":\"education/admission\",\"resources\":[{\"resource\":\"public-security/"                                 \
    "household\",\"items\":[\"id_no\","                                                                                \
    "\"name\"],\"clear\":[\"name\"]}],\"purposes\":[\"school-admission\"],\"basis\":\"义务教育法\",\"scenario\":" \
    "\"入学\","                                                                                                      \
    "\"window\":{\"to\":\"%d-12-31\",\"hours\":\"08:00-18:00\",\"weekdays\":[1,2,3,4,5]}}"

static const char *request_body(struct node *n)
{
    return arena_printf(&n->a, REQUEST_FORM, clock_civil(clock_wall_ms()).year + 1);
}

static void request_to_grant(struct node *n)
{
    if (ask(n, WHO_CONSUMER, "POST", "requests", request_body(n)) != 200)
        fail_msg("%s", n->text);
    assert_true(slice_is(doc_text(n->json, "id"), "r1"));
    assert_int_equal(ask(n, WHO_PROVIDER, "POST", "requests/r1/approve", "{}"), 200);
    assert_int_equal(ask(n, WHO_BUREAU, "POST", "requests/r1/approve", "{\"note\":\"同意\"}"), 200);
    assert_true(slice_is(doc_get(n->json, "grants")->first->text, "g1"));
}

static bool found(void *arg, uint64_t index, struct slice line)
{
    struct buf *out = arg;

    (void)index;
    buf_put(out, line);
    buf_putc(out, '\n');
    return true;
}

/* All records of a verb, as lines. */
static void records(struct node *n, const char *what, struct buf *out)
{
    struct audit_filter f = { .kind = SLICE("act"), .after = UINT64_MAX, .limit = 1000 };
    struct buf all = BUF_INIT(4 << 20);
    struct slice rest;
    bool more;

    assert_int_equal(audit_search(audit_dir(n->log), &f, found, &all, &more, &n->d), ERR_OK);
    for (rest = buf_slice(&all); rest.n > 0;) {
        struct slice line = slice_cut(&rest, '\n');
        if (memmem(line.p, line.n, what, strlen(what))) {
            buf_put(out, line);
            buf_putc(out, '\n');
        }
    }
    buf_done(&all);
}

static void a_grant_comes_and_goes(void **state)
{
    struct node *n = *state;
    const struct policy_grant *g;
    struct buf lines = BUF_INIT(1 << 20);
    static const char *const told[] = { "education/admission",
                                        "public-security/household",
                                        "id_no",
                                        "school-admission",
                                        "义务教育法",
                                        "入学",
                                        "-12-31",
                                        "08:00-18:00",
                                        "public-security/zhang",
                                        "bureau/li",
                                        "r1" };

    node_story(n);
    request_to_grant(n);
    g = snapshot_grant(n->control->snapshot, SLICE("g1"));
    assert_non_null(g);
    assert_int_equal(g->state, POLICY_ACTIVE);
    assert_int_equal(policy_grant_items(g).bit[0], 3);
    assert_int_equal(policy_grant_clear(g).bit[0], 2);
    records(n, "\"verb\":\"grant.create\"", &lines);
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
        if (memmem(lines.p, lines.n, told[i], strlen(told[i])) == NULL)
            fail_msg("%s is not in %.*s", told[i], SLICE_ARG(buf_slice(&lines)));
    assert_int_equal(ask(n, WHO_CONSUMER, "POST", "grants/g1/revoke", "{\"note\":\"x\"}"), 403);
    assert_int_equal(ask(n, WHO_PROVIDER, "POST", "grants/g1/revoke", "{\"note\":\"不再需要\"}"), 200);
    assert_int_equal(snapshot_grant(n->control->snapshot, SLICE("g1"))->state, POLICY_REVOKED);
    assert_int_equal(ask(n, WHO_PROVIDER, "POST", "grants/g1/resume", "{\"note\":\"x\"}"), 409);
    assert_int_equal(ask(n, WHO_CONSUMER, "GET", "grants?state=revoked", NULL), 200);
    assert_int_equal(doc_get(n->json, "items")->count, 1);
    buf_done(&lines);
}

static void nobody_approves_their_own(void **state)
{
    struct node *n = *state;

    const char *no_day = arena_printf(&n->a, "%.*s]}}", (int)(strlen(request_body(n)) - 12), request_body(n));

    node_story(n);
    assert_int_equal(
        ask(n, WHO_SECURITY, "POST", "people/education/zhao/roles", "{\"role\":\"provider-officer\",\"on\":true}"),
        200);
    assert_int_equal(ask(n, WHO_CONSUMER, "POST", "requests", no_day), 400); /* not every day */
    assert_int_equal(ask(n, WHO_CONSUMER, "POST", "requests", request_body(n)), 200);
    assert_int_equal(ask(n, WHO_PROVIDER, "POST", "requests/r1/approve", "{}"), 200);
    assert_int_equal(ask(n, WHO_CONSUMER, "POST", "requests/r1/approve", "{}"), 403);
    assert_true(status_of(n, "four-eyes") && slice_is(doc_text(n->json, "detail"), "you made this request"));
    assert_null(snapshot_grant(n->control->snapshot, SLICE("g1")));
}

/* The bureau's approvers are people of its department: the role is given to nobody else, and one that stands in the
 * state (given by an older program, or before another department became the bureau) does nothing. */
static void approvers_are_of_the_bureau(void **state)
{
    static const char *const acts[][2] = {
        { "requests/r1/approve", "{}" },
        { "resources/public-security/household/publish", "{\"version\":2}" },
        { "resources/public-security/household/return", NULL },
        { "audit/holds", "{\"reason\":\"x\"}" },
    };
    struct node *n = *state;
    struct sql_tx *tx;

    node_story(n);
    assert_int_equal(ask(n, WHO_SECURITY, "POST", "people/public-security/zhang/roles",
                         "{\"role\":\"bureau-approver\",\"on\":true}"),
                     409);
    assert_int_equal(sql_begin(n->control->sql, true, &tx, &n->d), ERR_OK);
    assert_int_equal(
        sql_exec(tx, "UPDATE catalog_role SET roles = roles + 4 WHERE person = 'public-security/zhang'", NULL, 0, NULL),
        ERR_OK);
    assert_int_equal(sql_commit(tx, &n->d), ERR_OK);
    assert_int_equal(ask(n, WHO_CONSUMER, "POST", "requests", request_body(n)), 200);
    assert_int_equal(ask(n, WHO_PROVIDER, "POST", "requests/r1/approve", "{}"), 200); /* the provider's step, as ever */
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        assert_int_equal(ask(n, WHO_PROVIDER, "POST", acts[i][0], acts[i][1]), 403);
        assert_true(status_of(n, "role-missing"));
        assert_non_null(strstr(n->text, "bureau approver"));
    }
    assert_int_equal(ask(n, WHO_BUREAU, "POST", "requests/r1/approve", "{}"), 200);
}

/* Disabling a department stops its applications and its people at once; activating brings both back. */
static void a_department_takes_its_own_along(void **state)
{
    struct node *n = *state;
    static const struct {
        const char *path;
        bool active;
    } steps[] = { { "departments/education/disable", false }, { "departments/education/activate", true } };

    node_story(n);
    assert_true(snapshot_app(n->control->snapshot, SLICE("education/admission"))->active);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(ask(n, WHO_SECURITY, "POST", steps[i].path, NULL), 200);
        assert_int_equal(snapshot_app(n->control->snapshot, SLICE("education/admission"))->active, steps[i].active);
        assert_int_equal(ask(n, WHO_CONSUMER, "GET", "me", NULL), steps[i].active ? 200 : 403);
    }
}

static void all_problems_at_once(void **state)
{
    struct node *n = *state;
    const char *body = "{\"files\":[{\"name\":\"a.yaml\",\"text\":\"kind: Department\\nid: UPPER\\ntitel: x\\n\"},"
                       "{\"name\":\"b.yaml\",\"text\":\"kind: [\"}]}";
    bool a = false, b = false;

    assert_int_equal(ask(n, WHO_SYSTEM, "POST", "apply", body), 400);
    DOC_EACH(p, doc_get(n->json, "problems"))
    {
        assert_true(doc_u64(p, "line", 0) > 0);
        a = a || slice_is(doc_text(p, "file"), "a.yaml");
        b = b || slice_is(doc_text(p, "file"), "b.yaml");
    }
    assert_true(a && b);
    assert_int_equal(ask(n, WHO_SYSTEM, "GET", "departments", NULL), 200);
    assert_int_equal(doc_get(n->json, "items")->count, 1); /* the bureau only: all or nothing */
}

static void dry_run_changes_nothing(void **state)
{
    struct node *n = *state;
    struct audit_status before, after;

    audit_status(n->log, &before);
    assert_int_equal(ask(n, WHO_SYSTEM, "POST", "apply",
                         "{\"dry_run\":true,\"files\":[{\"name\":\"a\",\"text\":\"{kind: Department, id: education, "
                         "title: x, code: 11990100009900339H}\"}]}"),
                     200);
    assert_true(slice_is(doc_text(doc_get(n->json, "items")->first, "result"), "created"));
    audit_status(n->log, &after);
    assert_int_equal(before.last_act, after.last_act);
    assert_int_equal(ask(n, WHO_SYSTEM, "GET", "departments/education", NULL), 404);
}

/* A stop does not wait until the whole log was read; what was not read is not said to agree. */
static void a_check_of_the_index_ends_with_the_daemon(void **state)
{
    struct node *n = *state;

    assert_int_equal(ask(n, WHO_AUDITOR, "POST", "audit/index/check", "{}"), 200);
    atomic_store(&n->control->retention.stop, true);
    assert_int_equal(ask(n, WHO_AUDITOR, "POST", "audit/index/check", "{}"), 503);
    assert_null(strstr(n->text, "agrees"));
}

static void a_revoked_certificate_is_out(void **state)
{
    struct node *n = *state;
    uint64_t generation;
    const char *serial;

    node_story(n);
    serial = node_certify_consumer(n);
    generation = n->control->snapshot->trust_generation;
    assert_int_equal(
        ask(n, WHO_SECURITY, "POST", arena_printf(&n->a, "certs/%s/revoke", serial), "{\"reason\":\"lost\"}"), 200);
    assert_int_equal(n->control->snapshot->trust_generation, generation + 1);
    assert_int_equal(
        ask(n, WHO_SECURITY, "POST", arena_printf(&n->a, "certs/%s/revoke", serial), "{\"reason\":\"lost\"}"), 409);
    assert_int_equal(ask(n, WHO_CONSUMER, "GET", "me", NULL), 401);
    assert_true(status_of(n, "certificate-revoked"));
}

/* A damaged list of our own holds no revocation up: it holds by the state, and the author is told of the list. */
static void a_damaged_list_holds_no_revocation_up(void **state)
{
    struct node *n = *state;
    const char *path, *list = n->control->settings->tls.crl.p;

    node_story(n);
    path = arena_printf(&n->a, "certs/%s/revoke", node_certify_consumer(n));
    assert_int_equal(ask(n, WHO_CONSUMER, "GET", "me", NULL), 200);
    assert_int_equal(file_write(list, SLICE("-----BEGIN X509 CRL-----\nAAAA\n"), 0644, NULL), ERR_OK);
    assert_int_equal(ask(n, WHO_SECURITY, "POST", path, "{\"reason\":\"lost\"}"), 500);
    assert_non_null(strstr(n->text, "holds here"));
    assert_int_equal(ask(n, WHO_CONSUMER, "GET", "me", NULL), 401);
    assert_true(status_of(n, "certificate-revoked"));
}

static void an_auditor_searches(void **state)
{
    struct node *n = *state;
    struct buf lines = BUF_INIT(1 << 20);
    const char id[] = "990101199001010014";

    node_story(n);
    assert_int_equal(ask(n, WHO_SYSTEM, "POST", "audit/search", "{}"), 403);
    assert_int_equal(ask(n, WHO_AUDITOR, "POST", "audit/search", "{\"kind\":\"act\",\"limit\":3}"), 200);
    assert_int_equal(doc_get(n->json, "rows")->count, 3);
    assert_true(doc_flag(n->json, "more"));
    assert_int_equal(ask(n, WHO_AUDITOR, "POST", "audit/search", "{\"kind\":\"refused\",\"reason\":\"role-missing\"}"),
                     200);
    assert_int_equal(doc_get(n->json, "rows")->count, 1); /* the system administrator's attempt above */
    assert_int_equal(ask(n, WHO_AUDITOR, "POST", "audit/search", "{\"person\":\"990101199001010014\"}"), 200);
    assert_int_equal(ask(n, WHO_AUDITOR, "POST", "audit/search", "{\"case\":\"990101 19900101 0019\"}"), 400);
    records(n, "audit.search", &lines);
    assert_non_null(memmem(lines.p, lines.n, "pseudonym", 9));
    assert_null(memmem(lines.p, lines.n, id, sizeof id - 1));
    buf_done(&lines);
}

/* State and log agree after a restart; acts whose records the log lacks are appended. */
static void a_restart_keeps_all(void **state)
{
    struct node *n = *state;
    struct audit_status before, after;

    node_story(n);
    request_to_grant(n);
    audit_status(n->log, &before);
    node_restart(n);
    audit_status(n->log, &after);
    assert_int_equal(before.last_act, after.last_act);
    assert_non_null(snapshot_grant(n->control->snapshot, SLICE("g1")));
}

static void a_released_hold_is_shown_as_it_is(void **state)
{
    struct node *n = *state;

    node_story(n);
    assert_int_equal(
        ask(n, WHO_BUREAU, "POST", "audit/holds", "{\"from\":\"2026-01-02T00:00:00Z\",\"reason\":\"a case\"}"), 200);
    assert_int_equal(ask(n, WHO_BUREAU, "POST", "audit/holds/h1/release", "{\"reason\":\"closed\"}"), 200);
    assert_true(slice_is(doc_text(n->json, "state"), "released"));
    assert_true(slice_is(doc_text(n->json, "reason"), "a case"));
    assert_true(slice_is(doc_text(n->json, "release_reason"), "closed"));
    assert_true(slice_is(doc_text(n->json, "released_by"), "bureau/li"));
    assert_true(doc_text(n->json, "from").n > 0);
    assert_int_equal(ask(n, WHO_BUREAU, "POST", "audit/holds/h1/release", "{\"reason\":\"closed\"}"), 409);
    assert_int_equal(ask(n, WHO_BUREAU, "POST", "audit/holds/h2/release", "{\"reason\":\"closed\"}"), 404);
}

struct waiting_act {
    struct api_request q; /* first */
    struct node *node;
    bool answered, early;
};

static bool is_active(struct node *n)
{
    const struct principal *p = snapshot_app(n->control->snapshot, SLICE("education/admission"));

    return p != NULL && p->active;
}

static void on_later(struct api_request *q)
{
    struct waiting_act *l = (struct waiting_act *)(void *)q;

    assert_int_equal(q->status, 200);
    l->answered = true;
    l->early = is_active(l->node) && act_waits(l->node->control);
    loop_stop(l->node->control->loop);
}

static void begin(struct node *n, struct waiting_act *l, enum who who, const char *const path[], const char *body)
{
    struct api_request *q = &l->q;

    *l = (struct waiting_act){ .node = n };
    q->control = n->control;
    q->actor.peer = &n->peer[who];
    q->answered = on_later;
    q->method = SLICE("POST");
    q->body = slice_of(body);
    arena_init(&q->arena, 64 << 20);
    diags_init(&q->diags, &q->arena);
    buf_init(&q->out, 1 << 20);
    json_init(&q->json, &q->out);
    while (path[q->n_path]) {
        q->path[q->n_path] = slice_of(path[q->n_path]);
        q->n_path++;
    }
    api_run(q);
}

/* Two acts on one object, the record of the first durable, that of the second not: then the second does not hold yet.
 */
static void no_act_brings_a_later_one_with_it(void **state)
{
    static const char *const apply[] = { "apply", NULL }, *const activate[] = { "apps", "education", "admission",
                                                                                "activate", NULL };
    struct node *n = *state;
    struct waiting_act first, second;

    node_story(n);
    assert_int_equal(ask(n, WHO_SECURITY, "POST", "apps/education/admission/disable", NULL), 200);
    assert_false(is_active(n));
    begin(n, &first, WHO_SYSTEM, apply,
          "{\"files\":[{\"name\":\"a\",\"text\":\"{kind: App, id: education/admission, title: other, contact: {person: "
          "education/zhao}}\"}]}");
    n->control->held = true; /* the log takes no line for a while */
    begin(n, &second, WHO_SECURITY, activate, NULL);
    while (!first.answered || !second.answered) {
        audit_kick(n->control->queue);
        loop_run(n->control->loop);
    }
    assert_false(first.early);
    assert_false(second.early);
    assert_true(is_active(n));
    arena_done(&first.q.arena);
    buf_done(&first.q.out);
    arena_done(&second.q.arena);
    buf_done(&second.q.out);
}

static void acts_of_the_outbox_are_replayed(void **state)
{
    struct node *n = *state;
    struct audit_record r = {
        .at = clock_wall_ms(), .verb = SLICE("node.init"), .object = SLICE("node-1"), .content = SLICE("{}")
    };
    struct buf line = BUF_INIT(1 << 16), lines = BUF_INIT(1 << 20);
    struct audit_status s;
    struct sql_tx *tx;

    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(sql_begin(n->control->sql, true, &tx, NULL), ERR_OK);
        assert_int_equal(audit_outbox_add(tx, &r, false, &line), ERR_OK);
        assert_int_equal(sql_commit(tx, NULL), ERR_OK);
    }
    node_restart(n);
    audit_status(n->log, &s);
    assert_int_equal(s.last_act, 3);
    records(n, "node.init", &lines);
    assert_true(lines.n > 0);
    assert_int_equal(ask(n, WHO_SYSTEM, "GET", "status", NULL), 200);
    assert_true(doc_flag(n->json, "ready"));
    buf_done(&line);
    buf_done(&lines);
}

#define NODE_TEST(fn) cmocka_unit_test_setup_teardown(fn, node_open, node_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_are_found),
        cmocka_unit_test(routes_are_guarded),
        cmocka_unit_test(routes_are_described),
        NODE_TEST(roles_are_checked),
        NODE_TEST(strangers_are_refused),
        NODE_TEST(a_grant_comes_and_goes),
        NODE_TEST(nobody_approves_their_own),
        NODE_TEST(approvers_are_of_the_bureau),
        NODE_TEST(a_department_takes_its_own_along),
        NODE_TEST(all_problems_at_once),
        NODE_TEST(dry_run_changes_nothing),
        NODE_TEST(a_check_of_the_index_ends_with_the_daemon),
        NODE_TEST(a_revoked_certificate_is_out),
        NODE_TEST(a_damaged_list_holds_no_revocation_up),
        NODE_TEST(an_auditor_searches),
        NODE_TEST(a_restart_keeps_all),
        NODE_TEST(a_released_hold_is_shown_as_it_is),
        NODE_TEST(no_act_brings_a_later_one_with_it),
        NODE_TEST(acts_of_the_outbox_are_replayed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
