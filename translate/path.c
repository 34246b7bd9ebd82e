/* Parser of mapping paths: one pass, no look-back. Every refusal says what is wrong and what to write instead. */
#include "translate/path.h"

#define XML_NS "http://www.w3.org/XML/1998/namespace"
#define XSI_NS "http://www.w3.org/2001/XMLSchema-instance"

struct parse {
    const struct path_scope *c;
    const struct doc *node;
    struct slice s; /* what is left */
};

static enum err refuse(const struct parse *p, const char *en, const char *zh)
{
    return diag_add(p->c->diags, ERR_INVALID, p->node->line, p->node->col, "path \"%.*s\": %s%.0s",
                    "路径 \"%.*s\"：%.0s%s", SLICE_ARG(p->node->text), en, zh);
}

static bool name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool name_char(char c)
{
    return name_start(c) || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

static bool eat(struct parse *p, char c)
{
    if (p->s.n == 0 || p->s.p[0] != c)
        return false;
    p->s = slice_sub(p->s, 1, p->s.n);
    return true;
}

static struct slice eat_name(struct parse *p)
{
    size_t n = 0;

    if (p->s.n > 0 && name_start(p->s.p[0]))
        while (n < p->s.n && name_char(p->s.p[n]))
            n++;
    struct slice name = slice_sub(p->s, 0, n);
    p->s = slice_sub(p->s, n, p->s.n);
    return name;
}

static enum err find_ns(const struct parse *p, struct slice prefix, struct slice *ret)
{
    const struct doc *uri = doc_get_slice(p->c->namespaces, prefix);

    if (uri != NULL && uri->text.n > 0)
        *ret = uri->text;
    else if (slice_is(prefix, "xml"))
        *ret = SLICE(XML_NS);
    else if (slice_is(prefix, "xsi"))
        *ret = SLICE(XSI_NS);
    else
        return diag_add(p->c->diags, ERR_INVALID, p->node->line, p->node->col,
                        "path \"%.*s\": prefix \"%.*s\" is not declared; add it under response.namespaces",
                        "路径 \"%.*s\"：前缀 \"%.*s\" 未声明，请在 response.namespaces 中添加",
                        SLICE_ARG(p->node->text), SLICE_ARG(prefix));
    return ERR_OK;
}

/* [prefix:]name */
static enum err parse_name(struct parse *p, struct slice *ns, struct slice *name)
{
    *ns = (struct slice){ NULL, 0 };
    *name = eat_name(p);
    if (name->n == 0)
        return refuse(
            p,
            "a name is missing; write child steps such as a/b, a/@x, a[@k='v'] or a[1], without * // .. or functions",
            "此处应为名称；请写逐级子元素，如 a/b、a/@x、a[@k='v']、a[1]，不支持 *、//、.. 与函数");
    if (!eat(p, ':'))
        return ERR_OK;
    struct slice prefix = *name;
    *name = eat_name(p);
    if (name->n == 0)
        return refuse(p, "a name is missing after the prefix", "前缀之后缺少名称");
    return find_ns(p, prefix, ns);
}

static enum err parse_attr_predicate(struct parse *p, struct path_step *step)
{
    enum err e = parse_name(p, &step->pred_ns, &step->pred);

    if (e != ERR_OK)
        return e;
    if (!eat(p, '='))
        return refuse(p, "write the predicate as [@name='value']", "谓词请写作 [@name='value']");
    char quote = p->s.n > 0 ? p->s.p[0] : 0;
    if (quote != '\'' && quote != '"')
        return refuse(p, "the value of a predicate needs quotes: [@name='value']", "谓词的值须加引号：[@name='value']");
    p->s = slice_sub(p->s, 1, p->s.n);
    size_t n = slice_find(p->s, quote);
    step->pred_value = slice_sub(p->s, 0, n);
    p->s = slice_sub(p->s, n, p->s.n);
    return eat(p, quote) && eat(p, ']') ? ERR_OK : refuse(p, "the predicate does not end", "谓词未结束");
}

static enum err parse_predicates(struct parse *p, struct path_step *step)
{
    while (eat(p, '[')) {
        if (step->nth != 0 || (step->pred.n > 0 && p->s.n > 0 && p->s.p[0] == '@'))
            return refuse(p, "at most one [@name='value'] and then one [n]",
                          "至多一个 [@name='value']，其后至多一个 [n]");
        if (eat(p, '@')) {
            enum err e = parse_attr_predicate(p, step);
            if (e != ERR_OK)
                return e;
            continue;
        }
        size_t end = slice_find(p->s, ']');
        uint64_t nth;
        if (end == p->s.n || !slice_u64(slice_sub(p->s, 0, end), 1, 1000000, &nth))
            return refuse(p, "write [1], [2], … or [@name='value']", "请写作 [1]、[2]…… 或 [@name='value']");
        step->nth = (uint32_t)nth;
        p->s = slice_sub(p->s, end + 1, p->s.n);
    }
    return ERR_OK;
}

static enum err parse_xml(struct parse *p, struct path *ret)
{
    if (slice_is(p->s, "."))
        return ERR_OK;
    for (;;) {
        enum err e;
        if (eat(p, '@')) {
            ret->attr = true;
            e = parse_name(p, &ret->attr_ns, &ret->attr_name);
            if (e == ERR_OK && p->s.n > 0)
                e = refuse(p, "nothing may follow an attribute", "属性之后不能再有内容");
            return e;
        }
        if (ret->n == PATH_STEPS_MAX)
            return refuse(p, "too many steps", "层级过多");
        struct path_step *step = &ret->steps[ret->n++];
        e = parse_name(p, &step->ns, &step->name);
        if (e == ERR_OK)
            e = parse_predicates(p, step);
        if (e != ERR_OK)
            return e;
        if (p->s.n == 0)
            return ERR_OK;
        if (!eat(p, '/'))
            return refuse(p, "steps are separated by /", "各级之间用 / 分隔");
    }
}

/* ~0 and ~1 of RFC 6901 section 3. */
static enum err unescape(struct parse *p, struct slice token, struct slice *ret)
{
    *ret = token;
    if (slice_find(token, '~') == token.n)
        return ERR_OK;
    char *out = arena_alloc(p->c->arena, token.n);
    size_t n = 0;
    if (out == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < token.n; i++) {
        char c = token.p[i];
        if (c == '~') {
            char next = i + 1 < token.n ? token.p[++i] : 0;
            if (next != '0' && next != '1')
                return refuse(p, "write ~0 for ~ and ~1 for /", "~ 请写作 ~0，/ 请写作 ~1");
            c = next == '0' ? '~' : '/';
        }
        out[n++] = c;
    }
    *ret = slice_make(out, n);
    return ERR_OK;
}

/* A token of digits is a place in an array: the step before it, counted; in an array of arrays, a nameless step. */
static enum err add_index(struct parse *p, struct path *ret, uint64_t index)
{
    if (ret->n == 0 || ret->steps[ret->n - 1].nth != 0) {
        if (ret->n == PATH_STEPS_MAX)
            return refuse(p, "too many steps", "层级过多");
        ret->steps[ret->n++] = (struct path_step){ 0 };
    }
    ret->steps[ret->n - 1].nth = (uint32_t)index + 1;
    return ERR_OK;
}

static enum err parse_json(struct parse *p, struct path *ret, bool absolute)
{
    if (absolute)
        ret->steps[ret->n++] = (struct path_step){ 0 }; /* the root value has no name */
    if (p->s.n == 0 || (!absolute && slice_is(p->s, ".")))
        return ERR_OK;
    if (!absolute)
        (void)eat(p, '/');
    else if (!eat(p, '/'))
        return refuse(p, "begin with /, as in /data/rows", "请以 / 开头，如 /data/rows");
    for (struct slice rest = p->s;;) {
        size_t n = slice_find(rest, '/');
        struct slice token = slice_sub(rest, 0, n);
        uint64_t index;
        enum err e;
        if (slice_u64(token, 0, 999999, &index) && (token.n == 1 || token.p[0] != '0')) {
            e = add_index(p, ret, index);
        } else if (ret->n == PATH_STEPS_MAX) {
            e = refuse(p, "too many steps", "层级过多");
        } else {
            struct path_step *step = &ret->steps[ret->n++];
            e = unescape(p, token, &step->name);
        }
        if (e != ERR_OK || n == rest.n)
            return e;
        rest = slice_sub(rest, n + 1, rest.n);
    }
}

enum err path_parse(const struct path_scope *c, const struct doc *node, bool absolute, struct path *ret)
{
    struct parse p = { c, node, node->text };

    memset(ret, 0, sizeof *ret);
    ret->line = node->line;
    ret->col = node->col;
    if (node->type == DOC_LIST || node->type == DOC_MAP || (node->type == DOC_NULL && !c->json))
        return diag_add(c->diags, ERR_INVALID, node->line, node->col, "a path is expected here, written as text",
                        "此处应为路径文本");
    if (c->json)
        return parse_json(&p, ret, absolute);
    if (absolute && !eat(&p, '/'))
        return refuse(&p, "begin with /, as in /PACKAGE/DATA/RECORD", "请以 / 开头，如 /PACKAGE/DATA/RECORD");
    if (!absolute && p.s.n > 0 && p.s.p[0] == '/')
        return refuse(&p, "paths under map are relative to the record; leave out the first /",
                      "map 中的路径相对于记录，请去掉开头的 /");
    return parse_xml(&p, ret);
}
