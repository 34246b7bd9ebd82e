/* The kernel's side of the file table. Owns nothing. */
#include "audit/io.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FILL_PIECE = 64 << 10 };

static int io_create(void *self, const char *path)
{
    (void)self;
    return open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

static int io_open(void *self, const char *path)
{
    (void)self;
    return open(path, O_RDWR | O_CLOEXEC);
}

static ssize_t io_write(void *self, int fd, const void *p, size_t n, off_t at)
{
    (void)self;
    return pwrite(fd, p, n, at);
}

/* One call, and a sync of these bytes only. */
static ssize_t io_write_durable(void *self, int fd, const void *p, size_t n, off_t at)
{
    struct iovec v = { (void *)(uintptr_t)p, n };
    (void)self;
    return pwritev2(fd, &v, 1, at, RWF_DSYNC);
}

/* The last call waits for nothing and tells of no failure: that is left to the sync. */
static int io_fill(void *self, int fd, off_t at, uint64_t n)
{
    static const char zeros[FILL_PIECE];
    (void)self;
    for (uint64_t done = 0; done < n;) {
        size_t piece = n - done < FILL_PIECE ? (size_t)(n - done) : FILL_PIECE;
        if (audit_io_write_all(&audit_io_system, fd, slice_make(zeros, piece), at + (off_t)done) != 0)
            return -1;
        done += piece;
    }
    (void)!sync_file_range(fd, at, (off_t)n, SYNC_FILE_RANGE_WRITE);
    return 0;
}

static int io_sync(void *self, int fd)
{
    (void)self;
    return fdatasync(fd);
}

static int io_sync_dir(void *self, const char *path)
{
    (void)self;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int rc = fsync(fd), saved = errno;
    close(fd);
    errno = saved;
    return rc;
}

static int io_truncate(void *self, int fd, off_t size)
{
    (void)self;
    return ftruncate(fd, size);
}

static int io_reserve(void *self, const char *path, off_t bytes)
{
    (void)self;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    int rc = bytes > 0 ? posix_fallocate(fd, 0, bytes) : 0;
    if (rc == 0 && fsync(fd) != 0)
        rc = errno;
    close(fd);
    if (rc == 0)
        return 0;
    unlink(path);
    errno = rc;
    return -1;
}

static int io_unlink(void *self, const char *path)
{
    (void)self;
    return unlink(path);
}

const struct audit_io audit_io_system = {
    .create = io_create,
    .open = io_open,
    .write = io_write,
    .write_durable = io_write_durable,
    .fill = io_fill,
    .sync = io_sync,
    .sync_dir = io_sync_dir,
    .truncate = io_truncate,
    .reserve = io_reserve,
    .unlink = io_unlink,
};

static int write_all(const struct audit_io *io, ssize_t (*put)(void *, int, const void *, size_t, off_t), int fd,
                     struct slice s, off_t at)
{
    while (s.n > 0) {
        ssize_t n = put(io->self, fd, s.p, s.n, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n == 0)
                errno = ENOSPC;
            return -1;
        }
        s = slice_sub(s, (size_t)n, s.n);
        at += n;
    }
    return 0;
}

int audit_io_write_all(const struct audit_io *io, int fd, struct slice s, off_t at)
{
    return write_all(io, io->write, fd, s, at);
}

int audit_io_write_durable(const struct audit_io *io, int fd, struct slice s, off_t at)
{
    return write_all(io, io->write_durable, fd, s, at);
}
