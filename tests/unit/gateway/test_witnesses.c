/* What the quorum has signed counts when it is stored. A disk that fails just then keeps the node late, and its gate
 * closed, until it is back: not until another record comes, which behind a closed gate may never be. */
#include "gateway/witnesses.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* The log's part, and the clock. */
static struct {
    struct settings settings;
    struct gate gate;
    struct audit_status log;
    int64_t now;
    bool disk_fails;
    unsigned stored;
} m;

static enum err store(void)
{
    m.stored += !m.disk_fails;
    return m.disk_fails ? ERR_FULL : ERR_OK;
}

#define clock_mono_ms()               m.now
#define audit_status(l, ret)          ((void)(l), *(ret) = m.log)
#define audit_cosigned_set(l, note)   ((void)(l), (void)(note))
#define audit_cosigned(note, keys, n) ((void)(note), (void)(keys), (void)(n), 1)
#define audit_witnessed_set(l, note)  ((void)(l), (void)(note), store())
#include "gateway/witnesses.c" /* in place of the library's */
#undef clock_mono_ms
#undef audit_status
#undef audit_cosigned_set
#undef audit_cosigned
#undef audit_witnessed_set

enum { SIZE = 7, BOUND_MS = 5000 };
static struct witnesses w;

static int begin(void **state)
{
    (void)state;
    memset(&m, 0, sizeof m);
    m.now = 1000;
    m.settings.evidence.quorum = 1;
    m.settings.evidence.witness_late = WITNESS_STOP;
    m.settings.evidence.witness_bound_ms = BOUND_MS;
    m.log = (struct audit_status){ .available = true, .size = SIZE, .checkpoint_size = SIZE };
    w = (struct witnesses){ .settings = &m.settings, .gate = &m.gate, .note = BUF_INIT(NOTE_ROOM), .size = SIZE };
    pthread_mutex_init(&w.lock, NULL);
    alarm_init(&w.tick, on_tick);
    w.loop = loop_new();
    return w.loop ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    buf_done(&w.note);
    pthread_mutex_destroy(&w.lock);
    w.loop = loop_free(w.loop);
    return 0;
}

static void ticks(int64_t ms)
{
    for (int64_t until = m.now + ms; m.now < until; m.now += TICK_MS)
        on_tick(&w.tick);
}

static void what_could_not_be_stored_is_stored_when_the_disk_is_back(void **state)
{
    struct witnesses_status s;

    (void)state;
    m.disk_fails = true;
    round_count(&w); /* as the last of the quorum's answers makes it */
    ticks(BOUND_MS + 2 * RETRY_MS);
    assert_int_equal(gate_reason(&m.gate), REASON_WITNESS_LATE);
    m.disk_fails = false;
    ticks(2 * RETRY_MS);
    witnesses_status(&w, &s);
    assert_int_equal(s.size, SIZE);
    assert_false(s.late);
    assert_int_equal(gate_reason(&m.gate), REASON_GRANTED);
    assert_int_equal(m.stored, 1);
    ticks(2 * RETRY_MS); /* once is enough */
    assert_int_equal(m.stored, 1);
}

static void what_was_stored_is_not_stored_again(void **state)
{
    (void)state;
    round_count(&w);
    ticks(BOUND_MS + 2 * RETRY_MS);
    assert_int_equal(m.stored, 1);
    assert_int_equal(gate_reason(&m.gate), REASON_GRANTED);
}

/* An address in brackets is in nobody's certificate: such a witness could never be reached. */
static void what_the_certificate_has_to_name(void **state)
{
    static const struct {
        const char *host, *name;
    } rows[] = {
        { "witness.example", "witness.example" }, { "witness.example:8443", "witness.example" },
        { "192.0.2.7:8443", "192.0.2.7" },        { "[2001:db8::7]", "2001:db8::7" },
        { "[2001:db8::7]:8443", "2001:db8::7" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_true(slice_is(name_in_certificate(slice_of(rows[i].host)), rows[i].name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_could_not_be_stored_is_stored_when_the_disk_is_back, begin, end),
        cmocka_unit_test_setup_teardown(what_was_stored_is_not_stored_again, begin, end),
        cmocka_unit_test(what_the_certificate_has_to_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
