/* nghttp2's memory for one session: counted, capped, and freed as a whole when the session ends.
 *
 * Invariant: after the first allocation that fails nothing is freed before the end. nghttp2 1.52 forgets to take back
 * what it has linked when a later step finds no memory; its dangling pointers then still point at memory that is there,
 * until the connection dies at the end of the turn. */
#include "base/net/h2.h"

struct h2_block {
    struct h2_block *next, **pprev;
    size_t n;
    size_t unused; /* what follows is aligned for anything */
};

static struct h2_block *block_of(void *p)
{
    return (struct h2_block *)p - 1;
}

static void *take(size_t n, void *user)
{
    struct h2 *h = user;
    struct h2_block *b = NULL;

    if (n <= H2_MEMORY && h->memory + n <= H2_MEMORY && !h->starved)
        b = mem_alloc(sizeof *b + n);
    if (b == NULL) {
        h->starved = true;
        conn_doom(h->conn, REASON_OVERLOADED);
        return NULL;
    }
    b->n = n;
    b->next = h->blocks;
    b->pprev = &h->blocks;
    if (b->next)
        b->next->pprev = &b->next;
    h->blocks = b;
    h->memory += n;
    return b + 1;
}

static void release(struct h2 *h, struct h2_block *b)
{
    *b->pprev = b->next;
    if (b->next)
        b->next->pprev = b->pprev;
    h->memory -= b->n;
    mem_free(b);
}

static void give_back(void *p, void *user)
{
    struct h2 *h = user;

    if (p != NULL && !h->starved)
        release(h, block_of(p));
}

static void *take_zero(size_t count, size_t size, void *user)
{
    size_t n = size && count > H2_MEMORY / size ? H2_MEMORY + 1 : count * size;
    void *p = take(n, user);

    return p ? memset(p, 0, n) : NULL;
}

static void *regrow(void *old, size_t n, void *user)
{
    void *p = take(n, user);

    if (p == NULL || old == NULL)
        return p;
    memcpy(p, old, block_of(old)->n < n ? block_of(old)->n : n);
    give_back(old, user);
    return p;
}

nghttp2_mem h2_memory(struct h2 *h)
{
    return (nghttp2_mem){ h, take, give_back, take_zero, regrow };
}

void h2_memory_done(struct h2 *h)
{
    while (h->blocks)
        release(h, h->blocks);
}
