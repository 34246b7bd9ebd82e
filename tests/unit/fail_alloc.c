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

#define COUNT(a) (sizeof(a) / sizeof *(a))

static atomic_size_t made, fail_at;

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

static bool is_spared(void)
{
    void *frames[32];
    int n = backtrace(frames, COUNT(frames));

    for (size_t i = 0; i < COUNT(spared); i++)
        if (is_in(frames, n, spared[i].in, spared[i].own) && !is_in(frames, n, spared[i].unless, false))
            return true;
    return false;
}

static bool must_fail(void)
{
    size_t nth = atomic_fetch_add(&made, 1) + 1;

    if (nth != atomic_load(&fail_at) || is_spared())
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t n)
{
    return must_fail() ? NULL : SYSTEM(malloc)(n);
}

void *calloc(size_t count, size_t n)
{
    return must_fail() ? NULL : SYSTEM(calloc)(count, n);
}

void *realloc(void *p, size_t n)
{
    return n > 0 && must_fail() ? NULL : SYSTEM(realloc)(p, n);
}

size_t fail_alloc(size_t nth)
{
    size_t before = atomic_exchange(&made, 0);

    atomic_store(&fail_at, nth);
    return before;
}
