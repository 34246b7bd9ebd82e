/* The calls that the layer stands in for. See disk.h. */
#include "disk.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* ---- faults ---- */
static bool fault_here(unsigned char where)
{
    return (disk.control->scope & where) != 0;
}

static int fail(uint32_t e)
{
    errno = (int)e;
    return -1;
}

static void pause_ms(unsigned ms)
{
    struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };
    syscall(SYS_nanosleep, &t, NULL);
}

static bool write_fails(int fd)
{
    return disk.control->write_errno != 0 && fault_here(disk_watch_fd(fd));
}

/* A read-only file system refuses every change of a name, and to open for writing what is there already. */
static bool read_only(unsigned char where)
{
    return disk.control->write_errno == EROFS && fault_here(where);
}

/* ---- opening ---- */
static int open_any(int dirfd, const char *path, int flags, mode_t mode)
{
    char room[PATH_MAX];
    const char *full = disk_path_at(dirfd, path, room);
    unsigned char where = disk_watch_path(full);
    struct stat st;
    int fd;

    if (where == 0) {
        fd = (int)syscall(SYS_openat, dirfd, path, flags, mode);
        if (fd >= 0 && fd < FDS)
            disk.watched[fd] = 0;
        return fd;
    }
    if ((flags & O_ACCMODE) != O_RDONLY && read_only(where))
        return fail(EROFS);
    if ((flags & O_CREAT) && disk.control->write_errno != 0 && fault_here(where) && lstat(full, &st) != 0)
        return fail(disk.control->write_errno);
    pthread_mutex_lock(&disk.lock);
    bool there = lstat(full, &st) == 0;
    /* Emptied by a step of its own, so that what it held is in the journal. */
    fd = (int)syscall(SYS_openat, dirfd, path, flags & ~(there ? O_TRUNC : 0), mode);
    int saved = errno;
    if (fd >= 0 && !there && fstat(fd, &st) == 0)
        disk_put_names(CREATE, st.st_ino, 0, full, NULL);
    if (fd >= 0 && there && (flags & O_TRUNC) && S_ISREG(st.st_mode)) {
        disk_put_change(fd, SIZE, 0, 0, 0, UINT64_MAX);
        syscall(SYS_ftruncate, fd, 0);
    }
    pthread_mutex_unlock(&disk.lock);
    if (fd >= FDS)
        disk_give_up("too many files");
    if (fd >= 0)
        disk.watched[fd] = where;
    errno = saved;
    return fd;
}

static mode_t mode_of(int flags, va_list more)
{
    return flags & (O_CREAT | __O_TMPFILE) ? (mode_t)va_arg(more, unsigned) : 0;
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = mode_of(flags, more);                                                                            \
        va_end(more);                                                                                                  \
        return open_any(AT_FDCWD, path, flags, mode);                                                                  \
    }
#define OPENAT(name)                                                                                                   \
    int name(int dirfd, const char *path, int flags, ...)                                                              \
    {                                                                                                                  \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = mode_of(flags, more);                                                                            \
        va_end(more);                                                                                                  \
        return open_any(dirfd, path, flags, mode);                                                                     \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int close(int fd)
{
    if (fd >= 0 && fd < FDS)
        disk.watched[fd] = 0;
    return (int)syscall(SYS_close, fd);
}

/* ---- writing ---- */
static ssize_t pwrite_any(int fd, const void *p, size_t n, off_t at)
{
    if (disk_watch_fd(fd) == 0)
        return syscall(SYS_pwrite64, fd, p, n, at);
    if (write_fails(fd))
        return fail(disk.control->write_errno);
    pthread_mutex_lock(&disk.lock);
    disk_put_change(fd, WRITE, (uint64_t)at, n, (uint64_t)at, (uint64_t)at + n);
    ssize_t r = syscall(SYS_pwrite64, fd, p, n, at);
    pthread_mutex_unlock(&disk.lock);
    return r;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    return pwrite_any(fd, p, n, at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    return pwrite_any(fd, p, n, at);
}

ssize_t write(int fd, const void *p, size_t n)
{
    if (disk_watch_fd(fd) == 0)
        return syscall(SYS_write, fd, p, n);
    if (write_fails(fd))
        return fail(disk.control->write_errno);
    pthread_mutex_lock(&disk.lock);
    bool append = (syscall(SYS_fcntl, fd, F_GETFL) & O_APPEND) != 0;
    uint64_t at = (uint64_t)syscall(SYS_lseek, fd, 0, append ? SEEK_END : SEEK_CUR);
    disk_put_change(fd, WRITE, at, n, at, at + n);
    ssize_t r = syscall(SYS_write, fd, p, n);
    pthread_mutex_unlock(&disk.lock);
    return r;
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
    ssize_t all = 0;
    if (disk_watch_fd(fd) == 0)
        return syscall(SYS_writev, fd, v, n);
    for (int i = 0; i < n; i++) {
        ssize_t r = write(fd, v[i].iov_base, v[i].iov_len);
        if (r < 0)
            return all > 0 ? all : r;
        all += r;
    }
    return all;
}

static ssize_t pwritev_any(int fd, const struct iovec *v, int n, off_t at)
{
    ssize_t all = 0;
    for (int i = 0; i < n; i++) {
        ssize_t r = pwrite_any(fd, v[i].iov_base, v[i].iov_len, at + all);
        if (r < 0)
            return all > 0 ? all : r;
        all += r;
    }
    return all;
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
    return disk_watch_fd(fd) == 0 ? syscall(SYS_pwritev, fd, v, n, at, 0) : pwritev_any(fd, v, n, at);
}

ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t at)
{
    return pwritev(fd, v, n, at);
}

static int truncate_any(int fd, off_t size)
{
    if (disk_watch_fd(fd) == 0)
        return (int)syscall(SYS_ftruncate, fd, size);
    if (write_fails(fd))
        return fail(disk.control->write_errno);
    pthread_mutex_lock(&disk.lock);
    disk_put_change(fd, SIZE, (uint64_t)size, 0, (uint64_t)size, UINT64_MAX);
    int r = (int)syscall(SYS_ftruncate, fd, size);
    pthread_mutex_unlock(&disk.lock);
    return r;
}

int ftruncate(int fd, off_t size)
{
    return truncate_any(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    return truncate_any(fd, size);
}

static int allocate_any(int fd, int mode, off_t at, off_t n)
{
    struct stat st;
    if (disk_watch_fd(fd) == 0 || mode != 0)
        return (int)syscall(SYS_fallocate, fd, mode, at, n);
    if (write_fails(fd))
        return fail(disk.control->write_errno);
    pthread_mutex_lock(&disk.lock);
    if (fstat(fd, &st) == 0 && at + n > st.st_size)
        disk_put_change(fd, SIZE, (uint64_t)(at + n), 0, UINT64_MAX, 0);
    int r = (int)syscall(SYS_fallocate, fd, 0, at, n);
    pthread_mutex_unlock(&disk.lock);
    return r;
}

int fallocate(int fd, int mode, off_t at, off_t n)
{
    return allocate_any(fd, mode, at, n);
}

int fallocate64(int fd, int mode, off64_t at, off64_t n)
{
    return allocate_any(fd, mode, at, n);
}

int posix_fallocate(int fd, off_t at, off_t n)
{
    return allocate_any(fd, 0, at, n) == 0 ? 0 : errno;
}

int posix_fallocate64(int fd, off64_t at, off64_t n)
{
    return posix_fallocate(fd, at, n);
}

/* ---- syncing ---- */
static void sync_waits(struct control *c)
{
    unsigned ms = c->sync_ms;
    if (ms > 0 && c->sync_random)
        ms = (unsigned)rand() % (ms + 1);
    if (ms > 0)
        pause_ms(ms);
    if (!c->hang)
        return;
    __atomic_fetch_add(&c->halts, 1, __ATOMIC_SEQ_CST);
    while (*(volatile uint32_t *)&c->hang)
        pause_ms(1);
    __atomic_fetch_sub(&c->halts, 1, __ATOMIC_SEQ_CST);
}

/* Of n bytes at `at`; 0: of all the file. */
static int sync_watched(int fd, unsigned char where, uint64_t at, uint64_t n)
{
    struct control *c = disk.control;
    uint64_t mark = 0;
    pthread_mutex_lock(&disk.lock);
    if (disk.journal >= 0)
        mark = disk_journal_end();
    pthread_mutex_unlock(&disk.lock);
    bool here = fault_here(where);
    if (here)
        sync_waits(c);
    uint32_t count = __atomic_add_fetch(&c->syncs, 1, __ATOMIC_SEQ_CST);
    bool fails = here && c->sync_errno != 0 && (c->sync_every <= 1 || count % c->sync_every == 0);
    pthread_mutex_lock(&disk.lock);
    if (disk.journal >= 0 && !(here && c->sync_noop))
        disk_put_sync(fails ? FAILED : SYNC, fd, mark, at, n);
    pthread_mutex_unlock(&disk.lock);
    return fails ? fail(c->sync_errno) : 0;
}

static int sync_any(int fd, long call)
{
    unsigned char where = disk_watch_fd(fd);
    return where == 0 ? (int)syscall(call, fd) : sync_watched(fd, where, 0, 0);
}

int fsync(int fd)
{
    return sync_any(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return sync_any(fd, SYS_fdatasync);
}

/* Of flags only RWF_DSYNC: of a watched file its bytes are as durable as fdatasync would make them, and no others. */
ssize_t pwritev2(int fd, const struct iovec *v, int n, off_t at, int flags)
{
    unsigned char where = disk_watch_fd(fd);
    if (where == 0)
        return syscall(SYS_pwritev2, fd, v, n, at, 0, flags);
    ssize_t r = pwritev_any(fd, v, n, at);
    if (r > 0 && (flags & RWF_DSYNC) && sync_watched(fd, where, (uint64_t)at, (uint64_t)r) != 0)
        return -1;
    return r;
}

ssize_t pwritev64v2(int fd, const struct iovec *v, int n, off64_t at, int flags)
{
    return pwritev2(fd, v, n, at, flags);
}

/* It promises nothing about durability, so it changes nothing here. */
int sync_file_range(int fd, off64_t at, off64_t n, unsigned flags)
{
    return disk_watch_fd(fd) ? 0 : (int)syscall(SYS_sync_file_range, fd, at, n, flags);
}

/* ---- names ---- */
static int unlink_any(int dirfd, const char *path, int flags)
{
    char room[PATH_MAX];
    const char *full = disk_path_at(dirfd, path, room);

    if (disk_watch_path(full) == 0 || (flags & AT_REMOVEDIR))
        return (int)syscall(SYS_unlinkat, dirfd, path, flags);
    if (read_only(disk_watch_path(full)))
        return fail(EROFS);
    pthread_mutex_lock(&disk.lock);
    uint64_t file = 0;
    uint64_t kept = disk_stash(full, &file);
    if (kept != 0)
        disk_put_names(UNLINK, file, kept, full, NULL);
    int r = (int)syscall(SYS_unlinkat, dirfd, path, flags);
    pthread_mutex_unlock(&disk.lock);
    return r;
}

int unlink(const char *path)
{
    return unlink_any(AT_FDCWD, path, 0);
}

int unlinkat(int dirfd, const char *path, int flags)
{
    return unlink_any(dirfd, path, flags);
}

int renameat(int fromfd, const char *from, int tofd, const char *to)
{
    char room1[PATH_MAX], room2[PATH_MAX];
    const char *full1 = disk_path_at(fromfd, from, room1), *full2 = disk_path_at(tofd, to, room2);
    struct stat st;

    if (disk_watch_path(full1) == 0 && disk_watch_path(full2) == 0)
        return (int)syscall(SYS_renameat, fromfd, from, tofd, to);
    if (disk.control->write_errno != 0 && fault_here(disk_watch_path(full2)))
        return fail(disk.control->write_errno);
    pthread_mutex_lock(&disk.lock);
    uint64_t old = 0;
    uint64_t kept = disk_stash(full2, &old);
    if (lstat(full1, &st) == 0)
        disk_put_names(RENAME, st.st_ino, kept, full1, full2);
    int r = (int)syscall(SYS_renameat, fromfd, from, tofd, to);
    pthread_mutex_unlock(&disk.lock);
    return r;
}

int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int linkat(int fromfd, const char *from, int tofd, const char *to, int flags)
{
    char room[PATH_MAX];
    const char *full = disk_path_at(tofd, to, room);
    struct stat st;

    if (disk_watch_path(full) == 0)
        return (int)syscall(SYS_linkat, fromfd, from, tofd, to, flags);
    if (read_only(disk_watch_path(full)))
        return fail(EROFS);
    pthread_mutex_lock(&disk.lock);
    int r = (int)syscall(SYS_linkat, fromfd, from, tofd, to, flags), saved = errno;
    if (r == 0 && lstat(full, &st) == 0)
        disk_put_names(LINK, st.st_ino, 0, full, NULL);
    pthread_mutex_unlock(&disk.lock);
    errno = saved;
    return r;
}

int link(const char *from, const char *to)
{
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int mkdirat(int dirfd, const char *path, mode_t mode)
{
    char room[PATH_MAX];
    const char *full = disk_path_at(dirfd, path, room);

    if (disk_watch_path(full) == 0)
        return (int)syscall(SYS_mkdirat, dirfd, path, mode);
    if (read_only(disk_watch_path(full)))
        return fail(lstat(full, &(struct stat){ 0 }) == 0 ? EEXIST : EROFS);
    pthread_mutex_lock(&disk.lock);
    int r = (int)syscall(SYS_mkdirat, dirfd, path, mode), saved = errno;
    if (r == 0)
        disk_put_names(MKDIR, 0, 0, full, NULL);
    pthread_mutex_unlock(&disk.lock);
    errno = saved;
    return r;
}

int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

/* ---- the wall clock ---- */
int clock_gettime(clockid_t which, struct timespec *t)
{
    int r = (int)syscall(SYS_clock_gettime, which, t);
    if (r == 0 && disk.control != NULL && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) {
        int64_t ns = t->tv_nsec + disk.control->clock_ms % 1000 * 1000000;
        t->tv_sec += disk.control->clock_ms / 1000 + (ns >= 1000000000) - (ns < 0);
        t->tv_nsec = ns - ((ns >= 1000000000) - (ns < 0)) * 1000000000ll;
    }
    return r;
}

int gettimeofday(struct timeval *restrict v, void *restrict zone)
{
    struct timespec t;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &t);
    *v = (struct timeval){ t.tv_sec, t.tv_nsec / 1000 };
    return 0;
}

time_t time(time_t *ret)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (ret)
        *ret = t.tv_sec;
    return t.tv_sec;
}
