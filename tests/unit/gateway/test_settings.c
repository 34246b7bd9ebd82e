/* Settings: what is read, what is refused with its place, what a reload may change, and that the written file is read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include "gateway/settings.h"

#define WITNESS "audit.example/w1+da003383+BB4ADzryLTjOnlT2ps5+1gGg7OFNoODmw1i0oLoZfnja"
#define LOG     "city.example/log/n9+ce3520cd+AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
#define BASE    "node: n1\ntrust_domain: city.example\n"

struct bench {
    char dir[64];
    struct arena a;
    struct diags d;
};

static enum err read_text(struct bench *b, const char *text, struct settings *s)
{
    const char *path = path_join(&b->a, b->dir, "sluice.yaml");

    diags_init(&b->d, &b->a);
    assert_int_equal(file_write(path, slice_of(text), 0600, NULL), ERR_OK);
    return settings_read(path, s, &b->d);
}

static int open_bench(void **state)
{
    struct bench *b = mem_zalloc(sizeof *b);

    arena_init(&b->a, 16 << 20);
    snprintf(b->dir, sizeof b->dir, "/tmp/sluice-settings-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    *state = b;
    return 0;
}

static int close_bench(void **state)
{
    struct bench *b = *state;
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", b->dir);
    arena_done(&b->a);
    mem_free(b);
    return system(command);
}

static void defaults_and_paths(void **state)
{
    struct bench *b = *state;
    struct settings s;
    char want[128];

    assert_int_equal(read_text(b, BASE "evidence: {dir: /var/evidence, segment_bytes: 16m}\nlimits: {drain: 2m}\n", &s),
                     ERR_OK);
    snprintf(want, sizeof want, "%s/keys/gateway.pem", b->dir);
    assert_string_equal(s.tls.certificate.p, want);
    assert_string_equal(s.state.dir.p, b->dir);
    assert_string_equal(s.evidence.dir.p, "/var/evidence");
    assert_int_equal(s.evidence.segment_bytes, 16 << 20);
    assert_int_equal(s.limits.drain_ms, 120000);
    assert_int_equal(s.limits.head_ms, 10000);
    assert_int_equal(s.zone, 480);
    assert_int_equal(s.language, LANG_ZH);
    assert_true(s.workers >= 1);
    assert_true(slice_is(s.listen.data, "127.0.0.1:8443"));
    settings_done(&s);
}

static void faults_have_places(void **state)
{
    static const struct {
        const char *text;
        unsigned line;
        const char *says;
    } cases[] = {
        { BASE "lissten: {}\n", 3, "listen" },
        { BASE "listen: {data: here}\n", 3, "address" },
        { BASE "listen:\n  operations: 0.0.0.0:9464\n", 4, "loopback" },
        { BASE "time_zone: Shanghai\n", 3, "time_zone" },
        { "node: n1\ntrust_domain: City\n", 2, "trust_domain" },
        { "node: N1\ntrust_domain: city.example\n", 1, "node" },
        { "trust_domain: city.example\n", 1, "node" },
        { BASE "limits: {drain: soon}\n", 3, "drain" },
        { BASE "evidence: {segment_bytes: 1k}\n", 3, "segment_bytes" },
        { BASE "tls: {anchors: [{ca: a.pem, domain: other.example}]}\n", 3, "crl" },
        { BASE "listen: []\n", 3, "listen" },
        { BASE "evidence: {quorum: 1}\n", 0, "quorum" },
        { BASE "evidence: {witness_late: maybe}\n", 3, "witness_late" },
        { BASE "evidence: {witnesses: [{key: k, url: 'http://127.0.0.1:1'}]}\n", 3, "witness.vkey" },
        { BASE "evidence: {witnesses: [{key: '" WITNESS "', url: 'ftp://127.0.0.1:1'}]}\n", 3, "'url'" },
        { BASE "evidence: {witnesses: [{key: '" WITNESS "', url: 'http://10.0.0.1:1'}]}\n", 3, "plain http" },
        { BASE "evidence: {witnesses: [{key: '" WITNESS "', url: 'https://w.example'}]}\n", 3, "'ca'" },
        { BASE "evidence: {witnesses: [{url: 'https://w.example'}]}\n", 3, "key" },
        { BASE "evidence: {quorum: 2, witnesses: [{key: '" WITNESS "', url: 'http://127.0.0.1:1'}]}\n", 3, "quorum" },
        { BASE "listen: {witness: '127.0.0.1:1'}\n", 0, "go together" },
        { BASE "evidence: {witness_for: [{log: '" LOG "', ca: x}]}\n", 3, "go together" },
        { BASE "listen: {witness: nowhere}\nevidence: {witness_for: [{log: '" LOG "', ca: x}]}\n", 3, "'witness'" },
        { BASE "listen: {witness: '127.0.0.1:1'}\nevidence: {witness_for: [{log: '" WITNESS "', ca: x}]}\n", 4,
          "log.vkey" },
        { BASE "listen: {witness: '127.0.0.1:1'}\nevidence: {witness_for: [{log: '" LOG "'}]}\n", 4, "ca" },
        { BASE "--- \nnode: n2\n", 1, "one YAML" },
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct settings s;
        assert_int_not_equal(read_text(b, cases[i].text, &s), ERR_OK);
        assert_non_null(b->d.first);
        if (b->d.first->line != cases[i].line || !strstr(b->d.first->what[LANG_EN], cases[i].says))
            fail_msg("'%s': line %u, %s", cases[i].text, b->d.first->line, b->d.first->what[LANG_EN]);
    }
}

static void all_faults_at_once(void **state)
{
    struct bench *b = *state;
    struct settings s;

    assert_int_not_equal(read_text(b, BASE "listen: {dta: x}\nlimits: {drain: x}\nstate: {dri: x}\n", &s), ERR_OK);
    assert_int_equal(b->d.count, 3);
}

static void anchors_are_read(void **state)
{
    struct bench *b = *state;
    struct settings s;

    assert_int_equal(read_text(b,
                               BASE "tls: {anchors: [{ca: p.pem, crl: /p.crl, domain: p.example, departments: [a, b]}, "
                                    "{ca: /q.pem, domain: q.example, no_crl: true}]}\n",
                               &s),
                     ERR_OK);
    assert_int_equal(s.tls.n_anchors, 2);
    assert_int_equal(s.tls.anchor[0].ca.p[0], '/');
    assert_string_equal(s.tls.anchor[0].crl.p, "/p.crl");
    assert_string_equal(s.tls.anchor[0].departments.p, "a,b");
    assert_true(s.tls.anchor[1].no_crl);
    settings_done(&s);
}

static void witnesses_are_read(void **state)
{
    struct bench *b = *state;
    struct settings s, next;
    static const char one[] = BASE "evidence: {witnesses: [{key: '" WITNESS "', url: 'http://127.0.0.1:8444/a/'}]}\n";

    assert_int_equal(read_text(b, BASE, &s), ERR_OK);
    assert_int_equal(s.evidence.n_witnesses, 0);
    assert_int_equal(s.evidence.quorum, 0);
    settings_done(&s);
    assert_int_equal(read_text(b,
                               BASE "evidence: {witness_late: stop, quorum: 1, witnesses: [{key: '" WITNESS
                                    "', url: 'https://w.example:8444', ca: w.pem}, {key: '" WITNESS
                                    "', url: 'http://[::1]:80'}]}\n",
                               &s),
                     ERR_OK);
    assert_int_equal(s.evidence.n_witnesses, 2);
    assert_int_equal(s.evidence.quorum, 1);
    assert_int_equal(s.evidence.witness_late, WITNESS_STOP);
    assert_true(s.evidence.witness[0].tls && slice_is(s.evidence.witness[0].host, "w.example:8444"));
    assert_int_equal(s.evidence.witness[0].ca.p[0], '/');
    assert_true(!s.evidence.witness[1].tls && slice_is(s.evidence.witness[1].host, "[::1]:80"));
    settings_done(&s);
    assert_int_equal(read_text(b, one, &s), ERR_OK);
    assert_int_equal(s.evidence.quorum, 1); /* all of them */
    assert_true(slice_is(s.evidence.witness[0].path, "/a"));
    assert_int_equal(
        read_text(b, BASE "evidence: {witnesses: [{key: '" WITNESS "', url: 'http://127.0.0.1:8445/a'}]}\n", &next),
        ERR_OK);
    assert_int_equal(settings_may_reload(&s, &next, &b->d), ERR_CONFLICT);
    settings_done(&next);
    assert_int_equal(read_text(b, one, &next), ERR_OK);
    assert_int_equal(settings_may_reload(&s, &next, &b->d), ERR_OK);
    settings_done(&next);
    settings_done(&s);
}

static void a_reload_may_change_some(void **state)
{
    struct bench *b = *state;
    struct settings now, next;

    assert_int_equal(read_text(b, BASE, &now), ERR_OK);
    assert_int_equal(read_text(b, BASE "limits: {drain: 5s}\ntls: {ca: other.pem}\n", &next), ERR_OK);
    assert_int_equal(settings_may_reload(&now, &next, &b->d), ERR_OK);
    settings_done(&next);
    assert_int_equal(read_text(b, BASE "listen: {data: '127.0.0.1:1'}\nevidence: {dir: x}\n", &next), ERR_OK);
    assert_int_equal(settings_may_reload(&now, &next, &b->d), ERR_CONFLICT);
    assert_int_equal(b->d.count, 2);
    settings_done(&next);
    settings_done(&now);
}

static void what_is_written_is_read(void **state)
{
    struct bench *b = *state;
    struct buf text = BUF_INIT(1 << 16), shown = BUF_INIT(1 << 16);
    struct settings s;

    settings_write(SLICE("n1"), SLICE("city.example"), b->dir, 18443, 19443, 19464, &text);
    assert_int_equal(read_text(b, arena_str(&b->a, buf_slice(&text)), &s), ERR_OK);
    assert_true(slice_is(s.listen.control, "127.0.0.1:19443"));
    for (int l = LANG_EN; l <= LANG_ZH; l++)
        settings_print(&s, (enum lang)l, &shown);
    assert_non_null(memmem(shown.p, shown.n, "listen.data: 127.0.0.1:18443", 28));
    assert_non_null(memmem(shown.p, shown.n, "evidence.segment_bytes: 256m", 28));
    settings_done(&s);
    buf_done(&text);
    buf_done(&shown);
}

/* What it is, a colon, and why. */
static bool told_in_both(const char *const text[2])
{
    const char *en = strstr(text[LANG_EN], ": "), *zh = strstr(text[LANG_ZH], "：");

    return en && zh && en - text[LANG_EN] > 5 && zh - text[LANG_ZH] > 5 && strlen(en) > 12 && strlen(zh) > 12;
}

/* What a peer controls is bounded by something that says how much as a rule, what it is, and why. */
static void limits_have_reasons(void **state)
{
    struct bench *b = *state;
    struct buf shown = BUF_INIT(1 << 16);
    struct settings s;
    char want[128];

    assert_int_equal(read_text(b, BASE, &s), ERR_OK);
    settings_print(&s, LANG_EN, &shown);
    for (const struct doc_key *k = settings_limits; k->name; k++) {
        if (k->otherwise == NULL || !told_in_both(k->help))
            fail_msg("limits.%s has no default, meaning or reason", k->name);
        snprintf(want, sizeof want, "limits.%s: ", k->name);
        assert_non_null(memmem(shown.p, shown.n, want, strlen(want)));
        assert_non_null(memmem(shown.p, shown.n, k->help[LANG_EN], strlen(k->help[LANG_EN])));
    }
    for (const struct settings_fixed *f = settings_fixed; f->name; f++) {
        if (f->value == 0 || !told_in_both(f->help))
            fail_msg("fixed.%s has no value, meaning or reason", f->name);
        assert_non_null(memmem(shown.p, shown.n, f->help[LANG_EN], strlen(f->help[LANG_EN])));
    }
    settings_done(&s);
    buf_done(&shown);
}

static void addresses(void **state)
{
    static const struct {
        const char *text, *host;
        unsigned port;
    } cases[] = {
        { "127.0.0.1:0", "127.0.0.1", 0 },
        { "[::1]:8443", "::1", 8443 },
        { "127.0.0.1", NULL, 0 },
        { ":8443", NULL, 0 },
        { "h:65536", NULL, 0 },
        { "h:", NULL, 0 },
        { "h:+1", NULL, 0 },
    };
    char host[SETTINGS_HOST];
    unsigned port;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool ok = settings_address(slice_of(cases[i].text), host, &port);
        assert_int_equal(ok, cases[i].host != NULL);
        if (ok) {
            assert_string_equal(host, cases[i].host);
            assert_int_equal(port, cases[i].port);
        }
    }
}

#define BENCH_TEST(fn) cmocka_unit_test_setup_teardown(fn, open_bench, close_bench)
int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(defaults_and_paths),      BENCH_TEST(faults_have_places),       BENCH_TEST(all_faults_at_once),
        BENCH_TEST(anchors_are_read),        BENCH_TEST(a_reload_may_change_some), BENCH_TEST(witnesses_are_read),
        BENCH_TEST(what_is_written_is_read), BENCH_TEST(limits_have_reasons),      cmocka_unit_test(addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
