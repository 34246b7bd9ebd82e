/* certs/sign: leaf certificates from requests, and the request at the owner's side.
 * Invariants: of a request only the key is used, after it proved that its owner holds it; the name comes from the
 * caller, is well-formed, and lies in the authority's trust domain; no leaf outlives its issuer. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include "certs/internal.h"

#define DAY_MS ((int64_t)86400000)
enum { DAYS_MAX = 366, HOSTS_MAX = 64, HOSTS_TEXT = 32768 };

static const struct certs_extension client_extensions[] = {
    { NID_basic_constraints, "critical,CA:FALSE" },
    { NID_key_usage, "critical,digitalSignature" },
    { NID_ext_key_usage, "clientAuth" },
    { NID_subject_key_identifier, "hash" },
    { NID_authority_key_identifier, "keyid" },
    { 0, NULL },
};
static const struct certs_extension gateway_extensions[] = {
    { NID_basic_constraints, "critical,CA:FALSE" }, { NID_key_usage, "critical,digitalSignature" },
    { NID_ext_key_usage, "serverAuth,clientAuth" }, { NID_subject_key_identifier, "hash" },
    { NID_authority_key_identifier, "keyid" },      { 0, NULL },
};

struct wish { /* what is to be signed, still unchecked */
    struct slice csr, uri, common_name, names;
    unsigned days;
    int64_t now;
    const struct certs_extension *extensions;
};

static enum err uri_check(const struct certs_ca *ca, struct slice uri, bool gateway, struct diags *d)
{
    struct certs_name name;

    if (!certs_name_read(uri, &name) || (name.kind == CERTS_GATEWAY) != gateway)
        return diag_add(d, ERR_INVALID, 0, 0, "'%.*s' is no name for this kind of certificate",
                        "“%.*s”不是此类证书的合法名称", SLICE_ARG(uri));
    if (!slice_is(name.domain, ca->domain))
        return diag_add(d, ERR_INVALID, 0, 0, "'%.*s' is not in the trust domain %s of this authority",
                        "“%.*s”不属于本机构的信任域 %s", SLICE_ARG(uri), ca->domain);
    return ERR_OK;
}

static bool text_printable(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return s.n > 0 && utf8_valid(s);
}

static enum err wish_check(const struct certs_ca *ca, const struct wish *w, struct diags *d)
{
    if (w->days < 1 || w->days > DAYS_MAX)
        return diag_add(d, ERR_INVALID, 0, 0, "a certificate lasts 1 to %d days, not %u",
                        "证书有效期须为 1 至 %d 天，不能为 %u 天", DAYS_MAX, w->days);
    if (!text_printable(w->common_name))
        return diag_add(d, ERR_INVALID, 0, 0, "the common name must be printable UTF-8",
                        "通用名须为可打印的 UTF-8 文本");
    if (w->now < ca->not_before || w->now >= ca->not_after)
        return diag_add(d, ERR_CONFLICT, 0, 0,
                        "the issuing certificate is not valid at this time: renew it, or check the clock",
                        "签发证书此刻无效：请更新签发证书或核对时钟");
    return ERR_OK;
}

/* The key of a request whose owner proved to hold it. */
static enum err csr_key(struct slice pem, EVP_PKEY **ret, struct diags *d)
{
    BIO *in = pem.n <= CERTS_CSR_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
    X509_REQ *csr = in ? PEM_read_bio_X509_REQ(in, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key = csr ? X509_REQ_get0_pubkey(csr) : NULL;
    enum err e = ERR_OK;

    if (csr == NULL)
        e = diag_add(d, ERR_SYNTAX, 0, 0, "that is no certificate request in PEM: make one with sluice cert request",
                     "这不是 PEM 证书请求：请用 sluice cert request 生成");
    else if (!certs_key_ok(key))
        e = diag_add(d, ERR_INVALID, 0, 0,
                     "the request's key must be P-256, P-384, Ed25519, or RSA of 2048 bits or more",
                     "请求的密钥须为 P-256、P-384、Ed25519，或不少于 2048 位的 RSA");
    else if (X509_REQ_verify(csr, key) != 1)
        e = diag_add(d, ERR_DENIED, 0, 0, "the request is not signed by its own key", "证书请求未由其自身密钥签名");
    if (e == ERR_OK && EVP_PKEY_up_ref(key))
        *ret = key;
    else if (e == ERR_OK)
        e = diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    X509_REQ_free(csr);
    BIO_free(in);
    return e;
}

static enum err issued_fill(struct certs_ca *ca, X509 *x, struct arena *a, struct certs_issued *ret)
{
    struct buf pem = BUF_INIT(CERTS_PEM_MAX);
    struct certs_serial serial;
    struct sha256 digest;
    struct slice copy = { 0 };

    certs_pem_put(&pem, x);
    certs_pem_put(&pem, ca->cert);
    if (pem.failed == ERR_OK)
        copy = arena_dup(a, buf_slice(&pem));
    buf_done(&pem);
    if (copy.p == NULL || !certs_digest(x, &digest))
        return ERR_NOMEM;
    if (!certs_serial_read(X509_get0_serialNumber(x), &serial))
        return ERR_CRYPTO;
    ret->pem = copy;
    certs_hex(serial.b, serial.n, ret->serial);
    certs_hex(digest.b, sizeof digest.b, ret->digest);
    return ERR_OK;
}

static enum err leaf_make(struct certs_ca *ca, const struct wish *w, EVP_PKEY *key, struct arena *a,
                          struct certs_issued *ret)
{
    int64_t from = (w->now - CERTS_LEEWAY_MS) / 1000 * 1000, to = (w->now / 1000 + (int64_t)w->days * 86400) * 1000;
    struct certs_make m = { .issuer = ca->cert,
                            .issuer_key = ca->key,
                            .key = key,
                            .organisation = slice_of(ca->domain),
                            .common_name = w->common_name,
                            .uri = w->uri,
                            .names = w->names,
                            .from = from < ca->not_before ? ca->not_before : from,
                            .to = to > ca->not_after ? ca->not_after : to,
                            .extensions = w->extensions };
    struct certs_issued made = { .not_before = m.from, .not_after = m.to };
    X509 *x = NULL;
    enum err e = certs_make(&m, &x);

    if (e == ERR_OK)
        e = issued_fill(ca, x, a, &made);
    if (e == ERR_OK)
        *ret = made;
    X509_free(x);
    return e;
}

static enum err sign(struct certs_ca *ca, const struct wish *w, struct arena *a, struct certs_issued *ret,
                     struct diags *d)
{
    EVP_PKEY *key = NULL;
    enum err e = wish_check(ca, w, d);

    if (e == ERR_OK)
        e = csr_key(w->csr, &key, d);
    if (e == ERR_OK) {
        e = leaf_make(ca, w, key, a, ret);
        if (e != ERR_OK)
            diag_add(d, e, 0, 0, "cannot sign a certificate (%s)", "无法签发证书（%s）", certs_why());
    }
    EVP_PKEY_free(key);
    ERR_clear_error();
    return e;
}

enum err certs_sign(struct certs_ca *ca, struct slice csr_pem, struct slice uri, struct slice common_name,
                    unsigned days, int64_t now, struct arena *a, struct certs_issued *ret, struct diags *d)
{
    struct wish w = { csr_pem, uri, common_name, { NULL, 0 }, days, now, client_extensions };
    enum err e = uri_check(ca, uri, false, d);

    if (e == ERR_OK && ca->hand != NULL)
        return ca->hand->leaf(ca->hand->self, csr_pem, uri, common_name, days, a, ret, d);
    return e == ERR_OK ? sign(ca, &w, a, ret, d) : e;
}

static enum err hosts_check(struct slice names, struct diags *d)
{
    unsigned n = 0;

    if (names.n > 0 && names.p[names.n - 1] == ',')
        return diag_add(d, ERR_INVALID, 0, 0, "a name is missing behind the last comma", "最后一个逗号后缺少名称");
    while (names.n > 0) {
        struct slice one = slice_cut(&names, ',');

        if (!certs_host_valid(one))
            return diag_add(d, ERR_INVALID, 0, 0, "'%.*s' is no DNS name and no IP address",
                            "“%.*s”不是 DNS 名称或 IP 地址", SLICE_ARG(one));
        n++;
    }
    if (n < 1 || n > HOSTS_MAX)
        return diag_add(d, ERR_INVALID, 0, 0, "a gateway's certificate has 1 to %d DNS names and IP addresses, not %u",
                        "网关证书须含 1 至 %d 个 DNS 名称或 IP 地址，不能为 %u 个", HOSTS_MAX, n);
    return ERR_OK;
}

enum err certs_sign_gateway(struct certs_ca *ca, struct slice csr_pem, struct slice uri, struct slice names,
                            unsigned days, int64_t now, struct arena *a, struct certs_issued *ret, struct diags *d)
{
    struct wish w = { csr_pem, uri, names, names, days, now, gateway_extensions };
    enum err e = uri_check(ca, uri, true, d);

    if (ca->hand != NULL)
        return diag_add(d, ERR_UNSUPPORTED, 0, 0, "a gateway's certificate is signed where the authority's key is",
                        "网关证书须在签发机构私钥所在处签发");
    if (e == ERR_OK)
        e = hosts_check(names, d);
    if (e != ERR_OK)
        return e;
    w.common_name = slice_cut(&names, ',');
    return sign(ca, &w, a, ret, d);
}

/* ---- the gateway's own, once more ---- */

enum err certs_gateway_know(struct certs_ca *ca, const char *pem_file, struct diags *d)
{
    STACK_OF(X509) *all = NULL;
    enum err e = certs_pem_read(pem_file, &all, d);
    X509 *x = e == ERR_OK ? sk_X509_shift(all) : NULL;
    char uri[CERTS_URI_MAX + 1];

    sk_X509_pop_free(all, X509_free);
    if (e == ERR_OK && (X509_check_issued(ca->cert, x) != X509_V_OK ||
                        X509_verify(x, X509_get0_pubkey(ca->cert)) != 1 || !certs_key_ok(X509_get0_pubkey(x))))
        e = diag_add(d, ERR_INVALID, 0, 0, "%s was not signed by this node's authority", "%s 不是由本节点签发机构签发",
                     pem_file);
    if (e == ERR_OK && !certs_uri_read(x, uri))
        e = diag_add(d, ERR_INVALID, 0, 0, "%s names no gateway", "%s 未写明网关名称", pem_file);
    if (e == ERR_OK)
        e = uri_check(ca, slice_of(uri), true, d);
    ERR_clear_error();
    if (e == ERR_OK) {
        X509_free(ca->gateway);
        ca->gateway = x;
    } else {
        X509_free(x);
    }
    return e;
}

static enum err gateway_again(struct certs_ca *ca, struct wish *w, struct buf *hosts, struct arena *a,
                              struct certs_issued *ret, struct diags *d)
{
    char uri[CERTS_URI_MAX + 1];
    EVP_PKEY *key;
    enum err e;

    if (!certs_uri_read(ca->gateway, uri) || !certs_hosts_read(ca->gateway, hosts))
        return diag_add(d, ERR_INVALID, 0, 0, "the names in the gateway's certificate cannot be read",
                        "无法读取网关证书中的名称");
    w->uri = slice_of(uri);
    w->names = buf_slice(hosts);
    w->common_name = buf_slice(hosts);
    w->common_name = slice_cut(&w->common_name, ',');
    e = hosts_check(w->names, d);
    if (e == ERR_OK)
        e = wish_check(ca, w, d);
    key = e == ERR_OK ? X509_get_pubkey(ca->gateway) : NULL;
    if (e == ERR_OK) {
        e = leaf_make(ca, w, key, a, ret);
        if (e != ERR_OK)
            diag_add(d, e, 0, 0, "cannot sign a certificate (%s)", "无法签发证书（%s）", certs_why());
    }
    EVP_PKEY_free(key);
    return e;
}

enum err certs_gateway_renew(struct certs_ca *ca, unsigned days, int64_t now, struct arena *a, struct certs_issued *ret,
                             struct diags *d)
{
    struct wish w = { .days = days, .now = now, .extensions = gateway_extensions };
    struct buf hosts = BUF_INIT(HOSTS_TEXT);
    enum err e;

    if (ca->hand != NULL)
        return ca->hand->gateway(ca->hand->self, days, a, ret, d);
    if (ca->gateway == NULL)
        return diag_add(
            d, ERR_UNSUPPORTED, 0, 0,
            "the gateway's certificate is not of this node's authority: have it renewed where it was signed, "
            "put it in its place, and reload",
            "网关证书不是由本节点签发机构签发：请由原签发机构更新，替换文件后重载");
    e = gateway_again(ca, &w, &hosts, a, ret, d);
    buf_done(&hosts);
    ERR_clear_error();
    return e;
}

/* ---- the owner's side ---- */

static bool csr_make(EVP_PKEY *key, struct slice common_name, struct buf *out)
{
    X509_REQ *csr = X509_REQ_new();
    BIO *mem = BIO_new(BIO_s_mem());
    char *text = NULL;
    bool ok = csr && mem && X509_REQ_set_version(csr, X509_REQ_VERSION_1) &&
              certs_common_name_put(X509_REQ_get_subject_name(csr), common_name) && X509_REQ_set_pubkey(csr, key) &&
              X509_REQ_sign(csr, key, certs_md(key)) > 0 && PEM_write_bio_X509_REQ(mem, csr) == 1;

    if (ok) {
        long n = BIO_get_mem_data(mem, &text);

        buf_put(out, slice_make(text, (size_t)n));
    }
    BIO_free(mem);
    X509_REQ_free(csr);
    return ok;
}

enum err certs_request_make(const char *key_file, struct slice common_name, struct buf *csr_pem, struct diags *d)
{
    EVP_PKEY *key = NULL;
    enum err e = ERR_OK;

    if (!text_printable(common_name))
        return diag_add(d, ERR_INVALID, 0, 0, "the common name must be printable UTF-8",
                        "通用名须为可打印的 UTF-8 文本");
    key = EVP_EC_gen("P-256");
    if (key == NULL || !csr_make(key, common_name, csr_pem))
        e = diag_add(d, ERR_CRYPTO, 0, 0, "cannot make a certificate request (%s)", "无法生成证书请求（%s）",
                     certs_why());
    else if (csr_pem->failed != ERR_OK)
        e = diag_add(d, csr_pem->failed, 0, 0, "no room for the certificate request", "证书请求放不下");
    if (e == ERR_OK)
        e = certs_key_store(key_file, key, d);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return e;
}
