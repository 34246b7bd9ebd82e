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
#include <sys/stat.h>
#include <unistd.h>

enum { COPIES = 2, UNPROVED_S = 60 };
struct observed {
    char origin[AUDIT_NAME_MAX + 1];
    uint8_t key[ED25519_PUB];
    bool stored;   /* something was cosigned */
    uint64_t size; /* of the last that was cosigned; 0 when nothing was */
    struct sha256 root;
    int fd[COPIES]; /* own; opened once: whoever holds the key may be kept from opening files */
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

/* ---- what was seen ---- */
/* Two files with the same note, <digest>.checkpoint and .copy, written one after the other: a write that is torn leaves
 * the other whole, and with both durable before a cosignature leaves, damage to one takes nothing back. */
static enum err path_of(const char *dir, struct slice origin, const char *ending, char out[PATH_MAX])
{
    struct sha256 h = sha256_of(origin);
    char hex[17];
    for (int i = 0; i < 8; i++)
        snprintf(hex + 2 * (size_t)i, 3, "%02x", h.b[i]);
    int n = snprintf(out, PATH_MAX, "%s/%s.%s", dir, hex, ending);
    return n > 0 && n < PATH_MAX ? ERR_OK : ERR_TOO_LARGE;
}

/* The note as its log signed it: lines of others would only be carried along. */
static enum err note_own(const struct observed *g, const struct note_checkpoint *cp, struct buf *out)
{
    uint8_t hash[NOTE_HASH], sig[ED25519_SIG];
    struct slice lines = cp->lines;
    enum err e = ERR_CRYPTO;
    note_key_hash(slice_of(g->origin), NOTE_ED25519, g->key, hash);
    buf_put(out, cp->text);
    buf_putc(out, '\n');
    while (e == ERR_CRYPTO && note_line_next(&lines, slice_of(g->origin), hash, sig, sizeof sig)) {
        if (ed25519_verify(g->key, cp->text, slice_make(sig, sizeof sig)))
            e = note_line(slice_of(g->origin), hash, slice_make(sig, sizeof sig), out);
    }
    return e == ERR_OK ? out->failed : e;
}

static bool copy_write(int fd, struct slice note)
{
    return pwrite(fd, note.p, note.n, 0) == (ssize_t)note.n && ftruncate(fd, (off_t)note.n) == 0 && fdatasync(fd) == 0;
}

static enum err state_store(struct observed *g, const struct note_checkpoint *cp)
{
    struct buf note = BUF_INIT(NOTE_MAX);
    enum err e = note_own(g, cp, &note);
    for (int i = 0; e == ERR_OK && i < COPIES; i++) {
        if (!copy_write(g->fd[i], buf_slice(&note)))
            e = ERR_SYS;
    }
    buf_done(&note);
    if (e != ERR_OK)
        return e;
    g->stored = true;
    g->size = cp->size;
    g->root = cp->root;
    return ERR_OK;
}

/* Space that was never written: the first write of all was torn. */
static void zeros_drop(struct buf *b)
{
    size_t n = 0;
    while (n < b->n && b->p[n] == 0)
        n++;
    if (n == b->n)
        b->n = 0;
}

/* *whole: it is empty, or holds. */
static enum err copy_read(int fd, const struct observed *g, struct buf *out, struct note_checkpoint *cp, bool *whole)
{
    char *to = buf_reserve(out, NOTE_MAX);
    ssize_t n = to != NULL ? pread(fd, to, NOTE_MAX, 0) : -1;
    if (n < 0)
        return to != NULL ? ERR_SYS : ERR_NOMEM;
    out->n = (size_t)n;
    zeros_drop(out);
    *whole = out->n == 0 || (note_read(buf_slice(out), cp) == ERR_OK && note_verify(cp, slice_of(g->origin), g->key));
    return ERR_OK;
}

/* The newer of the two; they are made the same. */
static enum err state_load(struct observed *g, const char *path, struct diags *d)
{
    struct buf text[COPIES] = { BUF_INIT(NOTE_MAX), BUF_INIT(NOTE_MAX) };
    struct note_checkpoint cp[COPIES];
    const struct note_checkpoint *newest = NULL;
    bool whole[COPIES], damaged = false;
    enum err e = ERR_OK;
    g->root = sha256_of(slice_make("", 0));
    for (int i = 0; e == ERR_OK && i < COPIES; i++) {
        e = copy_read(g->fd[i], g, &text[i], &cp[i], &whole[i]);
        damaged = damaged || (e == ERR_OK && !whole[i]);
        if (e == ERR_OK && whole[i] && text[i].n > 0 && (newest == NULL || cp[i].size > newest->size))
            newest = &cp[i];
    }
    if (e == ERR_OK && newest != NULL)
        e = state_store(g, newest);
    else if (e == ERR_OK && damaged)
        e = diag_add(d, ERR_CORRUPT, 0, 0,
                     "%s is damaged or of another key: restore it; without it a second history could be cosigned",
                     "%s 已损坏或属于其他密钥：请恢复；没有它就可能为另一份历史见证", path);
    if (e != ERR_OK && e != ERR_CORRUPT)
        e = diag_add(d, e, 0, 0, "cannot read or write %s", "无法读写 %s", path);
    for (int i = 0; i < COPIES; i++)
        buf_done(&text[i]);
    return e;
}

/* ---- opening ---- */
static enum err state_open(struct observed *g, const char *dir, struct diags *d)
{
    static const char *const endings[COPIES] = { "checkpoint", "copy" };
    char path[COPIES][PATH_MAX];
    for (int i = 0; i < COPIES; i++) {
        if (path_of(dir, slice_of(g->origin), endings[i], path[i]) != ERR_OK)
            return diag_add(d, ERR_TOO_LARGE, 0, 0, "the path of %s is too long", "%s 的路径过长", dir);
        g->fd[i] = open(path[i], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (g->fd[i] < 0)
            return diag_sys(d, errno, "cannot open %s", "无法打开 %s", path[i]);
    }
    return state_load(g, path[0], d);
}

static enum err log_add(struct audit_observer *o, const char *dir, struct slice vkey, struct diags *d)
{
    struct observed *g = &o->at[o->n];
    struct slice name;
    if (note_vkey_read(vkey, NOTE_ED25519, &name, g->key) != ERR_OK)
        return diag_add(d, ERR_SYNTAX, 0, 0, "'%.*s' is no log's key: give the one line of its log.vkey",
                        "“%.*s”不是存证日志公钥：请给出其 log.vkey 中的一行", SLICE_ARG(vkey));
    memcpy(g->origin, name.p, name.n);
    g->origin[name.n] = '\0';
    for (size_t i = 0; i < o->n; i++) {
        if (strcmp(o->at[i].origin, g->origin) == 0)
            return diag_add(d, ERR_EXISTS, 0, 0, "the log %s is named twice", "日志 %s 重复指定", g->origin);
    }
    g->fd[0] = g->fd[1] = -1;
    o->n++;
    return state_open(g, dir, d);
}

/* The names of its files are durable before anything is cosigned. */
static enum err dir_sync(const char *dir, struct diags *d)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    enum err e = ok ? ERR_OK : diag_sys(d, errno, "cannot make %s durable", "无法将目录 %s 落盘", dir);
    if (fd >= 0)
        close(fd);
    return e;
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
        e = dir_sync(dir, d);
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
    for (size_t i = 0; i < o->n; i++) {
        for (int k = 0; k < COPIES; k++) {
            if (o->at[i].fd[k] >= 0)
                close(o->at[i].fd[k]);
        }
    }
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

static int plain(struct buf *out, int status, const char *text)
{
    buf_puts(out, text);
    return status;
}

static int conflict(struct buf *out, const char **type, uint64_t size)
{
    *type = AUDIT_TYPE_SIZE;
    buf_put_u64(out, size);
    buf_putc(out, '\n');
    return 409;
}

static int cosign(struct audit_observer *o, struct observed *g, const struct adding *a, int64_t now_s, struct buf *out)
{
    if ((a->cp.size > g->size || !g->stored) && state_store(g, &a->cp) != ERR_OK)
        return plain(out, 500, "the witness cannot store what it has seen\n");
    if (note_cosign(a->cp.text, slice_of(o->name), now_s, &o->key, out) == ERR_OK)
        return 200;
    buf_clear(out);
    return plain(out, 500, "the witness cannot sign\n");
}

int audit_observer_add(struct audit_observer *o, struct slice body, int64_t now_s, struct buf *out, const char **type,
                       enum audit_fault *fault)
{
    struct adding a;
    buf_clear(out);
    *type = AUDIT_TYPE_TEXT;
    *fault = AUDIT_FAULT_NONE;
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
        if (memcmp(&a.cp.root, &g->root, sizeof g->root) != 0) {
            *fault = AUDIT_FAULT_FORKED;
            return conflict(out, type, g->size);
        }
        if (a.n != 0)
            return plain(out, 422, "the same size needs no proof\n");
        return cosign(o, g, &a, now_s, out);
    }
    if (!proved(o, g, &a)) {
        *fault = AUDIT_FAULT_UNPROVED;
        return plain(out, 422, "the proof does not show that the checkpoint continues the last one\n");
    }
    return cosign(o, g, &a, now_s, out);
}

/* ---- what is kept of a log that is at fault, or may be ---- */
static void keep(const char *dir, struct slice origin, const char *ending, struct slice note)
{
    char path[PATH_MAX];
    if (path_of(dir, origin, ending, path) == ERR_OK)
        (void)!file_write(path, note, 0600, NULL); /* the refusal does not depend on it */
}

static bool is_recent(const char *dir, struct slice origin, const char *ending)
{
    char path[PATH_MAX];
    struct stat st;
    return path_of(dir, origin, ending, path) == ERR_OK && stat(path, &st) == 0 &&
           clock_wall_ms() / 1000 - st.st_mtim.tv_sec < UNPROVED_S && clock_wall_ms() / 1000 >= st.st_mtim.tv_sec;
}

static void keep_cosigned(const char *dir, struct slice origin)
{
    char path[PATH_MAX];
    struct buf note = BUF_INIT(NOTE_MAX);
    if (path_of(dir, origin, "checkpoint", path) == ERR_OK && file_read(path, &note, NULL) == ERR_OK)
        keep(dir, origin, "cosigned", buf_slice(&note));
    buf_done(&note);
}

bool audit_fault_keep(const char *dir, struct slice vkey, struct slice body, enum audit_fault fault)
{
    struct observed g = { .fd = { -1, -1 } };
    struct adding a;
    struct slice name;
    struct buf note = BUF_INIT(NOTE_MAX);
    bool forked = fault == AUDIT_FAULT_FORKED;
    if (note_vkey_read(vkey, NOTE_ED25519, &name, g.key) != ERR_OK || !adding_read(body, &a) ||
        !slice_eq(a.cp.origin, name))
        return false;
    memcpy(g.origin, name.p, name.n);
    if ((forked || !is_recent(dir, name, "unproved")) && note_own(&g, &a.cp, &note) == ERR_OK)
        keep(dir, name, forked ? "conflict" : "unproved", buf_slice(&note));
    if (forked)
        keep_cosigned(dir, name);
    buf_done(&note);
    return true;
}
