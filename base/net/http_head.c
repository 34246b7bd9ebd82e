/* Parsing a whole HTTP/1 head: llhttp in strict mode, and the guards for what it lets through (RFC 9112, RFC 9110).
 * Everything ambiguous is refused, because two readers that disagree about a message are how requests are smuggled. */
#include "base/net/internal.h"

#include <llhttp.h>

struct parse {
    struct http_head *head;
    bool in_value, ended, many, odd; /* many: more fields than there is room for; odd: a span in pieces */
    bool keep_alive;
};

static struct parse *parse_of(llhttp_t *p)
{
    return p->data;
}

static void extend(struct parse *x, struct slice *s, const char *at, size_t n)
{
    if (s->p == NULL)
        *s = (struct slice){ at, n };
    else if (s->p + s->n == at)
        s->n += n;
    else
        x->odd = true;
}

static int on_url(llhttp_t *p, const char *at, size_t n)
{
    extend(parse_of(p), &parse_of(p)->head->target, at, n);
    return 0;
}

static int on_field(llhttp_t *p, const char *at, size_t n)
{
    struct parse *x = parse_of(p);

    if (x->in_value || x->head->n == 0) {
        if (x->head->n == HTTP_HEADERS_MAX) {
            x->many = true;
            return HPE_USER;
        }
        x->head->at[x->head->n++] = (struct http_header){ 0 };
        x->in_value = false;
    }
    extend(x, &x->head->at[x->head->n - 1].name, at, n);
    return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    struct parse *x = parse_of(p);

    if (x->head->n == 0)
        return HPE_USER;
    x->in_value = true;
    extend(x, &x->head->at[x->head->n - 1].value, at, n);
    return 0;
}

static int on_value_complete(llhttp_t *p)
{
    parse_of(p)->in_value = true;
    return 0;
}

static int on_head(llhttp_t *p)
{
    struct parse *x = parse_of(p);

    x->ended = true;
    x->keep_alive = llhttp_should_keep_alive(p) != 0;
    return HPE_PAUSED;
}

/* Every line ends in CRLF, none begins with white space (obs-fold). */
static const char *check_lines(struct slice s)
{
    const char *at = s.p, *end = s.p + s.n;

    while (at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        if (lf == NULL || lf == at || lf[-1] != '\r')
            return "a line does not end in CRLF";
        if (memchr(at, '\r', (size_t)(lf - at)) != lf - 1)
            return "a carriage return inside a line";
        if (*at == ' ' || *at == '\t')
            return "a folded line";
        if (*at == ':')
            return "a header field without a name";
        if (lf == at + 1 && lf + 1 != end)
            return "an empty line before the end of the head";
        at = lf + 1;
    }
    return NULL;
}

size_t http_head_end(struct slice in, size_t *looked)
{
    for (size_t i = *looked; i + 1 < in.n; i++) {
        const char *p = in.p, *lf = memchr(p + i, '\n', in.n - i);
        if (lf == NULL)
            break;
        i = (size_t)(lf - p);
        if (i + 1 < in.n && p[i + 1] == '\n')
            return i + 2;
        if (i + 2 < in.n && p[i + 1] == '\r' && p[i + 2] == '\n')
            return i + 3;
    }
    *looked = in.n > 3 ? in.n - 3 : 0;
    return 0;
}

struct slice http_find(const struct http_head *h, struct slice name, size_t *count)
{
    size_t seen = 0;
    struct slice found = { 0 };

    for (size_t i = 0; i < h->n; i++) {
        if (h->at[i].name.n != name.n || (h->at[i].name.p[0] | 0x20) != (name.p[0] | 0x20))
            continue;
        if (slice_eq_nocase(h->at[i].name, name) && seen++ == 0)
            found = h->at[i].value;
    }
    if (count)
        *count = seen;
    return found;
}

/* One look at the room for all four parts: heads are made of little else. */
void http_header_put(struct buf *out, struct slice name, struct slice value)
{
    size_t n = name.n + value.n + 4;
    char *p = buf_reserve(out, n);

    if (p == NULL)
        return;
    memcpy(p, name.p, name.n);
    p += name.n;
    *p++ = ':';
    *p++ = ' ';
    if (value.n > 0)
        memcpy(p, value.p, value.n);
    p += value.n;
    *p++ = '\r';
    *p = '\n';
    out->n += n;
}

static bool host_valid(struct slice host)
{
    static const char marks[] = "-._~%!$&'()*+,;=:[]";

    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!alnum && memchr(marks, c, sizeof marks - 1) == NULL)
            return false;
    }
    return host.n > 0;
}

static const char *check_framing(struct http_head *h)
{
    size_t n_length, n_coding;
    struct slice length = http_get(h, "Content-Length", &n_length);
    struct slice coding = http_get(h, "Transfer-Encoding", &n_coding);

    if (n_length > 1)
        return "more than one Content-Length";
    if (n_coding > 1)
        return "more than one Transfer-Encoding";
    if (n_length && n_coding)
        return "both Content-Length and Transfer-Encoding";
    if (n_length && !slice_u64(length, 0, INT64_MAX, &h->length))
        return "a Content-Length that is not a number";
    if (n_coding && h->minor == 0)
        return "Transfer-Encoding in HTTP/1.0";
    if (n_coding && !slice_eq_nocase(coding, SLICE("chunked")))
        return "a Transfer-Encoding other than chunked";
    h->has_length = n_length == 1;
    h->chunked = n_coding == 1;
    return NULL;
}

/* absolute-form (RFC 9112 section 3.2.2) is cut down to origin-form when its authority is the Host. */
static const char *check_target(struct http_head *h, struct slice host)
{
    struct slice t = h->target;

    for (size_t i = 0; i < t.n; i++)
        if ((unsigned char)t.p[i] <= 0x20 || (unsigned char)t.p[i] >= 0x7F || t.p[i] == '#')
            return "a character in the target that must be percent-encoded";
    if (t.n > HTTP_TARGET_MAX)
        return "a target that is too long";
    for (int i = 0; i < 2 && (t.n == 0 || t.p[0] != '/'); i++) {
        struct slice scheme = i ? SLICE("https://") : SLICE("http://");
        if (t.n > scheme.n && slice_eq_nocase(slice_sub(t, 0, scheme.n), scheme)) {
            t = slice_sub(t, scheme.n, t.n);
            if (!slice_eq_nocase(slice_sub(t, 0, slice_find(t, '/')), host))
                return "a target of another host";
            t = slice_sub(t, slice_find(t, '/'), t.n);
        }
    }
    if (t.n == 0 || t.p[0] != '/')
        return "a target that is not a path";
    h->path = slice_sub(t, 0, slice_find(t, '?'));
    h->query = slice_sub(t, h->path.n + 1, t.n);
    return NULL;
}

/* Single spaces, and nothing else between or behind the three parts (RFC 9112 section 3). */
static const char *check_request_line(struct slice bytes, const struct http_head *h)
{
    size_t n = slice_find(bytes, '\r');

    if (h->target.p != h->method.p + h->method.n + 1 || h->method.n + h->target.n + sizeof " HTTP/1.1" != n)
        return "a request line with other white space than two single spaces";
    return NULL;
}

static const char *check_request(struct http_head *h)
{
    size_t n_host, n_expect;
    struct slice host = http_get(h, "Host", &n_host);
    struct slice expect = http_get(h, "Expect", &n_expect);

    if (n_host > 1)
        return "more than one Host";
    if (n_host == 0 && h->minor == 1)
        return "no Host";
    if (n_host == 1 && !host_valid(host))
        return "an ill-formed Host";
    if (n_expect > 1 || (n_expect == 1 && !slice_eq_nocase(expect, SLICE("100-continue"))))
        return "an Expect other than 100-continue";
    h->expect_continue = n_expect == 1 && h->minor == 1;
    return check_target(h, host);
}

const char *http_head_check(struct http_head *h)
{
    const char *why = check_framing(h);

    return why ? why : check_request(h);
}

static const llhttp_settings_t *settings(void)
{
    static const llhttp_settings_t table = {
        .on_url = on_url,
        .on_header_field = on_field,
        .on_header_value = on_value,
        .on_header_value_complete = on_value_complete,
        .on_headers_complete = on_head,
    };
    return &table;
}

/* "close" ends the connection whatever stands beside it (RFC 9112 section 9.3); llhttp lets keep-alive win over it in
 * HTTP/1.0. */
static bool closes(const struct http_head *h)
{
    for (size_t i = 0; i < h->n; i++) {
        struct slice rest = h->at[i].value;
        if (!slice_eq_nocase(h->at[i].name, SLICE("Connection")))
            continue;
        while (rest.n > 0)
            if (slice_eq_nocase(slice_trim(slice_cut(&rest, ',')), SLICE("close")))
                return true;
    }
    return false;
}

static const char *run(llhttp_t *p, struct parse *x, struct slice bytes)
{
    llhttp_errno_t e = llhttp_execute(p, bytes.p, bytes.n);
    struct http_head *h = x->head;

    if (!x->ended || e != HPE_PAUSED)
        return x->many ? "too many header fields" : "not an HTTP/1.1 message";
    if (x->odd)
        return "header fields in pieces";
    if (p->http_major != 1 || p->http_minor > 1)
        return "not HTTP/1.0 or HTTP/1.1";
    h->minor = p->http_minor;
    h->status = p->status_code;
    for (size_t i = 0; i < h->n; i++)
        h->at[i].value = slice_trim(h->at[i].value);
    h->keep_alive = x->keep_alive && !closes(h);
    return NULL;
}

/* As llhttp_should_keep_alive says it; false: it says more than the two words that are plain. */
static bool plain_keep_alive(struct http_head *h, bool request)
{
    size_t n;
    struct slice v = http_get(h, "Connection", &n);
    bool bodiless = h->status / 100 == 1 || h->status == 204 || h->status == 304;

    h->keep_alive = h->minor == 1;
    if (n == 1 && slice_eq_nocase(v, SLICE("keep-alive")))
        h->keep_alive = true;
    else if (n == 1 && slice_eq_nocase(v, SLICE("close")))
        h->keep_alive = false;
    else if (n > 0)
        return false;
    if (!request && !bodiless && !h->chunked && !h->has_length)
        h->keep_alive = false; /* it ends with the connection */
    return true;
}

static bool has(const struct http_head *h, const char *name)
{
    size_t n;

    (void)http_get(h, name, &n);
    return n > 0;
}

size_t http_head_plain(struct slice bytes, bool request, struct http_head *ret)
{
    size_t n = http_scan(bytes, request, ret);

    ret->path = ret->query = (struct slice){ 0 };
    ret->expect_continue = false;
    ret->length = 0;
    ret->bytes = slice_make(bytes.p, n);
    ret->again = 0;
    if (n == 0 || has(ret, "Expect") || has(ret, "Upgrade") || has(ret, "Proxy-Connection") ||
        check_framing(ret) != NULL || !plain_keep_alive(ret, request) || (request && check_request(ret) != NULL))
        return 0;
    return n;
}

enum err http_head_parse(struct slice bytes, bool request, struct http_head *ret, const char **why)
{
    *why = NULL;
    if (bytes.n > 0 && http_head_plain(bytes, request, ret) == bytes.n)
        return ERR_OK;
    return http_head_judge(bytes, request, ret, why);
}

enum err http_head_judge(struct slice bytes, bool request, struct http_head *ret, const char **why)
{
    struct parse x = { .head = ret };
    llhttp_t parser;

    ret->absent = ret->again = 0;
    ret->n = 0;
    ret->bytes = (struct slice){ 0 };
    ret->target = ret->path = ret->query = ret->method = (struct slice){ 0 };
    ret->has_length = ret->chunked = ret->expect_continue = false;
    ret->length = 0;
    *why = check_lines(bytes);
    if (*why != NULL)
        return ERR_SYNTAX;
    llhttp_init(&parser, request ? HTTP_REQUEST : HTTP_RESPONSE, settings());
    parser.data = &x;
    *why = run(&parser, &x, bytes);
    if (*why == NULL && !request && ret->status < 100)
        *why = "a status below 100";
    if (*why == NULL)
        *why = check_framing(ret);
    if (*why == NULL && request) {
        ret->method = slice_sub(bytes, 0, slice_find(bytes, ' '));
        *why = check_request_line(bytes, ret);
        if (*why == NULL)
            *why = check_request(ret);
    }
    return *why == NULL ? ERR_OK : x.many ? ERR_TOO_LARGE : ERR_SYNTAX;
}
