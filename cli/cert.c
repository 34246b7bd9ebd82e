/* sluice cert: keys are made where they are used and never sent; only the request travels, and the certificate comes
 * back. */
#include "certs/certs.h"
#include "cli/client.h"
#include "cli/output.h"
#include "cli/run.h"
#include <unistd.h>

enum { CSR_MAX = 1 << 16, BODY_MAX = 1 << 18, DAYS_MAX = 366 };

int run_cert_request(struct cli *c)
{
    const char *key = cli_value(c, "key-out"), *csr = cli_value(c, "csr"), *name = cli_value(c, "name");
    struct buf pem = BUF_INIT(CSR_MAX);
    enum err e = certs_request_make(key, slice_of(name ? name : "sluice"), &pem, &c->diags);

    if (e == ERR_OK) {
        e = file_write(csr, buf_slice(&pem), 0644, &c->diags);
        if (e != ERR_OK)
            unlink(key); /* made in this call: it would stand in the way of the next */
    }
    buf_done(&pem);
    if (e != ERR_OK)
        return cli_error(c, e);
    cli_say(c, "Key %s stays here. Give %s to the security administrator: sluice cert sign",
            "私钥 %s 请勿外传；将 %s 交安全管理员签发：sluice cert sign", key, csr);
    return CLI_OK;
}

/* --app or --person, exactly one. */
static int subject_read(struct cli *c, const char **kind, const char **id)
{
    const char *app = cli_value(c, "app"), *person = cli_value(c, "person");

    if ((app == NULL) == (person == NULL))
        return cli_fail(c, CLI_USAGE, "for whom: --app DEPARTMENT/APP or --person DEPARTMENT/PERSON",
                        "请指明对象：--app 部门/应用 或 --person 部门/人员");
    *kind = app ? "app" : "person";
    *id = app ? app : person;
    return id_check(c, *id, true);
}

/* --digest, also as openssl prints it: AB:CD:…; *ret in lower case, empty when it is not given. */
static int digest_read(struct cli *c, struct slice *ret)
{
    const char *from = cli_value(c, "digest");
    char *to = from ? arena_str(&c->arena, slice_of(from)) : NULL, *at = to;
    struct sha256 bytes;

    *ret = (struct slice){ 0 };
    if (from == NULL)
        return CLI_OK;
    for (; to && *from; from++)
        if (*from != ':')
            *at++ = (char)(*from >= 'A' && *from <= 'F' ? *from - 'A' + 'a' : *from);
    *ret = slice_make(to, to ? (size_t)(at - to) : 0);
    if (hex_read(*ret, bytes.b, sizeof bytes.b))
        return CLI_OK;
    return cli_fail(c, CLI_USAGE, "--digest is a SHA-256: 64 hexadecimal digits",
                    "--digest 应为 SHA-256：64 位十六进制数");
}

/* --days; 0: not given. */
static int days_read(struct cli *c, uint64_t *ret)
{
    const char *days = cli_value(c, "days");

    *ret = 0;
    if (days == NULL || slice_u64(slice_of(days), 1, DAYS_MAX, ret))
        return CLI_OK;
    return cli_fail(c, CLI_USAGE, "--days is 1 to %d", "--days 应为 1 至 %d", DAYS_MAX);
}

/* What signing and enrolling have in common: for whom, how long, and a PEM file (option and member `pem`). */
static int post_pem(struct cli *c, const char *path, const char *pem, const struct doc **reply)
{
    struct buf text = BUF_INIT(CSR_MAX), body = BUF_INIT(BODY_MAX);
    const char *kind = NULL, *id = NULL, *file = cli_value(c, pem);
    struct slice digest;
    uint64_t n = 0;
    struct json j;
    int code = subject_read(c, &kind, &id);

    if (code == CLI_OK)
        code = days_read(c, &n);
    if (code == CLI_OK)
        code = digest_read(c, &digest);
    if (code == CLI_OK)
        code = cli_error(c, file_read(strcmp(file, "-") == 0 ? "/dev/stdin" : file, &text, &c->diags));
    if (code == CLI_OK) {
        json_init(&j, &body);
        json_open(&j, '{');
        json_pair(&j, "kind", slice_of(kind));
        json_pair(&j, "id", slice_of(id));
        json_pair(&j, pem, buf_slice(&text));
        json_opt(&j, "digest", digest);
        if (n > 0)
            json_pair_u64(&j, "days", n);
        json_close(&j, '}');
        code = body.failed == ERR_OK ? api_post(c, path, buf_slice(&body), reply)
                                     : cli_fail(c, CLI_FAILURE, "%s is no PEM text", "%s 不是 PEM 文本", file);
    }
    buf_done(&text);
    buf_done(&body);
    return code;
}

int run_cert_sign(struct cli *c)
{
    const struct doc *reply = NULL;
    int code = out_check(c); /* what is signed cannot be asked for again */

    if (code == CLI_OK)
        code = post_pem(c, "certs", "csr", &reply);
    if (code == CLI_OK)
        code = out_put(c, doc_text(reply, "certificate"), 0644);
    if (code == CLI_OK)
        cli_say(c, "Serial %.*s, valid until %.*s.", "序列号 %.*s，有效期至 %.*s。",
                SLICE_ARG(output_clean(c, doc_text(reply, "serial"))),
                SLICE_ARG(output_clean(c, doc_text(reply, "not_after"))));
    return code;
}

int run_cert_enrol(struct cli *c)
{
    const struct doc *reply = NULL;
    int code = post_pem(c, "certs/enrol", "certificate", &reply);

    if (code != CLI_OK)
        return code;
    fprintf(c->out, "%.*s\n", SLICE_ARG(output_clean(c, doc_text(reply, "digest"))));
    cli_say(c, "Enrolled until %.*s; its authority is %.*s.", "已备案，有效期至 %.*s；签发机构：%.*s。",
            SLICE_ARG(output_clean(c, doc_text(reply, "not_after"))),
            SLICE_ARG(output_clean(c, doc_text(reply, "authority"))));
    return CLI_OK;
}

int run_cert_renew(struct cli *c)
{
    struct buf body = BUF_INIT(64);
    const struct doc *reply = NULL;
    uint64_t n = 0;
    struct json j;
    int code = days_read(c, &n);

    json_init(&j, &body);
    json_open(&j, '{');
    if (n > 0)
        json_pair_u64(&j, "days", n);
    json_close(&j, '}');
    if (code == CLI_OK)
        code = body.failed == ERR_OK ? api_post(c, "certs/renew", buf_slice(&body), &reply) : cli_error(c, body.failed);
    buf_done(&body);
    if (code == CLI_OK)
        fprintf(c->out, c->lang == LANG_ZH ? "序列号 %.*s，有效期至 %.*s\n" : "serial %.*s, valid until %.*s\n",
                SLICE_ARG(output_clean(c, doc_text(reply, "serial"))),
                SLICE_ARG(output_clean(c, doc_text(reply, "not_after"))));
    return code;
}

int run_cert_revoke(struct cli *c)
{
    struct buf path = BUF_INIT(4096), body = BUF_INIT(BODY_MAX);
    const struct doc *reply = NULL;
    char *where;
    struct json j;
    int code;

    buf_puts(&path, "certs/");
    percent_put(&path, slice_of(c->args[0]));
    buf_puts(&path, "/revoke");
    where = arena_str(&c->arena, buf_slice(&path));
    json_init(&j, &body);
    json_open(&j, '{');
    json_pair(&j, "reason", slice_of(cli_value(c, "reason")));
    json_close(&j, '}');
    code = path.failed == ERR_OK && body.failed == ERR_OK && where
               ? api_post(c, where, buf_slice(&body), &reply)
               : cli_fail(c, CLI_USAGE, "the serial or the reason is no text", "序列号或原因不是文本");
    buf_done(&path);
    buf_done(&body);
    if (code == CLI_OK)
        fprintf(c->out, c->lang == LANG_ZH ? "%s：已吊销\n" : "%s: revoked\n", c->args[0]);
    return code;
}

static int fetch(struct cli *c, const char *path)
{
    struct buf text;
    int code = api_bytes(c, "GET", path, (struct slice){ 0 }, &text);

    if (code == CLI_OK)
        code = out_put(c, buf_slice(&text), 0644);
    buf_done(&text);
    return code;
}

int run_cert_ca(struct cli *c)
{
    return fetch(c, "ca");
}

int run_cert_crl(struct cli *c)
{
    return fetch(c, "crl");
}

int run_audit_checkpoint(struct cli *c)
{
    return fetch(c, cli_has(c, "witnessed") ? "log/checkpoint.witnessed" : "audit/checkpoint");
}
