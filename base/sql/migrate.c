/* Schema versions and copies of the database.
 * Invariants: a prefix moves from one version to the last in one transaction or not at all; before state that is in use
 * changes, a copy of it is on disk; a copy appears under its name only when it is complete and synced. */
#include "base/sql/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err take_int(void *arg, const struct sql_row *row)
{
    *(int64_t *)arg = sql_int(row, 0);
    return ERR_OK;
}

/* *version stays 0 for a prefix that was never migrated. */
static enum err version_read(struct sql *s, const char *prefix, int64_t *version, struct diags *d)
{
    struct sql_tx *tx = NULL;
    enum err e = sql_begin(s, true, &tx, d);

    if (e != ERR_OK)
        return e;
    e = sql_exec(tx, "CREATE TABLE IF NOT EXISTS schema_version (prefix TEXT PRIMARY KEY, version BIGINT NOT NULL)",
                 NULL, 0, NULL);
    if (e == ERR_OK)
        e = sql_one(tx, "SELECT version FROM schema_version WHERE prefix = $1", SQL_ARGS(SQL_T(slice_of(prefix))),
                    take_int, version);
    if (e == ERR_NOT_FOUND)
        e = ERR_OK;
    if (e == ERR_OK)
        return sql_commit(tx, d);
    diag_add(d, e, 0, 0, "cannot read the schema's version: %s", "无法读取结构版本：%s", sql_error(tx));
    sql_rollback(tx);
    return e;
}

static enum err steps_apply(struct sql *s, const char *prefix, const struct sql_migration *list, size_t from, size_t n,
                            struct diags *d)
{
    struct sql_tx *tx = NULL;
    enum err e = sql_begin(s, true, &tx, d);

    if (e != ERR_OK)
        return e;
    for (size_t i = from; i < n && e == ERR_OK; i++) {
        e = sql_script(s, list[i].text);
        if (e != ERR_OK)
            diag_add(d, e, 0, 0, "migration %zu of %s failed: %s", "第 %zu 步结构迁移（%s）失败：%s", i + 1, prefix,
                     sql_error(tx));
        else if (sqlite3_get_autocommit(s->db)) /* a step that commits would leave the rest without a net */
            e = diag_add(d, ERR_INVALID, 0, 0, "migration %zu of %s ends the transaction",
                         "第 %zu 步结构迁移（%s）结束了事务", i + 1, prefix);
    }
    if (e == ERR_OK) {
        e = sql_exec(tx,
                     "INSERT INTO schema_version (prefix, version) VALUES ($1, $2) "
                     "ON CONFLICT (prefix) DO UPDATE SET version = excluded.version",
                     SQL_ARGS(SQL_T(slice_of(prefix)), SQL_I(n)), NULL);
        if (e != ERR_OK)
            diag_add(d, e, 0, 0, "cannot record the schema's version: %s", "无法记录结构版本：%s", sql_error(tx));
    }
    if (e == ERR_OK)
        return sql_commit(tx, d);
    sql_rollback(tx);
    sql_forget_statements(s);
    return e;
}

/* The state as it is, beside it; one left by an attempt that failed is replaced, for the schema has not moved since. */
static enum err copy_before(struct sql *s, const char *prefix, int64_t version, struct diags *d)
{
    struct buf name = BUF_INIT(8192);
    enum err e;

    buf_printf(&name, "%s.before-%s-%lld", s->path, prefix, (long long)version);
    buf_putc(&name, '\0');
    if (name.failed != ERR_OK)
        e = diag_add(d, name.failed, 0, 0, "the path is too long: %s", "路径过长：%s", s->path);
    else if (unlink(name.p) != 0 && errno != ENOENT)
        e = diag_sys(d, errno, "cannot replace %s", "无法替换 %s", name.p);
    else
        e = sql_backup(s, name.p, d);
    buf_done(&name);
    return e;
}

enum err sql_migrate(struct sql *s, const char *prefix, const struct sql_migration *list, size_t n, struct diags *d)
{
    int64_t version = 0;
    enum err e;

    if (!ident_valid(slice_of(prefix)))
        return diag_add(d, ERR_INVALID, 0, 0, "'%s' is no prefix", "“%s”不是合法前缀", prefix);
    e = version_read(s, prefix, &version, d);
    if (e != ERR_OK)
        return e;
    if (version < 0 || (uint64_t)version > n)
        return diag_add(
            d, ERR_CONFLICT, 0, 0,
            "the state's %s schema has version %lld and this program knows %zu: start the newer program, or "
            "restore a backup made by this one",
            "状态库中 %s 的结构版本为 %lld，本程序只支持到 %zu：请启动较新的程序，或恢复由本程序制作的备份", prefix,
            (long long)version, n);
    if ((uint64_t)version == n)
        return ERR_OK;
    if (version > 0) {
        e = copy_before(s, prefix, version, d);
        if (e != ERR_OK)
            return e;
    }
    return steps_apply(s, prefix, list, (size_t)version, n, d);
}

/* ---- copies ---- */

static enum err copy_pages(struct sql *s, const char *to, struct diags *d)
{
    sqlite3 *out = NULL;
    sqlite3_backup *b = NULL;
    int rc = sqlite3_open_v2(to, &out, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    enum err e = ERR_OK;

    if (rc == SQLITE_OK) {
        b = sqlite3_backup_init(out, "main", s->db, "main");
        rc = b ? sqlite3_backup_step(b, -1) : sqlite3_errcode(out);
        if (b && sqlite3_backup_finish(b) != SQLITE_OK && rc == SQLITE_DONE)
            rc = sqlite3_errcode(out);
    }
    if (rc == SQLITE_DONE) /* the copy of a WAL database says WAL; one file is what was asked for */
        rc = sqlite3_exec(out, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        e = sql_code(rc, out ? sqlite3_system_errno(out) : 0);
        diag_add(d, e, 0, 0, "cannot copy the state to %s: %s", "无法将状态库复制到 %s：%s", to, sqlite3_errstr(rc));
    }
    sqlite3_close(out);
    return e;
}

static enum err file_sync(const char *path, struct diags *d)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum err e = ERR_OK;

    if (fd < 0 || fsync(fd) != 0)
        e = diag_sys(d, errno, "cannot make %s durable", "无法将 %s 落盘", path);
    if (fd >= 0)
        close(fd);
    return e;
}

/* link(2) refuses an existing name, rename(2) would not. */
static enum err name_final(const char *part, const char *to, struct diags *d)
{
    if (link(part, to) == 0)
        return sql_sync_folder(to, d);
    if (errno == EEXIST)
        return diag_add(d, ERR_EXISTS, 0, 0, "%s exists already; choose another name", "%s 已存在，请另选文件名", to);
    return diag_sys(d, errno, "cannot create %s", "无法创建 %s", to);
}

enum err sql_backup(struct sql *s, const char *to, struct diags *d)
{
    char part[4096];
    int n = snprintf(part, sizeof part, "%s.part", to), fd;
    enum err e;

    if (s->tx.open)
        return diag_add(d, ERR_BUSY, 0, 0, "a transaction is open", "有事务未结束");
    if (n < 0 || (size_t)n >= sizeof part)
        return diag_add(d, ERR_INVALID, 0, 0, "the path is too long: %s", "路径过长：%s", to);
    if (access(to, F_OK) == 0)
        return diag_add(d, ERR_EXISTS, 0, 0, "%s exists already; choose another name", "%s 已存在，请另选文件名", to);
    if (unlink(part) != 0 && errno != ENOENT)
        return diag_sys(d, errno, "cannot replace %s", "无法替换 %s", part);
    fd = open(part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return diag_sys(d, errno, "cannot create %s", "无法创建 %s", part);
    close(fd);
    e = copy_pages(s, part, d);
    if (e == ERR_OK)
        e = file_sync(part, d);
    if (e == ERR_OK)
        e = name_final(part, to, d);
    unlink(part);
    return e;
}
