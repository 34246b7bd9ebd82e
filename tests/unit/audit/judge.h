#pragma once
/* A strict JSON reader (RFC 8259) of the tests' own, so that the lines of the log are judged by other code than wrote
 * them. */
#include "base/core/core.h"

bool judge_value(struct slice text);                                     /* one whole JSON value, nothing else */
bool judge_get(struct slice object, const char *key, struct slice *ret); /* a member's raw text */
bool judge_at(struct slice array, size_t i, struct slice *ret);
size_t judge_count(struct slice container);
bool judge_text(struct slice value, struct buf *out); /* a string, decoded */
bool judge_text_is(struct slice object, const char *key, const char *want);
int64_t judge_int(struct slice object, const char *key); /* -1: not there */
