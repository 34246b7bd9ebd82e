/* Small files. Invariants: a reader sees the old content or the new, never a part; every descriptor is closed on every
 * way out and is CLOEXEC from birth; errno is captured where it happens. */
#include "base/core/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_STEP = 16384, PATH_CAP = 4096 };

/* As read(2), again after a signal. */
static ssize_t read_again(int fd, void *p, size_t n)
{
    ssize_t got;

    do
        got = read(fd, p, n);
    while (got < 0 && errno == EINTR);
    return got;
}

/* Until the end; ERR_SYS leaves the cause in errno. */
static enum err read_all(int fd, struct buf *out)
{
    for (;;) {
        char last = '\0';
        size_t n = out->cap - out->n < READ_STEP ? out->cap - out->n : READ_STEP;
        char *at = n ? buf_reserve(out, n) : &last;
        ssize_t got;

        if (at == NULL)
            return out->failed;
        got = read_again(fd, at, n ? n : 1);
        if (got <= 0)
            return got == 0 ? ERR_OK : ERR_SYS;
        if (n == 0)
            return out->failed = ERR_TOO_LARGE;
        out->n += (size_t)got;
    }
}

enum err file_read(const char *path, struct buf *out, struct diags *d)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    enum err e;

    buf_clear(out);
    if (fd < 0)
        return diag_sys(d, errno, "cannot open %s", "无法打开 %s", path);
    e = read_all(fd, out);
    if (e == ERR_SYS)
        e = diag_sys(d, errno, "cannot read %s", "无法读取 %s", path);
    else if (e == ERR_TOO_LARGE)
        diag_add(d, e, 0, 0, "%s is larger than %zu bytes", "%s 超过 %zu 字节", path, out->cap);
    else if (e != ERR_OK)
        diag_add(d, e, 0, 0, "out of memory while reading %s", "读取 %s 时内存不足", path);
    close(fd);
    return e;
}

static bool write_all(int fd, struct slice s)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        s = slice_sub(s, (size_t)n, s.n);
    }
    return true;
}

/* Makes the rename durable. */
static bool folder_sync(const char *path)
{
    char folder[PATH_CAP];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    int fd, saved;

    memcpy(folder, path, n);
    folder[n] = '\0';
    fd = open(n ? folder : slash ? "/" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (fsync(fd) != 0) {
        saved = errno;
        close(fd);
        errno = saved;
        return false;
    }
    close(fd);
    return true;
}

/* Creates the neighbour that `path` will be renamed from; -1 with errno. */
static int neighbour_open(const char *path, unsigned mode, struct buf *name)
{
    uint64_t salt;

    if (getrandom(&salt, sizeof salt, 0) != (ssize_t)sizeof salt)
        return -1;
    buf_printf(name, "%s.%016llx.tmp", path, (unsigned long long)salt);
    buf_putc(name, '\0');
    if (name->failed != ERR_OK) {
        errno = name->failed == ERR_NOMEM ? ENOMEM : ENAMETOOLONG;
        return -1;
    }
    return open(name->p, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)(mode & 0700));
}

/* rename(2) replaces what has the name, link(2) refuses. */
static bool take_name(const char *from, const char *path, bool replaces)
{
    if (replaces)
        return rename(from, path) == 0;
    return link(from, path) == 0 && unlink(from) == 0;
}

/* False with errno; the neighbour is then gone. */
static bool put(int fd, const char *from, const char *path, struct slice data, unsigned mode, bool replaces)
{
    bool ok = write_all(fd, data) && fchmod(fd, (mode_t)mode) == 0 && fdatasync(fd) == 0;
    int saved = errno;

    if (close(fd) != 0 && ok) {
        ok = false;
        saved = errno;
    }
    if (ok && take_name(from, path, replaces))
        return folder_sync(path);
    if (ok)
        saved = errno;
    unlink(from);
    errno = saved;
    return false;
}

static enum err write_whole(const char *path, struct slice data, unsigned mode, bool replaces, struct diags *d)
{
    struct buf name = BUF_INIT(PATH_CAP);
    int fd = neighbour_open(path, mode, &name);
    bool ok = fd >= 0 && put(fd, name.p, path, data, mode, replaces);
    int saved = errno;

    buf_done(&name);
    if (!ok && !replaces && saved == EEXIST)
        return diag_add(d, ERR_EXISTS, 0, 0, "%s exists already and is not overwritten", "%s 已存在，不予覆盖", path);
    return ok ? ERR_OK : diag_sys(d, saved, "cannot write %s", "无法写入 %s", path);
}

enum err file_write(const char *path, struct slice data, unsigned mode, struct diags *d)
{
    return write_whole(path, data, mode, true, d);
}

enum err file_create(const char *path, struct slice data, unsigned mode, struct diags *d)
{
    return write_whole(path, data, mode, false, d);
}

enum err file_check_private(const char *path, struct diags *d)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return diag_sys(d, errno, "cannot look at %s", "无法查看 %s", path);
    if (st.st_uid != geteuid())
        return diag_add(d, ERR_DENIED, 0, 0, "%s belongs to user %u, not to us (%u): chown %u %s",
                        "%s 属于用户 %u，而非本进程用户（%u）：请执行 chown %u %s", path, (unsigned)st.st_uid,
                        (unsigned)geteuid(), (unsigned)geteuid(), path);
    if (st.st_mode & 077)
        return diag_add(d, ERR_DENIED, 0, 0, "%s is open to others (mode %04o): chmod %s %s",
                        "%s 对其他用户开放（权限 %04o）：请执行 chmod %s %s", path, (unsigned)st.st_mode & 07777,
                        S_ISDIR(st.st_mode) ? "700" : "600", path);
    return ERR_OK;
}

/* One level; existing folders are ok. */
static bool level_make(const char *path, unsigned mode)
{
    struct stat st;

    if (mkdir(path, (mode_t)mode) == 0)
        return true;
    if (stat(path, &st) != 0)
        return false;
    errno = ENOTDIR;
    return S_ISDIR(st.st_mode);
}

enum err dir_make(const char *path, unsigned mode, struct diags *d)
{
    char part[PATH_CAP];
    size_t n = strlen(path);

    if (n == 0 || n >= sizeof part)
        return diag_sys(d, n ? ENAMETOOLONG : ENOENT, "cannot make the folder '%s'", "无法创建目录“%s”", path);
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        part[i] = '\0';
        if (!level_make(part, mode))
            return diag_sys(d, errno, "cannot make the folder %s", "无法创建目录 %s", part);
        if (i < n)
            part[i] = '/';
    }
    return ERR_OK;
}

char *path_join(struct arena *a, const char *dir, const char *name)
{
    size_t n = strlen(dir);
    const char *slash = n > 0 && dir[n - 1] == '/' ? "" : "/";

    return arena_printf(a, "%s%s%s", dir, n ? slash : "", name);
}
