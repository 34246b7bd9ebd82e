/* The settings file of a new node: what is said, and every default as a comment, in both languages. Its keys are those
 * of gateway/settings.c; `sluiced --check` in the system tests keeps them the same. */
#include "cli/init.h"

static const struct line {
    const char *key, *value; /* value NULL: a section */
    const char *help[2];
} defaults[] = {
    { "language", "zh", { "of messages where nobody said otherwise: zh, en", "未指定语言时所用语言" } },
    { "time_zone", "'+08:00'", { "days and hours of grants count in it", "授权日期与时段所依据的固定时区" } },
    { "workers", "0", { "threads that exchange data; 0: one a processor", "数据交换线程数；0 表示每个处理器一个" } },
    { "tls", NULL, { NULL, NULL } },
    { "certificate", "keys/gateway.pem", { "the gateway's certificate chain", "网关证书链" } },
    { "key", "keys/gateway.key", { "its private key, mode 0600", "网关私钥，权限 0600" } },
    { "ca", "ca/chain.pem", { "authority of clients' certificates", "客户端证书的签发机构" } },
    { "crl", "ca/crl.pem", { "its revocation lists", "证书吊销列表" } },
    { "providers", "providers", { "folder of the authorities of providers' systems", "提供方系统信任机构目录" } },
    { "state", NULL, { NULL, NULL } },
    { "dir", ".", { "folder of state.db, keys, secrets and ca", "state.db、keys、secrets、ca 所在目录" } },
    { "evidence", NULL, { NULL, NULL } },
    { "dir", "log", { "folder of the evidence log", "存证日志目录" } },
    { "segment_bytes", "256m", { "size of one file of the log", "单个日志文件大小" } },
    { "reserve_bytes",
      "4m",
      { "kept for outcomes and revocations when the disk is full", "磁盘写满时留给结果与回收的空间" } },
    { "sm2",
      "false",
      { "an SM2 signature on checkpoints besides; public key in keys/log.sm2.vkey",
        "检查点另加 SM2 签名；公钥见 keys/log.sm2.vkey" } },
    { "quorum",
      "0",
      { "of evidence.witnesses must co-sign; 0: all", "须联署的见证数（evidence.witnesses）；0 表示全部" } },
    { "witness_late", "warn", { "or stop: no exchange without the quorum", "或 stop：缺少联署时停止交换" } },
    { "witness_bound", "60s", { "late after this", "超过该时间即为逾期" } },
    { "retain_exchanges",
      "0",
      { "days, at least 1096 (three years); 0: for ever", "留存天数，至少 1096（三年）；0 表示永久" } },
    { "retain_operations",
      "0",
      { "days, at least 184 (six months); 0: for ever", "留存天数，至少 184（六个月）；0 表示永久" } },
    { "limits", NULL, { NULL, NULL } },
    { "connections", "10000", { "open at once", "同时打开的连接总数" } },
    { "exchanges", "4096", { "running at once", "同时进行的交换总数" } },
    { "body", "1m", { "a consumer's request body", "使用方请求正文上限" } },
    { "upload", "4g", { "a file that a consumer sends", "使用方发送的单个文件上限" } },
    { "handshake", "10s", { "time for a TLS handshake", "TLS 握手时限" } },
    { "head", "10s", { "time for a request head", "请求头时限" } },
    { "idle", "75s", { "a connection without a request", "空闲连接时限" } },
    { "drain", "30s", { "time for running exchanges to end at a stop", "停止时等待交换结束的时限" } },
};

static void defaults_put(struct buf *out)
{
    bool inside = false;

    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
        const struct line *l = &defaults[i];
        if (l->value == NULL) {
            buf_printf(out, "# %s:\n", l->key);
            inside = true;
        } else {
            buf_printf(out, "# %s%s: %s  # %s / %s\n", inside ? "  " : "", l->key, l->value, l->help[LANG_EN],
                       l->help[LANG_ZH]);
        }
    }
}

static void address_put(struct buf *out, const char *key, struct slice host, unsigned port, const char *what)
{
    bool v6 = slice_find(host, ':') < host.n;

    buf_printf(out, "  %s: '%s%.*s%s:%u'  # %s\n", key, v6 ? "[" : "", SLICE_ARG(host), v6 ? "]" : "", port, what);
}

void init_settings_put(const struct init *n, struct buf *out)
{
    buf_printf(
        out,
        "# Settings of this Sluice gateway / 本数闸网关的配置。Paths are relative to this file / 路径相对于本文件。\n"
        "# Lines in comments are the defaults / 注释行为默认值。\n"
        "node: %.*s  # part of the log's name, never changed / 存证日志名称的一部分，不可更改\n"
        "trust_domain: %.*s\n"
        "listen:\n",
        SLICE_ARG(n->node), SLICE_ARG(n->domain));
    address_put(out, "data", n->listen, n->data_port, "applications / 应用");
    address_put(out, "control", n->listen, n->control_port, "administration / 管理");
    address_put(out, "operations", SLICE("127.0.0.1"), n->operations_port, "health and metrics / 运行状况与指标");
    defaults_put(out);
}
