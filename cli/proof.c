/* sluice audit proof: fetches or reads the proof of one exchange, checks it with nothing but the log's public key, and
 * says in words what it proves and what it does not. Exit code 7: it does not hold. */
#include <sys/stat.h>
#include "audit/audit.h"
#include "cli/client.h"
#include "cli/output.h"
#include "cli/quorum.h"
#include "cli/run.h"

enum { ANSWER_MAX = 1 << 30 };

struct proved {
    const struct doc *whole;
    struct slice exchange, vkey, sm2;
    bool any;      /* whatever exchange the file is of; else it must be the one that was asked for */
    uint64_t size; /* of the tree that the last record is proved in */
    const struct doc *first, *outcome;
    struct buf words; /* own: the records in words */
    bool closed, refused, cut;
    struct quorum quorum;
    size_t cosigned; /* by how many of them, the least of all records */
};

/* ---- where it comes from ---- */
static int proof_url(struct cli *c, const struct endpoint *e, const char **ret)
{
    struct buf url = BUF_INIT(4096);
    const char *receipt = cli_value(c, "receipt");

    if (e->data == NULL && e->server == NULL)
        return cli_fail(c, CLI_USAGE,
                        "say where: --data-server for an application, --server for an auditor, or sluice context set",
                        "请指明地址：应用用 --data-server，审计员用 --server，或 sluice context set");
    buf_printf(&url, "%s/log/proof/%s", e->data != NULL ? e->data : e->server, c->args[0]);
    for (struct slice rest = slice_of(receipt); rest.n > 0;) {
        struct slice value = slice_trim(slice_cut(&rest, ',')), key = slice_cut(&value, '=');
        uint64_t index;
        bool intent = slice_is(key, "intent") || slice_is(key, "refused"), outcome = slice_is(key, "outcome");
        if (!slice_u64(value, 0, (uint64_t)1 << 53, &index) || !(intent || outcome))
            continue; /* origin="…" */
        query_put(&url, intent ? "intent" : "outcome", arena_str(&c->arena, value));
    }
    *ret = url.failed == ERR_OK ? arena_str(&c->arena, buf_slice(&url)) : NULL;
    buf_done(&url);
    return *ret != NULL ? CLI_OK : cli_error(c, ERR_NOMEM);
}

static int proof_fetch(struct cli *c, struct slice *ret)
{
    struct call call = { .method = "GET",
                         .accept = "application/json, application/problem+json",
                         .verbose = cli_has(c, "verbose") };
    struct endpoint e;
    struct reply r;
    struct uuid id;
    int code = endpoint_find(c, &e);

    if (code == CLI_OK && !uuid_read(slice_of(c->args[0]), &id))
        code =
            cli_fail(c, CLI_USAGE,
                     "%s is neither a file nor the id of an exchange; records that belong to none have their proofs by "
                     "sluice audit export --proofs",
                     "%s 既不是文件也不是交换编号；不属于任何交换的记录，请用 sluice audit export --proofs 取得证明",
                     c->args[0]);
    if (code == CLI_OK)
        code = proof_url(c, &e, &call.url);
    if (code != CLI_OK)
        return code;
    code = client_call(c, &e, &call, &r);
    if (code == CLI_OK)
        *ret = arena_dup(&c->arena, buf_slice(&r.body));
    reply_done(&r);
    return code;
}

static int proof_read(struct cli *c, struct slice *ret, bool *is_file)
{
    struct buf text = BUF_INIT(AUDIT_PROOF_MAX);
    struct stat st;
    int code;

    *is_file = stat(c->args[0], &st) == 0;
    if (!*is_file)
        return proof_fetch(c, ret);
    code = cli_error(c, file_read(c->args[0], &text, &c->diags));
    *ret = arena_dup(&c->arena, buf_slice(&text));
    buf_done(&text);
    return code;
}

/* ---- does it hold? ---- */
static const struct fault {
    const char *bad, *text[2];
} faults[] = {
    { "shape", { "it is no C2SP tlog-proof", "不是 C2SP tlog-proof 格式" } },
    { "origin", { "its checkpoint is of another log than the key", "检查点所属日志与公钥不符" } },
    { "signature", { "the log's key did not sign its checkpoint", "检查点签名在该公钥下不成立" } },
    { "line", { "the record was changed, or its index is another", "记录被改动或序号不符" } },
    { "sm2-signature", { "the log's SM2 key did not sign its checkpoint", "检查点没有在该 SM2 公钥下成立的签名" } },
    { "path", { "the record is not in the tree that was signed", "记录不在已签名的树中" } },
    { "claims",
      { "the file says another log or another index of itself than it proves",
        "文件自称的日志或序号与其所证明的不符" } },
    { "exchange", { "the record belongs to another exchange", "记录属于另一次交换" } },
    { "order", { "these are not the records of one exchange", "这些记录不构成一次交换" } },
    { "answer", { "this file is not what was handed out", "所给文件不是交付的内容" } },
    { "sent", { "this file is not what the provider sent", "所给文件不是提供方发出的内容" } },
    { "upload", { "this file is not what the consumer sent to the provider", "所给文件不是使用方发给提供方的内容" } },
};

static int disproved(struct cli *c, uint64_t index, const char *bad)
{
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if (strcmp(faults[i].bad, bad) == 0)
            fprintf(c->out,
                    c->lang == LANG_ZH ? "证明不成立：第 %llu 条记录：%s [%s]\n"
                                       : "does NOT hold: record %llu: %s [%s]\n",
                    (unsigned long long)index, cli_text(c, faults[i].text), bad);
    return CLI_UNPROVEN;
}

static const char *shown(struct cli *c, const struct doc *record, const char *key)
{
    return arena_str(&c->arena, output_value(c, record, key));
}

static void words_of(struct cli *c, struct proved *p, const struct doc *r, uint64_t index, struct slice kind)
{
    bool zh = c->lang == LANG_ZH;
    struct buf *w = &p->words;

    buf_printf(w, zh ? "  第 %llu 条 %s：" : "  record %llu, %s: ", (unsigned long long)index, shown(c, r, "at"));
    if (slice_is(kind, "intent"))
        buf_printf(w,
                   zh ? "%s 依授权 %s（版本 %s）获准请求 %s 的数据项 %s，用途 %s\n"
                      : "%s was permitted, by grant %s (version %s), to ask %s for %s, purpose %s\n",
                   shown(c, r, "subject"), shown(c, r, "grant"), shown(c, r, "grant_version"), shown(c, r, "resource"),
                   shown(c, r, "items"), shown(c, r, "purpose"));
    else if (slice_is(kind, "refused"))
        buf_printf(w, zh ? "%s 请求 %s 被拒：%s\n" : "%s asked %s and was refused: %s\n", shown(c, r, "subject"),
                   shown(c, r, "resource"), shown(c, r, "reason"));
    else if (slice_is(kind, "outcome") && doc_get(r, "bytes_upload") != NULL)
        buf_printf(w,
                   zh ? "结果 %s，转交使用方文件 %s 字节，交付 %s 行、%s 字节\n"
                      : "outcome %s, %s bytes of the consumer's file handed to the provider, %s rows and %s bytes "
                        "handed out\n",
                   shown(c, r, "reason"), shown(c, r, "bytes_upload"), shown(c, r, "rows"), shown(c, r, "bytes_out"));
    else if (slice_is(kind, "outcome"))
        buf_printf(w, zh ? "结果 %s，交付 %s 行、%s 字节\n" : "outcome %s, %s rows and %s bytes handed out\n",
                   shown(c, r, "reason"), shown(c, r, "rows"), shown(c, r, "bytes_out"));
    else
        buf_printf(w, zh ? "交付被中断：%s\n" : "the handing out was cut: %s\n", shown(c, r, "reason"));
}

/* Kinds in their only order: a refusal alone; an intent, its outcome, perhaps a cut. */
static bool order_holds(struct proved *p, const struct doc *record, struct slice kind)
{
    bool first = p->first == NULL, intent = slice_is(kind, "intent"), outcome = slice_is(kind, "outcome");

    if (first)
        p->first = record;
    if (first && slice_is(kind, "refused"))
        return p->closed = p->refused = true;
    if (intent || first || p->refused)
        return first && intent;
    if (outcome && !p->closed) {
        p->outcome = record;
        return p->closed = true;
    }
    if (slice_is(kind, "cut") && p->closed && !p->cut)
        return p->cut = true;
    return false;
}

static int record_check(struct cli *c, struct proved *p, const struct doc *one, uint64_t *above)
{
    struct audit_inclusion in;
    const struct doc *record = NULL;
    struct slice line = doc_text(one, "line"), kind;
    enum err e = audit_proof_check(doc_text(one, "proof"), line, p->vkey, &in);

    if (e == ERR_SYNTAX)
        return cli_fail(c, CLI_USAGE, "--vkey is not a public key of the form name+hash+base64",
                        "--vkey 应为 名称+哈希+base64 形式的公钥");
    if (e != ERR_OK)
        return cli_error(c, e);
    if (in.bad[0] == '\0' && p->sm2.n > 0 && !audit_sm2_holds(in.note, p->sm2))
        in.bad = "sm2-signature";
    if (in.bad[0] == '\0' && doc_read_json(line, &c->arena, NULL, &record) != ERR_OK)
        in.bad = "line";
    kind = doc_text(record, "kind");
    if (in.bad[0] == '\0' && doc_u64(one, "index", AUDIT_UNKNOWN) != in.index)
        in.bad = "claims";
    if (in.bad[0] == '\0' && !slice_eq(doc_text(record, "exchange"), p->exchange))
        in.bad = "exchange";
    if (in.bad[0] == '\0' && ((*above != AUDIT_UNKNOWN && in.index <= *above) || !order_holds(p, record, kind)))
        in.bad = "order";
    if (in.bad[0] != '\0')
        return disproved(c, in.index, in.bad);
    size_t signers = audit_cosigned(in.note, p->quorum.w, p->quorum.n);
    if (*above == AUDIT_UNKNOWN || signers < p->cosigned)
        p->cosigned = signers;
    *above = in.index;
    p->size = in.size;
    words_of(c, p, record, in.index, kind);
    return CLI_OK;
}

static int proof_check(struct cli *c, struct proved *p, struct slice text)
{
    const struct doc *records;
    struct slice origin;
    uint64_t above = AUDIT_UNKNOWN;
    int code = CLI_OK;

    if (doc_read_json(text, &c->arena, NULL, &p->whole) != ERR_OK || doc_u64(p->whole, "v", 0) != 1 ||
        (records = doc_get(p->whole, "records")) == NULL || records->type != DOC_LIST || records->count == 0)
        return disproved(c, 0, "shape");
    p->exchange = doc_text(p->whole, "exchange");
    DOC_EACH(one, records)
    {
        if (code == CLI_OK)
            code = record_check(c, p, one, &above);
    }
    if (code == CLI_OK && !p->closed)
        return disproved(c, above, "order");
    if (code == CLI_OK && audit_vkey_origin(p->vkey, &origin) && !slice_eq(doc_text(p->whole, "origin"), origin))
        return disproved(c, above, "claims");
    return code;
}

/* A server may answer with the proof of another exchange, which holds as well. */
static int asked_check(struct cli *c, const struct proved *p)
{
    struct uuid asked, told;

    if (p->any || (uuid_read(slice_of(c->args[0]), &asked) && uuid_read(p->exchange, &told) &&
                   memcmp(&asked, &told, sizeof asked) == 0))
        return CLI_OK;
    return disproved(c, doc_u64(p->first, "index", 0), "exchange");
}

/* ---- the bodies ---- */
static int digest_check(struct cli *c, const struct proved *p, const char *option, const char *salt, const char *digest)
{
    const char *file = cli_value(c, option);
    const struct doc *salted = doc_get(doc_get(p->whole, "salts"), salt);
    struct buf body = BUF_INIT(ANSWER_MAX);
    struct sha256 s = { { 0 } }, want = { { 0 } }, got;
    int code;

    if (file == NULL)
        return CLI_OK;
    if (p->outcome == NULL) /* a refusal hands out nothing */
        return disproved(c, doc_u64(p->first, "index", 0), option);
    code = cli_error(c, file_read(file, &body, &c->diags));
    if (code == CLI_OK && salted && !hex_read(salted->text, s.b, sizeof s.b))
        code = disproved(c, 0, "shape");
    else if (code == CLI_OK && !salted)
        code =
            cli_fail(c, CLI_USAGE,
                     "this proof has no salt for --%s: there was no such body, or only the provider or an auditor is "
                     "given it",
                     "该证明不含 --%s 所需的盐值：没有此项内容，或仅提供方或审计员可取得", option);
    if (code == CLI_OK) {
        got = sha256_of2(slice_make(s.b, sizeof s.b), buf_slice(&body));
        if (!hex_read(doc_text(p->outcome, digest), want.b, sizeof want.b) || memcmp(&got, &want, sizeof got) != 0)
            code = disproved(c, doc_u64(p->outcome, "index", 0), option);
    }
    buf_done(&body);
    return code;
}

/* What passed unread was hashed once, under the salt of what was handed out. */
static const char *salt_of_sent(const struct proved *p)
{
    struct slice in = doc_text(p->outcome, "digest_in");

    return in.n > 0 && slice_eq(in, doc_text(p->outcome, "digest_out")) ? "out" : "in";
}

/* ---- in words ---- */
static const struct sentence {
    const char *text[2];
} proves[] = {
    { { "It proves: the holder of the log's key signed a log that holds these records, unchanged and in this order; no "
        "later "
        "checkpoint of that log can leave them out or change them without contradicting this proof.",
        "它证明：日志密钥持有者所签名的日志含有上述记录，未经改动且顺序如此；此后任何检查点若删改它们，必与本证明矛盾"
        "。" } },
    { { "It does not prove: that the consumer received all that was handed out; that nothing happened beside the log; "
        "that "
        "others are shown the same log (compare checkpoints, or ask for witnesses); who sat behind an account number.",
        "它不证明：使用方收到了交付的全部内容；日志之外无事发生；他人所见为同一日志（可比对检查点或要求见证）；账号背后"
        "是何人。" } },
};

static void say_all(struct cli *c, const struct proved *p)
{
    bool zh = c->lang == LANG_ZH;
    struct slice origin = p->vkey, name = slice_cut(&origin, '+');

    fprintf(c->out,
            zh ? "证明成立：由 %.*s 签名，当时日志有 %llu 条记录\n"
               : "holds: signed by %.*s, whose log then had %llu records\n",
            SLICE_ARG(name), (unsigned long long)p->size);
    if (p->sm2.n > 0)
        fputs(zh ? "SM2 签名在所给 SM2 公钥下成立\n" : "its SM2 signature holds under the SM2 key given\n", c->out);
    fprintf(c->out, zh ? "交换 %.*s：\n" : "exchange %.*s:\n", SLICE_ARG(output_clean(c, p->exchange)));
    fwrite(p->words.p, 1, p->words.n, c->out);
    if (cli_has(c, "answer"))
        fputs(zh ? "  所给答复正是交付的内容\n" : "  the answer given is, byte for byte, what was handed out\n",
              c->out);
    if (cli_has(c, "sent"))
        fputs(zh ? "  所给文件正是提供方发出的内容\n" : "  the file given is, byte for byte, what the provider sent\n",
              c->out);
    if (cli_has(c, "upload"))
        fputs(zh ? "  所给文件正是转交提供方的内容\n"
                 : "  the file given is, byte for byte, what was handed to the provider\n",
              c->out);
    for (size_t i = 0; i < sizeof proves / sizeof *proves; i++)
        fprintf(c->out, "%s\n", cli_text(c, proves[i].text));
}

static int check_and_say(struct cli *c, struct slice text, bool is_file)
{
    struct proved p = { .words = BUF_INIT(1 << 16), .any = is_file };
    int code = vkey_read(c, &p.vkey);

    if (code == CLI_OK)
        code = sm2_vkey_read(c, &p.sm2);
    if (code == CLI_OK)
        code = quorum_read(c, &p.quorum);
    if (code == CLI_OK)
        code = proof_check(c, &p, text);
    if (code == CLI_OK)
        code = asked_check(c, &p);
    if (code == CLI_OK)
        code = digest_check(c, &p, "answer", "out", "digest_out");
    if (code == CLI_OK)
        code = digest_check(c, &p, "sent", salt_of_sent(&p), "digest_in");
    if (code == CLI_OK)
        code = digest_check(c, &p, "upload", "upload", "digest_upload");
    if (code == CLI_OK)
        say_all(c, &p);
    if (code == CLI_OK && p.quorum.n > 0)
        code = quorum_say(c, &p.quorum, p.cosigned, p.size);
    buf_done(&p.words);
    return code;
}

int run_audit_proof(struct cli *c)
{
    const char *out = cli_value(c, "out");
    struct slice text = { 0 };
    bool is_file;
    int code;

    if (!cli_has(c, "vkey") && (out == NULL || cli_has(c, "sm2-vkey")))
        return cli_fail(c, CLI_USAGE,
                        "name the log's public key, as you keep it: --vkey; or only save the proof: --out FILE",
                        "请以 --vkey 给出您保存的日志公钥；或以 --out 仅保存证明");
    code = proof_read(c, &text, &is_file);
    if (code == CLI_OK && out != NULL)
        code = cli_error(c, file_write(out, text, 0644, &c->diags));
    if (code == CLI_OK && cli_has(c, "vkey"))
        code = check_and_say(c, text, is_file);
    else if (code == CLI_OK)
        cli_say(c, "saved, not checked: sluice audit proof %s --vkey KEY",
                "已保存，尚未核验：sluice audit proof %s --vkey KEY", out);
    return code;
}
