/* The table of commands is whole: both languages, two examples that parse, every noun with its commands. */
#include "bench.h"
#include "cli/command.h"

static bool holds_chinese(const char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s >= 0xe4 && (unsigned char)*s <= 0xe9)
            return true;
    return false;
}

static void check_texts(const char *what, const char *const text[2])
{
    if (text[LANG_EN] == NULL || *text[LANG_EN] == '\0' || holds_chinese(text[LANG_EN]))
        fail_msg("%s: no English text", what);
    if (text[LANG_ZH] == NULL || !utf8_valid(slice_of(text[LANG_ZH])) || *text[LANG_ZH] == '\0')
        fail_msg("%s: no Chinese text", what);
}

static void check_options(const char *what, const struct option *list)
{
    for (const struct option *o = list; o != NULL && o->name != NULL; o++) {
        check_texts(what, o->help);
        for (const struct option *p = list; p < o; p++)
            if (strcmp(p->name, o->name) == 0 || (o->letter != 0 && p->letter == o->letter))
                fail_msg("%s: --%s stands twice", what, o->name);
        for (const struct option *p = cli_global_options; list != cli_global_options && p->name != NULL; p++)
            if (strcmp(p->name, o->name) == 0 || (o->letter != 0 && p->letter == o->letter))
                fail_msg("%s: --%s hides a global option", what, o->name);
    }
}

static void test_table(void **state)
{
    struct bench *b = *state;

    check_options("global", cli_global_options);
    for (const struct noun *n = cli_nouns; n->name != NULL; n++)
        check_texts(n->name, n->purpose);
    for (const struct command *m = cli_commands; m->noun != NULL; m++) {
        char what[128];

        snprintf(what, sizeof what, "%s %s", m->noun, m->verb ? m->verb : "");
        if (noun_find(m->noun) == NULL || m->run == NULL || command_find(m->noun, m->verb) != m)
            fail_msg("%s: no noun, no function, or twice", what);
        check_texts(what, m->purpose);
        if (!holds_chinese(m->purpose[LANG_ZH]))
            fail_msg("%s: its Chinese is not Chinese", what);
        check_options(what, m->options);
        for (size_t i = 0; i < EXAMPLES; i++) {
            struct cli c;
            if (m->examples[i] == NULL || parse(b, &c, m->examples[i]) != CLI_OK || c.command != m)
                fail_msg("%s: example %zu: %s", what, i, b->err);
            cli_done(&c);
        }
    }
}

static void test_every_noun_has_commands(void **state)
{
    (void)state;
    for (const struct noun *n = cli_nouns; n->name != NULL; n++) {
        bool found = false;
        for (const struct command *m = cli_commands; m->noun != NULL; m++)
            found |= strcmp(m->noun, n->name) == 0;
        if (!found)
            fail_msg("%s has no command", n->name);
    }
}

static void test_shown(void **state)
{
    static const struct {
        const char *line;
        int code;
        const char *says[3];
    } rows[] = {
        { "", CLI_OK, { "sluice NOUN [VERB]", "Exit codes", "give-back" } },
        { "--lang zh", CLI_OK, { "退出码", "授权", "通用选项" } },
        { "help", CLI_OK, { "Usage", "--context NAME", "status" } },
        { "help grant", CLI_OK, { "grant revoke ID", "Commands", "More:" } },
        { "help grant revoke", CLI_OK, { "--note TEXT", "(required)", "Examples" } },
        { "grant revoke --help --lang zh", CLI_OK, { "必填", "示例", "回收授权" } },
        { "grant -h", CLI_OK, { "grant suspend ID", "give-back", "" } },
        { "--version", CLI_OK, { "sluice " SLUICE_VERSION, "", "" } },
        { "help nothing", CLI_USAGE, { "", "", "" } },
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (run(b, rows[i].line) != rows[i].code)
            fail_msg("\"%s\": exit %d, %s", rows[i].line, b->code, b->err);
        for (size_t k = 0; k < 3; k++)
            if (strstr(b->out, rows[i].says[k]) == NULL)
                fail_msg("\"%s\" does not say \"%s\": %s", rows[i].line, rows[i].says[k], b->out);
        if (strchr(b->out, '\033') != NULL)
            fail_msg("\"%s\": colours without a terminal", rows[i].line);
    }
}

static void test_every_command_has_help(void **state)
{
    struct bench *b = *state;

    for (const struct command *m = cli_commands; m->noun != NULL; m++) {
        char line[128];
        for (int zh = 0; zh < 2; zh++) {
            snprintf(line, sizeof line, "%s %s --help --lang %s", m->noun, m->verb ? m->verb : "", zh ? "zh" : "en");
            if (run(b, line) != CLI_OK || strstr(b->out, m->purpose[zh]) == NULL ||
                strstr(b->out, m->examples[1]) == NULL)
                fail_msg("%s: %d %s", line, b->code, b->out);
        }
    }
}

static void test_without_memory(void **state)
{
    struct bench *b = *state;
    struct cli c;
    size_t n;
    FILE *out = open_memstream(&b->out, &n);

    assert_non_null(out);
    cli_init(&c, out, out);
    c.arena.cap = 0;
    help_noun(&c, out, "grant");
    help_command(&c, out, command_find("grant", "list"));
    cli_done(&c);
    fclose(out);
    assert_non_null(strstr(b->out, "  grant"));
    assert_non_null(strstr(b->out, "  help")); /* an option of every command */
    assert_null(strstr(b->out, "(null)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(test_table), CASE(test_every_noun_has_commands), CASE(test_shown),
                                        CASE(test_every_command_has_help), CASE(test_without_memory) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
