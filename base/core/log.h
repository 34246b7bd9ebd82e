#pragma once
/* The daemon's own log: one JSON line on stderr an event (time, level, event, fields). Only gateway/ and cli/ log;
 * libraries return errors. Never a value from a body, a parameter or a header: codes, identifiers, counts.
 * Thread-safe: one write(2) a line. */
#include "base/core/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
void log_set_level(enum log_level least);
/* Fields: pairs of name and text, ended by NULL: log_event(LOG_INFO, "started", "pid", "12", NULL). */
void log_event(enum log_level level, const char *event, ...) __attribute__((sentinel));
