/* Items and their map entries: each item becomes a field with a slot, each list item a group of its own whose instances
 * begin at its `at`. Everything that an item declares is checked here, so that nothing can go wrong with it at run
 * time. */
#include "translate/plan_fields.h"
#include "translate/value.h"
#include <stdlib.h>

enum { LISTS_DEEP = 4 };

static bool xml_name(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool start = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
        if (!start && (i == 0 || ((c < '0' || c > '9') && c != '-' && c != '.')))
            return false;
    }
    return s.n > 0;
}

static struct slice in_arena(struct plan_build *b, struct buf *text)
{
    struct slice s = text->failed == ERR_OK ? arena_dup(b->trie.arena, buf_slice(text)) : (struct slice){ NULL, 0 };

    buf_clear(text);
    return s;
}

static bool prepare_texts(struct plan_build *b, struct map_field *f)
{
    struct buf text = BUF_INIT(4096);

    buf_puts(&text, ",\"");
    json_escape(&text, f->item->name);
    buf_puts(&text, "\":");
    size_t n = text.n;
    do
        buf_putc(&text, '"');
    while (text.failed == ERR_OK && text.n % 16 != 0);
    f->json_key = in_arena(b, &text);
    f->json_key.n = f->json_key.p != NULL ? n : 0;
    buf_printf(&text, "<%.*s>", SLICE_ARG(f->item->name));
    f->xml_open = in_arena(b, &text);
    buf_printf(&text, "</%.*s>", SLICE_ARG(f->item->name));
    f->xml_close = in_arena(b, &text);
    buf_done(&text);
    return f->json_key.p != NULL && f->xml_open.p != NULL && f->xml_close.p != NULL;
}

static int by_text(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;

    return slice_cmp(*x, *y);
}

static bool prepare_codes(struct plan_build *b, struct map_field *f)
{
    if (f->item->n_codes == 0)
        return true;
    struct slice *codes = arena_array(b->trie.arena, f->item->n_codes, sizeof *codes);
    if (codes == NULL)
        return false;
    for (size_t i = 0; i < f->item->n_codes; i++)
        codes[i] = f->item->codes[i].code;
    qsort(codes, f->item->n_codes, sizeof *codes, by_text);
    f->codes = codes;
    f->n_codes = f->item->n_codes;
    return true;
}

static enum map_easy easiness(const struct translate_item *item)
{
    if (item->n_codes > 0 || item->empty_as.n > 0 || item->format_in.n > 0)
        return MAP_NOT_EASY;
    if (item->type == 'D')
        return MAP_EASY_DATE;
    if (item->type != 'C' && item->type != 'M')
        return MAP_NOT_EASY;
    return item->mask.n > 0 ? MAP_EASY_MASKED : MAP_EASY_TEXT;
}

static enum err check_item(struct plan_build *b, const struct translate_item *item, const struct doc *at)
{
    struct diags *d = b->trie.diags;
    enum err e = ERR_OK;

    if (item->type != 'A' && !value_type_known(item->type))
        e = diag_add(d, ERR_INVALID, at->line, at->col, "item \"%.*s\": unknown type '%c'",
                     "数据项 \"%.*s\"：未知类型 '%c'", SLICE_ARG(item->name), item->type);
    if (!xml_name(item->name))
        e = diag_add(d, ERR_INVALID, at->line, at->col,
                     "item \"%.*s\": the name cannot name an XML element; use letters, digits and _",
                     "数据项 \"%.*s\"：名称不能用作 XML 元素名，请用字母、数字与下划线", SLICE_ARG(item->name));
    if (item->mask.n > 0 && !translate_mask_known(item->mask))
        e = diag_add(
            d, ERR_INVALID, at->line, at->col, "item \"%.*s\": unknown mask \"%.*s\"; known are name and id-card",
            "数据项 \"%.*s\"：未知脱敏规则 \"%.*s\"，可用 name、id-card", SLICE_ARG(item->name), SLICE_ARG(item->mask));
    if (item->mask.n > 0 && item->type != 'C' && item->type != 'M')
        e = diag_add(d, ERR_INVALID, at->line, at->col, "item \"%.*s\": only items of type C or M can be masked",
                     "数据项 \"%.*s\"：仅 C、M 类型可脱敏", SLICE_ARG(item->name));
    for (size_t i = 0; i < item->format_in.n; i++)
        if (!value_format_ok(item->type, item->format_in.at[i]))
            e = diag_add(
                d, ERR_INVALID, at->line, at->col,
                "item \"%.*s\": format \"%.*s\" is not understood; write dates as yyyyMMdd, yyyy-MM-dd, yyyy/M/d, "
                "times as "
                "yyyyMMddHHmmss or yyyy-MM-dd HH:mm:ss",
                "数据项 \"%.*s\"：无法识别格式 \"%.*s\"；日期如 yyyyMMdd、yyyy-MM-dd、yyyy/M/d，时间如 yyyyMMddHHmmss、"
                "yyyy-MM-dd HH:mm:ss",
                SLICE_ARG(item->name), SLICE_ARG(item->format_in.at[i]));
    return e;
}

/* {at: CY/R, map: {...}} */
static enum err build_list(struct plan_build *b, struct map_field *f, const struct doc *entry, struct map_node *base,
                           unsigned depth)
{
    struct {
        const struct doc *at, *map;
    } keys = { 0 };
    static const struct doc_key table[] = {
        { .name = "at",
          .kind = DOC_K_NODE,
          .offset = 0,
          .flags = DOC_REQUIRED,
          .help = { "path of one entry, relative to the record", "单个条目的路径，相对于记录" } },
        { .name = "map",
          .kind = DOC_K_MAP,
          .offset = sizeof(void *),
          .flags = DOC_REQUIRED,
          .help = { "item: path, relative to the entry", "数据项: 路径，相对于条目" } },
        { .name = NULL },
    };
    struct path path;

    if (entry->type != DOC_MAP)
        return diag_add(b->trie.diags, ERR_INVALID, entry->line, entry->col,
                        "item \"%.*s\" is a list; write {at: PATH, map: {item: path}}",
                        "数据项 \"%.*s\" 为列表，请写作 {at: 路径, map: {数据项: 路径}}", SLICE_ARG(f->item->name));
    if (doc_bind(entry, table, &keys, b->trie.arena, b->trie.diags) != ERR_OK ||
        path_parse(&b->scope, keys.at, false, &path) != ERR_OK)
        return ERR_INVALID;
    struct map_node *node = trie_walk(&b->trie, NULL, base, &path);
    if (node == NULL)
        return ERR_NOMEM;
    if (path.attr || node->group != MAP_NO_GROUP)
        return diag_add(b->trie.diags, ERR_INVALID, keys.at->line, keys.at->col,
                        "the entries of \"%.*s\" need a path of their own, to an element below the record",
                        "\"%.*s\" 的条目须有自己的路径，指向记录之下的元素", SLICE_ARG(f->item->name));
    f->group = plan_group(b, f->item->items, f->item->n_items, keys.map, node, f->top, depth + 1);
    return f->group == MAP_NO_GROUP ? ERR_INVALID : ERR_OK;
}

static enum err build_field(struct plan_build *b, struct map_field *f, const struct doc *entry, struct map_node *base,
                            struct map_group *g, unsigned depth)
{
    struct path path;
    enum err e = check_item(b, f->item, entry);

    if (!prepare_texts(b, f) || !prepare_codes(b, f))
        return ERR_NOMEM;
    if (f->item->type == 'A')
        return build_list(b, f, entry, base, depth);
    if (path_parse(&b->scope, entry, false, &path) != ERR_OK)
        return ERR_INVALID;
    if (path.n == 0 && !path.attr)
        g->own_text = true;
    enum err bound = trie_bind(&b->trie, NULL, base, &path, MAP_TO_SLOT, f->slot);
    return e != ERR_OK ? e : bound;
}

/* The item that the consumer sends is one of these. */
static bool has_sent(const struct plan_build *b, const struct translate_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (&items[i] == b->sent)
            return true;
    return false;
}

/* Every entry of the map names an item that an answer may hold, every such item has an entry. */
static enum err check_names(struct plan_build *b, const struct translate_item *items, size_t n, const struct doc *map)
{
    enum err e = ERR_OK;

    DOC_EACH(entry, map)
    {
        bool found = false;
        for (size_t i = 0; i < n && !found; i++)
            found = &items[i] != b->sent && slice_eq(items[i].name, entry->key);
        if (has_sent(b, items, n) && slice_eq(b->sent->name, entry->key))
            e = diag_add(b->trie.diags, ERR_INVALID, entry->key_line, entry->key_col,
                         "\"%.*s\" is what the consumer sends (request.whole): no answer holds it; remove it here",
                         "\"%.*s\" 由使用方发送（request.whole），不在响应中：请在此处删除", SLICE_ARG(entry->key));
        else if (!found)
            e = diag_add(b->trie.diags, ERR_INVALID, entry->key_line, entry->key_col,
                         "\"%.*s\" is not an item; declare it under items, or remove it here",
                         "\"%.*s\" 不是数据项；请在 items 中声明，或在此处删除", SLICE_ARG(entry->key));
    }
    for (size_t i = 0; i < n; i++)
        if (&items[i] != b->sent && doc_get_slice(map, items[i].name) == NULL)
            e = diag_add(b->trie.diags, ERR_INVALID, map->line, map->col,
                         "item \"%.*s\" has no path; add \"%.*s: path\" to the map",
                         "数据项 \"%.*s\" 没有路径；请在映射中添加 \"%.*s: 路径\"", SLICE_ARG(items[i].name),
                         SLICE_ARG(items[i].name));
    return e;
}

static enum err check_room(struct plan_build *b, size_t n, const struct doc *map, unsigned depth)
{
    if (b->r->n_groups >= MAP_GROUPS_MAX || depth > LISTS_DEEP)
        return diag_add(b->trie.diags, ERR_TOO_LARGE, map->line, map->col, "at most %d lists, %d deep",
                        "最多 %d 个列表、%d 层", MAP_GROUPS_MAX - 1, LISTS_DEEP);
    if (n > TRANSLATE_ITEMS_MAX || (size_t)b->r->n_slots + n > MAP_SLOTS_MAX)
        return diag_add(b->trie.diags, ERR_TOO_LARGE, map->line, map->col, "at most %d items, %d with those of lists",
                        "最多 %d 个数据项，连同列表内共 %d 个", TRANSLATE_ITEMS_MAX, MAP_SLOTS_MAX);
    return ERR_OK;
}

uint16_t plan_group(struct plan_build *b, const struct translate_item *items, size_t n, const struct doc *map,
                    struct map_node *base, uint16_t top, unsigned depth)
{
    if (check_room(b, n, map, depth) != ERR_OK)
        return MAP_NO_GROUP;
    struct map_field *fields = arena_array(b->trie.arena, n ? n : 1, sizeof *fields);
    uint16_t id = b->r->n_groups++;
    struct map_group *g = &b->r->groups[id];
    enum err e = fields != NULL ? check_names(b, items, n, map) : ERR_NOMEM;

    if (fields == NULL)
        return MAP_NO_GROUP;
    *g = (struct map_group){ .fields = fields, .slot0 = b->r->n_slots, .id = id, .top = top };
    b->r->n_slots = (uint16_t)(b->r->n_slots + n - has_sent(b, items, n));
    base->group = id;
    for (uint16_t i = 0; i < n; i++) {
        struct map_field *f = &fields[g->n];
        const struct doc *entry = doc_get_slice(map, items[i].name);
        if (&items[i] == b->sent)
            continue;
        *f = (struct map_field){ .item = &items[i],
                                 .easy = easiness(&items[i]),
                                 .limit = items[i].type == 'C' && items[i].length > 0 ? items[i].length : UINT32_MAX,
                                 .top = top == MAP_NO_GROUP ? i : top,
                                 .slot = (uint16_t)(g->slot0 + g->n++),
                                 .group = MAP_NO_GROUP };
        b->slots[f->slot] = f;
        g->lists |= items[i].type == 'A';
        if (entry != NULL && build_field(b, f, entry, base, g, depth) != ERR_OK)
            e = ERR_INVALID;
    }
    return e == ERR_OK ? id : MAP_NO_GROUP;
}
