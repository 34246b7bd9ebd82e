/* policies/request_check: what must be true of a request before it is stored. Every problem is told, all at once; of a
 * list that is too long only that, for each of its names is compared with those before it.
 * Invariants: a request that passes names at least one purpose, one resource and one item; what it wants unmasked is
 * among what it wants; its window has an end, lies within ten years and has not passed; nothing in it holds an identity
 * number. */
#include "policies/store.h"

enum { DAYS_AHEAD_MAX = 3653, NAME_MAX_BYTES = 64, PERSON_MAX = 127, DAY_MINUTES = 1440 };
static const uint64_t number_max = ((uint64_t)1 << 53) - 1;

struct checking {
    const struct policy_request *q;
    int64_t now;
    struct diags *d;
    enum err worst;
};

/* Keeps the first error; each message has its own call of diag_add, so that formats stay checked. */
static void found(struct checking *c, enum err e)
{
    if (c->worst == ERR_OK)
        c->worst = e;
}

/* "education/admission" belongs to "education". */
static bool belongs(struct slice path, struct slice department)
{
    return ident_path_valid(path) && path.n > department.n && path.p[department.n] == '/' &&
           slice_starts(path, department);
}

static bool item_name_valid(struct slice name)
{
    if (name.n == 0 || name.n > NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char ch = name.p[i];
        bool letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_';
        if (!letter && (i == 0 || !((ch >= '0' && ch <= '9') || ch == '-')))
            return false;
    }
    return true;
}

static bool list_ends_open(struct slice names)
{
    return names.n > 0 && names.p[names.n - 1] == ',';
}

static void check_parties(struct checking *c)
{
    if (!ident_valid(c->q->department))
        found(c,
              diag_add(c->d, ERR_INVALID, 0, 0, "department is missing or malformed: an identifier such as education",
                       "缺少 department 或格式错误：应为 education 这样的标识"));
    else if (!belongs(c->q->app, c->q->department))
        found(c, diag_add(c->d, ERR_INVALID, 0, 0,
                          "app \"%.*s\" is not one of department %.*s: name one of your own department's",
                          "应用“%.*s”不属于部门 %.*s：请填写本部门的应用", SLICE_ARG(c->q->app),
                          SLICE_ARG(c->q->department)));
    if (c->q->author.n == 0 || c->q->author.n > PERSON_MAX)
        found(c, diag_add(c->d, ERR_INVALID, 0, 0, "author is missing", "缺少申请人"));
}

/* Looks no further than it must. */
static bool is_longer(struct slice names, size_t most)
{
    struct slice name;
    size_t n = 0;

    while (n <= most && policy_name_next(&names, &name))
        n++;
    return n > most;
}

static void check_purposes(struct checking *c)
{
    struct slice rest = c->q->purposes, name;
    bool many = is_longer(rest, POLICY_PURPOSES_MAX);
    unsigned n = 0;

    while (!many && policy_name_next(&rest, &name)) {
        size_t before = (size_t)(name.p - c->q->purposes.p);
        n++;
        if (!purpose_valid(name) || text_names_person(name))
            found(c, diag_add(c->d, ERR_INVALID, 0, 0,
                              "purpose %u is no purpose code: small letters, digits and hyphens, at most 64",
                              "第 %u 个用途不是有效的用途代码：只能用小写字母、数字和连字符，最长 64 位", n));
        else if (policy_names_have(slice_make(c->q->purposes.p, before), name))
            found(c, diag_add(c->d, ERR_INVALID, 0, 0, "purpose \"%.*s\" is named twice: name it once",
                              "用途“%.*s”重复：只需填写一次", SLICE_ARG(name)));
    }
    if (many || n == 0 || list_ends_open(c->q->purposes))
        found(c, diag_add(c->d, ERR_INVALID, 0, 0, "name 1 to %d purposes, joined by commas",
                          "请填写 1 至 %d 个用途，以逗号分隔", POLICY_PURPOSES_MAX));
}

static void check_texts(struct checking *c)
{
    found(c, policy_text_check(c->q->basis, false, "basis", c->d));
    found(c, policy_text_check(c->q->scenario, false, "scenario", c->d));
}

static void check_days(struct checking *c)
{
    int32_t today = clock_day_of(c->now);

    if (c->q->day_from > c->q->day_to)
        found(c, diag_add(c->d, ERR_INVALID, 0, 0, "the window ends before it begins: exchange the two dates",
                          "时间窗口的结束日期早于开始日期：请核对"));
    else if (c->q->day_to < today)
        found(c, diag_add(c->d, ERR_INVALID, 0, 0, "the window has passed: its last day must be today or later",
                          "时间窗口已过：结束日期不得早于今天"));
    else if (c->q->day_to - (int64_t)today > DAYS_AHEAD_MAX)
        found(c, diag_add(c->d, ERR_INVALID, 0, 0,
                          "the window ends more than ten years ahead: choose a nearer day and renew",
                          "时间窗口超过十年：请缩短，到期后续期"));
    if (c->q->expires == 0)
        return;
    int64_t begins = ((int64_t)c->q->day_from * DAY_MINUTES - clock_zone()) * 60000;
    if (c->q->expires <= c->now || c->q->expires <= begins)
        found(c, diag_add(c->d, ERR_INVALID, 0, 0,
                          "expires lies in the past or before the window begins: choose a later moment",
                          "到期时间已过或早于窗口开始：请选择更晚的时间"));
}

static void check_hours(struct checking *c)
{
    const struct policy_request *q = c->q;
    bool range =
        q->minute_from >= 0 && q->minute_from < DAY_MINUTES && q->minute_to >= 0 && q->minute_to <= DAY_MINUTES;

    if (!range || (q->minute_from == q->minute_to && q->minute_from != 0))
        found(c, diag_add(c->d, ERR_INVALID, 0, 0,
                          "the hours are not a span of the day: from 00:00 up to 24:00, not equal",
                          "每日时段有误：须在 00:00 至 24:00 之间且首尾不同"));
    if (q->weekdays > 0x7f)
        found(c, diag_add(c->d, ERR_INVALID, 0, 0, "weekdays are 1 (Monday) to 7 (Sunday)",
                          "星期取值为 1（星期一）至 7（星期日）"));
    if (q->max_rows > number_max)
        found(c, diag_add(c->d, ERR_INVALID, 0, 0, "max_rows is too large: at most 2^53-1, or 0 for no limit",
                          "max_rows 过大：最大为 2^53-1，0 表示不限"));
}

static void check_items(struct checking *c, const struct policy_wish *w)
{
    struct slice rest = w->items, name;
    bool many = is_longer(rest, POLICY_ITEMS_MAX), many_clear = is_longer(w->clear, POLICY_ITEMS_MAX);
    size_t n = 0;

    while (!many && policy_name_next(&rest, &name)) {
        size_t before = (size_t)(name.p - w->items.p);
        n++;
        if (!item_name_valid(name))
            found(c, diag_add(c->d, ERR_INVALID, 0, 0, "%.*s: item %zu is no item name",
                              "%.*s：第 %zu 个数据项名称无效", SLICE_ARG(w->resource), n));
        else if (policy_names_have(slice_make(w->items.p, before), name))
            found(c, diag_add(c->d, ERR_INVALID, 0, 0, "%.*s: item \"%.*s\" is named twice", "%.*s：数据项“%.*s”重复",
                              SLICE_ARG(w->resource), SLICE_ARG(name)));
    }
    if (many || n == 0 || list_ends_open(w->items))
        found(c, diag_add(c->d, ERR_INVALID, 0, 0, "%.*s: name 1 to %d items", "%.*s：请填写 1 至 %d 个数据项",
                          SLICE_ARG(w->resource), POLICY_ITEMS_MAX));
    if (many_clear)
        found(c, diag_add(c->d, ERR_INVALID, 0, 0, "%.*s: clear names more than %d items",
                          "%.*s：clear 中的数据项超过 %d 个", SLICE_ARG(w->resource), POLICY_ITEMS_MAX));
    rest = w->clear;
    while (!many && !many_clear && policy_name_next(&rest, &name))
        if (!policy_names_have(w->items, name))
            found(c,
                  diag_add(c->d, ERR_INVALID, 0, 0, "%.*s: clear names an item that items does not: request it as well",
                           "%.*s：clear 中的数据项不在 items 中：请同时申请", SLICE_ARG(w->resource)));
}

static bool wish_repeats(const struct policy_request *q, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (slice_eq(q->wishes[i].resource, q->wishes[at].resource))
            return true;
    return false;
}

static void check_wish(struct checking *c, size_t at)
{
    const struct policy_wish *w = &c->q->wishes[at];

    if (!ident_valid(w->provider) || !belongs(w->resource, w->provider)) {
        found(c,
              diag_add(c->d, ERR_INVALID, 0, 0, "resource %zu is not written department/resource with its own provider",
                       "第 %zu 个数据资源格式错误：应为“部门/资源”且与提供方一致", at + 1));
        return;
    }
    if (wish_repeats(c->q, at))
        found(c, diag_add(c->d, ERR_INVALID, 0, 0, "%.*s is requested twice: join the two", "%.*s 重复申请：请合并",
                          SLICE_ARG(w->resource)));
    if (w->resource_version == 0 || w->resource_version > UINT32_MAX)
        found(c, diag_add(c->d, ERR_INVALID, 0, 0, "%.*s: the version of the resource is missing",
                          "%.*s：缺少数据资源版本", SLICE_ARG(w->resource)));
    if (w->steps.n != 0 && !policy_steps_valid(w->steps))
        found(c,
              diag_add(c->d, ERR_INVALID, 0, 0,
                       "%.*s: its approval steps are none: 1 to %d, none twice, the provider or the bureau among them",
                       "%.*s：审批步骤无效：须为 1 至 %d 步，不得重复，且含提供方或大数据主管部门",
                       SLICE_ARG(w->resource), POLICY_STEPS_MAX));
    check_items(c, w);
}

static void check_wishes(struct checking *c)
{
    if (c->q->n_wishes == 0 || c->q->n_wishes > POLICY_WISHES_MAX) {
        found(c, diag_add(c->d, ERR_INVALID, 0, 0, "request 1 to %d resources", "请申请 1 至 %d 个数据资源",
                          POLICY_WISHES_MAX));
        return;
    }
    for (size_t i = 0; i < c->q->n_wishes; i++)
        check_wish(c, i);
}

static void (*const request_checks[])(struct checking *c) = {
    check_parties, check_purposes, check_texts, check_days, check_hours, check_wishes,
};

enum err policy_request_check(const struct policy_request *q, int64_t now, struct diags *d)
{
    struct checking c = { .q = q, .now = now, .d = d };

    for (size_t i = 0; i < sizeof request_checks / sizeof *request_checks; i++)
        request_checks[i](&c);
    return c.worst;
}
