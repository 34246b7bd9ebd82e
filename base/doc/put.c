/* Writing trees. Invariants: what doc_put_yaml writes reads back as the same tree: a text stands without quotes only
 * when no YAML reader, ours or another's, could take it for something else; numbers are written as they were read. */
#include "base/doc/internal.h"

/* ---- JSON ---- */

void doc_put_json(const struct doc *node, struct json *j)
{
    bool map = node->type == DOC_MAP;

    if (node->type == DOC_LIST || map) {
        json_open(j, map ? '{' : '[');
        DOC_EACH(child, node)
        {
            if (map)
                json_key_slice(j, child->key);
            doc_put_json(child, j);
        }
        json_close(j, map ? '}' : ']');
    } else if (node->type == DOC_STRING) {
        json_str(j, node->text);
    } else if (node->type == DOC_NUMBER) {
        json_raw(j, node->text);
    } else if (node->type == DOC_BOOL) {
        json_bool(j, node->flag);
    } else {
        json_null(j);
    }
}

static void indent(struct buf *out, unsigned n)
{
    for (; n > 0; n--)
        buf_putc(out, ' ');
}

static void put_scalar(const struct doc *node, struct buf *out)
{
    struct json j;

    json_init(&j, out);
    doc_put_json(node, &j);
}

static void pretty(const struct doc *node, struct buf *out, unsigned at)
{
    bool map = node->type == DOC_MAP;

    if ((node->type != DOC_LIST && !map) || node->count == 0) {
        put_scalar(node, out);
        return;
    }
    buf_puts(out, map ? "{\n" : "[\n");
    DOC_EACH(child, node)
    {
        indent(out, at + 2);
        if (map) {
            buf_putc(out, '"');
            json_escape(out, child->key);
            buf_puts(out, "\": ");
        }
        pretty(child, out, at + 2);
        buf_puts(out, child->next ? ",\n" : "\n");
    }
    indent(out, at);
    buf_putc(out, map ? '}' : ']');
}

void doc_put_json_pretty(const struct doc *node, struct buf *out)
{
    pretty(node, out, 0);
    buf_putc(out, '\n');
}

/* ---- YAML texts ---- */

/* Words that YAML 1.1 readers take for something else than a text. */
static bool other_readers_word(struct slice s)
{
    static const char *const words[] = { "yes", "no", "on", "off", "y", "n", "true", "false", "null", "nan", "inf" };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_eq_nocase(s, slice_of(words[i])))
            return true;
    return false;
}

/* Printable in YAML, no line break, no byte order mark, no blank that looks like one: may stand as it is. */
static bool bare_char(uint32_t c)
{
    return (c >= 0x20 && c <= 0x7e) || (c >= 0xa1 && c <= 0xd7ff && c != 0x2028 && c != 0x2029) ||
           (c >= 0xe000 && c <= 0xfffd && c != 0xfeff) || c >= 0x10000;
}

static bool bare_first(uint32_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '/' || c > 0x7f;
}

static bool bare(struct slice s)
{
    if (s.n == 0 || other_readers_word(s) || !bare_first(utf8_at(s, 0)) || s.p[s.n - 1] == ' ' || s.p[s.n - 1] == ':')
        return false;
    for (size_t i = 0; i < s.n; i = utf8_next(s, i)) {
        uint32_t c = utf8_at(s, i);
        bool colon = c == ':' && s.p[i + 1] == ' ', hash = c == '#' && i > 0 && s.p[i - 1] == ' ';

        if (!bare_char(c) || colon || hash || (c < 0x80 && memchr("[]{},\"'`&*!|>%@?", (int)c, 16)))
            return false;
    }
    return true;
}

static void quote_char(struct buf *out, struct slice s, size_t at)
{
    uint32_t c = utf8_at(s, at);

    if (c == '"' || c == '\\')
        buf_printf(out, "\\%c", (int)c);
    else if (c == '\n')
        buf_puts(out, "\\n");
    else if (c == '\t')
        buf_puts(out, "\\t");
    else if (!bare_char(c))
        buf_printf(out, "\\u%04x", c);
    else
        buf_put(out, slice_sub(s, at, utf8_next(s, at) - at));
}

static void put_text(struct buf *out, struct slice s)
{
    if (bare(s)) {
        buf_put(out, s);
        return;
    }
    buf_putc(out, '"');
    for (size_t i = 0; i < s.n; i = utf8_next(s, i))
        quote_char(out, s, i);
    buf_putc(out, '"');
}

/* A text of several lines that a literal block gives back unchanged: no line begins with a blank or is only blanks, all
 * characters are bare, at most one line break at the end. */
static bool is_block(struct slice s)
{
    bool line_start = true;

    if (s.n < 2 || slice_find(s, '\n') >= s.n - 1 || s.p[0] == '\n' || slice_ends(s, SLICE("\n\n")))
        return false;
    for (size_t i = 0; i < s.n; i = utf8_next(s, i)) {
        uint32_t c = utf8_at(s, i);

        if (c != '\n' && (!bare_char(c) || (line_start && c == ' ')))
            return false;
        line_start = c == '\n';
    }
    return true;
}

static void put_block(struct buf *out, struct slice s, unsigned at)
{
    buf_puts(out, slice_ends(s, SLICE("\n")) ? "|\n" : "|-\n");
    while (s.n > 0) {
        struct slice line = slice_cut(&s, '\n');

        if (line.n)
            indent(out, at);
        buf_put(out, line);
        buf_putc(out, '\n');
    }
}

/* ---- YAML ---- */

enum { KEY_SIMPLE_MAX = 200 }; /* libyaml takes a key of at most 1024 characters before its ':' */

static void put_members(const struct doc *node, struct buf *out, unsigned at, bool here);

/* What stands behind "key:" or "-": the rest of the line and what hangs below it. */
static void put_below(const struct doc *node, struct buf *out, unsigned at, bool in_list)
{
    bool container = node->type == DOC_LIST || node->type == DOC_MAP;

    if (container && node->count > 0) {
        buf_putc(out, in_list ? ' ' : '\n');
        put_members(node, out, at, in_list);
        return;
    }
    buf_putc(out, ' ');
    if (node->type == DOC_STRING && at > 0 && is_block(node->text)) {
        put_block(out, node->text, at);
        return;
    }
    if (node->type == DOC_STRING)
        put_text(out, node->text);
    else
        put_scalar(node, out); /* {} and [] too */
    buf_putc(out, '\n');
}

static void put_key(struct buf *out, struct slice key, unsigned at)
{
    if (key.n <= KEY_SIMPLE_MAX) {
        put_text(out, key);
        buf_putc(out, ':');
        return;
    }
    buf_puts(out, "? ");
    put_text(out, key);
    buf_putc(out, '\n');
    indent(out, at);
    buf_putc(out, ':');
}

/* The members of a map or list that is not empty, each on lines of its own; `here`: the first stands on this line. */
static void put_members(const struct doc *node, struct buf *out, unsigned at, bool here)
{
    DOC_EACH(child, node)
    {
        if (!here)
            indent(out, at);
        here = false;
        if (node->type == DOC_MAP)
            put_key(out, child->key, at);
        else
            buf_putc(out, '-');
        put_below(child, out, at + 2, node->type == DOC_LIST);
    }
}

void doc_put_yaml(const struct doc *node, struct buf *out)
{
    if ((node->type == DOC_LIST || node->type == DOC_MAP) && node->count > 0) {
        put_members(node, out, 0, false);
        return;
    }
    if (node->type == DOC_STRING)
        put_text(out, node->text);
    else
        put_scalar(node, out);
    buf_putc(out, '\n');
}
