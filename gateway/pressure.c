/* Memory: looked at, and answered to. The flag goes up at seven eighths of the cap, for what runs still grows, and down
 * at three quarters. */
#include "gateway/pressure.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

enum { CALM_MS = 250 };

/* Resident pages are the second number of statm (proc(5)); 0: it cannot be read. */
uint64_t pressure_resident(const struct pressure *p)
{
    char text[128];
    ssize_t n = pread(p->fd, text, sizeof text, 0);
    struct slice rest = { text, n > 0 ? (size_t)n : 0 }, pages;
    uint64_t count;

    slice_cut(&rest, ' ');
    pages = slice_cut(&rest, ' ');
    return slice_u64(pages, 0, UINT64_MAX >> 16, &count) ? count * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static void look(struct pressure *p)
{
    uint64_t now = pressure_resident(p), up = p->cap - p->cap / 8, down = p->cap - p->cap / 4;
    bool was = atomic_load_explicit(&p->high, memory_order_relaxed), high;

    if (was)
        malloc_trim(0); /* what was freed counts as ours until the kernel has it back */
    high = p->cap != 0 && now >= (was ? down : up);
    atomic_store_explicit(&p->room, now < up ? up - now : 0, memory_order_relaxed);
    atomic_store_explicit(&p->taken, 0, memory_order_relaxed);
    atomic_store_explicit(&p->resident, now, memory_order_relaxed);
    atomic_store_explicit(&p->high, high, memory_order_relaxed);
    if (high != was)
        log_event(high ? LOG_WARN : LOG_INFO, high ? "memory-short" : "memory-enough", NULL);
    alarm_set(p->loop, &p->alarm, now < p->cap / 2 ? CALM_MS : ALARM_SLOT_MS);
}

static void on_alarm(struct alarm *a)
{
    look((struct pressure *)((char *)a - offsetof(struct pressure, alarm)));
}

void pressure_init(struct pressure *p, struct loop *l, uint64_t cap)
{
    p->loop = l;
    p->cap = cap;
    p->fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    alarm_init(&p->alarm, on_alarm);
    if (cap != 0 && p->fd >= 0)
        look(p);
}

void pressure_done(struct pressure *p)
{
    if (p->loop == NULL)
        return;
    alarm_clear(&p->alarm);
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
}
