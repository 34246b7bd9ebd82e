/* The parts of a target that are checked by themselves: the endpoint's URL, TLS towards the provider, limits. */
#include "connectors/internal.h"

#include <unistd.h>

/* ---- endpoint ---- */
static bool is_alnum(char ch)
{
    return (ch >= '0' && ch <= '9') || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z');
}

static bool all_of(struct slice s, const char *marks)
{
    for (size_t i = 0; i < s.n; i++) {
        uint8_t octet;
        if (s.p[i] == '%' && (i + 2 >= s.n || !hex_read(slice_sub(s, i + 1, 2), &octet, 1)))
            return false;
        if (!is_alnum(s.p[i]) && (s.p[i] == '\0' || strchr(marks, s.p[i]) == NULL))
            return false;
    }
    return true;
}

/* "host", "host:port", "[v6]", "[v6]:port". */
static bool split_host(struct slice authority, struct slice *host, struct slice *port)
{
    size_t end = slice_find(authority, ':');

    if (slice_starts(authority, SLICE("["))) {
        end = slice_find(authority, ']');
        *host = slice_sub(authority, 1, end > 0 ? end - 1 : 0);
        *port = slice_sub(authority, end + 1, authority.n);
        if (end == authority.n || host->n == 0 || !all_of(*host, ":."))
            return false;
    } else {
        *host = slice_sub(authority, 0, end);
        *port = slice_sub(authority, end, authority.n);
        if (host->n == 0 || !all_of(*host, "-._"))
            return false;
    }
    return slice_find(authority, '@') == authority.n && (port->n == 0 || port->p[0] == ':');
}

static bool split_url(struct slice url, bool *https, struct slice *authority, struct slice *path)
{
    struct slice plain = SLICE("http://"), safe = SLICE("https://"), rest;

    *https = url.n >= safe.n && slice_eq_nocase(slice_sub(url, 0, safe.n), safe);
    if (!*https && !(url.n >= plain.n && slice_eq_nocase(slice_sub(url, 0, plain.n), plain)))
        return false;
    rest = slice_sub(url, *https ? safe.n : plain.n, url.n);
    *authority = slice_sub(rest, 0, slice_find(rest, '/'));
    *path = slice_sub(rest, authority->n, rest.n);
    return true;
}

void target_endpoint(struct target_compile *c, struct slice url, bool *https)
{
    const struct doc *at = doc_get(c->map, "endpoint");
    struct connector_target *t = c->t;
    struct slice authority, path, host, port;
    uint64_t number;

    if (!split_url(url, https, &authority, &path) || !split_host(authority, &host, &port) ||
        !all_of(path, "-._~!$&'()*+,;=:@/%")) {
        TARGET_BAD(c, at, "endpoint is https://host:port/path in ASCII, without user, query or fragment",
                   "endpoint 须为 https://主机:端口/路径（ASCII），不含用户、查询串或片段");
        return;
    }
    t->default_port = *https ? 443 : 80;
    number = t->default_port;
    if (port.n > 0 && !slice_u64(slice_sub(port, 1, port.n), 1, 65535, &number))
        TARGET_BAD(c, at, "the port of endpoint is a number from 1 to 65535", "endpoint 的端口须为 1 至 65535");
    t->address_text = target_copy(c, authority);
    if (number == t->default_port) /* it is not said: RFC 9110 section 4.2.3 */
        authority.n -= port.n;
    t->host = target_copy(c, authority);
    t->name = target_copy(c, host);
    t->path = target_copy(c, path);
}

/* ---- TLS ---- */
struct tls_form {
    int mode;
    struct slice identity, trust, reason, name;
};
static const char *const modes[] = { "mutual", "server", "legacy", "none", NULL }; /* as enum tls_mode */

#define AT(member) offsetof(struct tls_form, member)
static const struct doc_key tls_keys[] = {
    { .name = "mode",
      .kind = DOC_K_ENUM,
      .offset = AT(mode),
      .words = modes,
      .flags = DOC_REQUIRED,
      .help = { "mutual, server, legacy or none", "mutual、server、legacy 或 none" } },
    { .name = "identity",
      .kind = DOC_K_IDENT,
      .offset = AT(identity),
      .otherwise = "gateway",
      .help = { "whose certificate is shown: gateway", "出示的证书：gateway" } },
    { .name = "trust",
      .kind = DOC_K_IDENT,
      .offset = AT(trust),
      .help = { "anchors for the provider's certificate: <trust>.pem; providers when absent",
                "校验提供方证书的信任锚：<trust>.pem；缺省为 providers" } },
    { .name = "reason",
      .kind = DOC_K_STR,
      .offset = AT(reason),
      .max = 500,
      .help = { "why legacy or none, and until when", "采用 legacy 或 none 的原因与期限" } },
    { .name = "name",
      .kind = DOC_K_STR,
      .offset = AT(name),
      .max = 253,
      .help = { "that the certificate shows, when it is not the endpoint's host",
                "证书上的名称，与 endpoint 主机不同时填写" } },
    { .name = NULL },
};
#undef AT

static void check_mode(struct target_compile *c, const struct doc *at, enum tls_mode mode, bool https)
{
    if (https && mode == TLS_NONE)
        TARGET_BAD(c, at, "tls mode none with an https endpoint: write http://, or another mode",
                   "https 服务地址不能使用 tls none：请改为 http://，或换用其他模式");
    if (!https && mode != TLS_NONE)
        TARGET_BAD(c, at, "tls mode %s needs an https endpoint; a plain one says tls: {mode: none, reason: …}",
                   "tls 模式 %s 需要 https 服务地址；明文地址须写明 tls: {mode: none, reason: …}", tls_mode_name(mode));
}

static void find_files(struct target_compile *c, const struct doc *at, const struct tls_form *f)
{
    struct connector_target *t = c->t;
    struct slice trust = f->trust.n > 0 ? f->trust : SLICE("providers");

    if (f->mode == TLS_NONE || c->check_only || c->w == NULL)
        return;
    if (f->mode == TLS_MUTUAL) {
        t->cert_file = target_copy(c, slice_of(c->w->cert_file)).p;
        t->key_file = target_copy(c, slice_of(c->w->key_file)).p;
        c->cert = target_file(t->cert_file);
        c->key = target_file(t->key_file);
    }
    if (f->mode == TLS_LEGACY && f->trust.n == 0)
        return; /* an old system whose certificate nobody can check: the reason says so */
    t->ca_file = arena_printf(&t->arena, "%s/%.*s.pem", c->w->trust_dir ? c->w->trust_dir : ".", SLICE_ARG(trust));
    c->nomem = c->nomem || t->ca_file == NULL;
    c->ca = target_file(t->ca_file);
    if (t->ca_file && access(t->ca_file, R_OK) != 0)
        target_lacks(
            c, target_at(at, "trust"),
            arena_printf(c->scratch, "%s cannot be read: put the provider's certificate authority there", t->ca_file),
            arena_printf(c->scratch, "无法读取 %s：请将提供方的证书机构证书放在此处", t->ca_file));
}

/* The context of each loop is made later; one made and dropped now tells whether it can be. */
static void try_context(struct target_compile *c, const struct doc *at)
{
    struct connector_target *t = c->t;
    struct tls_client how = { t->mode, t->ca_file, t->cert_file, t->key_file };
    struct tls_context *tls;
    enum err e;

    if (t->mode == TLS_NONE || c->check_only || c->bad || c->nomem || t->lacks[LANG_EN])
        return;
    e = tls_client_new(&how, &tls, c->d);
    if (e == ERR_OK)
        tls_unref(tls);
    else if (e != ERR_NOMEM)
        target_lacks(c, at, "no TLS can be spoken with these certificates and anchors: see the daemon's log",
                     "无法以现有证书与信任锚建立 TLS：请查看守护进程日志");
    c->nomem = c->nomem || e == ERR_NOMEM;
}

void target_tls(struct target_compile *c, const struct doc *tls, bool https)
{
    struct tls_form f = { .mode = TLS_SERVER };
    const struct doc *at = tls ? tls : target_at(c->map, "endpoint");
    struct connector_target *t = c->t;
    bool weak;

    if (tls == NULL)
        f.identity = SLICE("gateway");
    else if (!target_bind(c, tls, tls_keys, &f))
        return;
    weak = f.mode == TLS_LEGACY || f.mode == TLS_NONE;
    t->mode = (enum tls_mode)f.mode;
    check_mode(c, tls ? target_at(tls, "mode") : at, t->mode, https);
    if (weak && slice_trim(f.reason).n == 0)
        TARGET_BAD(c, at, "tls mode %s needs a reason: it is listed and recorded",
                   "tls 模式 %s 须写明 reason：将被列出并存证", tls_mode_name(t->mode));
    if (!slice_is(f.identity, "gateway"))
        TARGET_BAD(c, target_at(tls, "identity"), "the only identity is gateway", "identity 目前仅可为 gateway");
    if (f.mode == TLS_MUTUAL && !c->check_only && (!c->w || !c->w->cert_file || !c->w->key_file))
        TARGET_BAD(c, at, "tls mode mutual needs the gateway's own certificate and key (settings tls)",
                   "tls 模式 mutual 需要网关证书与私钥（设置项 tls）");
    if (f.name.n > 0)
        t->name = target_copy(c, f.name);
    if (weak)
        t->weakness = arena_printf(&t->arena, "%s: %.*s", tls_mode_name(t->mode), SLICE_ARG(slice_trim(f.reason)));
    c->nomem = c->nomem || t->weakness == NULL;
    find_files(c, at, &f);
    try_context(c, at);
}

/* ---- limits ---- */
struct limits_form {
    uint64_t in_flight;
    struct slice rate;
    int64_t queue;
};
#define AT(member) offsetof(struct limits_form, member)
static const struct doc_key limit_keys[] = {
    { .name = "in_flight",
      .kind = DOC_K_U64,
      .offset = AT(in_flight),
      .min = 1,
      .max = 10000,
      .otherwise = "64",
      .help = { "requests at once, over all workers", "同时进行的请求数（全部工作线程合计）" } },
    { .name = "rate",
      .kind = DOC_K_STR,
      .offset = AT(rate),
      .max = 16,
      .help = { "20/s, 600/m or 3600/h; none when absent", "20/s、600/m 或 3600/h；缺省不限" } },
    { .name = "queue",
      .kind = DOC_K_DURATION,
      .offset = AT(queue),
      .min = 0,
      .max = 60000,
      .otherwise = "2s",
      .help = { "how long a request may wait for its turn; consumers' departments take turns",
                "请求排队的最长时间；各使用部门轮流" } },
    { .name = NULL },
};
#undef AT

static bool read_rate(struct slice rate, int64_t *us)
{
    static const struct {
        char unit;
        int64_t us;
    } units[] = { { 's', 1000000 }, { 'm', 60000000 }, { 'h', 3600000000 } };
    struct slice number = slice_cut(&rate, '/');
    uint64_t n;

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (rate.n == 1 && rate.p[0] == units[i].unit && slice_u64(number, 1, 100000, &n)) {
            *us = units[i].us / (int64_t)n;
            return true;
        }
    return false;
}

void target_limits(struct target_compile *c, const struct doc *limits)
{
    enum { BURST_US = 250000 };
    struct limits_form f = { 0 };
    struct connector_target *t = c->t;

    if (!target_bind(c, limits, limit_keys, &f))
        return;
    t->in_flight = f.in_flight;
    t->queue = f.queue;
    if (f.rate.n == 0)
        return;
    if (!read_rate(f.rate, &t->rate_us))
        TARGET_BAD(c, doc_get(limits, "rate"), "rate is a number of requests by time: 20/s, 600/m or 3600/h",
                   "rate 为单位时间的请求数：20/s、600/m 或 3600/h");
    t->burst_us = t->rate_us < BURST_US ? BURST_US - t->rate_us : 0;
}
