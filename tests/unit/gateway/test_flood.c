/* Recorded one by one up to the rate, counted exactly beyond it, and nobody pays for another's flood. */
#include "audit/audit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct audit_record put; /* the last */
static uint32_t put_counts[REASON_COUNT_];
static enum err put_says = ERR_OK;

static enum err fake_put(struct audit_queue *q, const struct audit_record *r, unsigned flags, void *waiter)
{
    (void)q;
    assert_true(flags == 0 && waiter != NULL);
    put = *r;
    memcpy(put_counts, r->counts, sizeof put_counts);
    return put_says;
}
#define audit_put fake_put
#include "gateway/flood.c"

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

/* Who has an address of IPv6 has 2^64 of them. */
static void a_network_of_ipv6_is_one_source(void **state)
{
    struct flood f;
    unsigned recorded = 0;
    char source[46];

    (void)state;
    flood_init(&f, 10, 100, 100, 1);
    for (int i = 1; i <= 1000; i++) {
        struct slice key = { source, (size_t)snprintf(source, sizeof source, "2001:db8:0:1:%x::%x", i / 10, i) };
        recorded += flood_admit(&f, key, true, REASON_CERTIFICATE_UNKNOWN, 1000, 5000);
    }
    assert_int_equal(recorded, 20);
    assert_true(flood_admit(&f, SLICE("2001:db8:0:2::1"), true, REASON_CERTIFICATE_UNKNOWN, 1000, 5000));
    assert_true(flood_admit(&f, SLICE("::ffff:10.0.0.1"), true, REASON_CERTIFICATE_UNKNOWN, 1000, 5000));
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

/* In whatever worker its connections are: one is as good as all of them. */
static void one_identity_over_all_workers(void **state)
{
    struct flood f[4];
    struct flood_each *each = calloc(1, sizeof *each);
    unsigned recorded = 0, read = 0;

    (void)state;
    assert_non_null(each);
    for (unsigned i = 0; i < 4; i++) {
        flood_init(&f[i], 10, 100, 100, 4);
        flood_share(&f[i], each, 100);
        flood_reads(&f[i], 50);
    }
    for (unsigned i = 0; i < 150; i++)
        recorded += flood_admit(&f[0], SLICE("education/admission"), false, REASON_NO_GRANT, 1000, 5000);
    assert_int_equal(recorded, 150);
    for (unsigned i = 0; i < 1000; i++) {
        recorded += flood_admit(&f[i % 4], SLICE("education/admission"), false, REASON_NO_GRANT, 1000, 5000);
        read += flood_may_read(&f[i % 4], SLICE("education/admission"), 1000);
    }
    assert_int_equal(recorded, 200);
    assert_int_equal(read, 100);
    for (unsigned i = 0; i < 1000; i++)
        read += flood_may_read(&f[i % 4], SLICE("education/admission"), 1000 + i);
    assert_in_range(read, 149, 150);
    free(each);
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

/* What waits for its record is not in another; what the log lost, or never took, goes into the next. */
static void count_record(void **state)
{
    struct flood f;

    (void)state;
    flood_init(&f, 1, 1, 1, 1);
    assert_false(flood_put(&f, NULL, 1, &f));
    assert_true(flood_settled(&f));
    flood_count(&f, REASON_REVOKED, 77);
    flood_count(&f, REASON_REVOKED, 78);
    assert_false(flood_settled(&f));
    assert_true(flood_put(&f, NULL, 1000, &f));
    assert_int_equal(put.kind, AUDIT_COUNT);
    assert_int_equal(put.from, 77);
    assert_int_equal(put.to, 1000);
    assert_int_equal(put_counts[REASON_REVOKED], 2);
    flood_count(&f, REASON_REVOKED, 1001);
    assert_false(flood_put(&f, NULL, 1002, &f));
    assert_false(flood_settled(&f));
    flood_written(&f, false);
    assert_true(flood_settled(&f)); /* the log takes nothing */
    put_says = ERR_AGAIN;
    assert_false(flood_put(&f, NULL, 2000, &f));
    assert_false(flood_settled(&f)); /* but it may in a moment */
    put_says = ERR_DOWN;
    assert_false(flood_put(&f, NULL, 2000, &f));
    assert_true(flood_settled(&f));
    put_says = ERR_OK;
    assert_true(flood_put(&f, NULL, 3000, &f));
    assert_int_equal(put.from, 77);
    assert_int_equal(put_counts[REASON_REVOKED], 3);
    flood_count(&f, REASON_REVOKED, 3001);
    flood_written(&f, true);
    assert_false(flood_settled(&f));
    assert_true(flood_put(&f, NULL, 4000, &f));
    assert_int_equal(put.from, 3000);
    assert_int_equal(put_counts[REASON_REVOKED], 1);
    flood_written(&f, true);
    assert_true(flood_settled(&f));
    assert_false(flood_put(&f, NULL, 5000, &f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strangers_of_one_source),
        cmocka_unit_test(a_network_of_ipv6_is_one_source),
        cmocka_unit_test(all_strangers_together),
        cmocka_unit_test(strangers_do_not_use_up_what_the_known_have),
        cmocka_unit_test(one_identity_over_all_workers),
        cmocka_unit_test(a_days_bytes),
        cmocka_unit_test(count_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
