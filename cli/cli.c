/* What every command uses: language, messages, options by name. */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include "cli/command.h"

enum { CLI_DIAGS_MAX = 1 << 20 };

/* LC_ALL, LC_MESSAGES, LANG: the first one that is set decides (POSIX). */
static enum lang lang_of_environment(void)
{
    static const char *const names[] = { "LC_ALL", "LC_MESSAGES", "LANG" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *v = getenv(names[i]);
        if (v != NULL && *v != '\0')
            return strncmp(v, "zh", 2) == 0 ? LANG_ZH : LANG_EN;
    }
    return LANG_EN;
}

static bool may_be_bold(bool tty)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    return tty && (no == NULL || *no == '\0') && term != NULL && strcmp(term, "dumb") != 0;
}

void cli_init(struct cli *c, FILE *out, FILE *err)
{
    memset(c, 0, sizeof *c);
    arena_init(&c->arena, CLI_MEMORY);
    diags_init(&c->diags, &c->arena);
    c->out = out;
    c->err = err;
    c->out_tty = fileno(out) >= 0 && isatty(fileno(out));
    c->err_tty = fileno(err) >= 0 && isatty(fileno(err));
    c->bold = may_be_bold(c->out_tty);
    c->lang = lang_of_environment();
}

void cli_done(struct cli *c)
{
    arena_done(&c->arena);
}

const char *cli_nth(const struct cli *c, const char *name, size_t n)
{
    for (size_t i = 0; i < c->n_given; i++)
        if (strcmp(c->given[i].option->name, name) == 0 && n-- == 0)
            return c->given[i].value;
    return NULL;
}

const char *cli_value(const struct cli *c, const char *name)
{
    return cli_nth(c, name, 0);
}

bool cli_has(const struct cli *c, const char *name)
{
    return cli_value(c, name) != NULL;
}

const char *cli_text(const struct cli *c, const char *const text[2])
{
    return text[c->lang] ? text[c->lang] : text[LANG_EN];
}

void cli_say(struct cli *c, const char *en, const char *zh, ...)
{
    va_list args;

    va_start(args, zh);
    vfprintf(c->err, c->lang == LANG_ZH ? zh : en, args);
    va_end(args);
    fputc('\n', c->err);
}

int cli_fail(struct cli *c, int code, const char *en, const char *zh, ...)
{
    va_list args;

    fputs("sluice: ", c->err);
    va_start(args, zh);
    vfprintf(c->err, c->lang == LANG_ZH ? zh : en, args);
    va_end(args);
    fputc('\n', c->err);
    return code;
}

int cli_exit_of(enum err e)
{
    switch (e) {
    case ERR_OK:
        return CLI_OK;
    case ERR_NOT_FOUND:
        return CLI_NOT_FOUND;
    case ERR_DENIED:
        return CLI_DENIED;
    case ERR_EXISTS:
    case ERR_CONFLICT:
    case ERR_BUSY:
        return CLI_CONFLICT;
    case ERR_CLOSED:
    case ERR_TIMEOUT:
        return CLI_UNREACHABLE;
    default:
        return CLI_FAILURE;
    }
}

int cli_error(struct cli *c, enum err e)
{
    struct buf text = BUF_INIT(CLI_DIAGS_MAX);

    if (e == ERR_OK)
        return CLI_OK;
    diags_print(&c->diags, c->lang, &text);
    if (text.n > 0)
        fprintf(c->err, "sluice: %.*s", SLICE_ARG(buf_slice(&text)));
    else
        fprintf(c->err, "sluice: %s\n", err_text(e));
    buf_done(&text);
    diags_init(&c->diags, &c->arena);
    return cli_exit_of(e);
}

static int run_parsed(struct cli *c)
{
    if (c->help || c->noun == NULL) {
        if (c->command != NULL)
            help_command(c, c->out, c->command);
        else if (c->noun != NULL)
            help_noun(c, c->out, c->noun);
        else
            help_all(c, c->out);
        return CLI_OK;
    }
    return c->command->run(c);
}

int cli_run(int argc, char **argv, FILE *out, FILE *err)
{
    struct cli *c = mem_zalloc(sizeof *c);
    int code;

    if (c == NULL)
        return CLI_FAILURE;
    cli_init(c, out, err);
    code = command_parse(c, argc, argv);
    if (code == CLI_OK && cli_has(c, "version") && c->noun == NULL)
        fprintf(out, "sluice %s\n", SLUICE_VERSION);
    else if (code == CLI_OK)
        code = run_parsed(c);
    if ((fflush(out) != 0 || ferror(out)) && code == CLI_OK) /* a full disk, a closed pipe: the result is not whole */
        code = cli_fail(c, CLI_FAILURE, "the output could not be written", "无法写出结果");
    cli_done(c);
    mem_free(c);
    return code;
}
