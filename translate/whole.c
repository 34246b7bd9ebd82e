/* A body that passes unread: `response.whole` names the one item that the answer has, and the provider's body is that
 * item; `request.whole` names the item that the consumer's body is. Deny is the default here too. What a grant gives is
 * the item, so the resource has no other, and the item nothing that would have to be done to it (no mask, no check, no
 * codes). A failure must never look like a file: only status 200, only a declared Content-Type, never HTML, and never a
 * body whose end cannot be told from a cut. */
#include "translate/plan.h"

enum { TYPE_MAX = 127 };

/* ---- compile ---- */

/* RFC 9110 section 8.3.1, without parameters. */
static bool type_ok(struct slice s)
{
    static const char marks[] = "!#$&-^_.+";
    size_t slash = slice_find(s, '/');

    if (slash == 0 || slash + 1 >= s.n || s.n > TYPE_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!plain && i != slash && strchr(marks, c) == NULL)
            return false;
    }
    return true;
}

static bool is_html(struct slice type)
{
    return slice_eq_nocase(type, SLICE("text/html")) || slice_eq_nocase(type, SLICE("application/xhtml+xml"));
}

static enum err check_type(const struct doc *at, struct diags *d)
{
    if (at->type != DOC_STRING || !type_ok(at->text))
        return diag_add(d, ERR_INVALID, at->line, at->col, "a type is a media type without parameters: application/pdf",
                        "类型须为不带参数的媒体类型，如 application/pdf");
    if (is_html(at->text))
        return diag_add(d, ERR_INVALID, at->line, at->col,
                        "HTML never passes: an error page would be taken for the file",
                        "HTML 不得原样转出：错误页面会被当作文件");
    return ERR_OK;
}

static enum err compile_types(const struct doc *types, const struct doc *at_all, struct arena *a, struct diags *d,
                              struct plan_whole *w)
{
    struct buf all = BUF_INIT(WHOLE_TYPES_MAX * (TYPE_MAX + 2));
    enum err e = ERR_OK;

    DOC_EACH(at, types)
    {
        if (w->n == WHOLE_TYPES_MAX)
            e = diag_add(d, ERR_INVALID, at->line, at->col, "more than %d types", "类型超过 %d 个", WHOLE_TYPES_MAX);
        else if (check_type(at, d) != ERR_OK)
            e = ERR_INVALID;
        if (e != ERR_OK)
            break;
        if (w->n > 0)
            buf_puts(&all, ", ");
        buf_put(&all, at->text);
        w->types[w->n++] = at->text;
    }
    if (e == ERR_OK && w->n == 0)
        e = diag_add(d, ERR_INVALID, at_all->line, at_all->col,
                     "whole needs types: the Content-Types that may pass, as [application/pdf]",
                     "whole 须配有 types：允许转出的 Content-Type，如 [application/pdf]");
    if (e == ERR_OK) {
        w->all = arena_dup(a, buf_slice(&all));
        e = all.failed != ERR_OK || w->all.p == NULL ? ERR_NOMEM : ERR_OK;
    }
    buf_done(&all);
    return e;
}

/* Whatever would have to be read or changed in the body. */
static bool is_plain(const struct translate_item *i)
{
    return i->type == 'G' && !i->key && i->mask.n == 0 && i->check.n == 0 && i->format_in.n == 0 &&
           i->empty_as.n == 0 && i->codes == NULL && i->n_items == 0;
}

static enum err check_plain(const struct doc *at, const struct translate_item *item, struct diags *d)
{
    if (is_plain(item))
        return ERR_OK;
    return diag_add(
        d, ERR_INVALID, at->line, at->col,
        "the item %.*s must have type G and no key, mask, check, codes, format_in or empty_as: nobody reads it",
        "数据项 %.*s 须为 G 型，且无 key、mask、check、codes、format_in、empty_as：其内容不被读取",
        SLICE_ARG(at->text));
}

size_t whole_uploaded(const struct doc *manifest, const struct translate_item *items, size_t n)
{
    struct slice name = doc_text(doc_get(manifest, "request"), "whole");
    size_t i = 0;

    while (i < n && (name.n == 0 || !slice_eq(items[i].name, name)))
        i++;
    return i;
}

enum err whole_upload_compile(const struct doc *manifest, const struct doc *types, const struct translate_item *items,
                              size_t n, struct arena *a, struct diags *d, const struct plan_whole **ret)
{
    const struct doc *request = doc_get(manifest, "request"), *at = doc_get(request, "whole");
    struct plan_whole *w = arena_zalloc(a, sizeof *w);
    enum err e, typed;

    if (w == NULL)
        return ERR_NOMEM;
    w->item = whole_uploaded(manifest, items, n);
    if (w->item < n)
        e = check_plain(at, &items[w->item], d);
    else
        e = diag_add(d, ERR_INVALID, at->line, at->col,
                     "whole names an item of the resource, which is what is granted: declare it under items",
                     "whole 须为该数据资源的数据项，授权以其为准：请在 items 中声明");
    typed = compile_types(types, request, a, d, w);
    if (e == ERR_OK && typed == ERR_OK)
        *ret = w;
    return e != ERR_OK ? e : typed;
}

enum err whole_compile(const struct doc *manifest, const struct doc *types, const struct translate_item *items,
                       size_t n, struct arena *a, struct diags *d, const struct plan_whole **ret)
{
    const struct doc *response = doc_get(manifest, "response"), *at = doc_get(response, "whole");
    struct slice class_ = doc_text(doc_get(manifest, "format"), "class");
    struct plan_whole *w = arena_zalloc(a, sizeof *w);
    size_t sent = whole_uploaded(manifest, items, n); /* an item that no answer holds */
    enum err e = ERR_OK;

    if (w == NULL)
        return ERR_NOMEM;
    w->item = sent == 0 && n > 1;
    if (n - (sent < n) != 1 || !slice_eq(items[w->item].name, at->text))
        e = diag_add(d, ERR_INVALID, at->line, at->col,
                     "whole names the only item of the answer: what passes unread is granted as one",
                     "whole 须为响应唯一的数据项：原样转出的内容只能整体授权");
    else
        e = check_plain(at, &items[w->item], d);
    if (slice_is(class_, "interface") || slice_is(class_, "database"))
        e = diag_add(d, ERR_INVALID, at->line, at->col,
                     "whole is for files: format.class is file, spreadsheet, image, stream or self-described",
                     "whole 用于文件：format.class 须为 file、spreadsheet、image、stream 或 self-described");
    enum err typed = compile_types(types, response, a, d, w);
    if (e == ERR_OK && typed == ERR_OK)
        *ret = w;
    return e != ERR_OK ? e : typed;
}

/* ---- use ---- */

bool translate_whole(const struct translate_plan *p)
{
    return p->response->whole != NULL;
}

size_t translate_whole_item(const struct translate_plan *p)
{
    return p->response->whole->item;
}

struct slice translate_whole_types(const struct translate_plan *p)
{
    return p->response->whole->all;
}

bool translate_whole_wanted(const struct translate_plan *p, struct slice accept)
{
    const struct plan_whole *w = p->response->whole;

    for (size_t i = 0; i < w->n; i++)
        if (form_wanted(accept, w->types[i]))
            return true;
    return false;
}

static bool is_listed(const struct plan_whole *w, struct slice content_type, struct slice *ret_type)
{
    struct slice type = slice_trim(slice_sub(content_type, 0, slice_find(content_type, ';')));

    for (size_t i = 0; i < w->n; i++)
        if (slice_eq_nocase(type, w->types[i])) {
            *ret_type = w->types[i];
            return true;
        }
    return false;
}

enum reason translate_whole_head(const struct translate_plan *p, int status, struct slice content_type, bool exact,
                                 struct slice *ret_type)
{
    if (status != 200) /* 206 is a part */
        return REASON_PROVIDER_REFUSED;
    return exact && is_listed(p->response->whole, content_type, ret_type) ? REASON_GRANTED : REASON_PROVIDER_MALFORMED;
}

bool translate_upload(const struct translate_plan *p)
{
    return p->request->whole != NULL;
}

size_t translate_upload_item(const struct translate_plan *p)
{
    return p->request->whole->item;
}

struct slice translate_upload_types(const struct translate_plan *p)
{
    return p->request->whole->all;
}

bool translate_upload_type(const struct translate_plan *p, struct slice content_type, struct slice *ret_type)
{
    return is_listed(p->request->whole, content_type, ret_type);
}
