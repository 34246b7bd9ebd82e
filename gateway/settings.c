/* The settings: one table a section makes the parser, the defaults, the reload rule, what --check -v prints and the
 * file that is written for a new node. Adding a setting is adding a row. */
#include "audit/audit.h"
#include "base/net/net.h"
#include "gateway/settings.h"

#include <stdio.h>
#include <unistd.h>

enum { SETTING_PATH = 256 }; /* row flag: relative to the file's folder */
enum { FILE_CAP = 1 << 20, ARENA_CAP = 8 << 20 };

#define AT(field) offsetof(struct settings, field)
#define PATH      (DOC_STATIC | SETTING_PATH)

static const char *const languages[] = { "en", "zh", NULL };

static const struct doc_key top_keys[] = {
    { "node", DOC_K_IDENT, AT(node), .flags = DOC_STATIC | DOC_REQUIRED,
      .help = { "name of this gateway; part of its log's name", "本网关节点名，存证日志名称的一部分" } },
    { "trust_domain", DOC_K_STR, AT(trust_domain), 1, 255, .flags = DOC_STATIC | DOC_REQUIRED,
      .help = { "domain of all names in certificates", "证书名称所属信任域" } },
    { "language", DOC_K_ENUM, AT(language), .words = languages, .flags = DOC_STATIC, .otherwise = "zh",
      .help = { "of messages where nobody said otherwise: en, zh", "未指定语言时所用语言：en、zh" } },
    { "time_zone", DOC_K_STR, AT(time_zone), 1, 6, .flags = DOC_STATIC, .otherwise = "+08:00",
      .help = { "fixed offset in which days and hours of grants count", "授权日期与时段所依据的固定时区" } },
    { "workers", DOC_K_U64, AT(workers), 0, SETTINGS_WORKERS, .flags = DOC_STATIC, .otherwise = "0",
      .help = { "threads that exchange data; 0: one a processor", "数据交换线程数；0 表示每个处理器一个" } },
    { .name = NULL },
};
static const struct doc_key listen_keys[] = {
    { "data", DOC_K_STR, AT(listen.data), 1, 80, .flags = DOC_STATIC, .otherwise = "127.0.0.1:8443",
      .help = { "data listener, address:port", "数据监听地址:端口" } },
    { "control", DOC_K_STR, AT(listen.control), 1, 80, .flags = DOC_STATIC, .otherwise = "127.0.0.1:9443",
      .help = { "administration API", "管理接口监听地址" } },
    { "operations", DOC_K_STR, AT(listen.operations), 1, 80, .flags = DOC_STATIC, .otherwise = "127.0.0.1:9464",
      .help = { "health and metrics; a loopback address", "运行状况与指标；须为回环地址" } },
    { "witness", DOC_K_STR, AT(listen.witness), 0, 80, .flags = DOC_STATIC, .otherwise = "",
      .help = { "where gateways of evidence.witness_for ask for cosignatures; none: closed",
                "evidence.witness_for 所列网关请求联署的监听地址；不填则关闭" } },
    { .name = NULL },
};
static const struct doc_key tls_keys[] = {
    { "certificate", DOC_K_STR, AT(tls.certificate), 1, 1024, .flags = PATH, .otherwise = "keys/gateway.pem",
      .help = { "the gateway's certificate chain", "网关证书链" } },
    { "key", DOC_K_STR, AT(tls.key), 1, 1024, .flags = PATH, .otherwise = "keys/gateway.key",
      .help = { "its private key, mode 0600", "网关私钥，权限 0600" } },
    { "ca", DOC_K_STR, AT(tls.ca), 1, 1024, .flags = SETTING_PATH, .otherwise = "ca/chain.pem",
      .help = { "authority of clients' certificates", "客户端证书的签发机构" } },
    { "crl", DOC_K_STR, AT(tls.crl), 1, 1024, .flags = SETTING_PATH, .otherwise = "ca/crl.pem",
      .help = { "its revocation lists", "证书吊销列表" } },
    { "anchors", DOC_K_LIST, AT(tls.anchors),
      .help = { "further authorities: a list of {ca, crl, domain or enrolled, departments}",
                "其他信任机构：{ca, crl, domain 或 enrolled, departments} 列表" } },
    { "remind", DOC_K_U64, AT(tls.remind), 1, 365, .otherwise = "30",
      .help = { "days before the gateway's certificate ends that /readyz and metrics say so: sluice cert renew",
                "网关证书到期前多少天由 /readyz 与指标提醒：sluice cert renew" } },
    { "providers", DOC_K_STR, AT(tls.providers), 1, 1024, .flags = PATH, .otherwise = "providers",
      .help = { "folder of the authorities of providers' systems", "提供方系统信任机构目录" } },
    { .name = NULL },
};
static const struct doc_key state_keys[] = {
    { "dir", DOC_K_STR, AT(state.dir), 1, 1024, .flags = PATH, .otherwise = ".",
      .help = { "folder of state.db, keys, secrets and ca", "state.db、keys、secrets、ca 所在目录" } },
    { .name = NULL },
};
static const char *const lateness[] = { [WITNESS_WARN] = "warn", [WITNESS_STOP] = "stop", NULL };
static const struct doc_key evidence_keys[] = {
    { "dir", DOC_K_STR, AT(evidence.dir), 1, 1024, .flags = PATH, .otherwise = "log",
      .help = { "folder of the evidence log", "存证日志目录" } },
    { "segment_bytes", DOC_K_BYTES, AT(evidence.segment_bytes), 64 << 10, (int64_t)4 << 30, .flags = DOC_STATIC,
      .otherwise = "256m", .help = { "size of one file of the log", "单个日志文件大小" } },
    { "reserve_bytes", DOC_K_BYTES, AT(evidence.reserve_bytes), 1 << 20, 1 << 30, .flags = DOC_STATIC,
      .otherwise = "4m",
      .help = { "kept for outcomes and revocations when the disk is full", "磁盘写满时留给结果与回收的空间" } },
    { "strangers_bytes", DOC_K_BYTES, AT(evidence.strangers_bytes), 1 << 20, (int64_t)1 << 40, .flags = DOC_STATIC,
      .otherwise = "64m",
      .help = { "of the log a day for attempts of unknown sources one by one; beyond it they are counted",
                "每日逐条存证陌生来源尝试的字节上限，超出部分只计数" } },
    { "queue_bytes", DOC_K_BYTES, AT(evidence.queue_bytes), 64 << 10, 256 << 20, .flags = DOC_STATIC, .otherwise = "1m",
      .help = { "records that one worker may have waiting: an exchange has about 1.2k, and while it is full further "
                "ones wait for room",
                "每个线程待写存证的缓冲大小：每次交换约占 1.2k，写满时后续交换等待腾出空间" } },
    { "retain_exchanges", DOC_K_U64, AT(evidence.retain_exchanges), 0, 36500, .otherwise = "0",
      .help = { "days that exchanges and refusals are kept, at least 1096 (three years); 0: for ever",
                "交换与拒绝记录的留存天数，至少 1096（三年）；0 表示永久" } },
    { "retain_operations", DOC_K_U64, AT(evidence.retain_operations), 0, 36500, .otherwise = "0",
      .help = { "days that acts, counts and gaps are kept, at least 184 (six months); 0: for ever",
                "治理行为、计数与缺口记录的留存天数，至少 184（六个月）；0 表示永久" } },
    { "witnesses", DOC_K_LIST, AT(evidence.witnesses), .flags = DOC_STATIC,
      .help = { "other operators who co-sign checkpoints: a list of {key, url, ca}",
                "为检查点联署的其他运营方：{key, url, ca} 列表" } },
    { "witness_for", DOC_K_LIST, AT(evidence.witness_for), .flags = DOC_STATIC,
      .help = { "other operators' logs that this gateway co-signs: a list of {log, ca}; its own key: keys/witness.vkey",
                "本网关为之见证的其他日志：{log, ca} 列表；本网关见证公钥见 keys/witness.vkey" } },
    { "sm2", DOC_K_BOOL, AT(evidence.sm2), .flags = DOC_STATIC, .otherwise = "false",
      .help = { "sign checkpoints by SM2 with SM3 besides; its key is made at the first start (keys/log.sm2.vkey)",
                "检查点另加 SM2（SM3）签名；密钥在首次启动时生成（keys/log.sm2.vkey）" } },
    { "quorum", DOC_K_U64, AT(evidence.quorum), 0, SETTINGS_WITNESSES, .flags = DOC_STATIC, .otherwise = "0",
      .help = { "co-signatures that make a proof valid; 0: of all witnesses", "使证明有效的联署数；0 表示全部见证" } },
    { "witness_late", DOC_K_ENUM, AT(evidence.witness_late), .words = lateness, .flags = DOC_STATIC,
      .otherwise = "warn",
      .help = { "when the quorum is late: warn, or stop exchanges", "见证逾期时：warn 告警，stop 停止交换" } },
    { "witness_bound", DOC_K_DURATION, AT(evidence.witness_bound_ms), 5000, 86400000, .flags = DOC_STATIC,
      .otherwise = "60s", .help = { "it is late after this", "超过该时间即为逾期" } },
    { .name = NULL },
};
/* The order of printing; the first has no name of its own. */
static const struct section {
    const char *name;
    const struct doc_key *keys;
} sections[] = {
    { NULL, top_keys },      { "listen", listen_keys },     { "tls", tls_keys },
    { "state", state_keys }, { "evidence", evidence_keys }, { "limits", settings_limits },
};
enum { SECTIONS = sizeof sections / sizeof sections[0], EVIDENCE_SECTION = 4 };
_Static_assert((int)SECTIONS == (int)SETTINGS_SECTIONS, "each section has its place");
_Static_assert((int)SETTINGS_WORKERS + 2 <= (int)AUDIT_QUEUES,
               "each worker, the control thread and the cosigner have a queue");

/* ---- reading ---- */
bool settings_address(struct slice address, char host[SETTINGS_HOST], unsigned *port)
{
    size_t colon = address.n;
    struct slice name;
    uint64_t number;

    while (colon > 0 && address.p[colon - 1] != ':')
        colon--;
    if (colon < 2 || !slice_u64(slice_sub(address, colon, address.n), 0, 65535, &number))
        return false;
    name = slice_sub(address, 0, colon - 1);
    if (name.n > 2 && name.p[0] == '[' && name.p[name.n - 1] == ']')
        name = slice_sub(name, 1, name.n - 2);
    if (name.n >= SETTINGS_HOST)
        return false;
    memcpy(host, name.p, name.n);
    host[name.n] = '\0';
    *port = (unsigned)number;
    return true;
}

/* The root has the top keys and the sections; doc_bind knows one table, so their rows are joined here. */
static enum err bind_top(const struct doc *root, struct settings *s, struct diags *d)
{
    struct doc_key keys[sizeof top_keys / sizeof top_keys[0] + SECTIONS];
    size_t n = 0;

    memset(keys, 0, sizeof keys);
    for (const struct doc_key *k = top_keys; k->name; k++)
        keys[n++] = *k;
    for (size_t i = 1; i < SECTIONS; i++) {
        keys[n].name = sections[i].name;
        keys[n].kind = DOC_K_MAP;
        keys[n++].offset = AT(section[i]);
    }
    s->section[0] = root;
    return doc_bind(root, keys, s, &s->arena, d);
}

static enum err bind_all(const struct doc *root, struct settings *s, struct diags *d)
{
    enum err e = bind_top(root, s, d);

    for (size_t i = 1; i < SECTIONS; i++) {
        enum err e2 = doc_bind(s->section[i], sections[i].keys, s, &s->arena, d);
        e = e == ERR_OK ? e2 : e;
    }
    return e;
}

enum err settings_path(struct settings *s, struct slice folder, struct slice *path)
{
    char *text;

    if (path->n == 0 || path->p[0] == '/')
        return ERR_OK;
    text = slice_is(*path, ".") ? arena_str(&s->arena, folder)
                                : arena_printf(&s->arena, "%.*s/%.*s", SLICE_ARG(folder), SLICE_ARG(*path));
    if (text == NULL)
        return ERR_NOMEM;
    *path = slice_of(text);
    return ERR_OK;
}

/* Paths become NUL-terminated too: callers give them to the kernel. */
static enum err place_paths(struct settings *s, struct slice folder)
{
    for (size_t i = 0; i < SECTIONS; i++)
        for (const struct doc_key *k = sections[i].keys; k->name; k++) {
            struct slice *at = (struct slice *)(void *)((char *)s + k->offset);
            enum err e = k->flags & SETTING_PATH ? settings_path(s, folder, at) : ERR_OK;
            char *text = e == ERR_OK && k->flags & SETTING_PATH ? arena_str(&s->arena, *at) : NULL;
            if (k->flags & SETTING_PATH) {
                if (text == NULL)
                    return ERR_NOMEM;
                at->p = text;
            }
        }
    return ERR_OK;
}

/* ---- checks beyond the tables ---- */
static bool domain_valid(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '.' && c != '-')
            return false;
    }
    return s.n > 0 && s.n <= 255;
}

static const struct doc *place_of(const struct settings *s, size_t section, const char *key)
{
    const struct doc *node = s->section[section] ? doc_get(s->section[section], key) : NULL;

    return node ? node : s->section[0];
}

static enum err check_addresses(const struct settings *s, struct diags *d)
{
    enum err e = ERR_OK;

    for (const struct doc_key *k = listen_keys; k->name; k++) {
        const struct slice *at = (const struct slice *)(const void *)((const char *)s + k->offset);
        const struct doc *where = place_of(s, 1, k->name);
        char host[SETTINGS_HOST];
        unsigned port;
        if (at->n > 0 && !settings_address(*at, host, &port))
            e = diag_add(d, ERR_INVALID, where->line, where->col, "'%s' is an address and a port, as 127.0.0.1:8443",
                         "“%s”应为地址与端口，如 127.0.0.1:8443", k->name);
        else if (at->n > 0 && k->offset == AT(listen.operations) && strncmp(host, "127.", 4) != 0 &&
                 strcmp(host, "::1") != 0)
            e = diag_add(d, ERR_INVALID, where->line, where->col,
                         "'%s' has no TLS: it must be a loopback address, as 127.0.0.1:9464",
                         "“%s”不使用 TLS，须为回环地址，如 127.0.0.1:9464", k->name);
    }
    return e;
}

/* What law asks for is the least: a shorter time is refused, not raised in silence. */
static enum err check_retention(const struct settings *s, struct diags *d)
{
    const struct {
        const char *key;
        uint64_t days, least;
        const char *what[2];
    } all[] = {
        { "retain_exchanges", s->evidence.retain_exchanges, AUDIT_KEEP_EXCHANGES_DAYS, { "three years", "三年" } },
        { "retain_operations", s->evidence.retain_operations, AUDIT_KEEP_OPERATIONS_DAYS, { "six months", "六个月" } },
    };
    enum err e = ERR_OK;

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const struct doc *where = place_of(s, EVIDENCE_SECTION, all[i].key);
        if (all[i].days != 0 && all[i].days < all[i].least)
            e = diag_add(d, ERR_INVALID, where->line, where->col,
                         "'%s' is at least %llu days (%s%.0s): raise it, or write 0 to keep them for ever",
                         "“%s”至少为 %llu 天（%.0s%s）：请调大，或写 0 永久保留", all[i].key,
                         (unsigned long long)all[i].least, all[i].what[LANG_EN], all[i].what[LANG_ZH]);
    }
    return e;
}

static enum err check_all(struct settings *s, struct diags *d)
{
    enum err e = check_addresses(s, d), e2 = check_retention(s, d);
    const struct doc *where = place_of(s, 0, "time_zone");

    e = e == ERR_OK ? e2 : e;

    if (s->time_zone.n > 0 && !clock_parse_zone(s->time_zone, &s->zone))
        e = diag_add(d, ERR_INVALID, where->line, where->col, "'time_zone' is an offset, as +08:00 or Z",
                     "“time_zone”应为时差，如 +08:00 或 Z");
    where = place_of(s, 0, "trust_domain");
    if (s->trust_domain.n > 0 && !domain_valid(s->trust_domain))
        e = diag_add(d, ERR_INVALID, where->line, where->col,
                     "'trust_domain' has lower-case letters, digits, dots and hyphens only",
                     "“trust_domain”只能含小写字母、数字、点与连字符");
    if (s->workers == 0) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        s->workers = n < 1 ? 1 : n > SETTINGS_WORKERS ? SETTINGS_WORKERS : (uint64_t)n;
    }
    return e;
}

static struct slice folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        return SLICE(".");
    return slash == path ? SLICE("/") : slice_make(path, (size_t)(slash - path));
}

static enum err read_tree(struct settings *s, struct slice text, struct slice folder, struct diags *d)
{
    const struct doc *list, *root;
    enum err e = doc_read_yaml(text, &s->arena, d, &list), e2;

    if (e != ERR_OK)
        return e;
    if (list->count != 1)
        return diag_add(d, ERR_INVALID, 1, 1, "the settings are one YAML document", "设置文件应为一份 YAML 文档");
    root = list->first;
    e = bind_all(root, s, d);
    if (root->type == DOC_MAP) {
        e2 = check_all(s, d);
        e = e == ERR_OK ? e2 : e;
    }
    e2 = place_paths(s, folder);
    e = e == ERR_OK ? e2 : e;
    e2 = settings_anchors_read(s, folder, d);
    e = e == ERR_OK ? e2 : e;
    e2 = settings_witnesses_read(s, folder, d);
    e = e == ERR_OK ? e2 : e;
    e2 = settings_observed_read(s, folder, d);
    return e == ERR_OK ? e2 : e;
}

enum err settings_read(const char *path, struct settings *ret, struct diags *d)
{
    struct buf text = BUF_INIT(FILE_CAP);
    struct slice outer = d ? d->file : (struct slice){ 0 };
    enum err e;

    memset(ret, 0, sizeof *ret);
    arena_init(&ret->arena, ARENA_CAP);
    if (d && outer.n == 0)
        d->file = slice_of(path);
    e = file_read(path, &text, d);
    if (e == ERR_OK) {
        struct slice copy = arena_dup(&ret->arena, buf_slice(&text)); /* trees may point into the text */
        e = copy.n == text.n ? read_tree(ret, copy, folder_of(path), d) : ERR_NOMEM;
    }
    if (d)
        d->file = outer; /* what is found later lies elsewhere */
    buf_done(&text);
    if (e != ERR_OK)
        settings_done(ret);
    return e;
}

void settings_done(struct settings *s)
{
    arena_done(&s->arena);
    memset(s, 0, sizeof *s);
}

/* ---- showing ---- */
static const struct scale {
    const char *unit;
    uint64_t size;
} byte_scale[] = { { "g", 1 << 30 }, { "m", 1 << 20 }, { "k", 1 << 10 }, { "", 1 } },
  time_scale[] = { { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 } };

/* The largest unit that divides it. */
static void put_scaled(struct buf *out, uint64_t v, const struct scale *scale)
{
    while (scale->size > 1 && (v == 0 || v % scale->size != 0))
        scale++;
    buf_put_u64(out, v / scale->size);
    buf_puts(out, scale->unit);
}

static const void *field_of(const struct settings *s, const struct doc_key *k)
{
    return (const char *)s + k->offset;
}

static void put_value(struct buf *out, const struct settings *s, const struct doc_key *k)
{
    const void *at = field_of(s, k);

    switch (k->kind) {
    case DOC_K_STR:
    case DOC_K_IDENT:
        buf_put(out, *(const struct slice *)at);
        break;
    case DOC_K_ENUM:
        buf_puts(out, k->words[*(const int *)at]);
        break;
    case DOC_K_BOOL:
        buf_puts(out, *(const bool *)at ? "true" : "false");
        break;
    case DOC_K_BYTES:
        put_scaled(out, *(const uint64_t *)at, byte_scale);
        break;
    case DOC_K_DURATION:
        put_scaled(out, (uint64_t) * (const int64_t *)at, time_scale);
        break;
    case DOC_K_U64:
        buf_put_u64(out, *(const uint64_t *)at);
        break;
    default:
        buf_printf(out, "%zu",
                   k->offset == AT(tls.anchors)          ? s->tls.n_anchors
                   : k->offset == AT(evidence.witnesses) ? s->evidence.n_witnesses
                                                         : s->evidence.n_observed);
    }
}

void settings_print(const struct settings *s, enum lang lang, struct buf *out)
{
    for (size_t i = 0; i < SECTIONS; i++)
        for (const struct doc_key *k = sections[i].keys; k->name; k++) {
            buf_printf(out, "%s%s%s: ", sections[i].name ? sections[i].name : "", sections[i].name ? "." : "", k->name);
            put_value(out, s, k);
            buf_puts(out, "  # ");
            if (k->otherwise)
                buf_printf(out, lang == LANG_EN ? "default %s; " : "默认 %s；", k->otherwise);
            buf_puts(out, k->help[lang]);
            buf_puts(out, "\n");
        }
    for (const struct settings_fixed *f = settings_fixed; f->name; f++) {
        buf_printf(out, "fixed.%s: ", f->name);
        put_scaled(out, f->value, f->time ? time_scale : byte_scale);
        buf_puts(out, lang == LANG_EN ? "  # stands fast; " : "  # 固定；");
        buf_puts(out, f->help[lang]);
        buf_puts(out, "\n");
    }
}

static bool same(const struct settings *a, const struct settings *b, const struct doc_key *k)
{
    struct buf x = BUF_INIT(8192), y = BUF_INIT(8192);
    bool eq;

    put_value(&x, a, k);
    put_value(&y, b, k);
    eq = x.failed == ERR_OK && y.failed == ERR_OK && slice_eq(buf_slice(&x), buf_slice(&y));
    buf_done(&x);
    buf_done(&y);
    return eq && (k->offset != AT(evidence.witnesses) || settings_witnesses_same(a, b)) &&
           (k->offset != AT(evidence.witness_for) || settings_observed_same(a, b));
}

enum err settings_may_reload(const struct settings *now, const struct settings *next, struct diags *d)
{
    enum err e = ERR_OK;

    for (size_t i = 0; i < SECTIONS; i++)
        for (const struct doc_key *k = sections[i].keys; k->name; k++)
            if (k->flags & DOC_STATIC && !same(now, next, k))
                e = diag_add(d, ERR_CONFLICT, 0, 0, "'%s%s%s' changes only with a restart", "“%s%s%s”须重启后才能更改",
                             sections[i].name ? sections[i].name : "", sections[i].name ? "." : "", k->name);
    return e;
}

/* ---- the file of a new node ---- */
void settings_write(struct slice node, struct slice trust_domain, const char *dir, unsigned data_port,
                    unsigned control_port, unsigned operations_port, struct buf *out)
{
    const unsigned ports[] = { data_port, control_port, operations_port };
    size_t n = 0;

    buf_printf(out, "# %s\nnode: %.*s\ntrust_domain: %.*s\n", dir, SLICE_ARG(node), SLICE_ARG(trust_domain));
    for (const struct doc_key *k = top_keys + 2; k->name; k++)
        buf_printf(out, "# %s: '%s'  # %s / %s\n", k->name, k->otherwise, k->help[LANG_EN], k->help[LANG_ZH]);
    for (size_t i = 1; i < SECTIONS; i++) {
        bool written = i == 1;
        buf_printf(out, "%s%s:\n", written ? "" : "# ", sections[i].name);
        for (const struct doc_key *k = sections[i].keys; k->name; k++) {
            if (written && n < sizeof ports / sizeof ports[0])
                buf_printf(out, "  %s: 127.0.0.1:%u  # ", k->name, ports[n++]);
            else if (k->otherwise && k->otherwise[0] != '\0')
                buf_printf(out, "#   %s: %s  # ", k->name, k->otherwise);
            else
                continue;
            buf_printf(out, "%s / %s\n", k->help[LANG_EN], k->help[LANG_ZH]);
        }
    }
}
