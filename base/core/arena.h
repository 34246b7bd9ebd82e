#pragma once
/* Memory that lives and dies together: an exchange, a manifest, a snapshot object.
 * Everything is freed by one call; single objects never are. A cap at birth bounds what a peer can make it hold. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/core/slice.h"

struct arena_chunk;
struct arena {
    struct arena_chunk *chunks; /* own */
    char *at, *end;
    size_t used, cap; /* used: in pieces rounded up to 16 bytes */
    bool capped;      /* something was refused because of the cap, and not for want of memory */
};

void arena_init(struct arena *a, size_t cap);
/* As arena_init, but the first `n` bytes come from `mem` (borrowed until arena_done). */
void arena_init_with(struct arena *a, size_t cap, void *mem, size_t n);
void arena_done(struct arena *a);              /* frees all; the arena may be used again as after init */
void *arena_alloc(struct arena *a, size_t n);  /* 16-byte aligned, not cleared; NULL when over cap or out of memory */
void *arena_zalloc(struct arena *a, size_t n); /* cleared */
void *arena_array(struct arena *a, size_t count, size_t size); /* cleared, overflow checked */
char *arena_str(struct arena *a, struct slice s);              /* NUL-terminated copy; NULL on failure */
struct slice arena_dup(struct arena *a, struct slice s);       /* {NULL,0} on failure when s.n > 0 */
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
