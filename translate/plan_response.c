/* The `response` part of a manifest into a trie and groups. For SOAP the trie begins with Envelope and Body of both
 * versions, whose children are the same level, so that the mapper knows nothing of SOAP but one flag on Fault. */
#include "translate/plan_fields.h"

#define SOAP_1_1_NS "http://schemas.xmlsoap.org/soap/envelope/"
#define SOAP_1_2_NS "http://www.w3.org/2003/05/soap-envelope"

struct response_keys {
    const struct doc *namespaces, *nested, *success, *records, *map, *types;
    struct slice whole, encoding;
    int format, empty, unknown;
};
static const char *const format_words[] = { "by-type", "xml", "json", NULL };
static const char *const empty_words[] = { "refuse", "ok", NULL };
static const char *const unknown_words[] = { "drop", NULL };
#define AT(member) offsetof(struct response_keys, member)
static const struct doc_key response_table[] = {
    { .name = "namespaces", .kind = DOC_K_MAP, .offset = AT(namespaces), .help = { "prefix: URI", "前缀: 命名空间" } },
    { .name = "nested",
      .kind = DOC_K_NODE,
      .offset = AT(nested),
      .help = { "paths whose text is a document of its own", "文本本身为一份文档的路径" } },
    { .name = "success",
      .kind = DOC_K_MAP,
      .offset = AT(success),
      .help = { "the provider's result code", "提供方的结果码" } },
    { .name = "records",
      .kind = DOC_K_NODE,
      .offset = AT(records),
      .help = { "path of one record, 0..n", "单条记录的路径，0..n 条" } },
    { .name = "map",
      .kind = DOC_K_MAP,
      .offset = AT(map),
      .help = { "item: path, relative to the record", "数据项: 路径，相对于记录" } },
    { .name = "format",
      .kind = DOC_K_ENUM,
      .offset = AT(format),
      .words = format_words,
      .otherwise = "by-type",
      .help = { "xml or json, when format.type does not say", "xml 或 json，format.type 未说明时填写" } },
    { .name = "encoding",
      .kind = DOC_K_STR,
      .offset = AT(encoding),
      .max = 16,
      .help = { "UTF-8 or GB18030, of the provider's body, whatever it says of itself (GBK and GB2312 are read as "
                "GB18030); absent: what it says, tried against its bytes",
                "提供方正文的字符集：UTF-8 或 GB18030，不论其自身如何声明（GBK、GB2312 按 GB18030 "
                "读取）；缺省时依其声明并以内容核验" } },
    { .name = "empty",
      .kind = DOC_K_ENUM,
      .offset = AT(empty),
      .words = empty_words,
      .otherwise = "refuse",
      .help = { "ok: an answer without the records path is an empty one", "ok：响应中没有记录路径时视为空结果" } },
    { .name = "unknown",
      .kind = DOC_K_ENUM,
      .offset = AT(unknown),
      .words = unknown_words,
      .otherwise = "drop",
      .help = { "undeclared fields are dropped", "未声明的字段一律丢弃" } },
    { .name = "whole",
      .kind = DOC_K_STR,
      .offset = AT(whole),
      .max = 64,
      .help = { "the item that is the provider's whole body, passed on unread: a file",
                "整个响应正文即该数据项，原样转出：文件" } },
    { .name = "types",
      .kind = DOC_K_LIST,
      .offset = AT(types),
      .help = { "with whole: the Content-Types that may pass", "与 whole 同用：允许转出的 Content-Type" } },
    { .name = "page", .kind = DOC_K_NODE, .flags = DOC_LATER, .help = { "paging", "分页" } },
    { .name = NULL },
};
#undef AT

struct success_keys {
    const struct doc *at, *message, *status;
    struct doc_strs ok, not_found;
};
#define AT(member) offsetof(struct success_keys, member)
static const struct doc_key success_table[] = {
    { .name = "at", .kind = DOC_K_NODE, .offset = AT(at), .help = { "path of the result code", "结果码的路径" } },
    { .name = "ok", .kind = DOC_K_STRS, .offset = AT(ok), .help = { "codes that mean success", "表示成功的结果码" } },
    { .name = "not_found",
      .kind = DOC_K_STRS,
      .offset = AT(not_found),
      .help = { "codes that mean: no such data", "表示查无数据的结果码" } },
    { .name = "message",
      .kind = DOC_K_NODE,
      .offset = AT(message),
      .help = { "path of the provider's text; checked, never passed on, for it may quote a person",
                "提供方消息的路径；仅作校验，不转出，以免带出个人信息" } },
    { .name = "status",
      .kind = DOC_K_NODE,
      .offset = AT(status),
      .help = { "HTTP statuses accepted besides 2xx, to which 206, a part, does not belong",
                "除 2xx（不含表示部分内容的 206）外可接受的 HTTP 状态码" } },
    { .name = NULL },
};
#undef AT

/* ---- SOAP ---- */

static struct map_node *step(struct plan_build *b, struct map_level *level, const char *ns, const char *name)
{
    struct path_step s = { .ns = slice_of(ns), .name = slice_of(name) };
    struct path nowhere = { 0 };

    return level != NULL ? trie_step(&b->trie, level, &s, &nowhere) : NULL;
}

static struct map_node *below(struct plan_build *b, struct map_node *node, const char *ns, const char *name)
{
    if (node != NULL && node->kids == NULL)
        node->kids = trie_level(&b->trie);
    return node != NULL ? step(b, node->kids, ns, name) : NULL;
}

static enum err build_soap(struct plan_build *b)
{
    static const struct {
        const char *envelope, *ns, *code, *value;
    } versions[] = { { SOAP_1_1_NS, "", "faultcode", NULL }, { SOAP_1_2_NS, SOAP_1_2_NS, "Code", "Value" } };

    b->r->root = trie_level(&b->trie);
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        struct map_node *body =
            below(b, step(b, b->r->root, versions[i].envelope, "Envelope"), versions[i].envelope, "Body");
        if (body == NULL)
            return ERR_NOMEM;
        body->kids = b->r->doc;
        struct map_node *fault = step(b, b->r->doc, versions[i].envelope, "Fault");
        struct map_node *code = below(b, fault, versions[i].ns, versions[i].code);
        if (versions[i].value != NULL)
            code = below(b, code, versions[i].ns, versions[i].value);
        struct map_bind *bind = arena_zalloc(b->trie.arena, sizeof *bind);
        if (code == NULL || bind == NULL)
            return ERR_NOMEM;
        fault->flags |= MAP_FAULT;
        bind->target = MAP_TO_FAULT;
        code->texts = bind;
    }
    return ERR_OK;
}

/* ---- parts ---- */

static enum err build_nested_one(struct plan_build *b, const struct doc *node)
{
    struct path path;

    if (b->scope.json)
        return diag_add(b->trie.diags, ERR_UNSUPPORTED, node->line, node->col,
                        "nested documents are read from XML answers only", "仅 XML 响应支持内嵌文档");
    if (path_parse(&b->scope, node, true, &path) != ERR_OK)
        return ERR_INVALID;
    if (path.attr || path.n == 0)
        return diag_add(b->trie.diags, ERR_INVALID, node->line, node->col, "name an element whose text is a document",
                        "请写出文本为文档的元素路径");
    struct map_node *n = trie_walk(&b->trie, b->r->doc, NULL, &path);
    if (n == NULL)
        return ERR_NOMEM;
    n->flags |= MAP_NESTED;
    b->r->has_nested = true;
    return ERR_OK;
}

static enum err build_nested(struct plan_build *b, const struct doc *nested)
{
    enum err e = ERR_OK;

    if (nested == NULL)
        return ERR_OK;
    if (nested->type != DOC_LIST)
        return build_nested_one(b, nested);
    DOC_EACH(node, nested)
    if (build_nested_one(b, node) != ERR_OK)
        e = ERR_INVALID;
    return e;
}

static enum err build_status(struct plan_build *b, const struct doc *status)
{
    enum err e = ERR_OK;

    DOC_EACH(node, status)
    {
        uint64_t value;
        if (!slice_u64(node->text, 200, 599, &value) || b->r->n_status >= sizeof b->r->status / sizeof *b->r->status)
            e = diag_add(b->trie.diags, ERR_INVALID, node->line, node->col, "at most 8 HTTP statuses from 200 to 599",
                         "最多 8 个 HTTP 状态码，200 至 599");
        else
            b->r->status[b->r->n_status++] = (uint16_t)value;
    }
    if (status != NULL && status->type != DOC_LIST)
        e = diag_add(b->trie.diags, ERR_INVALID, status->line, status->col, "write a list of HTTP statuses: [404]",
                     "请写成 HTTP 状态码列表：[404]");
    return e;
}

static enum err check_codes(struct plan_build *b, const struct success_keys *k, const struct doc *success)
{
    struct diags *d = b->trie.diags;
    enum err e = ERR_OK;

    if (k->at != NULL && k->ok.n == 0)
        e = diag_add(d, ERR_INVALID, success->line, success->col,
                     "success.at needs success.ok: the codes that mean success",
                     "写了 success.at 就须写 success.ok：表示成功的结果码");
    if (k->at == NULL && (k->ok.n > 0 || k->not_found.n > 0 || k->message != NULL))
        e = diag_add(d, ERR_INVALID, success->line, success->col, "success needs at: the path of the result code",
                     "success 缺少 at：结果码的路径");
    for (size_t i = 0; i < k->not_found.n; i++)
        for (size_t j = 0; j < k->ok.n; j++)
            if (slice_eq(k->not_found.at[i], k->ok.at[j]))
                e = diag_add(d, ERR_INVALID, success->line, success->col, "code \"%.*s\" is both ok and not_found",
                             "结果码 \"%.*s\" 不能既为 ok 又为 not_found", SLICE_ARG(k->ok.at[j]));
    return e;
}

static enum err build_success(struct plan_build *b, const struct doc *success)
{
    struct success_keys k = { 0 };
    struct path path;
    enum err e;

    if (success == NULL)
        return ERR_OK;
    if (doc_bind(success, success_table, &k, b->trie.arena, b->trie.diags) != ERR_OK)
        return ERR_INVALID;
    e = check_codes(b, &k, success);
    if (build_status(b, k.status) != ERR_OK)
        e = ERR_INVALID;
    if (k.message != NULL && path_parse(&b->scope, k.message, true, &path) != ERR_OK)
        e = ERR_INVALID;
    if (k.at == NULL || path_parse(&b->scope, k.at, true, &path) != ERR_OK)
        return k.at == NULL ? e : ERR_INVALID;
    if (path.n == 0)
        return diag_add(b->trie.diags, ERR_INVALID, k.at->line, k.at->col, "name an element, or an attribute of one",
                        "请写出元素或其属性的路径");
    b->r->has_code = true;
    b->r->ok = k.ok;
    b->r->not_found = k.not_found;
    enum err bound = trie_bind(&b->trie, b->r->doc, NULL, &path, MAP_TO_CODE, 0);
    return e != ERR_OK ? e : bound;
}

static enum err build_records(struct plan_build *b, const struct response_keys *k, const struct translate_item *items,
                              size_t n)
{
    struct path path, parent;

    if (path_parse(&b->scope, k->records, true, &path) != ERR_OK)
        return ERR_INVALID;
    if (path.attr || path.n == 0)
        return diag_add(b->trie.diags, ERR_INVALID, k->records->line, k->records->col,
                        "records are elements, not attributes", "记录须为元素，不能是属性");
    struct map_node *record = trie_walk(&b->trie, b->r->doc, NULL, &path);
    parent = path;
    parent.n--;
    struct map_node *holder = parent.n > 0 ? trie_walk(&b->trie, b->r->doc, NULL, &parent) : NULL;
    if (record == NULL)
        return ERR_NOMEM;
    if (holder != NULL && !b->scope.json) {
        holder->flags |= MAP_PARENT;
        b->r->records_have_parent = true;
    }
    return plan_group(b, items, n, k->map, record, MAP_NO_GROUP, 0) == 0 ? ERR_OK : ERR_INVALID;
}

/* XML or JSON, from connector.kind, response.format and format.type, in this order. */
static enum err find_format(const struct doc *manifest, const struct response_keys *k, struct diags *d, bool soap,
                            bool *json)
{
    const struct doc *format = doc_get(manifest, "format");
    struct slice type = doc_text(format, "type");

    if (soap && k->format == 2)
        return diag_add(d, ERR_INVALID, manifest->line, manifest->col, "a soap connector answers XML, not JSON",
                        "soap 连接器返回 XML，而非 JSON");
    *json = !soap && (k->format == 2 || (k->format == 0 && slice_eq_nocase(type, SLICE("json"))));
    if (soap || k->format != 0 || *json || slice_eq_nocase(type, SLICE("xml")) || slice_eq_nocase(type, SLICE("soap")))
        return ERR_OK;
    const struct doc *at = format != NULL ? format : doc_get(manifest, "response");
    return diag_add(
        d, ERR_INVALID, at->line, at->col,
        "whether the provider answers XML or JSON is not said; write format: {class: interface, type: xml} or json",
        "未说明提供方返回 XML 还是 JSON；请写 format: {class: interface, type: xml} 或 json");
}

static enum err build(struct plan_build *b, const struct response_keys *k, const struct translate_item *items, size_t n,
                      bool soap)
{
    enum err e = ERR_OK;

    b->r->doc = trie_level(&b->trie);
    b->r->root = b->r->doc;
    if (b->r->doc == NULL || b->slots == NULL || (soap && build_soap(b) != ERR_OK))
        return ERR_NOMEM;
    if (build_nested(b, k->nested) != ERR_OK)
        e = ERR_INVALID;
    if (build_success(b, k->success) != ERR_OK)
        e = ERR_INVALID;
    if (build_records(b, k, items, n) != ERR_OK)
        e = ERR_INVALID;
    if (e == ERR_OK)
        e = trie_check(&b->trie, b->r->root);
    trie_mark(b->r->root, b->slots);
    return e;
}

/* What says how a body is read says nothing of one that is not. */
static enum err check_keys(const struct doc *response, const struct response_keys *k, struct diags *d, bool soap)
{
    static const char *const mapped[] = { "namespaces", "nested", "success",  "records",
                                          "map",        "format", "encoding", "empty" };
    enum err e = ERR_OK;

    for (size_t i = 0; k->whole.n > 0 && i < sizeof mapped / sizeof *mapped; i++) {
        const struct doc *at = doc_get(response, mapped[i]);
        if (at != NULL)
            e = diag_add(d, ERR_INVALID, at->line, at->col,
                         "a body that passes unread has no %s: leave it out, or leave out whole",
                         "原样转出的正文没有 %s：请删去它，或删去 whole", mapped[i]);
    }
    if (k->whole.n > 0 && soap)
        e = diag_add(d, ERR_INVALID, response->line, response->col, "a SOAP answer is an envelope, never a file",
                     "SOAP 响应是信封，不是文件");
    if (k->whole.n == 0 && (k->records == NULL || k->map == NULL))
        e = diag_add(d, ERR_INVALID, response->line, response->col,
                     "%s is missing: response says where the records are and what maps to which item, or whole: the "
                     "item that is all of the body",
                     "缺少 %s：response 须写明记录位置与数据项映射；或以 whole 写明整个正文所对应的数据项",
                     k->records == NULL ? "records" : "map");
    if (k->encoding.n > 0 && xml_label_of(k->encoding) == XML_LABEL_NONE) {
        const struct doc *at = doc_get(response, "encoding");
        e = diag_add(d, ERR_INVALID, at->line, at->col, "%.*s is no encoding that is read here; write UTF-8 or GB18030",
                     "不支持字符集 %.*s；请写 UTF-8 或 GB18030", SLICE_ARG(k->encoding));
    }
    if (k->whole.n == 0 && k->types != NULL)
        e = diag_add(d, ERR_INVALID, k->types->line, k->types->col, "types belongs to whole: leave it out",
                     "types 仅与 whole 同用：请删去");
    return e;
}

static enum err compile_whole(const struct doc *manifest, const struct response_keys *k,
                              const struct translate_item *items, size_t n, struct arena *a, struct diags *d,
                              const struct plan_response **ret)
{
    struct plan_response *r = arena_zalloc(a, sizeof *r);
    enum err e;

    if (r == NULL)
        return ERR_NOMEM;
    e = whole_compile(manifest, k->types, items, n, a, d, &r->whole);
    if (e == ERR_OK)
        *ret = r;
    return e;
}

enum err response_compile(const struct doc *manifest, const struct translate_item *items, size_t n, struct arena *a,
                          struct diags *d, const struct plan_response **ret)
{
    const struct doc *response = doc_get(manifest, "response");
    bool soap = slice_is(doc_text(doc_get(manifest, "connector"), "kind"), "soap"), json = false;
    struct response_keys k = { 0 };

    if (response == NULL || response->type != DOC_MAP)
        return diag_add(
            d, ERR_INVALID, manifest->line, manifest->col,
            "response is missing: where in the provider's answer the records are and what maps to which item",
            "缺少 response：须说明记录在提供方响应中的位置及各数据项的映射");
    enum err e = doc_bind(response, response_table, &k, a, d);
    if (e != ERR_OK || check_keys(response, &k, d, soap) != ERR_OK)
        return ERR_INVALID;
    if (k.whole.n > 0)
        return compile_whole(manifest, &k, items, n, a, d, ret);
    if (find_format(manifest, &k, d, soap, &json) != ERR_OK)
        return ERR_INVALID;
    struct plan_response *r = arena_zalloc(a, sizeof *r);
    size_t sent = whole_uploaded(manifest, items, n);
    if (r == NULL)
        return ERR_NOMEM;
    struct plan_build b = { .trie = { .arena = a, .diags = d },
                            .scope = { .json = json, .namespaces = k.namespaces, .arena = a, .diags = d },
                            .r = r,
                            .slots = arena_array(a, MAP_SLOTS_MAX, sizeof *b.slots),
                            .sent = sent < n ? &items[sent] : NULL };
    r->format = json ? PLAN_JSON : PLAN_XML;
    r->told = xml_label_of(k.encoding);
    r->empty_ok = k.empty == 1;
    e = build(&b, &k, items, n, soap);
    r->slot_fields = b.slots;
    r->n_nodes = b.trie.n_nodes;
    r->n_levels = b.trie.n_levels;
    if (e == ERR_OK)
        *ret = r;
    return e != ERR_OK && d->count == 0 ? ERR_NOMEM : e;
}
