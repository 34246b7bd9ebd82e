/* The daemon's log. Invariants: one event is one line of valid JSON and one write(2); a line never exceeds LINE_MAX_
 * bytes, because every field is cut at FIELD_MAX; nothing is allocated. Thread-safe. */
#include "base/core/log.h"
#include "base/core/clock.h"
#include "base/core/json.h"
#include "base/core/text.h"
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

enum { LINE_MAX_ = 8192, FIELD_MAX = 512 };

static atomic_int least_level = LOG_INFO;

void log_set_level(enum log_level least)
{
    atomic_store_explicit(&least_level, (int)least, memory_order_relaxed);
}

/* At most FIELD_MAX bytes, not cut inside a code point. */
static struct slice clip(const char *s)
{
    struct slice v = slice_of(s);
    size_t n = v.n < FIELD_MAX ? v.n : FIELD_MAX;

    while (n < v.n && n > 0 && ((unsigned char)v.p[n] & 0xc0) == 0x80)
        n--;
    return slice_sub(v, 0, n);
}

/* Writes one pair, or takes it back when the line has no room for it. */
static void field_put(struct json *j, const char *name, const char *value)
{
    struct json before = *j;
    size_t n = j->out->n;

    json_key(j, name);
    if (value == NULL)
        json_null(j);
    else
        json_bytes(j, clip(value));
    if (j->out->failed == ERR_OK)
        return;
    j->out->n = n;
    j->out->failed = ERR_OK;
    *j = before;
}

static void line_write(const struct buf *b)
{
    while (write(STDERR_FILENO, b->p, b->n) < 0 && errno == EINTR)
        continue;
}

void log_event(enum log_level level, const char *event, ...)
{
    static const char *const levels[] = { "debug", "info", "warn", "error" };
    char mem[LINE_MAX_], now[CLOCK_TEXT];
    /* room == cap: the buffer never grows, so the stack never reaches the allocator. Two bytes stay for "}\n". */
    struct buf b = { .p = mem, .room = LINE_MAX_ - 3, .cap = LINE_MAX_ - 3 };
    struct json j;
    va_list args;

    if ((int)level < atomic_load_explicit(&least_level, memory_order_relaxed) || (unsigned)level > LOG_ERROR)
        return;
    clock_text(clock_wall_ms(), now);
    json_init(&j, &b);
    json_open(&j, '{');
    field_put(&j, "time", now);
    field_put(&j, "level", levels[level]);
    field_put(&j, "event", event);
    va_start(args, event);
    for (const char *name; (name = va_arg(args, const char *)) != NULL;)
        field_put(&j, name, va_arg(args, const char *));
    va_end(args);
    b.cap = b.room = LINE_MAX_ - 1;
    json_close(&j, '}');
    buf_putc(&b, '\n');
    line_write(&b);
}
