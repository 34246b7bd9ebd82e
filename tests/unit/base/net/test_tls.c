/* Streams over TLS: a request that comes with the end of the handshake, anchors and names, certificates of clients. */
#include "tls_test.h"
#include "tests/unit/until.h"

#include <errno.h>
#include <netinet/in.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>
#include <sys/socket.h>

static int64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* What it cost to make them. */
static int64_t raw_renews(struct raw *r, int kind, unsigned times)
{
    int64_t began = cpu_ns(), made;

    while (times-- > 0) {
        assert_int_equal(SSL_key_update(r->ssl, kind), 1);
        assert_int_equal(SSL_do_handshake(r->ssl), 1);
    }
    made = cpu_ns() - began;
    raw_send(r);
    return made;
}

/* It holds back the end of its handshake and sends it in one write with its request, as a fast one may. */
static void request_comes_with_the_handshake(void **state)
{
    struct world w = { 0 };
    struct raw r;

    (void)state;
    world_begin(&w);
    raw_shake(&r, &w, TLS1_3_VERSION);
    raw_asks(&r, &w);
    assert_int_equal(w.seen, 1);
    raw_done(&r);
    world_end(&w);
}

/* A client that begins to renegotiate: OpenSSL would refuse with a warning and let it try for ever; we close. */
static void renegotiation_is_closed(void **state)
{
    struct world w = { 0 };
    struct raw r;

    (void)state;
    world_begin(&w);
    raw_shake(&r, &w, TLS1_2_VERSION);
    raw_asks(&r, &w);
    assert_int_equal(w.seen, 1);
    assert_int_equal(SSL_renegotiate(r.ssl), 1);
    SSL_do_handshake(r.ssl);
    assert_true(BIO_ctrl_pending(r.out) > 0); /* a ClientHello under the keys of the connection */
    raw_send(&r);
    assert_true(raw_is_closed(&r, &w));
    raw_done(&r);
    world_end(&w);
}

/* New keys now and then are an honest peer's; over and over they cost it nothing and us their making. A reader that
 * went on for as long as they come would let everybody else wait: also where each piece of the socket's that fills
 * OpenSSL's buffer of 17 KiB ends behind a record's first byte, as with those of 38 bytes. */
static void keys_over_and_over_are_closed(void **state)
{
    static const struct {
        int kind;
        unsigned n, times;
        bool closed;
        size_t block; /* that their contents are filled up to */
    } rows[] = {
        { SSL_KEY_UPDATE_NOT_REQUESTED, 1, 10, false, 0 },  { SSL_KEY_UPDATE_REQUESTED, 1, 10, false, 0 },
        { SSL_KEY_UPDATE_NOT_REQUESTED, 2000, 1, true, 0 }, { SSL_KEY_UPDATE_REQUESTED, 200, 1, true, 0 },
        { SSL_KEY_UPDATE_NOT_REQUESTED, 4, 20, true, 0 },   { SSL_KEY_UPDATE_NOT_REQUESTED, 6000, 1, true, 17 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct world w = { 0 };
        struct raw r;
        world_begin(&w);
        raw_shake(&r, &w, TLS1_3_VERSION);
        raw_asks(&r, &w);
        SSL_set_block_padding(r.ssl, rows[i].block);
        for (unsigned k = 0; k < rows[i].times; k++) {
            int64_t made = raw_renews(&r, rows[i].kind, rows[i].n), began = cpu_ns();
            turns(w.loop, 1);
            if (rows[i].block != 0 && cpu_ns() - began > made / 4)
                fail_msg("row %zu: read for as long as they came", i);
            if (rows[i].closed)
                moment(w.loop);
            else
                raw_asks(&r, &w);
        }
        if (rows[i].closed && !raw_is_closed(&r, &w))
            fail_msg("row %zu: not closed", i);
        raw_done(&r);
        world_end(&w);
    }
}

/* ---- our client ---- */
struct told {
    struct loop *loop;
    bool ended, failed, sent;
    enum reason why;
};

static void told_head(void *user, const struct http_head *h)
{
    (void)user;
    assert_int_equal(h->status, 200);
}

static void told_end(void *user, bool reusable)
{
    struct told *t = user;

    t->ended = reusable;
    loop_stop(t->loop);
}

static void told_fail(void *user, enum reason why, bool sent)
{
    struct told *t = user;

    t->sent = sent;
    t->failed = true;
    t->why = why;
    loop_stop(t->loop);
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

static const struct http_client_events events = { told_head, body_nothing, told_end, told_fail, nothing, NULL, NULL };

static const struct {
    const char *name;
    enum tls_mode mode;
    const char *ca, *host;
    bool ok;
    int seen;
} rows[] = {
    { "mutual", TLS_MUTUAL, cert_file, "provider.example", true, 2 },
    { "server", TLS_SERVER, cert_file, "provider.example", true, 1 },
    { "another name", TLS_SERVER, cert_file, "other.example", false, 0 },
    { "an address that is not in it", TLS_SERVER, cert_file, "127.0.0.1", false, 0 },
    { "another anchor", TLS_SERVER, other_file, "provider.example", false, 0 },
    { "legacy without anchors", TLS_LEGACY, NULL, "whatever.example", true, 1 },
    { "legacy with anchors", TLS_LEGACY, other_file, "provider.example", false, 0 },
};

static void trust_by_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tls_client how = { rows[i].mode, rows[i].ca, cert_file, key_file };
        struct tls_context *tls;
        struct http_client *c;
        struct told t = { 0 };
        struct world w = { 0 };

        world_begin(&w);
        t.loop = w.loop;
        assert_int_equal(tls_client_new(&how, &tls, NULL), ERR_OK);
        c = http_client_new(w.loop, &w.to, tls, slice_of(rows[i].host), &events, &t, 2000);
        assert_non_null(c);
        assert_int_equal(http_client_send(c, SLICE("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), false, 2000), ERR_OK);
        loop_run(w.loop);
        assert_false(t.sent);
        if (t.ended != rows[i].ok || (!rows[i].ok && t.why != REASON_PROVIDER_UNTRUSTED) || w.seen != rows[i].seen)
            fail_msg("%s: ended %d, %s, seen %d", rows[i].name, t.ended, reason_info(t.why)->code, w.seen);
        http_client_free(c);
        tls_unref(tls);
        turns(w.loop, 3);
        world_end(&w);
    }
}

/* Our client, with a request under way to a provider whose TLS the test works by hand. */
struct call {
    struct told t;
    struct http_client *c;
    struct raw r; /* the provider */
    int listener;
};

static void call_open(struct call *k, const struct tls_client *how)
{
    struct sockaddr_storage to;
    struct tls_context *tls;

    *k = (struct call){ .t.loop = loop_new() };
    assert_non_null(k->t.loop);
    assert_int_equal(net_listen("127.0.0.1", 0, false, &k->listener, NULL), ERR_OK);
    address_of(k->listener, &to);
    assert_int_equal(tls_client_new(how, &tls, NULL), ERR_OK);
    k->c = http_client_new(k->t.loop, &to, tls, SLICE("provider.example"), &events, &k->t, 2 * PATIENCE_MS);
    tls_unref(tls);
    assert_non_null(k->c);
    assert_int_equal(http_client_send(k->c, SLICE("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), false, 2 * PATIENCE_MS),
                     ERR_OK);
    turns(k->t.loop, 3);
    raw_make(&k->r, TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate_chain_file(k->r.ctx, cert_file), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(k->r.ctx, key_file, SSL_FILETYPE_PEM), 1);
    k->r.fd = accept(k->listener, NULL, NULL);
    assert_true(k->r.fd >= 0);
}

static void call_begin(struct call *k)
{
    call_open(k, &(struct tls_client){ TLS_SERVER, cert_file, NULL, NULL });
    raw_settle(&k->r, k->t.loop);
}

static void call_end(struct call *k)
{
    http_client_free(k->c);
    turns(k->t.loop, 3);
    loop_free(k->t.loop);
    raw_done(&k->r);
    close(k->listener);
}

/* A provider that changes its keys over and over in the place of an answer. */
static void a_provider_s_keys_too(void **state)
{
    struct call k;

    (void)state;
    call_begin(&k);
    raw_renews(&k.r, SSL_KEY_UPDATE_NOT_REQUESTED, 5);
    moment(k.t.loop);
    assert_false(k.t.failed);
    raw_renews(&k.r, SSL_KEY_UPDATE_NOT_REQUESTED, 2000);
    for (int64_t end = until_when(); clock_mono_ms() < end && !k.t.failed;)
        moment(k.t.loop);
    assert_true(k.t.failed && k.t.sent && k.t.why != REASON_PROVIDER_TIMEOUT);
    call_end(&k);
}

static void provider_answers(struct call *k)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    assert_int_equal(SSL_write(k->r.ssl, ok, sizeof ok - 1), sizeof ok - 1);
    raw_send(&k->r);
}

static void provider_says_bye(struct call *k)
{
    SSL_shutdown(k->r.ssl);
    raw_send(&k->r);
}

static void provider_renews(struct call *k)
{
    raw_renews(&k->r, SSL_KEY_UPDATE_NOT_REQUESTED, 1);
}

static void provider_finishes(struct call *k)
{
    shutdown(k->r.fd, SHUT_WR);
}

/* What has come since the answer is seen before the loop has told of it; a record of TLS's own is nobody's answer. */
static void what_comes_behind_an_answer(void **state)
{
    static const struct {
        const char *name;
        void (*act)(struct call *k);
        bool quiet;
    } behind[] = {
        { "nothing", NULL, true },
        { "another answer", provider_answers, false },
        { "the end of TLS", provider_says_bye, false },
        { "the end", provider_finishes, false },
        { "new keys", provider_renews, true },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(behind); i++) {
        struct call k;
        call_begin(&k);
        provider_answers(&k);
        loop_run(k.t.loop);
        assert_true(k.t.ended);
        assert_true(http_client_quiet(k.c));
        if (behind[i].act)
            behind[i].act(&k);
        if (behind[i].quiet && !http_client_quiet(k.c))
            fail_msg("%s: taken for an answer", behind[i].name);
        if (!behind[i].quiet)
            UNTIL(!http_client_quiet(k.c));
        call_end(&k);
    }
}

/* A connection that says nothing. */
static int silent(struct world *w)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    (void)connect(fd, (struct sockaddr *)&w->to, sizeof(struct sockaddr_in));
    turns(w->loop, 4);
    return fd;
}

static bool is_closed(int fd)
{
    char c;

    return recv(fd, &c, 1, MSG_DONTWAIT) == 0 || errno != EAGAIN;
}

static struct http_client *client(struct world *w, struct told *t, enum tls_mode mode)
{
    struct tls_client how = { mode, cert_file, cert_file, key_file };
    struct tls_context *tls;
    struct http_client *c;

    *t = (struct told){ .loop = w->loop };
    assert_int_equal(tls_client_new(&how, &tls, NULL), ERR_OK);
    c = http_client_new(w->loop, &w->to, tls, SLICE("provider.example"), &events, t, 2000);
    assert_non_null(c);
    assert_int_equal(http_client_send(c, SLICE("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), false, 2000), ERR_OK);
    tls_unref(tls);
    loop_run(w->loop);
    assert_true(t->ended);
    return c;
}

/* However many stand in it, the next is heard; who is known has left it, and strangers go before those who may be known
 * yet. */
static void door_yields(void **state)
{
    struct world w = { .most = 4 };
    struct told t, t2;
    struct http_client *stranger, *known;
    int fd[7];

    (void)state;
    world_begin(&w);
    for (unsigned i = 0; i < 6; i++)
        fd[i] = silent(&w);
    assert_int_equal(w.door.now, 4);
    assert_true(is_closed(fd[0]) && is_closed(fd[1]) && !is_closed(fd[2]));
    known = client(&w, &t, TLS_MUTUAL);
    assert_int_equal(w.door.now, 3); /* one went for it, and it has left */
    assert_true(is_closed(fd[2]) && !is_closed(fd[3]));
    stranger = client(&w, &t2, TLS_SERVER);
    assert_int_equal(w.door.now, 4);
    fd[6] = silent(&w);
    assert_int_equal(w.door.now, 4);
    assert_true(!is_closed(fd[3]) && !is_closed(fd[6])); /* the stranger was it */
    assert_int_equal(http_client_send(known, SLICE("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), false, 2000), ERR_OK);
    t.ended = false;
    loop_run(w.loop);
    assert_true(t.ended);
    http_client_free(stranger);
    http_client_free(known);
    door_done(&w.door);
    assert_int_equal(w.door.now, 0);
    for (unsigned i = 0; i < COUNT(fd); i++)
        close(fd[i]);
    turns(w.loop, 3);
    world_end(&w);
}

/* The same modulus, and the exponents in each other's place: signing is quick, checking takes as long as signing does
 * for others. */
static EVP_PKEY *turned(EVP_PKEY *key)
{
    static const char *const names[] = { OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E, OSSL_PKEY_PARAM_RSA_D };
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params;
    EVP_PKEY *ret = NULL;
    BIGNUM *n[3] = { NULL };

    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(EVP_PKEY_get_bn_param(key, names[i], &n[i]), 1);
        assert_int_equal(OSSL_PARAM_BLD_push_BN(bld, names[i == 0 ? 0 : 3 - i], n[i]), 1);
    }
    params = OSSL_PARAM_BLD_to_param(bld);
    assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
    assert_int_equal(EVP_PKEY_fromdata(ctx, &ret, EVP_PKEY_KEYPAIR, params), 1);
    for (unsigned i = 0; i < 3; i++)
        BN_clear_free(n[i]);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    EVP_PKEY_CTX_free(ctx);
    return ret;
}

static void shows(struct raw *r, EVP_PKEY *key)
{
    X509 *x = X509_new();

    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    assert_int_equal(SSL_CTX_use_certificate(r->ctx, x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(r->ctx, key), 1);
    X509_free(x);
}

/* Who a client is, is told at its first request; but everybody waits while its key is checked. */
static void keys_that_take_long_are_refused(void **state)
{
    EVP_PKEY *usual = EVP_RSA_gen(3072), *keys[] = { usual, turned(usual) };

    (void)state;
    for (unsigned i = 0; i < COUNT(keys); i++) {
        struct world w = { 0 };
        struct raw r;

        world_begin(&w);
        raw_make(&r, TLS_client_method());
        SSL_CTX_set_security_level(r.ctx, 0);
        shows(&r, keys[i]);
        r.fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(r.fd, (struct sockaddr *)&w.to, sizeof(struct sockaddr_in)), 0);
        raw_settle(&r, w.loop);
        raw_send(&r);
        turns(w.loop, 3);
        if (i == 0)
            raw_asks(&r, &w);
        else
            assert_true(raw_is_closed(&r, &w));
        assert_int_equal(w.seen, i == 0 ? 2 : 0);
        raw_done(&r);
        world_end(&w);
        EVP_PKEY_free(keys[i]);
    }
}

static void agrees_in(struct raw *r, char *group)
{
    OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0), OSSL_PARAM_END };
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "DH", NULL);
    EVP_PKEY *rsa = EVP_RSA_gen(2048), *key = NULL;

    assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_params(ctx, params), 1);
    assert_int_equal(EVP_PKEY_generate(ctx, &key), 1);
    shows(r, rsa);
    SSL_CTX_set_max_proto_version(r->ctx, TLS1_2_VERSION);
    SSL_CTX_set_security_level(r->ctx, 0);
    assert_int_equal(SSL_CTX_set_cipher_list(r->ctx, "DHE"), 1);
    assert_int_equal(SSL_CTX_set0_tmp_dh_pkey(r->ctx, key), 1);
    EVP_PKEY_free(rsa);
    EVP_PKEY_CTX_free(ctx);
}

/* An old system chooses the group in which keys are agreed on: one in which that takes long is not entered. */
static void groups_that_take_long_are_refused(void **state)
{
    char groups[][10] = { "ffdhe3072", "ffdhe6144" };

    (void)state;
    for (unsigned i = 0; i < COUNT(groups); i++) {
        struct tls_client how = { .mode = TLS_LEGACY };
        struct call k;

        call_open(&k, &how);
        agrees_in(&k.r, groups[i]);
        k.r.ssl = SSL_new(k.r.ctx);
        assert_non_null(k.r.ssl);
        SSL_set_bio(k.r.ssl, k.r.in, k.r.out);
        SSL_set_accept_state(k.r.ssl);
        for (int64_t end = until_when(); clock_mono_ms() < end && !k.t.failed && SSL_do_handshake(k.r.ssl) != 1;) {
            raw_send(&k.r);
            moment(k.t.loop);
            raw_take(&k.r);
        }
        assert_int_equal(SSL_is_init_finished(k.r.ssl), i == 0);
        assert_int_equal(k.t.failed, i == 1);
        assert_false(k.t.sent);
        call_end(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(request_comes_with_the_handshake),
                                        cmocka_unit_test(renegotiation_is_closed),
                                        cmocka_unit_test(keys_over_and_over_are_closed),
                                        cmocka_unit_test(a_provider_s_keys_too),
                                        cmocka_unit_test(groups_that_take_long_are_refused),
                                        cmocka_unit_test(what_comes_behind_an_answer),
                                        cmocka_unit_test(trust_by_table),
                                        cmocka_unit_test(door_yields),
                                        cmocka_unit_test(keys_that_take_long_are_refused) };

    return cmocka_run_group_tests(tests, make_files, drop_files);
}
