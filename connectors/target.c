/* Compiling the `connector` part of a manifest into a target, and a target's life. Two counts: `held` is what snapshots
 * hold, `refs` what keeps the memory; when the first is zero the pools close their connections and let go. Invariants:
 * a target that was made can be called; its text is its own, so the manifest may go. */
#include "connectors/internal.h"

#include <sys/stat.h>

enum { MOMENT_MS = 200 };

struct connector_form {
    struct slice endpoint;
    const struct doc *path, *operation, *tls, *auth, *limits, *method;
    int kind;
    int64_t timeout;
};

static const struct kind *const kinds[] = { &kind_http, &kind_soap };
static const char *const kind_words[] = { "http", "soap", NULL };

#define AT(member) offsetof(struct connector_form, member)
static const struct doc_key connector_keys[] = {
    { .name = "kind",
      .kind = DOC_K_ENUM,
      .offset = AT(kind),
      .words = kind_words,
      .flags = DOC_REQUIRED,
      .help = { "how the provider is reached: http or soap", "连接方式：http 或 soap" } },
    { .name = "endpoint",
      .kind = DOC_K_STR,
      .offset = AT(endpoint),
      .min = 1,
      .max = 2048,
      .flags = DOC_REQUIRED,
      .help = { "URL of the provider's service", "提供方服务地址" } },
    { .name = "path",
      .kind = DOC_K_NODE,
      .offset = AT(path),
      .help = { "behind the endpoint's own path, with {names} (http)", "接在服务地址路径之后，可含 {名称}（http）" } },
    { .name = "operation",
      .kind = DOC_K_NODE,
      .offset = AT(operation),
      .help = { "{namespace, name, soap, action} (soap)", "{namespace, name, soap, action}（soap）" } },
    { .name = "tls",
      .kind = DOC_K_MAP,
      .offset = AT(tls),
      .help = { "{mode: mutual | server | legacy | none, identity, trust, name, reason}",
                "{mode: mutual | server | legacy | none, identity, trust, name, reason}" } },
    { .name = "auth",
      .kind = DOC_K_MAP,
      .offset = AT(auth),
      .help = { "bearer, header or basic, with the name of a secret", "bearer、header 或 basic，填写凭据名称" } },
    { .name = "timeout",
      .kind = DOC_K_DURATION,
      .offset = AT(timeout),
      .min = 100,
      .max = 600000,
      .otherwise = "10s",
      .help = { "until the head of the answer, and between its pieces; limits.provider_rate counts over it",
                "等待响应头及响应各段之间的最长时间；limits.provider_rate 亦按此时段计算" } },
    { .name = "limits",
      .kind = DOC_K_MAP,
      .offset = AT(limits),
      .help = { "{in_flight: 8, rate: 20/s, queue: 2s}", "{in_flight: 8, rate: 20/s, queue: 2s}" } },
    { .name = "method",
      .kind = DOC_K_NODE,
      .offset = AT(method),
      .help = { "of request, not of connector", "属于 request" } },
    { .name = NULL },
};
#undef AT

bool target_bind(struct target_compile *c, const struct doc *map, const struct doc_key *keys, void *out)
{
    enum err e = doc_bind(map, keys, out, c->scratch, c->d);

    c->bad = c->bad || e != ERR_OK;
    c->nomem = c->nomem || e == ERR_NOMEM;
    return e == ERR_OK;
}

const struct doc *target_at(const struct doc *map, const char *key)
{
    const struct doc *v = doc_get(map, key);

    return v ? v : map;
}

struct slice target_copy(struct target_compile *c, struct slice s)
{
    const char *p = arena_str(&c->t->arena, s);

    c->nomem = c->nomem || p == NULL;
    return (struct slice){ p, p ? s.n : 0 };
}

static void check_kind(struct target_compile *c, const struct connector_form *f)
{
    const struct kind *k = c->t->kind;

    if (f->path && !k->path)
        TARGET_BAD(c, f->path, "path belongs to kind http: write all of it into endpoint",
                   "path 仅用于 http：请全部写入 endpoint");
    if (f->operation && !k->operation)
        TARGET_BAD(c, f->operation, "operation belongs to kind soap: leave it out, or write kind: soap",
                   "operation 仅用于 soap：请删除，或改为 kind: soap");
    if (f->method)
        TARGET_BAD(c, f->method, "method belongs to request: write request.method",
                   "method 属于 request：请写作 request.method");
    k->compile(c);
}

/* A row of the request's mapping that would overwrite the credential's header. */
static void check_rows(struct target_compile *c)
{
    DOC_EACH(row, doc_get(doc_get(c->manifest, "request"), "params"))
    {
        struct slice to = doc_text(row, "to");
        if (c->t->auth_name.n > 0 && slice_starts(to, SLICE("header:")) &&
            slice_eq_nocase(slice_sub(to, 7, to.n), c->t->auth_name))
            TARGET_BAD(c, doc_get(row, "to"), "header %.*s is filled by connector.auth: remove this row",
                       "请求头 %.*s 由 connector.auth 填写：请删除此行", SLICE_ARG(c->t->auth_name));
    }
}

void target_lacks(struct target_compile *c, const struct doc *node, const char *en, const char *zh)
{
    struct connector_target *t = c->t;

    if (en == NULL || zh == NULL) {
        c->nomem = true;
        return;
    }
    TARGET_BAD(c, node, "%s%.0s", "%.0s%s", en, zh);
    if (c->w == NULL || !c->w->bears)
        return;
    c->bad = false;
    if (t->lacks[LANG_EN] != NULL)
        return; /* the first is told */
    t->lacks[LANG_EN] = target_copy(c, slice_of(en)).p;
    t->lacks[LANG_ZH] = target_copy(c, slice_of(zh)).p;
}

static void put_texts(struct target_compile *c)
{
    struct connector_target *t = c->t;
    struct slice host = t->address_text;

    t->missing[LANG_EN] = arena_printf(
        &t->arena, "the host %.*s cannot be resolved: check endpoint and the name service", SLICE_ARG(host));
    t->missing[LANG_ZH] = arena_printf(&t->arena, "无法解析主机 %.*s：请检查 endpoint 与域名服务", SLICE_ARG(host));
    t->silent[LANG_EN] = arena_printf(
        &t->arena, "the name service has not answered for the host %.*s: check that it runs", SLICE_ARG(host));
    t->silent[LANG_ZH] = arena_printf(&t->arena, "域名服务尚未答复主机 %.*s：请检查其是否正常运行", SLICE_ARG(host));
    for (unsigned l = 0; l < 2; l++)
        c->nomem = c->nomem || t->missing[l] == NULL || t->silent[l] == NULL;
}

/* Its name is looked up from here on, by others; it may take its time. Only where a host that does not exist would be a
 * fault the answer is given a moment, for a name service that works needs no longer. */
static void resolve(struct target_compile *c)
{
    struct connector_target *t = c->t;
    enum err e;

    if (c->check_only || c->bad || c->nomem)
        return;
    put_texts(c);
    e = c->nomem ? ERR_NOMEM : name_get(c->w->names, t->address_text, t->default_port, &t->where, NULL);
    c->nomem = e == ERR_NOMEM;
    if (c->nomem || (e == ERR_OK && c->w->bears))
        return;
    if (e == ERR_OK && c->w->names && name_state(t->where) == NAME_ASKED)
        names_settle(c->w->names, MOMENT_MS);
    if (e != ERR_OK || name_state(t->where) == NAME_MISSING) /* no host has so long a name, or this one */
        TARGET_BAD(c, doc_get(c->map, "endpoint"), "%s%.0s", "%.0s%s", t->missing[LANG_EN], t->missing[LANG_ZH]);
}

/* ---- what it is made of besides the manifest ---- */
uint64_t target_file(const char *path)
{
    struct stat st;
    bool there = path != NULL && stat(path, &st) == 0;

    return there ? (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec + (uint64_t)st.st_size * 7 +
                       st.st_ino * 13 + st.st_mode * 17
                 : 1;
}

/* The gateway's own certificate is read anew by the pools; only who could not be made for its sake waits for it. */
static uint64_t stamp_of(bool lacks, uint64_t secret, uint64_t ca, uint64_t cert, uint64_t key)
{
    uint64_t stamp = secret * 1000003 + ca;

    return lacks ? (stamp * 1000003 + cert) * 1000003 + key : stamp;
}

static uint64_t target_stamp(const struct connector_target *t)
{
    return stamp_of(t->lacks[LANG_EN] != NULL, target_file(t->secret_file), target_file(t->ca_file),
                    target_file(t->cert_file), target_file(t->key_file));
}

static const char *lacks_now(const struct connector_target *t, enum lang lang)
{
    enum name_state s = t->where ? name_state(t->where) : NAME_KNOWN;

    if (t->lacks[lang] != NULL || s == NAME_KNOWN)
        return t->lacks[lang];
    return s == NAME_ASKED || s == NAME_SILENT ? t->silent[lang] : t->missing[lang];
}

const char *connector_lacks(const struct connector_target *t, enum lang lang)
{
    static const char *const no_tls[] = {
        "no TLS could be spoken with the certificates, key and anchors as they are now: check that they fit, and the "
        "key's mode, 0600",
        "无法以现有证书、私钥与信任锚建立 TLS：请检查其是否匹配，以及私钥权限是否为 0600",
    };
    const char *what = lacks_now(t, lang);

    return what == NULL && atomic_load_explicit(&t->no_tls, memory_order_relaxed) ? no_tls[lang] : what;
}

bool target_whole(const struct connector_target *t)
{
    return lacks_now(t, LANG_EN) == NULL;
}

bool connector_stale(const struct connector_target *t)
{
    return t->stamp != target_stamp(t);
}

size_t target_headers(const struct connector_target *t, struct http_header *out)
{
    size_t n = t->kind->decorate(t, out);

    out[n++] = (struct http_header){ SLICE("Accept-Encoding"), SLICE("identity") };
    out[n++] = (struct http_header){ SLICE("User-Agent"), SLICE("sluice/" SLUICE_VERSION) };
    return n;
}

/* What is the same in each request's head, all but the credential. */
static void make_lines(struct target_compile *c)
{
    struct http_header h[1 + TARGET_HEADERS] = { { SLICE("Host"), c->t->host } };
    struct buf text = BUF_INIT(16 * 1024);

    if (c->bad || c->nomem)
        return;
    if (http_lines_put(&text, h, 1 + target_headers(c->t, h + 1)) == ERR_OK)
        c->t->lines = target_copy(c, buf_slice(&text));
    buf_done(&text); /* without them each request's head is made whole, and fails as it must */
}

static void compile(struct target_compile *c)
{
    struct connector_form f = { 0 };
    bool https = true;

    if (!target_bind(c, c->map, connector_keys, &f) && f.endpoint.n == 0)
        return;
    c->t->kind = kinds[f.kind];
    c->t->timeout = f.timeout;
    check_kind(c, &f);
    target_endpoint(c, f.endpoint, &https);
    target_tls(c, f.tls, https);
    target_auth(c, f.auth);
    target_limits(c, f.limits);
    check_rows(c);
    make_lines(c);
    resolve(c);
    c->t->stamp = stamp_of(c->t->lacks[LANG_EN] != NULL, c->secret, c->ca, c->cert, c->key);
}

enum err connector_compile(const struct doc *manifest, const struct connector_world *w, bool check_only,
                           struct connector_target **ret, struct diags *d)
{
    struct connector_target *t = mem_zalloc(sizeof *t);
    struct target_compile c = { .t = t, .w = w, .manifest = manifest, .d = d, .check_only = check_only };
    struct arena scratch;

    if (t == NULL)
        return ERR_NOMEM;
    arena_init(&t->arena, 64 * 1024);
    arena_init(&scratch, 256 * 1024);
    atomic_init(&t->held, 1);
    atomic_init(&t->refs, 1);
    t->weakness = "";
    t->workers = w && w->workers > 0 && w->workers <= TARGET_WORKERS ? w->workers : 1;
    t->side = mem_zalloc(t->workers * sizeof *t->side);
    c.nomem = t->side == NULL;
    c.scratch = &scratch;
    c.secret = c.ca = c.cert = c.key = target_file(NULL);
    c.map = doc_get(manifest, "connector");
    if (c.map == NULL || c.map->type != DOC_MAP)
        TARGET_BAD(&c, c.map ? c.map : manifest, "connector is missing: {kind: http, endpoint: https://…}",
                   "缺少 connector：{kind: http, endpoint: https://…}");
    else
        compile(&c);
    arena_done(&scratch);
    if (c.nomem || c.bad) {
        target_drop(t);
        return c.bad ? ERR_INVALID : ERR_NOMEM;
    }
    *ret = t;
    return ERR_OK;
}

void target_keep(struct connector_target *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
}

void target_drop(struct connector_target *t)
{
    if (atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (t->auth)
        mem_wipe(t->auth, strlen(t->auth));
    mem_free(t->auth);
    mem_free(t->side);
    name_unref(t->where);
    arena_done(&t->arena);
    mem_free(t);
}

bool target_orphan(const struct connector_target *t)
{
    return atomic_load_explicit(&t->held, memory_order_acquire) == 0;
}

struct connector_target *connector_ref(struct connector_target *t)
{
    if (t)
        atomic_fetch_add_explicit(&t->held, 1, memory_order_relaxed);
    return t;
}

void connector_unref(struct connector_target *t)
{
    if (t && atomic_fetch_sub_explicit(&t->held, 1, memory_order_acq_rel) == 1)
        target_drop(t);
}

struct slice connector_weakness(const struct connector_target *t)
{
    return slice_of(t->weakness);
}

const char *connector_kind(const struct connector_target *t)
{
    return t->kind->name;
}
