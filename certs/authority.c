/* certs/authority: making the root and the issuing CA, and opening the issuing CA.
 * Invariants: the root's key is written into a folder of its own and is never read again here; a key is never
 * overwritten; what was opened is a CA for the domain it was opened for, and its key is the certificate's. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <unistd.h>
#include "certs/internal.h"

#define DAY_MS ((int64_t)86400000)
enum { ROOT_DAYS = 20 * 365, ISSUING_DAYS = 10 * 365, FIRST_LIST_HOURS = 24, KEY_FILE_MAX = 16384 };

static const struct certs_extension root_extensions[] = {
    { NID_basic_constraints, "critical,CA:TRUE,pathlen:1" },
    { NID_key_usage, "critical,keyCertSign,cRLSign" },
    { NID_subject_key_identifier, "hash" },
    { NID_authority_key_identifier, "keyid:always" },
    { 0, NULL },
};
static const struct certs_extension issuing_extensions[] = {
    { NID_basic_constraints, "critical,CA:TRUE,pathlen:0" },
    { NID_key_usage, "critical,keyCertSign,cRLSign" },
    { NID_subject_key_identifier, "hash" },
    { NID_authority_key_identifier, "keyid:always" },
    { 0, NULL },
};

/* ---- making ---- */

struct pair { /* the two CAs while they are made */
    struct arena arena;
    const char *root_key_path, *root_path, *key_path, *path, *chain_path, *list_path;
    EVP_PKEY *root_key, *key; /* own */
    X509 *root, *cert;        /* own */
};

static void pair_done(struct pair *p)
{
    X509_free(p->cert);
    X509_free(p->root);
    EVP_PKEY_free(p->key);
    EVP_PKEY_free(p->root_key);
    arena_done(&p->arena);
    ERR_clear_error();
}

static enum err paths_make(struct pair *p, const char *dir, struct diags *d)
{
    char *root = path_join(&p->arena, dir, "root"), *ca = path_join(&p->arena, dir, "ca");
    enum err e;

    if (root == NULL || ca == NULL)
        return diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    p->root_key_path = path_join(&p->arena, root, "root.key");
    p->root_path = path_join(&p->arena, root, "root.pem");
    p->key_path = path_join(&p->arena, ca, "ca.key");
    p->path = path_join(&p->arena, ca, "ca.pem");
    p->chain_path = path_join(&p->arena, ca, "chain.pem");
    p->list_path = path_join(&p->arena, ca, "crl.pem");
    if (!p->root_key_path || !p->root_path || !p->key_path || !p->path || !p->chain_path || !p->list_path)
        return diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    if (access(p->root_key_path, F_OK) == 0 || access(p->key_path, F_OK) == 0)
        return diag_add(d, ERR_EXISTS, 0, 0,
                        "a certificate authority exists already in %s: use it, or name another folder",
                        "%s 中已有证书机构：请直接使用，或另选目录", dir);
    e = dir_make(root, 0700, d);
    return e == ERR_OK ? dir_make(ca, 0700, d) : e;
}

static enum err pair_make(struct pair *p, const char *domain, int64_t now, struct diags *d)
{
    char uri[CERTS_URI_MAX + 1];
    struct certs_make m = { .organisation = slice_of(domain), .from = now - CERTS_LEEWAY_MS };
    enum err e;

    snprintf(uri, sizeof uri, "spiffe://%s", domain);
    m.uri = slice_of(uri);
    p->root_key = EVP_EC_gen("P-256");
    p->key = EVP_EC_gen("P-256");
    if (p->root_key == NULL || p->key == NULL)
        return diag_add(d, ERR_CRYPTO, 0, 0, "cannot make a key (%s)", "无法生成密钥（%s）", certs_why());
    m.common_name = SLICE("Sluice root CA");
    m.key = m.issuer_key = p->root_key;
    m.to = now + ROOT_DAYS * DAY_MS;
    m.extensions = root_extensions;
    e = certs_make(&m, &p->root);
    m.common_name = SLICE("Sluice issuing CA");
    m.key = p->key;
    m.issuer = p->root;
    m.to = now + ISSUING_DAYS * DAY_MS;
    m.extensions = issuing_extensions;
    if (e == ERR_OK)
        e = certs_make(&m, &p->cert);
    if (e != ERR_OK)
        diag_add(d, e, 0, 0, "cannot make a certificate (%s)", "无法生成证书（%s）", certs_why());
    return e;
}

/* The root's list lives as long as the issuing CA, for the root's key is away; the issuing CA's is the first of many.
 */
static enum err lists_make(struct pair *p, int64_t now, struct buf *out)
{
    X509_CRL *root = NULL, *own = NULL;
    uint64_t number = (uint64_t)(now / 1000);
    enum err e = certs_list_new(p->root, number, now, now + ISSUING_DAYS * DAY_MS, &root);

    if (e == ERR_OK)
        e = certs_list_put(root, p->root_key, out);
    if (e == ERR_OK)
        e = certs_list_new(p->cert, number, now, now + FIRST_LIST_HOURS * (DAY_MS / 24), &own);
    if (e == ERR_OK)
        e = certs_list_put(own, p->key, out);
    X509_CRL_free(root);
    X509_CRL_free(own);
    return e;
}

static enum err text_write(const char *path, const struct buf *text, struct diags *d)
{
    if (text->failed != ERR_OK)
        return diag_add(d, text->failed, 0, 0, "cannot write out %s", "无法写出 %s", path);
    return file_write(path, buf_slice(text), 0644, d);
}

static enum err keys_store(struct pair *p, struct diags *d)
{
    enum err e = certs_key_store(p->root_key_path, p->root_key, d);

    if (e != ERR_OK)
        return e;
    e = certs_key_store(p->key_path, p->key, d);
    if (e != ERR_OK)
        unlink(p->root_key_path); /* half an authority would only stand in the way of the next try */
    return e;
}

/* Keys come last: what is left behind without them is simply made anew. */
static enum err pair_store(struct pair *p, int64_t now, struct diags *d)
{
    struct buf text = BUF_INIT(CERTS_PEM_MAX);
    enum err e = lists_make(p, now, &text);

    if (e != ERR_OK)
        diag_add(d, e, 0, 0, "cannot make a revocation list (%s)", "无法生成吊销列表（%s）", certs_why());
    else
        e = text_write(p->list_path, &text, d);
    buf_clear(&text);
    certs_pem_put(&text, p->cert);
    if (e == ERR_OK)
        e = text_write(p->path, &text, d);
    certs_pem_put(&text, p->root);
    if (e == ERR_OK)
        e = text_write(p->chain_path, &text, d);
    buf_clear(&text);
    certs_pem_put(&text, p->root);
    if (e == ERR_OK)
        e = text_write(p->root_path, &text, d);
    buf_done(&text);
    return e == ERR_OK ? keys_store(p, d) : e;
}

enum err certs_ca_create(const char *dir, const char *trust_domain, int64_t now, struct diags *d)
{
    struct pair p = { 0 };
    enum err e;

    if (!certs_domain_valid(slice_of(trust_domain)))
        return diag_add(d, ERR_INVALID, 0, 0,
                        "'%s' is no trust domain: up to 64 of a-z, 0-9, '.', '-', '_', for instance data.city.example",
                        "“%s”不是合法信任域：不超过 64 个 a-z、0-9、“.”、“-”、“_”，例如 data.city.example",
                        trust_domain);
    arena_init(&p.arena, 65536);
    e = paths_make(&p, dir, d);
    if (e == ERR_OK)
        e = pair_make(&p, trust_domain, now, d);
    if (e == ERR_OK)
        e = pair_store(&p, now, d);
    pair_done(&p);
    return e;
}

/* ---- opening ---- */

static int no_pass_phrase(char *room, int size, int writing, void *arg)
{
    (void)room, (void)size, (void)writing, (void)arg;
    return -1;
}

static enum err key_load(const char *path, EVP_PKEY **ret, struct diags *d)
{
    struct buf text = BUF_INIT(KEY_FILE_MAX);
    BIO *in = NULL;
    enum err e = file_check_private(path, d);

    /* All room at once: growing would leave copies of the key behind. */
    if (e == ERR_OK && buf_reserve(&text, KEY_FILE_MAX) == NULL)
        e = diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    if (e == ERR_OK)
        e = file_read(path, &text, d);
    if (e == ERR_OK) {
        in = BIO_new_mem_buf(text.p, (int)text.n);
        *ret = in ? PEM_read_bio_PrivateKey(in, NULL, no_pass_phrase, NULL) : NULL;
        if (*ret == NULL)
            e = diag_add(d, ERR_CRYPTO, 0, 0, "%s is no private key in unencrypted PEM", "%s 不是未加密的 PEM 私钥",
                         path);
    }
    BIO_free(in);
    if (text.p)
        mem_wipe(text.p, text.room);
    buf_done(&text);
    return e;
}

static enum err cert_load(struct certs_ca *ca, const char *path, struct diags *d)
{
    STACK_OF(X509) *all = NULL;
    enum err e = certs_pem_read(path, &all, d);

    if (e == ERR_OK)
        ca->cert = sk_X509_shift(all);
    sk_X509_pop_free(all, X509_free);
    return e;
}

/* NULL key: it is in other hands. */
static enum err ca_check(struct certs_ca *ca, const char *path, struct diags *d)
{
    char uri[CERTS_URI_MAX + 1];
    struct slice name;

    if (X509_check_ca(ca->cert) != 1 || !certs_key_ok(X509_get0_pubkey(ca->cert)) ||
        !certs_time_read(X509_get0_notBefore(ca->cert), &ca->not_before) ||
        !certs_time_read(X509_get0_notAfter(ca->cert), &ca->not_after))
        return diag_add(d, ERR_INVALID, 0, 0, "%s is no certificate of a usable authority", "%s 不是可用的机构证书",
                        path);
    if (ca->key != NULL && X509_check_private_key(ca->cert, ca->key) != 1)
        return diag_add(d, ERR_CONFLICT, 0, 0, "the key beside %s belongs to another certificate",
                        "%s 旁的密钥属于另一证书", path);
    if (!certs_uri_read(ca->cert, uri))
        return diag_add(d, ERR_INVALID, 0, 0, "%s names no trust domain", "%s 未写明信任域", path);
    name = slice_of(uri);
    if (!slice_starts(name, SLICE("spiffe://")) || !slice_is(slice_sub(name, 9, name.n), ca->domain))
        return diag_add(d, ERR_CONFLICT, 0, 0, "%s is an authority of %s, and the settings name %s",
                        "%s 是 %s 的证书机构，而设置中的信任域是 %s", path, uri, ca->domain);
    return ERR_OK;
}

static enum err ca_load(struct certs_ca *ca, const char *dir, const char *domain, struct diags *d)
{
    char *folder = path_join(&ca->arena, dir, "ca"), *key, *cert;
    enum err e;

    if (folder == NULL)
        return diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    key = path_join(&ca->arena, folder, "ca.key");
    cert = path_join(&ca->arena, folder, "ca.pem");
    ca->list_path = path_join(&ca->arena, folder, "crl.pem");
    ca->domain = arena_str(&ca->arena, slice_of(domain));
    if (key == NULL || cert == NULL || ca->list_path == NULL || ca->domain == NULL)
        return diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    e = ca->hand == NULL ? key_load(key, &ca->key, d) : ERR_OK;
    if (e == ERR_OK)
        e = cert_load(ca, cert, d);
    if (e == ERR_OK)
        e = ca_check(ca, cert, d);
    return e == ERR_OK && ca->hand == NULL ? certs_listed_load(ca, d) : e;
}

static enum err ca_open(const char *dir, const char *trust_domain, const struct certs_hand *hand, struct certs_ca **ret,
                        struct diags *d)
{
    struct certs_ca *ca = mem_zalloc(sizeof *ca);
    enum err e;

    if (ca == NULL)
        return diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    arena_init(&ca->arena, 65536);
    ca->hand = hand;
    e = ca_load(ca, dir, trust_domain, d);
    ERR_clear_error();
    if (e == ERR_OK)
        *ret = ca;
    else
        certs_ca_free(ca);
    return e;
}

enum err certs_ca_open(const char *dir, const char *trust_domain, struct certs_ca **ret, struct diags *d)
{
    return ca_open(dir, trust_domain, NULL, ret, d);
}

enum err certs_ca_open_without_key(const char *dir, const char *trust_domain, const struct certs_hand *hand,
                                   struct certs_ca **ret, struct diags *d)
{
    return ca_open(dir, trust_domain, hand, ret, d);
}

struct certs_ca *certs_ca_free(struct certs_ca *ca)
{
    if (ca == NULL)
        return NULL;
    X509_free(ca->gateway);
    X509_free(ca->cert);
    EVP_PKEY_free(ca->key); /* OpenSSL clears the private part */
    mem_free(ca->listed);
    arena_done(&ca->arena);
    return mem_free(ca);
}
