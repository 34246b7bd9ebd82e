/* One value by its kind: a table of what each kind is called and the function that reads it.
 * Invariants: a reader writes its field only when the value is right; numbers are taken from their text, never through
 * floating point; a text field takes a bare number too, for YAML does not ask for quotes around 101001. */
#include "base/doc/internal.h"

enum { WORDS_SHOWN = 400 };

/* Says "'key' must be …, not …" at the value; always false. */
static bool expected(const struct binding *b, const char *en, const char *zh)
{
    const struct doc *n = b->node;
    bool scalar = n->type != DOC_LIST && n->type != DOC_MAP && n->type != DOC_NULL;
    const char *got = shown(b->arena, n->text);

    if (scalar)
        diag_add(b->diags, ERR_INVALID, n->line, n->col, "'%s' must be %s%.0s, not '%s'", "“%s”应为%.0s%s，而不是“%s”",
                 b->key->name, en, zh, got);
    else
        diag_add(b->diags, ERR_INVALID, n->line, n->col, "'%s' must be %s%.0s, not %s%.0s",
                 "“%s”应为%.0s%s，而不是%.0s%s", b->key->name, en, zh, doc_type_name(n->type, LANG_EN),
                 doc_type_name(n->type, LANG_ZH));
    return false;
}

static bool out_of_memory(const struct binding *b)
{
    diag_add(b->diags, ERR_NOMEM, b->node->line, b->node->col, "out of memory", "内存不足");
    return false;
}

static int64_t upper(const struct doc_key *key)
{
    return key->max > 0 ? key->max : INT64_MAX;
}

/* ---- texts ---- */

static bool is_text(const struct doc *n)
{
    return n->type == DOC_STRING || n->type == DOC_NUMBER;
}

static bool length_ok(const struct binding *b, const struct doc *n)
{
    size_t count = utf8_count(n->text);

    if (b->key->max <= 0 || ((int64_t)count >= b->key->min && (int64_t)count <= b->key->max))
        return true;
    diag_add(b->diags, ERR_INVALID, n->line, n->col, "'%s' must have %lld to %lld characters; it has %zu",
             "“%s”的长度应为 %lld 到 %lld 个字符，现为 %zu 个", b->key->name, (long long)b->key->min,
             (long long)b->key->max, count);
    return false;
}

static bool read_str(const struct binding *b)
{
    if (!is_text(b->node))
        return expected(b, "a text (in quotes when it is true, false or null)",
                        "文本（若为 true、false 或 null 须加引号）");
    if (!length_ok(b, b->node))
        return false;
    *(struct slice *)b->at = b->node->text;
    return true;
}

static bool read_ident(const struct binding *b)
{
    if (!is_text(b->node) || !ident_valid(b->node->text))
        return expected(b, "an identifier: a small letter, then up to 62 of a-z, 0-9 and -",
                        "标识符：以小写字母开头，后接至多 62 个 a-z、0-9 或 -");
    *(struct slice *)b->at = b->node->text;
    return true;
}

static bool read_path2(const struct binding *b)
{
    if (!is_text(b->node) || !ident_path_valid(b->node->text))
        return expected(b, "two identifiers and a slash, such as public-security/household",
                        "以斜杠相连的两个标识符，如 public-security/household");
    *(struct slice *)b->at = b->node->text;
    return true;
}

static bool title_map(const struct binding *b, struct doc_title *t)
{
    const struct doc_key keys[] = {
        { .name = "zh",
          .kind = DOC_K_STR,
          .offset = offsetof(struct doc_title, zh),
          .min = b->key->min,
          .max = b->key->max },
        { .name = "en",
          .kind = DOC_K_STR,
          .offset = offsetof(struct doc_title, en),
          .min = b->key->min,
          .max = b->key->max },
        { .name = NULL },
    };

    return doc_bind(b->node, keys, t, b->arena, b->diags) == ERR_OK;
}

static bool read_title(const struct binding *b)
{
    struct doc_title t = { .zh = b->node->text, .en = b->node->text };
    const struct doc *n = b->node;

    if (n->type == DOC_MAP) {
        t = (struct doc_title){ 0 };
        if (!title_map(b, &t))
            return false;
    } else if (!is_text(n)) {
        return expected(b, "a text or {zh: ..., en: ...}", "文本，或 {zh: ..., en: ...}");
    } else if (!length_ok(b, n)) {
        return false;
    }
    if (t.zh.n == 0 && t.en.n == 0)
        return expected(b, "a text that is not empty", "非空文本");
    if (t.zh.n == 0)
        t.zh = t.en;
    if (t.en.n == 0)
        t.en = t.zh;
    *(struct doc_title *)b->at = t;
    return true;
}

static bool read_strs(const struct binding *b)
{
    bool list = b->node->type == DOC_LIST, ok = true;
    size_t n = list ? b->node->count : 1, i = 0;
    struct slice *at = arena_array(b->arena, n ? n : 1, sizeof *at);

    if (!at)
        return out_of_memory(b);
    if (!list && !is_text(b->node))
        return expected(b, "a list of texts", "文本列表");
    if (!list) {
        ok = length_ok(b, b->node);
        at[i] = b->node->text;
    } else {
        DOC_EACH(child, b->node)
        {
            struct binding one = *b;

            one.node = child;
            ok = (is_text(child) ? length_ok(b, child) : expected(&one, "a list of texts", "文本列表")) && ok;
            at[i++] = child->text;
        }
    }
    if (ok)
        *(struct doc_strs *)b->at = (struct doc_strs){ .at = at, .n = n };
    return ok;
}

/* ---- choices ---- */

static bool read_bool(const struct binding *b)
{
    if (b->node->type != DOC_BOOL)
        return expected(b, "true or false", " true 或 false");
    *(bool *)b->at = b->node->flag;
    return true;
}

static const char *enum_word(const void *words, size_t i)
{
    return ((const char *const *)words)[i];
}

static bool read_enum(const struct binding *b)
{
    const char *const *words = b->key->words, *near;
    bool scalar = is_text(b->node) || b->node->type == DOC_BOOL;
    struct buf all = BUF_INIT(WORDS_SHOWN);
    const char *list;

    for (int i = 0; scalar && words[i]; i++)
        if (slice_is(b->node->text, words[i])) {
            *(int *)b->at = i;
            return true;
        }
    for (int i = 0; words[i]; i++)
        buf_printf(&all, "%s%s", i ? " | " : "", words[i]);
    list = arena_str(b->arena, buf_slice(&all));
    buf_done(&all);
    near = scalar ? nearest(b->node->text, enum_word, words) : NULL;
    if (!list)
        return out_of_memory(b);
    if (!near)
        return expected(b, list, list);
    diag_add(b->diags, ERR_INVALID, b->node->line, b->node->col, "'%s' must be %s, not '%s'; did you mean '%s'?",
             "“%s”应为 %s，而不是“%s”；是否想写“%s”？", b->key->name, list, shown(b->arena, b->node->text), near);
    return false;
}

/* ---- numbers ---- */

/* A number with the largest unit that divides it; `units` end with factor 1. */
struct unit {
    const char *suffix;
    int64_t factor;
};

static const char *with_unit(struct arena *a, int64_t v, const struct unit *u)
{
    const char *text;

    while (u->factor > 1 && (v == 0 || v % u->factor != 0))
        u++;
    text = arena_printf(a, "%lld%s", (long long)(v / u->factor), u->suffix);
    return text ? text : "?";
}

static bool between(const struct binding *b, uint64_t v, const struct unit *units)
{
    uint64_t low = b->key->min > 0 ? (uint64_t)b->key->min : 0, high = (uint64_t)upper(b->key);

    if (v >= low && v <= high)
        return true;
    diag_add(b->diags, ERR_INVALID, b->node->line, b->node->col, "'%s' must lie between %s and %s; it is %s",
             "“%s”应在 %s 到 %s 之间，现为 %s", b->key->name, with_unit(b->arena, (int64_t)low, units),
             with_unit(b->arena, (int64_t)high, units), shown(b->arena, b->node->text));
    return false;
}

static bool read_u64(const struct binding *b)
{
    static const struct unit none[] = { { "", 1 } };
    uint64_t v;

    if (b->node->type != DOC_NUMBER || !slice_u64(b->node->text, 0, UINT64_MAX, &v))
        return expected(b, "a whole number", "非负整数");
    if (!between(b, v, none))
        return false;
    *(uint64_t *)b->at = v;
    return true;
}

static bool read_duration(const struct binding *b)
{
    static const struct unit units[] = {
        { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 }
    };
    int64_t v;

    if (b->node->type != DOC_STRING || !clock_parse_duration(b->node->text, &v))
        return expected(b, "a duration with its unit, such as 250ms, 5s, 2m, 12h or 30d",
                        "带单位的时长，如 250ms、5s、2m、12h 或 30d");
    if (!between(b, (uint64_t)v, units))
        return false;
    *(int64_t *)b->at = v;
    return true;
}

static const struct unit byte_units[] = { { "g", 1 << 30 }, { "m", 1 << 20 }, { "k", 1 << 10 }, { "", 1 } };

static bool parse_bytes(struct slice s, uint64_t *ret)
{
    const struct unit *u = byte_units;
    uint64_t v;

    while (u->factor > 1 && !(s.n > 1 && (s.p[s.n - 1] | 0x20) == u->suffix[0]))
        u++;
    if (u->factor > 1)
        s.n--;
    if (!slice_u64(s, 0, (uint64_t)(INT64_MAX / u->factor), &v))
        return false;
    *ret = v * (uint64_t)u->factor;
    return true;
}

static bool read_bytes(const struct binding *b)
{
    uint64_t v;

    if (!is_text(b->node) || !parse_bytes(b->node->text, &v))
        return expected(b, "a number of bytes, such as 512, 16k, 4m or 1g", "字节数，如 512、16k、4m 或 1g");
    if (!between(b, v, byte_units))
        return false;
    *(uint64_t *)b->at = v;
    return true;
}

/* ---- dates ---- */

static bool read_date(const struct binding *b)
{
    int32_t days;

    if (b->node->type != DOC_STRING || !clock_parse_date(b->node->text, &days))
        return expected(b, "a date such as 2026-11-22", "日期，如 2026-11-22");
    *(int32_t *)b->at = days;
    return true;
}

static bool read_time(const struct binding *b)
{
    int64_t ms;

    if (b->node->type != DOC_STRING || !clock_parse(b->node->text, &ms))
        return expected(b, "a time with its offset, such as 2026-11-22T09:30:00+08:00",
                        "带时区的时间，如 2026-11-22T09:30:00+08:00");
    *(int64_t *)b->at = ms;
    return true;
}

/* ---- nodes ---- */

static bool read_node(const struct binding *b)
{
    *(const struct doc **)b->at = b->node;
    return true;
}

static bool read_map(const struct binding *b)
{
    return b->node->type == DOC_MAP ? read_node(b) : expected(b, "keys with values", "键值对");
}

static bool read_list(const struct binding *b)
{
    return b->node->type == DOC_LIST ? read_node(b) : expected(b, "a list", "列表");
}

static bool (*const readers[])(const struct binding *) = {
    [DOC_K_STR] = read_str,   [DOC_K_IDENT] = read_ident, [DOC_K_PATH2] = read_path2,       [DOC_K_TITLE] = read_title,
    [DOC_K_BOOL] = read_bool, [DOC_K_U64] = read_u64,     [DOC_K_DURATION] = read_duration, [DOC_K_BYTES] = read_bytes,
    [DOC_K_DATE] = read_date, [DOC_K_TIME] = read_time,   [DOC_K_ENUM] = read_enum,         [DOC_K_STRS] = read_strs,
    [DOC_K_NODE] = read_node, [DOC_K_MAP] = read_map,     [DOC_K_LIST] = read_list,
};

bool bind_value(const struct binding *b)
{
    return readers[b->key->kind](b);
}
