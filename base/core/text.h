#pragma once
/* UTF-8, hex, base64 and percent-encoding. Decoders are strict: one wrong byte refuses the whole input. */
#include "base/core/arena.h"
#include "base/core/buf.h"

bool utf8_valid(struct slice s);             /* RFC 3629: no overlong forms, no surrogates */
size_t utf8_count(struct slice s);           /* code points of a valid string */
size_t utf8_next(struct slice s, size_t at); /* offset just behind the code point at `at`; clamped to s.n */
uint32_t utf8_at(struct slice s, size_t at); /* the code point that starts at `at` of a valid string */
void utf8_put(struct buf *b, uint32_t code_point);
/* Nothing is to be seen of it: white space, a control character, or one that has no width and stands for itself. The
 * first byte of such a one is UTF8_MAY_BE_BLANK. */
bool utf8_is_blank(uint32_t code_point);
#define UTF8_MAY_BE_BLANK(c) ((c) <= ' ' || (c) == 0x7f || (c) == 0xc2 || (c) == 0xe2 || (c) == 0xe3 || (c) == 0xef)
/* Display width in terminal columns: East Asian wide and fullwidth are 2. */
size_t utf8_width(struct slice s);

/* How many decimal digits v has, 20 at most; and these, of which there are n. */
size_t u64_digits(uint64_t v);
void u64_write(char *to, size_t n, uint64_t v);

extern const char hex_pairs[256][2];                          /* the two digits of each byte, lower case, no NUL */
void hex_put(struct buf *b, struct slice bytes);              /* lower case */
bool hex_read(struct slice text, uint8_t *out, size_t out_n); /* exactly out_n bytes */

void base64_put(struct buf *b, struct slice bytes);    /* RFC 4648 section 4, with padding */
void base64url_put(struct buf *b, struct slice bytes); /* section 5, without padding */
/* Section 4 only, padding required; appends. ERR_SYNTAX, or out's failure. */
enum err base64_read(struct slice text, struct buf *out) MUST_CHECK;

void percent_put(struct buf *b, struct slice s); /* all but RFC 3986 unreserved */
/* Percent-decoded copy in the arena, checked as UTF-8; plus_is_space for query strings. ERR_SYNTAX on a bad escape. */
enum err percent_read(struct slice s, bool plus_is_space, struct arena *a, struct slice *ret) MUST_CHECK;

/* An identifier of the product: [a-z][a-z0-9-]{0,62}. */
bool ident_valid(struct slice s);
/* Two identifiers joined by a slash: "public-security/household". */
bool ident_path_valid(struct slice s);
/* A purpose code: [a-z0-9-]{1,64}. */
bool purpose_valid(struct slice s);
