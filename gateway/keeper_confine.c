/* What the keeper gives up. After its keys are open it can neither open nor run anything, nor reach another process:
 * every system call but what signing and answering take fails by a seccomp filter. It is not dumpable, so that nobody
 * but root can look into it, and dies with the daemon. */
#include "gateway/keeper_confine.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FEW_FILES = 16 };

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

#define DATA(field) ((unsigned)offsetof(struct seccomp_data, field))
#define ALLOW(name) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
/* Memory that can be run is refused: the third argument is the protection. */
#define ALLOW_MEMORY(name)                                                                                             \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 4), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DATA(args[2])),         \
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 4 /* PROT_EXEC */, 1, 0), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),   \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)

static bool filter_install(void)
{
#ifdef ARCH
    static struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DATA(arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DATA(nr)),
        ALLOW(recvfrom),
        ALLOW(sendto),
        ALLOW(ppoll),
        ALLOW(pwrite64),
        ALLOW(fdatasync),
        ALLOW(ftruncate),
        ALLOW(write),
        ALLOW(close),
        ALLOW(shutdown),
        ALLOW(futex),
        ALLOW(brk),
        ALLOW(munmap),
        ALLOW(mremap),
        ALLOW(madvise),
        ALLOW(getrandom),
        ALLOW(getpid),
        ALLOW(gettid),
        ALLOW(clock_gettime),
        ALLOW(gettimeofday),
        ALLOW(rt_sigreturn),
        ALLOW(rt_sigprocmask),
        ALLOW(sigaltstack),
        ALLOW(sched_yield),
        ALLOW(restart_syscall),
        ALLOW(exit),
        ALLOW(exit_group),
#ifdef __NR_poll
        ALLOW(poll),
        ALLOW(time),
#endif
        ALLOW_MEMORY(mmap),
        ALLOW_MEMORY(mprotect),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    struct sock_fprog program = { .len = sizeof rules / sizeof rules[0], .filter = rules };

    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
#else
    return true; /* another processor: no_new_privs and the limits remain */
#endif
}

bool confine_begin(int parent)
{
    struct rlimit none = { 0, 0 };

    return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent && prctl(PR_SET_DUMPABLE, 0) == 0 &&
           setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_NAME, "sluice-keeper") == 0;
}

bool confine_end(void)
{
    struct rlimit none = { 0, 0 }, few = { FEW_FILES, FEW_FILES };

    return setrlimit(RLIMIT_NPROC, &none) == 0 && setrlimit(RLIMIT_NOFILE, &few) == 0 && filter_install();
}
