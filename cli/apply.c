/* sluice apply: manifests from files, folders or the standard input, sent as they are; the server checks all of them
 * and stores all or none. */
#include "cli/client.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "cli/output.h"
#include "cli/run.h"

enum { FILES_MAX = 10000, FOLDERS_DEEP = 16, BODY_MAX = 64 << 20 };

struct files {
    const char *at[FILES_MAX];
    size_t n;
};

static bool is_manifest(const char *name)
{
    struct slice s = slice_of(name);

    return slice_ends(s, SLICE(".yaml")) || slice_ends(s, SLICE(".yml")) || slice_ends(s, SLICE(".json"));
}

static int not_hidden(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static int collect(struct cli *c, const char *path, struct files *f, unsigned depth);

static int collect_folder(struct cli *c, const char *path, struct files *f, unsigned depth)
{
    struct dirent **names;
    int n = scandir(path, &names, not_hidden, alphasort), code = CLI_OK;

    if (n < 0)
        return cli_error(c, diag_sys(&c->diags, errno, "cannot read %s", "无法读取 %s", path));
    for (int i = 0; i < n; i++) {
        char *below = path_join(&c->arena, path, names[i]->d_name);
        struct stat st;

        if (below == NULL)
            code = cli_error(c, ERR_NOMEM);
        else if (code == CLI_OK && (is_manifest(below) || (stat(below, &st) == 0 && S_ISDIR(st.st_mode))))
            code = collect(c, below, f, depth + 1); /* tells of one that is not there: a link may lead nowhere */
        mem_libc_free(names[i]);
    }
    mem_libc_free(names);
    return code;
}

static int collect(struct cli *c, const char *path, struct files *f, unsigned depth)
{
    struct stat st;

    if (strcmp(path, "-") != 0 && stat(path, &st) != 0)
        return cli_error(c, diag_sys(&c->diags, errno, "%s", "%s", path));
    if (strcmp(path, "-") != 0 && S_ISDIR(st.st_mode))
        return depth < FOLDERS_DEEP ? collect_folder(c, path, f, depth)
                                    : cli_fail(c, CLI_FAILURE, "folders are too deep: %s", "目录层次过深：%s", path);
    if (f->n == FILES_MAX)
        return cli_fail(c, CLI_FAILURE, "more than %d files", "文件超过 %d 个", FILES_MAX);
    f->at[f->n++] = path;
    return CLI_OK;
}

static int file_put(struct cli *c, struct json *j, const char *path)
{
    bool input = strcmp(path, "-") == 0;
    struct buf text = BUF_INIT(CLI_FILE_MAX);
    int code = cli_error(c, file_read(input ? "/dev/stdin" : path, &text, &c->diags));

    if (code == CLI_OK && !utf8_valid(buf_slice(&text)))
        code = cli_fail(c, CLI_FAILURE, "%s is not UTF-8", "%s 不是 UTF-8 编码", path);
    if (code == CLI_OK) {
        json_open(j, '{');
        json_pair(j, "name", input ? SLICE("stdin") : slice_of(path));
        json_pair(j, "text", buf_slice(&text));
        json_close(j, '}');
    }
    buf_done(&text);
    return code;
}

static int body_make(struct cli *c, const struct files *f, struct buf *body)
{
    struct json j;
    int code = CLI_OK;

    json_init(&j, body);
    json_open(&j, '{');
    json_key(&j, "files");
    json_open(&j, '[');
    for (size_t i = 0; i < f->n && code == CLI_OK; i++)
        code = file_put(c, &j, f->at[i]);
    json_close(&j, ']');
    json_pair_bool(&j, "dry_run", cli_has(c, "dry-run"));
    json_close(&j, '}');
    if (code == CLI_OK && body->failed != ERR_OK)
        code = cli_fail(c, CLI_FAILURE, "the manifests are too large together, or a file name is not UTF-8",
                        "清单总量过大，或文件名不是 UTF-8");
    return code;
}

static const struct column applied_columns[] = {
    { "id", { "ID", "标识" }, 0 },
    { "kind", { "KIND", "类型" }, 0 },
    { "result", { "RESULT", "结果" }, 0 },
    { "version", { "VERSION", "版本" }, 0 },
    { "file", { "FILE", "文件" }, COLUMN_WIDE },
    { .path = NULL },
};

int run_apply(struct cli *c)
{
    struct files *f = arena_zalloc(&c->arena, sizeof *f);
    struct buf body = BUF_INIT(BODY_MAX);
    const struct doc *reply = NULL;
    int code = f ? output_check(c) : cli_error(c, ERR_NOMEM);

    for (size_t i = 0; code == CLI_OK && cli_nth(c, "file", i) != NULL; i++)
        code = collect(c, cli_nth(c, "file", i), f, 0);
    if (code == CLI_OK && f->n == 0)
        code = cli_fail(c, CLI_NOT_FOUND, "no manifest there: *.yaml, *.yml, *.json",
                        "未找到清单文件（*.yaml、*.yml、*.json）");
    if (code == CLI_OK)
        code = body_make(c, f, &body);
    if (code == CLI_OK)
        code = api_post(c, "apply", buf_slice(&body), &reply);
    buf_done(&body);
    if (code != CLI_OK)
        return code;
    code = output_list(c, reply, "items", applied_columns);
    if (code == CLI_OK && cli_has(c, "dry-run"))
        cli_say(c, "Checked only; nothing was stored.", "仅检查，未保存。");
    return code;
}
