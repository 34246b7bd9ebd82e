#pragma once
/* Inside translate: dates and times by the formats of an item. */
#include "base/doc/doc.h"

bool time_format_ok(struct slice format);
/* Parse by the first of `formats` that fits, or by the usual ones when there are none; *n bytes of text into out.
 * Dates: CCYY-MM-DD. Times: CCYY-MM-DDThh:mm:ss[.fraction]+08:00, in the zone of the process. */
bool time_render(struct slice text, const struct doc_strs *formats, bool date_only, char out[48], size_t *n);
/* Whether the text is CCYY-MM-DD and a date: what time_render makes of it, when no formats are given, is the same. */
bool time_is_date(struct slice text);

/* Digits and dashes where they belong. Eight bytes at once: XOR takes digits to 0..9 and dashes to 0, the sum has the
 * high bit where that fails. A carry comes only out of a byte that has failed. */
static inline bool time_has_shape(struct slice text)
{
    uint64_t w, base, add;

    if (text.n != 10)
        return false;
    memcpy(&w, text.p, 8);
    memcpy(&base, "0000-00-", 8);
    memcpy(&add, "\x76\x76\x76\x76\x7f\x76\x76\x7f", 8);
    w ^= base;
    return (((w + add) | w) & 0x8080808080808080u) == 0 && text.p[8] >= '0' && text.p[8] <= '9' && text.p[9] >= '0' &&
           text.p[9] <= '9';
}
/* time_is_date for nearly all that are; false leaves it open. The day is one that its month has in every year. */
static inline bool time_is_any_year(struct slice text)
{
    static const unsigned char days[] = { 0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

    if (!time_has_shape(text))
        return false;
    unsigned month = (unsigned)(text.p[5] - '0') * 10 + (unsigned)(text.p[6] - '0');
    unsigned day = (unsigned)(text.p[8] - '0') * 10 + (unsigned)(text.p[9] - '0');
    return month <= 12 && day - 1 < days[month]; /* day 0 is far above any */
}
