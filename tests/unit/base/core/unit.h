#pragma once
/* What the tests of base/core share: cmocka in its include order, table walking, and the failing-allocation run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "base/core/core.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Says which row of a table failed. */
#define ROW_TRUE(condition, name)                                                                                      \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fail_msg("case '%s': %s", (name), #condition);                                                             \
    } while (0)

static inline void assert_text(struct slice got, const char *want)
{
    if (!slice_is(got, want))
        fail_msg("got '%.*s', want '%s'", SLICE_ARG(got), want);
}

/* Runs `work` with its 1st, 2nd, ... allocation failing until it makes no such allocation any more. `work` returns
 * whether it succeeded; it must succeed at the end and must have failed whenever an allocation did. */
static inline void each_allocation_fails(bool (*work)(void))
{
    for (size_t n = 1;; n++) {
        bool ok;
        size_t made;

        mem_fail_nth(n);
        ok = work();
        made = mem_fail_nth(0);
        if (made < n) {
            assert_true(ok);
            assert_true(n > 1); /* else nothing was tried */
            return;
        }
        assert_false(ok);
    }
}
