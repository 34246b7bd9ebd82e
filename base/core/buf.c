/* A growing run of bytes. Invariants: n <= room <= cap (room == 0 when p is NULL); one byte behind `room` is always
 * writable, so that printf may end in NUL; once `failed` is set nothing changes until buf_clear or buf_done. */
#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/core/text.h"
#include <stdarg.h>
#include <stdio.h>

enum { ROOM_MIN = 127 };

void buf_init(struct buf *b, size_t cap)
{
    *b = BUF_INIT(cap);
}

void buf_init_with(struct buf *b, size_t cap, char *mem, size_t n)
{
    *b = (struct buf){ .p = mem, .room = n - 1 < cap ? n - 1 : cap, .cap = cap, .lent = true };
}

void buf_done(struct buf *b)
{
    if (!b->lent)
        mem_free(b->p);
    buf_init(b, b->cap);
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->failed = ERR_OK;
}

static __attribute__((noinline)) char *grow(struct buf *b, size_t n)
{
    size_t room = b->room < ROOM_MIN ? ROOM_MIN : 2 * b->room + 1;
    char *p;

    if (n > b->cap - b->n) {
        b->failed = ERR_TOO_LARGE;
        return NULL;
    }
    if (room < b->n + n)
        room = b->n + n;
    if (room > b->cap)
        room = b->cap;
    p = room < PTRDIFF_MAX ? mem_grow(b->lent ? NULL : b->p, room + 1) : NULL;
    if (p == NULL) {
        b->failed = ERR_NOMEM;
        return NULL;
    }
    if (b->lent)
        memcpy(p, b->p, b->n);
    b->lent = false;
    b->p = p;
    b->room = room;
    return p + b->n;
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (b->failed != ERR_OK)
        return NULL;
    if (b->p != NULL && n <= b->room - b->n)
        return b->p + b->n;
    return grow(b, n);
}

void buf_put_grow(struct buf *b, struct slice s)
{
    char *at = s.n ? buf_reserve(b, s.n) : NULL;

    if (at == NULL)
        return;
    memcpy(at, s.p, s.n);
    b->n += s.n;
}

void buf_puts(struct buf *b, const char *cstr)
{
    buf_put(b, slice_of(cstr));
}

void buf_put_u64(struct buf *b, uint64_t v)
{
    size_t n = u64_digits(v);
    char *to = buf_reserve(b, n);

    if (to == NULL)
        return;
    u64_write(to, n, v);
    b->n += n;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args, again;
    size_t free_bytes = b->p && b->failed == ERR_OK ? b->room - b->n + 1 : 0;
    int n;

    if (b->failed != ERR_OK)
        return;
    va_start(args, fmt);
    va_copy(again, args);
    n = vsnprintf(free_bytes ? b->p + b->n : NULL, free_bytes, fmt, args);
    va_end(args);
    if (n < 0) {
        b->failed = ERR_NOMEM;
    } else if ((size_t)n < free_bytes) {
        b->n += (size_t)n;
    } else if (buf_reserve(b, (size_t)n) != NULL) {
        vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
}

void buf_drop(struct buf *b, size_t n)
{
    if (n >= b->n) {
        b->n = 0;
        return;
    }
    if (n == 0)
        return;
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}
