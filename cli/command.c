/* Reading the words of a call by the table of commands. Invariant: c->command is set only when its words, its options
 * and the number of its arguments fit its row; what does not fit has been told, with the nearest name. */
#include "cli/command.h"

#include <stdlib.h>

enum { NEAR_LONGEST = 40 };

const struct noun *noun_find(const char *name)
{
    for (const struct noun *n = cli_nouns; n->name != NULL; n++)
        if (strcmp(n->name, name) == 0)
            return n;
    return NULL;
}

const struct command *command_find(const char *noun, const char *verb)
{
    for (const struct command *m = cli_commands; m->noun != NULL; m++) {
        if (strcmp(m->noun, noun) != 0 || (verb == NULL) != (m->verb == NULL))
            continue;
        if (verb == NULL || strcmp(m->verb, verb) == 0)
            return m;
    }
    return NULL;
}

bool noun_has_verbs(const char *noun)
{
    return noun_find(noun) != NULL && command_find(noun, NULL) == NULL;
}

/* ---- the nearest name ---- */

static size_t least(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;

    return m < c ? m : c;
}

/* Levenshtein; names are short. */
static size_t distance(const char *a, const char *b)
{
    size_t row[NEAR_LONGEST + 1], n = strlen(b);

    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t above = row[j];
            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[n];
}

const char *command_nearest(const char *word, const char *(*at)(const void *arg, size_t i), const void *arg)
{
    size_t n = strlen(word), best = n / 3 + 2; /* farther is no help */
    const char *found = NULL, *name;

    if (n > NEAR_LONGEST)
        return NULL;
    for (size_t i = 0; (name = at(arg, i)) != NULL; i++) {
        size_t d = strlen(name) <= NEAR_LONGEST ? distance(word, name) : best;
        if (d < best) {
            best = d;
            found = name;
        }
    }
    return found;
}

static const char *noun_at(const void *arg, size_t i)
{
    (void)arg;
    return cli_nouns[i].name;
}

static const char *verb_at(const void *noun, size_t i)
{
    for (const struct command *m = cli_commands; m->noun != NULL; m++)
        if (strcmp(m->noun, noun) == 0 && i-- == 0)
            return m->verb;
    return NULL;
}

static const char *option_at(const void *command, size_t i)
{
    const struct command *m = command;

    for (const struct option *o = m ? m->options : NULL; o != NULL && o->name != NULL; o++)
        if (i-- == 0)
            return o->name;
    for (const struct option *o = cli_global_options; o->name != NULL; o++)
        if (i-- == 0)
            return o->name;
    return NULL;
}

static int unknown(struct cli *c, const char *what_en, const char *what_zh, const char *word, const char *near)
{
    if (near != NULL)
        return cli_fail(c, CLI_USAGE, "unknown %s \"%s\"; did you mean \"%s\"?", "未知的%s“%s”；是否为“%s”？",
                        c->lang == LANG_ZH ? what_zh : what_en, word, near);
    return cli_fail(c, CLI_USAGE, "unknown %s \"%s\"; see: sluice help", "未知的%s“%s”；请参阅：sluice help",
                    c->lang == LANG_ZH ? what_zh : what_en, word);
}

/* ---- options ---- */

static const struct option *option_find(const struct option *list, struct slice name, char letter)
{
    for (const struct option *o = list; o != NULL && o->name != NULL; o++)
        if (letter != 0 ? o->letter == letter : slice_is(name, o->name))
            return o;
    return NULL;
}

static int option_keep(struct cli *c, const struct option *o, const char *value)
{
    if ((o->flags & OPT_MANY) == 0 && cli_has(c, o->name))
        return cli_fail(c, CLI_USAGE, "--%s is given twice", "--%s 重复出现", o->name);
    if (c->n_given == CLI_GIVEN_MAX)
        return cli_fail(c, CLI_USAGE, "too many options", "选项过多");
    c->given[c->n_given++] = (struct given){ o, value };
    if (strcmp(o->name, "help") == 0)
        c->help = true;
    return CLI_OK;
}

/* One option at argv[*i]; takes its value from the same word or the next. */
static int option_read(struct cli *c, int argc, char **argv, int *i)
{
    const char *word = argv[*i], *inside = NULL;
    bool is_long = word[1] == '-';
    struct slice name = slice_of(word + 2);
    const struct option *o = NULL;

    if (is_long) {
        size_t eq = slice_find(name, '=');
        inside = eq < name.n ? name.p + eq + 1 : NULL;
        name = slice_sub(name, 0, eq);
    } else if (word[2] != '\0') {
        inside = word + 2;
    }
    if (c->command != NULL)
        o = option_find(c->command->options, name, is_long ? 0 : word[1]);
    if (o == NULL)
        o = option_find(cli_global_options, name, is_long ? 0 : word[1]);
    if (o == NULL) {
        char *bare = arena_str(&c->arena, is_long ? name : slice_of(word));
        const char *near = is_long && bare ? command_nearest(bare, option_at, c->command) : NULL;
        char *shown = near ? arena_printf(&c->arena, "--%s", near) : NULL;
        return unknown(c, "option", "选项", word, shown);
    }
    if (o->value == NULL)
        return inside != NULL ? cli_fail(c, CLI_USAGE, "--%s takes no value", "--%s 不带值", o->name)
                              : option_keep(c, o, "");
    if (inside == NULL && *i + 1 >= argc)
        return cli_fail(c, CLI_USAGE, "--%s needs a value: --%s %s", "--%s 缺少值：--%s %s", o->name, o->name,
                        o->value);
    return option_keep(c, o, inside != NULL ? inside : argv[++*i]);
}

/* ---- words ---- */

static int noun_read(struct cli *c, const char *word)
{
    const struct noun *n = noun_find(word);

    if (n == NULL)
        return unknown(c, "command", "命令", word, command_nearest(word, noun_at, NULL));
    c->noun = n->name;
    c->command = command_find(n->name, NULL);
    return CLI_OK;
}

static int word_read(struct cli *c, const char *word)
{
    if (c->noun == NULL)
        return noun_read(c, word);
    if (c->command != NULL && c->command->verb == NULL && c->n_args == 0 && command_find(c->noun, word) != NULL) {
        c->command = command_find(c->noun, word); /* a noun that is a command may have verbs besides */
        return CLI_OK;
    }
    if (c->command == NULL) {
        c->command = command_find(c->noun, word);
        if (c->command == NULL) {
            char *what = arena_printf(&c->arena, "%s %s", c->noun, word);
            return unknown(c, "command", "命令", what ? what : word, command_nearest(word, verb_at, c->noun));
        }
        return CLI_OK;
    }
    if (c->n_args == CLI_ARGS_MAX)
        return cli_fail(c, CLI_USAGE, "too many arguments", "参数过多");
    c->args[c->n_args++] = word;
    return CLI_OK;
}

static int language_check(struct cli *c)
{
    const char *v = cli_value(c, "lang");

    if (v == NULL)
        return CLI_OK;
    if (strcmp(v, "zh") != 0 && strcmp(v, "en") != 0)
        return cli_fail(c, CLI_USAGE, "--lang is zh or en", "--lang 应为 zh 或 en");
    c->lang = strcmp(v, "zh") == 0 ? LANG_ZH : LANG_EN;
    return CLI_OK;
}

/* The language is wanted before the first complaint, wherever it stands. */
static void language_early(struct cli *c, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *v = NULL;
        if (strncmp(argv[i], "--lang=", 7) == 0)
            v = argv[i] + 7;
        else if (strcmp(argv[i], "--lang") == 0 && i + 1 < argc)
            v = argv[i + 1];
        if (v != NULL && (strcmp(v, "zh") == 0 || strcmp(v, "en") == 0))
            c->lang = strcmp(v, "zh") == 0 ? LANG_ZH : LANG_EN;
    }
}

static const char *verb_space(const struct command *m)
{
    return m->verb ? " " : "";
}

/* What the row asks for, once all words are read. */
static int shape_check(struct cli *c)
{
    const struct command *m = c->command;
    const char *verb = m->verb ? m->verb : "";

    if (c->n_args < m->min_args)
        return cli_fail(c, CLI_USAGE, "an argument is missing: sluice %s%s%s %s", "缺少参数：sluice %s%s%s %s", m->noun,
                        verb_space(m), verb, m->args);
    if (c->n_args > m->max_args)
        return cli_fail(c, CLI_USAGE, "unexpected \"%s\"; see: sluice %s%s%s --help",
                        "多余的参数“%s”；请参阅：sluice %s%s%s --help", c->args[m->max_args], m->noun, verb_space(m),
                        verb);
    for (const struct option *o = m->options; o != NULL && o->name != NULL; o++)
        if ((o->flags & OPT_REQUIRED) && !cli_has(c, o->name))
            return cli_fail(c, CLI_USAGE, "--%s %s is missing: %s", "缺少 --%s %s：%s", o->name, o->value,
                            cli_text(c, o->help));
    return CLI_OK;
}

int command_parse(struct cli *c, int argc, char **argv)
{
    bool only_words = false;
    int code = CLI_OK;

    language_early(c, argc, argv);
    for (int i = 1; i < argc && code == CLI_OK; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0)
            only_words = true;
        else if (!only_words && argv[i][0] == '-' && argv[i][1] != '\0')
            code = option_read(c, argc, argv, &i);
        else
            code = word_read(c, argv[i]);
    }
    if (code == CLI_OK)
        code = language_check(c);
    if (code != CLI_OK || c->help || c->noun == NULL)
        return code;
    if (c->command == NULL) {
        help_noun(c, c->err, c->noun);
        return cli_fail(c, CLI_USAGE, "a verb is missing behind \"%s\"", "“%s”之后缺少动词", c->noun);
    }
    return shape_check(c);
}
