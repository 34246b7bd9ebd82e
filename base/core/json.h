#pragma once
/* Writing JSON text (RFC 8259) in the order of the calls, without white space. The writer puts commas and colons;
 * values are escaped; bytes that are not UTF-8 are written as {"b64":"..."} by json_bytes and refused by json_str
 * (ERR_INVALID in the buffer's `failed`). Reading JSON is base/doc's (small trees) and translate's (streams). */
#include "base/core/buf.h"

enum { JSON_DEPTH_MAX = 32 };

struct json {
    struct buf *out; /* bor: until the last call */
    uint32_t comma;  /* bit d: level d has a member already */
    uint8_t depth;
    bool after_key;
};

/* Several values may be written at the outermost level (lines): no commas are put there. */
void json_init(struct json *j, struct buf *out);
void json_open(struct json *j, char bracket);  /* '{' or '[' */
void json_close(struct json *j, char bracket); /* '}' or ']' */
void json_key(struct json *j, const char *key);
void json_key_slice(struct json *j, struct slice key);
void json_str(struct json *j, struct slice s);
void json_cstr(struct json *j, const char *s); /* NULL writes null */
void json_bytes(struct json *j, struct slice s);
void json_u64(struct json *j, uint64_t v);
void json_i64(struct json *j, int64_t v);
void json_bool(struct json *j, bool v);
void json_null(struct json *j);
void json_raw(struct json *j, struct slice text); /* a JSON value that is already text */
/* Key and value in one call; an empty slice writes nothing at all. */
void json_opt(struct json *j, const char *key, struct slice s);
void json_pair(struct json *j, const char *key, struct slice s);
void json_pair_u64(struct json *j, const char *key, uint64_t v);
void json_pair_bool(struct json *j, const char *key, bool v);

/* The escaped inside of a JSON string, without quotes: what streams use. */
void json_escape(struct buf *out, struct slice s);
