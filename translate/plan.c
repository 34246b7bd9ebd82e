/* A manifest into a plan: the request by request.c, the response by plan_response.c, and what both share. Both are
 * compiled even when the first is wrong, so that a person sees everything at once. */
#include "translate/plan.h"
#include <stdatomic.h>

static struct slice answer_ns(struct arena *a, struct slice resource, uint64_t version)
{
    struct slice name = resource, department = slice_cut(&name, '/');
    char *text = arena_printf(a, "urn:sluice:%.*s:%.*s:%llu", SLICE_ARG(department), SLICE_ARG(name),
                              (unsigned long long)version);

    return slice_of(text);
}

static struct slice json_head(struct arena *a, struct slice resource)
{
    struct buf text = BUF_INIT(4096);

    buf_puts(&text, "{\"resource\":\"");
    json_escape(&text, resource);
    buf_puts(&text, "\",\"records\":[");
    struct slice s = text.failed == ERR_OK ? arena_dup(a, buf_slice(&text)) : (struct slice){ NULL, 0 };
    buf_done(&text);
    return s;
}

enum err translate_compile(const struct doc *manifest, const struct translate_item *items, size_t n,
                           struct slice resource, uint64_t version, struct arena *a, struct diags *d,
                           const struct translate_plan **ret)
{
    static atomic_uint_fast64_t compiled;
    struct translate_plan *p = arena_zalloc(a, sizeof *p);

    if (p == NULL)
        return ERR_NOMEM;
    p->resource = arena_dup(a, resource);
    p->xmlns = answer_ns(a, resource, version);
    p->json_head = json_head(a, p->resource);
    p->version = version;
    p->serial = atomic_fetch_add(&compiled, 1) + 1;
    p->items = items;
    p->n_items = n;
    enum err request = request_compile(manifest, items, n, a, d, &p->request);
    enum err response = response_compile(manifest, items, n, a, d, &p->response);
    if (request != ERR_OK || response != ERR_OK)
        return request != ERR_OK ? request : response;
    if (p->resource.p == NULL || p->xmlns.n == 0 || p->json_head.n == 0)
        return ERR_NOMEM;
    *ret = p;
    return ERR_OK;
}
