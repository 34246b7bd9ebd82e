#pragma once
/* The only place that calls malloc. Allocations may fail after start-up; tests make the n-th one fail. */
#include <stddef.h>
#include "base/core/slice.h"

void *mem_alloc(size_t n);                  /* NULL on failure; not cleared */
void *mem_zalloc(size_t n);                 /* NULL on failure; all zero */
void *mem_zalloc_line(size_t n);            /* the same, from the start of a line of the cache: 64 bytes */
void *mem_array(size_t count, size_t size); /* cleared, overflow checked; NULL on failure */
void *mem_grow(void *p, size_t n);          /* as realloc; p stays valid on failure */
char *mem_dup(struct slice s);              /* NUL-terminated copy */
void *mem_free(void *p);                    /* returns NULL: p = mem_free(p) */
void mem_libc_free(void *p);                /* what a library allocated with plain malloc */
/* For libraries that let their allocator be chosen: not counted by the hook for tests; of 0 bytes NULL. */
void *mem_library_alloc(size_t n);
void *mem_library_grow(void *p, size_t n);
void mem_library_free(void *p);
/* Large blocks come from the system and go back to it when they are freed. By itself the C library learns from each
 * freed one to take the next, as large, from a heap, which then grows in steps between smaller blocks and stays so. At
 * start, before other threads. */
void mem_settle(void);
void mem_trim(void);              /* give free pages back to the system; milliseconds */
void mem_wipe(void *p, size_t n); /* clears secrets, never optimised away */

/* Tests: make the n-th allocation from now on fail (0: none). Returns how many were made since the last call. */
size_t mem_fail_nth(size_t n);
