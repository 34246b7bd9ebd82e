/* Bytes to and from a socket, as recv and send: but these are places where a thread may be cancelled, and the C library
 * says so with two locked instructions around each call when there is more than one thread. Nobody cancels threads
 * here. Sanitizers know recv and send, and watch over the bytes: there these are called. */
#include "base/net/internal.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef SLUICE_SANITIZED
static ssize_t look(int fd, char *byte)
{
    return recv(fd, byte, 1, MSG_PEEK | MSG_DONTWAIT);
}

ssize_t socket_take(int fd, void *to, size_t n)
{
    return recv(fd, to, n, 0);
}

ssize_t socket_give(int fd, const void *from, size_t n)
{
    return send(fd, from, n, MSG_NOSIGNAL);
}
#else
static ssize_t look(int fd, char *byte)
{
    return syscall(SYS_recvfrom, fd, byte, 1, MSG_PEEK | MSG_DONTWAIT, NULL, NULL);
}

ssize_t socket_take(int fd, void *to, size_t n)
{
    return syscall(SYS_recvfrom, fd, to, n, 0, NULL, NULL);
}

ssize_t socket_give(int fd, const void *from, size_t n)
{
    return syscall(SYS_sendto, fd, from, n, MSG_NOSIGNAL, NULL, 0);
}
#endif

bool socket_silent(int fd)
{
    char byte;

    return look(fd, &byte) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}
