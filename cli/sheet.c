/* Labelled lines: scalars aligned, maps and lists indented under their label. Labels of known keys are translated;
 * other keys stand as they are. */
#include "cli/sheet.h"

#include "cli/output.h"

enum { INDENT = 2, DEEPEST = 12 };

static const struct label {
    const char *key;
    const char *text[2];
} labels[] = {
    { "id", { "Id", "标识" } },
    { "kind", { "Kind", "类型" } },
    { "title", { "Title", "名称" } },
    { "department", { "Department", "部门" } },
    { "state", { "State", "状态" } },
    { "version", { "Version", "版本" } },
    { "created", { "Created", "创建时间" } },
    { "changed", { "Changed", "变更时间" } },
    { "roles", { "Roles", "角色" } },
    { "manifest", { "Manifest", "清单" } },
    { "items", { "Items", "数据项" } },
    { "params", { "Parameters", "参数" } },
    { "versions", { "Versions", "历次版本" } },
    { "app", { "Application", "应用" } },
    { "resource", { "Resource", "数据资源" } },
    { "resources", { "Resources", "数据资源" } },
    { "resource_version", { "Resource version", "资源版本" } },
    { "provider", { "Provider", "提供方" } },
    { "purposes", { "Purposes", "用途" } },
    { "purpose", { "Purpose", "用途" } },
    { "basis", { "Legal basis", "依据" } },
    { "scenario", { "Scenario", "应用场景" } },
    { "window", { "Window", "时间窗口" } },
    { "from", { "From", "起" } },
    { "to", { "To", "止" } },
    { "hours", { "Hours", "时段" } },
    { "weekdays", { "Weekdays", "星期" } },
    { "expires", { "Expires", "到期" } },
    { "max_rows", { "Maximum rows", "最大行数" } },
    { "clear", { "Unmasked", "不脱敏" } },
    { "sends", { "Sent by the application", "由应用发送" } },
    { "approvals", { "Approvals", "审批" } },
    { "approvers", { "Approvers", "审批人" } },
    { "grants", { "Grants", "授权" } },
    { "grant", { "Grant", "授权" } },
    { "request", { "Request", "申请" } },
    { "note", { "Note", "意见" } },
    { "part", { "Part", "部分" } },
    { "step", { "Step", "步骤" } },
    { "by", { "By", "办理人" } },
    { "at", { "At", "时间" } },
    { "serial", { "Serial", "序列号" } },
    { "subject", { "Subject", "主体" } },
    { "not_before", { "Valid from", "生效时间" } },
    { "not_after", { "Valid until", "失效时间" } },
    { "reason", { "Reason", "原因" } },
    { "node", { "Node", "节点" } },
    { "trust_domain", { "Trust domain", "信任域" } },
    { "uptime_seconds", { "Uptime", "运行时长" } },
    { "workers", { "Workers", "工作线程" } },
    { "snapshot", { "Snapshot", "快照代次" } },
    { "checks", { "Checks", "检查" } },
    { "name", { "Name", "名称" } },
    { "ok", { "Ok", "正常" } },
    { "text", { "Text", "说明" } },
    { "ready", { "Ready", "就绪" } },
    { "checkpoint_size", { "Records in checkpoint", "检查点覆盖记录" } },
    { "checkpoint_at", { "Checkpoint signed", "检查点时间" } },
    { "free_bytes", { "Free", "剩余空间" } },
    { "state_free_bytes", { "Free for the state", "状态库剩余空间" } },
    { "role", { "Role", "角色" } },
    { "bureau", { "Data bureau", "大数据主管部门" } },
    { "digest", { "Digest", "摘要" } },
    { "author", { "Author", "经办人" } },
    { "changed_by", { "Changed by", "变更人" } },
    { "level", { "Level", "敏感级别" } },
    { "required", { "Required", "必填" } },
    { "title_zh", { "Title (zh)", "中文名称" } },
    { "title_en", { "Title (en)", "英文名称" } },
    { "log", { "Evidence log", "存证日志" } },
    { "size", { "Records", "记录数" } },
    { "available", { "Available", "可用" } },
    { "certificates", { "Certificates", "证书" } },
    { "gateway", { "Gateway", "网关" } },
    { "ca", { "Certificate authority", "证书颁发机构" } },
    { "crl", { "Revocation list", "吊销列表" } },
    { "counts", { "Counts", "数量" } },
    { "departments", { "Departments", "部门" } },
    { "apps", { "Applications", "应用" } },
    { "people", { "People", "人员" } },
    { "policies", { "Policies", "策略" } },
    { "approval", { "Approval steps", "审批步骤" } },
    { "unconditional", { "Unconditional", "无条件共享" } },
    { "conditional", { "Conditional", "有条件共享" } },
    { "applied_by", { "Applied by", "登记人" } },
    { "requests", { "Requests", "申请" } },
    { "waiting", { "Waiting for me", "待我办理" } },
    { "weakness", { "Weakness", "薄弱环节" } },
};

static const char *label(struct cli *c, struct slice key)
{
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
        if (slice_is(key, labels[i].key))
            return cli_text(c, labels[i].text);
    return arena_printf(&c->arena, "%.*s", SLICE_ARG(output_clean(c, key)));
}

static bool is_title(const struct doc *d)
{
    return d->type == DOC_MAP && d->count <= 2 && (doc_get(d, "zh") != NULL || doc_get(d, "en") != NULL);
}

/* A list of scalars stands on one line. */
static bool is_plain(const struct doc *d)
{
    if (d->type != DOC_LIST)
        return d->type != DOC_MAP || d->count == 0 || is_title(d);
    DOC_EACH(child, d)
    {
        if (child->type == DOC_LIST || child->type == DOC_MAP)
            return false;
    }
    return true;
}

/* "1.5 GiB" and "2d 3h 4m" for members that are named for their unit. */
static struct slice value_shown(struct cli *c, const struct doc *m)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    struct slice value = output_clean(c, output_value(c, m, NULL));
    uint64_t n;
    size_t unit = 0;

    if (value.n == 0 && (m->type == DOC_LIST || m->type == DOC_MAP))
        return SLICE("-");
    if (m->type != DOC_NUMBER || !slice_u64(value, 0, UINT64_MAX, &n))
        return value;
    if (slice_is(m->key, "uptime_seconds"))
        return slice_of(arena_printf(&c->arena, "%llud %lluh %llum", (unsigned long long)(n / 86400),
                                     (unsigned long long)(n / 3600 % 24), (unsigned long long)(n / 60 % 60)));
    if (!slice_ends(m->key, SLICE("_bytes")))
        return value;
    double scaled = (double)n;
    for (; scaled >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        scaled /= 1024;
    return slice_of(arena_printf(&c->arena, unit ? "%.1f %s" : "%.0f %s", scaled, units[unit]));
}

static void put(struct cli *c, const struct doc *map, unsigned depth, bool dash);

static void put_list(struct cli *c, const struct doc *list, unsigned depth)
{
    DOC_EACH(child, list)
    {
        if (child->type == DOC_MAP && depth < DEEPEST)
            put(c, child, depth, true);
        else
            fprintf(c->out, "%*s- %.*s\n", (int)(depth * INDENT), "",
                    SLICE_ARG(output_clean(c, output_value(c, child, NULL))));
    }
}

/* `dash`: the first line begins with "- ". */
static void put(struct cli *c, const struct doc *map, unsigned depth, bool dash)
{
    size_t width = 0;

    DOC_EACH(m, map)
    {
        size_t w = is_plain(m) ? utf8_width(slice_of(label(c, m->key))) : 0;
        width = w > width ? w : width;
    }
    DOC_EACH(m, map)
    {
        const char *name = label(c, m->key);

        fprintf(c->out, "%*s%s%s", (int)(depth * INDENT), "", dash ? (m == map->first ? "- " : "  ") : "", name);
        if (is_plain(m) || depth >= DEEPEST) {
            fprintf(c->out, "%*s  %.*s\n",
                    (int)(width > utf8_width(slice_of(name)) ? width - utf8_width(slice_of(name)) : 0), "",
                    SLICE_ARG(value_shown(c, m)));
            continue;
        }
        fputc('\n', c->out);
        if (m->type == DOC_LIST)
            put_list(c, m, depth + 1 + dash);
        else
            put(c, m, depth + 1 + dash, false);
    }
}

void sheet_put(struct cli *c, const struct doc *one)
{
    if (one->type == DOC_MAP)
        put(c, one, 0, false);
    else
        put_list(c, one, 0);
}
