#pragma once
/* Small files: whole reads with a cap, atomic writes, permission checks, directories. */
#include "base/core/buf.h"
#include "base/core/diag.h"

/* The whole file into out (cleared first); ERR_TOO_LARGE over out's cap, ERR_NOT_FOUND, ERR_SYS. */
enum err file_read(const char *path, struct buf *out, struct diags *d) MUST_CHECK;
/* Write to a temporary neighbour, fdatasync, rename, fsync of the folder: whole or not at all, durable on ERR_OK. */
enum err file_write(const char *path, struct slice data, unsigned mode, struct diags *d) MUST_CHECK;
/* The same under a name that nothing has yet, ERR_EXISTS else: what is there is never overwritten. */
enum err file_create(const char *path, struct slice data, unsigned mode, struct diags *d) MUST_CHECK;
/* Refuses a secret that group or others can read, or that is not ours: ERR_DENIED with the chmod that mends it. */
enum err file_check_private(const char *path, struct diags *d) MUST_CHECK;
enum err dir_make(const char *path, unsigned mode, struct diags *d) MUST_CHECK; /* with parents; existing is ok */
/* dir + "/" + name in the arena. */
char *path_join(struct arena *a, const char *dir, const char *name);
