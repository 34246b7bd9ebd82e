/* A log behind a control listener, copied for the verifier: checkpoint, hash tiles of the lowest level and entries,
 * which only an auditor is given and which are on record there. The copy is laid out like a log's own folder and
 * trusted no more than any other: whatever the server sends, the verifier judges it. */
#include <errno.h>
#include "audit/audit.h"
#include "cli/client.h"
#include "cli/run.h"
#include "cli/verify.h"

enum { PATH_ROOM = 4600 };

struct copy {
    struct cli *cli;
    struct endpoint e;
    const char *server, *dir;
    void *session; /* own: the connection; client_end */
    FILE *segment; /* own */
    uint64_t size;
    void (*progress)(void *arg, uint64_t done, uint64_t total);
    void *arg;
};

static int fetch(struct copy *k, const char *path, struct reply *r)
{
    struct call call = { .method = "GET",
                         .accept = "application/octet-stream, text/plain;q=0.9, application/problem+json;q=0.5",
                         .session = &k->session };

    call.url = arena_printf(&k->cli->arena, "%s/log/%s", k->server, path);
    return call.url != NULL ? client_call(k->cli, &k->e, &call, r) : cli_error(k->cli, ERR_NOMEM);
}

static int save(struct copy *k, const char *name, struct slice bytes)
{
    char path[PATH_ROOM * 2], folder[PATH_ROOM * 2];
    enum err e;

    snprintf(path, sizeof path, "%s/%s", k->dir, name);
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    e = dir_make(folder, 0700, &k->cli->diags);
    if (e == ERR_OK)
        e = file_write(path, bytes, 0600, &k->cli->diags);
    return cli_error(k->cli, e);
}

/* Each entry behind its length; the copy has them as lines again. */
static int bundle_write(struct copy *k, struct slice bundle)
{
    while (bundle.n >= 2) {
        size_t n = (size_t)(uint8_t)bundle.p[0] << 8 | (uint8_t)bundle.p[1];
        if (bundle.n < 2 + n)
            break;
        if (fwrite(bundle.p + 2, 1, n, k->segment) != n || fputc('\n', k->segment) == EOF)
            return cli_error(k->cli, diag_sys(&k->cli->diags, errno, "cannot write %s", "无法写入 %s", k->dir));
        bundle = slice_sub(bundle, 2 + n, bundle.n);
    }
    return bundle.n == 0 ? CLI_OK
                         : cli_fail(k->cli, CLI_FAILURE, "the server sent a bundle that ends inside an entry",
                                    "服务端发来的条目包在条目中间结束");
}

static int tile_copy(struct copy *k, uint64_t tile, unsigned width)
{
    char name[AUDIT_TILE_PATH];
    struct reply r;
    int code;

    audit_tile_path("0", tile, width, name);
    code = fetch(k, name, &r);
    if (code == CLI_OK)
        code = save(k, name, buf_slice(&r.body));
    reply_done(&r);
    if (code != CLI_OK)
        return code;
    audit_tile_path("entries", tile, width, name);
    code = fetch(k, name, &r);
    if (code == CLI_OK)
        code = bundle_write(k, buf_slice(&r.body));
    reply_done(&r);
    if (k->progress != NULL)
        k->progress(k->arg, tile * AUDIT_TILE + width, k->size);
    return code;
}

static int checkpoint_copy(struct copy *k, struct slice vkey)
{
    struct reply r;
    struct sha256 root;
    int code = fetch(k, "checkpoint", &r);

    if (code == CLI_OK && !audit_note_check(buf_slice(&r.body), vkey, &k->size, &root))
        code = cli_fail(k->cli, CLI_UNPROVEN, "the server's checkpoint is not signed by this key",
                        "服务端的检查点签名在该公钥下不成立");
    if (code == CLI_OK)
        code = save(k, "checkpoint", buf_slice(&r.body));
    reply_done(&r);
    return code;
}

int verify_url_copy(struct cli *c, const char *url, const char *dir, struct slice vkey,
                    void (*progress)(void *arg, uint64_t done, uint64_t total), void *arg)
{
    struct copy k = { .cli = c, .dir = dir, .progress = progress, .arg = arg };
    char path[PATH_ROOM];
    int code = endpoint_find(c, &k.e);

    k.server = endpoint_address(c, url);
    if (code == CLI_OK && k.server == NULL)
        code =
            cli_fail(c, CLI_USAGE, "%s is no https address of a control listener", "%s 不是管理端口的 https 地址", url);
    if (code == CLI_OK)
        code = checkpoint_copy(&k, vkey);
    snprintf(path, sizeof path, "%s/0000000000000000.seg", dir);
    if (code == CLI_OK && (k.segment = fopen(path, "wbxe")) == NULL)
        code = cli_error(c, diag_sys(&c->diags, errno, "cannot make %s", "无法创建 %s", path));
    for (uint64_t tile = 0; code == CLI_OK && tile * AUDIT_TILE < k.size; tile++) {
        uint64_t left = k.size - tile * AUDIT_TILE;
        code = tile_copy(&k, tile, left < AUDIT_TILE ? (unsigned)left : AUDIT_TILE);
    }
    if (k.segment != NULL && fclose(k.segment) != 0 && code == CLI_OK)
        code = cli_error(c, diag_sys(&c->diags, errno, "cannot write %s", "无法写入 %s", path));
    client_end(k.session);
    return code;
}
