#include "tls_test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

static char dir[] = "/tmp/sluice-tls-XXXXXX";
char cert_file[64], key_file[64], other_file[64];

static void extend(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *e;

    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    e = X509V3_EXT_nconf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

static void write_pair(const char *cert, const char *key)
{
    EVP_PKEY *k = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    FILE *f;

    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"t", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_pubkey(x, k);
    extend(x, NID_subject_alt_name, "DNS:provider.example");
    assert_true(X509_sign(x, k, EVP_sha256()) > 0);
    f = fopen(cert, "w");
    PEM_write_X509(f, x);
    fclose(f);
    if (key) {
        f = fopen(key, "w");
        PEM_write_PrivateKey(f, k, NULL, NULL, 0, NULL, NULL);
        fclose(f);
        chmod(key, 0600);
    }
    X509_free(x);
    EVP_PKEY_free(k);
}

int make_files(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(cert_file, sizeof cert_file, "%s/cert.pem", dir);
    snprintf(key_file, sizeof key_file, "%s/key.pem", dir);
    snprintf(other_file, sizeof other_file, "%s/other.pem", dir);
    write_pair(cert_file, key_file);
    write_pair(other_file, NULL);
    return 0;
}

int drop_files(void **state)
{
    (void)state;
    unlink(cert_file);
    unlink(key_file);
    unlink(other_file);
    return rmdir(dir);
}

/* ---- a server that answers every request with "ok" ---- */
struct judged {
    struct tls_peer head;
    bool had_certificate;
};

static struct tls_peer *judge(void *arg, struct x509_st **leaf, struct stack_st_X509 *chain)
{
    struct judged *j = mem_zalloc(sizeof *j);

    (void)chain;
    (void)arg;
    assert_non_null(j);
    atomic_init(&j->head.refs, 1);
    j->had_certificate = leaf != NULL;
    return &j->head;
}

static void *on_open(void *arg, struct http_conn *c)
{
    struct judged *j = (struct judged *)http_conn_peer(c);

    *(int *)arg = j->had_certificate ? 2 : 1;
    if (j->had_certificate)
        http_conn_admit(c);
    return arg;
}

static void on_head(void *state, struct http_call *call, const struct http_head *h)
{
    struct http_reply r = { .status = 200, .length = 2 };

    (void)h;
    http_call_set(call, state);
    http_reply_head(call, &r);
    http_reply_body(call, SLICE("ok"));
    http_reply_end(call, NULL, 0);
}

static void nothing(void *state)
{
    (void)state;
}

static void body_nothing(void *state, struct slice bytes)
{
    (void)state;
    (void)bytes;
}

static void gone_nothing(void *state, enum reason why)
{
    (void)state;
    (void)why;
}

static const struct http_service service = { .open = on_open,
                                             .close = nothing,
                                             .head = on_head,
                                             .body = body_nothing,
                                             .end = nothing,
                                             .room = nothing,
                                             .gone = gone_nothing,
                                             .sent = nothing };

static void on_accept(void *arg, int fd)
{
    struct world *w = arg;

    assert_int_equal(http_serve(w->loop, fd, w->server, NULL, w->service ? w->service : &service, &w->seen), ERR_OK);
}

void world_begin(struct world *w)
{
    struct tls_server s = { .cert_file = cert_file, .key_file = key_file, .verify = judge };

    struct world given = { .most = w->most, .service = w->service };

    *w = given;
    w->loop = loop_new();
    assert_non_null(w->loop);
    door_init_yielding(&w->door, w->loop, w->most);
    s.door = w->most ? &w->door : NULL;
    assert_int_equal(tls_server_new(&s, &w->server, NULL), ERR_OK);
    assert_int_equal(net_listen("127.0.0.1", 0, false, &w->listener, NULL), ERR_OK);
    address_of(w->listener, &w->to);
    w->acceptor = acceptor_new(w->loop, w->listener, on_accept, w);
    assert_non_null(w->acceptor);
}

void world_end(struct world *w)
{
    w->acceptor = acceptor_free(w->acceptor);
    turns(w->loop, 3);
    tls_unref(w->server);
    loop_free(w->loop);
    close(w->listener);
}

/* ---- a peer that sends what it likes, when it likes ---- */
void moment(struct loop *l)
{
    turns(l, 3);
    usleep(100);
}

int64_t until_when(void)
{
    return clock_mono_ms() + PATIENCE_MS;
}

void raw_send(struct raw *r)
{
    char *p;
    long n = BIO_get_mem_data(r->out, &p);

    for (ssize_t put; n > 0; n -= put, p += put)
        if ((put = send(r->fd, p, (size_t)n, MSG_NOSIGNAL)) <= 0)
            break; /* it was closed meanwhile */
    (void)BIO_reset(r->out);
}

int raw_take(struct raw *r)
{
    char block[16384];
    int n = (int)recv(r->fd, block, sizeof block, MSG_DONTWAIT);

    if (n > 0)
        assert_int_equal(BIO_write(r->in, block, n), n);
    return n < 0 && errno == ECONNRESET ? 0 : n;
}

void raw_make(struct raw *r, const SSL_METHOD *method)
{
    r->ctx = SSL_CTX_new(method);
    r->in = BIO_new(BIO_s_mem());
    r->out = BIO_new(BIO_s_mem());
    assert_true(r->ctx != NULL && r->in != NULL && r->out != NULL);
    BIO_set_mem_eof_return(r->in, -1);
}

void raw_settle(struct raw *r, struct loop *l)
{
    int one = 1;

    setsockopt(r->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* what is written is there in the next turn */
    r->ssl = SSL_new(r->ctx);
    assert_non_null(r->ssl);
    SSL_set_bio(r->ssl, r->in, r->out);
    if (SSL_is_server(r->ssl))
        SSL_set_accept_state(r->ssl);
    else
        SSL_set_connect_state(r->ssl);
    /* Our side may have given up, which its owner was told: the connection stays open until that one lets it go. */
    for (int64_t end = until_when(), done; (done = SSL_do_handshake(r->ssl)) != 1;) {
        assert_true(clock_mono_ms() < end);
        assert_int_equal(SSL_get_error(r->ssl, (int)done), SSL_ERROR_WANT_READ);
        raw_send(r);
        moment(l);
        assert_int_not_equal(raw_take(r), 0);
    }
}

void raw_shake(struct raw *r, struct world *w, int version)
{
    raw_make(r, TLS_client_method());
    SSL_CTX_set_max_proto_version(r->ctx, version);
    r->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(r->fd, (struct sockaddr *)&w->to, sizeof(struct sockaddr_in)), 0);
    raw_settle(r, w->loop);
}

void raw_done(struct raw *r)
{
    SSL_free(r->ssl);
    SSL_CTX_free(r->ctx);
    close(r->fd);
}

bool raw_is_closed(struct raw *r, struct world *w)
{
    bool closed = false;

    for (int64_t end = until_when(); clock_mono_ms() < end && !closed;) {
        moment(w->loop);
        closed = raw_take(r) == 0;
    }
    return closed;
}

void raw_asks(struct raw *r, struct world *w)
{
    char block[1024];
    int got = 0;

    assert_int_equal(SSL_write(r->ssl, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 27), 27);
    raw_send(r);
    for (int64_t end = until_when(); clock_mono_ms() < end && got <= 0;) {
        moment(w->loop);
        raw_take(r);
        got = SSL_read(r->ssl, block, sizeof block);
    }
    assert_true(got > 12);
    assert_memory_equal(block, "HTTP/1.1 200", 12);
}
