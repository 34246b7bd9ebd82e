/* A log behind a listener, resource by resource: what the verifier asks for is fetched over one connection, and kept
 * only where --out says so, laid out like a log's own folder. Whatever the server sends, the verifier judges it. */
#include <errno.h>
#include "audit/audit.h"
#include "cli/run.h"
#include "cli/verify.h"

enum { PATH_ROOM = 4600, NOTE_ROOM = 8192, FETCH_MEMORY = 8 << 20 };

/* As client_call, with the call's own arena: a log has many tiles. */
static int call_once(struct far *f, const char *path, size_t most, bool may_miss, struct buf *out)
{
    struct cli once = *f->cli;
    struct call call = { .method = "GET",
                         .accept = "application/octet-stream, text/plain;q=0.9, application/problem+json;q=0.5",
                         .most = most,
                         .may_miss = may_miss,
                         .session = &f->session };
    struct reply r = { .body = BUF_INIT(0) };
    int code;

    arena_init(&once.arena, FETCH_MEMORY);
    diags_init(&once.diags, &once.arena);
    call.url = arena_printf(&once.arena, "%s/log/%s", f->server, path);
    code = call.url != NULL ? client_call(&once, &f->e, &call, &r) : cli_error(&once, ERR_NOMEM);
    if (code == CLI_OK)
        buf_put(out, buf_slice(&r.body));
    reply_done(&r);
    arena_done(&once.arena);
    return code;
}

static int save(struct far *f, const char *name, struct slice bytes)
{
    char path[PATH_ROOM * 2], folder[PATH_ROOM * 2];
    enum err e;

    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    e = dir_make(folder, 0700, &f->cli->diags);
    if (e == ERR_OK)
        e = file_write(path, bytes, 0600, &f->cli->diags);
    return cli_error(f->cli, e);
}

static int note_fetch(struct far *f, const char *name, bool may_miss, struct slice *ret)
{
    struct buf text = BUF_INIT(NOTE_ROOM);
    int code = call_once(f, name, NOTE_ROOM, may_miss, &text);

    if (code == CLI_OK)
        *ret = arena_dup(&f->cli->arena, buf_slice(&text));
    if (code == CLI_OK && f->dir != NULL)
        code = save(f, name, *ret);
    buf_done(&text);
    return code == CLI_NOT_FOUND && may_miss ? CLI_OK : code;
}

int far_open(struct cli *c, const char *url, bool witnessed, struct far *ret)
{
    struct far f = { .cli = c, .dir = cli_value(c, "out") };
    int code = endpoint_find(c, &f.e);

    f.server = endpoint_address(c, url);
    if (code == CLI_OK && f.server == NULL)
        code =
            cli_fail(c, CLI_USAGE, "%s is no https address of a control listener", "%s 不是管理端口的 https 地址", url);
    if (code == CLI_OK && witnessed)
        code = note_fetch(&f, "checkpoint.witnessed", true, &f.witnessed);
    if (code == CLI_OK)
        code = note_fetch(&f, "checkpoint", false, &f.checkpoint);
    *ret = f;
    if (code != CLI_OK)
        client_end(f.session);
    return code;
}

int far_close(struct far *f)
{
    client_end(f->session);
    if (f->segment != NULL && fclose(f->segment) != 0 && f->code == CLI_OK)
        f->code = cli_error(f->cli, diag_sys(&f->cli->diags, errno, "cannot write %s", "无法写入 %s", f->dir));
    f->segment = NULL;
    return f->code;
}

enum err far_fetch(void *far, const char *path, struct buf *out)
{
    struct far *f = far;
    bool entries = slice_starts(slice_of(path), SLICE("tile/entries/"));
    int code = CLI_OK;

    if (strcmp(path, "checkpoint") == 0) {
        buf_put(out, f->checkpoint);
        return ERR_OK;
    }
    code = call_once(f, path, out->cap, true, out);
    if (code == CLI_NOT_FOUND)
        return ERR_NOT_FOUND;
    if (code == CLI_OK && f->dir != NULL && !entries)
        code = save(f, path, buf_slice(out));
    f->code = code;
    return code == CLI_OK ? ERR_OK : ERR_SYS;
}

/* As lines again, in one segment from the first record that there is. */
enum err far_take(void *far, uint64_t index, struct slice line)
{
    struct far *f = far;
    char path[PATH_ROOM];

    snprintf(path, sizeof path, "%s/%016llu.seg", f->dir, (unsigned long long)index);
    if (f->segment == NULL && (f->segment = fopen(path, "wbxe")) == NULL) {
        f->code = cli_error(f->cli, diag_sys(&f->cli->diags, errno, "cannot make %s", "无法创建 %s", path));
        return ERR_SYS;
    }
    if (fwrite(line.p, 1, line.n, f->segment) == line.n && fputc('\n', f->segment) != EOF)
        return ERR_OK;
    f->code = cli_error(f->cli, diag_sys(&f->cli->diags, errno, "cannot write %s", "无法写入 %s", f->dir));
    return ERR_SYS;
}
