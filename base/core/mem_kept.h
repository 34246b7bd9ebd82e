#pragma once
/* Inside base/core: freed blocks of middle size that a thread keeps for its next allocations. The C library does the
 * same up to 1032 bytes; above, malloc and free of one block take 350 instructions and more, and an exchange has six
 * such blocks. Blocks keep being the C library's own. Thread rule: each thread has its own. */
#include <stdbool.h>
#include <stddef.h>

/* What to ask of malloc for n bytes, so that the block can be kept later: up to 63 more, or n. */
size_t kept_size(size_t n);
void *kept_take(size_t n); /* a block of at least n bytes that was given; NULL: there is none */
bool kept_give(void *p);   /* takes p, any block of malloc's; false: it does not, and p must be freed */
