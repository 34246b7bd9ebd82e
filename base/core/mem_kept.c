/* Lists of freed blocks by size: small ones in the steps that malloc itself has, middle ones in steps of 64 bytes, for
 * what lives long must not be rounded up by much. Invariants: a block in list c has at least room_of(c) usable bytes; a
 * thread keeps at most KEPT_BYTES, begins anew when it would be more, and frees them when it ends; what a list never
 * came down to for UNUSED_MS is freed, as when one thread frees what another has made. Sanitizers see every malloc and
 * free: in their builds nothing is kept. */
#include "base/core/mem_kept.h"
#include <malloc.h>
#include <pthread.h>
#include "base/core/clock.h"
#include "base/core/mem.h"

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

enum { STEP = 64, LEAST = 1024, MOST = 32768, MIDDLES = MOST / STEP + 1 };
/* A small block's usable size is SMALL_STEP - SMALL_HEAD more for each step. */
enum { SMALL_STEP = 16, SMALL_HEAD = 8, SMALLS = LEAST / SMALL_STEP + 2, CLASSES = SMALLS + MIDDLES };

enum { UNUSED_MS = 10000, LOOK_EACH = 64 /* blocks given */ };

struct block {
    struct block *next;
};
static _Thread_local struct {
    struct list {
        struct block *first; /* own */
        uint32_t n, least;   /* since `swept` */
    } at[CLASSES];
    size_t bytes;   /* sum of their class sizes */
    unsigned given; /* since the last look */
    int64_t swept;  /* mono ms */
    bool watched;   /* the end of the thread is */
} kept;
static pthread_key_t kept_end;
static pthread_once_t kept_once = PTHREAD_ONCE_INIT;
static bool kept_may;

static bool is_middle(size_t n)
{
    return KEPT_BYTES > 0 && n > LEAST && n <= MOST;
}

/* The smallest class for n bytes; CLASSES: none. malloc has no smaller blocks than those of class 2. */
static size_t class_for(size_t n)
{
    if (n <= LEAST)
        return KEPT_BYTES == 0 ? CLASSES : n <= SMALL_STEP ? 2 : (n + SMALL_HEAD + SMALL_STEP - 1) / SMALL_STEP;
    return is_middle(n) ? SMALLS + (n + STEP - 1) / STEP : CLASSES;
}

/* The largest class that a block of n usable bytes is enough for; CLASSES: none. */
static size_t class_of(size_t n)
{
    if (n < LEAST + STEP) {
        size_t c = (n + SMALL_HEAD) / SMALL_STEP;
        return c < 2 ? CLASSES : c < SMALLS ? c : SMALLS - 1;
    }
    return n / STEP < MIDDLES ? SMALLS + n / STEP : CLASSES;
}

static size_t room_of(size_t c)
{
    return c < SMALLS ? c * SMALL_STEP - SMALL_HEAD : (c - SMALLS) * STEP;
}

size_t kept_size(size_t n)
{
    return is_middle(n) ? (n + STEP - 1) / STEP * STEP : n;
}

void *kept_take(size_t n)
{
    size_t c = class_for(n);
    struct list *l = c < CLASSES ? &kept.at[c] : NULL;
    struct block *b = l != NULL ? l->first : NULL;

    if (b == NULL)
        return NULL;
    l->first = b->next;
    l->n--;
    if (l->least > l->n)
        l->least = l->n;
    kept.bytes -= room_of(c);
    return b;
}

/* Down to the n that were given last: they are in the processor's cache. */
static void list_cut(struct list *l, size_t n)
{
    struct block **end = &l->first, *b;

    for (size_t i = 0; i < n; i++)
        end = &(*end)->next;
    b = *end;
    *end = NULL;
    while (b != NULL) {
        struct block *next = b->next;
        mem_libc_free(b);
        b = next;
    }
    l->n = (uint32_t)n;
}

void kept_clear(void)
{
    kept.bytes = 0;
    for (size_t c = 0; c < CLASSES; c++) {
        list_cut(&kept.at[c], 0);
        kept.at[c].least = 0;
    }
}

void kept_sweep(int64_t mono_ms)
{
    kept.given = 0;
    if (mono_ms - kept.swept < UNUSED_MS)
        return;
    kept.swept = mono_ms;
    for (size_t c = 0; c < CLASSES; c++) {
        struct list *l = &kept.at[c];
        kept.bytes -= l->least * room_of(c);
        if (l->least > 0)
            list_cut(l, l->n - l->least);
        l->least = l->n;
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
    size_t c = KEPT_BYTES > 0 ? class_of(malloc_usable_size(p)) : CLASSES;
    struct block *b = p;

    if (c >= CLASSES)
        return false;
    if (kept.bytes + room_of(c) > KEPT_BYTES)
        kept_clear(); /* full of sizes that nobody asks for, or near enough */
    if (!kept.watched) {
        (void)pthread_once(&kept_once, kept_make);
        kept.watched = kept_may && pthread_setspecific(kept_end, &kept) == 0;
        if (!kept.watched)
            return false;
    }
    b->next = kept.at[c].first;
    kept.at[c].first = b;
    kept.at[c].n++;
    kept.bytes += room_of(c);
    if (++kept.given >= LOOK_EACH)
        kept_sweep(clock_mono_ms());
    return true;
}

size_t kept_room(void *p)
{
    size_t n = KEPT_BYTES > 0 ? malloc_usable_size(p) : 0;

    return class_of(n) < CLASSES ? n : 0;
}
