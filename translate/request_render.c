/* translate_render: the values of one exchange into the provider's request. Everything is composed in UTF-8, then
 * encoded as the plan says. What a parameter's value cannot become is refused with the parameter's name, never with the
 * value. */
#include "translate/plan.h"
#include "translate/request_render.h"

enum { RENDER_TARGET_MAX = 16384, RENDER_FIRST = 1024 /* bytes on the stack */ };

bool translate_safe(const struct translate_plan *p)
{
    return p->request->safe;
}

bool translate_asks_now(const struct translate_plan *p)
{
    for (size_t i = 0; i < p->request->n_rows; i++)
        if (p->request->rows[i].source == SOURCE_NOW)
            return true;
    return false;
}

bool translate_param_at(const struct translate_plan *p, size_t i, struct slice *name, bool *required, uint8_t *level)
{
    const struct plan_param *m;

    if (i >= p->request->n_params)
        return false;
    m = &p->request->params[i];
    *name = m->name;
    *required = m->required;
    *level = m->level;
    return true;
}

/* ---- refusals ---- */

enum err request_refuse(struct translate_refusal *why, struct arena *a, enum reason reason, struct slice name,
                        const char *en, const char *zh)
{
    const char *text[2] = { arena_printf(a, "%.*s %s", SLICE_ARG(name), en),
                            arena_printf(a, "%.*s %s", SLICE_ARG(name), zh) };

    why->reason = reason;
    why->detail[LANG_EN] = text[LANG_EN] != NULL ? text[LANG_EN] : en;
    why->detail[LANG_ZH] = text[LANG_ZH] != NULL ? text[LANG_ZH] : zh;
    return ERR_INVALID;
}

/* What the person who asked can mend, by source. */
static const struct {
    struct slice name;
    enum reason reason;
} blame[] = {
    [SOURCE_CONST] = { { "const", 5 }, REASON_INTERNAL },
    [SOURCE_OPERATOR] = { { "Sluice-Operator", 15 }, REASON_HEADER_INVALID },
    [SOURCE_CASE] = { { "Sluice-Case", 11 }, REASON_HEADER_INVALID },
    [SOURCE_APP] = { { "app", 3 }, REASON_INTERNAL },
    [SOURCE_DEPARTMENT] = { { "department", 10 }, REASON_INTERNAL },
    [SOURCE_PURPOSE] = { { "Sluice-Purpose", 14 }, REASON_PURPOSE_MISSING },
    [SOURCE_EXCHANGE] = { { "exchange", 8 }, REASON_INTERNAL },
    [SOURCE_NOW] = { { "now", 3 }, REASON_INTERNAL },
};

enum err render_refuse(struct render *d, const struct plan_row *row, const char *en, const char *zh)
{
    if (row->source == SOURCE_PARAM)
        return request_refuse(d->why, d->a, REASON_PARAMETER_INVALID, d->r->params[row->param].name, en, zh);
    return request_refuse(d->why, d->a, blame[row->source].reason, blame[row->source].name, en, zh);
}

/* ---- values ---- */

static struct slice context_value(const struct translate_context *c, enum plan_source source)
{
    switch (source) {
    case SOURCE_OPERATOR:
        return c->operator_;
    case SOURCE_CASE:
        return c->case_;
    case SOURCE_APP:
        return c->app;
    case SOURCE_DEPARTMENT:
        return c->department;
    case SOURCE_PURPOSE:
        return c->purpose;
    case SOURCE_EXCHANGE:
        return c->exchange;
    case SOURCE_NOW:
        return c->now;
    default:
        return (struct slice){ 0 };
    }
}

static struct render_value param_value(const struct render *d, uint8_t param)
{
    struct slice name = d->r->params[param].name;

    for (size_t i = 0; i < d->params->n; i++)
        if (slice_eq(d->params->at[i].name, name))
            return (struct render_value){ d->params->at[i].value, true };
    return (struct render_value){ 0 };
}

static enum err gather(struct render *d)
{
    for (size_t i = 0; i < d->r->n_rows; i++) {
        const struct plan_row *row = &d->r->rows[i];
        struct render_value v = { row->text, true };

        if (row->source == SOURCE_PARAM) {
            v = param_value(d, row->param);
        } else if (row->source != SOURCE_CONST) {
            v.text = context_value(d->context, row->source);
            v.given = v.text.n > 0;
        }
        if (v.text.n == 0 && (row->required || (row->source == SOURCE_PARAM && d->r->params[row->param].required)))
            return render_refuse(d, row, "is missing: the provider needs it", "缺失：提供方需要此值");
        if (!utf8_valid(v.text))
            return render_refuse(d, row, "is not valid UTF-8", "不是合法的 UTF-8");
        d->values[i] = v;
    }
    return ERR_OK;
}

/* ---- target ---- */

static enum err refuse_segment(struct render *d, const struct plan_row *row)
{
    return render_refuse(d, row,
                         "cannot stand in a path: it is empty, dots only, or holds a slash or control character",
                         "不能置于路径中：为空、仅含点号，或含斜杠、控制字符");
}

static enum err put_escaped(struct render *d, const struct plan_row *row, struct slice text, struct buf *out)
{
    struct buf coded = BUF_INIT(4 * RENDER_TARGET_MAX);
    enum err e = render_encode(d->r->encoding, text, &coded);

    if (e == ERR_INVALID)
        e = render_refuse(d, row, "holds a character that the provider's encoding lacks", "含提供方字符集没有的字符");
    if (e == ERR_OK && row->target == TARGET_PATH && !request_segment_bytes_ok(buf_slice(&coded)))
        e = refuse_segment(d, row);
    else if (e == ERR_OK)
        percent_put(out, buf_slice(&coded));
    buf_done(&coded);
    return e;
}

static enum err put_path(struct render *d, struct buf *out)
{
    enum err e = ERR_OK;

    for (size_t i = 0; i < d->r->n_path && e == ERR_OK; i++) {
        const struct plan_row *row = d->r->path[i].row;

        buf_put(out, d->r->path[i].text);
        if (row == NULL)
            continue;
        e = request_segment_ok(render_value(d, row)->text) ? put_escaped(d, row, render_value(d, row)->text, out)
                                                           : refuse_segment(d, row);
    }
    return e;
}

static enum err put_query(struct render *d, struct buf *out)
{
    char mark = '?';
    enum err e = ERR_OK;

    for (size_t i = 0; i < d->r->n_rows && e == ERR_OK; i++) {
        const struct plan_row *row = &d->r->rows[i];

        if (row->target != TARGET_QUERY || !d->values[i].given)
            continue;
        buf_putc(out, mark);
        mark = '&';
        e = put_escaped(d, row, row->name, out);
        buf_putc(out, '=');
        if (e == ERR_OK)
            e = put_escaped(d, row, d->values[i].text, out);
    }
    return e;
}

/* ---- headers ---- */

/* ASCII goes as it is; any other value as percent-encoded UTF-8 as a whole, like Sluice-Operator (DESIGN.md, data
 * listener). */
static enum err put_header(struct render *d, const struct plan_row *row, struct translate_header *ret)
{
    struct slice v = render_value(d, row)->text;
    struct buf coded = BUF_INIT(3 * 65536 * 4);
    bool ascii = true;

    if (!request_header_ok(v))
        return render_refuse(d, row, "holds a control character, which a header cannot carry",
                             "含请求头无法承载的控制字符");
    for (size_t i = 0; i < v.n; i++)
        ascii = ascii && (unsigned char)v.p[i] < 0x80;
    if (!ascii)
        percent_put(&coded, v);
    *ret = (struct translate_header){ row->name, ascii ? v : arena_dup(d->a, buf_slice(&coded)) };
    buf_done(&coded);
    return ret->value.p == NULL && v.n > 0 ? ERR_NOMEM : ERR_OK;
}

static enum err put_headers(struct render *d, struct translate_request *ret)
{
    enum err e = ERR_OK;

    for (size_t i = 0; i < d->r->n_rows && e == ERR_OK; i++)
        if (d->r->rows[i].target == TARGET_HEADER && d->values[i].given && d->values[i].text.n > 0)
            e = put_header(d, &d->r->rows[i], &ret->headers[ret->n_headers++]);
    return e;
}

/* ---- body ---- */

/* Which value cannot be encoded: asked only when the whole could not. */
static enum err refuse_encoding(struct render *d, struct buf *scratch)
{
    for (size_t i = 0; i < d->r->n_rows; i++) {
        buf_clear(scratch);
        if (render_encode(d->r->encoding, d->values[i].text, scratch) == ERR_INVALID)
            return render_refuse(d, &d->r->rows[i], "holds a character that the provider's encoding lacks",
                                 "含提供方字符集没有的字符");
    }
    return request_refuse(d->why, d->a, REASON_INTERNAL, SLICE("request"),
                          "has a name that the provider's encoding lacks", "含提供方字符集没有的名称");
}

static enum err too_large(struct render *d)
{
    return request_refuse(d->why, d->a, REASON_REQUEST_TOO_LARGE, SLICE("request"), "to the provider exceeds its limit",
                          "超过发往提供方的上限");
}

/* Bounded by the arena that it will lie in. */
static enum err make_body(struct render *d, struct translate_request *ret)
{
    size_t most = (d->a->cap - d->a->used) & ~(size_t)15; /* pieces are rounded up to 16 */
    struct buf utf8, coded = BUF_INIT(most);
    const struct buf *out = &utf8;
    char first[RENDER_FIRST];

    buf_init_with(&utf8, most, first, sizeof first);
    enum err e = render_body(d, &utf8);
    if (e == ERR_OK && d->r->encoding != ENCODING_UTF8) {
        out = &coded;
        e = render_encode(d->r->encoding, buf_slice(&utf8), &coded);
        if (e == ERR_INVALID)
            e = refuse_encoding(d, &coded);
    }
    if (e == ERR_OK) {
        ret->body = arena_dup(d->a, buf_slice(out));
        e = ret->body.p != NULL || out->n == 0 ? ERR_OK : ERR_NOMEM;
    }
    buf_done(&utf8);
    buf_done(&coded);
    return e == ERR_TOO_LARGE ? too_large(d) : e;
}

static enum err make_target(struct render *d, struct translate_request *ret)
{
    char first[RENDER_FIRST];
    struct buf out;

    buf_init_with(&out, RENDER_TARGET_MAX, first, sizeof first);
    enum err e = put_path(d, &out);
    if (e == ERR_OK)
        e = put_query(d, &out);
    if (e == ERR_OK)
        e = out.failed;
    if (e == ERR_OK) {
        ret->target = arena_dup(d->a, buf_slice(&out));
        e = ret->target.p != NULL || out.n == 0 ? ERR_OK : ERR_NOMEM;
    }
    buf_done(&out);
    return e == ERR_TOO_LARGE ? too_large(d) : e;
}

enum err translate_render(const struct translate_plan *p, const struct translate_params *params,
                          const struct translate_context *c, struct arena *a, struct translate_request *ret,
                          struct translate_refusal *why)
{
    struct render d;
    enum err e;

    d.r = p->request;
    d.params = params;
    d.context = c;
    d.a = a;
    d.why = why;
    *ret = (struct translate_request){ .method = p->request->method, .content_type = p->request->content_type };
    e = gather(&d);
    if (e == ERR_OK)
        e = make_target(&d, ret);
    if (e == ERR_OK)
        e = put_headers(&d, ret);
    if (e == ERR_OK && p->request->body != BODY_NONE)
        e = make_body(&d, ret);
    return e;
}
