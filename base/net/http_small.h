#pragma once
/* A listener for whole small requests: each is gathered, shown to its owner once, and answered now or later. Bounded in
 * connections, bytes and time. Belongs to the thread of its loop. */
#include "base/net/http.h"

enum { SMALL_ADDRESS = 64 };
struct http_small;
struct small_conn;
struct http_small_ask {
    struct http_small *of;        /* bor */
    const struct http_conn *http; /* bor: until the owner's function returns; for http_conn_peer */
    struct buf body;
    char address[SMALL_ADDRESS];
    struct http_call *call;  /* private; NULL: the peer has left */
    struct small_conn *conn; /* private; bor: while `call` is there */
    bool shown;              /* private: to the owner, who answers or drops it, whatever becomes of the peer */
};
struct http_small_config {
    size_t body_max;      /* more is answered 413 */
    unsigned connections; /* at once; when all are taken the longest idle one gives way */
    struct door *door;    /* bor: of the TLS context, if it has one that yields: those who stand in it do not count */
    /* With a door: whether the peer is known, asked when its handshake is over, and it leaves the door then. NULL: at a
     * head that is let through. */
    bool (*known)(void *owner, const struct http_conn *http);
    /* At a request's head: 0 lets it be read; else its status, with *text. Judge the peer here. Below 0 it is read from
     * a peer that is not known: its connection stays in the door. */
    int (*head)(void *owner, const struct http_conn *http, const struct http_head *h, const char **text);
    /* A whole request: answer it once with http_small_answer, now or later, whether or not the peer is still there. */
    void (*ask)(void *owner, struct http_small_ask *a);
    void *owner;
};
/* Takes nothing: fd and tls (NULL: plain) are borrowed until http_small_free. NULL: no memory. */
struct http_small *http_small_new(struct loop *l, int fd, struct tls_context *tls, const struct http_small_config *c);
/* Connections from now on; those that are open keep theirs. Borrowed likewise. */
void http_small_tls(struct http_small *s, struct tls_context *tls);
/* Stops accepting and cuts what is open; requests that were shown are still to be answered first. */
struct http_small *http_small_free(struct http_small *s);
/* Frees `a`. type: the media type, static. */
void http_small_answer(struct http_small_ask *a, int status, const char *type, struct slice body);
void http_small_drop(struct http_small_ask *a); /* no answer: the connection is cut. Frees `a` */
