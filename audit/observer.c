/* A witness's side of C2SP tlog-witness, add-checkpoint: what is asked is checked in the order of the standard, and
 * each failure has its status. Invariants: what was cosigned of a log is one growing history; it is durable before the
 * cosignature is given out; requests are hostile until the log's own signature holds. */
#include "audit/audit.h"
#include "audit/note.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <limits.h>
#include <sys/file.h>
#include <unistd.h>

struct observed {
    char origin[AUDIT_NAME_MAX + 1];
    uint8_t key[ED25519_PUB];
    uint64_t size; /* of the last that was cosigned; 0: none */
    struct sha256 root;
    char path[PATH_MAX], conflict[PATH_MAX];
};
struct audit_observer {
    char name[AUDIT_NAME_MAX + 1];
    struct signer key; /* its self is borrowed */
    struct digest *digest;
    int lock_fd;
    size_t n;
    struct observed at[AUDIT_ORIGINS_MAX];
};
struct adding { /* a request taken apart */
    uint64_t old;
    struct sha256 hash[AUDIT_HASHES_MAX];
    size_t n;
    struct note_checkpoint cp;
};

/* ---- opening ---- */
static enum err state_load(struct observed *g, struct diags *d)
{
    struct buf text = BUF_INIT(NOTE_MAX);
    struct note_checkpoint cp;
    enum err e = file_read(g->path, &text, NULL);
    g->root = sha256_of(slice_make("", 0));
    if (e == ERR_NOT_FOUND) {
        e = ERR_OK;
    } else if (e != ERR_OK || note_read(buf_slice(&text), &cp) != ERR_OK ||
               !note_verify(&cp, slice_of(g->origin), g->key)) {
        e = diag_add(d, ERR_CORRUPT, 0, 0,
                     "%s is damaged or of another key: restore it; without it a second history could be cosigned",
                     "%s 已损坏或属于其他密钥：请恢复；没有它就可能为另一份历史见证", g->path);
    } else {
        g->size = cp.size;
        g->root = cp.root;
    }
    buf_done(&text);
    return e;
}

static enum err log_add(struct audit_observer *o, const char *dir, struct slice vkey, struct diags *d)
{
    struct observed *g = &o->at[o->n];
    struct slice name;
    char hex[17];
    if (note_vkey_read(vkey, NOTE_ED25519, &name, g->key) != ERR_OK)
        return diag_add(d, ERR_SYNTAX, 0, 0, "'%.*s' is no log's key: give the one line of its log.vkey",
                        "“%.*s”不是存证日志公钥：请给出其 log.vkey 中的一行", SLICE_ARG(vkey));
    memcpy(g->origin, name.p, name.n);
    g->origin[name.n] = '\0';
    for (size_t i = 0; i < o->n; i++) {
        if (strcmp(o->at[i].origin, g->origin) == 0)
            return diag_add(d, ERR_EXISTS, 0, 0, "the log %s is named twice", "日志 %s 重复指定", g->origin);
    }
    struct sha256 h = sha256_of(name);
    for (int i = 0; i < 8; i++)
        snprintf(hex + 2 * (size_t)i, 3, "%02x", h.b[i]);
    int n = snprintf(g->path, sizeof g->path, "%s/%s.checkpoint", dir, hex);
    int m = snprintf(g->conflict, sizeof g->conflict, "%s/%s.conflict", dir, hex);
    if (n >= (int)sizeof g->path || m >= (int)sizeof g->conflict)
        return diag_add(d, ERR_TOO_LARGE, 0, 0, "the path of %s is too long", "%s 的路径过长", dir);
    o->n++;
    return state_load(g, d);
}

static enum err observer_lock(struct audit_observer *o, const char *dir, struct diags *d)
{
    char path[PATH_MAX];
    enum err e = dir_make(dir, 0700, d);
    if (e != ERR_OK)
        return e;
    snprintf(path, sizeof path, "%s/lock", dir);
    o->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (o->lock_fd < 0)
        return diag_sys(d, errno, "cannot open %s", "无法打开 %s", path);
    if (flock(o->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return ERR_OK;
    return diag_add(d, ERR_BUSY, 0, 0, "another witness uses %s", "另一见证进程正在使用 %s", dir);
}

enum err audit_observer_open(const char *dir, struct slice name, const struct signer *key, const struct slice *logs,
                             size_t n, struct audit_observer **ret, struct diags *d)
{
    struct audit_observer *o = mem_zalloc(sizeof *o);
    if (o == NULL)
        return ERR_NOMEM;
    o->lock_fd = -1;
    o->key = *key;
    o->digest = digest_new();
    enum err e = o->digest != NULL ? ERR_OK : ERR_NOMEM;
    if (e == ERR_OK && !note_name_valid(name))
        e = diag_add(d, ERR_INVALID, 0, 0, "a witness's name holds no space and no '+'", "见证名称不得含空格或加号");
    if (e == ERR_OK && (n == 0 || n > AUDIT_ORIGINS_MAX))
        e = diag_add(d, ERR_INVALID, 0, 0, "a witness knows 1 to %d logs", "见证可登记 1 至 %d 个日志",
                     AUDIT_ORIGINS_MAX);
    if (e == ERR_OK) {
        memcpy(o->name, name.p, name.n);
        e = observer_lock(o, dir, d);
    }
    for (size_t i = 0; e == ERR_OK && i < n; i++)
        e = log_add(o, dir, logs[i], d);
    if (e == ERR_OK)
        *ret = o;
    else
        audit_observer_close(o);
    return e;
}

struct audit_observer *audit_observer_close(struct audit_observer *o)
{
    if (o == NULL)
        return NULL;
    if (o->lock_fd >= 0)
        close(o->lock_fd);
    digest_free(o->digest);
    return mem_free(o);
}

/* ---- a request ---- */
static bool adding_read(struct slice body, struct adding *a)
{
    struct slice old = slice_cut(&body, '\n');
    a->n = 0;
    if (!slice_starts(old, SLICE("old ")))
        return false;
    old = slice_sub(old, 4, old.n);
    if ((old.n > 1 && old.p[0] == '0') || !slice_u64(old, 0, (1ull << 53) - 1, &a->old))
        return false;
    while (body.n > 0 && body.p[0] != '\n') {
        if (a->n == AUDIT_HASHES_MAX || !note_base64(slice_cut(&body, '\n'), a->hash[a->n].b, SHA256_LEN))
            return false;
        a->n++;
    }
    return body.n > 0 && note_read(slice_sub(body, 1, body.n), &a->cp) == ERR_OK;
}

static struct observed *observed_find(struct audit_observer *o, struct slice origin)
{
    for (size_t i = 0; i < o->n; i++) {
        if (slice_is(origin, o->at[i].origin))
            return &o->at[i];
    }
    return NULL;
}

static bool proved(struct audit_observer *o, const struct observed *g, const struct adding *a)
{
    struct slice hashes[AUDIT_HASHES_MAX];
    if (g->size == 0)
        return a->n == 0;
    for (size_t i = 0; i < a->n; i++)
        hashes[i] = slice_make(a->hash[i].b, SHA256_LEN);
    return merkle_consistent(o->digest, g->size, slice_make(g->root.b, SHA256_LEN), a->cp.size,
                             slice_make(a->cp.root.b, SHA256_LEN), (struct merkle_proof){ hashes, a->n });
}

/* The note as its log signed it: lines of others would only be carried along. */
static enum err state_store(const struct observed *g, const char *path, const struct adding *a)
{
    struct buf text = BUF_INIT(NOTE_MAX);
    uint8_t hash[NOTE_HASH], sig[ED25519_SIG];
    struct slice lines = a->cp.lines;
    note_key_hash(slice_of(g->origin), NOTE_ED25519, g->key, hash);
    buf_put(&text, a->cp.text);
    buf_putc(&text, '\n');
    enum err e = ERR_CRYPTO;
    while (e == ERR_CRYPTO && note_line_next(&lines, slice_of(g->origin), hash, sig, sizeof sig)) {
        if (ed25519_verify(g->key, a->cp.text, slice_make(sig, sizeof sig)))
            e = note_line(slice_of(g->origin), hash, slice_make(sig, sizeof sig), &text);
    }
    if (e == ERR_OK)
        e = file_write(path, buf_slice(&text), 0600, NULL);
    buf_done(&text);
    return e;
}

static int misbehaved(const struct observed *g, const struct adding *a, bool *bad, int status)
{
    if (bad != NULL)
        *bad = true;
    if (access(g->conflict, F_OK) != 0)
        (void)!state_store(g, g->conflict, a); /* the first is kept; the refusal does not depend on it */
    return status;
}

static int plain(struct buf *out, int status, const char *text)
{
    buf_puts(out, text);
    return status;
}

static int conflict(struct buf *out, const char **type, uint64_t size)
{
    *type = "text/x.tlog.size";
    buf_put_u64(out, size);
    buf_putc(out, '\n');
    return 409;
}

static int cosign(struct audit_observer *o, struct observed *g, const struct adding *a, int64_t now_s, struct buf *out)
{
    if (a->cp.size > g->size || (g->size == 0 && access(g->path, F_OK) != 0)) {
        if (state_store(g, g->path, a) != ERR_OK)
            return plain(out, 500, "the witness cannot store what it has seen\n");
        g->size = a->cp.size;
        g->root = a->cp.root;
    }
    if (note_cosign(a->cp.text, slice_of(o->name), now_s, &o->key, out) == ERR_OK)
        return 200;
    buf_clear(out);
    return plain(out, 500, "the witness cannot sign\n");
}

int audit_observer_add(struct audit_observer *o, struct slice body, int64_t now_s, struct buf *out, const char **type,
                       bool *bad)
{
    struct adding a;
    buf_clear(out);
    *type = "text/plain; charset=utf-8";
    if (bad != NULL)
        *bad = false;
    if (body.n > AUDIT_ADD_MAX || !adding_read(body, &a))
        return plain(out, 400, "no add-checkpoint request of C2SP tlog-witness\n");
    struct observed *g = observed_find(o, a.cp.origin);
    if (g == NULL)
        return plain(out, 404, "this witness does not know the log\n");
    if (!note_verify(&a.cp, slice_of(g->origin), g->key))
        return plain(out, 403, "no signature of the log's key holds\n");
    if (a.old > a.cp.size)
        return plain(out, 400, "the old size is larger than the checkpoint\n");
    if (a.old != g->size)
        return conflict(out, type, g->size);
    if (a.cp.size == g->size) {
        if (memcmp(&a.cp.root, &g->root, sizeof g->root) != 0)
            return misbehaved(g, &a, bad, conflict(out, type, g->size));
        if (a.n != 0)
            return plain(out, 422, "the same size needs no proof\n");
        return cosign(o, g, &a, now_s, out);
    }
    if (!proved(o, g, &a)) {
        plain(out, 422, "the proof does not show that the checkpoint continues the last one\n");
        return misbehaved(g, &a, bad, 422);
    }
    return cosign(o, g, &a, now_s, out);
}
