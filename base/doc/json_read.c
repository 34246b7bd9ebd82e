/* JSON by RFC 8259 into a tree that keeps places (decision 002).
 * Invariants: reading ends at the first character that does not fit; everything between `at` and the end is unread; the
 * text is valid UTF-8 before the first token is read, and so is every string that comes out (a lone surrogate is
 * refused); recursion is bounded by the tree's depth. */
#include "base/doc/internal.h"

struct reader {
    struct tree *tree;
    struct slice text;
    size_t at;
    struct place place;
};

static bool value(struct reader *r);

static bool bad(struct reader *r, const char *en, const char *zh)
{
    place_move(&r->place, r->at);
    if (r->at >= r->text.n) {
        en = "the text ends too early";
        zh = "文本提前结束";
    }
    r->tree->failed = diag_add(r->tree->diags, ERR_SYNTAX, r->place.line, r->place.col, "not JSON: %s%.0s",
                               "JSON 格式错误：%.0s%s", en, zh);
    return false;
}

static int peek(struct reader *r)
{
    while (r->at < r->text.n && memchr(" \t\r\n", r->text.p[r->at], 4))
        r->at++;
    return r->at < r->text.n ? (unsigned char)r->text.p[r->at] : -1;
}

/* ---- strings ---- */

static bool hex4(struct slice s, size_t at, uint32_t *ret)
{
    uint8_t b[2];

    if (s.n < at + 4 || !hex_read(slice_sub(s, at, 4), b, 2))
        return false;
    *ret = (uint32_t)b[0] << 8 | b[1];
    return true;
}

/* The code point of the \u at `at` (behind the u), a pair of surrogates included; *used counts what was read. */
static bool unicode(struct slice s, size_t at, uint32_t *ret, size_t *used)
{
    uint32_t low;

    if (!hex4(s, at, ret) || (*ret >= 0xdc00 && *ret <= 0xdfff))
        return false;
    *used = 4;
    if (*ret < 0xd800 || *ret > 0xdbff)
        return true;
    if (!slice_starts(slice_sub(s, at + 4, 2), SLICE("\\u")) || !hex4(s, at + 6, &low) || low < 0xdc00 || low > 0xdfff)
        return false;
    *ret = 0x10000 + ((*ret - 0xd800) << 10) + (low - 0xdc00);
    *used = 10;
    return true;
}

static size_t utf8_write(char *to, uint32_t c)
{
    static const uint8_t heads[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

    for (size_t i = n; i-- > 1; c >>= 6)
        to[i] = (char)(0x80 | (c & 0x3f));
    to[0] = (char)(heads[n] | c);
    return n;
}

static const char simple[128] = {
    ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t',
};

/* One escape at r->at (the backslash) to to[*n]. */
static bool escape(struct reader *r, char *to, size_t *n)
{
    unsigned char c = r->at + 1 < r->text.n ? (unsigned char)r->text.p[r->at + 1] : 0;
    uint32_t code;
    size_t used;

    if (c == 'u') {
        if (!unicode(r->text, r->at + 2, &code, &used))
            return bad(r, "\\u needs four hex digits, and surrogates come in pairs",
                       "\\u 后须有四位十六进制数，代理项须成对");
        *n += utf8_write(to + *n, code);
        r->at += 2 + used;
        return true;
    }
    if (c >= 128 || !simple[c])
        return bad(r, "unknown escape after \\", "\\ 后的转义无法识别");
    to[(*n)++] = simple[c];
    r->at += 2;
    return true;
}

/* Length of the string's inside, or r->text.n when it does not end. */
static size_t inside(const struct reader *r)
{
    size_t i = r->at + 1;

    while (i < r->text.n && r->text.p[i] != '"')
        i += r->text.p[i] == '\\' ? 2 : 1;
    return (i < r->text.n ? i : r->text.n) - r->at - 1;
}

/* The string at r->at, decoded into the arena: never longer than it was written. */
static bool string(struct reader *r, struct slice *ret)
{
    size_t n = 0;
    char *to = arena_alloc(r->tree->arena, inside(r) + 1);

    if (!to)
        return tree_no_room(r->tree, r->place.line, r->place.col);
    for (r->at++; r->at < r->text.n && r->text.p[r->at] != '"';) {
        unsigned char c = (unsigned char)r->text.p[r->at];

        if (c < 0x20)
            return bad(r, "a control character or line break inside a string; write it as \\n, \\t or \\u00XX",
                       "字符串中有控制字符或换行，请写成 \\n、\\t 或 \\u00XX");
        if (c != '\\') {
            to[n++] = (char)c;
            r->at++;
        } else if (!escape(r, to, &n)) {
            return false;
        }
    }
    if (r->at >= r->text.n)
        return bad(r, "", "");
    r->at++;
    *ret = slice_make(to, n);
    return true;
}

/* ---- values ---- */

static bool string_value(struct reader *r, unsigned line, unsigned col)
{
    struct slice s;

    return string(r, &s) && tree_scalar(r->tree, DOC_STRING, s, line, col);
}

static bool word_or_number(struct reader *r, unsigned line, unsigned col)
{
    static const struct {
        struct slice word;
        enum doc_type type;
    } words[] = { { SLICE("true"), DOC_BOOL }, { SLICE("false"), DOC_BOOL }, { SLICE("null"), DOC_NULL } };
    struct slice rest = slice_sub(r->text, r->at, r->text.n);
    enum doc_type type = DOC_NUMBER;
    size_t n = number_span(rest);

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_starts(rest, words[i].word)) {
            n = words[i].word.n;
            type = words[i].type;
        }
    if (n == 0)
        return bad(
            r, "a value is expected here: an object, a list, a number, true, false, null or a text in double quotes",
            "此处应为一个值：对象、列表、数字、true、false、null 或双引号中的文本");
    r->at += n;
    return tree_scalar(r->tree, type, slice_sub(rest, 0, n), line, col);
}

static bool member_key(struct reader *r)
{
    struct slice key;
    unsigned line, col;

    if (peek(r) != '"')
        return bad(r, "a key in double quotes is expected here", "此处应为双引号中的键");
    place_move(&r->place, r->at);
    line = r->place.line;
    col = r->place.col;
    if (!string(r, &key) || !tree_key(r->tree, key, line, col))
        return false;
    if (peek(r) != ':')
        return bad(r, "':' is expected behind the key", "键之后应为“:”");
    r->at++;
    return true;
}

static bool container(struct reader *r, enum doc_type type, char end, unsigned line, unsigned col)
{
    if (!tree_open(r->tree, type, line, col))
        return false;
    r->at++;
    if (peek(r) == end) {
        r->at++;
        return tree_close(r->tree);
    }
    for (;;) {
        int c;

        if ((type == DOC_MAP && !member_key(r)) || !value(r))
            return false;
        c = peek(r);
        if (c != ',' && c != end)
            return bad(r, type == DOC_MAP ? "',' or '}' is expected here" : "',' or ']' is expected here",
                       type == DOC_MAP ? "此处应为“,”或“}”" : "此处应为“,”或“]”");
        r->at++;
        if (c == end)
            return tree_close(r->tree);
    }
}

static bool value(struct reader *r)
{
    int c = peek(r);
    unsigned line, col;

    place_move(&r->place, r->at);
    line = r->place.line;
    col = r->place.col;
    if (c == '{')
        return container(r, DOC_MAP, '}', line, col);
    if (c == '[')
        return container(r, DOC_LIST, ']', line, col);
    if (c == '"')
        return string_value(r, line, col);
    return word_or_number(r, line, col);
}

enum err doc_read_json(struct slice text, struct arena *a, struct diags *d, const struct doc **ret)
{
    struct tree t;
    struct reader r = { .tree = &t };

    if (!tree_init(&t, a, d) || !tree_check_text(&t, &text))
        return t.failed;
    r.text = text;
    r.place = (struct place){ .text = text, .line = 1, .col = 1 };
    if (value(&r) && peek(&r) >= 0)
        bad(&r, "something follows the value", "值之后还有多余内容");
    if (tree_result(&t) == ERR_OK)
        *ret = t.levels[0].node->first;
    return tree_result(&t);
}
