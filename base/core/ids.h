#pragma once
/* Identifiers made here. UUIDv7 (RFC 9562 section 5.7): time-ordered, 62 random bits from getrandom(2). */
#include "base/core/slice.h"

enum { UUID_TEXT = 37 };
struct uuid {
    uint8_t b[16];
};
struct uuid uuid_v7(int64_t wall_ms);               /* thread-safe; random bytes are drawn in batches per thread */
void uuid_text(struct uuid u, char out[UUID_TEXT]); /* lower case, NUL-terminated */
bool uuid_read(struct slice s, struct uuid *ret);   /* the 36-character form only */
