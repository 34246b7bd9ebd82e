#pragma once
/* What daemon and keeper say to each other, and the keeper's side of it; keeper*.c and their tests only.
 *
 * A request is a verb, a length and a number, each four bytes, big endian, then so many bytes; a reply is a code (enum
 * err), a length and the number of its request, then so many bytes: what the verb says, or, when the code is not OK,
 * the reason in English, NUL, Chinese. One reply for each request, in order, however late. The first reply comes
 * unasked, on the control side and with number 0, when the keys are open:
 *
 *   public key 32 · authority here 1 · size 8 and root 32 of the last checkpoint · SM2 used 1 · SM2 key 65.
 *   CHECKPOINT  size 8 · root 32 · proof n × 32               → signature 64 · SM2's 64, where it is used   log side
 *   LEAF        days 4 · uri 2+n · common name 2+n · request  → from 8 · to 8 · serial 65 · digest 65 · PEM   control
 *   GATEWAY     days 4                                        → as LEAF                             control
 *   COSIGN      an add-checkpoint request                     → status 2 · fault 1 · size only 1 · text   witness
 *   LIST        number 8 · hours 4 · (n 1 · serial 20 · revoked at 8) × n   → PEM                       control
 *
 * An unknown verb, one of the other side, a wrong size or state is refused with its reason; a length that no verb has
 * also ends that side, for what follows cannot be told apart. Every verb may come at any time: the only state is what
 * was signed last. */
#include "gateway/keeper.h"

enum keeper_verb { KEEPER_CHECKPOINT = 1, KEEPER_LEAF = 2, KEEPER_LIST = 3, KEEPER_GATEWAY = 4, KEEPER_COSIGN = 5 };
enum keeper_side { KEEPER_LOG, KEEPER_CONTROL, KEEPER_WITNESS, KEEPER_SIDES };
enum {
    KEEPER_FRAME = 12,
    KEEPER_HELLO = 32 + 1 + 8 + 32 + 1 + SM2_PUB,
    KEEPER_ISSUED = 8 + 8 + 65 + 65, /* before the PEM */
    KEEPER_LISTED = 1 + 20 + 8,
    KEEPER_COSIGNED = 2 + 1 + 1, /* before the text */
    KEEPER_REQUEST_MAX = 32 << 20,
    KEEPER_REPLY_MAX = 128 << 20
};

/* What the keeper holds. */
struct keeper_room {
    struct ed25519 *key; /* own */
    struct signer signer;
    struct sm2 *sm2;          /* own; NULL: not used */
    struct audit_seal *seal;  /* own */
    struct certs_ca *ca;      /* own; NULL: not on this node */
    struct ed25519 *cosigner; /* own, as the next; NULL: nobody else's log is co-signed */
    struct audit_observer *observer;
};
enum err keeper_room_open(const struct keeper_config *c, struct keeper_room *ret, struct diags *d) MUST_CHECK;
void keeper_room_done(struct keeper_room *r);
void keeper_hello(const struct keeper_room *r, struct buf *out); /* the first reply */
/* A failed start: the first reply instead. */
void keeper_refusal(enum err e, const struct diags *d, uint32_t number, struct buf *out);
struct keeper_ask { /* a request's frame, and the side that it came on */
    enum keeper_side side;
    uint32_t verb, length, number;
};
/* May its body be read? False: its refusal is in `out`. *skip: the body may be read over and the side goes on; else it
 * ends. */
bool keeper_may_read(const struct keeper_ask *q, struct buf *out, bool *skip);
/* Answers one whole request: the reply with its frame, appended to `out`. Total: any bytes give a reply. */
void keeper_answer(struct keeper_room *r, const struct keeper_ask *q, const char *body, struct buf *out);

/* keeper_process.c: everything after the fork; never returns. */
_Noreturn void keeper_main(const struct keeper_config *c, const int fds[KEEPER_SIDES], int parent);
/* Numbers in frames and bodies: big endian, n bytes. */
void keeper_put(struct buf *out, uint64_t v, unsigned n);
uint64_t keeper_get(const char *p, unsigned n);
