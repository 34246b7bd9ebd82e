/* A connection's bytes: heads and bodies in turn, as a server (first byte even) or a client (odd) would read them, in
 * pieces whose size the second byte chooses. Must hold: no head is taken that has two framings, a control character or
 * an empty name; a body says the same whatever its pieces; nothing behind a message is touched. */
#include "base/net/net.h"

#include <stdlib.h>

struct sum {
    uint64_t hash, n;
};

static void piece(void *arg, struct slice content)
{
    struct sum *s = arg;

    for (size_t i = 0; i < content.n; i++)
        s->hash = (s->hash ^ (unsigned char)content.p[i]) * UINT64_C(1099511628211);
    s->n += content.n;
}

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* Offset behind the first empty line, or 0. */
static size_t head_end(struct slice s)
{
    for (size_t i = 0; i + 3 < s.n; i++)
        if (memcmp(s.p + i, "\r\n\r\n", 4) == 0)
            return i + 4;
    return 0;
}

static void inside(struct slice part, struct slice all)
{
    must(part.n == 0 || (part.p >= all.p && part.p + part.n <= all.p + all.n));
}

static void check_head(const struct http_head *h, struct slice bytes, bool request)
{
    must(!(h->has_length && h->chunked) && h->n <= HTTP_HEADERS_MAX && h->minor <= 1);
    must(!(h->chunked && h->minor == 0));
    for (size_t i = 0; i < h->n; i++) {
        must(h->at[i].name.n > 0);
        inside(h->at[i].name, bytes);
        inside(h->at[i].value, bytes);
        for (size_t k = 0; k < h->at[i].value.n; k++)
            must(h->at[i].value.p[k] != '\r' && h->at[i].value.p[k] != '\n' && h->at[i].value.p[k] != '\0');
    }
    if (!request) {
        must(h->status >= 100 && h->status <= 999);
        return;
    }
    must(h->path.n > 0 && h->path.p[0] == '/');
    inside(h->path, bytes);
    inside(h->query, bytes);
}

/* Returns how much of `in` the body took; *whole: it ended. */
static size_t decode(const struct http_head *h, struct slice in, bool request, size_t step, struct sum *sum,
                     bool *whole, bool *broken)
{
    struct http_body b;
    size_t at = 0;

    *broken = false;
    http_body_init(&b, h, request, false);
    while (at < in.n && !b.done && !*broken) {
        size_t used = 0;
        struct slice now = slice_sub(in, at, step);
        *broken = http_body_feed(&b, now, piece, sum, &used) != ERR_OK;
        must(used <= now.n);
        at += used;
    }
    *whole = b.done;
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct http_head h;
    struct slice rest = n > 2 ? slice_make(data + 2, n - 2) : SLICE("");
    bool request = n > 0 && (data[0] & 1) == 0;
    size_t end;

    while (n > 2 && (end = head_end(rest)) > 0) {
        struct sum whole = { 0 }, pieces = { 0 };
        struct slice head = slice_sub(rest, 0, end), body = slice_sub(rest, end, rest.n);
        const char *why = NULL;
        bool done[2], broken[2];
        size_t used[2];

        if (http_head_parse(head, request, &h, &why) != ERR_OK) {
            must(why != NULL);
            return 0;
        }
        check_head(&h, head, request);
        used[0] = decode(&h, body, request, body.n ? body.n : 1, &whole, &done[0], &broken[0]);
        used[1] = decode(&h, body, request, (size_t)data[1] + 1, &pieces, &done[1], &broken[1]);
        if (broken[0] || broken[1])
            return 0; /* where it broke depends on the pieces: content before it may have been given */
        must(done[0] == done[1] && used[0] == used[1] && whole.n == pieces.n && whole.hash == pieces.hash);
        if (!done[0])
            return 0;
        rest = slice_sub(body, used[0], body.n);
    }
    return 0;
}
