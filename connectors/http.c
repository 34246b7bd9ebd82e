/* The kind `http`: whatever the mapping renders, to the endpoint's path with connector.path behind it. */
#include "connectors/internal.h"

static void compile(struct target_compile *c)
{
    (void)c; /* the endpoint says all */
}

static size_t decorate(const struct connector_target *t, struct http_header *out)
{
    (void)t;
    out[0] =
        (struct http_header){ SLICE("Accept"), SLICE("application/json, application/xml, text/xml;q=0.9, */*;q=0.1") };
    return 1;
}

const struct kind kind_http = { "http", true, false, compile, decorate };
