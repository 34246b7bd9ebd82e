/* Put under h2load (LD_PRELOAD), which has no option for a client certificate: each SSL_CTX that it makes gets the one
 * in SHIM_CERT and SHIM_KEY. Whatever fails ends the program: a load without its certificate would measure refusals. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

struct ssl_ctx_st;
struct ssl_method_st;

typedef struct ssl_ctx_st *make(const struct ssl_method_st *method);
typedef int use(struct ssl_ctx_st *ctx, const char *file);
typedef int use_typed(struct ssl_ctx_st *ctx, const char *file, int type);

enum { PEM = 1 };

static void *next(const char *name)
{
    void *f = dlsym(RTLD_NEXT, name);

    if (f == NULL) {
        fprintf(stderr, "shim: no %s\n", name);
        exit(3);
    }
    return f;
}

struct ssl_ctx_st *SSL_CTX_new(const struct ssl_method_st *method);

struct ssl_ctx_st *SSL_CTX_new(const struct ssl_method_st *method)
{
    make *real = (make *)next("SSL_CTX_new");
    use *chain = (use *)next("SSL_CTX_use_certificate_chain_file");
    use_typed *key = (use_typed *)next("SSL_CTX_use_PrivateKey_file");
    struct ssl_ctx_st *ctx = real(method);
    const char *cert_file = getenv("SHIM_CERT"), *key_file = getenv("SHIM_KEY");

    if (ctx == NULL || cert_file == NULL || key_file == NULL || chain(ctx, cert_file) != 1 ||
        key(ctx, key_file, PEM) != 1) {
        fprintf(stderr, "shim: no certificate from SHIM_CERT and SHIM_KEY\n");
        exit(3);
    }
    return ctx;
}
