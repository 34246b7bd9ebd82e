/* The guard of the end; see guard.h. Invariant: it waits for nothing but its own descriptors, so that no disk and no
 * lock of others can hold it. */
#include "gateway/guard.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { LAST_WORD_S = 2 };

/* Who reads the daemon's log may be what hangs: then it ends without a word. */
static _Noreturn void give_up(void)
{
    signal(SIGALRM, SIG_DFL);
    alarm(LAST_WORD_S);
    log_event(LOG_ERROR, "stop-forced", "why",
              "a disk does not answer: ended without closing, the next start closes what was open", NULL);
    _exit(1);
}

/* Until when the stop may take; a second request asks for it now. */
static int64_t take_signals(struct guard *g, int64_t until)
{
    struct signalfd_siginfo info;
    uint64_t one = 1;
    int64_t now = clock_mono_ms();

    while (read(g->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        until = now + (until == 0 ? atomic_load(&g->drain_ms) : 0) + GUARD_GRACE_MS;
        (void)!write(g->asked, &one, sizeof one);
    }
    return until;
}

static void *guard_main(void *arg)
{
    struct guard *g = arg;
    struct pollfd p[] = { { .fd = g->end, .events = POLLIN }, { .fd = g->signals, .events = POLLIN } };
    int64_t until = 0;

    for (;;) {
        int64_t left = until - clock_mono_ms();
        if (until != 0 && left <= 0)
            give_up();
        (void)poll(p, 2, until == 0 ? -1 : left > INT32_MAX ? INT32_MAX : (int)left);
        if (p[0].revents)
            return NULL;
        until = take_signals(g, until);
    }
}

static void close_all(struct guard *g)
{
    int *fds[] = { &g->signals, &g->end, &g->asked };

    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

enum err guard_start(struct guard *g, int64_t drain_ms, struct diags *d)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    *g = (struct guard){ .signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC),
                         .end = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
                         .asked = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC | EFD_SEMAPHORE) };
    guard_allow(g, drain_ms);
    if (g->signals >= 0 && g->end >= 0 && g->asked >= 0)
        g->running = pthread_create(&g->thread, NULL, guard_main, g) == 0;
    if (g->running)
        return ERR_OK;
    close_all(g);
    return diag_add(d, ERR_SYS, 0, 0, "the process cannot take signals", "进程无法接收信号");
}

void guard_allow(struct guard *g, int64_t drain_ms)
{
    atomic_store(&g->drain_ms, drain_ms);
}

void guard_end(struct guard *g)
{
    uint64_t one = 1;

    if (!g->running)
        return;
    (void)!write(g->end, &one, sizeof one);
    pthread_join(g->thread, NULL);
    g->running = false;
    close_all(g);
}
