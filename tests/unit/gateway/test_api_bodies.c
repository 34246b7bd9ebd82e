/* A body at the control listener that memory lacks for is not called too large: that would be on record. */
#include "gateway/control_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static enum reason told;
#define api_problem(q, r, en, zh) ((void)(q), (void)(en), (void)(zh), (void)(told = (r)))
#include "gateway/api_http.c" /* in place of the library's */
#undef api_problem

static enum reason refused_for(size_t cap, size_t n, size_t nth)
{
    static char bytes[4096];
    struct settings settings = { .limits.control_bodies = 1 << 20 };
    struct control *c = mem_zalloc(sizeof *c);
    struct api_call call = { .q.control = c, .in = BUF_INIT(cap) };

    assert_non_null(c);
    c->settings = &settings;
    told = REASON_GRANTED;
    mem_fail_nth(nth);
    on_body(&call, slice_make(bytes, n));
    mem_fail_nth(0);
    buf_done(&call.in);
    mem_free(c);
    return told;
}

static void why_a_body_is_refused(void **state)
{
    (void)state;
    assert_int_equal(refused_for(4096, 4096, 0), REASON_GRANTED);
    assert_int_equal(refused_for(4095, 4096, 0), REASON_REQUEST_TOO_LARGE);
    assert_int_equal(refused_for(4096, 4096, 1), REASON_OVERLOADED);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(why_a_body_is_refused) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
