/* Names: their table, their references, and what is known of them. See names_internal.h. */
#include "base/net/names_internal.h"

#include <signal.h>

/* ---- the names of a process ---- */
static bool names_init(struct names *r)
{
    pthread_condattr_t a;
    sigset_t all, before;
    bool ok;

    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&r->changed, &a);
    pthread_condattr_destroy(&a);
    sigfillset(&all); /* signals are for others; the threads that look inherit it */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    ok = pthread_create(&r->thread, NULL, names_main, r) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ok;
}

struct names *names_new(int64_t every)
{
    struct names *r = mem_zalloc(sizeof *r);

    if (r == NULL)
        return NULL;
    r->refs = 1;
    r->every = every;
    r->patience = NAME_PATIENCE_MS;
    r->retry = NAMES_RETRY_MS;
    r->soon = NAMES_SOON_MS;
    if (names_init(r))
        return r;
    names_leave(r);
    return NULL;
}

void names_leave(struct names *r)
{
    bool last;

    pthread_mutex_lock(&r->lock);
    last = --r->refs == 0;
    pthread_mutex_unlock(&r->lock);
    if (!last)
        return;
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
}

struct names *names_stop(struct names *r)
{
    if (r == NULL)
        return NULL;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    r->loop = NULL;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL); /* it looks nothing up itself */
    names_leave(r);
    return NULL;
}

/* ---- telling ---- */
static void on_told(void *arg)
{
    struct names *r = arg;
    void (*fn)(void *);
    void *of;

    pthread_mutex_lock(&r->lock);
    r->told = false;
    fn = r->loop ? r->fn : NULL;
    of = r->arg;
    pthread_mutex_unlock(&r->lock);
    if (fn)
        fn(of);
}

void names_tell(struct names *r, struct loop *l, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&r->lock);
    r->loop = l;
    r->fn = fn;
    r->arg = arg;
    pthread_mutex_unlock(&r->lock);
}

void name_changes(struct name *n, enum name_state state)
{
    struct names *r = n->all;

    if (atomic_exchange(&n->state, (uint8_t)state) == state)
        return;
    pthread_cond_broadcast(&r->changed);
    if (r->loop == NULL || r->told)
        return;
    r->told = true;
    r->msg = (struct loop_msg){ .fn = on_told, .arg = r };
    loop_post(r->loop, &r->msg);
}

static bool any_asked(const struct names *r)
{
    for (size_t i = 0; i < NAME_BUCKETS; i++)
        for (const struct name *n = r->bucket[i]; n; n = n->next)
            if (name_state(n) == NAME_ASKED)
                return true;
    return false;
}

void names_settle(struct names *r, int64_t ms)
{
    int64_t until = clock_mono_ms() + ms;
    struct timespec at = { until / 1000, until % 1000 * 1000000 };

    pthread_mutex_lock(&r->lock);
    while (any_asked(r) && clock_mono_ms() < until)
        (void)!pthread_cond_timedwait(&r->changed, &r->lock, &at);
    pthread_mutex_unlock(&r->lock);
}

/* ---- one name ---- */
struct name *name_of_address(const struct sockaddr_storage *a)
{
    struct name *n = mem_zalloc(sizeof *n);

    if (n == NULL)
        return NULL;
    n->refs = 1;
    n->state = a ? NAME_KNOWN : NAME_MISSING;
    n->a.n = a != NULL;
    if (a)
        n->a.at[0] = *a;
    return n;
}

static struct name **place_of(struct names *r, const char *host, unsigned port)
{
    struct name **at = &r->bucket[slice_hash(slice_of(host), port) % NAME_BUCKETS];

    while (*at && ((*at)->port != port || strcmp((*at)->host, host) != 0))
        at = &(*at)->next;
    return at;
}

static struct name *find_or_add(struct names *r, const char *host, unsigned port)
{
    struct name **at, *n;

    pthread_mutex_lock(&r->lock);
    at = place_of(r, host, port);
    n = *at;
    if (n == NULL && (n = mem_zalloc(sizeof *n)) != NULL) {
        n->all = r;
        r->refs++;
        n->port = port;
        memcpy(n->host, host, strlen(host) + 1);
        *at = n; /* due at once */
        pthread_cond_broadcast(&r->changed);
    }
    if (n)
        n->refs++;
    pthread_mutex_unlock(&r->lock);
    return n;
}

enum err name_get(struct names *r, struct slice host_port, unsigned default_port, struct name **ret, struct diags *d)
{
    struct sockaddr_storage number;
    char host[NAME_HOST];
    unsigned port;
    struct name *n;

    if (!address_split(host_port, default_port, host, sizeof host, &port))
        return diag_add(d, ERR_INVALID, 0, 0, "%.*s is not host:port", "%.*s 不是“主机:端口”形式",
                        SLICE_ARG(host_port));
    for (char *p = host; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p | 0x20);
    if (address_read(host, port, &number))
        n = name_of_address(&number);
    else
        n = r ? find_or_add(r, host, port) : name_of_address(NULL);
    if (n == NULL)
        return ERR_NOMEM;
    *ret = n;
    return ERR_OK;
}

struct name *name_unref(struct name *n)
{
    struct names *r = n ? n->all : NULL;
    bool last;

    if (n == NULL)
        return NULL;
    if (r)
        pthread_mutex_lock(&r->lock);
    last = atomic_fetch_sub(&n->refs, 1) == 1;
    if (r && last)
        *place_of(r, n->host, n->port) = n->next;
    if (r)
        pthread_mutex_unlock(&r->lock);
    if (!last)
        return NULL;
    if (r)
        names_leave(r);
    return mem_free(n);
}

enum name_state name_state(const struct name *n)
{
    return (enum name_state)atomic_load_explicit(&n->state, memory_order_acquire);
}

uint32_t name_generation(const struct name *n)
{
    return atomic_load_explicit(&n->generation, memory_order_acquire);
}

static void enter(struct name *n)
{
    if (n->all)
        pthread_mutex_lock(&n->all->lock);
}

static void leave(struct name *n)
{
    if (n->all)
        pthread_mutex_unlock(&n->all->lock);
}

unsigned name_address(struct name *n, struct sockaddr_storage *ret)
{
    unsigned count;

    enter(n);
    count = n->a.n;
    if (count > 0)
        *ret = n->a.at[n->first];
    leave(n);
    return count;
}

static bool same(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    return memcmp(a, b, address_size(a)) == 0;
}

bool addresses_have(const struct addresses *a, const struct sockaddr_storage *one)
{
    for (unsigned i = 0; i < a->n; i++)
        if (same(&a->at[i], one))
            return true;
    return false;
}

bool name_has(struct name *n, const struct sockaddr_storage *at)
{
    bool has;

    enter(n);
    has = addresses_have(&n->a, at);
    leave(n);
    return has;
}

unsigned name_unreachable(struct name *n, const struct sockaddr_storage *at)
{
    unsigned count;

    enter(n);
    count = n->a.n;
    if (count > 1 && same(&n->a.at[n->first], at))
        n->first = (n->first + 1) % count;
    if (n->all && !n->looking && n->due > n->ended + n->all->soon) {
        n->due = n->ended + n->all->soon;
        pthread_cond_broadcast(&n->all->changed);
    }
    leave(n);
    return count;
}

/* The same addresses in another order are the same: where connecting succeeds stays first. */
static bool is_same(const struct addresses *a, const struct addresses *b)
{
    for (unsigned i = 0; i < b->n; i++)
        if (!addresses_have(a, &b->at[i]))
            return false;
    return a->n == b->n;
}

void name_answered(struct name *n, const struct addresses *found, enum name_state otherwise)
{
    if (found->n == 0) {
        name_changes(n, name_state(n) == NAME_KNOWN ? NAME_KNOWN : otherwise);
        return;
    }
    if (!is_same(&n->a, found)) {
        n->a = *found;
        n->first = 0;
        atomic_fetch_add(&n->generation, 1);
    }
    name_changes(n, NAME_KNOWN);
}
