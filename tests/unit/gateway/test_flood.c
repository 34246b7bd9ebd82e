/* Recorded one by one up to the rate, counted exactly beyond it, and nobody pays for another's flood. */
#include "gateway/flood.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void strangers_of_one_source(void **state)
{
    struct flood f;
    unsigned recorded = 0;

    (void)state;
    flood_init(&f, 10, 100, 100, 1);
    for (int i = 0; i < 1000; i++)
        recorded += flood_admit(&f, SLICE("10.0.0.1"), true, REASON_CERTIFICATE_UNKNOWN, 1000, 5000);
    assert_int_equal(recorded, 20); /* two seconds' worth at once */
    assert_int_equal(f.total, 980);
    assert_int_equal(f.counts[REASON_CERTIFICATE_UNKNOWN], 980);
    assert_true(
        flood_admit(&f, SLICE("10.0.0.1"), true, REASON_CERTIFICATE_UNKNOWN, 1100, 5100)); /* one token a tenth */
    assert_false(flood_admit(&f, SLICE("10.0.0.1"), true, REASON_CERTIFICATE_UNKNOWN, 1100, 5100));
}

static void all_strangers_together(void **state)
{
    struct flood f;
    unsigned recorded = 0;
    char source[16];

    (void)state;
    flood_init(&f, 10, 100, 100, 1);
    for (int i = 0; i < 1000; i++) {
        struct slice key = { source, (size_t)snprintf(source, sizeof source, "10.0.%d.%d", i / 200, i % 200) };
        recorded += flood_admit(&f, key, true, REASON_CERTIFICATE_UNKNOWN, 1000, 5000);
    }
    assert_int_equal(recorded, 200);
}

static void strangers_do_not_use_up_what_the_known_have(void **state)
{
    struct flood f;

    (void)state;
    flood_init(&f, 10, 100, 100, 2);
    for (int i = 0; i < 1000; i++)
        (void)flood_admit(&f, SLICE("10.0.0.1"), true, REASON_CERTIFICATE_UNKNOWN, 1000, 5000);
    assert_true(flood_admit(&f, SLICE("education/admission"), false, REASON_NO_GRANT, 1000, 5000));
}

/* Any number of sources at their full rate for days: what they may have of the log holds. */
static void a_days_bytes(void **state)
{
    enum { DAYS = 3, BYTES = 1 << 20 };
    struct flood f;
    unsigned recorded = 0, first = 0;
    char source[16];

    (void)state;
    flood_init(&f, 10, 100, 100, 1);
    flood_day(&f, BYTES, 1);
    for (int64_t s = 1; s <= DAYS * 86400; s++)
        for (int i = 0; i < 3; i++) {
            struct slice key = { source, (size_t)snprintf(source, sizeof source, "10.0.0.%d", i) };
            recorded += flood_admit(&f, key, true, REASON_CERTIFICATE_UNKNOWN, s * 1000, s * 1000);
            first = s == 60 ? recorded : first;
        }
    assert_int_equal(first, BYTES / FLOOD_RECORD_BYTES / 16); /* after a start the day begins nearly spent */
    assert_in_range(recorded, DAYS * BYTES / FLOOD_RECORD_BYTES / 2, DAYS * BYTES / FLOOD_RECORD_BYTES);
    assert_int_equal(recorded + f.total, DAYS * 86400 * 3);
    assert_true(flood_admit(&f, SLICE("education/admission"), false, REASON_NO_GRANT, 1000, 5000));
}

static void count_record(void **state)
{
    struct flood f;
    struct audit_record r;

    (void)state;
    flood_init(&f, 1, 1, 1, 1);
    assert_false(flood_record(&f, &r, 1));
    flood_count(&f, REASON_REVOKED, 77);
    flood_count(&f, REASON_REVOKED, 78);
    assert_true(flood_record(&f, &r, 1000));
    assert_int_equal(r.kind, AUDIT_COUNT);
    assert_int_equal(r.from, 77);
    assert_int_equal(r.to, 1000);
    assert_int_equal(r.counts[REASON_REVOKED], 2);
    flood_sent(&f);
    flood_written(&f, false); /* lost: it goes into the next one */
    assert_true(flood_record(&f, &r, 1000));
    flood_sent(&f);
    flood_written(&f, true);
    assert_false(flood_record(&f, &r, 1001));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strangers_of_one_source),
        cmocka_unit_test(all_strangers_together),
        cmocka_unit_test(strangers_do_not_use_up_what_the_known_have),
        cmocka_unit_test(a_days_bytes),
        cmocka_unit_test(count_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
