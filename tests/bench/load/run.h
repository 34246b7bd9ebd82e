/* One run: open, warm up, measure, drain. Single-threaded; bounded by the options. */
#pragma once

#include "work.h"

/* Run the load. False, after a line on stderr, when it could not be set up; *ret is then untouched. Errors of single
 * exchanges are counted in *ret, not returned. */
bool run_load(const struct options *o, struct result *ret);
