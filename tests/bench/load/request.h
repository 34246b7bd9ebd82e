/* The bytes of the one request that every exchange of a run sends. */
#pragma once

#include <stddef.h>

#include "options.h"

enum { REQUEST_HEAD_MAX = 16 * 1024, REQUEST_BODY_MAX = 256 * 1024 * 1024 };

/* Build head and body. Returns NULL after a line on stderr; the caller owns the bytes and ends them with
 * OPENSSL_free(). */
char *request_new(const struct options *o, size_t *ret_len);
