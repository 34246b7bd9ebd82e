#pragma once
/* The verify hook that both listeners give to TLS: certs/ judges the peer under the trust that the owner thread holds
 * now. */
#include "certs/certs.h"

struct trust_holder {
    struct certs_trust *trust; /* ref; swapped by the thread whose loop uses the TLS context */
};
/* For tls_server.verify: `arg` is a struct trust_holder. Returns a struct certs_peer from mem_alloc, or NULL without
 * memory. */
void *trust_verify(void *arg, struct x509_st *leaf, struct stack_st_X509 *chain);
void trust_swap(struct trust_holder *h, struct certs_trust *next); /* takes a reference of its own; NULL lets go */
