/* certs/known: certificates that were judged good before, recognised by the SHA-256 of their bytes.
 * Most of the cost of judging is in signatures that were verified for the same bytes already. What can have changed
 * since (revocation, lists that ran out, expiry of leaf and path, what an anchor vouches for) is looked at each time.
 * Invariants: nothing but a good verdict under this very trust is kept; never more than was said; one thread's. */
#include <openssl/x509.h>
#include "certs/internal.h"

enum { WAYS = 8 };

struct entry {
    struct sha256 digest;
    struct certs_shared *peer; /* ref; NULL: empty */
    X509 *leaf;                /* ref */
    uint64_t used;
};
struct certs_known {
    struct certs_trust *trust; /* ref: the one that all verdicts are of */
    uint64_t clock;
    size_t n_sets;
    struct entry at[][WAYS];
};

struct certs_known *certs_known_new(size_t most)
{
    size_t sets = (most + WAYS - 1) / WAYS;
    struct certs_known *k = mem_zalloc(sizeof *k + sets * sizeof k->at[0]);

    if (k)
        k->n_sets = sets;
    return k;
}

static void forget(struct entry *e)
{
    if (e->peer)
        tls_peer_unref(&e->peer->head);
    X509_free(e->leaf);
    *e = (struct entry){ 0 };
}

static void forget_all(struct certs_known *k)
{
    for (size_t i = 0; i < k->n_sets; i++)
        for (size_t w = 0; w < WAYS; w++)
            forget(&k->at[i][w]);
    certs_trust_unref(k->trust);
    k->trust = NULL;
}

struct certs_known *certs_known_free(struct certs_known *k)
{
    if (k == NULL)
        return NULL;
    forget_all(k);
    mem_free(k);
    return NULL;
}

static struct entry *set_of(struct certs_known *k, const struct sha256 *digest)
{
    uint64_t h;

    memcpy(&h, digest->b, sizeof h);
    return k->at[h % k->n_sets];
}

/* The entry of this certificate, else the one to use for it: an empty one, or that of no use for longest. */
static struct entry *place_of(struct certs_known *k, const struct sha256 *digest)
{
    struct entry *set = set_of(k, digest), *worst = set;

    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].peer && memcmp(set[i].digest.b, digest->b, sizeof digest->b) == 0)
            return &set[i];
        if (set[i].used < worst->used) /* an empty one was never used */
            worst = &set[i];
    }
    return worst;
}

static void remember(struct certs_known *k, struct entry *e, const struct sha256 *digest, X509 *leaf,
                     struct certs_shared *peer)
{
    forget(e);
    X509_up_ref(leaf);
    tls_peer_ref(&peer->head);
    *e = (struct entry){ *digest, peer, leaf, ++k->clock };
}

static bool is_known(const struct entry *e, const struct sha256 *digest)
{
    return e->peer && memcmp(e->digest.b, digest->b, sizeof digest->b) == 0;
}

static struct certs_shared *shared_new(void)
{
    struct certs_shared *p = mem_zalloc(sizeof *p);

    if (p)
        atomic_init(&p->head.refs, 1);
    return p;
}

struct certs_shared *certs_known_verify(struct certs_known *k, struct certs_trust *t, X509 **leaf,
                                        struct stack_st_X509 *chain, int64_t now)
{
    struct certs_shared *p;
    struct sha256 digest;
    struct entry *e = NULL;

    if (k && t != k->trust) {
        forget_all(k);
        k->trust = t ? certs_trust_ref(t) : NULL;
    }
    if (k && t && *leaf && certs_digest(*leaf, &digest))
        e = place_of(k, &digest);
    if (e && is_known(e, &digest) && certs_peer_recheck(t, &e->peer->peer, now) == REASON_GRANTED) {
        e->used = ++k->clock;
        X509_up_ref(e->leaf);
        *leaf = e->leaf;
        tls_peer_ref(&e->peer->head);
        return e->peer;
    }
    if ((p = shared_new()) == NULL)
        return NULL;
    if (t)
        certs_peer_verify(t, *leaf, chain, now, &p->peer);
    else
        p->peer.verdict = REASON_CERTIFICATE_UNKNOWN;
    if (e && p->peer.verdict == REASON_GRANTED)
        remember(k, e, &digest, *leaf, p);
    return p;
}

int64_t certs_good_until(const struct certs_trust *t, const struct certs_peer *p, int64_t now)
{
    int64_t until = p->path_until;
    struct certs_name name;
    const struct certs_vouch *v;

    if (t == NULL || certs_peer_recheck(t, p, now) != REASON_GRANTED || !certs_name_read(slice_of(p->uri), &name))
        return 0;
    v = certs_vouch_find(t, &p->path[p->path_n - 1], &name, p->enrolled);
    for (unsigned i = 0; v && !v->no_crl && i < p->path_n;
         i++) { /* the lists that it rests on; others end for others */
        const struct certs_authority *a = certs_authority_find(t, &p->path[i]);

        if (a && a->list && a->list->next_update < until)
            until = a->list->next_update;
    }
    return until;
}

enum reason certs_gateway_judge(const struct certs_trust *t, const struct tls_peer *p, int64_t now)
{
    const struct certs_shared *s = (const struct certs_shared *)(const void *)p;

    if (s == NULL)
        return REASON_CERTIFICATE_MISSING;
    if (s->peer.verdict != REASON_GRANTED)
        return s->peer.verdict;
    return s->peer.kind == CERTS_GATEWAY ? certs_peer_recheck(t, &s->peer, now) : REASON_CERTIFICATE_UNKNOWN;
}
