#pragma once
/* Inside base/core: freed blocks of up to 32 KiB that a thread keeps for its next allocations. malloc and free of one
 * block take 150 instructions where the C library does the same, above 1032 bytes 350 and more, and here 60; an
 * exchange has a dozen blocks. Blocks keep being the C library's own. Thread rule: each thread has its own. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What to ask of malloc for n bytes, so that the block can be kept later: up to 63 more, or n. */
size_t kept_size(size_t n);
void *kept_take(size_t n); /* a block of at least n bytes that was given; NULL: there is none */
bool kept_give(void *p);   /* takes p, any block of malloc's; false: it does not, and p must be freed */
size_t kept_room(void *p); /* usable bytes of a block that kept_give might take; 0: it would not */
void kept_clear(void);     /* frees what this thread keeps */
/* Frees what this thread had too much of all the time since the last sweep, unless that is less than ten seconds ago.
 * kept_give does so itself. */
void kept_sweep(int64_t mono_ms);
