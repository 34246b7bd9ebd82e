/* Linked into every unit program: with `--fail-nth [POINTS SECONDS]` it runs each of its tests again and again, in a
 * process of its own, each time with another allocation failing, and reports what must never come of that: a crash, a
 * hang, memory that is left behind though the test held. That a test does not hold is as it should be: its error was
 * reported, and a crash in the test's own code means no more than that, for tests do not look at each pointer.
 *
 * For each test so many points, until so many seconds are over; 0 points: one on each path on which it allocates and
 * no test before it did, and others until then; 0 and 0: each one. In which order: fail_points.h. What allocates is all
 * the same: our code, a library, the test (fail_alloc.c). Who makes an object in a test must therefore look whether it
 * is there before handing it on: a crash in our code is told, whoever called it. */
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
#include "tests/unit/fail_points.h"

enum {
    PATIENCE_S = 60 /* for one run */,
    HELD = 0,
    NOT_HELD = 1,
    DEEP = 8,
    FOLDERS = 16,
    FAULT = 128,
    SLACK = 64,  /* so much earlier a path may come when threads take turns otherwise */
    SAMPLED = 61 /* of many allocations every so many-th is looked at, where all would take too long */
};

/* ---- one run, in the child ---- */
static struct {
    struct CMUnitTest test; /* as it was written */
    struct fail_order order;
    struct seen {
        size_t made;
        bool held;
        atomic_bool met; /* the allocation that was to fail came */
        size_t n_folders;
        char folder[FOLDERS][64]; /* made for the run; a test that did not hold leaves them */
        uintptr_t at[DEEP];       /* of a fault: the innermost functions that are not of shared libraries; 0: none */
    } * seen;                     /* shared with the parent */
    struct alloc_paths *paths;    /* the same: of this test */
    struct alloc_paths *tried;    /* and in the tests before it */
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
    fail_order(&run.order);
    run.test.test_func(state);
}

static int disarmed_teardown(void **state)
{
    run.seen->made = fail_order_end();
    return run.test.teardown_func ? run.test.teardown_func(state) : 0;
}

int __real__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t n, CMFixtureFunction setup,
                                   CMFixtureFunction teardown);
int __wrap__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t n, CMFixtureFunction setup,
                                   CMFixtureFunction teardown);

struct group {
    const char *name;
    CMFixtureFunction setup, teardown;
    int output;               /* what the child prints */
    struct CMUnitTest *tests; /* a copy */
    size_t first, at;         /* that `at` is tried, and those from `first` on run before it */
};

/* Never returns. A test that held ends by exit, so that what it left behind is looked for. */
static void child(const struct group *g)
{
    struct CMUnitTest *last = &g->tests[g->at];
    int failed;

    last->test_func = armed_test;
    last->teardown_func = disarmed_teardown;

    dup2(g->output, STDOUT_FILENO);
    dup2(g->output, STDERR_FILENO);
    failed = __real__cmocka_run_group_tests(g->name, &g->tests[g->first], g->at - g->first + 1, g->setup, g->teardown);
    fflush(stdout);
    if (failed)
        _exit(NOT_HELD);
    run.seen->held = true;
    exit(HELD);
}

/* How it ended: HELD, NOT_HELD, or a fault. */
static int run_order(const struct group *g, const struct fail_order *o)
{
    int status = 0;
    pid_t pid;

    run.order = *o;
    run.order.met = &run.seen->met;
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

    printf("FAILED %s with allocation %zu failing%s: ended with %d\n", run.test.name, run.order.from,
           run.order.path ? " or the next of its path" : "", how);
    for (size_t i = 0; i < DEEP && run.seen->at[i] != 0; i++)
        printf("    %s", place_of(run.seen->at[i]));
    fflush(stdout);
    lseek(g->output, 0, SEEK_SET);
    while ((n = read(g->output, text, sizeof text)) > 0)
        if (fwrite(text, 1, (size_t)n, stdout) != (size_t)n)
            break;
    fflush(stdout);
}

/* Threads take turns as they like: what came as the nth may come somewhat earlier the next time, or much. */
static int run_point(const struct group *g, const struct alloc_path *p)
{
    struct fail_order o = { .from = p->path == 0 ? p->nth : p->nth > SLACK ? p->nth - SLACK : 1, .path = p->path };
    int how = run_order(g, &o);

    if (p->path == 0 || run.seen->met || o.from == 1)
        return how;
    o.from = 1;
    return is_fault(how) ? how : run_order(g, &o);
}

/* Whether the test holds when those from `first` on ran before it, and the paths on which it then allocates. */
static bool holds_after(struct group *g, size_t first, size_t stride)
{
    memset(run.paths, 0, sizeof *run.paths);
    g->first = first;
    return run_order(g, &(struct fail_order){ .paths = run.paths, .stride = stride }) == HELD;
}

/* Of a test that holds; one that does not by itself goes on with what those before it left. Else none. */
static struct fail_points points_of(struct group *g)
{
    size_t stride = want.points == 0 ? 1 : SAMPLED;
    struct fail_points p = { 0 };

    /* One with millions of allocations takes too long when each is looked at. */
    if (!holds_after(g, g->at, stride) && !holds_after(g, 0, stride) &&
        (stride == SAMPLED || !holds_after(g, g->at, SAMPLED))) {
        printf("-       %s: does not hold\n", run.test.name);
        return p;
    }
    p = fail_points_of(run.paths, run.seen->made, run.tried);
    if (p.at == NULL || run.paths->lost > 0)
        printf("-       %s: %zu paths without a place\n", run.test.name, run.paths->lost);
    return p;
}

/* Asked for all, each path that is new is tried, however long it takes. */
static bool goes_on(bool is_new, int64_t began)
{
    return want.ms == 0 || (want.points == 0 && is_new) || clock_mono_ms() - began < want.ms;
}

static int try_test(struct group *g)
{
    struct fail_points p = points_of(g);
    int64_t began = clock_mono_ms(); /* a test that takes long by itself has one point at least */
    size_t n = want.points == 0 || want.points > p.n ? p.n : want.points, done = 0, unmet = 0;
    int bad = 0;

    for (; done < n && goes_on(done < p.n_new, began); done++) {
        int how = run_point(g, &p.at[done]);
        unmet += !run.seen->met && how <= NOT_HELD;
        if (p.at[done].path != 0)
            alloc_paths_add(run.tried, p.at[done]);
        if (!is_fault(how))
            continue;
        tell(g, how);
        bad++;
    }
    if (p.at)
        printf("%-7s %s: %zu of %zu allocations, on %zu of %zu new paths; %zu did not come again\n",
               bad ? "FAILED" : "ok", run.test.name, done, p.n, done < p.n_new ? done : p.n_new, p.n_new, unmet);
    fail_points_free(&p);
    return bad;
}

int __wrap__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t n, CMFixtureFunction setup,
                                   CMFixtureFunction teardown)
{
    struct group g = { .name = name, .setup = setup, .teardown = teardown };
    int bad = 0;

    if (!want.asked)
        return __real__cmocka_run_group_tests(name, tests, n, setup, teardown);
    g.output = memfd_create("output", MFD_CLOEXEC);
    run.seen = mmap(NULL, sizeof *run.seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    run.paths = mmap(NULL, sizeof *run.paths, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g.tests = mem_array(n, sizeof *tests);
    run.tried = mem_zalloc(sizeof *run.tried);
    if (g.output < 0 || run.seen == MAP_FAILED || run.paths == MAP_FAILED || !g.tests || !run.tried)
        return 1;
    memcpy(g.tests, tests, n * sizeof *tests);
    (void)fail_alloc(0); /* what it takes by itself is loaded here, and not by each child */
    for (g.at = 0; g.at < n; g.at++) {
        run.test = tests[g.at];
        bad += try_test(&g);
    }
    mem_free(g.tests);
    run.tried = mem_free(run.tried);
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
