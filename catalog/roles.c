/* catalog/roles: who may do what. Invariants: for every person stored, no two of their roles stand in each other's
 * `against`: the three administrators are three people, and who administers or audits does not also ask, provide or
 * approve; the bureau's approvers were people of its department when the role was given; who is the last security
 * administrator that can act stays it. */
#include "catalog/store.h"

enum {
    OPERATIONAL = ROLE_PROVIDER_OFFICER | ROLE_CONSUMER_OFFICER | ROLE_BUREAU_APPROVER,
    ADMINS = ROLE_SYSTEM_ADMIN | ROLE_SECURITY_ADMIN | ROLE_AUDIT_ADMIN,
    WATCHERS = ROLE_AUDITOR | ADMINS,
};

static const struct role {
    unsigned bit, against;
    const char *code, *title[2];
} roles[] = {
    { ROLE_PROVIDER_OFFICER, WATCHERS, "provider-officer", { "provider officer", "提供方经办人" } },
    { ROLE_CONSUMER_OFFICER, WATCHERS, "consumer-officer", { "consumer officer", "使用方经办人" } },
    { ROLE_BUREAU_APPROVER, WATCHERS, "bureau-approver", { "bureau approver", "大数据主管部门审批人" } },
    { ROLE_AUDITOR, OPERATIONAL | ROLE_SYSTEM_ADMIN | ROLE_SECURITY_ADMIN, "auditor", { "auditor", "审计人员" } },
    { ROLE_SYSTEM_ADMIN,
      OPERATIONAL | (WATCHERS & ~ROLE_SYSTEM_ADMIN),
      "system-admin",
      { "system administrator", "系统管理员" } },
    { ROLE_SECURITY_ADMIN,
      OPERATIONAL | (WATCHERS & ~ROLE_SECURITY_ADMIN),
      "security-admin",
      { "security administrator", "安全管理员" } },
    { ROLE_AUDIT_ADMIN,
      OPERATIONAL | ROLE_SYSTEM_ADMIN | ROLE_SECURITY_ADMIN,
      "audit-admin",
      { "audit administrator", "审计管理员" } },
};
enum { ROLES = sizeof roles / sizeof *roles };

static const struct role *role_find(unsigned bit)
{
    for (unsigned i = 0; i < ROLES; i++)
        if (roles[i].bit == bit)
            return &roles[i];
    return NULL;
}

bool catalog_role_of(struct slice name, unsigned *ret)
{
    for (unsigned i = 0; i < ROLES; i++)
        if (slice_is(name, roles[i].code)) {
            *ret = roles[i].bit;
            return true;
        }
    return false;
}

const char *catalog_role_name(unsigned role, enum lang lang, bool title)
{
    const struct role *r = role_find(role);

    if (r == NULL)
        return "";
    return title ? r->title[lang == LANG_ZH ? LANG_ZH : LANG_EN] : r->code;
}

static enum err roles_read(void *arg, const struct sql_row *row)
{
    *(unsigned *)arg = (unsigned)sql_int(row, 0);
    return ERR_OK;
}

enum err catalog_roles(struct sql_tx *tx, struct slice person, unsigned *ret)
{
    *ret = 0;
    return sql_each(tx, "SELECT roles FROM catalog_role WHERE person = $1", SQL_ARGS(SQL_T(person)), roles_read, ret);
}

static enum err refuse(const struct role *r, unsigned held, struct diags *d)
{
    const struct role *other = NULL;

    for (unsigned i = 0; i < ROLES && other == NULL; i++)
        if (roles[i].bit & held & r->against)
            other = &roles[i];
    return diag_add(d, ERR_CONFLICT, 0, 0,
                    "one person cannot hold %s and %s: choose another person, or take %s away first",
                    "同一人不得兼任 %s 和 %s：请另选人员，或先撤销 %s", r->code, other ? other->code : "",
                    other ? other->code : "");
}

/* Whose department is the data bureau's. */
static enum err need_bureau(struct sql_tx *tx, struct slice person, struct diags *d)
{
    struct slice rest = person, department = slice_cut(&rest, '/');
    bool there;
    enum err e =
        entry_exists(tx, "SELECT 1 FROM catalog_entry WHERE kind = $1 AND id = $2 AND newest = 1 AND special = 1",
                     SQL_ARGS(SQL_I(CATALOG_DEPARTMENT), SQL_T(department)), &there);

    if (e != ERR_OK || there)
        return e;
    return diag_add(d, ERR_CONFLICT, 0, 0,
                    "bureau approvers are people of the data bureau's department: %.*s is of %.*s",
                    "主管部门审批人须为大数据主管部门人员：%.*s 属于 %.*s", SLICE_ARG(person), SLICE_ARG(department));
}

/* Somebody who can act as security administrator, beside that person and those of that department. */
static enum err security_acts(struct sql_tx *tx, struct slice person, struct slice department, bool *ret)
{
    return entry_exists(tx,
                        "SELECT 1 FROM catalog_role r"
                        " JOIN catalog_entry p ON p.kind = $1 AND p.id = r.person AND p.newest = 1"
                        " JOIN catalog_entry d ON d.kind = $2 AND d.id = p.department AND d.newest = 1"
                        " WHERE (r.roles & $3) <> 0 AND p.state = 'active' AND d.state = 'active'"
                        " AND p.id <> $4 AND d.id <> $5",
                        SQL_ARGS(SQL_I(CATALOG_PERSON), SQL_I(CATALOG_DEPARTMENT), SQL_I(ROLE_SECURITY_ADMIN),
                                 SQL_T(person), SQL_T(department)),
                        ret);
}

enum err role_security_left(struct sql_tx *tx, struct slice person, struct slice department, struct diags *d)
{
    bool now = false, then = false;
    enum err e = security_acts(tx, SLICE(""), SLICE(""), &now);

    if (e == ERR_OK && now)
        e = security_acts(tx, person, department, &then);
    if (e != ERR_OK || !now || then)
        return e;
    return diag_add(d, ERR_CONFLICT, 0, 0,
                    "no security administrator would be left, and nobody could activate anybody any more: give the role"
                    " security-admin to another active person, of an active department, first",
                    "此后将没有可履职的安全管理员，任何人都无法再被启用：请先将 security-admin "
                    "角色授予另一名已启用部门的已启用人员");
}

enum err catalog_role_set(struct sql_tx *tx, struct slice person, unsigned role, bool on, struct diags *d)
{
    const struct role *r = role_find(role);
    unsigned held = 0;
    bool there;

    if (r == NULL)
        return diag_add(d, ERR_INVALID, 0, 0, "there is no such role", "没有该角色");
    enum err e = entry_exists(tx, "SELECT 1 FROM catalog_entry WHERE kind = $1 AND id = $2 AND newest = 1",
                              SQL_ARGS(SQL_I(CATALOG_PERSON), SQL_T(person)), &there);
    if (e == ERR_OK)
        e = catalog_roles(tx, person, &held);
    if (e != ERR_OK)
        return e;
    if (!there)
        return diag_add(d, ERR_NOT_FOUND, 0, 0, "person %.*s is not registered: apply the Person manifest first",
                        "人员 %.*s 尚未登记：请先登记该人员", SLICE_ARG(person));
    if (on && (held & r->against) != 0)
        return refuse(r, held, d);
    if (on && role == ROLE_BUREAU_APPROVER) {
        e = need_bureau(tx, person, d);
        if (e != ERR_OK)
            return e;
    }
    if (!on && role == ROLE_SECURITY_ADMIN) {
        e = role_security_left(tx, person, SLICE(""), d);
        if (e != ERR_OK)
            return e;
    }
    held = on ? held | r->bit : held & ~r->bit;
    return sql_exec(tx,
                    "INSERT INTO catalog_role(person, roles) VALUES($1, $2)"
                    " ON CONFLICT(person) DO UPDATE SET roles = excluded.roles",
                    SQL_ARGS(SQL_T(person), SQL_I(held)), NULL);
}
