/* Where a row's value goes: the forms of `to`, headers that nobody may set, and the placeholders of connector.path. */
#include "translate/request_compile.h"

/* Headers that the gateway or the transport makes; a trailing star means every name that begins so. */
static const char *const forbidden[] = {
    "accept",
    "accept-charset",
    "accept-encoding",
    "authorization",
    "connection",
    "content-*",
    "cookie",
    "cookie2",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-*",
    "if-*",
    "keep-alive",
    "max-forwards",
    "proxy-*",
    "range",
    "sec-*",
    "set-cookie",
    "sluice-*",
    "soapaction",
    "te",
    "trailer",
    "traceparent",
    "tracestate",
    "transfer-*",
    "upgrade",
    "via",
    "x-forwarded-*",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method*",
    "user-agent",
};

static bool header_forbidden(struct slice name)
{
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++) {
        struct slice f = slice_of(forbidden[i]);
        bool star = slice_ends(f, SLICE("*"));

        f.n -= star;
        if (slice_eq_nocase(star ? slice_sub(name, 0, f.n) : name, f))
            return true;
    }
    return false;
}

/* RFC 9110 section 5.6.2. */
static bool is_token(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];

        if (ch <= 0x20 || ch >= 0x7F || strchr("\"(),/:;<=>?@[\\]{}", ch) != NULL)
            return false;
    }
    return s.n > 0 && s.n <= 64;
}

static bool named_twice(const struct request_compile *c, const struct plan_row *row)
{
    for (const struct plan_row *o = c->r->rows; o < row; o++)
        if (o->target == row->target && slice_eq_nocase(o->name, row->name))
            return true;
    return false;
}

static void to_header(struct request_compile *c, const struct doc *to, struct slice rest, struct plan_row *row)
{
    row->name = rest;
    if (!is_token(rest))
        REQUEST_BAD(c, to, "\"%.*s\" is no header name: write header:X-Name",
                    "“%.*s”不是合法的请求头名称：请写作 header:X-Name", SLICE_ARG(rest));
    else if (header_forbidden(rest))
        REQUEST_BAD(c, to, "header %.*s is set by the gateway: choose another",
                    "请求头 %.*s 由网关设置：请改用其他名称", SLICE_ARG(rest));
    else if (++c->headers > REQUEST_HEADERS_MAX)
        REQUEST_BAD(c, to, "more than %d headers", "请求头超过 %d 个", REQUEST_HEADERS_MAX);
    else if (named_twice(c, row))
        REQUEST_BAD(c, to, "header %.*s is filled by two rows: remove one", "请求头 %.*s 被两行填写：请删除其一",
                    SLICE_ARG(rest));
}

static void to_query(struct request_compile *c, const struct doc *to, struct slice rest, struct plan_row *row)
{
    row->name = rest;
    if (rest.n == 0 || rest.n > 128 || !xml_text_ok(rest))
        REQUEST_BAD(c, to, "a query target names its parameter: query:name", "查询参数目标须写明名称：query:名称");
}

static void to_path(struct request_compile *c, const struct doc *to, struct slice rest, struct plan_row *row)
{
    struct plan_piece *pieces = (struct plan_piece *)(uintptr_t)c->r->path; /* ours until the compile ends */

    row->name = rest;
    row->required = true;
    for (size_t i = 0; i < c->r->n_path; i++) {
        if (pieces[i].row == NULL || !slice_eq(pieces[i].row->name, rest))
            continue;
        if (c->path_filled & UINT64_C(1) << i)
            REQUEST_BAD(c, to, "{%.*s} is filled by two rows: remove one", "{%.*s} 被两行填写：请删除其一",
                        SLICE_ARG(rest));
        c->path_filled |= UINT64_C(1) << i;
        pieces[i].row = row;
        return;
    }
    REQUEST_BAD(c, to, "connector.path has no {%.*s}: add it there, for example path: /people/{%.*s}",
                "connector.path 中没有 {%.*s}：请在其中添加，例如 path: /people/{%.*s}", SLICE_ARG(rest),
                SLICE_ARG(rest));
}

static void to_json(struct request_compile *c, const struct doc *to, struct slice rest, struct plan_row *row)
{
    request_tree_json(c, to, rest, row);
}

static const struct {
    struct slice prefix;
    enum plan_target target;
    void (*compile)(struct request_compile *, const struct doc *, struct slice, struct plan_row *);
} forms[] = {
    { { "query:", 6 }, TARGET_QUERY, to_query },
    { { "path:", 5 }, TARGET_PATH, to_path },
    { { "header:", 7 }, TARGET_HEADER, to_header },
    { { "json:", 5 }, TARGET_JSON, to_json },
};

static bool body_agrees(struct request_compile *c, const struct doc *to, enum plan_body body)
{
    if (c->r->soap != SOAP_NONE && body == BODY_JSON) {
        REQUEST_BAD(c, to, "a SOAP request has an XML body: write a path such as /p:a/p:b",
                    "SOAP 请求正文为 XML：请写作 /p:a/p:b 形式的路径");
        return false;
    }
    if (c->r->body != BODY_NONE && c->r->body != body) {
        REQUEST_BAD(c, to, "one request cannot have both an XML and a JSON body: choose one",
                    "同一请求不能同时含 XML 与 JSON 正文：请择其一");
        return false;
    }
    c->r->body = body;
    return true;
}

void request_compile_to(struct request_compile *c, const struct doc *to, struct plan_row *row)
{
    if (slice_starts(to->text, SLICE("/"))) {
        row->target = TARGET_XML;
        if (body_agrees(c, to, BODY_XML))
            request_tree_xml(c, to, row);
        return;
    }
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (!slice_starts(to->text, forms[i].prefix))
            continue;
        row->target = forms[i].target;
        if (row->target != TARGET_JSON || body_agrees(c, to, BODY_JSON))
            forms[i].compile(c, to, slice_sub(to->text, forms[i].prefix.n, to->text.n), row);
        return;
    }
    REQUEST_BAD(c, to, "\"%.*s\" is no target: write /p:a/p:b, json:/a/b, query:name, path:name or header:Name",
                "“%.*s”不是合法的目标：请写作 /p:a/p:b、json:/a/b、query:名称、path:名称 或 header:名称",
                SLICE_ARG(to->text));
}

/* ---- connector.path ---- */

/* RFC 3986 section 3.3: what may stand in a path as it is. */
static bool path_text_ok(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        bool alnum = (ch >= '0' && ch <= '9') || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z');
        uint8_t octet;

        if (ch == '%' && (i + 2 >= s.n || !hex_read(slice_sub(s, i + 1, 2), &octet, 1)))
            return false;
        if (!alnum && (ch == '\0' || strchr("-._~!$&'()*+,;=:@/%", ch) == NULL))
            return false;
    }
    return true;
}

static void bad_path(struct request_compile *c)
{
    REQUEST_BAD(c, c->path, "connector.path is written /a/{name}/b: percent-encoded, without a query, at most 31 names",
                "connector.path 写作 /a/{名称}/b：须经百分号编码，不含查询串，至多 31 个名称");
}

/* Pieces of literal text and placeholder in turn. Until a row fills a placeholder it points to a stand-in that has only
 * its name. */
void request_compile_path(struct request_compile *c)
{
    enum { PIECES = 63 };
    struct plan_piece *pieces = arena_array(c->a, PIECES, sizeof *pieces);
    struct plan_row *names = arena_array(c->a, PIECES, sizeof *names);
    struct slice rest = c->path->text;
    size_t n = 0;

    if (pieces == NULL || names == NULL) {
        c->nomem = true;
        return;
    }
    c->r->path = pieces;
    if (!slice_starts(rest, SLICE("/")))
        bad_path(c);
    while (rest.n > 0 && n < PIECES) {
        size_t open = slice_find(rest, '{');
        size_t end;

        pieces[n].text = slice_sub(rest, 0, open);
        if (!path_text_ok(pieces[n].text))
            bad_path(c);
        rest = slice_sub(rest, open, rest.n);
        end = slice_find(rest, '}');
        if (rest.n > 0 && (end == rest.n || !is_token(slice_sub(rest, 1, end - 1)))) {
            bad_path(c);
            break;
        }
        if (rest.n > 0) {
            names[n].name = slice_sub(rest, 1, end - 1);
            pieces[n].row = &names[n];
            rest = slice_sub(rest, end + 1, rest.n);
        }
        n++;
    }
    if (rest.n > 0 && !c->bad)
        bad_path(c);
    c->r->n_path = n;
}
