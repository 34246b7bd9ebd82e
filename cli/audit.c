/* sluice audit search and export: the log through the API. Invariant: export writes each record's bytes as the log
 * holds them, so that they can be hashed again elsewhere. */
#include "cli/client.h"
#include "cli/output.h"
#include "cli/run.h"

enum { BODY_MAX = 1 << 20, LIMIT_DEFAULT = 100, LIMIT_MOST = 1000, PERSON_MAX = 4096 };

static const struct column record_columns[] = {
    { "index", { "INDEX", "序号" }, 0 },
    { "at", { "TIME", "时间" }, COLUMN_TIME },
    { "kind", { "KIND", "类型" }, 0 },
    { "who", { "SUBJECT", "主体" }, COLUMN_NAME },
    { "what", { "RESOURCE OR ACT", "数据资源或操作" }, 0 },
    { "grant", { "GRANT", "授权" }, 0 },
    { "purpose", { "PURPOSE", "用途" }, 0 },
    { "reason", { "REASON", "结果" }, 0 },
    { "rows", { "ROWS", "行数" }, 0 },
    { "operator", { "OPERATOR", "操作员" }, COLUMN_WIDE },
    { "case", { "CASE", "办件号" }, COLUMN_WIDE },
    { "items", { "ITEMS", "数据项" }, COLUMN_WIDE },
    { "exchange", { "EXCHANGE", "交换编号" }, COLUMN_WIDE },
    { .path = NULL },
};

static const struct filter { /* option and member of the same meaning */
    const char *option, *member;
} filters[] = {
    { "subject", "subject" },   { "resource", "resource" }, { "grant", "grant" }, { "reason", "reason" },
    { "kind", "kind" },         { "operator", "operator" }, { "case", "case" },   { "purpose", "purpose" },
    { "exchange", "exchange" }, { "from", "from" },         { "to", "to" },
};

/* "2026-11-22" as the beginning of that day in the zone; a full time stands as it is. */
static const char *time_of(struct cli *c, const char *text)
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

/* A person's value: "-" reads it from the standard input, so that it stays out of the list of processes. */
static int person_read(struct cli *c, const char **ret)
{
    const char *v = cli_value(c, "person");
    struct buf text = BUF_INIT(PERSON_MAX);
    struct slice line;
    int code;

    *ret = v;
    if (v == NULL || strcmp(v, "-") != 0)
        return CLI_OK;
    code = cli_error(c, file_read("/dev/stdin", &text, &c->diags));
    line = buf_slice(&text);
    line = slice_trim(slice_cut(&line, '\n'));
    *ret = arena_str(&c->arena, line);
    if (text.p != NULL)
        mem_wipe(text.p, text.n);
    buf_done(&text);
    return code;
}

struct query {
    const char *person;
    bool newest_first;
    uint64_t limit, after;
    bool has_after;
};

static int query_put_json(struct cli *c, const struct query *q, struct buf *body)
{
    struct json j;

    json_init(&j, body);
    json_open(&j, '{');
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        const char *v = cli_value(c, filters[i].option);
        bool time = strcmp(filters[i].member, "from") == 0 || strcmp(filters[i].member, "to") == 0;
        if (v != NULL && time && (v = time_of(c, v)) == NULL)
            return cli_fail(c, CLI_USAGE, "--%s is a date (2026-11-22) or a time (2026-11-22T09:30:00+08:00)",
                            "--%s 应为日期（2026-11-22）或时间（2026-11-22T09:30:00+08:00）", filters[i].option);
        if (v != NULL)
            json_pair(&j, filters[i].member, slice_of(v));
    }
    if (q->person != NULL)
        json_pair(&j, "person", slice_of(q->person));
    json_pair_bool(&j, "newest_first", q->newest_first);
    json_pair_u64(&j, "limit", q->limit);
    if (q->has_after)
        json_pair_u64(&j, "after", q->after);
    json_close(&j, '}');
    return body->failed == ERR_OK ? CLI_OK
                                  : cli_fail(c, CLI_USAGE, "an option is not UTF-8 text", "选项不是 UTF-8 文本");
}

static int query_read(struct cli *c, struct query *q)
{
    const char *limit = cli_value(c, "limit"), *after = cli_value(c, "after");

    *q = (struct query){ .newest_first = !cli_has(c, "oldest-first"), .limit = LIMIT_DEFAULT };
    if (limit != NULL && !slice_u64(slice_of(limit), 1, LIMIT_MOST, &q->limit))
        return cli_fail(c, CLI_USAGE, "--limit is 1 to %d", "--limit 应为 1 至 %d", LIMIT_MOST);
    q->has_after = after != NULL;
    if (after != NULL && !slice_u64(slice_of(after), 0, (uint64_t)1 << 53, &q->after))
        return cli_fail(c, CLI_USAGE, "--after is an index of the log", "--after 应为日志序号");
    return person_read(c, &q->person);
}

static int ask(struct cli *c, const struct query *q, struct buf *ret)
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

/* A record as a row: `who` is the subject or the author of an act; `what` the resource, or
 * the act and what it was done to. */
static void row_put(struct cli *c, struct json *j, const struct doc *record)
{
    struct slice who = doc_text(record, "subject"), what = doc_text(record, "resource"),
                 verb = doc_text(record, "verb");

    if (who.n == 0)
        who = doc_text(record, "author");
    if (verb.n > 0)
        what = slice_of(arena_printf(&c->arena, "%.*s %.*s", SLICE_ARG(verb), SLICE_ARG(doc_text(record, "object"))));
    json_open(j, '{');
    json_opt(j, "who", who);
    json_opt(j, "what", what);
    DOC_EACH(m, record)
    {
        json_key_slice(j, m->key);
        doc_put_json(m, j);
    }
    json_close(j, '}');
}

static int table_put(struct cli *c, const struct doc *reply)
{
    struct buf rows = BUF_INIT(256 << 20);
    const struct doc *doc = NULL;
    struct json j;
    enum err e;

    json_init(&j, &rows);
    json_open(&j, '[');
    DOC_EACH(record, doc_get(reply, "records"))
    {
        row_put(c, &j, record);
    }
    json_close(&j, ']');
    e = rows.failed;
    if (e == ERR_OK)
        e = doc_read_json(arena_dup(&c->arena, buf_slice(&rows)), &c->arena, &c->diags, &doc);
    buf_done(&rows);
    return e == ERR_OK ? output_list(c, doc, NULL, record_columns) : cli_error(c, e);
}

int run_audit_search(struct cli *c)
{
    const struct doc *reply = NULL;
    struct query q;
    struct buf text = BUF_INIT(0);
    int code = output_check(c);

    if (code == CLI_OK)
        code = query_read(c, &q);
    if (code == CLI_OK)
        code = ask(c, &q, &text);
    if (code == CLI_OK)
        code = cli_error(c, doc_read_json(arena_dup(&c->arena, buf_slice(&text)), &c->arena, &c->diags, &reply));
    buf_done(&text);
    if (code != CLI_OK)
        return code;
    if (output_is(c, "json") || output_is(c, "yaml"))
        return output_list(c, reply, "records", record_columns);
    code = table_put(c, reply);
    if (code == CLI_OK && doc_flag(reply, "more"))
        cli_say(c, "There are more: --after %.*s", "还有更多：--after %.*s", SLICE_ARG(doc_text(reply, "next")));
    return code;
}

/* ---- export ---- */

/* The end of the JSON value that begins at `at`: behind its last byte; the text is known to be well-formed. */
static size_t value_end(struct slice s, size_t at)
{
    unsigned depth = 0;
    bool text = false;

    for (; at < s.n; at++) {
        char ch = s.p[at];
        if (text && ch == '\\')
            at++;
        else if (ch == '"')
            text = !text;
        else if (!text && (ch == '{' || ch == '['))
            depth++;
        else if (!text && (ch == '}' || ch == ']') && --depth == 0)
            return at + 1;
    }
    return s.n;
}

/* The records of an answer, each on a line, byte for byte as they came. */
static void lines_put(struct cli *c, struct slice text)
{
    static const char member[] = "\"records\":[";
    const char *found = text.n ? memmem(text.p, text.n, member, sizeof member - 1) : NULL;
    size_t at = found ? (size_t)(found - text.p) + sizeof member - 1 : text.n;

    while (at < text.n && text.p[at] != ']') {
        size_t end = value_end(text, at);
        if (text.p[at] == '{') {
            fwrite(text.p + at, 1, end - at, c->out);
            fputc('\n', c->out);
            at = end;
        } else {
            at++;
        }
    }
}

int run_audit_export(struct cli *c)
{
    struct query q;
    bool more = true;
    int code = query_read(c, &q);

    q.limit = LIMIT_MOST;
    q.newest_first = false;
    while (code == CLI_OK && more) {
        struct arena a;
        const struct doc *reply = NULL;
        struct buf text;

        code = ask(c, &q, &text);
        arena_init(&a, CLI_MEMORY);
        if (code == CLI_OK)
            code = cli_error(c, doc_read_json(buf_slice(&text), &a, &c->diags, &reply));
        if (code == CLI_OK) {
            uint64_t next = doc_u64(reply, "next", q.after);
            lines_put(c, buf_slice(&text));
            more = doc_flag(reply, "more") && (!q.has_after || next > q.after); /* it must go on, or it is over */
            q.after = next;
            q.has_after = true;
            if (ferror(c->out))
                code = cli_fail(c, CLI_FAILURE, "the output could not be written", "无法写出结果");
        }
        arena_done(&a);
        buf_done(&text);
    }
    return code;
}
