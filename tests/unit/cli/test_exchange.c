/* What an exchange sends: address, headers, body. */
#include "bench.h"

#include "cli/command.h"
#include "cli/exchange.c"

static const struct row {
    const char *line;
    int code;
    const char *url, *body, *headers;
} rows[] = {
    { "exchange get a/b -p x=1 -p name=张三 --items c,d", CLI_OK,
      "https://gw:1/x/a/b?x=1&name=%E5%BC%A0%E4%B8%89&_items=c%2Cd", NULL, "" },
    { "exchange post a/b -p x=1 -p y=a=b --items c,d", CLI_OK, "https://gw:1/x/a/b",
      "{\"x\":\"1\",\"y\":\"a=b\",\"_items\":\"c,d\"}", "" },
    { "exchange post a/b", CLI_OK, "https://gw:1/x/a/b", "{}", "" },
    { "exchange post a/b -p id=@%h/id.txt", CLI_OK, "https://gw:1/x/a/b", "{\"id\":\"from the file\"}", "" },
    { "exchange post a/b --body %h/body.json", CLI_OK, "https://gw:1/x/a/b", "{\"n\":1}", "" },
    { "exchange post a/b --purpose p --grant g1 --case 案1 --operator li", CLI_OK, "https://gw:1/x/a/b", "{}",
      "Sluice-Purpose: p|Sluice-Grant: g1|Sluice-Case: %E6%A1%881|Sluice-Operator: li|" },
    { "exchange post a/b -p novalue", CLI_USAGE, NULL, NULL, NULL },
    { "exchange post a/b -p =v", CLI_USAGE, NULL, NULL, NULL },
    { "exchange post a/b -p x=1 --body %h/body.json", CLI_USAGE, NULL, NULL, NULL },
    { "exchange post a/b --items x --body %h/body.json", CLI_USAGE, NULL, NULL, NULL },
    { "exchange post a/b --body %h/absent", CLI_NOT_FOUND, NULL, NULL, NULL },
    { "exchange post a -p x=1", CLI_USAGE, NULL, NULL, NULL },
    { "exchange post a/b/c", CLI_USAGE, NULL, NULL, NULL },
    { "exchange post a/../b", CLI_USAGE, NULL, NULL, NULL },
    { "exchange post a/b --purpose 用途", CLI_USAGE, NULL, NULL, NULL },
    { "exchange post a/b --grant \"g1\r\nEvil: yes\"", CLI_USAGE, NULL, NULL, NULL },
};

static void check(struct cli *c, const struct row *row)
{
    const char *headers[HEADERS_MAX] = { NULL }, *url = NULL;
    struct buf body = BUF_INIT(BODY_MAX), all = BUF_INIT(4096);
    struct endpoint e = { .data = "https://gw:1" };
    bool post = strcmp(c->command->verb, "post") == 0;
    int code = url_make(c, &e, !post, &url);

    if (code == CLI_OK)
        code = headers_make(c, headers);
    if (code == CLI_OK && post)
        code = body_make(c, &body);
    if (code != row->code)
        fail_msg("\"%s\": exit %d", row->line, code);
    if (code == CLI_OK) {
        for (size_t i = 0; headers[i] != NULL; i++)
            buf_printf(&all, "%s|", headers[i]);
        buf_putc(&all, '\0');
        buf_putc(&body, '\0');
        assert_string_equal(url, row->url);
        assert_string_equal(all.p, row->headers);
        if (row->body != NULL)
            assert_string_equal(body.p, row->body);
    }
    buf_done(&body);
    buf_done(&all);
}

static void test_sent(void **state)
{
    struct bench *b = *state;

    file_put(b->home, "id.txt", "from the file\r\n", 0600);
    file_put(b->home, "body.json", "{\"n\":1}", 0600);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        FILE *err = tmpfile();
        struct cli c;
        assert_non_null(err);
        assert_int_equal(parse(b, &c, rows[i].line), CLI_OK);
        c.err = err;
        check(&c, &rows[i]);
        cli_done(&c);
        fclose(err);
    }
}

static void test_no_server(void **state)
{
    struct bench *b = *state;

    assert_int_equal(run(b, "exchange post a/b"), CLI_USAGE);
    assert_non_null(strstr(b->err, "--data-server"));
}

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(test_sent), CASE(test_no_server) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
