/* Helpers of the tests of base/doc. */
#include "tests/unit/base/doc/doc_test.h"

int bench_make(void **state)
{
    static struct bench b;

    arena_init(&b.arena, 64 << 20);
    diags_init(&b.d, &b.arena);
    *state = &b;
    return 0;
}

int bench_clear(void **state)
{
    struct bench *b = *state;

    arena_done(&b->arena);
    return 0;
}

void bench_reset(struct bench *b)
{
    arena_done(&b->arena);
    diags_init(&b->d, &b->arena);
}

static void assert_read(struct bench *b, enum err e, const char *text)
{
    if (e != ERR_OK)
        fail_msg("%s: %s", text, diag_text(b, 0, LANG_EN));
}

const struct doc *read_yaml(struct bench *b, const char *text)
{
    const struct doc *list = NULL;

    assert_read(b, doc_read_yaml(slice_of(text), &b->arena, &b->d, &list), text);
    assert_true(list->type == DOC_LIST);
    return list->first;
}

const struct doc *read_json(struct bench *b, const char *text)
{
    const struct doc *node = NULL;

    assert_read(b, doc_read_json(slice_of(text), &b->arena, &b->d, &node), text);
    return node;
}

static void put(struct buf *out, const struct doc *node, bool places)
{
    static const char *const names[] = { "null", "bool", "number", "string", "list", "map" };
    unsigned n = 0;

    buf_puts(out, names[node->type]);
    if (places)
        buf_printf(out, "@%u:%u", node->line, node->col);
    if (node->type == DOC_BOOL)
        assert_true(node->flag == slice_is(node->text, "true"));
    if (node->type < DOC_LIST) {
        buf_printf(out, "(%.*s)", SLICE_ARG(node->text));
        return;
    }
    buf_putc(out, '{');
    DOC_EACH(child, node)
    {
        if (n++)
            buf_puts(out, ", ");
        if (node->type == DOC_MAP && places)
            buf_printf(out, "%.*s@%u:%u: ", SLICE_ARG(child->key), child->key_line, child->key_col);
        else if (node->type == DOC_MAP)
            buf_printf(out, "%.*s: ", SLICE_ARG(child->key));
        put(out, child, places);
    }
    assert_int_equal(n, node->count);
    buf_putc(out, '}');
}

const char *tree_text(struct bench *b, const struct doc *node, bool places)
{
    struct buf out = BUF_INIT(10 << 20);
    const char *text;

    put(&out, node, places);
    text = arena_str(&b->arena, buf_slice(&out));
    buf_done(&out);
    assert_non_null(text);
    return text;
}

const char *diag_text(struct bench *b, unsigned n, enum lang lang)
{
    const struct diag *d = b->d.first;

    while (d && n-- > 0)
        d = d->next;
    return d ? arena_printf(&b->arena, "%u:%u %s", d->line, d->col, d->what[lang]) : "";
}
