/* Parameters of a consumer: the rules that hold in whatever form they come, and the query-string form.
 * No text here holds anything that the consumer sent: undeclared names are told by their number, for a person may have
 * put a value where a name belongs. */
#include "translate/params.h"
#include <stdio.h>

enum {
    ITEMS_TEXT_MAX = 16384,
    LEVEL_PERSON = 3,
    ID_LEAST = 15,
    ID_DIGITS = 17 /* of the two identity numbers, without the X */
};

enum err params_refuse(struct params_read *d, enum reason reason, const char *en, const char *zh)
{
    *d->why = (struct translate_refusal){ .reason = reason, .detail = { en, zh } };
    return ERR_INVALID;
}

int params_find(const struct params_read *d, struct slice name)
{
    for (size_t i = 0; i < d->r->n_params; i++)
        if (slice_eq(d->r->params[i].name, name))
            return (int)i;
    return slice_is(name, "_items") ? PARAMS_ITEMS : PARAMS_UNKNOWN;
}

/* "id_no, kind": what may be given. */
static struct slice declared(const struct params_read *d, struct buf *out)
{
    for (size_t i = 0; i < d->r->n_params; i++) {
        buf_puts(out, i != 0 ? ", " : "");
        buf_put(out, d->r->params[i].name);
    }
    if (d->r->n_params == 0)
        buf_puts(out, "-");
    return buf_slice(out);
}

static enum err refuse_unknown(struct params_read *d)
{
    struct buf names = BUF_INIT(REQUEST_PARAMS_MAX * 70);
    struct slice s = declared(d, &names);
    const char *en =
        arena_printf(d->a, "parameter number %u is not declared; declared are: %.*s", d->members, SLICE_ARG(s));
    const char *zh = arena_printf(d->a, "第 %u 个参数未声明；已声明：%.*s", d->members, SLICE_ARG(s));

    buf_done(&names);
    return params_refuse(d, REASON_PARAMETER_INVALID, en ? en : "a parameter is not declared", zh ? zh : "参数未声明");
}

static struct slice name_at(const struct params_read *d, int index)
{
    return index == PARAMS_ITEMS ? SLICE("_items") : d->r->params[index].name;
}

static enum err refuse_at(struct params_read *d, int index, const char *en, const char *zh)
{
    return request_refuse(d->why, d->a, REASON_PARAMETER_INVALID, name_at(d, index), en, zh);
}

enum err params_name(struct params_read *d, struct slice name, int *ret)
{
    int i = params_find(d, name);

    d->members++;
    *ret = i;
    if (i == PARAMS_UNKNOWN)
        return refuse_unknown(d);
    if (i == PARAMS_ITEMS ? d->items_given : (d->given >> i & 1) != 0)
        return refuse_at(d, i, "is given twice", "重复提交");
    if (i == PARAMS_ITEMS)
        d->items_given = true;
    else
        d->given |= UINT32_C(1) << i;
    return ERR_OK;
}

/* "a,b": names without gaps; which of them are granted is not ours to say. */
static enum err items_value(struct params_read *d, struct slice value)
{
    struct slice rest = value;

    if (value.n == 0 || value.n > ITEMS_TEXT_MAX || slice_ends(value, SLICE(",")))
        return refuse_at(d, PARAMS_ITEMS, "names no items: write a,b or leave it out",
                         "未写明数据项：请写作 a,b 或不填");
    while (rest.n > 0)
        if (slice_trim(slice_cut(&rest, ',')).n == 0)
            return refuse_at(d, PARAMS_ITEMS, "has an empty name between commas", "逗号之间有空名称");
    d->items = value;
    return ERR_OK;
}

/* The one form that the standard has: a provider compares bytes. */
static enum err small_x_folded(struct arena *a, struct slice *value)
{
    char *p = arena_str(a, *value);

    if (p == NULL)
        return ERR_NOMEM;
    p[value->n - 1] = 'X';
    value->p = p;
    return ERR_OK;
}

/* As people write it too: with blanks or hyphens inside, which are no part of it. Not so of the 15 digits of the first
 * generation, which have no check digit: in groups they may well be another number. */
static bool holds_id_card(struct slice text)
{
    char mem[PERSON_ROOM];
    size_t digits = 0;

    for (size_t at = 0; at < text.n; at = utf8_next(text, at)) {
        uint32_t c = utf8_at(text, at);
        digits += (c >= '0' && c <= '9') || (c >= 0xff10 && c <= 0xff19);
    }
    return text_holds_id_card(text) || (digits >= ID_DIGITS && text_holds_id_card(person_fold(text, mem)));
}

enum err params_value(struct params_read *d, int index, struct slice value)
{
    const struct plan_param *p;
    char en[64], zh[64];

    if (index == PARAMS_ITEMS)
        return items_value(d, value);
    p = &d->r->params[index];
    if (utf8_count(value) > p->max) {
        (void)snprintf(en, sizeof en, "is longer than %u characters", p->max);
        (void)snprintf(zh, sizeof zh, "超过 %u 个字符", p->max);
        return refuse_at(d, index, en, zh);
    }
    if (value.n > 0 && p->check != NULL && !p->check->ok(value)) {
        (void)snprintf(en, sizeof en, "is not a valid %s", p->check->what[LANG_EN]);
        (void)snprintf(zh, sizeof zh, "不是合法的%s", p->check->what[LANG_ZH]);
        return refuse_at(d, index, en, zh);
    }
    /* Below that level a value is recorded as it came. */
    if (p->level < LEVEL_PERSON && value.n >= ID_LEAST && holds_id_card(value))
        return refuse_at(d, index, "holds an identity number, which only a parameter of level 3 or 4 may",
                         "含公民身份号码，仅 3 级或 4 级参数可以传递");
    d->values[index] = value;
    if (value.n > 0 && p->check != NULL && p->check->small_x && value.p[value.n - 1] == 'x')
        return small_x_folded(d->a, &d->values[index]);
    return ERR_OK;
}

enum err params_done(struct params_read *d, struct translate_params *ret, struct slice *ret_items)
{
    size_t n = 0;

    for (size_t i = 0; i < d->r->n_params; i++) {
        const struct plan_param *p = &d->r->params[i];
        bool given = (d->given >> i & 1) != 0;

        if (p->required && (!given || d->values[i].n == 0))
            return refuse_at(d, (int)i, given ? "is empty, but required" : "is missing",
                             given ? "为必填项，不能为空" : "缺失");
        if (given)
            ret->at[n++] = (struct translate_param){ p->name, d->values[i], p->level, p->level >= LEVEL_PERSON };
    }
    ret->n = n;
    *ret_items = d->items_given && d->items.p == NULL ? SLICE("") : d->items; /* {NULL, 0} only when not given */
    return ERR_OK;
}

/* ---- the query string ---- */

/* Of its bytes as they came, escaped or not, each digit of an identity number takes one at least that is a digit. */
static bool may_hold_id_card(struct slice raw)
{
    unsigned digits = 0;

    for (size_t i = 0; raw.n >= ID_LEAST && i < raw.n; i++)
        digits += raw.p[i] >= '0' && raw.p[i] <= '9';
    return digits >= ID_LEAST;
}

/* An identity number anywhere in the pair, its name included. */
static enum err refuse_number(struct params_read *d, struct slice pair)
{
    struct slice text;
    enum err e;

    if (!may_hold_id_card(pair))
        return ERR_OK;
    e = percent_read(pair, true, d->a, &text);
    if (e == ERR_NOMEM)
        return e;
    if (!holds_id_card(e == ERR_OK ? text : pair))
        return ERR_OK;
    return params_refuse(d, REASON_PARAMETER_IN_URL, "the query string holds an identity number",
                         "查询串含公民身份号码");
}

/* Before anything else is said of the query: an identity number in a URL is the one thing its sender must hear about.
 * Names are compared as decoded, so that %69d_no is caught too; of a sensitive one the value is not looked at. */
static enum err refuse_in_url(struct params_read *d, struct slice query)
{
    enum err e = ERR_OK;

    while (e == ERR_OK && query.n > 0) {
        struct slice whole = slice_cut(&query, '&'), pair = whole, name;
        int i = PARAMS_UNKNOWN;

        if (percent_read(slice_cut(&pair, '='), true, d->a, &name) == ERR_OK)
            i = params_find(d, name);
        if (i >= 0 && d->r->params[i].level >= LEVEL_PERSON)
            return request_refuse(d->why, d->a, REASON_PARAMETER_IN_URL, name_at(d, i),
                                  "is sensitive: send it in the body of a POST", "属敏感参数：请置于 POST 正文中");
        e = refuse_number(d, whole);
    }
    return e;
}

static enum err query_pair(struct params_read *d, struct slice pair)
{
    struct slice raw = slice_cut(&pair, '='), name = { 0 }, value = { 0 };
    int i;
    enum err e = percent_read(raw, true, d->a, &name);

    if (e == ERR_OK)
        e = params_name(d, name, &i);
    else if (e != ERR_NOMEM)
        e = params_refuse(d, REASON_PARAMETER_INVALID, "a name in the query string is not percent-encoded UTF-8",
                          "查询串中的参数名不是合法的百分号编码 UTF-8");
    if (e != ERR_OK)
        return e;
    e = percent_read(pair, true, d->a, &value);
    if (e == ERR_NOMEM)
        return e;
    if (e != ERR_OK)
        return refuse_at(d, i, "is not percent-encoded UTF-8", "不是合法的百分号编码 UTF-8");
    return params_value(d, i, value);
}

enum err translate_params_query(const struct translate_plan *p, struct slice query, struct arena *a,
                                struct translate_params *ret, struct slice *ret_items, struct translate_refusal *why)
{
    struct params_read d = { .r = p->request, .a = a, .why = why };
    enum err e;

    *why = (struct translate_refusal){ 0 };
    e = refuse_in_url(&d, query);
    while (e == ERR_OK && query.n > 0) {
        struct slice pair = slice_cut(&query, '&');

        if (pair.n > 0)
            e = query_pair(&d, pair);
    }
    return e != ERR_OK ? e : params_done(&d, ret, ret_items);
}
