#pragma once
/* What the files of base/sql share: the connection, its one transaction, and the table of prepared statements.
 * Invariants: tx.open says whether sql_begin was called; tx.failed, once set, ends every further statement of the
 * transaction, because SQLite rolls back by itself on some failures and would otherwise go on without one. */
#include <sqlite3.h>
#include "base/sql/sql.h"

enum { SQL_CACHE_SLOTS = 512, SQL_CACHE_MAX = 256, SQL_ERROR_MAX = 300 };

struct statement {
    char *text;       /* own; NULL: free slot. The text is the key: a caller's buffer may hold another one later */
    sqlite3_stmt *st; /* own */
    bool busy;        /* being stepped: a nested use of the same text gets one of its own */
};

struct sql_tx {
    struct sql *sql; /* bor: the connection it is part of */
    bool open, write;
    enum err failed;
};

struct sql {
    sqlite3 *db; /* own */
    int lock;    /* own: descriptor that holds the lock on <path>.lock; -1: none */
    char *path;  /* own */
    struct sql_tx tx;
    unsigned cached;
    struct statement cache[SQL_CACHE_SLOTS];
    char error[SQL_ERROR_MAX];
};

/* The code for SQLite's extended result code; `sys` is sqlite3_system_errno of the connection. */
enum err sql_code(int rc, int sys);
/* Remember the connection's last failure as text and give its code. */
enum err sql_fail(struct sql *s, int rc);
/* The same with words of our own. */
enum err sql_refuse(struct sql *s, enum err code, const char *words);
/* Run statements without rows and parameters, outside of the statement table: pragmas, BEGIN, migrations. */
enum err sql_script(struct sql *s, const char *text) MUST_CHECK;
void sql_forget_statements(struct sql *s);
/* fsync of the folder that holds `path`: makes a new name durable. */
enum err sql_sync_folder(const char *path, struct diags *d) MUST_CHECK;
