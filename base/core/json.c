/* The JSON writer. Invariants: bit d-1 of `comma` says whether level d (1 is the outermost) has a member already;
 * after_key is set between a key and its value; level 0 takes no commas, so that one writer can make a line after a
 * line. Misuse that a program could build from input (too deep) fails the buffer; unbalanced calls are our mistake. */
#include "base/core/json.h"
#include "base/core/text.h"
#include <assert.h>

static void fail(struct json *j, enum err e)
{
    if (j->out->failed == ERR_OK)
        j->out->failed = e;
}

void json_init(struct json *j, struct buf *out)
{
    *j = (struct json){ .out = out };
}

/* What stands before a value or a key. */
static void before(struct json *j)
{
    uint32_t bit;

    if (j->after_key) {
        j->after_key = false;
        return;
    }
    if (j->depth == 0 || j->depth > JSON_DEPTH_MAX)
        return;
    bit = 1u << (j->depth - 1);
    if (j->comma & bit)
        buf_putc(j->out, ',');
    j->comma |= bit;
}

void json_open(struct json *j, char bracket)
{
    before(j);
    buf_putc(j->out, bracket);
    if (j->depth < UINT8_MAX)
        j->depth++;
    if (j->depth > JSON_DEPTH_MAX)
        fail(j, ERR_TOO_LARGE);
    else
        j->comma &= ~(1u << (j->depth - 1));
}

void json_close(struct json *j, char bracket)
{
    assert(j->depth > 0 && !j->after_key);
    j->depth--;
    buf_putc(j->out, bracket);
}

/* 0: as it is; 'u': as \u00XX; anything else: backslash and that letter. RFC 8259 section 7. */
static const char escapes[256] = {
    [0x00 ... 0x07] = 'u', ['\b'] = 'b', ['\t'] = 't',          ['\n'] = 'n', [0x0b] = 'u',
    ['\f'] = 'f',          ['\r'] = 'r', [0x0e ... 0x1f] = 'u', ['"'] = '"',  ['\\'] = '\\'
};

/* True when none of the eight bytes needs an escape. */
static bool plain8(const char *p)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    uint64_t w, quote, slash;

    memcpy(&w, p, 8);
    quote = w ^ (ones * '"');
    slash = w ^ (ones * '\\');
    return ((((w - ones * 0x20) & ~w) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) & high) == 0;
}

void json_escape(struct buf *out, struct slice s)
{
    size_t from = 0, i = 0;

    while (i < s.n) {
        unsigned char c;
        char how;

        if (s.n - i >= 8 && plain8(s.p + i)) {
            i += 8;
            continue;
        }
        c = (unsigned char)s.p[i];
        how = escapes[c];
        if (how != 0) {
            buf_put(out, (struct slice){ s.p + from, i - from });
            if (how == 'u')
                buf_put(out, (struct slice){ (const char[]){ '\\', 'u', '0', '0', (char)('0' + (c >> 4)),
                                                             "0123456789abcdef"[c & 15] },
                                             6 });
            else
                buf_put(out, (struct slice){ (const char[]){ '\\', how }, 2 });
            from = i + 1;
        }
        i++;
    }
    if (from < s.n)
        buf_put(out, (struct slice){ s.p + from, s.n - from });
}

static void quoted(struct json *j, struct slice s)
{
    buf_putc(j->out, '"');
    json_escape(j->out, s);
    buf_putc(j->out, '"');
}

void json_key_slice(struct json *j, struct slice key)
{
    assert(!j->after_key);
    if (!utf8_valid(key))
        fail(j, ERR_INVALID);
    before(j);
    quoted(j, key);
    buf_putc(j->out, ':');
    j->after_key = true;
}

void json_key(struct json *j, const char *key)
{
    json_key_slice(j, slice_of(key));
}

void json_str(struct json *j, struct slice s)
{
    if (!utf8_valid(s))
        fail(j, ERR_INVALID);
    before(j);
    quoted(j, s);
}

void json_cstr(struct json *j, const char *s)
{
    if (s == NULL)
        json_null(j);
    else
        json_str(j, slice_of(s));
}

void json_bytes(struct json *j, struct slice s)
{
    if (utf8_valid(s)) {
        before(j);
        quoted(j, s);
        return;
    }
    json_open(j, '{');
    json_key(j, "b64");
    before(j);
    buf_putc(j->out, '"');
    base64_put(j->out, s);
    buf_putc(j->out, '"');
    json_close(j, '}');
}

void json_u64(struct json *j, uint64_t v)
{
    before(j);
    buf_put_u64(j->out, v);
}

void json_i64(struct json *j, int64_t v)
{
    before(j);
    if (v < 0)
        buf_putc(j->out, '-');
    buf_put_u64(j->out, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void json_bool(struct json *j, bool v)
{
    json_raw(j, v ? SLICE("true") : SLICE("false"));
}

void json_null(struct json *j)
{
    json_raw(j, SLICE("null"));
}

void json_raw(struct json *j, struct slice text)
{
    before(j);
    buf_put(j->out, text);
}

void json_opt(struct json *j, const char *key, struct slice s)
{
    if (s.n > 0)
        json_pair(j, key, s);
}

void json_pair(struct json *j, const char *key, struct slice s)
{
    json_key(j, key);
    json_str(j, s);
}

void json_pair_u64(struct json *j, const char *key, uint64_t v)
{
    json_key(j, key);
    json_u64(j, v);
}

void json_pair_bool(struct json *j, const char *key, bool v)
{
    json_key(j, key);
    json_bool(j, v);
}
