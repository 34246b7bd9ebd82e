#pragma once
/* base/sql: one small interface to the state's database. Back ends: SQLite (WAL, synchronous=FULL), the embedded
 * default; PostgreSQL comes behind the same functions, so statements keep to SQL that both speak, with $1 parameters.
 * Only gateway/ opens a transaction; siblings receive it, touch tables of their own prefix, and never commit.
 * Thread rule: a struct sql and all that comes from it belongs to the one thread that owns SQL. */
#include "base/core/core.h"

struct sql;
struct sql_tx;

/* `where`: a file path (SQLite). Private permissions are set on creation. ERR_BUSY when another process holds it
 * (a lock on <where>.lock); one struct sql a process and file. */
enum err sql_open(const char *where, struct sql **ret, struct diags *d) MUST_CHECK;
struct sql *sql_close(struct sql *s);

/* A write transaction (taken at once, so that it cannot fail later for a lock) or a read one. One at a time. */
enum err sql_begin(struct sql *s, bool write, struct sql_tx **ret, struct diags *d) MUST_CHECK;
enum err sql_commit(struct sql_tx *tx, struct diags *d) MUST_CHECK; /* durable on ERR_OK; tx is gone either way */
void sql_rollback(struct sql_tx *tx);                               /* NULL is ok */

enum sql_kind { SQL_NULL, SQL_INT, SQL_TEXT, SQL_BLOB };
struct sql_value {
    enum sql_kind kind;
    int64_t i;
    struct slice s;
};
#define SQL_I(v) ((struct sql_value){ .kind = SQL_INT, .i = (int64_t)(v) })
#define SQL_T(v) ((struct sql_value){ .kind = SQL_TEXT, .s = (v) })
#define SQL_B(v) ((struct sql_value){ .kind = SQL_BLOB, .s = (v) })
#define SQL_N    ((struct sql_value){ .kind = SQL_NULL })
/* Parameters of a statement, in order of $1, $2, …. Text is valid UTF-8 without NUL, else ERR_INVALID: bytes are blobs.
 */
#define SQL_ARGS(...)                                                                                                  \
    ((const struct sql_value[]){ __VA_ARGS__ }),                                                                       \
        (sizeof((struct sql_value[]){ __VA_ARGS__ }) / sizeof(struct sql_value))

/* One row during sql_each; columns by position. Text and blob slices live until the next row. */
struct sql_row;
int64_t sql_int(const struct sql_row *r, unsigned col);
struct slice sql_text(const struct sql_row *r, unsigned col); /* blobs too; NULL is the empty slice */
bool sql_is_null(const struct sql_row *r, unsigned col);

/* Run a statement without rows. *changed (may be NULL) gets the number of rows changed.
 * ERR_EXISTS on a uniqueness violation, ERR_CONFLICT on another constraint, ERR_FULL when the disk is full, ERR_DENIED
 * on a write in a read transaction or a statement such as COMMIT. Some failures (a full disk) end the transaction:
 * every later statement and the commit return the same code. */
enum err sql_exec(struct sql_tx *tx, const char *text, const struct sql_value *args, size_t n,
                  uint64_t *changed) MUST_CHECK;
/* Run a query; fn sees each row and returns ERR_OK to go on; anything else stops and is returned. ERR_OK with no rows
 * too. */
enum err sql_each(struct sql_tx *tx, const char *text, const struct sql_value *args, size_t n,
                  enum err (*fn)(void *arg, const struct sql_row *row), void *arg) MUST_CHECK;
/* As sql_each for exactly one row: ERR_NOT_FOUND when there is none, ERR_CONFLICT when there are more. */
enum err sql_one(struct sql_tx *tx, const char *text, const struct sql_value *args, size_t n,
                 enum err (*fn)(void *arg, const struct sql_row *row), void *arg) MUST_CHECK;
const char *sql_error(const struct sql_tx *tx); /* text of the last failure, for a diag */

/* Migrations: each folder owns an ordered list for its prefix; applied forward in one transaction, recorded in table
 * schema_version(prefix, version). State with a version newer than the list is refused (ERR_CONFLICT with the remedy).
 * State that is older and not fresh is first copied to <where>.before-<prefix>-<version>. */
struct sql_migration {
    const char *text; /* statements separated by ';' */
};
enum err sql_migrate(struct sql *s, const char *prefix, const struct sql_migration *list, size_t n,
                     struct diags *d) MUST_CHECK;
/* A consistent copy of the whole database into a new file, 0600, durable on ERR_OK; ERR_EXISTS rather than overwrite.
 * Not inside a transaction (ERR_BUSY). */
enum err sql_backup(struct sql *s, const char *to, struct diags *d) MUST_CHECK;
