/* SM2 signatures with SM3 (GB/T 32918.2) on OpenSSL's EVP. The signer's id enters the digest and OpenSSL's own default
 * is the empty one, so the id is set for every signature and every check. OpenSSL's signatures are DER; ours are r and
 * s, 32 bytes each, big endian. */
#include "base/crypto/key_file.h"
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>

enum { NUMBER = SM2_SIG / 2, DER_MAX = 80 };

struct sm2 {
    EVP_PKEY *key; /* own */
    uint8_t public_key[SM2_PUB];
};

/* ---- keys ---- */
enum err sm2_generate(const char *path, struct diags *d)
{
    return key_file_generate(path, "SM2", d);
}

static enum err key_take(const char *path, EVP_PKEY *key, struct sm2 **ret, struct diags *d)
{
    struct sm2 *k;
    size_t n = 0;

    if (!EVP_PKEY_is_a(key, "SM2"))
        return diag_add(d, ERR_CRYPTO, 0, 0, "%s is a key of another kind; SM2 is needed", "%s 不是 SM2 密钥", path);
    k = mem_zalloc(sizeof *k);
    if (!k)
        return diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, k->public_key, SM2_PUB, &n) != 1 ||
        n != SM2_PUB || k->public_key[0] != POINT_CONVERSION_UNCOMPRESSED || !EVP_PKEY_up_ref(key)) {
        mem_free(k);
        return diag_add(d, ERR_CRYPTO, 0, 0, "cannot read the public key (%s)", "无法读取公钥（%s）", crypto_why());
    }
    k->key = key;
    *ret = k;
    return ERR_OK;
}

enum err sm2_load(const char *path, struct sm2 **ret, struct diags *d)
{
    EVP_PKEY *key = NULL;
    enum err e = key_file_load(path, &key, d);

    if (e == ERR_OK)
        e = key_take(path, key, ret, d);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return e;
}

struct sm2 *sm2_free(struct sm2 *k)
{
    if (k)
        EVP_PKEY_free(k->key); /* OpenSSL clears the private part */
    return mem_free(k);
}

const uint8_t *sm2_public(const struct sm2 *k)
{
    return k->public_key;
}

/* ---- signatures ---- */
/* A context with the id, ready for signing or checking: the id must be there before either begins. */
struct signing {
    EVP_MD_CTX *md;
    EVP_PKEY_CTX *key;
};

static bool signing_begin(struct signing *s, EVP_PKEY *key)
{
    s->md = EVP_MD_CTX_new();
    s->key = EVP_PKEY_CTX_new(key, NULL);
    if (!s->md || !s->key)
        return false;
    EVP_MD_CTX_set_pkey_ctx(s->md, s->key);
    return EVP_PKEY_CTX_set1_id(s->key, SM2_ID, sizeof SM2_ID - 1) == 1;
}

static void signing_done(struct signing *s)
{
    EVP_MD_CTX_free(s->md);
    EVP_PKEY_CTX_free(s->key); /* set_pkey_ctx left it ours */
    ERR_clear_error();
}

static bool numbers_of(const uint8_t *der, size_t n, uint8_t sig[SM2_SIG])
{
    const uint8_t *at = der;
    ECDSA_SIG *both = d2i_ECDSA_SIG(NULL, &at, (long)n);
    bool ok = both && BN_bn2binpad(ECDSA_SIG_get0_r(both), sig, NUMBER) == NUMBER &&
              BN_bn2binpad(ECDSA_SIG_get0_s(both), sig + NUMBER, NUMBER) == NUMBER;

    ECDSA_SIG_free(both);
    return ok;
}

/* Bytes of DER; 0: no memory. */
static size_t der_of(const uint8_t sig[SM2_SIG], uint8_t der[DER_MAX])
{
    ECDSA_SIG *both = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(sig, NUMBER, NULL), *s = BN_bin2bn(sig + NUMBER, NUMBER, NULL);
    int n = 0;

    if (both && r && s && ECDSA_SIG_set0(both, r, s) == 1) {
        r = s = NULL; /* both's now */
        n = i2d_ECDSA_SIG(both, &der);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(both);
    return n > 0 ? (size_t)n : 0;
}

enum err sm2_sign(struct sm2 *k, struct slice message, uint8_t sig[SM2_SIG])
{
    struct signing s = { NULL, NULL };
    uint8_t der[DER_MAX];
    size_t n = sizeof der;
    bool ok = signing_begin(&s, k->key) && EVP_DigestSignInit(s.md, NULL, EVP_sm3(), NULL, k->key) == 1 &&
              EVP_DigestSign(s.md, der, &n, (const uint8_t *)message.p, message.n) == 1 && numbers_of(der, n, sig);

    signing_done(&s);
    return ok ? ERR_OK : ERR_CRYPTO;
}

/* NULL: no point of the curve, or no memory. */
static EVP_PKEY *public_key_of(const uint8_t point[SM2_PUB])
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "SM2", NULL);
    char group[] = "SM2";
    uint8_t copy[SM2_PUB];
    OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
                            OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, copy, sizeof copy),
                            OSSL_PARAM_construct_end() };
    EVP_PKEY *key = NULL;

    memcpy(copy, point, sizeof copy);
    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    return key;
}

bool sm2_verify(const uint8_t public_key[SM2_PUB], struct slice message, const uint8_t sig[SM2_SIG])
{
    struct signing s = { NULL, NULL };
    uint8_t der[DER_MAX];
    size_t n = der_of(sig, der);
    EVP_PKEY *key = public_key[0] == POINT_CONVERSION_UNCOMPRESSED ? public_key_of(public_key) : NULL;
    bool ok = key && n > 0 && signing_begin(&s, key) && EVP_DigestVerifyInit(s.md, NULL, EVP_sm3(), NULL, key) == 1 &&
              EVP_DigestVerify(s.md, der, n, (const uint8_t *)message.p, message.n) == 1;

    signing_done(&s);
    EVP_PKEY_free(key);
    return ok;
}
