/* Certificates: signing requests of registered applications and people, renewing the gateway's own, enrolling
 * certificates of outside authorities, revoking, and what everyone may fetch: the authority's chain and its revocation
 * list. The name of a certificate comes from the register, never from the request. */
#include "gateway/api_list.h"

enum { PEM_CAP = 1 << 20 };

/* ---- signing ---- */
enum { WHO_APP, WHO_PERSON };
static const char *const who_words[] = { "app", "person", NULL };
struct sign_body {
    int kind;
    struct slice id, csr;
    uint64_t days;
};
static const struct doc_key sign_keys[] = {
    { "kind", DOC_K_ENUM, offsetof(struct sign_body, kind), .words = who_words, .flags = DOC_REQUIRED,
      .help = { "app or person", "app 或 person" } },
    { "id", DOC_K_PATH2, offsetof(struct sign_body, id), .flags = DOC_REQUIRED,
      .help = { "department/name", "部门/名称" } },
    { "csr", DOC_K_STR, offsetof(struct sign_body, csr), 1, 16384, .flags = DOC_REQUIRED,
      .help = { "PKCS#10 request, PEM", "PKCS#10 证书请求（PEM）" } },
    { "days", DOC_K_U64, offsetof(struct sign_body, days), 1, 366, .otherwise = "365",
      .help = { "validity", "有效天数" } },
    { .name = NULL },
};

static enum err must_be_active(struct api_request *q, struct sql_tx *tx, enum catalog_kind k, struct slice id)
{
    struct catalog_entry e;
    enum err err = catalog_find(tx, k, id, 0, &q->arena, &e);

    if (err != ERR_OK || slice_is(e.state, "active"))
        return err;
    return diag_add(&q->diags, ERR_CONFLICT, 0, 0, "%.*s is not active: activate it first", "%.*s 未激活：请先激活",
                    SLICE_ARG(id));
}

static void put_issued(struct api_request *q, const struct certs_issued *c, struct slice uri)
{
    struct json *j = &q->json;

    json_open(j, '{');
    json_pair(j, "serial", slice_of(c->serial));
    json_pair(j, "subject", uri);
    json_pair(j, "digest", slice_of(c->digest));
    api_put_time(j, "not_before", c->not_before);
    api_put_time(j, "not_after", c->not_after);
    json_pair(j, "certificate", c->pem);
    json_close(j, '}');
}

static enum err record_signed(struct api_request *q, struct act *a, const char *verb, const struct certs_issued *c,
                              struct slice uri)
{
    struct buf content = BUF_INIT(4096);
    struct json j;
    enum err e;

    json_init(&j, &content);
    json_open(&j, '{');
    json_pair(&j, "subject", uri);
    json_pair(&j, "digest", slice_of(c->digest));
    api_put_time(&j, "not_after", c->not_after);
    json_close(&j, '}');
    e = content.failed == ERR_OK ? act_record(q, a, verb, slice_of(c->serial), buf_slice(&content)) : content.failed;
    buf_done(&content);
    return e;
}

/* The name of an active application or person of an active department, appended to uri. */
static enum err name_of(struct api_request *q, struct act *a, int kind, struct slice id, struct buf *uri)
{
    struct slice department = slice_sub(id, 0, slice_find(id, '/'));
    enum err e = must_be_active(q, a->tx, kind == WHO_APP ? CATALOG_APP : CATALOG_PERSON, id);

    if (e == ERR_OK)
        e = must_be_active(q, a->tx, CATALOG_DEPARTMENT, department);
    certs_name_put(uri, kind == WHO_APP ? CERTS_APP : CERTS_PERSON, control_settings(q->control)->trust_domain,
                   department, slice_sub(id, department.n + 1, id.n));
    return e == ERR_OK ? uri->failed : e;
}

static enum err sign_in(struct api_request *q, struct act *a, const struct sign_body *b)
{
    struct slice name = slice_sub(b->id, slice_find(b->id, '/') + 1, b->id.n);
    struct buf uri = BUF_INIT(512);
    struct certs_issued issued;
    enum err e = name_of(q, a, b->kind, b->id, &uri);

    if (e == ERR_OK)
        e = certs_sign(control_ca(q->control), b->csr, buf_slice(&uri), name, (unsigned)b->days,
                       control_now(q->control), &q->arena, &issued, &q->diags);
    if (e == ERR_OK)
        e = certs_register(a->tx, &issued, buf_slice(&uri), slice_of(q->actor.peer->uri));
    if (e == ERR_OK)
        e = record_signed(q, a, "cert.sign", &issued, buf_slice(&uri));
    if (e == ERR_OK)
        put_issued(q, &issued, buf_slice(&uri));
    buf_done(&uri);
    return e;
}

static bool can_sign(struct api_request *q)
{
    enum keeper_state s = control_keeper_state(q->control);

    return control_ca(q->control) && s != KEEPER_GONE && s != KEEPER_SLOW;
}

static void say_cannot_sign(struct api_request *q)
{
    if (control_ca(q->control) == NULL)
        api_problem(q, REASON_CONFLICT, "the authority's key is not on this node", "本节点没有签发机构私钥");
    else if (control_keeper_state(q->control) == KEEPER_GONE)
        api_problem(q, REASON_EVIDENCE_UNSIGNED, "the keeper process has ended: start sluiced again",
                    "保管进程已结束：请重新启动 sluiced");
    else
        api_problem(q, REASON_EVIDENCE_UNSIGNED,
                    "the keeper process does not answer: try again when /readyz?verbose says it signs",
                    "保管进程未应答：待 /readyz?verbose 显示可签名后重试");
}

static bool sign_ready(struct api_request *q)
{
    bool ready = can_sign(q);

    if (!ready)
        say_cannot_sign(q);
    return ready;
}

static void sign(struct api_request *q)
{
    struct sign_body b = { 0 };
    struct act a;
    enum err e;

    if (api_body(q, sign_keys, &b) != ERR_OK || !sign_ready(q) || act_begin(q, &a, false) != ERR_OK)
        return;
    e = sign_in(q, &a, &b);
    if (e == ERR_OK)
        act_commit(q, &a);
    else
        act_fail(q, &a, e == ERR_CRYPTO || e == ERR_DENIED ? ERR_INVALID : e);
}

/* ---- the gateway's own, once more ---- */
struct renew_body {
    uint64_t days;
};
static const struct doc_key renew_keys[] = {
    { "days", DOC_K_U64, offsetof(struct renew_body, days), 1, 366, .otherwise = "365",
      .help = { "validity", "有效天数" } },
    { .name = NULL },
};

/* On record and everywhere: now it may be shown. What is open goes on under the one before. */
static void install(struct api_request *q)
{
    const struct certs_issued *c = q->state;
    enum err e = file_write(control_settings(q->control)->tls.certificate.p, c->pem, 0644, &q->diags);

    if (e != ERR_OK) {
        log_event(LOG_ERROR, "certificate-not-written", "why", err_name(e), NULL);
        api_problem(q, REASON_INTERNAL, "it is signed, but its file cannot be written: mend that, and renew once more",
                    "证书已签发，但无法写入文件：请排除故障后再次更新");
        return;
    }
    control_certificate_changed(q->control);
    api_ok(q);
}

static enum err renew_in(struct api_request *q, struct act *a, unsigned days, struct certs_issued *issued)
{
    const struct settings *s = control_settings(q->control);
    struct buf uri = BUF_INIT(512);
    enum err e =
        certs_gateway_renew(control_ca(q->control), days, control_now(q->control), &q->arena, issued, &q->diags);

    certs_name_put(&uri, CERTS_GATEWAY, s->trust_domain, (struct slice){ 0 }, s->node);
    if (e == ERR_OK)
        e = uri.failed;
    if (e == ERR_OK)
        e = certs_register(a->tx, issued, buf_slice(&uri), slice_of(q->actor.peer->uri));
    if (e == ERR_OK)
        e = record_signed(q, a, "cert.renew", issued, buf_slice(&uri));
    if (e == ERR_OK)
        put_issued(q, issued, buf_slice(&uri));
    buf_done(&uri);
    return e;
}

static void renew(struct api_request *q)
{
    struct certs_issued *issued = arena_zalloc(&q->arena, sizeof *issued);
    struct renew_body b = { 0 };
    struct act a;
    enum err e;

    if (api_body(q, renew_keys, &b) != ERR_OK || !sign_ready(q) || act_begin(q, &a, false) != ERR_OK)
        return;
    e = issued ? renew_in(q, &a, (unsigned)b.days, issued) : ERR_NOMEM;
    q->state = issued;
    a.then = install;
    if (e == ERR_OK)
        act_commit(q, &a);
    else
        act_fail(q, &a, e == ERR_UNSUPPORTED ? ERR_CONFLICT : e);
}

/* ---- enrolling: certificates of outside authorities, by their digest ---- */
struct enrol_body {
    int kind;
    struct slice id, certificate, digest;
    uint64_t days;
};
static const struct doc_key enrol_keys[] = {
    { "kind", DOC_K_ENUM, offsetof(struct enrol_body, kind), .words = who_words, .flags = DOC_REQUIRED,
      .help = { "app or person", "app 或 person" } },
    { "id", DOC_K_PATH2, offsetof(struct enrol_body, id), .flags = DOC_REQUIRED,
      .help = { "department/name", "部门/名称" } },
    { "certificate", DOC_K_STR, offsetof(struct enrol_body, certificate), 1, 65536, .flags = DOC_REQUIRED,
      .help = { "the certificate, PEM; intermediate ones may follow", "证书（PEM），其后可附中间证书" } },
    { "digest", DOC_K_STR, offsetof(struct enrol_body, digest), 64, 64,
      .help = { "its SHA-256, as its holder told it: refused when it is another",
                "持有人告知的证书 SHA-256；不一致则拒绝" } },
    { "days", DOC_K_U64, offsetof(struct enrol_body, days), 1, 366, .otherwise = "365",
      .help = { "how long it holds here, at most until the certificate ends", "备案有效天数，不超过证书有效期" } },
    { .name = NULL },
};
struct enrolment {
    const struct certs_outside *c;
    struct slice uri;
    int64_t from, until;
};

static void put_enrolment(struct json *j, const struct enrolment *n, bool whole)
{
    json_open(j, '{');
    json_pair(j, "subject", n->uri);
    json_pair(j, "serial", slice_of(n->c->serial));
    if (whole)
        json_pair(j, "digest", slice_of(n->c->digest));
    json_pair(j, "authority", n->c->authority);
    if (whole)
        api_put_time(j, "not_before", n->from);
    api_put_time(j, "not_after", n->until);
    json_close(j, '}');
}

static enum err record_enrolled(struct api_request *q, struct act *a, const struct enrolment *n)
{
    struct buf content = BUF_INIT(4096);
    struct json j;
    enum err e;

    json_init(&j, &content);
    put_enrolment(&j, n, false);
    e = content.failed == ERR_OK ? act_record(q, a, "cert.enrol", slice_of(n->c->digest), buf_slice(&content))
                                 : content.failed;
    buf_done(&content);
    return e;
}

/* As a client that presents it would be judged, and whether it is the one that was meant. */
static enum err judge(struct api_request *q, const struct enrol_body *b, struct slice uri, struct certs_outside *c)
{
    struct certs_trust *trust = control_snapshot(q->control)->trust;
    const char *more[2] = { NULL, NULL };
    enum reason r = trust ? certs_outside_judge(trust, b->certificate, uri, control_now(q->control), &q->arena, c, more)
                          : REASON_INTERNAL;

    if (r == REASON_CERTIFICATE_UNKNOWN)
        return diag_add(&q->diags, ERR_INVALID, 0, 0,
                        "no outside authority of the settings (tls.anchors, enrolled: true) vouches for this "
                        "certificate and this department",
                        "设置中没有外部机构（tls.anchors，enrolled: true）可为该证书及该部门担保");
    if (r != REASON_GRANTED)
        return diag_add(&q->diags, ERR_INVALID, 0, 0, "%s%.0s", "%.0s%s",
                        more[LANG_EN] ? more[LANG_EN] : reason_info(r)->title[LANG_EN],
                        more[LANG_ZH] ? more[LANG_ZH] : reason_info(r)->title[LANG_ZH]);
    if (b->digest.n > 0 && !slice_is(b->digest, c->digest))
        return diag_add(&q->diags, ERR_CONFLICT, 0, 0,
                        "this certificate's SHA-256 is %s, not the one that was told: it is another certificate",
                        "该证书的 SHA-256 为 %s，与所告知的不同：不是同一张证书", c->digest);
    return ERR_OK;
}

static enum err enrol_in(struct api_request *q, struct act *a, const struct enrol_body *b)
{
    struct certs_outside c = { .serial = "" };
    struct buf uri = BUF_INIT(512);
    struct enrolment n = { .c = &c, .from = control_now(q->control) };
    enum err e = name_of(q, a, b->kind, b->id, &uri);

    n.uri = buf_slice(&uri);
    n.until = n.from + (int64_t)b->days * 86400000;
    if (e == ERR_OK)
        e = judge(q, b, n.uri, &c);
    if (c.not_after < n.until)
        n.until = c.not_after;
    if (e == ERR_OK) {
        e = certs_enrol(a->tx, &c, n.uri, slice_of(q->actor.peer->uri), n.from, n.until);
        if (e == ERR_CONFLICT)
            diag_add(&q->diags, e, 0, 0, "this certificate is revoked here, or somebody else's",
                     "该证书已在本网关吊销，或已备案在他人名下");
    }
    if (e == ERR_OK)
        e = record_enrolled(q, a, &n);
    if (e == ERR_OK)
        put_enrolment(&q->json, &n, true);
    if (e == ERR_OK && !hex_read(slice_of(c.digest), a->enrols.b, sizeof a->enrols.b))
        e = ERR_INVALID;
    buf_done(&uri);
    return e;
}

static void enrol(struct api_request *q)
{
    struct enrol_body b = { 0 };
    struct act a;
    enum err e;

    if (api_body(q, enrol_keys, &b) != ERR_OK || act_begin(q, &a, false) != ERR_OK)
        return;
    e = enrol_in(q, &a, &b);
    a.touch_trust = true;
    if (e == ERR_OK)
        act_commit(q, &a);
    else
        act_fail(q, &a, e);
}

/* ---- revoking ---- */
struct revoke_body {
    struct slice reason;
};
static const struct doc_key revoke_keys[] = {
    { "reason", DOC_K_STR, offsetof(struct revoke_body, reason), 1, 200, .flags = DOC_REQUIRED,
      .help = { "why", "理由" } },
    { .name = NULL },
};

/* *row is the one that the path names, also when it is revoked already. */
static enum err revoke_find(struct api_request *q, struct act *a, struct certs_row *row)
{
    enum err e = certs_find(a->tx, q->path[1], control_now(q->control), &q->arena, row);

    if (e == ERR_CONFLICT)
        diag_add(&q->diags, e, 0, 0, "two certificates have this serial: name the digest of the one",
                 "有两张证书使用该序列号：请指明证书摘要");
    return e;
}

static enum err revoke_in(struct api_request *q, struct act *a, struct slice reason)
{
    struct certs_row row = { 0 };
    struct buf content = BUF_INIT(4096);
    struct json j;
    enum err e = revoke_find(q, a, &row);

    if (e == ERR_OK)
        e = certs_revoke(a->tx, row.digest, reason, control_now(q->control));
    if (e != ERR_OK)
        return e;
    a->touch_trust = true;
    a->write_list = row.authority.n == 0;
    json_init(&j, &content);
    json_open(&j, '{');
    json_pair(&j, "subject", row.uri);
    json_opt(&j, "authority", row.authority);
    json_pair(&j, "reason", reason);
    json_close(&j, '}');
    e = content.failed == ERR_OK
            ? act_record(q, a, "cert.revoke", row.authority.n > 0 ? row.digest : row.serial, buf_slice(&content))
            : content.failed;
    buf_done(&content);
    json_open(&q->json, '{');
    json_pair(&q->json, "serial", row.serial);
    json_pair(&q->json, "subject", row.uri);
    json_pair(&q->json, "state", SLICE("revoked"));
    json_close(&q->json, '}');
    return e;
}

static void revoke(struct api_request *q)
{
    struct revoke_body b = { 0 };
    struct act a;
    enum err e;

    if (api_body(q, revoke_keys, &b) != ERR_OK || act_begin(q, &a, true) != ERR_OK)
        return;
    if (text_names_person(b.reason)) {
        diag_add(&q->diags, ERR_INVALID, 0, 0, "a reason holds no identity number", "理由不得含公民身份号码");
        act_fail(q, &a, ERR_INVALID);
        return;
    }
    e = revoke_in(q, &a, b.reason);
    if (e == ERR_OK && a.write_list && !can_sign(q)) {
        act_cancel(&a);
        say_cannot_sign(q);
    } else if (e == ERR_OK)
        act_commit(q, &a);
    else
        act_fail(q, &a, e);
}

/* ---- reading ---- */
struct listing {
    struct api_list list;
    struct slice subject; /* "department/name"; empty: any */
};

static bool names(struct slice uri, struct slice subject)
{
    struct certs_name n;

    return certs_name_read(uri, &n) && subject.n == n.department.n + 1 + n.id.n &&
           slice_starts(subject, n.department) && subject.p[n.department.n] == '/' && slice_ends(subject, n.id);
}

static enum err list_one(void *arg, const struct certs_row *row)
{
    struct listing *l = arg;
    struct json *j = l->list.j;
    enum err e;

    if (l->subject.n > 0 && !names(row->uri, l->subject))
        return ERR_OK;
    e = api_list_next(&l->list);
    if (e != ERR_OK)
        return api_list_skip(e);
    json_open(j, '{');
    json_pair(j, "serial", row->serial);
    json_pair(j, "subject", row->uri);
    json_pair(j, "digest", row->digest);
    json_pair(j, "state", row->state);
    json_opt(j, "reason", row->reason);
    json_opt(j, "author", row->author);
    json_opt(j, "authority", row->authority);
    api_put_time(j, "not_before", row->not_before);
    api_put_time(j, "not_after", row->not_after);
    api_put_time(j, "revoked_at", row->revoked_at);
    json_close(j, '}');
    return ERR_OK;
}

static void list(struct api_request *q)
{
    struct slice subject = api_query(q, "subject"), uri = { 0 };
    struct listing l = { 0 };
    struct sql_tx *tx;
    enum err e;

    if (slice_starts(subject, SLICE("spiffe://")))
        uri = subject;
    else
        l.subject = subject;
    if (!api_list_begin(q, &l.list) || api_read(q, &tx) != ERR_OK)
        return;
    e = certs_each(tx, uri, control_now(q->control), NULL, list_one, &l);
    api_read_end(q, tx);
    api_list_end(&l.list, e);
}

static void give_file(struct api_request *q, struct slice path)
{
    char name[4200];
    enum err e = ERR_INVALID;

    q->out.cap = PEM_CAP;
    if (path.n < sizeof name) {
        memcpy(name, path.p, path.n);
        name[path.n] = '\0';
        e = file_read(name, &q->out, NULL);
    }
    q->type = "application/x-pem-file";
    if (e == ERR_OK)
        api_ok(q);
    else
        api_error(q, e);
}

static void give_ca(struct api_request *q)
{
    give_file(q, control_settings(q->control)->tls.ca);
}

static void give_crl(struct api_request *q)
{
    give_file(q, control_settings(q->control)->tls.crl);
}

const struct api_route api_cert_routes[] = {
    { "POST", "certs", sign, ROLE_SECURITY_ADMIN, false },
    { "GET", "certs", list, 0, false },
    { "POST", "certs/renew", renew, ROLE_SECURITY_ADMIN, false },
    { "POST", "certs/enrol", enrol, ROLE_SECURITY_ADMIN, false },
    { "POST", "certs/{}/revoke", revoke, ROLE_SECURITY_ADMIN, false },
    { "GET", "ca", give_ca, 0, true },
    { "GET", "crl", give_crl, 0, true },
    { .method = NULL },
};
