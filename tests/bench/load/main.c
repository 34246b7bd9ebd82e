/* sluice-load: a load generator for HTTP/1.1 over mutual TLS. Shares no code with Sluice, so that it is an independent
 * peer of it. */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "options.h"
#include "report.h"
#include "run.h"

enum { EXIT_CLEAN = 0, EXIT_ERRORS = 1, EXIT_USAGE = 2, EXIT_SETUP = 3, FILES_APART = 32 };

static bool files_allow(uint64_t connections)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) != 0)
        return false;
    l.rlim_cur = l.rlim_max;
    setrlimit(RLIMIT_NOFILE, &l);
    return l.rlim_cur >= connections + FILES_APART;
}

int main(int argc, char **argv)
{
    static struct result result;
    struct options o;

    switch (options_read(argc, argv, &o)) {
    case OPTIONS_OK:
        break;
    case OPTIONS_HELP:
        return EXIT_CLEAN;
    case OPTIONS_WRONG:
        return EXIT_USAGE;
    }
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1UL); /* a schedule of 50 microseconds must not be slept over */
    if (!files_allow(o.connections)) {
        fputs("sluice-load: too many connections for the limit of open files (ulimit -Hn)\n", stderr);
        return EXIT_SETUP;
    }
    if (!run_load(&o, &result))
        return EXIT_SETUP;
    report_print(stdout, &o, &result);
    return result.failed == 0 ? EXIT_CLEAN : EXIT_ERRORS;
}
