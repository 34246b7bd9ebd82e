/* Decoding a message body by its framing (RFC 9112 section 6): a length is counted, chunks are llhttp's, an answer
 * without either runs to the close. Invariant: bytes behind the end of the message are never touched. */
#include "base/net/internal.h"

#include <llhttp.h>

/* Framing bytes (chunk lines and extensions, trailers) that are not paid for by content: a byte of content pays for
 * eight of framing, so that chunks of one byte pass and long extensions do not. */
enum { CONTENT_PAYS = 8 };

_Static_assert(sizeof(llhttp_t) <= sizeof((struct http_body){ 0 }.parser), "llhttp_t outgrew its place");

static llhttp_t *parser_of(struct http_body *b)
{
    return (llhttp_t *)(void *)b->parser;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct http_body *b = p->data;

    b->left += n; /* content seen in this feed: what is left of the input is framing */
    b->piece(b->arg, (struct slice){ at, n });
    return 0;
}

static int on_complete(llhttp_t *p)
{
    struct http_body *b = p->data;

    b->done = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t chunk_settings = { .on_body = on_body, .on_message_complete = on_complete };

static bool answer_has_body(const struct http_head *h, bool head_request)
{
    return !head_request && h->status >= 200 && h->status != 204 && h->status != 304;
}

void http_body_init(struct http_body *b, const struct http_head *h, bool request, bool head_request)
{
    /* llhttp begins at a head: this one puts it where the chunks begin. */
    static const char head[] = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";

    memset(b, 0, sizeof *b);
    if (!request && !answer_has_body(h, head_request)) {
        b->done = true;
    } else if (h->chunked) {
        b->chunked = true;
        llhttp_init(parser_of(b), HTTP_REQUEST, &chunk_settings);
        parser_of(b)->data = b;
        llhttp_execute(parser_of(b), head, sizeof head - 1);
    } else if (h->has_length || request) {
        b->left = h->length;
        b->done = b->left == 0;
    } else {
        b->until_close = true;
    }
}

static void weigh(struct http_body *b, size_t fed)
{
    uint64_t framing = b->overhead + (fed - b->left), paid = b->left * CONTENT_PAYS;

    b->overhead = framing > paid ? (uint32_t)(framing - paid) : 0;
}

static enum err feed_chunks(struct http_body *b, struct slice in, size_t *used)
{
    llhttp_t *p = parser_of(b);
    llhttp_errno_t e;

    b->left = 0;
    p->data = b; /* the body may have been moved with its owner */
    e = llhttp_execute(p, in.p, in.n);
    if (e == HPE_PAUSED && b->done) {
        *used = (size_t)(llhttp_get_error_pos(p) - in.p);
        return ERR_OK;
    }
    *used = in.n;
    weigh(b, in.n);
    if (e != HPE_OK || b->overhead > HTTP_OVERHEAD_MAX)
        return ERR_SYNTAX;
    return ERR_OK;
}

enum err http_body_feed(struct http_body *b, struct slice in, void (*piece)(void *arg, struct slice content), void *arg,
                        size_t *used)
{
    *used = 0;
    if (b->done || in.n == 0)
        return ERR_OK;
    b->piece = piece;
    b->arg = arg;
    if (b->chunked)
        return feed_chunks(b, in, used);
    *used = in.n;
    if (!b->until_close) {
        if (*used > b->left)
            *used = (size_t)b->left;
        b->left -= *used;
        b->done = b->left == 0;
    }
    piece(arg, slice_sub(in, 0, *used));
    return ERR_OK;
}
