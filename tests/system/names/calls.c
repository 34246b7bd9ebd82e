/* A name service for the tests, under a daemon (LD_PRELOAD): getaddrinfo answers by the file $SLUICE_NAMES, which is
 * read anew each time. A line is a host and its addresses, or a host and one of three words: "hangs", which waits until
 * the line is another one; "stuck", which never returns; "fails". A host without a line does not exist. Who is asked
 * for is appended to the file of that name with ".asked". */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 1024 };

static void pause_ms(long ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

    nanosleep(&t, NULL);
}

/* What stands behind the host; false: it has no line. */
static bool find(const char *host, char line[LINE])
{
    FILE *f = fopen(getenv("SLUICE_NAMES"), "re");
    size_t n = strlen(host);
    bool found = false;

    while (f && !found && fgets(line, LINE, f))
        found = strncmp(line, host, n) == 0 && line[n] == ' ';
    if (f)
        fclose(f);
    if (found)
        memmove(line, line + n + 1, strlen(line + n + 1) + 1);
    line[found ? strcspn(line, "\n") : 0] = '\0';
    return found;
}

static void note(const char *host)
{
    char text[LINE];
    int n, fd;

    snprintf(text, sizeof text, "%s.asked", getenv("SLUICE_NAMES"));
    fd = open(text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    n = snprintf(text, sizeof text, "%s\n", host);
    if (fd >= 0 && write(fd, text, (size_t)n) < 0)
        abort();
    if (fd >= 0)
        close(fd);
}

static struct addrinfo *one(const char *number, const char *port)
{
    struct addrinfo *a = calloc(1, sizeof *a + sizeof(struct sockaddr_in));
    struct sockaddr_in *to = (struct sockaddr_in *)(a + 1);

    if (a == NULL || inet_pton(AF_INET, number, &to->sin_addr) != 1)
        abort();
    to->sin_family = AF_INET;
    to->sin_port = htons((unsigned short)strtoul(port, NULL, 10));
    a->ai_family = AF_INET;
    a->ai_socktype = SOCK_STREAM;
    a->ai_addr = (struct sockaddr *)to;
    a->ai_addrlen = sizeof *to;
    return a;
}

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **ret)
{
    char line[LINE], *save = NULL;
    struct addrinfo **at = ret;

    (void)hints;
    *ret = NULL;
    note(host);
    while (find(host, line) && (strcmp(line, "hangs") == 0 || strcmp(line, "stuck") == 0))
        do
            pause_ms(10);
        while (strcmp(line, "stuck") == 0);
    if (strcmp(line, "fails") == 0)
        return EAI_AGAIN;
    for (char *number = strtok_r(line, " ", &save); number; number = strtok_r(NULL, " ", &save)) {
        *at = one(number, port);
        at = &(*at)->ai_next;
    }
    return *ret ? 0 : EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *list)
{
    while (list) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
}
