/* malloc and its kin, replaced for the whole unit program: the program's own come before those of the C library and of
 * a sanitizer's runtime, so that all shared libraries find them too, those without a hook for their memory included.
 * What they do is done by the functions that they stand for. */
#include "tests/unit/fail_alloc.h"
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAS_SANITIZER
#define SYSTEM(name) __interceptor_##name
#else
#define SYSTEM(name) __libc_##name
#endif

void *SYSTEM(malloc)(size_t n);
void *SYSTEM(calloc)(size_t count, size_t n);
void *SYSTEM(realloc)(void *p, size_t n);

extern const char __executable_start, etext;

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Of the order that holds. `from` is written last: whoever sees it sees the others. */
static atomic_size_t made, from = SIZE_MAX;
static _Atomic uint64_t wanted;
static atomic_bool met_here;
static atomic_bool *_Atomic met = &met_here;
static struct alloc_paths *_Atomic noted;
static atomic_size_t noted_stride;

/* Where a library does not bear what it should, whoever calls it: inside these functions of theirs, unless called by
 * another, or only where the library itself calls them, no allocation fails. Only what they export has a name here. */
static const struct {
    const char *in, *unless;
    bool own;
} spared[] = {
    /* libasan of gcc 12: as a thread begins, AsanThread::Init asks for its stack and ends the process without. */
    { "pthread_getattr_np", NULL, false },
    /* glibc 2.36: getaddrinfo goes on with a pointer that was never set (SIGSEGV). */
    { "__nss_database_get", NULL, false },
    /* libcrypto 3.0.19: the table of algorithms' names (namemap) loses an entry when another finds no memory as the
     * algorithm is fetched: some bytes leak, once a name. The names of hosts are copied by the same function. */
    { "CRYPTO_strndup", "X509_VERIFY_PARAM_set1_host", false },
    /* The same: a table that it makes on first use, of decoders say, leaks when it cannot be kept. What others keep
     * with a connection goes through the same function. */
    { "CRYPTO_set_ex_data", NULL, true },
};

/* `own`: called from within its library. */
static bool is_in(void *const *frames, int n, const char *function, bool own)
{
    Dl_info at, caller;

    for (int i = 0; function && i < n; i++)
        if (dladdr(frames[i], &at) != 0 && at.dli_sname && strcmp(at.dli_sname, function) == 0)
            return !own || (i + 1 < n && dladdr(frames[i + 1], &caller) != 0 && caller.dli_fbase == at.dli_fbase);
    return false;
}

static bool is_spared(void *const *frames, int n)
{
    for (size_t i = 0; i < COUNT(spared); i++)
        if (is_in(frames, n, spared[i].in, spared[i].own) && !is_in(frames, n, spared[i].unless, false))
            return true;
    return false;
}

static bool is_between(const void *p, const void *low, const void *high)
{
    return (uintptr_t)p >= (uintptr_t)low && (uintptr_t)p < (uintptr_t)high;
}

/* FNV-1a over those who called malloc, `caller` the first, and the nearest of the test the last: a source of ours that
 * a test includes to see its inside counts as the test's own. Never 0. All processes of one program are laid out alike:
 * they are forked. */
static uint64_t path_of(void *const *frames, int n, const void *caller)
{
    const void *tested = (const void *)(uintptr_t)tests_end;
    uint64_t h = 0xcbf29ce484222325;
    int i = 0;

    while (i < n - 1 && frames[i] != caller)
        i++;
    for (int near = i + ALLOC_PATHS_NEAR; i < n && !is_between(frames[i], &__executable_start, tested); i++)
        if (i < near || is_between(frames[i], tested, &etext))
            h = (h ^ (uintptr_t)frames[i]) * 0x100000001b3;
    if (i < n)
        h = (h ^ (uintptr_t)frames[i]) * 0x100000001b3;
    h ^= h >> 32;
    return h == 0 ? 1 : h;
}

/* Where the path is, or a free place for it: there is always one. */
static size_t place_of(const struct alloc_paths *in, uint64_t path)
{
    size_t i = path % ALLOC_PATHS_MAX;

    while (in->at[i].path != 0 && in->at[i].path != path)
        i = (i + 1) % ALLOC_PATHS_MAX;
    return i;
}

bool alloc_paths_has(const struct alloc_paths *in, uint64_t path)
{
    return in->at[place_of(in, path)].path == path;
}

void alloc_paths_add(struct alloc_paths *to, struct alloc_path p)
{
    struct alloc_path *at;

    while (atomic_flag_test_and_set(&to->held))
        continue;
    at = &to->at[place_of(to, p.path)];
    if (at->path == p.path)
        at->nth = p.nth < at->nth ? p.nth : at->nth;
    else if (to->n < ALLOC_PATHS_MAX - 1) {
        *at = p;
        to->n++;
    } else
        to->lost++;
    atomic_flag_clear(&to->held);
}

/* Rarely taken: nothing fails before the order's first. */
__attribute__((noinline)) static bool look(size_t nth, const void *caller, struct alloc_paths *paths)
{
    void *frames[64];
    int n = backtrace(frames, COUNT(frames));
    uint64_t path = path_of(frames, n, caller), want = atomic_load(&wanted);

    if (paths)
        alloc_paths_add(paths, (struct alloc_path){ path, nth });
    if (nth < atomic_load(&from) || (want != 0 && want != path) || atomic_exchange(atomic_load(&met), true) ||
        is_spared(frames, n))
        return false;
    errno = ENOMEM;
    return true;
}

static bool must_fail(const void *caller)
{
    size_t nth = atomic_fetch_add(&made, 1) + 1;
    struct alloc_paths *paths = atomic_load(&noted);

    if (paths && nth > ALLOC_PATHS_EACH && nth % atomic_load(&noted_stride) != 0)
        paths = NULL;
    return (paths || (nth >= atomic_load(&from) && !atomic_load(atomic_load(&met)))) && look(nth, caller, paths);
}

void *malloc(size_t n)
{
    return must_fail(__builtin_return_address(0)) ? NULL : SYSTEM(malloc)(n);
}

void *calloc(size_t count, size_t n)
{
    return must_fail(__builtin_return_address(0)) ? NULL : SYSTEM(calloc)(count, n);
}

void *realloc(void *p, size_t n)
{
    return n > 0 && must_fail(__builtin_return_address(0)) ? NULL : SYSTEM(realloc)(p, n);
}

void fail_order(const struct fail_order *o)
{
    (void)backtrace(&(void *){ NULL }, 1); /* it allocates when it is called for the first time */
    atomic_store(&wanted, o->path);
    atomic_store(&met_here, false);
    atomic_store(&met, o->met ? o->met : &met_here);
    atomic_store(&made, 0);
    atomic_store(&noted_stride, o->stride);
    atomic_store(&noted, o->paths);
    atomic_store(&from, o->from > 0 ? o->from : SIZE_MAX);
}

size_t fail_order_end(void)
{
    atomic_store(&from, SIZE_MAX);
    atomic_store(&noted, NULL);
    return atomic_load(&made);
}

size_t fail_alloc(size_t nth)
{
    size_t before = atomic_load(&made);

    fail_order(&(struct fail_order){ .from = nth });
    return before;
}
