#pragma once
/* The hooks that both listeners give to TLS: certs/ judges the peer under the trust that the owner thread holds now. */
#include "certs/certs.h"

struct trust_holder {
    struct certs_trust *trust; /* ref; swapped by the thread whose loop uses the TLS context */
    struct certs_known *known; /* own: certificates that come again; NULL: each is judged whole */
};
/* For tls_server.verify and good_until: `arg` is a struct trust_holder, the peer the head of a struct certs_shared. */
struct tls_peer *trust_verify(void *arg, struct x509_st **leaf, struct stack_st_X509 *chain);
int64_t trust_good_until(void *arg, const struct tls_peer *p);     /* an hour at most */
const struct certs_peer *trust_peer(const struct tls_peer *p);     /* NULL for NULL */
void trust_swap(struct trust_holder *h, struct certs_trust *next); /* takes a reference of its own; NULL lets go */
