/* Heads that come again: a client sends the same one with most of its requests, and reading it costs more than seeing
 * that it is the same. Each loop keeps a few whole plain heads with what was understood of them; the same bytes mean
 * the same. Nothing is kept but what its owner says may be (http_head_keep): heads hold what people ask for.
 * Invariants: an entry's `head` speaks of its own `bytes`, which end with the empty line; a number names one entry's
 * bytes and is never given again; what is kept never exceeds SLOTS entries of BYTES_MAX and FIELDS_MAX. */
#include "base/net/internal.h"

enum { SLOTS = HTTP_KEPT, BYTES_MAX = 1024, FIELDS_MAX = 16 };

struct kept_head {
    uint64_t number;
    size_t n, head_n;      /* of bytes; of `head` */
    struct http_head head; /* its first head_n bytes are there; the bytes stand behind them */
};
struct http_kept {
    struct kept_head *at[SLOTS]; /* own */
    uint64_t given;
};

struct http_kept *http_kept_new(void)
{
    return mem_zalloc(sizeof(struct http_kept));
}

struct http_kept *http_kept_free(struct http_kept *k)
{
    for (size_t i = 0; k != NULL && i < SLOTS; i++)
        mem_free(k->at[i]);
    return mem_free(k);
}

static const char *bytes_of(const struct kept_head *e)
{
    return (const char *)&e->head + e->head_n;
}

static bool is_same(const struct kept_head *e, struct slice bytes)
{
    return e != NULL && e->n <= bytes.n && memcmp(bytes_of(e), bytes.p, e->n) == 0;
}

/* Tells heads apart well enough to find a slot, eight bytes at a time; peers gain nothing by making two the same. */
static uint32_t hash(struct slice s)
{
    uint64_t h = s.n, w;
    size_t i = 0;

    for (; i + sizeof w <= s.n; i += sizeof w) {
        memcpy(&w, s.p + i, sizeof w);
        h = (h ^ w) * 0x9e3779b97f4a7c15u;
        h ^= h >> 32;
    }
    return (uint32_t)h;
}

size_t http_kept_find(const struct http_kept *k, const struct http_seen *seen, struct slice in, struct http_head *ret)
{
    const struct kept_head *e = k->at[seen->slot];

    if (!is_same(e, in))
        return 0;
    memcpy(ret, &e->head, e->head_n);
    return e->n;
}

void http_kept_miss(const struct http_kept *k, struct http_seen *seen, struct http_head *h)
{
    uint32_t now;

    if (h->bytes.n > BYTES_MAX || h->n > FIELDS_MAX)
        return;
    now = hash(h->bytes);
    seen->twice = seen->hash == now;
    seen->hash = now;
    if (k->at[now % SLOTS] == NULL || k->at[now % SLOTS]->n != h->bytes.n || !is_same(k->at[now % SLOTS], h->bytes))
        return;
    seen->slot = now % SLOTS;
    h->again = k->at[seen->slot]->number;
}

/* The same of other bytes. */
static struct slice moved(struct slice s, const char *from, const char *to)
{
    return s.p != NULL ? (struct slice){ to + (s.p - from), s.n } : s;
}

static void fill(struct kept_head *e, const struct http_head *h)
{
    struct http_head *to = &e->head;
    const char *from = h->bytes.p;
    char *bytes = (char *)to + e->head_n;

    memcpy(to, h, e->head_n);
    memcpy(bytes, from, e->n);
    to->again = e->number;
    to->bytes.p = bytes;
    to->method = moved(h->method, from, bytes);
    to->target = moved(h->target, from, bytes);
    to->path = moved(h->path, from, bytes);
    to->query = moved(h->query, from, bytes);
    for (size_t i = 0; i < h->n; i++)
        to->at[i] = (struct http_header){ moved(h->at[i].name, from, bytes), moved(h->at[i].value, from, bytes) };
}

uint64_t http_kept_keep(struct http_kept *k, struct http_seen *seen, const struct http_head *h)
{
    size_t head_n = offsetof(struct http_head, at) + h->n * sizeof h->at[0];
    struct kept_head *e;

    if (h->again != 0 || !seen->twice || h->bytes.n == 0 || h->bytes.n > BYTES_MAX || h->n > FIELDS_MAX)
        return h->again;
    e = mem_alloc(offsetof(struct kept_head, head) + head_n + h->bytes.n);
    if (e == NULL)
        return 0;
    seen->slot = seen->hash % SLOTS;
    e->number = ++k->given * SLOTS + seen->slot;
    e->n = h->bytes.n;
    e->head_n = head_n;
    fill(e, h);
    mem_free(k->at[seen->slot]);
    k->at[seen->slot] = e;
    return e->number;
}
