/* Building a tree, and reading one. Invariants: a node is linked to its parent as soon as it is made; the keys of a map
 * are compared when it is closed, so that a map of n keys costs n log n. */
#include "base/doc/internal.h"
#include <stdlib.h>

void place_move(struct place *p, size_t at)
{
    for (; p->at < at && p->at < p->text.n; p->at++) {
        unsigned char c = (unsigned char)p->text.p[p->at];

        if (c == '\n') {
            p->line++;
            p->col = 1;
        } else if ((c & 0xc0) != 0x80) {
            p->col++;
        }
    }
}

bool tree_init(struct tree *t, struct arena *a, struct diags *d)
{
    *t = (struct tree){ .arena = a, .diags = d };
    t->levels[0].node = arena_zalloc(a, sizeof(struct doc));
    if (!t->levels[0].node)
        return tree_no_room(t, 0, 0);
    t->levels[0].node->type = DOC_LIST;
    t->levels[0].node->line = t->levels[0].node->col = 1;
    return true;
}

static bool fail(struct tree *t, enum err e)
{
    t->failed = e;
    return false;
}

bool tree_no_room(struct tree *t, unsigned line, unsigned col)
{
    if (!t->arena->capped)
        return fail(t, diag_add(t->diags, ERR_NOMEM, 0, 0, "out of memory", "内存不足"));
    return fail(t, diag_add(t->diags, ERR_TOO_LARGE, line, col, "the document needs more memory than it may have",
                            "文档所需内存超出上限"));
}

enum err tree_result(const struct tree *t)
{
    return t->failed != ERR_OK ? t->failed : t->worst;
}

bool tree_key(struct tree *t, struct slice key, unsigned line, unsigned col)
{
    struct level *l = &t->levels[t->depth];

    l->key = arena_dup(t->arena, key);
    if (key.n && !l->key.p)
        return tree_no_room(t, line, col);
    l->key_line = line;
    l->key_col = col;
    l->has_key = true;
    return true;
}

static struct doc *add(struct tree *t, enum doc_type type, unsigned line, unsigned col)
{
    struct level *l = &t->levels[t->depth];
    struct doc *node;

    if (++t->nodes > DOC_NODES_MAX) {
        fail(t, diag_add(t->diags, ERR_TOO_LARGE, line, col, "more than %d values in one file",
                         "一个文件中的值超过 %d 个", DOC_NODES_MAX));
        return NULL;
    }
    node = arena_zalloc(t->arena, sizeof *node);
    if (!node) {
        tree_no_room(t, line, col);
        return NULL;
    }
    *node = (struct doc){ .type = type, .line = line, .col = col };
    if (l->has_key) {
        node->key = l->key;
        node->key_line = l->key_line;
        node->key_col = l->key_col;
        l->has_key = false;
    }
    if (l->last)
        l->last->next = node;
    else
        l->node->first = node;
    l->last = node;
    l->node->count++;
    return node;
}

bool tree_scalar(struct tree *t, enum doc_type type, struct slice text, unsigned line, unsigned col)
{
    struct doc *node = add(t, type, line, col);

    if (!node)
        return false;
    node->text = arena_dup(t->arena, text);
    if (text.n && !node->text.p)
        return tree_no_room(t, line, col);
    node->flag = type == DOC_BOOL && slice_is(text, "true");
    return true;
}

bool tree_open(struct tree *t, enum doc_type type, unsigned line, unsigned col)
{
    struct doc *node;

    if (t->depth == DOC_DEPTH_MAX)
        return fail(t, diag_add(t->diags, ERR_TOO_LARGE, line, col, "nested deeper than %d levels", "嵌套超过 %d 层",
                                DOC_DEPTH_MAX));
    node = add(t, type, line, col);
    if (node)
        t->levels[++t->depth] = (struct level){ .node = node };
    return node != NULL;
}

/* ---- duplicate keys ---- */

static int by_key(const void *a, const void *b)
{
    const struct doc *x = *(const struct doc *const *)a, *y = *(const struct doc *const *)b;
    int c = slice_cmp(x->key, y->key);

    if (c == 0)
        c = (x->key_line > y->key_line) - (x->key_line < y->key_line);
    return c ? c : (x->key_col > y->key_col) - (x->key_col < y->key_col);
}

static bool keys_unique(struct tree *t, const struct doc *map)
{
    const struct doc **keys = arena_array(t->arena, map->count, sizeof *keys);
    unsigned n = 0;

    if (!keys)
        return tree_no_room(t, map->line, map->col);
    DOC_EACH(child, map)
    keys[n++] = child;
    qsort(keys, n, sizeof *keys, by_key);
    for (unsigned i = 1; i < n; i++)
        if (slice_eq(keys[i]->key, keys[i - 1]->key))
            t->worst = diag_add(t->diags, ERR_INVALID, keys[i]->key_line, keys[i]->key_col,
                                "the key '%s' stands here again, first in line %u; keep one of them",
                                "键“%s”重复出现（首次在第 %u 行），请只保留一个", shown(t->arena, keys[i]->key),
                                keys[i - 1]->key_line);
    return true;
}

bool tree_close(struct tree *t)
{
    const struct doc *node = t->levels[t->depth--].node;

    return node->type != DOC_MAP || node->count < 2 || keys_unique(t, node);
}

/* ---- text ---- */

bool tree_check_text(struct tree *t, struct slice *text)
{
    struct place p;
    size_t at = 0;

    if (slice_starts(*text, SLICE("\xef\xbb\xbf")))
        *text = slice_sub(*text, 3, text->n);
    if (utf8_valid(*text))
        return true;
    while (at < text->n) {
        unsigned char c = (unsigned char)text->p[at];
        size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

        if (!utf8_valid(slice_sub(*text, at, n)))
            break;
        at += n;
    }
    p = (struct place){ .text = *text, .line = 1, .col = 1 };
    place_move(&p, at);
    return fail(t, diag_add(t->diags, ERR_SYNTAX, p.line, p.col,
                            "this is not UTF-8; save the file as UTF-8 (it may be GBK)",
                            "此处不是 UTF-8 编码（可能是 GBK），请将文件另存为 UTF-8"));
}

static size_t digits(struct slice s, size_t at)
{
    size_t n = at;

    while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
        n++;
    return n - at;
}

size_t number_span(struct slice s)
{
    size_t at = s.n > 0 && s.p[0] == '-', n = digits(s, at);

    if (n == 0)
        return 0;
    at += s.p[at] == '0' ? 1 : n;
    if (at < s.n && s.p[at] == '.') {
        n = digits(s, at + 1);
        if (n == 0)
            return 0;
        at += 1 + n;
    }
    if (at < s.n && (s.p[at] == 'e' || s.p[at] == 'E')) {
        at++;
        if (at < s.n && (s.p[at] == '+' || s.p[at] == '-'))
            at++;
        n = digits(s, at);
        if (n == 0)
            return 0;
        at += n;
    }
    return at;
}

enum doc_type plain_type(struct slice s)
{
    static const struct {
        const char *word;
        enum doc_type type;
    } words[] = {
        { "", DOC_NULL }, { "~", DOC_NULL }, { "null", DOC_NULL }, { "true", DOC_BOOL }, { "false", DOC_BOOL },
    };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_is(s, words[i].word))
            return words[i].type;
    return number_span(s) == s.n ? DOC_NUMBER : DOC_STRING;
}

const char *shown(struct arena *a, struct slice s)
{
    enum { SHOWN_MAX = 60 };
    size_t n = 0;
    bool cut = false;
    char *p;

    while (n < s.n && !cut) {
        size_t next = utf8_next(s, n);

        cut = next > SHOWN_MAX;
        if (!cut)
            n = next;
    }
    p = arena_alloc(a, n + sizeof "…");
    if (!p)
        return "?";
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool c1 = c == 0xc2 && i + 1 < n && (unsigned char)s.p[i + 1] < 0xa0;

        p[i] = c < 0x20 || c == 0x7f ? '?' : s.p[i];
        if (c1) { /* U+0080..U+009F drive terminals, too: two harmless bytes for two */
            p[i] = '?';
            p[++i] = '?';
        }
    }
    memcpy(p + n, cut ? "…" : "", cut ? sizeof "…" : 1);
    return p;
}

/* ---- reading a tree ---- */

const struct doc *doc_get_slice(const struct doc *map, struct slice key)
{
    if (!map || map->type != DOC_MAP)
        return NULL;
    DOC_EACH(child, map)
    if (slice_eq(child->key, key))
        return child;
    return NULL;
}

const struct doc *doc_get(const struct doc *map, const char *key)
{
    return doc_get_slice(map, slice_of(key));
}

struct slice doc_text(const struct doc *map, const char *key)
{
    const struct doc *node = doc_get(map, key);

    if (!node || node->type == DOC_NULL || node->type == DOC_LIST || node->type == DOC_MAP)
        return (struct slice){ NULL, 0 };
    return node->text;
}

bool doc_flag(const struct doc *map, const char *key)
{
    const struct doc *node = doc_get(map, key);

    return node && node->type == DOC_BOOL && node->flag;
}

uint64_t doc_u64(const struct doc *map, const char *key, uint64_t otherwise)
{
    const struct doc *node = doc_get(map, key);
    uint64_t v;

    return node && node->type == DOC_NUMBER && slice_u64(node->text, 0, UINT64_MAX, &v) ? v : otherwise;
}

const char *doc_type_name(enum doc_type t, enum lang lang)
{
    static const char *const names[][2] = {
        [DOC_NULL] = { "nothing", "空值" },    [DOC_BOOL] = { "true or false", "布尔值" },
        [DOC_NUMBER] = { "a number", "数字" }, [DOC_STRING] = { "a text", "文本" },
        [DOC_LIST] = { "a list", "列表" },     [DOC_MAP] = { "a map", "映射" },
    };

    return names[t][lang];
}
