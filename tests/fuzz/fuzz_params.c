/* Parameters as a body and as a query string, and the request that is rendered from what was taken. The first byte
 * chooses the manifest. A rendered header or target never holds a line break. */
#include <stdlib.h>
#include "translate/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const manifests[] = {
    "connector: {kind: soap, operation: {namespace: 'urn:h', name: Q}}\n"
    "response: {namespaces: {h: 'urn:h'}}\n"
    "request: {encoding: GB18030, params: [{param: a, required: true, to: '/h:Q/h:a'}, {param: b, to: '/h:Q/h:g/@b'}, "
    "{param: c, level: 1, max: 8, to: 'header:X-C'}, {param: d, level: 1, check: uscc, to: 'query:d'}]}\n",
    "connector: {kind: http, path: '/p/{a}'}\n"
    "request: {params: [{param: a, level: 1, required: true, to: 'path:a'}, {param: b, level: 2, as: number, to: "
    "'json:/x/b'}, "
    "{param: c, level: 1, to: 'json:/x/c'}, {param: d, level: 1, to: 'query:d'}]}\n",
};
static struct translate_plan plans[2];

static void compile_once(void)
{
    static struct arena a;

    if (plans[0].request != NULL)
        return;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < 2; i++) {
        const struct doc *all = NULL;

        if (doc_read_yaml(slice_of(manifests[i]), &a, NULL, &all) != ERR_OK ||
            request_compile(all->first, NULL, 0, &a, NULL, &plans[i].request) != ERR_OK)
            abort();
    }
}

static void must_be_line(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0')
            abort();
}

static void render(const struct translate_plan *p, const struct translate_params *params, struct arena *a)
{
    static const struct translate_context context;
    struct translate_request q;
    struct translate_refusal why = { 0 };
    enum err e = translate_render(p, params, &context, a, &q, &why);

    if (e == ERR_INVALID && (why.detail[0] == NULL || why.detail[1] == NULL))
        abort();
    if (e != ERR_OK)
        return;
    must_be_line(q.target);
    for (size_t i = 0; i < q.n_headers; i++)
        must_be_line(q.headers[i].value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena a;
    struct translate_params params;
    struct translate_refusal why;
    struct slice items, text;
    const struct translate_plan *p;

    if (n < 1)
        return 0;
    compile_once();
    p = &plans[data[0] & 1];
    text = slice_make(data + 1, n - 1);
    arena_init(&a, 4 << 20);
    if (translate_params_json(p, text, &a, &params, &items, &why) == ERR_OK)
        render(p, &params, &a);
    if (translate_params_query(p, text, &a, &params, &items, &why) == ERR_OK)
        render(p, &params, &a);
    arena_done(&a);
    return 0;
}
