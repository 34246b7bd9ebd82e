/* Addresses that are written as numbers. Nothing here asks a name service. */
#include "base/net/internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

bool address_read(const char *host, unsigned port, struct sockaddr_storage *ret)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        return true;
    }
    return false;
}

void address_text(const struct sockaddr_storage *a, char *out, size_t n)
{
    const void *ip = &((const struct sockaddr_in *)a)->sin_addr;

    if (a->ss_family == AF_INET6)
        ip = &((const struct sockaddr_in6 *)a)->sin6_addr;
    if (inet_ntop(a->ss_family, ip, out, (socklen_t)n) == NULL && n > 0)
        out[0] = '\0';
}

void address_source(const char *address, char out[ADDRESS_TEXT])
{
    struct in6_addr v6;

    if (inet_pton(AF_INET6, address, &v6) == 1 && !IN6_IS_ADDR_V4MAPPED(&v6)) {
        memset((char *)&v6 + 8, 0, 8);
        (void)inet_ntop(AF_INET6, &v6, out, ADDRESS_TEXT); /* it has room for any */
    } else {
        snprintf(out, ADDRESS_TEXT, "%s", address);
    }
}

uint32_t address_size(const struct sockaddr_storage *a)
{
    return a->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

bool address_split(struct slice text, unsigned default_port, char *host, size_t room, unsigned *port)
{
    struct slice h = text, p = { 0 };
    uint64_t number = default_port;

    if (text.n > 0 && text.p[0] == '[') {
        size_t close_at = slice_find(text, ']');
        if (close_at == text.n)
            return false;
        h = slice_sub(text, 1, close_at - 1);
        p = slice_sub(text, close_at + 1, text.n);
        if (p.n > 0 && p.p[0] != ':')
            return false;
        p = slice_sub(p, 1, p.n);
    } else if (slice_find(text, ':') < text.n) {
        p = text;
        h = slice_cut(&p, ':');
    }
    if (p.n > 0 && !slice_u64(p, 1, 65535, &number))
        return false;
    if (h.n == 0 || h.n >= room || number == 0)
        return false;
    memcpy(host, h.p, h.n);
    host[h.n] = '\0';
    *port = (unsigned)number;
    return true;
}
