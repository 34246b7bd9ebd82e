/* A start with short memory: OpenSSL says so, and is not gone on with (its 3.0 ends the process then). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/crypto/crypto.h"
#include "tests/unit/fail_alloc.h"

enum { STEP = 16 };
enum { REFUSED = 40, WENT_ON, LATE, ENDS_ }; /* no sanitizer ends a process with these */

/* In a process of its own, which has no OpenSSL yet. LATE: it makes fewer allocations. */
static int start_with(size_t nth)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        enum err e;
        (void)fail_alloc(nth);
        e = crypto_init(NULL);
        _exit(fail_alloc(0) < nth ? LATE : e == ERR_OK ? WENT_ON : REFUSED);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_in_range(WEXITSTATUS(status), REFUSED, LATE);
    return WEXITSTATUS(status);
}

static void short_memory(void **state)
{
    int end[ENDS_] = { 0 };

    (void)state;
    for (size_t nth = 1; end[LATE] == 0; nth += STEP)
        end[start_with(nth)]++;
    assert_true(end[REFUSED] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(short_memory) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
