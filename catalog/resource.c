/* catalog/resource: the Resource manifest: its shape, the code values and the rules between them (DOMAIN.md 2 and 8).
 * Invariants of what passes: it is not classified; what is not shared says on what legal basis; the class agrees with
 * the code, the way of sharing with the format; what can be called lists its items. */
#include "catalog/internal.h"

struct resource_form {
    struct slice kind, id, code, class_, update;
    struct doc_title title, abstract;
    const struct doc *format, *share, *open, *contact, *items, *connector, *request, *response, *later;
    bool classified;
};
struct pair_form { /* the small maps of a resource */
    struct slice class_, type, condition, basis, mode, person, phone;
};

#define AT(member) offsetof(struct resource_form, member)
static const struct doc_key resource_keys[] = {
    { "kind", DOC_K_STR, AT(kind), 0, 0, NULL, DOC_REQUIRED, NULL, { "Resource", "Resource" } },
    { "id", DOC_K_PATH2, AT(id), 0, 0, NULL, DOC_REQUIRED, NULL, { "department/resource", "部门/资源" } },
    { "code", DOC_K_STR, AT(code), 1, 64, NULL, DOC_REQUIRED, NULL, { "official resource code", "信息资源代码" } },
    { "title", DOC_K_TITLE, AT(title), 1, 200, NULL, DOC_REQUIRED, NULL, { "name of the resource", "信息资源名称" } },
    { "abstract", DOC_K_TITLE, AT(abstract), 1, 2000, NULL, DOC_REQUIRED, NULL, { "what it holds", "信息资源摘要" } },
    { "class",
      DOC_K_STR,
      AT(class_),
      1,
      127,
      NULL,
      DOC_REQUIRED,
      NULL,
      { "base/..., theme/... or department/...", "信息资源分类" } },
    { "format", DOC_K_MAP, AT(format), 0, 0, NULL, DOC_REQUIRED, NULL, { "{class, type}", "信息资源格式" } },
    { "share",
      DOC_K_MAP,
      AT(share),
      0,
      0,
      NULL,
      DOC_REQUIRED,
      NULL,
      { "{type, condition or basis, mode}", "共享属性" } },
    { "open", DOC_K_NODE, AT(open), 0, 0, NULL, DOC_REQUIRED, NULL, { "to the public: none or how", "开放属性" } },
    { "update", DOC_K_STR, AT(update), 1, 64, NULL, DOC_REQUIRED, NULL, { "how often it changes", "更新周期" } },
    { "contact", DOC_K_MAP, AT(contact), 0, 0, NULL, DOC_REQUIRED, NULL, { "{person, phone}", "责任人" } },
    { "classified", DOC_K_BOOL, AT(classified), 0, 0, NULL, 0, NULL, { "holds a secret", "涉密" } },
    { "items", DOC_K_LIST, AT(items), 0, 0, NULL, 0, NULL, { "the data items", "信息项" } },
    { "connector", DOC_K_MAP, AT(connector), 0, 0, NULL, 0, NULL, { "how the provider is reached", "连接方式" } },
    { "request", DOC_K_MAP, AT(request), 0, 0, NULL, 0, NULL, { "what is sent to the provider", "请求映射" } },
    { "response", DOC_K_MAP, AT(response), 0, 0, NULL, 0, NULL, { "what comes back", "响应映射" } },
    { "page", DOC_K_NODE, AT(later), 0, 0, NULL, DOC_LATER, NULL, { "paging", "分页" } },
    { "parts", DOC_K_NODE, AT(later), 0, 0, NULL, DOC_LATER, NULL, { "composite", "组合资源" } },
    { "compare", DOC_K_NODE, AT(later), 0, 0, NULL, DOC_LATER, NULL, { "comparison", "核验" } },
    { .name = NULL },
};
#undef AT
#define AT(member) offsetof(struct pair_form, member)
static const struct doc_key format_keys[] = {
    { "class", DOC_K_STR, AT(class_), 1, 64, NULL, DOC_REQUIRED, NULL, { "kind of data", "格式分类" } },
    { "type", DOC_K_STR, AT(type), 1, 64, NULL, DOC_REQUIRED, NULL, { "format of that kind", "格式类型" } },
    { .name = NULL },
};
static const struct doc_key share_keys[] = {
    { "type",
      DOC_K_STR,
      AT(type),
      1,
      64,
      NULL,
      DOC_REQUIRED,
      NULL,
      { "unconditional, conditional or none", "共享类型" } },
    { "condition", DOC_K_STR, AT(condition), 0, 500, NULL, 0, NULL, { "conditions of use", "共享条件" } },
    { "basis", DOC_K_STR, AT(basis), 0, 500, NULL, 0, NULL, { "why it is not shared", "不予共享的依据" } },
    { "mode", DOC_K_STR, AT(mode), 1, 64, NULL, 0, NULL, { "how it is handed over", "共享方式" } },
    { .name = NULL },
};
static const struct doc_key open_keys[] = {
    { "type",
      DOC_K_STR,
      AT(type),
      1,
      64,
      NULL,
      DOC_REQUIRED,
      NULL,
      { "none, conditional or unconditional", "开放类型" } },
    { "condition", DOC_K_STR, AT(condition), 0, 500, NULL, 0, NULL, { "conditions of opening", "开放条件" } },
    { .name = NULL },
};
static const struct doc_key contact_keys[] = {
    { "person", DOC_K_PATH2, AT(person), 0, 0, NULL, DOC_REQUIRED, NULL, { "department/person", "部门/人员" } },
    { "phone", DOC_K_STR, AT(phone), 3, 40, NULL, 0, NULL, { "telephone", "电话" } },
    { .name = NULL },
};
#undef AT

static void wrong(struct reading *r, const struct doc *at, const char *en, const char *zh)
{
    reading_found(r, diag_add(r->d, ERR_INVALID, at->line, at->col, "%s%.0s", "%.0s%s", en, zh));
}

/* Class, item and directory (1 + 2 + 3 digits), a finer part, "/", a number given by the provider: ^[1-3]\d{5}\w*\/\w+$
 */
static bool code_valid(struct slice code)
{
    size_t slash = 0;

    for (size_t i = 0; i < code.n; i++) {
        char c = code.p[i];
        bool digit = c >= '0' && c <= '9';
        bool word = digit || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';

        if (i == 0 ? (c < '1' || c > '3') : i < 6 ? !digit : false)
            return false;
        if (c == '/' && slash == 0 && i >= 6)
            slash = i;
        else if (!word)
            return false;
    }
    return slash != 0 && slash + 1 < code.n;
}

static void check_class(struct reading *r, const struct catalog_resource *res)
{
    const struct doc *at = reading_place(r->doc, "class"), *code_at = reading_place(r->doc, "code");
    const char *slash = res->class_.n ? memchr(res->class_.p, '/', res->class_.n) : NULL;
    bool code_ok = res->code.n != 0 && code_valid(res->code);

    if (res->code.n != 0 && !code_ok)
        wrong(
            r, code_at,
            "the resource code is not of the form 101001/1: six digits that begin with 1, 2 or 3, a slash and a number",
            "信息资源代码格式错误：应如 101001/1，即以 1、2 或 3 开头的六位数字，斜杠，顺序码");
    if (res->class_.n == 0)
        return;
    if (slash == NULL) {
        wrong(r, at, "class needs two parts: base/population, theme/health, department/...",
              "class 应为两段，如 base/population");
        return;
    }
    size_t head = (size_t)(slash - res->class_.p);
    struct slice name = slice_make(slash + 1, res->class_.n - head - 1);
    const struct doc *class_ =
        reading_value(r, doc_get(r->tables, "class"), slice_make(res->class_.p, head), at, "class");

    if (class_ == NULL)
        return;
    if (doc_flag(class_, "any") ? !ident_valid(name) : name.n == 0)
        wrong(r, at, "the part behind the slash of class must be an identifier", "class 斜杠后的部分应为标识符");
    else if (!doc_flag(class_, "any"))
        reading_value(r, doc_get(class_, "names"), name, at, "class");
    if (code_ok && doc_text(class_, "digit").p[0] != res->code.p[0])
        wrong(r, code_at,
              "the first digit of the resource code does not agree with class: 1 base, 2 theme, 3 department",
              "信息资源代码首位与 class 不符：1 基础、2 主题、3 部门");
}

static void check_format(struct reading *r, const struct doc *map, struct catalog_resource *res)
{
    struct pair_form f = { 0 };

    reading_found(r, doc_bind(map, format_keys, &f, r->a, r->d));
    res->format_class = f.class_;
    res->format_type = f.type;
    const struct doc *class_ =
        reading_value(r, doc_get(r->tables, "format"), f.class_, reading_place(map, "class"), "format.class");
    const struct doc *types = doc_get(class_, "types");
    if (class_ == NULL || f.type.n == 0 || doc_flag(class_, "any") || doc_list_has(types, f.type))
        return;
    struct buf names = BUF_INIT(1000);
    const struct doc *at = reading_place(map, "type");
    DOC_EACH(one, types)
    {
        buf_printf(&names, "%s%.*s", names.n ? ", " : "", SLICE_ARG(one->text));
    }
    reading_found(r, diag_add(r->d, ERR_INVALID, at->line, at->col,
                              "type \"%.*s\" is not one of class %.*s; use one of: %.*s",
                              "格式类型“%.*s”不属于 %.*s，可用：%.*s", SLICE_ARG(f.type), SLICE_ARG(f.class_),
                              SLICE_ARG(buf_slice(&names))));
    buf_done(&names);
}

static void check_mode(struct reading *r, const struct doc *map, const struct catalog_resource *res)
{
    const struct doc *at = reading_place(map, "mode");
    const struct doc *mode = reading_value(r, doc_get(r->tables, "mode"), res->share_mode, at, "share.mode");
    const struct doc *class_ = doc_get_slice(doc_get(r->tables, "format"), res->format_class);

    if (mode == NULL || class_ == NULL || !doc_flag(mode, "platform") ||
        doc_list_has(doc_get(class_, "modes"), res->share_mode))
        return;
    reading_found(r, diag_add(r->d, ERR_INVALID, at->line, at->col,
                              "a resource of format %.*s is not shared as %.*s: choose the mode that its format allows",
                              "格式为 %.*s 的数据资源不能以 %.*s 方式共享：请选择与格式相符的共享方式",
                              SLICE_ARG(res->format_class), SLICE_ARG(res->share_mode)));
}

static void check_share(struct reading *r, const struct doc *map, struct catalog_resource *res)
{
    struct pair_form f = { 0 };

    reading_found(r, doc_bind(map, share_keys, &f, r->a, r->d));
    res->share = f.type;
    res->share_condition = f.condition;
    res->share_basis = f.basis;
    res->share_mode = f.mode;
    if (reading_value(r, doc_get(r->tables, "share"), f.type, reading_place(map, "type"), "share.type") == NULL)
        return;
    check_mode(r, map, res);
    bool none = slice_is(f.type, "none");
    if (none && f.basis.n == 0)
        wrong(r, map, "what is not shared needs its legal basis: basis: the law, regulation or decision",
              "不予共享须写明依据：basis: 法律、行政法规或国务院决定");
    if (!none && f.mode.n == 0)
        wrong(r, map, "share.mode is missing: how is it handed over?", "缺少共享方式 share.mode");
    if (slice_is(f.type, "conditional") && f.condition.n == 0)
        wrong(r, map, "conditional sharing needs its condition", "有条件共享须写明共享条件 condition");
    if (slice_is(f.type, "unconditional") && f.condition.n != 0 &&
        !doc_list_has(doc_get(r->tables, "unconditional_words"), f.condition))
        wrong(r, reading_place(map, "condition"),
              "unconditional sharing has no condition: leave it out, or make the type conditional",
              "无条件共享不得附加条件：请删去 condition，或改为 conditional");
}

static void check_open(struct reading *r, const struct doc *node, struct catalog_resource *res)
{
    struct pair_form f = { 0 };

    if (node->type == DOC_MAP)
        reading_found(r, doc_bind(node, open_keys, &f, r->a, r->d));
    else
        f.type = node->text;
    if (node->type != DOC_MAP && node->type != DOC_STRING) {
        wrong(r, node, "open must be none, unconditional, or {type: conditional, condition: ...}",
              "open 应为 none、unconditional 或 {type: conditional, condition: …}");
        return;
    }
    res->open = f.type;
    res->open_condition = f.condition;
    const struct doc *open = reading_value(r, doc_get(r->tables, "open"), f.type, node, "open");
    if (open != NULL && doc_flag(open, "condition") != (f.condition.n != 0))
        wrong(r, node, "conditional opening, and only that, has a condition: open: {type: conditional, condition: ...}",
              "有条件开放须写明条件，其他类型不得有条件：open: {type: conditional, condition: …}");
}

static void check_contact(struct reading *r, const struct doc *map, struct catalog_resource *res)
{
    struct pair_form f = { 0 };

    reading_found(r, doc_bind(map, contact_keys, &f, r->a, r->d));
    res->contact_person = f.person;
    res->contact_phone = f.phone;
}

static void check_call(struct reading *r, const struct resource_form *f, struct catalog_resource *res)
{
    const struct doc *class_ = doc_get_slice(doc_get(r->tables, "format"), res->format_class);

    if (f->items != NULL)
        items_read(r, f->items, 1, &res->items, &res->n_items);
    else if (f->connector != NULL || doc_flag(class_, "items"))
        wrong(r, r->doc, "items are missing: a table, a database or an interface lists what it holds",
              "缺少 items：库表与接口类资源须列出信息项");
    if (f->connector == NULL && (f->request != NULL || f->response != NULL))
        wrong(r, f->request ? f->request : f->response,
              "request and response need a connector: write one, or leave both out",
              "有 request 或 response 时须有 connector：请补充，或一并删去");
    res->connector = f->connector;
    res->request = f->request;
    res->response = f->response;
    res->callable = f->connector != NULL && !slice_is(res->share, "none");
}

void resource_read(struct reading *r, struct catalog_manifest *m)
{
    struct catalog_resource *res = arena_zalloc(r->a, sizeof *res);
    struct resource_form f = { 0 };

    if (res == NULL) {
        reading_found(r, ERR_NOMEM);
        return;
    }
    reading_found(r, doc_bind(r->doc, resource_keys, &f, r->a, r->d));
    res->id = m->id = f.id;
    res->title = m->title = f.title;
    res->code = m->code = f.code;
    res->abstract = f.abstract;
    res->class_ = f.class_;
    res->update = f.update;
    if (f.classified)
        wrong(r, reading_place(r->doc, "classified"),
              "a classified resource cannot be registered here: state and work secrets are not shared",
              "涉密数据资源不得登记：国家秘密和工作秘密不在共享范围");
    check_class(r, res);
    if (f.format != NULL)
        check_format(r, f.format, res);
    if (f.share != NULL)
        check_share(r, f.share, res);
    if (f.open != NULL)
        check_open(r, f.open, res);
    if (f.contact != NULL)
        check_contact(r, f.contact, res);
    reading_value(r, doc_get(r->tables, "update"), f.update, reading_place(r->doc, "update"), "update");
    check_call(r, &f, res);
    m->resource = res;
}
