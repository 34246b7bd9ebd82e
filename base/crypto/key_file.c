/* See key_file.h. */
#include "base/crypto/key_file.h"
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/pem.h>

enum { KEY_FILE_MAX = 4096 };

const char *crypto_why(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    ERR_clear_error();
    return text ? text : "OpenSSL";
}

enum err key_file_generate(const char *path, const char *kind, struct diags *d)
{
    EVP_PKEY *key = NULL;
    BIO *out = NULL;
    char *text = NULL;
    long n;
    enum err e;

    if (access(path, F_OK) == 0)
        return diag_add(d, ERR_EXISTS, 0, 0, "%s exists already and is not overwritten", "%s 已存在，不予覆盖", path);
    key = EVP_PKEY_Q_keygen(NULL, NULL, kind);
    out = BIO_new(BIO_s_secmem()); /* clears itself */
    if (!key || !out || PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) != 1) {
        e = diag_add(d, ERR_CRYPTO, 0, 0, "cannot make a key (%s)", "无法生成密钥（%s）", crypto_why());
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

enum err key_file_load(const char *path, EVP_PKEY **ret, struct diags *d)
{
    struct buf text = BUF_INIT(KEY_FILE_MAX);
    EVP_PKEY *key = NULL;
    enum err e = file_check_private(path, d);

    /* All room at once: growing would leave copies of the key behind. */
    if (e == ERR_OK && !buf_reserve(&text, KEY_FILE_MAX))
        e = diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    if (e == ERR_OK)
        e = file_read(path, &text, d);
    if (e == ERR_OK && (key = key_parse(buf_slice(&text))) == NULL)
        e = diag_add(d, ERR_CRYPTO, 0, 0, "%s is no private key in unencrypted PKCS#8 PEM",
                     "%s 不是未加密的 PKCS#8 PEM 私钥", path);
    ERR_clear_error();
    if (text.p)
        mem_wipe(text.p, text.room);
    buf_done(&text);
    if (e == ERR_OK)
        *ret = key;
    return e;
}
