/* Reading a consumer's head: the path, the Sluice headers, what it accepts. All that is kept is copied into the
 * exchange's arena. Faults are noted here and refused by the read-head stage, so that they pass a record like
 * everything else. */
#include "gateway/stage_log.h"

enum { FIELD_MAX = 64 };

static void fault(struct exchange *x, enum reason r, const char *en, const char *zh)
{
    if (x->reason != REASON_INTERNAL)
        return;
    x->reason = r;
    x->detail[LANG_EN] = en;
    x->detail[LANG_ZH] = zh;
}

/* A copy in the arena. One that cannot be made must not look like a part that was not said: that would be decided
 * otherwise. */
static struct slice keep(struct exchange *x, struct slice s)
{
    struct slice copy = arena_dup(&x->arena, s);

    if (copy.p == NULL)
        fault(x, REASON_OVERLOADED, NULL, NULL);
    return copy;
}

static void read_path(struct exchange *x, struct slice path)
{
    struct slice rest = path, first, department, resource;

    slice_cut(&rest, '/');
    first = slice_cut(&rest, '/');
    department = slice_cut(&rest, '/');
    resource = slice_cut(&rest, '/');
    if (!slice_is(first, "x") || !ident_valid(department) || !ident_valid(resource) || rest.n > 0 ||
        path.n != 4 + department.n + resource.n) {
        x->raw = keep(x, path);
        fault(x, REASON_NOT_FOUND, "the address of a resource is /x/{department}/{resource}",
              "数据资源的地址为 /x/{部门}/{资源}");
        return;
    }
    x->ask.resource = keep(x, slice_sub(path, 3, path.n));
    x->ask.department = slice_sub(x->ask.resource, 0, department.n);
}

static void read_log(struct exchange *x, const struct http_head *h)
{
    struct slice path = keep(x, slice_sub(h->path, 5, h->path.n));

    if (!x->ask.get)
        fault(x, REASON_METHOD_NOT_ALLOWED, "the log is read by GET", "存证日志只能以 GET 读取");
    if (path.p == NULL || log_ask_read(x, path, keep(x, h->query)))
        return;
    x->log = NULL;
    x->raw = keep(x, h->target);
    fault(x, REASON_NOT_FOUND,
          "the log is at /log/checkpoint, /log/tile/{level}/{tile} and /log/proof/{exchange}?intent=…&outcome=…",
          "存证日志位于 /log/checkpoint、/log/tile/{层}/{块} 与 /log/proof/{交换编号}?intent=…&outcome=…");
}

static void read_method(struct exchange *x, struct slice method)
{
    x->ask.get = slice_is(method, "GET");
    if (!x->ask.get && !slice_is(method, "POST"))
        fault(x, REASON_METHOD_NOT_ALLOWED, "use POST with a JSON object, or GET", "请使用 POST（JSON 对象）或 GET");
}

/* One value of a header that may stand once; {NULL, 0} only when it does not stand there. */
static struct slice once(struct exchange *x, const struct http_head *h, const char *name)
{
    size_t n;
    struct slice v = http_get(h, name, &n);

    if (n > 1)
        fault(x, REASON_HEADER_INVALID, "a Sluice header is repeated", "Sluice 请求头重复");
    return n > 0 && v.p == NULL ? SLICE("") : v;
}

static bool is_ascii(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] > 0x7E || (unsigned char)s.p[i] < 0x20)
            return false;
    return true;
}

/* Sluice-Operator and Sluice-Case: percent-encoded UTF-8, at most 64 characters, recorded as sent; so they may hold no
 * identity number. */
static struct slice read_free_text(struct exchange *x, struct slice v, const char *ascii_en, const char *ascii_zh)
{
    struct slice text = { 0 };

    if (v.n == 0)
        return v;
    if (!is_ascii(v)) {
        fault(x, REASON_HEADER_INVALID, ascii_en, ascii_zh);
        return text;
    }
    if (percent_read(v, false, &x->arena, &text) != ERR_OK || utf8_count(text) > FIELD_MAX) {
        fault(x, REASON_HEADER_INVALID,
              "Sluice-Operator and Sluice-Case are percent-encoded UTF-8 of at most 64 characters",
              "Sluice-Operator 与 Sluice-Case 须为百分号编码的 UTF-8，至多 64 个字符");
        return (struct slice){ 0 };
    }
    if (text_names_person(text)) {
        fault(
            x, REASON_HEADER_INVALID,
            "Sluice-Operator and Sluice-Case are recorded as sent: they may not hold an identity number, nor 15 digits "
            "that look like an old one (region, yymmdd, sequence): write hyphens between their parts",
            "Sluice-Operator 与 Sluice-Case 按原文存证，不得含公民身份号码，亦不得含形如旧号码的 15 "
            "位数字（地区、年月日、顺序号）：请以连字符分隔");
        return (struct slice){ 0 };
    }
    return text;
}

static void read_sluice_headers(struct exchange *x, const struct http_head *h)
{
    struct slice purpose = once(x, h, "Sluice-Purpose"), grant = once(x, h, "Sluice-Grant");

    if (purpose.p != NULL && (!purpose_valid(purpose) || text_names_person(purpose)))
        fault(x, REASON_HEADER_INVALID, "Sluice-Purpose is a code of a-z, 0-9 and hyphens",
              "Sluice-Purpose 为小写字母、数字与连字符组成的代码");
    else
        x->ask.purpose = keep(x, purpose);
    if (grant.p != NULL && !ident_valid(grant))
        fault(x, REASON_HEADER_INVALID, "Sluice-Grant is the id of a grant, as sluice grant list shows it",
              "Sluice-Grant 为授权编号，见 sluice grant list");
    else
        x->ask.grant = keep(x, grant);
    x->ask.operator_ = read_free_text(x, once(x, h, "Sluice-Operator"),
                                      "Sluice-Operator must be percent-encoded: %E5%BC%A0%E4%B8%89 is 张三",
                                      "Sluice-Operator 须百分号编码：张三 写作 %E5%BC%A0%E4%B8%89");
    x->ask.case_ = read_free_text(x, once(x, h, "Sluice-Case"), "Sluice-Case must be percent-encoded: %E6%A1%88 is 案",
                                  "Sluice-Case 须百分号编码：案 写作 %E6%A1%88");
}

/* Nothing here decodes, and what a consumer coded must not reach a provider as if it were not (RFC 9110 section
 * 8.4). */
static void read_coding(struct exchange *x, const struct http_head *h)
{
    size_t n;
    struct slice coding = http_get(h, "Content-Encoding", &n);

    if (n > 1 || (n == 1 && !slice_eq_nocase(coding, SLICE("identity"))))
        fault(x, REASON_UNSUPPORTED_TYPE, "the body is coded: send it without Content-Encoding",
              "正文经过压缩编码：请勿使用 Content-Encoding");
}

static void read_content_type(struct exchange *x, const struct http_head *h)
{
    size_t n;
    struct slice type = http_get(h, "Content-Type", &n), kind = slice_trim(slice_sub(type, 0, slice_find(type, ';')));

    if (x->ask.get && (h->chunked || h->length > 0))
        fault(x, REASON_REQUEST_MALFORMED, "a GET has no body", "GET 请求不得带正文");
    x->ask.chunked = h->chunked;
    x->ask.types = n > 1 ? 2 : (uint8_t)n;
    if (h->length > x->w->cfg.settings->limits.body)
        x->ask.late = REASON_REQUEST_TOO_LARGE;
    if (!x->ask.get)
        read_coding(x, h);
    /* Of two, each reader would take its own. */
    if (!x->ask.get && (n > 1 || (type.n > 0 && !slice_eq_nocase(kind, SLICE("application/json"))))) {
        x->ask.late = REASON_UNSUPPORTED_TYPE;
        x->ask.type = keep(x, type);
    }
}

/* A list in several fields is one list (RFC 9110 section 5.3). */
static struct slice list_of(struct exchange *x, const struct http_head *h, struct slice name)
{
    size_t n, room = 0, at = 0;
    struct slice first = http_find(h, name, &n);
    char *all;

    if (n <= 1)
        return first;
    for (size_t i = 0; i < h->n; i++)
        if (slice_eq_nocase(h->at[i].name, name))
            room += h->at[i].value.n + 1;
    all = arena_alloc(&x->arena, room);
    if (all == NULL) {
        fault(x, REASON_OVERLOADED, NULL, NULL);
        return first;
    }
    for (size_t i = 0; i < h->n; i++) {
        struct slice v = h->at[i].value;
        if (!slice_eq_nocase(h->at[i].name, name))
            continue;
        if (v.n > 0)
            memcpy(all + at, v.p, v.n);
        at += v.n;
        all[at++] = ',';
    }
    return (struct slice){ all, at - 1 };
}

void ask_read(struct exchange *x, const struct http_head *h)
{
    struct slice accept = list_of(x, h, SLICE("Accept"));

    x->ask.problem = problem_form_of(accept);
    x->ask.lang = lang_of_accept(list_of(x, h, SLICE("Accept-Language")), (enum lang)x->w->cfg.settings->language);
    read_method(x, h->method);
    if (slice_starts(h->path, SLICE("/log/"))) {
        read_content_type(x, h);
        read_log(x, h);
        return;
    }
    read_path(x, h->path);
    read_sluice_headers(x, h);
    trace_read(x, h);
    read_content_type(x, h);
    x->ask.accept = keep(x, accept);
    x->ask.no_form = !translate_form_of(accept, &x->ask.form);
    x->ask.query = keep(x, h->query);
    if (!x->ask.get && h->query.n > 0)
        fault(x, REASON_PARAMETER_INVALID, "a POST has its parameters in the body, not in the URL",
              "POST 请求的参数应置于正文而非网址");
}
