/* /readyz?verbose, over a node of which everything is made up: whatever can be wrong with it is named, in its own line,
 * in both languages, and decides whether the node is fit; nothing else is said to be wrong. */
#include "gateway/control_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

/* What health.c asks of other threads' objects, for none of which there is one. */
static struct {
    struct control control;
    struct control_picture picture;
    struct audit_status audit;
    enum keeper_state keeper;
    int64_t keeper_slow_ms;
    struct witnesses_status witnesses;
    struct cosigner_status cosigner;
} w;

#define audit_status(log, ret)    ((void)(log), *(ret) = w.audit)
#define keeper_state(k)           ((void)(k), w.keeper)
#define keeper_slow_ms(k)         ((void)(k), w.keeper_slow_ms)
#define witnesses_status(of, ret) ((void)(of), *(ret) = w.witnesses)
#define cosigner_status(of, ret)  ((void)(of), *(ret) = w.cosigner)
#include "gateway/health.c" /* in place of the library's */
#undef audit_status
#undef keeper_state
#undef keeper_slow_ms
#undef witnesses_status
#undef cosigner_status

enum { HOUR_MS = 3600000 };

static void all_is_well(void)
{
    static char there; /* an object that is only asked whether it is there */

    memset(&w, 0, sizeof w);
    w.control.keeper = (struct keeper *)&there;
    w.control.witnesses = (struct witnesses *)&there;
    w.control.cosigner = (struct cosigner *)&there;
    w.control.pressure.cap = (uint64_t)512 << 20;
    atomic_store(&w.control.pressure.resident, (uint64_t)100 << 20);
    w.picture = (struct control_picture){ .at = clock_mono_ms(),
                                          .has_trust = true,
                                          .log_free = DISK_WANTED,
                                          .state_free = DISK_WANTED,
                                          .crl_next = clock_wall_ms() + HOUR_MS,
                                          .certificate_until = clock_wall_ms() + HOUR_MS };
    w.audit = (struct audit_status){ .available = true };
    w.keeper = KEEPER_SIGNS;
    w.witnesses = (struct witnesses_status){ .n = 2, .quorum = 1, .stops = true };
    for (size_t i = 0; i < 2; i++) {
        snprintf(w.witnesses.at[i].name, sizeof w.witnesses.at[i].name, "w%zu.example", i);
        w.witnesses.at[i].state = WITNESS_SIGNS;
    }
}

/* ---- what can be wrong ---- */
static void draining(void)
{
    w.picture.draining = true;
}

static void control_silent(void)
{
    w.picture.at -= CONTROL_HUNG_MS + 2000;
}

static void evidence_refused(void)
{
    w.audit = (struct audit_status){ .why = ERR_SYS };
}

static void evidence_hung(void)
{
    w.audit = (struct audit_status){ .hung_ms = 4000 };
}

static void keeper_gone(void)
{
    w.keeper = KEEPER_GONE;
}

static void keeper_slow(void)
{
    w.keeper = KEEPER_SLOW;
    w.keeper_slow_ms = 11000;
}

static void evidence_unsigned(void)
{
    w.keeper = KEEPER_REFUSES;
}

static void witnesses_late(void)
{
    w.witnesses.late = true;
    w.witnesses.at[1].state = WITNESS_UNREACHABLE;
}

static void witnesses_late_but_not_needed(void)
{
    witnesses_late();
    w.witnesses.stops = false;
    w.witnesses.at[1].state = WITNESS_REFUSES;
}

static void log_misbehaved(void)
{
    w.cosigner.misbehaved = 1;
}

static void checkpoint_unproved(void)
{
    w.cosigner.unproved = 1;
}

static void log_disk_full(void)
{
    w.picture.log_free = DISK_WANTED - 1;
}

static void state_disk_full(void)
{
    w.picture.state_free = 0;
}

static void crl_expired(void)
{
    w.picture.crl_next = clock_wall_ms() - 1;
}

static void crl_of_others_expired(void)
{
    w.picture.crl_others = clock_wall_ms() - 1;
    snprintf(w.picture.crl_file, sizeof w.picture.crl_file, "province.pem");
}

static void no_trust(void)
{
    w.picture.has_trust = false;
    w.picture.crl_next = 0;
}

static void certificate_unreadable(void)
{
    w.picture.certificate_until = 0;
}

static void certificate_expired(void)
{
    w.picture.certificate_until = clock_wall_ms() - 1;
    w.picture.certificate_due = true;
}

static void certificate_due(void)
{
    w.picture.certificate_due = true;
}

static void resource_unprepared(void)
{
    w.picture.lacking = 3;
    snprintf(w.picture.lacks[LANG_EN], sizeof w.picture.lacks[0], "provider/people: no such file: secrets/token");
    snprintf(w.picture.lacks[LANG_ZH], sizeof w.picture.lacks[0], "provider/people：缺少文件 secrets/token");
}

static void provider_fails(void)
{
    w.picture.failing = 2;
    snprintf(w.picture.fails[LANG_EN], sizeof w.picture.fails[0], "provider/down: could not be reached");
    snprintf(w.picture.fails[LANG_ZH], sizeof w.picture.fails[0], "provider/down：无法连接");
}

static void acts_held(void)
{
    w.picture.acts = 2;
    w.picture.held = true;
}

static void memory_short(void)
{
    atomic_store(&w.control.pressure.resident, (uint64_t)500 << 20);
    atomic_store(&w.control.pressure.high, true);
}

static void reload_failed(void)
{
    snprintf(w.picture.reload_fault[LANG_EN], sizeof w.picture.reload_fault[0], "keys/gateway.pem: not PEM");
    snprintf(w.picture.reload_fault[LANG_ZH], sizeof w.picture.reload_fault[0], "keys/gateway.pem：不是 PEM");
}

static const struct fault {
    void (*happens)(void);
    const char *check, *mark;  /* mark: "-" unfit, "!" fit, but somebody should look */
    const char *en[2], *zh[2]; /* words that name it; the second may be missing */
} faults[] = {
    { draining, "serving", "-", { "shutting down" }, { "正在停止服务" } },
    { control_silent,
      "control",
      "-",
      { "not answered for 7 s", "nothing can be granted" },
      { "7 秒无响应", "无法授权" } },
    { evidence_refused, "evidence", "-", { "cannot be written", "refused" }, { "不可写", "拒绝" } },
    { evidence_hung, "evidence", "-", { "not answered for 4 s", "refused" }, { "4 秒无响应", "拒绝" } },
    { keeper_gone, "keeper", "-", { "has ended", "start sluiced again" }, { "已结束", "重新启动" } },
    { keeper_slow, "keeper", "-", { "not answered for 11 s", "nothing is signed" }, { "11 秒未应答", "无法签名" } },
    { evidence_unsigned, "keeper", "-", { "refuses to sign", "verify the evidence log" }, { "拒绝", "核验存证日志" } },
    { witnesses_late,
      "witnesses",
      "-",
      { "LATE, exchanges are stopped", "w1.example: unreachable, w0" },
      { "逾期，已停止交换", "w1.example: 无法连接, w0" } },
    { witnesses_late_but_not_needed,
      "witnesses",
      "!",
      { "LATE; ", "w1.example: refuses, w0" },
      { "逾期；", "w1.example: 拒绝, w0" } },
    { log_misbehaved, "witness-for", "!", { "A LOG HAS MISBEHAVED" }, { "有日志自相矛盾" } },
    { checkpoint_unproved, "witness-for", "!", { "without its proof" }, { "未附有效证明" } },
    { log_disk_full,
      "evidence-disk",
      "-",
      { "only 63 MiB free", "at least 64" },
      { "仅剩 63 MiB", "至少需要 64 MiB" } },
    { state_disk_full, "state-disk", "-", { "only 0 MiB free", "at least 64" }, { "仅剩 0 MiB", "至少需要 64 MiB" } },
    { crl_expired, "revocation-list", "-", { "EXPIRED at 20" }, { "已过期：20" } },
    { crl_of_others_expired, "revocation-list", "!", { "province.pem EXPIRED at 20" }, { "province.pem 中" } },
    { no_trust, "revocation-list", "-", { "certificates are not loaded" }, { "未载入签发机构证书" } },
    { certificate_unreadable, "certificate", "-", { "cannot be read" }, { "无法读取" } },
    { certificate_expired,
      "certificate",
      "-",
      { "EXPIRED at 20", "sluice cert renew" },
      { "已过期：20", "sluice cert renew" } },
    { certificate_due,
      "certificate",
      "!",
      { "valid until 20", "sluice cert renew" },
      { "有效期至 20", "sluice cert renew" } },
    { resource_unprepared,
      "providers",
      "!",
      { "3 resources cannot be called", "provider/people: no such file" },
      { "3 个数据资源无法调用", "provider/people：缺少" } },
    { provider_fails,
      "providers",
      "!",
      { "2 resources fail: provider/down" },
      { "2 个数据资源调用失败：provider/down" } },
    { acts_held, "acts", "-", { "2 acts under way, HELD", "evidence log" }, { "2 项操作", "已搁置：存证日志" } },
    { memory_short, "memory", "-", { "500 of 512 MiB", "refused" }, { "已用 500 MiB", "拒绝" } },
    { reload_failed,
      "reload",
      "!",
      { "last reload failed", "gateway.pem: not PEM" },
      { "重载失败", "gateway.pem：不是" } },
};
enum { FAULTS = sizeof faults / sizeof faults[0] };

/* ---- what is said ---- */
static const struct health *health_of(const char *check)
{
    static struct health list[CHECKS_MAX];
    size_t n = control_health(&w.control, &w.picture, list);

    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].name, check) == 0)
            return &list[i];
    fail_msg("nothing checks %s", check);
    return NULL;
}

static int page(const char *query, struct buf *out)
{
    struct http_head h = { .path = SLICE("/readyz"), .query = slice_of(query) };
    struct ops_page p;

    assert_true(ops_page(&w.control, &w.picture, &h, &p, out));
    buf_putc(out, '\0');
    assert_int_equal(out->failed, ERR_OK);
    return p.status;
}

/* The page marks this check so, with this text, and every other as good. */
static void marked(const char *text, const char *check, const char *mark, const char *said)
{
    char line[512];

    snprintf(line, sizeof line, "[%s] %s: %s\n", mark, check, said);
    assert_non_null(strstr(text, line));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(line, sizeof line, "[%s] %s: ", strcmp(rows[i].name, check) == 0 ? mark : "+", rows[i].name);
        if (strstr(text, line) == NULL)
            fail_msg("%s: no line begins with \"%s\" in\n%s", check, line, text);
    }
}

static void named(const struct fault *f, const struct health *h)
{
    const char *const *words[] = { [LANG_EN] = f->en, [LANG_ZH] = f->zh };

    for (unsigned lang = 0; lang < 2; lang++) {
        assert_true(utf8_valid(slice_of(h->text[lang])));
        for (size_t i = 0; i < 2 && words[lang][i]; i++)
            if (strstr(h->text[lang], words[lang][i]) == NULL)
                fail_msg("%s: \"%s\" is not in \"%s\"", f->check, words[lang][i], h->text[lang]);
    }
}

static void each_fault_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < FAULTS; i++) {
        const struct fault *f = &faults[i];
        struct buf text = BUF_INIT(1 << 16), brief = BUF_INIT(1 << 16);
        bool fit = *f->mark != '-';

        all_is_well();
        f->happens();
        named(f, health_of(f->check));
        assert_int_equal(health_of(f->check)->ok, fit);
        assert_int_equal(page("verbose", &text), fit ? 200 : 503);
        marked(text.p, f->check, f->mark, health_of(f->check)->text[LANG_EN]);
        assert_int_equal(page("", &brief), fit ? 200 : 503);
        assert_string_equal(brief.p, fit ? "ready\n" : "not ready\n");
        assert_string_equal(text.p + strlen(text.p) - strlen(brief.p), brief.p);
        buf_done(&text);
        buf_done(&brief);
    }
}

/* A file system that does not tell its room is no fault, and no number. */
static void room_may_be_unknown(void **state)
{
    const struct fault f = { .check = "evidence-disk",
                             .en = { "does not say how much is free" },
                             .zh = { "系统未报告剩余空间" } };

    (void)state;
    all_is_well();
    w.picture.log_free = UINT64_MAX;
    named(&f, health_of(f.check));
    assert_true(health_of(f.check)->ok);
}

/* Nothing is checked that has no fault above. */
static void each_check_has_a_fault(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t k = 0;
        while (k < FAULTS && strcmp(faults[k].check, rows[i].name) != 0)
            k++;
        if (k == FAULTS)
            fail_msg("no fault of %s is tried", rows[i].name);
    }
}

/* One is enough to make a node unfit, and none hides another. */
static void all_at_once(void **state)
{
    struct buf text = BUF_INIT(1 << 16);

    (void)state;
    all_is_well();
    for (size_t i = 0; i < FAULTS; i++)
        faults[i].happens();
    assert_int_equal(page("verbose", &text), 503);
    assert_null(strstr(text.p, "[+]"));
    buf_done(&text);
}

static void a_node_without_extras_is_fit(void **state)
{
    struct buf text = BUF_INIT(1 << 16);

    (void)state;
    all_is_well();
    assert_int_equal(page("verbose", &text), 200);
    assert_null(strstr(text.p, "[-]"));
    assert_null(strstr(text.p, "[!]"));
    w.control.keeper = NULL;
    w.control.witnesses = NULL;
    w.control.cosigner = NULL;
    w.control.pressure.cap = 0;
    w.picture.crl_next = 0;
    text.n = 0;
    assert_int_equal(page("verbose", &text), 200);
    assert_non_null(strstr(text.p, "[+] witnesses: none are named"));
    assert_non_null(strstr(text.p, "[+] revocation-list: no revocation list is in use"));
    assert_non_null(strstr(text.p, "[+] memory: no cap is set"));
    buf_done(&text);
}

/* More of them, and longer names, than a line has room for: those that do not sign come first, and no character is cut.
 */
static void many_witnesses(void **state)
{
    (void)state;
    all_is_well();
    w.witnesses.n = SETTINGS_WITNESSES;
    for (size_t i = 0; i < SETTINGS_WITNESSES; i++) {
        memset(w.witnesses.at[i].name, 'x', sizeof w.witnesses.at[i].name - 1);
        w.witnesses.at[i].state = i + 1 == SETTINGS_WITNESSES ? WITNESS_REFUSES : WITNESS_SIGNS;
    }
    for (unsigned lang = 0; lang < 2; lang++) {
        const char *said = health_of("witnesses")->text[lang];
        const char *refuses = strstr(said, lang == LANG_EN ? ": refuses" : ": 拒绝");
        assert_true(utf8_valid(slice_of(said)));
        assert_non_null(refuses);
        assert_true(refuses < strstr(said, lang == LANG_EN ? ": signs" : ": 正常"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault_is_named),          cmocka_unit_test(room_may_be_unknown),
        cmocka_unit_test(each_check_has_a_fault),       cmocka_unit_test(all_at_once),
        cmocka_unit_test(a_node_without_extras_is_fit), cmocka_unit_test(many_witnesses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
