/* sluice init: makes the node in a neighbour of the folder and renames it when it is whole. */
#include "cli/init.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "audit/audit.h"
#include "cli/run.h"

enum { WALK_FDS = 16, SETTINGS_MAX = 1 << 16 };

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)at;
    return kind == FTW_DP ? rmdir(path) : unlink(path);
}

/* A folder that is empty, or absent, may become a node. */
static int target_check(struct cli *c, const char *dir)
{
    struct stat st;

    if (lstat(dir, &st) != 0)
        return errno == ENOENT ? CLI_OK : cli_error(c, diag_sys(&c->diags, errno, "%s", "%s", dir));
    if (!S_ISDIR(st.st_mode))
        return cli_fail(c, CLI_CONFLICT, "%s is there and is no folder", "%s 已存在且不是目录", dir);
    if (rmdir(dir) != 0) /* an empty one makes room for the rename */
        return cli_fail(c, CLI_CONFLICT, "%s is not empty: a node is made in a new folder",
                        "%s 非空：请使用新目录建立节点", dir);
    return CLI_OK;
}

/* A private folder beside `dir`, so that the rename stays on one file system. */
static int work_make(struct init *n)
{
    struct cli *c = n->cli;
    size_t end = strlen(n->dir);
    char *work;

    while (end > 1 && n->dir[end - 1] == '/')
        end--;
    work = arena_printf(&c->arena, "%.*s.new-XXXXXX", (int)end, n->dir);
    if (work == NULL)
        return cli_error(c, ERR_NOMEM);
    if (mkdtemp(work) == NULL)
        return cli_error(c, diag_sys(&c->diags, errno, "cannot make %s", "无法创建 %s", work));
    n->work = work;
    return CLI_OK;
}

static enum err random_key(struct init *n, const char *name)
{
    uint8_t key[KEY_LEN];
    struct buf hex = BUF_INIT(256);
    enum err e = random_bytes(key, sizeof key);

    if (e == ERR_OK) {
        hex_put(&hex, slice_make(key, sizeof key));
        buf_putc(&hex, '\n');
        e = hex.failed;
    }
    if (e == ERR_OK)
        e = file_write(init_path(n, name), buf_slice(&hex), 0600, &n->cli->diags);
    mem_wipe(key, sizeof key);
    if (hex.p != NULL)
        mem_wipe(hex.p, hex.n);
    buf_done(&hex);
    return e;
}

/* The log's key, and its public half in the form that the verifier takes. */
static enum err log_key(struct init *n)
{
    struct diags *d = &n->cli->diags;
    struct ed25519 *key = NULL;
    struct buf vkey = BUF_INIT(4096);
    char *origin = arena_printf(&n->cli->arena, "%.*s/log/%.*s", SLICE_ARG(n->domain), SLICE_ARG(n->node));
    enum err e = ed25519_generate(init_path(n, "keys/log.key"), d);

    if (e == ERR_OK)
        e = ed25519_load(init_path(n, "keys/log.key"), &key, d);
    if (e == ERR_OK)
        e = audit_vkey(slice_of(origin), ed25519_signer(key).public_key, &vkey);
    ed25519_free(key);
    if (e == ERR_OK && (vkey.n == 0 || vkey.p[vkey.n - 1] != '\n'))
        buf_putc(&vkey, '\n');
    if (e == ERR_OK)
        e = file_write(init_path(n, "keys/log.vkey"), buf_slice(&vkey), 0644, d);
    buf_done(&vkey);
    return e;
}

static enum err settings_write_file(struct init *n)
{
    struct buf text = BUF_INIT(SETTINGS_MAX);
    enum err e;

    init_settings_put(n, &text);
    e = text.failed == ERR_OK ? file_write(init_path(n, "sluice.yaml"), buf_slice(&text), 0644, &n->cli->diags)
                              : text.failed;
    buf_done(&text);
    return e;
}

static enum err node_make(struct init *n)
{
    static const char *const folders[] = { "keys", "secrets", "providers", "log", "admins" };
    struct diags *d = &n->cli->diags;
    enum err e = ERR_OK;

    for (size_t i = 0; e == ERR_OK && i < sizeof folders / sizeof *folders; i++)
        e = dir_make(init_path(n, folders[i]), 0700, d);
    if (e == ERR_OK)
        e = settings_write_file(n);
    if (e == ERR_OK)
        e = random_key(n, "keys/salt.key");
    if (e == ERR_OK)
        e = random_key(n, "keys/name.key");
    if (e == ERR_OK)
        e = log_key(n);
    if (e == ERR_OK)
        e = certs_ca_create(n->work, arena_str(&n->cli->arena, n->domain), n->now, d);
    if (e == ERR_OK)
        e = certs_ca_open(n->work, arena_str(&n->cli->arena, n->domain), &n->ca, d);
    return e == ERR_OK ? init_state(n) : e;
}

static bool folder_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    return ok;
}

/* The folder `path` stands in. */
static const char *folder_above(struct init *n, const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        return ".";
    return slash == path ? "/" : arena_printf(&n->cli->arena, "%.*s", (int)(slash - path), path);
}

/* Its files are durable already; then its names, and its own. */
static int node_publish(struct init *n)
{
    struct cli *c = n->cli;
    const char *above = folder_above(n, n->work);

    if (above == NULL || !folder_sync(n->work) || rename(n->work, n->dir) != 0)
        return cli_error(c, diag_sys(&c->diags, errno, "cannot finish %s", "无法完成 %s", n->dir));
    n->work = NULL;
    return folder_sync(above) ? CLI_OK : cli_error(c, diag_sys(&c->diags, errno, "%s", "%s", above));
}

/* ---- what was made ---- */

static void told_admins(struct init *n)
{
    struct cli *c = n->cli;
    bool zh = c->lang == LANG_ZH, made = false;

    for (size_t i = 0; i < INIT_ADMINS; i++) {
        const struct init_admin *a = &n->admins[i];
        fprintf(c->out, zh ? "  %.*s（%.*s）：%s/admins/%s/cert.pem%s\n" : "  %.*s (%.*s): %s/admins/%s/cert.pem%s\n",
                SLICE_ARG(zh ? a->title.zh : a->title.en), SLICE_ARG(a->id), n->dir, a->role,
                a->csr == NULL ? (zh ? "，以及代为生成的 key.pem" : ", and key.pem made here") : "");
        made = made || a->csr == NULL;
    }
    if (made)
        fputs(zh ? "  注意：上面的 key.pem 由本机代为生成。请交给本人后从本机删除，或用本人的证书申请重新签发。\n"
                 : "  Note: each key.pem was made here for somebody else. Hand it over and delete it here, or sign a "
                   "request of their own.\n",
              c->out);
}

static void told_next(struct init *n)
{
    struct cli *c = n->cli;
    bool zh = c->lang == LANG_ZH;
    const char *d = n->dir;

    fprintf(c->out,
            zh ? "\n接下来：\n  1. 将 %s/root 移到离线介质保存：根密钥不应留在节点上\n  2. 将 %s/keys/log.vkey "
                 "交审计员另行保存：核验存证时使用\n  3. 启动网关：sluiced -c %s/sluice.yaml\n  4. 系统管理员：\n"
               : "\nNext:\n  1. Take %s/root away to offline media: the root key does not belong on the node\n  2. "
                 "Give %s/keys/log.vkey to the auditors: they verify the log with it\n  3. Start the gateway: sluiced "
                 "-c %s/sluice.yaml\n  4. As system administrator:\n",
            d, d, d);
    fprintf(c->out,
            "     sluice context set system --server https://127.0.0.1:%u --ca %s/ca/chain.pem --cert "
            "%s/admins/system/cert.pem --key %s\n"
            "     sluice status --context system\n",
            n->control_port, d, d,
            n->admins[0].csr == NULL ? arena_printf(&c->arena, "%s/admins/system/key.pem", d) : "system.key");
}

static void told(struct init *n)
{
    struct cli *c = n->cli;
    bool zh = c->lang == LANG_ZH;

    fprintf(c->out, zh ? "已在 %s 建立节点 %.*s（信任域 %.*s）。\n" : "In %s: node %.*s of trust domain %.*s.\n",
            n->dir, SLICE_ARG(n->node), SLICE_ARG(n->domain));
    told_admins(n);
    if (n->placeholder_code)
        fprintf(c->out,
                zh ? "  部门 %.*s 暂用占位代码 %.*s：请用 --bureau-code 或 sluice apply 换为真实的统一社会信用代码。\n"
                   : "  Department %.*s has the placeholder code %.*s: give the real one with --bureau-code or sluice "
                     "apply.\n",
                SLICE_ARG(n->bureau), SLICE_ARG(n->bureau_code));
    told_next(n);
}

int run_init(struct cli *c)
{
    struct init n = { .cli = c, .dir = cli_value(c, "dir"), .now = clock_wall_ms() };
    mode_t mask = umask(077);
    int code = init_plan(&n);

    if (code == CLI_OK)
        code = target_check(c, n.dir);
    if (code == CLI_OK)
        code = work_make(&n);
    if (code == CLI_OK)
        code = cli_error(c, node_make(&n));
    if (code == CLI_OK)
        code = node_publish(&n);
    certs_ca_free(n.ca);
    if (n.work != NULL)
        nftw(n.work, remove_one, WALK_FDS, FTW_DEPTH | FTW_PHYS);
    umask(mask);
    if (code == CLI_OK)
        told(&n);
    return code;
}
