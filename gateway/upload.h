#pragma once
/* A consumer's body that passes unread to the provider (decision 020). Inside gateway/ only.
 *
 * The consumer is not read before its intent is durable and the provider's connection takes something, nor ever faster
 * than the provider takes it. Invariants: each byte that is handed to the provider's connection is hashed, once, before
 * it goes; a body that is cut never ends there as if it were whole; a failure at any time is one of the exchange. */
#include "gateway/exchange.h"

enum { UPLOAD_ROOM = 96 * 1024 }; /* the most that one holds: what was read of it, and what is on its way */

struct upload {            /* in the exchange's arena */
    struct slice type;     /* RESOLVE: its Content-Type; the plan's */
    uint64_t bytes;        /* handed to the provider's connection */
    struct digest *digest; /* OPEN: of these, salted; borrowed from the worker's pool */
    struct sha256 sum;     /* OUTCOME: when it is `summed` */
    bool reading, summed;
};

/* RESOLVE: the resource takes a file, or the head says what only such a resource could take. Faults are those of
 * parameters: told to those who may ask at all. */
enum step upload_resolve(struct exchange *x);
/* ADMIT: false: it is not granted, and the exchange has failed. */
bool upload_granted(struct exchange *x);
/* OPEN. False: no memory. */
bool upload_open(struct exchange *x, struct connector_request *q);
/* RELAY: read the consumer as long as the provider takes. */
void upload_steer(struct exchange *x);
/* The consumer's body, in whatever state the exchange is. */
void upload_body(struct exchange *x, struct slice bytes);
void upload_end(struct exchange *x);
/* OUTCOME */
void upload_record(struct exchange *x, struct audit_record *r);
