/* The result as one line of JSON. */
#pragma once

#include <stdio.h>

#include "work.h"

/* Times are ns, rates a second. `cpu` is there only when processes were watched, `latency_ns` only when answers were
 * timed. */
void report_print(FILE *out, const struct options *o, const struct result *r);
