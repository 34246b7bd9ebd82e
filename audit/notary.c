/* The seal: the log's key and the last checkpoint that it signed. The state file has two places of SLOT bytes, each a
 * whole signed checkpoint; the one that is not the newest is written next, so a write that was torn harms nothing that
 * counts. Nobody without the key can write a state that is taken. Invariant: what was signed is never ahead of what is
 * durable in the file. */
#include "audit/audit.h"
#include "audit/note.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { SLOTS = 2, SLOT = 1024 };

struct audit_seal {
    const struct signer *key; /* bor */
    struct sm2 *sm2;          /* bor; NULL: none */
    char *origin;             /* own */
    struct digest *digest;
    int fd;
    unsigned newest; /* its place */
    uint64_t size;   /* the last that was signed */
    struct sha256 root;
};

static bool slot_fill(struct slice origin, uint64_t size, const struct sha256 *root, const struct signer *key,
                      char out[SLOT])
{
    struct buf note = BUF_INIT(SLOT);
    bool ok = note_sign(origin, size, root, key, &note) == ERR_OK;
    memset(out, 0, SLOT);
    if (ok)
        memcpy(out, note.p, note.n);
    buf_done(&note);
    return ok;
}

static bool slot_read(const struct audit_seal *s, const char slot[SLOT], struct note_checkpoint *ret)
{
    const char *end = memchr(slot, '\0', SLOT);
    struct slice note = slice_make(slot, end ? (size_t)(end - slot) : SLOT);
    return note_read(note, ret) == ERR_OK && note_verify(ret, slice_of(s->origin), s->key->public_key);
}

enum err audit_seal_create(const char *state_file, struct slice origin, const struct signer *key, struct diags *d)
{
    char all[SLOTS * SLOT] = { 0 };
    struct sha256 nothing = sha256_of(slice_make("", 0));
    if (access(state_file, F_OK) == 0)
        return diag_add(d, ERR_EXISTS, 0, 0, "%s exists already and is not overwritten", "%s 已存在，不予覆盖",
                        state_file);
    if (!note_name_valid(origin) || !slot_fill(origin, 0, &nothing, key, all))
        return diag_add(d, ERR_CRYPTO, 0, 0, "cannot sign the first state of the log's key",
                        "无法为日志密钥签署初始状态");
    return file_write(state_file, slice_make(all, sizeof all), 0600, d);
}

/* It may be there and not durable, of a process that ended, or was told of a failure, before that; and the kernel
 * forgets pages that once failed to be written. So it is written again before anything is signed on it. */
static enum err state_settle(const struct audit_seal *s, const char all[SLOTS * SLOT], const char *path,
                             struct diags *d)
{
    const size_t at = (size_t)s->newest * SLOT;
    if (pwrite(s->fd, all + at, SLOT, (off_t)at) == SLOT && fdatasync(s->fd) == 0)
        return ERR_OK;
    return diag_sys(d, errno, "cannot write %s", "无法写入 %s", path);
}

/* The newest place that holds. */
static enum err state_read(struct audit_seal *s, const char *path, struct diags *d)
{
    char all[SLOTS * SLOT];
    bool found = false;
    ssize_t n = pread(s->fd, all, sizeof all, 0);
    if (n < 0)
        return diag_sys(d, errno, "cannot read %s", "无法读取 %s", path);
    for (unsigned i = 0; n == (ssize_t)sizeof all && i < SLOTS; i++) {
        struct note_checkpoint c;
        if (!slot_read(s, all + (size_t)i * SLOT, &c) || (found && c.size <= s->size))
            continue;
        found = true;
        s->newest = i;
        s->size = c.size;
        s->root = c.root;
    }
    if (found)
        return state_settle(s, all, path, d);
    return diag_add(d, ERR_CORRUPT, 0, 0,
                    "%s is damaged or of another key: without it a second history could be signed; restore state, keys "
                    "and log together from the last backup",
                    "%s 已损坏或属于其他密钥：缺少它就可能签出另一份历史；请从最近的备份一并恢复状态、密钥与日志",
                    path);
}

enum err audit_seal_open(const char *state_file, struct slice origin, const struct signer *key, struct audit_seal **ret,
                         struct diags *d)
{
    struct audit_seal *s = mem_zalloc(sizeof *s);
    if (s == NULL)
        return ERR_NOMEM;
    s->key = key;
    s->fd = -1;
    s->origin = mem_dup(origin);
    s->digest = digest_new();
    enum err e = s->origin != NULL && s->digest != NULL ? file_check_private(state_file, d) : ERR_NOMEM;
    if (e == ERR_OK && (s->fd = open(state_file, O_RDWR | O_CLOEXEC)) < 0)
        e = diag_sys(d, errno, "cannot open %s", "无法打开 %s", state_file);
    if (e == ERR_OK)
        e = state_read(s, state_file, d);
    if (e == ERR_OK)
        *ret = s;
    else
        audit_seal_free(s);
    return e;
}

struct audit_seal *audit_seal_free(struct audit_seal *s)
{
    if (s == NULL)
        return NULL;
    if (s->fd >= 0)
        close(s->fd);
    digest_free(s->digest);
    mem_free(s->origin);
    return mem_free(s);
}

void audit_seal_sm2(struct audit_seal *s, struct sm2 *key)
{
    s->sm2 = key;
}

void audit_seal_last(const struct audit_seal *s, uint64_t *size, struct sha256 *root)
{
    *size = s->size;
    *root = s->root;
}

static enum err refuse(const char *why[2], enum err e, const char *en, const char *zh)
{
    if (why != NULL) {
        why[LANG_EN] = en;
        why[LANG_ZH] = zh;
    }
    return e;
}

static enum err judge(struct audit_seal *s, const struct audit_continuation *c, const char *why[2])
{
    struct slice hashes[AUDIT_HASHES_MAX];
    if (c->n > AUDIT_HASHES_MAX || c->size == 0 || c->size >= 1ull << 53)
        return refuse(why, ERR_INVALID, "no size or proof of a checkpoint", "检查点大小或一致性证明不合规");
    if (c->size < s->size)
        return refuse(why, ERR_CONFLICT, "it is smaller than the checkpoint that was signed last",
                      "小于最近已签名的检查点");
    if (c->size == s->size)
        return memcmp(&c->root, &s->root, sizeof s->root) == 0 && c->n == 0
                   ? ERR_OK
                   : refuse(why, ERR_CONFLICT, "another root was signed for this size", "同一大小已签过另一个根");
    if (s->size == 0)
        return c->n == 0 ? ERR_OK : refuse(why, ERR_INVALID, "there is nothing to be proved yet", "尚无需证明的内容");
    for (size_t i = 0; i < c->n; i++)
        hashes[i] = slice_make(c->proof[i].b, SHA256_LEN);
    if (merkle_consistent(s->digest, s->size, slice_make(s->root.b, SHA256_LEN), c->size,
                          slice_make(c->root.b, SHA256_LEN), (struct merkle_proof){ hashes, c->n }))
        return ERR_OK;
    return refuse(why, ERR_CONFLICT, "it does not continue the checkpoint that was signed last",
                  "与最近已签名的检查点不一致");
}

static bool slot_store(struct audit_seal *s, const struct audit_continuation *c)
{
    char slot[SLOT];
    unsigned place = (s->newest + 1) % SLOTS;
    if (!slot_fill(slice_of(s->origin), c->size, &c->root, s->key, slot) ||
        pwrite(s->fd, slot, SLOT, (off_t)place * SLOT) != SLOT || fdatasync(s->fd) != 0)
        return false;
    s->newest = place;
    s->size = c->size;
    s->root = c->root;
    return true;
}

enum err audit_seal_sign(struct audit_seal *s, const struct audit_continuation *c, struct audit_signatures *ret,
                         const char *why[2])
{
    enum err e = judge(s, c, why);
    if (e == ERR_OK && c->size > s->size && !slot_store(s, c))
        e = refuse(why, ERR_SYS, "the state of the log's key cannot be written", "无法写入日志密钥的状态");
    if (e != ERR_OK)
        return e;
    struct buf text = BUF_INIT(SLOT);
    e = note_text(slice_of(s->origin), c->size, &c->root, &text);
    if (e == ERR_OK)
        e = s->key->sign(s->key->self, buf_slice(&text), ret->ed25519);
    ret->has_sm2 = s->sm2 != NULL;
    if (e == ERR_OK && ret->has_sm2)
        e = sm2_sign(s->sm2, buf_slice(&text), ret->sm2);
    buf_done(&text);
    return e;
}
