#pragma once
/* Time. Monotonic milliseconds for time-outs; wall milliseconds since 1970 (UTC) only in certs, policies' facts and
 * audit. The time zone is one fixed offset for the process (default +08:00), set once at start-up. */
#include "base/core/buf.h"

int64_t clock_mono_ms(void);
int64_t clock_mono_ns(void);
int64_t clock_wall_ms(void);

void clock_set_zone(int offset_minutes); /* -720..840; start-up only */
int clock_zone(void);
/* "+08:00" or "Z" into minutes. */
bool clock_parse_zone(struct slice s, int *ret_minutes);

struct civil {
    int year, month, day, hour, minute, second, ms;
    int weekday; /* 1 Monday .. 7 Sunday */
};
struct civil clock_civil(int64_t wall_ms); /* in the zone */
/* Days since 1970-01-01 of a date; false when there is no such day. */
bool clock_days(int year, int month, int day, int32_t *ret_days);
int32_t clock_day_of(int64_t wall_ms); /* day number in the zone */
int clock_minute_of(int64_t wall_ms);  /* of the day, in the zone */
int clock_weekday(int32_t days);       /* as struct civil has it */

/* RFC 3339 with milliseconds and the zone's offset: 2026-11-22T09:30:00.000+08:00 (29 bytes). */
enum { CLOCK_TEXT = 30 };
void clock_put(struct buf *b, int64_t wall_ms);
void clock_text(int64_t wall_ms, char out[CLOCK_TEXT]);   /* NUL-terminated */
bool clock_parse(struct slice s, int64_t *ret_wall_ms);   /* RFC 3339, offset required */
bool clock_parse_date(struct slice s, int32_t *ret_days); /* CCYY-MM-DD */
void clock_put_date(struct buf *b, int32_t days);
/* "250ms", "5s", "2m", "12h", "30d" in milliseconds. */
bool clock_parse_duration(struct slice s, int64_t *ret_ms);
