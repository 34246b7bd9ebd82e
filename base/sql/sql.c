/* The connection and its transactions. Owns the database file, its lock file and their modes.
 * Invariants: the file and its neighbours (-wal, -shm, .lock) are 0600; one process at a time, held by a POSIX record
 * lock on <path>.lock, which a forked child does not inherit and a killed process cannot leave behind; a commit that
 * returned ERR_OK is on disk (WAL with synchronous=FULL syncs the log before it returns). */
#include "base/sql/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_WAIT_MS = 2000 };

enum err sql_sync_folder(const char *path, struct diags *d)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? mem_dup(slice_make(path, slash == path ? 1 : (size_t)(slash - path))) : mem_dup(SLICE("."));
    enum err e = ERR_OK;
    int fd;

    if (!dir)
        return diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        e = diag_sys(d, errno, "cannot make %s durable", "无法将目录 %s 落盘", dir);
    if (fd >= 0)
        close(fd);
    mem_free(dir);
    return e;
}

/* Make the file with private permissions before SQLite can make it with others. */
static enum err file_prepare(const char *path, struct diags *d)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd >= 0) {
        close(fd);
        return ERR_OK;
    }
    if (errno == EEXIST)
        return file_check_private(path, d);
    return diag_sys(d, errno, "cannot create %s", "无法创建 %s", path);
}

static enum err lock_take(struct sql *s, struct diags *d)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    char name[4096];
    int n = snprintf(name, sizeof name, "%s.lock", s->path);

    if (n < 0 || (size_t)n >= sizeof name)
        return diag_add(d, ERR_INVALID, 0, 0, "the path is too long: %s", "路径过长：%s", s->path);
    s->lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock < 0)
        return diag_sys(d, errno, "cannot open %s", "无法打开 %s", name);
    if (fcntl(s->lock, F_SETLK, &lock) == 0)
        return ERR_OK;
    if (errno != EACCES && errno != EAGAIN)
        return diag_sys(d, errno, "cannot lock %s", "无法锁定 %s", name);
    if (fcntl(s->lock, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
        lock.l_pid = 0;
    return diag_add(d, ERR_BUSY, 0, 0, "%s is in use by process %ld; stop it first",
                    "%s 正由进程 %ld 使用，请先停止该进程", s->path, (long)lock.l_pid);
}

static enum err wal_switch(struct sql *s)
{
    sqlite3_stmt *st = NULL;
    enum err e = ERR_OK;
    int rc = sqlite3_prepare_v2(s->db, "PRAGMA journal_mode=WAL", -1, &st, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc != SQLITE_ROW)
        e = sql_fail(s, rc);
    else if (!slice_is(slice_of((const char *)sqlite3_column_text(st, 0)), "wal"))
        e = sql_refuse(s, ERR_UNSUPPORTED, "this file system has no shared memory for a write-ahead log");
    sqlite3_finalize(st);
    return e;
}

static enum err db_open(struct sql *s)
{
    int rc = sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
    enum err e;

    if (rc != SQLITE_OK)
        return sql_fail(s, rc);
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, BUSY_WAIT_MS);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    e = wal_switch(s);
    if (e != ERR_OK)
        return e;
    e = sql_script(s, "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA wal_autocheckpoint=1000");
    return e == ERR_OK ? sql_script(s, "PRAGMA schema_version") : e; /* a read: the -wal is there from now on */
}

/* SQLite refuses a path with a symbolic link anywhere in it when NOFOLLOW is set; folders may be links, the file not.
 */
static enum err path_resolve(const char *where, char **ret, struct diags *d)
{
    const char *slash = strrchr(where, '/');
    char *dir = slash ? mem_dup(slice_make(where, slash == where ? 1 : (size_t)(slash - where))) : mem_dup(SLICE("."));
    char *real = dir ? realpath(dir, NULL) : NULL;
    struct buf b = BUF_INIT(8192);
    enum err e = ERR_OK;

    if (!real) {
        e = diag_sys(d, errno, "cannot find the folder of %s", "找不到 %s 所在的目录", where);
    } else {
        buf_printf(&b, "%s/%s", real[1] ? real : "", slash ? slash + 1 : where);
        *ret = b.failed == ERR_OK ? mem_dup(buf_slice(&b)) : NULL;
        if (!*ret)
            e = diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    }
    buf_done(&b);
    mem_libc_free(real);
    mem_free(dir);
    return e;
}

enum err sql_open(const char *where, struct sql **ret, struct diags *d)
{
    struct sql *s = mem_zalloc(sizeof *s); /* own */
    enum err e;

    if (!s)
        return diag_add(d, ERR_NOMEM, 0, 0, "out of memory", "内存不足");
    s->lock = -1;
    s->tx.sql = s;
    e = path_resolve(where, &s->path, d);
    if (e == ERR_OK)
        e = lock_take(s, d);
    if (e == ERR_OK)
        e = file_prepare(s->path, d);
    if (e == ERR_OK) {
        e = db_open(s);
        if (e != ERR_OK)
            diag_add(d, e, 0, 0, "cannot open the state %s: %s", "无法打开状态库 %s：%s", where, s->error);
    }
    /* SQLite syncs the name of its -wal with the first commit and does not mind when that fails: after a power cut the
     * commits would be gone with it. */
    if (e == ERR_OK)
        e = sql_sync_folder(s->path, d);
    if (e == ERR_OK) {
        *ret = s;
        s = NULL;
    }
    sql_close(s);
    return e;
}

struct sql *sql_close(struct sql *s)
{
    if (!s)
        return NULL;
    if (s->tx.open)
        sql_rollback(&s->tx);
    sql_forget_statements(s);
    sqlite3_close(s->db);
    if (s->lock >= 0)
        close(s->lock);
    mem_free(s->path);
    return mem_free(s);
}

enum err sql_begin(struct sql *s, bool write, struct sql_tx **ret, struct diags *d)
{
    enum err e;

    if (s->tx.open)
        return diag_add(d, ERR_BUSY, 0, 0, "a transaction is open already", "已有事务未结束");
    e = sql_script(s, write ? "BEGIN IMMEDIATE" : "BEGIN");
    if (e != ERR_OK)
        return diag_add(d, e, 0, 0, "cannot begin a transaction: %s", "无法开始事务：%s", s->error);
    s->tx = (struct sql_tx){ .sql = s, .open = true, .write = write };
    *ret = &s->tx;
    return ERR_OK;
}

enum err sql_commit(struct sql_tx *tx, struct diags *d)
{
    struct sql *s = tx->sql;
    enum err e = tx->failed;

    if (e == ERR_OK)
        e = sql_script(s, "COMMIT");
    if (e != ERR_OK) {
        diag_add(d, e, 0, 0, "the transaction was not committed: %s", "事务未提交：%s", s->error);
        sql_rollback(tx);
    }
    tx->open = false;
    return e;
}

void sql_rollback(struct sql_tx *tx)
{
    if (!tx || !tx->open)
        return;
    /* A failure here means that nothing is open any more, which is what was asked for. */
    if (!sqlite3_get_autocommit(tx->sql->db))
        sqlite3_exec(tx->sql->db, "ROLLBACK", NULL, NULL, NULL);
    tx->open = false;
}

const char *sql_error(const struct sql_tx *tx)
{
    return tx->sql->error;
}
