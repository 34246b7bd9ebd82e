#pragma once
/* Inside translate: a provider's text into the value of a declared type, written as JSON or XML.
 * Invariant: what does not fit is null and a finding; nothing is guessed, rounded or cut. */
#include "translate/plan.h"

enum value_kind { VALUE_ABSENT, VALUE_TEXT, VALUE_NIL, VALUE_BAD /* repeated, or not a single text */ };
struct value {
    uint32_t at, n; /* in the record's text buffer */
    uint8_t kind;
    bool wanted;  /* its top-level item is given out; constant for a run */
    bool raw;     /* JSON writes it as it is: it came so */
    uint8_t easy; /* enum map_easy of its field, as this run has it: MAP_NOT_EASY when not wanted; constant for a run */
};
enum value_state { VALUE_NONE /* write nothing */, VALUE_NULL, VALUE_WRITTEN };

bool value_type_known(char type);
bool value_format_ok(char type, struct slice format); /* a date or time format of an item of that type */

/* What a text becomes, before JSON or XML puts it in quotes or tags. */
struct rendered {
    enum value_state state;
    bool quote; /* JSON: a string, escaped when it may need it */
    bool plain; /* nothing to escape in it */
    bool raw;   /* nothing that JSON escapes in it */
    bool finding;
    struct slice text; /* the input, or in `small` or `buf` */
    char small[48];
};
/* `scratch` is cleared and used for masked and cleaned texts. */
void value_render(const struct map_field *f, struct slice text, bool clear, struct buf *scratch, struct rendered *out);
