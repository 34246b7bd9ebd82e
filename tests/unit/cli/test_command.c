/* The parser: words, options, suggestions, and what a row of the table asks for. */
#include "bench.h"
#include "cli/command.h"

static void test_words(void **state)
{
    static const struct {
        const char *line;
        int code;
        const char *noun, *verb;
        size_t n_args;
    } rows[] = {
        { "", CLI_OK, NULL, NULL, 0 },
        { "--version", CLI_OK, NULL, NULL, 0 },
        { "status", CLI_OK, "status", NULL, 0 },
        { "grant list", CLI_OK, "grant", "list", 0 },
        { "grant show g1", CLI_OK, "grant", "show", 1 },
        { "--lang zh grant -o json show g1", CLI_OK, "grant", "show", 1 },
        { "grant show -- -g1", CLI_OK, "grant", "show", 1 },
        { "grant show g1 --help", CLI_OK, "grant", "show", 1 },
        { "grant --help", CLI_OK, "grant", NULL, 0 },
        { "grant", CLI_USAGE, "grant", NULL, 0 },
        { "grnt list", CLI_USAGE, NULL, NULL, 0 },
        { "grant lst", CLI_USAGE, "grant", NULL, 0 },
        { "grant show", CLI_USAGE, "grant", "show", 0 },
        { "grant show g1 g2", CLI_USAGE, "grant", "show", 2 },
        { "status now", CLI_USAGE, "status", NULL, 1 },
        { "person grant-role a/b", CLI_USAGE, "person", "grant-role", 1 },
        { "person grant-role a/b auditor", CLI_OK, "person", "grant-role", 2 },
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cli c;
        const char *verb;

        if (parse(b, &c, rows[i].line) != rows[i].code)
            fail_msg("\"%s\": exit %d, %s", rows[i].line, b->code, b->err);
        verb = c.command ? c.command->verb : NULL;
        if (rows[i].noun == NULL ? c.noun != NULL : c.noun == NULL || strcmp(c.noun, rows[i].noun) != 0)
            fail_msg("\"%s\": noun %s", rows[i].line, c.noun ? c.noun : "none");
        if (rows[i].verb == NULL ? verb != NULL : verb == NULL || strcmp(verb, rows[i].verb) != 0)
            fail_msg("\"%s\": verb %s", rows[i].line, verb ? verb : "none");
        if (c.n_args != rows[i].n_args)
            fail_msg("\"%s\": %zu arguments", rows[i].line, c.n_args);
        cli_done(&c);
    }
}

static void test_options(void **state)
{
    struct bench *b = *state;
    struct cli c;

    assert_int_equal(parse(b, &c, "apply -f a.yaml -fb.yaml --file=c.yaml --file d=e.yaml --dry-run"), CLI_OK);
    assert_string_equal(cli_nth(&c, "file", 0), "a.yaml");
    assert_string_equal(cli_nth(&c, "file", 1), "b.yaml");
    assert_string_equal(cli_nth(&c, "file", 2), "c.yaml");
    assert_string_equal(cli_nth(&c, "file", 3), "d=e.yaml");
    assert_null(cli_nth(&c, "file", 4));
    assert_true(cli_has(&c, "dry-run"));
    assert_false(cli_has(&c, "output"));
    cli_done(&c);
    assert_int_equal(parse(b, &c, "grant revoke g1 --note="), CLI_OK); /* empty, but given: the server judges it */
    assert_string_equal(cli_value(&c, "note"), "");
    cli_done(&c);
    assert_int_equal(parse(b, &c, "exchange post a/b --body -"), CLI_OK); /* a lone hyphen is a value, and a word */
    assert_string_equal(cli_value(&c, "body"), "-");
    cli_done(&c);
}

static void test_wrong_options(void **state)
{
    static const struct {
        const char *line, *says;
    } rows[] = {
        { "grant list --stat active", "did you mean \"--state\"?" },
        { "grant list --out-put json", "did you mean \"--output\"?" },
        { "grant list --qqqqqqqqqqqqqq", "see: sluice help" },
        { "grant list -z", "unknown option \"-z\"" },
        { "--state active grant list", "unknown option \"--state\"" }, /* its command is not known yet */
        { "grant list --state", "--state needs a value" },
        { "grant list --state a --state b", "--state is given twice" },
        { "resource list --weak=yes", "--weak takes no value" },
        { "grant revoke g1", "--note TEXT is missing" },
        { "apply", "--file FILE|DIR is missing" },
        { "me --lang fr", "--lang is zh or en" },
        { "audit verfy x", "did you mean \"verify\"?" },
        { "resorce list", "did you mean \"resource\"?" },
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cli c;
        if (parse(b, &c, rows[i].line) != CLI_USAGE || strstr(b->err, rows[i].says) == NULL)
            fail_msg("\"%s\": exit %d, %s", rows[i].line, b->code, b->err);
        cli_done(&c);
    }
}

static void test_language(void **state)
{
    struct bench *b = *state;
    struct cli c;

    setenv("LANG", "zh_CN.UTF-8", 1);
    parse(b, &c, "grnt");
    assert_non_null(strstr(b->err, "未知的命令"));
    cli_done(&c);
    setenv("LC_MESSAGES", "en_US.UTF-8", 1);
    parse(b, &c, "grnt");
    assert_non_null(strstr(b->err, "unknown command"));
    cli_done(&c);
    setenv("LC_ALL", "zh", 1);
    parse(b, &c, "grnt");
    assert_non_null(strstr(b->err, "未知的命令"));
    cli_done(&c);
    parse(b, &c, "grnt --lang en"); /* also behind the mistake */
    assert_non_null(strstr(b->err, "unknown command"));
    cli_done(&c);
}

static void test_too_many(void **state)
{
    struct bench *b = *state;
    struct cli c;
    char line[4096] = "apply";

    for (int i = 0; i < 20; i++)
        snprintf(line + strlen(line), sizeof line - strlen(line), " word%d", i);
    assert_int_equal(parse(b, &c, line), CLI_USAGE);
    cli_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(test_words), CASE(test_options), CASE(test_wrong_options),
                                        CASE(test_language), CASE(test_too_many) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
