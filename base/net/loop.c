/* The event loop of one thread. libevent gives readiness and the coarse tick; the rest is ours.
 *
 * A turn: ready descriptors call back, then what the last turn left for this one, then what was put off runs, then the
 * hooks, then the graveyard is emptied.
 * Invariants:
 *   - what was buried stays readable until the turn is over;
 *   - messages from other threads are taken in order of sending, through one eventfd that is written only when the
 *     list was empty. */
#include "base/net/net.h"
#include "base/net/internal.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct hook {
    void (*fn)(void *arg);
    void *arg;
};

struct loop {
    struct event_base *base; /* own */
    struct event *wake;      /* own */
    int wake_fd;
    _Atomic(struct loop_msg *) inbox; /* newest first */
    struct grave *graves;
    struct later *later, **later_tail;
    struct soon *soon; /* for the next turn */
    struct hook hooks[4];
    unsigned n_hooks;
    bool stopping;
    bool again;          /* the next turn does not wait */
    int64_t now, now_ns; /* valid while `fresh` */
    int64_t wall;        /* valid while `wall_fresh` */
    bool fresh, wall_fresh;
    struct alarm_wheel *wheel; /* own */
    char *scratch;             /* own */
    struct http_kept *kept;    /* own */
};

struct event_base *loop_base(struct loop *l)
{
    return l->base;
}

struct alarm_wheel *loop_wheel(struct loop *l)
{
    return l->wheel;
}

static void look_at_clock(struct loop *l)
{
    l->now_ns = clock_mono_ns();
    l->now = l->now_ns / 1000000;
    l->fresh = true;
}

int64_t loop_now(struct loop *l)
{
    if (!l->fresh)
        look_at_clock(l);
    return l->now;
}

int64_t loop_now_ns(struct loop *l)
{
    if (!l->fresh)
        look_at_clock(l);
    return l->now_ns;
}

int64_t loop_wall(struct loop *l)
{
    if (!l->wall_fresh)
        l->wall = clock_wall_ms();
    l->wall_fresh = true;
    return l->wall;
}

struct http_kept *loop_kept(struct loop *l)
{
    return l->kept;
}

char *loop_scratch(struct loop *l)
{
    return l->scratch;
}

/* The inbox is a stack; reversing what was taken at once gives the order of sending. */
static void take_messages(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;
    struct loop_msg *m, *ordered = NULL;
    uint64_t n;

    (void)what;
    if (read(fd, &n, sizeof n) < 0 && errno != EAGAIN)
        return;
    m = atomic_exchange_explicit(&l->inbox, NULL, memory_order_acquire);
    while (m != NULL) {
        struct loop_msg *next = m->next;
        m->next = ordered;
        ordered = m;
        m = next;
    }
    while (ordered != NULL) {
        m = ordered;
        ordered = m->next;
        m->fn(m->arg);
    }
}

void loop_post(struct loop *l, struct loop_msg *m)
{
    struct loop_msg *head = atomic_load_explicit(&l->inbox, memory_order_relaxed);
    uint64_t one = 1;

    do {
        m->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&l->inbox, &head, m, memory_order_release, memory_order_relaxed));
    /* A full counter (EAGAIN) means that a wake-up is pending already. */
    if (head == NULL && write(l->wake_fd, &one, sizeof one) < 0)
        return;
}

static struct event_base *base_new(void)
{
    struct event_config *cfg = event_config_new();
    struct event_base *base;

    if (cfg == NULL)
        return NULL;
    event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    base = event_base_new_with_config(cfg);
    event_config_free(cfg);
    return base;
}

/* Who reads what this process writes, a log or a pipe, may leave: that must not end it. Whoever handles the signal
 * keeps it. */
static void ignore_pipe(void)
{
    struct sigaction now;

    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

struct loop *loop_new(void)
{
    struct loop *l = mem_zalloc(sizeof *l);

    if (l == NULL)
        return NULL;
    ignore_pipe();
    l->later_tail = &l->later;
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    l->base = base_new();
    l->scratch = mem_alloc(LOOP_SCRATCH);
    l->kept = http_kept_new();
    if (l->wake_fd >= 0 && l->base != NULL && l->scratch != NULL && l->kept != NULL) {
        l->wake = event_new(l->base, l->wake_fd, EV_READ | EV_PERSIST, take_messages, l);
        l->wheel = alarm_wheel_new(l);
    }
    if (l->wake == NULL || l->wheel == NULL || event_add(l->wake, NULL) != 0)
        return loop_free(l);
    return l;
}

struct loop *loop_free(struct loop *l)
{
    if (l == NULL)
        return NULL;
    loop_empty_graves(l);
    alarm_wheel_free(l->wheel);
    if (l->wake)
        event_free(l->wake);
    if (l->base)
        event_base_free(l->base);
    if (l->wake_fd >= 0)
        close(l->wake_fd);
    mem_free(l->scratch);
    http_kept_free(l->kept);
    return mem_free(l);
}

void loop_bury(struct loop *l, struct grave *g, void (*free_fn)(struct grave *))
{
    g->free = free_fn;
    g->next = l->graves;
    l->graves = g;
}

/* Freeing may bury more. */
void loop_empty_graves(struct loop *l)
{
    while (l->graves != NULL) {
        struct grave *g = l->graves;
        l->graves = g->next;
        g->free(g);
    }
}

void loop_later(struct loop *l, struct later *node, void (*fn)(struct later *))
{
    node->fn = fn;
    node->next = NULL;
    *l->later_tail = node;
    l->later_tail = &node->next;
}

/* What runs may add more; it runs in this turn too. */
static void run_later(struct loop *l)
{
    while (l->later != NULL) {
        struct later *node = l->later;
        l->later = node->next;
        if (l->later == NULL)
            l->later_tail = &l->later;
        node->fn(node);
    }
}

void loop_not_soon(struct soon *node)
{
    if (node->pprev == NULL)
        return;
    *node->pprev = node->next;
    if (node->next)
        node->next->pprev = node->pprev;
    node->pprev = NULL;
    node->next = NULL;
}

static void link_soon(struct soon **head, struct soon *node)
{
    node->next = *head;
    node->pprev = head;
    if (node->next)
        node->next->pprev = &node->next;
    *head = node;
}

void loop_soon(struct loop *l, struct soon *node, void (*fn)(struct soon *))
{
    node->fn = fn;
    if (node->pprev == NULL)
        link_soon(&l->soon, node);
}

/* Only what stood there when the turn began: what is added now waits for the next one. */
static void run_soon(struct soon **list)
{
    while (*list != NULL) {
        struct soon *node = *list;
        loop_not_soon(node);
        node->fn(node);
    }
}

static struct soon *take_soon(struct loop *l, struct soon **list)
{
    *list = l->soon;
    l->soon = NULL;
    if (*list)
        (*list)->pprev = list;
    return *list;
}

void loop_on_turn(struct loop *l, void (*fn)(void *arg), void *arg)
{
    if (l->n_hooks < sizeof l->hooks / sizeof l->hooks[0])
        l->hooks[l->n_hooks++] = (struct hook){ fn, arg };
}

void loop_again(struct loop *l)
{
    l->again = true;
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
}

void loop_run(struct loop *l)
{
    l->stopping = false;
    while (!l->stopping) {
        struct soon *list;
        bool busy = take_soon(l, &list) != NULL || l->again;

        l->again = false;
        l->fresh = l->wall_fresh = false; /* also what was read between the turns: the wait may be long */
        /* Once, also when it does not wait: else a descriptor that is always ready holds the turn open for ever. */
        if (event_base_loop(l->base, busy ? EVLOOP_ONCE | EVLOOP_NONBLOCK : EVLOOP_ONCE) != 0)
            break;
        run_soon(&list);
        run_later(l);
        for (unsigned i = 0; i < l->n_hooks; i++)
            l->hooks[i].fn(l->hooks[i].arg);
        run_later(l);
        loop_empty_graves(l);
        l->fresh = l->wall_fresh = false;
    }
    loop_empty_graves(l);
}

struct watch {
    struct event *ev; /* own */
    void (*fn)(void *arg);
    void *arg;
    struct loop *loop;
    struct grave grave;
};

static void watch_ready(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;

    (void)fd;
    (void)what;
    w->fn(w->arg);
}

struct watch *watch_new(struct loop *l, int fd, void (*fn)(void *arg), void *arg)
{
    struct watch *w = mem_zalloc(sizeof *w);

    if (w == NULL)
        return NULL;
    w->fn = fn;
    w->arg = arg;
    w->loop = l;
    w->ev = event_new(l->base, fd, EV_READ | EV_PERSIST, watch_ready, w);
    if (w->ev == NULL || event_add(w->ev, NULL) != 0)
        return watch_free(w);
    return w;
}

static void watch_bury(struct grave *g)
{
    mem_free((char *)g - offsetof(struct watch, grave));
}

struct watch *watch_free(struct watch *w)
{
    if (w == NULL)
        return NULL;
    if (w->ev)
        event_free(w->ev);
    w->ev = NULL;
    loop_bury(w->loop, &w->grave, watch_bury);
    return NULL;
}
