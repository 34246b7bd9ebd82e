#pragma once
/* Shared inside base/net only. */
#include "base/net/net.h"

struct alarm_wheel;
struct alarm_wheel *alarm_wheel_new(struct loop *l);
void alarm_wheel_free(struct alarm_wheel *w);
struct alarm_wheel *loop_wheel(struct loop *l);
void loop_empty_graves(struct loop *l);

struct ssl_ctx_st;
struct ssl_st;
struct ssl_ctx_st *tls_ssl_ctx(const struct tls_context *t);
bool tls_is_server(const struct tls_context *t);
/* The peer object that the server's verify hook returned for this handshake; ownership leaves with it. */
void *tls_take_peer(struct ssl_st *ssl);
void tls_drop_peer(struct ssl_st *ssl);
