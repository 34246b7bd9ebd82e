/* The store of resumable sessions: sets of eight slots, chosen by the session's id. Ids are random and of our own
 * making, so sets fill evenly and nobody can choose to crowd one. What is freed is freed outside the lock. */
#include "base/net/sessions.h"

#include <pthread.h>

enum { WAYS = 8 };

struct kept {
    uint8_t id[TLS_SESSION_ID];
    int64_t until;
    struct tls_peer *peer; /* ref */
    uint64_t used;         /* the store's clock at the last use */
    size_t n;
    uint8_t state[];
};
struct tls_sessions {
    _Atomic uint32_t refs;
    pthread_mutex_t lock; /* over all that follows but n_sets */
    uint64_t clock;       /* counts uses */
    struct tls_sessions_count count;
    size_t n_sets;
    struct kept *slot[][WAYS]; /* own */
};

/* ---- peers ---- */
struct tls_peer *tls_peer_ref(struct tls_peer *p)
{
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void tls_peer_unref(struct tls_peer *p)
{
    if (p && atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1)
        mem_free(p);
}

/* ---- life ---- */
struct tls_sessions *tls_sessions_new(size_t most)
{
    size_t sets = most > WAYS ? (most + WAYS - 1) / WAYS : 1;
    struct tls_sessions *s = mem_zalloc(sizeof *s + sets * sizeof s->slot[0]);

    if (s == NULL)
        return NULL;
    if (pthread_mutex_init(&s->lock, NULL) != 0)
        return mem_free(s);
    atomic_init(&s->refs, 1);
    s->n_sets = sets;
    return s;
}

struct tls_sessions *tls_sessions_ref(struct tls_sessions *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

static void kept_free(struct kept *k)
{
    if (k == NULL)
        return;
    tls_peer_unref(k->peer);
    mem_wipe(k, sizeof *k + k->n);
    mem_free(k);
}

void tls_sessions_unref(struct tls_sessions *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < s->n_sets; i++)
        for (size_t k = 0; k < WAYS; k++)
            kept_free(s->slot[i][k]);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

/* ---- use ---- */
static struct kept **set_of(struct tls_sessions *s, const uint8_t id[TLS_SESSION_ID])
{
    uint64_t h;

    memcpy(&h, id, sizeof h);
    return s->slot[h % s->n_sets];
}

/* Under the lock: the session's place in its set, or NULL. */
static struct kept **place_of(struct tls_sessions *s, const uint8_t id[TLS_SESSION_ID])
{
    struct kept **set = set_of(s, id);

    for (size_t i = 0; i < WAYS; i++)
        if (set[i] && memcmp(set[i]->id, id, TLS_SESSION_ID) == 0)
            return &set[i];
    return NULL;
}

/* Under the lock: where a new one goes. */
static struct kept **victim_of(struct kept **set, int64_t now)
{
    struct kept **worst = set;

    for (size_t i = 0; i < WAYS; i++) {
        if (set[i] == NULL || set[i]->until <= now)
            return &set[i];
        if (set[i]->used < (*worst)->used)
            worst = &set[i];
    }
    return worst;
}

static struct kept *kept_of(const struct tls_session *one)
{
    struct kept *k = one->n <= TLS_SESSION_MAX ? mem_alloc(sizeof *k + one->n) : NULL;

    if (k == NULL)
        return NULL;
    *k = (struct kept){ .until = one->until, .peer = tls_peer_ref(one->peer), .n = one->n };
    memcpy(k->id, one->id, sizeof k->id);
    memcpy(k->state, one->state, one->n);
    return k;
}

void tls_sessions_put(struct tls_sessions *s, const struct tls_session *one, int64_t now)
{
    struct kept *next, *before, **at;

    if ((next = kept_of(one)) == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    at = place_of(s, one->id);
    if (at == NULL)
        at = victim_of(set_of(s, one->id), now);
    before = *at;
    *at = next;
    next->used = ++s->clock;
    s->count.kept += before == NULL;
    s->count.displaced += before != NULL && before->until > now;
    pthread_mutex_unlock(&s->lock);
    kept_free(before);
}

bool tls_sessions_get(struct tls_sessions *s, const uint8_t id[TLS_SESSION_ID], int64_t now, struct tls_session *ret)
{
    struct kept **at = NULL, *k = NULL;

    pthread_mutex_lock(&s->lock);
    at = place_of(s, id);
    if (at && (*at)->until > now) {
        k = *at;
        k->used = ++s->clock;
        memcpy(ret->id, k->id, sizeof ret->id);
        memcpy(ret->state, k->state, k->n);
        ret->until = k->until;
        ret->n = k->n;
        ret->peer = tls_peer_ref(k->peer);
    }
    s->count.found += k != NULL;
    s->count.missed += k == NULL;
    pthread_mutex_unlock(&s->lock);
    return k != NULL;
}

void tls_sessions_end(struct tls_sessions *s, const uint8_t id[TLS_SESSION_ID], int64_t until)
{
    struct kept *gone = NULL, **at;

    pthread_mutex_lock(&s->lock);
    at = place_of(s, id);
    if (at && until == 0) {
        gone = *at;
        *at = NULL;
        s->count.kept--;
    } else if (at && until < (*at)->until) {
        (*at)->until = until;
    }
    pthread_mutex_unlock(&s->lock);
    kept_free(gone);
}

struct tls_sessions_count tls_sessions_count(struct tls_sessions *s)
{
    struct tls_sessions_count c;

    pthread_mutex_lock(&s->lock);
    c = s->count;
    pthread_mutex_unlock(&s->lock);
    return c;
}
