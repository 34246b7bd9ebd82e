/* Recursive descent over a slice; depth is bounded by the tests' own inputs. */
#include "tests/unit/audit/judge.h"

static void blank(struct slice t, size_t *at)
{
    while (*at < t.n && memchr(" \t\r\n", t.p[*at], 4) != NULL)
        ++*at;
}

static bool hex4(struct slice t, size_t at)
{
    uint8_t two[2];
    return at + 4 <= t.n && hex_read(slice_sub(t, at, 4), two, 2);
}

static bool string(struct slice t, size_t *at)
{
    if (*at >= t.n || t.p[*at] != '"')
        return false;
    for (++*at; *at < t.n; ++*at) {
        uint8_t c = (uint8_t)t.p[*at];
        if (c == '"') {
            ++*at;
            return true;
        }
        if (c < 0x20)
            return false;
        if (c != '\\')
            continue;
        ++*at;
        if (*at >= t.n || memchr("\"\\/bfnrtu", t.p[*at], 9) == NULL)
            return false;
        if (t.p[*at] == 'u' && !hex4(t, *at + 1))
            return false;
    }
    return false;
}

static bool number(struct slice t, size_t *at)
{
    size_t start = *at;
    if (*at < t.n && t.p[*at] == '-')
        ++*at;
    size_t digits = *at;
    while (*at < t.n && t.p[*at] >= '0' && t.p[*at] <= '9')
        ++*at;
    bool zero = *at > digits + 1 && t.p[digits] == '0';
    return *at > digits && *at > start && !zero;
}

static bool value(struct slice t, size_t *at);

static bool members(struct slice t, size_t *at, char close, bool named)
{
    ++*at;
    blank(t, at);
    if (*at < t.n && t.p[*at] == close) {
        ++*at;
        return true;
    }
    for (;;) {
        blank(t, at);
        if (named) {
            if (!string(t, at))
                return false;
            blank(t, at);
            if (*at >= t.n || t.p[(*at)++] != ':')
                return false;
        }
        if (!value(t, at))
            return false;
        blank(t, at);
        if (*at >= t.n)
            return false;
        char c = t.p[(*at)++];
        if (c == close)
            return true;
        if (c != ',')
            return false;
    }
}

static bool value(struct slice t, size_t *at)
{
    static const char *const words[] = { "true", "false", "null" };
    blank(t, at);
    if (*at >= t.n)
        return false;
    char c = t.p[*at];
    if (c == '"')
        return string(t, at);
    if (c == '{')
        return members(t, at, '}', true);
    if (c == '[')
        return members(t, at, ']', false);
    for (size_t i = 0; i < 3; i++) {
        struct slice w = slice_of(words[i]);
        if (slice_starts(slice_sub(t, *at, w.n), w)) {
            *at += w.n;
            return true;
        }
    }
    return number(t, at);
}

bool judge_value(struct slice text)
{
    size_t at = 0;
    if (!utf8_valid(text) || !value(text, &at))
        return false;
    blank(text, &at);
    return at == text.n;
}

/* The i-th member, or the one under key; the container was judged before. */
static bool member(struct slice t, const char *key, size_t i, struct slice *ret)
{
    size_t at = 1;
    bool named = t.n > 0 && t.p[0] == '{';
    for (size_t n = 0;; n++) {
        struct slice name = { 0 };
        blank(t, &at);
        if (at + 1 >= t.n)
            return false;
        if (named) {
            size_t from = at;
            if (!string(t, &at))
                return false;
            name = slice_make(t.p + from + 1, at - from - 2);
            blank(t, &at);
            at++;
            blank(t, &at);
        }
        size_t from = at;
        if (!value(t, &at))
            return false;
        *ret = slice_make(t.p + from, at - from);
        if (key != NULL ? slice_is(name, key) : n == i)
            return true;
        blank(t, &at);
        at++;
    }
}

bool judge_get(struct slice object, const char *key, struct slice *ret)
{
    return object.n > 0 && object.p[0] == '{' && member(object, key, 0, ret);
}

bool judge_at(struct slice array, size_t i, struct slice *ret)
{
    return array.n > 0 && member(array, NULL, i, ret);
}

size_t judge_count(struct slice container)
{
    struct slice v;
    size_t n = 0;
    while (judge_at(container, n, &v))
        n++;
    return n;
}

bool judge_text(struct slice v, struct buf *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (v.n < 2 || v.p[0] != '"')
        return false;
    buf_clear(out);
    for (size_t i = 1; i + 1 < v.n; i++) {
        if (v.p[i] != '\\') {
            buf_putc(out, v.p[i]);
            continue;
        }
        i++;
        const char *hit = strchr(from, v.p[i]);
        uint8_t two[2];
        if (hit != NULL) {
            buf_putc(out, to[hit - from]);
        } else if (hex_read(slice_sub(v, i + 1, 4), two, 2)) {
            utf8_put(out, (uint32_t)two[0] << 8 | two[1]);
            i += 4;
        }
    }
    return out->failed == ERR_OK;
}

bool judge_text_is(struct slice object, const char *key, const char *want)
{
    struct slice v;
    struct buf text = BUF_INIT(1 << 16);
    bool same = judge_get(object, key, &v) && judge_text(v, &text) && slice_is(buf_slice(&text), want);
    buf_done(&text);
    return same;
}

int64_t judge_int(struct slice object, const char *key)
{
    struct slice v;
    uint64_t n;
    return judge_get(object, key, &v) && slice_u64(v, 0, INT64_MAX, &n) ? (int64_t)n : -1;
}
