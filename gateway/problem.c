/* Problem bodies. One list of members feeds both forms; nothing here allocates but through the buffer given, whose cap
 * bounds what a list of problems can make of it. */
#include "gateway/problem.h"

#include <stdio.h>

enum { WEIGHT_ONE = 1000, PROBLEMS_SHOWN = 100 };

/* ---- weights: a list of ranges with q-values ---- */

/* ;q=0.5 in thousandths; a malformed weight counts as nothing wanted. */
static int weight_of(struct slice params)
{
    while (params.n > 0) {
        struct slice p = slice_trim(slice_cut(&params, ';'));
        int w = 0, scale = 100;
        if (p.n < 2 || (p.p[0] != 'q' && p.p[0] != 'Q') || p.p[1] != '=')
            continue;
        if (p.n < 3 || (p.p[2] != '0' && p.p[2] != '1') || (p.n > 3 && p.p[3] != '.') || p.n > 7)
            return 0;
        w = (p.p[2] - '0') * WEIGHT_ONE;
        for (size_t i = 4; i < p.n; i++, scale /= 10) {
            if (p.p[i] < '0' || p.p[i] > '9')
                return 0;
            w += (p.p[i] - '0') * scale;
        }
        return w > WEIGHT_ONE ? 0 : w;
    }
    return WEIGHT_ONE;
}

static const struct form_range {
    const char *range;
    enum problem_form form;
} form_ranges[] = {
    { "*/*", PROBLEM_JSON },
    { "application/*", PROBLEM_JSON },
    { "application/json", PROBLEM_JSON },
    { "application/problem+json", PROBLEM_JSON },
    { "application/x-ndjson", PROBLEM_JSON },
    { "application/xml", PROBLEM_XML },
    { "application/problem+xml", PROBLEM_XML },
    { "application/soap+xml", PROBLEM_XML },
    { "text/xml", PROBLEM_XML },
};

enum problem_form problem_form_of(struct slice accept)
{
    int best[2] = { 0, 0 };

    while (accept.n > 0) {
        struct slice params = slice_cut(&accept, ','), range = slice_trim(slice_cut(&params, ';'));
        for (size_t i = 0; i < sizeof form_ranges / sizeof form_ranges[0]; i++) {
            int w = slice_eq_nocase(range, slice_of(form_ranges[i].range)) ? weight_of(params) : 0;
            if (w > best[form_ranges[i].form])
                best[form_ranges[i].form] = w;
        }
    }
    return best[PROBLEM_XML] > best[PROBLEM_JSON] ? PROBLEM_XML : PROBLEM_JSON;
}

const char *problem_type(enum problem_form f)
{
    return f == PROBLEM_XML ? "application/problem+xml" : "application/problem+json";
}

enum lang lang_of_accept(struct slice accept_language, enum lang otherwise)
{
    enum lang best = otherwise;
    int most = 0;

    while (accept_language.n > 0) {
        struct slice params = slice_cut(&accept_language, ','), tag = slice_trim(slice_cut(&params, ';'));
        struct slice primary = slice_sub(tag, 0, slice_find(tag, '-'));
        int w = weight_of(params);
        if (w <= most)
            continue;
        if (slice_eq_nocase(primary, SLICE("zh")))
            best = LANG_ZH, most = w;
        else if (slice_eq_nocase(primary, SLICE("en")))
            best = LANG_EN, most = w;
        else if (slice_is(primary, "*"))
            best = otherwise, most = w;
    }
    return best;
}

/* ---- the members: one order for both forms ---- */
struct writer {
    enum problem_form form;
    struct json json;
    struct buf *out;
};

static void put_xml(struct buf *out, struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '&')
            buf_puts(out, "&amp;");
        else if (c == '<')
            buf_puts(out, "&lt;");
        else if (c == '>')
            buf_puts(out, "&gt;");
        else if (c >= 0x20 || c == '\t' || c == '\n') /* XML 1.0 section 2.2: no other control characters */
            buf_putc(out, (char)c);
        else
            buf_putc(out, ' ');
    }
}

static void put_text(struct writer *w, const char *name, struct slice value)
{
    if (value.n == 0 || !utf8_valid(value))
        return;
    if (w->form == PROBLEM_JSON) {
        json_pair(&w->json, name, value);
        return;
    }
    buf_printf(w->out, "<%s>", name);
    put_xml(w->out, value);
    buf_printf(w->out, "</%s>", name);
}

static void put_number(struct writer *w, const char *name, uint64_t value)
{
    if (w->form == PROBLEM_JSON)
        json_pair_u64(&w->json, name, value);
    else
        buf_printf(w->out, "<%s>%llu</%s>", name, (unsigned long long)value, name);
}

static void open_list(struct writer *w, const char *name)
{
    if (w->form == PROBLEM_XML) {
        buf_printf(w->out, "<%s>", name);
        return;
    }
    json_key(&w->json, name);
    json_open(&w->json, '[');
}

static void close_list(struct writer *w, const char *name)
{
    if (w->form == PROBLEM_XML)
        buf_printf(w->out, "</%s>", name);
    else
        json_close(&w->json, ']');
}

static void put_grants(struct writer *w, const struct problem *p)
{
    if (p->n_ids == 0)
        return;
    open_list(w, "grants");
    for (size_t i = 0; i < p->n_ids; i++) {
        if (w->form == PROBLEM_XML)
            put_text(w, "i", p->ids[i]);
        else
            json_str(&w->json, p->ids[i]);
    }
    close_list(w, "grants");
}

static void put_places(struct writer *w, const struct diags *d, enum lang l)
{
    unsigned n = 0;

    if (d == NULL || d->first == NULL)
        return;
    open_list(w, "problems");
    for (const struct diag *at = d->first; at && n < PROBLEMS_SHOWN; at = at->next, n++) {
        if (w->form == PROBLEM_XML)
            buf_puts(w->out, "<i>");
        else
            json_open(&w->json, '{');
        put_text(w, "file", at->file);
        if (at->line > 0)
            put_number(w, "line", at->line);
        if (at->col > 0)
            put_number(w, "column", at->col);
        put_text(w, "message", slice_of(at->what[l]));
        if (w->form == PROBLEM_XML)
            buf_puts(w->out, "</i>");
        else
            json_close(&w->json, '}');
    }
    close_list(w, "problems");
}

static void put_members(struct writer *w, const struct problem *p, enum lang l)
{
    const struct reason_info *info = reason_info(p->reason);
    char type[128], instance[64];

    snprintf(type, sizeof type, "urn:sluice:problem:%s", info->code);
    snprintf(instance, sizeof instance, "urn:uuid:%.*s", SLICE_ARG(p->exchange));
    put_text(w, "type", slice_of(type));
    put_text(w, "title", slice_of(info->title[l]));
    put_number(w, "status", (uint64_t)info->status);
    put_text(w, "detail", slice_of(p->detail[l] ? p->detail[l] : p->detail[LANG_EN]));
    if (p->exchange.n > 0)
        put_text(w, "instance", slice_of(instance));
    put_text(w, "code", slice_of(info->code));
    put_text(w, "hop", slice_of(hop_name(info->hop)));
    put_text(w, "provider_reached", slice_of(reached_name(p->has_reached ? p->reached : info->reached)));
    put_text(w, "exchange", p->exchange);
    put_text(w, "remedy", slice_of(info->remedy[l]));
    put_grants(w, p);
    put_places(w, p->problems, l);
}

struct slice problem_retry_after(int status)
{
    return status == 503 || status == 429 ? SLICE("2") : (struct slice){ 0 };
}

void problem_put(const struct problem *p, enum problem_form f, enum lang l, struct buf *out)
{
    struct writer w = { .form = f, .out = out };

    if (f == PROBLEM_XML) {
        buf_puts(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<problem xmlns=\"urn:ietf:rfc:7807\">");
        put_members(&w, p, l);
        buf_puts(out, "</problem>");
        return;
    }
    json_init(&w.json, out);
    json_open(&w.json, '{');
    put_members(&w, p, l);
    json_close(&w.json, '}');
}

/* ---- what base/net says of bytes that were no request ---- */
static const struct malformed {
    const char *en, *zh;
} malformed[] = {
    { "more header fields than limits.head_fields", "请求头字段数超过 limits.head_fields" },
    { "a head over limits.head_bytes", "请求头超过 limits.head_bytes" },
    { "a header list over limits.head_bytes or limits.head_fields",
      "请求头超过 limits.head_bytes 或 limits.head_fields" },
    { "too many header fields", "请求头字段过多" },
    { "the head did not arrive in time", "请求头未按时到达" },
    { "not HTTP/1.0 or HTTP/1.1", "不是 HTTP/1.0 或 HTTP/1.1" },
    { "not an HTTP/1.1 message", "不是 HTTP/1.1 报文" },
    { "header fields in pieces", "请求头字段不连续" },
    { "a line does not end in CRLF", "有一行未以 CRLF 结束" },
    { "a carriage return inside a line", "行内含回车符" },
    { "a folded line", "请求头含折行" },
    { "a header field without a name", "请求头字段缺少名称" },
    { "an empty line before the end of the head", "请求头中间有空行" },
    { "a request line with other white space than two single spaces", "请求行中的空白须为两个单独的空格" },
    { "more than one Content-Length", "Content-Length 多于一个" },
    { "more than one Transfer-Encoding", "Transfer-Encoding 多于一个" },
    { "both Content-Length and Transfer-Encoding", "同时含有 Content-Length 与 Transfer-Encoding" },
    { "a Content-Length that is not a number", "Content-Length 不是数字" },
    { "a Content-Length without a body", "有 Content-Length 而无正文" },
    { "Transfer-Encoding in HTTP/1.0", "HTTP/1.0 报文含有 Transfer-Encoding" },
    { "a Transfer-Encoding other than chunked", "Transfer-Encoding 不是 chunked" },
    { "more than one Host", "Host 多于一个" },
    { "no Host", "缺少 Host" },
    { "an ill-formed Host", "Host 格式错误" },
    { "a Host that is not the authority", "Host 与 :authority 不一致" },
    { "a scheme other than https", "协议不是 https" },
    { "an Expect other than 100-continue", "Expect 不是 100-continue" },
    { "a character in the target that must be percent-encoded", "请求目标中有须百分号编码的字符" },
    { "a target that is too long", "请求目标过长" },
    { "a target of another host", "请求目标属于其他主机" },
    { "the gateway's memory is short", "网关内存不足" },
    { "a target that is not a path", "请求目标不是路径" },
};

const char *problem_malformed_zh(const char *what)
{
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
        if (strcmp(malformed[i].en, what) == 0)
            return malformed[i].zh;
    return "报文不符合 HTTP 规范"; /* what the parser's own words say is not known beforehand */
}
