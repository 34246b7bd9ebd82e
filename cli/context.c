/* Contexts: {current, contexts: {name: {server, data, ca, cert, key}}}. Invariant: the file is replaced whole or not at
 * all, is private to its owner, and holds absolute paths, so that it means the same from every folder. */
#include "cli/context.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include "cli/output.h"

enum { CONFIG_MAX = 1 << 20 };

static const struct part {
    const char *name, *flag, *variable;
    bool is_file;
    size_t offset; /* in struct endpoint */
} parts[] = {
    { "server", "server", "SLUICE_SERVER", false, offsetof(struct endpoint, server) },
    { "data", "data-server", "SLUICE_DATA_SERVER", false, offsetof(struct endpoint, data) },
    { "ca", "ca", "SLUICE_CA", true, offsetof(struct endpoint, ca) },
    { "cert", "cert", "SLUICE_CERT", true, offsetof(struct endpoint, cert) },
    { "key", "key", "SLUICE_KEY", true, offsetof(struct endpoint, key) },
};
enum { PARTS = sizeof parts / sizeof *parts };

static const struct doc_key context_keys[] = {
    /* checked only; the values are read by name */
    { .name = "server", .kind = DOC_K_STR, .offset = 0 * sizeof(struct slice) },
    { .name = "data", .kind = DOC_K_STR, .offset = 1 * sizeof(struct slice) },
    { .name = "ca", .kind = DOC_K_STR, .offset = 2 * sizeof(struct slice) },
    { .name = "cert", .kind = DOC_K_STR, .offset = 3 * sizeof(struct slice) },
    { .name = "key", .kind = DOC_K_STR, .offset = 4 * sizeof(struct slice) },
    { .name = NULL },
};
struct config {
    struct slice current;
    const struct doc *contexts;
};
static const struct doc_key config_keys[] = {
    { .name = "current", .kind = DOC_K_STR, .offset = offsetof(struct config, current) },
    { .name = "contexts", .kind = DOC_K_MAP, .offset = offsetof(struct config, contexts) },
    { .name = NULL },
};

/* NULL: neither XDG_CONFIG_HOME nor HOME is set. */
static char *config_dir(struct cli *c)
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

    if (xdg != NULL && xdg[0] == '/')
        return path_join(&c->arena, xdg, "sluice");
    return home != NULL && home[0] == '/' ? path_join(&c->arena, home, ".config/sluice") : NULL;
}

/* An absent file is an empty configuration. */
static int config_read(struct cli *c, struct config *ret)
{
    char *dir = config_dir(c), *path = dir ? path_join(&c->arena, dir, "config.yaml") : NULL;
    struct buf text = BUF_INIT(CONFIG_MAX);
    const struct doc *doc = NULL;
    enum err e;

    memset(ret, 0, sizeof *ret);
    if (path == NULL)
        return CLI_OK;
    c->diags.file = slice_of(path);
    e = file_read(path, &text, &c->diags);
    if (e == ERR_NOT_FOUND) {
        diags_init(&c->diags, &c->arena);
        buf_done(&text);
        return CLI_OK;
    }
    if (e == ERR_OK)
        e = doc_read_yaml(arena_dup(&c->arena, buf_slice(&text)), &c->arena, &c->diags, &doc);
    if (e == ERR_OK && doc->first != NULL)
        e = doc_bind(doc->first, config_keys, ret, &c->arena, &c->diags);
    DOC_EACH(one, e == ERR_OK ? ret->contexts : NULL)
    {
        struct slice ignored[PARTS] = { 0 };
        if (e == ERR_OK)
            e = doc_bind(one, context_keys, ignored, &c->arena, &c->diags);
    }
    buf_done(&text);
    c->diags.file = (struct slice){ 0 };
    return cli_error(c, e);
}

const char *endpoint_address(struct cli *c, const char *text)
{
    struct slice s = slice_of(text);

    if (slice_starts(s, SLICE("https://")))
        s = slice_sub(s, 8, s.n);
    while (slice_ends(s, SLICE("/")))
        s.n--;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || strchr("/?#@\\\"%", s.p[i]) != NULL)
            return NULL;
    return s.n > 0 ? arena_printf(&c->arena, "https://%.*s", SLICE_ARG(s)) : NULL;
}

static int context_named(struct cli *c, const struct config *f, const struct doc **ret)
{
    const char *name = cli_value(c, "context");
    struct slice wanted;

    if (name == NULL)
        name = getenv("SLUICE_CONTEXT");
    wanted = name != NULL && *name != '\0' ? slice_of(name) : f->current;
    *ret = wanted.n > 0 ? doc_get_slice(f->contexts, wanted) : NULL;
    if (wanted.n > 0 && *ret == NULL)
        return cli_fail(c, CLI_USAGE, "there is no context \"%.*s\"; see: sluice context list",
                        "没有名为“%.*s”的上下文；请参阅：sluice context list", SLICE_ARG(wanted));
    return CLI_OK;
}

int endpoint_find(struct cli *c, struct endpoint *ret)
{
    const struct doc *context = NULL;
    struct config f;
    int code = config_read(c, &f);

    memset(ret, 0, sizeof *ret);
    if (code == CLI_OK)
        code = context_named(c, &f, &context);
    for (size_t i = 0; code == CLI_OK && i < PARTS; i++) {
        const char *v = cli_value(c, parts[i].flag);
        struct slice stored = doc_text(context, parts[i].name);

        if (v == NULL)
            v = getenv(parts[i].variable);
        if ((v == NULL || *v == '\0') && stored.n > 0)
            v = arena_str(&c->arena, stored);
        if (v == NULL || *v == '\0')
            continue;
        if (!parts[i].is_file && (v = endpoint_address(c, v)) == NULL)
            return cli_fail(c, CLI_USAGE, "--%s is an address: https://HOST:PORT", "--%s 应为地址：https://主机:端口",
                            parts[i].flag);
        *(const char **)((char *)ret + parts[i].offset) = v;
    }
    return code;
}

/* ---- writing ---- */

static void put_part(struct json *j, const char *name, const char *value)
{
    if (value != NULL)
        json_pair(j, name, slice_of(value));
}

/* The configuration as JSON, with `set` (when set_name is not NULL) in place of the context of that name. */
static void config_put(struct json *j, const struct config *f, const char *current, const char *set_name,
                       const char *const set[PARTS])
{
    json_open(j, '{');
    json_pair(j, "current", slice_of(current));
    json_key(j, "contexts");
    json_open(j, '{');
    DOC_EACH(one, f->contexts)
    {
        if (set_name != NULL && slice_is(one->key, set_name))
            continue;
        json_key_slice(j, one->key);
        doc_put_json(one, j);
    }
    if (set_name != NULL) {
        json_key(j, set_name);
        json_open(j, '{');
        for (size_t i = 0; i < PARTS; i++)
            put_part(j, parts[i].name, set[i]);
        json_close(j, '}');
    }
    json_close(j, '}');
    json_close(j, '}');
}

static int config_write(struct cli *c, const struct config *f, const char *current, const char *set_name,
                        const char *const set[PARTS])
{
    struct buf json = BUF_INIT(CONFIG_MAX), yaml = BUF_INIT(CONFIG_MAX);
    char *dir = config_dir(c);
    const struct doc *doc;
    struct json j;
    enum err e;

    if (dir == NULL)
        return cli_fail(c, CLI_FAILURE, "HOME is not set", "未设置 HOME");
    json_init(&j, &json);
    config_put(&j, f, current, set_name, set);
    e = json.failed;
    if (e == ERR_OK)
        e = doc_read_json(buf_slice(&json), &c->arena, &c->diags, &doc);
    if (e == ERR_OK) {
        doc_put_yaml(doc, &yaml);
        e = yaml.failed;
    }
    if (e == ERR_OK)
        e = dir_make(dir, 0700, &c->diags);
    if (e == ERR_OK)
        e = file_write(path_join(&c->arena, dir, "config.yaml"), buf_slice(&yaml), 0600, &c->diags);
    buf_done(&json);
    buf_done(&yaml);
    return cli_error(c, e);
}

/* The value of a part as it is stored: an address, or the absolute path of a file that is there. */
static int part_given(struct cli *c, const struct part *p, const struct doc *old, const char **ret)
{
    const char *v = cli_value(c, p->flag);
    struct slice stored = doc_text(old, p->name);
    char real[PATH_MAX];

    *ret = stored.n > 0 ? arena_str(&c->arena, stored) : NULL;
    if (v == NULL)
        return CLI_OK;
    if (!p->is_file) {
        *ret = endpoint_address(c, v);
        return *ret ? CLI_OK
                    : cli_fail(c, CLI_USAGE, "--%s is an address: https://HOST:PORT",
                               "--%s 应为地址：https://主机:端口", p->flag);
    }
    if (realpath(v, real) == NULL)
        return cli_error(c, diag_sys(&c->diags, errno, "%s", "%s", v));
    *ret = arena_str(&c->arena, slice_of(real));
    return CLI_OK;
}

int run_context_set(struct cli *c)
{
    const char *set[PARTS], *name = c->args[0], *current;
    const struct doc *old;
    struct config f;
    int code = config_read(c, &f);

    if (code == CLI_OK && !ident_valid(slice_of(name)))
        code = cli_fail(c, CLI_USAGE, "a context's name is [a-z][a-z0-9-]*", "上下文名称应为 [a-z][a-z0-9-]*");
    old = code == CLI_OK ? doc_get(f.contexts, name) : NULL;
    for (size_t i = 0; code == CLI_OK && i < PARTS; i++)
        code = part_given(c, &parts[i], old, &set[i]);
    if (code != CLI_OK)
        return code;
    current = f.current.n > 0 ? arena_str(&c->arena, f.current) : name; /* the first one becomes the current one */
    return config_write(c, &f, current, name, set);
}

int run_context_use(struct cli *c)
{
    const char *name = c->args[0];
    struct config f;
    int code = config_read(c, &f);

    if (code == CLI_OK && doc_get(f.contexts, name) == NULL)
        code = cli_fail(c, CLI_NOT_FOUND, "there is no context \"%s\"; see: sluice context list",
                        "没有名为“%s”的上下文；请参阅：sluice context list", name);
    return code == CLI_OK ? config_write(c, &f, name, NULL, NULL) : code;
}

static const struct column context_columns[] = {
    { "name", { "NAME", "名称" }, 0 },         { "current", { "CURRENT", "当前" }, 0 },
    { "server", { "SERVER", "管理地址" }, 0 }, { "data", { "DATA", "数据地址" }, 0 },
    { "cert", { "CERTIFICATE", "证书" }, 0 },  { "key", { "KEY", "私钥" }, COLUMN_WIDE },
    { "ca", { "CA", "CA" }, COLUMN_WIDE },     { .path = NULL },
};

int run_context_list(struct cli *c)
{
    struct buf json = BUF_INIT(CONFIG_MAX);
    const struct doc *doc = NULL;
    struct config f;
    struct json j;
    int code = config_read(c, &f);

    if (code != CLI_OK)
        return code;
    json_init(&j, &json);
    json_open(&j, '{');
    json_key(&j, "items");
    json_open(&j, '[');
    DOC_EACH(one, f.contexts)
    {
        json_open(&j, '{');
        json_pair(&j, "name", one->key);
        json_pair_bool(&j, "current", slice_eq(one->key, f.current));
        for (size_t i = 0; i < PARTS; i++)
            json_opt(&j, parts[i].name, doc_text(one, parts[i].name));
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_close(&j, '}');
    code = cli_error(c, json.failed);
    if (code == CLI_OK)
        code = cli_error(c, doc_read_json(arena_dup(&c->arena, buf_slice(&json)), &c->arena, &c->diags, &doc));
    buf_done(&json);
    return code == CLI_OK ? output_list(c, doc, "items", context_columns) : code;
}
