/* Chunked memory that is freed in one call. Invariants: at <= end, both inside the first chunk of the list (or in the
 * memory lent at birth, or NULL); `at` is 16-byte aligned; used <= cap, counted in rounded bytes handed out. A request
 * that would leave a large part of a chunk unused gets a chunk of its own behind the first, so that what is really
 * held stays near the cap. Chunks grow with what was used: 4 KiB to 64 KiB. */
#include "base/core/arena.h"
#include "base/core/mem.h"
#include <stdio.h>

enum { ALIGN = 16, CHUNK_MIN = 4096, CHUNK_MAX = 65536 };

struct arena_chunk {
    struct arena_chunk *next;
    _Alignas(ALIGN) char mem[];
};

void arena_init(struct arena *a, size_t cap)
{
    *a = (struct arena){ .cap = cap };
}

void arena_init_with(struct arena *a, size_t cap, void *mem, size_t n)
{
    size_t skip = mem ? (ALIGN - (uintptr_t)mem % ALIGN) % ALIGN : 0;

    arena_init(a, cap);
    if (mem == NULL || n <= skip)
        return;
    a->at = (char *)mem + skip;
    a->end = a->at + (n - skip) / ALIGN * ALIGN;
}

void arena_done(struct arena *a)
{
    struct arena_chunk *c = a->chunks;

    while (c != NULL) {
        struct arena_chunk *next = c->next;
        mem_free(c);
        c = next;
    }
    arena_init(a, a->cap);
}

/* Size of the next shared chunk: about as much as was used so far, never much more than may still be asked for. */
static size_t chunk_size(const struct arena *a)
{
    size_t size = CHUNK_MIN;

    while (size < a->used && size < CHUNK_MAX)
        size *= 2;
    size -= sizeof(struct arena_chunk);
    return size < a->cap - a->used ? size : (a->cap - a->used + ALIGN - 1) / ALIGN * ALIGN;
}

static struct arena_chunk *chunk_new(size_t n)
{
    struct arena_chunk *c = mem_alloc(sizeof(struct arena_chunk) + n);

    if (c != NULL)
        c->next = NULL;
    return c;
}

/* `n` is rounded and within the cap, but does not fit into the present chunk. */
static __attribute__((noinline)) void *alloc_slow(struct arena *a, size_t n)
{
    size_t size = chunk_size(a);
    bool own = n > size / 4;
    struct arena_chunk *c = chunk_new(own ? n : size);

    if (c == NULL)
        return NULL;
    a->used += n;
    if (own && a->chunks != NULL) {
        c->next = a->chunks->next;
        a->chunks->next = c;
        return c->mem;
    }
    c->next = a->chunks;
    a->chunks = c;
    if (own) /* the first chunk of all: the lent memory, if any, stays the one to cut from */
        return c->mem;
    a->at = c->mem + n;
    a->end = c->mem + size;
    return c->mem;
}

void *arena_alloc(struct arena *a, size_t n)
{
    size_t want = (n + (n == 0) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    char *p = a->at;

    if (n > PTRDIFF_MAX || want > a->cap - a->used) {
        a->capped = true;
        return NULL;
    }
    if (want > (uintptr_t)a->end - (uintptr_t)p)
        return alloc_slow(a, want);
    a->at = p + want;
    a->used += want;
    return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);

    return p ? memset(p, 0, n) : NULL;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t n;

    return __builtin_mul_overflow(count, size, &n) ? NULL : arena_zalloc(a, n);
}

char *arena_str(struct arena *a, struct slice s)
{
    char *p = s.n < PTRDIFF_MAX ? arena_alloc(a, s.n + 1) : NULL;

    if (p == NULL)
        return NULL;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

struct slice arena_dup(struct arena *a, struct slice s)
{
    char *p;

    if (s.n == 0)
        return SLICE("");
    p = arena_alloc(a, s.n);
    if (p == NULL)
        return (struct slice){ NULL, 0 };
    memcpy(p, s.p, s.n);
    return (struct slice){ p, s.n };
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args, again;
    char *p = NULL;
    int n;

    va_start(args, fmt);
    va_copy(again, args);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n >= 0)
        p = arena_alloc(a, (size_t)n + 1);
    if (p != NULL)
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}
