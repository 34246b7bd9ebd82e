/* The tree of a request's body: XML elements and attributes, or JSON members, in the order in which the manifest names
 * them. Paths with the same beginning share its nodes. Invariant: a node has a row or children that are not attributes,
 * never both. */
#include "translate/request_compile.h"

struct plan_node *request_tree_child(struct request_compile *c, struct plan_node *under, const struct plan_ns *ns,
                                     struct slice name, bool attr)
{
    struct plan_node *n;

    for (n = under->first; n != NULL; n = n->next)
        if (n->attr == attr && n->ns == ns && slice_eq(n->name, name))
            return n;
    n = arena_zalloc(c->a, sizeof *n);
    if (n == NULL) {
        c->nomem = true;
        return NULL;
    }
    *n = (struct plan_node){ .name = name, .ns = ns, .attr = attr, .parent = under };
    if (under->last != NULL)
        under->last->next = n;
    else
        under->first = n;
    under->last = n;
    return n;
}

const struct plan_ns *request_tree_ns(struct request_compile *c, struct slice prefix, struct slice uri)
{
    struct plan_ns *n;

    for (const struct plan_ns *p = c->r->ns; p != NULL; p = p->next)
        if (slice_eq(p->uri, uri))
            return p;
    n = arena_zalloc(c->a, sizeof *n);
    if (n == NULL) {
        c->nomem = true;
        return NULL;
    }
    *n = (struct plan_ns){ .prefix = prefix, .uri = uri, .next = c->r->ns };
    c->r->ns = n;
    return n;
}

static bool has_elements(const struct plan_node *n)
{
    for (const struct plan_node *k = n->first; k != NULL; k = k->next)
        if (!k->attr)
            return true;
    return false;
}

static void hang(struct request_compile *c, const struct doc *to, struct plan_node *leaf, struct plan_row *row)
{
    if (leaf->row != NULL)
        REQUEST_BAD(c, to, "%.*s is filled by two rows: remove one", "%.*s 被两行填写：请删除其一",
                    SLICE_ARG(to->text));
    else if (has_elements(leaf))
        REQUEST_BAD(c, to, "%.*s has children in another row: it cannot hold a value too",
                    "%.*s 在其他行中含有下级：不能再填写值", SLICE_ARG(to->text));
    else
        leaf->row = row;
}

/* One step "p:name", "name" or "@name" into its namespace and local name. */
static bool read_step(struct request_compile *c, const struct doc *to, struct slice step, const struct plan_ns **ns,
                      struct slice *name)
{
    struct slice prefix = { 0 };
    const struct doc *uri;

    *ns = NULL;
    *name = step;
    if (slice_find(step, ':') < step.n)
        prefix = slice_cut(name, ':');
    if (!xml_ncname(*name) || slice_starts(*name, SLICE("xmlns")) || (prefix.p != NULL && prefix.n == 0)) {
        REQUEST_BAD(c, to, "\"%.*s\" is no XML name: write /p:a/p:b or /a/@b",
                    "“%.*s”不是合法的 XML 名称：请写作 /p:a/p:b 或 /a/@b", SLICE_ARG(step));
        return false;
    }
    if (prefix.n == 0)
        return true;
    uri = doc_get_slice(c->namespaces, prefix);
    if (uri == NULL) {
        REQUEST_BAD(c, to, "prefix %.*s is not declared: add it to request.namespaces",
                    "前缀 %.*s 未声明：请在 request.namespaces 中声明", SLICE_ARG(prefix));
        return false;
    }
    if (c->borrowed && !request_check_ns(c, uri))
        return false;
    *ns = request_tree_ns(c, prefix, uri->text);
    return *ns != NULL;
}

static struct plan_node *xml_step(struct request_compile *c, const struct doc *to, struct plan_node *at,
                                  struct slice step)
{
    bool attr = step.n > 0 && step.p[0] == '@';
    const struct plan_ns *ns;
    struct slice name;

    if (attr)
        step = slice_sub(step, 1, step.n);
    if (at->attr || (attr && at == c->r->root)) {
        REQUEST_BAD(c, to, "an attribute stands at the end of a path, behind an element: /a/@b",
                    "属性只能位于路径末尾、元素之后：/a/@b");
        return NULL;
    }
    if (!read_step(c, to, step, &ns, &name))
        return NULL;
    at = request_tree_child(c, at, ns, name, attr);
    if (at != NULL && !attr && at->parent->row != NULL) {
        REQUEST_BAD(c, to, "%.*s passes through an element that another row fills", "%.*s 经过了已由其他行填写的元素",
                    SLICE_ARG(to->text));
        return NULL;
    }
    return at;
}

void request_tree_xml(struct request_compile *c, const struct doc *to, struct plan_row *row)
{
    struct slice rest = slice_sub(to->text, 1, to->text.n);
    struct plan_node *at = c->r->root;
    unsigned depth = 0;

    do {
        if (++depth > REQUEST_DEPTH_MAX) {
            REQUEST_BAD(c, to, "the path is deeper than %d steps", "路径超过 %d 级", REQUEST_DEPTH_MAX);
            return;
        }
        at = xml_step(c, to, at, slice_cut(&rest, '/'));
    } while (at != NULL && rest.n > 0);
    if (at == NULL)
        return;
    if (slice_ends(to->text, SLICE("/")))
        REQUEST_BAD(c, to, "the path ends in a slash: name an element", "路径以斜杠结尾：请写明元素");
    else
        hang(c, to, at, row);
}

/* RFC 6901 section 4: ~1 is a slash, ~0 a tilde, any other tilde an error. {NULL, 0} on failure. */
static struct slice unescape(struct request_compile *c, struct slice token)
{
    char *p = arena_alloc(c->a, token.n + 1);
    size_t n = 0;

    if (p == NULL)
        c->nomem = true;
    for (size_t i = 0; p != NULL && i < token.n; i++) {
        p[n] = token.p[i];
        if (p[n] == '~') {
            if (++i == token.n || (token.p[i] != '0' && token.p[i] != '1'))
                return (struct slice){ 0 };
            p[n] = token.p[i] == '0' ? '~' : '/';
        }
        n++;
    }
    return slice_make(p, p != NULL ? n : 0);
}

static struct plan_node *json_step(struct request_compile *c, const struct doc *to, struct plan_node *at,
                                   struct slice token)
{
    struct slice name = unescape(c, token);

    if (name.p == NULL) {
        REQUEST_BAD(c, to, "a tilde in a JSON pointer is written ~0, a slash ~1",
                    "JSON 指针中波浪号写作 ~0，斜杠写作 ~1");
        return NULL;
    }
    if (at->row != NULL) {
        REQUEST_BAD(c, to, "%.*s passes through a member that another row fills", "%.*s 经过了已由其他行填写的成员",
                    SLICE_ARG(to->text));
        return NULL;
    }
    return request_tree_child(c, at, NULL, name, false);
}

void request_tree_json(struct request_compile *c, const struct doc *to, struct slice pointer, struct plan_row *row)
{
    struct plan_node *at = c->r->root;
    size_t from = 1;
    unsigned depth = 0;

    if (pointer.n < 2 || pointer.p[0] != '/') {
        REQUEST_BAD(c, to, "a JSON target is written json:/a/b", "JSON 目标写作 json:/a/b");
        return;
    }
    while (at != NULL && from <= pointer.n) { /* "/a/" names the member "" of a */
        struct slice rest = slice_sub(pointer, from, pointer.n);
        size_t n = slice_find(rest, '/');

        if (++depth > REQUEST_DEPTH_MAX) {
            REQUEST_BAD(c, to, "the pointer is deeper than %d steps", "指针超过 %d 级", REQUEST_DEPTH_MAX);
            return;
        }
        at = json_step(c, to, at, slice_sub(rest, 0, n));
        from += n + 1;
    }
    if (at != NULL)
        hang(c, to, at, row);
}
