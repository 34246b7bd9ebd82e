/* Help in both languages, made from the table of commands alone. */
#include "cli/command.h"

enum { COLUMN_MAX = 34 };

static void heading(struct cli *c, FILE *to, const char *en, const char *zh)
{
    const char *text = c->lang == LANG_ZH ? zh : en;

    if (c->bold && to == c->out)
        fprintf(to, "\n\033[1m%s\033[0m\n", text);
    else
        fprintf(to, "\n%s\n", text);
}

/* "  left   right", the right part in its column. */
static void row(FILE *to, const char *left, size_t column, const char *right)
{
    size_t n = utf8_width(slice_of(left));

    fprintf(to, "  %s", left);
    if (n > column)
        fprintf(to, "\n  %*s", (int)column, "");
    else
        fprintf(to, "%*s", (int)(column - n), "");
    fprintf(to, "  %s\n", right);
}

/* Without memory the name alone, as is what follows. */
static const char *option_shown(struct cli *c, const struct option *o)
{
    char letter[5] = { '-', o->letter, ',', ' ', '\0' };
    const char *whole = arena_printf(&c->arena, "%s--%s%s%s", o->letter ? letter : "    ", o->name, o->value ? " " : "",
                                     o->value ? o->value : "");

    return whole != NULL ? whole : o->name;
}

static void options_shown(struct cli *c, FILE *to, const struct option *list)
{
    size_t column = 0;

    for (const struct option *o = list; o->name != NULL; o++) {
        size_t n = strlen(option_shown(c, o));
        column = n > column && n <= COLUMN_MAX ? n : column;
    }
    for (const struct option *o = list; o->name != NULL; o++) {
        const char *more = (o->flags & OPT_REQUIRED) ? (c->lang == LANG_ZH ? "（必填）" : " (required)")
                           : (o->flags & OPT_MANY)   ? (c->lang == LANG_ZH ? "（可重复）" : " (may be repeated)")
                                                     : "";
        const char *help = arena_printf(&c->arena, "%s%s", cli_text(c, o->help), more);
        row(to, option_shown(c, o), column, help != NULL ? help : cli_text(c, o->help));
    }
}

static const char *command_shown(struct cli *c, const struct command *m)
{
    const char *whole = arena_printf(&c->arena, "%s%s%s%s%s", m->noun, m->verb ? " " : "", m->verb ? m->verb : "",
                                     *m->args ? " " : "", m->args);

    return whole != NULL ? whole : m->noun;
}

void help_command(struct cli *c, FILE *to, const struct command *m)
{
    fprintf(to, "%s\n", cli_text(c, m->purpose));
    heading(c, to, "Usage", "用法");
    fprintf(to, "  sluice %s%s\n", command_shown(c, m), c->lang == LANG_ZH ? " [选项]" : " [options]");
    if (m->options != NULL) {
        heading(c, to, "Options", "选项");
        options_shown(c, to, m->options);
    }
    heading(c, to, "Options of every command", "通用选项");
    options_shown(c, to, cli_global_options);
    heading(c, to, "Examples", "示例");
    for (size_t i = 0; i < EXAMPLES; i++)
        if (m->examples[i] != NULL)
            fprintf(to, "  sluice %s\n", m->examples[i]);
}

void help_noun(struct cli *c, FILE *to, const char *noun)
{
    const struct noun *n = noun_find(noun);
    size_t column = 0;

    for (const struct command *m = cli_commands; m->noun != NULL; m++)
        if (strcmp(m->noun, noun) == 0) {
            size_t w = strlen(command_shown(c, m));
            column = w > column && w <= COLUMN_MAX + 10 ? w : column;
        }
    fprintf(to, "%s\n", cli_text(c, n->purpose));
    heading(c, to, "Commands", "命令");
    for (const struct command *m = cli_commands; m->noun != NULL; m++)
        if (strcmp(m->noun, noun) == 0)
            row(to, command_shown(c, m), column, cli_text(c, m->purpose));
    fprintf(to, c->lang == LANG_ZH ? "\n详见：sluice %s 动词 --help\n" : "\nMore: sluice %s VERB --help\n", noun);
}

static void verbs_put(struct buf *to, const char *noun)
{
    for (const struct command *m = cli_commands; m->noun != NULL; m++)
        if (m->verb != NULL && strcmp(m->noun, noun) == 0)
            buf_printf(to, "%s%s", to->n ? " " : "", m->verb);
}

void help_all(struct cli *c, FILE *to)
{
    fputs(c->lang == LANG_ZH ? "sluice：数闸（Sluice）政务数据共享交换网关的命令行\n"
                             : "sluice: the command line of Sluice, a data-sharing exchange gateway\n",
          to);
    heading(c, to, "Usage", "用法");
    fputs(c->lang == LANG_ZH ? "  sluice 名词 [动词] [参数] [选项]\n" : "  sluice NOUN [VERB] [arguments] [options]\n",
          to);
    heading(c, to, "Commands", "命令");
    for (const struct noun *n = cli_nouns; n->name != NULL; n++) {
        struct buf verbs = BUF_INIT(4096);
        row(to, n->name, 12, cli_text(c, n->purpose));
        verbs_put(&verbs, n->name);
        if (verbs.n > 0)
            fprintf(to, "  %12s    %.*s\n", "", SLICE_ARG(buf_slice(&verbs)));
        buf_done(&verbs);
    }
    heading(c, to, "Options of every command", "通用选项");
    options_shown(c, to, cli_global_options);
    heading(c, to, "Output", "输出");
    fputs(c->lang == LANG_ZH
              ? "  终端上为对齐的表格；其他情况下列表为以制表符分隔、无表头的行，单项为 YAML；-o 可指定格式。\n"
              : "  Aligned tables on a terminal; elsewhere lists are lines with tabs and no header, single "
                "things are YAML;\n  -o chooses.\n",
          to);
    heading(c, to, "Exit codes", "退出码");
    fputs(c->lang == LANG_ZH
              ? "  0 成功  1 失败  2 用法错误  3 未找到  4 未认证或被拒绝  5 冲突  6 无法连接  7 存证核验不通过\n"
              : "  0 ok  1 failure  2 usage  3 not found  4 not authenticated or denied  5 conflict  6 unreachable\n"
                "  7 evidence does not verify\n",
          to);
    fputs(c->lang == LANG_ZH ? "\n详见：sluice 名词 --help，sluice 名词 动词 --help\n"
                             : "\nMore: sluice NOUN --help, sluice NOUN VERB --help\n",
          to);
}

int run_help(struct cli *c)
{
    const struct command *m;

    if (c->n_args == 0) {
        help_all(c, c->out);
        return CLI_OK;
    }
    if (noun_find(c->args[0]) == NULL)
        return cli_fail(c, CLI_USAGE, "no help for \"%s\"; see: sluice help", "没有“%s”的帮助；请参阅：sluice help",
                        c->args[0]);
    m = command_find(c->args[0], c->n_args > 1 ? c->args[1] : NULL);
    if (m != NULL)
        help_command(c, c->out, m);
    else
        help_noun(c, c->out, c->args[0]);
    return CLI_OK;
}
