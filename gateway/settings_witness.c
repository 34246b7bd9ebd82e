/* evidence.witnesses: who co-signs, where, and how their servers are trusted; plain HTTP only to this host. And
 * evidence.witness_for: whose logs this gateway co-signs, and whose gateways may ask. */
#include "audit/audit.h"
#include "gateway/settings.h"

static const struct doc_key witness_keys[] = {
    { "key", DOC_K_STR, offsetof(struct settings_witness, key), 1, 512, .flags = DOC_REQUIRED,
      .help = { "its public key: witness.vkey", "见证公钥：witness.vkey" } },
    { "url", DOC_K_STR, offsetof(struct settings_witness, host), 1, 512, .flags = DOC_REQUIRED,
      .help = { "where it serves: https://host:port", "服务地址：https://主机:端口" } },
    { "ca", DOC_K_STR, offsetof(struct settings_witness, ca), 1, 1024,
      .help = { "file of the authority of its certificate", "其证书签发机构文件" } },
    { .name = NULL },
};

static bool on_this_host(struct slice host)
{
    return slice_starts(host, SLICE("127.")) || slice_starts(host, SLICE("[::1]"));
}

/* "https://host:port/path" into host, path and tls. */
static bool url_split(struct settings_witness *w)
{
    struct slice rest = w->host;
    size_t slash;

    w->tls = slice_starts(rest, SLICE("https://"));
    if (!w->tls && !slice_starts(rest, SLICE("http://")))
        return false;
    rest = slice_sub(rest, w->tls ? 8 : 7, rest.n);
    slash = slice_find(rest, '/');
    w->host = slice_sub(rest, 0, slash);
    w->path = slice_sub(rest, slash, rest.n);
    while (w->path.n > 0 && w->path.p[w->path.n - 1] == '/')
        w->path.n--;
    for (size_t i = 0; i < rest.n; i++)
        if ((unsigned char)rest.p[i] <= ' ' || rest.p[i] == '?' || rest.p[i] == '#' || rest.p[i] == '@')
            return false;
    return w->host.n > 0;
}

static enum err check(const struct settings_witness *w, bool url, const struct doc *node, struct diags *d)
{
    struct audit_witness known;

    if (audit_witness_read(w->key, &known) != ERR_OK)
        return diag_add(d, ERR_INVALID, node->line, node->col,
                        "'key' is no witness's key: give the line of its witness.vkey",
                        "“key”不是见证公钥：请给出其 witness.vkey 中的一行");
    if (!url)
        return diag_add(d, ERR_INVALID, node->line, node->col, "'url' is as https://host:port or http://127.0.0.1:port",
                        "“url”应形如 https://主机:端口 或 http://127.0.0.1:端口");
    if (!w->tls && !on_this_host(w->host))
        return diag_add(d, ERR_INVALID, node->line, node->col, "plain http is for 127.0.0.1 and [::1] only: use https",
                        "http 仅限 127.0.0.1 与 [::1]：请使用 https");
    if (w->tls && w->ca.n == 0)
        return diag_add(d, ERR_INVALID, node->line, node->col, "name the 'ca' of the witness's certificate",
                        "请给出见证服务证书的“ca”");
    return ERR_OK;
}

static enum err read_one(struct settings *s, const struct doc *node, struct slice folder, struct settings_witness *to,
                         struct diags *d)
{
    enum err e = doc_bind(node, witness_keys, to, &s->arena, d);
    bool url = e == ERR_OK && url_split(to);
    char *ca;

    if (e == ERR_OK)
        e = check(to, url, node, d);
    if (e == ERR_OK)
        e = settings_path(s, folder, &to->ca);
    ca = e == ERR_OK ? arena_str(&s->arena, to->ca) : NULL; /* the kernel wants its end */
    if (e == ERR_OK && ca == NULL)
        e = ERR_NOMEM;
    to->ca.p = ca;
    return e;
}

enum err settings_witnesses_read(struct settings *s, struct slice folder, struct diags *d)
{
    const struct doc *list = s->evidence.witnesses;
    size_t n = list ? list->count : 0;
    struct settings_witness *at;
    enum err e = ERR_OK;

    if (n > SETTINGS_WITNESSES)
        return diag_add(d, ERR_INVALID, list->line, list->col, "at most %d witnesses", "见证至多 %d 个",
                        SETTINGS_WITNESSES);
    if (s->evidence.quorum > n)
        return diag_add(d, ERR_INVALID, list ? list->line : 0, list ? list->col : 0,
                        "'quorum' is %u, and there are %u witnesses", "“quorum”为 %u，而见证只有 %u 个",
                        (unsigned)s->evidence.quorum, (unsigned)n);
    if (s->evidence.quorum == 0)
        s->evidence.quorum = n;
    if (n == 0)
        return ERR_OK;
    at = arena_array(&s->arena, n, sizeof *at);
    if (at == NULL)
        return ERR_NOMEM;
    DOC_EACH(node, list)
    {
        enum err e2 = read_one(s, node, folder, &at[s->evidence.n_witnesses], d);
        s->evidence.n_witnesses++;
        e = e == ERR_OK ? e2 : e;
    }
    s->evidence.witness = at;
    return e;
}

bool settings_witnesses_same(const struct settings *a, const struct settings *b)
{
    if (a->evidence.n_witnesses != b->evidence.n_witnesses)
        return false;
    for (size_t i = 0; i < a->evidence.n_witnesses; i++) {
        const struct settings_witness *x = &a->evidence.witness[i], *y = &b->evidence.witness[i];
        if (!slice_eq(x->key, y->key) || !slice_eq(x->host, y->host) || !slice_eq(x->path, y->path) ||
            !slice_eq(x->ca, y->ca) || x->tls != y->tls)
            return false;
    }
    return true;
}

/* ---- evidence.witness_for ---- */
static const struct doc_key observed_keys[] = {
    { "log", DOC_K_STR, offsetof(struct settings_observed, log), 1, 512, .flags = DOC_REQUIRED,
      .help = { "its public key: the line of its log.vkey", "其日志公钥：log.vkey 中的一行" } },
    { "ca", DOC_K_STR, offsetof(struct settings_observed, ca), 1, 1024, .flags = DOC_REQUIRED,
      .help = { "file of the authority of its operator's gateways", "其运营方网关证书的签发机构文件" } },
    { .name = NULL },
};

static enum err ended(struct settings *s, struct slice *text)
{
    char *copy = arena_str(&s->arena, *text);

    text->p = copy;
    return copy != NULL ? ERR_OK : ERR_NOMEM;
}

static enum err observed_one(struct settings *s, const struct doc *node, struct slice folder,
                             struct settings_observed *to, struct diags *d)
{
    enum err e = doc_bind(node, observed_keys, to, &s->arena, d);

    if (e == ERR_OK && !audit_vkey_origin(to->log, &to->origin))
        e = diag_add(d, ERR_INVALID, node->line, node->col, "'log' is no log's key: give the line of its log.vkey",
                     "“log”不是存证日志公钥：请给出其 log.vkey 中的一行");
    if (e != ERR_OK)
        return e;
    to->domain = slice_sub(to->origin, 0, slice_find(to->origin, '/'));
    e = settings_path(s, folder, &to->ca);
    if (e == ERR_OK)
        e = ended(s, &to->ca);
    if (e == ERR_OK)
        e = ended(s, &to->origin);
    return e == ERR_OK ? ended(s, &to->domain) : e;
}

enum err settings_observed_read(struct settings *s, struct slice folder, struct diags *d)
{
    const struct doc *list = s->evidence.witness_for;
    size_t n = list ? list->count : 0;
    struct settings_observed *at = arena_array(&s->arena, n > 0 ? n : 1, sizeof *at);
    enum err e = ERR_OK;

    if (n > AUDIT_ORIGINS_MAX)
        return diag_add(d, ERR_INVALID, list->line, list->col, "at most %d logs", "日志至多 %d 个", AUDIT_ORIGINS_MAX);
    if ((n > 0) != (s->listen.witness.n > 0))
        return diag_add(d, ERR_INVALID, list ? list->line : 0, list ? list->col : 0,
                        "'listen.witness' and 'evidence.witness_for' go together: where, and for whom",
                        "“listen.witness”与“evidence.witness_for”须同时给出：何处监听、为谁见证");
    if (at == NULL)
        return ERR_NOMEM;
    s->evidence.observed = at;
    if (n == 0)
        return ERR_OK;
    DOC_EACH(node, list)
    {
        enum err e2 = observed_one(s, node, folder, &at[s->evidence.n_observed], d);
        s->evidence.n_observed++;
        e = e == ERR_OK ? e2 : e;
    }
    return e;
}

bool settings_observed_same(const struct settings *a, const struct settings *b)
{
    if (a->evidence.n_observed != b->evidence.n_observed)
        return false;
    for (size_t i = 0; i < a->evidence.n_observed; i++)
        if (!slice_eq(a->evidence.observed[i].log, b->evidence.observed[i].log) ||
            !slice_eq(a->evidence.observed[i].ca, b->evidence.observed[i].ca))
            return false;
    return true;
}
