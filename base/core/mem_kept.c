/* Lists of freed blocks by size, in steps of 64 bytes: what lives long must not be rounded up by much. Invariants: a
 * block in list c has at least c * STEP usable bytes; a thread keeps at most KEPT_BYTES, begins anew when it would be
 * more, and frees them when it ends. Sanitizers see every malloc and free: in their builds nothing is kept. */
#include "base/core/mem_kept.h"
#include "base/core/mem.h"
#include <malloc.h>
#include <pthread.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define WATCHED_BY_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(WATCHED_BY_SANITIZER)
enum { KEPT_BYTES = 0 };
#else
enum { KEPT_BYTES = 1 << 20 };
#endif

enum { STEP = 64, LEAST = 1024, MOST = 32768, CLASSES = MOST / STEP + 1 };

struct block {
    struct block *next;
};
static _Thread_local struct {
    struct block *at[CLASSES]; /* own */
    size_t bytes;              /* sum of their class sizes */
    bool watched;              /* the end of the thread is */
} kept;
static pthread_key_t kept_end;
static pthread_once_t kept_once = PTHREAD_ONCE_INIT;
static bool kept_may;

static bool is_middle(size_t n)
{
    return KEPT_BYTES > 0 && n > LEAST && n <= MOST;
}

/* The smallest class for n bytes. */
static size_t class_for(size_t n)
{
    return (n + STEP - 1) / STEP;
}

size_t kept_size(size_t n)
{
    return is_middle(n) ? class_for(n) * STEP : n;
}

void *kept_take(size_t n)
{
    if (!is_middle(n))
        return NULL;
    size_t c = class_for(n);
    struct block *b = kept.at[c];
    if (b == NULL)
        return NULL;
    kept.at[c] = b->next;
    kept.bytes -= c * STEP;
    return b;
}

static void kept_clear(void)
{
    kept.bytes = 0;
    for (size_t c = 0; c < CLASSES; c++)
        while (kept.at[c] != NULL) {
            struct block *b = kept.at[c];
            kept.at[c] = b->next;
            mem_libc_free(b);
        }
}

static void kept_free(void *unused)
{
    (void)unused;
    kept.watched = false; /* what is given from now on by other destructors is watched anew */
    kept_clear();
}

static void kept_make(void)
{
    kept_may = pthread_key_create(&kept_end, kept_free) == 0;
}

bool kept_give(void *p)
{
    size_t n = KEPT_BYTES > 0 ? malloc_usable_size(p) : 0, c = n / STEP;
    struct block *b = p;

    if (c <= LEAST / STEP || c >= CLASSES)
        return false;
    if (kept.bytes + c * STEP > KEPT_BYTES)
        kept_clear(); /* full of sizes that nobody asks for, or near enough */
    if (!kept.watched) {
        (void)pthread_once(&kept_once, kept_make);
        kept.watched = kept_may && pthread_setspecific(kept_end, &kept) == 0;
        if (!kept.watched)
            return false;
    }
    b->next = kept.at[c];
    kept.at[c] = b;
    kept.bytes += c * STEP;
    return true;
}
