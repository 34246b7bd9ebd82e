#pragma once
/* cli: the command line `sluice`, a client of the administration API and of the data listener, the maker of a node
 * (init) and the offline verifier. It holds no state of its own but contexts.
 *
 * Results go to `out`, everything said to a person to `err`. Invariants: a private key never leaves this machine; what
 * a server sends is shown without its control characters; every way out has one of the exit codes.
 * Thread rule: one struct cli, one thread. Everything allocated for a command lives in its arena. */
#include <stdio.h>
#include "base/doc/doc.h"

enum exit_code {
    CLI_OK,
    CLI_FAILURE,
    CLI_USAGE,
    CLI_NOT_FOUND,
    CLI_DENIED, /* not authenticated, or denied */
    CLI_CONFLICT,
    CLI_UNREACHABLE,
    CLI_UNPROVEN /* evidence does not verify */
};

enum { CLI_ARGS_MAX = 16, CLI_GIVEN_MAX = 256, CLI_MEMORY = 1 << 30, CLI_FILE_MAX = 16 << 20 };

struct option;
struct command;

struct given { /* an option of this call; value is "" for a flag */
    const struct option *option;
    const char *value; /* bor: argv */
};

struct cli {
    struct arena arena; /* own */
    struct diags diags;
    FILE *out, *err; /* bor */
    bool out_tty, err_tty;
    bool bold; /* headings may be bold */
    enum lang lang;
    const struct command *command; /* NULL until its words were read */
    const char *noun;              /* the first word; NULL: none */
    struct given given[CLI_GIVEN_MAX];
    size_t n_given;
    const char *args[CLI_ARGS_MAX]; /* words behind noun and verb */
    size_t n_args;
    bool help; /* --help was given */
};

/* The whole program but for the process: what main() calls and tests call. Returns an exit code. */
int cli_run(int argc, char **argv, FILE *out, FILE *err);

void cli_init(struct cli *c, FILE *out, FILE *err); /* language and terminal from the environment */
void cli_done(struct cli *c);

/* The value of an option: the last one given, NULL when none. Flags give "". */
const char *cli_value(const struct cli *c, const char *name);
bool cli_has(const struct cli *c, const char *name);
/* The n-th value of an option that may be repeated; NULL behind the last. */
const char *cli_nth(const struct cli *c, const char *name, size_t n);

const char *cli_text(const struct cli *c, const char *const text[2]); /* by language; falls back to English */
/* One line to err, in the language of this call; the formats take the same arguments in the same order. */
void cli_say(struct cli *c, const char *en, const char *zh, ...)
    __attribute__((format(printf, 2, 4), format(printf, 3, 4)));
/* The same, beginning with "sluice: "; returns `code`, so that a command can end with it. */
int cli_fail(struct cli *c, int code, const char *en, const char *zh, ...)
    __attribute__((format(printf, 3, 5), format(printf, 4, 5)));
/* Prints what c->diags collected and empties it; the exit code that fits `e` (ERR_OK: CLI_OK). */
int cli_error(struct cli *c, enum err e);
int cli_exit_of(enum err e);
