/* The only place that calls malloc and free. Invariants: no allocation is ever of more than PTRDIFF_MAX bytes; a
 * request for 0 bytes gives a pointer that must be freed like any other. The test hook costs one relaxed load until
 * it is used for the first time; from then on every allocation is counted. Thread-safe. */
#include "base/core/mem.h"
#include "base/core/mem_kept.h"
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

static atomic_bool hooked;
static atomic_size_t made;
static atomic_size_t fail_at; /* 0: none */

/* Counts one allocation; true when it is the one that must fail. */
static bool hook_says_fail(void)
{
    size_t nth;

    if (!atomic_load_explicit(&hooked, memory_order_relaxed))
        return false;
    nth = atomic_fetch_add(&made, 1) + 1;
    return nth == atomic_load(&fail_at);
}

size_t mem_fail_nth(size_t n)
{
    size_t before = atomic_exchange(&made, 0);

    atomic_store(&fail_at, n);
    atomic_store(&hooked, true);
    return before;
}

static void *get(size_t n)
{
    void *p = kept_take(n);

    return p != NULL ? p : malloc(n ? kept_size(n) : 1);
}

static void put(void *p)
{
    if (p != NULL && !kept_give(p))
        free(p);
}

/* Of p, not NULL. A block that will be kept is exchanged for one of the kept instead of growing in place: else the
 * first size would be asked of malloc anew each time, and the last be kept for nobody. */
static void *get_more(void *p, size_t n)
{
    size_t room = kept_room(p);
    void *q;

    if (room == 0)
        return realloc(p, n);
    if (n <= room && n > room / 2)
        return p;
    q = get(n);
    if (q == NULL)
        return NULL;
    memcpy(q, p, n < room ? n : room);
    put(p);
    return q;
}

void *mem_alloc(size_t n)
{
    if (n > PTRDIFF_MAX || hook_says_fail())
        return NULL;
    return get(n);
}

enum { CLEAR_MOST = 1024 }; /* above, what calloc has may be clear already */

void *mem_zalloc(size_t n)
{
    void *p;

    if (n > PTRDIFF_MAX || hook_says_fail())
        return NULL;
    p = n <= CLEAR_MOST ? kept_take(n) : NULL;
    return p != NULL ? memset(p, 0, n) : calloc(1, n ? n : 1);
}

void *mem_zalloc_line(size_t n)
{
    enum { LINE = 64 };
    void *p = NULL;

    if (n > PTRDIFF_MAX || hook_says_fail())
        return NULL;
    return posix_memalign(&p, LINE, n ? n : 1) == 0 ? memset(p, 0, n) : NULL;
}

void *mem_array(size_t count, size_t size)
{
    size_t n;

    if (__builtin_mul_overflow(count, size, &n))
        return NULL;
    return mem_zalloc(n);
}

void *mem_grow(void *p, size_t n)
{
    if (n > PTRDIFF_MAX || hook_says_fail())
        return NULL;
    return p != NULL ? get_more(p, n ? n : 1) : get(n);
}

char *mem_dup(struct slice s)
{
    char *p = s.n < PTRDIFF_MAX ? mem_alloc(s.n + 1) : NULL;

    if (p == NULL)
        return NULL;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

void *mem_free(void *p)
{
    put(p);
    return NULL;
}

void *mem_library_alloc(size_t n)
{
    return n > 0 ? get(n) : NULL;
}

void *mem_library_grow(void *p, size_t n)
{
    if (p == NULL || n == 0) {
        put(p);
        return mem_library_alloc(n);
    }
    return get_more(p, n);
}

void mem_library_free(void *p)
{
    put(p);
}

void mem_libc_free(void *p)
{
    free(p);
}

void mem_settle(void)
{
    enum { LARGE = 256 << 10 };

    (void)mallopt(M_MMAP_THRESHOLD, LARGE);
    (void)mallopt(M_TRIM_THRESHOLD, LARGE);
}

void mem_trim(void)
{
    kept_clear();
#ifndef SLUICE_SANITIZED /* theirs is another allocator, and two threads that begin libc's at once break it */
    malloc_trim(0);
#endif
}

void mem_wipe(void *p, size_t n)
{
    if (n)
        explicit_bzero(p, n);
}
