/* What is counted and how a thread is let go of.
 *
 * A step traps after one instruction, a system call included: it is one instruction, trapped at its return. A string
 * instruction with a rep prefix traps after each turn with the instruction pointer still on it; such steps are
 * `repeats` and only the one that leaves it counts, so that it is one instruction as the processor's own counter has
 * it. (An instruction that jumps to itself, and the entry into a signal handler, are one off; neither is worth a system
 * call.)
 *
 * A skipped function is entered by a step; a breakpoint register on its return address ends the full speed. The stack
 * pointer tells the return from a recursion.
 *
 * Letting go: a thread must not be detached while a SIGTRAP of its last step waits in its queue, or it would die of it.
 * An interrupt's own stop comes before that signal, so the queue is looked at first, and the signal is taken. */
#include "step.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

enum { EVENT_SHIFT = 16, PENDING_MAX = 32, DR_CONTROL = 7, DR_EXECUTE_0 = 1 };

/* ptrace() takes and gives addresses as pointers. */
static void *word(uint64_t value)
{
    return (void *)(uintptr_t)value; // NOLINT(performance-no-int-to-ptr)
}

static uint64_t user_read(const struct thread *t, size_t offset)
{
    return (uint64_t)ptrace(PTRACE_PEEKUSER, t->tid, word(offset), NULL);
}

static void debug_write(const struct thread *t, size_t number, uint64_t value)
{
    size_t offset = offsetof(struct user, u_debugreg) + number * sizeof(uint64_t);
    ptrace(PTRACE_POKEUSER, t->tid, word(offset), word(value));
}

/* A thread that has been killed meanwhile says so through waitpid(). */
static void resume(const struct thread *t, int sig)
{
    ptrace(t->skipping ? PTRACE_CONT : PTRACE_SINGLESTEP, t->tid, NULL, word((uint64_t)sig));
}

static void pin(const struct step_options *o, struct thread *t)
{
    cpu_set_t one;

    if (o->cpu < 0 || sched_getaffinity(t->tid, sizeof t->cpus, &t->cpus) != 0)
        return;
    CPU_ZERO(&one);
    CPU_SET((size_t)o->cpu, &one);
    t->pinned = sched_setaffinity(t->tid, sizeof one, &one) == 0;
}

/* ---- attaching ---- */
static bool seize(const struct step_options *o, struct threads *ts, pid_t tid)
{
    if (ptrace(PTRACE_SEIZE, tid, NULL, word(PTRACE_O_TRACECLONE)) != 0) {
        if (errno == ESRCH)
            return true; /* it has ended between the listing and now */
        fprintf(stderr, "sluice-count: thread %ld cannot be traced: %s; root or CAP_SYS_PTRACE is needed\n", (long)tid,
                strerror(errno));
        return false;
    }
    struct thread *t = thread_add(ts, tid);
    if (t == NULL) {
        fputs("sluice-count: too many threads\n", stderr);
        return false;
    }
    pin(o, t);
    return true;
}

/* One pass over the threads that exist; *ret_new says how many were not attached yet. */
static bool seize_pass(const struct step_options *o, struct threads *ts, pid_t pid, size_t *ret_new)
{
    char path[64];
    bool ok = true;
    const struct dirent *e;

    *ret_new = 0;
    snprintf(path, sizeof path, "/proc/%ld/task", (long)pid);
    DIR *d = opendir(path);
    if (d == NULL) {
        fprintf(stderr, "sluice-count: no process %ld\n", (long)pid);
        return false;
    }
    while (ok && (e = readdir(d)) != NULL) {
        pid_t tid = (pid_t)strtol(e->d_name, NULL, 10);
        if (tid <= 0 || thread_find(ts, tid) != NULL)
            continue;
        size_t before = ts->count;
        ok = seize(o, ts, tid);
        *ret_new += ts->count - before;
    }
    closedir(d);
    return ok;
}

/* ---- a thread that has stopped ---- */
static void skip_begin(struct thread *t)
{
    errno = 0;
    t->skip_sp = user_read(t, offsetof(struct user, regs.rsp));
    t->skip_to = (uint64_t)ptrace(PTRACE_PEEKDATA, t->tid, word(t->skip_sp), NULL);
    if (errno != 0)
        return;
    debug_write(t, 0, t->skip_to);
    debug_write(t, DR_CONTROL, DR_EXECUTE_0);
    t->skipping = true;
    t->skips++;
}

static void skip_end(struct thread *t)
{
    debug_write(t, DR_CONTROL, 0);
    t->skipping = false;
}

static void trapped(const struct step_options *o, struct thread *t)
{
    uint64_t rip = user_read(t, offsetof(struct user, regs.rip));

    if (t->skipping) {
        if (rip == t->skip_to && user_read(t, offsetof(struct user, regs.rsp)) > t->skip_sp)
            skip_end(t);
        t->rip = rip;
        return;
    }
    if (rip == t->rip)
        t->repeats++;
    else
        t->n++;
    t->rip = rip;
    for (size_t i = 0; i < o->skip_count; i++) {
        if (rip == o->skips[i])
            skip_begin(t);
    }
}

static bool is_stop_signal(int sig)
{
    return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

static void stopped(const struct step_options *o, struct thread *t, int status)
{
    int sig = WSTOPSIG(status), event = status >> EVENT_SHIFT;

    if (event == PTRACE_EVENT_STOP && is_stop_signal(sig)) {
        ptrace(PTRACE_LISTEN, t->tid, NULL, NULL); /* the whole process was stopped by somebody: so it stays */
        return;
    }
    if (event == 0 && sig == SIGTRAP)
        trapped(o, t);
    resume(t, event == 0 && sig != SIGTRAP ? sig : 0);
}

static struct thread *status_take(const struct step_options *o, struct threads *ts, pid_t tid, int status)
{
    struct thread *t = thread_find(ts, tid);

    if (WIFEXITED(status) || WIFSIGNALED(status)) {
        if (t != NULL)
            thread_drop(ts, t);
        return NULL;
    }
    if (t == NULL && (t = thread_add(ts, tid)) != NULL)
        pin(o, t);
    if (t == NULL) /* no room: it is not counted and runs on */
        ptrace(PTRACE_DETACH, tid, NULL, NULL);
    return t;
}

static bool seize_all(const struct step_options *o, struct threads *ts)
{
    for (size_t i = 0; i < o->pids.count; i++) {
        size_t found;
        do {
            if (!seize_pass(o, ts, o->pids.ids[i], &found))
                return false;
        } while (found > 0);
    }
    for (size_t i = 0; i < o->tids.count; i++) {
        if (thread_find(ts, o->tids.ids[i]) == NULL && !seize(o, ts, o->tids.ids[i]))
            return false;
    }
    if (ts->count == 0)
        fputs("sluice-count: none of the threads is there any more\n", stderr);
    return ts->count > 0;
}

bool step_begin(const struct step_options *o, struct threads *ts)
{
    if (!seize_all(o, ts))
        return false;
    size_t known = ts->count;
    for (size_t i = 0; i < known; i++) {
        int status;
        const struct thread *t = &ts->all[i];
        if (ptrace(PTRACE_INTERRUPT, t->tid, NULL, NULL) != 0)
            continue;
        while (waitpid(t->tid, &status, __WALL) < 0 && errno == EINTR)
            continue;
        struct thread *mine = status_take(o, ts, t->tid, status);
        if (mine != NULL)
            stopped(o, mine, status);
    }
    return ts->attached > 0;
}

void step_run(const struct step_options *o, struct threads *ts, const volatile sig_atomic_t *stop)
{
    while (!*stop && ts->attached > 0) {
        int status;
        pid_t tid = waitpid(-1, &status, __WALL);
        if (tid < 0 && errno == EINTR)
            continue;
        if (tid < 0)
            return;
        struct thread *t = status_take(o, ts, tid, status);
        if (t != NULL)
            stopped(o, t, status);
    }
}

/* ---- letting go ---- */
static bool trap_pending(const struct thread *t)
{
    siginfo_t infos[PENDING_MAX];
    struct __ptrace_peeksiginfo_args args = { .nr = PENDING_MAX };

    long n = ptrace(PTRACE_PEEKSIGINFO, t->tid, &args, infos);
    for (long i = 0; i < n; i++) {
        if (infos[i].si_signo == SIGTRAP)
            return true;
    }
    return false;
}

static void let_go(struct threads *ts, struct thread *t, int status)
{
    int sig = WSTOPSIG(status), event = status >> EVENT_SHIFT;
    bool own_trap = event != 0 || sig == SIGTRAP;

    if (t->skipping)
        skip_end(t);
    if (trap_pending(t)) { /* come back with it */
        ptrace(PTRACE_CONT, t->tid, NULL, word((uint64_t)(own_trap ? 0 : sig)));
        return;
    }
    ptrace(PTRACE_DETACH, t->tid, NULL, word((uint64_t)(own_trap ? 0 : sig)));
    if (t->pinned)
        sched_setaffinity(t->tid, sizeof t->cpus, &t->cpus);
    thread_drop(ts, t);
}

void step_end(struct threads *ts)
{
    static const struct step_options nothing = { .cpu = -1 };

    for (size_t i = 0; i < ts->count; i++) {
        if (ts->all[i].attached)
            ptrace(PTRACE_INTERRUPT, ts->all[i].tid, NULL, NULL);
    }
    while (ts->attached > 0) {
        int status;
        pid_t tid = waitpid(-1, &status, __WALL);
        if (tid < 0 && errno == EINTR)
            continue;
        if (tid < 0)
            return;
        struct thread *t = status_take(&nothing, ts, tid, status);
        if (t == NULL)
            continue;
        if (status >> EVENT_SHIFT == 0 && WSTOPSIG(status) == SIGTRAP)
            trapped(&nothing, t);
        let_go(ts, t, status);
    }
}
