#pragma once
/* The keeper's process limits; apart from the rest because <linux/audit.h> has names of its own. */
#include <stdbool.h>

/* What must hold before a key is read; `parent` is the daemon's process id. False: it does not, so end. */
bool confine_begin(int parent);
/* What is given up once everything is open. */
bool confine_end(void);
