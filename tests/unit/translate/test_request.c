/* Requests: what manifests compile to, what is refused in them and where, and the provider's request byte by byte. */
#include "request_fixture.h"

/* ---- rendering ---- */

#define SOAP(version) "connector: {kind: soap, operation: {namespace: 'urn:hukou', name: QueryPerson, " version "}}\n"
#define NS            "response: {namespaces: {h: 'urn:hukou', g: 'urn:g'}}\n"
#define ENV11         "<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body>"
#define ENV12         "<soap:Envelope xmlns:soap=\"http://www.w3.org/2003/05/soap-envelope\"><soap:Body>"
#define END           "</soap:Body></soap:Envelope>"
#define UTF8          "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
#define GB            "<?xml version=\"1.0\" encoding=\"GB18030\"?>"

static const struct rendering {
    const char *manifest, *params, *method, *target, *type, *headers, *body;
    enum reason refused; /* REASON_GRANTED: not */
    const char *detail;
} renderings[] = {
    { SOAP("soap: '1.1'") NS
      "request: {safe: true, params: [{param: id_no, required: true, to: '/h:QueryPerson/h:sfzh'}, "
      "{const: '01', to: '/h:QueryPerson/h:type'}]}",
      "{\"id_no\":\"a<b>&\\\"c\\r\\u00e9\"}", "POST", "", "text/xml; charset=utf-8", "",
      UTF8 ENV11 "<h:QueryPerson xmlns:h=\"urn:hukou\"><h:sfzh>a&lt;b&gt;&amp;\"c&#13;é</h:sfzh><h:type>01</h:type>"
                 "</h:QueryPerson>" END,
      REASON_GRANTED, NULL },
    { SOAP("soap: '1.2', action: 'urn:q'") NS
      "request: {params: [{param: id_no, to: '/h:Q/h:a/h:b'}, {param: kind, to: "
      "'/h:Q/h:a/h:c'}, {from: purpose, to: '/h:Q/@p'}, {const: '1', to: '/h:Q/g:z'}]}",
      "{\"kind\":\"\"}", "POST", "", "application/soap+xml; charset=utf-8; action=\"urn:q\"", "",
      UTF8 ENV12
      "<h:Q xmlns:g=\"urn:g\" xmlns:h=\"urn:hukou\" p=\"school-admission\"><h:a><h:c></h:c></h:a><g:z>1</g:z>"
      "</h:Q>" END,
      REASON_GRANTED, NULL },
    { SOAP("soap: '1.1'") NS "request: {params: [{param: id_no, to: '/h:Q/h:a/h:b'}]}", "{}", "POST", "",
      "text/xml; charset=utf-8", "", UTF8 ENV11 "<h:Q xmlns:h=\"urn:hukou\"></h:Q>" END, REASON_GRANTED, NULL },
    { SOAP("soap: '1.1'"), "{}", "POST", "", "text/xml; charset=utf-8", "",
      UTF8 ENV11 "<op:QueryPerson xmlns:op=\"urn:hukou\"></op:QueryPerson>" END, REASON_GRANTED, NULL },
    { SOAP("soap: '1.1'") NS "request: {encoding: GBK, params: [{param: name, to: '/h:查询/h:姓名'}]}",
      "{\"name\":\"䶮𠮷\"}", "POST", "", "text/xml; charset=gb18030", "",
      GB ENV11 "<h:\xb2\xe9\xd1\xaf "
               "xmlns:h=\"urn:hukou\"><h:\xd0\xd5\xc3\xfb>\xfe\x9f\x95\x34\xb2\x35</h:\xd0\xd5\xc3\xfb></"
               "h:\xb2\xe9\xd1\xaf>" END,
      REASON_GRANTED, NULL },
    { "connector: {kind: http}\nrequest: {namespaces: {e: 'urn:e\"'}, params: [{param: id_no, to: '/e:r/e:p/@id'}, "
      "{param: kind, to: "
      "'/e:r/e:p/@e:k'}, {param: year, to: '/e:r/e:p/y'}]}",
      "{\"id_no\":\"a\\\"\\n\\t<\",\"kind\":\"k\",\"year\":2024}", "POST", "", "application/xml; charset=utf-8", "",
      UTF8 "<e:r xmlns:e=\"urn:e&quot;\"><e:p id=\"a&quot;&#10;&#9;&lt;\" e:k=\"k\"><y>2024</y></e:p></e:r>",
      REASON_GRANTED, NULL },
    { "connector: {kind: http}\nrequest: {params: [{param: id_no, to: 'json:/q/id'}, {param: year, as: number, to: "
      "'json:/q/year'}, "
      "{param: kind, to: 'json:/opt/kind'}, {const: 1.50, to: 'json:/n'}, {const: true, to: 'json:/b'}, {const: null, "
      "to: 'json:/z'}, "
      "{const: '1', to: 'json:/a~1b~0c'}, {from: now, to: 'json:/q/at'}]}",
      "{\"year\":2024,\"id_no\":\"x\\\"\\u0001\"}", "POST", "", "application/json", "",
      "{\"q\":{\"id\":\"x\\\"\\u0001\",\"year\":2024,\"at\":\"2026-11-22T09:30:00.000+08:00\"},\"n\":1.50,\"b\":true,"
      "\"z\":null,\"a/b~c\":\"1\"}",
      REASON_GRANTED, NULL },
    { "connector: {kind: http}\nrequest: {method: PUT, encoding: GB18030, params: [{param: name, to: 'json:/n'}]}",
      "{\"name\":\"䶮\"}", "PUT", "", "application/json; charset=gb18030", "", "{\"n\":\"\xfe\x9f\"}", REASON_GRANTED,
      NULL },
    { "connector: {kind: http, path: '/people/{id}/cards/{kind}.json'}\nrequest: {params: [{param: id_no, required: "
      "true, to: path:id}, "
      "{const: a b, to: path:kind}, {param: kind, to: query:k}, {param: year, to: query:y z}, {from: case, to: "
      "query:c}]}",
      "{\"id_no\":\"é&?#%\",\"year\":\"\"}", "GET", "/people/%C3%A9%26%3F%23%25/cards/a%20b.json?y%20z=&c=C-1", "", "",
      "", REASON_GRANTED, NULL },
    { "connector: {kind: http}\nrequest: {encoding: GBK, params: [{param: name, to: query:xm}]}", "{\"name\":\"䶮\"}",
      "GET", "?xm=%FE%9F", "", "", "", REASON_GRANTED, NULL },
    { "connector: {kind: http}\nrequest: {params: [{from: operator, to: 'header:X-User'}, {from: app, to: "
      "'header:X-App'}, {from: department, "
      "to: 'header:X-Dept'}, {from: exchange, to: 'header:X-Id'}]}",
      "{}", "GET", "", "", "X-User: %E5%BC%A0%20san\nX-App: 50% off\nX-Id: 0192\n", "", REASON_GRANTED, NULL },
    /* what a value cannot become */
    { SOAP("soap: '1.1'") NS "request: {params: [{param: kind, to: '/h:Q/h:a'}]}", "{\"kind\":\"a\\u0001\"}", NULL,
      NULL, NULL, NULL, NULL, REASON_PARAMETER_INVALID, "kind holds a control character" },
    { SOAP("soap: '1.1'") NS "request: {params: [{param: kind, to: '/h:Q/@a'}]}", "{\"kind\":\"\\uffff\"}", NULL, NULL,
      NULL, NULL, NULL, REASON_PARAMETER_INVALID, "kind holds a control character" },
    { "connector: {kind: http}\nrequest: {params: [{param: kind, to: 'header:X-K'}]}", "{\"kind\":\"a\\r\\nHost: b\"}",
      NULL, NULL, NULL, NULL, NULL, REASON_PARAMETER_INVALID, "kind holds a control character" },
    { "connector: {kind: http}\nrequest: {params: [{param: kind, to: 'header:X-K'}]}", "{\"kind\":\"a\\u0000\"}", NULL,
      NULL, NULL, NULL, NULL, REASON_PARAMETER_INVALID, "kind holds a control character" },
    { "connector: {kind: http, path: '/a/{k}'}\nrequest: {params: [{param: kind, required: true, to: path:k}]}",
      "{\"kind\":\"..\"}", NULL, NULL, NULL, NULL, NULL, REASON_PARAMETER_INVALID, "kind cannot stand in a path" },
    { "connector: {kind: http, path: '/a/{k}'}\nrequest: {params: [{param: kind, required: true, to: path:k}]}",
      "{\"kind\":\"../b\"}", NULL, NULL, NULL, NULL, NULL, REASON_PARAMETER_INVALID, "kind cannot stand in a path" },
    /* in GB18030 this character ends in a backslash */
    { "connector: {kind: http, path: '/a/{k}/b'}\nrequest: {encoding: GB18030, params: [{param: kind, required: true, "
      "to: path:k}]}",
      "{\"kind\":\"誠..\"}", NULL, NULL, NULL, NULL, NULL, REASON_PARAMETER_INVALID, "kind cannot stand in a path" },
    { "connector: {kind: http, path: '/a/{k}/b'}\nrequest: {encoding: GB18030, params: [{param: kind, required: true, "
      "to: path:k}]}",
      "{\"kind\":\"a誠.\"}", NULL, NULL, NULL, NULL, NULL, REASON_PARAMETER_INVALID, "kind cannot stand in a path" },
    { "connector: {kind: http, path: '/a/{k}/b'}\nrequest: {encoding: GB18030, params: [{param: kind, required: true, "
      "to: path:k}]}",
      "{\"kind\":\"誠..a誠\"}", "GET", "/a/%D5%5C..a%D5%5C/b", "", "", "", REASON_GRANTED, NULL },
    { "connector: {kind: http}\nrequest: {params: [{param: kind, as: number, to: 'json:/k'}]}", "{\"kind\":\"01\"}",
      NULL, NULL, NULL, NULL, NULL, REASON_PARAMETER_INVALID, "kind is no number" },
    { "connector: {kind: http}\nrequest: {params: [{param: kind, as: boolean, to: 'json:/k'}]}", "{\"kind\":\"1\"}",
      NULL, NULL, NULL, NULL, NULL, REASON_PARAMETER_INVALID, "kind is neither" },
};

static const struct translate_context context = {
    .operator_ = { "张 san", 7 },
    .case_ = { "C-1", 3 },
    .app = { "50% off", 7 },
    .purpose = { "school-admission", 16 },
    .exchange = { "0192", 4 },
    .now = { "2026-11-22T09:30:00.000+08:00", 29 },
};

static void expect(const struct rendering *w, const char *what, struct slice got, const char *want)
{
    if (!slice_is(got, want))
        fail_msg("%s\n%s:\n got %.*s\nwant %s", w->manifest, what, SLICE_ARG(got), want);
}

static void expect_request(struct fixture *f, const struct rendering *w, const struct translate_request *q)
{
    struct buf b = BUF_INIT(65536);

    for (size_t i = 0; i < q->n_headers; i++)
        buf_printf(&b, "%.*s: %.*s\n", SLICE_ARG(q->headers[i].name), SLICE_ARG(q->headers[i].value));
    (void)f;
    expect(w, "method", q->method, w->method);
    expect(w, "target", q->target, w->target);
    expect(w, "type", q->content_type, w->type);
    expect(w, "headers", buf_slice(&b), w->headers);
    expect(w, "body", q->body, w->body);
    buf_done(&b);
}

static void render_one(const struct rendering *w)
{
    struct fixture f;
    struct translate_params params;
    struct translate_request q;
    struct translate_refusal why;
    struct slice items;
    enum err e;

    if (fixture_compile(&f, w->manifest) != ERR_OK)
        fail_msg("%s\n%s", w->manifest, fixture_diags(&f, LANG_EN));
    assert_int_equal(translate_params_json(&f.plan, slice_of(w->params), &f.arena, &params, &items, &why), ERR_OK);
    e = translate_render(&f.plan, &params, &context, &f.arena, &q, &why);
    if (w->refused == REASON_GRANTED) {
        assert_int_equal(e, ERR_OK);
        expect_request(&f, w, &q);
    } else {
        assert_int_equal(e, ERR_INVALID);
        assert_int_equal(why.reason, w->refused);
        assert_true(slice_starts(slice_of(why.detail[LANG_EN]), slice_of(w->detail)));
        assert_non_null(why.detail[LANG_ZH]);
    }
    fixture_done(&f);
}

static void test_render(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof renderings / sizeof renderings[0]; i++)
        render_one(&renderings[i]);
}

static void test_required_context(void **state)
{
    static const struct translate_context empty;
    struct fixture f;
    struct translate_params params = { 0 };
    struct translate_request q;
    struct translate_refusal why;

    (void)state;
    assert_int_equal(
        fixture_compile(
            &f,
            "connector: {kind: http}\nrequest: {safe: true, params: [{from: operator, required: true, to: query:o}]}"),
        ERR_OK);
    assert_true(translate_safe(&f.plan));
    assert_int_equal(translate_render(&f.plan, &params, &empty, &f.arena, &q, &why), ERR_INVALID);
    assert_int_equal(why.reason, REASON_HEADER_INVALID);
    assert_string_equal(why.detail[LANG_EN], "Sluice-Operator is missing: the provider needs it");
    fixture_done(&f);
}

/* ---- compiling ---- */

#define HTTP       "connector:\n  kind: http\n"
#define ROW(row)   HTTP "request:\n  params:\n    - " row "\n"
#define ROWS(a, b) HTTP "request:\n  params:\n    - " a "\n    - " b "\n"

static const struct {
    const char *manifest;
    const char *want; /* part of the diagnostics; empty: compiles */
} compiles[] = {
    { HTTP, "" },
    { ROW("{param: kind, to: query:k}"), "" },
    { ROW("{param: kind, to: query:k, chek: id-card}"), "5:" },
    { ROW("{param: kind, to: query:k, check: id-crad}"), "5:41: there is no check \"id-crad\"" },
    { ROW("{param: kind}"), "5:" },
    { ROW("{to: query:k}"), "exactly one of param, const and from" },
    { ROW("{param: kind, const: '1', to: query:k}"), "exactly one of param, const and from" },
    { ROW("{from: nobody, to: query:k}"), "5:14: from is one of operator" },
    { ROW("{from: app, check: uscc, to: query:k}"), "belong to a param" },
    { ROW("{const: [1], to: query:k}"), "const is one text" },
    { ROW("{const: \"a\\u0001\", to: query:k}"), "const holds a control character" },
    { ROW("{param: _items, to: query:k}"), "first a letter" },
    { ROW("{param: 姓名, to: query:k}"), "first a letter" },
    { ROW("{param: id_no, level: 1, to: query:k}"), "has level 4 already" },
    { ROW("{param: id_no, level: 4, to: query:k}"), "" },
    { ROW("{param: other, level: 5, to: query:k}"), "5:" },
    { ROW("{param: kind, max: 0, to: query:k}"), "5:" },
    { ROW("text"), "a row is a map" },
    { ROWS("{param: kind, required: true, to: query:k}", "{param: kind, to: query:l}"), "" },
    { ROWS("{param: kind, to: query:k}", "{param: kind, required: true, to: query:l}"), "declared in a row above" },
    { ROW("{param: kind, to: kind}"), "5:25: \"kind\" is no target" },
    { ROW("{param: kind, to: 'query:'}"), "names its parameter" },
    { ROW("{param: kind, to: header:X-K}"), "" },
    { ROW("{param: kind, to: header:Host}"), "header Host is set by the gateway" },
    { ROW("{param: kind, to: header:content-Length}"), "set by the gateway" },
    { ROW("{param: kind, to: header:transfer-encoding}"), "set by the gateway" },
    { ROW("{param: kind, to: header:Connection}"), "set by the gateway" },
    { ROW("{param: kind, to: header:AUTHORIZATION}"), "set by the gateway" },
    { ROW("{param: kind, to: header:cookie}"), "set by the gateway" },
    { ROW("{param: kind, to: header:Sluice-Grant}"), "set by the gateway" },
    { ROW("{param: kind, to: 'header:X Y'}"), "is no header name" },
    { ROW("{param: kind, to: \"header:X\\r\\nY\"}"), "is no header name" },
    { ROWS("{param: kind, to: header:X-K}", "{param: year, to: header:x-k}"), "filled by two rows" },
    { ROW("{param: kind, to: path:k}"), "connector.path has no {k}" },
    { "connector: {kind: http, path: '/a/{k}'}\n", "{k} is filled by no row" },
    { "connector: {kind: http, path: '/a/{k}'}\nrequest: {params: [{param: kind, to: path:k}]}", "must be required" },
    { "connector: {kind: http, path: '/a/{k}'}\nrequest: {params: [{const: a, to: path:k}, {const: b, to: path:k}]}",
      "filled by two rows" },
    { "connector: {kind: http, path: '/a/{k}'}\nrequest: {params: [{const: '..', to: path:k}]}",
      "const cannot stand there" },
    { "connector: {kind: http, path: '/a/{k}'}\nrequest: {params: [{const: '', to: path:k}]}",
      "const cannot stand there" },
    { ROW("{const: \"a\\nb\", to: header:X-K}"), "const cannot stand there" },
    { ROW("{const: '01', as: number, to: 'json:/k'}"), "const is no JSON number" },
    { ROW("{const: 'yes', as: boolean, to: 'json:/k'}"), "const is neither true nor false" },
    { ROW("{const: '-1.5', as: number, to: 'json:/k'}"), "" },
    { "connector: {kind: http, path: 'a'}\n", "connector.path is written" },
    { "connector: {kind: http, path: '/a?b=c'}\n", "connector.path is written" },
    { "connector: {kind: http, path: '/a b'}\n", "connector.path is written" },
    { "connector: {kind: http, path: '/a/%zz'}\n", "connector.path is written" },
    { "connector: {kind: http, path: '/a/{k'}\n", "connector.path is written" },
    { "connector: {kind: http, path: '/a/{}'}\n", "connector.path is written" },
    { "connector: {kind: http, path: '/a/b%20c/'}\n", "" },
    { ROW("{param: kind, to: /a/b}"), "" },
    { ROW("{param: kind, to: /h:a/b}"), "prefix h is not declared" },
    { ROW("{param: kind, to: /a//b}"), "is no XML name" },
    { ROW("{param: kind, to: /a/}"), "ends in a slash" },
    { ROW("{param: kind, to: /}"), "is no XML name" },
    { ROW("{param: kind, to: /1a}"), "is no XML name" },
    { ROW("{param: kind, to: '/a b'}"), "is no XML name" },
    { ROW("{param: kind, to: '/:a'}"), "is no XML name" },
    { ROW("{param: kind, to: '/a/@b/c'}"), "an attribute stands at the end" },
    { ROW("{param: kind, to: '/@b'}"), "an attribute stands at the end" },
    { ROW("{param: kind, to: '/a/@xmlns'}"), "is no XML name" },
    { ROW("{param: kind, to: /a}"), "holds an optional parameter" },
    { ROWS("{param: kind, to: /a/b}", "{param: year, to: /a/b}"), "filled by two rows" },
    { ROWS("{param: kind, to: /a/b}", "{param: year, to: /a/b/c}"), "passes through an element" },
    { ROWS("{param: kind, to: /a/b/c}", "{param: year, to: /a/b}"), "has children in another row" },
    { ROWS("{param: kind, to: /a/b}", "{param: year, to: /a/b/@c}"), "" },
    { ROWS("{param: kind, to: /a/@b}", "{param: year, required: true, to: /a}"), "" },
    { ROWS("{param: kind, to: /a/b}", "{param: year, to: /c/b}"), "a document has one root" },
    { ROWS("{param: kind, to: /a/b}", "{param: year, to: 'json:/a'}"), "both an XML and a JSON body" },
    { ROW("{param: kind, to: /a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q}"), "deeper than 16" },
    { ROW("{param: kind, to: 'json:a'}"), "is written json:/a/b" },
    { ROW("{param: kind, to: 'json:'}"), "is written json:/a/b" },
    { ROW("{param: kind, to: 'json:/a~2'}"), "a tilde in a JSON pointer" },
    { ROW("{param: kind, to: 'json:/a~'}"), "a tilde in a JSON pointer" },
    { ROWS("{param: kind, to: 'json:/a'}", "{param: year, to: 'json:/a/b'}"), "passes through a member" },
    { ROWS("{param: kind, to: 'json:/a/b'}", "{param: year, to: 'json:/a'}"), "has children in another row" },
    { ROW("{param: kind, as: number, to: query:k}"), "as is for JSON bodies only" },
    { HTTP "request: {method: GET, params: [{param: kind, to: /a/b}]}", "a GET has no body" },
    { HTTP "request: {method: get}", "method is one of" },
    { HTTP "request: {method: POST}", "" },
    { HTTP "request: {encoding: latin1}", "3:" },
    { HTTP "request: {namespaces: {xmlx: 'urn:a'}}", "is no prefix" },
    { HTTP "request: {namespaces: {a: ''}}", "a namespace is a URI" },
    /* of those of the response what the request uses */
    { HTTP "response: {namespaces: {'a b': 'urn:a'}}\nrequest: {params: [{const: '1', to: '/a b:r'}]}",
      "is no prefix" },
    { HTTP "response: {namespaces: {xml: 'urn:a'}}\nrequest: {params: [{const: '1', to: '/xml:r'}]}", "is no prefix" },
    { HTTP "response: {namespaces: {a: ''}}\nrequest: {params: [{const: '1', to: '/a:r'}]}", "a namespace is a URI" },
    { HTTP "response: {namespaces: {xml: 'urn:a', a: 'urn:b'}}\nrequest: {params: [{const: '1', to: '/a:r'}]}", "" },
    { HTTP "request: []", "request is a map" },
    { HTTP "request: {parms: []}", "3:" },
    { "connector: {kind: soap}\n", "needs operation" },
    { "connector: {kind: soap, operation: {name: Q}}\n", "1:" },
    { "connector: {kind: soap, operation: {name: 'a b', namespace: 'urn:a'}}\n", "no XML name" },
    { "connector: {kind: soap, operation: {name: Q, namespace: 'urn:a', soap: '1.3'}}\n", "1:" },
    { "connector: {kind: soap, operation: {name: Q, namespace: 'urn:a', action: \"a\\r\\nb\"}}\n", "printable ASCII" },
    { "connector: {kind: soap, operation: {name: Q, namespace: 'urn:a'}}\nrequest: {method: GET}",
      "SOAP is always POST" },
    { "connector: {kind: soap, operation: {name: Q, namespace: 'urn:a'}}\nrequest: {params: [{param: kind, to: "
      "'json:/a'}]}",
      "a SOAP request has an XML body" },
};

static void test_compile(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof compiles / sizeof compiles[0]; i++) {
        struct fixture f;
        enum err e = fixture_compile(&f, compiles[i].manifest);
        const char *en = fixture_diags(&f, LANG_EN), *zh = fixture_diags(&f, LANG_ZH);
        bool ok = compiles[i].want[0] == '\0';

        if ((e == ERR_OK) != ok || (f.diags.count == 0) != ok || strstr(en, compiles[i].want) == NULL)
            fail_msg("%s\n%s: %s", compiles[i].manifest, err_name(e), en);
        assert_true(ok || strlen(zh) > 0);
        fixture_done(&f);
    }
}

/* One file, all its errors. */
static void test_all_errors(void **state)
{
    struct fixture f;

    (void)state;
    assert_int_equal(
        fixture_compile(&f, HTTP
                        "request:\n  params:\n    - {param: kind, to: nowhere}\n    - {const: '1', to: header:Host}\n"
                        "    - {from: x, to: query:q}\n"),
        ERR_INVALID);
    assert_int_equal(f.diags.count, 3);
    fixture_done(&f);
}

static void test_limits(void **state)
{
    struct buf b = BUF_INIT(1 << 20);
    struct fixture f;

    (void)state;
    for (unsigned n = 32; n <= 33; n++) {
        buf_clear(&b);
        buf_puts(&b, HTTP "request:\n  params:\n");
        for (unsigned i = 0; i < n; i++)
            buf_printf(&b, "    - {param: p%u, to: 'query:q%u'}\n", i, i);
        buf_putc(&b, '\0');
        assert_int_equal(fixture_compile(&f, b.p), n == 32 ? ERR_OK : ERR_INVALID);
        fixture_done(&f);
    }
    for (unsigned n = 64; n <= 65; n++) {
        buf_clear(&b);
        buf_puts(&b, HTTP "request:\n  params:\n");
        for (unsigned i = 0; i < n; i++)
            buf_printf(&b, "    - {const: p%u, to: 'query:q%u'}\n", i, i);
        buf_putc(&b, '\0');
        assert_int_equal(fixture_compile(&f, b.p), n == 64 ? ERR_OK : ERR_INVALID);
        fixture_done(&f);
    }
    for (unsigned n = 16; n <= 17; n++) {
        buf_clear(&b);
        buf_puts(&b, HTTP "request:\n  params:\n");
        for (unsigned i = 0; i < n; i++)
            buf_printf(&b, "    - {const: p%u, to: 'header:X-%u'}\n", i, i);
        buf_putc(&b, '\0');
        assert_int_equal(fixture_compile(&f, b.p), n == 16 ? ERR_OK : ERR_INVALID);
        fixture_done(&f);
    }
    buf_done(&b);
}

/* Each allocation of the compiler failed in turn. */
static void test_no_memory(void **state)
{
    static const char manifest[] =
        "connector: {kind: soap, path: '/a/{k}', operation: {namespace: 'urn:a', name: Q, soap: '1.2', action: "
        "'urn:q'}}\n"
        "request: {namespaces: {h: 'urn:a'}, params: [{param: kind, required: true, to: 'path:k'}, {const: '1', to: "
        "'/h:Q/h:b/@c'}]}";
    struct arena docs;
    const struct doc *all = NULL;
    bool done = false;

    (void)state;
    arena_init(&docs, 1 << 20);
    assert_int_equal(doc_read_yaml(slice_of(manifest), &docs, NULL, &all), ERR_OK);
    for (size_t cap = 0; !done; cap += 64) { /* the arena's cap, for it draws from the heap in large pieces */
        const struct plan_request *r;
        struct arena a;
        enum err e;

        arena_init(&a, cap);
        e = request_compile(all->first, fixture_items, 4, &a, NULL, &r);
        done = e == ERR_OK;
        if (!done && e != ERR_NOMEM)
            fail_msg("cap %zu: %s", cap, err_name(e));
        arena_done(&a);
    }
    arena_done(&docs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_render),     cmocka_unit_test(test_required_context), cmocka_unit_test(test_compile),
        cmocka_unit_test(test_all_errors), cmocka_unit_test(test_limits),           cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
