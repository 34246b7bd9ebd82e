/* sluice audit search: questions to the log through the API, and the rows of an answer. */
#include "cli/audit.h"
#include "cli/run.h"
#include <unistd.h>

enum { BODY_MAX = 1 << 20, LIMIT_DEFAULT = 100, PERSON_MAX = 4096 };

static const struct column row_columns[] = {
    { "index", { "INDEX", "序号" }, 0 },
    { "at", { "TIME", "时间" }, COLUMN_TIME },
    { "result", { "RESULT", "结果" }, 0 },
    { "who", { "WHO", "主体" }, COLUMN_NAME },
    { "what", { "RESOURCE OR ACT", "数据资源或操作" }, 0 },
    { "grant", { "GRANT", "授权" }, 0 },
    { "approvers", { "APPROVED BY", "审批人" }, COLUMN_WIDE },
    { "purpose", { "PURPOSE", "用途" }, 0 },
    { "reason", { "REASON", "原因" }, 0 },
    { "rows", { "ROWS", "行数" }, 0 },
    { "operator", { "OPERATOR", "操作员" }, COLUMN_WIDE },
    { "case", { "CASE", "办件号" }, COLUMN_WIDE },
    { "items", { "ITEMS", "数据项" }, COLUMN_WIDE },
    { "bytes", { "BYTES", "字节数" }, COLUMN_WIDE },
    { "sent", { "SENT", "上送字节数" }, COLUMN_WIDE },
    { "status", { "STATUS", "状态码" }, COLUMN_WIDE },
    { "grant_record", { "GRANT RECORD", "授权记录序号" }, COLUMN_WIDE },
    { "outcome", { "OUTCOME RECORD", "结果记录序号" }, COLUMN_WIDE },
    { "cut", { "CUT RECORD", "中断记录序号" }, COLUMN_WIDE },
    { "exchange", { "EXCHANGE", "交换编号" }, COLUMN_WIDE },
    { .path = NULL },
};

static const struct filter { /* option and member of the same meaning */
    const char *option, *member;
} filters[] = {
    { "subject", "subject" }, { "who", "who" },         { "department", "department" }, { "resource", "resource" },
    { "item", "item" },       { "grant", "grant" },     { "reason", "reason" },         { "result", "result" },
    { "kind", "kind" },       { "verb", "verb" },       { "object", "object" },         { "operator", "operator" },
    { "case", "case" },       { "purpose", "purpose" }, { "exchange", "exchange" },     { "from", "from" },
    { "to", "to" },
};

/* "2026-11-22" as the beginning of that day in the zone; a full time stands as it is. */
const char *audit_time(struct cli *c, const char *text)
{
    int32_t days;
    int64_t ms;
    char out[CLOCK_TEXT];

    if (clock_parse(slice_of(text), &ms))
        return text;
    if (!clock_parse_date(slice_of(text), &days))
        return NULL;
    clock_text((int64_t)days * 86400000 - (int64_t)clock_zone() * 60000, out);
    return arena_str(&c->arena, slice_of(out));
}

/* A person's value is read from the standard input and is no argument: these stand in the list of processes, which
 * everybody may read, and in the shell's history. */
static int person_read(struct cli *c, const char **ret)
{
    const char *v = cli_value(c, "person");
    struct buf text = BUF_INIT(PERSON_MAX);
    struct slice line;
    int code;

    *ret = NULL;
    if (v == NULL)
        return CLI_OK;
    if (strcmp(v, "-") != 0)
        return cli_fail(c, CLI_USAGE,
                        "a person's identifier would be left in the list of processes and the shell's history: give "
                        "--person - and the identifier on the standard input",
                        "个人标识作为参数会留在进程列表和命令历史中：请用 --person - 并从标准输入提供标识值");
    if (isatty(STDIN_FILENO))
        fputs(c->lang == LANG_ZH ? "个人标识：" : "identifier: ", c->err);
    code = cli_error(c, file_read("/dev/stdin", &text, &c->diags));
    line = buf_slice(&text);
    line = slice_trim(slice_cut(&line, '\n'));
    *ret = arena_str(&c->arena, line);
    if (text.p != NULL)
        mem_wipe(text.p, text.n);
    buf_done(&text);
    return code;
}

static int query_put_json(struct cli *c, const struct audit_query *q, struct buf *body)
{
    struct json j;

    json_init(&j, body);
    json_open(&j, '{');
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        const char *v = cli_value(c, filters[i].option);
        bool time = strcmp(filters[i].member, "from") == 0 || strcmp(filters[i].member, "to") == 0;
        if (v != NULL && time && (v = audit_time(c, v)) == NULL)
            return cli_fail(c, CLI_USAGE, "--%s is a date (2026-11-22) or a time (2026-11-22T09:30:00+08:00)",
                            "--%s 应为日期（2026-11-22）或时间（2026-11-22T09:30:00+08:00）", filters[i].option);
        if (v != NULL)
            json_pair(&j, filters[i].member, slice_of(v));
    }
    if (q->person != NULL)
        json_pair(&j, "person", slice_of(q->person));
    json_pair_bool(&j, "newest_first", q->newest_first);
    if (q->proofs)
        json_pair_bool(&j, "proofs", true);
    json_pair_u64(&j, "limit", q->limit);
    if (q->has_after)
        json_pair_u64(&j, "after", q->after);
    json_close(&j, '}');
    return body->failed == ERR_OK ? CLI_OK
                                  : cli_fail(c, CLI_USAGE, "an option is not UTF-8 text", "选项不是 UTF-8 文本");
}

int audit_query_read(struct cli *c, struct audit_query *q)
{
    const char *limit = cli_value(c, "limit"), *after = cli_value(c, "after");

    *q = (struct audit_query){ .newest_first = !cli_has(c, "oldest-first"), .limit = LIMIT_DEFAULT };
    if (limit != NULL && !slice_u64(slice_of(limit), 1, AUDIT_PAGE_MOST, &q->limit))
        return cli_fail(c, CLI_USAGE, "--limit is 1 to %d", "--limit 应为 1 至 %d", AUDIT_PAGE_MOST);
    q->has_after = after != NULL;
    if (after != NULL && !slice_u64(slice_of(after), 0, (uint64_t)1 << 53, &q->after))
        return cli_fail(c, CLI_USAGE, "--after is an index of the log", "--after 应为日志序号");
    return person_read(c, &q->person);
}

int audit_ask(struct cli *c, const struct audit_query *q, struct buf *ret)
{
    struct buf body = BUF_INIT(BODY_MAX);
    int code = query_put_json(c, q, &body);

    *ret = BUF_INIT(0);
    if (code == CLI_OK)
        code = api_bytes(c, "POST", "audit/search", buf_slice(&body), ret);
    if (body.p != NULL)
        mem_wipe(body.p, body.n);
    buf_done(&body);
    return code;
}

/* ---- search ---- */
static void member(struct json *j, const char *as, const struct doc *from, const char *key)
{
    const struct doc *v = doc_get(from, key);

    if (v == NULL)
        return;
    json_key(j, as);
    doc_put_json(v, j);
}

/* The act that gave the grant a record names; NULL: it is not in the answer. */
static const struct doc *grant_of(const struct doc *reply, const struct doc *record)
{
    struct slice id = doc_text(record, "grant");

    DOC_EACH(g, doc_get(reply, "grants"))
    {
        if (id.n > 0 && slice_eq(doc_text(g, "grant"), id) &&
            doc_u64(g, "version", 0) == doc_u64(record, "grant_version", 0))
            return g;
    }
    return NULL;
}

/* `who` is the subject or the author of an act; `what` the resource, or the act and what it was done to; what came of
 * an exchange is in its outcome, or in the cut that came after. */
static void row_put(struct cli *c, struct json *j, const struct doc *reply, const struct doc *row)
{
    const struct doc *record = doc_get(row, "record"), *outcome = doc_get(row, "outcome"), *cut = doc_get(row, "cut"),
                     *grant = grant_of(reply, record), *told = outcome ? outcome : record;
    struct slice who = doc_text(record, "subject"), what = doc_text(record, "resource"),
                 verb = doc_text(record, "verb"), result = doc_text(row, "result");

    if (who.n == 0)
        who = doc_text(record, "author");
    if (verb.n > 0 && what.n == 0)
        what = slice_of(arena_printf(&c->arena, "%.*s %.*s", SLICE_ARG(verb), SLICE_ARG(doc_text(record, "object"))));
    json_open(j, '{');
    member(j, "index", row, "index");
    member(j, "at", record, "at");
    json_opt(j, "result", result.n ? result : doc_text(record, "kind"));
    json_opt(j, "who", who);
    json_opt(j, "what", what);
    member(j, "grant", record, "grant");
    member(j, "approvers", grant, "approvers");
    member(j, "purpose", record, "purpose");
    member(j, "reason", cut ? cut : told, "reason");
    member(j, "rows", outcome, "rows");
    member(j, "operator", record, "operator");
    member(j, "case", record, "case");
    member(j, "items", record, "items");
    member(j, "bytes", cut ? cut : outcome, "bytes_out");
    member(j, "sent", outcome, "bytes_upload");
    member(j, "status", told, "status");
    member(j, "grant_record", grant, "record");
    member(j, "outcome", outcome, "index");
    member(j, "cut", cut, "index");
    member(j, "exchange", record, "exchange");
    json_close(j, '}');
}

/* An answer's rows as a flat list, as the table and the spreadsheet show them. */
int audit_rows(struct cli *c, const struct doc *reply, struct arena *a, const struct doc **ret)
{
    struct buf rows = BUF_INIT(256 << 20);
    struct json j;
    enum err e;

    json_init(&j, &rows);
    json_open(&j, '[');
    DOC_EACH(row, doc_get(reply, "rows"))
    {
        row_put(c, &j, reply, row);
    }
    json_close(&j, ']');
    e = rows.failed;
    if (e == ERR_OK)
        e = doc_read_json(arena_dup(a, buf_slice(&rows)), a, &c->diags, ret);
    buf_done(&rows);
    return cli_error(c, e);
}

const struct column *audit_columns(void)
{
    return row_columns;
}

void audit_say_covered(struct cli *c, const struct doc *reply)
{
    uint64_t indexed = doc_u64(reply, "indexed", 0), size = doc_u64(reply, "size", 0),
             first = doc_u64(reply, "first", 0);

    if (!doc_flag(reply, "complete"))
        cli_say(c, "The index is being built: this covers %llu of %llu records. Ask again later.",
                "索引正在建立：以上仅覆盖 %llu 条（共 %llu 条）记录，请稍后再检索。", (unsigned long long)indexed,
                (unsigned long long)size);
    if (first > 0)
        cli_say(c, "Records before %llu are gone: the retention policy removed them.",
                "序号 %llu 之前的记录已按留存策略清除。", (unsigned long long)first);
}

int run_audit_search(struct cli *c)
{
    const struct doc *reply = NULL, *rows = NULL;
    struct audit_query q;
    struct buf text = BUF_INIT(0);
    int code = output_check(c);

    if (code == CLI_OK)
        code = audit_query_read(c, &q);
    if (code == CLI_OK)
        code = audit_ask(c, &q, &text);
    if (code == CLI_OK)
        code = cli_error(c, doc_read_json(arena_dup(&c->arena, buf_slice(&text)), &c->arena, &c->diags, &reply));
    buf_done(&text);
    if (code != CLI_OK)
        return code;
    if (output_is(c, "json") || output_is(c, "yaml"))
        return output_list(c, reply, "rows", row_columns);
    code = audit_rows(c, reply, &c->arena, &rows);
    if (code == CLI_OK && cli_has(c, "bom"))
        fputs("\xEF\xBB\xBF", c->out);
    if (code == CLI_OK)
        code = output_list(c, rows, NULL, row_columns);
    if (code != CLI_OK)
        return code;
    audit_say_covered(c, reply);
    if (doc_flag(reply, "more"))
        cli_say(c, "There are more: --after %.*s", "还有更多：--after %.*s", SLICE_ARG(doc_text(reply, "next")));
    return code;
}
