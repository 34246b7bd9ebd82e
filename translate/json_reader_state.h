#pragma once
/* Inside the JSON reader: its state, shared by json_reader.c (structure) and json_reader_text.c (strings, numbers,
 * literals). Invariants: frames[depth] is the innermost open bracket, frames[0] stands for the root. The names buffer
 * holds the keys of the open objects one behind the other; a frame's name is that of its next value. Everything that a
 * split of the input could cut is in the struct. Memory: frames and keys are bounded by READER_DEPTH_MAX and json_keys,
 * names by TOKEN_MAX; text is never stored. */
#include "translate/event.h"
#include "translate/json_reader_keys.h"

enum state {
    ST_VALUE,     /* a value must come */
    ST_FIRST,     /* after [: a value or ] */
    ST_KEY_FIRST, /* after {: a key or } */
    ST_KEY,       /* after a comma in an object */
    ST_COLON,
    ST_AFTER, /* a value has ended: comma, bracket, or the end of all */
    ST_STRING,
    ST_ESCAPE, /* behind a backslash */
    ST_HEX,    /* inside \uXXXX */
    ST_LOW,    /* after a high surrogate: the backslash of the low one */
    ST_LOW_U,  /* its u */
    ST_UTF8,   /* inside a character that the input has split */
    ST_NUMBER,
    ST_LITERAL,
    ST_COUNT_
};

struct frame {
    uint32_t keys_base;
    uint32_t names_base;      /* names.n when the frame was opened */
    uint32_t name_at, name_n; /* of the next value, in names */
    bool object;
    bool element; /* an array inside an array: was opened as an element */
};

struct json_reader {
    struct event_sink sink;
    void *self; /* bor: until json_reader_free */
    enum err failed;
    uint8_t state;
    uint8_t depth;
    uint8_t number;              /* ST_NUMBER: enum number */
    uint8_t literal, literal_at; /* ST_LITERAL: which, and how many bytes of it */
    uint8_t hex_n;               /* ST_HEX: digits so far */
    uint8_t utf8_n, utf8_need;   /* ST_UTF8 */
    bool in_key;                 /* the string is a key */
    bool any;                    /* the string has given a piece */
    uint32_t unit, high;         /* ST_HEX: the code unit; a high surrogate that waits, or 0 */
    size_t token;                /* bytes of the token so far */
    uint64_t offset;             /* of the first byte of this feed, later of the error */
    char utf8[4];
    struct buf names;
    struct json_keys keys;
    struct frame frames[READER_DEPTH_MAX + 1]; /* [0]: the root's */
};

struct cursor {
    const char *p, *end;
};

/* A value that is no bracket: its open and its close to the sink; after close the state is ST_AFTER. */
enum err json_value_open(struct json_reader *r) MUST_CHECK;
enum err json_value_close(struct json_reader *r) MUST_CHECK;
/* Behind the opening quote; at the first byte of a number; at that of true, false or null. */
enum err json_string_begin(struct json_reader *r, bool key) MUST_CHECK;
enum err json_number_begin(struct json_reader *r) MUST_CHECK;
enum err json_literal_begin(struct json_reader *r, char first) MUST_CHECK;
bool json_number_may_end(const struct json_reader *r);
struct slice json_frame_name(const struct json_reader *r, const struct frame *f); /* bor: until the names change */

/* Steps: each eats at least one byte or changes the state. The cursor is not at its end. */
enum err json_step_string(struct json_reader *r, struct cursor *c) MUST_CHECK;
enum err json_step_escape(struct json_reader *r, struct cursor *c) MUST_CHECK;
enum err json_step_hex(struct json_reader *r, struct cursor *c) MUST_CHECK;
enum err json_step_low(struct json_reader *r, struct cursor *c) MUST_CHECK;
enum err json_step_low_u(struct json_reader *r, struct cursor *c) MUST_CHECK;
enum err json_step_utf8(struct json_reader *r, struct cursor *c) MUST_CHECK;
enum err json_step_number(struct json_reader *r, struct cursor *c) MUST_CHECK;
enum err json_step_literal(struct json_reader *r, struct cursor *c) MUST_CHECK;
