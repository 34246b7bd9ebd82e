#pragma once
/* The commands as data: one table makes the parser, the help in both languages and the suggestions. */
#include "cli/cli.h"

enum { OPT_MANY = 1, OPT_REQUIRED = 2, OPT_GLOBAL = 4 };
struct option { /* a list ends with name NULL */
    const char *name;
    char letter;       /* 0: none */
    const char *value; /* what to write for its value in help; NULL: a flag */
    const char *query; /* the API's query parameter it becomes in a list; NULL: none. A flag becomes "1". */
    unsigned flags;
    const char *help[2];
};
enum { EXAMPLES = 2 };
struct command {             /* the list ends with noun NULL */
    const char *noun, *verb; /* verb NULL: the noun alone is the command */
    const char *args;        /* as shown: "DEPARTMENT/PERSON ROLE" */
    unsigned min_args, max_args;
    const struct option *options; /* NULL: only the global ones */
    int (*run)(struct cli *c);
    const char *purpose[2];
    const char *examples[EXAMPLES]; /* behind "sluice " */
};
struct noun {
    const char *name;
    const char *purpose[2];
};

extern const struct command cli_commands[];
extern const struct noun cli_nouns[]; /* ends with name NULL */
extern const struct option cli_global_options[];

const struct noun *noun_find(const char *name);
const struct command *command_find(const char *noun, const char *verb); /* verb NULL: the noun's own, if it has one */
bool noun_has_verbs(const char *noun);
/* Reads argv into c. CLI_OK: c->command is set (or c->help, or neither: no word was given); else it has told what is
 * wrong. */
int command_parse(struct cli *c, int argc, char **argv);
/* The name nearest to `word`, or NULL when none is near enough. Names come from `at(i)` until it returns NULL. */
const char *command_nearest(const char *word, const char *(*at)(const void *arg, size_t i), const void *arg);

/* Help: the whole, a noun's, a command's; to `to`. */
void help_all(struct cli *c, FILE *to);
void help_noun(struct cli *c, FILE *to, const char *noun);
void help_command(struct cli *c, FILE *to, const struct command *m);
int run_help(struct cli *c);
