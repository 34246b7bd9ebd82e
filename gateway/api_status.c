/* Who am I, and how is the node: what runs out, what is full, what waits for the person who asks. */
#include "gateway/api_list.h"
#include "gateway/control_internal.h"

/* ---- me ---- */
static void put_me(struct api_request *q)
{
    struct json *j = &q->json;

    json_open(j, '{');
    json_pair(j, "id", q->actor.id);
    json_pair(j, "kind", q->actor.peer->kind == CERTS_PERSON ? SLICE("person") : SLICE("app"));
    json_pair(j, "department", q->actor.department);
    json_pair_bool(j, "bureau", q->actor.bureau);
    json_pair(j, "subject", slice_of(q->actor.peer->uri));
    json_pair(j, "serial", slice_of(q->actor.peer->serial));
    api_put_time(j, "not_after", q->actor.peer->not_after);
    json_key(j, "roles");
    json_open(j, '[');
    for (unsigned r = 1; r <= ROLE_AUDIT_ADMIN; r <<= 1)
        if (q->actor.roles & r) {
            json_open(j, '{');
            json_pair(j, "role", slice_of(catalog_role_name(r, q->actor.lang, false)));
            json_pair(j, "title", slice_of(catalog_role_name(r, q->actor.lang, true)));
            json_close(j, '}');
        }
    json_close(j, ']');
    json_close(j, '}');
}

static void me(struct api_request *q)
{
    put_me(q);
    api_ok(q);
}

/* ---- what waits for me ---- */
enum { WAITING_MAX = 200 };
struct waiting {
    struct api_request *q;
    struct sql_tx *tx;
    size_t n;
};

static enum err put_if_mine(void *arg, const struct policy_request *r)
{
    struct waiting *w = arg;
    struct policy_actor by = api_policy_actor(w->q);
    bool mine = false;
    enum err e = policy_request_waits(w->tx, r, &by, &mine);

    if (e == ERR_OK && mine && w->n++ == WAITING_MAX)
        return ERR_CLOSED;
    if (e == ERR_OK && mine)
        json_str(&w->q->json, r->id);
    return e;
}

static enum err put_requests(struct api_request *q, struct sql_tx *tx)
{
    struct waiting w = { .q = q, .tx = tx };
    enum err e = ERR_OK;

    json_key(&q->json, "requests");
    json_open(&q->json, '[');
    if (q->actor.roles & (ROLE_PROVIDER_OFFICER | ROLE_CONSUMER_OFFICER | ROLE_BUREAU_APPROVER))
        e = policy_request_each(tx, SLICE("open"), put_if_mine, &w);
    json_close(&q->json, ']');
    return e == ERR_CLOSED ? ERR_OK : e;
}

static enum err put_id(void *arg, const struct catalog_entry *e)
{
    json_str(arg, e->id);
    return ERR_OK;
}

static enum err put_submitted(struct api_request *q, struct sql_tx *tx)
{
    struct catalog_filter f = { .state = SLICE("submitted") };
    enum err e = ERR_OK;

    json_key(&q->json, "resources");
    json_open(&q->json, '[');
    if (q->actor.roles & ROLE_BUREAU_APPROVER)
        e = catalog_each(tx, CATALOG_RESOURCE, &f, put_id, &q->json);
    json_close(&q->json, ']');
    return e;
}

static enum err put_registered(struct api_request *q, struct sql_tx *tx)
{
    static const struct {
        const char *name;
        enum catalog_kind kind;
    } kinds[] = { { "departments", CATALOG_DEPARTMENT },
                  { "apps", CATALOG_APP },
                  { "people", CATALOG_PERSON },
                  { "policies", CATALOG_POLICY } };
    struct catalog_filter f = { .state = SLICE("registered") };
    enum err e = ERR_OK;

    for (size_t i = 0; e == ERR_OK && i < sizeof kinds / sizeof kinds[0]; i++) {
        json_key(&q->json, kinds[i].name);
        json_open(&q->json, '[');
        if (q->actor.roles & ROLE_SECURITY_ADMIN)
            e = catalog_each(tx, kinds[i].kind, &f, put_id, &q->json);
        json_close(&q->json, ']');
    }
    return e;
}

static enum err put_waiting(struct api_request *q, struct sql_tx *tx)
{
    enum err e;

    json_key(&q->json, "waiting");
    json_open(&q->json, '{');
    e = put_requests(q, tx);
    if (e == ERR_OK)
        e = put_submitted(q, tx);
    if (e == ERR_OK)
        e = put_registered(q, tx);
    json_close(&q->json, '}');
    return e;
}

/* ---- the node ---- */
static void put_expiry(struct json *j, const char *key, struct slice path)
{
    int64_t until;

    if (path.n > 0 && certs_file_expiry(path.p, &until, NULL) == ERR_OK)
        api_put_time(j, key, until);
}

/* Left out where the system does not say. */
static void put_room(struct json *j, const char *key, const char *dir)
{
    uint64_t room = control_disk_free(dir);

    if (room != UINT64_MAX)
        json_pair_u64(j, key, room);
}

static void put_log(struct json *j, struct control *c)
{
    struct audit_status s;

    audit_status(c->log, &s);
    json_key(j, "log");
    json_open(j, '{');
    json_pair_bool(j, "available", s.available);
    json_pair_u64(j, "size", s.size);
    json_pair_u64(j, "checkpoint_size", s.checkpoint_size);
    api_put_time(j, "checkpoint_at", s.checkpoint_at);
    put_room(j, "free_bytes", audit_dir(c->log));
    json_close(j, '}');
}

static void put_counts(struct json *j, const struct snapshot *s)
{
    json_key(j, "counts");
    json_open(j, '{');
    json_pair_u64(j, "resources", smap_count(s->resources));
    json_pair_u64(j, "apps", smap_count(s->apps));
    json_pair_u64(j, "grants", smap_count(s->grants));
    json_close(j, '}');
}

static void put_certificates(struct json *j, struct control *c)
{
    json_key(j, "certificates");
    json_open(j, '{');
    put_expiry(j, "gateway", c->settings->tls.certificate);
    put_expiry(j, "ca", c->settings->tls.ca);
    api_put_time(j, "crl", c->trust.trust ? certs_crl_next_update(c->trust.trust, true, NULL) : 0);
    json_close(j, '}');
}

static void put_checks(struct api_request *q)
{
    struct health list[CHECKS_MAX];
    struct json *j = &q->json;
    struct control_picture p;
    bool ready = true;
    size_t n;

    control_picture(q->control, &p);
    n = control_health(q->control, &p, list);

    json_key(j, "checks");
    json_open(j, '[');
    for (size_t i = 0; i < n; i++) {
        json_open(j, '{');
        json_pair(j, "name", slice_of(list[i].name));
        json_pair_bool(j, "ok", list[i].ok);
        json_pair(j, "text", slice_of(list[i].text[q->actor.lang]));
        json_close(j, '}');
        ready = ready && list[i].ok;
    }
    json_close(j, ']');
    json_pair_bool(j, "ready", ready);
}

static void status(struct api_request *q)
{
    struct control *c = q->control;
    struct json *j = &q->json;
    struct sql_tx *tx;
    enum err e;

    json_open(j, '{');
    json_pair(j, "node", c->settings->node);
    json_pair(j, "trust_domain", c->settings->trust_domain);
    json_pair(j, "version", slice_of(SLUICE_VERSION));
    json_pair_u64(j, "uptime_seconds", (uint64_t)((clock_mono_ms() - c->began) / 1000));
    json_pair_u64(j, "workers", c->n_workers);
    json_pair_u64(j, "snapshot", c->snapshot->generation);
    put_checks(q);
    put_log(j, c);
    put_certificates(j, c);
    put_room(j, "state_free_bytes", c->state_dir);
    put_counts(j, c->snapshot);
    if (api_read(q, &tx) != ERR_OK)
        return;
    e = put_waiting(q, tx);
    api_read_end(q, tx);
    json_close(j, '}');
    if (e == ERR_OK)
        api_ok(q);
    else
        api_error(q, e);
}

const struct api_route api_status_routes[] = {
    { "GET", "status", status, 0, false },
    { "GET", "me", me, 0, true },
    { .method = NULL },
};
