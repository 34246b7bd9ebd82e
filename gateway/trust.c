/* The verify hook of both listeners. Without trust nobody is known: deny is the default. */
#include "gateway/trust.h"

void *trust_verify(void *arg, struct x509_st *leaf, struct stack_st_X509 *chain)
{
    const struct trust_holder *h = arg;
    struct certs_peer *p = mem_zalloc(sizeof *p);

    if (p == NULL)
        return NULL;
    if (h->trust)
        certs_peer_verify(h->trust, leaf, chain, clock_wall_ms(), p);
    else
        p->verdict = REASON_CERTIFICATE_UNKNOWN;
    return p;
}

void trust_swap(struct trust_holder *h, struct certs_trust *next)
{
    struct certs_trust *before = h->trust;

    h->trust = next ? certs_trust_ref(next) : NULL;
    if (before)
        certs_trust_unref(before);
}
