/* Is this node fit to serve? One table of checks for /readyz and for the status of the API: of a picture that the
 * control thread made of itself, and of what any thread may read. */
#include "gateway/control_internal.h"

#include <stdatomic.h>
#include <stdio.h>

enum { DISK_WANTED = 64 << 20, CONTROL_HUNG_MS = 5000, DAY_MS = 86400000 };

static void say(struct health *h, bool ok, const char *en, const char *zh)
{
    h->ok = ok;
    snprintf(h->text[LANG_EN], sizeof h->text[LANG_EN], "%s", en);
    snprintf(h->text[LANG_ZH], sizeof h->text[LANG_ZH], "%s", zh);
}

static void check_serving(struct control *c, const struct control_picture *p, struct health *h)
{
    (void)c;
    if (p->draining)
        say(h, false, "shutting down", "正在停止服务");
    else
        say(h, true, "serving", "正常服务");
}

/* A disk that does not answer holds the control thread: acts wait, whatever else runs goes on. */
static void check_control(struct control *c, const struct control_picture *p, struct health *h)
{
    int64_t silent = clock_mono_ms() - p->at;

    (void)c;
    if (silent < CONTROL_HUNG_MS) {
        say(h, true, "acts can be made", "可进行治理操作");
        return;
    }
    h->ok = false;
    snprintf(
        h->text[LANG_EN], sizeof h->text[LANG_EN],
        "the control thread has not answered for %lld s, the state's disk may hang: nothing can be granted or revoked, "
        "exchanges go on",
        (long long)silent / 1000);
    snprintf(h->text[LANG_ZH], sizeof h->text[LANG_ZH],
             "控制线程已 %lld 秒无响应，状态磁盘可能挂起：无法授权或回收，交换继续", (long long)silent / 1000);
}

static void check_evidence(struct control *c, const struct control_picture *p, struct health *h)
{
    struct audit_status s;

    (void)p;
    audit_status(c->log, &s);
    if (s.hung_ms > 0) {
        h->ok = false;
        snprintf(h->text[LANG_EN], sizeof h->text[LANG_EN],
                 "the evidence log's disk has not answered for %lld s: exchanges are refused",
                 (long long)s.hung_ms / 1000);
        snprintf(h->text[LANG_ZH], sizeof h->text[LANG_ZH], "存证日志磁盘已 %lld 秒无响应，交换已被拒绝",
                 (long long)s.hung_ms / 1000);
    } else if (s.available)
        say(h, true, "the evidence log can be written", "存证日志可写");
    else
        say(h, false, "the evidence log cannot be written: exchanges are refused", "存证日志不可写，交换已被拒绝");
}

static void say_slow(struct health *h, int64_t ms)
{
    h->ok = false;
    snprintf(h->text[LANG_EN], sizeof h->text[LANG_EN],
             "the keeper has not answered for %lld s, nothing is signed and no exchange begins until it does: is the "
             "disk of its state there?",
             (long long)ms / 1000);
    snprintf(h->text[LANG_ZH], sizeof h->text[LANG_ZH],
             "保管进程已 %lld 秒未应答，恢复之前无法签名，新的交换已被拒绝：请检查其状态所在磁盘",
             (long long)ms / 1000);
}

static void check_keeper(struct control *c, const struct control_picture *p, struct health *h)
{
    enum keeper_state s = c->keeper ? keeper_state(c->keeper) : KEEPER_SIGNS;

    (void)p;
    if (s == KEEPER_GONE)
        say(h, false, "the keeper process has ended, nothing can be signed: start sluiced again",
            "保管进程已结束，无法签名：请重新启动 sluiced");
    else if (s == KEEPER_SLOW)
        say_slow(h, keeper_slow_ms(c->keeper));
    else if (s == KEEPER_REFUSES)
        say(h, false, "the keeper refuses to sign the log's checkpoint: see the daemon's log, verify the evidence log",
            "保管进程拒绝为检查点签名：请查看守护进程日志并核验存证日志");
    else
        say(h, true, "the keys are held apart, and sign", "密钥单独保管，可签名");
}

/* Each witness with its state, as many as the text has room for; those that do not sign first. */
static void put_witnesses(const struct witnesses_status *s, enum lang lang, char *to, size_t room)
{
    static const char *const words[][2] = { [WITNESS_NEW] = { "not asked yet", "尚未请求" },
                                            [WITNESS_SIGNS] = { "signs", "正常" },
                                            [WITNESS_UNREACHABLE] = { "unreachable", "无法连接" },
                                            [WITNESS_REFUSES] = { "refuses", "拒绝" } };
    size_t at = strlen(to);
    const char *comma = " ";

    for (size_t i = 0; i < 2 * s->n && at + 64 < room; i++) { /* whole or not at all: a text is UTF-8 */
        size_t k = i % s->n;
        if ((s->at[k].state == WITNESS_SIGNS) != (i >= s->n))
            continue;
        snprintf(to + at, room - at, "%s%.40s: %s", comma, s->at[k].name, words[s->at[k].state][lang]);
        at = strlen(to);
        comma = ", ";
    }
}

/* Lateness that stops exchanges makes the node unfit; else somebody should look, and the node serves. */
static void check_witnesses(struct control *c, const struct control_picture *p, struct health *h)
{
    struct witnesses_status s;

    (void)p;
    if (c->witnesses == NULL) {
        say(h, true, "none are named: nobody outside would see a rewritten log",
            "未指定见证：日志若被改写，外部无从察觉");
        return;
    }
    witnesses_status(c->witnesses, &s);
    h->ok = !(s.late && s.stops);
    h->warn = s.late;
    snprintf(h->text[LANG_EN], sizeof h->text[LANG_EN], "%s%llu of %zu must sign; %llu records signed;",
             s.late ? s.stops ? "LATE, exchanges are stopped; " : "LATE; " : "", (unsigned long long)s.quorum, s.n,
             (unsigned long long)s.size);
    snprintf(h->text[LANG_ZH], sizeof h->text[LANG_ZH], "%s需 %llu/%zu 联署；已见证 %llu 条记录；",
             s.late ? s.stops ? "逾期，已停止交换；" : "逾期；" : "", (unsigned long long)s.quorum, s.n,
             (unsigned long long)s.size);
    put_witnesses(&s, LANG_EN, h->text[LANG_EN], sizeof h->text[LANG_EN]);
    put_witnesses(&s, LANG_ZH, h->text[LANG_ZH], sizeof h->text[LANG_ZH]);
}

/* A forked log of another is that one's fault, and everybody's business: it is said, and this node serves. */
static void check_cosigner(struct control *c, const struct control_picture *p, struct health *h)
{
    struct cosigner_status s;

    (void)p;
    say(h, true, "this gateway witnesses no other log", "本网关未为其他日志见证");
    if (c->cosigner == NULL)
        return;
    cosigner_status(c->cosigner, &s);
    h->warn = s.misbehaved + s.unproved > 0;
    snprintf(h->text[LANG_EN], sizeof h->text[LANG_EN],
             "%llu logs of others; %llu checkpoints co-signed, %llu requests refused%s", (unsigned long long)s.logs,
             (unsigned long long)s.cosigned, (unsigned long long)s.refused,
             s.misbehaved > 0 ? "; A LOG HAS MISBEHAVED, see the daemon's log"
             : s.unproved > 0 ? "; a checkpoint came without its proof, see the daemon's log"
                              : "");
    snprintf(h->text[LANG_ZH], sizeof h->text[LANG_ZH], "其他日志 %llu 个；已联署检查点 %llu 个，拒绝请求 %llu 次%s",
             (unsigned long long)s.logs, (unsigned long long)s.cosigned, (unsigned long long)s.refused,
             s.misbehaved > 0 ? "；有日志自相矛盾，见守护进程日志"
             : s.unproved > 0 ? "；有检查点未附有效证明，见守护进程日志"
                              : "");
}

static void check_disk(uint64_t free, struct health *h)
{
    unsigned long long mib = free >> 20, wanted = DISK_WANTED >> 20;

    h->ok = free >= DISK_WANTED;
    if (free == UINT64_MAX) {
        snprintf(h->text[LANG_EN], sizeof h->text[LANG_EN], "the system does not say how much is free");
        snprintf(h->text[LANG_ZH], sizeof h->text[LANG_ZH], "系统未报告剩余空间");
    } else if (h->ok) {
        snprintf(h->text[LANG_EN], sizeof h->text[LANG_EN], "%llu MiB free", mib);
        snprintf(h->text[LANG_ZH], sizeof h->text[LANG_ZH], "剩余 %llu MiB", mib);
    } else {
        snprintf(h->text[LANG_EN], sizeof h->text[LANG_EN], "only %llu MiB free, make room: at least %llu are wanted",
                 mib, wanted);
        snprintf(h->text[LANG_ZH], sizeof h->text[LANG_ZH], "仅剩 %llu MiB，请清理磁盘：至少需要 %llu MiB", mib,
                 wanted);
    }
}

static void check_log_disk(struct control *c, const struct control_picture *p, struct health *h)
{
    (void)c;
    check_disk(p->log_free, h);
}

static void check_state_disk(struct control *c, const struct control_picture *p, struct health *h)
{
    (void)c;
    check_disk(p->state_free, h);
}

static void say_until(struct health *h, int64_t until, int64_t now)
{
    char text[CLOCK_TEXT];

    h->ok = until > now;
    clock_text(until, text);
    snprintf(h->text[LANG_EN], sizeof h->text[LANG_EN], h->ok ? "valid until %s" : "EXPIRED at %s", text);
    snprintf(h->text[LANG_ZH], sizeof h->text[LANG_ZH], h->ok ? "有效期至 %s" : "已过期：%s", text);
}

/* It keeps out whom that authority vouches for, and nobody else: the node is fit. */
static void say_others(const struct control_picture *p, struct health *h)
{
    char text[CLOCK_TEXT];

    clock_text(p->crl_others, text);
    h->warn = true;
    snprintf(h->text[LANG_EN], sizeof h->text[LANG_EN],
             "that of the authority in %s EXPIRED at %s, its certificates are refused: get its new one", p->crl_file,
             text);
    snprintf(h->text[LANG_ZH], sizeof h->text[LANG_ZH], "%s 中机构的吊销列表已过期（%s），其证书均被拒绝：请获取新列表",
             p->crl_file, text);
}

static void check_crl(struct control *c, const struct control_picture *p, struct health *h)
{
    (void)c;
    if (!p->has_trust)
        say(h, false, "the authorities' certificates are not loaded", "未载入签发机构证书");
    else if (p->crl_next == 0)
        say(h, true, "no revocation list is in use", "未使用证书吊销列表");
    else
        say_until(h, p->crl_next, clock_wall_ms());
    if (h->ok && p->crl_others != 0 && p->crl_others <= clock_wall_ms())
        say_others(p, h);
}

static void remind(struct health *h)
{
    static const char *const what[] = {
        [LANG_EN] = ": renew it, sluice cert renew", [LANG_ZH] = "：请更新，sluice cert renew"
    };

    for (unsigned l = 0; l < 2; l++) {
        size_t n = strlen(h->text[l]);
        snprintf(h->text[l] + n, sizeof h->text[l] - n, "%s", what[l]);
    }
}

static void check_certificate(struct control *c, const struct control_picture *p, struct health *h)
{
    (void)c;
    if (p->certificate_until == 0) {
        say(h, false, "the gateway's certificate cannot be read", "无法读取网关证书");
        return;
    }
    say_until(h, p->certificate_until, clock_wall_ms());
    h->warn = p->certificate_due;
    if (h->warn)
        remind(h);
}

/* What was in force before stays in force, so the node is fit to serve. */
static void check_reload(struct control *c, const struct control_picture *p, struct health *h)
{
    (void)c;
    say(h, true, "nothing is wrong with the last reload", "最近一次重载无误");
    if (p->reload_fault[LANG_EN][0] == '\0')
        return;
    h->warn = true;
    snprintf(h->text[LANG_EN], sizeof h->text[LANG_EN], "the last reload failed, what was in force stays: %s",
             p->reload_fault[LANG_EN]);
    snprintf(h->text[LANG_ZH], sizeof h->text[LANG_ZH], "最近一次重载失败，沿用原有内容：%s", p->reload_fault[LANG_ZH]);
}

static void check_acts(struct control *c, const struct control_picture *p, struct health *h)
{
    (void)c;
    h->ok = !p->held;
    snprintf(h->text[LANG_EN], sizeof h->text[LANG_EN], "%zu acts under way%s", p->acts,
             h->ok ? "" : ", HELD: the evidence log does not take their records, it is tried again");
    snprintf(h->text[LANG_ZH], sizeof h->text[LANG_ZH], "%zu 项操作正在生效%s", p->acts,
             h->ok ? "" : "，已搁置：存证日志未接收其记录，正在重试");
}

static void check_memory(struct control *c, const struct control_picture *p, struct health *h)
{
    unsigned long long mib = atomic_load(&c->pressure.resident) >> 20, cap = c->pressure.cap >> 20;
    bool high = atomic_load(&c->pressure.high);

    (void)p;
    snprintf(h->text[LANG_EN], sizeof h->text[LANG_EN], "%llu of %llu MiB in use%s", mib, cap,
             high ? ": new exchanges are refused" : "");
    snprintf(h->text[LANG_ZH], sizeof h->text[LANG_ZH], "已用 %llu MiB，上限 %llu MiB%s", mib, cap,
             high ? "：拒绝新的交换" : "");
    if (c->pressure.cap == 0)
        say(h, true, "no cap is set", "未设内存上限");
    h->ok = !high;
}

/* The others are served: the node is fit. */
static void check_providers(struct control *c, const struct control_picture *p, struct health *h)
{
    (void)c;
    say(h, true, "nothing is lacking to call them", "调用所需配置齐全");
    h->warn = p->lacking > 0 || p->failing > 0;
    if (p->failing > 0) {
        snprintf(h->text[LANG_EN], sizeof h->text[LANG_EN], "%zu resources fail: %s", p->failing, p->fails[LANG_EN]);
        snprintf(h->text[LANG_ZH], sizeof h->text[LANG_ZH], "%zu 个数据资源调用失败：%s", p->failing,
                 p->fails[LANG_ZH]);
    }
    if (p->lacking == 0)
        return;
    snprintf(h->text[LANG_EN], sizeof h->text[LANG_EN], "%zu resources cannot be called: %s", p->lacking,
             p->lacks[LANG_EN]);
    snprintf(h->text[LANG_ZH], sizeof h->text[LANG_ZH], "%zu 个数据资源无法调用：%s", p->lacking, p->lacks[LANG_ZH]);
}

static const struct check_row {
    const char *name;
    void (*check)(struct control *c, const struct control_picture *p, struct health *h);
} rows[] = {
    { "serving", check_serving },         { "control", check_control },       { "evidence", check_evidence },
    { "keeper", check_keeper },           { "witnesses", check_witnesses },   { "witness-for", check_cosigner },
    { "evidence-disk", check_log_disk },  { "state-disk", check_state_disk }, { "revocation-list", check_crl },
    { "certificate", check_certificate }, { "providers", check_providers },   { "acts", check_acts },
    { "memory", check_memory },           { "reload", check_reload },
};
_Static_assert(sizeof rows / sizeof rows[0] <= CHECKS_MAX, "each check has its place");

static void picture_lists(const struct certs_trust *t, struct control_picture *ret)
{
    struct slice file = { 0 };

    if (t == NULL)
        return;
    ret->crl_next = certs_crl_next_update(t, true, NULL);
    ret->crl_others = certs_crl_next_update(t, false, &file);
    while (file.n >= sizeof ret->crl_file || !utf8_valid(file))
        file.n--;
    memcpy(ret->crl_file, file.p ? file.p : "", file.n);
}

void control_picture(struct control *c, struct control_picture *ret)
{
    const struct snapshot *s = c->snapshot;
    int64_t until = c->certificate_until, remind_ms = (int64_t)c->settings->tls.remind * DAY_MS;

    *ret = (struct control_picture){ .at = clock_mono_ms(),
                                     .draining = c->draining,
                                     .held = c->held,
                                     .has_trust = c->trust.trust != NULL,
                                     .acts = act_pending(c),
                                     .grants = smap_count(s->grants),
                                     .resources = smap_count(s->resources),
                                     .generation = s->generation,
                                     .log_free = c->log_free,
                                     .state_free = c->state_free,
                                     .certificate_until = until,
                                     .certificate_due = until != 0 && until - control_now(c) < remind_ms,
                                     .lacking = c->lacking,
                                     .failing = c->failing,
                                     .limits = control_limits(c) };
    picture_lists(c->trust.trust, ret);
    memcpy(ret->api_answers, c->api_answers, sizeof ret->api_answers);
    memcpy(ret->reload_fault, c->reload_fault, sizeof ret->reload_fault);
    memcpy(ret->lacks, c->lacks, sizeof ret->lacks);
    memcpy(ret->fails, c->fails, sizeof ret->fails);
}

size_t control_health(struct control *c, const struct control_picture *p, struct health out[CHECKS_MAX])
{
    size_t n = sizeof rows / sizeof rows[0];

    for (size_t i = 0; i < n; i++) {
        out[i].name = rows[i].name;
        out[i].warn = false;
        rows[i].check(c, p, &out[i]);
    }
    return n;
}
