/* Binding a map to a struct by a table. Invariants: each row and each member is looked at once, whatever failed before,
 * so that a person sees all problems of a file together; the defaults go through the same checks as what is written. */
#include "base/doc/internal.h"

enum { ADVICE_MAX = 100 };

/* ---- did you mean ---- */

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c == '-' ? '_' : c;
}

/* Edits between two short words: insert, delete, replace, swap of neighbours; case and - against _ cost nothing. */
static size_t edits(struct slice a, struct slice b)
{
    enum { ROOM = 65 };
    size_t rows[3][ROOM], *before = rows[0], *last = rows[1], *row = rows[2], *spare;

    if (a.n >= ROOM || b.n >= ROOM)
        return ROOM;
    for (size_t j = 0; j <= b.n; j++)
        before[j] = last[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            bool same = fold(a.p[i - 1]) == fold(b.p[j - 1]);
            size_t best = last[j - 1] + !same;

            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && fold(a.p[i - 1]) == fold(b.p[j - 2]) && fold(a.p[i - 2]) == fold(b.p[j - 1]) &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[b.n];
}

const char *nearest(struct slice word, const char *(*word_at)(const void *words, size_t i), const void *words)
{
    const char *best = NULL, *w;
    size_t least = word.n / 3 + 1;

    if (least > 3)
        least = 3;
    for (size_t i = 0; (w = word_at(words, i)) != NULL; i++) {
        size_t n = edits(word, slice_of(w));

        if (n < least || (n == least && !best)) {
            least = n;
            best = w;
        }
    }
    return best;
}

/* ---- keys ---- */

static const struct doc_key *row_of(const struct doc_key *keys, struct slice name)
{
    for (; keys->name; keys++)
        if (slice_is(name, keys->name))
            return keys;
    return NULL;
}

static const char *known_key(const void *words, size_t i)
{
    return ((const struct doc_key *)words)[i].name;
}

static const char *all_keys(const struct doc_key *keys, struct arena *a)
{
    struct buf b = BUF_INIT(4000);
    const char *text;

    for (; keys->name; keys++)
        if (!(keys->flags & DOC_LATER))
            buf_printf(&b, "%s%s", b.n ? ", " : "", keys->name);
    text = arena_str(a, buf_slice(&b));
    buf_done(&b);
    return text ? text : "";
}

static void unknown_key(const struct doc *node, const struct doc_key *keys, struct arena *a, struct diags *d)
{
    const char *near, *name;

    if (!d || d->count >= ADVICE_MAX) { /* a hostile map is counted, not advised */
        diag_add(d, ERR_INVALID, node->key_line, node->key_col, "unknown key", "未知的键");
        return;
    }
    near = nearest(node->key, known_key, keys);
    name = shown(a, node->key);
    if (near)
        diag_add(d, ERR_INVALID, node->key_line, node->key_col, "unknown key '%s'; did you mean '%s'?",
                 "未知的键“%s”，是否想写“%s”？", name, near);
    else
        diag_add(d, ERR_INVALID, node->key_line, node->key_col, "unknown key '%s'; the keys here are: %s",
                 "未知的键“%s”，此处可用的键：%s", name, all_keys(keys, a));
}

/* The row's default as a node, read as if it stood in the file. */
static const struct doc *default_of(const struct doc_key *key, struct arena *a)
{
    const struct doc *list = NULL;
    struct doc *node;

    if (key->kind >= DOC_K_STRS)
        return doc_read_yaml(slice_of(key->otherwise), a, NULL, &list) == ERR_OK ? list->first : NULL;
    node = arena_zalloc(a, sizeof *node);
    if (node) {
        node->text = slice_of(key->otherwise);
        node->type = key->kind <= DOC_K_TITLE ? DOC_STRING : plain_type(node->text);
        node->flag = slice_is(node->text, "true");
    }
    return node;
}

static bool missing(const struct doc *map, const struct doc_key *key, struct diags *d)
{
    bool help = key->help[LANG_EN] && key->help[LANG_ZH];

    diag_add(d, ERR_INVALID, map ? map->line : 0, map ? map->col : 0, "'%s' is missing%s%s%.0s", "缺少“%s”%s%.0s%s",
             key->name, help ? ": " : "", help ? key->help[LANG_EN] : "", help ? key->help[LANG_ZH] : "");
    return false;
}

static bool bind_row(const struct doc *map, const struct doc_key *key, void *out, struct arena *a, struct diags *d)
{
    struct binding b = { .key = key, .at = (char *)out + key->offset, .arena = a, .diags = d };

    b.node = doc_get(map, key->name);
    if (b.node && (key->flags & DOC_LATER)) {
        diag_add(d, ERR_UNSUPPORTED, b.node->key_line, b.node->key_col, "'%s' is not supported yet; leave it out",
                 "尚不支持“%s”，请删去", key->name);
        return false;
    }
    if (b.node)
        return bind_value(&b);
    if (key->flags & DOC_REQUIRED)
        return missing(map, key, d);
    if (!key->otherwise)
        return true;
    b.node = default_of(key, a);
    if (!b.node) {
        diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
        return false;
    }
    return bind_value(&b);
}

enum err doc_bind(const struct doc *map, const struct doc_key *keys, void *out, struct arena *a, struct diags *d)
{
    bool ok = true;

    if (map && map->type != DOC_MAP && map->type != DOC_NULL)
        return diag_add(d, ERR_INVALID, map->line, map->col, "keys with values are expected here, not %s%.0s",
                        "此处应为键值对，而不是%.0s%s", doc_type_name(map->type, LANG_EN),
                        doc_type_name(map->type, LANG_ZH));
    DOC_EACH(child, map)
    {
        if (!row_of(keys, child->key)) {
            unknown_key(child, keys, a, d);
            ok = false;
        }
    }
    for (; keys->name; keys++)
        ok = bind_row(map, keys, out, a, d) && ok;
    return ok ? ERR_OK : ERR_INVALID;
}
