/* Incremental reader of one answer: one function for each part, each takes what is its own and returns how much that
 * was. */
#include "answer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { CHUNK_DIGITS_MAX = 15, TAKE_BAD = -1 };

void answer_begin(struct answer *a, bool to_head)
{
    memset(a, 0, offsetof(struct answer, head));
    a->bodyless = to_head;
}

static bool name_is(const char *line, size_t name_len, const char *name)
{
    return strlen(name) == name_len && strncasecmp(line, name, name_len) == 0;
}

static bool number_read(const char *text, size_t len, uint64_t *ret)
{
    uint64_t n = 0;

    if (len == 0 || len > 18)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(text[i] - '0');
    }
    *ret = n;
    return true;
}

struct framing {
    bool has_length, chunked;
    uint64_t length;
};

static bool field_read(struct answer *a, const char *line, size_t len, struct framing *f)
{
    const char *colon = memchr(line, ':', len);

    if (colon == NULL)
        return false;
    size_t name_len = (size_t)(colon - line);
    const char *value = colon + 1;
    size_t n = len - name_len - 1;
    while (n > 0 && (*value == ' ' || *value == '\t')) {
        value++;
        n--;
    }
    if (name_is(line, name_len, "content-length")) {
        f->has_length = true;
        return number_read(value, n, &f->length);
    }
    if (name_is(line, name_len, "transfer-encoding"))
        f->chunked = n == 7 && strncasecmp(value, "chunked", 7) == 0;
    if (name_is(line, name_len, "connection") && n == 5 && strncasecmp(value, "close", 5) == 0)
        a->closing = true;
    return true;
}

static enum answer_part part_after_head(struct answer *a, const struct framing *f)
{
    if (a->status < 200)
        return PART_HEAD;
    if (a->bodyless || a->status == 204 || a->status == 304)
        return PART_END;
    if (f->chunked)
        return PART_CHUNK_SIZE;
    if (f->has_length) {
        a->left = f->length;
        return f->length == 0 ? PART_END : PART_LENGTH;
    }
    a->closing = true;
    return PART_TO_CLOSE;
}

static bool head_parse(struct answer *a)
{
    struct framing f = { 0 };
    const char *p = a->head;
    const char *end = a->head + a->head_len - 2; /* before the empty line */
    uint64_t status = 0;

    if (a->head_len < 16 || memcmp(p, "HTTP/1.", 7) != 0 || !number_read(p + 9, 3, &status) || status < 100)
        return false;
    a->status = (unsigned)status;
    a->closing = p[7] == '0';
    p = (const char *)memchr(p, '\n', (size_t)(end - p)) + 1;
    while (p < end) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        if (lf == NULL || lf == p || lf[-1] != '\r' || !field_read(a, p, (size_t)(lf - p - 1), &f))
            return false;
        p = lf + 1;
    }
    a->part = part_after_head(a, &f);
    a->head_len = a->part == PART_HEAD ? 0 : a->head_len;
    return true;
}

static ptrdiff_t take_head(struct answer *a, const char *bytes, size_t len)
{
    size_t room = ANSWER_HEAD_MAX - a->head_len;
    size_t n = len < room ? len : room;
    size_t from = a->head_len < 3 ? 0 : a->head_len - 3;
    size_t before = a->head_len;

    memcpy(a->head + a->head_len, bytes, n);
    a->head_len += n;
    const char *end = memmem(a->head + from, a->head_len - from, "\r\n\r\n", 4);
    if (end == NULL)
        return a->head_len == ANSWER_HEAD_MAX ? TAKE_BAD : (ptrdiff_t)n;
    a->head_len = (size_t)(end - a->head) + 4;
    n = a->head_len - before;
    return head_parse(a) ? (ptrdiff_t)n : TAKE_BAD;
}

static size_t take_left(struct answer *a, size_t len)
{
    size_t n = len < a->left ? len : (size_t)a->left;

    a->left -= n;
    a->body += n;
    return n;
}

static ptrdiff_t take_length(struct answer *a, const char *bytes, size_t len)
{
    (void)bytes;
    size_t n = take_left(a, len);
    if (a->left == 0)
        a->part = PART_END;
    return (ptrdiff_t)n;
}

static ptrdiff_t take_chunk_data(struct answer *a, const char *bytes, size_t len)
{
    (void)bytes;
    size_t n = take_left(a, len);
    if (a->left == 0)
        a->part = PART_CHUNK_END;
    return (ptrdiff_t)n;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of a chunk's size line; extensions are skipped. */
static ptrdiff_t take_chunk_size(struct answer *a, const char *bytes, size_t len)
{
    (void)len;
    int hex = hex_value(*bytes);

    if (*bytes == '\n') {
        if (a->chunk_digits == 0)
            return TAKE_BAD;
        a->part = a->left == 0 ? PART_TRAILER : PART_CHUNK_DATA;
        a->chunk_digits = 0;
        a->chunk_ext = false;
        a->line_len = 0;
    } else if (*bytes == ';' || *bytes == '\r') {
        a->chunk_ext = true;
    } else if (!a->chunk_ext) {
        if (hex < 0 || a->chunk_digits++ == CHUNK_DIGITS_MAX)
            return TAKE_BAD;
        a->left = a->left << 4 | (unsigned)hex;
    }
    return 1;
}

static ptrdiff_t take_chunk_end(struct answer *a, const char *bytes, size_t len)
{
    (void)len;
    if (*bytes == '\n')
        a->part = PART_CHUNK_SIZE;
    return *bytes == '\n' || *bytes == '\r' ? 1 : TAKE_BAD;
}

static ptrdiff_t take_trailer(struct answer *a, const char *bytes, size_t len)
{
    (void)len;
    if (*bytes == '\n') {
        if (a->line_len == 0)
            a->part = PART_END;
        a->line_len = 0;
    } else if (*bytes != '\r' && ++a->line_len > ANSWER_HEAD_MAX) {
        return TAKE_BAD;
    }
    return 1;
}

static ptrdiff_t take_to_close(struct answer *a, const char *bytes, size_t len)
{
    (void)bytes;
    a->body += len;
    return (ptrdiff_t)len;
}

static ptrdiff_t take_end(struct answer *a, const char *bytes, size_t len)
{
    (void)a;
    (void)bytes;
    (void)len;
    return TAKE_BAD;
}

static ptrdiff_t (*const takers[])(struct answer *a, const char *bytes, size_t len) = {
    [PART_HEAD] = take_head,
    [PART_LENGTH] = take_length,
    [PART_CHUNK_SIZE] = take_chunk_size,
    [PART_CHUNK_DATA] = take_chunk_data,
    [PART_CHUNK_END] = take_chunk_end,
    [PART_TRAILER] = take_trailer,
    [PART_TO_CLOSE] = take_to_close,
    [PART_END] = take_end,
};

enum answer_state answer_feed(struct answer *a, const char *bytes, size_t len)
{
    while (len > 0) {
        ptrdiff_t n = takers[a->part](a, bytes, len);
        if (n == TAKE_BAD)
            return ANSWER_BAD;
        bytes += n;
        len -= (size_t)n;
    }
    return a->part == PART_END ? ANSWER_DONE : ANSWER_MORE;
}

enum answer_state answer_end(const struct answer *a)
{
    return a->part == PART_TO_CLOSE ? ANSWER_DONE : ANSWER_BAD;
}
