/* Whatever a provider sends, through a mapping with nested documents, predicates and lists, in pieces whose size the
 * input picks: the run ends without a fault, an answer that was finished is settled, and pieces make no difference to
 * what comes out. Byte 0: bits 0-1 the manifest, bits 2-3 the form, bit 4 an error status; byte 1: the size of pieces.
 */
#include <stdlib.h>
#include "tests/unit/translate/answer_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const manifests[] = {
    "id: d/soap\n"
    "format: {class: interface, type: soap}\n"
    "items: [{name: a, type: C, length: 4, mask: name}, {name: d, type: D}, {name: l, type: list, items: [{name: b, "
    "type: T}]}]\n"
    "connector: {kind: soap, endpoint: 'http://x.example/', operation: {namespace: 'urn:h', name: Q, soap: '1.1'}}\n"
    "request: {params: [{param: a, to: '/h:Q/h:a'}]}\n"
    "response:\n"
    "  namespaces: {h: 'urn:h'}\n"
    "  nested: [/h:R/h:r]\n"
    "  success: {at: /P/C, ok: ['0'], not_found: ['1']}\n"
    "  records: /P/D/R\n"
    "  map: {a: '@A', d: d, l: {at: l/e, map: {b: .}}}\n",
    "id: d/xml\n"
    "format: {class: interface, type: xml}\n"
    "items: [{name: a, type: G}, {name: b, type: I}, {name: c, type: F}, {name: d, type: L}, {name: e, type: N}]\n"
    "connector: {kind: http, endpoint: 'http://x.example/'}\n"
    "request: {params: []}\n"
    "response:\n"
    "  records: /a/r\n"
    "  map: {a: 'f[@k=''a'']', b: 'f[@k=''b'']/@v', c: 'g[2]', d: 'f[@k=''a''][2]', e: '@e'}\n",
    "id: d/json\n"
    "format: {class: interface, type: json}\n"
    "items: [{name: a, type: C}, {name: b, type: I}, {name: l, type: list, items: [{name: s, type: C, mask: "
    "id-card}]}]\n"
    "connector: {kind: http, endpoint: 'http://x.example/'}\n"
    "request: {params: []}\n"
    "response:\n"
    "  success: {at: /code, ok: ['0'], not_found: ['1']}\n"
    "  records: /data\n"
    "  map: {a: a, b: b/0, l: {at: l, map: {s: .}}}\n",
};
enum { MANIFESTS = sizeof manifests / sizeof *manifests };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct answer plans[MANIFESTS];
    static bool ready;

    for (size_t i = 0; !ready && i < MANIFESTS; i++)
        if (answer_compile(&plans[i], manifests[i]) != ERR_OK)
            abort();
    ready = true;
    if (n < 2)
        return 0;
    struct answer *f = &plans[(data[0] & 3) % MANIFESTS];
    enum translate_form form = (enum translate_form)((data[0] >> 2 & 3) % 3);
    int status = data[0] & 16 ? 500 : 200;
    struct slice bytes = slice_make(data + 2, n - 2);

    enum err whole = answer_run(f, bytes, 0, form, status, NULL, 7, 0);
    struct slice kept = arena_dup(&f->arena, buf_slice(&f->out));
    struct translate_outcome first = f->outcome;
    if ((whole == ERR_OK) != first.settled || (whole == ERR_OK) != (first.reason == REASON_GRANTED))
        abort();
    enum err cut = answer_run(f, bytes, data[1] + 1u, form, status, NULL, 7, 0);
    if ((whole == ERR_OK) != (cut == ERR_OK))
        abort();
    if (whole == ERR_OK &&
        (!slice_eq(kept, buf_slice(&f->out)) || first.rows != f->outcome.rows || !utf8_valid(buf_slice(&f->out))))
        abort();
    static unsigned runs;
    if (++runs % 100000 == 0) { /* the copies lie in the arenas of the plans */
        for (size_t i = 0; i < MANIFESTS; i++)
            answer_done(&plans[i]);
        ready = false;
    }
    return 0;
}
