/* The body of a provider's request: XML with its SOAP envelope, or JSON, from the plan's tree and the values of its
 * rows. */
#include "translate/event.h"
#include "translate/request_compile.h"
#include "translate/request_render.h"

/* ---- what is written at all ---- */

/* A leaf when it has a value, any other node when something below it has, so that optional groups vanish as a whole. */
static bool present(const struct render *d, const struct plan_node *n)
{
    if (n->row != NULL && render_value(d, n->row)->given)
        return true;
    for (const struct plan_node *k = n->first; k != NULL; k = k->next)
        if (present(d, k))
            return true;
    return false;
}

/* ---- XML ---- */

struct escape {
    char c;
    const char *text;
};
/* CR would be read back as LF, and white space in attributes as blanks (XML 1.0 sections 2.11 and 3.3.3). */
static const struct escape text_escapes[] = {
    { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '\r', "&#13;" }, { 0, NULL }
};
static const struct escape attr_escapes[] = { { '&', "&amp;" }, { '<', "&lt;" },   { '>', "&gt;" },   { '"', "&quot;" },
                                              { '\t', "&#9;" }, { '\n', "&#10;" }, { '\r', "&#13;" }, { 0, NULL } };

static void put_escaped(struct buf *out, struct slice s, const struct escape *table)
{
    size_t from = 0;

    for (size_t i = 0; i < s.n; i++) {
        const struct escape *e = table;

        while (e->text != NULL && e->c != s.p[i])
            e++;
        if (e->text == NULL)
            continue;
        buf_put(out, slice_sub(s, from, i - from));
        buf_puts(out, e->text);
        from = i + 1;
    }
    buf_put(out, slice_sub(s, from, s.n - from));
}

static enum err put_value(struct render *d, struct buf *out, const struct plan_row *row, const struct escape *table)
{
    struct slice v = render_value(d, row)->text;

    if (!xml_text_ok(v))
        return render_refuse(d, row, "holds a control character, which XML cannot carry", "含 XML 无法表示的控制字符");
    put_escaped(out, v, table);
    return ERR_OK;
}

static void put_name(struct buf *out, const struct plan_node *n)
{
    if (n->ns != NULL) {
        buf_put(out, n->ns->prefix);
        buf_putc(out, ':');
    }
    buf_put(out, n->name);
}

static void put_namespaces(struct buf *out, const struct plan_ns *ns)
{
    for (; ns != NULL; ns = ns->next) {
        buf_puts(out, " xmlns:");
        buf_put(out, ns->prefix);
        buf_puts(out, "=\"");
        put_escaped(out, ns->uri, attr_escapes);
        buf_putc(out, '"');
    }
}

static enum err put_attributes(struct render *d, struct buf *out, const struct plan_node *n)
{
    enum err e = ERR_OK;

    for (const struct plan_node *k = n->first; k != NULL && e == ERR_OK; k = k->next) {
        if (!k->attr || !present(d, k))
            continue;
        buf_putc(out, ' ');
        put_name(out, k);
        buf_puts(out, "=\"");
        e = put_value(d, out, k->row, attr_escapes);
        buf_putc(out, '"');
    }
    return e;
}

static enum err put_element(struct render *d, struct buf *out, const struct plan_node *n, bool root)
{
    enum err e;

    if (!root && !present(d, n))
        return ERR_OK;
    buf_putc(out, '<');
    put_name(out, n);
    if (root)
        put_namespaces(out, d->r->ns);
    e = put_attributes(d, out, n);
    buf_putc(out, '>');
    if (e == ERR_OK && n->row != NULL && render_value(d, n->row)->given)
        e = put_value(d, out, n->row, text_escapes);
    for (const struct plan_node *k = n->first; k != NULL && e == ERR_OK; k = k->next)
        if (!k->attr)
            e = put_element(d, out, k, false);
    buf_puts(out, "</");
    put_name(out, n);
    buf_putc(out, '>');
    return e;
}

static const char *const envelopes[] = {
    [SOAP_1_1] = "http://schemas.xmlsoap.org/soap/envelope/",
    [SOAP_1_2] = "http://www.w3.org/2003/05/soap-envelope",
};

static enum err put_xml(struct render *d, struct buf *out)
{
    enum err e = ERR_OK;

    buf_printf(out, "<?xml version=\"1.0\" encoding=\"%s\"?>",
               d->r->encoding == ENCODING_GB18030 ? "GB18030" : "UTF-8");
    if (d->r->soap != SOAP_NONE)
        buf_printf(out, "<soap:Envelope xmlns:soap=\"%s\"><soap:Body>", envelopes[d->r->soap]);
    for (const struct plan_node *n = d->r->root->first; n != NULL && e == ERR_OK; n = n->next)
        e = put_element(d, out, n, true);
    if (d->r->soap != SOAP_NONE)
        buf_puts(out, "</soap:Body></soap:Envelope>");
    return e;
}

/* ---- JSON ---- */

static enum err put_scalar(struct render *d, struct json *j, const struct plan_row *row)
{
    struct slice v = render_value(d, row)->text;

    switch (row->as) {
    case AS_STRING:
        json_str(j, v);
        return ERR_OK;
    case AS_NUMBER:
        if (!json_number_valid(v))
            return render_refuse(d, row, "is no number", "不是数字");
        json_raw(j, v);
        return ERR_OK;
    case AS_BOOLEAN:
        if (!slice_is(v, "true") && !slice_is(v, "false"))
            return render_refuse(d, row, "is neither true nor false", "须为 true 或 false");
        json_raw(j, v);
        return ERR_OK;
    case AS_NULL:
        json_null(j);
        return ERR_OK;
    }
    return ERR_INVALID;
}

static enum err put_members(struct render *d, struct json *j, const struct plan_node *n)
{
    enum err e = ERR_OK;

    json_open(j, '{');
    for (const struct plan_node *k = n->first; k != NULL && e == ERR_OK; k = k->next) {
        if (!present(d, k))
            continue;
        json_key_slice(j, k->name);
        e = k->row != NULL ? put_scalar(d, j, k->row) : put_members(d, j, k);
    }
    if (e == ERR_OK)
        json_close(j, '}');
    return e;
}

enum err render_body(struct render *d, struct buf *out)
{
    struct json j;
    enum err e = ERR_OK;

    if (d->r->body == BODY_XML)
        e = put_xml(d, out);
    if (d->r->body == BODY_JSON) {
        json_init(&j, out);
        e = put_members(d, &j, d->r->root);
    }
    return e != ERR_OK ? e : out->failed;
}
