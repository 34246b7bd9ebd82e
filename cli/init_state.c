/* sluice init: the state. One transaction holds the bureau, three administrators with their roles and certificates, and
 * the record of each of these acts. */
#include <stdio.h>
#include "audit/audit.h"
#include "catalog/catalog.h"
#include "cli/init.h"
#include "policies/policies.h"

enum { TEXT_MAX = 1 << 16, CSR_MAX = 1 << 16, LINES_MAX = 1 << 20 };

struct making {
    struct init *init;
    struct sql_tx *tx;
    struct buf lines;    /* what the outbox rendered */
    struct slice author; /* the gateway's own name: nobody is registered yet */
    struct arena *a;     /* bor */
    struct diags *d;
};

char *init_path(const struct init *n, const char *name)
{
    return path_join(&n->cli->arena, n->work, name);
}

/* ---- records ---- */

static enum err record(struct making *m, const char *verb, struct slice object, struct slice content)
{
    struct audit_record r = { .kind = AUDIT_ACT,
                              .at = m->init->now,
                              .author = m->author,
                              .verb = slice_of(verb),
                              .object = object,
                              .content = content };

    return audit_outbox_add(m->tx, &r, false, &m->lines);
}

/* ---- catalog ---- */

/* The manifest as text for `what`, read back as one that passed the shape check. */
static enum err manifest_read(struct making *m, struct buf *json, struct catalog_manifest *ret)
{
    const struct doc *doc;
    enum err e = json->failed;

    if (e == ERR_OK)
        e = doc_read_json(arena_dup(m->a, buf_slice(json)), m->a, m->d, &doc);
    return e == ERR_OK ? catalog_read(doc, m->a, m->d, ret) : e;
}

/* The same words and members as the administration API's acts; never a person's name. */
static enum err record_entry(struct making *m, const char *verb, struct slice id, const char *member, uint64_t version)
{
    struct buf content = BUF_INIT(256);
    enum err e;

    buf_printf(&content, "{%s,\"version\":%llu}", member, (unsigned long long)version);
    e = content.failed == ERR_OK ? record(m, verb, id, buf_slice(&content)) : content.failed;
    buf_done(&content);
    return e;
}

static enum err entry_make(struct making *m, struct buf *json, const char *noun)
{
    struct catalog_manifest manifest;
    struct catalog_act activate = { .move = CATALOG_ACTIVATE, .now = m->init->now };
    struct catalog_entry entry;
    enum catalog_put put;
    char verb[64];
    uint64_t version;
    enum err e = manifest_read(m, json, &manifest);

    if (e == ERR_OK)
        e = catalog_put(m->tx, &manifest, SLICE(""), m->init->now, &put, &version, m->d);
    snprintf(verb, sizeof verb, "%s.apply", noun);
    if (e == ERR_OK)
        e = record_entry(m, verb, manifest.id, "\"result\":\"created\"", version);
    if (e == ERR_OK)
        e = catalog_move(m->tx, manifest.kind, manifest.id, &activate, m->a, &entry, m->d);
    snprintf(verb, sizeof verb, "%s.activate", noun);
    return e == ERR_OK ? record_entry(m, verb, manifest.id, "\"state\":\"active\"", entry.version) : e;
}

static void title_put(struct json *j, const char *key, const struct doc_title *t)
{
    json_key(j, key);
    json_open(j, '{');
    json_opt(j, "zh", t->zh);
    json_opt(j, "en", t->en);
    json_close(j, '}');
}

static enum err bureau_make(struct making *m)
{
    struct buf text = BUF_INIT(TEXT_MAX);
    struct json j;
    enum err e;

    json_init(&j, &text);
    json_open(&j, '{');
    json_pair(&j, "kind", SLICE("Department"));
    json_pair(&j, "id", m->init->bureau);
    json_pair(&j, "title", m->init->bureau_title);
    json_pair(&j, "code", m->init->bureau_code);
    json_pair_bool(&j, "bureau", true);
    json_close(&j, '}');
    e = entry_make(m, &text, "department");
    buf_done(&text);
    return e;
}

/* ---- administrators ---- */

static enum err person_make(struct making *m, const struct init_admin *admin)
{
    struct buf text = BUF_INIT(TEXT_MAX), content = BUF_INIT(TEXT_MAX);
    struct json j;
    enum err e;

    json_init(&j, &text);
    json_open(&j, '{');
    json_pair(&j, "kind", SLICE("Person"));
    json_pair(&j, "id", admin->id);
    title_put(&j, "name", &admin->title);
    json_close(&j, '}');
    e = entry_make(m, &text, "person");
    if (e == ERR_OK)
        e = catalog_role_set(m->tx, admin->id, admin->bit, true, m->d);
    json_init(&j, &content);
    json_open(&j, '{');
    json_pair(&j, "role", slice_of(catalog_role_name(admin->bit, LANG_EN, false)));
    json_pair_bool(&j, "on", true);
    json_close(&j, '}');
    if (e == ERR_OK)
        e = content.failed;
    if (e == ERR_OK)
        e = record(m, "person.grant-role", admin->id, buf_slice(&content));
    buf_done(&text);
    buf_done(&content);
    return e;
}

/* The request that was given, or a key and a request made in admins/<role>/. */
static enum err admin_csr(struct making *m, const struct init_admin *admin, struct buf *csr)
{
    struct cli *c = m->init->cli;
    char *dir = arena_printf(&c->arena, "%s/admins/%s", m->init->work, admin->role);
    enum err e;

    if (admin->csr != NULL)
        return file_read(admin->csr, csr, m->d);
    e = dir ? dir_make(dir, 0700, m->d) : ERR_NOMEM;
    return e == ERR_OK ? certs_request_make(path_join(&c->arena, dir, "key.pem"), admin->id, csr, m->d) : e;
}

static enum err cert_record(struct making *m, const struct certs_issued *cert, struct slice uri)
{
    struct buf content = BUF_INIT(TEXT_MAX);
    char until[CLOCK_TEXT];
    struct json j;
    enum err e;

    clock_text(cert->not_after, until);
    json_init(&j, &content);
    json_open(&j, '{');
    json_pair(&j, "subject", uri);
    json_pair(&j, "digest", slice_of(cert->digest));
    json_pair(&j, "not_after", slice_of(until));
    json_close(&j, '}');
    e = content.failed == ERR_OK ? record(m, "cert.sign", slice_of(cert->serial), buf_slice(&content)) : content.failed;
    buf_done(&content);
    return e;
}

static enum err admin_cert(struct making *m, const struct init_admin *admin)
{
    struct buf csr = BUF_INIT(CSR_MAX), uri = BUF_INIT(1024);
    struct slice id = admin->id, department = slice_cut(&id, '/');
    struct certs_issued cert;
    char *dir = arena_printf(m->a, "%s/admins/%s", m->init->work, admin->role);
    enum err e = admin_csr(m, admin, &csr);

    certs_name_put(&uri, CERTS_PERSON, m->init->domain, department, id);
    if (e == ERR_OK)
        e = uri.failed;
    if (e == ERR_OK)
        e = certs_sign(m->init->ca, buf_slice(&csr), buf_slice(&uri), admin->id, INIT_DAYS, m->init->now, m->a, &cert,
                       m->d);
    if (e == ERR_OK)
        e = certs_register(m->tx, &cert, buf_slice(&uri), m->author);
    if (e == ERR_OK)
        e = cert_record(m, &cert, buf_slice(&uri));
    if (e == ERR_OK)
        e = dir ? dir_make(dir, 0700, m->d) : ERR_NOMEM;
    if (e == ERR_OK)
        e = file_write(path_join(m->a, dir, "cert.pem"), cert.pem, 0644, m->d);
    buf_done(&csr);
    buf_done(&uri);
    return e;
}

/* ---- the gateway ---- */

static enum err gateway_make(struct making *m)
{
    struct init *n = m->init;
    struct buf csr = BUF_INIT(CSR_MAX);
    struct certs_issued cert;
    enum err e = certs_request_make(init_path(n, "keys/gateway.key"), n->node, &csr, m->d);

    if (e == ERR_OK)
        e = certs_sign_gateway(n->ca, buf_slice(&csr), m->author, n->names, INIT_DAYS, n->now, m->a, &cert, m->d);
    if (e == ERR_OK)
        e = certs_register(m->tx, &cert, m->author, m->author);
    if (e == ERR_OK)
        e = cert_record(m, &cert, m->author);
    if (e == ERR_OK)
        e = file_write(init_path(n, "keys/gateway.pem"), cert.pem, 0644, m->d);
    buf_done(&csr);
    return e;
}

/* The first record: what this node is, and the key that its log is proved by. */
static enum err node_record(struct making *m)
{
    struct init *n = m->init;
    struct buf vkey = BUF_INIT(4096), content = BUF_INIT(TEXT_MAX);
    struct slice key;
    struct json j;
    enum err e = file_read(init_path(n, "keys/log.vkey"), &vkey, m->d);

    key = buf_slice(&vkey);
    json_init(&j, &content);
    json_open(&j, '{');
    json_pair(&j, "trust_domain", n->domain);
    json_pair(&j, "log_key", slice_trim(slice_cut(&key, '\n')));
    json_pair(&j, "program", SLICE("sluice " SLUICE_VERSION));
    json_close(&j, '}');
    if (e == ERR_OK)
        e = content.failed;
    if (e == ERR_OK)
        e = record(m, "node.init", n->node, buf_slice(&content));
    buf_done(&vkey);
    buf_done(&content);
    return e;
}

static enum err make_all(struct making *m)
{
    enum err e = node_record(m);

    if (e == ERR_OK)
        e = gateway_make(m);
    if (e == ERR_OK)
        e = bureau_make(m);
    for (size_t i = 0; e == ERR_OK && i < INIT_ADMINS; i++) {
        e = person_make(m, &m->init->admins[i]);
        if (e == ERR_OK)
            e = admin_cert(m, &m->init->admins[i]);
    }
    return e == ERR_OK ? certs_crl_write(m->init->ca, m->tx, 48, m->init->now, m->d) : e;
}

static enum err migrate(struct sql *s, struct diags *d)
{
    static const struct list {
        const char *prefix;
        const struct sql_migration *at;
        const size_t *n;
    } lists[] = { { "certs", certs_migrations, &certs_migrations_n },
                  { "catalog", catalog_migrations, &catalog_migrations_n },
                  { "policy", policy_migrations, &policy_migrations_n },
                  { "audit", audit_migrations, &audit_migrations_n } };
    enum err e = ERR_OK;

    for (size_t i = 0; e == ERR_OK && i < sizeof lists / sizeof *lists; i++)
        e = sql_migrate(s, lists[i].prefix, lists[i].at, *lists[i].n, d);
    return e;
}

enum err init_state(struct init *n)
{
    struct cli *c = n->cli;
    struct making m = { .init = n, .lines = BUF_INIT(LINES_MAX), .a = &c->arena, .d = &c->diags };
    struct buf author = BUF_INIT(1024);
    struct sql *sql = NULL;
    enum err e = sql_open(init_path(n, "state.db"), &sql, m.d);

    certs_name_put(&author, CERTS_GATEWAY, n->domain, (struct slice){ 0 }, n->node);
    m.author = buf_slice(&author);
    if (e == ERR_OK)
        e = author.failed;
    if (e == ERR_OK)
        e = migrate(sql, m.d);
    if (e == ERR_OK)
        e = sql_begin(sql, true, &m.tx, m.d);
    if (e == ERR_OK) {
        e = make_all(&m);
        if (e == ERR_OK)
            e = sql_commit(m.tx, m.d);
        else
            sql_rollback(m.tx);
    }
    sql_close(sql);
    buf_done(&m.lines);
    buf_done(&author);
    return e;
}
