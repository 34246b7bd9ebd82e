/* Dates and times: y M d H m s S X as in the formats that departments write (yyyyMMdd, yyyy/M/d,
 * yyyy-MM-dd'T'HH:mm:ss.SX). One letter takes as many digits as there are (up to two), more letters exactly so many; S
 * any fraction; X a zone. A date that comes with a time is a date only when the time is midnight: nothing is cut off.
 */
#include "translate/value_time.h"

struct stamp {
    int part[6]; /* year month day hour minute second */
    struct slice fraction;
    bool zoned;
    int zone; /* minutes */
};
static const char letters[] = "yMdHms";

static const char *const usual_dates[] = { "yyyy-MM-dd",
                                           "yyyyMMdd",
                                           "yyyy/M/d",
                                           "yyyy-M-d",
                                           "yyyy-MM-ddX",
                                           "yyyy-MM-ddTHH:mm:ss",
                                           "yyyy-MM-dd HH:mm:ss",
                                           "yyyy-MM-ddTHH:mm:ss.S",
                                           "yyyy-MM-dd HH:mm:ss.S",
                                           NULL };
static const char *const usual_times[] = { "yyyy-MM-dd HH:mm:ss",    "yyyy-MM-ddTHH:mm:ss",   "yyyyMMddHHmmss",
                                           "yyyy-MM-ddTHH:mm:ssX",   "yyyy-MM-dd HH:mm:ss.S", "yyyy-MM-ddTHH:mm:ss.S",
                                           "yyyy-MM-ddTHH:mm:ss.SX", "yyyy/M/d H:mm:ss",      NULL };

/* One token of a format: a letter and how often, or a literal (letter 0). */
struct token {
    char letter, literal;
    size_t times;
};

static bool next_token(struct slice *f, bool *quoted, struct token *t)
{
    while (f->n > 0 && f->p[0] == '\'') {
        *quoted = !*quoted;
        *f = slice_sub(*f, 1, f->n);
    }
    if (f->n == 0)
        return false;
    char c = f->p[0];
    size_t n = 1;
    *t = (struct token){ .literal = c };
    if (!*quoted && (memchr(letters, c, 6) != NULL || c == 'S' || c == 'X')) {
        while (n < f->n && f->p[n] == c)
            n++;
        *t = (struct token){ .letter = c, .times = n };
    }
    *f = slice_sub(*f, n, f->n);
    return true;
}

bool time_format_ok(struct slice format)
{
    unsigned seen = 0;
    bool quoted = false;
    struct token t;

    while (next_token(&format, &quoted, &t)) {
        const char *at = t.letter ? memchr(letters, t.letter, 6) : NULL;
        if (t.letter == 0 && !quoted && t.literal != 'T' &&
            ((t.literal >= 'a' && t.literal <= 'z') || (t.literal >= 'A' && t.literal <= 'Z')))
            return false;
        if (at == NULL)
            continue;
        unsigned bit = 1u << (at - letters);
        if ((seen & bit) || (at == letters ? t.times != 4 : t.times > 2))
            return false;
        seen |= bit;
    }
    return (seen & 7) == 7;
}

static bool take_digits(struct slice *s, size_t least, size_t most, int *ret)
{
    size_t n = 0;
    int v = 0;

    while (n < most && n < s->n && s->p[n] >= '0' && s->p[n] <= '9')
        v = v * 10 + (s->p[n++] - '0');
    *s = slice_sub(*s, n, s->n);
    *ret = v;
    return n >= least;
}

static bool take_fraction(struct slice *s, struct stamp *st)
{
    size_t n = 0;

    while (n < s->n && n < 9 && s->p[n] >= '0' && s->p[n] <= '9')
        n++;
    st->fraction = slice_sub(*s, 0, n);
    *s = slice_sub(*s, n, s->n);
    while (st->fraction.n > 0 && st->fraction.p[st->fraction.n - 1] == '0')
        st->fraction.n--;
    return n > 0;
}

static bool take(struct slice *s, const struct token *t, struct stamp *st)
{
    const char *at = t->letter ? memchr(letters, t->letter, 6) : NULL;

    if (at != NULL)
        return take_digits(s, t->times, t->times == 1 ? 2 : t->times, &st->part[at - letters]);
    if (t->letter == 'S')
        return take_fraction(s, st);
    if (t->letter == 'X') {
        st->zoned = clock_parse_zone(*s, &st->zone);
        *s = slice_sub(*s, s->n, 0);
        return st->zoned;
    }
    if (s->n == 0 || s->p[0] != t->literal)
        return false;
    *s = slice_sub(*s, 1, s->n);
    return true;
}

static bool parse(struct slice text, struct slice format, struct stamp *st)
{
    bool quoted = false;
    struct token t;
    int32_t days;

    *st = (struct stamp){ { 0 }, { NULL, 0 }, false, 0 };
    while (next_token(&format, &quoted, &t))
        if (!take(&text, &t, st))
            return false;
    return text.n == 0 && clock_days(st->part[0], st->part[1], st->part[2], &days) && st->part[3] < 24 &&
           st->part[4] < 60 && st->part[5] < 60;
}

static bool to_zone(struct stamp *st)
{
    int32_t days;

    if (!st->zoned || st->zone == clock_zone())
        return true;
    if (!clock_days(st->part[0], st->part[1], st->part[2], &days))
        return false;
    int64_t s = (int64_t)days * 86400 + st->part[3] * 3600 + st->part[4] * 60 + st->part[5] - st->zone * 60;
    struct civil c = clock_civil(s * 1000);
    const int part[6] = { c.year, c.month, c.day, c.hour, c.minute, c.second };
    if (!clock_days(c.year, c.month, c.day, &days) ||
        (int64_t)days * 86400 + c.hour * 3600 + c.minute * 60 + c.second != s + clock_zone() * 60)
        return false; /* the clock keeps within the years that have four digits */
    memcpy(st->part, part, sizeof part);
    return true;
}

static char *put_digits(char *to, int v, int width)
{
    for (int i = width - 1; i >= 0; i--, v /= 10)
        to[i] = (char)('0' + v % 10);
    return to + width;
}

/* CCYY-MM-DD */
static char *put_date(char *to, const struct stamp *st)
{
    to = put_digits(to, st->part[0], 4);
    *to++ = '-';
    to = put_digits(to, st->part[1], 2);
    *to++ = '-';
    return put_digits(to, st->part[2], 2);
}

static bool write_date(const struct stamp *st, char out[48], size_t *n)
{
    if (st->part[3] || st->part[4] || st->part[5] || st->fraction.n > 0 || (st->zoned && st->zone != clock_zone()))
        return false;
    *n = (size_t)(put_date(out, st) - out);
    return true;
}

static bool write_time(struct stamp *st, char out[48], size_t *n)
{
    int zone = clock_zone(), minutes = zone < 0 ? -zone : zone;

    if (!to_zone(st))
        return false;
    char *to = put_date(out, st);
    for (int i = 3; i < 6; i++) {
        *to++ = i == 3 ? 'T' : ':';
        to = put_digits(to, st->part[i], 2);
    }
    if (st->fraction.n > 0) { /* at most 9 digits */
        *to++ = '.';
        memcpy(to, st->fraction.p, st->fraction.n);
        to += st->fraction.n;
    }
    *to++ = zone < 0 ? '-' : '+';
    to = put_digits(to, minutes / 60, 2);
    *to++ = ':';
    *n = (size_t)(put_digits(to, minutes % 60, 2) - out);
    return true;
}

bool time_render(struct slice text, const struct doc_strs *formats, bool date_only, char out[48], size_t *n)
{
    const char *const *usual = date_only ? usual_dates : usual_times;
    struct stamp st;

    for (size_t i = 0; formats->n > 0 ? i < formats->n : usual[i] != NULL; i++)
        if (parse(text, formats->n > 0 ? formats->at[i] : slice_of(usual[i]), &st))
            return date_only ? write_date(&st, out, n) : write_time(&st, out, n);
    return false;
}

bool time_is_date(struct slice text)
{
    const char *p = text.p;

    if (time_is_any_year(text))
        return true;
    if (!time_has_shape(text))
        return false;
    int year = (p[0] - '0') * 1000 + (p[1] - '0') * 100 + (p[2] - '0') * 10 + p[3] - '0';
    int month = (p[5] - '0') * 10 + p[6] - '0', day = (p[8] - '0') * 10 + p[9] - '0';
    int32_t days;
    return clock_days(year, month, day, &days);
}
