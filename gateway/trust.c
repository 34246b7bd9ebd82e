/* The hooks of both listeners. Without trust nobody is known: deny is the default. */
#include "gateway/trust.h"

enum { SESSION_MS = 3600 * 1000 };

struct tls_peer *trust_verify(void *arg, struct x509_st **leaf, struct stack_st_X509 *chain)
{
    struct trust_holder *h = arg;
    struct x509_st *none = NULL;
    struct certs_shared *p = certs_known_verify(h->known, h->trust, leaf ? leaf : &none, chain, clock_wall_ms());

    return p ? &p->head : NULL;
}

const struct certs_peer *trust_peer(const struct tls_peer *p)
{
    return p ? &((const struct certs_shared *)(const void *)p)->peer : NULL;
}

int64_t trust_good_until(void *arg, const struct tls_peer *p)
{
    const struct trust_holder *h = arg;
    int64_t now = clock_wall_ms(), until = certs_good_until(h->trust, trust_peer(p), now);

    return until < now + SESSION_MS ? until : now + SESSION_MS;
}

void trust_swap(struct trust_holder *h, struct certs_trust *next)
{
    struct certs_trust *before = h->trust;

    h->trust = next ? certs_trust_ref(next) : NULL;
    if (before)
        certs_trust_unref(before);
}
