/* See control_world.h. The first departments and administrators come as `sluice init` makes them: straight into the
 * state; everything after that through the API. */
#include "tests/unit/gateway/control_world.h"
#include "tests/unit/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DOMAIN "data.city.example"

static const struct person {
    const char *object;
    enum certs_kind kind;
    unsigned role;
} people[WHO_COUNT_] = {
    [WHO_SYSTEM] = { "bureau/system", CERTS_PERSON, ROLE_SYSTEM_ADMIN },
    [WHO_SECURITY] = { "bureau/security", CERTS_PERSON, ROLE_SECURITY_ADMIN },
    [WHO_AUDITOR] = { "bureau/audit", CERTS_PERSON, ROLE_AUDIT_ADMIN },
    [WHO_PROVIDER] = { "public-security/zhang", CERTS_PERSON, ROLE_PROVIDER_OFFICER },
    [WHO_CONSUMER] = { "education/zhao", CERTS_PERSON, ROLE_CONSUMER_OFFICER },
    [WHO_BUREAU] = { "bureau/li", CERTS_PERSON, ROLE_BUREAU_APPROVER },
    [WHO_APP] = { "education/admission", CERTS_APP, 0 },
};

static char *in_dir(struct node *n, const char *name)
{
    char *path = path_join(&n->a, n->dir, name);

    assert_non_null(path);
    return path;
}

static void good(struct node *n, enum err e)
{
    struct buf out = BUF_INIT(1 << 16);

    if (e == ERR_OK)
        return;
    diags_print(&n->d, LANG_EN, &out);
    buf_putc(&out, '\0');
    fail_msg("%s: %s", err_name(e), out.p);
}

/* ---- keys and settings ---- */
static void write_key(struct node *n, const char *name, char digit)
{
    char text[66];

    memset(text, digit, 64);
    text[64] = '\n';
    good(n, file_write(in_dir(n, name), slice_make(text, 65), 0600, &n->d));
}

static void make_gateway_cert(struct node *n)
{
    struct buf csr = BUF_INIT(1 << 16);
    struct certs_issued issued;
    struct certs_ca *ca = NULL;

    good(n, certs_request_make(in_dir(n, "keys/gateway.key"), SLICE("node-1"), &csr, &n->d));
    good(n, certs_ca_open(n->dir, DOMAIN, &ca, &n->d));
    good(n, certs_sign_gateway(ca, buf_slice(&csr), SLICE("spiffe://" DOMAIN "/gateway/node-1"), SLICE("127.0.0.1"), 30,
                               clock_wall_ms(), &n->a, &issued, &n->d));
    good(n, file_write(in_dir(n, "keys/gateway.pem"), issued.pem, 0644, &n->d));
    certs_ca_free(ca);
    buf_done(&csr);
}

static void make_node(struct node *n)
{
    struct buf text = BUF_INIT(1 << 16);
    static const char *const dirs[] = { "keys", "secrets", "providers", "log" };

    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        good(n, dir_make(in_dir(n, dirs[i]), 0700, &n->d));
    good(n, certs_ca_create(n->dir, DOMAIN, clock_wall_ms(), &n->d));
    good(n, ed25519_generate(in_dir(n, "keys/log.key"), &n->d));
    write_key(n, "keys/salt.key", 'a');
    write_key(n, "keys/name.key", 'b');
    make_gateway_cert(n);
    settings_write(SLICE("node-1"), SLICE(DOMAIN), n->dir, 0, 0, 0, &text);
    good(n, file_write(in_dir(n, "sluice.yaml"), buf_slice(&text), 0600, &n->d));
    buf_done(&text);
}

/* ---- the daemon's parts ---- */
static void start(struct node *n)
{
    struct audit_config c = { .epoch = 1, .segment_bytes = 1 << 20, .reserve_bytes = 1 << 16 };
    struct control_config cc = { .settings_path = in_dir(n, "sluice.yaml"), .settings = &n->settings };

    good(n, ed25519_load(in_dir(n, "keys/log.key"), &n->key, &n->d));
    c.dir = in_dir(n, "log");
    c.origin = SLICE(DOMAIN "/log/node-1");
    c.signer = ed25519_signer(n->key);
    memset(c.salt_key, 0xaa, KEY_LEN);
    memset(c.name_key, 0xbb, KEY_LEN);
    good(n, audit_open(&c, &n->log, &n->d));
    good(n, audit_start(n->log));
    good(n, certs_ca_open(n->dir, DOMAIN, &cc.ca, &n->d));
    cc.log = n->log;
    cc.gate = &n->gate;
    good(n, control_new(&cc, &n->control, &n->d));
}

static void stop(struct node *n)
{
    n->control = control_free(n->control);
    n->log = audit_close(n->log);
    n->key = ed25519_free(n->key);
}

void node_restart(struct node *n)
{
    stop(n);
    start(n);
}

/* ---- people ---- */
static void put_manifest(struct node *n, struct sql_tx *tx, const char *yaml, bool activate)
{
    const struct doc *list;
    struct catalog_manifest m;
    struct catalog_entry entry;
    enum catalog_put result;
    uint64_t version;

    good(n, doc_read_yaml(slice_of(yaml), &n->a, &n->d, &list));
    good(n, catalog_read(list->first, &n->a, &n->d, &m));
    good(n, catalog_put(tx, &m, SLICE(""), clock_wall_ms(), &result, &version, &n->d));
    if (activate)
        good(n, catalog_move(tx, m.kind, m.id, &(struct catalog_act){ CATALOG_ACTIVATE, .now = clock_wall_ms() }, &n->a,
                             &entry, &n->d));
}

static void first_people(struct node *n)
{
    struct sql_tx *tx;

    good(n, sql_begin(n->control->sql, true, &tx, &n->d));
    put_manifest(n, tx, "{kind: Department, id: bureau, title: 大数据局, code: 11990100009900443M, bureau: true}",
                 true);
    for (enum who w = WHO_SYSTEM; w <= WHO_AUDITOR; w++) {
        put_manifest(n, tx, arena_printf(&n->a, "{kind: Person, id: %s, title: admin}", people[w].object), true);
        good(n, catalog_role_set(tx, slice_of(people[w].object), people[w].role, true, &n->d));
    }
    good(n, sql_commit(tx, &n->d));
}

/* SHA-256 of the DER of the first certificate of a PEM file. */
static struct sha256 digest_of(struct node *n, const char *name)
{
    struct buf text = BUF_INIT(1 << 16), one = BUF_INIT(1 << 16), der = BUF_INIT(1 << 16);
    struct slice rest;
    struct sha256 h;

    good(n, file_read(in_dir(n, name), &text, &n->d));
    rest = buf_slice(&text);
    slice_cut(&rest, '\n'); /* -----BEGIN */
    while (rest.n > 0 && rest.p[0] != '-')
        buf_put(&one, slice_cut(&rest, '\n'));
    good(n, base64_read(buf_slice(&one), &der));
    h = sha256_of(buf_slice(&der));
    buf_done(&text);
    buf_done(&one);
    buf_done(&der);
    return h;
}

/* The peer that a handshake with this person's certificate would have given; certs/ tests that itself. */
static void make_peer(struct node *n, enum who w)
{
    const struct person *p = &people[w];
    struct certs_peer *peer = &n->peer[w];
    struct slice department = slice_sub(slice_of(p->object), 0, slice_find(slice_of(p->object), '/'));
    struct slice id = slice_sub(slice_of(p->object), department.n + 1, 100);
    struct buf uri = BUF_INIT(512), csr = BUF_INIT(1 << 16);
    struct certs_issued issued;
    struct certs_name name;

    certs_name_put(&uri, p->kind, SLICE(DOMAIN), department, id);
    good(n, certs_request_make(in_dir(n, arena_printf(&n->a, "keys/p%d.key", (int)w)), id, &csr, &n->d));
    good(n,
         certs_sign(n->control->ca, buf_slice(&csr), buf_slice(&uri), id, 30, clock_wall_ms(), &n->a, &issued, &n->d));
    *peer = (struct certs_peer){ .verdict = REASON_GRANTED,
                                 .kind = p->kind,
                                 .not_after = issued.not_after,
                                 .path_until = issued.not_after,
                                 .path_n = 2 };
    snprintf(peer->uri, sizeof peer->uri, "%.*s", SLICE_ARG(buf_slice(&uri)));
    snprintf(peer->object, sizeof peer->object, "%s", p->object);
    snprintf(peer->serial, sizeof peer->serial, "%s", issued.serial);
    snprintf(peer->digest, sizeof peer->digest, "%s", issued.digest);
    assert_true(certs_name_read(slice_of(peer->uri), &name));
    peer->department = name.department;
    peer->id = name.id;
    peer->path[0] = digest_of(n, "ca/ca.pem");
    peer->path[1] = digest_of(n, "root/root.pem");
    buf_done(&uri);
    buf_done(&csr);
}

int node_open(void **state)
{
    struct node *n = mem_zalloc(sizeof *n);

    arena_init(&n->a, 256 << 20);
    diags_init(&n->d, &n->a);
    good(n, crypto_init(&n->d));
    folder_make(n->dir, sizeof n->dir, "control");
    make_node(n);
    good(n, settings_read(in_dir(n, "sluice.yaml"), &n->settings, &n->d));
    start(n);
    first_people(n);
    for (enum who w = 0; w < WHO_COUNT_; w++)
        make_peer(n, w);
    *state = n;
    return 0;
}

int node_close(void **state)
{
    struct node *n = *state;
    char command[128];

    stop(n);
    settings_done(&n->settings);
    mem_free(n->text);
    snprintf(command, sizeof command, "rm -rf %s", n->dir);
    arena_done(&n->a);
    mem_free(n);
    return system(command);
}

/* ---- asking ---- */
struct question {
    struct api_request q; /* first */
    struct node *node;
    bool answered;
};

static void on_answer(struct api_request *q)
{
    struct question *x = (struct question *)(void *)q;
    struct node *n = x->node;

    assert_false(x->answered);
    x->answered = true;
    n->status = q->status;
    mem_free(n->text);
    n->text = mem_dup(buf_slice(&q->out));
    n->json = NULL;
    if (n->text != NULL && (q->type == NULL || strstr(q->type, "json")))
        good(n, doc_read_json(slice_of(n->text), &n->a, &n->d, &n->json));
    loop_stop(n->control->loop);
}

static void set_path(struct api_request *q, const char *path)
{
    struct slice rest = slice_of(path), where = slice_cut(&rest, '?');

    q->query = rest;
    while (where.n > 0)
        q->path[q->n_path++] = slice_cut(&where, '/');
}

int ask(struct node *n, enum who who, const char *method, const char *path, const char *body)
{
    struct question x = { .node = n };
    struct api_request *q = &x.q;

    q->control = n->control;
    q->actor.peer = &n->peer[who];
    q->answered = on_answer;
    q->method = slice_of(method);
    q->body = slice_of(body);
    arena_init(&q->arena, 64 << 20);
    diags_init(&q->diags, &q->arena);
    buf_init(&q->out, 64 << 20);
    json_init(&q->json, &q->out);
    set_path(q, path);
    api_run(q);
    audit_kick(n->control->queue); /* in the daemon the end of the loop's turn does it */
    if (!x.answered)
        loop_run(n->control->loop);
    assert_true(x.answered);
    arena_done(&q->arena);
    buf_done(&q->out);
    return n->status;
}

struct slice problem_code(const struct node *n)
{
    return n->json ? doc_text(n->json, "code") : (struct slice){ 0 };
}

/* ---- the story ---- */
static void expect(struct node *n, enum who who, const char *path, const char *body)
{
    if (ask(n, who, "POST", path, body) != 200)
        fail_msg("%s: %d %s", path, n->status, n->text);
}

static const char *apply_body(struct node *n, const char *name, const char *manifest)
{
    struct buf out = BUF_INIT(16 << 20);
    struct json j;
    const char *text;

    json_init(&j, &out);
    json_open(&j, '{');
    json_key(&j, "files");
    json_open(&j, '[');
    json_open(&j, '{');
    json_pair(&j, "name", slice_of(name));
    json_pair(&j, "text", slice_of(manifest));
    json_close(&j, '}');
    json_close(&j, ']');
    json_close(&j, '}');
    text = arena_str(&n->a, buf_slice(&out));
    buf_done(&out);
    return text;
}

int node_apply(struct node *n, enum who who, const char *name, const char *manifest)
{
    return ask(n, who, "POST", "apply", apply_body(n, name, manifest));
}

void node_story(struct node *n)
{
    static const char *const activate[] = {
        "departments/education", "departments/public-security", "people/public-security/zhang", "people/education/zhao",
        "people/bureau/li",      "apps/education/admission"
    };

    expect(n, WHO_SYSTEM, "apply",
           apply_body(n, "story.yaml",
                      "kind: App\nid: education/admission\ntitle: 入学报名\ncontact: {person: education/zhao}\n"
                      "---\nkind: Department\nid: education\ntitle: 教育局\ncode: 11990100009900339H\n"
                      "---\nkind: Department\nid: public-security\ntitle: 公安局\ncode: 1199010000990011X2\n"
                      "---\nkind: Person\nid: education/zhao\ntitle: 赵\n"
                      "---\nkind: Person\nid: public-security/zhang\ntitle: 张\n"
                      "---\nkind: Person\nid: bureau/li\ntitle: 李\n"));
    for (size_t i = 0; i < sizeof activate / sizeof activate[0]; i++)
        expect(n, WHO_SECURITY, arena_printf(&n->a, "%s/activate", activate[i]), NULL);
    for (enum who w = WHO_PROVIDER; w <= WHO_BUREAU; w++)
        expect(n, WHO_SECURITY, arena_printf(&n->a, "people/%s/roles", people[w].object),
               arena_printf(&n->a, "{\"role\":\"%s\",\"on\":true}", catalog_role_name(people[w].role, LANG_EN, false)));
    expect(
        n, WHO_PROVIDER, "apply",
        apply_body(n, "story.yaml",
                   "kind: Resource\nid: public-security/household\ncode: 101001/1\ntitle: 户籍信息\n"
                   "abstract: 全市常住户口登记项目\nclass: base/population\nformat: {class: interface, type: soap}\n"
                   "share: {type: conditional, condition: 法定事项核查, mode: interface}\nopen: none\nupdate: daily\n"
                   "contact: {person: public-security/zhang, phone: 0543-0000000}\n"
                   "items:\n  - {name: id_no, title: 公民身份号码, type: C, length: 18, level: 4, key: true}\n"
                   "  - {name: name, title: 姓名, type: C, length: 50, level: 3, mask: name}\n"));
    expect(n, WHO_PROVIDER, "resources/public-security/household/submit", NULL);
    expect(n, WHO_BUREAU, "resources/public-security/household/publish", "{\"version\":1}");
}

const char *node_certify_consumer(struct node *n)
{
    struct buf csr = BUF_INIT(1 << 16), body = BUF_INIT(1 << 16);
    struct certs_peer *peer = &n->peer[WHO_CONSUMER];
    struct json j;

    (void)unlink(path_join(&n->a, n->dir, "consumer.key"));
    assert_int_equal(certs_request_make(path_join(&n->a, n->dir, "consumer.key"), SLICE("x"), &csr, &n->d), ERR_OK);
    json_init(&j, &body);
    json_open(&j, '{');
    json_pair(&j, "kind", SLICE("person"));
    json_pair(&j, "id", slice_of(people[WHO_CONSUMER].object));
    json_pair(&j, "csr", buf_slice(&csr));
    json_close(&j, '}');
    expect(n, WHO_SECURITY, "certs", arena_str(&n->a, buf_slice(&body)));
    buf_done(&csr);
    buf_done(&body);
    assert_int_equal(strncmp(doc_text(n->json, "certificate").p, "-----BEGIN", 10), 0);
    snprintf(peer->serial, sizeof peer->serial, "%.*s", SLICE_ARG(doc_text(n->json, "serial")));
    snprintf(peer->digest, sizeof peer->digest, "%.*s", SLICE_ARG(doc_text(n->json, "digest")));
    return peer->serial;
}
