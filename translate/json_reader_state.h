#pragma once
/* Inside the JSON reader: its state, shared by json_reader.c (structure), json_reader_text.c (strings, numbers,
 * literals) and json_reader_members.c (whole members at once). Invariants: frames[depth] is the innermost open bracket,
 * frames[0] stands for the root. The names buffer holds the keys of the open objects one behind the other; a frame's
 * name is that of its next value. Everything that a split of the input could cut is in the struct. Memory: frames and
 * keys are bounded by READER_DEPTH_MAX and json_keys, names by TOKEN_MAX; text is never stored. */
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
    struct json_members members; /* object: its keys */
    uint32_t names_base;         /* names.n when the frame was opened */
    uint32_t name_at, name_n;    /* of the next value, in names */
    bool object;
    bool element; /* an array inside an array: was opened as an element */
};

/* Life inside another object's memory; `keys` and `names` keep theirs over a reset. */
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
    struct frame frames[READER_DEPTH_MAX + 1]; /* [0]: the root's */
    struct json_keys keys;
};

struct cursor {
    const char *p, *end;
};

/* For a reader in memory that is not cleared. */
void json_reader_init(struct json_reader *r, const struct event_sink *sink, void *self);
void json_reader_done(struct json_reader *r);

/* A value that is no bracket: its open and its close to the sink; after close the state is ST_AFTER. */
enum err json_value_open(struct json_reader *r) MUST_CHECK;
enum err json_value_close(struct json_reader *r) MUST_CHECK;
/* Behind the opening quote; at the first byte of a number; at that of true, false or null. */
enum err json_string_begin(struct json_reader *r, bool key) MUST_CHECK;
enum err json_number_begin(struct json_reader *r) MUST_CHECK;
enum err json_literal_begin(struct json_reader *r, char first) MUST_CHECK;
bool json_number_may_end(const struct json_reader *r);
struct slice json_frame_name(const struct json_reader *r, const struct frame *f); /* bor: until the names change */

/* Behind the bytes of a string from p that stand for themselves and are valid: at a quote, a backslash, a control
 * character, a character that does not end before `end`, or (*ret_bad) one that is none; or `end`. */
const char *json_string_run(const char *p, const char *end, bool *ret_bad);
/* Behind the number at p when it is one and ends before `end`; else NULL. */
const char *json_number_run(const char *p, const char *end);
/* Behind true, false or null at p, and which; else NULL. */
const char *json_literal_run(const char *p, const char *end, enum scalar *ret_kind);

/* At the opening quote of a key. Members that are whole and have no escapes are told at once; what is left, if only a
 * part of one, goes the way of the steps. State and cursor are then as the steps would have left them. */
enum err json_members_step(struct json_reader *r, struct cursor *c) MUST_CHECK;
enum err json_close_object(struct json_reader *r) MUST_CHECK;

/* Steps: each eats at least one byte or changes the state. The cursor is not at its end. */
enum err json_step_string(struct json_reader *r, struct cursor *c) MUST_CHECK;
enum err json_step_escape(struct json_reader *r, struct cursor *c) MUST_CHECK;
enum err json_step_hex(struct json_reader *r, struct cursor *c) MUST_CHECK;
enum err json_step_low(struct json_reader *r, struct cursor *c) MUST_CHECK;
enum err json_step_low_u(struct json_reader *r, struct cursor *c) MUST_CHECK;
enum err json_step_utf8(struct json_reader *r, struct cursor *c) MUST_CHECK;
enum err json_step_number(struct json_reader *r, struct cursor *c) MUST_CHECK;
enum err json_step_literal(struct json_reader *r, struct cursor *c) MUST_CHECK;
