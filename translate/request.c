/* Compiling the `request:` part of a manifest: bind the keys, read each row of `params`, then settle method, content
 * type and what only the whole can tell. Everything wrong is reported; nothing is guessed. */
#include "translate/event.h"
#include "translate/plan.h"
#include "translate/request_compile.h"

struct raw_request {
    const struct doc *namespaces, *params, *types;
    struct slice method, whole;
    int encoding;
    bool safe;
};
struct raw_row {
    struct slice param, check, to;
    const struct doc *constant, *from;
    uint64_t level, max;
    int as;
    bool required;
};
struct raw_operation {
    struct slice namespace_, name, action;
    int soap;
};

static const char *const encodings[] = {
    "UTF-8", "utf-8", "GB18030", "gb18030", "GBK", "gbk", "GB2312", "gb2312", NULL
};
static const char *const forms[] = { "string", "number", "boolean", NULL };
static const char *const versions[] = { "1.1", "1.2", NULL };

#define AT(type, field) offsetof(struct type, field)
static const struct doc_key request_keys[] = {
    { .name = "safe",
      .kind = DOC_K_BOOL,
      .offset = AT(raw_request, safe),
      .help = { "asking again changes nothing: may be retried, and asked while the intent is being committed",
                "重复请求不产生变化：可重试，可在意向存证提交期间发出" } },
    { .name = "encoding",
      .kind = DOC_K_ENUM,
      .offset = AT(raw_request, encoding),
      .words = encodings,
      .otherwise = "UTF-8",
      .help = { "of the body and of percent-escapes; GBK and GB2312 are written as GB18030",
                "正文与百分号编码所用字符集；GBK、GB2312 按 GB18030 输出" } },
    { .name = "method",
      .kind = DOC_K_STR,
      .offset = AT(raw_request, method),
      .help = { "GET, POST, PUT, PATCH or DELETE; POST when there is a body, else GET",
                "GET、POST、PUT、PATCH 或 DELETE；有正文时默认 POST，否则 GET" } },
    { .name = "namespaces",
      .kind = DOC_K_MAP,
      .offset = AT(raw_request, namespaces),
      .help = { "prefixes of XML paths; those of the response when absent",
                "XML 路径的前缀；缺省时使用 response 的声明" } },
    { .name = "params",
      .kind = DOC_K_LIST,
      .offset = AT(raw_request, params),
      .help = { "where each value comes from and where it goes", "各值的来源与去向" } },
    { .name = "whole",
      .kind = DOC_K_STR,
      .offset = AT(raw_request, whole),
      .max = 64,
      .help = { "the item that is the consumer's whole body, passed on unread: a file",
                "使用方的整个请求正文即该数据项，原样转交提供方：文件" } },
    { .name = "types",
      .kind = DOC_K_LIST,
      .offset = AT(raw_request, types),
      .help = { "with whole: the Content-Types that may pass", "与 whole 同用：允许转交的 Content-Type" } },
    { 0 },
};
static const struct doc_key row_keys[] = {
    { .name = "param",
      .kind = DOC_K_STR,
      .offset = AT(raw_row, param),
      .max = 64,
      .help = { "a parameter of the consumer", "使用方参数" } },
    { .name = "const", .kind = DOC_K_NODE, .offset = AT(raw_row, constant), .help = { "a fixed value", "固定值" } },
    { .name = "from",
      .kind = DOC_K_NODE,
      .offset = AT(raw_row, from),
      .help = { "operator, case, app, department, purpose, exchange or now",
                "operator、case、app、department、purpose、exchange 或 now" } },
    { .name = "to",
      .kind = DOC_K_STR,
      .offset = AT(raw_row, to),
      .flags = DOC_REQUIRED,
      .help = { "/p:a/p:b, json:/a/b, query:name, path:name or header:Name",
                "/p:a/p:b、json:/a/b、query:名称、path:名称 或 header:名称" } },
    { .name = "required", .kind = DOC_K_BOOL, .offset = AT(raw_row, required), .help = { "must be given", "必填" } },
    { .name = "check",
      .kind = DOC_K_STR,
      .offset = AT(raw_row, check),
      .help = { "a check of its form: id-card, uscc, …", "格式校验：id-card、uscc 等" } },
    { .name = "level",
      .kind = DOC_K_U64,
      .offset = AT(raw_row, level),
      .min = 1,
      .max = 4,
      .help = { "sensitivity, when no item has that name", "敏感级别，仅用于无同名数据项时" } },
    { .name = "max",
      .kind = DOC_K_U64,
      .offset = AT(raw_row, max),
      .min = 1,
      .max = 65536,
      .help = { "longest value in code points; 256 when absent", "最大字符数；缺省 256" } },
    { .name = "as",
      .kind = DOC_K_ENUM,
      .offset = AT(raw_row, as),
      .words = forms,
      .otherwise = "string",
      .help = { "how a JSON body writes it", "JSON 正文中的类型" } },
    { 0 },
};
static const struct doc_key operation_keys[] = {
    { .name = "namespace",
      .kind = DOC_K_STR,
      .offset = AT(raw_operation, namespace_),
      .flags = DOC_REQUIRED,
      .help = { "namespace of the operation's element", "操作元素的命名空间" } },
    { .name = "name",
      .kind = DOC_K_STR,
      .offset = AT(raw_operation, name),
      .flags = DOC_REQUIRED,
      .help = { "local name of the operation's element", "操作元素的名称" } },
    { .name = "soap",
      .kind = DOC_K_ENUM,
      .offset = AT(raw_operation, soap),
      .words = versions,
      .otherwise = "1.1",
      .help = { "version of SOAP", "SOAP 版本" } },
    { .name = "action",
      .kind = DOC_K_STR,
      .offset = AT(raw_operation, action),
      .help = { "SOAPAction; none when absent", "SOAPAction；缺省为空" } },
    { 0 },
};

/* doc_bind, whose failure is one of this compile. */
static bool bind(struct request_compile *c, const struct doc *map, const struct doc_key *keys, void *out)
{
    enum err e = doc_bind(map, keys, out, c->a, c->d);

    c->bad = c->bad || e != ERR_OK;
    c->nomem = c->nomem || e == ERR_NOMEM;
    return e == ERR_OK;
}

/* ---- sources ---- */

static const struct {
    struct slice name;
    enum plan_source source;
} contexts[] = {
    { { "operator", 8 }, SOURCE_OPERATOR }, { { "case", 4 }, SOURCE_CASE },
    { { "app", 3 }, SOURCE_APP },           { { "department", 10 }, SOURCE_DEPARTMENT },
    { { "purpose", 7 }, SOURCE_PURPOSE },   { { "exchange", 8 }, SOURCE_EXCHANGE },
    { { "now", 3 }, SOURCE_NOW },
};

static void source_from(struct request_compile *c, const struct raw_row *raw, struct plan_row *row)
{
    for (size_t i = 0; i < sizeof contexts / sizeof contexts[0]; i++) {
        if (slice_eq(contexts[i].name, raw->from->text)) {
            row->source = contexts[i].source;
            row->required = raw->required;
            return;
        }
    }
    REQUEST_BAD(c, raw->from, "from is one of operator, case, app, department, purpose, exchange, now",
                "from 须为 operator、case、app、department、purpose、exchange、now 之一");
}

static void source_const(struct request_compile *c, const struct raw_row *raw, struct plan_row *row)
{
    static const enum plan_as as[] = {
        [DOC_NULL] = AS_NULL,
        [DOC_BOOL] = AS_BOOLEAN,
        [DOC_NUMBER] = AS_NUMBER,
        [DOC_STRING] = AS_STRING,
    };

    row->source = SOURCE_CONST;
    row->text = raw->constant->text;
    if (raw->constant->type == DOC_LIST || raw->constant->type == DOC_MAP)
        REQUEST_BAD(c, raw->constant, "const is one text, number or boolean", "const 须为单个文本、数字或布尔值");
    else if (!xml_text_ok(row->text))
        REQUEST_BAD(c, raw->constant, "const holds a control character: remove it", "const 含控制字符：请删除");
    else if (row->as == AS_STRING)
        row->as = as[raw->constant->type];
    if (row->as == AS_BOOLEAN && raw->constant->type == DOC_BOOL)
        row->text = raw->constant->flag ? SLICE("true") : SLICE("false");
}

static bool param_name_ok(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        bool letter = (ch | 0x20) >= 'a' && (ch | 0x20) <= 'z';

        if (!letter && (i == 0 || !((ch >= '0' && ch <= '9') || ch == '_' || ch == '-')))
            return false;
    }
    return s.n > 0 && s.n <= 64;
}

static uint8_t param_level(struct request_compile *c, const struct doc *at, const struct raw_row *raw)
{
    for (size_t i = 0; i < c->n_items; i++) {
        if (!slice_eq(c->items[i].name, raw->param))
            continue;
        if (raw->level != 0 && raw->level != c->items[i].level)
            REQUEST_BAD(c, at, "the item %.*s has level %u already: leave level out",
                        "数据项 %.*s 已定级为 %u：请删除 level", SLICE_ARG(raw->param), c->items[i].level);
        return c->items[i].level != 0 ? c->items[i].level : 3;
    }
    return raw->level != 0 ? (uint8_t)raw->level : 3;
}

static void param_new(struct request_compile *c, const struct doc *at, const struct raw_row *raw)
{
    struct plan_param *p = &c->r->params[c->r->n_params];

    if (c->r->n_params == REQUEST_PARAMS_MAX) {
        REQUEST_BAD(c, at, "more than %d parameters", "参数超过 %d 个", REQUEST_PARAMS_MAX);
        return;
    }
    *p = (struct plan_param){ .name = raw->param,
                              .required = raw->required,
                              .max = raw->max ? (uint32_t)raw->max : REQUEST_VALUE_MAX };
    if (!param_name_ok(raw->param))
        REQUEST_BAD(c, at, "a parameter's name is letters, digits, _ and -, first a letter",
                    "参数名由字母、数字、_ 和 - 组成，以字母开头");
    p->level = param_level(c, at, raw);
    p->check = raw->check.n != 0 ? check_find(raw->check) : NULL;
    if (raw->check.n != 0 && p->check == NULL)
        REQUEST_BAD(
            c, doc_get(at, "check"),
            "there is no check \"%.*s\": id-card, uscc, org-code, mobile, bank-card, postcode, email, plate, division",
            "没有名为“%.*s”的校验：可用 id-card、uscc、org-code、mobile、bank-card、postcode、email、plate、division",
            SLICE_ARG(raw->check));
    c->r->n_params++;
}

static void source_param(struct request_compile *c, const struct doc *at, const struct raw_row *raw,
                         struct plan_row *row)
{
    size_t i = 0;

    row->source = SOURCE_PARAM;
    while (i < c->r->n_params && !slice_eq(c->r->params[i].name, raw->param))
        i++;
    row->param = (uint8_t)i;
    if (i == c->r->n_params)
        param_new(c, at, raw);
    else if (raw->required || raw->check.n != 0 || raw->level != 0 || raw->max != 0)
        REQUEST_BAD(c, at, "parameter %.*s is declared in a row above: state required, check, level and max there only",
                    "参数 %.*s 已在前面声明：required、check、level、max 只在首次声明处填写", SLICE_ARG(raw->param));
}

/* What would be refused at every exchange is refused now. */
static void check_const(struct request_compile *c, const struct doc *at, const struct plan_row *row)
{
    bool header = row->target == TARGET_HEADER, path = row->target == TARGET_PATH, json = row->target == TARGET_JSON;

    if ((path && !request_segment_ok(row->text)) || (header && !request_header_ok(row->text)))
        REQUEST_BAD(c, at, "const cannot stand there: it is empty, dots only, or holds a slash or control character",
                    "const 不能置于该处：为空、仅含点号，或含斜杠、控制字符");
    if (json && row->as == AS_NUMBER && !json_number_valid(row->text))
        REQUEST_BAD(c, at, "const is no JSON number: quote it and leave as out",
                    "const 不是 JSON 数字：请加引号并删除 as");
    if (json && row->as == AS_BOOLEAN && !slice_is(row->text, "true") && !slice_is(row->text, "false"))
        REQUEST_BAD(c, at, "const is neither true nor false", "const 须为 true 或 false");
}

/* ---- rows ---- */

static void compile_row(struct request_compile *c, const struct doc *at)
{
    struct raw_row raw = { 0 };
    struct plan_row *row = &c->r->rows[c->r->n_rows];

    if (!bind(c, at, row_keys, &raw))
        return;
    if ((raw.param.n != 0) + (raw.constant != NULL) + (raw.from != NULL) != 1) {
        REQUEST_BAD(c, at, "a row has exactly one of param, const and from", "每行须且只能含 param、const、from 之一");
        return;
    }
    if (raw.param.n == 0 && (raw.check.n != 0 || raw.level != 0 || raw.max != 0))
        REQUEST_BAD(c, at, "check, level and max belong to a param", "check、level、max 只用于 param");
    row->as = (enum plan_as)raw.as;
    if (raw.param.n != 0)
        source_param(c, at, &raw, row);
    else if (raw.constant != NULL)
        source_const(c, &raw, row);
    else
        source_from(c, &raw, row);
    request_compile_to(c, doc_get(at, "to"), row);
    if (row->source == SOURCE_CONST)
        check_const(c, doc_get(at, "const"), row);
    if (raw.as != AS_STRING && row->target != TARGET_JSON)
        REQUEST_BAD(c, doc_get(at, "as"), "as is for JSON bodies only: leave it out", "as 仅用于 JSON 正文：请删除");
    if (row->target == TARGET_PATH && row->source == SOURCE_PARAM && !c->r->params[row->param].required)
        REQUEST_BAD(c, at, "a parameter in the path must be required", "路径中的参数必须为必填");
    c->r->n_rows++;
}

static void compile_rows(struct request_compile *c, const struct doc *params)
{
    DOC_EACH(at, params)
    {
        if (c->r->n_rows == REQUEST_ROWS_MAX) {
            REQUEST_BAD(c, at, "more than %d rows", "超过 %d 行", REQUEST_ROWS_MAX);
            return;
        }
        if (at->type == DOC_MAP)
            compile_row(c, at);
        else
            REQUEST_BAD(c, at, "a row is a map: {param: id_no, to: …}", "每行须为映射：{param: id_no, to: …}");
    }
}

/* ---- the whole ---- */

bool request_check_ns(struct request_compile *c, const struct doc *n)
{
    bool name = xml_ncname(n->key) && (n->key.n < 3 || !slice_eq_nocase(slice_sub(n->key, 0, 3), SLICE("xml")));
    bool uri = n->type == DOC_STRING && n->text.n > 0;

    if (!name)
        REQUEST_BAD(c, n, "\"%.*s\" is no prefix: a name without colon that does not begin with xml",
                    "“%.*s”不是合法的前缀：须为不含冒号且不以 xml 开头的名称", SLICE_ARG(n->key));
    if (!uri)
        REQUEST_BAD(c, n, "a namespace is a URI", "命名空间须为 URI");
    return name && uri;
}

static void check_method(struct request_compile *c, const struct doc *at, struct slice method)
{
    static const struct slice known[] = { { "GET", 3 }, { "POST", 4 }, { "PUT", 3 }, { "PATCH", 5 }, { "DELETE", 6 } };
    struct plan_request *r = c->r;

    r->method = r->body != BODY_NONE || c->whole ? SLICE("POST") : SLICE("GET");
    if (at == NULL)
        return;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (slice_eq(known[i], method))
            r->method = known[i];
    if (!slice_eq(r->method, method))
        REQUEST_BAD(c, at, "method is one of GET, POST, PUT, PATCH, DELETE",
                    "method 须为 GET、POST、PUT、PATCH、DELETE 之一");
    if (c->whole && (slice_is(method, "GET") || slice_is(method, "DELETE")))
        REQUEST_BAD(c, at, "a file is sent by POST, PUT or PATCH", "文件须以 POST、PUT 或 PATCH 发送");
    if (r->body != BODY_NONE && slice_is(method, "GET"))
        REQUEST_BAD(c, at, "a GET has no body: use POST, or query: and path: targets",
                    "GET 不带正文：请改用 POST，或使用 query:、path: 目标");
    if (r->soap != SOAP_NONE && !slice_is(method, "POST"))
        REQUEST_BAD(c, at, "SOAP is always POST: leave method out", "SOAP 固定使用 POST：请删除 method");
}

static void check_body(struct request_compile *c, const struct doc *request)
{
    const struct plan_request *r = c->r;

    if (r->body == BODY_XML && r->soap == SOAP_NONE && r->root->first != r->root->last)
        REQUEST_BAD(c, request, "all XML paths begin with the same element: a document has one root",
                    "所有 XML 路径须以同一元素开头：一个文档只有一个根元素");
    for (const struct plan_node *n = r->root->first; n != NULL; n = n->next)
        if (r->body == BODY_XML && n->row != NULL && r->soap == SOAP_NONE && n->row->source == SOURCE_PARAM &&
            !r->params[n->row->param].required)
            REQUEST_BAD(c, request, "the root element holds an optional parameter: make it required",
                        "根元素填写的是可选参数：请设为必填");
    for (size_t i = 0; i < r->n_path; i++)
        if (r->path[i].row != NULL && !(c->path_filled & UINT64_C(1) << i))
            REQUEST_BAD(c, c->path, "{%.*s} is filled by no row: add {param: …, to: 'path:%.*s'}",
                        "{%.*s} 没有对应的行：请添加 {param: …, to: 'path:%.*s'}", SLICE_ARG(r->path[i].row->name),
                        SLICE_ARG(r->path[i].row->name));
}

/* The consumer's body is the item, so it holds nothing else; and what has passed cannot be asked again. */
static void compile_whole(struct request_compile *c, const struct doc *manifest, const struct doc *request,
                          const struct raw_request *raw)
{
    const struct doc *at = doc_get(request, "whole");
    enum err e;

    if (!c->whole) {
        if (raw->types != NULL)
            REQUEST_BAD(c, raw->types, "types belongs to whole: leave it out", "types 仅与 whole 同用：请删去");
        return;
    }
    if (c->r->soap != SOAP_NONE)
        REQUEST_BAD(c, at, "a SOAP request is an envelope, never a file: use connector.kind http",
                    "SOAP 请求是信封，不是文件：请使用 connector.kind http");
    else if (c->r->body != BODY_NONE)
        REQUEST_BAD(c, at, "the body is the file: rows of params go to query:, path: or header: only",
                    "正文即文件：params 各行只能填入 query:、path: 或 header:");
    if (c->r->n_params > 0)
        REQUEST_BAD(c, at,
                    "the body is the file, and a URL holds no parameters: rows of params are const, or from: operator, "
                    "case, exchange and the like",
                    "正文即文件，网址中不得含参数：params 各行只能用 const，或 from: operator、case、exchange 等");
    if (raw->safe)
        REQUEST_BAD(c, doc_get(request, "safe"), "a file that has passed cannot be asked again: leave safe out",
                    "已转交的文件无法再次发送：请删去 safe");
    e = whole_upload_compile(manifest, raw->types, c->items, c->n_items, c->a, c->d, &c->r->whole);
    c->bad = c->bad || e != ERR_OK;
    c->nomem = c->nomem || e == ERR_NOMEM;
}

static void compile_operation(struct request_compile *c, const struct doc *connector)
{
    const struct doc *at = doc_get(connector, "operation");
    struct raw_operation raw = { 0 };

    c->r->soap = SOAP_1_1;
    c->r->body = BODY_XML;
    if (at == NULL || at->type != DOC_MAP) {
        REQUEST_BAD(c, at != NULL ? at : connector, "a SOAP connector needs operation: {namespace, name, soap}",
                    "SOAP 连接须含 operation: {namespace, name, soap}");
        return;
    }
    if (!bind(c, at, operation_keys, &raw))
        return;
    c->r->soap = raw.soap == 0 ? SOAP_1_1 : SOAP_1_2;
    c->r->action = raw.action;
    c->r->operation = raw.name;
    c->r->operation_ns = raw.namespace_;
    if (!xml_ncname(raw.name))
        REQUEST_BAD(c, at, "operation.name is no XML name", "operation.name 不是合法的 XML 名称");
    for (size_t i = 0; i < raw.action.n; i++)
        if (raw.action.p[i] <= 0x20 || raw.action.p[i] == '"' || raw.action.p[i] == '\\' || raw.action.p[i] == 0x7F) {
            REQUEST_BAD(c, at, "operation.action is a URI of printable ASCII",
                        "operation.action 须为可打印 ASCII 的 URI");
            break;
        }
}

/* A SOAP operation without XML rows is still called by its empty element. */
static void add_operation_element(struct request_compile *c)
{
    const struct plan_ns *ns;

    if (c->r->soap == SOAP_NONE || c->r->root->first != NULL || c->r->operation.n == 0)
        return;
    ns = request_tree_ns(c, SLICE("op"), c->r->operation_ns);
    if (ns != NULL)
        (void)request_tree_child(c, c->r->root, ns, c->r->operation, false);
}

static struct slice content_type(const struct plan_request *r, struct arena *a)
{
    bool gb = r->encoding == ENCODING_GB18030;
    const char *charset = gb ? "gb18030" : "utf-8";

    if (r->body == BODY_NONE)
        return (struct slice){ 0 };
    if (r->soap == SOAP_1_2 && r->action.n != 0)
        return slice_of(
            arena_printf(a, "application/soap+xml; charset=%s; action=\"%.*s\"", charset, SLICE_ARG(r->action)));
    if (r->body == BODY_JSON)
        return gb ? SLICE("application/json; charset=gb18030") : SLICE("application/json");
    return slice_of(arena_printf(a, "%s; charset=%s",
                                 r->soap == SOAP_1_1   ? "text/xml"
                                 : r->soap == SOAP_1_2 ? "application/soap+xml"
                                                       : "application/xml",
                                 charset));
}

static void compile_request(struct request_compile *c, const struct doc *manifest, const struct doc *request)
{
    const struct doc *connector = doc_get(manifest, "connector");
    struct raw_request raw = { 0 };

    c->path = doc_get(connector, "path");
    if (c->path != NULL)
        request_compile_path(c);
    if (slice_is(doc_text(connector, "kind"), "soap"))
        compile_operation(c, connector);
    if (request != NULL)
        (void)bind(c, request, request_keys, &raw);
    c->namespaces = raw.namespaces;
    c->borrowed = raw.namespaces == NULL;
    if (c->borrowed)
        c->namespaces = doc_get(doc_get(manifest, "response"), "namespaces");
    DOC_EACH(n, raw.namespaces)
    (void)request_check_ns(c, n);
    c->r->safe = raw.safe;
    c->whole = raw.whole.n > 0;
    c->r->encoding = raw.encoding < 2 ? ENCODING_UTF8 : ENCODING_GB18030;
    if (!c->nomem)
        compile_rows(c, raw.params);
    add_operation_element(c);
    check_method(c, doc_get(request, "method"), raw.method);
    compile_whole(c, manifest, request, &raw);
    check_body(c, request != NULL ? request : connector);
    c->r->content_type = content_type(c->r, c->a);
}

enum err request_compile(const struct doc *manifest, const struct translate_item *items, size_t n, struct arena *a,
                         struct diags *d, const struct plan_request **ret)
{
    const struct doc *request = doc_get(manifest, "request");
    struct plan_request *r = arena_zalloc(a, sizeof *r);
    struct request_compile c = { .r = r, .items = items, .n_items = n, .a = a, .d = d };

    if (r != NULL)
        r->root = arena_zalloc(a, sizeof *r->root);
    if (r == NULL || r->root == NULL)
        return ERR_NOMEM;
    if (request != NULL && request->type != DOC_MAP) {
        REQUEST_BAD(&c, request, "request is a map: {safe: …, params: […]}",
                    "request 须为映射：{safe: …, params: […]}");
        return ERR_INVALID;
    }
    compile_request(&c, manifest, request);
    if (c.nomem || (r->body != BODY_NONE && r->content_type.p == NULL))
        return ERR_NOMEM;
    if (c.bad)
        return ERR_INVALID;
    *ret = r;
    return ERR_OK;
}
