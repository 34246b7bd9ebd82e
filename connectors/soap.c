/* The kind `soap`: POST of an envelope that translate renders. What is the transport's: the SOAPAction header of SOAP
 * 1.1 (section 6.1.1); in 1.2 the action is a parameter of the content type, which translate makes. */
#include "connectors/internal.h"

/* "namespace#name" unless the operation names its action. */
static void compile(struct target_compile *c)
{
    const struct doc *op = doc_get(c->map, "operation");
    struct slice action = doc_text(op, "action"), ns = doc_text(op, "namespace"), name = doc_text(op, "name");
    char *text;

    c->t->soap12 = slice_is(doc_text(op, "soap"), "1.2");
    if (op == NULL || c->t->soap12)
        return;
    text = action.n > 0 ? arena_printf(&c->t->arena, "\"%.*s\"", SLICE_ARG(action))
                        : arena_printf(&c->t->arena, "\"%.*s#%.*s\"", SLICE_ARG(ns), SLICE_ARG(name));
    c->nomem = c->nomem || text == NULL;
    c->t->soap_action = slice_of(text);
    for (size_t i = 1; i + 1 < c->t->soap_action.n; i++) {
        unsigned char ch = (unsigned char)text[i];
        if (ch > 0x20 && ch < 0x7F && ch != '"' && ch != '\\')
            continue;
        TARGET_BAD(c, target_at(op, action.n > 0 ? "action" : "namespace"),
                   "the SOAPAction header is made of printable ASCII without quotes: write another operation.action",
                   "SOAPAction 请求头须为不含引号的可打印 ASCII：请另写 operation.action");
        return;
    }
}

static size_t decorate(const struct connector_target *t, struct http_header *out)
{
    out[0] = (struct http_header){ SLICE("Accept"), t->soap12 ? SLICE("application/soap+xml") : SLICE("text/xml") };
    out[1] = (struct http_header){ SLICE("SOAPAction"), t->soap_action };
    return t->soap_action.n > 0 ? 2 : 1;
}

const struct kind kind_soap = { "soap", false, true, compile, decorate };
