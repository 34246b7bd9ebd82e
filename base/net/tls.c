/* TLS contexts: what is offered and asked, in one place. Invariants: no version below 1.2 but for `legacy` providers,
 * ECDHE and AEAD only, no renegotiation, no tickets that carry state, no early data; a server's handshake never fails
 * because of who the client is, but for a key that takes too long to check. */
#include "base/net/internal.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

struct tls_context {
    unsigned refs;
    SSL_CTX *ctx; /* own */
    bool server, http2;
    struct tls_peer *(*verify)(void *arg, struct x509_st **leaf, struct stack_st_X509 *chain);
    int64_t (*good_until)(void *arg, const struct tls_peer *p);
    void *arg;
    struct tls_sessions *sessions; /* ref */
    struct door *door;             /* bor */
};

struct tls_context *tls_ref(struct tls_context *t)
{
    t->refs++;
    return t;
}

void tls_unref(struct tls_context *t)
{
    if (t == NULL || --t->refs > 0)
        return;
    SSL_CTX_free(t->ctx);
    tls_sessions_unref(t->sessions);
    mem_free(t);
}

SSL_CTX *tls_ssl_ctx(const struct tls_context *t)
{
    return t->ctx;
}

bool tls_is_server(const struct tls_context *t)
{
    return t->server;
}

struct tls_sessions *tls_sessions_of(const struct tls_context *t)
{
    return t->sessions;
}

struct door *tls_door(const struct tls_context *t)
{
    return t->door;
}

int64_t tls_good_until(const struct tls_context *t, const struct tls_peer *p)
{
    return t->good_until(t->arg, p);
}

/* A handshake without a client certificate never calls the verify hook: judge "none" here. */
bool tls_settle(SSL *ssl, struct tls_peer **ret)
{
    const struct tls_context *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    *ret = tls_take_peer(ssl);
    if (*ret == NULL && t->verify)
        *ret = t->verify(t->arg, NULL, NULL);
    return *ret != NULL || t->verify == NULL;
}

/* OpenSSL would keep what was sent, decoded, as long as the connection: several KiB. The leaf stays (it has to prove
 * the possession of its key), in the copy that the hook has chosen; what came with it goes. */
static void keep_only(STACK_OF(X509) * sent, X509 *leaf)
{
    while (sk_X509_num(sent) > 1)
        X509_free(sk_X509_pop(sent));
    if (sk_X509_num(sent) == 1 && sk_X509_value(sent, 0) != leaf) {
        X509_free(sk_X509_value(sent, 0));
        sk_X509_set(sent, 0, leaf);
    }
}

/* Whoever comes may show a key for which one signature takes OpenSSL as long as a hundred do for others, and its loop
 * stands still meanwhile: an exponent as long as the modulus, a modulus beyond all use, DSA. */
static bool is_costly(const X509 *leaf)
{
    const EVP_PKEY *key = X509_get0_pubkey(leaf);
    BIGNUM *e = NULL;
    bool costly;

    if (key == NULL)
        return false; /* OpenSSL itself refuses it */
    costly = EVP_PKEY_get_bits(key) > TLS_KEY_BITS || EVP_PKEY_get_base_id(key) == EVP_PKEY_DSA;
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA || EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA_PSS)
        costly = costly || !EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) || BN_num_bits(e) > TLS_EXPONENT_BITS;
    BN_free(e);
    return costly;
}

/* Replaces OpenSSL's own path building: certs/ judges, the handshake goes on, and the first request is told the reason.
 */
static int judge_client(X509_STORE_CTX *store, void *arg)
{
    const struct tls_context *t = arg;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(store);
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    struct tls_peer *peer;

    if (is_costly(leaf)) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
        return 0;
    }
    /* What the hook leaves in the error queue would end a handshake that goes on. */
    ERR_set_mark();
    peer = t->verify(t->arg, &leaf, sent);
    ERR_pop_to_mark();
    if (peer == NULL) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_OUT_OF_MEM);
        return 0;
    }
    keep_only(sent, leaf);
    tls_shown(ssl, peer);
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

/* What comes behind the handshake costs the peer next to nothing and OpenSSL the making of keys: it is counted. */
static void watch_steps(const SSL *ssl, int where, int value)
{
    struct tls_shake *k = SSL_get_app_data(ssl);

    (void)value;
    if (where & SSL_CB_HANDSHAKE_DONE && !k->shaken) {
        k->shaken = true;
        k->steps = 0;
    } else if (where & SSL_CB_LOOP && k->steps < UINT16_MAX) {
        k->steps++;
    }
}

/* SSL_OP_NO_RENEGOTIATION answers with a warning and lets the client try again for ever: the stream closes instead. */
static void watch_client(const SSL *ssl, int where, int value)
{
    struct tls_shake *k = SSL_get_app_data(ssl);

    watch_steps(ssl, where, value);
    if ((where & SSL_CB_WRITE_ALERT) == SSL_CB_WRITE_ALERT && (value & 0xff) == SSL_AD_NO_RENEGOTIATION)
        k->asks_anew = true;
}

bool tls_is_noisy(const struct tls_shake *k)
{
    return k->asks_anew || (k->shaken && k->steps > TLS_STEPS_MOST);
}

bool tls_noisy(struct tls_shake *k, int64_t now)
{
    if (tls_is_noisy(k))
        return true;
    if (k->steps > 0 && now - k->steps_at >= TLS_STEPS_MS) {
        k->steps = 0;
        k->steps_at = now;
    }
    return false;
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen, const unsigned char *in,
                       unsigned inlen, void *arg)
{
    static const unsigned char both[] = "\x02h2\x08http/1.1";
    const struct tls_context *t = arg;
    const unsigned char *offer = t->http2 ? both : both + 3;
    unsigned n = t->http2 ? 12 : 9;

    (void)ssl;
    if (SSL_select_next_proto((unsigned char **)out, outlen, offer, n, in, inlen) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    return SSL_TLSEXT_ERR_OK;
}

static enum err bad_file(struct diags *d, const char *file)
{
    unsigned long code = ERR_peek_last_error();
    char text[160] = "";

    if (code)
        ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    return diag_add(d, ERR_CRYPTO, 0, 0,
                    "%s cannot be used as PEM certificate or key, or key and certificate do not fit: %s",
                    "%s 不是可用的 PEM 证书或私钥，或私钥与证书不匹配：%s", file, text);
}

static enum err load_identity(SSL_CTX *ctx, const char *cert, const char *key, struct diags *d)
{
    enum err e = file_check_private(key, d);

    if (e != ERR_OK)
        return e;
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
        return bad_file(d, cert);
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        return bad_file(d, key);
    return ERR_OK;
}

static void set_strict(SSL_CTX *ctx)
{
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20");
    SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384");
}

static struct tls_context *context_new(const SSL_METHOD *method)
{
    struct tls_context *t = mem_zalloc(sizeof *t);

    if (t == NULL)
        return NULL;
    t->refs = 1;
    t->ctx = SSL_CTX_new(method);
    if (t->ctx == NULL || SSL_CTX_set_app_data(t->ctx, t) != 1) {
        SSL_CTX_free(t->ctx);
        return mem_free(t);
    }
    SSL_CTX_set_options(t->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
                                    SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(t->ctx,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    /* Else one SSL_read goes on while a peer sends what is no data, and everybody else on the loop waits. What it reads
     * on for all the same, the rest of a record, ends in tls_socket.c. */
    SSL_CTX_clear_mode(t->ctx, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_info_callback(t->ctx, watch_steps);
    SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(t->ctx, 0);
    SSL_CTX_set_read_ahead(t->ctx, 1);
    SSL_CTX_set_default_read_buffer_len(t->ctx, 17 * 1024);
    return t;
}

/* Some clients choose their certificate by these names, and send none when theirs is not among them. */
static enum err name_authorities(SSL_CTX *ctx, const char *const *files, struct diags *d)
{
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();

    if (names == NULL)
        return ERR_NOMEM;
    SSL_CTX_set_client_CA_list(ctx, names);
    for (; *files; files++)
        if (!SSL_add_file_cert_subjects_to_stack(names, *files))
            return bad_file(d, *files);
    return ERR_OK;
}

enum err tls_server_new(const struct tls_server *s, struct tls_context **ret, struct diags *d)
{
    struct tls_context *t = context_new(TLS_server_method());
    enum err e;

    if (t == NULL)
        return ERR_NOMEM;
    t->server = true;
    t->http2 = s->http2;
    t->verify = s->verify;
    t->good_until = s->good_until;
    t->arg = s->arg;
    t->door = s->door;
    set_strict(t->ctx);
    SSL_CTX_set_info_callback(t->ctx, watch_client);
    if (s->sessions) {
        t->sessions = tls_sessions_ref(s->sessions);
        tls_resume_setup(t->ctx);
    }
    if ((e = load_identity(t->ctx, s->cert_file, s->key_file, d)) != ERR_OK)
        goto out;
    if (s->ca_files && (e = name_authorities(t->ctx, s->ca_files, d)) != ERR_OK)
        goto out;
    if (s->verify) {
        SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_cert_verify_callback(t->ctx, judge_client, t);
    }
    SSL_CTX_set_alpn_select_cb(t->ctx, choose_alpn, t);
    *ret = t;
    return ERR_OK;
out:
    tls_unref(t);
    return e;
}

static const char *const mode_names[] = { "mutual", "server", "legacy", "none" };

const char *tls_mode_name(enum tls_mode m)
{
    return (unsigned)m < 4 ? mode_names[m] : "";
}

/* As OpenSSL's own for level 0, which lets a group of 10000 bits pass: half a second for each of two powers in it, and
 * the loop stands still meanwhile. */
static int legacy_allows(const SSL *ssl, const SSL_CTX *ctx, int what, int bits, int nid, void *other, void *arg)
{
    enum { SECURITY_LEAST = 80 };

    (void)ssl, (void)ctx, (void)nid, (void)arg;
    if (what != SSL_SECOP_TMP_DH)
        return 1;
    return bits >= SECURITY_LEAST && (other == NULL || EVP_PKEY_get_bits(other) <= TLS_GROUP_BITS);
}

/* Old systems: their TLS 1.0, SHA-1 and renegotiation without RFC 5746. OpenSSL 3 wants security level 0 for these. */
static void set_legacy(SSL_CTX *ctx)
{
    SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_security_callback(ctx, legacy_allows);
    SSL_CTX_set_cipher_list(ctx, "ALL:!aNULL:!eNULL:!RC4:!EXPORT:@SECLEVEL=0");
    SSL_CTX_set_options(ctx, SSL_OP_LEGACY_SERVER_CONNECT);
}

enum err tls_client_new(const struct tls_client *c, struct tls_context **ret, struct diags *d)
{
    struct tls_context *t = context_new(TLS_client_method());
    enum err e = ERR_OK;

    if (t == NULL)
        return ERR_NOMEM;
    if (c->mode == TLS_LEGACY)
        set_legacy(t->ctx);
    else
        set_strict(t->ctx);
    if (c->ca_file) {
        if (SSL_CTX_load_verify_file(t->ctx, c->ca_file) != 1) {
            e = bad_file(d, c->ca_file);
            goto out;
        }
        SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
    } else if (c->mode != TLS_LEGACY) {
        e = diag_add(d, ERR_INVALID, 0, 0, "TLS mode %s needs anchors to check the provider against",
                     "TLS 模式 %s 需要用于校验提供方的信任锚", tls_mode_name(c->mode));
        goto out;
    }
    if (c->mode == TLS_MUTUAL)
        e = load_identity(t->ctx, c->cert_file, c->key_file, d);
    if (e != ERR_OK)
        goto out;
    *ret = t;
    return ERR_OK;
out:
    tls_unref(t);
    return e;
}

bool tls_rejected(void)
{
    static const int alerts[] = { SSL_R_SSLV3_ALERT_BAD_CERTIFICATE,     SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE,
                                  SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED,
                                  SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, SSL_R_TLSV1_ALERT_UNKNOWN_CA,
                                  SSL_R_TLSV1_ALERT_ACCESS_DENIED,       SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED };
    int told = ERR_GET_REASON(ERR_peek_error());

    for (size_t i = 0; i < sizeof alerts / sizeof alerts[0]; i++) {
        if (alerts[i] == told)
            return true;
    }
    return false;
}
