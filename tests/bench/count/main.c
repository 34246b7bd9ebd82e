/* sluice-count: how many instructions running processes execute in user space, by single-stepping them. For machines
 * whose processor lends no counters to perf; unlike an emulator it counts what this very processor is given to execute.
 * Shares no code with Sluice. Bounded by --seconds; ends early with SIGINT or SIGTERM, which let go of the processes.
 * (SIGKILL does not: a process that is left while stepping dies of the next trap.) */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "step.h"

enum { EXIT_CLEAN = 0, EXIT_USAGE = 2, EXIT_SETUP = 3, WAKE_US = 20000, SECONDS_MAX = 86400, CPU_MAX = 1023 };

#define NS_PER_S INT64_C(1000000000)

static volatile sig_atomic_t stop;
static int64_t stop_at = INT64_MAX; /* written before the timer runs */

static int64_t clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void on_signal(int sig)
{
    if (sig != SIGALRM || clock_ns() >= stop_at)
        stop = 1;
}

/* ---- the command line ---- */
static bool number_read(const char **text, int base, uint64_t max, uint64_t *ret)
{
    char *end = NULL;

    if (**text < '0' || **text > '9')
        return false;
    errno = 0;
    *ret = strtoull(*text, &end, base);
    if (errno != 0 || *ret > max || (*end != '\0' && *end != ','))
        return false;
    *text = *end == ',' ? end + 1 : end;
    return true;
}

static bool read_ids(const char *text, struct id_list *ret)
{
    uint64_t id = 0;

    while (*text != '\0') {
        if (ret->count == IDS_MAX || !number_read(&text, 10, INT32_MAX, &id) || id == 0)
            return false;
        ret->ids[ret->count++] = (pid_t)id;
    }
    return ret->count > 0;
}

static bool read_pids(struct step_options *o, const char *text)
{
    return read_ids(text, &o->pids);
}

static bool read_tids(struct step_options *o, const char *text)
{
    return read_ids(text, &o->tids);
}

static bool read_skip(struct step_options *o, const char *text)
{
    while (*text != '\0') {
        if (o->skip_count == SKIPS_MAX || !number_read(&text, 16, UINT64_MAX, &o->skips[o->skip_count]))
            return false;
        o->skip_count++;
    }
    return true;
}

static bool read_seconds(struct step_options *o, const char *text)
{
    char *end = NULL;
    double s = strtod(text, &end);

    o->seconds_ns = (int64_t)(s * (double)NS_PER_S);
    return end != text && *end == '\0' && s > 0 && s <= SECONDS_MAX;
}

static bool read_cpu(struct step_options *o, const char *text)
{
    uint64_t n = 0;
    bool ok = number_read(&text, 10, CPU_MAX, &n) && *text == '\0';

    o->cpu = (int)n;
    return ok;
}

static const struct option_row {
    const char *name, *arg, *doc;
    bool (*read)(struct step_options *o, const char *text);
} rows[] = {
    { "--pids", "PID,...", "the processes; all their threads, and threads they make meanwhile", read_pids },
    { "--tids", "TID,...", "single threads, and threads they make meanwhile", read_tids },
    { "--seconds", "SECONDS", "the longest time to step (default 60)", read_seconds },
    { "--skip", "0xADDRESS,...", "functions that run at full speed and are not counted, with all they call",
      read_skip },
    { "--cpu", "N", "step on this processor only: faster; given back at the end", read_cpu },
};

static void help_print(void)
{
    puts(
        "Usage: sluice-count --pids PID,... | --tids TID,... [options]\n\n"
        "Counts the instructions that running processes execute in user space, by single-stepping every thread, and\n"
        "prints one line of JSON. Slow: 20 to 300 thousand steps a second. SIGINT or SIGTERM ends it early; never end\n"
        "it with SIGKILL, or the processes die too.\n\n"
        "  sluice-count --pids 4711 --seconds 10\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf("  %-10s %-16s %s\n", rows[i].name, rows[i].arg, rows[i].doc);
    puts(
        "  --announce                  a line of JSON when every thread is being stepped\n"
        "  --help                      this text\n\n"
        "A system call is one instruction, and so is a string instruction with a rep prefix, however often it repeats\n"
        "(\"repeats\" has the further turns). Processes that are made meanwhile are not followed. Waiting system "
        "calls\n"
        "are interrupted once at either end, as by a stop and a continue. Needs root, CAP_SYS_PTRACE, or the same "
        "user\n"
        "and a process that may be dumped.\n\nExit status: 0 counted, 2 usage, 3 the processes cannot be traced.");
}

static bool argument_read(char **argv, int *i, int argc, struct step_options *o)
{
    if (strcmp(argv[*i], "--announce") == 0) {
        o->announce = true;
        return true;
    }
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        if (strcmp(argv[*i], rows[r].name) == 0 && *i + 1 < argc)
            return rows[r].read(o, argv[++*i]);
    }
    return false;
}

static bool options_read(int argc, char **argv, struct step_options *o)
{
    for (int i = 1; i < argc; i++) {
        int at = i;
        if (!argument_read(argv, &i, argc, o)) {
            fprintf(stderr, "sluice-count: %s%s%s: not understood, or out of range; see --help\n", argv[at],
                    i > at ? " " : "", i > at ? argv[i] : "");
            return false;
        }
    }
    if (o->pids.count + o->tids.count == 0)
        fputs("sluice-count: neither --pids nor --tids given; see --help\n", stderr);
    return o->pids.count + o->tids.count > 0;
}

/* ---- the result ---- */
static void name_print(const char *name)
{
    for (; *name != '\0'; name++)
        putchar(*name < ' ' || *name > '~' || *name == '"' || *name == '\\' ? '_' : *name);
}

static void report_print(const struct threads *ts, double seconds)
{
    uint64_t sum = 0, repeats = 0, skips = 0;

    for (size_t i = 0; i < ts->count; i++) {
        sum += ts->all[i].n;
        repeats += ts->all[i].repeats;
        skips += ts->all[i].skips;
    }
    printf("{\"instructions\":%" PRIu64 ",\"repeats\":%" PRIu64 ",\"skips\":%" PRIu64 ",\"seconds\":%.6f,\"threads\":[",
           sum, repeats, skips, seconds);
    for (size_t i = 0; i < ts->count; i++) {
        printf("%s{\"tid\":%ld,\"name\":\"", i > 0 ? "," : "", (long)ts->all[i].tid);
        name_print(ts->all[i].name);
        printf("\",\"n\":%" PRIu64 ",\"skips\":%" PRIu64 "}", ts->all[i].n, ts->all[i].skips);
    }
    puts("]}");
}

/* The timer wakes the waiting for a thread now and then, so that an end is never slept over. */
static void signals_init(void)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGALRM };
    struct sigaction a = { .sa_handler = on_signal };
    struct itimerval every = { .it_interval.tv_usec = WAKE_US, .it_value.tv_usec = WAKE_US };

    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &a, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
}

static void self_pin(int cpu)
{
    cpu_set_t one;

    if (cpu < 0)
        return;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
}

int main(int argc, char **argv)
{
    static struct threads threads;
    struct step_options o = { .seconds_ns = 60 * NS_PER_S, .cpu = -1 };

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        help_print();
        return EXIT_CLEAN;
    }
    if (!options_read(argc, argv, &o))
        return EXIT_USAGE;
    stop_at = clock_ns() + o.seconds_ns;
    signals_init();
    self_pin(o.cpu);
    int64_t began = clock_ns();
    bool ok = step_begin(&o, &threads);
    if (ok && o.announce) {
        printf("{\"event\":\"counting\",\"threads\":%zu}\n", threads.count);
        fflush(stdout);
    }
    if (ok)
        step_run(&o, &threads, &stop);
    double seconds = (double)(clock_ns() - began) / (double)NS_PER_S;
    step_end(&threads);
    if (ok)
        report_print(&threads, seconds);
    return ok ? EXIT_CLEAN : EXIT_SETUP;
}
