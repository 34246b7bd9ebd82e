/* One request, one answer. Invariants: verification is never switched off; nothing is sent before the server's
 * certificate held under the CA file that was named; a key that others can read is refused. */
#include "cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <unistd.h>

enum {
    REPLY_MAX = 256 << 20,
    REFUSAL_MAX = 4 << 20,
    CONNECT_S = 10,
    CONNECT_TRIES = 4,
    WHOLE_S = 120,
    SILENCE_S = 120,
    URL_MAX = 65536
};

struct transfer {
    struct cli *cli;
    CURL *curl;
    const struct call *call;
    struct reply *reply;
    bool write_failed;
};

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    long status = 0;

    n *= size;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    if (t->call->stream && status / 100 == 2) {
        t->write_failed = fwrite(p, 1, n, t->cli->out) != n;
        return t->write_failed ? 0 : n;
    }
    t->reply->body.cap = status / 100 != 2 ? REFUSAL_MAX : t->call->most > 0 ? t->call->most : REPLY_MAX;
    buf_put(&t->reply->body, slice_make(p, n));
    return t->reply->body.failed == ERR_OK ? n : 0;
}

/* Only the heads, and without what a terminal would act on. */
static int on_debug(CURL *curl, curl_infotype kind, char *p, size_t n, void *arg)
{
    struct cli *c = arg;
    bool start = true;

    (void)curl;
    if (kind != CURLINFO_HEADER_IN && kind != CURLINFO_HEADER_OUT)
        return 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char ch = (unsigned char)p[i];
        if (ch == '\r')
            continue;
        if (start)
            fputs(kind == CURLINFO_HEADER_IN ? "< " : "> ", c->err);
        start = ch == '\n';
        fputc(ch == '\n' || (ch >= 0x20 && ch != 0x7f) ? ch : '?', c->err);
    }
    return 0;
}

static bool is_loopback(const char *url)
{
    static const char *const hosts[] = { "localhost", "127.", "[::1]" };
    const char *host = strstr(url, "://");

    for (size_t i = 0; host != NULL && i < sizeof hosts / sizeof *hosts; i++)
        if (strncmp(host + 3, hosts[i], strlen(hosts[i])) == 0)
            return true;
    return false;
}

static void set_transport(CURL *h, const struct endpoint *e, const struct call *call)
{
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(h, CURLOPT_CAINFO, e->ca);
    curl_easy_setopt(h, CURLOPT_CAPATH, NULL); /* not the system's authorities */
    curl_easy_setopt(h, CURLOPT_SSLCERT, e->cert);
    curl_easy_setopt(h, CURLOPT_SSLKEY, e->key);
    curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    if (call->patient) {
        curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_S);
    } else {
        curl_easy_setopt(h, CURLOPT_TIMEOUT, (long)WHOLE_S);
    }
    if (is_loopback(call->url))
        curl_easy_setopt(h, CURLOPT_PROXY, "");
}

/* Headers of the request; false: no memory. */
static bool set_headers(struct cli *c, const struct call *call, struct curl_slist **list)
{
    const char *fixed[] = {
        arena_printf(&c->arena, "Accept: %s", call->accept ? call->accept : "*/*"),
        c->lang == LANG_ZH ? "Accept-Language: zh" : "Accept-Language: en",
        call->has_body ? arena_printf(&c->arena, "Content-Type: %s", call->type) : NULL,
        "Expect:",
    };

    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        struct curl_slist *more = fixed[i] ? curl_slist_append(*list, fixed[i]) : *list;
        if (more == NULL)
            return false;
        *list = more;
    }
    for (const char *const *h = call->headers; h != NULL && *h != NULL; h++) {
        struct curl_slist *more = curl_slist_append(*list, *h);
        if (more == NULL)
            return false;
        *list = more;
    }
    return true;
}

static void set_request(struct transfer *t, struct curl_slist *headers)
{
    const struct call *call = t->call;

    curl_easy_setopt(t->curl, CURLOPT_URL, call->url);
    curl_easy_setopt(t->curl, CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
    curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, headers);
    if (call->has_body) {
        curl_easy_setopt(t->curl, CURLOPT_POST, 1L);
        curl_easy_setopt(t->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.n);
        curl_easy_setopt(t->curl, CURLOPT_POSTFIELDS, call->body.n ? call->body.p : "");
    }
    if (strcmp(call->method, call->has_body ? "POST" : "GET") != 0)
        curl_easy_setopt(t->curl, CURLOPT_CUSTOMREQUEST, call->method);
    curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
    if (call->verbose) {
        curl_easy_setopt(t->curl, CURLOPT_VERBOSE, 1L);
        curl_easy_setopt(t->curl, CURLOPT_DEBUGFUNCTION, on_debug);
        curl_easy_setopt(t->curl, CURLOPT_DEBUGDATA, t->cli);
    }
}

/* ---- failures below HTTP ---- */

static const struct failure {
    CURLcode code;
    int exit;
    const char *text[2];
} failures[] = {
    { CURLE_COULDNT_RESOLVE_HOST, CLI_UNREACHABLE, { "the host name has no address", "无法解析主机名" } },
    { CURLE_COULDNT_CONNECT, CLI_UNREACHABLE, { "nobody listens there", "无法连接" } },
    { CURLE_OPERATION_TIMEDOUT, CLI_UNREACHABLE, { "no answer in time", "等待响应超时" } },
    { CURLE_GOT_NOTHING, CLI_UNREACHABLE, { "the connection was closed without an answer", "连接被关闭，没有响应" } },
    { CURLE_RECV_ERROR, CLI_UNREACHABLE, { "the connection broke", "连接中断" } },
    { CURLE_SEND_ERROR, CLI_UNREACHABLE, { "the connection broke", "连接中断" } },
    { CURLE_PARTIAL_FILE, CLI_UNREACHABLE, { "the answer was cut: it is not whole", "响应被中断，内容不完整" } },
    { CURLE_PEER_FAILED_VERIFICATION,
      CLI_DENIED,
      { "the server's certificate does not hold under --ca", "服务端证书未通过 --ca 的验证" } },
    { CURLE_SSL_CACERT_BADFILE, CLI_USAGE, { "the --ca file cannot be read", "无法读取 --ca 文件" } },
    { CURLE_SSL_CERTPROBLEM, CLI_USAGE, { "--cert or --key cannot be used", "--cert 或 --key 不可用" } },
    { CURLE_SSL_CONNECT_ERROR, CLI_UNREACHABLE, { "no TLS connection came about", "TLS 连接未能建立" } },
    { CURLE_URL_MALFORMAT, CLI_USAGE, { "that is no address", "地址无效" } },
};

static int transfer_failed(struct cli *c, const struct transfer *t, CURLcode code, const char *why)
{
    const char *text = curl_easy_strerror(code);
    int leave = CLI_FAILURE;

    if (t->write_failed)
        return cli_fail(c, CLI_FAILURE, "the output could not be written", "无法写出结果");
    if (t->reply->body.failed != ERR_OK)
        return cli_fail(c, CLI_FAILURE, "the answer is too large", "响应过大");
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
        if (failures[i].code == code) {
            text = cli_text(c, failures[i].text);
            leave = failures[i].exit;
        }
    if (strstr(why, "alert") != NULL) /* the server ended the handshake: our certificate */
        leave = CLI_DENIED;
    return *why ? cli_fail(c, leave, "%s: %s (%s)", "%s：%s（%s）", t->call->url, text, why)
                : cli_fail(c, leave, "%s: %s", "%s：%s", t->call->url, text);
}

/* ---- answers ---- */

int exit_of_status(long status)
{
    static const struct {
        long status;
        int exit;
    } rows[] = { { 401, CLI_DENIED }, { 403, CLI_DENIED }, { 404, CLI_NOT_FOUND }, { 409, CLI_CONFLICT } };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].status == status)
            return rows[i].exit;
    return status / 100 == 2 ? CLI_OK : CLI_FAILURE;
}

static int refused(struct cli *c, const struct transfer *t)
{
    struct reply *r = t->reply;
    const struct doc *doc = NULL;

    if (slice_is(r->type, "application/problem+json") &&
        doc_read_json(arena_dup(&c->arena, buf_slice(&r->body)), &c->arena, NULL, &doc) == ERR_OK) {
        problem_show(c, doc);
        return exit_of_status(r->status);
    }
    if (t->call->stream && r->body.n > 0) { /* a refusal in the form that was asked for */
        fwrite(r->body.p, 1, r->body.n, c->out);
        fputc('\n', c->out);
    }
    return cli_fail(c, exit_of_status(r->status), "%s answered with status %ld", "%s 返回状态 %ld", t->call->url,
                    r->status);
}

static void reply_read(struct transfer *t)
{
    const char *type = NULL;
    struct slice s;

    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &t->reply->status);
    curl_easy_getinfo(t->curl, CURLINFO_CONTENT_TYPE, &type);
    s = slice_of(type);
    t->reply->type = arena_dup(&t->cli->arena, slice_trim(slice_cut(&s, ';')));
}

static int endpoint_check(struct cli *c, const struct endpoint *e)
{
    if (e->ca == NULL || e->cert == NULL || e->key == NULL)
        return cli_fail(
            c, CLI_USAGE,
            "say who asks: --ca, --cert and --key, SLUICE_CA, SLUICE_CERT and SLUICE_KEY, or "
            "sluice context set",
            "请指明身份：--ca、--cert、--key，或 SLUICE_CA、SLUICE_CERT、SLUICE_KEY，或 sluice context set");
    if (access(e->ca, R_OK) != 0)
        return cli_error(c, diag_sys(&c->diags, errno, "%s", "%s", e->ca));
    if (access(e->cert, R_OK) != 0)
        return cli_error(c, diag_sys(&c->diags, errno, "%s", "%s", e->cert));
    return cli_error(c, file_check_private(e->key, &c->diags));
}

int client_call(struct cli *c, const struct endpoint *e, const struct call *call, struct reply *ret)
{
    struct transfer t = { .cli = c, .call = call, .reply = ret, .curl = NULL };
    struct curl_slist *headers = NULL;
    char why[CURL_ERROR_SIZE] = "";
    CURLcode done;
    int code;

    *ret = (struct reply){ .body = BUF_INIT(REPLY_MAX) };
    code = endpoint_check(c, e);
    if (code != CLI_OK)
        return code;
    t.curl = call->session != NULL ? *call->session : NULL;
    if (t.curl != NULL)
        curl_easy_reset(t.curl); /* options only: the connection stays */
    else
        t.curl = curl_easy_init();
    if (t.curl == NULL || !set_headers(c, call, &headers)) {
        code = cli_error(c, ERR_NOMEM);
        goto out;
    }
    curl_easy_setopt(t.curl, CURLOPT_ERRORBUFFER, why);
    set_transport(t.curl, e, call);
    set_request(&t, headers);
    for (unsigned n = 1; (done = curl_easy_perform(t.curl)) == CURLE_SSL_CONNECT_ERROR && n < CONNECT_TRIES; n++)
        continue; /* a listener under attack may close it within its handshake: nothing was sent */
    reply_read(&t);
    if (done != CURLE_OK)
        code = transfer_failed(c, &t, done, why);
    else if (ret->status == 404 && call->may_miss)
        code = CLI_NOT_FOUND;
    else if (ret->status / 100 != 2)
        code = refused(c, &t);
out:
    curl_slist_free_all(headers);
    if (call->session != NULL)
        *call->session = t.curl;
    else
        curl_easy_cleanup(t.curl);
    return code;
}

void client_end(void *session)
{
    curl_easy_cleanup(session);
}

void reply_done(struct reply *r)
{
    buf_done(&r->body);
}

/* ---- the administration API ---- */

int api_bytes(struct cli *c, const char *method, const char *path, struct slice body, struct buf *ret)
{
    struct call call = { .method = method,
                         .body = body,
                         .has_body = strcmp(method, "POST") == 0,
                         .type = "application/json",
                         .accept = "application/json, application/problem+json, */*;q=0.5" };
    struct endpoint e;
    struct reply r;
    int code = endpoint_find(c, &e);

    *ret = BUF_INIT(0);
    if (code != CLI_OK)
        return code;
    if (e.server == NULL)
        return cli_fail(c, CLI_USAGE, "say where: --server, SLUICE_SERVER, or sluice context set",
                        "请指明管理地址：--server、SLUICE_SERVER，或 sluice context set");
    if (call.has_body && body.n == 0)
        call.body = SLICE("{}");
    call.url = arena_printf(&c->arena, "%s/v1/%s", e.server, path);
    call.verbose = cli_has(c, "verbose");
    if (call.url == NULL)
        return cli_error(c, ERR_NOMEM);
    code = client_call(c, &e, &call, &r);
    if (code == CLI_OK)
        *ret = r.body;
    else
        reply_done(&r);
    return code;
}

static int api_json(struct cli *c, const char *method, const char *path, struct slice body, const struct doc **ret)
{
    struct slice text;
    struct buf bytes;
    int code = api_bytes(c, method, path, body, &bytes);

    if (code != CLI_OK)
        return code;
    text = arena_dup(&c->arena, buf_slice(&bytes));
    buf_done(&bytes);
    if (doc_read_json(text, &c->arena, &c->diags, ret) != ERR_OK) {
        cli_error(c, ERR_SYNTAX);
        return cli_fail(c, CLI_FAILURE, "the server's answer is no JSON: is it the control listener?",
                        "服务端的响应不是 JSON：请确认地址为管理端口");
    }
    return CLI_OK;
}

int api_get(struct cli *c, const char *path, const struct doc **ret)
{
    return api_json(c, "GET", path, (struct slice){ 0 }, ret);
}

int api_post(struct cli *c, const char *path, struct slice body, const struct doc **ret)
{
    return api_json(c, "POST", path, body, ret);
}

void path_put(struct buf *out, const char *id)
{
    struct slice rest = slice_of(id);

    while (rest.n > 0) {
        size_t n = slice_find(rest, '/');
        percent_put(out, slice_sub(rest, 0, n));
        if (n < rest.n)
            buf_putc(out, '/');
        rest = slice_sub(rest, n + 1, rest.n);
    }
}

void query_put(struct buf *out, const char *name, const char *value)
{
    buf_putc(out, out->n > 0 && memchr(out->p, '?', out->n) != NULL ? '&' : '?');
    buf_puts(out, name);
    buf_putc(out, '=');
    percent_put(out, slice_of(value));
}
