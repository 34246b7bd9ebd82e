#pragma once
/* Shared inside base/net only. */
#include "base/net/net.h"

struct alarm_wheel;
struct alarm_wheel *alarm_wheel_new(struct loop *l);
void alarm_wheel_free(struct alarm_wheel *w);
struct alarm_wheel *loop_wheel(struct loop *l);
void loop_empty_graves(struct loop *l);

/* Run in the next turn, which then does not wait: so that one busy stream cannot hold a turn open for ever. Setting
 * what is set already does nothing. */
struct soon {
    struct soon *next, **pprev;
    void (*fn)(struct soon *);
};
void loop_soon(struct loop *l, struct soon *node, void (*fn)(struct soon *));
void loop_not_soon(struct soon *node);

struct ssl_ctx_st;
struct ssl_st;
struct ssl_ctx_st *tls_ssl_ctx(const struct tls_context *t);
bool tls_is_server(const struct tls_context *t);
/* The peer object that the server's verify hook returned for this handshake; ownership leaves with it. False: there is
 * a hook, and it had no memory. */
bool tls_take_peer(struct ssl_st *ssl, void **ret) MUST_CHECK;
void tls_drop_peer(struct ssl_st *ssl);
/* "Name: value" and CRLF. */
void http_header_put(struct buf *out, struct slice name, struct slice value);
