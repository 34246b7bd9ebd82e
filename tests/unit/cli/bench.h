#pragma once
/* What the tests of cli share: a call of the whole program in memory, with a home folder of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "cli/cli.h"

struct bench {
    char home[64];   /* removed at the end */
    char *out, *err; /* of the last call */
    int code;
};
int bench_make(void **state); /* sets HOME, clears SLUICE_*, LC_*, LANG */
int bench_clear(void **state);
#define CASE(f) cmocka_unit_test_setup_teardown(f, bench_make, bench_clear)

/* Words as a shell would split them: blanks, double quotes. "%h" stands for the home folder. Returns the exit code. */
int run(struct bench *b, const char *line);
/* The parse alone, by the same words; `c` must be ended by cli_done. */
int parse(struct bench *b, struct cli *c, const char *line);
char *file_text(const char *dir, const char *name); /* for the rest of the program; fails the test when absent */
void file_put(const char *dir, const char *name, const char *text, unsigned mode);
