/* The state's reserve: a file of 1 MiB beside state.db that is given up when the disk is full, so that an act that
 * narrows can still commit, and made again when there is room. */
#include "gateway/control_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { RESERVE_BYTES = 1 << 20, ROOM_WANTED = 16 << 20 };

uint64_t control_disk_free(const char *dir)
{
    struct statvfs v;

    return statvfs(dir, &v) == 0 ? (uint64_t)v.f_bavail * v.f_frsize : UINT64_MAX;
}

static void reserve_path(const struct control *c, char *out, size_t n)
{
    snprintf(out, n, "%s/state.reserve", c->state_dir);
}

void reserve_keep(struct control *c)
{
    char path[4200];
    struct stat st;
    int fd;

    reserve_path(c, path, sizeof path);
    if ((stat(path, &st) == 0 && st.st_size >= RESERVE_BYTES) || control_disk_free(c->state_dir) < ROOM_WANTED)
        return;
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    if (posix_fallocate(fd, 0, RESERVE_BYTES) != 0)
        unlink(path);
    close(fd);
}

bool reserve_free(struct control *c)
{
    char path[4200];
    bool ok;

    reserve_path(c, path, sizeof path);
    ok = unlink(path) == 0;
    if (ok)
        log_event(LOG_WARN, "state-reserve-freed", NULL);
    return ok;
}
