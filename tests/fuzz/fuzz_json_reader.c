/* The JSON reader: any bytes, split as the first byte says. Accepting must not depend on the split, and what the sink
 * hears is balanced and valid UTF-8. */
#include <stdlib.h>
#include "translate/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct heard {
    struct buf text;
    int depth;
};

static enum err on_open(void *self, struct slice ns, struct slice name)
{
    struct heard *h = self;

    (void)ns;
    if (++h->depth > READER_DEPTH_MAX + 1 || !utf8_valid(name))
        abort();
    buf_put(&h->text, name);
    return ERR_OK;
}
static enum err on_text(void *self, enum scalar kind, struct slice piece)
{
    struct heard *h = self;

    if (!utf8_valid(piece))
        abort();
    (void)kind;
    buf_put(&h->text, piece);
    return ERR_OK;
}
static enum err on_close(void *self)
{
    struct heard *h = self;

    if (--h->depth < 0)
        abort();
    return ERR_OK;
}
static const struct event_sink sink = { .open = on_open, .text = on_text, .close = on_close };

static enum err read_by(struct slice text, size_t step, struct heard *h)
{
    struct json_reader *r = json_reader_new(&sink, h);
    enum err e = r != NULL ? ERR_OK : ERR_NOMEM;

    for (size_t i = 0; i < text.n && e == ERR_OK; i += step)
        e = json_reader_feed(r, slice_sub(text, i, step));
    if (e == ERR_OK)
        e = json_reader_finish(r);
    if (e == ERR_OK && h->depth != 0)
        abort();
    if (json_reader_offset(r) > text.n)
        abort();
    json_reader_free(r);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct heard split = { .text = BUF_INIT(1 << 20) }, whole = { .text = BUF_INIT(1 << 20) };
    struct slice text;
    enum err e;

    if (n < 1)
        return 0;
    text = slice_make(data + 1, n - 1);
    e = read_by(text, (size_t)data[0] + 1, &split);
    if (e != read_by(text, n, &whole) || (e == ERR_OK && !slice_eq(buf_slice(&split.text), buf_slice(&whole.text))))
        abort();
    buf_done(&split.text);
    buf_done(&whole.text);
    return 0;
}
