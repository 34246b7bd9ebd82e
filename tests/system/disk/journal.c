/* The layer's state, and its journal: what is written before each change. See disk.h. */
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

struct disk disk = { .lock = PTHREAD_MUTEX_INITIALIZER, .journal = -1 };

_Noreturn void disk_give_up(const char *what)
{
    dprintf(2, "disk layer: %s: %s\n", what, strerror(errno));
    _exit(99);
}

/* The keeper is forked, closes whatever it inherits, and has its own sockets where the journal was: what it writes is
 * not in the journal, and no cut takes it back. */
static void in_child(void)
{
    disk.journal = -1;
}

__attribute__((constructor)) static void disk_begin(void)
{
    const char *dir = getenv("SLUICE_DISK_DIR"), *journal = getenv("SLUICE_DISK_JOURNAL");
    const char *control = getenv("SLUICE_DISK_CONTROL");

    if (dir == NULL || control == NULL)
        return;
    snprintf(disk.log, sizeof disk.log, "%s/log", dir);
    if (journal) {
        snprintf(disk.stash, sizeof disk.stash, "%s.stash", journal);
        disk.journal = (int)syscall(SYS_openat, AT_FDCWD, journal, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (disk.journal < 0 || pthread_atfork(NULL, NULL, in_child) != 0)
            disk_give_up(journal);
    }
    int fd = (int)syscall(SYS_openat, AT_FDCWD, control, O_RDWR | O_CLOEXEC, 0);
    disk.control = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (disk.control == MAP_FAILED)
        disk_give_up(control);
    syscall(SYS_close, fd);
    snprintf(disk.dir, sizeof disk.dir, "%s", dir); /* last: from here on files are watched */
}

/* ---- paths ---- */
unsigned char disk_watch_path(const char *path)
{
    size_t n = strlen(disk.dir), l = strlen(disk.log);

    if (n == 0 || strncmp(path, disk.dir, n) != 0 || (path[n] != '/' && path[n] != '\0'))
        return 0;
    if (strncmp(path, disk.log, l) == 0 && (path[l] == '/' || path[l] == '\0'))
        return IN_LOG;
    return strncmp(path + n, "/keys/", 6) == 0 ? IN_KEYS : ELSEWHERE;
}

const char *disk_path_at(int dirfd, const char *path, char out[PATH_MAX])
{
    char link[64], base[PATH_MAX - 256];
    ssize_t n;

    if (path[0] == '/' || disk.dir[0] == '\0')
        return path;
    if (dirfd == AT_FDCWD)
        snprintf(link, sizeof link, "/proc/self/cwd");
    else
        snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd);
    n = readlink(link, base, sizeof base - 1);
    if (n < 0)
        return path;
    base[n] = '\0';
    snprintf(out, PATH_MAX, "%s/%s", base, path);
    return out;
}

unsigned char disk_watch_fd(int fd)
{
    return fd >= 0 && fd < FDS ? disk.watched[fd] : 0;
}

/* ---- the journal ---- */
static void put(struct entry *e, const void *data, const char *name1, const char *name2)
{
    struct iovec v[4] = { { e, sizeof *e }, { (void *)(uintptr_t)data, e->data } };
    int n = 2;
    size_t all = sizeof *e + e->data;

    e->magic = MAGIC;
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? name1 : name2;
        if (name == NULL)
            continue;
        v[n++] = (struct iovec){ (void *)(uintptr_t)name, strlen(name) + 1 };
        e->names += (uint32_t)strlen(name) + 1;
    }
    all += e->names;
    if (syscall(SYS_writev, disk.journal, v, n) != (long)all)
        disk_give_up("journal");
}

uint64_t disk_journal_end(void)
{
    return (uint64_t)syscall(SYS_lseek, disk.journal, 0, SEEK_END);
}

/* What stands in [at, at + n) now, zeros at the end left out; *got bytes, to be freed. */
static char *before_image(int fd, uint64_t at, uint64_t n, uint32_t *got)
{
    char link[64], *p = n > 0 ? malloc(n) : NULL;
    uint64_t have = 0;
    long r;

    *got = 0;
    if (p == NULL)
        return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd); /* it may be open for writing only */
    int own = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
    while (own >= 0 && have < n && (r = syscall(SYS_pread64, own, p + have, n - have, at + have)) > 0)
        have += (uint64_t)r;
    if (own >= 0)
        syscall(SYS_close, own);
    else
        disk_give_up(link);
    while (have > 0 && p[have - 1] == 0)
        have--;
    *got = (uint32_t)have;
    return p;
}

void disk_put_change(int fd, enum entry_type type, uint64_t at, uint64_t n, uint64_t from, uint64_t to)
{
    struct stat st;
    if (disk.journal < 0 || fstat(fd, &st) != 0)
        return;
    struct entry e = { .type = type, .file = st.st_ino, .at = at, .n = n, .old_size = (uint64_t)st.st_size };
    if (to > e.old_size)
        to = e.old_size;
    char *p = before_image(fd, from, to > from ? to - from : 0, &e.data);
    put(&e, p, NULL, NULL);
    free(p);
}

void disk_put_names(enum entry_type type, uint64_t file, uint64_t stashed, const char *a, const char *b)
{
    struct entry e = { .type = type, .file = file, .n = stashed };
    if (disk.journal >= 0)
        put(&e, NULL, a, b);
}

uint64_t disk_stash(const char *path, uint64_t *file)
{
    char name[PATH_MAX + 32];
    struct stat st;

    if (disk.journal < 0 || lstat(path, &st) != 0)
        return 0;
    uint64_t number = (uint64_t)getpid() << 32 | ++disk.stashed; /* the keeper is a process of its own */
    *file = st.st_ino;
    snprintf(name, sizeof name, "%s/%llu", disk.stash, (unsigned long long)number);
    if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, name, 0) != 0)
        disk_give_up(name);
    return number;
}

void disk_put_sync(enum entry_type type, int fd, uint64_t mark, uint64_t at, uint64_t n)
{
    struct stat st;
    char link[64], path[PATH_MAX];
    ssize_t len = 0;

    if (fstat(fd, &st) != 0)
        return;
    struct entry e = { .type = type, .file = st.st_ino, .at = at, .n = n, .mark = mark };
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (S_ISDIR(st.st_mode) && type == SYNC) {
        e.type = SYNCDIR;
        len = readlink(link, path, sizeof path - 1);
        path[len < 0 ? 0 : len] = '\0';
    }
    put(&e, NULL, e.type == SYNCDIR ? path : NULL, NULL);
}
