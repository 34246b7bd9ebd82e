/* Ed25519 keys and signatures (RFC 8032) on OpenSSL's EVP, and the check at start-up that OpenSSL can do what we need.
 * Invariants: a key file is PKCS#8 PEM, 0600, and never overwritten; buffers that held a private key are wiped before
 * they are freed; an encrypted key file is refused instead of asking a terminal for its pass phrase. */
#include "base/crypto/crypto.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

enum { KEY_FILE_MAX = 4096 };

struct ed25519 {
    EVP_PKEY *key; /* own */
    uint8_t public_key[ED25519_PUB];
};

/* OpenSSL's reason for the last failure; static text. */
static const char *why(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    ERR_clear_error();
    return text ? text : "OpenSSL";
}

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
    if (!OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CRYPTO_STRINGS | OPENSSL_INIT_ADD_ALL_DIGESTS, NULL))
        return diag_add(d, ERR_CRYPTO, 0, 0, "OpenSSL cannot start (%s)", "OpenSSL 无法启动（%s）", why());
    probe = EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, NULL);
    if (!probe)
        return diag_add(d, ERR_CRYPTO, 0, 0, "OpenSSL has no Ed25519 (%s)", "OpenSSL 不支持 Ed25519（%s）", why());
    EVP_PKEY_CTX_free(probe);
    return ERR_OK;
}

/* ---- key files ---- */

enum err ed25519_generate(const char *path, struct diags *d)
{
    EVP_PKEY *key = NULL;
    BIO *out = NULL;
    char *text = NULL;
    long n;
    enum err e;

    if (access(path, F_OK) == 0)
        return diag_add(d, ERR_EXISTS, 0, 0, "%s exists already and is not overwritten", "%s 已存在，不予覆盖", path);
    key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    out = BIO_new(BIO_s_secmem()); /* clears itself */
    if (!key || !out || PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) != 1) {
        e = diag_add(d, ERR_CRYPTO, 0, 0, "cannot make a key (%s)", "无法生成密钥（%s）", why());
    } else {
        n = BIO_get_mem_data(out, &text);
        e = file_create(path, slice_make(text, (size_t)n), 0600, d);
    }
    BIO_free(out);
    EVP_PKEY_free(key);
    return e;
}

static int no_pass_phrase(char *room, int size, int writing, void *arg)
{
    (void)room, (void)size, (void)writing, (void)arg;
    return -1;
}

static EVP_PKEY *key_parse(struct slice pem)
{
    BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
    EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, no_pass_phrase, NULL) : NULL;

    BIO_free(in);
    return key;
}

static enum err key_take(const char *path, EVP_PKEY *key, struct ed25519 **ret, struct diags *d)
{
    size_t n = ED25519_PUB;
    struct ed25519 *k;

    if (!key)
        return diag_add(d, ERR_CRYPTO, 0, 0, "%s is no private key in unencrypted PKCS#8 PEM",
                        "%s 不是未加密的 PKCS#8 PEM 私钥", path);
    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519)
        return diag_add(d, ERR_CRYPTO, 0, 0, "%s is a key of another kind; Ed25519 is needed", "%s 不是 Ed25519 密钥",
                        path);
    k = mem_zalloc(sizeof *k);
    if (!k)
        return diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    if (EVP_PKEY_get_raw_public_key(key, k->public_key, &n) != 1 || n != ED25519_PUB || !EVP_PKEY_up_ref(key)) {
        mem_free(k);
        return diag_add(d, ERR_CRYPTO, 0, 0, "cannot read the public key (%s)", "无法读取公钥（%s）", why());
    }
    k->key = key;
    *ret = k;
    return ERR_OK;
}

enum err ed25519_load(const char *path, struct ed25519 **ret, struct diags *d)
{
    struct buf text = BUF_INIT(KEY_FILE_MAX);
    EVP_PKEY *key = NULL;
    enum err e = file_check_private(path, d);

    /* All room at once: growing would leave copies of the key behind. */
    if (e == ERR_OK && !buf_reserve(&text, KEY_FILE_MAX))
        e = diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    if (e == ERR_OK)
        e = file_read(path, &text, d);
    if (e == ERR_OK) {
        key = key_parse(buf_slice(&text));
        e = key_take(path, key, ret, d);
    }
    ERR_clear_error();
    EVP_PKEY_free(key);
    if (text.p)
        mem_wipe(text.p, text.room);
    buf_done(&text);
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
