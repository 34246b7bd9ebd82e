/* A program whose instructions are known, for check.py: one letter on standard input runs one of the pieces below, all
 * reached by the same path, so that the difference of two letters is the difference of two pieces. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

void known_none(void);
void known_loop(void);
void known_calls(void);
void known_rep(void);

/* known_loop: 1 + 1000 * 2 more than known_none; known_calls: 4 + 100 * 4; known_rep: 4, and 4999 further turns. */
__asm__(".text\n"
        "known_none: ret\n"
        "known_loop: mov $1000, %ecx\n"
        "1: dec %ecx\n"
        "   jnz 1b\n"
        "   ret\n"
        "known_calls: push %rbx\n"
        "   mov $100, %ebx\n"
        "1: mov $110, %eax\n"
        "   syscall\n"
        "   dec %ebx\n"
        "   jnz 1b\n"
        "   pop %rbx\n"
        "   nop\n"
        "   ret\n"
        "known_rep: lea known_bytes(%rip), %rdi\n"
        "   mov $5000, %ecx\n"
        "   mov $1, %eax\n"
        "   rep stosb\n"
        "   ret\n"
        ".bss\n"
        "known_bytes: .skip 8192\n"
        ".text\n"
        ".section .note.GNU-stack,\"\",@progbits\n"
        ".text\n");

static void (*const pieces[])(void) = { known_none, known_loop, known_calls, known_rep };

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
    (void)sig;
    signals++;
}

static void *idle(void *arg)
{
    for (;;)
        pause();
    return arg;
}

int main(void)
{
    struct sigaction a = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    pthread_t thread;
    char c = 0;

    sigaction(SIGUSR1, &a, NULL);
    if (pthread_create(&thread, NULL, idle, NULL) != 0)
        return 1;
    printf("%p\n", (void *)(__UINTPTR_TYPE__)known_loop);
    fflush(stdout);
    while (read(STDIN_FILENO, &c, 1) == 1) {
        if (c >= '0' && c <= '3')
            pieces[c - '0']();
        if (c == 't' && pthread_create(&thread, NULL, idle, NULL) != 0)
            return 1;
        if (write(STDOUT_FILENO, "\n", 1) != 1)
            return 1;
    }
    printf("%d\n", (int)signals);
    return 0;
}
