/* Who may have the last descriptors. Consumers and strangers open as many connections as they like; the log's next
 * file, the state, and those who administer must find one all the same. The kernel gives the lowest that is free, so
 * one with a high number says that hardly any are left. A consumer's listener leaves SPARE_ALL of them, other listeners
 * and connections to providers a half of that, files none. */
#include "base/net/internal.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SHARE = 6, MOST = 512 /* a sixth of all, and no more than so many */ };

/* The first that is left to others. */
static int first_spared(enum spare who)
{
    struct rlimit files;
    rlim_t spared;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur > INT32_MAX)
        return INT32_MAX;
    spared = files.rlim_cur / SHARE < MOST ? files.rlim_cur / SHARE : MOST;
    return (int)(files.rlim_cur - (who == SPARE_ALL ? spared : spared / 2));
}

bool spare_reached(int fd, enum spare who)
{
    return fd >= first_spared(who);
}

bool spare_left(int fd, enum spare who)
{
    int next = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    if (next < 0)
        return false;
    close(next);
    return !spare_reached(next, who);
}

int spare_take(int fd, enum spare who)
{
    if (fd < 0 || !spare_reached(fd, who))
        return fd;
    close(fd);
    return -1;
}
