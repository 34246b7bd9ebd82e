#pragma once
/* What the stage of those who ask for evidence (stage_log.c) tells the others of x->log. Inside gateway/ only, the
 * exchange's thread. */
#include "gateway/exchange.h"

/* `path` is behind "/log/" and in the arena. False: it is no such path. */
bool log_ask_read(struct exchange *x, struct slice path, struct slice query);
bool log_ask_is_proof(const struct exchange *x);
bool log_ask_is_hashes(const struct exchange *x);        /* what is given without an intent: nothing else is */
struct slice log_ask_resource(const struct exchange *x); /* "/log/proof" and the like: as it is recorded */
struct uuid log_ask_exchange(const struct exchange *x);  /* that a proof is asked for */
const char *log_ask_type(const struct exchange *x);      /* Content-Type */
void log_ask_alarm(struct exchange *x);
void log_ask_drop(struct exchange *x); /* what nobody waits for any more */
