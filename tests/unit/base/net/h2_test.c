#include "h2_test.h"

/* ---- frames ---- */
void put_frame(struct buf *to, unsigned type, unsigned flags, uint32_t stream, struct slice payload)
{
    const unsigned char head[9] = { (unsigned char)(payload.n >> 16),
                                    (unsigned char)(payload.n >> 8),
                                    (unsigned char)payload.n,
                                    (unsigned char)type,
                                    (unsigned char)flags,
                                    (unsigned char)(stream >> 24),
                                    (unsigned char)(stream >> 16),
                                    (unsigned char)(stream >> 8),
                                    (unsigned char)stream };

    buf_put(to, slice_make(head, sizeof head));
    buf_put(to, payload);
}

void put_u32_frame(struct buf *to, unsigned type, uint32_t stream, uint32_t value)
{
    const unsigned char bytes[4] = { (unsigned char)(value >> 24), (unsigned char)(value >> 16),
                                     (unsigned char)(value >> 8), (unsigned char)value };

    put_frame(to, type, 0, stream, slice_make(bytes, sizeof bytes));
}

void put_setting(struct buf *to, unsigned id, uint32_t value)
{
    const unsigned char bytes[6] = { (unsigned char)(id >> 8),     (unsigned char)id,
                                     (unsigned char)(value >> 24), (unsigned char)(value >> 16),
                                     (unsigned char)(value >> 8),  (unsigned char)value };

    put_frame(to, F_SETTINGS, 0, 0, slice_make(bytes, sizeof bytes));
}

/* RFC 7541 section 5.1, a prefix of 7 bits. */
static void put_length(struct buf *to, size_t n)
{
    if (n < 127) {
        buf_putc(to, (char)n);
        return;
    }
    buf_putc(to, 127);
    for (n -= 127; n >= 128; n >>= 7)
        buf_putc(to, (char)(n % 128 + 128));
    buf_putc(to, (char)n);
}

void put_field(struct buf *to, const char *name, struct slice value)
{
    buf_putc(to, 0x10);
    put_length(to, strlen(name));
    buf_puts(to, name);
    put_length(to, value.n);
    buf_put(to, value);
}

void put_block(struct buf *to, const char *method, const char *path, const char *more)
{
    struct slice rest = slice_of(more);

    put_field(to, ":method", slice_of(method));
    put_field(to, ":scheme", SLICE("https"));
    put_field(to, ":authority", SLICE("h"));
    put_field(to, ":path", slice_of(path));
    while (rest.n > 0) {
        struct slice line = slice_cut(&rest, '\n');
        char name[64];
        size_t colon = 1 + slice_find(slice_sub(line, 1, line.n), ':');
        snprintf(name, sizeof name, "%.*s", (int)colon, line.p);
        put_field(to, name, slice_sub(line, colon + 2, line.n));
    }
}

void put_request(struct buf *to, uint32_t stream, const char *method, const char *path, unsigned flags,
                 const char *more)
{
    struct buf block = BUF_INIT(1 << 20);

    put_block(&block, method, path, more);
    put_frame(to, F_HEADERS, flags | END_HEADERS, stream, buf_slice(&block));
    buf_done(&block);
}

void put_preface(struct buf *to)
{
    buf_puts(to, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    put_frame(to, F_SETTINGS, 0, 0, SLICE(""));
}

/* ---- telling ---- */
static uint32_t u32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void tell(const unsigned char *p, size_t n, struct buf *words, struct buf *data)
{
    static const char *const names[] = { "DATA", "HEADERS", "PRIORITY", "RST",    "SETTINGS",
                                         "PUSH", "PING",    "GOAWAY",   "WINDOW", "CONTINUATION" };
    unsigned type = p[3], flags = p[4];
    uint32_t stream = u32(p + 5);

    buf_printf(words, "%s%s", words->n ? " " : "", type < COUNT(names) ? names[type] : "?");
    if (stream != 0)
        buf_printf(words, "/%u", stream);
    if (type == F_DATA) {
        buf_printf(words, ":%zu", n);
        buf_put(data, slice_make(p + 9, n));
    }
    if (type == F_RST)
        buf_printf(words, "=%u", u32(p + 9));
    if (type == F_GOAWAY)
        buf_printf(words, "=%u", u32(p + 13));
    if ((type == F_SETTINGS || type == F_PING) && flags & ACK)
        buf_puts(words, "+ACK");
    if ((type == F_DATA || type == F_HEADERS) && flags & END_STREAM)
        buf_printf(words, " END/%u", stream);
}

void tell_frames(struct slice bytes, struct buf *words, struct buf *data)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    size_t left = bytes.n;

    while (left >= 9) {
        size_t n = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
        if (left < 9 + n)
            break;
        tell(p, n, words, data);
        p += 9 + n;
        left -= 9 + n;
    }
    assert_int_equal(left, 0);
}

/* ---- the service ---- */
static void note(struct h2_bench *h, const char *word)
{
    if (h->b.log.n)
        buf_putc(&h->b.log, ' ');
    buf_puts(&h->b.log, word);
}

static void note_one(struct one *o, const char *word)
{
    note(o->bench, word);
    buf_printf(&o->bench->b.log, "#%u", o->number);
}

void h2_answer(struct one *o, const char *text)
{
    struct http_reply r = { .status = 200, .length = (int64_t)strlen(text) };

    assert_non_null(o->call);
    http_reply_head(o->call, &r);
    http_reply_body(o->call, slice_of(text));
    http_reply_end(o->call, NULL, 0);
}

static void stream_big(struct one *o)
{
    static const char block[4096];
    struct h2_bench *h = o->bench;

    while (o->given < h->big) {
        size_t room = http_reply_room(o->call), n = h->big - o->given;
        if (room == 0)
            return;
        n = n > sizeof block ? sizeof block : n;
        n = n > room ? room : n;
        o->given += n;
        http_reply_body(o->call, (struct slice){ block, n });
    }
    if (!o->ended)
        http_reply_end(o->call, NULL, 0);
    o->ended = true;
}

static void *on_open(void *arg, struct http_conn *c)
{
    struct h2_bench *h = arg;

    h->b.conn = c;
    note(h, "open");
    return h;
}

static void on_close(void *state)
{
    struct h2_bench *h = state;

    h->b.conn = NULL;
    note(h, "close");
}

static struct one *one_new(struct h2_bench *h, struct http_call *call)
{
    struct one *o = calloc(1, sizeof *o);

    assert_non_null(o);
    o->bench = h;
    o->call = call;
    o->number = ++h->heads;
    o->next = h->ones;
    buf_init(&o->body, 64 << 20);
    h->ones = o;
    http_call_set(call, o);
    return o;
}

static void on_head(void *state, struct http_call *call, const struct http_head *h)
{
    static const struct http_reply whole = { .status = 200, .length = -1 }, promise = { .status = 200, .length = 10 };
    struct one *o = one_new(state, call);

    snprintf(o->path, sizeof o->path, "%.*s", SLICE_ARG(h->path));
    note_one(o, o->path);
    if (strcmp(o->path, "/early") == 0)
        h2_answer(o, "early");
    if (strcmp(o->path, "/pause") == 0)
        http_call_read(call, false);
    if (strcmp(o->path, "/cut") == 0) {
        http_reply_head(call, &whole);
        http_reply_body(call, SLICE("half"));
    }
    if (strcmp(o->path, "/short") == 0 || strcmp(o->path, "/long") == 0) {
        http_reply_head(call, &promise);
        http_reply_body(call, strcmp(o->path, "/long") == 0 ? SLICE("more than ten") : SLICE("half"));
        http_reply_end(call, NULL, 0);
    }
    if (strcmp(o->path, "/refuse") == 0) {
        o->call = NULL;
        http_reply_abort(call);
    }
}

static void on_body(void *state, struct slice bytes)
{
    buf_put(&((struct one *)state)->body, bytes);
}

static void on_end(void *state)
{
    static const struct http_header trailer = { { "Sluice-Receipt", 14 }, { "r1", 2 } };
    struct one *o = state;
    struct http_reply r = { .status = 200, .length = -1 };

    note_one(o, "end");
    if (strcmp(o->path, "/echo") == 0 || strcmp(o->path, "/pause") == 0) {
        buf_putc(&o->body, '\0');
        h2_answer(o, o->body.p);
    }
    if (strcmp(o->path, "/chunks") == 0) {
        http_reply_head(o->call, &r);
        for (size_t i = 0; i < o->body.n; i += 3)
            http_reply_body(o->call, slice_sub(buf_slice(&o->body), i, 3));
        http_reply_end(o->call, &trailer, 1);
    }
    if (strcmp(o->path, "/big") == 0) {
        http_reply_head(o->call, &r);
        stream_big(o);
    }
    if (strcmp(o->path, "/last") == 0) {
        r = (struct http_reply){ .status = 401, .length = 0, .close = true };
        http_reply_head(o->call, &r);
        http_reply_end(o->call, NULL, 0);
    }
}

static void on_room(void *state)
{
    struct one *o = state;

    if (strcmp(o->path, "/big") == 0)
        stream_big(o);
}

static void on_gone(void *state, enum reason why)
{
    struct one *o = state;

    o->call = NULL;
    note_one(o, "gone");
    buf_printf(&o->bench->b.log, ":%s", reason_info(why)->code);
}

static void on_sent(void *state)
{
    struct one *o = state;

    o->call = NULL;
    note_one(o, "sent");
}

static void on_malformed(void *state, struct http_call *call, enum reason why, const char *what, struct slice raw)
{
    struct one *o = one_new(state, call);
    struct http_reply r = { .status = reason_info(why)->status, .length = 0 };

    (void)what;
    (void)raw;
    note_one(o, "malformed");
    buf_printf(&o->bench->b.log, ":%s", reason_info(why)->code);
    http_reply_head(call, &r);
    http_reply_end(call, NULL, 0);
}

static const struct http_service service = { on_open, on_close, on_head, on_body,      on_end,
                                             on_room, on_gone,  on_sent, on_malformed, bench_hold };

/* ---- the bench ---- */
void h2_begin_unsettled(struct h2_bench *h)
{
    h->b.limits.http2 = true;
    h->b.service = &service;
    h->b.arg = h;
    buf_init(&h->say, 64 << 20);
    buf_init(&h->words, 1 << 20);
    buf_init(&h->data, 64 << 20);
    bench_begin(&h->b);
    put_preface(&h->say);
}

void h2_begin_bench(struct h2_bench *h)
{
    h2_begin_unsettled(h);
    put_frame(&h->say, F_SETTINGS, ACK, 0, SLICE(""));
    h2_say(h);
    h2_hear(h);
    assert_true(slice_is(buf_slice(&h->words), "SETTINGS SETTINGS+ACK WINDOW") ||
                slice_is(buf_slice(&h->words), "SETTINGS WINDOW SETTINGS+ACK"));
    buf_clear(&h->words);
    buf_clear(&h->b.log);
}

void h2_end_bench(struct h2_bench *h)
{
    bench_end(&h->b);
    while (h->ones) {
        struct one *o = h->ones;
        h->ones = o->next;
        buf_done(&o->body);
        free(o);
    }
    buf_done(&h->say);
    buf_done(&h->words);
    buf_done(&h->data);
    *h = (struct h2_bench){ 0 };
}

void h2_say(struct h2_bench *h)
{
    bench_say(&h->b, buf_slice(&h->say));
    buf_clear(&h->say);
}

void h2_hear(struct h2_bench *h)
{
    struct buf heard = BUF_INIT(64 << 20);

    buf_clear(&h->words);
    buf_clear(&h->data);
    bench_hear(&h->b, &heard);
    tell_frames(buf_slice(&heard), &h->words, &h->data);
    buf_done(&heard);
}

struct one *h2_one(struct h2_bench *h, unsigned number)
{
    struct one *o = h->ones;

    while (o != NULL && o->number != number)
        o = o->next;
    assert_non_null(o);
    return o;
}

struct http_call *h2_call(struct h2_bench *h, unsigned number)
{
    struct http_call *call = h2_one(h, number)->call;

    assert_non_null(call);
    return call;
}

void exchange(struct h2_bench *h)
{
    h2_say(h);
    h2_hear(h);
}
