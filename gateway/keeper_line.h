#pragma once
/* One side of the keeper as the daemon sees it: a socket, and at most one request whose reply has not come whole. A
 * caller that stops waiting leaves the reply owed; nothing else is asked before it has come, and each reply carries the
 * number of its request: a late one is taken for what it is, or dropped, never for another's.
 * Thread rule: a line belongs to one thread; `since` may be read by any. */
#include "gateway/keeper_wire.h"

#include <stdatomic.h>

struct keeper_line {
    int fd;                /* own; -1: none */
    uint32_t number;       /* of the request made last; 0: none, what comes first is the hello */
    bool owed, ended;      /* ended: nothing comes any more */
    _Atomic int64_t since; /* mono ms: when the request was made whose reply is owed; 0: none is */
    struct buf out, in;    /* the request and its reply, with frames, as far as they went and came */
    size_t sent;
};
void keeper_line_init(struct keeper_line *l, int fd); /* takes fd; the hello is owed */
void keeper_line_done(struct keeper_line *l);
/* Makes a request and sends what goes without waiting. ERR_AGAIN: the reply to another is owed; ERR_CLOSED. */
enum err keeper_line_ask(struct keeper_line *l, enum keeper_verb verb, struct slice body) MUST_CHECK;
/* Moves bytes for at most `ms`. ERR_OK: the reply is whole, its code in *code and its body appended to `reply`;
 * ERR_AGAIN: it is still owed; ERR_CLOSED: the keeper has ended, or sent what is no reply to this request. */
enum err keeper_line_wait(struct keeper_line *l, int64_t ms, enum err *code, struct buf *reply) MUST_CHECK;
