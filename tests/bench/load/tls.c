/* SSL_CTX set-up. The server's chain is always verified; its name only when --server-name gives one. */
#include "tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>

static bool certificates_load(SSL_CTX *ctx, const struct options *o)
{
    if (SSL_CTX_load_verify_locations(ctx, o->ca_file, NULL) != 1)
        return false;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (o->cert_file == NULL)
        return true;
    return SSL_CTX_use_certificate_chain_file(ctx, o->cert_file) == 1 &&
           SSL_CTX_use_PrivateKey_file(ctx, o->key_file, SSL_FILETYPE_PEM) == 1 && SSL_CTX_check_private_key(ctx) == 1;
}

static bool algorithms_set(SSL_CTX *ctx, const struct options *o)
{
    int version = o->tls12 ? TLS1_2_VERSION : TLS1_3_VERSION;

    return SSL_CTX_set_min_proto_version(ctx, version) == 1 && SSL_CTX_set_max_proto_version(ctx, version) == 1 &&
           SSL_CTX_set_ciphersuites(ctx, o->suites) == 1 &&
           (o->groups == NULL || SSL_CTX_set1_groups_list(ctx, o->groups) == 1);
}

SSL_CTX *tls_new(const struct options *o, int (*on_ticket)(SSL *ssl, SSL_SESSION *session))
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (ctx == NULL || !certificates_load(ctx, o) || !algorithms_set(ctx, o)) {
        fputs("sluice-load: TLS set-up failed:\n", stderr);
        ERR_print_errors_fp(stderr);
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_mode(ctx,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 1);
    if (o->fresh == FRESH_RESUMED) {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ctx, on_ticket);
    } else {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    }
    return ctx;
}
