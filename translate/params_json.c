/* Parameters from the body of a POST: one JSON object of strings, numbers and booleans. A sink of the JSON reader that
 * knows where it is by two flags: inside the root object, inside the list of `_items`. Decoded values are gathered in
 * one arena run as long as the body, for none grows by decoding. */
#include "translate/json_reader_state.h"
#include "translate/params.h"

struct body_read {
    struct params_read d;
    char *at;       /* where the next decoded byte goes */
    char *value;    /* where the present value began */
    unsigned depth; /* of open elements: 1 the root object, 2 a member */
    int index;      /* of the present member */
    bool list;      /* inside the array of _items */
    bool second;    /* its first element has begun */
    bool scalar;    /* the present member has given text */
};

static enum err refuse_shape(struct body_read *b)
{
    return params_refuse(&b->d, REASON_PARAMETER_INVALID,
                         "the body is one JSON object of strings, numbers and booleans",
                         "正文须为一个 JSON 对象，成员为字符串、数字或布尔值");
}

static enum err on_open(void *self, struct slice ns, struct slice name)
{
    struct body_read *b = self;

    (void)ns;
    b->scalar = false;
    if (++b->depth == 1)
        return ERR_OK;
    if (b->depth > 2)
        return refuse_shape(b);
    if (b->list) {
        if (b->second)
            *b->at++ = ','; /* there is room: the array's own comma */
        b->second = true;
        return ERR_OK;
    }
    b->value = b->at;
    return params_name(&b->d, name, &b->index);
}

static enum err on_text(void *self, enum scalar kind, struct slice piece)
{
    struct body_read *b = self;

    if (b->depth != 2 || kind == SCALAR_NULL || (b->index == PARAMS_ITEMS && kind != SCALAR_TEXT))
        return refuse_shape(b);
    memcpy(b->at, piece.p, piece.n);
    b->at += piece.n;
    b->scalar = true;
    return ERR_OK;
}

static enum err end_value(struct body_read *b)
{
    return params_value(&b->d, b->index, slice_make(b->value, (size_t)(b->at - b->value)));
}

static enum err on_close(void *self)
{
    struct body_read *b = self;

    if (--b->depth == 0 || b->list)
        return ERR_OK;
    return b->scalar ? end_value(b) : refuse_shape(b);
}

static enum err on_list(void *self, struct slice name, bool begins, bool inner)
{
    struct body_read *b = self;
    enum err e;

    (void)inner;
    if (b->depth != 1 || !slice_is(name, "_items") || (begins && b->list))
        return refuse_shape(b);
    b->list = begins;
    if (!begins)
        return end_value(b);
    b->value = b->at;
    e = params_name(&b->d, name, &b->index);
    return e;
}

static const struct event_sink sink = { .open = on_open, .text = on_text, .close = on_close, .list = on_list };

static enum err refuse_text(struct body_read *b, enum err e, uint64_t offset)
{
    const char *en, *zh;

    if (e == ERR_INVALID)
        return params_refuse(&b->d, REASON_PARAMETER_INVALID, "a parameter is given twice", "参数重复提交");
    if (e == ERR_TOO_LARGE)
        return params_refuse(&b->d, REASON_REQUEST_TOO_LARGE, "the body is nested too deeply or too long",
                             "正文嵌套过深或过长");
    en = arena_printf(b->d.a, "the body is not well-formed JSON: see byte %llu", (unsigned long long)offset);
    zh = arena_printf(b->d.a, "正文不是合法的 JSON：见第 %llu 字节", (unsigned long long)offset);
    return params_refuse(&b->d, REASON_PARAMETER_INVALID, en ? en : "the body is not well-formed JSON",
                         zh ? zh : "正文不是合法的 JSON");
}

/* Reads the whole body; a refusal by the sink stands, one by the reader is put into words. */
static enum err read_body(struct body_read *b, struct slice body)
{
    struct json_reader r;    /* 20 KiB of stack, of which a flat body touches few */
    struct json_known names; /* of the one object there may be: lent to the reader */
    enum err e;

    json_reader_init(&r, &sink, b);
    names.n = names.used = 0;
    r.keys.known[0] = &names;
    e = json_reader_feed(&r, body);
    if (e == ERR_OK)
        e = json_reader_finish(&r);
    if (e != ERR_OK && e != ERR_NOMEM && b->d.why->detail[LANG_EN] == NULL)
        e = refuse_text(b, e, json_reader_offset(&r));
    r.keys.known[0] = NULL;
    json_reader_done(&r);
    return e;
}

enum err translate_params_json(const struct translate_plan *p, struct slice body, struct arena *a,
                               struct translate_params *ret, struct slice *ret_items, struct translate_refusal *why)
{
    struct body_read b = { .d = { .r = p->request, .a = a, .why = why } };
    enum err e;

    *why = (struct translate_refusal){ 0 };
    b.at = arena_alloc(a, body.n + 1);
    if (b.at == NULL)
        return ERR_NOMEM;
    b.value = b.at;
    e = read_body(&b, body);
    return e != ERR_OK ? e : params_done(&b.d, ret, ret_items);
}
