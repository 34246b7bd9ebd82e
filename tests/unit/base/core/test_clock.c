/* Civil time against the C library over many years, RFC 3339 texts, zones, durations. */
#include "unit.h"
#include <time.h>

static int reset(void **state)
{
    (void)state;
    clock_set_zone(480);
    return 0;
}

/* Every day from 1600 to 2400, in several zones, against gmtime_r. */
static void against_libc(void **state)
{
    static const int zones[] = { 0, 480, -720, 840, -210 };

    (void)state;
    for (size_t z = 0; z < COUNT(zones); z++) {
        clock_set_zone(zones[z]);
        for (int64_t day = -135140; day < 157000; day++) {
            int64_t s = day * 86400 + (day * 7919 % 86400 + 86400) % 86400;
            time_t shifted = (time_t)(s + zones[z] * 60);
            struct civil c = clock_civil(s * 1000 + 7);
            struct tm t;

            gmtime_r(&shifted, &t);
            if (c.year != t.tm_year + 1900 || c.month != t.tm_mon + 1 || c.day != t.tm_mday || c.hour != t.tm_hour ||
                c.minute != t.tm_min || c.second != t.tm_sec || c.ms != 7 || c.weekday != (t.tm_wday + 6) % 7 + 1 ||
                clock_minute_of(s * 1000 + 7) != t.tm_hour * 60 + t.tm_min)
                fail_msg("second %lld in zone %d", (long long)s, zones[z]);
        }
    }
}

static void days(void **state)
{
    static const struct {
        int y, m, d;
        bool ok;
        int32_t want;
    } rows[] = { { 1970, 1, 1, true, 0 },       { 1969, 12, 31, true, -1 },    { 2000, 2, 29, true, 11016 },
                 { 1900, 2, 29, false, 0 },     { 2100, 2, 29, false, 0 },     { 2024, 2, 29, true, 19782 },
                 { 2023, 2, 29, false, 0 },     { 2024, 2, 30, false, 0 },     { 2026, 4, 31, false, 0 },
                 { 2026, 0, 1, false, 0 },      { 2026, 13, 1, false, 0 },     { 2026, 1, 0, false, 0 },
                 { 2026, 1, 32, false, 0 },     { 2026, 1, -1, false, 0 },     { -1, 1, 1, false, 0 },
                 { 10000, 1, 1, false, 0 },     { 0, 1, 1, true, -719528 },    { 9999, 12, 31, true, 2932896 },
                 { 2026, 11, 22, true, 20779 }, { 1600, 2, 29, true, -135081 } };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int32_t got = 4711;
        char name[32];
        snprintf(name, sizeof name, "%d-%d-%d", rows[i].y, rows[i].m, rows[i].d);
        ROW_TRUE(clock_days(rows[i].y, rows[i].m, rows[i].d, &got) == rows[i].ok, name);
        ROW_TRUE(got == (rows[i].ok ? rows[i].want : 4711), name);
    }
}

static void texts(void **state)
{
    static const struct {
        int zone;
        int64_t ms;
        const char *want;
    } rows[] = {
        { 480, 1795311000000, "2026-11-22T09:30:00.000+08:00" },
        { 480, 1795311000001, "2026-11-22T09:30:00.001+08:00" },
        { 0, 1795311000999, "2026-11-22T01:30:00.999+00:00" },
        { -210, 0, "1969-12-31T20:30:00.000-03:30" },
        { 0, -1, "1969-12-31T23:59:59.999+00:00" },
        { 480, INT64_MAX, NULL },
        { 480, INT64_MIN, NULL },
        { -720, INT64_MIN, NULL },
        { 840, INT64_MAX, NULL },
        { 0, 951868799999, "2000-02-29T23:59:59.999+00:00" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[CLOCK_TEXT];
        int64_t back;

        clock_set_zone(rows[i].zone);
        clock_text(rows[i].ms, text);
        assert_int_equal(strlen(text), CLOCK_TEXT - 1);
        assert_true(clock_parse(slice_of(text), &back));
        if (rows[i].want == NULL)
            continue;
        assert_string_equal(text, rows[i].want);
        assert_true(back == rows[i].ms);
    }
}

static void parsing(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t want;
    } rows[] = {
        { "1985-04-12T23:20:50.52Z", true, 482196050520 }, /* RFC 3339 section 5.8 */
        { "1996-12-19T16:39:57-08:00", true, 851042397000 },
        { "1990-12-31T23:59:60Z", true, 662688000000 },
        { "1990-12-31T15:59:60-08:00", true, 662688000000 },
        { "1937-01-01T12:00:27.87+00:20", true, -1041337172130 },
        { "1985-04-12t23:20:50z", true, 482196050000 },
        { "1985-04-12T23:20:50.123456789Z", true, 482196050123 },
        { "1985-04-12T23:20:50.0009Z", true, 482196050000 },
        { "1985-04-12T23:20:50", false, 0 },
        { "1985-04-12T23:20:50.Z", false, 0 },
        { "1985-04-12 23:20:50Z", false, 0 },
        { "1985-04-12T24:00:00Z", false, 0 },
        { "1985-04-12T23:60:00Z", false, 0 },
        { "1985-04-12T23:20:60Z", false, 0 },
        { "1985-04-12T23:20:61Z", false, 0 },
        { "1985-02-29T23:20:50Z", false, 0 },
        { "1985-04-12T23:20:50+8:00", false, 0 },
        { "1985-04-12T23:20:50+0800", false, 0 },
        { "1985-04-12T23:20:50+24:00", false, 0 },
        { "1985-04-12T23:20:50+08:60", false, 0 },
        { "1985-04-12T23:20:50Z ", false, 0 },
        { "1985-04-12T23:20:5", false, 0 },
        { "1985-04-12T", false, 0 },
        { "1985-04-12", false, 0 },
        { "+985-04-12T23:20:50Z", false, 0 },
        { "", false, 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t got = 0;
        ROW_TRUE(clock_parse(slice_of(rows[i].text), &got) == rows[i].ok, rows[i].text);
        ROW_TRUE(got == rows[i].want, rows[i].text);
    }
}

static void dates(void **state)
{
    static const char *const bad[] = { "2026-2-01", "2026-02-29", "20260201", "2026-02-01 ", "2026/02/01", "" };
    struct buf b = BUF_INIT(100);
    int32_t d;

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        ROW_TRUE(!clock_parse_date(slice_of(bad[i]), &d), bad[i]);
    assert_true(clock_parse_date(SLICE("2024-02-29"), &d));
    clock_put_date(&b, d);
    clock_put_date(&b, INT32_MAX);
    clock_put_date(&b, INT32_MIN);
    assert_text(buf_slice(&b), "2024-02-299999-12-310000-01-01");
    buf_done(&b);
    clock_put(&b, 0);
    assert_text(buf_slice(&b), "1970-01-01T08:00:00.000+08:00");
    buf_done(&b);
    /* The day begins at midnight of the zone, not of UTC. */
    assert_int_equal(clock_day_of(16 * 3600000 - 1), 0);
    assert_int_equal(clock_day_of(16 * 3600000), 1);
    assert_int_equal(clock_day_of(-8 * 3600000 - 1), -1);
}

static void zones(void **state)
{
    int m = 0;

    (void)state;
    assert_true(clock_parse_zone(SLICE("Z"), &m));
    assert_int_equal(m, 0);
    assert_true(clock_parse_zone(SLICE("+08:00"), &m));
    assert_int_equal(m, 480);
    assert_true(clock_parse_zone(SLICE("-03:30"), &m));
    assert_int_equal(m, -210);
    assert_true(clock_parse_zone(SLICE("+14:00"), &m));
    assert_false(clock_parse_zone(SLICE("+14:01"), &m));
    assert_false(clock_parse_zone(SLICE("-12:01"), &m));
    assert_false(clock_parse_zone(SLICE("08:00"), &m));
    assert_false(clock_parse_zone(SLICE(""), &m));
    clock_set_zone(60);
    clock_set_zone(9999); /* refused */
    assert_int_equal(clock_zone(), 60);
}

static void durations(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t want;
    } rows[] = { { "250ms", true, 250 },
                 { "5s", true, 5000 },
                 { "2m", true, 120000 },
                 { "12h", true, 43200000 },
                 { "30d", true, 2592000000 },
                 { "0s", true, 0 },
                 { "5", false, 0 },
                 { "s", false, 0 },
                 { "", false, 0 },
                 { "-5s", false, 0 },
                 { "5 s", false, 0 },
                 { "1.5s", false, 0 },
                 { "5S", false, 0 },
                 { "5w", false, 0 },
                 { "106751991168d", false, 0 },
                 { "9223372036854775807ms", true, INT64_MAX },
                 { "9223372036854775808ms", false, 0 } };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t got = 0;
        ROW_TRUE(clock_parse_duration(slice_of(rows[i].text), &got) == rows[i].ok, rows[i].text);
        ROW_TRUE(got == rows[i].want, rows[i].text);
    }
}

static void running(void **state)
{
    int64_t ms = clock_mono_ms(), ns = clock_mono_ns();

    (void)state;
    assert_true(ns / 1000000 >= ms);
    assert_true(clock_mono_ns() >= ns);
    assert_true(clock_wall_ms() > 1700000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(against_libc, reset), cmocka_unit_test_setup(days, reset),
        cmocka_unit_test_setup(texts, reset),        cmocka_unit_test_setup(parsing, reset),
        cmocka_unit_test_setup(dates, reset),        cmocka_unit_test_setup(zones, reset),
        cmocka_unit_test_setup(durations, reset),    cmocka_unit_test_setup(running, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
