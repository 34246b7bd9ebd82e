/* The client side of TLS for all connections: one SSL_CTX, made from the options, checked before any load runs. */
#pragma once

#include <openssl/ssl.h>

#include "options.h"

/* Make the context: version, suites, groups, client certificate, trust anchors. `on_ticket` is called for each new
 * session when the options ask for resumption; it keeps the session when it returns 1. Returns NULL after a line on
 * stderr; the caller owns the context and ends it with SSL_CTX_free(). */
SSL_CTX *tls_new(const struct options *o, int (*on_ticket)(SSL *ssl, SSL_SESSION *session));
