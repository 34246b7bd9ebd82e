/* The verbs that every noun shares, and how each noun's lists look. */
#include "cli/client.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/run.h"
#include "policies/policies.h"
#include <errno.h>
#include <unistd.h>

enum { PATH_MAX_BYTES = 65536, BODY_MAX = 1 << 20 };

static const struct column entry_columns[] = {
    { "id", { "ID", "标识" }, 0 },
    { "title", { "TITLE", "名称" }, 0 },
    { "state", { "STATE", "状态" }, 0 },
    { "department", { "DEPARTMENT", "部门" }, COLUMN_WIDE },
    { "version", { "VERSION", "版本" }, COLUMN_WIDE },
    { "changed", { "CHANGED", "变更时间" }, COLUMN_WIDE },
    { .path = NULL },
};
static const struct column resource_columns[] = {
    { "id", { "ID", "标识" }, 0 },
    { "title", { "TITLE", "名称" }, 0 },
    { "version", { "VERSION", "版本" }, 0 },
    { "state", { "STATE", "状态" }, 0 },
    { "weakness", { "WEAKNESS", "薄弱环节" }, 0 },
    { "department", { "DEPARTMENT", "部门" }, COLUMN_WIDE },
    { "changed", { "CHANGED", "变更时间" }, COLUMN_WIDE },
    { .path = NULL },
};
static const struct column policy_columns[] = {
    { "id", { "ID", "标识" }, 0 },
    { "title", { "TITLE", "名称" }, 0 },
    { "version", { "VERSION", "版本" }, 0 },
    { "state", { "STATE", "状态" }, 0 },
    { "changed", { "CHANGED", "变更时间" }, COLUMN_TIME },
    { .path = NULL },
};
static const struct column request_columns[] = {
    { "id", { "ID", "标识" }, 0 },
    { "app", { "APPLICATION", "应用" }, 0 },
    { "resources.resource", { "RESOURCES", "数据资源" }, 0 },
    { "purposes", { "PURPOSES", "用途" }, 0 },
    { "state", { "STATE", "状态" }, 0 },
    { "created", { "CREATED", "创建时间" }, COLUMN_TIME },
    { "author", { "AUTHOR", "经办人" }, COLUMN_WIDE },
    { "basis", { "LEGAL BASIS", "依据" }, COLUMN_WIDE },
    { .path = NULL },
};
static const struct column grant_columns[] = {
    { "id", { "ID", "标识" }, 0 },
    { "app", { "APPLICATION", "应用" }, 0 },
    { "resource", { "RESOURCE", "数据资源" }, 0 },
    { "items", { "ITEMS", "数据项" }, 0 },
    { "purposes", { "PURPOSES", "用途" }, 0 },
    { "state", { "STATE", "状态" }, 0 },
    { "window.from", { "FROM", "起" }, 0 },
    { "window.to", { "TO", "止" }, 0 },
    { "version", { "VERSION", "版本" }, COLUMN_WIDE },
    { "clear", { "UNMASKED", "不脱敏" }, COLUMN_WIDE },
    { "request", { "REQUEST", "申请" }, COLUMN_WIDE },
    { "basis", { "LEGAL BASIS", "依据" }, COLUMN_WIDE },
    { "approvers", { "APPROVERS", "审批人" }, COLUMN_WIDE },
    { .path = NULL },
};
static const struct column cert_columns[] = {
    { "serial", { "SERIAL", "序列号" }, 0 },
    { "subject", { "SUBJECT", "主体" }, COLUMN_NAME },
    { "state", { "STATE", "状态" }, 0 },
    { "not_after", { "VALID UNTIL", "失效时间" }, COLUMN_TIME },
    { "not_before", { "VALID FROM", "生效时间" }, COLUMN_WIDE },
    { "reason", { "REASON", "吊销原因" }, COLUMN_WIDE },
    { "author", { "SIGNED BY", "签发人" }, COLUMN_WIDE },
    { "authority", { "OUTSIDE AUTHORITY", "外部签发机构" }, COLUMN_WIDE },
    { "digest", { "SHA-256", "摘要" }, COLUMN_WIDE },
    { .path = NULL },
};

static const struct path {
    const char *noun, *path;
    bool two;  /* ids are "department/name" */
    bool free; /* ids are the server's own */
    const struct column *columns;
} paths[] = {
    { "department", "departments", false, false, entry_columns },
    { "app", "apps", true, false, entry_columns },
    { "person", "people", true, false, entry_columns },
    { "resource", "resources", true, false, resource_columns },
    { "code-table", "code-tables", false, false, entry_columns },
    { "policy", "policies", false, false, policy_columns },
    { "request", "requests", false, true, request_columns },
    { "grant", "grants", false, true, grant_columns },
    { "cert", "certs", false, true, cert_columns },
};

static const struct path *path_of(const struct cli *c)
{
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (strcmp(paths[i].noun, c->command->noun) == 0)
            return &paths[i];
    return NULL; /* a row of the table that names run_list without a path: test_help walks them all */
}

int id_check(struct cli *c, const char *id, bool two)
{
    if (two ? ident_path_valid(slice_of(id)) : ident_valid(slice_of(id)))
        return CLI_OK;
    return two ? cli_fail(c, CLI_USAGE, "\"%s\" is no id here: DEPARTMENT/NAME, as in education/admission",
                          "“%s”不是有效标识：应为 部门/名称，如 education/admission", id)
               : cli_fail(c, CLI_USAGE, "\"%s\" is no id: [a-z][a-z0-9-]*", "“%s”不是有效标识：应为 [a-z][a-z0-9-]*",
                          id);
}

static int path_id(struct cli *c, const struct path *p, struct buf *path)
{
    const char *id = c->args[0];
    int code = p->free ? CLI_OK : id_check(c, id, p->two);

    if (code == CLI_OK && (*id == '\0' || strchr(p->free ? id : "", '/') != NULL))
        code = cli_fail(c, CLI_USAGE, "\"%s\" is no id", "“%s”不是有效标识", id);
    buf_puts(path, p->path);
    buf_putc(path, '/');
    path_put(path, id);
    return code;
}

static const char *path_text(struct cli *c, struct buf *path)
{
    char *text = path->failed == ERR_OK ? arena_str(&c->arena, buf_slice(path)) : NULL;

    buf_done(path);
    return text ? text : "";
}

/* The options of this call that the API knows as query parameters. */
static void queries_put(const struct cli *c, struct buf *path)
{
    for (size_t i = 0; i < c->n_given; i++)
        if (c->given[i].option->query != NULL)
            query_put(path, c->given[i].option->query, c->given[i].option->value ? c->given[i].value : "1");
}

int run_list(struct cli *c)
{
    const struct path *p = path_of(c);
    struct buf path = BUF_INIT(PATH_MAX_BYTES);
    const struct doc *reply = NULL;
    int code = output_check(c);

    buf_puts(&path, p->path);
    queries_put(c, &path);
    if (code == CLI_OK)
        code = api_get(c, path_text(c, &path), &reply);
    buf_done(&path);
    return code == CLI_OK ? output_list(c, reply, "items", p->columns) : code;
}

static int show(struct cli *c, const struct doc **ret)
{
    struct buf path = BUF_INIT(PATH_MAX_BYTES);
    int code = output_check(c);

    if (code == CLI_OK)
        code = path_id(c, path_of(c), &path);
    queries_put(c, &path);
    if (code == CLI_OK)
        code = api_get(c, path_text(c, &path), ret);
    buf_done(&path);
    return code;
}

int run_show(struct cli *c)
{
    const struct doc *reply = NULL;
    int code = show(c, &reply);

    return code == CLI_OK ? output_one(c, reply, path_of(c)->columns) : code;
}

/* An act: what came of it, in a line a person reads or in the form asked for. */
static int act_done(struct cli *c, const struct doc *reply, const struct path *p)
{
    struct slice state = output_clean(c, output_value(c, reply, "state"));

    if (cli_has(c, "output"))
        return output_one(c, reply, p->columns);
    if (state.n > 0)
        fprintf(c->out, "%s %s: %.*s\n", c->command->noun, c->args[0], SLICE_ARG(state));
    else
        fprintf(c->out, c->lang == LANG_ZH ? "%s %s：已办理 %s\n" : "%s %s: %s done\n", c->command->noun, c->args[0],
                c->command->verb);
    DOC_EACH(grant, doc_get(reply, "grants"))
    {
        struct slice id = output_clean(c, grant->type == DOC_MAP ? doc_text(grant, "id") : grant->text);
        fprintf(c->out, c->lang == LANG_ZH ? "授权 %.*s\n" : "grant %.*s\n", SLICE_ARG(id));
    }
    return CLI_OK;
}

/* POST <noun's path>/<id>/<verb>; with `number` under `key` when it is not 0. */
static int move(struct cli *c, const char *key, uint64_t number)
{
    const struct path *p = path_of(c);
    struct buf path = BUF_INIT(PATH_MAX_BYTES), body = BUF_INIT(BODY_MAX);
    const struct doc *reply = NULL;
    struct json j;
    int code = output_check(c);

    if (code == CLI_OK)
        code = path_id(c, p, &path);
    buf_putc(&path, '/');
    buf_puts(&path, c->command->verb);
    json_init(&j, &body);
    json_open(&j, '{');
    if (cli_has(c, "note"))
        json_pair(&j, "note", slice_of(cli_value(c, "note")));
    if (number != 0)
        json_pair_u64(&j, key, number);
    json_close(&j, '}');
    if (code == CLI_OK && body.failed != ERR_OK)
        code = cli_fail(c, CLI_USAGE, "--note is not UTF-8 text, or too long", "--note 不是 UTF-8 文本或过长");
    if (code == CLI_OK)
        code = api_post(c, path_text(c, &path), buf_slice(&body), &reply);
    buf_done(&path);
    buf_done(&body);
    return code == CLI_OK ? act_done(c, reply, p) : code;
}

int run_move(struct cli *c)
{
    return move(c, NULL, 0);
}

/* Moves the version that `show`, with the same option or without, shows at this moment. */
int run_move_version(struct cli *c)
{
    const struct doc *shown = NULL;
    int code = show(c, &shown);

    return code == CLI_OK ? move(c, "version", doc_u64(shown, "version", 0)) : code;
}

int run_decide(struct cli *c)
{
    const char *part = cli_value(c, "part");
    uint64_t number = 0;

    if (part != NULL && !slice_u64(slice_of(part), 1, POLICY_WISHES_MAX, &number))
        return cli_fail(c, CLI_USAGE, "--part is 1 to %d, as `request show` counts them",
                        "--part 应为 1 至 %d，见 request show", POLICY_WISHES_MAX);
    return move(c, "part", number);
}

static int role_set(struct cli *c, bool on)
{
    struct buf path = BUF_INIT(PATH_MAX_BYTES), body = BUF_INIT(BODY_MAX);
    const struct doc *reply = NULL;
    struct json j;
    int code = id_check(c, c->args[0], true);

    buf_puts(&path, "people/");
    path_put(&path, c->args[0]);
    buf_puts(&path, "/roles");
    json_init(&j, &body);
    json_open(&j, '{');
    json_pair(&j, "role", slice_of(c->args[1]));
    json_pair_bool(&j, "on", on);
    json_close(&j, '}');
    if (code == CLI_OK)
        code = body.failed == ERR_OK ? api_post(c, path_text(c, &path), buf_slice(&body), &reply)
                                     : cli_error(c, body.failed);
    buf_done(&path);
    buf_done(&body);
    if (code == CLI_OK)
        fprintf(c->out, on ? "%s +%s\n" : "%s -%s\n", c->args[0], c->args[1]);
    return code;
}

int run_grant_role(struct cli *c)
{
    return role_set(c, true);
}

int run_revoke_role(struct cli *c)
{
    return role_set(c, false);
}

static int run_one(struct cli *c, const char *path)
{
    const struct doc *reply = NULL;
    int code = output_check(c);

    if (code == CLI_OK)
        code = api_get(c, path, &reply);
    return code == CLI_OK ? output_one(c, reply, NULL) : code;
}

int run_status(struct cli *c)
{
    return run_one(c, "status");
}

int run_me(struct cli *c)
{
    return run_one(c, "me");
}

int out_check(struct cli *c)
{
    const char *file = cli_value(c, "out"), *slash = file ? strrchr(file, '/') : NULL;
    char *above = NULL;

    if (file == NULL)
        return CLI_OK;
    if (slash != NULL) /* "/file" is in "/" */
        above = arena_str(&c->arena, slice_make(file, slash == file ? 1 : (size_t)(slash - file)));
    if (slash != NULL && above == NULL)
        return cli_error(c, ERR_NOMEM);
    if (access(above ? above : ".", W_OK | X_OK) == 0)
        return CLI_OK;
    return cli_error(c, diag_sys(&c->diags, errno, "cannot write %s", "无法写入 %s", file));
}

int out_put(struct cli *c, struct slice text, unsigned mode)
{
    const char *file = cli_value(c, "out");

    if (file != NULL)
        return cli_error(c, file_write(file, text, mode, &c->diags));
    fwrite(text.p, 1, text.n, c->out);
    return CLI_OK;
}
