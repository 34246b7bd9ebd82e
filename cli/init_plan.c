/* sluice init: from options to a plan, with every mistake told before anything is made. */
#include <arpa/inet.h>
#include "catalog/catalog.h"
#include "cli/init.h"
#include "cli/run.h"

/* A placeholder of the test region with a valid check digit: the real code comes with sluice apply. */
#define BUREAU_CODE "11990000MB0000000J"

static int fail_option(struct cli *c, const char *option, const char *en, const char *zh)
{
    return cli_fail(c, CLI_USAGE, "--%s: %s", "--%s：%s", option, c->lang == LANG_ZH ? zh : en);
}

static int plan_port(struct cli *c, const char *option, unsigned otherwise, unsigned *ret)
{
    const char *v = cli_value(c, option);
    uint64_t port = otherwise;

    if (v != NULL && !slice_u64(slice_of(v), 0, 65535, &port))
        return fail_option(c, option, "a port is 0 to 65535", "端口应为 0 至 65535");
    *ret = (unsigned)port;
    return CLI_OK;
}

static int plan_ports(struct init *n)
{
    int code = plan_port(n->cli, "data-port", 8443, &n->data_port);

    if (code == CLI_OK)
        code = plan_port(n->cli, "control-port", 9443, &n->control_port);
    if (code == CLI_OK)
        code = plan_port(n->cli, "operations-port", 9464, &n->operations_port);
    return code;
}

/* A DNS name in lower case: what a SPIFFE trust domain and a host name may be here. */
static bool domain_valid(struct slice s)
{
    bool ok = s.n > 0 && s.n <= 200;

    for (size_t i = 0; ok && i < s.n; i++)
        ok = (s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '.' || s.p[i] == '-';
    return ok;
}

static int plan_names(struct init *n)
{
    struct cli *c = n->cli;
    const char *names = cli_value(c, "names"), *listen = cli_value(c, "listen");
    unsigned char address[16];

    n->node = slice_of(cli_value(c, "node"));
    n->domain = slice_of(cli_value(c, "trust-domain"));
    n->names = names ? slice_of(names) : SLICE("localhost,127.0.0.1,::1");
    n->listen = listen ? slice_of(listen) : SLICE("127.0.0.1");
    if (!ident_valid(n->node))
        return fail_option(c, "node", "a name is [a-z][a-z0-9-]*", "名称应为 [a-z][a-z0-9-]*");
    if (!domain_valid(n->domain))
        return fail_option(c, "trust-domain", "a domain in lower case, as in data.city.example",
                           "应为小写域名，如 data.city.example");
    if (listen && inet_pton(AF_INET, listen, address) != 1 && inet_pton(AF_INET6, listen, address) != 1)
        return fail_option(c, "listen", "an IP address, as in 0.0.0.0", "应为 IP 地址，如 0.0.0.0");
    return CLI_OK;
}

static int plan_bureau(struct init *n)
{
    struct cli *c = n->cli;
    const char *v = cli_value(c, "bureau"), *code = cli_value(c, "bureau-code");
    const struct check *uscc = check_find(SLICE("uscc"));
    struct slice left = v ? slice_of(v) : SLICE("bureau=大数据局");

    n->bureau = slice_cut(&left, '=');
    n->bureau_title = left.n > 0 ? left : n->bureau;
    n->bureau_code = code ? slice_of(code) : SLICE(BUREAU_CODE);
    n->placeholder_code = code == NULL;
    if (!ident_valid(n->bureau) || !utf8_valid(n->bureau_title))
        return fail_option(c, "bureau", "ID=TITLE, as in bureau=\"City data bureau\"",
                           "应为 标识=名称，如 bureau=大数据局");
    if (uscc == NULL || !uscc->ok(n->bureau_code))
        return fail_option(c, "bureau-code", "no valid unified social credit code", "统一社会信用代码无效");
    return CLI_OK;
}

static const struct init_admin roles[INIT_ADMINS] = {
    { .role = "system", .bit = ROLE_SYSTEM_ADMIN },
    { .role = "security", .bit = ROLE_SECURITY_ADMIN },
    { .role = "audit", .bit = ROLE_AUDIT_ADMIN },
};

/* --admin ROLE=ID[:CSR] */
static int plan_admin(struct init *n, const char *text)
{
    struct slice left = slice_of(text), role = slice_cut(&left, '='), id = slice_cut(&left, ':');
    struct init_admin *found = NULL;

    for (size_t i = 0; i < INIT_ADMINS; i++)
        if (slice_is(role, n->admins[i].role))
            found = &n->admins[i];
    if (found == NULL || !ident_path_valid(id))
        return fail_option(n->cli, "admin", "system=DEPARTMENT/PERSON[:CSR], likewise security and audit",
                           "应为 system=部门/人员[:申请文件]，security、audit 同");
    if (found->id.n > 0)
        return fail_option(n->cli, "admin", "each role once", "每个角色一次");
    if (slice_find(id, '/') != n->bureau.n || !slice_starts(id, n->bureau))
        return fail_option(n->cli, "admin", "administrators belong to the bureau's department (--bureau)",
                           "管理员须属于大数据主管部门（--bureau）");
    found->id = id;
    found->csr = left.n > 0 ? arena_str(&n->cli->arena, left) : NULL;
    return CLI_OK;
}

static int plan_admins(struct init *n)
{
    const char *v;
    int code = CLI_OK;

    memcpy(n->admins, roles, sizeof roles);
    for (size_t i = 0; code == CLI_OK && (v = cli_nth(n->cli, "admin", i)) != NULL; i++)
        code = plan_admin(n, v);
    for (size_t i = 0; code == CLI_OK && i < INIT_ADMINS; i++) {
        struct init_admin *a = &n->admins[i];
        a->title.zh = slice_of(catalog_role_name(a->bit, LANG_ZH, true));
        a->title.en = slice_of(catalog_role_name(a->bit, LANG_EN, true));
        if (a->id.n == 0)
            a->id = slice_of(arena_printf(&n->cli->arena, "%.*s/%s-admin", SLICE_ARG(n->bureau), a->role));
        for (size_t k = 0; k < i; k++)
            if (slice_eq(a->id, n->admins[k].id))
                code =
                    fail_option(n->cli, "admin", "the three administrators are three people", "三个管理员须为不同人员");
    }
    return code;
}

int init_plan(struct init *n)
{
    int code = plan_names(n);

    if (code == CLI_OK)
        code = plan_ports(n);
    if (code == CLI_OK)
        code = plan_bureau(n);
    return code == CLI_OK ? plan_admins(n) : code;
}
