/* Ed25519 keys and signatures (RFC 8032) on OpenSSL's EVP, and the check at start-up that OpenSSL can do what we need.
 */
#include "base/crypto/key_file.h"
#include <openssl/crypto.h>
#include <openssl/err.h>

struct ed25519 {
    EVP_PKEY *key; /* own */
    uint8_t public_key[ED25519_PUB];
};

static void *library_alloc(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return mem_library_alloc(n);
}

static void *library_grow(void *p, size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return mem_library_grow(p, n);
}

static void library_free(void *p, const char *file, int line)
{
    (void)file, (void)line;
    mem_library_free(p);
}

enum err crypto_init(struct diags *d)
{
    EVP_PKEY_CTX *probe;

    /* Two buffers of 16 KiB for each exchange come and go. Refused when OpenSSL has memory already: then it keeps to
     * malloc, which is as good but slower. */
    (void)CRYPTO_set_mem_functions(library_alloc, library_grow, library_free);
    /* 3.0 does not look itself whether its context could be made, and goes on with locks that are not there. */
    if (!OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CRYPTO_STRINGS | OPENSSL_INIT_ADD_ALL_DIGESTS, NULL) ||
        OSSL_LIB_CTX_get0_global_default() == NULL)
        return diag_add(d, ERR_CRYPTO, 0, 0, "OpenSSL cannot start (%s)", "OpenSSL 无法启动（%s）", crypto_why());
    probe = EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, NULL);
    if (!probe)
        return diag_add(d, ERR_CRYPTO, 0, 0, "OpenSSL has no Ed25519 (%s)", "OpenSSL 不支持 Ed25519（%s）",
                        crypto_why());
    EVP_PKEY_CTX_free(probe);
    return ERR_OK;
}

/* ---- keys ---- */
enum err ed25519_generate(const char *path, struct diags *d)
{
    return key_file_generate(path, "ED25519", d);
}

static enum err key_take(const char *path, EVP_PKEY *key, struct ed25519 **ret, struct diags *d)
{
    size_t n = ED25519_PUB;
    struct ed25519 *k;

    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519)
        return diag_add(d, ERR_CRYPTO, 0, 0, "%s is a key of another kind; Ed25519 is needed", "%s 不是 Ed25519 密钥",
                        path);
    k = mem_zalloc(sizeof *k);
    if (!k)
        return diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    if (EVP_PKEY_get_raw_public_key(key, k->public_key, &n) != 1 || n != ED25519_PUB || !EVP_PKEY_up_ref(key)) {
        mem_free(k);
        return diag_add(d, ERR_CRYPTO, 0, 0, "cannot read the public key (%s)", "无法读取公钥（%s）", crypto_why());
    }
    k->key = key;
    *ret = k;
    return ERR_OK;
}

enum err ed25519_load(const char *path, struct ed25519 **ret, struct diags *d)
{
    EVP_PKEY *key = NULL;
    enum err e = key_file_load(path, &key, d);

    if (e == ERR_OK)
        e = key_take(path, key, ret, d);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return e;
}

struct ed25519 *ed25519_free(struct ed25519 *k)
{
    if (k)
        EVP_PKEY_free(k->key); /* OpenSSL clears the private part */
    return mem_free(k);
}

/* ---- signatures ---- */

static enum err key_sign(void *self, struct slice message, uint8_t sig[ED25519_SIG])
{
    const struct ed25519 *k = self;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t n = ED25519_SIG;
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->key) == 1 &&
              EVP_DigestSign(ctx, sig, &n, (const uint8_t *)message.p, message.n) == 1 && n == ED25519_SIG;

    EVP_MD_CTX_free(ctx);
    if (!ok)
        ERR_clear_error();
    return ok ? ERR_OK : ERR_CRYPTO;
}

struct signer ed25519_signer(struct ed25519 *k)
{
    struct signer s = { .self = k, .sign = key_sign };

    memcpy(s.public_key, k->public_key, ED25519_PUB);
    return s;
}

bool ed25519_verify(const uint8_t public_key[ED25519_PUB], struct slice message, struct slice sig)
{
    EVP_PKEY *key;
    EVP_MD_CTX *ctx;
    bool ok;

    if (sig.n != ED25519_SIG)
        return false;
    key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, ED25519_PUB);
    ctx = EVP_MD_CTX_new();
    ok = key && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
         EVP_DigestVerify(ctx, (const uint8_t *)sig.p, sig.n, (const uint8_t *)message.p, message.n) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    if (!ok)
        ERR_clear_error(); /* callers of OpenSSL elsewhere on this thread read the same queue */
    return ok;
}
