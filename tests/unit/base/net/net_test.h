#pragma once
/* What the tests of base/net share: a loop that is run turn by turn, and a server whose service answers by path and
 * writes down what it was told, with the peer's end of the connection in the test's hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/net/net.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

void turns(struct loop *l, unsigned n);   /* n turns, without waiting */
void run_for(struct loop *l, int64_t ms); /* all that happens in so long */
struct sockaddr_storage;
void address_of(int listener, struct sockaddr_storage *ret); /* where it listens */

/* Paths: /echo answers with the body; /chunks answers the body in chunks with a trailer; /big streams `big` bytes by
 * room; /abort begins and cuts; /short promises more than it gives; /hold answers when told; /early answers at the
 * head; /pause stops the body. */
struct bench {
    struct loop *loop;
    struct http_conn *conn;
    struct http_call *call; /* the open one */
    int fd;                 /* the peer's end */
    char path[64];
    struct buf log, body; /* log: "open head body end …", words */
    size_t big, given, most_held;
    struct http_limits limits;
    bool no_room;                       /* nothing more may be held for connections */
    size_t took;                        /* was, so far */
    bool reset;                         /* the peer's end saw an error */
    const struct http_service *service; /* another service than the one above, and its arg */
    void *arg;
};
void bench_begin(struct bench *b); /* b->limits may be set before */
/* One more connection of the same service, by this end (taken), and what comes of that. */
void bench_serve(struct bench *b, int fd, enum err want);
void bench_end(struct bench *b);
bool bench_hold(void *arg, size_t n, bool comes);     /* the service's, whose arg begins with a bench */
void bench_say(struct bench *b, struct slice bytes);  /* writes all, then runs turns */
void bench_hear(struct bench *b, struct buf *to);     /* what has arrived, appended */
bool bench_closed(struct bench *b, bool *reset);      /* the peer's end sees the end; reset: by an error */
void bench_answer(struct bench *b, const char *text); /* to a held call */
