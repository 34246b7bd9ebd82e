#pragma once
/* Waiting for what another thread or process will do: for the condition, and not for a time in which a busy machine may
 * have done nothing. The patience is no bound of anything: it only ends a test that would wait for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/core/core.h"

enum { UNTIL_PATIENCE_MS = 60000, UNTIL_STEP_US = 2000 };

/* Where an allocation fails (fail_nth.c) what is waited for may never come, and that is no fault. */
static inline int64_t until_patience_ms(void)
{
    const char *less = getenv("SLUICE_PATIENCE_MS");

    return less ? strtoll(less, NULL, 10) : UNTIL_PATIENCE_MS;
}

#define UNTIL(condition)                                                                                               \
    do {                                                                                                               \
        for (int64_t until_end = clock_mono_ms() + until_patience_ms(); !(condition); usleep(UNTIL_STEP_US))           \
            if (clock_mono_ms() > until_end)                                                                           \
                fail_msg("waited in vain until %s", #condition);                                                       \
    } while (0)
