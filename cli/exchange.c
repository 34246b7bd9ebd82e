/* sluice exchange: one exchange through the data listener, as an application would make it. */
#include "cli/client.h"
#include "cli/run.h"

enum { PATH_BYTES = 65536, BODY_MAX = 16 << 20, HEADERS_MAX = 8 };

static const struct sent { /* options that become headers */
    const char *option, *header;
    bool percent; /* the value is percent-encoded */
} sent_headers[] = {
    { "purpose", "Sluice-Purpose", false },
    { "grant", "Sluice-Grant", false },
    { "case", "Sluice-Case", true },
    { "operator", "Sluice-Operator", true },
};

/* A value that would end its header, or is no text, is refused here. */
static const char *header_make(struct cli *c, const struct sent *s, const char *value)
{
    struct buf text = BUF_INIT(PATH_BYTES);
    char *line = NULL;

    for (const char *p = value; !s->percent && *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
            return NULL;
    if (!utf8_valid(slice_of(value)))
        return NULL;
    buf_puts(&text, s->header);
    buf_puts(&text, ": ");
    if (s->percent)
        percent_put(&text, slice_of(value));
    else
        buf_puts(&text, value);
    if (text.failed == ERR_OK)
        line = arena_str(&c->arena, buf_slice(&text));
    buf_done(&text);
    return line;
}

static int headers_make(struct cli *c, const char *list[HEADERS_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < sizeof sent_headers / sizeof *sent_headers; i++) {
        const char *v = cli_value(c, sent_headers[i].option);
        if (v == NULL)
            continue;
        list[n] = header_make(c, &sent_headers[i], v);
        if (list[n++] == NULL)
            return cli_fail(c, CLI_USAGE, "--%s holds what no header may", "--%s 含有请求头不允许的字符",
                            sent_headers[i].option);
    }
    list[n] = NULL;
    return CLI_OK;
}

/* A value from a file: personal values stay out of the list of processes and the shell's history. */
static int param_file(struct cli *c, const char *file, const char **value)
{
    struct buf text = BUF_INIT(PATH_BYTES);
    struct slice line;
    int code = cli_error(c, file_read(strcmp(file, "-") == 0 ? "/dev/stdin" : file, &text, &c->diags));

    line = buf_slice(&text);
    while (line.n > 0 && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
        line.n--;
    *value = arena_str(&c->arena, line);
    buf_done(&text);
    return code == CLI_OK && *value == NULL ? cli_error(c, ERR_NOMEM) : code;
}

static int param_cut(struct cli *c, const char *text, char **name, const char **value)
{
    struct slice left = slice_of(text);
    size_t n = slice_find(left, '=');

    if (n == 0 || n == left.n)
        return cli_fail(c, CLI_USAGE, "--param is NAME=VALUE, not \"%s\"", "--param 应为 名称=值，而不是“%s”", text);
    *name = arena_str(&c->arena, slice_sub(left, 0, n));
    *value = text + n + 1;
    if (*name == NULL)
        return cli_error(c, ERR_NOMEM);
    return **value == '@' ? param_file(c, *value + 1, value) : CLI_OK;
}

static int body_make(struct cli *c, struct buf *body)
{
    const char *file = cli_value(c, "body"), *v;
    struct json j;
    int code = CLI_OK;

    if (file != NULL && (cli_has(c, "param") || cli_has(c, "items")))
        return cli_fail(c, CLI_USAGE, "with --body, everything is in the file: items as \"_items\"",
                        "使用 --body 时参数均写在文件中，数据项写作 \"_items\"");
    if (file != NULL)
        return cli_error(c, file_read(strcmp(file, "-") == 0 ? "/dev/stdin" : file, body, &c->diags));
    json_init(&j, body);
    json_open(&j, '{');
    for (size_t i = 0; code == CLI_OK && (v = cli_nth(c, "param", i)) != NULL; i++) {
        const char *value = NULL;
        char *name = NULL;
        code = param_cut(c, v, &name, &value);
        if (code == CLI_OK)
            json_pair(&j, name, slice_of(value));
    }
    if (cli_has(c, "items"))
        json_pair(&j, "_items", slice_of(cli_value(c, "items")));
    json_close(&j, '}');
    if (code == CLI_OK && body->failed != ERR_OK)
        code = cli_fail(c, CLI_USAGE, "a parameter is not UTF-8 text", "参数不是 UTF-8 文本");
    return code;
}

static int url_make(struct cli *c, const struct endpoint *e, bool in_url, const char **ret)
{
    struct buf url = BUF_INIT(PATH_BYTES);
    const char *v;
    int code = id_check(c, c->args[0], true);

    if (code == CLI_OK && e->data == NULL)
        code = cli_fail(c, CLI_USAGE, "say where: --data-server, SLUICE_DATA_SERVER, or sluice context set",
                        "请指明数据地址：--data-server、SLUICE_DATA_SERVER，或 sluice context set");
    if (code != CLI_OK)
        return code;
    buf_printf(&url, "%s/x/", e->data);
    path_put(&url, c->args[0]);
    for (size_t i = 0; in_url && code == CLI_OK && (v = cli_nth(c, "param", i)) != NULL; i++) {
        const char *value = NULL;
        char *name = NULL;
        struct buf encoded = BUF_INIT(PATH_BYTES);
        code = param_cut(c, v, &name, &value);
        if (code == CLI_OK)
            percent_put(&encoded, slice_of(name));
        if (code == CLI_OK)
            query_put(&url, arena_str(&c->arena, buf_slice(&encoded)), value);
        buf_done(&encoded);
    }
    if (in_url && cli_has(c, "items"))
        query_put(&url, "_items", cli_value(c, "items"));
    *ret = url.failed == ERR_OK ? arena_str(&c->arena, buf_slice(&url)) : NULL;
    buf_done(&url);
    if (code == CLI_OK && *ret == NULL)
        code = cli_fail(c, CLI_USAGE, "the address becomes too long", "网址过长");
    return code;
}

static int exchange(struct cli *c, bool post)
{
    const char *headers[HEADERS_MAX] = { NULL };
    struct buf body = BUF_INIT(BODY_MAX);
    struct call call = { .method = post ? "POST" : "GET",
                         .has_body = post,
                         .type = "application/json",
                         .accept = cli_value(c, "accept"),
                         .headers = headers,
                         .stream = true,
                         .patient = true,
                         .verbose = cli_has(c, "verbose") };
    struct endpoint e;
    struct reply r;
    int code = endpoint_find(c, &e);

    if (code == CLI_OK)
        code = url_make(c, &e, !post, &call.url);
    if (code == CLI_OK)
        code = headers_make(c, headers);
    if (code == CLI_OK && post)
        code = body_make(c, &body);
    call.body = buf_slice(&body);
    if (code == CLI_OK) {
        code = client_call(c, &e, &call, &r);
        if (code == CLI_OK && c->out_tty)
            fputc('\n', c->out);
        reply_done(&r);
    }
    buf_done(&body);
    return code;
}

int run_exchange_get(struct cli *c)
{
    return exchange(c, false);
}

int run_exchange_post(struct cli *c)
{
    return exchange(c, true);
}
