/* Linked into every unit program: with `--fail-nth [POINTS SECONDS]` it runs each of its tests again and again, in a
 * process of its own, each time with another allocation failing, and reports what must never come of that: a crash, a
 * hang, memory that is left behind though the test held. That a test does not hold is as it should be: its error was
 * reported, and a crash in the test's own code means no more than that, for tests do not look at each pointer.
 *
 * For each test so many points, spread evenly over its allocations, until so many seconds are over; 0 and 0: each one.
 * What allocates is all the same: our code, a library, the test (fail_alloc.c). Who makes an object in a test must
 * therefore look whether it is there before handing it on: a crash in our code is told, whoever called it. */
#include <execinfo.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/core/core.h"
#include "tests/unit/fail_alloc.h"

enum { PATIENCE_S = 60 /* for one run */, HELD = 0, NOT_HELD = 1, DEEP = 8, FOLDERS = 16, FAULT = 128 };

/* ---- one run, in the child ---- */
static struct {
    struct CMUnitTest test; /* as it was written */
    size_t nth;
    struct seen {
        size_t made;
        bool held;
        size_t n_folders;
        char folder[FOLDERS][64]; /* made for the run; a test that did not hold leaves them */
        uintptr_t at[DEEP];       /* of a fault: the innermost functions that are not of shared libraries; 0: none */
    } * seen;                     /* shared with the parent */
} run;

extern const char __executable_start, etext;

char *__real_mkdtemp(char *name);
char *__wrap_mkdtemp(char *name);
char *__wrap_mkdtemp(char *name)
{
    char *path = __real_mkdtemp(name);

    if (path && run.seen && run.seen->n_folders < FOLDERS && strlen(path) < sizeof run.seen->folder[0])
        snprintf(run.seen->folder[run.seen->n_folders++], sizeof run.seen->folder[0], "%s", path);
    return path;
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *f)
{
    (void)s, (void)kind, (void)f;
    (void)remove(path);
    return 0;
}

static void on_fault(int sig)
{
    void *frames[64];
    int n = backtrace(frames, sizeof frames / sizeof *frames);

    for (int i = 1, deep = 0; i < n && deep < DEEP; i++)
        if ((const char *)frames[i] >= &__executable_start && (const char *)frames[i] < &etext)
            run.seen->at[deep++] = (uintptr_t)frames[i] - (uintptr_t)&__executable_start - 1;
    _exit(FAULT + sig);
}

static void armed_test(void **state)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM /* hangs */ };

    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        signal(faults[i], on_fault); /* cmocka would take a crash for a failed test */
    alarm(PATIENCE_S);
    (void)fail_alloc(run.nth);
    run.test.test_func(state);
}

static int disarmed_teardown(void **state)
{
    run.seen->made = fail_alloc(0);
    return run.test.teardown_func ? run.test.teardown_func(state) : 0;
}

int __real__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t n, CMFixtureFunction setup,
                                   CMFixtureFunction teardown);
int __wrap__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t n, CMFixtureFunction setup,
                                   CMFixtureFunction teardown);

struct group {
    const char *name;
    CMFixtureFunction setup, teardown;
    int output; /* what the child prints */
};

/* Never returns. A test that held ends by exit, so that what it left behind is looked for. */
static void child(const struct group *g)
{
    struct CMUnitTest one = { run.test.name, armed_test, run.test.setup_func, disarmed_teardown,
                              run.test.initial_state };
    int failed;

    dup2(g->output, STDOUT_FILENO);
    dup2(g->output, STDERR_FILENO);
    failed = __real__cmocka_run_group_tests(g->name, &one, 1, g->setup, g->teardown);
    fflush(stdout);
    if (failed)
        _exit(NOT_HELD);
    run.seen->held = true;
    exit(HELD);
}

/* How it ended: HELD, NOT_HELD, or a fault. */
static int run_nth(const struct group *g, size_t nth)
{
    int status = 0;
    pid_t pid;

    run.nth = nth;
    *run.seen = (struct seen){ 0 };
    if (ftruncate(g->output, 0) != 0 || lseek(g->output, 0, SEEK_SET) != 0)
        return -1;
    fflush(stdout);
    pid = fork();
    if (pid == 0)
        child(g);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    for (size_t i = 0; i < run.seen->n_folders; i++)
        (void)nftw(run.seen->folder[i], remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- all runs ---- */
static struct {
    bool asked;
    size_t points;
    int64_t ms;
} want;

static size_t divisor(size_t a, size_t b)
{
    return b == 0 ? a : divisor(b, a % b);
}

/* How far it is from one point to the next among n, round and round: about the golden section, so that any first few
 * lie evenly, and without a common divisor, so that the first n are all of them. */
static size_t stride(size_t n)
{
    size_t step = (size_t)(0.6180339887498949 * (double)n);

    while (step < 1 || divisor(step, n) != 1)
        step++;
    return step;
}

/* "file:line", as the debugger's tables have it. Bor: until the next call. */
static const char *place_of(uintptr_t at)
{
    static char text[512];
    char command[128];
    FILE *f;

    snprintf(command, sizeof command, "addr2line -e /proc/%d/exe 0x%zx", (int)getpid(), (size_t)at);
    f = popen(command, "r");
    if (f == NULL || fgets(text, sizeof text, f) == NULL)
        snprintf(text, sizeof text, "?\n");
    if (f)
        pclose(f);
    return text;
}

enum place { OURS, TESTS, HARNESS };

/* Each place is asked for once. */
static enum place whose(uintptr_t at)
{
    static struct {
        uintptr_t at;
        enum place whose;
    } known[256];
    static size_t n;
    const char *text;
    enum place place;

    for (size_t i = 0; i < n; i++)
        if (known[i].at == at)
            return known[i].whose;
    text = place_of(at);
    place = strstr(text, "/tests/unit/fail_") ? HARNESS : strstr(text, "/tests/") ? TESTS : OURS;
    if (n < sizeof known / sizeof *known) {
        known[n].at = at;
        known[n++].whose = place;
    }
    return place;
}

/* Is it the test itself that did not look at a pointer? The innermost functions may be those that told of the fault. */
static bool is_of_tests(void)
{
    for (size_t i = 0; i < DEEP && run.seen->at[i] != 0; i++)
        if (whose(run.seen->at[i]) != HARNESS)
            return whose(run.seen->at[i]) == TESTS;
    return false;
}

static bool is_fault(int how)
{
    if (how == HELD || how == NOT_HELD || how == 255) /* 255: cmocka, of an assertion on another thread */
        return false;
    return how <= FAULT || run.seen->held || !is_of_tests();
}

static void tell(const struct group *g, int how)
{
    char text[4096];
    ssize_t n;

    printf("FAILED %s with allocation %zu failing: ended with %d\n", run.test.name, run.nth, how);
    for (size_t i = 0; i < DEEP && run.seen->at[i] != 0; i++)
        printf("    %s", place_of(run.seen->at[i]));
    fflush(stdout);
    lseek(g->output, 0, SEEK_SET);
    while ((n = read(g->output, text, sizeof text)) > 0)
        if (fwrite(text, 1, (size_t)n, stdout) != (size_t)n)
            break;
    fflush(stdout);
}

static int try_test(const struct group *g)
{
    int64_t began;
    size_t all, n, step, done = 0;
    int bad = 0;

    if (run_nth(g, 0) != HELD) {
        printf("-       %s: does not hold alone\n", run.test.name);
        return 0;
    }
    began = clock_mono_ms(); /* a test that takes long by itself has one point at least */
    all = run.seen->made;
    step = stride(all);
    n = want.points == 0 || want.points > all ? all : want.points;
    for (; done < n && (want.ms == 0 || clock_mono_ms() - began < want.ms); done++) {
        int how = run_nth(g, 1 + done * step % all);
        if (!is_fault(how))
            continue;
        tell(g, how);
        bad++;
    }
    printf("%-7s %s: %zu of %zu allocations\n", bad ? "FAILED" : "ok", run.test.name, done, all);
    return bad;
}

int __wrap__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t n, CMFixtureFunction setup,
                                   CMFixtureFunction teardown)
{
    struct group g = { name, setup, teardown, -1 };
    int bad = 0;

    if (!want.asked)
        return __real__cmocka_run_group_tests(name, tests, n, setup, teardown);
    g.output = memfd_create("output", MFD_CLOEXEC);
    run.seen = mmap(NULL, sizeof *run.seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (g.output < 0 || run.seen == MAP_FAILED)
        return 1;
    (void)backtrace(&(void *){ NULL }, 1); /* it allocates when it is called for the first time */
    for (size_t i = 0; i < n; i++) {
        run.test = tests[i];
        bad += try_test(&g);
    }
    return bad > 0;
}

/* Sanitizers must end with what on_fault hears, and read their options before anything of ours runs. */
static void set_sanitizers(char **argv)
{
    static const char options[] = "abort_on_error=1:exitcode=98:detect_leaks=1";
    const char *now = getenv("ASAN_OPTIONS");

    if (now && strcmp(now, options) == 0)
        return;
    setenv("ASAN_OPTIONS", options, 1);
    setenv("UBSAN_OPTIONS", "abort_on_error=1:print_stacktrace=1", 1);
    execv("/proc/self/exe", argv);
}

__attribute__((constructor)) static void read_arguments(int argc, char **argv)
{
    const char *full = getenv("SLUICE_FULL");
    bool whole = full && strcmp(full, "1") == 0;

    if ((argc != 2 && argc != 4) || strcmp(argv[1], "--fail-nth") != 0)
        return;
    set_sanitizers(argv);
    setenv("SLUICE_PATIENCE_MS", "3000", 1); /* until.h */
    want.asked = true;
    want.points = argc == 4 ? strtoul(argv[2], NULL, 10) : whole ? 0 : 16;
    want.ms = argc == 4 ? strtol(argv[3], NULL, 10) * 1000 : whole ? 60000 : 600;
}
