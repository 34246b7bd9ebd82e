/* sluice request create: a file of the same fields as the API, or flags. Invariant: an unknown or misspelt field never
 * leaves here: it is told with its place in the file. */
#include "cli/client.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/run.h"

enum { BODY_MAX = 4 << 20 };

struct form {
    struct slice app, basis, scenario;
    struct doc_strs purposes;
    const struct doc *resources, *window;
    int64_t expires;
    uint64_t max_rows;
    struct slice resource;
    struct doc_strs items, clear;
    uint64_t version;
    int32_t from, to;
    struct slice hours;
    struct doc_strs weekdays;
};
#define AT(member) offsetof(struct form, member)
static const struct doc_key form_keys[] = {
    { .name = "app", .kind = DOC_K_PATH2, .offset = AT(app), .flags = DOC_REQUIRED },
    { .name = "resources", .kind = DOC_K_LIST, .offset = AT(resources), .flags = DOC_REQUIRED },
    { .name = "purposes", .kind = DOC_K_STRS, .offset = AT(purposes), .flags = DOC_REQUIRED },
    { .name = "basis", .kind = DOC_K_STR, .offset = AT(basis), .flags = DOC_REQUIRED },
    { .name = "scenario", .kind = DOC_K_STR, .offset = AT(scenario), .flags = DOC_REQUIRED },
    { .name = "window", .kind = DOC_K_MAP, .offset = AT(window), .flags = DOC_REQUIRED },
    { .name = "expires", .kind = DOC_K_TIME, .offset = AT(expires) },
    { .name = "max_rows", .kind = DOC_K_U64, .offset = AT(max_rows) },
    { .name = NULL },
};
static const struct doc_key wish_keys[] = {
    { .name = "resource", .kind = DOC_K_PATH2, .offset = AT(resource), .flags = DOC_REQUIRED },
    { .name = "items", .kind = DOC_K_STRS, .offset = AT(items), .flags = DOC_REQUIRED },
    { .name = "clear", .kind = DOC_K_STRS, .offset = AT(clear) },
    { .name = "version", .kind = DOC_K_U64, .offset = AT(version) },
    { .name = NULL },
};
static const struct doc_key window_keys[] = {
    { .name = "from", .kind = DOC_K_DATE, .offset = AT(from) },
    { .name = "to", .kind = DOC_K_DATE, .offset = AT(to), .flags = DOC_REQUIRED },
    { .name = "hours", .kind = DOC_K_STR, .offset = AT(hours) },
    { .name = "weekdays", .kind = DOC_K_STRS, .offset = AT(weekdays) },
    { .name = NULL },
};
#undef AT

static enum err check(struct cli *c, const struct doc *doc)
{
    struct form f = { 0 };
    enum err worst = doc_bind(doc, form_keys, &f, &c->arena, &c->diags), e;

    DOC_EACH(wish, f.resources)
    {
        e = doc_bind(wish, wish_keys, &f, &c->arena, &c->diags);
        worst = worst != ERR_OK ? worst : e;
    }
    if (f.window != NULL) {
        e = doc_bind(f.window, window_keys, &f, &c->arena, &c->diags);
        worst = worst != ERR_OK ? worst : e;
    }
    return worst;
}

/* A file says all of a request: an option beside it would go unheard. */
static int alone_check(struct cli *c)
{
    for (const struct option *o = c->command->options; o->name != NULL; o++)
        if (strcmp(o->name, "file") != 0 && cli_has(c, o->name))
            return cli_fail(c, CLI_USAGE, "with -f, everything is in the file: leave --%s out, or write it there",
                            "使用 -f 时内容均写在文件中：请删去 --%s，或写入文件", o->name);
    return CLI_OK;
}

static int from_file(struct cli *c, const char *path, struct buf *body)
{
    bool input = strcmp(path, "-") == 0;
    struct buf text = BUF_INIT(BODY_MAX);
    const struct doc *list = NULL;
    struct json j;
    enum err e;

    c->diags.file = slice_of(input ? "stdin" : path);
    e = file_read(input ? "/dev/stdin" : path, &text, &c->diags);
    if (e == ERR_OK)
        e = doc_read_yaml(arena_dup(&c->arena, buf_slice(&text)), &c->arena, &c->diags, &list);
    if (e == ERR_OK && list->count != 1)
        e = diag_add(&c->diags, ERR_INVALID, 1, 1, "one request a file", "每个文件一份申请");
    if (e == ERR_OK)
        e = check(c, list->first);
    buf_done(&text);
    if (e != ERR_OK)
        return cli_error(c, e);
    json_init(&j, body);
    doc_put_json(list->first, &j);
    return cli_error(c, body->failed);
}

/* ---- from flags ---- */

static void list_put(struct json *j, const char *key, struct slice names, bool numbers)
{
    json_key(j, key);
    json_open(j, '[');
    while (names.n > 0) {
        struct slice name = slice_trim(slice_cut(&names, ','));
        uint64_t number;
        if (numbers && slice_u64(name, 1, 7, &number))
            json_u64(j, number);
        else
            json_str(j, name);
    }
    json_close(j, ']');
}

/* "department/resource[@version]:item,item" into its parts. */
static bool wish_read(const char *text, struct slice *resource, struct slice *items, uint64_t *version)
{
    struct slice left = slice_of(text), name, at;

    name = slice_cut(&left, ':');
    at = name;
    *resource = slice_cut(&at, '@');
    *items = left;
    *version = 0;
    return ident_path_valid(*resource) && items->n > 0 && (at.n == 0 || slice_u64(at, 1, UINT32_MAX, version)) &&
           (at.n > 0 || resource->n == name.n);
}

/* The resource that a --clear names, in the same words as --resource or without its version; its items in *items. */
static struct slice clear_read(const char *text, struct slice *items)
{
    struct slice name;

    *items = slice_of(text);
    name = slice_cut(items, ':');
    return slice_cut(&name, '@');
}

/* Each --clear is of a resource that is asked for: one that is not would go unheard. */
static int clears_check(struct cli *c)
{
    const char *v, *w;

    for (size_t i = 0; (v = cli_nth(c, "clear", i)) != NULL; i++) {
        struct slice items, resource = clear_read(v, &items), ignored;
        bool asked = false;

        for (size_t k = 0; (w = cli_nth(c, "resource", k)) != NULL; k++)
            asked = asked || slice_eq(clear_read(w, &ignored), resource);
        if (items.n == 0)
            return cli_fail(c, CLI_USAGE, "--clear is DEPARTMENT/RESOURCE:ITEM,ITEM, not \"%s\"",
                            "--clear 应为 部门/资源:数据项,数据项，而不是“%s”", v);
        if (!asked)
            return cli_fail(c, CLI_USAGE, "--clear %s: no --resource asks for that one",
                            "--clear %s：没有对应的 --resource", v);
    }
    return CLI_OK;
}

/* The items of all that were given for it, joined by ','. */
static enum err clear_of(struct cli *c, struct slice resource, struct slice *ret)
{
    const char *v;
    char *all;

    *ret = (struct slice){ 0 };
    for (size_t i = 0; (v = cli_nth(c, "clear", i)) != NULL; i++) {
        struct slice items;
        if (!slice_eq(clear_read(v, &items), resource))
            continue;
        all = ret->n > 0 ? arena_printf(&c->arena, "%.*s,%.*s", SLICE_ARG(*ret), SLICE_ARG(items))
                         : arena_str(&c->arena, items);
        if (all == NULL)
            return ERR_NOMEM;
        *ret = slice_of(all);
    }
    return ERR_OK;
}

static int wishes_put(struct cli *c, struct json *j)
{
    const char *v;

    json_key(j, "resources");
    json_open(j, '[');
    for (size_t i = 0; (v = cli_nth(c, "resource", i)) != NULL; i++) {
        struct slice resource, items, clear;
        uint64_t version;

        if (!wish_read(v, &resource, &items, &version))
            return cli_fail(c, CLI_USAGE, "--resource is DEPARTMENT/RESOURCE[@VERSION]:ITEM,ITEM, not \"%s\"",
                            "--resource 应为 部门/资源[@版本]:数据项,数据项，而不是“%s”", v);
        if (clear_of(c, resource, &clear) != ERR_OK)
            return cli_error(c, ERR_NOMEM);
        json_open(j, '{');
        json_pair(j, "resource", resource);
        list_put(j, "items", items, false);
        if (clear.n > 0)
            list_put(j, "clear", clear, false);
        if (version > 0)
            json_pair_u64(j, "version", version);
        json_close(j, '}');
    }
    json_close(j, ']');
    return CLI_OK;
}

static void window_put(struct cli *c, struct json *j)
{
    const char *days = cli_value(c, "weekdays");

    json_key(j, "window");
    json_open(j, '{');
    json_opt(j, "from", slice_of(cli_value(c, "from")));
    json_opt(j, "to", slice_of(cli_value(c, "to")));
    json_opt(j, "hours", slice_of(cli_value(c, "hours")));
    if (days != NULL)
        list_put(j, "weekdays", slice_of(days), true);
    json_close(j, '}');
}

static int from_flags(struct cli *c, struct buf *body)
{
    static const char *const needed[] = { "app", "resource", "purpose", "basis", "scenario", "to" };
    const char *rows = cli_value(c, "max-rows"), *v;
    uint64_t max_rows = 0;
    struct json j;
    int code;

    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!cli_has(c, needed[i]))
            return cli_fail(c, CLI_USAGE, "--%s is missing (or give a file: -f)", "缺少 --%s（或用 -f 指定文件）",
                            needed[i]);
    if (rows != NULL && !slice_u64(slice_of(rows), 1, (uint64_t)1 << 53, &max_rows))
        return cli_fail(c, CLI_USAGE, "--max-rows is a number", "--max-rows 应为数字");
    code = clears_check(c);
    if (code != CLI_OK)
        return code;
    json_init(&j, body);
    json_open(&j, '{');
    json_pair(&j, "app", slice_of(cli_value(c, "app")));
    code = wishes_put(c, &j);
    if (code != CLI_OK)
        return code;
    json_key(&j, "purposes");
    json_open(&j, '[');
    for (size_t i = 0; (v = cli_nth(c, "purpose", i)) != NULL; i++)
        json_cstr(&j, v);
    json_close(&j, ']');
    json_pair(&j, "basis", slice_of(cli_value(c, "basis")));
    json_pair(&j, "scenario", slice_of(cli_value(c, "scenario")));
    window_put(c, &j);
    json_opt(&j, "expires", slice_of(cli_value(c, "expires")));
    if (max_rows > 0)
        json_pair_u64(&j, "max_rows", max_rows);
    json_close(&j, '}');
    return body->failed == ERR_OK ? CLI_OK
                                  : cli_fail(c, CLI_USAGE, "an option is not UTF-8 text", "选项不是 UTF-8 文本");
}

int run_request_create(struct cli *c)
{
    struct buf body = BUF_INIT(BODY_MAX);
    const char *file = cli_value(c, "file");
    const struct doc *reply = NULL;
    struct slice id;
    int code = output_check(c);

    if (code == CLI_OK && file != NULL)
        code = alone_check(c);
    if (code == CLI_OK)
        code = file != NULL ? from_file(c, file, &body) : from_flags(c, &body);
    if (code == CLI_OK)
        code = api_post(c, "requests", buf_slice(&body), &reply);
    buf_done(&body);
    if (code != CLI_OK)
        return code;
    if (cli_has(c, "output") && !output_is(c, "name"))
        return output_one(c, reply, NULL);
    id = output_clean(c, doc_text(reply, "id"));
    fprintf(c->out, "%.*s\n", SLICE_ARG(id));
    return CLI_OK;
}
