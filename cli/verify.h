#pragma once
/* What the two files of `sluice audit verify` share. */
#include "cli/cli.h"

/* Copy the log behind a control listener into the empty folder `dir`: what was signed last, and nothing else. The
 * checkpoint must hold under vkey. An exit code; failures have been told. */
int verify_url_copy(struct cli *c, const char *url, const char *dir, struct slice vkey,
                    void (*progress)(void *arg, uint64_t done, uint64_t total), void *arg);
