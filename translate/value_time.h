#pragma once
/* Inside translate: dates and times by the formats of an item. */
#include "base/doc/doc.h"

bool time_format_ok(struct slice format);
/* Parse by the first of `formats` that fits, or by the usual ones when there are none; *n bytes of text into out.
 * Dates: CCYY-MM-DD. Times: CCYY-MM-DDThh:mm:ss[.fraction]+08:00, in the zone of the process. */
bool time_render(struct slice text, const struct doc_strs *formats, bool date_only, char out[48], size_t *n);
/* Whether the text is CCYY-MM-DD and a date: what time_render makes of it, when no formats are given, is the same. */
bool time_is_date(struct slice text);
