/* sluice audit verify: the offline verifier, without a daemon. Exit code 7 names the first record that does not hold.
 */
#include <sys/stat.h>
#include "audit/audit.h"
#include "cli/output.h"
#include "cli/quorum.h"
#include "cli/run.h"
#include "cli/verify.h"

enum { VKEY_MAX = 4096, BAR = 30 };

struct progress {
    struct cli *cli;
    unsigned shown; /* per cent; 101: nothing yet */
};

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
    struct progress *p = arg;
    unsigned percent = total ? (unsigned)(done * 100 / total) : 100, full = percent * BAR / 100;

    if (percent == p->shown || !p->cli->err_tty)
        return;
    p->shown = percent;
    fprintf(p->cli->err, "\r[%.*s%*s] %3u%%", (int)full, "##############################", (int)(BAR - full), "",
            percent);
    fflush(p->cli->err);
}

/* A key, or the first line of a file that holds one. */
static int key_read(struct cli *c, const char *option, struct slice *ret)
{
    const char *v = cli_value(c, option);
    struct buf text = BUF_INIT(VKEY_MAX);
    struct stat st;
    int code;

    *ret = slice_of(v);
    if (v == NULL || stat(v, &st) != 0)
        return CLI_OK;
    code = cli_error(c, file_read(v, &text, &c->diags));
    *ret = buf_slice(&text);
    *ret = slice_trim(slice_cut(ret, '\n'));
    *ret = arena_dup(&c->arena, *ret);
    buf_done(&text);
    return code;
}

int vkey_read(struct cli *c, struct slice *ret)
{
    return key_read(c, "vkey", ret);
}

int sm2_vkey_read(struct cli *c, struct slice *ret)
{
    int code = key_read(c, "sm2-vkey", ret);

    if (code == CLI_OK && ret->n > 0 && !audit_sm2_vkey_valid(*ret))
        code = cli_fail(c, CLI_USAGE, "--sm2-vkey is no SM2 key of a log: give the line of its log.sm2.vkey",
                        "--sm2-vkey 不是日志的 SM2 公钥：请给出其 log.sm2.vkey 中的一行");
    return code;
}

static const struct word {
    const char *what, *zh;
} words[] = {
    { "altered", "被篡改" },        { "missing", "缺失" },
    { "reordered", "顺序被调换" },  { "inserted", "被插入" },
    { "truncated", "被截断" },      { "removed-early", "被提前删除" },
    { "checkpoint", "检查点不符" }, { "sm2-signature", "没有成立的 SM2 签名" },
    { "signature", "签名不成立" },  { "forked", "与另存的检查点分叉" },
};

static const char *word(const struct cli *c, const char *what)
{
    for (size_t i = 0; c->lang == LANG_ZH && i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i].what, what) == 0)
            return words[i].zh;
    return what;
}

enum { DAY_MS = 86400000 };

static void pruning_json(struct json *j, const struct audit_pruning *p)
{
    char text[CLOCK_TEXT];

    json_pair_u64(j, "pruned_by", p->index);
    clock_text(p->at, text);
    json_pair(j, "pruned_at", slice_of(text));
    clock_text(p->newest, text);
    if (p->newest != 0)
        json_pair(j, "pruned_newest", slice_of(text));
    json_pair_u64(j, "pruned_days", p->shown_ms > 0 ? (uint64_t)(p->shown_ms / DAY_MS) : 0);
}

static void report_json(struct json *j, const struct audit_report *r)
{
    struct buf root = BUF_INIT(128);

    hex_put(&root, slice_make(r->root.b, sizeof r->root.b));
    json_open(j, '{');
    json_pair_bool(j, "verified", !r->failed);
    json_pair_u64(j, "first", r->first);
    json_pair_u64(j, "size", r->size);
    json_pair_u64(j, "segments", r->segments);
    json_pair_u64(j, "bytes", r->bytes);
    json_pair(j, "root", buf_slice(&root));
    json_pair_u64(j, "checkpoint_size", r->checkpoint_size);
    json_pair_bool(j, "signature_ok", r->signature_ok);
    json_pair_bool(j, "sm2_ok", r->sm2_ok);
    json_pair_bool(j, "kept_ok", r->kept_ok);
    json_pair_bool(j, "torn_tail", r->torn_tail);
    json_pair_bool(j, "tiles_wrong", r->tiles_wrong);
    json_pair_bool(j, "front_unjudged", r->front_unjudged);
    if (r->pruning.said)
        pruning_json(j, &r->pruning);
    if (r->failed) {
        json_pair(j, "bad", slice_of(r->bad_what));
        json_pair_u64(j, "bad_index", r->bad_index);
        json_pair_u64(j, "bad_last", r->bad_last);
        json_pair(j, "bad_file", slice_of(r->bad_file));
        json_pair_u64(j, "bad_offset", r->bad_offset);
    }
    json_close(j, '}');
    buf_done(&root);
}

static int report_tree(struct cli *c, const struct audit_report *r)
{
    struct buf text = BUF_INIT(65536);
    const struct doc *doc = NULL;
    struct json j;
    int code;

    json_init(&j, &text);
    report_json(&j, r);
    code =
        cli_error(c, text.failed != ERR_OK ? text.failed : doc_read_json(buf_slice(&text), &c->arena, &c->diags, &doc));
    if (code == CLI_OK)
        code = output_one(c, doc, NULL);
    buf_done(&text);
    return code;
}

/* Of a log that begins later than at 0: the act that says so, and what the records show of it. */
static void report_pruning(struct cli *c, const struct audit_pruning *p)
{
    bool zh = c->lang == LANG_ZH;
    char at[CLOCK_TEXT], newest[CLOCK_TEXT];

    if (!p->said)
        return;
    clock_text(p->at, at);
    clock_text(p->newest, newest);
    fprintf(c->out,
            zh ? "  第 %llu 条记录（%s）称此前的记录已按期限删除，其中最新的一条为 %s\n"
               : "  record %llu of %s says that what was before was removed, of which the newest was of %s\n",
            (unsigned long long)p->index, at, p->newest != 0 ? newest : "?");
    fprintf(c->out,
            zh ? "  现存记录表明其间经过 %lld 天，至少应为 %d 天\n"
               : "  the records that are there show %lld days in between; at least %d are due\n",
            (long long)(p->shown_ms / DAY_MS), (int)AUDIT_KEEP_OPERATIONS_DAYS);
}

static void report_bad(struct cli *c, const struct audit_report *r)
{
    const char *what = word(c, r->bad_what ? r->bad_what : "altered");
    unsigned long long first = r->bad_index, last = r->bad_last;

    if (last > first)
        fprintf(c->out,
                c->lang == LANG_ZH ? "核验不通过：序号 %llu 至 %llu 之间%s\n"
                                   : "does NOT verify: between records %llu and %llu: %s\n",
                first, last, what);
    else
        fprintf(c->out, c->lang == LANG_ZH ? "核验不通过：第 %llu 条记录%s\n" : "does NOT verify: record %llu: %s\n",
                first, what);
    if (r->bad_file[0] != '\0')
        fprintf(c->out, c->lang == LANG_ZH ? "  文件 %s，偏移 %llu\n" : "  file %s, offset %llu\n", r->bad_file,
                (unsigned long long)r->bad_offset);
    report_pruning(c, &r->pruning);
}

static void report_good(struct cli *c, const struct audit_report *r, bool key_given)
{
    bool zh = c->lang == LANG_ZH;

    fprintf(c->out,
            zh ? "核验通过：%llu 条记录（自序号 %llu 起），%llu 个文件，%llu 字节\n"
               : "verifies: %llu records from %llu on, %llu files, %llu bytes\n",
            (unsigned long long)r->size, (unsigned long long)r->first, (unsigned long long)r->segments,
            (unsigned long long)r->bytes);
    report_pruning(c, &r->pruning);
    if (r->front_unjudged)
        fputs(zh ? "更早的记录不在其中；是否按期限删除未作判断，请不带 --to 核验\n"
                 : "earlier records are not there; whether they were rightly removed was not judged: verify without "
                   "--to\n",
              c->out);
    fprintf(c->out, zh ? "检查点覆盖 %llu 条记录\n" : "the checkpoint covers %llu records\n",
            (unsigned long long)r->checkpoint_size);
    if (!key_given)
        fputs(zh ? "仅证明日志自身一致；要证明其出自该节点且未被整体替换，请用 --vkey 给出另行保存的公钥\n"
                 : "only consistency is proved; that it is this node's log and was not replaced whole takes the key "
                   "that was "
                   "kept elsewhere: --vkey\n",
              c->out);
    else
        fputs(r->signature_ok ? (zh ? "检查点签名在所给公钥下成立\n" : "its signature holds under the key given\n")
                              : (zh ? "没有已签名的检查点\n" : "there is no signed checkpoint\n"),
              c->out);
    if (r->sm2_ok)
        fputs(zh ? "检查点的 SM2 签名在所给 SM2 公钥下成立\n" : "so does its SM2 signature, under the SM2 key given\n",
              c->out);
    if (r->kept_ok)
        fputs(zh ? "日志是另存检查点的延续\n" : "it continues the checkpoint that you kept\n", c->out);
    if (r->torn_tail)
        fputs(zh ? "末尾有一次未写完的记录（断电或仍在写入），不属于篡改\n"
                 : "the end holds an unfinished write (a power cut, or a log being written): no tampering\n",
              c->out);
    if (r->tiles_wrong)
        fputs(zh ? "其哈希块有缺失或错误，但记录本身与已签名的根相符\n"
                 : "its hash tiles are missing or wrong in places; the records themselves have the signed root\n",
              c->out);
}

/* ---- what is asked ---- */
static int index_read(struct cli *c, const char *option, uint64_t *ret)
{
    const char *v = cli_value(c, option);

    if (v == NULL || slice_u64(slice_of(v), 0, (uint64_t)1 << 53, ret))
        return CLI_OK;
    return cli_fail(c, CLI_USAGE, "--%s is an index of the log", "--%s 应为日志序号", option);
}

static int kept_read(struct cli *c, struct slice *ret)
{
    const char *file = cli_value(c, "checkpoint");
    struct buf text = BUF_INIT(VKEY_MAX * 2);
    int code;

    if (file == NULL)
        return CLI_OK;
    code = cli_error(c, file_read(file, &text, &c->diags));
    *ret = arena_dup(&c->arena, buf_slice(&text));
    buf_done(&text);
    return code;
}

/* With --witness, of two checkpoints: the newer one if it has the quorum, else the one that more have signed. */
static struct slice better(const struct quorum *q, struct slice newer, struct slice older)
{
    size_t n = audit_cosigned(newer, q->w, q->n), o = audit_cosigned(older, q->w, q->n);

    return n >= q->need || n > o ? newer : older;
}

/* The log's own checkpoints, where none was kept. */
static int witnessed_read(struct cli *c, const struct quorum *q, const char *dir, struct slice *kept)
{
    static const char *const names[] = { "checkpoint", "checkpoint.witnessed" };
    struct slice note[2] = { { 0 }, { 0 } };
    int code = CLI_OK;

    for (size_t i = 0; i < 2 && code == CLI_OK; i++) {
        const char *file = path_join(&c->arena, dir, names[i]);
        struct buf text = BUF_INIT(VKEY_MAX * 2);
        enum err e = file ? file_read(file, &text, NULL) : ERR_NOMEM;
        if (e == ERR_OK)
            note[i] = arena_dup(&c->arena, buf_slice(&text));
        else if (e != ERR_NOT_FOUND) /* nobody has signed yet: pending */
            code = cli_error(c, e);
        buf_done(&text);
    }
    *kept = better(q, note[0], note[1]);
    return code;
}

/* What was asked, the same for a folder and an address. */
struct asked {
    struct slice vkey, kept, sm2;
    uint64_t from, to;
    struct quorum quorum;
};

static int asked_read(struct cli *c, struct asked *a)
{
    int code = index_read(c, "from", &a->from);

    if (code == CLI_OK)
        code = sm2_vkey_read(c, &a->sm2);
    if (code == CLI_OK)
        code = index_read(c, "to", &a->to);
    if (code == CLI_OK)
        code = kept_read(c, &a->kept);
    return code == CLI_OK ? quorum_read(c, &a->quorum) : code;
}

static void bar_clear(struct cli *c, const struct progress *p)
{
    if (c->err_tty && p->shown <= 100)
        fprintf(c->err, "\r%*s\r", BAR + 8, "");
}

static int tell(struct cli *c, const struct asked *a, const struct audit_report *r)
{
    const struct quorum *q = &a->quorum;
    int code = CLI_OK;

    if (cli_has(c, "output"))
        code = report_tree(c, r);
    else if (r->failed)
        report_bad(c, r);
    else
        report_good(c, r, a->vkey.n > 0);
    if (code == CLI_OK && !r->failed && q->n > 0)
        code = quorum_say(c, q, r->kept_ok ? audit_cosigned(a->kept, q->w, q->n) : 0, audit_note_size(a->kept));
    return code != CLI_OK ? code : r->failed ? CLI_UNPROVEN : CLI_OK;
}

static int verify_dir(struct cli *c, const char *dir, struct asked *asked)
{
    struct progress p = { .cli = c, .shown = 101 };
    struct audit_verify_ask a = {
        .dir = dir, .vkey = asked->vkey, .from = asked->from, .to = asked->to, .progress = on_progress, .arg = &p
    };
    struct audit_report r = { 0 };
    int code = CLI_OK;
    enum err e;

    if (asked->quorum.n > 0 && asked->kept.n == 0)
        code = witnessed_read(c, &asked->quorum, dir, &asked->kept);
    if (code != CLI_OK)
        return code;
    a.kept = asked->kept;
    a.sm2 = asked->sm2;
    e = audit_verify_part(&a, &r, &c->diags);
    bar_clear(c, &p);
    return e != ERR_OK ? cli_error(c, e) : tell(c, asked, &r);
}

static int url_check(struct cli *c, const struct asked *asked)
{
    if (asked->vkey.n == 0)
        return cli_fail(c, CLI_USAGE, "name the log's public key, as you keep it: --vkey",
                        "请以 --vkey 给出您保存的日志公钥");
    if (cli_has(c, "out") && (asked->from > 0 || asked->to > 0))
        return cli_fail(c, CLI_USAGE, "--out keeps a copy of the whole log: not with --from or --to",
                        "--out 保留完整日志的副本，不能与 --from 或 --to 同用");
    return CLI_OK;
}

/* Record by record as they come; nothing is kept but what --out asks for. */
static int verify_url(struct cli *c, const char *url, struct asked *asked)
{
    struct progress p = { .cli = c, .shown = 101 };
    struct audit_remote_ask a = {
        .vkey = asked->vkey, .from = asked->from, .to = asked->to, .progress = on_progress, .arg = &p
    };
    struct audit_report r = { 0 };
    struct far f;
    int code = url_check(c, asked);
    enum err e;

    if (code == CLI_OK)
        code = far_open(c, url, asked->quorum.n > 0 && asked->kept.n == 0, &f);
    if (code != CLI_OK)
        return code;
    if (asked->quorum.n > 0 && asked->kept.n == 0)
        asked->kept = better(&asked->quorum, f.checkpoint, f.witnessed);
    a.kept = asked->kept;
    a.sm2 = asked->sm2;
    a.fetch = far_fetch;
    a.take = cli_has(c, "out") ? far_take : NULL;
    a.self = &f;
    e = audit_verify_remote(&a, &r, &c->diags);
    bar_clear(c, &p);
    code = far_close(&f);
    if (code == CLI_OK)
        code = e != ERR_OK ? cli_error(c, e) : tell(c, asked, &r);
    return code;
}

int run_audit_verify(struct cli *c)
{
    struct asked a = { 0 };
    int code = output_check(c);

    if (code == CLI_OK)
        code = vkey_read(c, &a.vkey);
    if (code == CLI_OK)
        code = asked_read(c, &a);
    if (code != CLI_OK)
        return code;
    if (slice_starts(slice_of(c->args[0]), SLICE("https://")))
        return verify_url(c, c->args[0], &a);
    if (cli_has(c, "out"))
        return cli_fail(c, CLI_USAGE, "--out is for the copy of a log behind a URL", "--out 仅用于保留网址日志的副本");
    return verify_dir(c, c->args[0], &a);
}
