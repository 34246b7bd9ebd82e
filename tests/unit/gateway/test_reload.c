/* A reload that finds something wrong: what was in force stays whole, acts hold as before, and the node says what it
 * found to whoever asks. */
#include "tests/unit/gateway/control_world.h"

#include "gateway/control_run.c" /* its inside: the reload */

static bool stale; /* each provider's files are others now */
#define connector_stale(t) ((void)(t), stale)
#include "gateway/providers.c"

static struct guard guard = { .signals = -1, .end = -1, .asked = -1 };

static int begin(void **state)
{
    struct node *n;

    node_open(state);
    n = *state;
    n->control->guard = &guard; /* not started: it is only told what the settings allow */
    return 0;
}

/* The settings of the node, with these lines behind them. */
static void write_settings(struct node *n, const char *more)
{
    struct buf text = BUF_INIT(1 << 16);

    settings_write(SLICE("node-1"), n->settings.trust_domain, n->dir, 0, 0, 0, &text);
    buf_puts(&text, more);
    assert_int_equal(file_write(n->control->settings_path, buf_slice(&text), 0600, NULL), ERR_OK);
    buf_done(&text);
}

/* ---- what cannot be loaded is not in force ---- */
static void a_revocation_holds_after_a_reload_that_failed(void **state)
{
    static const char *const wrong[] = { "tls:\n  crl: ca/none.pem\n", "tls:\n  ca: ca/none.pem\n" };
    struct node *n = *state;

    node_story(n);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const char *serial = node_certify_consumer(n);
        write_settings(n, wrong[i]);
        reload(n->control);
        assert_string_not_equal(n->control->reload_fault[LANG_EN], "");
        assert_int_equal(
            ask(n, WHO_SECURITY, "POST", arena_printf(&n->a, "certs/%s/revoke", serial), "{\"reason\":\"lost\"}"), 200);
        assert_int_equal(ask(n, WHO_CONSUMER, "GET", "me", NULL), 401);
        assert_true(slice_is(problem_code(n), "certificate-revoked"));
    }
}

/* Nothing of such a file, and all of one that is good. */
static void settings_are_in_force_whole_or_not_at_all(void **state)
{
    struct node *n = *state;
    struct control *c = n->control;

    write_settings(n, "limits:\n  drain: 7s\n");
    reload(c);
    assert_string_equal(c->reload_fault[LANG_EN], "");
    assert_int_equal(c->settings->limits.drain_ms, 7000);
    assert_int_equal(atomic_load(&guard.drain_ms), 7000);
    write_settings(n, "tls:\n  crl: ca/none.pem\nlimits:\n  drain: 8s\n");
    reload(c);
    assert_int_equal(c->settings->limits.drain_ms, 7000);
    assert_int_equal(atomic_load(&guard.drain_ms), 7000);
    write_settings(n, "limits:\n  drain: 9s\n");
    reload(c);
    assert_string_equal(c->reload_fault[LANG_EN], "");
    assert_int_equal(c->settings->limits.drain_ms, 9000);
    assert_int_equal(atomic_load(&guard.drain_ms), 9000);
}

/* ---- what it found ---- */
/* A fault is kept in so many bytes, and told as JSON: it ends between two characters. */
static void what_was_found_is_told_however_long_it_is(void **state)
{
    struct node *n = *state;
    struct diags d;
    struct arena a;

    for (size_t shift = 0; shift < 3; shift++) {
        arena_init(&a, 1 << 16);
        diags_init(&d, &a);
        (void)!diag_add(
            &d, ERR_INVALID, 0, 0, "%s", "%s",
            &"..无法读取证书文件无法读取证书文件无法读取证书文件无法读取证书文件无法读取证书文件无法读取证书文"
             "件无法读取证书文件无法读取证书文件无法读取证书文件"[shift]);
        control_reload_found(n->control, &d);
        assert_int_equal(ask(n, WHO_SYSTEM, "GET", "status", NULL), 200);
        assert_non_null(strstr(n->text, "无法读取证书文件"));
        arena_done(&a);
    }
}

/* ---- short memory ---- */
static void publish_called(struct node *n)
{
    node_story(n);
    assert_int_equal(
        node_apply(n, WHO_PROVIDER, "called.yaml",
                   "kind: Resource\nid: public-security/called\ncode: 101002/1\ntitle: 接口\nabstract: 接口\n"
                   "class: base/population\nformat: {class: interface, type: json}\n"
                   "share: {type: conditional, condition: 法定事项核查, mode: interface}\nopen: none\nupdate: daily\n"
                   "contact: {person: public-security/zhang, phone: 0543-0000000}\n"
                   "items:\n  - {name: a, title: a, type: C, length: 9}\n"
                   "connector: {kind: http, endpoint: 'http://127.0.0.1:1/', tls: {mode: none, reason: test}}\n"
                   "request: {safe: true}\nresponse: {records: /rows, map: {a: a}}\n"),
        200);
    assert_int_equal(ask(n, WHO_PROVIDER, "POST", "resources/public-security/called/submit", NULL), 200);
    assert_int_equal(ask(n, WHO_BUREAU, "POST", "resources/public-security/called/publish", "{\"version\":1}"), 200);
}

/* A secret that was replaced is looked at again at the next look, not at the next reload, whenever that is. */
static void a_look_without_memory_is_made_up_for(void **state)
{
    struct node *n = *state;
    struct control *c = n->control;

    publish_called(n);
    for (size_t nth = 1; nth <= 2; nth++) { /* the job; what it touches */
        uint64_t generation = c->snapshot->generation;
        stale = true;
        (void)mem_fail_nth(nth);
        providers_look(c, true);
        (void)mem_fail_nth(0);
        assert_int_equal(c->snapshot->generation, generation);
        providers_look(c, false); /* each minute's */
        assert_int_equal(c->snapshot->generation, generation + 1);
        stale = false;
        providers_look(c, false);
        assert_int_equal(c->snapshot->generation, generation + 1);
        assert_false(c->look_at_all);
    }
}

/* Whoever started it is told that it did not run. */
static void without_signals_it_does_not_run(void **state)
{
    struct node *n = *state;

    mem_fail_nth(1);
    assert_int_equal(control_run(n->control), ERR_SYS);
    mem_fail_nth(0);
}

#define RELOAD_TEST(name) cmocka_unit_test_setup_teardown(name, begin, node_close)
int main(void)
{
    const struct CMUnitTest tests[] = {
        RELOAD_TEST(a_revocation_holds_after_a_reload_that_failed),
        RELOAD_TEST(settings_are_in_force_whole_or_not_at_all),
        RELOAD_TEST(what_was_found_is_told_however_long_it_is),
        RELOAD_TEST(a_look_without_memory_is_made_up_for),
        RELOAD_TEST(without_signals_it_does_not_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
