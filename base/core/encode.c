/* Hex, base64, percent-encoding and the shapes of the product's identifiers. Decoders are strict: a wrong digit, wrong
 * length, missing padding or non-zero spare bits refuse the whole input, and the output is then as it was before. */
#include "base/core/text.h"

/* Two digits for each byte, without NUL. */
#define HEX_ROW(h)                                                                                                     \
    { h, '0' }, { h, '1' }, { h, '2' }, { h, '3' }, { h, '4' }, { h, '5' }, { h, '6' }, { h, '7' }, { h, '8' },        \
        { h, '9' }, { h, 'a' }, { h, 'b' }, { h, 'c' }, { h, 'd' }, { h, 'e' },                                        \
    {                                                                                                                  \
        h, 'f'                                                                                                         \
    }
const char hex_pairs[256][2] = { HEX_ROW('0'), HEX_ROW('1'), HEX_ROW('2'), HEX_ROW('3'), HEX_ROW('4'), HEX_ROW('5'),
                                 HEX_ROW('6'), HEX_ROW('7'), HEX_ROW('8'), HEX_ROW('9'), HEX_ROW('a'), HEX_ROW('b'),
                                 HEX_ROW('c'), HEX_ROW('d'), HEX_ROW('e'), HEX_ROW('f') };
#undef HEX_ROW

#define DECIMAL_ROW(t)                                                                                                 \
    { t, '0' }, { t, '1' }, { t, '2' }, { t, '3' }, { t, '4' }, { t, '5' }, { t, '6' }, { t, '7' }, { t, '8' },        \
    {                                                                                                                  \
        t, '9'                                                                                                         \
    }
static const char decimal_pairs[100][2] = { DECIMAL_ROW('0'), DECIMAL_ROW('1'), DECIMAL_ROW('2'), DECIMAL_ROW('3'),
                                            DECIMAL_ROW('4'), DECIMAL_ROW('5'), DECIMAL_ROW('6'), DECIMAL_ROW('7'),
                                            DECIMAL_ROW('8'), DECIMAL_ROW('9') };
#undef DECIMAL_ROW

size_t u64_digits(uint64_t v)
{
    size_t n = 1;

    for (; v >= 10000; v /= 10000)
        n += 4;
    return n + (v >= 10) + (v >= 100) + (v >= 1000);
}

void u64_write(char *to, size_t n, uint64_t v)
{
    for (; n > 2; n -= 2, v /= 100)
        memcpy(to + n - 2, decimal_pairs[v % 100], 2);
    if (n == 2)
        memcpy(to, decimal_pairs[v], 2); /* below 100 now, for n is its length */
    else
        to[0] = (char)('0' + v);
}

/* 0..15, or -1. */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void hex_put(struct buf *b, struct slice bytes)
{
    char *out = bytes.n <= SIZE_MAX / 2 ? buf_reserve(b, 2 * bytes.n) : NULL;

    if (out == NULL) {
        if (b->failed == ERR_OK)
            b->failed = ERR_TOO_LARGE;
        return;
    }
    for (size_t i = 0; i < bytes.n; i++)
        memcpy(out + 2 * i, hex_pairs[(unsigned char)bytes.p[i]], 2);
    b->n += 2 * bytes.n;
}

bool hex_read(struct slice text, uint8_t *out, size_t out_n)
{
    if (text.n % 2 != 0 || text.n / 2 != out_n)
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (hex_value(text.p[i]) < 0)
            return false;
    for (size_t i = 0; i < out_n; i++)
        out[i] = (uint8_t)(hex_value(text.p[2 * i]) << 4 | hex_value(text.p[2 * i + 1]));
    return true;
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode64(struct buf *b, struct slice s, const char *digits, bool pad)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t rest = s.n % 3, whole = s.n / 3;
    size_t n = whole < SIZE_MAX / 8 ? 4 * whole + (rest ? (pad ? 4 : rest + 1) : 0) : SIZE_MAX;
    char *out = buf_reserve(b, n);

    if (out == NULL || n == 0)
        return;
    for (size_t i = 0; i < whole; i++, p += 3) {
        uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        for (int shift = 18; shift >= 0; shift -= 6)
            *out++ = digits[v >> shift & 63];
    }
    if (rest) {
        uint32_t v = (uint32_t)p[0] << 16 | (rest == 2 ? (uint32_t)p[1] << 8 : 0);
        *out++ = digits[v >> 18 & 63];
        *out++ = digits[v >> 12 & 63];
        if (rest == 2)
            *out++ = digits[v >> 6 & 63];
        for (size_t i = rest; pad && i < 3; i++)
            *out++ = '=';
    }
    b->n += n;
}

void base64_put(struct buf *b, struct slice bytes)
{
    encode64(b, bytes, alphabet, true);
}

void base64url_put(struct buf *b, struct slice bytes)
{
    encode64(b, bytes, alphabet_url, false);
}

/* 0..63, or -1. */
static int value64(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes text.n digits (no padding, text.n % 4 != 1) to `out`; false at a wrong digit or a non-zero spare bit. */
static bool decode64(struct slice text, char *out)
{
    uint32_t v = 0;
    unsigned bits = 0;

    for (size_t i = 0; i < text.n; i++) {
        int digit = value64(text.p[i]);
        if (digit < 0)
            return false;
        v = v << 6 | (uint32_t)digit;
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        *out++ = (char)(v >> bits & 0xff);
        v &= (1u << bits) - 1;
    }
    return v == 0;
}

enum err base64_read(struct slice text, struct buf *out)
{
    size_t pad = 0, n;
    char *at;

    if (text.n % 4 != 0)
        return ERR_SYNTAX;
    while (pad < 2 && text.n > 0 && text.p[text.n - 1] == '=')
        pad++, text.n--;
    n = (text.n + pad) / 4 * 3 - pad;
    at = buf_reserve(out, n);
    if (at == NULL)
        return out->failed;
    if (!decode64(text, at))
        return ERR_SYNTAX;
    out->n += n;
    return ERR_OK;
}

/* RFC 3986 section 2.3. */
static bool unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

void percent_put(struct buf *b, struct slice s)
{
    static const char upper[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (unreserved(s.p[i]))
            buf_putc(b, s.p[i]);
        else
            buf_put(b, (struct slice){ (const char[]){ '%', upper[c >> 4], upper[c & 15] }, 3 });
    }
}

enum err percent_read(struct slice s, bool plus_is_space, struct arena *a, struct slice *ret)
{
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;

    if (out == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            if (s.n - i < 3 || hex_value(s.p[i + 1]) < 0 || hex_value(s.p[i + 2]) < 0)
                return ERR_SYNTAX;
            c = (char)(hex_value(s.p[i + 1]) << 4 | hex_value(s.p[i + 2]));
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        out[n++] = c;
    }
    out[n] = '\0';
    if (!utf8_valid((struct slice){ out, n }))
        return ERR_INVALID;
    *ret = (struct slice){ out, n };
    return ERR_OK;
}

static bool ident_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

static bool ident_chars(struct slice s, size_t max)
{
    if (s.n == 0 || s.n > max)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!ident_char(s.p[i]))
            return false;
    return true;
}

bool ident_valid(struct slice s)
{
    return ident_chars(s, 63) && s.p[0] >= 'a' && s.p[0] <= 'z';
}

bool ident_path_valid(struct slice s)
{
    size_t slash = slice_find(s, '/');

    return slash < s.n && ident_valid(slice_sub(s, 0, slash)) && ident_valid(slice_sub(s, slash + 1, s.n));
}

bool purpose_valid(struct slice s)
{
    return ident_chars(s, 64);
}
