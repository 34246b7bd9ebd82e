#pragma once
/* Inside the unit programs' harness (fail_nth.c): which allocation fails. Thread-safe. */
#include <stddef.h>

/* Makes the n-th allocation from now on fail (0: none), whoever makes it. Returns how many were made since the last
 * call. */
size_t fail_alloc(size_t nth);
