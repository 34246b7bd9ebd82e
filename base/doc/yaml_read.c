/* YAML into a tree, from libyaml's events. Invariants: anchors, aliases and tags never have an effect, they are refused
 * by name and reading goes on, so that one run shows them all; nothing is kept of libyaml's memory after the call. */
#include "base/doc/internal.h"
#include <yaml.h>

static const struct {
    const char *en, *zh;
} no_tags = { "%TAG is not allowed", "不允许使用 %TAG 指令" };

struct yaml {
    struct tree *tree;
    struct slice text;
};

struct mark {
    unsigned line, col;
};

static struct mark mark_of(yaml_mark_t m)
{
    return (struct mark){ (unsigned)m.line + 1, (unsigned)m.column + 1 };
}

/* ---- what libyaml says, and what to do about it ---- */

static const struct {
    const char *problem; /* how libyaml's text begins */
    const char *en, *zh;
} remedies[] = {
    { "found character that cannot start", "put the text in quotes; indent with blanks, not tabs",
      "请给文本加引号；缩进用空格而非制表符" },
    { "found a tab", "indent with blanks, not tabs", "缩进用空格而非制表符" },
    { "mapping values are not allowed", "check the indentation, or put a text that holds ': ' in quotes",
      "请检查缩进；含“: ”的文本须加引号" },
    { "did not find expected key", "check the indentation of this line and the one above", "请检查本行及上一行的缩进" },
    { "could not find expected ':'", "a ':' is missing behind the key above", "上面的键后缺少“:”" },
    { "did not find expected ',' or", "a ',' or a closing bracket is missing", "缺少“,”或右括号" },
    { "found unexpected end of stream", "a quote is not closed", "引号没有闭合" },
    { "found unknown escape", "write a backslash as \\\\, or use single quotes", "反斜杠请写成 \\\\，或改用单引号" },
    { "did not find expected '-'", "check the indentation of the list", "请检查列表的缩进" },
    { "did not find expected <document start>", "separate documents by a line ---", "多个文档之间用 --- 行分隔" },
    { "control characters are not allowed", "remove it, or write it as an escape in double quotes",
      "请删除，或在双引号中用转义表示" },
    { NULL, "check the lines around it", "请检查附近各行" },
};

static void syntax(struct yaml *y, const yaml_parser_t *p)
{
    const char *problem = p->problem ? p->problem : "unreadable";
    struct mark m = mark_of(p->problem_mark);
    size_t i = 0;

    if (p->error == YAML_MEMORY_ERROR) {
        y->tree->failed = diag_add(y->tree->diags, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
        return;
    }
    if (p->error == YAML_READER_ERROR) { /* has an offset and no mark */
        struct place place = { .text = y->text, .line = 1, .col = 1 };

        place_move(&place, p->problem_offset);
        m = (struct mark){ place.line, place.col };
    }
    while (remedies[i].problem && strncmp(problem, remedies[i].problem, strlen(remedies[i].problem)) != 0)
        i++;
    y->tree->failed = diag_add(y->tree->diags, ERR_SYNTAX, m.line, m.col, "not YAML: %s; %s%.0s",
                               "YAML 格式错误（%s）：%.0s%s", problem, remedies[i].en, remedies[i].zh);
}

static void refuse(struct yaml *y, struct mark m, const char *en, const char *zh)
{
    y->tree->worst = diag_add(y->tree->diags, ERR_UNSUPPORTED, m.line, m.col, "%s%.0s", "%.0s%s", en, zh);
}

static void refuse_extras(struct yaml *y, struct mark m, const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor)
        refuse(y, m, "anchors (&) are not allowed; write the value again where it is needed",
               "不允许使用锚点（&），请在需要处重写该值");
    if (tag)
        refuse(y, m, "tags (!) are not allowed; a text that begins with ! stands in quotes",
               "不允许使用标签（!），以 ! 开头的文本须加引号");
}

/* ---- events ---- */

static bool wants_key(const struct yaml *y)
{
    const struct level *l = &y->tree->levels[y->tree->depth];

    return l->node->type == DOC_MAP && !l->has_key;
}

static bool on_nothing(struct yaml *y, const yaml_event_t *e)
{
    (void)y, (void)e;
    return true;
}

static bool on_document(struct yaml *y, const yaml_event_t *e)
{
    if (e->data.document_start.tag_directives.start != e->data.document_start.tag_directives.end)
        refuse(y, mark_of(e->start_mark), no_tags.en, no_tags.zh);
    return true;
}

static bool on_alias(struct yaml *y, const yaml_event_t *e)
{
    struct mark m = mark_of(e->start_mark);

    refuse(y, m, "aliases (*) are not allowed; a text that begins with * stands in quotes",
           "不允许使用别名（*），以 * 开头的文本须加引号");
    if (wants_key(y))
        return tree_key(y->tree, SLICE("*"), m.line, m.col);
    return tree_scalar(y->tree, DOC_NULL, SLICE(""), m.line, m.col);
}

static bool on_scalar(struct yaml *y, const yaml_event_t *e)
{
    struct slice text = slice_make(e->data.scalar.value, e->data.scalar.length);
    struct mark m = mark_of(e->start_mark);
    bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

    refuse_extras(y, m, e->data.scalar.anchor, e->data.scalar.tag);
    if (wants_key(y))
        return tree_key(y->tree, text, m.line, m.col);
    return tree_scalar(y->tree, plain ? plain_type(text) : DOC_STRING, text, m.line, m.col);
}

static bool open_container(struct yaml *y, enum doc_type type, struct mark m)
{
    if (wants_key(y)) {
        y->tree->failed = diag_add(y->tree->diags, ERR_SYNTAX, m.line, m.col,
                                   "a key is a text; put it in quotes when it begins with { or [",
                                   "键必须是文本；以 { 或 [ 开头时须加引号");
        return false;
    }
    return tree_open(y->tree, type, m.line, m.col);
}

static bool on_list(struct yaml *y, const yaml_event_t *e)
{
    struct mark m = mark_of(e->start_mark);

    refuse_extras(y, m, e->data.sequence_start.anchor, e->data.sequence_start.tag);
    return open_container(y, DOC_LIST, m);
}

static bool on_map(struct yaml *y, const yaml_event_t *e)
{
    struct mark m = mark_of(e->start_mark);

    refuse_extras(y, m, e->data.mapping_start.anchor, e->data.mapping_start.tag);
    return open_container(y, DOC_MAP, m);
}

static bool on_close(struct yaml *y, const yaml_event_t *e)
{
    (void)e;
    return tree_close(y->tree);
}

static bool (*const handlers[])(struct yaml *, const yaml_event_t *) = {
    [YAML_NO_EVENT] = on_nothing,           [YAML_STREAM_START_EVENT] = on_nothing,
    [YAML_STREAM_END_EVENT] = on_nothing,   [YAML_DOCUMENT_START_EVENT] = on_document,
    [YAML_DOCUMENT_END_EVENT] = on_nothing, [YAML_ALIAS_EVENT] = on_alias,
    [YAML_SCALAR_EVENT] = on_scalar,        [YAML_SEQUENCE_START_EVENT] = on_list,
    [YAML_SEQUENCE_END_EVENT] = on_close,   [YAML_MAPPING_START_EVENT] = on_map,
    [YAML_MAPPING_END_EVENT] = on_close,
};

static void read_events(struct yaml *y, yaml_parser_t *p)
{
    bool more = true;

    while (more) {
        yaml_event_t e;

        if (!yaml_parser_parse(p, &e)) {
            syntax(y, p);
            return;
        }
        more = handlers[e.type](y, &e) && e.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&e);
    }
}

/* LF, CR, and the last bytes of NEL, LS and PS, all of which end a line for libyaml. */
static bool ends_line(char c)
{
    return c == '\n' || c == '\r' || c == '\x85' || c == '\xa8' || c == '\xa9';
}

/* libyaml compares each %TAG with all before it, and tells of them when all are read: more than a few are refused
 * before it sees them. */
static bool check_directives(struct yaml *y)
{
    static const struct slice word = SLICE("%TAG");
    struct place place = { .text = y->text, .line = 1, .col = 1 };
    const char *from = y->text.p, *end = from + y->text.n, *at = from;
    unsigned n = 0;

    while (n <= DOC_DIRECTIVES_MAX && (at = memmem(at, (size_t)(end - at), word.p, word.n)) != NULL) {
        n += at == from || ends_line(at[-1]);
        if (n <= DOC_DIRECTIVES_MAX)
            at += word.n;
    }
    if (n <= DOC_DIRECTIVES_MAX)
        return true;
    place_move(&place, (size_t)(at - from));
    refuse(y, (struct mark){ place.line, place.col }, no_tags.en, no_tags.zh);
    return false;
}

enum err doc_read_yaml(struct slice text, struct arena *a, struct diags *d, const struct doc **ret)
{
    struct tree t;
    struct yaml y = { .tree = &t };
    yaml_parser_t p;

    if (!tree_init(&t, a, d) || !tree_check_text(&t, &text))
        return t.failed;
    y.text = text;
    if (text.n > 0 && !check_directives(&y))
        return tree_result(&t);
    if (!yaml_parser_initialize(&p))
        return diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p, (const unsigned char *)(text.p ? text.p : ""), text.n);
    read_events(&y, &p);
    yaml_parser_delete(&p);
    if (tree_result(&t) == ERR_OK)
        *ret = t.levels[0].node;
    return tree_result(&t);
}
