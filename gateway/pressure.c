/* Memory: looked at, and answered to. The flag goes up at seven eighths of the cap, for what runs still grows, and down
 * at three quarters. */
#include "gateway/pressure.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum {
    CALM_MS = 250,
    AGAIN_MS = 16, /* by then what was taken has grown, or has been given back */
    STALE_MS = 2 * CALM_MS
};

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

static uint64_t mark(const struct pressure *p)
{
    return p->cap - p->cap / 8;
}

static void flag(struct pressure *p, uint64_t now)
{
    bool was = atomic_load_explicit(&p->high, memory_order_relaxed);
    bool high = p->cap != 0 && now >= (was ? p->cap - p->cap / 4 : mark(p));

    if (high != was && atomic_exchange_explicit(&p->high, high, memory_order_relaxed) != high)
        log_event(high ? LOG_WARN : LOG_INFO, high ? "memory-short" : "memory-enough", NULL);
}

/* Room from here on, and the flag. Any thread; two at a time agree but for what grew between them. */
static uint64_t measure(struct pressure *p)
{
    uint64_t now = pressure_resident(p), up = mark(p), end = p->cap - p->cap / 16, edge = p->cap - p->cap / 32,
             full = now + atomic_load_explicit(&p->promised, memory_order_relaxed);

    atomic_store_explicit(&p->room, full < up ? up - full : 0, memory_order_relaxed);
    atomic_store_explicit(&p->last, full < end ? end - full : 0, memory_order_relaxed);
    atomic_store_explicit(&p->edge, full < edge ? edge - full : 0, memory_order_relaxed);
    atomic_store_explicit(&p->taken, 0, memory_order_relaxed);
    atomic_store_explicit(&p->resident, now, memory_order_relaxed);
    atomic_store_explicit(&p->looked, clock_mono_ms(), memory_order_relaxed);
    flag(p, now);
    return now;
}

/* Looks, if the last look is so old; false: it is not. One thread a time. */
static bool look_after(struct pressure *p, int64_t ms)
{
    int64_t looked = atomic_load_explicit(&p->looked, memory_order_relaxed), now = clock_mono_ms();

    if (now - looked < ms ||
        !atomic_compare_exchange_strong_explicit(&p->looked, &looked, now, memory_order_relaxed, memory_order_relaxed))
        return false;
    mem_trim(); /* those who were refused have given theirs back, but not to the kernel */
    (void)measure(p);
    return true;
}

bool pressure_stays(struct pressure *p)
{
    (void)look_after(p, STALE_MS);
    return pressure_short(p);
}

bool pressure_look_again(struct pressure *p, size_t n, const _Atomic uint64_t *room)
{
    if (!look_after(p, AGAIN_MS))
        return false;
    if (n > atomic_load_explicit(room, memory_order_relaxed))
        return false;
    atomic_fetch_add_explicit(&p->taken, n, memory_order_relaxed);
    return true;
}

static void look(struct pressure *p)
{
    uint64_t now;

    if (pressure_short(p))
        mem_trim(); /* what was freed counts as ours until the kernel has it back */
    now = measure(p);
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
