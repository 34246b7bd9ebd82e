/* A stop comes to an end, whoever hangs: also when it is the reader of the daemon's log, so that no word can be said of
 * it. */
#include "gateway/guard.h"

enum { GRACE_MS = 100 };
#define GUARD_GRACE_MS GRACE_MS
#include "gateway/guard.c" /* in place of the library's */
#undef GUARD_GRACE_MS

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "tests/unit/until.h"

/* Standard error is a pipe that nobody reads: full, if so. */
static void stderr_to_pipe(bool full)
{
    static const char some[4096];
    int p[2];

    if (pipe(p) != 0 || fcntl(p[1], F_SETFL, O_NONBLOCK) != 0)
        _exit(2);
    while (full && write(p[1], some, sizeof some) > 0)
        continue;
    if (fcntl(p[1], F_SETFL, 0) != 0 || dup2(p[1], STDERR_FILENO) != STDERR_FILENO)
        _exit(2);
}

/* A daemon whose other threads never end. */
static pid_t stopping(bool full)
{
    static struct guard g;
    pid_t child = fork();
    sigset_t set;

    if (child != 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that failed leaves nothing behind */
    stderr_to_pipe(full);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 || guard_start(&g, 0, NULL) != ERR_OK)
        _exit(2);
    kill(getpid(), SIGTERM);
    for (;;)
        pause();
}

static int end_of(pid_t child)
{
    int status = 0;

    assert_true(child > 0);
    UNTIL(waitpid(child, &status, WNOHANG) == child);
    return status;
}

static void a_stop_that_takes_too_long_is_ended(void **state)
{
    int status = end_of(stopping(false));

    (void)state;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
}

static void even_when_nobody_reads_the_log(void **state)
{
    int status = end_of(stopping(true));

    (void)state;
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGALRM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_that_takes_too_long_is_ended),
        cmocka_unit_test(even_when_nobody_reads_the_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
