/* catalog/policy: which approval steps a request for a resource goes through, by its sharing attribute. Invariants:
 * what is stored has 1 to 8 steps in each list, none twice, the provider or the bureau in each; what is active named
 * active departments when it was activated; where it says nothing, nothing is said here either: the default is
 * policies'. */
#include "catalog/store.h"

#define POLICY_ID "approval" /* what it rules: there is one, and its versions */
enum { STEPS_MAX = 8 };
static const char *const attributes[] = { "unconditional", "conditional" };
enum { ATTRIBUTES = sizeof attributes / sizeof *attributes };
static const char *const words[] = { "provider", "bureau", "consumer" };

/* Those two are never both absent: at least one of who has the data and who oversees them agrees. */
static bool decides(struct slice word)
{
    return slice_is(word, "provider") || slice_is(word, "bureau");
}

struct lists {
    const struct doc *of[ATTRIBUTES];
};
static const struct doc_key lists_keys[] = {
    { "unconditional", DOC_K_LIST, offsetof(struct lists, of[0]),
      .help = { "steps for what is shared unconditionally", "无条件共享的审批步骤" } },
    { "conditional", DOC_K_LIST, offsetof(struct lists, of[1]),
      .help = { "steps for what is shared on conditions", "有条件共享的审批步骤" } },
    { .name = NULL },
};
static const struct doc_key department_keys[] = {
    { "department", DOC_K_IDENT, 0, .flags = DOC_REQUIRED, .help = { "id of a department", "部门标识" } },
    { .name = NULL },
};

/* ---- steps ---- */

/* The department that a step names; empty when it names none. */
static struct slice department_of(const struct doc *step)
{
    return step->type == DOC_MAP ? doc_text(step, "department") : (struct slice){ 0 };
}

static bool is_word(const struct doc *step)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (step->type == DOC_STRING && slice_is(step->text, words[i]))
            return true;
    return false;
}

static bool same(const struct doc *a, const struct doc *b)
{
    if (a->type != b->type)
        return false;
    return a->type == DOC_MAP ? department_of(a).n != 0 && slice_eq(department_of(a), department_of(b))
                              : slice_eq(a->text, b->text);
}

static bool is_repeated(const struct doc *list, const struct doc *step)
{
    for (const struct doc *one = list->first; one != step; one = one->next)
        if (same(one, step))
            return true;
    return false;
}

static void step_read(struct reading *r, const struct doc *list, const struct doc *step)
{
    struct slice department;

    if (step->type == DOC_MAP)
        reading_found(r, doc_bind(step, department_keys, &department, r->a, r->d));
    else if (!is_word(step))
        reading_found(r, diag_add(r->d, ERR_INVALID, step->line, step->col,
                                  "a step is provider, bureau, consumer or {department: ...}: write one of these",
                                  "审批步骤应为 provider、bureau、consumer 或 {department: …}"));
    if (is_repeated(list, step))
        reading_found(r, diag_add(r->d, ERR_INVALID, step->line, step->col,
                                  "this step is in the list already: nobody decides twice, leave it out",
                                  "该步骤重复：同一步骤只能出现一次，请删去"));
}

static void list_read(struct reading *r, const struct doc *list)
{
    bool decided = false;
    size_t n = 0;

    DOC_EACH(step, list)
    {
        if (n++ == STEPS_MAX) /* what is too long is told as that: each step is compared with those before it */
            break;
        step_read(r, list, step);
        decided = decided || (step->type == DOC_STRING && decides(step->text));
    }
    if (list->count == 0 || list->count > STEPS_MAX)
        reading_found(r, diag_add(r->d, ERR_INVALID, list->line, list->col,
                                  "name 1 to %d steps, or leave the list out: then the provider and the bureau decide",
                                  "请填写 1 至 %d 个步骤，或删去该列表（则由提供方与大数据主管部门审批）", STEPS_MAX));
    else if (!decided)
        reading_found(r, diag_add(r->d, ERR_INVALID, list->line, list->col,
                                  "neither provider nor bureau is among the steps: add one of them",
                                  "审批步骤中没有 provider 或 bureau：至少填写其一"));
}

void policy_read(struct reading *r, const struct doc *approval, struct slice id)
{
    const struct doc *at = reading_place(r->doc, "id");
    struct lists f = { { NULL } };

    if (id.n != 0 && !slice_is(id, POLICY_ID))
        reading_found(r, diag_add(r->d, ERR_INVALID, at->line, at->col,
                                  "a policy's id is what it rules: write id: " POLICY_ID,
                                  "策略的标识即其所定事项：应为 id: " POLICY_ID));
    reading_found(r, doc_bind(approval, lists_keys, &f, r->a, r->d));
    if (approval->count == 0)
        reading_found(r, diag_add(r->d, ERR_INVALID, approval->line, approval->col,
                                  "the policy says nothing: list the steps of unconditional, conditional or both",
                                  "策略没有内容：请填写 unconditional、conditional 或两者的步骤"));
    for (size_t i = 0; i < ATTRIBUTES; i++)
        if (f.of[i] != NULL)
            list_read(r, f.of[i]);
}

/* ---- departments ---- */

static enum err department_check(struct sql_tx *tx, const struct doc *step, bool places, struct diags *d)
{
    const struct doc *at = reading_place(step, "department");
    struct slice id = department_of(step);
    bool there = false;
    enum err e = entry_exists(tx, "SELECT 1 FROM catalog_entry WHERE kind = $1 AND id = $2 AND state = 'active'",
                              SQL_ARGS(SQL_I(CATALOG_DEPARTMENT), SQL_T(id)), &there);

    if (e != ERR_OK || there)
        return e;
    return diag_add(d, ERR_CONFLICT, places ? at->line : 0, places ? at->col : 0,
                    "department %.*s is not registered, or not active: register and activate it first",
                    "部门 %.*s 未登记或未激活：请先登记并激活", SLICE_ARG(id));
}

enum err policy_departments(struct sql_tx *tx, const struct doc *manifest, bool places, struct diags *d)
{
    const struct doc *approval = doc_get(manifest, "approval");
    enum err worst = ERR_OK;

    for (size_t i = 0; i < ATTRIBUTES; i++) {
        size_t n = 0;
        DOC_EACH(step, doc_get(approval, attributes[i]))
        {
            if (n++ == STEPS_MAX) /* nor does the store look for more */
                break;
            if (!ident_valid(department_of(step)))
                continue;
            enum err e = department_check(tx, step, places, d);
            if (e != ERR_OK && e != ERR_CONFLICT)
                return e;
            worst = e != ERR_OK ? e : worst;
        }
    }
    return worst;
}

enum err catalog_policy_check(struct sql_tx *tx, const struct doc *doc, struct arena *a, struct diags *d)
{
    struct catalog_manifest m;
    enum err shape = catalog_read(doc, a, d, &m), e = policy_departments(tx, doc, true, d);

    return shape != ERR_OK ? shape : e;
}

/* ---- what holds ---- */

struct found {
    struct arena *a;
    struct catalog_entry entry;
};

static enum err active_read(void *arg, const struct sql_row *row)
{
    struct found *to = arg;

    return entry_read(row, to->a, &to->entry);
}

static enum err steps_join(const struct doc *list, struct arena *a, struct slice *ret)
{
    struct buf out = BUF_INIT(STEPS_MAX * 128);
    enum err e;

    DOC_EACH(step, list)
    {
        if (out.n > 0)
            buf_putc(&out, ',');
        if (step->type == DOC_MAP)
            buf_puts(&out, "department:");
        buf_put(&out, step->type == DOC_MAP ? department_of(step) : step->text);
    }
    *ret = arena_dup(a, buf_slice(&out));
    e = out.failed != ERR_OK ? out.failed : out.n > 0 && ret->p == NULL ? ERR_NOMEM : ERR_OK;
    buf_done(&out);
    return e;
}

enum err catalog_policy_steps(struct sql_tx *tx, struct slice share, struct arena *a, struct slice *ret)
{
    struct found to = { .a = a };
    const struct doc *manifest = NULL;
    enum err e =
        sql_one(tx, "SELECT " ENTRY_COLUMNS " FROM catalog_entry WHERE kind = $1 AND id = $2 AND state = 'active'",
                SQL_ARGS(SQL_I(CATALOG_POLICY), SQL_T(SLICE(POLICY_ID))), active_read, &to);

    *ret = (struct slice){ 0 };
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    if (e == ERR_OK)
        e = doc_read_json(to.entry.json, a, NULL, &manifest);
    if (e != ERR_OK)
        return e == ERR_NOMEM ? e : ERR_CORRUPT;
    return steps_join(doc_get_slice(doc_get(manifest, "approval"), share), a, ret);
}
