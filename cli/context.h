#pragma once
/* Where the servers are and who asks: flags, then SLUICE_* variables, then a context of ~/.config/sluice/config.yaml.
 * The file names keys and certificates; it never holds them. */
#include "cli/cli.h"

struct endpoint {       /* NUL-terminated, in the arena or the environment; NULL: not said */
    const char *server; /* https://host:port of the control listener */
    const char *data;   /* of the data listener */
    const char *ca, *cert, *key;
};
/* What holds for this call. Missing parts stay NULL; an unknown context or a damaged file has been told. */
int endpoint_find(struct cli *c, struct endpoint *ret);
/* "gateway:9443" or "https://gateway:9443/" as "https://gateway:9443"; NULL: no such address (plain http is none). */
const char *endpoint_address(struct cli *c, const char *text);

int run_context_set(struct cli *c);
int run_context_use(struct cli *c);
int run_context_list(struct cli *c);
