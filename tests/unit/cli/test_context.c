/* Contexts: what is kept, and who wins: flags, then the environment, then the context. */
#include "bench.h"

#include <sys/stat.h>
#include "cli/command.h"
#include "base/crypto/crypto.h"
#include "cli/context.h"

static int find(struct bench *b, const char *line, struct cli *c, struct endpoint *e)
{
    size_t n;
    int code = parse(b, c, line);

    assert_int_equal(code, CLI_OK);
    mem_libc_free(b->err);
    b->err = NULL;
    c->err = c->out = open_memstream(&b->err, &n);
    assert_non_null(c->err);
    code = endpoint_find(c, e);
    fclose(c->err);
    return code;
}

static void make(struct bench *b)
{
    file_put(b->home, "ca.pem", "ca", 0644);
    file_put(b->home, "me.pem", "cert", 0644);
    file_put(b->home, "me.key", "key", 0600);
    if (run(b, "context set city --server gw.city.example:9443/ --data-server https://gw.city.example:8443 --ca "
               "%h/ca.pem --cert %h/me.pem --key %h/me.key") != CLI_OK)
        fail_msg("%s", b->err);
}

static void test_set_and_find(void **state)
{
    struct bench *b = *state;
    struct endpoint e;
    struct cli c;
    char path[128];
    struct stat st;

    make(b);
    snprintf(path, sizeof path, "%s/.config/sluice/config.yaml", b->home);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(find(b, "me", &c, &e), CLI_OK); /* the first one is the current one */
    assert_string_equal(e.server, "https://gw.city.example:9443");
    assert_string_equal(e.data, "https://gw.city.example:8443");
    snprintf(path, sizeof path, "%s/me.key", b->home);
    assert_string_equal(e.key, path);
    cli_done(&c);
}

static void test_precedence(void **state)
{
    static char context[] = "SLUICE_CONTEXT=county", server[] = "SLUICE_SERVER=https://from-environment:1";
    struct bench *b = *state;
    struct endpoint e;
    struct cli c;

    make(b);
    assert_int_equal(run(b, "context set county --server https://county:9443"), CLI_OK);
    find(b, "me", &c, &e);
    assert_string_equal(e.server, "https://gw.city.example:9443");
    cli_done(&c);
    find(b, "me --context county", &c, &e);
    assert_string_equal(e.server, "https://county:9443");
    assert_null(e.key);
    cli_done(&c);
    assert_int_equal(putenv(context), 0);
    find(b, "me", &c, &e);
    assert_string_equal(e.server, "https://county:9443");
    cli_done(&c);
    assert_int_equal(putenv(server), 0);
    find(b, "me", &c, &e);
    assert_string_equal(e.server, "https://from-environment:1");
    cli_done(&c);
    find(b, "me --server https://flag:2", &c, &e);
    assert_string_equal(e.server, "https://flag:2");
    cli_done(&c);
    unsetenv("SLUICE_CONTEXT");
    unsetenv("SLUICE_SERVER");
}

static void test_use_and_list(void **state)
{
    struct bench *b = *state;

    make(b);
    run(b, "context set county --server https://county:9443");
    assert_int_equal(run(b, "context use county"), CLI_OK);
    assert_int_equal(run(b, "context list -o csv"), CLI_OK);
    assert_non_null(strstr(b->out, "county,true,https://county:9443"));
    assert_non_null(strstr(b->out, "city,false,https://gw.city.example:9443"));
    assert_int_equal(run(b, "context use nowhere"), CLI_NOT_FOUND);
    assert_int_equal(run(b, "context set city --data-server https://other:8443"), CLI_OK); /* the rest stays */
    run(b, "context list -o csv");
    assert_non_null(strstr(b->out, "city,false,https://gw.city.example:9443,https://other:8443"));
}

static void test_wrong(void **state)
{
    static const struct {
        const char *line;
        int code;
    } rows[] = {
        { "context set Upper --server https://a:1", CLI_USAGE },
        { "context set a --server http://a:1", CLI_USAGE },
        { "context set a --server https://a:1/path", CLI_USAGE },
        { "context set a --server https://user@a:1", CLI_USAGE },
        { "context set a --server \"https://a b:1\"", CLI_USAGE },
        { "context set a --ca %h/nothing.pem", CLI_NOT_FOUND },
        { "me --context nowhere", CLI_USAGE },
        { "me", CLI_USAGE }, /* nothing says where */
        { "me --server http://plain:1", CLI_USAGE },
        { "me --server https://127.0.0.1:1", CLI_USAGE }, /* nothing says who */
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (run(b, rows[i].line) != rows[i].code)
            fail_msg("\"%s\": exit %d, %s", rows[i].line, b->code, b->err);
}

static void test_damaged_file(void **state)
{
    struct bench *b = *state;
    char dir[128];

    make(b);
    snprintf(dir, sizeof dir, "%s/.config/sluice", b->home);
    file_put(dir, "config.yaml", "current: a\ncontexts:\n  a: {sever: x}\n", 0600);
    assert_int_equal(run(b, "me"), CLI_FAILURE);
    assert_non_null(strstr(b->err, "config.yaml:3:"));
    assert_non_null(strstr(b->err, "server")); /* the nearest name */
}

static void test_key_that_others_read(void **state)
{
    struct bench *b = *state;

    make(b);
    file_put(b->home, "me.key", "key", 0644);
    assert_int_equal(run(b, "me --server https://127.0.0.1:1"), CLI_DENIED);
    assert_non_null(strstr(b->err, "me.key"));
}

static void test_unreachable(void **state)
{
    struct bench *b = *state;

    assert_int_equal(run(b, "cert request --key-out %h/k --csr %h/c"), CLI_OK);
    assert_int_equal(run(b, "init --dir %h/n --node gw --trust-domain t.example"), CLI_OK);
    assert_int_equal(run(b, "me --server https://127.0.0.1:1 --ca %h/n/ca/chain.pem --cert "
                            "%h/n/admins/system/cert.pem --key %h/n/admins/system/key.pem"),
                     CLI_UNREACHABLE);
    assert_int_equal(run(b, "me --server https://127.0.0.1:1 --ca %h/absent --cert %h/n/admins/system/cert.pem --key "
                            "%h/n/admins/system/key.pem"),
                     CLI_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(test_set_and_find), CASE(test_precedence),
                                        CASE(test_use_and_list), CASE(test_wrong),
                                        CASE(test_damaged_file), CASE(test_key_that_others_read),
                                        CASE(test_unreachable) };

    return crypto_init(NULL) == ERR_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
