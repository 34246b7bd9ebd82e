/* catalog/manifest: from a tree to a manifest of one of the six kinds, by tables. Invariants: every problem of a
 * manifest is told in one reading, with its place and what to do; ERR_OK means that no problem was found. */
#include "catalog/internal.h"
#include <stdlib.h>

enum { TOLD_MAX = 100 }; /* repeated codes that are named */

struct small_form { /* the kinds that are no resource */
    struct slice kind, id, code, phone;
    struct doc_title title, name;
    const struct doc *contact, *codes, *approval;
    bool bureau, administration;
};

#define AT(member) offsetof(struct small_form, member)
#define KIND_ROW                                                                                                       \
    {                                                                                                                  \
        "kind", DOC_K_STR, AT(kind), 0, 0, NULL, DOC_REQUIRED, NULL,                                                   \
        {                                                                                                              \
            "kind of manifest", "清单类型"                                                                         \
        }                                                                                                              \
    }
#define TITLE_ROW                                                                                                      \
    {                                                                                                                  \
        "title", DOC_K_TITLE, AT(title), 1, 200, NULL, DOC_REQUIRED, NULL,                                             \
        {                                                                                                              \
            "name", "名称"                                                                                           \
        }                                                                                                              \
    }
static const struct doc_key department_keys[] = {
    KIND_ROW,
    { "id", DOC_K_IDENT, AT(id), 0, 0, NULL, DOC_REQUIRED, NULL, { "identifier", "标识" } },
    TITLE_ROW,
    { "code",
      DOC_K_STR,
      AT(code),
      1,
      64,
      NULL,
      DOC_REQUIRED,
      NULL,
      { "unified social credit code", "统一社会信用代码" } },
    { "bureau", DOC_K_BOOL, AT(bureau), 0, 0, NULL, 0, NULL, { "the data bureau's own department", "大数据主管部门" } },
    { .name = NULL },
};
static const struct doc_key app_keys[] = {
    KIND_ROW,
    { "id", DOC_K_PATH2, AT(id), 0, 0, NULL, DOC_REQUIRED, NULL, { "department/application", "部门/应用" } },
    TITLE_ROW,
    { "contact", DOC_K_MAP, AT(contact), 0, 0, NULL, DOC_REQUIRED, NULL, { "{person: department/person}", "责任人" } },
    { "administration",
      DOC_K_BOOL,
      AT(administration),
      0,
      0,
      NULL,
      0,
      NULL,
      { "may use the control listener", "可使用管理接口" } },
    { .name = NULL },
};
static const struct doc_key person_keys[] = {
    KIND_ROW,
    { "id", DOC_K_PATH2, AT(id), 0, 0, NULL, DOC_REQUIRED, NULL, { "department/person", "部门/人员" } },
    { "title", DOC_K_TITLE, AT(title), 1, 100, NULL, 0, NULL, { "name", "姓名" } },
    { "name", DOC_K_TITLE, AT(name), 1, 100, NULL, 0, NULL, { "name", "姓名" } },
    { "phone", DOC_K_STR, AT(phone), 3, 40, NULL, 0, NULL, { "telephone", "电话" } },
    { .name = NULL },
};
static const struct doc_key code_table_keys[] = {
    KIND_ROW,
    { "id", DOC_K_IDENT, AT(id), 0, 0, NULL, DOC_REQUIRED, NULL, { "identifier", "标识" } },
    TITLE_ROW,
    { "codes", DOC_K_LIST, AT(codes), 0, 0, NULL, DOC_REQUIRED, NULL, { "[{code, title}]", "代码列表" } },
    { .name = NULL },
};
static const struct doc_key policy_keys[] = {
    KIND_ROW,
    { "id", DOC_K_IDENT, AT(id), 0, 0, NULL, DOC_REQUIRED, NULL, { "approval", "approval" } },
    { "title", DOC_K_TITLE, AT(title), 1, 200, NULL, 0, NULL, { "name", "名称" } },
    { "name", DOC_K_TITLE, AT(name), 1, 200, NULL, 0, NULL, { "name", "名称" } },
    { "approval",
      DOC_K_MAP,
      AT(approval),
      0,
      0,
      NULL,
      DOC_REQUIRED,
      NULL,
      { "{unconditional: [steps], conditional: [steps]}", "{unconditional: [步骤], conditional: [步骤]}" } },
    { .name = NULL },
};
#undef AT
static const struct doc_key code_keys[] = {
    { "code", DOC_K_STR, offsetof(struct catalog_code, code), 1, 64, NULL, DOC_REQUIRED, NULL, { "value", "代码" } },
    { "title",
      DOC_K_STR,
      offsetof(struct catalog_code, title),
      1,
      200,
      NULL,
      DOC_REQUIRED,
      NULL,
      { "meaning", "含义" } },
    { .name = NULL },
};
static const struct doc_key contact_keys[] = {
    { "person", DOC_K_PATH2, 0, 0, 0, NULL, DOC_REQUIRED, NULL, { "department/person", "部门/人员" } },
    { .name = NULL },
};

static const struct kind {
    const char *name;
    const struct doc_key *keys; /* NULL: read by resource_read */
} kinds[CATALOG_KINDS_] = {
    [CATALOG_DEPARTMENT] = { "Department", department_keys },
    [CATALOG_APP] = { "App", app_keys },
    [CATALOG_PERSON] = { "Person", person_keys },
    [CATALOG_RESOURCE] = { "Resource", NULL },
    [CATALOG_CODE_TABLE] = { "CodeTable", code_table_keys },
    [CATALOG_POLICY] = { "Policy", policy_keys },
};

const char *catalog_kind_name(enum catalog_kind k)
{
    return (unsigned)k < CATALOG_KINDS_ ? kinds[k].name : "";
}

bool catalog_kind_of(struct slice name, enum catalog_kind *ret)
{
    for (unsigned k = 0; k < CATALOG_KINDS_; k++)
        if (slice_is(name, kinds[k].name)) {
            *ret = (enum catalog_kind)k;
            return true;
        }
    return false;
}

int catalog_item_index(const struct catalog_resource *r, struct slice name)
{
    for (size_t i = 0; i < r->n_items; i++)
        if (slice_eq(r->items[i].name, name))
            return (int)i;
    return -1;
}

void reading_found(struct reading *r, enum err e)
{
    if (r->worst == ERR_OK || e == ERR_NOMEM)
        r->worst = e == ERR_OK ? r->worst : e;
}

const struct doc *reading_place(const struct doc *map, const char *key)
{
    const struct doc *at = doc_get(map, key);

    return at ? at : map;
}

/* ---- code tables ---- */

static int by_code(const void *a, const void *b)
{
    const struct catalog_code *x = *(const struct catalog_code *const *)a, *y = *(const struct catalog_code *const *)b;
    int c = slice_cmp(x->code, y->code);

    return c != 0 ? c : (x > y) - (x < y);
}

static void code_twice(struct reading *r, const struct doc *list, struct slice code, size_t at)
{
    const struct doc *one = list->first;

    while (at-- > 0)
        one = one->next;
    reading_found(r, diag_add(r->d, ERR_INVALID, one->line, one->col,
                              "code \"%.*s\" is listed already: a code is used once",
                              "代码“%.*s”重复：同一代码只能出现一次", SLICE_ARG(code)));
}

static void check_codes_unique(struct reading *r, const struct doc *list, const struct catalog_code *codes, size_t n)
{
    const struct catalog_code **sorted = arena_array(r->a, n ? n : 1, sizeof *sorted);
    unsigned told = 0;

    if (sorted == NULL) {
        reading_found(r, ERR_NOMEM);
        return;
    }
    for (size_t i = 0; i < n; i++)
        sorted[i] = &codes[i];
    qsort(sorted, n, sizeof *sorted, by_code);
    for (size_t i = 1; i < n && told < TOLD_MAX; i++)
        if (sorted[i]->code.n != 0 && slice_eq(sorted[i - 1]->code, sorted[i]->code)) {
            code_twice(r, list, sorted[i]->code, (size_t)(sorted[i] - codes));
            told++;
        }
}

static void codes_read(struct reading *r, const struct doc *list, struct catalog_manifest *m)
{
    struct catalog_code *codes = arena_array(r->a, list->count ? list->count : 1, sizeof *codes);
    size_t n = 0;

    if (codes == NULL) {
        reading_found(r, ERR_NOMEM);
        return;
    }
    if (list->count == 0)
        reading_found(r, diag_add(r->d, ERR_INVALID, list->line, list->col, "a code table has at least one code",
                                  "代码表至少有一个代码"));
    if (list->count > CATALOG_CODES_MAX)
        reading_found(r,
                      diag_add(r->d, ERR_INVALID, list->line, list->col, "a code table has at most %d codes: split it",
                               "代码表至多 %d 个代码：请拆分", CATALOG_CODES_MAX));
    DOC_EACH(one, list)
    {
        reading_found(r, doc_bind(one, code_keys, &codes[n], r->a, r->d));
        n++;
    }
    check_codes_unique(r, list, codes, n);
    m->codes = codes;
    m->n_codes = n;
}

/* ---- the small kinds ---- */

/* The form of a unified social credit code; its check digit is looked at when it is new (catalog_put). */
static void check_uscc_form(struct reading *r, struct slice code)
{
    const struct doc *at = reading_place(r->doc, "code");
    bool ok = code.n == 18;

    for (size_t i = 0; i < code.n && ok; i++)
        ok = strchr("0123456789ABCDEFGHJKLMNPQRTUWXY", code.p[i]) != NULL && code.p[i] != '\0' &&
             (i < 2 || i > 7 || (code.p[i] >= '0' && code.p[i] <= '9'));
    if (code.n != 0 && !ok)
        reading_found(
            r, diag_add(r->d, ERR_INVALID, at->line, at->col,
                        "code is not a unified social credit code: 18 digits and capital letters without I O S V Z",
                        "code 不是统一社会信用代码：应为 18 位数字和大写字母（不含 I、O、S、V、Z）"));
}

/* A person and a policy may say `name` for `title`. */
static void check_name(struct reading *r, const struct small_form *f, struct catalog_manifest *m)
{
    bool title = doc_get(r->doc, "title") != NULL, name = doc_get(r->doc, "name") != NULL;

    if (title == name && m->kind == CATALOG_PERSON)
        reading_found(r, diag_add(r->d, ERR_INVALID, r->doc->line, r->doc->col,
                                  "a person needs a name, once: name: ...", "人员须有且只有一个姓名：name: …"));
    else if (title == name)
        reading_found(r, diag_add(r->d, ERR_INVALID, r->doc->line, r->doc->col,
                                  "a policy needs a name, once: name: ...", "策略须有且只有一个名称：name: …"));
    m->title = name ? f->name : f->title;
}

static void small_read(struct reading *r, struct catalog_manifest *m)
{
    struct small_form f = { 0 };
    struct slice person;

    reading_found(r, doc_bind(r->doc, kinds[m->kind].keys, &f, r->a, r->d));
    m->id = f.id;
    m->title = f.title;
    m->code = f.code;
    m->bureau = f.bureau;
    m->administration = f.administration;
    if (m->kind == CATALOG_DEPARTMENT)
        check_uscc_form(r, f.code);
    if (m->kind == CATALOG_PERSON || m->kind == CATALOG_POLICY)
        check_name(r, &f, m);
    if (f.contact != NULL)
        reading_found(r, doc_bind(f.contact, contact_keys, &person, r->a, r->d));
    if (f.codes != NULL)
        codes_read(r, f.codes, m);
    if (f.approval != NULL)
        policy_read(r, f.approval, f.id);
}

/* ---- a manifest ---- */

static enum err kind_read(const struct doc *doc, struct diags *d, enum catalog_kind *ret)
{
    const struct doc *at = reading_place(doc, "kind");
    struct slice name = doc_text(doc, "kind");

    if (doc->type != DOC_MAP)
        return diag_add(d, ERR_INVALID, doc->line, doc->col, "a manifest is a map that begins with kind: ...",
                        "清单应为以 kind: … 开头的键值对");
    if (catalog_kind_of(name, ret))
        return ERR_OK;
    return diag_add(d, ERR_INVALID, at->line, at->col,
                    "kind is missing or unknown; write Department, App, Person, Resource, CodeTable or Policy",
                    "kind 缺失或未知：应为 Department、App、Person、Resource、CodeTable 或 Policy");
}

static struct slice department_of(struct slice id)
{
    const char *slash = id.n ? memchr(id.p, '/', id.n) : NULL;

    return slash ? slice_make(id.p, (size_t)(slash - id.p)) : (struct slice){ 0 };
}

/* *ret is set as far as the manifest could be read, whatever else is wrong; not when its kind is unknown. */
static enum err manifest_read(const struct doc *doc, struct arena *a, struct diags *d, struct catalog_manifest *ret)
{
    struct reading r = { .a = a, .d = d, .doc = doc };
    struct catalog_manifest m = { .doc = doc };
    struct arena tables;
    enum err e = kind_read(doc, d, &m.kind);

    if (e != ERR_OK)
        return e;
    arena_init(&tables, 1 << 20);
    e = catalog_tables(&tables, &r.tables);
    if (e == ERR_OK) {
        if (m.kind == CATALOG_RESOURCE)
            resource_read(&r, &m);
        else
            small_read(&r, &m);
        e = r.worst;
    }
    arena_done(&tables);
    if (e == ERR_NOMEM)
        return diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    m.department = department_of(m.id);
    if (m.resource != NULL)
        ((struct catalog_resource *)m.resource)->department = m.department;
    *ret = m;
    return e;
}

enum err catalog_read(const struct doc *doc, struct arena *a, struct diags *d, struct catalog_manifest *ret)
{
    struct catalog_manifest m = { 0 };
    enum err e = manifest_read(doc, a, d, &m);

    if (e == ERR_OK)
        *ret = m;
    return e;
}

enum err catalog_read_loose(const struct doc *doc, struct arena *a, struct diags *d,
                            const struct catalog_resource **ret)
{
    struct catalog_manifest m = { 0 };
    enum err e = manifest_read(doc, a, d, &m);

    *ret = e == ERR_NOMEM ? NULL : m.resource;
    return e;
}
