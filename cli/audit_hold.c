/* sluice audit hold add|list|release and sluice audit retention. */
#include "cli/audit.h"
#include "cli/run.h"

static const struct column hold_columns[] = {
    { "id", { "ID", "编号" }, 0 },
    { "state", { "STATE", "状态" }, 0 },
    { "from", { "FROM", "起" }, COLUMN_TIME },
    { "author", { "AUTHOR", "经办人" }, 0 },
    { "created", { "CREATED", "创建时间" }, COLUMN_TIME },
    { "reason", { "REASON", "理由" }, 0 },
    { "released_by", { "RELEASED BY", "解除人" }, COLUMN_WIDE },
    { "released", { "RELEASED", "解除时间" }, COLUMN_WIDE | COLUMN_TIME },
    { "release_reason", { "RELEASE REASON", "解除理由" }, COLUMN_WIDE },
    { .path = NULL },
};

static int fetch(struct cli *c, const char *method, const char *path, struct slice body, const struct doc **ret)
{
    struct buf text = BUF_INIT(0);
    int code = api_bytes(c, method, path, body, &text);

    if (code == CLI_OK)
        code = cli_error(c, doc_read_json(arena_dup(&c->arena, buf_slice(&text)), &c->arena, &c->diags, ret));
    buf_done(&text);
    return code;
}

static int change(struct cli *c, const char *path, const char *from)
{
    const char *reason = cli_value(c, "reason");
    const struct doc *reply = NULL;
    struct buf body = BUF_INIT(1 << 16);
    struct json j;
    int code;

    if (reason == NULL)
        return cli_fail(c, CLI_USAGE, "--reason says why: it is kept in the record", "请用 --reason 说明理由，将存证");
    json_init(&j, &body);
    json_open(&j, '{');
    json_pair(&j, "reason", slice_of(reason));
    if (from != NULL)
        json_pair(&j, "from", slice_of(from));
    json_close(&j, '}');
    code = cli_error(c, body.failed);
    if (code == CLI_OK)
        code = fetch(c, "POST", path, buf_slice(&body), &reply);
    buf_done(&body);
    return code == CLI_OK ? output_one(c, reply, hold_columns) : code;
}

static int hold_add(struct cli *c)
{
    const char *from = cli_value(c, "from");

    if (from != NULL && (from = audit_time(c, from)) == NULL)
        return cli_fail(c, CLI_USAGE, "--from is a date (2026-11-22) or a time (2026-11-22T09:30:00+08:00)",
                        "--from 应为日期（2026-11-22）或时间（2026-11-22T09:30:00+08:00）");
    return change(c, "audit/holds", from);
}

static int hold_release(struct cli *c)
{
    if (c->n_args < 2)
        return cli_fail(c, CLI_USAGE, "name the hold: sluice audit hold release h1 --reason …",
                        "请指明留存令：sluice audit hold release h1 --reason …");
    for (const char *p = c->args[1]; *p; p++)
        if (!(*p >= 'a' && *p <= 'z') && !(*p >= '0' && *p <= '9'))
            return cli_fail(c, CLI_USAGE, "a hold is named as h1", "留存令编号形如 h1");
    return change(c, arena_printf(&c->arena, "audit/holds/%s/release", c->args[1]), NULL);
}

static int hold_list(struct cli *c)
{
    const struct doc *reply = NULL;
    int code = fetch(c, "GET", "audit/holds", (struct slice){ 0 }, &reply);

    return code == CLI_OK ? output_list(c, reply, "items", hold_columns) : code;
}

int run_audit_hold(struct cli *c)
{
    static const struct {
        const char *word;
        int (*run)(struct cli *c);
    } words[] = { { "add", hold_add }, { "list", hold_list }, { "release", hold_release } };
    int code = output_check(c);

    if (code != CLI_OK)
        return code;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(c->args[0], words[i].word) == 0)
            return words[i].run(c);
    return cli_fail(c, CLI_USAGE, "sluice audit hold add, list or release",
                    "用法：sluice audit hold add、list 或 release");
}

int run_audit_retention(struct cli *c)
{
    const struct doc *reply = NULL;
    int code = output_check(c);

    if (code == CLI_OK)
        code = fetch(c, "GET", "audit/retention", (struct slice){ 0 }, &reply);
    return code == CLI_OK ? output_one(c, reply, NULL) : code;
}
