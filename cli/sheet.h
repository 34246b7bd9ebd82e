#pragma once
/* One thing as labelled lines, in the reader's language. */
#include "cli/cli.h"

void sheet_put(struct cli *c, const struct doc *one);
