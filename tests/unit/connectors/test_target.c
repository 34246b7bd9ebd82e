/* Compiling `connector`: what DESIGN.md shows is taken, everything wrong is told with its place, in one go. */
#include "calls.h"
#include "connectors/health.h"
#include "tests/unit/folder.h"

#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>

#define PLAIN "tls: {mode: none, reason: old}"

static const struct connector_world nowhere = { .secrets_dir = "/nonexistent",
                                                .trust_dir = "/nonexistent",
                                                .workers = 2 };

static const struct {
    const char *connector, *more;
    const char *wants[3]; /* in the diags, English; none: it compiles */
} rows[] = {
    { "{kind: soap, endpoint: 'https://hukou.example:7443/service', operation: {namespace: 'urn:hukou', name: "
      "QueryPerson, "
      "soap: '1.1'}, tls: {mode: mutual, identity: gateway, trust: providers}, timeout: 5s, limits: {in_flight: 8, "
      "rate: "
      "20/s, queue: 2s}}",
      NULL,
      { NULL } },
    { "{kind: http, endpoint: 'https://127.0.0.1:7444/api', path: '/people/{id}', tls: {mode: server, trust: a}, auth: "
      "{bearer: {secret: permit}}}",
      NULL,
      { NULL } },
    { "{kind: http, endpoint: 'http://[::1]:80', " PLAIN ", limits: {rate: 3600/h}}", NULL, { NULL } },
    { "{kind: http, endpoint: 'https://h', tls: {mode: legacy, reason: TLS 1.0 until 2027}}", NULL, { NULL } },
    { "{kind: http, endpoint: 'https://h'}", NULL, { NULL } },
    { "{kind: http, endpoint: 'https://h', auth: {basic: {user: u, secret: s}}}", NULL, { NULL } },
    { "{kind: http, endpoint: 'https://h', auth: {header: {name: X-Key, secret: s}}}", NULL, { NULL } },

    { "{endpoint: 'https://h'}", NULL, { "'kind' is missing" } },
    { "{kind: http}", NULL, { "'endpoint' is missing" } },
    { "{kind: sql, endpoint: 'https://h'}", NULL, { "http" } },
    { "{kind: http, endpoint: 'https://h', endpont: x}", NULL, { "did you mean 'endpoint'" } },
    { "{kind: http, endpoint: 'https://h', method: GET}", NULL, { "request.method" } },
    { "{kind: http, endpoint: 'https://h', operation: {namespace: a, name: b}}",
      NULL,
      { "operation belongs to kind soap" } },
    { "{kind: soap, endpoint: 'https://h', path: /a, operation: {namespace: a, name: b}}",
      NULL,
      { "path belongs to kind http" } },
    { "{kind: soap, endpoint: 'https://h', operation: {namespace: 'a\"b', name: b}}", NULL, { "SOAPAction" } },
    { "{kind: http, endpoint: 'ftp://h'}", NULL, { "endpoint is https://" } },
    { "{kind: http, endpoint: 'https://u:p@h'}", NULL, { "endpoint is https://" } },
    { "{kind: http, endpoint: 'https://h/a?b'}", NULL, { "endpoint is https://" } },
    { "{kind: http, endpoint: 'https://h/a b'}", NULL, { "endpoint is https://" } },
    { "{kind: http, endpoint: 'https://h/%zz'}", NULL, { "endpoint is https://" } },
    { "{kind: http, endpoint: 'https://'}", NULL, { "endpoint is https://" } },
    { "{kind: http, endpoint: 'https://户口.example'}", NULL, { "endpoint is https://" } },
    { "{kind: http, endpoint: 'https://h:0'}", NULL, { "the port of endpoint" } },
    { "{kind: http, endpoint: 'https://h:65536'}", NULL, { "the port of endpoint" } },
    { "{kind: http, endpoint: 'http://h'}", NULL, { "needs an https endpoint" } },
    { "{kind: http, endpoint: 'http://h', tls: {mode: mutual}}", NULL, { "needs an https endpoint" } },
    { "{kind: http, endpoint: 'https://h', tls: {mode: none, reason: x}}", NULL, { "mode none with an https" } },
    { "{kind: http, endpoint: 'http://h', tls: {mode: none}}", NULL, { "needs a reason" } },
    { "{kind: http, endpoint: 'http://h', tls: {mode: none, reason: ' '}}", NULL, { "needs a reason" } },
    { "{kind: http, endpoint: 'https://h', tls: {mode: legacy}}", NULL, { "needs a reason" } },
    { "{kind: http, endpoint: 'https://h', tls: {mode: TLCP}}", NULL, { "mutual" } },
    { "{kind: http, endpoint: 'https://h', tls: {mode: server, trust: '../x'}}", NULL, { "trust" } },
    { "{kind: http, endpoint: 'https://h', tls: {mode: mutual, identity: other}}", NULL, { "the only identity" } },
    { "{kind: http, endpoint: 'https://h', auth: {bearer: {secret: ../../etc/passwd}}}", NULL, { "secret" } },
    { "{kind: http, endpoint: 'https://h', auth: {}}", NULL, { "exactly one of" } },
    { "{kind: http, endpoint: 'https://h', auth: {bearer: {secret: a}, basic: {user: u, secret: a}}}",
      NULL,
      { "exactly one of" } },
    { "{kind: http, endpoint: 'https://h', auth: {header: {name: Host, secret: a}}}", NULL, { "Host is no header" } },
    { "{kind: http, endpoint: 'https://h', auth: {header: {name: 'X Y', secret: a}}}", NULL, { "is no header" } },
    { "{kind: http, endpoint: 'https://h', auth: {basic: {user: 'a:b', secret: a}}}", NULL, { "without a colon" } },
    { "{kind: http, endpoint: 'https://h', auth: {header: {name: X-Key, secret: s}}}",
      "request: {params: [{const: a, to: 'header:x-key'}]}\n",
      { "is filled by connector.auth" } },
    { "{kind: http, endpoint: 'https://h', timeout: 1ms}", NULL, { "timeout" } },
    { "{kind: http, endpoint: 'https://h', limits: {in_flight: 0}}", NULL, { "in_flight" } },
    { "{kind: http, endpoint: 'https://h', limits: {rate: fast}}", NULL, { "20/s" } },
    { "{kind: http, endpoint: 'https://h', limits: {rate: 0/s}}", NULL, { "20/s" } },
    { "{kind: http, endpoint: 'ftp://h', tls: {mode: legacy}, limits: {rate: x}}",
      NULL,
      { "endpoint is https://", "needs a reason", "20/s" } },
    { "text", NULL, { "connector is missing" } },
};

static void compiles_by_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct text_target t;
        struct buf said = BUF_INIT(1 << 16);

        compile_text(&t, &nowhere, true, rows[i].connector, rows[i].more);
        diags_print(&t.d, LANG_EN, &said);
        buf_putc(&said, '\0');
        if ((t.err == ERR_OK) != (rows[i].wants[0] == NULL))
            fail_msg("%s: %s %s", rows[i].connector, err_name(t.err), said.p);
        for (size_t k = 0; k < 3 && rows[i].wants[k]; k++)
            if (strstr(said.p, rows[i].wants[k]) == NULL)
                fail_msg("%s: no '%s' in %s", rows[i].connector, rows[i].wants[k], said.p);
        for (const struct diag *d = t.d.first; d; d = d->next)
            assert_true(d->line > 0);
        buf_done(&said);
        compile_done(&t);
    }
}

static void what_is_kept(void **state)
{
    struct text_target t;

    (void)state;
    compile_text(
        &t, NULL, true,
        "{kind: soap, endpoint: 'HTTPS://Hukou.example:443/a', operation: {namespace: 'urn:h', name: Q}, tls: "
        "{mode: legacy, reason: ' old ', name: other.example}, limits: {in_flight: 3, rate: 600/m, queue: 1s}}",
        NULL);
    assert_int_equal(t.err, ERR_OK);
    assert_string_equal(connector_kind(t.target), "soap");
    assert_true(slice_is(connector_weakness(t.target), "legacy: old"));
    assert_true(slice_is(t.target->host, "Hukou.example")); /* the default port is not said */
    assert_true(slice_is(t.target->name, "other.example"));
    assert_true(slice_is(t.target->path, "/a"));
    assert_true(slice_is(t.target->soap_action, "\"urn:h#Q\""));
    assert_int_equal(t.target->in_flight, 3);
    assert_int_equal(t.target->rate_us, 100000);
    assert_int_equal(t.target->queue, 1000);
    assert_int_equal(t.target->timeout, 10000);
    compile_done(&t);
    compile_text(&t, NULL, true, "{kind: http, endpoint: 'https://[::1]:8443/'}", NULL);
    assert_true(slice_is(t.target->host, "[::1]:8443") && slice_is(t.target->name, "::1"));
    assert_int_equal(connector_weakness(t.target).n, 0);
    compile_done(&t);
}

/* With secrets and trust: refused until they are there, and are private. */
static void secrets_are_read(void **state)
{
    char dir[] = "/tmp/sluice-secrets-XXXXXX", path[64];
    struct connector_world w = { .secrets_dir = dir, .trust_dir = dir, .workers = 1 };
    static const struct {
        const char *text;
        unsigned mode;
        const char *auth; /* the header's value; NULL: refused */
    } files[] = {
        { NULL, 0600, NULL }, { "s3cret\n", 0644, NULL },    { "two\nlines", 0600, NULL },
        { "", 0600, NULL },   { "caf\xC3\xA9", 0600, NULL }, { "s3cret\r\n", 0600, "Basic dTpzM2NyZXQ=" },
    };

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/old", dir);
    for (size_t i = 0; i < COUNT(files); i++) {
        struct text_target t;
        if (files[i].text)
            assert_int_equal(file_write(path, slice_of(files[i].text), files[i].mode, NULL), ERR_OK);
        compile_text(&t, &w, false,
                     "{kind: http, endpoint: 'http://127.0.0.1:9', " PLAIN ", auth: {basic: {user: u, secret: old}}}",
                     NULL);
        if ((t.err == ERR_OK) != (files[i].auth != NULL))
            fail_msg("file %zu: %s", i, err_name(t.err));
        if (files[i].auth)
            assert_string_equal(t.target->auth, files[i].auth);
        for (const struct diag *d = t.d.first; d; d = d->next)
            assert_null(strstr(d->what[LANG_EN], "s3cret"));
        compile_done(&t);
    }
    unlink(path);
    rmdir(dir);
}

static void trust_must_be_there(void **state)
{
    struct text_target t;

    (void)state;
    compile_text(&t, &nowhere, false, "{kind: http, endpoint: 'https://127.0.0.1:9', tls: {mode: server, trust: city}}",
                 NULL);
    assert_int_equal(t.err, ERR_INVALID);
    assert_non_null(strstr(t.d.first->what[LANG_EN], "/nonexistent/city.pem"));
    compile_done(&t);
}

/* Nobody is asked for it, and it is no want of memory. */
static void no_host_has_so_long_a_name(void **state)
{
    struct text_target t;
    char text[512];

    (void)state;
    snprintf(text, sizeof text, "{kind: http, endpoint: 'http://%0300d', " PLAIN "}", 7);
    compile_text(&t, &nowhere, false, text, NULL);
    assert_int_equal(t.err, ERR_INVALID);
    assert_non_null(strstr(t.d.first->what[LANG_EN], "cannot be resolved"));
    compile_done(&t);
}

/* What was published is made all the same. */
static void what_is_lost_since_is_borne(void **state)
{
    struct connector_world w = nowhere;
    struct text_target t;

    (void)state;
    w.bears = true;
    compile_text(&t, &w, false, "{kind: http, endpoint: 'https://127.0.0.1:9', tls: {mode: server, trust: city}}",
                 NULL);
    assert_int_equal(t.err, ERR_OK);
    assert_non_null(strstr(connector_lacks(t.target, LANG_EN), "/nonexistent/city.pem"));
    compile_done(&t);
}

static const char certificate[] = "-----BEGIN CERTIFICATE-----\n"
                                  "MIIBbjCCARWgAwIBAgIURqXhlrRHAuHghM3MD0qVquJjBvEwCgYIKoZIzj0EAwIw\n"
                                  "DDEKMAgGA1UEAwwBdDAgFw0yNjExMjgwODAzMDRaGA8yMTI2MTEwNDA4MDMwNFow\n"
                                  "DDEKMAgGA1UEAwwBdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABKnSSE8y73Pm\n"
                                  "RQFYfeqYOe2M2oiYuAhTolWBnLZwPKshaZEdzyff9GyqewVJYPzHfhrtxurTXlyl\n"
                                  "gtgRbyEolhKjUzBRMB0GA1UdDgQWBBRCHLZ9Ed+1Wvor/19MAXI1UZQrWDAfBgNV\n"
                                  "HSMEGDAWgBRCHLZ9Ed+1Wvor/19MAXI1UZQrWDAPBgNVHRMBAf8EBTADAQH/MAoG\n"
                                  "CCqGSM49BAMCA0cAMEQCIBarLBrnswOAkc1iAMp0ckUnAB14izGKgSgO8S3YCN4t\n"
                                  "AiA2BGhFHQj41woql41awgWcAsKIjs56LA84sN1PF36QVQ==\n"
                                  "-----END CERTIFICATE-----\n";
static const char private_key[] = "-----BEGIN PRIVATE KEY-----\n"
                                  "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg49T8TZBSC2FTMz3H\n"
                                  "Eh/iejzH870JIlszmdFVYGuWTk+hRANCAASp0khPMu9z5kUBWH3qmDntjNqImLgI\n"
                                  "U6JVgZy2cDyrIWmRHc8n3/RsqnsFSWD8x34a7cbq015cpYLYEW8hKJYS\n"
                                  "-----END PRIVATE KEY-----\n";

struct files {
    char dir[64], anchors[96], cert[96], key[96];
};

static void put_files(const struct files *f, const char *anchors, unsigned key_mode)
{
    unlink(f->key); /* its mode is that of its making */
    assert_int_equal(file_write(f->anchors, slice_of(anchors), 0644, NULL), ERR_OK);
    assert_int_equal(file_write(f->cert, slice_of(certificate), 0644, NULL), ERR_OK);
    assert_int_equal(file_write(f->key, slice_of(private_key), key_mode, NULL), ERR_OK);
}

static void files_make(struct files *f, struct connector_world *w)
{
    folder_make(f->dir, sizeof f->dir, "files");
    snprintf(f->anchors, sizeof f->anchors, "%s/providers.pem", f->dir);
    snprintf(f->cert, sizeof f->cert, "%s/cert.pem", f->dir);
    snprintf(f->key, sizeof f->key, "%s/key.pem", f->dir);
    *w = (struct connector_world){ .trust_dir = f->dir, .cert_file = f->cert, .key_file = f->key, .workers = 1 };
    put_files(f, certificate, 0600);
}

static void files_drop(const struct files *f)
{
    unlink(f->anchors);
    unlink(f->cert);
    unlink(f->key);
    rmdir(f->dir);
}

/* A worker's first call makes its TLS from the files as they are by then. That it cannot is the gateway's fault, not
 * the provider's, nor one that waiting mends; calls go on when it can. */
static void files_become_others(void **state)
{
    struct connector_world w;
    struct heard h = { 0 };
    struct scene s = { 0 };
    struct files f;

    (void)state;
    files_make(&f, &w);
    compile_text(&s.t, &w, false,
                 "{kind: http, endpoint: 'https://127.0.0.1:9', tls: {mode: mutual}, limits: {in_flight: 1, queue: "
                 "60s}}",
                 NULL);
    assert_int_equal(s.t.err, ERR_OK);
    s.loop = loop_new();
    s.pool = connector_pool_new(s.loop, 0, 24);
    assert_true(s.loop != NULL && s.pool != NULL);
    put_files(&f, certificate, 0644);
    assert_int_equal(begin(&s, &h, "/ok", true), ERR_NOT_FOUND);
    assert_non_null(strstr(connector_lacks(s.t.target, LANG_EN), "no TLS"));
    put_files(&f, "junk", 0600);
    assert_int_equal(begin(&s, &h, "/ok", true), ERR_NOT_FOUND);
    assert_true(health_admit(s.t.target, 0, 0, 0) == HEALTH_OK);
    assert_int_equal(begin(&s, &h, "/ok", true), ERR_OK); /* it waits for the only place */
    health_leave(s.t.target);
    UNTIL((run_for(s.loop, 20), h.failed == 1));
    assert_true(h.why == REASON_PROVIDER_UNPREPARED && h.reached == REACHED_NO);
    put_files(&f, certificate, 0600);
    assert_int_equal(begin(&s, &h, "/ok", true), ERR_OK);
    assert_null(connector_lacks(s.t.target, LANG_EN));
    connector_abort(h.call);
    assert_int_equal(atomic_load(&s.t.target->running), 0);
    buf_done(&h.body);
    s.pool = connector_pool_free(s.pool);
    compile_done(&s.t);
    s.loop = loop_free(s.loop);
    files_drop(&f);
}

/* A provider that shakes hands, with a certificate of another name than its own. */
struct shaker {
    struct loop *loop;
    struct tls_context *tls;
    struct acceptor *acceptor;
    struct stream *stream;
    unsigned port;
};

static void shaken(void *user)
{
    (void)user;
}

static void not_shaken(void *user, enum stream_fault f)
{
    (void)user, (void)f;
}

static void on_accept(void *arg, int fd)
{
    static const struct stream_events nothing = { shaken, shaken, shaken, not_shaken };
    struct shaker *p = arg;

    stream_close(p->stream);
    p->stream = stream_accept(p->loop, fd, p->tls, &nothing, NULL);
}

static void shaker_begin(struct shaker *p, struct loop *l, const struct files *f)
{
    struct tls_server how = { .cert_file = f->cert, .key_file = f->key };
    int fd;

    *p = (struct shaker){ .loop = l };
    assert_int_equal(tls_server_new(&how, &p->tls, NULL), ERR_OK);
    assert_int_equal(net_listen("127.0.0.1", 0, false, &fd, NULL), ERR_OK);
    p->port = net_port(fd);
    assert_non_null(p->acceptor = acceptor_new(l, fd, on_accept, p));
}

static void shaker_end(struct shaker *p)
{
    stream_close(p->stream);
    acceptor_free(p->acceptor);
    tls_unref(p->tls);
}

/* It is no longer away: whoever asks is told what is wrong, and not that it cannot be reached. */
static void untrusted_is_not_away(void **state)
{
    struct heard h = { 0 };
    struct scene s = { .loop = loop_new() };
    struct connector_world w;
    struct shaker provider;
    struct files f;
    char text[128];

    (void)state;
    assert_non_null(s.loop);
    files_make(&f, &w);
    shaker_begin(&provider, s.loop, &f);
    snprintf(text, sizeof text, "{kind: http, endpoint: 'https://127.0.0.1:%u', tls: {mode: server}}", provider.port);
    compile_text(&s.t, &w, false, text, NULL);
    assert_int_equal(s.t.err, ERR_OK);
    assert_non_null(s.pool = connector_pool_new(s.loop, 0, 24));
    for (unsigned i = 0; i < CIRCUIT_FAILURES; i++)
        health_unreachable(s.t.target, loop_now(s.loop) - CIRCUIT_OPEN_MS);
    for (unsigned i = 0; i < 2; i++) {
        ask(&s, &h, "/ok", true);
        assert_true(h.failed == 1 && h.why == REASON_PROVIDER_UNTRUSTED && h.reached == REACHED_NO);
    }
    assert_int_equal(connector_outage(s.t.target), OUTAGE_NONE);
    buf_done(&h.body);
    s.pool = connector_pool_free(s.pool);
    shaker_end(&provider);
    compile_done(&s.t);
    s.loop = loop_free(s.loop);
    files_drop(&f);
}

static void limits_hold(void **state)
{
    struct text_target t;
    unsigned n = 0;

    (void)state;
    compile_text(&t, NULL, true, "{kind: http, endpoint: 'https://h', limits: {in_flight: 2, rate: 20/s}}", NULL);
    assert_non_null(t.target);
    assert_true(health_admit(t.target, 0, 0, 1000) == HEALTH_OK && health_admit(t.target, 0, 0, 1000) == HEALTH_OK);
    assert_false(health_admit(t.target, 0, 0, 1000) == HEALTH_OK); /* two are under way */
    health_leave(t.target);
    health_leave(t.target);
    for (int64_t now = 2000; now < 3000; now += 10)
        if (health_admit(t.target, 0, 0, now) == HEALTH_OK) {
            n++;
            health_leave(t.target);
        }
    assert_in_range(n, 20, 25); /* a second's worth and the burst */
    compile_done(&t);
}

static void circuit_opens_and_probes(void **state)
{
    struct text_target t;

    (void)state;
    compile_text(&t, NULL, true, "{kind: http, endpoint: 'https://h'}", NULL);
    assert_non_null(t.target);
    for (unsigned i = 0; i < CIRCUIT_FAILURES; i++) {
        assert_int_equal(connector_outage(t.target), OUTAGE_NONE);
        assert_true(health_may_connect(t.target, 100));
        health_unreachable(t.target, 100);
    }
    assert_int_equal(connector_outage(t.target), OUTAGE_UNREACHABLE);
    assert_false(health_may_connect(t.target, 100 + CIRCUIT_OPEN_MS - 1));
    assert_true(health_may_connect(t.target, 100 + CIRCUIT_OPEN_MS)); /* one probe */
    assert_false(health_may_connect(t.target, 100 + CIRCUIT_OPEN_MS));
    health_connected(t.target);
    assert_int_equal(connector_outage(t.target), OUTAGE_NONE);
    assert_true(health_may_connect(t.target, 101 + CIRCUIT_OPEN_MS));
    compile_done(&t);
}

/* Connecting does not close it: only an answer does. It is the party's own; what began before an answer counts for
 * nothing, and what ends late does not put the next trial off. */
static void circuit_opens_on_silence(void **state)
{
    enum { A, B, BEGAN = 1000, NOW = 2000 };
    struct text_target t;

    (void)state;
    compile_text(&t, NULL, true, "{kind: http, endpoint: 'https://h'}", NULL);
    assert_non_null(t.target);
    health_answered(t.target, A, BEGAN);
    for (unsigned i = 0; i < 3 * CIRCUIT_FAILURES; i++)
        health_silent(t.target, A, BEGAN, NOW);
    assert_true(health_may_ask(t.target, A, NOW));
    for (unsigned i = 0; i < CIRCUIT_FAILURES; i++) {
        assert_true(health_may_ask(t.target, A, NOW));
        health_connected(t.target);
        health_silent(t.target, A, BEGAN + 1, NOW);
    }
    assert_int_equal(connector_outage(t.target), OUTAGE_SILENT);
    health_silent(t.target, A, BEGAN + 1, NOW + CIRCUIT_OPEN_MS - 1);
    assert_false(health_may_ask(t.target, A, NOW + CIRCUIT_OPEN_MS - 1));
    assert_true(health_may_ask(t.target, A, NOW + CIRCUIT_OPEN_MS)); /* one probe */
    assert_false(health_may_ask(t.target, A, NOW + CIRCUIT_OPEN_MS));
    assert_true(health_may_ask(t.target, B, NOW)); /* others are answered, for all one knows */
    assert_true(health_may_connect(t.target, NOW));
    health_answered(t.target, A, NOW + CIRCUIT_OPEN_MS);
    assert_int_equal(connector_outage(t.target), OUTAGE_NONE);
    assert_true(health_may_ask(t.target, A, NOW + CIRCUIT_OPEN_MS));
    compile_done(&t);
}

struct workers {
    struct connector_target *target;
    _Atomic unsigned round, done;
    unsigned rounds, wrong;
};

/* Spins a while, for the two are to meet. */
static void wait_for(const _Atomic unsigned *n, unsigned least)
{
    for (unsigned i = 0; atomic_load(n) < least; i++)
        if (i > 10000)
            sched_yield();
}

static void *other_worker(void *arg)
{
    struct workers *w = arg;

    for (unsigned i = 1; i <= w->rounds; i++) {
        wait_for(&w->round, i);
        health_unreachable(w->target, 0);
        atomic_store(&w->done, i);
    }
    return NULL;
}

/* Two workers find the provider away at the same moment: it is said, whichever counts last. */
static void circuits_open_at_once(void **state)
{
    struct workers w = { .rounds = 20000 };
    struct text_target t;
    pthread_t thread;

    (void)state;
    compile_text(&t, NULL, true, "{kind: http, endpoint: 'https://h'}", NULL);
    assert_non_null(w.target = t.target);
    assert_int_equal(pthread_create(&thread, NULL, other_worker, &w), 0);
    for (unsigned i = 1; i <= w.rounds; i++) {
        atomic_store(&t.target->reach.failures, CIRCUIT_FAILURES - 2);
        atomic_store(&t.target->opened, false);
        atomic_store(&w.round, i);
        for (volatile unsigned k = i % 64; k > 0; k--)
            continue;
        health_unreachable(t.target, 0);
        wait_for(&w.done, i);
        w.wrong += connector_outage(t.target) != OUTAGE_UNREACHABLE;
    }
    pthread_join(thread, NULL);
    assert_int_equal(w.wrong, 0);
    compile_done(&t);
}

static void no_leak_when_memory_fails(void **state)
{
    (void)state;
    for (size_t n = 1; n < 20; n++) {
        struct arena a;
        const struct doc *docs;
        struct diags d;
        struct connector_target *target = NULL;

        arena_init(&a, 4 << 20);
        diags_init(&d, &a);
        assert_int_equal(
            doc_read_yaml(SLICE("connector: {kind: http, endpoint: 'https://h', timeout: 5s}\n"), &a, &d, &docs),
            ERR_OK);
        mem_fail_nth(n);
        if (connector_compile(docs->first, NULL, true, &target, &d) == ERR_OK)
            connector_unref(target);
        mem_fail_nth(0);
        arena_done(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compiles_by_table),
        cmocka_unit_test(what_is_kept),
        cmocka_unit_test(secrets_are_read),
        cmocka_unit_test(trust_must_be_there),
        cmocka_unit_test(what_is_lost_since_is_borne),
        cmocka_unit_test(no_host_has_so_long_a_name),
        cmocka_unit_test(files_become_others),
        cmocka_unit_test(untrusted_is_not_away),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(circuit_opens_and_probes),
        cmocka_unit_test(circuit_opens_on_silence),
        cmocka_unit_test(circuits_open_at_once),
        cmocka_unit_test(no_leak_when_memory_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
