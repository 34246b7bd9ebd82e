/* Civil time by counting days (Gregorian, proleptic), without a time zone database. Invariants: every text this writes
 * has a four-digit year (times outside 0000..9999 are clamped); the zone is set before the first thread starts. */
#include "base/core/clock.h"
#include <stdlib.h>
#include <time.h>

enum { DAY_MS = 86400000, ZONE_MIN = -720, ZONE_MAX = 840, DATE_TEXT = 10 };

static int zone = 480;

static int64_t now_ns(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t clock_mono_ms(void)
{
    return now_ns(CLOCK_MONOTONIC) / 1000000;
}

int64_t clock_mono_ns(void)
{
    return now_ns(CLOCK_MONOTONIC);
}

int64_t clock_wall_ms(void)
{
    return now_ns(CLOCK_REALTIME) / 1000000;
}

void clock_set_zone(int offset_minutes)
{
    if (offset_minutes >= ZONE_MIN && offset_minutes <= ZONE_MAX)
        zone = offset_minutes;
}

int clock_zone(void)
{
    return zone;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Days since 1970-01-01. March is month 0 of a computing year, so that the leap day comes last; eras are 400 years. */
static int32_t days_of(int year, int month, int day)
{
    int y = year - (month <= 2);
    int era = (y >= 0 ? y : y - 399) / 400;
    int year_of_era = y - era * 400;
    int day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static void date_of(int32_t days, struct civil *c)
{
    int z = days + 719468;
    int era = (z >= 0 ? z : z - 146096) / 146097;
    int day_of_era = z - era * 146097;
    int year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int month = (5 * day_of_year + 2) / 153;

    c->day = day_of_year - (153 * month + 2) / 5 + 1;
    c->month = month < 10 ? month + 3 : month - 9;
    c->year = year_of_era + era * 400 + (c->month <= 2);
}

bool clock_days(int year, int month, int day, int32_t *ret_days)
{
    static const unsigned char lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    if (year < 0 || year > 9999 || month < 1 || month > 12 || day < 1)
        return false;
    if (day > lengths[month - 1] + (leap && month == 2))
        return false;
    *ret_days = days_of(year, month, day);
    return true;
}

/* Into the years that have four digits, with a day of room for the zone. */
static int64_t clamp(int64_t wall_ms)
{
    const int64_t least = (int64_t)-719527 * DAY_MS, most = (int64_t)2932895 * DAY_MS;

    return wall_ms < least ? least : wall_ms > most ? most : wall_ms;
}

int32_t clock_day_of(int64_t wall_ms)
{
    return (int32_t)floor_div(clamp(wall_ms) + (int64_t)zone * 60000, DAY_MS);
}

int clock_minute_of(int64_t wall_ms)
{
    int64_t local = clamp(wall_ms) + (int64_t)zone * 60000;

    return (int)((local - floor_div(local, DAY_MS) * DAY_MS) / 60000);
}

int clock_weekday(int32_t days)
{
    return ((days + 3) % 7 + 7) % 7 + 1; /* 1970-01-01 was a Thursday */
}

struct civil clock_civil(int64_t wall_ms)
{
    int32_t days = clock_day_of(wall_ms);
    int ms = (int)(clamp(wall_ms) + (int64_t)zone * 60000 - (int64_t)days * DAY_MS);
    struct civil c = { .hour = ms / 3600000, .minute = ms / 60000 % 60, .second = ms / 1000 % 60, .ms = ms % 1000 };

    date_of(days, &c);
    c.weekday = clock_weekday(days);
    return c;
}

/* `width` decimal digits of v >= 0. */
static char *digits_put(char *out, int v, int width)
{
    for (int i = width; i-- > 0; v /= 10)
        out[i] = (char)('0' + v % 10);
    return out + width;
}

static char *date_put(char *out, const struct civil *c)
{
    out = digits_put(out, c->year, 4);
    *out++ = '-';
    out = digits_put(out, c->month, 2);
    *out++ = '-';
    return digits_put(out, c->day, 2);
}

/* The whole text with .000 as milliseconds. */
static void second_text(int64_t wall_ms, char out[CLOCK_TEXT])
{
    struct civil c = clock_civil(wall_ms);
    int offset = abs(zone);

    out = date_put(out, &c);
    *out++ = 'T';
    out = digits_put(out, c.hour, 2);
    *out++ = ':';
    out = digits_put(out, c.minute, 2);
    *out++ = ':';
    out = digits_put(out, c.second, 2);
    memcpy(out, ".000", 4);
    out += 4;
    *out++ = zone < 0 ? '-' : '+';
    out = digits_put(out, offset / 60, 2);
    *out++ = ':';
    out = digits_put(out, offset % 60, 2);
    *out = '\0';
}

void clock_text(int64_t wall_ms, char out[CLOCK_TEXT])
{
    static _Thread_local struct {
        int64_t second;
        int zone;
        char text[CLOCK_TEXT]; /* empty: nothing yet */
    } last;
    int64_t second;

    wall_ms = clamp(wall_ms);
    second = floor_div(wall_ms, 1000);
    if (last.second != second || last.zone != zone || last.text[0] == '\0') {
        second_text(second * 1000, last.text);
        last.second = second;
        last.zone = zone;
    }
    memcpy(out, last.text, CLOCK_TEXT);
    digits_put(out + 20, (int)(wall_ms - second * 1000), 3);
}

void clock_put(struct buf *b, int64_t wall_ms)
{
    char text[CLOCK_TEXT];

    clock_text(wall_ms, text);
    buf_put(b, (struct slice){ text, CLOCK_TEXT - 1 });
}

void clock_put_date(struct buf *b, int32_t days)
{
    int32_t least = days_of(0, 1, 1), most = days_of(9999, 12, 31);
    char text[DATE_TEXT];
    struct civil c;

    date_of(days < least ? least : days > most ? most : days, &c);
    date_put(text, &c);
    buf_put(b, (struct slice){ text, DATE_TEXT });
}

/* Exactly `width` digits at `at`, followed by `after` unless that is 0. */
static bool digits_read(struct slice s, size_t at, size_t width, char after, int *ret)
{
    uint64_t v;

    if (s.n < at + width + (after != 0) || !slice_u64(slice_sub(s, at, width), 0, 9999, &v))
        return false;
    *ret = (int)v;
    return after == 0 || s.p[at + width] == after;
}

bool clock_parse_date(struct slice s, int32_t *ret_days)
{
    int year, month, day;

    return s.n == DATE_TEXT && digits_read(s, 0, 4, '-', &year) && digits_read(s, 5, 2, '-', &month) &&
           digits_read(s, 8, 2, 0, &day) && clock_days(year, month, day, ret_days);
}

/* RFC 3339 time-offset: Z or ±hh:mm, within a day. */
static bool offset_read(struct slice s, int *ret_minutes)
{
    int hours, minutes;

    if (slice_eq_nocase(s, SLICE("Z"))) {
        *ret_minutes = 0;
        return true;
    }
    if (s.n != 6 || (s.p[0] != '+' && s.p[0] != '-') || !digits_read(s, 1, 2, ':', &hours) ||
        !digits_read(s, 4, 2, 0, &minutes) || hours > 23 || minutes > 59)
        return false;
    *ret_minutes = (s.p[0] == '-' ? -1 : 1) * (hours * 60 + minutes);
    return true;
}

bool clock_parse_zone(struct slice s, int *ret_minutes)
{
    int minutes;

    if (!offset_read(s, &minutes) || minutes < ZONE_MIN || minutes > ZONE_MAX)
        return false;
    *ret_minutes = minutes;
    return true;
}

/* ".123…" at the start of *s, cut off it; digits beyond milliseconds are dropped. */
static bool fraction_read(struct slice *s, int *ret_ms)
{
    size_t i = 1;
    int ms = 0, weight = 100;

    *ret_ms = 0;
    if (s->n == 0 || s->p[0] != '.')
        return true;
    for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++, weight /= 10)
        ms += (s->p[i] - '0') * weight;
    *s = slice_sub(*s, i, s->n);
    *ret_ms = ms;
    return i > 1;
}

bool clock_parse(struct slice s, int64_t *ret_wall_ms)
{
    enum { TIME_AT = 11, REST_AT = 19 };
    struct slice rest = slice_sub(s, REST_AT, s.n);
    int hour, minute, second, ms, offset;
    int64_t utc_s;
    int32_t days;

    if (!clock_parse_date(slice_sub(s, 0, DATE_TEXT), &days) || s.n < REST_AT || (s.p[10] | 0x20) != 't')
        return false;
    if (!digits_read(s, TIME_AT, 2, ':', &hour) || !digits_read(s, TIME_AT + 3, 2, ':', &minute) ||
        !digits_read(s, TIME_AT + 6, 2, 0, &second) || hour > 23 || minute > 59 || second > 60)
        return false;
    if (!fraction_read(&rest, &ms) || !offset_read(rest, &offset))
        return false;
    utc_s = (int64_t)days * 86400 + hour * 3600 + minute * 60 + second - offset * 60;
    if (second == 60 && floor_div(utc_s, 86400) * 86400 != utc_s) /* a leap second ends a day of UTC */
        return false;
    *ret_wall_ms = utc_s * 1000 + ms;
    return true;
}

bool clock_parse_duration(struct slice s, int64_t *ret_ms)
{
    static const struct {
        const char *suffix;
        int64_t ms;
    } units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", DAY_MS } };
    size_t digits = 0;
    uint64_t v;

    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
        digits++;
    for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
        if (!slice_is(slice_sub(s, digits, s.n), units[u].suffix))
            continue;
        if (!slice_u64(slice_sub(s, 0, digits), 0, (uint64_t)(INT64_MAX / units[u].ms), &v))
            return false;
        *ret_ms = (int64_t)v * units[u].ms;
        return true;
    }
    return false;
}
