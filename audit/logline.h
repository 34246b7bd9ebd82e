#pragma once
/* The shape of one record's line, shared by who writes and who reads it:
 *   {"v":1,"index":<16 columns>,"crc":"<8 hex>","kind":"…",…}\n
 * Index and CRC stand at fixed offsets, so readers of the log need no JSON parser to check it. The CRC-32C is over the
 * line without LF, with its own digits as zeros. The leaf of the tree is the stamped line without LF. */
#include "audit/audit.h"

enum {
    LOGLINE_INDEX = 15,
    LOGLINE_INDEX_N = 16,
    LOGLINE_CRC = LOGLINE_INDEX + LOGLINE_INDEX_N + 8,
    LOGLINE_CRC_N = 8,
    LOGLINE_KIND = LOGLINE_CRC + LOGLINE_CRC_N + 10, /* first byte of the kind's name */
    LOGLINE_MIN = LOGLINE_KIND + 4
};
extern const char logline_blank[]; /* the line up to and with `"kind":"`: index blank, CRC zeros */

/* Write index and CRC into a blank line of n bytes (without LF). */
void logline_stamp(char *line, size_t n, uint64_t index);
/* Shape and CRC hold; *ret_index as written. `line` without LF. */
bool logline_check(struct slice line, uint64_t *ret_index);
/* The blank form of a line, as logline_stamp takes it: right prefix, no LF inside, known kind, at most
 * AUDIT_RECORD_MAX. */
bool logline_is_blank(struct slice line);

const char *audit_kind_name(enum audit_kind k);
/* Kind of a line that logline_check accepted; false: not one of ours. */
bool logline_kind(struct slice line, enum audit_kind *ret);

/* Members of one JSON object of ours, in order; start with at = 0. Values are raw JSON text. False at the end or on
 * text that is not canonical. */
struct logline_iter {
    struct slice object;
    size_t at;
};
bool logline_next(struct logline_iter *it, struct slice *key, struct slice *value);
bool logline_field(struct slice line, const char *key, struct slice *value);
/* The elements of a JSON array, by the same rules. */
bool logline_element(struct logline_iter *it, struct slice *value);
/* "text" without its quotes when it needs no unescaping; else false. */
bool logline_plain(struct slice value, struct slice *ret);
bool logline_u64(struct slice line, const char *key, uint64_t *ret);
bool logline_at(struct slice line, int64_t *ret_wall_ms);
bool logline_exchange(struct slice line, struct uuid *exchange, uint32_t *part);
