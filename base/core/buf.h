#pragma once
/* A growing run of bytes with a cap at birth. Appending is sticky: after the first failure `failed` is set,
 * further appends do nothing, and one check at the end is enough. */
#include "base/core/err.h"
#include "base/core/slice.h"

struct buf {
    char *p; /* own, unless `lent` */
    size_t n, room, cap;
    enum err failed; /* ERR_OK, ERR_TOO_LARGE or ERR_NOMEM */
    bool lent;       /* p is the memory of buf_init_with */
};

#define BUF_INIT(max) ((struct buf){ .cap = (max) })
void buf_init(struct buf *b, size_t cap);
/* Begins in n bytes of the caller's, n > 0, which live as long as b; more than fits makes it allocate like any other.
 */
void buf_init_with(struct buf *b, size_t cap, char *mem, size_t n);
void buf_done(struct buf *b);                     /* frees; b may be used again with the same cap */
void buf_clear(struct buf *b);                    /* n = 0, failed = OK, keeps the memory */
char *buf_reserve(struct buf *b, size_t n);       /* n free bytes at the end, or NULL and `failed`; b->n is unchanged */
void buf_put_grow(struct buf *b, struct slice s); /* buf_put, whether or not there is room */
void buf_puts(struct buf *b, const char *cstr);
void buf_put_u64(struct buf *b, uint64_t v);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_drop(struct buf *b, size_t n); /* removes the first n bytes */
/* Inline: an exchange appends a hundred short texts, and the lengths of most are known when this is compiled. */
static inline void buf_put(struct buf *b, struct slice s)
{
    if (s.n - 1 >= b->room - b->n || b->failed != ERR_OK) { /* of no bytes too: s.p may be NULL */
        buf_put_grow(b, s);
        return;
    }
    memcpy(b->p + b->n, s.p, s.n);
    b->n += s.n;
}
static inline void buf_putc(struct buf *b, char c)
{
    buf_put(b, (struct slice){ &c, 1 });
}
static inline struct slice buf_slice(const struct buf *b) /* bor: until the next change of b */
{
    return (struct slice){ b->p, b->n };
}
