/* Looking names up. One thread says what is due; each lookup has a thread of its own, for getaddrinfo can neither be
 * bounded nor broken off. A lookup is waited for during NAME_PATIENCE_MS; after that its place is another's, and what
 * it says in the end is taken if nothing newer was heard. Invariants: at most NAMES_WAITED lookups are waited for, at
 * most NAMES_LOOKERS threads look, at most NAME_OUT_MAX for one name, so a name service that hangs costs a bounded
 * number of threads; a thread that looks holds a reference of its name and nothing else, so nobody waits for it to end.
 */
#include "base/net/names_internal.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <unistd.h>

struct lookup {
    struct name *name; /* ref */
    uint64_t serial;
};

static int64_t retry_ms(const struct name *n)
{
    unsigned doubled = n->failures < NAMES_RETRY_DOUBLED ? n->failures : NAMES_RETRY_DOUBLED;
    int64_t ms = n->all->retry << doubled;

    return ms < n->all->every ? ms : n->all->every;
}

/* It is waited for no longer. */
static void over(struct name *n, int64_t now, bool good)
{
    n->looking = false;
    n->all->waited--;
    n->ended = now;
    n->due = now + (good ? n->all->every : retry_ms(n));
    n->failures = good ? 0 : n->failures + 1;
}

/* ---- the threads that look ---- */

/* A kernel without IPv6 has no sockets for what an answer may well hold. */
static bool can_connect(int family)
{
    int fd;

    if (family != AF_INET && family != AF_INET6)
        return false;
    fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno != EAFNOSUPPORT;
    close(fd);
    return true;
}

static enum name_state ask(const char *host, unsigned port, struct addresses *found)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
    char service[8];
    int r;

    snprintf(service, sizeof service, "%u", port);
    found->n = 0;
    r = getaddrinfo(host, service, &hints, &list);
    if (r != 0)
        return r == EAI_NONAME || r == EAI_NODATA ? NAME_MISSING : NAME_FAILS;
    for (const struct addrinfo *at = list; at && found->n < NAME_ADDRESSES; at = at->ai_next)
        if (can_connect(at->ai_family)) {
            struct sockaddr_storage *to = &found->at[found->n];
            memset(to, 0, sizeof *to);
            memcpy(to, at->ai_addr, at->ai_addrlen);
            found->n += !addresses_have(found, to); /* a hosts file may say it twice */
        }
    freeaddrinfo(list);
    return NAME_MISSING;
}

static void take(const struct lookup *l, const struct addresses *found, enum name_state otherwise)
{
    struct name *n = l->name;
    bool waited = n->looking && n->serial == l->serial, newest = l->serial > n->heard;

    n->out--;
    n->all->lookers--;
    if (waited)
        over(n, clock_mono_ms(), found->n > 0);
    if (newest && (waited || found->n > 0)) {
        n->heard = l->serial;
        name_answered(n, found, otherwise);
    }
    pthread_cond_broadcast(&n->all->changed);
}

static void *look(void *arg)
{
    struct lookup *l = arg;
    struct names *r = l->name->all;
    struct addresses found;
    enum name_state otherwise = ask(l->name->host, l->name->port, &found);

    pthread_mutex_lock(&r->lock);
    take(l, &found, otherwise);
    pthread_mutex_unlock(&r->lock);
    name_unref(l->name);
    mem_free(l);
    return NULL;
}

static bool look_apart(struct lookup *l)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, look, l) != 0)
        return false;
    pthread_detach(thread);
    return true;
}

/* ---- the thread that says what is due ---- */
static bool begin(struct name *n, int64_t now)
{
    struct names *r = n->all;
    struct lookup *l = mem_alloc(sizeof *l);

    if (l)
        *l = (struct lookup){ n, r->serial + 1 };
    if (l == NULL || !look_apart(l)) {
        mem_free(l);
        n->due = now + r->retry;
        return false;
    }
    n->serial = ++r->serial; /* the lookup takes it under the lock only */
    n->refs++;
    n->out++;
    n->looking = true;
    n->began = now;
    r->waited++;
    r->lookers++;
    return true;
}

static void lose_patience(struct name *n, int64_t now)
{
    if (!n->looking || now - n->began < n->all->patience)
        return;
    over(n, now, false);
    if (name_state(n) != NAME_KNOWN)
        name_changes(n, NAME_SILENT);
}

/* Half of the threads are for names that did not fail the last time, and these come first: they must not wait behind a
 * part of the name service that hangs. */
static bool may_begin(const struct name *n, int64_t now)
{
    return !n->looking && n->due <= now && n->out < NAME_OUT_MAX &&
           n->all->lookers < (n->failures == 0 ? NAMES_LOOKERS : NAMES_LOOKERS / 2);
}

static bool before(const struct name *a, const struct name *b)
{
    return b == NULL || a->failures < b->failures || (a->failures == b->failures && a->due < b->due);
}

static struct name *next_due(const struct names *r, int64_t now)
{
    struct name *best = NULL;

    if (r->waited >= NAMES_WAITED)
        return NULL;
    for (size_t i = 0; i < NAME_BUCKETS; i++)
        for (struct name *n = r->bucket[i]; n; n = n->next)
            if (may_begin(n, now) && before(n, best))
                best = n;
    return best;
}

/* When there is something to do again, if nothing happens before. What is due and could not begin waits for a thread
 * that ends, or for one that is given up. */
static int64_t next_time(const struct names *r, int64_t now)
{
    int64_t next = now + r->every;

    for (size_t i = 0; i < NAME_BUCKETS; i++)
        for (const struct name *n = r->bucket[i]; n; n = n->next) {
            int64_t at = n->looking ? n->began + r->patience : n->due > now ? n->due : next;
            next = at < next ? at : next;
        }
    return next;
}

static int64_t round_of(struct names *r, int64_t now)
{
    struct name *n;

    for (size_t i = 0; i < NAME_BUCKETS; i++)
        for (n = r->bucket[i]; n; n = n->next)
            lose_patience(n, now);
    while ((n = next_due(r, now)) != NULL && begin(n, now))
        continue;
    return next_time(r, now);
}

void *names_main(void *arg)
{
    struct names *r = arg;

    pthread_mutex_lock(&r->lock);
    while (!r->stop) {
        int64_t next = round_of(r, clock_mono_ms());
        struct timespec at = { next / 1000, next % 1000 * 1000000 };
        (void)!pthread_cond_timedwait(&r->changed, &r->lock, &at);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}
