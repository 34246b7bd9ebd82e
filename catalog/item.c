/* catalog/item: the items (信息项) of a resource. Invariants of what passes: names are unique in their list and can be
 * XML names and JSON keys; keys of the manifest that make no sense for the item's type are refused, not ignored. */
#include "catalog/internal.h"

static const char *const type_words[] = { "C", "N", "Y", "D", "T", "L", "M", "G", "B", "I", "F", "list", NULL };
static const char type_letters[] = "CNYDTLMGBIFA";

struct item_form {
    struct slice name, mask, check, codes;
    struct doc_title title;
    int type;
    bool key, required;
    uint64_t level, length, precision;
    struct doc_strs format_in, empty_as;
    const struct doc *items, *compare;
};

#define AT(member) offsetof(struct item_form, member)
static const struct doc_key item_keys[] = {
    { "name",
      DOC_K_STR,
      AT(name),
      1,
      64,
      NULL,
      DOC_REQUIRED,
      NULL,
      { "name in requests and answers", "请求与响应中的名称" } },
    { "title", DOC_K_TITLE, AT(title), 1, 50, NULL, 0, NULL, { "what people call it", "中文名称" } },
    { "type",
      DOC_K_ENUM,
      AT(type),
      0,
      0,
      type_words,
      DOC_REQUIRED,
      NULL,
      { "C N Y D T L M G B I F or list", "数据类型" } },
    { "level", DOC_K_U64, AT(level), 1, 4, NULL, 0, "2", { "sensitivity", "敏感级别" } },
    { "key", DOC_K_BOOL, AT(key), 0, 0, NULL, 0, NULL, { "identifies a record", "主键" } },
    { "required", DOC_K_BOOL, AT(required), 0, 0, NULL, 0, NULL, { "never absent", "必填" } },
    { "length", DOC_K_U64, AT(length), 1, 100000000, NULL, 0, NULL, { "characters", "长度（字符）" } },
    { "precision", DOC_K_U64, AT(precision), 0, 30, NULL, 0, NULL, { "decimal places", "小数位数" } },
    { "mask", DOC_K_IDENT, AT(mask), 0, 0, NULL, 0, NULL, { "default mask", "默认脱敏规则" } },
    { "check", DOC_K_IDENT, AT(check), 0, 0, NULL, 0, NULL, { "check of values", "校验规则" } },
    { "codes", DOC_K_IDENT, AT(codes), 0, 0, NULL, 0, NULL, { "id of a CodeTable", "代码表标识" } },
    { "format_in",
      DOC_K_STRS,
      AT(format_in),
      1,
      64,
      NULL,
      0,
      NULL,
      { "how the provider writes dates", "提供方的日期格式" } },
    { "empty_as",
      DOC_K_STRS,
      AT(empty_as),
      0,
      64,
      NULL,
      0,
      NULL,
      { "what the provider writes for no value", "提供方表示空值的写法" } },
    { "items", DOC_K_LIST, AT(items), 0, 0, NULL, 0, NULL, { "the items of a list", "列表内的数据项" } },
    { "compare", DOC_K_NODE, AT(compare), 0, 0, NULL, DOC_LATER, NULL, { "how values are compared", "核验方式" } },
    { .name = NULL },
};
#undef AT

/* Which keys belong to which types only. */
static const struct {
    const char *key, *types;
} key_types[] = {
    { "length", "CNYMGIBF" }, { "precision", "NYBF" }, { "mask", "CNMDT" },           { "check", "CNM" },
    { "codes", "CNI" },       { "format_in", "DT" },   { "empty_as", "CNYDTLMGBIF" }, { "items", "A" },
};

static bool name_valid(struct slice name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '_' || c == '-')))
            return false;
    }
    return name.n > 0;
}

static void check_name(struct reading *r, const struct doc *map, struct slice name)
{
    const struct doc *at = reading_place(map, "name");

    if (name.n != 0 && !name_valid(name))
        reading_found(r, diag_add(r->d, ERR_INVALID, at->line, at->col,
                                  "\"%.*s\" cannot be the name of an item: a letter, then letters, digits, _ and -",
                                  "“%.*s”不能作为数据项名称：以字母开头，后接字母、数字、_ 或 -", SLICE_ARG(name)));
}

static void check_unique(struct reading *r, const struct doc *map, const struct catalog_item *items, size_t n)
{
    const struct doc *at = reading_place(map, "name");

    for (size_t i = 0; i < n; i++)
        if (items[n].name.n != 0 && slice_eq(items[i].name, items[n].name)) {
            reading_found(r, diag_add(r->d, ERR_INVALID, at->line, at->col,
                                      "item \"%.*s\" is there already: names are used once",
                                      "数据项“%.*s”重复：名称不得重复", SLICE_ARG(items[n].name)));
            return;
        }
}

/* Items of a resource have a title; those inside a list may go by their name. */
static void check_title(struct reading *r, const struct doc *map, unsigned depth, struct catalog_item *item)
{
    if (doc_get(map, "title") != NULL)
        return;
    if (depth == 1)
        reading_found(r, diag_add(r->d, ERR_INVALID, map->line, map->col,
                                  "'title' is missing: what people call the item", "缺少“title”：数据项的中文名称"));
    item->title = (struct doc_title){ .zh = item->name, .en = item->name };
}

static void check_types(struct reading *r, const struct doc *map, char type)
{
    for (size_t i = 0; i < sizeof key_types / sizeof *key_types; i++) {
        const struct doc *at = doc_get(map, key_types[i].key);
        if (at == NULL || strchr(key_types[i].types, type) != NULL)
            continue;
        reading_found(r, diag_add(r->d, ERR_INVALID, at->key_line, at->key_col,
                                  "%s is not for an item of type %s (only for: %s): leave it out",
                                  "%s 不适用于类型 %s（仅用于 %s）：请删去", key_types[i].key,
                                  type == 'A' ? "list" : (char[]){ type, '\0' }, key_types[i].types));
    }
    if (type == 'A' && doc_get(map, "items") == NULL)
        reading_found(r, diag_add(r->d, ERR_INVALID, map->line, map->col,
                                  "a list needs its items: items: [{name: ..., ...}]",
                                  "类型为 list 的数据项须列出 items"));
}

static void check_check(struct reading *r, const struct doc *map, struct slice check)
{
    const struct doc *at = reading_place(map, "check");
    struct buf names = BUF_INIT(1000);

    if (check.n == 0 || check_find(check) != NULL)
        return;
    for (unsigned i = 0; check_at(i) != NULL; i++)
        buf_printf(&names, "%s%s", names.n ? ", " : "", check_at(i)->name);
    reading_found(r, diag_add(r->d, ERR_INVALID, at->line, at->col, "there is no check \"%.*s\"; use one of: %.*s",
                              "没有校验规则“%.*s”，可用：%.*s", SLICE_ARG(check), SLICE_ARG(buf_slice(&names))));
    buf_done(&names);
}

static void item_read(struct reading *r, const struct doc *map, unsigned depth, struct catalog_item *items, size_t at)
{
    struct catalog_item *item = &items[at];
    struct item_form f = { .type = -1 };

    reading_found(r, doc_bind(map, item_keys, &f, r->a, r->d));
    if (map->type != DOC_MAP)
        return;
    item->name = f.name;
    item->title = f.title;
    item->type = f.type >= 0 ? type_letters[f.type] : '\0';
    item->level = (uint8_t)f.level;
    item->key = f.key;
    item->required = f.required;
    item->length = (uint32_t)f.length;
    item->precision = (uint32_t)f.precision;
    item->mask = f.mask;
    item->check = f.check;
    item->codes = f.codes;
    item->format_in = f.format_in;
    item->empty_as = f.empty_as;
    check_name(r, map, f.name);
    check_title(r, map, depth, item);
    check_unique(r, map, items, at);
    check_check(r, map, f.check);
    if (f.type >= 0)
        check_types(r, map, item->type);
    if (f.items != NULL)
        items_read(r, f.items, depth + 1, &item->items, &item->n_items);
}

void items_read(struct reading *r, const struct doc *list, unsigned depth, const struct catalog_item **ret,
                size_t *ret_n)
{
    size_t n = 0;

    if (list->count == 0 || list->count > CATALOG_ITEMS_MAX || depth > CATALOG_LISTS_DEEP) {
        reading_found(r, diag_add(r->d, ERR_INVALID, list->line, list->col,
                                  "1 to %d items, lists at most %d deep, are expected here",
                                  "此处应有 1 至 %d 个数据项，列表嵌套不超过 %d 层", CATALOG_ITEMS_MAX,
                                  CATALOG_LISTS_DEEP));
        return;
    }
    struct catalog_item *items = arena_array(r->a, list->count, sizeof *items);
    if (items == NULL) {
        reading_found(r, ERR_NOMEM);
        return;
    }
    DOC_EACH(map, list)
    {
        item_read(r, map, depth, items, n);
        n++;
    }
    *ret = items;
    *ret_n = n;
}
